//! Made-up measurements for the tests of what comes after a run.

use crate::churn::{ChurnKind, ChurnRecording};
use crate::conditions::{Pressure, PressureShares};
use crate::faults::Strike;
use crate::hiccup::{HiccupSecond, HiccupUs, Hiccups};
use crate::ledger::LedgerSummary;
use crate::live::{Interval, Quantiles};
use crate::process_meter::{Counters, ProcessSample};
use crate::recorder::{LatencyBuckets, Recording, Recovery, ServerProperties, histogram};
use crate::sampler::{MachineSample, Sample};
use crate::scenario::{FaultKind, Scenario};
use crate::tls::TlsFigures;
use crate::usage::{ProcessUsage, Usage};

const SECOND_NS: u64 = 1_000_000_000;

/// A run of `scenario` that reaches all of its targets.
pub(crate) fn recording(scenario: &Scenario) -> Recording {
    let rate = scenario.offered_rate_mean().map_or(1_600_000, |rate| rate as u64);
    let copies = u64::from(scenario.copies());
    let published = (rate as f64 * scenario.duration_s) as u64;
    let mut response = histogram();
    let mut schedule_lag = histogram();
    for index in 0..100_000_u64 {
        // A body between 200 and 600 µs and a thin tail up to some milliseconds.
        let tail = if index % 1_000 == 0 { index * 40 } else { 0 };
        let latency_ns = 200_000 + (index * 7_919) % 400_000 + tail;
        response.record(latency_ns).expect("within the histogram's range");
        schedule_lag
            .record(latency_ns / 10)
            .expect("within the histogram's range");
    }
    Recording {
        service: response.clone(),
        confirm: scenario.confirm_window.map(|_| response.clone()),
        schedule_lag: if scenario.is_open_loop() {
            schedule_lag
        } else {
            histogram()
        },
        response,
        saturated: 0,
        ledger: LedgerSummary {
            published,
            expected: published * copies,
            received: published * copies,
            confirmed_lost: scenario.has_fault(FaultKind::ends_connections).then_some(0),
            unconfirmed_lost: scenario.has_fault(FaultKind::ends_connections).then_some(17),
            ..LedgerSummary::default()
        },
        published_in_window: published,
        consumed_in_window: published * copies,
        confirmed_in_window: 0,
        window_s: scenario.duration_s,
        unsent: 0,
        held_back: 0,
        reads: 100_000,
        writes: 80_000,
        blocked: 0,
        intervals: (0..(scenario.warmup_s + scenario.duration_s) as u64)
            .map(|s| interval(s, rate, copies))
            .collect(),
        server: ServerProperties {
            product: "fixture".into(),
            version: "1.0".into(),
            durability: scenario.persistent.then(|| "sync".into()),
        },
        tls: None,
        recoveries: strikes(scenario)
            .iter()
            .enumerate()
            .map(|(fault, strike)| Recovery {
                fault,
                connected_ns: strike.at_ns + 140_000_000,
                first_confirm_ns: Some(strike.at_ns + 160_000_000),
                first_delivery_ns: Some(strike.at_ns + 150_000_000),
                at_stake: 600,
                queued: Some(1_000),
                recovered: 700,
                repeated: 300,
                reply_code: None,
            })
            .collect(),
        churn: scenario
            .churn
            .into_iter()
            .flat_map(|churn| churn.rates())
            .map(|(kind, rate)| churn(kind, u64::from(rate) * scenario.duration_s as u64))
            .collect(),
        workers: Vec::new(),
        timeline: None,
        cut_short: false,
    }
}

/// Of a run over TLS of this version.
pub(crate) fn tls(version: &str) -> TlsFigures {
    TlsFigures {
        version: version.into(),
        cipher_suite: "SUITE".into(),
        verify: "verify_peer".into(),
    }
}

/// `due` of them came and went, each in 2 ms.
fn churn(kind: ChurnKind, due: u64) -> ChurnRecording {
    let mut recording = ChurnRecording::new(kind);
    (recording.due, recording.made) = (due, due);
    recording.took.saturating_record_n(2_000_000, due);
    recording
}

