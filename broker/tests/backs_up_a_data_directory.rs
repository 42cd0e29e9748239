//! `broker backup`: what was confirmed before it began is in it, whether the broker runs, has stopped or has crashed; and what
//! has been done to a copy since is found.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeSet;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use support::{BrokerProcess, Client};
use tempfile::TempDir;
use wire::{FieldTable, Method};

/// Small segments, so that many are sealed, recycled and rewritten while they are copied.
const FLAGS: [&str; 3] = [
    "--segment-bytes=64KiB",
    "--offset-checkpoint-interval=100ms",
    "--durability=write",
];
/// To open a pipe that nobody reads yet is an error then.
const NONBLOCK: i32 = rustix::fs::OFlags::NONBLOCK.bits() as i32;
const BODY_BYTES: usize = 512;

fn command(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_broker"))
        .args(words)
        .output()
        .unwrap()
}

/// Tells others to stop when it goes, also because a test has failed: a scope waits for its threads.
struct Stopping<'a>(&'a AtomicBool);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Makes a backup in a directory of its own.
fn back_up(data_dir: &Path) -> TempDir {
    let to = tempfile::tempdir().unwrap();
    std::fs::remove_dir(to.path()).unwrap();
    let made = command(&["backup", "--data-dir", text(data_dir), "--to", text(to.path())]);
    assert!(made.status.success(), "{made:?}");
    assert!(made.stderr.is_empty(), "{made:?}");
    to
}

fn verify(data_dir: &Path) -> (Option<i32>, String) {
    let verified = command(&["log", "verify", "--data-dir", text(data_dir)]);
    (
        verified.status.code(),
        String::from_utf8(verified.stdout).unwrap(),
    )
}

fn body(number: u64) -> Vec<u8> {
    let mut body = number.to_be_bytes().to_vec();
    body.resize(BODY_BYTES, b'.');
    body
}

fn number(body: &[u8]) -> u64 {
    assert_eq!(body.len(), BODY_BYTES);
    u64::from_be_bytes(body[..8].try_into().unwrap())
}

/// Publishes numbered messages until it is told to stop, a batch at a time, and counts those that are confirmed.
fn publish(broker: &BrokerProcess, queue: &str, confirmed: &AtomicU64, stop: &AtomicBool) {
    const BATCH: u64 = 50;
    let mut client = Client::connect(broker);
    client.confirm_select(1);
    let mut next = 0;
    while !stop.load(Ordering::SeqCst) {
        for _ in 0..BATCH {
            client.publish_persistent(1, "", queue, &body(next));
            next += 1;
        }
        client.await_confirms(next);
        confirmed.store(next, Ordering::SeqCst);
    }
}

/// Consumes, and acknowledges as many messages as it may so far.
fn consume(broker: &BrokerProcess, queue: &str, allowed: &AtomicU64, stop: &AtomicBool) {
    const BATCH: u64 = 20;
    let mut client = Client::connect(broker);
    client.consume(1, queue, "c", false);
    let mut acknowledged = 0;
    while !stop.load(Ordering::SeqCst) {
        let (received, _) = client.message().tag();
        let through = received.min(allowed.load(Ordering::SeqCst));
        if through >= acknowledged + BATCH {
            client.ack(1, through, true);
            acknowledged = through;
        }
    }
}

/// All messages of a queue, as a broker on this directory delivers them.
fn messages(broker: &BrokerProcess, queue: &str) -> Vec<u64> {
    let mut client = Client::connect(broker);
    let ready = client.ready(1, queue);
    client.consume(1, queue, "c", true);
    let bodies = client.bodies(ready as usize);
    bodies.iter().map(|body| number(body)).collect()
}

