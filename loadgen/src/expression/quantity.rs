//! Numbers with units, and how they meet.

use std::fmt;

use super::ExpressionError;
use crate::units;

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Microseconds,
    Milliseconds,
    Seconds,
    Bytes,
}

impl Unit {
    /// The unit that a figure's name states, in any part of it: `latency_us.p99`, `rss_bytes_max`.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        name.split(['.', '_']).find_map(|part| match part {
            "us" => Some(Self::Microseconds),
            "ms" => Some(Self::Milliseconds),
            "s" => Some(Self::Seconds),
            "bytes" => Some(Self::Bytes),
            _ => None,
        })
    }

    /// How many of the smallest unit of its kind it holds.
    fn size(self) -> f64 {
        match self {
            Self::Microseconds | Self::Bytes => 1.0,
            Self::Milliseconds => 1e3,
            Self::Seconds => 1e6,
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Bytes => "size",
            _ => "time",
        }
    }
}

/// Factor and unit of a word behind a number.
pub(super) fn suffix(word: &str) -> Option<(f64, Option<Unit>)> {
    Some(match word {
        "us" | "µs" => (1.0, Some(Unit::Microseconds)),
        "ms" => (1.0, Some(Unit::Milliseconds)),
        "s" => (1.0, Some(Unit::Seconds)),
        "B" => (1.0, Some(Unit::Bytes)),
        "KiB" => (1024.0, Some(Unit::Bytes)),
        "MiB" => (1_048_576.0, Some(Unit::Bytes)),
        "GiB" => (1_073_741_824.0, Some(Unit::Bytes)),
        "k" => (1e3, None),
        "M" => (1e6, None),
        "%" => (0.01, None),
        _ => return None,
    })
}

/// A number, if it is known, and its unit, which always is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Quantity {
    pub(super) number: Option<f64>,
    pub(super) unit: Option<Unit>,
}

impl Quantity {
    /// Combines two of a kind; the result is in the unit of the first one that has any.
    pub(super) fn with(self, other: Self, combine: fn(f64, f64) -> f64) -> Result<Self, ExpressionError> {
        let (number, unit) = self.aligned(other)?;
        let both = self.number.zip(number).map(|(one, two)| combine(one, two));
        Ok(Self {
            number: both.filter(|number| number.is_finite()),
            unit,
        })
    }

    /// The other's number in this one's unit, and that unit.
    pub(super) fn aligned(self, other: Self) -> Result<(Option<f64>, Option<Unit>), ExpressionError> {
        match (self.unit, other.unit) {
            (Some(mine), Some(its)) if mine.kind() != its.kind() => Err(meet(mine, its)),
            (Some(mine), Some(its)) => {
                let factor = its.size() / mine.size();
                Ok((other.number.map(|number| number * factor), Some(mine)))
            }
            (mine, its) => Ok((other.number, mine.or(its))),
        }
    }

    pub(super) fn times(self, other: Self) -> Result<Self, ExpressionError> {
        let unit = match (self.unit, other.unit) {
            (Some(mine), Some(its)) => return Err(meet(mine, its)),
            (mine, its) => mine.or(its),
        };
        self.apply(other.number, unit, |one, two| one * two)
    }

    pub(super) fn divided_by(self, other: Self) -> Result<Self, ExpressionError> {
        let (number, unit) = match (self.unit, other.unit) {
            (Some(_), Some(_)) => (self.aligned(other)?.0, None),
            (mine, None) => (other.number, mine),
            // Something per second, per byte: a number like any other.
            (None, Some(_)) => (other.number, None),
        };
        self.apply(number, unit, |one, two| one / two)
    }

    fn apply(
        self,
        other: Option<f64>,
        unit: Option<Unit>,
        combine: fn(f64, f64) -> f64,
    ) -> Result<Self, ExpressionError> {
        let both = self.number.zip(other).map(|(one, two)| combine(one, two));
        Ok(Self {
            number: both.filter(|number| number.is_finite()),
            unit,
        })
    }
}

fn meet(one: Unit, two: Unit) -> ExpressionError {
    ExpressionError(format!("a {} meets a {}", one.kind(), two.kind()))
}

/// For people: with a unit to three digits, without one as it is, or `not measured`.
impl fmt::Display for Quantity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(number) = self.number else {
            return out.write_str("not measured");
        };
        match self.unit {
            Some(Unit::Bytes) => out.write_str(&units::bytes(number)),
            Some(unit) => out.write_str(&units::latency_us(number * unit.size())),
            None if number.fract() == 0.0 && number.abs() < 1e15 => write!(out, "{number}"),
            None if number.abs() >= 100.0 => write!(out, "{number:.1}"),
            None => write!(out, "{number:.4}"),
        }
    }
}
