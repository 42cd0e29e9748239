//! TLS listeners: versions, names, certificates of clients, reloads, and who is at the wrong door.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::Write;
use std::net::{SocketAddr, TcpStream};

use rustls::version::{TLS12, TLS13};
use serde_json::Value;
use support::http::Http;
use support::tls::{Authority, TlsClient, read_to_end, shown};
use support::{Client, DEADLINE, Watched, consume, declare, encode_publish};
use wire::Method;

/// A broker that listens for TLS, too.
struct Secured {
    broker: Watched,
    address: SocketAddr,
}

fn start(authority: &Authority, more: &[&str]) -> Secured {
    let flags = authority.flags();
    let flags: Vec<&str> = flags
        .iter()
        .map(String::as_str)
        .chain(more.iter().copied())
        .collect();
    let broker = Watched::start(&flags, &[("RUST_LOG", "info")], 2);
    let address = broker.announced_after("with TLS on ").parse().unwrap();
    Secured { broker, address }
}

fn socket(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket
}

/// Clients that begin a handshake, or do not even begin, and say no more.
fn stall(address: SocketAddr) -> [TcpStream; 2] {
    let (silent, mut halting) = (socket(address), socket(address));
    halting.write_all(&[22, 3, 1]).unwrap();
    [silent, halting]
}

/// Bodies of many sizes, about 12 MB together.
fn bodies() -> impl Iterator<Item = Vec<u8>> {
    (0..240).map(|index: usize| vec![index as u8; index * 431 % 100_003])
}

#[test]
fn messages_arrive_as_they_were_sent_with_either_version() {
    let authority = Authority::new();
    let secured = start(&authority, &["--reactors=2"]);
    for version in [&TLS12, &TLS13] {
        let config = authority.client(&[version], None);
        let mut client = TlsClient::guest(secured.address, &config);
        assert_eq!(client.stream.conn.protocol_version(), Some(version.version));
        client.send(1, declare("orders"));
        client.frame();
        let mut bytes = Vec::new();
        for body in bodies() {
            encode_publish(&mut bytes, 1, "", "orders", false, &body, 131_072);
        }
        client.stream.write_all(&bytes).unwrap();
        // Half to the session that sent them, half to another one on another reactor.
        let half = bodies().count() / 2;
        let qos = Method::BasicQos {
            prefetch_size: 0,
            prefetch_count: half as u16,
            global: false,
        };
        client.send(1, qos);
        client.frame();
        client.send(1, consume("orders", "first", false));
        client.frame();
        for body in bodies().take(half) {
            assert_eq!(client.body(), body);
        }
        let mut other = TlsClient::guest(secured.address, &config);
        other.send(1, consume("orders", "second", true));
        other.frame();
        for body in bodies().skip(half) {
            assert_eq!(other.body(), body);
        }
        let ack = Method::BasicAck {
            delivery_tag: 0,
            multiple: true,
        };
        client.send(1, ack);
        let close = Method::ConnectionClose {
            reply_code: 200,
            reply_text: "",
            class_id: 0,
            method_id: 0,
        };
        client.send(0, close);
        assert_eq!(client.frame().method(), Method::ConnectionCloseOk);
        assert!(
            client.try_frame().is_none(),
            "and the session is closed as TLS asks for"
        );
    }
}

#[test]
fn an_older_version_than_the_minimum_is_refused() {
    let authority = Authority::new();
    let secured = start(&authority, &["--tls-version-min=1.3"]);
    let refused = TlsClient::connect(secured.address, &authority.client(&[&TLS12], None), "localhost");
    let error = refused.unwrap_err().to_string();
    assert!(error.contains("ProtocolVersion"), "{error}");
    secured
        .broker
        .expect_log(&["TLS handshake failed", "peer=127.0.0.1"]);
    TlsClient::guest(secured.address, &authority.client(&[&TLS12, &TLS13], None));
}

#[test]
fn clients_get_the_certificate_of_the_name_that_they_ask_for() {
    let authority = Authority::new();
    let named = [("one", "one.example"), ("many", "*.example.org")];
    let mut flags = Vec::new();
    for (file, name) in named {
        authority.write(file, &authority.sign(&[name]));
        let path = |end: &str| shown(&authority.path(&format!("{file}.{end}")));
        flags.push(format!("--tls-sni={name}={},{}", path("pem"), path("key")));
    }
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let secured = start(&authority, &flags);
    let config = authority.client(&[&TLS13], None);
    // The client verifies the name itself.
    for name in ["localhost", "one.example", "ONE.example", "a.example.org"] {
        TlsClient::connect(secured.address, &config, name).unwrap();
    }
    for name in ["two.example", "a.b.example.org", "example.org"] {
        let refused = TlsClient::connect(secured.address, &config, name).unwrap_err();
        assert!(
            refused.to_string().contains("not valid for name"),
            "{name}: {refused}"
        );
    }
}

