//! While the broker serves: its state for people, and a sign of life that means something.
//!
//! The sign says that the main thread, which accepts, has run this task, and that every reactor and the log thread have gone round
//! their loops since the sign before: one that is stuck, on a lock or on a disk that does not answer, ends the signs, and the
//! service manager ends the process. A log that has *failed* is no such case: clients are told, and messages in memory can
//! still be consumed; when to start again is a person's decision.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Notifier;
use crate::broker::Broker;
use crate::pulse::Pulse;
use crate::stage::{Phase, Stage};

/// How often the state is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Signs of life in the time after which the service manager would miss one.
const SIGNS: u32 = 4;
/// How long the service manager waits for a sign of life, in microseconds.
const WATCHDOG_VARIABLE: &str = "WATCHDOG_USEC";
/// Whose sign it waits for; without it, that of whoever reads this.
const PID_VARIABLE: &str = "WATCHDOG_PID";

/// See the module documentation.
#[derive(Debug)]
pub(crate) struct Watch {
    notifier: Arc<Notifier>,
    stage: Arc<Stage>,
    broker: Arc<Broker>,
    watchdog: Option<Duration>,
    told: String,
    /// Since when an answer has been missing.
    silent_since: Option<Instant>,
    has_warned: bool,
}

impl Watch {
    /// Of a broker that serves.
    pub(crate) fn new(notifier: Arc<Notifier>, stage: Arc<Stage>, broker: Arc<Broker>) -> Watch {
        let variable = |name| std::env::var(name).ok();
        let watchdog = watchdog(
            variable(WATCHDOG_VARIABLE).as_deref(),
            variable(PID_VARIABLE).as_deref(),
            std::process::id(),
        );
        let told = status(&stage);
        Watch {
            notifier,
            stage,
            broker,
            watchdog,
            told,
            silent_since: None,
            has_warned: false,
        }
    }

    /// What is to be said of a broker that serves.
    pub(crate) fn status(&self) -> &str {
        &self.told
    }

    /// Never returns; goes on while the broker stops, which may take longer than the service manager waits.
    pub(crate) async fn run(mut self) {
        let mut interval = tokio::time::interval(look_interval(self.watchdog));
        loop {
            interval.tick().await;
            let is_stopping = self.stage.phase() == Phase::Stopping;
            if !is_stopping {
                self.tell_state();
            }
            if let Some(watchdog) = self.watchdog {
                // Threads end one after the other now; how long that may take, the service manager limits otherwise.
                if is_stopping || self.have_all_answered(watchdog) {
                    self.notifier.alive();
                }
            }
        }
    }

    fn tell_state(&mut self) {
        let status = status(&self.stage);
        if status != self.told && self.notifier.status(&status) {
            self.told = status;
        }
    }

    /// True when all threads have answered, which are asked again then.
    fn have_all_answered(&mut self, watchdog: Duration) -> bool {
        let silent = silent(&pulses(&self.broker));
        if silent.is_empty() {
            (self.silent_since, self.has_warned) = (None, false);
            for inbox in self.broker.inboxes() {
                inbox.ask();
            }
            self.broker.store.log_thread().shared().ask();
            return true;
        }
        let since = *self.silent_since.get_or_insert_with(Instant::now);
        if !self.has_warned && since.elapsed() >= watchdog / 2 {
            self.has_warned = true;
            tracing::error!(
                threads = silent.join(", "),
                "no progress: the service manager ends the process unless that changes"
            );
        }
        false
    }
}

/// The threads that messages need, by name.
fn pulses(broker: &Broker) -> Vec<(String, &Pulse)> {
    let reactors = broker.inboxes().iter().enumerate();
    let reactors = reactors.map(|(index, inbox)| (format!("reactor-{index}"), &inbox.pulse));
    let log = broker.store.log_thread().shared().pulse();
    reactors.chain([("log".to_owned(), log)]).collect()
}

fn silent(pulses: &[(String, &Pulse)]) -> Vec<String> {
    pulses
        .iter()
        .filter(|(_, pulse)| !pulse.is_answered())
        .map(|(name, _)| name.clone())
        .collect()
}

