//! Which events are logged: a level, or a filter expression.

use std::str::FromStr;

use tracing_subscriber::EnvFilter;

/// Environment variable with the filter, for when no flag gives one.
pub const VARIABLE: &str = "RUST_LOG";
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
/// What is allowed, for messages and help.
pub const ALLOWED: &str =
    "off, error, warn, info, debug, trace, or a filter such as broker=debug,broker::connection=trace";

/// A checked filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter(String);

impl Default for LogFilter {
    fn default() -> LogFilter {
        LogFilter("info".to_owned())
    }
}

impl FromStr for LogFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<LogFilter, String> {
        for directive in text.split(',') {
            // A word that is no level would count as a module's name, and everything else would fall silent.
            let level = directive
                .rsplit('=')
                .next()
                .unwrap_or_default()
                .trim()
                .to_ascii_lowercase();
            if !LEVELS.contains(&level.as_str()) {
                return Err(format!("expected {ALLOWED}"));
            }
        }
        match EnvFilter::try_new(text) {
            Ok(_) => Ok(LogFilter(text.to_owned())),
            Err(error) => Err(format!("{error}; expected {ALLOWED}")),
        }
    }
}

impl LogFilter {
    /// The filter of the environment, or the default when there is none.
    ///
    /// # Errors
    /// What is wrong with it, and what is allowed.
    pub fn from_environment() -> Result<LogFilter, String> {
        match std::env::var(VARIABLE) {
            Ok(text) if !text.is_empty() => text
                .parse()
                .map_err(|error| format!("invalid value '{text}' for {VARIABLE}: {error}")),
            _ => Ok(LogFilter::default()),
        }
    }

    /// As the subscriber takes it.
    pub(super) fn expression(&self) -> EnvFilter {
        EnvFilter::new(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_filters_are_accepted() {
        for text in ["info", "OFF", "broker=debug", "warn,broker::connection=trace"] {
            assert_eq!(text.parse(), Ok(LogFilter(text.to_owned())));
        }
    }

    #[test]
    fn misspelt_levels_are_refused_with_what_is_allowed() {
        for text in ["", "verbose", "inf", "broker=loud", "info,", "broker::=x=debug["] {
            let refused = text.parse::<LogFilter>().unwrap_err();
            assert!(
                refused.contains("off, error, warn, info, debug, trace"),
                "{text}: {refused}"
            );
        }
    }
}
