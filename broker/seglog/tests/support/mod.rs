//! Logs on a simulated disk, each beside a model of what it must hold.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test binary uses a part; a test may panic"
)]

pub mod model;
pub mod rig;

/// Prints where a test was when it panics, also inside the code under test.
#[derive(Debug)]
pub struct Note(pub String);

impl Drop for Note {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed at {}", self.0);
        }
    }
}
