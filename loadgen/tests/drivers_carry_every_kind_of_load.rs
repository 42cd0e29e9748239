//! Both drivers carry every kind of scenario over a peer that behaves: nothing lost, in order, acknowledged, cleaned up.
#![allow(clippy::unwrap_used, reason = "test code outside test functions")]

mod fake_peer;
mod run;

use std::cell::RefCell;

use fake_peer::{FakePeer, Faults, Seen};
use loadgen::recorder::Recording;
use loadgen::scenario::Scenario;
use run::{drivers, open_loop, run, run_until, scenario};
use serde_json::{Value, json};

/// Runs `scenario` with both drivers; `check` gets what was recorded and what the peer saw.
fn carry(scenario: &Scenario, faults: &Faults, check: impl Fn(&str, &Recording, &Seen)) {
    for mut driver in drivers() {
        let peer = FakePeer::start(faults.clone());
        let recording = run(driver.as_mut(), scenario, &peer.target()).expect("a peer that behaves");
        let (name, ledger) = (driver.name(), &recording.ledger);
        assert!(ledger.is_clean(), "{name}: {ledger:?}");
        assert!(ledger.published > 0, "{name} sent nothing");
        assert_eq!(ledger.published, Seen::get(&peer.seen().published), "{name}");
        assert_eq!(ledger.received, Seen::get(&peer.seen().delivered), "{name}");
        assert_eq!(peer.leftovers(), 0, "{name} left queues behind");
        // Every connection of the load, and two for the topology; lapin's driver also has the other one ask who it is.
        let others = if name == "lapin" { 3 } else { 2 };
        let connections = u64::from(scenario.producers + scenario.consumers) + others;
        assert_eq!(Seen::get(&peer.seen().connections), connections, "{name}");
        assert_eq!(
            Seen::get(&peer.seen().closed),
            connections,
            "{name} did not close in order"
        );
        check(name, &recording, peer.seen());
    }
}

#[test]
fn saturating_with_manual_acks() {
    carry(
        &scenario(json!({})),
        &Faults::default(),
        |name, recording, seen| {
            let received = recording.ledger.received;
            assert_eq!(Seen::get(&seen.acked), received, "{name} owes acks");
            assert!(
                Seen::get(&seen.ack_frames) <= received / 2,
                "{name} does not batch its acks"
            );
            assert_eq!(
                recording.response.len(),
                received,
                "{name}: all was intended in the window"
            );
            assert_eq!((recording.schedule_lag.len(), recording.unsent), (0, 0), "{name}");
            assert!(recording.confirm.is_none());
            assert!(!recording.cut_short && recording.window_s == 0.2);
        },
    );
}

#[test]
fn an_open_loop_sends_exactly_its_schedule() {
    let scenario = open_loop(5_000, json!({"producers": 3, "duration_s": 0.4, "warmup_s": 0.1}));
    carry(&scenario, &Faults::default(), |name, recording, _| {
        assert_eq!(recording.unsent, 0, "{name}");
        // 0.4 s of the 0.5 s; each of three producers has its own phase.
        assert!(
            recording.response.len().abs_diff(2_000) <= 3,
            "{name}: {}",
            recording.response.len()
        );
        assert!(
            recording.ledger.published.abs_diff(2_500) <= 3,
            "{name}: {}",
            recording.ledger.published
        );
        assert_eq!(recording.schedule_lag.len(), recording.response.len(), "{name}");
        assert_eq!(recording.service.len(), recording.response.len(), "{name}");
    });
}

#[test]
fn arrivals_by_chance_and_in_bursts_are_all_sent() {
    let load =
        |arrivals: Value| json!({"shape": "open_loop", "rate_per_producer": 1_000, "arrivals": arrivals});
    let in_half_a_second = |arrivals: Value| {
        let changes = json!({"load": load(arrivals), "producers": 3, "duration_s": 0.4, "warmup_s": 0.1});
        scenario(changes)
    };
    let bursts = in_half_a_second(json!({"burst": 30}));
    carry(&bursts, &Faults::default(), |name, recording, _| {
        // A burst each 10 ms, whole ones only.
        let published = recording.ledger.published;
        assert!(
            published.is_multiple_of(30) && published.abs_diff(1_500) <= 30,
            "{name}: {published}"
        );
        assert_eq!(recording.unsent, 0, "{name}");
    });
    let counts = RefCell::new(Vec::new());
    carry(
        &in_half_a_second(json!("poisson")),
        &Faults::default(),
        |name, recording, _| {
            assert_eq!(recording.unsent, 0, "{name}");
            assert_eq!(recording.schedule_lag.len(), recording.response.len(), "{name}");
            counts.borrow_mut().push(recording.ledger.published);
        },
    );
    let counts = counts.into_inner();
    // The seed, not the driver, decides what is due.
    assert_eq!(counts[0], counts[1]);
    assert!(
        counts[0] != 1_500 && counts[0].abs_diff(1_500) < 4 * 39,
        "{counts:?}"
    );
}

