//! Several URLs are the nodes of a cluster: producers and consumers are spread over them in turn, and one that cannot be
//! reached is named.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fake_peer;
mod run;

use std::io::copy;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fake_peer::{FakePeer, Faults};
use loadgen::target::Target;
use run::{drivers, run, scenario};
use serde_json::json;

/// Another door to `target`, and how many came through it.
fn door_to(target: &Target) -> (Target, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let door = Target::guest("127.0.0.1", listener.local_addr().unwrap().port());
    let (entered, port) = (Arc::new(AtomicUsize::new(0)), target.port);
    let count = Arc::clone(&entered);
    std::thread::spawn(move || {
        for client in listener.incoming() {
            count.fetch_add(1, Ordering::AcqRel);
            let (client, broker) = (client.unwrap(), TcpStream::connect(("127.0.0.1", port)).unwrap());
            for (from, to) in [(&client, &broker), (&broker, &client)] {
                let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                std::thread::spawn(move || {
                    let _ = copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Write);
                });
            }
        }
    });
    (door, entered)
}

#[test]
fn producers_and_consumers_are_spread_over_the_nodes() {
    let load = scenario(json!({"producers": 5, "consumers": 3}));
    for mut driver in drivers() {
        let peer = FakePeer::start(Faults::default());
        let (second, seconds) = door_to(&peer.target());
        let (third, thirds) = door_to(&peer.target());
        let cluster = Target::cluster([peer.target(), second, third]).unwrap();
        let recording = run(driver.as_mut(), &load, &cluster).unwrap();
        assert_eq!(recording.ledger.lost, 0, "{:?}", recording.ledger);
        // Producers 1 and 4 and consumer 1; producer 2 and consumer 2.
        let entered = [seconds, thirds].map(|count| count.load(Ordering::Acquire));
        assert_eq!(entered, [3, 2], "{}", driver.name());
    }
}

#[test]
fn a_node_that_cannot_be_reached_is_named() {
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    for mut driver in drivers() {
        let peer = FakePeer::start(Faults::default());
        let cluster = Target::cluster([peer.target(), Target::guest("127.0.0.1", closed)]).unwrap();
        let message = run(driver.as_mut(), &scenario(json!({})), &cluster)
            .unwrap_err()
            .to_string();
        assert!(
            message.contains(&format!("127.0.0.1:{closed}")),
            "{}: {message}",
            driver.name()
        );
    }
}