/// All the faults that `scenario` asks for, a second apart.
pub(crate) fn strikes(scenario: &Scenario) -> Vec<Strike> {
    let seconds = (1..).map(|second| second * SECOND_NS);
    let strikes = scenario.faults.iter().zip(seconds).map(|(fault, at_ns)| Strike {
        kind: fault.kind(),
        at_ns,
        ended_ns: Some(at_ns + 120_000_000),
    });
    strikes.collect()
}

fn interval(second: u64, rate: u64, copies: u64) -> Interval {
    let wobble = (second * 37) % 11;
    let published = rate - rate / 100 * wobble;
    let p50_ns = 300_000 + wobble * 9_000;
    let response = Quantiles {
        count: published * copies,
        p50_ns,
        p90_ns: p50_ns * 2,
        p99_ns: p50_ns * 3,
        p99_9_ns: p50_ns * (4 + wobble),
        max_ns: p50_ns * (6 + 3 * wobble),
    };
    Interval {
        t_s: (second + 1) as f64,
        length_s: 1.0,
        published,
        confirmed: 0,
        consumed: published * copies,
        response,
        service: response,
        confirm: Quantiles::default(),
        schedule_lag: Quantiles::default(),
        latency: LatencyBuckets::from_counts((0..12).map(|step| {
            let bucket = LatencyBuckets::of(p50_ns / 2) + step;
            (bucket, response.count >> (step + wobble as usize % 3))
        })),
        backlog: 3_000 + wobble * 100,
    }
}

/// A quiet machine.
pub(crate) fn usage() -> Usage {
    let process = |cpu_cores: f64, anon: u64| ProcessUsage {
        cpu_cores,
        rss_anon_bytes_max: anon,
        rss_file_bytes_max: 6 << 20,
        rss_bytes_max: anon + (6 << 20),
        rss_anon_bytes_first: anon / 2,
        counters: counters(60),
        sampled_s: 60.0,
    };
    Usage {
        broker: Some(process(0.8, 40 << 20)),
        generator: process(0.7, 30 << 20),
        steal: 0.002,
        foreign_cpu: Some(0.01),
        pressure: PressureShares::default(),
    }
}

/// Four samples a second over `seconds`, from the run's epoch on.
pub(crate) fn samples(seconds: u64) -> Vec<Sample> {
    (0..=seconds * 4)
        .map(|quarter| {
            let s = quarter as f64 / 4.0;
            let process = |cores: f64, anon_mib: u64| ProcessSample {
                cpu_s: cores * s + 0.02 * (s * 1.7).sin(),
                rss_anon_bytes: (anon_mib << 20) + (quarter % 9) * (1 << 18),
                rss_file_bytes: 6 << 20,
                counters: counters(quarter),
            };
            Sample {
                at_ns: quarter * SECOND_NS / 4,
                broker: Some(process(0.85, 24 + quarter.min(20))),
                generator: process(0.7, 30),
                machine: MachineSample {
                    total_s: 2.0 * s,
                    busy_s: 1.6 * s,
                    steal_s: 0.01 * s,
                    pressure: Pressure::default(),
                },
            }
        })
        .collect()
}

/// A machine that pauses for a tenth of a millisecond now and then.
pub(crate) fn hiccups(seconds: u64) -> Hiccups {
    let hiccup_us = HiccupUs {
        p50: 60.0,
        p99: 110.0,
        p99_9: 400.0,
        max: 900.0,
    };
    Hiccups {
        window: Some(hiccup_us),
        seconds: (1..=seconds)
            .map(|second| HiccupSecond {
                at_ns: second * SECOND_NS,
                hiccup_us,
            })
            .collect(),
    }
}

/// What a process does in `times` equal spans.
fn counters(times: u64) -> Counters {
    Counters {
        written_bytes: Some(4_096 * times),
        read_bytes: Some(0),
        read_calls: Some(20_000 * times),
        write_calls: Some(10_000 * times),
        voluntary_switches: Some(900 * times),
        involuntary_switches: Some(30 * times),
        major_faults: Some(0),
    }
}
