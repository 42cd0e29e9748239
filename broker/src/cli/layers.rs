//! Flags over environment over file: which of them decides each setting, and the configuration that comes of it.
//!
//! Nothing here knows a setting by name. What a file or the environment says is turned into the flag that it stands
//! for, and the flags' own parser reads it: so all three have the same values and the same checks.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args as _, Command, FromArgMatches as _};
use rustls::ServerConfig;

use super::Settings;
use super::file::{self, Key};
pub(super) use super::problem::Origin;
use super::problem::{Problem, Problems, nearest};
use crate::config::{Config, ConfigError};
use crate::logging::{LogFilter, LogSettings};
use crate::tls::{self, FileProblem};

/// Variables of the environment that are settings begin so.
const PREFIX: &str = "BROKER_";
/// The flag that names the file; it cannot stand in the file itself.
pub(super) const FILE_KEY: &str = "config";
/// Settings whose values are nobody's business.
const SECRET_KEYS: [&str; 1] = ["user"];

/// A setting as it was given, or its default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    /// As on the command line; empty: not set.
    pub(crate) values: Vec<OsString>,
    pub(crate) origin: Origin,
}

/// A configuration with where it came from.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    pub(crate) config: Config,
    pub(crate) log: LogSettings,
    /// What TLS listeners go by, if there are any.
    pub(crate) tls: Option<Arc<ServerConfig>>,
    /// By key, all of them.
    pub(crate) settings: BTreeMap<String, Setting>,
    /// What is worth a word and no reason to refuse.
    pub(crate) notes: Vec<String>,
}

/// What a configuration is made of, so that it can be made again.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    /// What the command line says, by key.
    flags: BTreeMap<String, Vec<OsString>>,
    environment: BTreeMap<String, OsString>,
}

/// All settings as a command line of their own.
pub(super) fn command() -> Command {
    Settings::augment_args(
        Command::new("broker")
            .disable_help_flag(true)
            .disable_version_flag(true),
    )
}

/// A setting's key: its flag with `_` for `-`.
pub(super) fn key_of(arg: &Arg) -> String {
    arg.get_long().unwrap_or_default().replace('-', "_")
}

/// True where a flag may be repeated.
pub(super) fn repeats(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Append)
}

/// What may be shown of a value.
pub(crate) fn shown(key: &str, value: &OsStr) -> String {
    let value = value.to_string_lossy();
    if !SECRET_KEYS.contains(&key) {
        return value.into_owned();
    }
    match value.split_once(':') {
        Some((name, _)) => format!("{name}:***"),
        None => "***".to_owned(),
    }
}

impl Sources {
    /// The flags of `matches` and the variables of `environment`.
    pub(crate) fn new(
        matches: &ArgMatches,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Sources {
        let mut flags = BTreeMap::new();
        for arg in command().get_arguments() {
            let id = arg.get_id().as_str();
            if matches.value_source(id) == Some(ValueSource::CommandLine) {
                let values = matches.get_raw(id).into_iter().flatten();
                flags.insert(key_of(arg), values.map(OsStr::to_owned).collect());
            }
        }
        Sources {
            flags,
            ..Sources::of_environment(environment)
        }
    }

    /// The variables of `environment` alone.
    pub(crate) fn of_environment(environment: impl IntoIterator<Item = (OsString, OsString)>) -> Sources {
        let environment = environment
            .into_iter()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .filter(|(name, value)| name.starts_with(PREFIX) && !value.is_empty());
        Sources {
            flags: BTreeMap::new(),
            environment: environment.collect(),
        }
    }

    /// The data directory of a broker that was started with these variables, and with `file` if there is one; what else is wrong
    /// with them does not matter.
    ///
    /// # Errors
    /// When the file cannot be read, or the setting in it is wrong.
    pub(crate) fn data_dir(mut self, file: Option<&Path>) -> Result<PathBuf, Problems> {
        const KEY: &str = "data_dir";
        if let Some(directory) = self.environment.get(&variable_of(KEY)) {
            return Ok(directory.into());
        }
        if let Some(file) = file {
            self.flags.insert(FILE_KEY.to_owned(), vec![file.into()]);
        }
        let (mut settings, mut problems) = (BTreeMap::new(), Vec::new());
        if let Some(path) = self.file() {
            self.read_file(&path, &command(), &mut settings, &mut problems);
        }
        let named = settings
            .get(KEY)
            .and_then(|setting: &Setting| setting.values.last());
        match named {
            Some(directory) => Ok(directory.into()),
            None if problems.is_empty() => Ok(Config::default().data_dir),
            None => Err(Problems(problems)),
        }
    }

    /// The configuration file, if there is one: `--config`, else `BROKER_CONFIG`.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        let flag = self.flags.get(FILE_KEY).and_then(|values| values.last());
        let variable = || self.environment.get(&variable_of(FILE_KEY));
        flag.or_else(variable).map(PathBuf::from)
    }

