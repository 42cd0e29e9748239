//! The subcommands: each is a set of arguments and a function that returns the exit code.

pub mod matrix;
