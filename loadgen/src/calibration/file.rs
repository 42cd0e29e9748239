//! `results/calibration.json`. Written beside itself and renamed, so that a reader finds the old file or the new one, whole.

use std::fs::{File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::ceiling::Ceiling;
use super::entry::Entry;
use super::machine::Machine;
use super::shape::Shape;
use crate::environment::Environment;
use crate::scenario::Scenario;

/// The file's name within the results directory.
pub const FILE: &str = "calibration.json";
/// Version of the file.
const SCHEMA: u32 = 1;
/// Everybody may read results.
const MODE: u32 = 0o644;

/// All calibrations of a results directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibrations {
    schema: u32,
    entries: Vec<Entry>,
}

impl Default for Calibrations {
    fn default() -> Self {
        Self {
            schema: SCHEMA,
            entries: Vec::new(),
        }
    }
}

/// Why there are no calibrations to read.
#[derive(Debug, Error)]
pub enum CalibrationError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The file is not one of ours.
    #[error("{} is damaged: {source}; delete it and calibrate again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A value that no calibration writes.
    #[error("{}: {field} is {value}; allowed: {allowed}", path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// Path of the field within it.
        field: String,
        /// What is there.
        value: String,
        /// What could be.
        allowed: String,
    },
}

impl Calibrations {
    /// Those of the directory `results`; none when there is no file yet.
    ///
    /// # Errors
    /// When the file cannot be read, is damaged, or is another version's; it is named.
    pub fn read(results: &Path) -> Result<Self, CalibrationError> {
        let path = results.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(CalibrationError::Read { path, source }),
        };
        let refused = |field: String, value: String, allowed: String| CalibrationError::Field {
            path: path.clone(),
            field,
            value,
            allowed,
        };
        let damaged = |source| CalibrationError::Damaged {
            path: path.clone(),
            source,
        };
        let value: serde_json::Value = serde_json::from_str(&text).map_err(damaged)?;
        let schema = value.get("schema").unwrap_or(&serde_json::Value::Null);
        if *schema != SCHEMA {
            return Err(refused("schema".into(), schema.to_string(), SCHEMA.to_string()));
        }
        let read: Self = serde_json::from_value(value).map_err(damaged)?;
        for (index, entry) in read.entries.iter().enumerate() {
            if let Some((field, value, allowed)) = entry.fault() {
                return Err(refused(
                    format!("entries[{index}].{field}"),
                    value,
                    allowed.into(),
                ));
            }
        }
        Ok(read)
    }

    /// All of them, in the order in which they were first made.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The ceiling for `scenario` in `environment`, if it was measured.
    #[must_use]
    pub fn ceiling(&self, scenario: &Scenario, environment: &Environment) -> Option<Ceiling> {
        let (shape, machine) = (Shape::of(scenario).ok()?.hash(), Machine::from(environment));
        let found = self.entries.iter().find(|entry| entry.is_of(&shape, &machine))?;
        Some(found.ceiling())
    }

    /// Takes `entry` in, in place of the one with the same shape and machine.
    pub fn record(&mut self, entry: Entry) {
        let mut known = self.entries.iter_mut();
        match known.find(|known| known.is_of(&entry.shape, &entry.machine)) {
            Some(known) => *known = entry,
            None => self.entries.push(entry),
        }
    }

    /// Replaces the file in the directory `results`, which must exist.
    ///
    /// # Errors
    /// When it cannot be written; the old file is then as it was.
    pub fn write(&self, results: &Path) -> io::Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        let mut file = tempfile::Builder::new()
            .prefix(".calibration-")
            .permissions(Permissions::from_mode(MODE))
            .tempfile_in(results)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(results.join(FILE)).map_err(|error| error.error)?;
        File::open(results)?.sync_all()
    }
}

impl Entry {
    fn is_of(&self, shape: &str, machine: &Machine) -> bool {
        self.shape == shape && self.machine == *machine
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{DriverKind, built_in};

    fn entry(scenario: &Scenario, environment: &Environment, msgs_per_s: f64) -> Entry {
        let shape = Shape::of(scenario).unwrap();
        Entry {
            shape: shape.hash(),
            scenario: scenario.name.clone(),
            load: shape.describe(),
            machine: environment.into(),
            commit: "0123456".into(),
            measured: "2026-11-23T22:04:05Z".into(),
            runs: vec![msgs_per_s],
            msgs_per_s,
            interval: None,
            generator_cpu_cores: Some(0.9),
            generator_cpu_us_per_message: Some(0.3),
            sink_cpu_cores: None,
        }
    }

    fn reached(calibrations: &Calibrations, scenario: &Scenario, environment: &Environment) -> Option<f64> {
        let ceiling = calibrations.ceiling(scenario, environment);
        ceiling.map(|ceiling| ceiling.msgs_per_s)
    }

    #[test]
    fn written_read_again_replaced_and_kept_apart_by_shape_and_machine() {
        let results = tempfile::tempdir().unwrap();
        let (here, scenario) = (Environment::detect(), built_in("20p20c").unwrap());
        let lapin = Scenario {
            driver: DriverKind::Lapin,
            ..scenario.clone()
        };
        let mut elsewhere = here.clone();
        elsewhere.kernel = "Linux 1.0".into();
        let mut calibrations = Calibrations::read(results.path()).unwrap();
        assert_eq!(reached(&calibrations, &scenario, &here), None);
        for made in [
            entry(&scenario, &here, 1e6),
            entry(&lapin, &here, 2e5),
            entry(&scenario, &elsewhere, 3e6),
            entry(&scenario, &here, 2e6),
        ] {
            calibrations.record(made);
            calibrations.write(results.path()).unwrap();
        }
        let read = Calibrations::read(results.path()).unwrap();
        assert_eq!(read, calibrations);
        assert_eq!(read.entries().len(), 3);
        assert_eq!(reached(&read, &scenario, &here), Some(2e6));
        assert_eq!(reached(&read, &lapin, &here), Some(2e5));
        assert_eq!(reached(&read, &scenario, &elsewhere), Some(3e6));
        let mut other_build = here.clone();
        other_build.profile = "another".into();
        assert_eq!(reached(&read, &scenario, &other_build), None);
        assert_eq!(reached(&read, &built_in("crash").unwrap(), &here), None);
        let files = std::fs::read_dir(results.path()).unwrap().count();
        assert_eq!(files, 1, "no temporary file stays");
    }

    #[test]
    fn a_damaged_file_is_named() {
        let results = tempfile::tempdir().unwrap();
        let file = results.path().join(FILE);
        let refused = |text: &str| {
            std::fs::write(&file, text).unwrap();
            let message = Calibrations::read(results.path()).unwrap_err().to_string();
            assert!(message.contains(file.to_str().unwrap()), "{message}");
            message
        };
        assert!(refused("{\"schema\": 1, \"entr").contains("is damaged: EOF"));
        assert!(refused("{\"schema\": 1, \"entries\": [{}]}").contains("missing field `shape`"));
        assert!(refused("{\"schema\": 9}").contains("schema is 9; allowed: 1"));
        assert!(refused("[]").contains("schema is null"));
        let (here, scenario) = (Environment::detect(), built_in("20p20c").unwrap());
        let mut calibrations = Calibrations::default();
        calibrations.record(entry(&scenario, &here, -3.0));
        let text = serde_json::to_string(&calibrations).unwrap();
        assert!(refused(&text).contains("entries[0].msgs_per_s is -3; allowed: a number above 0"));
    }
}
