//! Unix-domain sockets: permissions, stale files, and who may come.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};

use support::http::Http;
use support::{Client, DEADLINE, OwnedFrame, Watched};
use wire::{Method, PROTOCOL_HEADER, TableRef};

fn flag(path: &Path) -> String {
    format!("--listen-unix={}", path.display())
}

struct LocalClient {
    stream: UnixStream,
    input: Vec<u8>,
}

impl LocalClient {
    fn connect(path: &Path) -> LocalClient {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        LocalClient {
            stream,
            input: Vec::new(),
        }
    }

    fn send(&mut self, channel: u16, method: Method<'_>) {
        let mut bytes = Vec::new();
        method.encode(channel, &mut bytes);
        self.stream.write_all(&bytes).unwrap();
    }

    fn frame(&mut self) -> OwnedFrame {
        loop {
            if let Some(frame) = OwnedFrame::take(&mut self.input, 131_072) {
                return frame;
            }
            let mut buffer = [0; 4096];
            let count = self.stream.read(&mut buffer).unwrap();
            assert_ne!(count, 0, "the broker closed the socket");
            self.input.extend_from_slice(&buffer[..count]);
        }
    }

    /// An open connection as guest, with channel 1.
    fn log_in(&mut self) {
        self.stream.write_all(&PROTOCOL_HEADER).unwrap();
        self.frame();
        let start_ok = Method::ConnectionStartOk {
            client_properties: TableRef::EMPTY,
            mechanism: "PLAIN",
            response: b"\0guest\0guest",
            locale: "en_US",
        };
        self.send(0, start_ok);
        self.frame();
        let tune_ok = Method::ConnectionTuneOk {
            channel_max: 1,
            frame_max: 131_072,
            heartbeat: 0,
        };
        self.send(0, tune_ok);
        self.send(0, Method::ConnectionOpen { virtual_host: "/" });
        assert_eq!(self.frame().method(), Method::ConnectionOpenOk);
        self.send(1, Method::ChannelOpen);
        assert_eq!(self.frame().method(), Method::ChannelOpenOk);
    }
}

#[test]
fn guest_may_come_by_the_socket_and_messages_go_both_ways() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mq.sock");
    let mut broker = Watched::start(&[&flag(&path), "--unix-mode=600"], &[], 2);
    assert_eq!(broker.announced[1], format!("on {}", path.display()));
    let metadata = std::fs::metadata(&path).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    let mut remote = Client::connect(&broker);
    remote.declare(1, "orders");
    remote.publish(1, "orders", b"by TCP");
    assert_eq!(remote.ready(1, "orders"), 1);
    let mut local = LocalClient::connect(&path);
    local.log_in();
    local.send(
        1,
        Method::BasicGet {
            queue: "orders",
            no_ack: true,
        },
    );
    assert!(local.frame().method().has_content());
    local.frame();
    assert_eq!(local.frame().payload, b"by TCP");
    remote.close();
    let close = Method::ConnectionClose {
        reply_code: 200,
        reply_text: "",
        class_id: 0,
        method_id: 0,
    };
    local.send(0, close);
    local.frame();
    broker.stop();
    assert!(!path.exists(), "the file goes with the broker");
}

#[test]
fn connections_by_a_socket_can_be_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mq.sock");
    let broker = Watched::start(&[&flag(&path), "--management-listen=127.0.0.1:0"], &[], 2);
    let mut clients = [LocalClient::connect(&path), LocalClient::connect(&path)];
    clients.iter_mut().for_each(LocalClient::log_in);
    let shown = Http::guest(&broker).json("/api/connections");
    let shown = shown.as_array().unwrap();
    assert_eq!(shown.len(), 2);
    assert_ne!(shown[0]["name"], shown[1]["name"]);
    for connection in shown {
        assert_eq!(connection["peer_host"], format!("unix:{}", path.display()));
        assert!(connection["peer_port"].is_null(), "{connection}");
    }
}

#[test]
fn a_broker_may_listen_there_and_nowhere_else() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mq.sock");
    let broker = Watched::start(&["--listen=", &flag(&path)], &[], 1);
    assert_eq!(broker.announced, [format!("on {}", path.display())]);
    LocalClient::connect(&path).log_in();
}

#[test]
fn a_stale_socket_is_replaced_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mq.sock");
    // As a crash leaves it.
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let broker = Watched::start(&[&flag(&path)], &[], 2);
    LocalClient::connect(&path).log_in();
    let refused = |why: &str| {
        let data_dir = directory.path().join("data");
        let output = Command::new(env!("CARGO_BIN_EXE_broker"))
            .args(["--listen=127.0.0.1:0", &flag(&path)])
            .arg("--data-dir")
            .arg(&data_dir)
            .stdout(Stdio::null())
            .output()
            .unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && told.contains(why), "{told}");
    };
    refused("somebody listens there already");
    LocalClient::connect(&path).log_in();
    drop(broker);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "precious").unwrap();
    refused("it is there and no socket");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}
