//! Damage in a data directory: `broker log verify` names it, a start refuses it or lives with it, and `broker log repair`
//! gives back every message but those that cannot be read.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::{BrokerProcess, Client};
use wire::FieldTable;

const QUEUE: &str = "orders";
const FLAGS: [&str; 2] = ["--segment-bytes=64KiB", "--offset-checkpoint-interval=0"];

/// A record as `broker log dump` shows it.
#[derive(Clone, Copy, Debug)]
struct Place {
    position: u64,
    bytes: u64,
}

/// A broker that was killed with so many messages in its queue, each confirmed before the next was sent.
fn killed_with(messages: u64, body_bytes: usize) -> BrokerProcess {
    killed_at("sync", messages, body_bytes)
}

/// The same at another durability.
fn killed_at(durability: &str, messages: u64, body_bytes: usize) -> BrokerProcess {
    let durability = format!("--durability={durability}");
    let mut broker = BrokerProcess::start(&[&FLAGS[..], &[&durability]].concat());
    let mut client = Client::connect(&broker);
    client.declare_durable(1, QUEUE, &FieldTable::new());
    client.confirm_select(1);
    for number in 0..messages {
        let mut body = format!("{number} ").into_bytes();
        body.resize(body_bytes, b'.');
        client.publish_persistent(1, "", QUEUE, &body);
        client.await_confirms(number + 1);
    }
    broker.kill();
    broker
}

/// `broker log` on its directory: exit code, standard output, standard error.
fn log(broker: &BrokerProcess, words: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_broker"));
    command
        .arg("log")
        .args(words)
        .arg("--data-dir")
        .arg(broker.data_dir());
    told(&command.output().unwrap())
}

fn told(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// Starts a broker that must refuse to; returns what it says.
fn refused_start(broker: &BrokerProcess) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_broker"));
    command
        .args(["--listen", "127.0.0.1:0", "--log", "off", "--data-dir"])
        .arg(broker.data_dir());
    let (code, out, error) = told(&command.output().unwrap());
    assert_eq!((code, out.as_str()), (1, ""), "{error}");
    error
}

/// The files of the only log.
fn segments(broker: &BrokerProcess) -> Vec<PathBuf> {
    files(&only(&broker.data_dir().join("queues")), ".log")
}

fn only(directory: &Path) -> PathBuf {
    let entries: Vec<_> = std::fs::read_dir(directory).unwrap().collect();
    assert_eq!(entries.len(), 1, "{entries:?}");
    entries[0].as_ref().unwrap().path()
}

fn files(directory: &Path, end: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = paths
        .filter(|path| path.to_str().unwrap().ends_with(end))
        .collect();
    paths.sort();
    paths
}

fn place(broker: &BrokerProcess, offset: u64) -> Place {
    let (code, out, error) = log(
        broker,
        &[
            "dump",
            "--queue",
            QUEUE,
            "--from",
            &offset.to_string(),
            "--count=1",
            "--format=json",
        ],
    );
    assert_eq!((code, error.as_str()), (0, ""));
    let number = |field: &str| -> u64 {
        let rest = out.split_once(&format!("\"{field}\":")).unwrap().1;
        rest.split([',', '}']).next().unwrap().parse().unwrap()
    };
    assert_eq!(number("offset"), offset);
    Place {
        position: number("position"),
        bytes: number("record_bytes"),
    }
}

fn flip(path: &Path, position: u64) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[position as usize] ^= 0x10;
    std::fs::write(path, bytes).unwrap();
}

/// Starts the broker again and takes all that it delivers: the numbers of the messages, in order.
fn delivered(broker: &mut BrokerProcess) -> Vec<u64> {
    broker.restart(&FLAGS);
    let mut client = Client::connect(broker);
    let count = client.ready(1, QUEUE);
    client.consume(1, QUEUE, "c", true);
    let bodies = client.bodies(count as usize);
    assert_eq!(client.ready(1, QUEUE), 0);
    let number = |body: &Vec<u8>| {
        let text = std::str::from_utf8(body).unwrap();
        text.split(' ').next().unwrap().parse().unwrap()
    };
    bodies.iter().map(number).collect()
}

