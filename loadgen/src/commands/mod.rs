//! The subcommands: each is a set of arguments and a function that returns the exit code.

pub mod export;
pub mod matrix;
pub mod schema;
pub mod worker;