#[test]
fn a_backup_of_a_running_broker_has_what_was_confirmed_before_it_began() {
    const BACKUPS: usize = 4;
    /// What is not acknowledged before the next backup.
    const HELD: u64 = 500;
    /// Messages between two backups: some segments of each queue.
    const PROGRESS: u64 = 2000;
    let mut broker = BrokerProcess::start(&FLAGS);
    let mut client = Client::connect(&broker);
    for queue in ["kept", "consumed", "churn", "never used"] {
        client.declare_durable(1, queue, &FieldTable::new());
    }
    let [kept, consumed, churned, allowed] = [const { AtomicU64::new(0) }; 4];
    let stop = AtomicBool::new(false);
    let mut backups: Vec<(TempDir, u64, std::ops::Range<u64>)> = Vec::new();
    std::thread::scope(|scope| {
        let stopping = Stopping(&stop);
        scope.spawn(|| publish(&broker, "kept", &kept, &stop));
        scope.spawn(|| publish(&broker, "consumed", &consumed, &stop));
        scope.spawn(|| publish(&broker, "churn", &churned, &stop));
        scope.spawn(|| consume(&broker, "consumed", &allowed, &stop));
        // Its segments are recycled for the others while they are copied.
        scope.spawn(|| consume(&broker, "churn", &AtomicU64::new(u64::MAX), &stop));
        let mut before = 0;
        for _ in 0..BACKUPS {
            let all = [&kept, &consumed, &churned];
            support::wait_for("messages", || {
                let least = all.iter().map(|count| count.load(Ordering::SeqCst)).min();
                (least > Some(before + PROGRESS)).then_some(())
            });
            let (kept, consumed) = (kept.load(Ordering::SeqCst), consumed.load(Ordering::SeqCst));
            before = kept.max(consumed).max(churned.load(Ordering::SeqCst));
            // From here on the others are acknowledged: their segments go while they are copied.
            allowed.store(consumed - HELD, Ordering::SeqCst);
            backups.push((back_up(broker.data_dir()), kept, consumed - HELD..consumed));
        }
        drop(stopping);
        // The consumers wait for a message otherwise.
        client.confirm_select(1);
        for queue in ["consumed", "churn"] {
            client.publish_persistent(1, "", queue, &body(u64::MAX));
        }
        client.await_confirms(2);
    });
    broker.stop();
    for (backup, kept, unsettled) in backups {
        let (code, told) = verify(backup.path());
        assert_eq!(code, Some(0), "{told}");
        let mut restored = BrokerProcess::start_on(backup, &[], &FLAGS);
        let found = messages(&restored, "kept");
        assert!(found.len() as u64 >= kept, "{} of {kept}", found.len());
        assert!(
            found.iter().copied().eq(0..found.len() as u64),
            "out of order, or not all"
        );
        let found = messages(&restored, "consumed");
        assert!(
            found.windows(2).all(|pair| pair[0] < pair[1]),
            "out of order, or twice"
        );
        for number in unsettled {
            assert!(found.binary_search(&number).is_ok(), "{number} is not there");
        }
        assert!(messages(&restored, "never used").is_empty());
        restored.stop();
    }
}