fn status(stage: &Stage) -> String {
    let obstacles: Vec<String> = stage.obstacles().into_iter().map(|(_, reason)| reason).collect();
    if !obstacles.is_empty() {
        return obstacles.join("; ");
    }
    let addresses: Vec<String> = stage
        .addresses()
        .iter()
        .map(|(protocol, address)| format!("{address} ({})", protocol.name()))
        .collect();
    match addresses.is_empty() {
        true => "serving".to_owned(),
        false => format!("serving on {}", addresses.join(", ")),
    }
}

/// How often to look, and to give a sign where one is waited for.
fn look_interval(watchdog: Option<Duration>) -> Duration {
    watchdog.map_or(LOOK_INTERVAL, |watchdog| LOOK_INTERVAL.min(watchdog / SIGNS))
}

/// How long the service manager waits for a sign of life of this process, if it does.
fn watchdog(usec: Option<&str>, of_pid: Option<&str>, pid: u32) -> Option<Duration> {
    let usec: u64 = usec?.parse().ok().filter(|&usec| usec > 0)?;
    let is_meant = of_pid.is_none_or(|of_pid| of_pid.parse() == Ok(pid));
    is_meant.then(|| Duration::from_micros(usec))
}

#[cfg(test)]
mod tests {
    use seglog::simulation::SimStorage;

    use super::*;
    use crate::config::Config;

    #[test]
    fn reactors_that_do_not_run_end_the_signs_and_are_named() {
        let config = Config {
            reactors: 2,
            ..Config::default()
        };
        let (broker, _jobs) = Broker::open(config, Arc::new(SimStorage::default())).unwrap();
        let notifier = Arc::new(Notifier::from_environment());
        let mut watch = Watch::new(notifier, Arc::default(), Arc::clone(&broker));
        let minute = Duration::from_secs(60);
        assert!(watch.have_all_answered(minute), "nobody has been asked");
        for _ in 0..2 {
            assert!(!watch.have_all_answered(minute));
            assert!(watch.silent_since.is_some() && !watch.has_warned);
        }
        assert!(!watch.have_all_answered(Duration::ZERO) && watch.has_warned);

        // The log thread runs.
        let log = broker.store.log_thread();
        let deadline = Instant::now() + minute;
        while !log.shared().pulse().is_answered() {
            assert!(Instant::now() < deadline, "the log thread does not answer");
            std::thread::yield_now();
        }
        log.stop();
        assert_eq!(silent(&pulses(&broker)), ["reactor-0", "reactor-1"]);
        broker.inboxes()[0].pulse.answer();
        assert_eq!(silent(&pulses(&broker)), ["reactor-1"]);
        assert!(!watch.have_all_answered(minute));
        broker.inboxes()[1].pulse.answer();
        assert!(watch.have_all_answered(minute));
        assert!(watch.silent_since.is_none() && !watch.has_warned);
        // It was asked again, and it is not there any more.
        assert_eq!(silent(&pulses(&broker)), ["reactor-0", "reactor-1", "log"]);
    }

    #[test]
    fn signs_come_several_times_before_one_is_missed() {
        for (watchdog, expected_ms) in [
            (None, 1000),
            (Some(Duration::from_secs(60)), 1000),
            (Some(Duration::from_secs(1)), 250),
        ] {
            assert_eq!(
                look_interval(watchdog),
                Duration::from_millis(expected_ms),
                "{watchdog:?}"
            );
        }
    }

    #[test]
    fn signs_of_life_are_for_who_waits_for_this_process() {
        let minute = Some(Duration::from_secs(60));
        for (usec, of_pid, expected) in [
            (Some("60000000"), None, minute),
            (Some("60000000"), Some("7"), minute),
            (Some("60000000"), Some("8"), None),
            (Some("60000000"), Some("it"), None),
            (Some("0"), None, None),
            (Some("soon"), None, None),
            (None, Some("7"), None),
        ] {
            assert_eq!(watchdog(usec, of_pid, 7), expected, "{usec:?} {of_pid:?}");
        }
    }

    #[test]
    fn who_has_not_come_by_is_named() {
        let (quick, stuck) = (Pulse::default(), Pulse::default());
        let threads = [("reactor-0".to_owned(), &quick), ("log".to_owned(), &stuck)];
        assert_eq!(silent(&threads), Vec::<String>::new());
        quick.ask();
        stuck.ask();
        quick.answer();
        assert_eq!(silent(&threads), ["log"]);
        stuck.answer();
        assert!(silent(&threads).is_empty());
    }
}