#[test]
fn a_profile_is_sent_as_its_phases_say() {
    let phases = json!([{"rate": 500, "for_s": 0.2}, {"from": 500, "to": 4_500, "for_s": 0.4}]);
    let changes = json!({"load": {"shape": "profile", "phases": phases}, "duration_s": 0.6, "warmup_s": 0.2});
    carry(&scenario(changes), &Faults::default(), |name, recording, _| {
        // 100 in the warm-up, then 100 and 1,000.
        let (published, measured) = (recording.ledger.published, recording.response.len());
        assert!(published.abs_diff(1_200) <= 3, "{name}: {published}");
        assert!(measured.abs_diff(1_100) <= 3, "{name}: {measured}");
        assert_eq!(recording.unsent, 0, "{name}");
    });
}

#[test]
fn fanout_to_three_queues_with_more_consumers() {
    let changes = json!({"routing": "fanout", "queues": 3, "consumers": 5, "producers": 2});
    carry(&scenario(changes), &Faults::default(), |name, recording, _| {
        let ledger = &recording.ledger;
        assert_eq!(ledger.expected, 3 * ledger.published, "{name}");
        assert_eq!(ledger.received, ledger.expected, "{name}");
    });
}

#[test]
fn keys_decide_which_queue_gets_a_message() {
    for routing in ["direct", "topic"] {
        let keys = json!({"count": 7, "distribution": {"zipf": 1.0}});
        let changes = json!({"routing": routing, "keys": keys, "queues": 3, "consumers": 4});
        carry(&scenario(changes), &Faults::default(), |name, recording, _| {
            // Each copy came to the queue of its key, and to no other: anything else would be corrupt or lost.
            let ledger = &recording.ledger;
            assert_eq!(ledger.expected, ledger.published, "{name}");
        });
    }
}

#[test]
fn messages_of_many_sizes_arrive_as_long_as_they_were_sent() {
    let sizes = json!({"choices": [[16, 5], [17, 1], [300, 3], [20_000, 1]]});
    let changes = json!({"size_bytes": null, "sizes": sizes});
    let mixed = scenario(changes.clone());
    carry(&mixed, &Faults::default(), |_, _, _| {});
    let wrong = [
        Faults {
            lengthen_every: Some(50),
            ..Faults::default()
        },
        Faults {
            truncate_every: Some(49),
            ..Faults::default()
        },
    ];
    for faults in wrong {
        for mut driver in drivers() {
            let peer = FakePeer::start(faults.clone());
            let recording = run(driver.as_mut(), &mixed, &peer.target()).unwrap();
            let ledger = &recording.ledger;
            assert!(
                ledger.corrupt > 0 && ledger.corrupt == ledger.lost,
                "{}: {ledger:?}",
                driver.name()
            );
            let example = &ledger.first_examples[0];
            assert!(example.contains("wrong size"), "{example}");
        }
    }
}

#[test]
fn queues_with_fixed_names_stay_and_must_be_empty() {
    let fixed = |changes: Value| {
        let mut fields = json!({"queue_pattern": "load.%d", "queue_names": "fixed", "queues": 2});
        for (name, value) in changes.as_object().unwrap() {
            fields[name] = value.clone();
        }
        scenario(fields)
    };
    let both = fixed(json!({}));
    let fill = fixed(json!({"consumers": 0, "load": {"shape": "flood"}, "messages": 50, "duration_s": 10.0}));
    let take = fixed(json!({"producers": 0, "load": {"shape": "none"}}));
    for mut driver in drivers() {
        let peer = FakePeer::start(Faults::default());
        let recording = run(driver.as_mut(), &both, &peer.target()).unwrap();
        let name = driver.name();
        assert!(recording.ledger.is_clean(), "{name}");
        assert_eq!(peer.leftovers(), 2, "{name} deleted what is not its own");
        // On a peer that has not seen consumers yet: this one never forgets any.
        let peer = FakePeer::start(Faults::default());
        run(driver.as_mut(), &fill, &peer.target()).unwrap();
        let error = match run(driver.as_mut(), &both, &peer.target()) {
            Err(error) => error.to_string(),
            Ok(recording) => panic!("{name} mixed messages: {:?}", recording.ledger),
        };
        assert!(error.contains("hold 50 messages already"), "{name}: {error}");
        // Who only consumes takes them, and says nothing of them but how many there were.
        let recording = run(driver.as_mut(), &take, &peer.target()).unwrap();
        let ledger = &recording.ledger;
        assert_eq!(
            (ledger.foreign, ledger.expected, ledger.received),
            (50, 0, 0),
            "{name}"
        );
        assert!(
            ledger.is_clean() && recording.response.is_empty(),
            "{name}: {ledger:?}"
        );
        let consumed: u64 = recording.intervals.iter().map(|it| it.consumed).sum();
        assert_eq!(consumed, 50, "{name}");
        assert_eq!(peer.leftovers(), 2, "{name} deleted what is not its own");
    }
}

