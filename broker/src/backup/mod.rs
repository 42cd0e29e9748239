//! `broker backup`: a copy of a data directory that a broker starts on, taken while another runs on the original, or after
//! it has ended.
//!
//! No lock is shared with the running broker, and it waits for nothing. What is copied is chosen so that every state the
//! copy can be in is one that a crash could have left (`FORMAT.md` of seglog), with everything that was confirmed before the
//! backup began:
//!
//! | step | why it is right |
//! |---|---|
//! | 1 descriptions | files are replaced as a whole; read again until none has changed meanwhile, so that no binding lacks its queue |
//! | 2 checkpoints | older than the log that follows, as after a crash: what was settled since is delivered again |
//! | 3 segments, each queue's in ascending order | see `segments`: a sealed one does not change, the active one is cut behind the last record that was whole |
//! | 4 each log is recovered, as a start would | its records are synced and its footers say so: damage to the copy is told from an unfinished write |
//! | 5 everything is synced, then the directory gets its name | an interrupted backup is never taken for one |
//!
//! Each record that is copied is read and verified. What belongs to nobody after a restart (non-durable queues and what
//! they spilled, recycled files) stays behind.
//!
//! | file | what it holds |
//! |---|---|
//! | `flags`, `run` | the command line, the steps |
//! | `descriptions` | step 1 |
//! | `segments` | step 3, one queue |
//! | `destination` | a directory that has its name when it is complete |

mod descriptions;
mod destination;
mod flags;
mod run;
mod segments;

pub(crate) use flags::BackupCommand;
pub(crate) use run::run;
