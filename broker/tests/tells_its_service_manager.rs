//! systemd's notifications: ready when it listens, reloading, stopping, what stands in its way, and signs of life.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};
use support::{Client, DEADLINE, Watched};

/// The service manager's end, and the name that the broker is told.
struct Manager {
    socket: UnixDatagram,
    name: String,
    _directory: tempfile::TempDir,
}

impl Manager {
    fn at_a_path() -> Manager {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        Manager::new(
            UnixDatagram::bind(&path).unwrap(),
            path.display().to_string(),
            directory,
        )
    }

    /// With a name that is no file's.
    fn abstract_one() -> Manager {
        let directory = tempfile::tempdir().unwrap();
        // Nobody else's directory has this name.
        let name = directory.path().display().to_string();
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        Manager::new(
            UnixDatagram::bind_addr(&address).unwrap(),
            format!("@{name}"),
            directory,
        )
    }

    fn new(socket: UnixDatagram, name: String, directory: tempfile::TempDir) -> Manager {
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Manager {
            socket,
            name,
            _directory: directory,
        }
    }

    /// The lines of the next datagram.
    fn next(&self) -> Vec<String> {
        let mut buffer = [0; 4096];
        let count = self.socket.recv(&mut buffer).expect("a datagram in time");
        let text = std::str::from_utf8(&buffer[..count]).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// The next one that is no sign of life.
    fn next_word(&self) -> Vec<String> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let lines = self.next();
            if lines != ["WATCHDOG=1"] {
                return lines;
            }
            assert!(Instant::now() < deadline, "nothing but signs of life");
        }
    }
}

fn monotonic_us() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1000
}

fn a_life(manager: &Manager) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("broker.toml");
    std::fs::write(&path, "heartbeat = 10\n").unwrap();
    let config = format!("--config={}", path.display());
    let mut broker = Watched::start(&[&config], &[("NOTIFY_SOCKET", &manager.name)], 1);
    assert_eq!(manager.next(), ["STATUS=starting: reading the data directory"]);
    let serving = format!("STATUS=serving on {} (amqp)", broker.address);
    assert_eq!(manager.next(), ["READY=1".to_owned(), serving]);
    drop(Client::connect(&broker));

    // A file with a mistake is a reload that ends, too.
    for text in ["heartbeat = 20\n", "heartbeat = 'soon'\n"] {
        std::fs::write(&path, text).unwrap();
        let before = monotonic_us();
        broker.signal("HUP");
        let reloading = manager.next();
        assert_eq!(reloading[0], "RELOADING=1");
        let at: i64 = reloading[1]
            .strip_prefix("MONOTONIC_USEC=")
            .unwrap()
            .parse()
            .unwrap();
        assert!((before..=monotonic_us()).contains(&at), "{at} after {before}");
        assert_eq!(manager.next(), ["READY=1"]);
    }

    broker.terminate();
    let stopping = manager.next();
    assert_eq!(stopping[0], "STOPPING=1");
    assert!(stopping[1].starts_with("STATUS=stopping: "), "{stopping:?}");
    assert!(broker.wait().success());
    manager.socket.set_nonblocking(true).unwrap();
    assert!(
        manager.socket.recv(&mut [0; 64]).is_err(),
        "that was the last word"
    );
}

#[test]
fn it_is_ready_when_it_listens_reloads_and_stops() {
    a_life(&Manager::at_a_path());
}

#[test]
fn an_abstract_socket_serves_as_well() {
    a_life(&Manager::abstract_one());
}

#[test]
fn signs_of_life_come_until_the_end() {
    let manager = Manager::at_a_path();
    // Also of reactors that have nothing else to do.
    let environment = [
        ("NOTIFY_SOCKET", manager.name.as_str()),
        ("WATCHDOG_USEC", "1000000"),
    ];
    let mut broker = Watched::start(&["--reactors=3"], &environment, 1);
    assert_eq!(
        manager.next_word()[0],
        "STATUS=starting: reading the data directory"
    );
    assert_eq!(manager.next_word()[0], "READY=1");
    for _ in 0..10 {
        assert_eq!(manager.next(), ["WATCHDOG=1"]);
    }
    // A client that does not answer its close keeps the broker from ending for seconds.
    let _deaf = Client::connect(&broker);
    broker.terminate();
    assert_eq!(manager.next_word()[0], "STOPPING=1");
    assert_eq!(manager.next(), ["WATCHDOG=1"]);
    // From here on nobody reads what the broker sends, which soon has no room: that holds nothing up.
    assert!(broker.wait().success());
}

#[test]
fn signs_of_life_are_not_for_who_waits_for_another_process() {
    let manager = Manager::at_a_path();
    let environment = [
        ("NOTIFY_SOCKET", manager.name.as_str()),
        ("WATCHDOG_USEC", "1000"),
        ("WATCHDOG_PID", "1"),
    ];
    let mut broker = Watched::start(&[], &environment, 1);
    for expected in ["STATUS=starting: reading the data directory", "READY=1"] {
        assert_eq!(manager.next()[0], expected);
    }
    drop(Client::connect(&broker));
    broker.terminate();
    assert_eq!(manager.next()[0], "STOPPING=1");
    assert!(broker.wait().success());
}

#[test]
fn the_status_says_what_stands_in_the_way() {
    let manager = Manager::at_a_path();
    // No disk has so much room.
    let mut broker = Watched::start(
        &["--disk-free-min=1048576GiB"],
        &[("NOTIFY_SOCKET", &manager.name)],
        1,
    );
    manager.next();
    // The disk is looked at once a second: before or after it is ready.
    let mut words = manager.next();
    assert_eq!(words[0], "READY=1");
    if !words[1].contains("free on the disk") {
        words = manager.next();
    }
    let status = words.last().unwrap();
    assert!(
        status.starts_with("STATUS=less than ") && status.contains("are free on the disk: publishers wait"),
        "{words:?}"
    );
    broker.stop();
}

#[test]
fn a_socket_that_is_none_is_told_and_no_reason_to_stay_away() {
    for (name, why) in [
        ("relative/path", "expected /PATH"),
        ("/nowhere/notify", "cannot tell the service manager"),
    ] {
        let mut broker = Watched::start(&[], &[("NOTIFY_SOCKET", name)], 1);
        broker.expect_log(&["WARN", why]);
        drop(Client::connect(&broker));
        broker.stop();
    }
}