#[test]
fn work_that_takes_time_slows_consumers_down() {
    for work in [json!({"constant": 2_000}), json!({"exponential": 2_000})] {
        let scenario = open_loop(
            2_000,
            json!({"work_us": work, "prefetch": 20, "ack_every": 5, "duration_s": 1.0, "drain_s": 10.0}),
        );
        carry(&scenario, &Faults::default(), |name, recording, _| {
            // Two consumers, 500 a second each, and what they hold without having worked it off. Never much more.
            let consumed = recording.consumed_in_window;
            assert!(
                (100..1_300).contains(&consumed),
                "{name} consumed {consumed} in a second"
            );
            assert_eq!(recording.ledger.received, 2_000, "{name} left a backlog");
        });
    }
}

#[test]
fn what_comes_and_goes_beside_the_load_is_timed_and_counted() {
    let churn = json!({"connections_per_s": 20, "channels_per_s": 100, "queues_per_s": 50});
    let scenario = open_loop(1_000, json!({"churn": churn, "duration_s": 1.0, "warmup_s": 0.2}));
    for mut driver in drivers() {
        let peer = FakePeer::start(Faults::default());
        let recording = run(driver.as_mut(), &scenario, &peer.target()).unwrap();
        let name = driver.name();
        assert!(recording.ledger.is_clean(), "{name}: {:?}", recording.ledger);
        let due: Vec<_> = recording.churn.iter().map(|it| it.due).collect();
        assert_eq!(due, [20, 100, 50], "{name}");
        for churn in &recording.churn {
            assert_eq!(churn.errors, 0, "{name}: {:?}", churn.first_error);
            // At least one is made in time on any machine; none more than was due.
            assert!((1..=churn.due).contains(&churn.made), "{name}: {churn:?}");
            assert_eq!(churn.took.len(), churn.made, "{name}");
        }
        assert_eq!(peer.leftovers(), 0, "{name} left queues behind");
        let connections = Seen::get(&peer.seen().connections);
        assert!(
            connections >= 4 + recording.churn[0].made + 2,
            "{name}: {connections}"
        );
    }
}

#[test]
fn several_queues_without_acks() {
    let changes = json!({"queues": 2, "consumers": 3, "producers": 4, "ack_every": 0, "prefetch": 0});
    carry(&scenario(changes), &Faults::default(), |name, _, seen| {
        assert_eq!(
            Seen::get(&seen.ack_frames),
            0,
            "{name} acknowledged to a broker that expects none"
        );
    });
}

#[test]
fn confirms_persistence_and_single_acks() {
    let changes = json!({"confirm_window": 20, "persistent": true, "durable": true, "ack_every": 1});
    for faults in [
        Faults::default(),
        Faults {
            confirm_backwards: true,
            ..Faults::default()
        },
    ] {
        carry(&scenario(changes.clone()), &faults, |name, recording, seen| {
            let confirm = recording.confirm.as_ref().unwrap();
            assert_eq!(recording.ledger.confirmed, recording.ledger.published, "{name}");
            assert_eq!(confirm.len(), recording.ledger.published, "{name}");
            assert_eq!(Seen::get(&seen.delivery_mode), 2, "{name}");
            assert_eq!(Seen::get(&seen.ack_frames), recording.ledger.received, "{name}");
        });
    }
}

#[test]
fn queues_are_of_the_type_that_the_scenario_names() {
    for (changes, quorum_queues) in [
        (json!({}), 0),
        (json!({"queue_type": "classic"}), 0),
        (json!({"queue_type": "quorum", "durable": true, "queues": 2}), 2),
    ] {
        carry(&scenario(changes), &Faults::default(), |name, _, seen| {
            assert_eq!(Seen::get(&seen.quorum_queues), quorum_queues, "{name}");
        });
    }
}