#[test]
fn clients_are_asked_for_a_certificate_that_somebody_known_has_signed() {
    let authority = Authority::new();
    let ada = authority.sign_client("Test", "ada", "ada@example.org");
    let stranger = Authority::new().sign_client("Test", "ada", "ada@example.org");
    let try_it = |secured: &Secured, identity| {
        let config = authority.client(&[&TLS12], identity);
        TlsClient::connect(secured.address, &config, "localhost").map(drop)
    };
    let strict = start(&authority, &["--tls-verify=peer", "--tls-fail-if-no-peer-cert"]);
    try_it(&strict, Some(&ada)).unwrap();
    try_it(&strict, None).unwrap_err();
    strict
        .broker
        .expect_log(&["TLS handshake failed", "peer sent no certificates"]);
    try_it(&strict, Some(&stranger)).unwrap_err();
    strict
        .broker
        .expect_log(&["TLS handshake failed", "invalid peer certificate"]);
    let lenient = start(&authority, &["--tls-verify=peer"]);
    try_it(&lenient, Some(&ada)).unwrap();
    try_it(&lenient, None).unwrap();
    try_it(&lenient, Some(&stranger)).unwrap_err();
}

#[test]
fn whoever_is_at_the_wrong_door_is_told_in_the_log_and_gone() {
    let authority = Authority::new();
    let secured = start(&authority, &[]);
    let mut plain = socket(secured.address);
    plain.write_all(b"AMQP\0\0\x09\x01").unwrap();
    read_to_end(&mut plain);
    secured.broker.expect_log(&[
        "WARN",
        "peer=127.0.0.1",
        "speaks AMQP without TLS, on an address for TLS",
    ]);
    let mut other = socket(secured.address);
    other.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    read_to_end(&mut other);
    secured
        .broker
        .expect_log(&["WARN", "the client does not speak TLS"]);
    let config = authority.client(&[&TLS13], None);
    TlsClient::connect(secured.broker.address, &config, "localhost").unwrap_err();
    secured
        .broker
        .expect_log(&["WARN", "peer speaks TLS, on an address without it"]);
}

#[test]
fn a_handshake_that_stalls_keeps_nobody_waiting() {
    let authority = Authority::new();
    let secured = start(&authority, &["--handshake-timeout=10min"]);
    let _stalled = stall(secured.address);
    TlsClient::guest(secured.address, &authority.client(&[&TLS13], None));
}

#[test]
fn a_handshake_that_stalls_ends() {
    let authority = Authority::new();
    let secured = start(&authority, &["--handshake-timeout=1s"]);
    for mut stalled in stall(secured.address) {
        assert_eq!(read_to_end(&mut stalled), 0);
        secured
            .broker
            .expect_log(&["no end of it within the handshake timeout"]);
    }
}

#[test]
fn new_certificates_are_read_on_sighup_and_open_connections_stay() {
    let authority = Authority::new();
    let secured = start(&authority, &[]);
    let config = authority.client(&[&TLS13], None);
    let mut old = TlsClient::guest(secured.address, &config);
    let renewed = authority.sign(&["localhost"]);
    assert_ne!(old.shown(), *renewed.certificate.der());
    authority.write("server", &renewed);
    secured.broker.signal("HUP");
    secured.broker.expect_log(&["certificates read again"]);
    assert_eq!(
        TlsClient::guest(secured.address, &config).shown(),
        *renewed.certificate.der()
    );
    // A key that does not fit changes nothing.
    let key = authority.path("server.key");
    std::fs::write(&key, authority.sign(&["localhost"]).key.serialize_pem()).unwrap();
    secured.broker.signal("HUP");
    secured.broker.expect_log(&[
        "ERROR",
        "nothing is changed",
        "--tls-keyfile",
        &shown(&key),
        "not the key",
    ]);
    assert_eq!(
        TlsClient::guest(secured.address, &config).shown(),
        *renewed.certificate.der()
    );
    old.send(1, declare("still-here"));
    assert!(matches!(old.frame().method(), Method::QueueDeclareOk { .. }));
}

