//! Fields of a scenario, named by their paths, set to other values: what a sweep and a search do.

use serde_json::Value;

use super::overrides::{describe, drop_unreachable_targets};
use super::{Overridden, Scenario, ScenarioError};

impl Overridden {
    /// The scenario with the field at `path` (dotted, e.g. `load.rate`) set to `value`: as [`Overridden::with_all`].
    ///
    /// # Errors
    /// As for a scenario file: names field, value and what is allowed.
    pub fn with(&self, path: &str, value: &Value) -> Result<Self, ScenarioError> {
        self.with_all(&[(path, value)])
    }

    /// The scenario with all these fields set at once, then checked anew. Targets out of the changed load's reach are
    /// removed, as for the command line's other changes.
    ///
    /// # Errors
    /// As for a scenario file: names field, value and what is allowed.
    pub fn with_all(&self, fields: &[(&str, &Value)]) -> Result<Self, ScenarioError> {
        let mut json = serde_json::to_value(&self.scenario).expect("a scenario is plain data");
        let mut changes = self.changes.clone();
        for (path, value) in fields {
            let place = place(&mut json, path).ok_or_else(|| ScenarioError::Field {
                source_name: "command line".into(),
                field: (*path).into(),
                value: value.to_string(),
                allowed: "a field of the scenario".into(),
            })?;
            let same = *place == **value || (place.is_number() && place.as_f64() == value.as_f64());
            if !same {
                *place = (*value).clone();
                changes.retain(|change| !change.starts_with(&format!("{path} = ")));
                changes.push(format!("{path} = {}", describe(value)));
            }
        }
        if changes != self.changes {
            drop_unreachable_targets(&self.scenario, &mut json, &mut changes);
        }
        Ok(Self {
            scenario: Scenario::from_value("command line", json)?,
            changes,
        })
    }
}

/// Where the field is; one that is left out is made. `None` where a name on the way is no object.
fn place<'a>(json: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    path.split('.').try_fold(json, |json, name| {
        json.as_object_mut()
            .map(|object| object.entry(name).or_insert(Value::Null))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::scenario::{Load, Overrides, built_in};

    fn as_written(name: &str) -> Overridden {
        Overrides::default().apply(&built_in(name).unwrap()).unwrap()
    }

    #[test]
    fn a_nested_field_is_changed_and_listed_once() {
        let base = as_written("20p20c-latency");
        let changed = base.with("load.rate", &json!(1_000)).unwrap();
        assert_eq!(changed.scenario.load, Load::open_loop(1_000));
        assert_eq!(changed.changes[0], "load.rate = 1000");
        let again = changed.with("load.rate", &json!(2_000)).unwrap();
        let listed = again
            .changes
            .iter()
            .filter(|change| change.starts_with("load.rate"));
        assert_eq!(listed.collect::<Vec<_>>(), ["load.rate = 2000"]);
    }

    #[test]
    fn the_value_that_is_there_changes_nothing() {
        let base = as_written("20p20c");
        assert_eq!(base.with("size_bytes", &json!(16)).unwrap(), base);
        let seconds = json!(base.scenario.duration_s as u64);
        assert_eq!(base.with("duration_s", &seconds).unwrap(), base);
    }

    #[test]
    fn fields_that_are_left_out_can_be_set() {
        let changed = as_written("20p20c").with("confirm_window", &json!(7)).unwrap();
        assert_eq!(changed.scenario.confirm_window, Some(7));
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        let base = as_written("20p20c");
        for (path, value, expected) in [
            ("load.rate", json!(5), "load.rate"),
            ("no_such_field", json!(5), "no_such_field"),
            (
                "producers.x",
                json!(5),
                "producers.x is 5; allowed: a field of the scenario",
            ),
            ("producers", json!(0), "producers is 0; allowed: "),
            ("producers", json!("many"), "producers is \"many\""),
        ] {
            let message = base.with(path, &value).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