#[test]
fn bodies_in_several_frames() {
    let changes = json!({"size_bytes": 20_000, "load": {"shape": "saturating", "in_flight": 4}});
    // The smallest frames that lapin agrees to.
    let small_frames = Faults {
        frame_bytes_max: 8_192,
        ..Faults::default()
    };
    carry(&scenario(changes), &small_frames, |_, _, _| {});
}

#[test]
fn a_body_larger_than_the_read_buffer() {
    let changes = json!({"size_bytes": 1_000_000, "load": {"shape": "saturating", "in_flight": 2}});
    carry(&scenario(changes), &Faults::default(), |_, _, _| {});
}

#[test]
fn bodies_that_consumers_of_perftest_can_read() {
    for (body, size_bytes) in [("perftest", 28), ("perftest_millis", 5_000)] {
        let changes = json!({"body": body, "size_bytes": size_bytes});
        carry(&open_loop(2_000, changes), &Faults::default(), |_, _, _| {});
    }
}

#[test]
fn the_series_and_the_totals_agree() {
    let scenario = open_loop(2_000, json!({"duration_s": 1.3}));
    carry(&scenario, &Faults::default(), |name, recording, _| {
        assert!(recording.intervals.len() >= 2, "{name}");
        let sum = |count: fn(&loadgen::live::Interval) -> u64| -> u64 {
            recording.intervals.iter().map(count).sum()
        };
        assert_eq!(
            sum(|interval| interval.published),
            recording.ledger.published,
            "{name}"
        );
        assert_eq!(
            sum(|interval| interval.consumed),
            recording.ledger.received,
            "{name}"
        );
        assert_eq!(
            sum(|interval| interval.response.count),
            recording.ledger.received,
            "{name}"
        );
        assert_eq!(recording.intervals.last().unwrap().backlog, 0, "{name}");
    });
}

#[test]
fn an_interrupt_drains_and_reports_what_there_is() {
    for mut driver in drivers() {
        let peer = FakePeer::start(Faults::default());
        let scenario = open_loop(1_000, json!({"duration_s": 600.0}));
        let seen = peer.seen();
        let recording = run_until(driver.as_mut(), &scenario, &peer.target(), |control| {
            while Seen::get(&seen.delivered) < 100 {
                std::thread::yield_now();
            }
            control.interrupt();
        })
        .unwrap();
        assert!(
            recording.cut_short && recording.window_s < 60.0,
            "{}",
            driver.name()
        );
        assert!(
            recording.ledger.is_clean() && recording.ledger.received >= 100,
            "{}",
            driver.name()
        );
        assert_eq!(recording.unsent, 0, "{}", driver.name());
    }
}

#[test]
fn both_drivers_report_who_they_drove_and_what_its_confirms_are_worth() {
    for mut driver in drivers() {
        let peer = FakePeer::start(Faults::default());
        let recording = run(driver.as_mut(), &scenario(json!({})), &peer.target()).unwrap();
        let server = &recording.server;
        assert_eq!(
            (server.product.as_str(), server.version.as_str()),
            ("fake peer", "1.2.3"),
            "{}",
            driver.name()
        );
        assert_eq!(server.durability.as_deref(), Some("sync"), "{}", driver.name());
        let socket_calls_are_known = driver.name() == "native";
        assert_eq!(
            recording.reads > 0 && recording.writes > 0,
            socket_calls_are_known
        );
    }
}

#[test]
fn slow_consumers_keep_to_their_rate_until_the_load_is_over() {
    let scenario = open_loop(
        4_000,
        json!({"consume_rate_max": 1_000, "prefetch": 20, "ack_every": 5, "duration_s": 1.0, "drain_s": 10.0}),
    );
    carry(&scenario, &Faults::default(), |name, recording, seen| {
        let consumed = recording.consumed_in_window;
        // What the two may hold without having worked it off comes on top of the 1,000.
        assert!(
            (800..=1_000 + 2 * 20).contains(&consumed),
            "{name} consumed {consumed} in a second"
        );
        // The schedule is kept; the last ones may be sent when the window has closed.
        assert!(recording.published_in_window >= 3_900, "{name}");
        assert_eq!(recording.unsent, 0, "{name}");
        assert_eq!(Seen::get(&seen.acked), recording.ledger.received, "{name}");
        assert_eq!(recording.ledger.received, 4_000, "{name} left a backlog");
    });
}
