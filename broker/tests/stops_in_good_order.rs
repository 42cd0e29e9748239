//! SIGTERM: connections are closed with 320, the process exits 0. Heartbeats and idle closes before that.

mod support;

use support::{BrokerProcess, Client};
use wire::{FrameKind, Method};

#[test]
fn sigterm_closes_connections_with_320_and_exits_0() {
    let mut broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    broker.terminate();
    let text = client.expect_close(0, 320);
    assert!(text.starts_with("CONNECTION_FORCED"), "{text}");
    assert_eq!(client.try_frame(), None);
    assert_eq!(broker.wait().code(), Some(0));
}

#[test]
fn a_peer_that_never_answers_does_not_keep_the_broker_running() {
    let mut broker = BrokerProcess::start(&[]);
    let _deaf = Client::connect(&broker);
    broker.terminate();
    assert_eq!(broker.wait().code(), Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut broker = BrokerProcess::start(&[]);
    let mut deaf = Client::connect(&broker);
    broker.terminate();
    // The close has come, so that the first signal was handled; nobody answers it.
    deaf.frame();
    broker.terminate();
    assert_eq!(broker.wait().code(), Some(1));
}

#[test]
fn heartbeats_are_sent_and_expected() {
    let broker = BrokerProcess::start(&[]);
    let mut client = Client::raw(&broker);
    client.start("guest", "guest");
    client.frame();
    client.send(
        0,
        Method::ConnectionTuneOk {
            channel_max: 10,
            frame_max: 4096,
            heartbeat: 1,
        },
    );
    client.send(0, Method::ConnectionOpen { virtual_host: "/" });
    assert_eq!(client.frame().method(), Method::ConnectionOpenOk);
    // Silent from here on: the broker's heartbeats come, then it gives us up.
    let mut bytes = Vec::new();
    let _ = std::io::Read::read_to_end(&mut client.stream, &mut bytes);
    let heartbeat = [FrameKind::Heartbeat as u8, 0, 0, 0, 0, 0, 0, 0xCE];
    assert!(
        !bytes.is_empty() && bytes.chunks(8).all(|frame| frame == heartbeat),
        "{bytes:?}"
    );
}

#[test]
fn who_answers_the_close_need_not_wait_for_who_does_not() {
    let mut broker = BrokerProcess::start(&[]);
    let mut polite = Client::connect(&broker);
    let silent = Client::connect(&broker);
    broker.terminate();
    polite.expect_close(0, 320);
    assert_eq!(polite.try_frame(), None, "its connection has ended");
    drop(silent);
    assert!(broker.wait().success());
}
