//! Every way in which a method can be refused, on raw frames: reply code, scope, class and method, text.
//!
//! The rows are what RabbitMQ 4 answers. With `AMQP_PEER=host:port` the same table runs against that broker instead, which
//! must allow guest/guest.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::net::ToSocketAddrs;

use support::errors::{self, Peer, Row};
use support::{BrokerProcess, Client};
use wire::{Method, PROTOCOL_HEADER};

fn check(rows: &[Row]) {
    let wrong = match std::env::var("AMQP_PEER") {
        Ok(address) => {
            let address = address.to_socket_addrs().unwrap().next().unwrap();
            errors::run(rows, address, peer(address))
        }
        Err(_) => {
            let broker = BrokerProcess::start(&[]);
            errors::run(rows, broker.address, Peer::Ours)
        }
    };
    assert!(
        wrong.is_empty(),
        "{} of {} rows:\n{}",
        wrong.len(),
        rows.len(),
        wrong.join("\n")
    );
}

/// Who a broker says that it is.
fn peer(address: std::net::SocketAddr) -> Peer {
    let mut client = Client::raw_to(address);
    client.write(&PROTOCOL_HEADER);
    let frame = client.frame();
    let Method::ConnectionStart {
        server_properties, ..
    } = frame.method()
    else {
        panic!("{frame:?}");
    };
    let property = |name| {
        server_properties
            .get(name)
            .and_then(|value| value.as_str())
            .unwrap_or_default()
    };
    match property("product") {
        "RabbitMQ" if property("implementation").is_empty() => {
            let version = property("version");
            let major = version.split('.').next().unwrap().parse().unwrap();
            println!("RabbitMQ {version}");
            Peer::RabbitMq(major)
        }
        _ => Peer::Ours,
    }
}

#[test]
fn of_the_connection_class() {
    check(&support::error_rows::handshakes());
}

#[test]
fn of_the_channel_class() {
    check(&support::error_rows::channels());
}

#[test]
fn of_the_exchange_class() {
    check(&support::error_rows::exchanges());
}

#[test]
fn of_the_queue_class() {
    check(&support::error_rows::queues());
}

#[test]
fn of_the_basic_class() {
    check(&support::error_rows::basic());
}

#[test]
fn of_confirms_and_transactions() {
    check(&support::error_rows::modes());
}

#[test]
fn of_frames_that_do_not_follow_each_other() {
    check(&support::error_rows::frames());
}