    /// Reads the file and puts everything together.
    ///
    /// # Errors
    /// All that is wrong, if anything is.
    pub(crate) fn load(&self) -> Result<Loaded, Problems> {
        let command = command();
        let mut settings = BTreeMap::new();
        let mut problems = Vec::new();
        for arg in command.get_arguments() {
            let defaults = arg.get_default_values().iter().map(|value| value.to_os_string());
            let setting = Setting {
                values: defaults.collect(),
                origin: Origin::Default,
            };
            settings.insert(key_of(arg), setting);
        }
        if let Some(path) = self.file() {
            self.read_file(&path, &command, &mut settings, &mut problems);
        }
        let notes = self.read_environment(&command, &mut settings, &mut problems);
        for (key, values) in &self.flags {
            let (values, origin) = (values.clone(), Origin::CommandLine);
            settings.insert(key.clone(), Setting { values, origin });
        }
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        let (config, log) = assembled(&settings)?;
        let tls = tls_of(&config, &settings)?;
        Ok(Loaded {
            config,
            log,
            tls,
            settings,
            notes,
        })
    }

    fn read_file(
        &self,
        path: &Path,
        command: &Command,
        settings: &mut BTreeMap<String, Setting>,
        problems: &mut Vec<Problem>,
    ) {
        let args = command.get_arguments().filter(|arg| key_of(arg) != FILE_KEY);
        let args: Vec<(String, &Arg)> = args.map(|arg| (key_of(arg), arg)).collect();
        let keys: Vec<Key<'_>> = args
            .iter()
            .map(|(name, arg)| Key {
                name,
                repeats: repeats(arg),
                has_default: !arg.get_default_values().is_empty(),
            })
            .collect();
        let (entries, mistakes) = file::read(path, &keys);
        problems.extend(mistakes);
        for entry in entries {
            let setting = Setting {
                values: entry.values.into_iter().map(OsString::from).collect(),
                origin: Origin::File(path.to_owned(), Some(entry.line)),
            };
            // What a flag overrules must be right, too: the next start may be without that flag.
            problems.extend(refused(&entry.key, &setting));
            settings.insert(entry.key, setting);
        }
        problems.sort_by_key(|problem| problem.origin.line());
    }

    fn read_environment(
        &self,
        command: &Command,
        settings: &mut BTreeMap<String, Setting>,
        problems: &mut Vec<Problem>,
    ) -> Vec<String> {
        let keys: Vec<String> = command.get_arguments().map(key_of).collect();
        let mut notes = Vec::new();
        for (variable, value) in &self.environment {
            let Some(key) = keys.iter().find(|key| variable_of(key) == *variable) else {
                // No error: orchestrators set variables that begin with a service's name, which may be "broker".
                let name = variable[PREFIX.len()..].to_lowercase();
                let near = nearest(&name, keys.iter().map(String::as_str));
                let hint = near.map_or_else(String::new, |near| format!("; perhaps {}", variable_of(near)));
                notes.push(format!(
                    "environment {variable} is no setting of this broker{hint}"
                ));
                continue;
            };
            let setting = Setting {
                values: vec![value.clone()],
                origin: Origin::Environment(variable.clone()),
            };
            problems.extend(refused(key, &setting));
            settings.insert(key.clone(), setting);
        }
        notes
    }
}

fn variable_of(key: &str) -> String {
    format!("{PREFIX}{}", key.to_uppercase())
}

/// The flags that a setting stands for.
fn flags_of<'a>(key: &str, setting: &'a Setting) -> impl Iterator<Item = OsString> + use<'a> {
    let flag = key.replace('_', "-");
    setting.values.iter().map(move |value| {
        let mut text = OsString::from(format!("--{flag}="));
        text.push(value);
        text
    })
}

