//! Expressions over named figures, as targets (`latency_us.p99 <= 1 ms`) and as conditions that end a hopeless run.
//!
//! ```text
//! expression = conjunction { "or" conjunction }
//! conjunction = comparison { "and" comparison }
//! comparison = sum [ ( "<" | "<=" | ">" | ">=" | "==" | "!=" ) sum ]
//! sum = product { ( "+" | "-" ) product }
//! product = factor { ( "*" | "/" ) factor }
//! factor = "-" factor | number [ unit ] | figure | ( "min" | "max" | "abs" ) "(" expression { "," expression } ")"
//!        | "(" expression ")"
//! unit = "us" | "ms" | "s" | "B" | "KiB" | "MiB" | "GiB" | "k" | "M" | "%"
//! ```
//!
//! A figure's name says its unit (`latency_us.p99`, `duration_s`, `rss_bytes_max`); quantities with units are converted
//! into each other, and a time is never compared with a size. A number without a unit is in the unit of what it meets.
//! What was not measured makes the result unknown, unless the other side of an `and` or `or` decides alone.
//!
//! A parsed [`Expression`] is known to be a condition, to have only known names, and to compare like with like.
//! Text → `lexer` → `parser` → [`Expression`]; `evaluate` gives it values.

mod evaluate;
mod lexer;
mod names;
mod parser;
mod quantity;

use thiserror::Error;

pub use evaluate::Compared;

/// The longest expression that is read, so that no nesting exhausts the stack.
const CHARS_MAX: usize = 400;

/// A condition over figures.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    text: String,
    root: parser::Node,
}

/// Why a text is no expression; a sentence.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct ExpressionError(String);

