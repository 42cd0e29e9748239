//! The `broker` binary: see [`broker::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    broker::cli::run(std::env::args_os())
}
