//! The log of this process: one, from its start to its end.

use std::io::{IsTerminal as _, Write as _, stderr};
use std::panic;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tracing::Level;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry};

use super::layer::{Log, LogLayer};
use super::line::{Parts, Value};
use super::settings::{LogFormat, LogSettings};

/// How often limits are looked at that have ended.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

struct Process {
    log: Arc<Log>,
    filter: Handle<EnvFilter, Registry>,
}

static PROCESS: OnceLock<Process> = OnceLock::new();

/// Starts logging for the whole process. A second call changes nothing.
pub fn init(settings: &LogSettings) {
    let write = |line: &str| {
        let _ = stderr().lock().write_all(line.as_bytes());
    };
    let log = Arc::new(Log::new(settings.format, stderr().is_terminal(), Box::new(write)));
    let (filter, handle) = reload::Layer::new(settings.filter.expression());
    let subscriber = tracing_subscriber::registry()
        .with(filter)
        .with(LogLayer(Arc::clone(&log)));
    // Refused only when the process logs already, as a test's may.
    if subscriber.try_init().is_ok() {
        hook_panics(Arc::clone(&log));
        let _ = PROCESS.set(Process { log, filter: handle });
    }
}

/// Logs by other settings from here on, if this process's log was started by [`init`].
pub fn change(settings: &LogSettings) {
    if let Some(process) = PROCESS.get() {
        process.log.set_format(settings.format);
        // Fails only when the subscriber is gone, which is the process's.
        let _ = process.filter.reload(settings.filter.expression());
    }
}

/// Tells, once a second, of lines that were left out. Never returns.
pub async fn watch_limits() {
    let mut interval = tokio::time::interval(WATCH_INTERVAL);
    loop {
        interval.tick().await;
        if let Some(process) = PROCESS.get() {
            process.log.tell_left_out(false);
        }
    }
}

/// Tells of all lines that were left out so far: the log ends.
pub fn flush_limits() {
    if let Some(process) = PROCESS.get() {
        process.log.tell_left_out(true);
    }
}

/// Says why the process ends, whatever is filtered out.
pub fn fail(error: &anyhow::Error) {
    match PROCESS.get() {
        Some(process) if process.log.format() == LogFormat::Json => {
            let parts = Parts {
                message: "the broker has failed".to_owned(),
                fields: vec![("error", Value::Text(format!("{error:#}")))],
            };
            process.log.write(Level::ERROR, module_path!(), parts);
        }
        _ => eprintln!("broker: {error:#}"),
    }
}

/// Makes a panic one line where lines are objects; as text it keeps its usual form, with a backtrace where one is asked for.
fn hook_panics(log: Arc<Log>) {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if log.format() == LogFormat::Text {
            usual(info);
            return;
        }
        let thread = std::thread::current();
        let mut fields = vec![(
            "thread",
            Value::Text(thread.name().unwrap_or("(unnamed)").to_owned()),
        )];
        if let Some(place) = info.location() {
            fields.push(("place", Value::Text(place.to_string())));
        }
        let said = info.payload_as_str().unwrap_or("(no text)");
        fields.push(("error", Value::Text(said.to_owned())));
        let message = "a defect: a thread has panicked".to_owned();
        log.write(Level::ERROR, module_path!(), Parts { message, fields });
    }));
}
