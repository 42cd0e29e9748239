//! Both drivers carry their loads over TLS as over plain TCP: nothing lost, whatever the length of messages, records and pieces.
#![allow(clippy::unwrap_used, reason = "test code outside test functions")]

mod fake_peer;
mod run;
mod tls_front;

use std::sync::atomic::Ordering;

use fake_peer::{FakePeer, Faults, Seen};
use loadgen::conductor::{Events, Peer, conduct};
use loadgen::driver::NativeDriver;
use loadgen::plan::Plan;
use loadgen::recorder::Recording;
use loadgen::scenario::Scenario;
use loadgen::target::Target;
use loadgen::terminal::{Display, Progress};
use run::{drivers, open_loop, run, scenario};
use serde_json::json;
use tls_front::{Authority, Front, Manners};

/// Runs `scenario` with both drivers through a front with these `manners`.
fn carry(scenario: &Scenario, manners: Manners, check: impl Fn(&str, &Recording)) {
    let authority = Authority::new();
    let identity = authority.identity("localhost");
    for mut driver in drivers() {
        let peer = FakePeer::start(Faults::default());
        let front = Front::start(peer.target().port, &authority, &identity, manners);
        let options = format!("cacertfile={}", authority.cacertfile().display());
        let recording = run(driver.as_mut(), scenario, &front.target("localhost", &options)).unwrap();
        let (name, ledger) = (driver.name(), &recording.ledger);
        assert!(ledger.is_clean(), "{name}: {ledger:?}");
        assert!(ledger.published > 0, "{name} sent nothing");
        assert_eq!(ledger.published, Seen::get(&peer.seen().published), "{name}");
        assert_eq!(ledger.received, Seen::get(&peer.seen().delivered), "{name}");
        assert_eq!(peer.leftovers(), 0, "{name} left queues behind");
        // Nobody came to the peer but through the front.
        let handshakes = front.seen.handshakes.load(Ordering::Acquire) as u64;
        assert_eq!(Seen::get(&peer.seen().connections), handshakes, "{name}");
        check(name, &recording);
    }
}

#[test]
fn a_counted_load_in_both_versions() {
    let counted = scenario(json!({
        "load": {"shape": "saturating", "in_flight": 200}, "messages": 4_000, "confirm_window": 100,
        "duration_s": 20.0, "drain_s": 10.0,
    }));
    for (version, name) in [
        (&rustls::version::TLS12, "TLSv1.2"),
        (&rustls::version::TLS13, "TLSv1.3"),
    ] {
        let manners = Manners {
            version: Some(version),
            ..Manners::default()
        };
        carry(&counted, manners, |driver, recording| {
            let ledger = &recording.ledger;
            assert_eq!((ledger.received, ledger.confirmed), (4_000, 4_000), "{driver}");
            let tls = recording.tls.as_ref().unwrap();
            assert_eq!(
                (&tls.version[..], &tls.verify[..]),
                (name, "verify_peer"),
                "{driver}"
            );
            assert!(tls.cipher_suite.starts_with("TLS"), "{driver}: {tls:?}");
        });
    }
}

#[test]
fn an_open_loop_with_latencies() {
    let load = open_loop(2_000, json!({"duration_s": 0.5, "drain_s": 5.0}));
    carry(&load, Manners::default(), |driver, recording| {
        assert_eq!(recording.response.len(), recording.ledger.received, "{driver}");
        assert_eq!(recording.unsent, 0, "{driver}");
    });
}

#[test]
fn messages_of_a_megabyte_and_tiny_ones() {
    for (size, messages) in [(1_000_000, 60), (16, 3_000)] {
        let load = scenario(json!({
            "size_bytes": size, "load": {"shape": "saturating", "in_flight": 20}, "messages": messages,
            "duration_s": 30.0, "drain_s": 10.0, "prefetch": 10, "ack_every": 1,
        }));
        carry(&load, Manners::default(), |driver, recording| {
            assert_eq!(recording.ledger.received, messages, "{driver}");
        });
    }
}

