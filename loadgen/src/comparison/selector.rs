//! Which runs of the history are meant.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::history::Line;

/// Digits of a commit or a run's id that are enough to mean it.
const PREFIX_MIN: usize = 4;

/// Runs that meet all of some conditions, e.g. `1234abc`, `target=embedded,scenario=20p20c`.
#[derive(Clone, Debug, PartialEq)]
pub struct Selector {
    text: String,
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug, PartialEq)]
enum Condition {
    /// The broker's commit or the run's id begins with it.
    CommitOrId(String),
    Commit(String),
    Id(String),
    Scenario(String),
    Target(String),
    /// The broker's product and version begin with it.
    Server(String),
}

/// Why a selection cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "selection is {found:?}; allowed: a commit or the beginning of a run's id (at least {PREFIX_MIN} characters), or commit=, id=, \
     scenario=, target=, server=, several joined by commas"
)]
pub struct SelectorError {
    found: String,
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let condition = |part: &str| {
            let (key, value) = part.split_once('=').unwrap_or(("", part));
            let value = value.trim().to_owned();
            let is_prefix = value.len() >= PREFIX_MIN;
            match key.trim() {
                "" if is_prefix => Some(Condition::CommitOrId(value)),
                "commit" if is_prefix => Some(Condition::Commit(value)),
                "id" if is_prefix => Some(Condition::Id(value)),
                _ if value.is_empty() => None,
                "scenario" => Some(Condition::Scenario(value)),
                "target" => Some(Condition::Target(value)),
                "server" => Some(Condition::Server(value)),
                _ => None,
            }
        };
        let conditions: Option<Vec<Condition>> = text.split(',').map(condition).collect();
        conditions
            .map(|conditions| Self {
                text: text.into(),
                conditions,
            })
            .ok_or_else(|| SelectorError { found: text.into() })
    }
}

impl Selector {
    /// Whether `line` is meant.
    #[must_use]
    pub fn matches(&self, line: &Line) -> bool {
        self.conditions.iter().all(|condition| match condition {
            Condition::CommitOrId(prefix) => has_commit(line, prefix) || line.id.starts_with(prefix),
            Condition::Commit(prefix) => has_commit(line, prefix),
            Condition::Id(prefix) => line.id.starts_with(prefix),
            Condition::Scenario(name) => line.summary.scenario == *name,
            Condition::Target(target) => line.summary.target == *target,
            Condition::Server(prefix) => line.summary.server.starts_with(prefix),
        })
    }
}

/// Whether the broker was built from a commit that begins with `prefix`. Recorded commits may be short themselves; the `+` of a
/// modified tree is no part of the commit.
fn has_commit(line: &Line, prefix: &str) -> bool {
    let own = &line.environment.commit;
    let Some(recorded) = &line.summary.broker_commit else {
        // Lines older than the field are of the embedded broker: the generator's own commit.
        return line.summary.target == "embedded" && own.starts_with(prefix);
    };
    let recorded = recorded.trim_end_matches('+');
    let is_own = own.starts_with(recorded) && own.starts_with(prefix);
    recorded.starts_with(prefix) || is_own || (recorded.len() >= PREFIX_MIN && prefix.starts_with(recorded))
}

impl fmt::Display for Selector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::tests::run_result;

    fn line() -> Line {
        let mut line = Line::from(&run_result("20p20c"));
        line.id = "20261125T123912Z-20p20c-c094a45".into();
        line.environment.commit = "c094a453c0ef9370a0a012ced57837450097f35a".into();
        line.summary.broker_commit = Some("c094a45+".into());
        line
    }

    fn matches(line: &Line, text: &str) -> bool {
        text.parse::<Selector>().unwrap().matches(line)
    }

    #[test]
    fn a_word_is_a_commit_or_the_beginning_of_an_id() {
        for text in [
            "c094",
            "c094a45",
            "c094a453c0ef",
            "20261125T12",
            "commit=c094a45",
            "id=2026",
        ] {
            assert!(matches(&line(), text), "{text}");
        }
        for text in ["c095", "commit=2026", "id=c094", "c094a45,scenario=crash"] {
            assert!(!matches(&line(), text), "{text}");
        }
    }

    #[test]
    fn another_build_is_known_by_its_own_commit() {
        let mut line = line();
        line.summary.broker_commit = Some("deadbee".into());
        assert!(matches(&line, "deadbeef00") && !matches(&line, "commit=c094a45"));
        line.summary.broker_commit = None;
        assert!(matches(&line, "commit=c094a45"));
        line.summary.target = "amqp://h:1".into();
        assert!(
            !matches(&line, "commit=c094a45"),
            "somebody else's broker has no commit"
        );
    }

    #[test]
    fn conditions_add_up() {
        assert!(matches(&line(), "target=embedded,scenario=20p20c,server=fixture"));
        assert!(!matches(&line(), "target=embedded,server=RabbitMQ"));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "abc", "colour=red", "target=", "scenario=x,,"] {
            assert!(text.parse::<Selector>().is_err(), "{text}");
        }
    }
}
