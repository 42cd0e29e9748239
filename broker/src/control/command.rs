//! The commands that ask a broker that runs, and what they print.
//!
//! Exit codes: 0 it is done, 1 the broker has refused it or it has failed, 2 wrong usage, 3 no broker runs there, 4 it
//! was told to stop and is still about it.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Map, Value};

use super::client::{Client, Trouble};
use super::flags::{ControlCommand, Format, ListFlags, StatusFlags};
use super::print;
use super::protocol::{Kind, Listing, PATIENCE, REPLY_BYTES_MAX, Request};

const EXIT_USAGE: u8 = 2;
const EXIT_NONE: u8 = 3;
const EXIT_STILL_STOPPING: u8 = 4;
/// Moves to the upper left corner and clears the rest.
const CLEAR: &str = "\x1b[H\x1b[J";

/// Asks the broker on the data directory that `locate` finds when no flag names it.
pub(crate) fn run(
    command: &ControlCommand,
    locate: impl FnOnce(Option<&Path>) -> Result<PathBuf, String>,
) -> ExitCode {
    let flags = command.common();
    let directory = match &flags.data_dir {
        Some(directory) => directory.clone(),
        None => match locate(flags.config.as_deref()) {
            Ok(directory) => directory,
            Err(text) => {
                eprintln!("{text}");
                return ExitCode::from(EXIT_USAGE);
            }
        },
    };
    match perform(command, &directory) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads has seen enough.
        Err(Trouble::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(trouble) => {
            // Texts of the broker have names in them that clients have chosen.
            eprintln!(
                "broker {}: {}",
                command.name(),
                print::lines(&trouble.to_string())
            );
            ExitCode::from(match &trouble {
                Trouble::Nobody(_) => EXIT_NONE,
                Trouble::StillStopping(_) => EXIT_STILL_STOPPING,
                Trouble::Usage(_) => EXIT_USAGE,
                Trouble::Refused(refusal) if refusal.kind == Kind::Request => EXIT_USAGE,
                _ => 1,
            })
        }
    }
}

fn perform(command: &ControlCommand, directory: &Path) -> Result<(), Trouble> {
    let timeout = command.common().timeout.unwrap_or(PATIENCE);
    // What is wrong with a file is told before anybody is asked.
    let import = match command {
        ControlCommand::Import(flags) => Some(document(&flags.file)?),
        _ => None,
    };
    let mut client = Client::connect(directory, timeout)?;
    match command {
        ControlCommand::Status(flags) => status(&mut client, flags),
        ControlCommand::Queues(flags) => list(&mut client, &flags.list, flags.selection(), Request::Queues),
        ControlCommand::Connections(flags) => {
            list(&mut client, &flags.list, flags.selection(), Request::Connections)
        }
        ControlCommand::Channels(flags) => {
            list(&mut client, &flags.list, flags.selection(), Request::Channels)
        }
        ControlCommand::Consumers(flags) => {
            list(&mut client, &flags.list, flags.selection(), Request::Consumers)
        }
        ControlCommand::Close(flags) => {
            let (connection, reason) = (flags.connection.clone(), flags.reason.clone());
            let answer = client.ask(&Request::Close { connection, reason })?;
            say(format_args!("closed {}", print::lines(text(&answer["closed"]))))
        }
        ControlCommand::Purge(flags) => {
            let (vhost, queue) = (flags.vhost.clone(), flags.queue.clone());
            let answer = client.ask(&Request::Purge { vhost, queue })?;
            say(format_args!("purged {} messages", answer["messages"]))
        }
        ControlCommand::Checkpoint(_) => {
            let answer = client.ask(&Request::Checkpoint {})?;
            say(format_args!("{} checkpoints written", answer["checkpoints"]))
        }
        ControlCommand::Export(flags) => {
            let vhost = flags.vhost.clone();
            let answer = client.ask(&Request::Export { vhost })?;
            for remark in answer["remarks"].as_array().into_iter().flatten() {
                eprintln!("broker export: {}", print::lines(text(remark)));
            }
            export(&answer["definitions"], flags.file.as_deref())
        }
        ControlCommand::Import(flags) => {
            let (vhost, definitions) = (flags.vhost.clone(), import.unwrap_or_default());
            let answer = match client.ask(&Request::Import { vhost, definitions }) {
                Err(Trouble::Refused(refusal)) if refusal.kind == Kind::Request => {
                    return Err(Trouble::Usage(format!(
                        "{}: {}",
                        flags.file.display(),
                        refusal.text
                    )));
                }
                answer => answer?,
            };
            for place in answer["left_out"].as_array().into_iter().flatten() {
                eprintln!(
                    "broker import: left out, because this broker has nothing like it: {}",
                    print::lines(text(place))
                );
            }
            say(format_args!("imported"))
        }
        ControlCommand::Reload(_) => {
            let answer = client.ask(&Request::Reload {})?;
            out(&print::reloaded(&answer))?;
            match answer["failures"].as_array() {
                Some(failures) if !failures.is_empty() => {
                    let failures: Vec<&str> = failures.iter().map(text).collect();
                    Err(Trouble::Incomplete(failures.join("\n")))
                }
                _ => Ok(()),
            }
        }
        ControlCommand::Stop(flags) => {
            client.ask(&Request::Stop { wait: flags.wait })?;
            if !flags.wait {
                return say(format_args!("stopping"));
            }
            match client.last_word(flags.common.timeout)?["clean"].as_bool() {
                Some(true) => say(format_args!("stopped")),
                _ => Err(Trouble::Ended(
                    "it has stopped, and could not write everything: its log says what, and the next start treats this as a crash",
                )),
            }
        }
    }
}

