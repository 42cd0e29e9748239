//! Who is trusted, and what is said when nobody is: in words, with the broker's address, before any load.
#![allow(clippy::unwrap_used, reason = "test code outside test functions")]

mod fake_peer;
mod run;
mod tls_front;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use fake_peer::{FakePeer, Faults, Seen};
use loadgen::driver::DriverError;
use loadgen::recorder::Recording;
use loadgen::target::Target;
use run::{drivers, run, scenario};
use serde_json::{Value, json};
use tls_front::{Authority, Front, Manners};

/// A peer with TLS before it, as `localhost`.
struct Broker {
    authority: Authority,
    peer: FakePeer,
    front: Front,
}

impl Broker {
    fn start(manners: Manners) -> Self {
        let authority = Authority::new();
        let identity = authority.identity("localhost");
        let peer = FakePeer::start(Faults::default());
        let front = Front::start(peer.target().port, &authority, &identity, manners);
        Self {
            authority,
            peer,
            front,
        }
    }

    fn trust(&self) -> String {
        format!("cacertfile={}", self.authority.cacertfile().display())
    }

    fn target(&self, host: &str, options: &str) -> Target {
        self.front.target(host, options)
    }
}

/// A short run of each driver to a broker of its own; `target` says how it is reached.
fn with_both(
    manners: Manners,
    target: impl Fn(&Broker) -> Target,
    check: impl Fn(&str, &Broker, Result<Recording, DriverError>),
) {
    for mut driver in drivers() {
        let broker = Broker::start(manners);
        let outcome = run(driver.as_mut(), &scenario(json!({})), &target(&broker));
        check(driver.name(), &broker, outcome);
    }
}

/// Refused with these words, at once and everywhere: no AMQP was spoken.
fn refused(manners: Manners, target: impl Fn(&Broker) -> Target, words: &[&str]) {
    with_both(manners, &target, |driver, broker, outcome| {
        let message = outcome.unwrap_err().to_string();
        let host = &target(broker).host;
        let address = format!("{host}:{}", broker.front.port());
        for word in words.iter().chain([&address.as_str()]) {
            assert!(message.contains(word), "{driver}: {word:?} is not in {message:?}");
        }
        assert_eq!(Seen::get(&broker.peer.seen().published), 0);
    });
}

fn accepted(manners: Manners, target: impl Fn(&Broker) -> Target, verify: &str) {
    with_both(manners, target, |driver, _, outcome| {
        let recording = outcome.unwrap_or_else(|error| panic!("{driver}: {error}"));
        assert!(
            recording.ledger.is_clean() && recording.ledger.published > 0,
            "{driver}"
        );
        assert_eq!(recording.tls.unwrap().verify, verify, "{driver}");
    });
}

#[test]
fn an_unknown_authority_is_refused() {
    let other = Authority::new();
    let options = format!("cacertfile={}", other.cacertfile().display());
    refused(
        Manners::default(),
        |broker| broker.target("localhost", &options),
        &["signed by no trusted authority", "cacertfile"],
    );
}

#[test]
fn another_name_is_refused_unless_it_is_expected() {
    refused(
        Manners::default(),
        |broker| broker.target("127.0.0.1", &broker.trust()),
        &["localhost", "not for 127.0.0.1", "server_name_indication"],
    );
    let indicated = |broker: &Broker| {
        broker.target(
            "127.0.0.1",
            &format!("{}&server_name_indication=localhost", broker.trust()),
        )
    };
    accepted(Manners::default(), indicated, "verify_peer");
    refused(
        Manners::default(),
        |broker| {
            let options = format!("{}&server_name_indication=elsewhere", broker.trust());
            broker.target("localhost", &options)
        },
        &["not for elsewhere"],
    );
}

#[test]
fn nobody_is_verified_on_request() {
    for host in ["localhost", "127.0.0.1"] {
        let target = |broker: &Broker| broker.target(host, "verify=verify_none");
        accepted(Manners::default(), target, "verify_none");
    }
}

#[test]
fn no_name_is_sent_when_it_is_disabled() {
    let target = |broker: &Broker| {
        let options = format!("{}&server_name_indication=disable", broker.trust());
        broker.target("localhost", &options)
    };
    with_both(Manners::default(), target, |driver, broker, outcome| {
        assert!(outcome.unwrap().ledger.is_clean(), "{driver}");
        let names = broker.front.seen.names.lock().unwrap();
        assert!(!names.is_empty() && names.iter().all(Option::is_none), "{driver}");
    });
}

#[test]
fn a_client_proves_who_it_is_where_that_is_asked_for() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let manners = Manners {
            mutual: true,
            version: Some(version),
            ..Manners::default()
        };
        refused(
            manners,
            |broker| broker.target("localhost", &broker.trust()),
            &["alert", "certfile and keyfile"],
        );
        let with_certificate = |broker: &Broker| {
            let identity = broker.authority.identity("client");
            let (certfile, keyfile) = (identity.certfile.display(), identity.keyfile.display());
            let options = format!("{}&certfile={certfile}&keyfile={keyfile}", broker.trust());
            broker.target("localhost", &options)
        };
        accepted(manners, with_certificate, "verify_peer");
        let strange = Authority::new();
        let identity = strange.identity("client");
        let (certfile, keyfile) = (identity.certfile.display(), identity.keyfile.display());
        refused(
            manners,
            |broker| {
                let options = format!("{}&certfile={certfile}&keyfile={keyfile}", broker.trust());
                broker.target("localhost", &options)
            },
            &["alert"],
        );
    }
}

