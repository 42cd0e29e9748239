//! What happens to the broker while a connection is still in its handshake holds for that connection, too.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::process::Command;
use std::rc::Rc;
use std::sync::Arc;

use broker::broker::Broker;
use broker::config::Config;
use broker::connection::{Connection, Signal};
use broker::reactor::Reactor;
use support::{BrokerProcess, Client, free_bytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use wire::{Method, PROTOCOL_HEADER, TableRef, decode_frame};

/// How far the limit lies below what is free, and what a file takes to cross it.
const MARGIN_BYTES: u64 = 512 << 20;

#[test]
fn an_alarm_that_ends_during_the_handshake_has_ended() {
    let limit = free_bytes(&std::env::temp_dir()).saturating_sub(MARGIN_BYTES);
    let broker = BrokerProcess::start(&[&format!("--disk-free-min={limit}B")]);
    let mut witness = Client::connect(&broker);
    witness.declare(1, "orders");
    witness.confirm_select(1);
    let hog = broker.data_dir().join("hog");
    let taken = Command::new("fallocate")
        .args(["--length", &(2 * MARGIN_BYTES).to_string()])
        .arg(&hog)
        .status()
        .unwrap();
    assert!(
        taken.success(),
        "the test needs {} bytes of free disk",
        2 * MARGIN_BYTES
    );
    loop {
        witness.publish(1, "orders", b"from the witness");
        match witness.frame().method() {
            Method::BasicAck { .. } => std::thread::yield_now(),
            Method::ConnectionBlocked { .. } => break,
            other => panic!("{other:?}"),
        }
    }
    let mut client = Client::raw(&broker);
    client.start("guest", "guest");
    std::fs::remove_file(&hog).unwrap();
    witness.expect(0, Method::ConnectionUnblocked);
    client.tune_and_open("/");
    client.open_channel(1);
    client.confirm_select(1);
    client.publish(1, "orders", b"not held back");
    client.await_confirms(1);
}

#[test]
fn nothing_more_is_read_once_the_broker_is_about_to_stop() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let data_dir = tempfile::tempdir().unwrap();
        let config = Config {
            data_dir: data_dir.path().to_owned(),
            ..Config::default()
        };
        let (broker, _jobs) = Broker::open(config, Arc::new(seglog::FsStorage)).unwrap();
        let reactor = Reactor::new(broker.config.frame_max as usize, Arc::clone(&broker.inboxes()[0]));
        tokio::task::spawn_local(Rc::clone(&reactor).run_dispatcher());
        let mut late = connect(&broker, &reactor).await;
        late.write_all(&start_ok()).await.unwrap();
        read_frame(&mut late).await;
        reactor.raise_all(Signal::Quiesce);
        let mut rest = Vec::new();
        let tune_ok = Method::ConnectionTuneOk {
            channel_max: 1,
            frame_max: 4096,
            heartbeat: 0,
        };
        tune_ok.encode(0, &mut rest);
        Method::ConnectionOpen { virtual_host: "/" }.encode(0, &mut rest);
        late.write_all(&rest).await.unwrap();
        // Another connection gets answers meanwhile: this one would have had its own.
        connect(&broker, &reactor).await;
        reactor.raise_all(Signal::Shutdown);
        let mut answer = [0; 64];
        // The socket may end with a reset, because what was sent is not read.
        let read = late.read(&mut answer).await.unwrap_or(0);
        assert_eq!(answer[..read], [0; 0]);
    });
}

/// A connection that has got `connection.start`.
async fn connect(broker: &Arc<Broker>, reactor: &Rc<Reactor>) -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, peer) = listener.accept().await.unwrap();
    let id = broker.next_connection_id();
    let (broker, reactor) = (Arc::clone(broker), Rc::clone(reactor));
    tokio::task::spawn_local(Connection::serve(broker, reactor, id, stream, peer));
    client.write_all(&PROTOCOL_HEADER).await.unwrap();
    read_frame(&mut client).await;
    client
}

async fn read_frame(client: &mut TcpStream) {
    let mut bytes = Vec::new();
    while decode_frame(&bytes, 131_072).unwrap().is_none() {
        client.read_buf(&mut bytes).await.unwrap();
    }
}

fn start_ok() -> Vec<u8> {
    let mut bytes = Vec::new();
    let start_ok = Method::ConnectionStartOk {
        client_properties: TableRef::EMPTY,
        mechanism: "PLAIN",
        response: b"\0guest\0guest",
        locale: "en_US",
    };
    start_ok.encode(0, &mut bytes);
    bytes
}
