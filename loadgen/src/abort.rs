//! Conditions that end a hopeless run early: `backlog > 5 M`, `response_p99_us > 2 s for 10 s`.
//!
//! The conductor asks once for every second of the series, while the load runs. What a condition speaks of is that second
//! alone. A run that is ended here has failed: the broker was hopelessly behind, and its figures are of a short window.

use crate::expression::{Expression, ExpressionError};
use crate::live::Interval;
use crate::process_meter::ProcessSample;
use crate::scenario::Scenario;

/// What conditions may speak of: the second that has just passed.
pub const NAMES: [&str; 12] = [
    "t_s",
    "publish_rate",
    "confirm_rate",
    "consume_rate",
    "backlog",
    "response_p50_us",
    "response_p90_us",
    "response_p99_us",
    "response_p99_9_us",
    "response_max_us",
    "broker.rss_bytes",
    "broker.rss_anon_bytes",
];

/// A condition, and how long it must hold.
#[derive(Clone, Debug, PartialEq)]
pub struct AbortRule {
    condition: Expression,
    /// 0 = a single second is enough.
    hold_s: f64,
}

/// Watches a run for its conditions.
#[derive(Clone, Debug)]
pub struct AbortWatch {
    /// Each with the instant since which it has held, in seconds since the load began.
    rules: Vec<(AbortRule, Option<f64>)>,
    /// End of the last second that was looked at.
    seen_s: f64,
}

impl AbortRule {
    /// Reads a condition over [`NAMES`], optionally followed by `for N s`.
    ///
    /// # Errors
    /// As [`Expression::parse`], or when what follows `for` is no length of time.
    pub fn parse(text: &str) -> Result<Self, AbortRuleError> {
        let (condition, hold) = match text.rsplit_once(" for ") {
            Some((condition, hold)) => (condition, Some(hold.trim())),
            None => (text, None),
        };
        let hold_s = hold.map_or(Some(0.0), |hold| {
            let seconds = hold.strip_suffix('s')?.trim_end().parse().ok();
            seconds.filter(|seconds: &f64| seconds.is_finite() && *seconds > 0.0)
        });
        Ok(Self {
            hold_s: hold_s.ok_or_else(|| AbortRuleError::Hold(hold.unwrap_or_default().to_owned()))?,
            condition: Expression::parse(condition, &NAMES)?,
        })
    }
}

/// Why a text is no condition for ending a run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AbortRuleError {
    /// Not an expression.
    #[error(transparent)]
    Condition(#[from] ExpressionError),
    /// What follows `for`.
    #[error("{0:?} is no length of time; write it in seconds, as in: for 10 s")]
    Hold(String),
}

impl AbortWatch {
    /// Watches for what `scenario` calls hopeless.
    #[must_use]
    pub fn of(scenario: &Scenario) -> Self {
        let rules = scenario.abort.iter().map(|rule| AbortRule::parse(rule));
        Self::new(rules.map(|rule| rule.expect("a scenario's rules were read when it was checked")))
    }

    fn new(rules: impl IntoIterator<Item = AbortRule>) -> Self {
        Self {
            rules: rules.into_iter().map(|rule| (rule, None)).collect(),
            seen_s: 0.0,
        }
    }

    /// Looks at the second that ended last, if it was not looked at before; why the run is hopeless, if it is.
    pub fn look(&mut self, second: &Interval, broker: Option<ProcessSample>) -> Option<String> {
        if second.t_s <= self.seen_s {
            return None;
        }
        self.seen_s = second.t_s;
        let figure = |name: &str| figure(name, second, broker);
        self.rules
            .iter_mut()
            .find_map(|(rule, since_s)| rule.fulfilled(since_s, second, &figure))
    }
}

impl AbortRule {
    fn fulfilled(
        &self,
        since_s: &mut Option<f64>,
        second: &Interval,
        figure: &dyn Fn(&str) -> Option<f64>,
    ) -> Option<String> {
        match self.condition.holds(figure) {
            Some(true) => {}
            Some(false) => {
                *since_s = None;
                return None;
            }
            // A second without any latency, say, says nothing either way.
            None => return None,
        }
        let since_s = *since_s.get_or_insert(second.t_s - second.length_s);
        // Seconds are a little longer than a second, and nine of them may be a little shorter than nine.
        if second.t_s - since_s < self.hold_s - 0.01 {
            return None;
        }
        let compared: Vec<_> = self
            .condition
            .comparisons(figure)
            .iter()
            .map(ToString::to_string)
            .collect();
        let held = if self.hold_s > 0.0 {
            format!(" for {} s", self.hold_s)
        } else {
            String::new()
        };
        Some(format!(
            "hopeless after {:.0} s: {}{held} ({})",
            second.t_s,
            self.condition.text(),
            compared.join(", ")
        ))
    }
}

