//! A peer that loses, repeats, reorders, damages, delays or refuses messages is caught by ledger, histograms or error:
//! a fault of the broker never passes for a good run.
#![allow(clippy::unwrap_used, reason = "test code outside test functions")]

mod fake_peer;
mod run;

use std::time::Duration;

use fake_peer::{FakePeer, Faults};
use loadgen::driver::DriverError;
use loadgen::ledger::LedgerSummary;
use loadgen::recorder::Recording;
use loadgen::scenario::Scenario;
use run::{drivers, open_loop, run};
use serde_json::json;

/// 1,000 messages over two producers.
fn thousand() -> Scenario {
    open_loop(5_000, json!({"duration_s": 0.2, "drain_s": 0.6}))
}

fn each(scenario: &Scenario, faults: &Faults, check: impl Fn(&str, Result<Recording, DriverError>)) {
    for mut driver in drivers() {
        let peer = FakePeer::start(faults.clone());
        check(driver.name(), run(driver.as_mut(), scenario, &peer.target()));
    }
}

fn ledgers(faults: &Faults, check: impl Fn(&str, &LedgerSummary)) {
    each(&thousand(), faults, |name, recording| {
        let ledger = recording.unwrap().ledger;
        assert!(!ledger.is_clean(), "{name} noticed nothing");
        assert!(!ledger.first_examples.is_empty(), "{name} gives no example");
        check(name, &ledger);
    });
}

#[test]
fn lost_messages() {
    ledgers(
        &Faults {
            drop_every: Some(100),
            ..Faults::default()
        },
        |name, ledger| {
            assert_eq!(ledger.lost, ledger.published / 100, "{name}: {ledger:?}");
            assert_eq!((ledger.duplicated, ledger.corrupt), (0, 0), "{name}");
            assert!(ledger.first_examples[0].starts_with("lost: "), "{name}");
        },
    );
}

#[test]
fn duplicates_without_the_flag() {
    ledgers(
        &Faults {
            duplicate_every: Some(50),
            ..Faults::default()
        },
        |name, ledger| {
            assert_eq!(ledger.duplicated, ledger.published / 50, "{name}: {ledger:?}");
            assert_eq!(
                (ledger.lost, ledger.redelivered, ledger.redelivered_flags),
                (0, 0, 0),
                "{name}"
            );
        },
    );
}

#[test]
fn duplicates_with_the_redelivered_flag() {
    let faults = Faults {
        duplicate_every: Some(50),
        flag_duplicates: true,
        ..Faults::default()
    };
    ledgers(&faults, |name, ledger| {
        assert_eq!(ledger.redelivered, ledger.published / 50, "{name}: {ledger:?}");
        assert_eq!((ledger.lost, ledger.duplicated), (0, 0), "{name}");
    });
}

#[test]
fn reordered_messages() {
    // One producer and one consumer, so that each exchanged pair is visible.
    let one = open_loop(
        2_000,
        json!({"producers": 1, "consumers": 1, "duration_s": 0.2, "drain_s": 0.6}),
    );
    each(
        &one,
        &Faults {
            swap_every: Some(40),
            ..Faults::default()
        },
        |name, recording| {
            let ledger = recording.unwrap().ledger;
            // The last one of all may wait for a successor that never comes.
            let swaps = ledger.published / 40;
            assert!(
                ledger.reordered >= swaps - 1 && ledger.reordered <= swaps,
                "{name}: {ledger:?}"
            );
            assert!(ledger.lost <= 1, "{name}");
            assert_eq!((ledger.duplicated, ledger.corrupt), (0, 0), "{name}");
        },
    );
}

#[test]
fn damaged_stamps() {
    ledgers(
        &Faults {
            corrupt_every: Some(100),
            corrupt_at: 9,
            ..Faults::default()
        },
        |name, ledger| {
            assert_eq!(ledger.corrupt, ledger.published / 100, "{name}: {ledger:?}");
            // What is not recognisable never arrived either.
            assert_eq!(ledger.lost, ledger.corrupt, "{name}");
        },
    );
}

#[test]
fn damaged_bodies_behind_the_stamp() {
    let large = open_loop(
        1_000,
        json!({"size_bytes": 300, "duration_s": 0.2, "drain_s": 0.6}),
    );
    each(
        &large,
        &Faults {
            corrupt_every: Some(20),
            corrupt_at: 299,
            ..Faults::default()
        },
        |name, recording| {
            let ledger = recording.unwrap().ledger;
            assert_eq!(ledger.corrupt, ledger.published / 20, "{name}: {ledger:?}");
        },
    );
}

#[test]
fn refused_messages() {
    let confirmed = open_loop(
        5_000,
        json!({"confirm_window": 1_000, "duration_s": 0.2, "drain_s": 0.6}),
    );
    each(
        &confirmed,
        &Faults {
            nack_every: Some(100),
            ..Faults::default()
        },
        |name, recording| {
            let ledger = recording.unwrap().ledger;
            assert_eq!(ledger.nacked, ledger.published / 100, "{name}: {ledger:?}");
            assert_eq!(ledger.confirmed + ledger.nacked, ledger.published, "{name}");
            assert_eq!(ledger.lost, ledger.nacked, "{name}");
        },
    );
}