/// What the flags' parser has against each value of a setting.
fn refused(key: &str, setting: &Setting) -> Vec<Problem> {
    let mut problems = Vec::new();
    for value in &setting.values {
        let single = Setting {
            values: vec![value.clone()],
            origin: setting.origin.clone(),
        };
        let args = std::iter::once("broker".into()).chain(flags_of(key, &single));
        if let Err(error) = command().try_get_matches_from(args) {
            let text = format!("{key} = \"{}\": {}", shown(key, value), reason(&error));
            problems.push(Problem {
                origin: setting.origin.clone(),
                text,
            });
        }
    }
    problems
}

/// Why a value was refused, and what is allowed, without what the parser says of flags.
fn reason(error: &clap::Error) -> String {
    if let Some(source) = error.source() {
        return source.to_string();
    }
    match (error.kind(), error.get(ContextKind::ValidValue)) {
        (ErrorKind::InvalidValue, Some(ContextValue::Strings(allowed))) if !allowed.is_empty() => {
            format!("expected one of {}", allowed.join(", "))
        }
        (ErrorKind::InvalidValue | ErrorKind::NoEquals | ErrorKind::InvalidUtf8, _) => {
            "expected a value, which is text and not empty".to_owned()
        }
        _ => error.to_string().lines().next().unwrap_or_default().to_owned(),
    }
}

/// All settings, each of which is right for itself, as one configuration.
fn assembled(settings: &BTreeMap<String, Setting>) -> Result<(Config, LogSettings), Problems> {
    let given = settings
        .iter()
        .filter(|(_, setting)| setting.origin != Origin::Default);
    let flags = given.flat_map(|(key, setting)| flags_of(key, setting));
    let single = |text: String| {
        Problems(vec![Problem {
            origin: Origin::CommandLine,
            text,
        }])
    };
    let matches = command()
        .try_get_matches_from(std::iter::once("broker".into()).chain(flags))
        .and_then(|matches| Settings::from_arg_matches(&matches));
    let of_flag = |error: &clap::Error| match error.get(ContextKind::InvalidArg) {
        Some(flag) => format!("{flag}: {}", reason(error)),
        None => reason(error),
    };
    let mut parsed = matches.map_err(|error| single(of_flag(&error)))?;
    let filter = match parsed.log.take() {
        Some(filter) => filter,
        None => LogFilter::from_environment().map_err(single)?,
    };
    let log = LogSettings {
        filter,
        format: parsed.log_format,
    };
    let config = parsed.config();
    let contradictions = config.contradictions();
    if contradictions.is_empty() {
        return Ok((config, log));
    }
    let problem = |error: ConfigError| problem_with(error.flag, settings, error.to_string());
    Err(Problems(contradictions.into_iter().map(problem).collect()))
}

/// Certificates and keys, if anybody listens for TLS.
fn tls_of(
    config: &Config,
    settings: &BTreeMap<String, Setting>,
) -> Result<Option<Arc<ServerConfig>>, Problems> {
    if config.listen_tls.is_empty() {
        return Ok(None);
    }
    let problem = |problem: FileProblem| problem_with(problem.flag, settings, problem.to_string());
    tls::load(&config.tls)
        .map(Some)
        .map_err(|problems| Problems(problems.into_iter().map(problem).collect()))
}

