//! What `tracing` calls for each event that the filter lets pass.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::limiter::{INTERVAL, LeftOut, Limiter, Verdict};
use super::line::{Line, Parts, Value};
use super::settings::LogFormat;

/// Where lines go, each in one call. What cannot be written is lost: to complain of that in the same place would be as
/// vain, and must not hurt the thread that had something to say.
pub(super) type Sink = Box<dyn Fn(&str) + Send + Sync>;

/// A log.
pub(super) struct Log {
    as_json: AtomicBool,
    in_colour: bool,
    limiter: Limiter,
    sink: Sink,
}

/// A log as `tracing` sees it.
#[derive(Clone, Debug)]
pub(super) struct LogLayer(pub(super) Arc<Log>);

impl Log {
    pub(super) fn new(format: LogFormat, in_colour: bool, sink: Sink) -> Log {
        Log {
            as_json: AtomicBool::new(format == LogFormat::Json),
            in_colour,
            limiter: Limiter::default(),
            sink,
        }
    }

    pub(super) fn format(&self) -> LogFormat {
        match self.as_json.load(Ordering::Relaxed) {
            true => LogFormat::Json,
            false => LogFormat::Text,
        }
    }

    pub(super) fn set_format(&self, format: LogFormat) {
        self.as_json.store(format == LogFormat::Json, Ordering::Relaxed);
    }

    /// Writes a line, whatever filter and limit say.
    pub(super) fn write(&self, level: Level, target: &str, parts: Parts) {
        let line = Line {
            time_us: unix_us(),
            level,
            target,
            parts,
        };
        (self.sink)(&line.render(self.format(), self.in_colour));
    }

    /// Tells what was left out of kinds whose limit is over.
    pub(super) fn tell_left_out(&self, log_ends: bool) {
        for left_out in self.limiter.ended(Instant::now(), log_ends) {
            self.tell(left_out);
        }
    }

    fn tell(&self, left_out: LeftOut) {
        let mut fields = vec![("like", Value::Text(left_out.like))];
        if !left_out.about.is_empty() {
            fields.push(("about", Value::Text(left_out.about)));
        }
        fields.push(("left_out", Value::Number(left_out.count.into())));
        fields.push(("within_s", Value::Number(INTERVAL.as_secs().into())));
        let parts = Parts {
            message: "more lines like this were left out".to_owned(),
            fields,
        };
        self.write(left_out.level, left_out.target, parts);
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("as_json", &self.as_json)
            .field("limiter", &self.limiter)
            .finish_non_exhaustive()
    }
}

impl<S: Subscriber> Layer<S> for LogLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let parts = Parts::of(event);
        let about = parts.about();
        match self
            .0
            .limiter
            .admit(metadata, &parts.message, about, Instant::now())
        {
            Verdict::LeaveOut => {}
            Verdict::Write(before) => {
                if let Some(left_out) = before {
                    self.0.tell(left_out);
                }
                self.0.write(*metadata.level(), metadata.target(), parts);
            }
        }
    }
}

fn unix_us() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_micros() as u64)
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::super::limiter::LINES_MAX;
    use super::*;

    /// What `act` logs, line by line, and what the end of the log adds.
    fn logged(act: impl FnOnce()) -> Vec<String> {
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let written = Arc::clone(&lines);
        let sink: Sink = Box::new(move |line| written.lock().push(line.to_owned()));
        let log = Arc::new(Log::new(LogFormat::Text, false, sink));
        let subscriber = tracing_subscriber::registry().with(LogLayer(Arc::clone(&log)));
        tracing::subscriber::with_default(subscriber, act);
        log.tell_left_out(false);
        log.tell_left_out(true);
        std::mem::take(&mut *lines.lock())
    }

    #[test]
    fn a_flood_is_counted_and_the_count_is_told() {
        let lines = logged(|| {
            for number in 0..100 {
                tracing::warn!(number, "a client said something");
            }
            tracing::warn!("another kind");
        });
        let max = LINES_MAX as usize;
        assert_eq!(lines.len(), max + 2, "{lines:#?}");
        assert!(
            lines[max - 1].contains("a client said something number=9"),
            "{lines:#?}"
        );
        assert!(lines[max].contains("another kind"));
        let told = "left out like=\"a client said something\" left_out=90 within_s=10\n";
        assert!(lines[max + 1].ends_with(told), "{lines:#?}");
    }

    #[test]
    fn one_clients_flood_hides_no_other_clients_lines() {
        let lines = logged(|| {
            for port in 0..1_000 {
                tracing::warn!(peer = %format_args!("10.0.0.7:{port}"), "login refused");
            }
            tracing::warn!(peer = "10.0.0.8:1", "login refused");
            for code in ["NOT_FOUND - no queue 'a'", "INTERNAL_ERROR - the log has failed"] {
                for _ in 0..20 {
                    tracing::info!(peer = "[::1]:1", failure = code, "channel closed");
                }
            }
        });
        let told = |words: &str| lines.iter().filter(|line| line.contains(words)).count();
        assert_eq!(told("10.0.0.8:1"), 1, "{lines:#?}");
        assert_eq!(told("INTERNAL_ERROR - "), 10, "{lines:#?}");
        assert_eq!(told("about=\"10.0.0.7\" left_out=990"), 1, "{lines:#?}");
        assert_eq!(told("about=\"[::1] NOT_FOUND\" left_out=10"), 1, "{lines:#?}");
    }

    #[test]
    fn who_there_is_no_room_for_is_counted_with_the_others() {
        let lines = logged(|| {
            for host in 0..5_000 {
                tracing::warn!(peer = %format_args!("10.0.{}.{}:1", host / 256, host % 256), "login refused");
            }
        });
        assert!(lines.len() < 1_100, "{}", lines.len());
        assert!(
            lines
                .iter()
                .any(|line| line.contains("like=\"login refused\" left_out="))
        );
    }

    #[test]
    fn what_an_operator_causes_and_what_he_asks_for_is_told_in_full() {
        let lines = logged(|| {
            for _ in 0..100 {
                tracing::info!(target: "broker::reload", "setting changed");
                tracing::debug!("connection ended");
            }
        });
        assert_eq!(lines.len(), 200);
    }
}