fn status(client: &mut Client, flags: &StatusFlags) -> Result<(), Trouble> {
    let mut interval = flags.looks.interval;
    repeat(flags.looks.watch, |period| {
        let status = client.ask_again(&Request::Status {
            interval_ms: milliseconds(std::mem::replace(&mut interval, period)),
        })?;
        Ok(match flags.looks.format {
            Format::Table => print::status(&status),
            Format::Json if flags.looks.watch.is_some() => print::json(&status) + "\n",
            Format::Json => print::json_at_length(&status),
        })
    })
}

fn list(
    client: &mut Client,
    flags: &ListFlags,
    (columns, sort): (Vec<String>, Option<String>),
    request: impl Fn(Listing) -> Request,
) -> Result<(), Trouble> {
    let mut interval = flags.looks.interval;
    repeat(flags.looks.watch, |period| {
        let listing = Listing {
            vhost: flags.vhost.clone(),
            columns: columns.clone(),
            sort: sort.clone(),
            limit: flags.limit.map(|limit| limit as usize),
            interval_ms: milliseconds(std::mem::replace(&mut interval, period)),
        };
        let answer = client.ask_again(&request(listing))?;
        Ok(match flags.looks.format {
            // One after the other, they are told apart by an empty line.
            Format::Table if flags.looks.watch.is_some() => print::table(&answer) + "\n",
            Format::Table => print::table(&answer),
            Format::Json if flags.looks.watch.is_some() => print::json(&print::objects(&answer)) + "\n",
            Format::Json => print::json_at_length(&print::objects(&answer)),
        })
    })
}

/// Prints what `look` gives, once or again and again. The broker waits between two looks, not this end: `look` is told for how long.
fn repeat(
    watch: Option<Duration>,
    mut look: impl FnMut(Duration) -> Result<String, Trouble>,
) -> Result<(), Trouble> {
    let Some(period) = watch else {
        return out(&look(Duration::ZERO)?);
    };
    let clears = io::stdout().is_terminal();
    loop {
        let text = look(period)?;
        match clears {
            true => out(&format!("{CLEAR}{text}"))?,
            false => out(&text)?,
        }
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn export(document: &Value, file: Option<&Path>) -> Result<(), Trouble> {
    let text = print::json_at_length(document);
    match file {
        None => out(&text),
        Some(path) => write_private(path, text.as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))
            .map_err(Trouble::Failed),
    }
}

/// It has password hashes in it: nobody else may read it. Complete, or as it was before. What is no file, a pipe say, is written to.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    if std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return options.write(true).open(path)?.write_all(bytes);
    }
    let mut partial = OsString::from(path);
    partial.push(format!(".{}.part", std::process::id()));
    // Of an interrupted process that had the same number, as in a container.
    let _ = std::fs::remove_file(&partial);
    let mut file = options.write(true).create_new(true).mode(0o600).open(&partial)?;
    let written = file
        .write_all(bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::rename(&partial, path));
    written.inspect_err(|_| {
        // Of no use.
        let _ = std::fs::remove_file(&partial);
    })?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

/// The document in a file. What is in it, the broker looks at.
fn document(path: &Path) -> Result<Map<String, Value>, Trouble> {
    let usage = |text: String| Trouble::Usage(format!("{}: {text}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| usage(format!("cannot read it: {error}")))?;
    let document = serde_json::from_str(&text).map_err(|error| usage(error.to_string()))?;
    // As it is sent, without the spaces between.
    let bytes = serde_json::to_vec(&document).map_or(0, |bytes| bytes.len());
    match bytes <= REPLY_BYTES_MAX {
        true => Ok(document),
        false => Err(usage(format!(
            "{bytes} bytes of definitions are too much for the control socket, which takes {REPLY_BYTES_MAX}: name the file in the \
             setting definitions"
        ))),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn say(line: std::fmt::Arguments<'_>) -> Result<(), Trouble> {
    out(&format!("{line}\n"))
}

fn out(text: &str) -> Result<(), Trouble> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(Trouble::Output)
}
