//! What the log is started with.

use clap::ValueEnum;

use super::filter::LogFilter;

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// `TIME LEVEL TARGET: MESSAGE FIELD=VALUE …`, for people.
    #[default]
    Text,
    /// One object: `time`, `level`, `target`, `message`, and `fields`, an object.
    Json,
}

impl std::fmt::Display for LogFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        })
    }
}

/// Which events are logged, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogSettings {
    /// Which.
    pub filter: LogFilter,
    /// How.
    pub format: LogFormat,
}
