//! Faults: what is done within the measured window to the broker, to consumers or to connections, so that the run shows
//! what becomes of the messages.
//!
//! They strike one after the other: the range of each begins where the one before it has ended at the latest.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DriverKind, Fault, Scenario};

/// One fault. Every `after_s` is the range of its seeded instant, in seconds since the measured window began.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum InjectedFault {
    /// SIGKILL, then a new start of the broker on the same data directory.
    Kill {
        /// When.
        after_s: (f64, f64),
    },
    /// SIGTERM, then a new start of the broker on the same data directory.
    Restart {
        /// When.
        after_s: (f64, f64),
    },
    /// SIGSTOP, and SIGCONT after a while: the broker is there and does nothing.
    Pause {
        /// When.
        after_s: (f64, f64),
        /// For so many seconds.
        for_s: f64,
    },
    /// Consumers neither read nor acknowledge.
    Stall {
        /// When.
        after_s: (f64, f64),
        /// For so many seconds.
        for_s: f64,
        /// Share of the consumers, seeded; at least one of them.
        #[serde(default = "all", skip_serializing_if = "is_all")]
        share: f64,
    },
    /// Connections are cut by a proxy between clients and broker.
    Cut {
        /// When.
        after_s: (f64, f64),
        /// Share of the producers and of the consumers, seeded; at least one of each.
        #[serde(default = "all", skip_serializing_if = "is_all")]
        share: f64,
        /// How both sides learn of it.
        #[serde(default, skip_serializing_if = "CutBy::is_reset")]
        by: CutBy,
    },
}

/// How a connection ends that is cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CutBy {
    /// RST to both sides: what they have not read yet is gone.
    #[default]
    Reset,
    /// FIN to both sides: they read what was sent, and no more.
    Finish,
}

impl CutBy {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
    fn is_reset(&self) -> bool {
        *self == Self::Reset
    }
}

/// What kind of fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The broker was killed and started again.
    Kill,
    /// It was shut down in order and started again.
    Restart,
    /// It was stopped and continued.
    Pause,
    /// Consumers stood still.
    Stall,
    /// Connections were cut.
    Cut,
}

impl FaultKind {
    /// The name in scenarios, results and charts.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Restart => "restart",
            Self::Pause => "pause",
            Self::Stall => "stall",
            Self::Cut => "cut",
        }
    }

    /// Whether it is done to the broker's process, which loadgen does only to its own.
    #[must_use]
    pub fn strikes_the_broker(self) -> bool {
        matches!(self, Self::Kill | Self::Restart | Self::Pause)
    }

    /// Whether the broker ends by it and starts again.
    #[must_use]
    pub fn ends_the_broker(self) -> bool {
        matches!(self, Self::Kill | Self::Restart)
    }

    /// Whether connections end by it, so that messages may be repeated and unconfirmed ones lost.
    #[must_use]
    pub fn ends_connections(self) -> bool {
        matches!(self, Self::Kill | Self::Restart | Self::Cut)
    }
}

impl InjectedFault {
    /// What kind of fault it is.
    #[must_use]
    pub fn kind(&self) -> FaultKind {
        match self {
            Self::Kill { .. } => FaultKind::Kill,
            Self::Restart { .. } => FaultKind::Restart,
            Self::Pause { .. } => FaultKind::Pause,
            Self::Stall { .. } => FaultKind::Stall,
            Self::Cut { .. } => FaultKind::Cut,
        }
    }

    /// The range of its instant, in seconds since the measured window began.
    #[must_use]
    pub fn after_s(&self) -> (f64, f64) {
        match *self {
            Self::Kill { after_s }
            | Self::Restart { after_s }
            | Self::Pause { after_s, .. }
            | Self::Stall { after_s, .. }
            | Self::Cut { after_s, .. } => after_s,
        }
    }

    /// How long it lasts by itself, in seconds; 0 when it is done at once.
    #[must_use]
    pub fn for_s(&self) -> f64 {
        match *self {
            Self::Pause { for_s, .. } | Self::Stall { for_s, .. } => for_s,
            Self::Kill { .. } | Self::Restart { .. } | Self::Cut { .. } => 0.0,
        }
    }
}

