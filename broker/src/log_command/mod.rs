//! `broker log`: what a data directory holds, for a person who must look while no broker runs on it.
//!
//! ```text
//! broker log verify                reads everything, names what is wrong
//! broker log dump --queue orders   prints messages
//! broker log repair [--apply]      says, or does, what makes the directory usable again
//! ```
//! Each takes the directory's lock. `verify` and `dump`, and `repair` until it knows what to do, read through `ReadOnly`
//! and so cannot change anything; the judgement of a segment is that of a start (`FORMAT.md` of seglog, recovery),
//! except that bodies are always read.
//!
//! | file | what it holds |
//! |---|---|
//! | `flags`, `run` | the command line, the lock, exit codes |
//! | `read_only` | files that nobody writes |
//! | `segment`, `verdict` | one segment as it lies there, and what a start makes of it |
//! | `survey`, `problem` | the whole directory, and what is wrong with it |
//! | `verify` | the report |
//! | `dump`, `message` | records as text or JSON |
//! | `plan`, `repair`, `replacement` | what is to be done, doing it, a new segment in the place of a damaged one |

mod dump;
mod flags;
mod message;
mod plan;
mod problem;
mod read_only;
mod repair;
mod replacement;
mod run;
mod segment;
mod survey;
mod verdict;
mod verify;

pub use flags::LogCommand;
pub(crate) use read_only::ReadOnly;
pub(crate) use run::run;
pub(crate) use segment::Segment;
pub(crate) use survey::{METADATA, OFFSETS, QUEUES, segments};
pub(crate) use verdict::{Verdict, judge, problems};