#[test]
fn the_end_of_a_certificate_is_told_until_it_is_renewed() {
    let authority = Authority::new();
    let name = format!("--tls-sni=old.example={}", shown(&authority.path("old.pem")));
    authority.write("old", &authority.sign_ended(&["old.example"]));
    let name = format!("{name},{}", shown(&authority.path("old.key")));
    let secured = start(&authority, &["--management-listen=127.0.0.1:0", &name]);
    secured
        .broker
        .expect_log(&["WARN", "a certificate ends soon", "old.pem", "days=-"]);
    let http = Http::guest(&secured.broker);
    let end = format!(
        "broker_tls_certificate_not_after_seconds{{certfile=\"{}\"}}",
        shown(&authority.path("old.pem"))
    );
    assert_eq!(http.get("/metrics").value(&end), 1_577_836_800.0);
    let check = "/api/health/checks/certificate-expiration/2/weeks";
    let failed = http.get(check);
    assert_eq!(failed.status, 503);
    assert!(failed.body.contains("old.pem") && !failed.body.contains("server.pem"));
    assert_eq!(
        http.get("/api/health/checks/certificate-expiration/2/hours")
            .status,
        400
    );

    authority.write("old", &authority.sign(&["old.example"]));
    secured.broker.signal("HUP");
    secured.broker.expect_log(&["certificates read again"]);
    assert_eq!(http.get(check).status, 200);
}

#[test]
fn an_orderly_stop_reaches_sessions_too() {
    let authority = Authority::new();
    let mut secured = start(&authority, &[]);
    let mut client = TlsClient::guest(secured.address, &authority.client(&[&TLS13], None));
    secured.broker.terminate();
    match client.frame().method() {
        Method::ConnectionClose { reply_code, .. } => assert_eq!(reply_code, 320),
        other => panic!("{other:?}"),
    }
    client.send(0, Method::ConnectionCloseOk);
    assert!(client.try_frame().is_none());
    assert_eq!(secured.broker.wait().code(), Some(0));
}

#[test]
fn plain_and_encrypted_clients_share_queues() {
    let authority = Authority::new();
    let secured = start(&authority, &[]);
    let mut plain = Client::connect(&secured.broker);
    plain.declare(1, "shared");
    let mut encrypted = TlsClient::guest(secured.address, &authority.client(&[&TLS13], None));
    encrypted.send(1, consume("shared", "c", true));
    encrypted.frame();
    plain.publish(1, "shared", b"hello");
    assert_eq!(encrypted.body(), b"hello");
}

#[test]
fn the_management_api_knows_who_listens() {
    let authority = Authority::new();
    let secured = start(&authority, &["--management-listen=127.0.0.1:0"]);
    let http = Http::guest(&secured.broker);
    let port = secured.address.port();
    for check in [
        "protocol-listener/amqps".to_owned(),
        "protocol-listener/amqp%2Fssl".to_owned(),
        format!("port-listener/{port}"),
    ] {
        let answer = http.get(&format!("/api/health/checks/{check}"));
        assert_eq!(answer.status, 200, "{check}: {answer:?}");
    }
    let listeners = &http.json("/api/overview")["listeners"];
    assert_eq!(listeners[1]["protocol"], "amqp/ssl");
    assert_eq!(listeners[1]["port"], port);

    let _plain = Client::connect(&secured.broker);
    let _encrypted = TlsClient::guest(secured.address, &authority.client(&[&TLS13], None));
    let connections = http.json("/api/connections?sort=ssl");
    let of = |field: &str| [0, 1].map(|index| connections[index][field].clone());
    assert_eq!(of("ssl"), [false, true]);
    assert_eq!(of("ssl_protocol"), [Value::Null, "tlsv1.3".into()]);
    assert!(of("ssl_cipher")[1].as_str().unwrap().starts_with("TLS13_"));
}

#[test]
fn files_that_are_of_no_use_refuse_the_start() {
    let authority = Authority::new();
    let mut flags = authority.flags();
    std::fs::write(authority.path("server.pem"), "no certificate").unwrap();
    std::fs::remove_file(authority.path("server.key")).unwrap();
    std::fs::write(authority.path("ca.pem"), "nor here").unwrap();
    flags.push("--tls-verify=peer".to_owned());
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_broker"))
        .args(["config", "--check"])
        .args(&flags)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8(output.stderr).unwrap();
    for (flag, file) in [("--tls-certfile", "server.pem"), ("--tls-cacertfile", "ca.pem")] {
        let start = format!(
            "command line: {flag} {}: no certificates in PEM",
            shown(&authority.path(file))
        );
        assert!(
            told.lines().any(|line| line.starts_with(&start)),
            "{start}: {told}"
        );
    }
}