#[test]
fn a_letter_that_moves_while_a_backup_runs_is_where_it_was_or_where_it_went() {
    const BACKUPS: usize = 3;
    const PROGRESS: u64 = 2000;
    let mut broker = BrokerProcess::start(&FLAGS);
    let mut client = Client::connect(&broker);
    // In the order of their names, targets come first, and what lies between takes its time.
    for queue in ["a target", "between"] {
        client.declare_durable(1, queue, &FieldTable::new());
    }
    for (queue, target) in [("middle", "a target"), ("source", "middle")] {
        let mut arguments = FieldTable::new();
        arguments.insert("x-message-ttl", 50);
        arguments.insert("x-dead-letter-exchange", "");
        arguments.insert("x-dead-letter-routing-key", target);
        client.declare_durable(1, queue, &arguments);
    }
    let [between, source] = [const { AtomicU64::new(0) }; 2];
    let stop = AtomicBool::new(false);
    let mut backups: Vec<(TempDir, u64)> = Vec::new();
    std::thread::scope(|scope| {
        let stopping = Stopping(&stop);
        scope.spawn(|| publish(&broker, "between", &between, &stop));
        scope.spawn(|| publish(&broker, "source", &source, &stop));
        let mut before = 0;
        for _ in 0..BACKUPS {
            before = support::wait_for("messages", || {
                let count = source.load(Ordering::SeqCst);
                (count > before + PROGRESS).then_some(count)
            });
            backups.push((back_up(broker.data_dir()), before));
        }
        drop(stopping);
    });
    broker.stop();
    for (backup, confirmed) in backups {
        let mut restored = BrokerProcess::start_on(backup, &[], &FLAGS);
        let mut client = Client::connect(&restored);
        client.consume(1, "a target", "c", true);
        // Those that lay in the others arrive as soon as they have expired, some for the second time.
        let mut missing: BTreeSet<u64> = (0..confirmed).collect();
        while !missing.is_empty() {
            missing.remove(&number(&client.message().body));
        }
        restored.stop();
    }
}

/// A broker with so many confirmed messages in the durable queue `q`, the first of which has been delivered once.
fn with_messages(count: u64) -> BrokerProcess {
    let broker = BrokerProcess::start(&FLAGS);
    let mut client = Client::connect(&broker);
    client.declare_durable(1, "q", &FieldTable::new());
    client.confirm_select(1);
    for next in 0..count {
        client.publish_persistent(1, "", "q", &body(next));
    }
    client.await_confirms(count);
    client.get(1, "q").unwrap();
    client.send(1, Method::BasicRecover { requeue: true });
    client.expect(1, Method::BasicRecoverOk);
    broker
}

/// The redelivered flags of the first messages of `q`.
fn redelivered(broker: &BrokerProcess, count: usize) -> Vec<bool> {
    let mut client = Client::connect(broker);
    (0..count).map(|_| client.get(1, "q").unwrap().tag().1).collect()
}

#[test]
fn a_backup_of_a_stopped_broker_knows_what_was_never_delivered() {
    let mut broker = with_messages(1000);
    broker.stop();
    let backup = back_up(broker.data_dir());
    let restored = BrokerProcess::start_on(backup, &[], &FLAGS);
    assert_eq!(redelivered(&restored, 3), [true, false, false]);
    assert_eq!(Client::connect(&restored).ready(1, "q"), 1000);
    // The original is as it was.
    broker.restart(&FLAGS);
    assert_eq!(redelivered(&broker, 3), [true, false, false]);
}

#[test]
fn a_backup_after_a_crash_has_everything_too() {
    let mut broker = with_messages(1000);
    broker.kill();
    let backup = back_up(broker.data_dir());
    let (code, told) = verify(backup.path());
    assert_eq!(code, Some(0), "{told}");
    let restored = BrokerProcess::start_on(backup, &[], &FLAGS);
    assert_eq!(redelivered(&restored, 3), [true, true, true]);
    assert!(messages(&restored, "q").into_iter().eq(0..1000));
}

#[test]
fn a_broker_that_starts_while_its_directory_is_copied_is_not_refused() {
    let mut broker = with_messages(1000);
    broker.stop();
    let to = tempfile::tempdir().unwrap();
    let to = to.path().join("backup");
    // A file that the copy waits for.
    let last = segments(broker.data_dir()).pop().unwrap();
    let parked = tempfile::tempdir().unwrap();
    let (file, pipe) = (parked.path().join("file"), parked.path().join("pipe"));
    std::fs::rename(&last, &file).unwrap();
    assert!(Command::new("mkfifo").arg(&last).status().unwrap().success());
    let mut words = Command::new(env!("CARGO_BIN_EXE_broker"));
    words.args(["backup", "--data-dir", text(broker.data_dir()), "--to", text(&to)]);
    let copying = words
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Opens only while somebody reads.
    let held = support::wait_for("the copy", || {
        let mut options = std::fs::File::options();
        let options = options.write(true).custom_flags(NONBLOCK);
        options.open(&last).ok()
    });
    std::fs::rename(&last, &pipe).unwrap();
    std::fs::rename(&file, &last).unwrap();
    broker.restart(&FLAGS);
    let mut client = Client::connect(&broker);
    assert_eq!(client.ready(1, "q"), 1000);
    drop(held);
    let made = copying.wait_with_output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let told = String::from_utf8(made.stdout).unwrap();
    assert!(told.contains("while a broker runs"), "{told}");
    assert!(!to.join("CLEAN").exists());
    let (code, told) = verify(&to);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("1000"), "{told}");
}

