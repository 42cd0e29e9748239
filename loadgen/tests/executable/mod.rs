//! Runs the executable, as a user would.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "test support: each test file uses its part"
)]

use std::path::Path;
use std::process::{Command, Output};

/// Runs it to its end in `directory`.
pub fn loadgen(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap()
}

/// What it printed.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