fn figure(name: &str, second: &Interval, broker: Option<ProcessSample>) -> Option<f64> {
    let rate = |count: u64| Some(count as f64 / second.length_s.max(1e-3));
    let response_us = |ns: u64| (second.response.count > 0).then(|| ns as f64 / 1e3);
    match name {
        "t_s" => Some(second.t_s),
        "publish_rate" => rate(second.published),
        "confirm_rate" => rate(second.confirmed),
        "consume_rate" => rate(second.consumed),
        "backlog" => Some(second.backlog as f64),
        "response_p50_us" => response_us(second.response.p50_ns),
        "response_p90_us" => response_us(second.response.p90_ns),
        "response_p99_us" => response_us(second.response.p99_ns),
        "response_p99_9_us" => response_us(second.response.p99_9_ns),
        "response_max_us" => response_us(second.response.max_ns),
        "broker.rss_bytes" => broker.map(|it| (it.rss_anon_bytes + it.rss_file_bytes) as f64),
        "broker.rss_anon_bytes" => broker.map(|it| it.rss_anon_bytes as f64),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::Quantiles;

    /// The `index`-th second, with a backlog and a p99 in ms (0: nothing arrived).
    fn second(index: u64, backlog: u64, p99_ms: u64) -> Interval {
        Interval {
            t_s: index as f64,
            length_s: 1.0,
            published: 1_000,
            backlog,
            response: Quantiles {
                count: p99_ms,
                p99_ns: p99_ms * 1_000_000,
                ..Quantiles::default()
            },
            ..Interval::default()
        }
    }

    fn watch(rules: &[&str]) -> AbortWatch {
        AbortWatch::new(rules.iter().map(|rule| AbortRule::parse(rule).unwrap()))
    }

    #[test]
    fn one_hopeless_second_is_enough_unless_the_rule_says_otherwise() {
        let mut watch = watch(&["backlog > 5 k"]);
        assert_eq!(watch.look(&second(1, 5_000, 1), None), None);
        assert_eq!(
            watch.look(&second(2, 5_001, 1), None).unwrap(),
            "hopeless after 2 s: backlog > 5 k (5001 > 5000)"
        );
    }

    #[test]
    fn a_rule_with_a_length_wants_it_without_a_break() {
        let mut watch = watch(&["response_p99_us > 2 s for 3 s"]);
        let p99_ms = [3_000, 3_000, 1_000, 3_000, 0, 3_000];
        let mut looks = (1..)
            .zip(p99_ms)
            .map(|(index, p99_ms)| watch.look(&second(index, 0, p99_ms), None));
        // The third second breaks it; the fifth, in which nothing arrived, does not.
        assert!(looks.by_ref().take(5).all(|reason| reason.is_none()));
        assert_eq!(
            looks.next().unwrap().unwrap(),
            "hopeless after 6 s: response_p99_us > 2 s for 3 s (3.00 s > 2.00 s)"
        );
    }

    #[test]
    fn a_second_is_looked_at_once() {
        let mut watch = watch(&["backlog > 1 for 2 s"]);
        let same = second(1, 9, 1);
        assert_eq!((watch.look(&same, None), watch.look(&same, None)), (None, None));
        assert!(watch.look(&second(2, 9, 1), None).is_some());
    }

    #[test]
    fn every_name_has_a_figure() {
        let broker = Some(ProcessSample::default());
        for name in NAMES {
            assert!(figure(name, &second(1, 1, 1), broker).is_some(), "{name}");
        }
        assert_eq!(figure("broker.rss_bytes", &second(1, 1, 1), None), None);
    }

    #[test]
    fn faults_are_named() {
        let refused = |text: &str| AbortRule::parse(text).unwrap_err().to_string();
        assert!(refused("backlogs > 3").contains("the nearest are backlog"));
        assert!(refused("backlog > 3 for ever").contains("\"ever\" is no length of time"));
        assert!(refused("backlog > 3 for -1 s").contains("is no length of time"));
        assert!(refused("backlog").contains("not a condition"));
    }
}