/// The segments of the only queue, in order.
fn segments(data_dir: &Path) -> Vec<PathBuf> {
    let list = |path: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(path).unwrap();
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    };
    let queues = list(&data_dir.join("queues"));
    assert_eq!(queues.len(), 1);
    list(&queues[0])
}

#[test]
fn what_happens_to_a_copy_later_is_found() {
    let broker = with_messages(1000);
    // The last half of the last file is missing: nobody can tell it from a write that broke off, and it is one for a start.
    let torn = back_up(broker.data_dir());
    let last = segments(torn.path()).pop().unwrap();
    let length = std::fs::metadata(&last).unwrap().len();
    let file = std::fs::File::options().write(true).open(&last).unwrap();
    file.set_len(length / 2).unwrap();
    let restored = BrokerProcess::start_on(torn, &[], &FLAGS);
    let found = messages(&restored, "q");
    assert!((800..1000).contains(&found.len()), "{}", found.len());
    assert!(
        found
            .into_iter()
            .zip(0..)
            .all(|(number, expected)| number == expected)
    );

    // A byte in the middle of what was sealed is another.
    let damaged = back_up(broker.data_dir());
    let first = segments(damaged.path()).remove(0);
    let mut bytes = std::fs::read(&first).unwrap();
    bytes[2000] ^= 1;
    std::fs::write(&first, bytes).unwrap();
    let (code, told) = verify(damaged.path());
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("damaged") && told.contains(text(&first)), "{told}");
    // Such a directory is not copied any further.
    let to = damaged.path().with_extension("copy");
    let refused = command(&["backup", "--data-dir", text(damaged.path()), "--to", text(&to)]);
    assert_eq!(refused.status.code(), Some(1));
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(
        told.contains("damaged") && told.contains("broker log repair"),
        "{told}"
    );
    assert!(!to.exists() && !to.with_extension("copy.partial").exists());
}

#[test]
fn a_directory_that_is_there_is_left_alone() {
    let parent = tempfile::tempdir().unwrap();
    let at = |name: &str| text(&parent.path().join(name)).to_owned();
    let refused = |data_dir: &str, to: &str| {
        let refused = command(&["backup", "--data-dir", data_dir, "--to", to]);
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        String::from_utf8(refused.stderr).unwrap()
    };
    let told = refused(&at("mistyped"), &at("backup"));
    assert!(told.contains("is no data directory of a broker"), "{told}");
    assert!(!Path::new(&at("mistyped")).exists());

    let broker = BrokerProcess::start(&FLAGS);
    let data_dir = text(broker.data_dir());
    std::fs::create_dir(at("backup")).unwrap();
    let told = refused(data_dir, &at("backup"));
    assert!(told.contains("--to") && told.contains("it exists"), "{told}");
    std::fs::create_dir(at("other.partial")).unwrap();
    let told = refused(data_dir, &at("other"));
    assert!(told.contains("other.partial is there"), "{told}");
    assert!(Path::new(&at("other.partial")).exists() && !Path::new(&at("other")).exists());
    let told = refused(data_dir, &at("missing/backup"));
    assert!(told.contains("--to") && told.contains("cannot make"), "{told}");
}
