//! `broker config`: an example of a file, a check without a start, and what is in force.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use clap::Args;

use super::Settings;
use super::example::{self, literal};
use super::layers::{FILE_KEY, Loaded, Sources, command, key_of, repeats, shown};

/// What to do about the configuration.
#[derive(Debug, Args)]
pub(super) struct ConfigCommand {
    #[command(flatten)]
    task: Task,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Clone, Copy, Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Task {
    /// Print a file with every key, what it means, and its default.
    #[arg(long)]
    example: bool,
    /// Load everything as a start would: exit code 0, or 2 when something is wrong.
    #[arg(long)]
    check: bool,
    /// Print what is in force and where each value came from; passwords are hidden.
    #[arg(long)]
    show: bool,
}

impl ConfigCommand {
    pub(super) fn task(&self) -> Task {
        self.task
    }
}

/// Does what `task` says; mistakes are told on standard error.
pub(super) fn run(task: Task, sources: &Sources) -> ExitCode {
    let text = if task.example {
        example::text()
    } else {
        match sources.load() {
            Ok(loaded) => {
                for note in &loaded.notes {
                    eprintln!("broker config: {note}");
                }
                match (task.show, sources.file()) {
                    (true, _) => effective(&loaded),
                    (false, Some(path)) => format!("{} is good\n", path.display()),
                    (false, None) => "the configuration is good\n".to_owned(),
                }
            }
            Err(problems) => {
                eprintln!("{problems}");
                return ExitCode::from(super::EXIT_USAGE);
            }
        }
    };
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("broker config: cannot write to standard output: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What is in force, as a file that can be read again but for its passwords.
fn effective(loaded: &Loaded) -> String {
    let mut out = String::new();
    for arg in command().get_arguments() {
        let key = key_of(arg);
        let Some(setting) = loaded.settings.get(&key).filter(|_| key != FILE_KEY) else {
            continue;
        };
        let value = |value: &OsString| literal(&shown(&key, value));
        let values: Vec<String> = setting.values.iter().map(value).collect();
        let _ = match (repeats(arg), &values[..]) {
            (true, values) => writeln!(out, "{key} = [{}]  # {}", values.join(", "), setting.origin),
            (false, [.., value]) => writeln!(out, "{key} = {value}  # {}", setting.origin),
            (false, []) => writeln!(out, "# {key} is not set"),
        };
    }
    out
}
