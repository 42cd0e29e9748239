//! `latency_us.p99 <= 1000`: one comparison over a run's summary.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use serde_json::Value;
use thiserror::Error;

/// A comparison of one number of the summary with a limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    field: String,
    comparison: Comparison,
    limit: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    AtMost,
    Below,
    AtLeast,
    Above,
}

/// Longer signs first: `<` begins `<=`, too.
const SIGNS: [(&str, Comparison); 4] = [
    ("<=", Comparison::AtMost),
    (">=", Comparison::AtLeast),
    ("<", Comparison::Below),
    (">", Comparison::Above),
];

/// Why an objective cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("objective is {found:?}; allowed: {allowed}")]
pub struct ObjectiveError {
    found: String,
    allowed: String,
}

impl FromStr for Objective {
    type Err = ObjectiveError;

    fn from_str(text: &str) -> Result<Self, ObjectiveError> {
        let fault = || {
            ObjectiveError {
            found: text.into(),
            allowed: "FIELD <= NUMBER (or <, >=, >), where FIELD is a number of the summary, e.g. latency_us.p99 <= 1000"
                .into(),
        }
        };
        let (sign, comparison) = SIGNS
            .into_iter()
            .find(|(sign, _)| text.contains(sign))
            .ok_or_else(fault)?;
        let (field, limit) = text.split_once(sign).ok_or_else(fault)?;
        let limit: f64 = limit.trim().replace('_', "").parse().map_err(|_| fault())?;
        let field = field.trim();
        let is_field = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._".contains(&byte);
        if field.is_empty() || !field.bytes().all(is_field) || !limit.is_finite() {
            return Err(fault());
        }
        Ok(Self {
            field: field.into(),
            comparison,
            limit,
        })
    }
}

impl Objective {
    /// The field's path in the summary.
    #[must_use]
    pub fn field(&self) -> &str {
        &self.field
    }

    /// The field's value in a `summary`; `None` when it was not measured.
    #[must_use]
    pub fn measured(&self, summary: &Value) -> Option<f64> {
        summary
            .pointer(&format!("/{}", self.field.replace('.', "/")))?
            .as_f64()
    }

    /// Whether `measured` holds it.
    #[must_use]
    pub fn is_held(&self, measured: f64) -> bool {
        match self.comparison {
            Comparison::AtMost => measured <= self.limit,
            Comparison::Below => measured < self.limit,
            Comparison::AtLeast => measured >= self.limit,
            Comparison::Above => measured > self.limit,
        }
    }

    /// Refuses a field that `example`, some summary, does not have.
    ///
    /// # Errors
    /// Names the field.
    pub fn check(&self, example: &Value) -> Result<(), ObjectiveError> {
        let is_number = |value: &Value| value.is_number();
        let found = example.pointer(&format!("/{}", self.field.replace('.', "/")));
        if found.is_some_and(is_number) {
            return Ok(());
        }
        Err(ObjectiveError {
            found: self.field.clone(),
            allowed: "a number of the summary, e.g. latency_us.p99, consume_rate, broker.rss_bytes_max"
                .into(),
        })
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = SIGNS
            .iter()
            .find(|(_, comparison)| *comparison == self.comparison);
        let sign = sign.map_or("", |(sign, _)| sign);
        write!(formatter, "{} {sign} {}", self.field, self.limit)
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
    fn compares_a_number_of_the_summary() {
        let summary = serde_json::to_value(run_result("20p20c-latency").summary).unwrap();
        for (text, held) in [
            ("latency_us.p99 <= 1000", true),
            ("latency_us.p99<=100", false),
            ("latency_us.p99 < 1e3", true),
            ("consume_rate >= 249_000", true),
            ("consume_rate > 250000", false),
        ] {
            let objective: Objective = text.parse().unwrap();
            let measured = objective.measured(&summary).unwrap();
            assert_eq!(objective.is_held(measured), held, "{text}: {measured}");
            objective.check(&summary).unwrap();
        }
    }

    #[test]
    fn is_shown_as_it_is_read() {
        let objective: Objective = "latency_us.p99<=1000".parse().unwrap();
        assert_eq!(objective.to_string(), "latency_us.p99 <= 1000");
        assert_eq!(objective.to_string().parse::<Objective>().unwrap(), objective);
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "latency_us.p99",
            "<= 5",
            "p99 <= soon",
            "a b <= 1",
            "x <= NaN",
            "x == 1",
        ] {
            let message = text.parse::<Objective>().unwrap_err().to_string();
            assert!(message.contains("allowed: FIELD <= NUMBER"), "{message}");
        }
        let unknown: Objective = "latency.p98 <= 1".parse().unwrap();
        let summary = serde_json::to_value(run_result("20p20c").summary).unwrap();
        assert!(
            unknown
                .check(&summary)
                .unwrap_err()
                .to_string()
                .contains("latency.p98")
        );
    }
}
