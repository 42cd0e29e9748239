//! `broker shovel` as a child process.

use std::io::Read;
use std::process::{Child, Command, Stdio};

use super::wait_for;

/// A shovel; killed when dropped.
#[derive(Debug)]
pub struct Shovel(Child);

/// How it ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub told: String,
}

impl Shovel {
    pub fn start(flags: &[&str]) -> Shovel {
        let child = Command::new(env!("CARGO_BIN_EXE_broker"))
            .arg("shovel")
            .args(flags)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Shovel(child)
    }

    /// Starts it and waits for its end.
    pub fn run(flags: &[&str]) -> Ended {
        Shovel::start(flags).wait()
    }

    /// As Ctrl-C does.
    pub fn interrupt(&self) {
        let killed = Command::new("kill")
            .args(["-INT", &self.0.id().to_string()])
            .status()
            .unwrap();
        assert!(killed.success());
    }

    /// Waits for it to end.
    pub fn wait(mut self) -> Ended {
        let status = wait_for("the shovel to end", || self.0.try_wait().unwrap());
        let mut told = String::new();
        self.0.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        Ended {
            code: status.code(),
            told,
        }
    }
}

impl Drop for Shovel {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