/// Takes connections, hears the begin of a handshake, answers it with `answer`, and hangs up; until somebody says nothing.
fn stranger(answer: &'static [u8]) -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        for client in listener.incoming() {
            let mut client: TcpStream = client.unwrap();
            let mut hello = [0; 8];
            if client.read_exact(&mut hello).is_err() {
                return;
            }
            client.write_all(answer).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            // What is left unread would end it with RST, which may overtake the answer.
            let _ = client.read_to_end(&mut Vec::new());
        }
    });
    (port, thread)
}

#[test]
fn a_broker_that_speaks_no_tls_or_hangs_up_is_named() {
    for (answer, expected) in [
        // What a broker says to a protocol that it does not know.
        (b"AMQP\0\0\x09\x01".as_slice(), "is not TLS"),
        (b"", "hung up during the TLS handshake"),
    ] {
        let (port, thread) = stranger(answer);
        for mut driver in drivers() {
            let url = format!("amqps://127.0.0.1:{port}/?verify=verify_none");
            let outcome = run(driver.as_mut(), &scenario(json!({})), &url.parse().unwrap());
            let message = outcome.unwrap_err().to_string();
            for word in [expected, &format!("127.0.0.1:{port}")] {
                assert!(message.contains(word), "{}: {message}", driver.name());
            }
        }
        drop(TcpStream::connect(("127.0.0.1", port)));
        thread.join().unwrap();
    }
}

fn loadgen(directory: &std::path::Path, arguments: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .args(["--scenario", "tiny", "--quiet", "--format", "json"])
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap()
}

fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let load = json!({
        "name": "tiny", "description": "A short load", "producers": 2, "consumers": 2, "queues": 1, "size_bytes": 64,
        "load": {"shape": "open_loop", "rate": 2_000}, "duration_s": 0.5, "warmup_s": 0.1, "prefetch": 100,
        "ack_every": 10,
        "targets": {"publish_rate_min": 1},
        "validity": {
            "schedule_lag_p99_us_max": 60e6, "generator_cpu_max": 1.0, "steal_max": 1.0, "foreign_cpu_max": 1.0,
            "hiccup_p99_us_max": 60e6,
        },
    });
    std::fs::create_dir(directory.path().join("scenarios")).unwrap();
    std::fs::write(directory.path().join("scenarios/tiny.json"), load.to_string()).unwrap();
    directory
}

#[test]
fn a_result_says_what_was_agreed_on() {
    let broker = EmbeddedBroker::start();
    let authority = Authority::new();
    let identity = authority.identity("localhost");
    let front = Front::start(broker.port, &authority, &identity, Manners::default());
    let directory = directory();
    let url = front.url(
        "localhost",
        &format!("cacertfile={}", authority.cacertfile().display()),
    );
    for (arguments, expected) in [
        (
            vec!["--url", url.as_str()],
            json!({"version": "TLSv1.3", "verify": "verify_peer"}),
        ),
        (vec![], Value::Null),
    ] {
        let output = loadgen(directory.path(), &arguments);
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{stdout}{stderr}");
        let summary: Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
        let mut tls = summary["tls"].clone();
        if let Some(tls) = tls.as_object_mut() {
            let suite = tls.remove("cipher_suite").unwrap();
            assert!(suite.as_str().unwrap().starts_with("TLS13_"), "{suite}");
        }
        assert_eq!(tls, expected, "{summary}");
    }
    assert!(front.seen.handshakes.load(Ordering::Acquire) >= 4);
}

#[test]
fn wrong_options_are_exit_code_2_before_any_work() {
    let directory = directory();
    for (url, expected) in [
        ("amqps://h?verify=maybe", "allowed: verify_peer, verify_none"),
        ("amqps://h?cacertfile=/no/such.pem", "/no/such.pem"),
        ("amqp://h?verify=verify_none", "amqps://"),
    ] {
        let output = loadgen(directory.path(), &["--url", url]);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(expected), "{stderr}");
        assert!(!directory.path().join("results").exists());
    }
}

/// The broker in this executable, in a process of its own; ended with the test.
struct EmbeddedBroker {
    process: std::process::Child,
    port: u16,
    _data: tempfile::TempDir,
}

impl EmbeddedBroker {
    fn start() -> Self {
        use std::io::{BufRead, BufReader};
        let data = tempfile::tempdir().unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_loadgen"))
            .args(["broker", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data.path())
            // Its end tells the broker to stop.
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        let port = line.trim().rsplit(':').next().unwrap().parse().unwrap();
        Self {
            process,
            port,
            _data: data,
        }
    }
}

impl Drop for EmbeddedBroker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
