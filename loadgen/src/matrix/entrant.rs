//! An entrant: a broker with a name of its own, as `--target NAME=SPEC` says.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::promise::Promise;
use crate::conductor::Peer;
use crate::driver;
use crate::failure::Failure;
use crate::recorder::ServerProperties;
use crate::subject::Subject;

/// The word for the broker in this executable.
const EMBEDDED: &str = "embedded";
/// Longest name, in characters: it heads a column of the table.
const NAME_CHARS_MAX: usize = 40;

/// A broker that takes part.
#[derive(Clone, Debug, PartialEq)]
pub struct Entrant {
    /// What it is called in tables.
    pub name: String,
    /// How it is driven.
    pub subject: Subject,
    /// What a confirm is worth there, as the user stated it for a broker that does not say.
    pub stated: Option<Promise>,
    /// Its settings, for the page.
    pub settings: Option<String>,
}

/// Why `NAME=SPEC` names nobody.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "--target {text:?}: {why}; expected NAME=embedded, NAME=PROGRAM or NAME=amqp[s]://…, flags of a started broker behind"
)]
pub struct EntrantError {
    text: String,
    why: String,
}

impl Entrant {
    /// Takes `NAME=SPEC` apart. A specification is `embedded`, the path of a broker build, or a URL; a broker that is
    /// started may be followed by flags, between blanks. `data_dir_parent` is where started brokers keep their data.
    ///
    /// # Errors
    /// Says which part is not usable. A password is not repeated.
    pub fn parse(text: &str, data_dir_parent: Option<&Path>) -> Result<Self, EntrantError> {
        let (name, specification) = text.split_once('=').unwrap_or(("", text));
        let refuse = |why: String| EntrantError {
            // What follows the name may hold a password.
            text: if name.is_empty() {
                String::new()
            } else {
                format!("{name}=…")
            },
            why,
        };
        if name.trim() != name || name.is_empty() || name.chars().any(char::is_control) {
            return Err(refuse("the name is empty or has blanks around it".into()));
        }
        if name.chars().count() > NAME_CHARS_MAX {
            return Err(refuse(format!(
                "the name is longer than {NAME_CHARS_MAX} characters"
            )));
        }
        let mut words = specification.split_whitespace();
        let first = words.next().ok_or_else(|| refuse("no broker is named".into()))?;
        let flags: Vec<&str> = words.collect();
        let subject = if first.contains("://") {
            if let Some(flag) = flags.first() {
                return Err(refuse(format!(
                    "{flag:?} follows a URL, whose broker is not started here"
                )));
            }
            let target = first.parse().map_err(|error| refuse(format!("{error}")))?;
            Subject::External { target, pid: None }
        } else {
            if let Some(flag) = flags.iter().find(|flag| !flag.starts_with('-')) {
                return Err(refuse(format!("{flag:?} is no flag")));
            }
            let program = program(first).map_err(refuse)?;
            Subject::Started {
                program,
                commit: None,
                arguments: flags.into_iter().map(OsString::from).collect(),
                data_dir_parent: data_dir_parent.map(Path::to_path_buf),
            }
        };
        Ok(Self {
            name: name.to_owned(),
            subject,
            stated: None,
            settings: None,
        })
    }

    /// Starts it if need be, logs in, and asks it who it is.
    ///
    /// # Errors
    /// Names the entrant that cannot be started or does not answer.
    pub fn probe(&self) -> Result<ServerProperties, Failure> {
        let named = |error: anyhow::Error| {
            let context = format!("target {} ({}) cannot be driven", self.name, self.subject.name());
            Failure::broker(error.context(context))
        };
        let (target, peer) = self.subject.start().map_err(|error| named(error.into()))?;
        let answer = driver::introduction(&target).map_err(|error| named(error.into()));
        match peer {
            Peer::Embedded(broker) => {
                let stopped = broker.stop().map_err(|error| named(error.into()));
                answer.and_then(|server| stopped.map(|()| server))
            }
            Peer::External(_) => answer,
        }
    }
}

/// The build that `word` names; `None` is the one in this executable.
fn program(word: &str) -> Result<Option<PathBuf>, String> {
    if word == EMBEDDED {
        return Ok(None);
    }
    let path = PathBuf::from(word);
    if !path.is_file() {
        return Err(format!("{word:?} is neither {EMBEDDED} nor a file nor a URL"));
    }
    Ok(Some(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        Entrant::parse(text, None).unwrap_err().to_string()
    }

    #[test]
    fn a_target_is_a_name_a_broker_and_its_flags() {
        let entrant = Entrant::parse("two reactors=embedded --reactors=2", Some(Path::new("/data"))).unwrap();
        assert_eq!(entrant.name, "two reactors");
        assert_eq!(entrant.subject.arguments(), ["--reactors=2"]);
        let Subject::Started {
            program,
            data_dir_parent,
            ..
        } = entrant.subject
        else {
            panic!("it is started");
        };
        assert_eq!((program, data_dir_parent), (None, Some("/data".into())));
        let rabbitmq = Entrant::parse("r=amqp://u:p=1@localhost:1", None).unwrap();
        assert_eq!(rabbitmq.subject.name(), "amqp://localhost:1");
    }

    #[test]
    fn what_names_nobody_is_explained_without_the_password() {
        for (text, expected) in [
            ("embedded", "the name is empty"),
            ("=embedded", "the name is empty"),
            ("a=", "no broker is named"),
            ("a=/no/such/file", "neither embedded nor a file"),
            ("a=embedded reactors", "\"reactors\" is no flag"),
            ("a=amqp://h --x", "follows a URL"),
            ("a=amqp://u:secret@h:0", "port"),
        ] {
            let message = refused(text);
            assert!(
                message.contains(expected) && !message.contains("secret"),
                "{text}: {message}"
            );
        }
    }

    #[test]
    fn one_that_cannot_be_reached_is_named() {
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let entrant = Entrant::parse(&format!("nobody=amqp://127.0.0.1:{port}"), None).unwrap();
        let failure = entrant.probe().unwrap_err();
        let message = format!("{:#}", failure.error);
        assert_eq!(failure.exit_code, crate::failure::EXIT_BROKER);
        assert!(message.contains("target nobody (amqp://127.0.0.1:"), "{message}");
    }
}