impl Expression {
    /// Reads a condition over the figures called `known`.
    ///
    /// # Errors
    /// When the text does not follow the grammar, names an unknown figure (the nearest names are listed), compares a time
    /// with a size, or is a number instead of a condition.
    pub fn parse(text: &str, known: &[&str]) -> Result<Self, ExpressionError> {
        let length = text.chars().count();
        if length > CHARS_MAX {
            let message = format!("it has {length} characters; at most {CHARS_MAX} are read");
            return Err(ExpressionError(message));
        }
        let root = parser::parse(&lexer::tokens(text)?)?;
        names::check(&root, known)?;
        evaluate::check(&root)?;
        Ok(Self {
            text: text.trim().to_owned(),
            root,
        })
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The names of all figures in it, in their order.
    #[must_use]
    pub fn figures(&self) -> Vec<&str> {
        names::of(&self.root)
    }

    /// Whether it holds; `None` when a figure that matters is unknown to `figure`.
    #[must_use]
    pub fn holds(&self, figure: &dyn Fn(&str) -> Option<f64>) -> Option<bool> {
        evaluate::truth(&self.root, figure)
    }

    /// Both sides of each of its comparisons, in their order.
    #[must_use]
    pub fn comparisons(&self, figure: &dyn Fn(&str) -> Option<f64>) -> Vec<Compared> {
        evaluate::comparisons(&self.root, figure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 6] = [
        "latency_us.p99",
        "duration_s",
        "broker.rss_bytes_max",
        "consume_rate",
        "publish_rate",
        "ledger.lost",
    ];

    fn figure(name: &str) -> Option<f64> {
        match name {
            "latency_us.p99" => Some(1_500.0),
            "duration_s" => Some(60.0),
            "broker.rss_bytes_max" => Some(2.0 * 1_048_576.0),
            "consume_rate" => Some(990.0),
            "publish_rate" => Some(1_000.0),
            _ => None,
        }
    }

    fn holds(text: &str) -> Option<bool> {
        let expression = Expression::parse(text, &KNOWN).unwrap_or_else(|error| panic!("{text}: {error}"));
        expression.holds(&figure)
    }

    fn refused(text: &str) -> String {
        Expression::parse(text, &KNOWN).unwrap_err().to_string()
    }

    #[test]
    fn conditions_hold_or_not() {
        for (text, expected) in [
            ("latency_us.p99 <= 1500", true),
            ("latency_us.p99 < 1500", false),
            ("latency_us.p99 == 1.5 ms", true),
            ("0.0015 s >= latency_us.p99", true),
            ("latency_us.p99 != 1500 us", false),
            ("duration_s > 59999 ms", true),
            ("duration_s >= 60", true),
            ("duration_s * 10 > latency_us.p99", true),
            ("broker.rss_bytes_max < 1 GiB", true),
            ("broker.rss_bytes_max == 2048 KiB", true),
            ("broker.rss_bytes_max / publish_rate < 2 KiB", false),
            ("consume_rate >= 0.99 * publish_rate", true),
            ("consume_rate >= 99.1 % * publish_rate", false),
            ("publish_rate == 1k and consume_rate < 1 M", true),
            ("abs(consume_rate - publish_rate) <= 10", true),
            ("min(consume_rate, publish_rate) == 990", true),
            ("max(1, 2 + 3 * 4, 7) == 14", true),
            ("-2 - -3 * (1 + 1) == 4", true),
            ("8 / 4 / 2 == 1", true),
            ("1 > 2 or 1 < 2 and 2 < 3", true),
            ("(1 > 2 or 1 < 2) and 2 > 3", false),
            ("1e3 == publish_rate", true),
        ] {
            assert_eq!(holds(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_was_not_measured_decides_nothing() {
        assert_eq!(holds("ledger.lost == 0"), None);
        assert_eq!(holds("publish_rate / 0 > 1"), None);
        assert_eq!(holds("ledger.lost == 0 and 1 > 2"), Some(false));
        assert_eq!(holds("ledger.lost == 0 and 1 < 2"), None);
        assert_eq!(holds("1 < 2 or ledger.lost == 0"), Some(true));
        assert_eq!(holds("min(1, ledger.lost) == 1"), None);
    }

    #[test]
    fn faults_are_named() {
        for (text, expected) in [
            ("", "nothing where a number or a figure was expected"),
            ("1 +", "nothing where a number or a figure was expected"),
            ("publish_rate", "it is a number, not a condition"),
            ("1 < 2 < 3", "\"<\" where the end was expected"),
            ("1 < 2 3", "\"3\" where the end was expected"),
            ("(1 < 2", "nothing where \")\" was expected"),
            ("1 = 2", "\"=\" is no operator"),
            ("1 < 2 lightyears", "lightyears is no unit"),
            ("1.2.3 < 2", "1.2.3 is no number"),
            ("median(1, 2) < 2", "median is no function; min, max and abs are"),
            ("abs(1, 2) < 2", "abs takes one argument, not 2"),
            ("1 and 2", "a condition was expected, a number found"),
            ("(1 < 2) + 1 > 3", "a number was expected, a condition found"),
            ("latency_us.p99 < 1 KiB", "a time meets a size"),
            ("latency_us.p99 * duration_s < 1", "a time meets a time"),
            ("1 < 2 #", "\"#\" is no part of an expression"),
        ] {
            let message = refused(text);
            assert!(message.contains(expected), "{text}: {message}");
        }
        assert!(refused(&"(".repeat(401)).contains("at most 400"));
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest() {
        assert_eq!(
            refused("latency_us.p999 < 3"),
            "there is no figure latency_us.p999; the nearest are latency_us.p99, publish_rate, consume_rate"
                .replace("publish_rate, consume_rate", &nearest_rest("latency_us.p999"))
        );
        assert!(refused("lost == 0").contains("the nearest are ledger.lost"));
    }

    /// All but the first of the nearest names, whose order is the metric's affair.
    fn nearest_rest(name: &str) -> String {
        let message = refused(&format!("{name} < 3"));
        message.split_once("latency_us.p99, ").unwrap().1.to_owned()
    }

    #[test]
    fn both_sides_are_told() {
        let expression = Expression::parse(
            "latency_us.p99 <= 1 ms and ledger.lost == 0 and consume_rate > 0.5 * publish_rate",
            &KNOWN,
        )
        .unwrap();
        let told: Vec<String> = expression
            .comparisons(&figure)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(told, ["1.50 ms <= 1.00 ms", "not measured == 0", "990 > 500"]);
        assert_eq!(
            expression.figures(),
            ["latency_us.p99", "ledger.lost", "consume_rate", "publish_rate"]
        );
    }
}
