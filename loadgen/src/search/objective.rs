//! `latency_us.p99 <= 1 ms`: a condition over a run's summary, as targets are.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use serde_json::Value;
use thiserror::Error;

use crate::expression::Expression;
use crate::figures;

/// What a rate must hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    expression: Expression,
}

/// Why an objective cannot be understood, or not be judged.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("objective is {found:?}; allowed: {allowed}")]
pub struct ObjectiveError {
    found: String,
    allowed: String,
}

impl FromStr for Objective {
    type Err = ObjectiveError;

    fn from_str(text: &str) -> Result<Self, ObjectiveError> {
        let expression = Expression::parse(text, figures::NAMES).map_err(|error| ObjectiveError {
            found: text.into(),
            allowed: format!("a condition over the summary, e.g. latency_us.p99 <= 1 ms: {error}"),
        })?;
        Ok(Self { expression })
    }
}

impl Objective {
    /// The left side of its first comparison in a `summary`, in its own unit; `None` when it was not measured.
    #[must_use]
    pub fn measured(&self, summary: &Value) -> Option<f64> {
        let compared = self.expression.comparisons(&|name| figures::find(summary, name));
        compared.first()?.left
    }

    /// Whether a `summary` holds it; `None` when a figure that matters was not measured.
    #[must_use]
    pub fn is_held(&self, summary: &Value) -> Option<bool> {
        self.expression.holds(&|name| figures::find(summary, name))
    }

    /// Both sides of its comparisons in a `summary`.
    #[must_use]
    pub fn compared(&self, summary: &Value) -> String {
        let compared = self.expression.comparisons(&|name| figures::find(summary, name));
        let shown: Vec<_> = compared.iter().map(ToString::to_string).collect();
        shown.join(", ")
    }

    /// The figures in it that a `summary` does not have.
    #[must_use]
    pub fn missing(&self, summary: &Value) -> String {
        let names = self.expression.figures().into_iter();
        let missing: Vec<_> = names
            .filter(|name| figures::find(summary, name).is_none())
            .collect();
        missing.join(" and ")
    }

    /// Refuses what `example`, some summary, cannot tell.
    ///
    /// # Errors
    /// Names the figures that were not measured.
    pub fn check(&self, example: &Value) -> Result<(), ObjectiveError> {
        match self.is_held(example) {
            Some(_) => Ok(()),
            None => Err(ObjectiveError {
                found: self.to_string(),
                allowed: format!("what such a load measures: {} is not", self.missing(example)),
            }),
        }
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.expression.text())
    }
}

impl Serialize for Objective {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::tests::run_result;

    #[test]
    fn is_a_condition_over_the_summary() {
        let summary = serde_json::to_value(run_result("20p20c-latency").summary).unwrap();
        for (text, held) in [
            ("latency_us.p99 <= 1000", true),
            ("latency_us.p99<=100", false),
            ("latency_us.p99 < 1 ms", true),
            ("consume_rate >= 249k", true),
            ("consume_rate > 250000", false),
            ("consume_rate >= 0.99 * publish_rate and ledger.lost == 0", true),
        ] {
            let objective: Objective = text.parse().unwrap();
            assert_eq!(objective.is_held(&summary), Some(held), "{text}");
            objective.check(&summary).unwrap();
        }
        let objective: Objective = "latency_us.p99 <= 0.1 ms".parse().unwrap();
        let measured = objective.measured(&summary).unwrap();
        assert!((500.0..600.0).contains(&measured), "in µs: {measured}");
        assert_eq!(objective.compared(&summary), "596 µs <= 100 µs");
    }

    #[test]
    fn is_shown_as_it_is_written() {
        let objective: Objective = " latency_us.p99<=1000".parse().unwrap();
        assert_eq!(objective.to_string(), "latency_us.p99<=1000");
        assert_eq!(objective.to_string().parse::<Objective>().unwrap(), objective);
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "latency_us.p99",
            "<= 5",
            "latency_us.p99 <= soon",
            "a b <= 1",
            "latency.p98 <= 1",
        ] {
            let message = text.parse::<Objective>().unwrap_err().to_string();
            assert!(
                message.contains("allowed: a condition over the summary"),
                "{message}"
            );
        }
    }

    #[test]
    fn what_a_load_does_not_measure_is_refused_by_name() {
        let objective: Objective = "confirm_latency_us.p99 <= 1 ms".parse().unwrap();
        let summary = serde_json::to_value(run_result("20p20c").summary).unwrap();
        assert_eq!(
            (objective.measured(&summary), objective.is_held(&summary)),
            (None, None)
        );
        let message = objective.check(&summary).unwrap_err().to_string();
        assert!(message.contains("confirm_latency_us.p99 is not"), "{message}");
    }
}
