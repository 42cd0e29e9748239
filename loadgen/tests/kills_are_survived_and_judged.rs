//! The broker is killed and comes back elsewhere with what it had kept: producers and consumers go on, and the ledger tells
//! what it owed from what nobody was promised. A broker that breaks its word is caught.
#![allow(clippy::unwrap_used, reason = "test code outside test functions")]

mod fake_peer;
mod run;

use fake_peer::{FakePeer, Faults, Seen};
use loadgen::control::Control;
use loadgen::driver::{DriverError, NativeDriver};
use loadgen::recorder::Recording;
use loadgen::scenario::Scenario;
use run::{open_loop, run, run_until};
use serde_json::json;

const MESSAGES: u64 = 4_000;
/// So many are in the peer's hands when it crashes.
const BEFORE: u64 = 1_000;

/// 4,000 messages in 0.8 s over two queues, with `kills` kills, whose instants the tests choose themselves.
fn crash(kills: usize) -> Scenario {
    let kill = json!({"kind": "kill", "after_s": [0.0, 0.0]});
    open_loop(
        5_000,
        json!({
            "duration_s": 0.8, "drain_s": 5.0, "producers": 3, "consumers": 4, "queues": 2, "prefetch": 40, "ack_every": 10,
            "confirm_window": 50, "persistent": true, "durable": true, "faults": vec![kill; kills],
        }),
    )
}

fn kill(peer: &mut FakePeer, control: &Control) {
    control.outages().strike();
    peer.crash();
    control.outages().restarted(peer.target());
}

fn await_published(peer: &FakePeer, count: u64) {
    while Seen::get(&peer.seen().published) < count {
        std::thread::yield_now();
    }
}

/// A run in which the peer crashes once, after its first thousand messages.
fn crashed_once(faults: Faults) -> Recording {
    let mut peer = FakePeer::start(faults);
    let target = peer.target();
    let recording = run_until(&mut NativeDriver, &crash(1), &target, |control| {
        await_published(&peer, BEFORE);
        kill(&mut peer, control);
    });
    assert_eq!(peer.leftovers(), 0, "queues were left behind at the new address");
    recording.unwrap()
}

/// What every run owes, whatever the broker did: all of the schedule was sent, as messages of their own.
fn check_load(recording: &Recording) {
    assert!(
        recording.ledger.published.abs_diff(MESSAGES) <= 3,
        "{:?}",
        recording.ledger
    );
    assert_eq!((recording.unsent, recording.ledger.corrupt), (0, 0));
    assert_eq!(recording.ledger.reordered, 0, "{:?}", recording.ledger);
}

#[test]
fn a_broker_that_keeps_its_word() {
    let recording = crashed_once(Faults::default());
    check_load(&recording);
    let ledger = &recording.ledger;
    assert_eq!((ledger.lost, ledger.duplicated), (0, 0), "{ledger:?}");
    assert_eq!(ledger.confirmed_lost, Some(0));
    // Everything that it had taken came, so only what was still on its way to it can be missing.
    assert!(ledger.unconfirmed_lost.unwrap() <= 3 * 50, "{ledger:?}");
    assert_eq!(
        ledger.expected,
        ledger.received + ledger.lost + ledger.unconfirmed_lost.unwrap()
    );
    let [recovery] = recording.recoveries[..] else {
        panic!("{:?}", recording.recoveries);
    };
    assert_eq!(recovery.fault, 0);
    assert!(recovery.first_confirm_ns.unwrap() > recovery.connected_ns);
    assert_eq!(recovery.repeated, ledger.redelivered);
    assert!(recovery.recovered >= recovery.at_stake, "{recovery:?}");
    // Each consumer kept back up to nine acks.
    assert!(
        recovery.recovered + recovery.repeated <= recovery.queued.unwrap(),
        "{recovery:?}"
    );
    assert!(
        recording.held_back > 0,
        "what was due meanwhile was held back by the broker"
    );
}

