//! Connections to somebody else's broker are cut: those that are struck connect anew, and a broker that loses what it had
//! confirmed, or repeats without saying so, is caught.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fake_peer;
mod run;

use fake_peer::{FakePeer, Faults, Seen};
use loadgen::conductor::{Conducted, Events, Peer, conduct};
use loadgen::driver::NativeDriver;
use loadgen::plan::Plan;
use loadgen::scenario::FaultKind;
use loadgen::terminal::{Display, Progress};
use run::open_loop;
use serde_json::json;

/// Half of the connections is cut once, while slow consumers hold messages that they have not acknowledged.
fn cut_once(faults: Faults, by: &str) -> Conducted {
    let scenario = open_loop(
        4_000,
        json!({
            "duration_s": 0.8, "drain_s": 5.0, "producers": 4, "consumers": 4, "queues": 2, "prefetch": 40, "ack_every": 10,
            "consume_rate_max": 2_000, "confirm_window": 1_000,
            "faults": [{"kind": "cut", "after_s": [0.3, 0.5], "share": 0.5, "by": by}],
        }),
    );
    let peer = FakePeer::start(faults);
    let plan = Plan::new(&scenario, 5, "cut");
    let conducted = conduct(
        &mut NativeDriver,
        &plan,
        &peer.target(),
        &mut Peer::External(None),
        &mut Progress::new(&Display::quiet()),
        &Events::default(),
    )
    .unwrap();
    let ledger = &conducted.recording.ledger;
    assert!(ledger.published.abs_diff(3_200) <= 4, "{ledger:?}");
    assert_eq!(
        (ledger.corrupt, ledger.reordered, conducted.recording.unsent),
        (0, 0, 0),
        "{ledger:?}"
    );
    // Eight, and the four that came again; the proxy's look at the broker, and the topology made and deleted.
    assert_eq!(Seen::get(&peer.seen().connections), 8 + 4 + 3);
    conducted
}

#[test]
fn a_broker_that_keeps_its_word() {
    for by in ["reset", "finish"] {
        let conducted = cut_once(Faults::default(), by);
        let recording = &conducted.recording;
        let ledger = &recording.ledger;
        assert_eq!(
            (ledger.lost, ledger.duplicated, ledger.confirmed_lost),
            (0, 0, Some(0)),
            "{by}: {ledger:?}"
        );
        assert!(ledger.redelivered > 0, "{by}: {ledger:?}");
        let [strike] = conducted.strikes[..] else {
            panic!("{:?}", conducted.strikes)
        };
        assert_eq!(strike.kind, FaultKind::Cut);
        let [recovery] = recording.recoveries[..] else {
            panic!("{:?}", recording.recoveries)
        };
        assert!(recovery.connected_ns >= strike.at_ns);
        assert!(recovery.first_confirm_ns.unwrap() >= recovery.connected_ns);
        assert!(recovery.first_delivery_ns.unwrap() >= strike.at_ns);
        assert!(recovery.repeated > 0, "{recovery:?}");
    }
}

#[test]
fn repetitions_that_are_not_flagged() {
    let faults = Faults {
        crash_loses_flags: true,
        ..Faults::default()
    };
    let ledger = cut_once(faults, "reset").recording.ledger;
    assert!(ledger.duplicated > 0, "{ledger:?}");
    assert_eq!(ledger.confirmed_lost, Some(0), "{ledger:?}");
}

#[test]
fn messages_that_are_lost_with_their_consumer() {
    let faults = Faults {
        end_loses_unacked: true,
        ..Faults::default()
    };
    let conducted = cut_once(faults, "reset");
    let ledger = &conducted.recording.ledger;
    let confirmed_lost = ledger.confirmed_lost.unwrap();
    assert!(confirmed_lost > 0, "{ledger:?}");
    assert_eq!(ledger.confirmed_lost_by_fault, [confirmed_lost], "{ledger:?}");
}