#[test]
fn damage_in_the_middle_costs_one_message() {
    let mut broker = killed_with(40, 500);
    assert_eq!(log(&broker, &["verify"]).0, 0);
    let place = place(&broker, 20);
    let [path] = &segments(&broker)[..] else {
        panic!("one segment")
    };
    flip(path, place.position + place.bytes / 2);
    let damaged = std::fs::read(path).unwrap();

    let at = format!("{} at byte {}", path.display(), place.position);
    let (code, out, _) = log(&broker, &["verify"]);
    assert_eq!(code, 1);
    assert!(
        out.contains(&format!("queue '{QUEUE}'")) && out.contains("39 live"),
        "{out}"
    );
    assert!(
        out.contains(&format!("damaged: {at}, {} bytes, offset 20", place.bytes)),
        "{out}"
    );
    let error = refused_start(&broker);
    assert!(error.contains(&path.display().to_string()), "{error}");
    assert!(error.contains(&format!("at byte {}", place.position)), "{error}");

    let (code, out, _) = log(&broker, &["repair"]);
    assert_eq!(code, 1);
    assert!(
        out.contains("to do: replace") && out.contains("39 readable"),
        "{out}"
    );
    assert_eq!(std::fs::read(path).unwrap(), damaged, "nothing was changed");

    let (code, out, error) = log(&broker, &["repair", "--apply"]);
    assert_eq!(code, 0, "{out}{error}");
    assert!(
        out.contains(&format!("lost: at byte {}", place.position)),
        "{out}"
    );
    let kept = files(path.parent().unwrap(), ".damaged");
    assert_eq!(std::fs::read(&kept[0]).unwrap(), damaged, "the evidence is kept");
    assert_eq!(log(&broker, &["verify"]).0, 0);
    let (code, out, _) = log(&broker, &["repair", "--apply"]);
    assert_eq!((code, out.as_str()), (0, "nothing is wrong\n"));
    assert_eq!(files(path.parent().unwrap(), ".damaged"), kept);
    let expected: Vec<_> = (0..40).filter(|number| *number != 20).collect();
    assert_eq!(delivered(&mut broker), expected);
}

#[test]
fn a_repair_that_was_cut_off_is_finished_by_the_next() {
    let mut broker = killed_with(10, 500);
    let place = place(&broker, 0);
    let [path] = &segments(&broker)[..] else {
        panic!("one segment")
    };
    flip(path, place.position + place.bytes / 2);
    let kept_as = path.with_extension("log.damaged");
    // Cut off when the damaged segment had its second name.
    std::fs::hard_link(path, &kept_as).unwrap();
    std::fs::create_dir_all(broker.data_dir().join("repair/queues/x")).unwrap();
    assert_eq!(log(&broker, &["repair", "--apply"]).0, 0);
    assert!(!broker.data_dir().join("repair").exists());
    let repaired = segments(&broker);
    assert_eq!(repaired.len(), 1);
    assert_ne!(&repaired[0], path, "its first record is another one");
    // Cut off when both segments were there.
    std::fs::hard_link(&kept_as, path).unwrap();
    assert_eq!(log(&broker, &["verify"]).0, 1);
    refused_start(&broker);
    assert_eq!(log(&broker, &["repair", "--apply"]).0, 0);
    let all = files(path.parent().unwrap(), "");
    assert_eq!(all, [kept_as, repaired[0].clone()], "the original is kept once");
    assert_eq!(delivered(&mut broker), (1..10).collect::<Vec<_>>());
}

#[test]
fn a_sealed_segment_is_repaired_whatever_part_of_it_is_damaged() {
    // Header, first record, a record's length, the last bytes of the footer; and what is lost then.
    for (name, position, lost) in [
        ("magic", 3, None),
        ("seed", 24, None),
        ("first offset", 17, None),
        ("marker", 64 + 20, None),
        ("record", 64 + 34 + 40, Some(0)),
        ("length", 64 + 34 + 4, Some(0)),
        ("footer", u64::MAX, None),
    ] {
        let mut broker = killed_with(150, 1000);
        // Seals the last one too.
        broker.restart(&FLAGS);
        broker.kill();
        let all = segments(&broker);
        assert!(all.len() > 2, "{all:?}");
        let length = std::fs::metadata(&all[0]).unwrap().len();
        flip(&all[0], position.min(length - 30));
        let (code, out, error) = log(&broker, &["verify"]);
        assert_eq!(code, 1, "{name}: {out}{error}");
        assert!(
            out.contains(&format!("damaged: {}", all[0].display())),
            "{name}: {out}"
        );
        let (code, out, error) = log(&broker, &["repair", "--apply"]);
        assert_eq!(code, 0, "{name}: {out}{error}");
        let expected: Vec<_> = (0..150).filter(|number| Some(*number) != lost).collect();
        assert_eq!(delivered(&mut broker), expected, "{name}");
    }
}

