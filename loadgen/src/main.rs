//! The `loadgen` binary: see [`loadgen::app`].
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    loadgen::app::run(std::env::args_os())
}