/// A mistake in the setting of a flag.
fn problem_with(flag: &str, settings: &BTreeMap<String, Setting>, text: String) -> Problem {
    let setting = settings.get(&flag.trim_start_matches('-').replace('-', "_"));
    let origin = setting.map_or(Origin::CommandLine, |setting| setting.origin.clone());
    Problem { origin, text }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn sources(flags: &[&str], environment: &[(&str, &str)]) -> Sources {
        let args = std::iter::once(&"broker").chain(flags);
        let matches = command().try_get_matches_from(args).unwrap();
        let pair = |(name, value): &(&str, &str)| (OsString::from(name), OsString::from(value));
        Sources::new(&matches, environment.iter().map(pair))
    }

    fn file(text: &str) -> (tempfile::TempDir, String) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("broker.toml");
        std::fs::write(&path, text).unwrap();
        (directory, path.display().to_string())
    }

    #[test]
    fn flags_beat_the_environment_which_beats_the_file() {
        let (_kept, path) =
            file("heartbeat = 10\nreactors = 3\nchannel_max = 100\nuser = ['ada:a', 'bob:b']");
        let environment = [
            ("BROKER_CONFIG", path.as_str()),
            ("BROKER_REACTORS", "4"),
            ("BROKER_CHANNEL_MAX", "200"),
            ("BROKER_RING_MESSAGES", ""),
            ("BROKERAGE", "5"),
        ];
        let loaded = sources(&["--channel-max=300"], &environment).load().unwrap();
        let config = &loaded.config;
        assert_eq!(config.heartbeat, Duration::from_secs(10));
        assert_eq!((config.reactors, config.channel_max), (4, 300));
        assert_eq!(config.users.len(), 2);
        assert_eq!(config.frame_max, Config::default().frame_max);
        let origin = |key: &str| loaded.settings[key].origin.to_string();
        assert_eq!(origin("heartbeat"), format!("{path}:1"));
        assert_eq!(origin("reactors"), "environment BROKER_REACTORS");
        assert_eq!(origin("channel_max"), "command line");
        assert_eq!(origin("frame_max"), "default");
        assert_eq!(loaded.notes, Vec::<String>::new());
        let other = sources(&["--config=/nowhere"], &environment).load().unwrap_err();
        assert!(
            other.to_string().starts_with("/nowhere: cannot read it"),
            "{other}"
        );
    }

    #[test]
    fn all_mistakes_are_told_with_place_key_value_and_what_is_allowed() {
        let (_kept, path) =
            file("frame_max = '4k'\nframe_mox = 1\n[ring]\nmessages = 0\n[spill]\nabove = 99\n[user]\n");
        let text = "durability = 'disk'\nlisten = ['localhost']\nuser = ['secret']\nconfig = 'x'\n";
        let (_kept_too, second) = file(text);
        let told = |path: &str| {
            let environment = [("BROKER_CONFIG", path), ("BROKER_HEARTBEAT", "1500ms")];
            // What is wrong in the file is told, whether a flag overrules it or not.
            sources(&["--ring-messages=5"], &environment)
                .load()
                .unwrap_err()
                .to_string()
        };
        let first = told(&path);
        let lines = [
            format!("{path}:1: frame_max = \"4k\": expected a size such as"),
            format!("{path}:2: unknown key 'frame_mox'; perhaps 'frame_max'"),
            format!("{path}:4: ring_messages = \"0\": 0 is not in 1..=16777216"),
            format!("{path}:6: spill_above = \"99\": 99 is not in 1..=95"),
            "environment BROKER_HEARTBEAT: heartbeat = \"1500ms\": expected whole seconds".to_owned(),
        ];
        for line in &lines {
            assert!(
                first.lines().any(|told| told.starts_with(line)),
                "{line}: {first}"
            );
        }
        assert_eq!(first.lines().count(), lines.len(), "{first}");
        let second_told = told(&second);
        for line in [
            "1: durability = \"disk\": ",
            "2: listen = \"localhost\": invalid socket address syntax; expected ADDRESS:PORT",
            "3: user = \"***\": expected NAME:PASSWORD",
            "4: unknown key 'config'",
        ] {
            assert!(
                second_told.contains(&format!("{second}:{line}")),
                "{line}: {second_told}"
            );
        }
    }

    #[test]
    fn contradictions_are_told_where_they_are_made() {
        let (_kept, path) = file("\nring_bytes = '1GiB'\noutbox_bytes = '4KiB'\n");
        let told = sources(&[&format!("--config={path}")], &[]).load().unwrap_err();
        assert_eq!(
            told.to_string(),
            format!(
                "{path}:3: --outbox-bytes 4096 is less than --frame-max 131072: no full frame would fit\n\
                 {path}:2: --ring-bytes 1073741824 is more than --memory-budget 536870912, which all queues share"
            )
        );
    }

    #[test]
    fn an_empty_list_is_none_of_it() {
        let (_kept, path) =
            file("listen = []\nlisten_unix = ['/run/mq.sock']\nloopback_users = []\nuser = []\n");
        let config = sources(&[&format!("--config={path}")], &[])
            .load()
            .unwrap()
            .config;
        assert!(config.listen.is_empty() && config.loopback_users.is_empty() && config.users.is_empty());
    }

    #[test]
    fn a_variable_that_is_no_setting_is_noted_and_no_more() {
        let environment = [("BROKER_PORT", "tcp://10.0.0.1:5672"), ("BROKER_FRAMEMAX", "1")];
        let notes = sources(&[], &environment).load().unwrap().notes;
        assert_eq!(
            notes,
            [
                "environment BROKER_FRAMEMAX is no setting of this broker; perhaps BROKER_FRAME_MAX",
                "environment BROKER_PORT is no setting of this broker"
            ]
        );
    }
}
