//! What a figure is measured in, and how ticks and bars write it.

use crate::units;

/// The unit of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Messages a second.
    Rate,
    /// Time, in µs.
    LatencyUs,
    /// Memory, in bytes.
    Bytes,
    /// Busy cores.
    Cores,
    /// Things.
    Count,
}

impl Unit {
    /// Writes a value shortly: `1.5 ms`, `10 ms`, `0`.
    #[must_use]
    pub fn label(self) -> fn(f64) -> String {
        match self {
            Self::Rate => |value| trimmed(units::rate(value)),
            Self::LatencyUs => |value| trimmed(units::latency_us(value)),
            Self::Bytes => |value| trimmed(units::bytes(value)),
            Self::Cores => |value| format!("{value:.1}"),
            Self::Count => |value| units::count(value as u64),
        }
    }

    /// Writes a value with three significant digits: `1.50 ms`.
    #[must_use]
    pub fn exact(self, value: f64) -> String {
        match self {
            Self::Rate => units::rate(value),
            Self::LatencyUs => units::latency_us(value),
            Self::Bytes => units::bytes(value),
            Self::Cores => format!("{value:.2}"),
            Self::Count => units::count(value as u64),
        }
    }
}

/// `1.50 ms` → `1.5 ms`, `10.0 ms` → `10 ms`, `0.00 /s` → `0`.
fn trimmed(label: String) -> String {
    let Some((number, unit)) = label.split_once(' ') else {
        return label;
    };
    let number = if number.contains('.') {
        number.trim_end_matches('0').trim_end_matches('.')
    } else {
        number
    };
    if number == "0" {
        number.into()
    } else {
        format!("{number} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tick_labels_are_short() {
        let cases = [
            ("1.50 ms", "1.5 ms"),
            ("10.0 ms", "10 ms"),
            ("0.00 /s", "0"),
            ("100 µs", "100 µs"),
            ("7", "7"),
        ];
        for (label, expected) in cases {
            assert_eq!(trimmed(label.into()), expected);
        }
        assert_eq!(Unit::Rate.label()(1_500_000.0), "1.5 M/s");
        assert_eq!(Unit::LatencyUs.exact(1_500.0), "1.50 ms");
    }
}
