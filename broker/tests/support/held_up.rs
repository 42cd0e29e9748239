//! A data directory on which a start waits for somebody to write into a pipe.

use std::path::PathBuf;
use std::process::Command;

use super::{BrokerProcess, Client};

/// A broker that has stopped, and the pipe that stands in the place of its newest checkpoint. There is an older one.
pub fn held_up() -> (BrokerProcess, PathBuf) {
    let mut broker = BrokerProcess::start(&[]);
    Client::connect(&broker).declare_durable(1, "q", &wire::FieldTable::new());
    // Each stop leaves a checkpoint.
    broker.stop();
    broker.restart(&[]);
    broker.stop();
    let offsets = std::fs::read_dir(broker.data_dir().join("offsets")).unwrap();
    let mut paths = offsets.map(|entry| entry.unwrap().path());
    let checkpoint = paths.find(|path| path.extension().is_some_and(|extension| extension == "json"));
    let pipe = checkpoint.unwrap();
    std::fs::remove_file(&pipe).unwrap();
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    (broker, pipe)
}
