//! The commands that ask a broker that runs, and the socket that they use.

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{BrokerProcess, DEADLINE, wait_for};

/// What a command said.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub error: String,
}

impl Said {
    pub fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// It failed so, and said this.
    pub fn refused(&self, code: i32, words: &str) {
        assert!(
            self.code == code && self.error.contains(words),
            "{words}: {self:?}"
        );
    }
}

/// Runs a command about the broker on a data directory.
pub fn ask_at(directory: &Path, words: &[&str]) -> Said {
    let output = Command::new(env!("CARGO_BIN_EXE_broker"))
        .args(words)
        .arg("--data-dir")
        .arg(directory)
        .output()
        .unwrap();
    Said {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        error: String::from_utf8(output.stderr).unwrap(),
    }
}

pub fn ask(broker: &BrokerProcess, words: &[&str]) -> Said {
    ask_at(broker.data_dir(), words)
}

pub fn status(broker: &BrokerProcess) -> Value {
    ask(broker, &["status", "--format=json", "--interval=100ms"]).json()
}

/// The sentence about who waits for what, once there is one.
pub fn wait_of(broker: &BrokerProcess, who: &str, cause: &str) -> String {
    wait_for("somebody to wait", || {
        let said = ask(broker, &["status", "--format=json", "--interval=100ms"]);
        // Where descriptors are what is waited for, it may have to ask again.
        if said.code != 0 {
            return None;
        }
        let status = said.json();
        let mut waits = status["waits"].as_array().unwrap().iter();
        let found = waits.find(|wait| wait["who"] == who && wait["cause"] == cause)?;
        Some(found["text"].as_str().unwrap().to_owned())
    })
}

/// A connection to the socket itself.
pub fn socket(broker: &BrokerProcess) -> UnixStream {
    let stream = UnixStream::connect(broker.data_dir().join("control.sock")).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    stream
}

pub fn reply(stream: &UnixStream) -> Value {
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
}