#[test]
fn a_torn_segment_before_a_damaged_one_is_replaced_with_it() {
    // Nothing was ever synced: alone, the first would be cut, and the broker start.
    let mut broker = killed_at("write", 150, 1000);
    let place = place(&broker, 30);
    let all = segments(&broker);
    assert!(all.len() > 2, "{all:?}");
    flip(&all[0], place.position + 100);
    let (code, out, _) = log(&broker, &["verify"]);
    assert_eq!(code, 1);
    assert!(out.contains(&format!("torn: {}", all[0].display())), "{out}");
    flip(all.last().unwrap(), 3);
    refused_start(&broker);
    let (code, out, error) = log(&broker, &["repair", "--apply"]);
    assert_eq!(code, 0, "{out}{error}");
    assert_eq!(out.matches("done: replace").count(), 2, "{out}");
    let expected: Vec<_> = (0..150).filter(|number| *number != 30).collect();
    assert_eq!(delivered(&mut broker), expected);
}

#[test]
fn a_torn_end_is_cut() {
    let mut broker = killed_with(10, 500);
    let place = place(&broker, 9);
    let [path] = &segments(&broker)[..] else {
        panic!("one segment")
    };
    flip(path, place.position + place.bytes / 2);
    let (code, out, _) = log(&broker, &["verify"]);
    assert_eq!(code, 1);
    assert!(
        out.contains(&format!("torn: {} at byte {}", path.display(), place.position)),
        "{out}"
    );
    let (code, out, _) = log(&broker, &["repair"]);
    assert_eq!(code, 1);
    assert!(out.contains(&format!("to do: cut {}", path.display())), "{out}");
    assert_eq!(log(&broker, &["repair", "--apply"]).0, 0);
    assert!(std::fs::metadata(path).unwrap().len() < place.position + place.bytes);
    assert_eq!(delivered(&mut broker), (0..9).collect::<Vec<_>>());
}

#[test]
fn a_checkpoint_that_cannot_be_used_is_set_aside() {
    let mut broker = killed_with(10, 100);
    broker.restart(&FLAGS);
    let mut client = Client::connect(&broker);
    client.consume(1, QUEUE, "c", false);
    client.bodies(10);
    client.ack(1, 4, true);
    while client.ready(1, QUEUE) > 0 {}
    drop(client);
    broker.stop();
    let (_, out, _) = log(&broker, &["verify"]);
    assert!(out.contains("4 settled, 6 live"), "{out}");
    let checkpoints = broker.data_dir().join("offsets");
    for path in [files(&checkpoints, ".json"), files(&checkpoints, ".previous")].concat() {
        flip(&path, 30);
    }
    let path = &files(&checkpoints, ".json")[0];
    let (code, out, _) = log(&broker, &["verify"]);
    assert_eq!(code, 1);
    assert!(out.contains(&format!("checkpoint: {}", path.display())), "{out}");
    assert!(refused_start(&broker).contains(&path.display().to_string()));
    let (code, out, error) = log(&broker, &["repair", "--apply"]);
    assert_eq!(code, 0, "{out}{error}");
    assert!(path.with_extension("json.damaged").exists());
    assert_eq!(delivered(&mut broker), (0..10).collect::<Vec<_>>());
}

#[test]
fn what_only_a_person_can_decide_is_reported_and_left() {
    let broker = killed_with(10, 100);
    let log_directory = segments(&broker)[0].parent().unwrap().to_owned();
    let stray = broker.data_dir().join("queues/stray");
    std::fs::create_dir(&stray).unwrap();
    for path in segments_of(&log_directory) {
        std::fs::copy(&path, stray.join(path.file_name().unwrap())).unwrap();
    }
    let description = broker.data_dir().join("metadata/queues/other@%2f.json");
    std::fs::write(&description, "{").unwrap();
    let (code, out, _) = log(&broker, &["verify"]);
    assert_eq!(code, 1);
    assert!(out.contains(&format!("orphan: {}", stray.display())), "{out}");
    assert!(
        out.contains(&format!("description: {}", description.display())),
        "{out}"
    );
    assert!(
        out.contains("log without a queue, id stray: 10 messages kept"),
        "{out}"
    );
    for flags in [&["repair"][..], &["repair", "--apply"]] {
        let (code, out, _) = log(&broker, flags);
        assert_eq!(code, 1);
        assert!(
            out.contains("left: orphan") && out.contains("left: description"),
            "{out}"
        );
    }
    assert!(stray.exists() && description.exists());
}

fn segments_of(directory: &Path) -> Vec<PathBuf> {
    files(directory, ".log")
}
