//! Where scenarios come from: a path, a `scenarios` directory at or above the current one, or the built-in copies.

use std::path::{Path, PathBuf};

use super::{Scenario, ScenarioError};

/// The scenarios of this repository, so that the binary works anywhere.
const BUILT_IN: &[(&str, &str)] = &[
    ("20p20c", include_str!("../../../scenarios/20p20c.json")),
    ("20p20c-1k", include_str!("../../../scenarios/20p20c-1k.json")),
    ("20p20c-20q", include_str!("../../../scenarios/20p20c-20q.json")),
    (
        "20p20c-latency",
        include_str!("../../../scenarios/20p20c-latency.json"),
    ),
    ("1p1c", include_str!("../../../scenarios/1p1c.json")),
    ("fanout", include_str!("../../../scenarios/fanout.json")),
    (
        "20p20c-durable",
        include_str!("../../../scenarios/20p20c-durable.json"),
    ),
    (
        "backlog-fill",
        include_str!("../../../scenarios/backlog-fill.json"),
    ),
    (
        "backlog-fill-1k",
        include_str!("../../../scenarios/backlog-fill-1k.json"),
    ),
    (
        "backlog-drain",
        include_str!("../../../scenarios/backlog-drain.json"),
    ),
    (
        "slow-consumer",
        include_str!("../../../scenarios/slow-consumer.json"),
    ),
    (
        "quorum-cluster",
        include_str!("../../../scenarios/quorum-cluster.json"),
    ),
    (
        "poisson-latency",
        include_str!("../../../scenarios/poisson-latency.json"),
    ),
    ("bursts", include_str!("../../../scenarios/bursts.json")),
    ("ramp", include_str!("../../../scenarios/ramp.json")),
    ("sizes-mixed", include_str!("../../../scenarios/sizes-mixed.json")),
    ("topic-zipf", include_str!("../../../scenarios/topic-zipf.json")),
    ("churn", include_str!("../../../scenarios/churn.json")),
    ("crash", include_str!("../../../scenarios/crash.json")),
    ("restart", include_str!("../../../scenarios/restart.json")),
    ("pause", include_str!("../../../scenarios/pause.json")),
    ("stall", include_str!("../../../scenarios/stall.json")),
    ("cut", include_str!("../../../scenarios/cut.json")),
    (
        "20p20c-lapin",
        include_str!("../../../scenarios/20p20c-lapin.json"),
    ),
    (
        "20p20c-peers",
        include_str!("../../../scenarios/20p20c-peers.json"),
    ),
    (
        "20p20c-peers-1k",
        include_str!("../../../scenarios/20p20c-peers-1k.json"),
    ),
    (
        "20p20c-peers-quorum",
        include_str!("../../../scenarios/20p20c-peers-quorum.json"),
    ),
    (
        "20p20c-peers-latency",
        include_str!("../../../scenarios/20p20c-peers-latency.json"),
    ),
    (
        "20p20c-peers-latency-quorum",
        include_str!("../../../scenarios/20p20c-peers-latency-quorum.json"),
    ),
    (
        "backlog-fill-peers",
        include_str!("../../../scenarios/backlog-fill-peers.json"),
    ),
];

const DIRECTORY: &str = "scenarios";
/// What lies beside the scenarios and is none: their JSON Schema.
const SCHEMA: &str = "schema";

/// Where a scenario was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// The copy inside the binary.
    BuiltIn,
}

impl Source {
    /// What messages call it.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::BuiltIn => "built in".into(),
        }
    }
}

/// Finds a scenario: first as a path, then as `scenarios/NAME.json` in `directory` or its parents, then built in.
///
/// # Errors
/// When nothing has that name (the message lists what has), or the file is unreadable or not a valid scenario.
pub fn find(name_or_path: &str, directory: &Path) -> Result<(Scenario, Source), ScenarioError> {
    let path = directory.join(name_or_path);
    let is_path = name_or_path.ends_with(".json") || name_or_path.contains('/');
    if is_path && path.is_file() {
        return read(&path);
    }
    if !is_path {
        let file_name = format!("{name_or_path}.json");
        if let Some(found) = directories(directory)
            .map(|found| found.join(&file_name))
            .find(|path| path.is_file())
        {
            return read(&found);
        }
        if let Some((name, text)) = BUILT_IN.iter().find(|(name, _)| *name == name_or_path) {
            return Ok((Scenario::from_json(name, text)?, Source::BuiltIn));
        }
    }
    let known = list(directory).into_iter().map(|(name, _)| name).collect();
    Err(ScenarioError::Unknown {
        name: name_or_path.into(),
        known,
    })
}

