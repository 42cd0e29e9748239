//! A broker that has no file descriptor left closes new connections at once, goes on with those that it has, and takes new
//! ones again when there is room.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::Read;
use std::net::TcpStream;
use std::process::Command;

use support::{BrokerProcess, Client, DEADLINE, wait_for};

const FEW: u64 = 40;
/// Far more than fit.
const CLIENTS: usize = 60;

/// Runs the broker with so few descriptors, and its log in the file that `$0` names.
fn few_descriptors(log: &str) -> [String; 4] {
    let script = format!("ulimit -n {FEW}; exec \"$@\" 2>\"$0\"");
    ["sh".to_owned(), "-c".to_owned(), script, log.to_owned()]
}

/// True when the broker serves this socket, false when it has closed it. Blocks until either is certain.
fn is_served(stream: &mut TcpStream) -> bool {
    use std::io::Write;
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    // What is written to a closed socket may fail or be answered by a reset.
    let _ = stream.write_all(&wire::PROTOCOL_HEADER);
    matches!(stream.read(&mut [0; 1]), Ok(1))
}

#[test]
fn clients_beyond_the_limit_are_closed_and_served_when_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log").display().to_string();
    let wrapper = few_descriptors(&log);
    let wrapper: Vec<&str> = wrapper.iter().map(String::as_str).collect();
    let broker = BrokerProcess::start_under(&wrapper, &["--reactors=1"]);
    let mut first = Client::connect(&broker);

    let mut served = Vec::new();
    let mut refused = 0;
    for _ in 0..CLIENTS {
        let mut stream = TcpStream::connect(broker.address).unwrap();
        match is_served(&mut stream) {
            true => served.push(stream),
            false => refused += 1,
        }
    }
    assert!(
        !served.is_empty() && refused >= CLIENTS - FEW as usize,
        "{refused}"
    );
    // Whoever was there first notices nothing.
    let (queue, _) = first.declare(1, "q");
    first.publish(1, &queue, b"still here");
    assert_eq!(first.ready(1, &queue), 1);

    drop(served);
    wait_for("room for a new client", || {
        let mut stream = TcpStream::connect(broker.address).unwrap();
        is_served(&mut stream).then_some(())
    });
    let log = std::fs::read_to_string(log).unwrap();
    let told = log
        .lines()
        .filter(|line| line.contains("no file descriptor is left"));
    let few = told.count();
    // Ten in ten seconds: a slow machine may see a second ten.
    assert!(
        (1..=20).contains(&few),
        "{few} lines for {refused} clients: {log}"
    );
    assert!(
        log.contains("fewer open files are allowed") && log.contains(&format!("allowed={FEW} ")),
        "{log}"
    );
}

#[test]
fn the_soft_limit_is_raised_to_the_hard_one() {
    let script = "ulimit -S -n 64; exec \"$@\"";
    let broker = BrokerProcess::start_under(&["sh", "-c", script, "sh"], &[]);
    let hard = Command::new("sh").args(["-c", "ulimit -H -n"]).output().unwrap();
    let hard = String::from_utf8(hard.stdout).unwrap();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", broker.pid())).unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .unwrap();
    let soft = line.split_whitespace().nth(3).unwrap();
    assert_eq!(soft, hard.trim(), "{line}");
}
