//! Logins: certificates, hashed passwords, and refusals that take their time and hold up nobody.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use rustls::version::TLS13;
use support::tls::{Authority, TlsClient};
use support::{BrokerProcess, Client, Watched, declare, definitions};
use wire::Method;

/// Long enough to be told from none.
const DELAY: Duration = Duration::from_millis(300);

fn start(authority: &Authority, more: &[&str]) -> (Watched, SocketAddr) {
    let flags = authority.flags();
    let flags = flags.iter().map(String::as_str).chain(["--tls-verify=peer"]);
    let flags: Vec<&str> = flags.chain(more.iter().copied()).collect();
    let broker = Watched::start(&flags, &[("RUST_LOG", "info")], 2);
    let address = broker.announced_after("with TLS on ").parse().unwrap();
    (broker, address)
}

/// The client waits for something, and the broker keeps it waiting.
fn expect_no_answer(client: &Client) {
    client.stream.set_nonblocking(true).unwrap();
    let answer = client.stream.peek(&mut [0]);
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn a_verified_certificate_logs_in_as_the_user_that_it_names() {
    let authority = Authority::new();
    let ada = authority.sign_client("Test, Ltd", "ada", "ada@example.org");
    let cases = [
        ("distinguished_name", "CN=ada,O=Test\\, Ltd"),
        ("common_name", "ada"),
        ("subject_alternative_name", "ada@example.org"),
    ];
    for (place, user) in cases {
        let flags = [
            format!("--tls-login-from={place}"),
            "--tls-login-san-type=email".to_owned(),
            format!("--user={user}:unused"),
            "--auth-failure-delay=0".to_owned(),
        ];
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let (_broker, address) = start(&authority, &flags);
        let connect = |shown| {
            let config = authority.client(&[&TLS13], shown);
            TlsClient::connect(address, &config, "localhost").unwrap()
        };
        let mut client = connect(Some(&ada));
        assert_eq!(client.mechanisms(), "PLAIN AMQPLAIN EXTERNAL");
        client.log_in("EXTERNAL", b"");
        client.send(1, declare("orders"));
        assert!(matches!(client.frame().method(), Method::QueueDeclareOk { .. }));
        // Nobody else is offered it, or gets in by it.
        let mut stranger = connect(None);
        assert_eq!(stranger.mechanisms(), "PLAIN AMQPLAIN");
        stranger.start_ok("EXTERNAL", user.as_bytes());
        assert!(stranger.try_frame().is_none());
    }
}

#[test]
fn a_certificate_of_nobody_known_is_refused() {
    let authority = Authority::new();
    let eve = authority.sign_client("Test", "eve", "eve@example.org");
    let (broker, address) = start(&authority, &["--tls-login-from=common_name"]);
    let mut client =
        TlsClient::connect(address, &authority.client(&[&TLS13], Some(&eve)), "localhost").unwrap();
    client.mechanisms();
    client.start_ok("EXTERNAL", b"");
    broker.expect_log(&[
        "WARN",
        "login refused",
        "user=\"eve\"",
        "mechanism=\"EXTERNAL\"",
        "peer=127.0.0.1",
    ]);
    assert!(client.try_frame().is_none());
}

#[test]
fn a_certificate_without_such_a_name_leaves_passwords() {
    let authority = Authority::new();
    let ada = authority.sign_client("Test", "ada", "ada@example.org");
    let (broker, address) = start(&authority, &["--tls-login-from=subject_alternative_name"]);
    let mut client =
        TlsClient::connect(address, &authority.client(&[&TLS13], Some(&ada)), "localhost").unwrap();
    assert_eq!(client.mechanisms(), "PLAIN AMQPLAIN");
    broker.expect_log(&[
        "no EXTERNAL for this client",
        "no subject alternative name 0 of type dns",
    ]);
    client.log_in("PLAIN", b"\0guest\0guest");
}

#[test]
fn a_refusal_takes_its_time() {
    let flag = format!("--auth-failure-delay={}ms", DELAY.as_millis());
    let broker = Watched::start(&[&flag], &[("RUST_LOG", "info")], 1);
    for (understood, user) in [(&["authentication_failure_close"][..], "guest"), (&[], "nobody")] {
        let mut refused = Client::raw(&broker);
        let start = Instant::now();
        refused.start_as(user, "topsecret", understood);
        let answered = refused.try_frame();
        assert!(start.elapsed() >= DELAY);
        let code = answered.as_ref().map(|frame| match frame.method() {
            Method::ConnectionClose { reply_code, .. } => reply_code,
            other => panic!("{other:?}"),
        });
        assert_eq!(code, (!understood.is_empty()).then_some(403));
        let line = broker.expect_log(&[
            "WARN",
            "login refused",
            "peer=127.0.0.1",
            "mechanism=\"PLAIN\"",
            user,
        ]);
        assert!(!line.contains("topsecret"), "{line}");
    }
}

#[test]
fn a_refusal_is_told_in_the_log_at_once_and_holds_up_nobody() {
    // Longer than any call of this test may take.
    let flags = [
        "--reactors=1",
        "--auth-failure-delay=60s",
        "--handshake-timeout=10min",
    ];
    let broker = Watched::start(&flags, &[("RUST_LOG", "info")], 1);
    let mut refused = Client::raw(&broker);
    refused.start("guest", "wrong");
    broker.expect_log(&["WARN", "login refused", "user=\"guest\""]);
    Client::connect(&broker);
    expect_no_answer(&refused);
}

#[test]
fn passwords_are_checked_while_the_reactor_does_other_things() {
    /// Seconds each, two at a time: the last one waits for longer than any call of this test may take.
    const HASH: &str =
        "$argon2id$v=19$m=65536,t=64,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
    const GUESSES: usize = 40;
    let document = format!(
        r#"{{"users": [{{"name": "ada", "password_hash": "", "password_hash_argon2id": "{HASH}",
            "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": ""}}]}}"#
    );
    let (_kept, flag) = definitions(&document);
    let flags = [
        "--reactors=1",
        "--handshake-timeout=10min",
        "--user=bob:right",
        &flag,
    ];
    let broker = BrokerProcess::start(&flags);
    let mut witness = Client::connect_as(&broker, "bob", "right", "/");
    let mut guesses: Vec<Client> = (0..GUESSES).map(|_| Client::raw(&broker)).collect();
    for guess in &mut guesses {
        guess.start("ada", "wrong");
    }
    // Whoever is served behind them on the same reactor shows that it has them; this password was right before.
    Client::connect_as(&broker, "bob", "right", "/");
    witness.declare(1, "answered");
    expect_no_answer(guesses.last().unwrap());
}

