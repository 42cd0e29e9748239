//! Runs that end when their messages are through: a fill that nobody consumes, a backlog that is drained, and what happens
//! when either takes too long.
#![allow(clippy::unwrap_used, reason = "test code outside test functions")]

mod fake_peer;
mod run;

use std::time::Duration;

use fake_peer::{FakePeer, Faults, Seen};
use loadgen::recorder::Recording;
use loadgen::scenario::Scenario;
use run::{drivers, run, scenario};
use serde_json::{Value, json};

const MESSAGES: u64 = 5_001;

/// Fills a queue that nobody consumes, within half a minute.
fn fill(changes: Value) -> Scenario {
    let mut fields = json!({
        "load": {"shape": "flood"}, "messages": MESSAGES, "consumers": 0, "duration_s": 30.0,
    });
    for (name, value) in changes.as_object().unwrap() {
        fields[name] = value.clone();
    }
    scenario(fields)
}

fn each(scenario: &Scenario, faults: &Faults, check: impl Fn(&str, &Recording, &Seen)) {
    for mut driver in drivers() {
        let peer = FakePeer::start(faults.clone());
        let recording = run(driver.as_mut(), scenario, &peer.target()).unwrap();
        assert_eq!(peer.leftovers(), 0, "{} left queues behind", driver.name());
        check(driver.name(), &recording, peer.seen());
    }
}

#[test]
fn a_fill_ends_with_its_last_message_and_loses_nothing_by_not_being_consumed() {
    for confirm_window in [json!(null), json!(100)] {
        let scenario = fill(json!({"confirm_window": confirm_window}));
        each(&scenario, &Faults::default(), |name, recording, seen| {
            let ledger = &recording.ledger;
            assert_eq!(ledger.published, MESSAGES, "{name}");
            assert_eq!(Seen::get(&seen.published), MESSAGES, "{name}");
            assert_eq!(recording.published_in_window, MESSAGES, "{name}");
            assert_eq!((ledger.expected, ledger.lost), (0, 0), "{name}");
            assert_eq!(recording.unsent, 0, "{name}");
            let confirmed = if confirm_window.is_null() { 0 } else { MESSAGES };
            assert_eq!(recording.confirmed_in_window, confirmed, "{name}");
            assert!(
                recording.window_s > 0.0 && recording.window_s < 20.0,
                "{name}: {}",
                recording.window_s
            );
            assert!(!recording.cut_short, "{name}");
            assert_eq!(recording.intervals.last().unwrap().backlog, MESSAGES, "{name}");
        });
    }
}

/// The whole fill fits into the sockets, so a generator that only looked at what it had written would be done at once.
#[test]
fn without_confirms_a_fill_ends_when_the_broker_has_read_it() {
    let stall = Duration::from_millis(400);
    let faults = Faults {
        stall: Some((10, stall)),
        ..Faults::default()
    };
    let scenario = fill(json!({"messages": 100, "producers": 1}));
    each(&scenario, &faults, |name, recording, _| {
        assert_eq!(recording.published_in_window, 100, "{name}");
        assert!(
            recording.window_s >= 0.3,
            "{name} did not wait for the broker: {} s",
            recording.window_s
        );
    });
}

#[test]
fn a_fill_that_takes_too_long_ends_at_its_limit() {
    let scenario = fill(json!({"confirm_window": 10, "duration_s": 0.3, "drain_s": 0.3}));
    let faults = Faults {
        never_confirm: true,
        ..Faults::default()
    };
    each(&scenario, &faults, |name, recording, _| {
        assert_eq!(recording.ledger.published, 20, "{name}");
        assert_eq!(recording.unsent, MESSAGES - 20, "{name}");
        assert!((recording.window_s - 0.3).abs() < 1e-6, "{name}");
    });
}

#[test]
fn a_backlog_is_complete_before_it_is_drained_and_only_the_drain_is_measured() {
    for (confirm_window, ack_every) in [(json!(null), 10), (json!(100), 0)] {
        let scenario = fill(json!({
            "backlog_first": true, "consumers": 3, "warmup_s": 30.0, "confirm_window": confirm_window,
            "ack_every": ack_every, "prefetch": ack_every * 10,
        }));
        each(&scenario, &Faults::default(), |name, recording, seen| {
            assert!(recording.ledger.is_clean(), "{name}: {:?}", recording.ledger);
            assert_eq!(recording.ledger.received, MESSAGES, "{name}");
            assert_eq!(recording.published_in_window, 0, "{name}");
            assert_eq!(recording.consumed_in_window, MESSAGES, "{name}");
            assert_eq!(
                recording.response.len(),
                0,
                "{name} measured how long the messages lay"
            );
            assert!(
                recording.window_s > 0.0 && recording.window_s < 20.0,
                "{name}: {}",
                recording.window_s
            );
            let acked = if ack_every == 0 { 0 } else { MESSAGES };
            assert_eq!(Seen::get(&seen.acked), acked, "{name}");
        });
    }
}

#[test]
fn a_backlog_that_is_not_complete_in_time_is_drained_as_it_is() {
    let scenario = fill(json!({
        "backlog_first": true, "consumers": 2, "warmup_s": 0.3, "confirm_window": 10, "drain_s": 0.3,
    }));
    let faults = Faults {
        never_confirm: true,
        ..Faults::default()
    };
    each(&scenario, &faults, |name, recording, _| {
        assert_eq!(
            (recording.ledger.published, recording.ledger.received),
            (20, 20),
            "{name}"
        );
        assert_eq!(recording.unsent, MESSAGES - 20, "{name}");
    });
}

#[test]
fn a_counted_load_may_be_consumed_as_it_comes() {
    let load = json!({"shape": "saturating", "in_flight": 100});
    let scenario = fill(json!({"load": load, "consumers": 2}));
    each(&scenario, &Faults::default(), |name, recording, _| {
        assert!(recording.ledger.is_clean(), "{name}: {:?}", recording.ledger);
        assert_eq!(recording.ledger.received, MESSAGES, "{name}");
        assert_eq!(recording.published_in_window, MESSAGES, "{name}");
    });
}