impl Scenario {
    /// Whether one of its faults is of such a kind.
    #[must_use]
    pub fn has_fault(&self, kind: impl Fn(FaultKind) -> bool) -> bool {
        self.faults.iter().any(|fault| kind(fault.kind()))
    }
}

fn all() -> f64 {
    1.0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_all(share: &f64) -> bool {
    *share == 1.0
}

/// A broker that ends keeps only what it was asked to keep, and only acknowledged deliveries have arrived for sure.
pub(super) fn check(scenario: &Scenario) -> Result<(), Fault> {
    check_bound(scenario)?;
    if scenario.faults.is_empty() {
        return Ok(());
    }
    let refused = |field: &str, value: &str, allowed: &str| Err(Fault::new(field, value, allowed));
    if scenario.driver == DriverKind::Lapin {
        let allowed = "native when there are faults: the lapin driver neither stalls nor connects anew";
        return refused("driver", "lapin", allowed);
    }
    if !scenario.persistent && scenario.has_fault(FaultKind::ends_the_broker) {
        return refused(
            "persistent",
            "false",
            "true when there are faults that end the broker (kill, restart)",
        );
    }
    if scenario.confirm_window.is_none() && scenario.has_fault(FaultKind::ends_connections) {
        let allowed = "a whole number when there are faults that end connections (kill, restart, cut): only what was confirmed must survive";
        return refused("confirm_window", "null", allowed);
    }
    if scenario.consumers == 0 {
        let allowed = "at least 1 when there are faults: what is not consumed proves nothing";
        return refused("consumers", "0", allowed);
    }
    if scenario.ack_every == 0 && scenario.has_fault(FaultKind::ends_connections) {
        let allowed = "at least 1 when there are faults that end connections: what is not acknowledged is not delivered again";
        return refused("ack_every", "0", allowed);
    }
    if let Some(messages) = scenario.messages {
        let allowed = "null when there are faults, whose instants lie in a window of known length";
        return refused("messages", &messages.to_string(), allowed);
    }
    check_order(scenario)
}

/// Sums of decimal fractions are not exact: 0.2 + 0.1 is more than 0.3.
const ROUNDING_S: f64 = 1e-9;

fn check_order(scenario: &Scenario) -> Result<(), Fault> {
    let mut earliest_s = 0.0;
    for (index, fault) in scenario.faults.iter().enumerate() {
        let (from_s, to_s) = fault.after_s();
        if from_s + ROUNDING_S < earliest_s || to_s + fault.for_s() > scenario.duration_s + ROUNDING_S {
            let lasting = match fault.for_s() {
                0.0 => String::new(),
                for_s => format!(" less for_s = {for_s}"),
            };
            let allowed = format!(
                "between {earliest_s} (where the fault before it ends) and duration_s = {}{lasting}",
                scenario.duration_s
            );
            let found = format!("[{from_s}, {to_s}]");
            return Err(Fault::new(format!("faults[{index}].after_s"), found, allowed));
        }
        earliest_s = to_s + fault.for_s();
    }
    Ok(())
}

fn check_bound(scenario: &Scenario) -> Result<(), Fault> {
    let Some(bound_us) = scenario.recovered_p99_us_max else {
        return Ok(());
    };
    let allowed = if scenario.faults.is_empty() {
        "null without faults: there is nothing to recover from"
    } else if !scenario.is_open_loop() {
        "null unless the load is an open loop: otherwise the window decides the latency (see METHOD.md)"
    } else if scenario.consume_rate_max.is_some() || scenario.work_us.is_some() {
        "null when the consumers are slow: they decide the latency"
    } else {
        return Ok(());
    };
    Err(Fault::new("recovered_p99_us_max", bound_us, allowed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Load, built_in};

    fn crash(change: impl FnOnce(&mut Scenario)) -> Result<(), Fault> {
        let mut scenario = built_in("crash").unwrap();
        change(&mut scenario);
        check(&scenario)
    }

    fn refused(change: impl FnOnce(&mut Scenario)) -> String {
        let fault = crash(change).unwrap_err();
        assert!(fault.allowed.contains("fault"), "{fault:?}");
        fault.field
    }

    #[test]
    fn a_fault_is_survived_only_by_what_asked_for_it() {
        assert_eq!(refused(|s| s.driver = DriverKind::Lapin), "driver");
        assert_eq!(
            refused(|s| (s.persistent, s.durable) = (false, false)),
            "persistent"
        );
        assert_eq!(refused(|s| s.confirm_window = None), "confirm_window");
        assert_eq!(refused(|s| s.ack_every = 0), "ack_every");
        assert_eq!(refused(|s| s.consumers = 0), "consumers");
        assert_eq!(refused(|s| s.messages = Some(9)), "messages");
    }

    #[test]
    fn a_fault_that_leaves_the_connections_alone_asks_for_less() {
        for fault in [
            InjectedFault::Pause {
                after_s: (0.0, 1.0),
                for_s: 1.0,
            },
            InjectedFault::Stall {
                after_s: (0.0, 1.0),
                for_s: 1.0,
                share: 0.5,
            },
        ] {
            let plain = |s: &mut Scenario| {
                s.faults = vec![fault];
                (s.persistent, s.durable, s.confirm_window) = (false, false, None);
                (s.consume_rate_max, s.prefetch, s.ack_every) = (None, 0, 0);
            };
            assert_eq!(crash(plain), Ok(()));
        }
        let cut = InjectedFault::Cut {
            after_s: (0.0, 1.0),
            share: 1.0,
            by: CutBy::Reset,
        };
        assert_eq!(
            crash(|s| (s.faults, s.persistent, s.durable) = (vec![cut], false, false)),
            Ok(())
        );
    }

    #[test]
    fn faults_strike_one_after_the_other() {
        let kill = |from, to| InjectedFault::Kill { after_s: (from, to) };
        let pause = InjectedFault::Pause {
            after_s: (0.5, 1.0),
            for_s: 0.5,
        };
        let order = |faults: Vec<InjectedFault>| {
            crash(|s| (s.duration_s, s.faults) = (3.0, faults)).map_err(|fault| fault.field)
        };
        assert_eq!(order(vec![kill(0.5, 1.0), kill(1.0, 3.0)]), Ok(()));
        assert_eq!(order(vec![pause, kill(1.5, 3.0)]), Ok(()));
        let short = InjectedFault::Pause {
            after_s: (0.1, 0.2),
            for_s: 0.1,
        };
        assert_eq!(order(vec![short, kill(0.3, 3.0)]), Ok(()));
        let bad = [
            vec![kill(0.5, 1.0), kill(0.9, 3.0)],
            vec![kill(0.5, 1.0), kill(1.0, 3.1)],
            vec![pause, kill(1.4, 3.0)],
        ];
        for faults in bad {
            assert_eq!(order(faults), Err("faults[1].after_s".to_owned()));
        }
        let late = InjectedFault::Pause {
            after_s: (2.0, 2.6),
            for_s: 0.5,
        };
        assert_eq!(order(vec![late]), Err("faults[0].after_s".to_owned()));
    }

    #[test]
    fn recovery_is_judged_where_the_broker_decides_the_latency() {
        let bound = |change: fn(&mut Scenario)| {
            crash(|s| {
                s.recovered_p99_us_max = Some(5_000.0);
                s.consume_rate_max = None;
                change(s);
            })
            .map_err(|fault| fault.field)
        };
        assert_eq!(bound(|_| {}), Ok(()));
        let refused = Err("recovered_p99_us_max".to_owned());
        assert_eq!(bound(|s| s.faults.clear()), refused);
        assert_eq!(bound(|s| s.load = Load::Saturating { in_flight: 100 }), refused);
        assert_eq!(bound(|s| s.consume_rate_max = Some(9_000)), refused);
    }

    #[test]
    fn what_is_left_out_is_not_written() {
        let text = r#"{"kind":"cut","after_s":[1.0,2.0]}"#;
        let fault: InjectedFault = serde_json::from_str(text).unwrap();
        let InjectedFault::Cut { share, by, .. } = fault else {
            panic!("{fault:?}")
        };
        assert_eq!((share, by), (1.0, CutBy::Reset));
        assert_eq!(serde_json::to_string(&fault).unwrap(), text);
    }
}