#[test]
fn confirmed_messages_that_are_missing_afterwards() {
    // The consumers acknowledge nothing of their own accord, so the queues are full when it crashes.
    let faults = Faults {
        crash_loses_every: Some(7),
        ..Faults::default()
    };
    let mut slow = crash(1);
    slow.consume_rate_max = Some(400);
    let mut peer = FakePeer::start(faults);
    let target = peer.target();
    let recording = run_until(&mut NativeDriver, &slow, &target, |control| {
        await_published(&peer, BEFORE);
        kill(&mut peer, control);
    })
    .unwrap();
    check_load(&recording);
    let ledger = &recording.ledger;
    let confirmed_lost = ledger.confirmed_lost.unwrap();
    assert!(confirmed_lost > BEFORE / 7 / 2, "{ledger:?}");
    let at_stake = recording.recoveries[0].at_stake;
    assert!(
        at_stake > BEFORE / 2 && confirmed_lost <= at_stake,
        "{at_stake} {ledger:?}"
    );
    assert_eq!(ledger.lost, confirmed_lost, "{ledger:?}");
    let named = |example: &String| example.starts_with("confirmed and lost: producer ");
    assert!(ledger.first_examples.iter().any(named), "{ledger:?}");
}

#[test]
fn repetitions_that_are_not_flagged() {
    let recording = crashed_once(Faults {
        crash_loses_flags: true,
        ..Faults::default()
    });
    check_load(&recording);
    let ledger = &recording.ledger;
    assert!(ledger.duplicated > 0, "{ledger:?}");
    assert_eq!(
        (ledger.redelivered, ledger.confirmed_lost),
        (0, Some(0)),
        "{ledger:?}"
    );
}

#[test]
fn what_nobody_was_promised_is_no_loss() {
    // The last hundred before the crash are neither kept nor confirmed, then the confirm windows are full.
    let mut peer = FakePeer::start(Faults {
        swallow_after: Some(BEFORE - 100),
        ..Faults::default()
    });
    let target = peer.target();
    let recording = run_until(&mut NativeDriver, &crash(1), &target, |control| {
        await_published(&peer, BEFORE);
        kill(&mut peer, control);
    })
    .unwrap();
    check_load(&recording);
    let ledger = &recording.ledger;
    assert_eq!((ledger.lost, ledger.confirmed_lost), (0, Some(0)), "{ledger:?}");
    assert!(
        (100..=150).contains(&ledger.unconfirmed_lost.unwrap()),
        "{ledger:?}"
    );
    assert_eq!(
        ledger.confirmed,
        ledger.published - ledger.unconfirmed_lost.unwrap()
    );
}

#[test]
fn several_kills_one_of_them_while_the_clients_come_back() {
    let mut peer = FakePeer::start(Faults::default());
    let target = peer.target();
    let recording = run_until(&mut NativeDriver, &crash(3), &target, |control| {
        await_published(&peer, BEFORE);
        kill(&mut peer, control);
        kill(&mut peer, control);
        await_published(&peer, 2 * BEFORE);
        kill(&mut peer, control);
    })
    .unwrap();
    check_load(&recording);
    let ledger = &recording.ledger;
    assert_eq!(
        (ledger.lost, ledger.duplicated, ledger.confirmed_lost),
        (0, 0, Some(0)),
        "{ledger:?}"
    );
    let last = recording.recoveries.last().unwrap();
    assert_eq!(last.fault, 2, "{:?}", recording.recoveries);
}

#[test]
fn a_kill_at_the_very_end_is_waited_for() {
    let mut peer = FakePeer::start(Faults::default());
    let target = peer.target();
    let recording = run_until(&mut NativeDriver, &crash(1), &target, |control| {
        // Everything has arrived; only the pending kill keeps the run going.
        while Seen::get(&peer.seen().acked) < MESSAGES - 10 {
            std::thread::yield_now();
        }
        kill(&mut peer, control);
    })
    .unwrap();
    check_load(&recording);
    assert_eq!(recording.recoveries.len(), 1);
    assert_eq!(recording.ledger.lost, 0, "{:?}", recording.ledger);
}

#[test]
fn a_broker_that_hangs_up_unasked_is_an_error_all_the_same() {
    let peer = FakePeer::start(Faults {
        hang_up_after: Some(300),
        ..Faults::default()
    });
    let error = run(&mut NativeDriver, &crash(1), &peer.target()).unwrap_err();
    assert!(error.to_string().contains("producer "), "{error}");
}

#[test]
fn a_broker_that_does_not_come_back_is_an_error() {
    let mut peer = FakePeer::start(Faults::default());
    let target = peer.target();
    let outcome = run_until(&mut NativeDriver, &crash(1), &target, |control| {
        await_published(&peer, BEFORE);
        control.outages().strike();
        peer.crash();
        control.outages().give_up();
    });
    let error = outcome.unwrap_err();
    assert!(
        matches!(error, DriverError::Disconnected { .. } | DriverError::Io { .. }),
        "{error}"
    );
}