#[test]
fn records_of_any_length_in_pieces_of_any_length() {
    let load = scenario(json!({
        "size_bytes": 3_000, "load": {"shape": "saturating", "in_flight": 50}, "messages": 400,
        "duration_s": 30.0, "drain_s": 10.0,
    }));
    for (fragment_bytes_max, piece_bytes_max) in [(64, 97), (0, 1_500), (1_000, 7)] {
        let manners = Manners {
            fragment_bytes_max,
            piece_bytes_max,
            ..Manners::default()
        };
        carry(&load, manners, |driver, recording| {
            assert_eq!(recording.ledger.received, 400, "{driver}");
        });
    }
}

#[test]
fn a_cluster_may_have_nodes_with_and_without() {
    let authority = Authority::new();
    let identity = authority.identity("localhost");
    for mut driver in drivers() {
        let peer = FakePeer::start(Faults::default());
        let front = Front::start(peer.target().port, &authority, &identity, Manners::default());
        let options = format!("cacertfile={}", authority.cacertfile().display());
        let cluster = Target::cluster([peer.target(), front.target("localhost", &options)]).unwrap();
        let recording = run(driver.as_mut(), &scenario(json!({})), &cluster).unwrap();
        assert!(recording.ledger.is_clean(), "{:?}", recording.ledger);
        let tls = recording.tls.unwrap();
        assert_eq!(tls.verify, "plain TCP + verify_peer", "{}", driver.name());
        // One producer and one consumer.
        assert_eq!(
            front.seen.handshakes.load(Ordering::Acquire),
            2,
            "{}",
            driver.name()
        );
    }
}

#[test]
fn the_native_driver_says_goodbye_to_the_name_of_the_url() {
    let authority = Authority::new();
    let identity = authority.identity("localhost");
    let peer = FakePeer::start(Faults::default());
    let front = Front::start(peer.target().port, &authority, &identity, Manners::default());
    let options = format!("cacertfile={}", authority.cacertfile().display());
    run(
        &mut NativeDriver,
        &scenario(json!({})),
        &front.target("localhost", &options),
    )
    .unwrap();
    let names = front.seen.names.lock().unwrap().clone();
    assert_eq!(names, vec![Some("localhost".to_owned()); 6]);
}

/// Half of the connections is cut: the proxy before the front forwards octets that it does not understand, and the broker
/// must prove the name in the URL, not the proxy's address.
#[test]
fn a_cut_is_mended_with_new_handshakes() {
    let authority = Authority::new();
    let identity = authority.identity("localhost");
    for by in ["reset", "finish"] {
        let load = open_loop(
            4_000,
            json!({
                "duration_s": 0.8, "drain_s": 5.0, "producers": 4, "consumers": 4, "queues": 2, "prefetch": 40,
                "ack_every": 10, "consume_rate_max": 2_000, "confirm_window": 1_000,
                "faults": [{"kind": "cut", "after_s": [0.3, 0.5], "share": 0.5, "by": by}],
            }),
        );
        let peer = FakePeer::start(Faults::default());
        let front = Front::start(peer.target().port, &authority, &identity, Manners::default());
        let options = format!("cacertfile={}", authority.cacertfile().display());
        let conducted = conduct(
            &mut NativeDriver,
            &Plan::new(&load, 5, "cut"),
            &front.target("localhost", &options),
            &mut Peer::External(None),
            &mut Progress::new(&Display::quiet()),
            &Events::default(),
        )
        .unwrap();
        let recording = &conducted.recording;
        let ledger = &recording.ledger;
        assert_eq!(
            (
                ledger.lost,
                ledger.duplicated,
                ledger.corrupt,
                ledger.confirmed_lost
            ),
            (0, 0, 0, Some(0)),
            "{by}: {ledger:?}"
        );
        assert_eq!(
            (conducted.strikes.len(), recording.recoveries.len()),
            (1, 1),
            "{by}"
        );
        assert!(recording.recoveries[0].first_confirm_ns.is_some(), "{by}");
        // Eight, the four that came again, and the topology made and deleted.
        assert_eq!(front.seen.handshakes.load(Ordering::Acquire), 8 + 4 + 2, "{by}");
    }
}
