//! The points of a sweep, and the order in which they are run.

use std::str::FromStr;

use serde_json::Value;
use thiserror::Error;

use crate::scenario::{Overridden, ScenarioError};

/// Points of a sweep at most.
pub const POINTS_MAX: usize = 1_000;

/// A field and the values that it takes: `load.rate=1000,2000,5000`.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// The field's path in the scenario.
    pub field: String,
    /// Its values.
    pub values: Vec<Value>,
}

/// Why an axis cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("sweep is {found:?}; allowed: FIELD=VALUE,VALUE,…, each value once, e.g. load.rate=10000,20000")]
pub struct AxisError {
    found: String,
}

/// Why there is no grid.
#[derive(Debug, Error)]
pub enum GridError {
    /// One point is no scenario.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// Two axes of one field.
    #[error("--sweep names {field} twice; allowed: each field once")]
    Twice {
        /// The field.
        field: String,
    },
    /// More than [`POINTS_MAX`].
    #[error("the sweep has {points} points; allowed: at most {POINTS_MAX}")]
    TooMany {
        /// How many.
        points: usize,
    },
}

/// One combination.
#[derive(Clone, Debug, PartialEq)]
pub struct GridPoint {
    /// The value of each axis, in their order.
    pub values: Vec<Value>,
    /// The scenario with them.
    pub overridden: Overridden,
}

impl FromStr for Axis {
    type Err = AxisError;

    fn from_str(text: &str) -> Result<Self, AxisError> {
        let fault = || AxisError { found: text.into() };
        let (field, values) = text.split_once('=').ok_or_else(fault)?;
        let field = field.trim();
        let is_field = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._".contains(&byte);
        let values: Vec<Value> = values
            .split(',')
            .map(str::trim)
            // What is no number, true, false or null is a word, such as lapin.
            .map(|value| serde_json::from_str(value).unwrap_or_else(|_| value.into()))
            .collect();
        let is_scalar = |value: &Value| !value.is_object() && !value.is_array() && value.as_str() != Some("");
        let occurs_before = |(index, value): (usize, &Value)| values[..index].contains(value);
        if field.is_empty()
            || !field.bytes().all(is_field)
            || !values.iter().all(is_scalar)
            || values.iter().enumerate().any(occurs_before)
        {
            return Err(fault());
        }
        Ok(Self {
            field: field.into(),
            values,
        })
    }
}

/// All combinations, the last axis varying fastest, each checked as a scenario file is.
///
/// # Errors
/// When a combination is no scenario, a field occurs twice, or there are too many.
pub fn grid(base: &Overridden, axes: &[Axis]) -> Result<Vec<GridPoint>, GridError> {
    for (index, axis) in axes.iter().enumerate() {
        if axes[..index].iter().any(|earlier| earlier.field == axis.field) {
            return Err(GridError::Twice {
                field: axis.field.clone(),
            });
        }
    }
    let lengths = axes.iter().map(|axis| axis.values.len());
    let points = lengths.fold(1_usize, usize::saturating_mul);
    if points > POINTS_MAX {
        return Err(GridError::TooMany { points });
    }
    let mut combinations: Vec<Vec<Value>> = vec![Vec::new()];
    for axis in axes {
        let extended = combinations.iter().flat_map(|before| {
            let with = |value: &Value| [before.as_slice(), std::slice::from_ref(value)].concat();
            axis.values.iter().map(with).collect::<Vec<_>>()
        });
        combinations = extended.collect();
    }
    let point = |values: Vec<Value>| {
        let names = axes.iter().map(|axis| axis.field.as_str());
        let fields: Vec<(&str, &Value)> = names.zip(&values).collect();
        let overridden = base.with_all(&fields)?;
        Ok(GridPoint { values, overridden })
    };
    combinations.into_iter().map(point).collect()
}

/// Which point is run when, and which of its repeats (from 0) it is: every point once, shuffled, then every point again in
/// another order. What drifts over minutes then spreads over all points instead of harming the last ones.
#[must_use]
pub fn schedule(points: usize, repeats: u32, seed: u64) -> Vec<(usize, u32)> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut order = Vec::new();
    for repeat in 0..repeats {
        let mut round: Vec<usize> = (0..points).collect();
        random.shuffle(&mut round);
        order.extend(round.into_iter().map(|point| (point, repeat)));
    }
    order
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::scenario::{Overrides, built_in};

    fn base(name: &str) -> Overridden {
        Overrides::default().apply(&built_in(name).unwrap()).unwrap()
    }

    fn axis(text: &str) -> Axis {
        text.parse().unwrap()
    }

    #[test]
    fn values_are_numbers_flags_or_words() {
        assert_eq!(axis("load.rate=1000, 2e3").values, [json!(1_000), json!(2e3)]);
        assert_eq!(
            axis("driver=native,lapin").values,
            [json!("native"), json!("lapin")]
        );
        assert_eq!(axis("persistent=true,false").values, [json!(true), json!(false)]);
        for text in ["load.rate", "=1", "a=", "a=1,,2", "a=1,1", "A b=1", "a=[1]"] {
            let message = text.parse::<Axis>().unwrap_err().to_string();
            assert!(message.contains("allowed: FIELD=VALUE"), "{text}: {message}");
        }
    }

    #[test]
    fn every_combination_is_a_checked_scenario() {
        let axes = [axis("load.rate=1000,2000"), axis("size_bytes=16,64,256")];
        let points = grid(&base("20p20c-latency"), &axes).unwrap();
        assert_eq!(points.len(), 6);
        assert_eq!(points[4].values, [json!(2_000), json!(64)]);
        assert_eq!(points[4].overridden.scenario.size_bytes, Some(64));
        let hashes = points.iter().map(|point| point.overridden.scenario.hash());
        assert_eq!(hashes.collect::<std::collections::HashSet<_>>().len(), 6);
    }

    /// Fields that limit each other are judged together, not one after the other.
    #[test]
    fn fields_that_depend_on_each_other_change_at_once() {
        let axes = [axis("prefetch=10"), axis("ack_every=5,10")];
        assert_eq!(grid(&base("20p20c"), &axes).unwrap().len(), 2);
        let axes = [axis("prefetch=10"), axis("ack_every=5,20")];
        let message = grid(&base("20p20c"), &axes).unwrap_err().to_string();
        assert!(
            message.contains("ack_every is 20; allowed: at most prefetch = 10"),
            "{message}"
        );
    }

    #[test]
    fn too_much_is_refused() {
        let twice = grid(&base("20p20c"), &[axis("producers=1"), axis("producers=2")]);
        assert!(twice.unwrap_err().to_string().contains("producers twice"));
        let numbers: Vec<String> = (1..=40).map(|number| number.to_string()).collect();
        let many = ["producers", "consumers"].map(|field| axis(&format!("{field}={}", numbers.join(","))));
        let message = grid(&base("20p20c"), &many).unwrap_err().to_string();
        assert!(message.contains("1600 points"), "{message}");
    }

    #[test]
    fn every_repeat_runs_every_point_in_another_order() {
        let order = schedule(8, 3, 1);
        for (repeat, round) in (0..).zip(order.chunks(8)) {
            let mut points: Vec<usize> = round.iter().map(|(point, _)| *point).collect();
            assert!(round.iter().all(|(_, of)| *of == repeat));
            assert!(points != (0..8).collect::<Vec<_>>());
            points.sort_unstable();
            assert_eq!(points, (0..8).collect::<Vec<_>>());
        }
        assert_eq!(order, schedule(8, 3, 1));
        assert_ne!(order, schedule(8, 3, 2));
    }
}