/// All scenarios that [`find`] knows by name, the built-in ones first, each valid one or what is wrong with it.
#[must_use]
pub fn list(directory: &Path) -> Vec<(String, Result<Scenario, ScenarioError>)> {
    let mut names: Vec<String> = BUILT_IN.iter().map(|(name, _)| (*name).to_string()).collect();
    let mut others: Vec<String> = directories(directory)
        .flat_map(|found| file_stems(&found))
        .collect();
    others.sort();
    others.dedup();
    others.retain(|name| !names.contains(name));
    names.append(&mut others);
    names
        .into_iter()
        .map(|name| {
            let scenario = find(&name, directory).map(|(scenario, _)| scenario);
            (name, scenario)
        })
        .collect()
}

/// A scenario that ships with the binary.
#[must_use]
pub fn built_in(name: &str) -> Option<Scenario> {
    let (name, text) = BUILT_IN.iter().find(|(known, _)| *known == name)?;
    Some(Scenario::from_json(name, text).expect("the built-in scenarios are tested"))
}

fn directories(directory: &Path) -> impl Iterator<Item = PathBuf> + '_ {
    directory
        .ancestors()
        .map(|ancestor| ancestor.join(DIRECTORY))
        .filter(|found| found.is_dir())
}

fn file_stems(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_string()))
        .filter(|name| name != SCHEMA)
        .collect()
}

fn read(path: &Path) -> Result<(Scenario, Source), ScenarioError> {
    let text = std::fs::read_to_string(path).map_err(|source| ScenarioError::Read {
        path: path.to_path_buf(),
        source,
    })?;
    let scenario = Scenario::from_json(&path.display().to_string(), &text)?;
    Ok((scenario, Source::File(path.to_path_buf())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_scenario_is_valid_and_named_as_its_file() {
        for (name, _) in BUILT_IN {
            assert_eq!(built_in(name).unwrap().name, *name);
        }
        assert_eq!(built_in("nope"), None);
    }

    #[test]
    fn built_in_copies_cover_the_whole_directory() {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
        let mut files = file_stems(&repository);
        let mut built_in: Vec<String> = BUILT_IN.iter().map(|(name, _)| (*name).to_string()).collect();
        files.sort();
        built_in.sort();
        assert_eq!(files, built_in);
    }

    #[test]
    fn files_are_found_by_path_and_above_the_current_directory() {
        let root = tempfile::tempdir().unwrap();
        let below = root.path().join("a/b");
        std::fs::create_dir_all(&below).unwrap();
        std::fs::create_dir(root.path().join("scenarios")).unwrap();
        let mut scenario = built_in("1p1c").unwrap();
        scenario.name = "mine".into();
        let file = root.path().join("scenarios/mine.json");
        std::fs::write(&file, serde_json::to_string(&scenario).unwrap()).unwrap();
        assert_eq!(
            find("mine", &below).unwrap(),
            (scenario.clone(), Source::File(file.clone()))
        );
        assert_eq!(find(file.to_str().unwrap(), Path::new("/")).unwrap().0, scenario);
        assert_eq!(find("1p1c", &below).unwrap().1, Source::BuiltIn);
        assert!(
            list(&below)
                .iter()
                .any(|(name, found)| name == "mine" && found.is_ok())
        );
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let message = find("20p2c", Path::new("/")).unwrap_err().to_string();
        assert!(
            message.contains("20p2c") && message.contains("20p20c-latency"),
            "{message}"
        );
        assert!(find("./missing.json", Path::new("/")).is_err());
    }

    #[test]
    fn a_broken_file_is_named() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("x.json");
        std::fs::write(&file, "{").unwrap();
        let message = find(file.to_str().unwrap(), Path::new("/"))
            .unwrap_err()
            .to_string();
        assert!(message.contains("x.json is not valid JSON"), "{message}");
    }
}