#[test]
fn passwords_that_are_set_here_are_hashed_by_argon2_and_survive() {
    let mut broker = BrokerProcess::start(&["--user=ada:topsecret"]);
    Client::connect_as(&broker, "ada", "topsecret", "/").close();
    broker.stop();
    let export = || {
        let output = Command::new(env!("CARGO_BIN_EXE_broker"))
            .args(["definitions", "export", "--data-dir"])
            .arg(broker.data_dir())
            .output()
            .unwrap();
        assert!(output.status.success());
        (
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (document, notes) = export();
    assert!(!document.contains("topsecret"));
    assert!(
        notes.contains("hashed by Argon2id 'ada':") && !notes.contains("guest"),
        "{notes}"
    );
    let parsed: serde_json::Value = serde_json::from_str(&document).unwrap();
    let users = parsed["users"].as_array().unwrap();
    let ada = users.iter().find(|user| user["name"] == "ada").unwrap();
    // What RabbitMQ reads is a user who has no password; the hash is beside it.
    assert_eq!(ada["password_hash"], "");
    assert_eq!(ada["hashing_algorithm"], "rabbit_password_hashing_sha256");
    let hash = ada["password_hash_argon2id"].as_str().unwrap();
    assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
    broker.restart(&[]);
    Client::connect_as(&broker, "ada", "topsecret", "/");
    let (_kept, flag) = definitions(&document);
    let imported = BrokerProcess::start(&[&flag, "--auth-failure-delay=0"]);
    Client::connect_as(&imported, "ada", "topsecret", "/");
    let mut other = Client::raw(&imported);
    other.start("ada", "");
    other.expect_close(0, 403);
}

#[test]
fn a_user_without_a_password_logs_in_by_none() {
    let document = r#"{"users": [{"name": "ada", "password_hash": "", "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": ""}]}"#;
    let (_kept, flag) = definitions(document);
    let broker = BrokerProcess::start(&[&flag, "--auth-failure-delay=0"]);
    for password in ["", "ada"] {
        let mut client = Client::raw(&broker);
        client.start("ada", password);
        client.expect_close(0, 403);
    }
}

#[test]
fn what_is_sent_behind_the_login_waits_for_it() {
    let broker = BrokerProcess::start(&["--user=ada:right"]);
    let mut client = Client::raw(&broker);
    let mut bytes = wire::PROTOCOL_HEADER.to_vec();
    let start_ok = Method::ConnectionStartOk {
        client_properties: wire::TableRef::EMPTY,
        mechanism: "PLAIN",
        response: b"\0ada\0right",
        locale: "en_US",
    };
    let tune_ok = Method::ConnectionTuneOk {
        channel_max: 10,
        frame_max: 131_072,
        heartbeat: 0,
    };
    start_ok.encode(0, &mut bytes);
    tune_ok.encode(0, &mut bytes);
    Method::ConnectionOpen { virtual_host: "/" }.encode(0, &mut bytes);
    client.write(&bytes);
    assert!(matches!(client.frame().method(), Method::ConnectionStart { .. }));
    assert!(matches!(client.frame().method(), Method::ConnectionTune { .. }));
    client.expect(0, Method::ConnectionOpenOk);
    // But not without end.
    let mut flood = Client::raw(&broker);
    let mut bytes = wire::PROTOCOL_HEADER.to_vec();
    start_ok.encode(0, &mut bytes);
    while bytes.len() < 100_000 {
        tune_ok.encode(0, &mut bytes);
    }
    flood.write(&bytes);
    flood.frame();
    let closed = flood.frame();
    assert!(
        matches!(closed.method(), Method::ConnectionClose { reply_code: 505, .. }),
        "{closed:?}"
    );
}
