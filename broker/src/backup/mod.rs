//! `broker backup`: a copy of a data directory that a broker starts on, taken while another runs on the original, or after
//! it has ended.
//!
//! No lock is kept from a broker, and it waits for nothing. What is copied is chosen so that every state the
//! copy can be in is one that a crash could have left (`FORMAT.md` of seglog), with everything that was confirmed before the
//! backup began; except what a running broker moves meanwhile between queues (dead letters, delayed messages) on a way that
//! leads in a circle, or is not known (`order`):
//!
//! | step | why it is right |
//! |---|---|
//! | 1 descriptions | files are replaced as a whole; read again until none has changed meanwhile, so that no binding lacks its queue |
//! | 2 checkpoints | older than the log that follows, as after a crash: what was settled since is delivered again |
//! | 3 segments, queue by queue, sources of dead letters before their targets | a letter that has left its source by then is in its target, which is copied later |
//! | 4 those of a queue in ascending order | see `segments`: a sealed one does not change, the active one is cut behind the last record that was whole |
//! | 5 each log is recovered, as a start would | its records are synced and its footers say so: damage to the copy is told from an unfinished write |
//! | 6 everything is synced, then the directory gets its name | an interrupted backup is never taken for one |
//!
//! Each record that is copied is read and verified. What belongs to nobody after a restart (non-durable queues and what
//! they spilled, recycled files) stays behind.
//!
//! | file | what it holds |
//! |---|---|
//! | `flags`, `run` | the command line, the steps |
//! | `descriptions` | step 1 |
//! | `order` | step 3, which queue before which |
//! | `segments` | steps 4 and 5, one queue |
//! | `rest` | whether a broker has come to a directory that had none |
//! | `destination` | a directory that has its name when it is complete |

mod descriptions;
mod destination;
mod flags;
mod order;
mod rest;
mod run;
mod segments;

pub(crate) use flags::BackupCommand;
pub(crate) use run::run;