#[test]
fn confirms_that_never_come() {
    let confirmed = open_loop(
        5_000,
        json!({"confirm_window": 10, "duration_s": 0.2, "drain_s": 0.4}),
    );
    each(
        &confirmed,
        &Faults {
            never_confirm: true,
            ..Faults::default()
        },
        |name, recording| {
            let recording = recording.unwrap();
            // Two full windows went out; the rest was due and is reported as unsent, not forgotten.
            assert_eq!(
                (recording.ledger.published, recording.ledger.confirmed),
                (20, 0),
                "{name}"
            );
            assert!(
                recording.unsent.abs_diff(980) <= 2,
                "{name}: {}",
                recording.unsent
            );
            assert_eq!(recording.confirm.unwrap().len(), 0, "{name}");
        },
    );
}

#[test]
fn delayed_deliveries() {
    let delay = Duration::from_millis(50);
    each(
        &thousand(),
        &Faults {
            hold: Some(delay),
            ..Faults::default()
        },
        |name, recording| {
            let recording = recording.unwrap();
            assert!(recording.ledger.is_clean(), "{name}: {:?}", recording.ledger);
            for histogram in [&recording.response, &recording.service] {
                let median = Duration::from_nanos(histogram.value_at_quantile(0.5));
                let lowest = Duration::from_nanos(histogram.min());
                assert!(lowest >= delay - Duration::from_millis(1), "{name}: {lowest:?}");
                assert!(median >= delay && median < 4 * delay, "{name}: {median:?}");
            }
        },
    );
}

/// Coordinated omission: a peer that stops reading for 200 ms delays what was due meanwhile, whether or not it could be
/// sent. From the intended instant this shows; from the actual send it need not.
#[test]
fn a_stalled_peer_shows_in_the_response_latency_of_everything_that_was_due() {
    let stall = Duration::from_millis(200);
    // Confirms hold the producer back while the peer stalls, so that it cannot send what is due.
    let one = open_loop(
        2_000,
        json!({
            "producers": 1, "consumers": 1, "confirm_window": 10, "duration_s": 0.8, "drain_s": 2.0
        }),
    );
    each(
        &one,
        &Faults {
            stall: Some((300, stall)),
            ..Faults::default()
        },
        |name, recording| {
            let recording = recording.unwrap();
            assert!(recording.ledger.is_clean(), "{name}: {:?}", recording.ledger);
            assert_eq!(recording.unsent, 0, "{name} dropped what was due");
            assert_eq!(
                recording.response.len(),
                recording.ledger.published,
                "{name} has fewer samples than messages"
            );
            let long =
                |histogram: &hdrhistogram::Histogram<u64>| histogram.count_between(100_000_000, u64::MAX);
            // 400 messages were due in those 200 ms, half of them more than 100 ms before its end.
            let (response, service) = (long(&recording.response), long(&recording.service));
            assert!(response >= 150, "{name}: only {response} long responses");
            assert!(
                service <= 20,
                "{name}: {service} long services, more than the confirm window lets out"
            );
            assert!(
                recording.response.value_at_quantile(0.99) >= 150_000_000,
                "{name}"
            );
            assert!(recording.held_back >= 300, "{name}: {}", recording.held_back);
            assert!(
                recording.schedule_lag.value_at_quantile(0.99) >= 150_000_000,
                "{name}"
            );
        },
    );
}

#[test]
fn a_refused_login_says_what_the_broker_said() {
    each(
        &thousand(),
        &Faults {
            refuse_login: true,
            ..Faults::default()
        },
        |name, recording| {
            let message = recording.unwrap_err().to_string();
            assert!(message.contains("ACCESS_REFUSED"), "{name}: {message}");
            assert!(message.contains("the topology"), "{name}: {message}");
        },
    );
}

#[test]
fn a_closed_connection_says_what_the_broker_said() {
    each(
        &thousand(),
        &Faults {
            close_after: Some(300),
            ..Faults::default()
        },
        |name, recording| {
            let message = recording.unwrap_err().to_string();
            assert!(
                message.contains("the fake peer has had enough"),
                "{name}: {message}"
            );
            assert!(message.contains("producer "), "{name}: {message}");
        },
    );
}

#[test]
fn a_peer_that_hangs_up_is_an_error() {
    each(
        &thousand(),
        &Faults {
            hang_up_after: Some(300),
            ..Faults::default()
        },
        |name, recording| {
            let message = recording.unwrap_err().to_string();
            assert!(message.contains("producer "), "{name}: {message}");
        },
    );
}

#[test]
fn a_peer_that_babbles_is_an_error() {
    each(
        &thousand(),
        &Faults {
            babble_after: Some(300),
            ..Faults::default()
        },
        |name, recording| {
            let message = recording.unwrap_err().to_string();
            assert!(message.contains("producer "), "{name}: {message}");
        },
    );
}

#[test]
fn nobody_listens() {
    let peer = FakePeer::start(Faults::default());
    let mut target = peer.target();
    // Port 1 of loopback: nothing that a test machine runs listens there.
    target.port = 1;
    for mut driver in drivers() {
        let message = run(driver.as_mut(), &thousand(), &target)
            .unwrap_err()
            .to_string();
        assert!(message.contains("the topology"), "{}: {message}", driver.name());
    }
}
