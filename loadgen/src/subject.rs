//! Whom a run drives: a broker that is started for it, or one that is there already.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::conductor::{Peer, target_of};
use crate::embedded::{BrokerError, EmbeddedBroker};
use crate::invocation;
use crate::listener::listener_pid;
use crate::target::Target;

/// What the broker is called that is started for the run.
const EMBEDDED: &str = "embedded";

/// A broker to drive.
#[derive(Clone, Debug, PartialEq)]
pub enum Subject {
    /// Started for each run, on a free loopback port with an empty data directory.
    Started {
        /// A build of the reference broker; `None` = the one in this executable.
        program: Option<PathBuf>,
        /// The commit that `program` was built from, if somebody said so.
        commit: Option<String>,
        /// Further flags.
        arguments: Vec<OsString>,
        /// Where the data directory is made; `None` = where temporary files go.
        data_dir_parent: Option<PathBuf>,
    },
    /// Somebody else's.
    External {
        /// Where it listens.
        target: Target,
        /// Its process; `None` = found by its listening socket, if that is on this machine.
        pid: Option<u32>,
    },
}

impl Subject {
    /// The broker in this executable, with default flags.
    #[must_use]
    pub fn embedded() -> Self {
        Self::Started {
            program: None,
            commit: None,
            arguments: Vec::new(),
            data_dir_parent: None,
        }
    }

    /// `embedded`, `embedded:PROGRAM`, or the URL without the password.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Started { program: None, .. } => EMBEDDED.to_owned(),
            Self::Started {
                program: Some(program),
                ..
            } => format!("{EMBEDDED}:{}", program.display()),
            Self::External { target, .. } => target.to_string(),
        }
    }

    /// What its connections go over.
    #[must_use]
    pub fn transport(&self) -> &'static str {
        match self {
            Self::Started { .. } => "plain TCP",
            Self::External { target, .. } => target.transport(),
        }
    }

    /// Whether this process may kill and restart it.
    #[must_use]
    pub fn is_started(&self) -> bool {
        matches!(self, Self::Started { .. })
    }

    /// Its further flags, for the record: without passwords.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        match self {
            Self::Started { arguments, .. } => invocation::without_secrets(arguments.iter().cloned()),
            Self::External { .. } => Vec::new(),
        }
    }

    /// The commit that the broker was built from: `own` for the one in this executable; otherwise what was said, if anything.
    #[must_use]
    pub fn commit(&self, own: &str) -> Option<String> {
        match self {
            Self::Started { program: None, .. } => Some(own.to_owned()),
            Self::Started { commit, .. } => commit.clone(),
            Self::External { .. } => None,
        }
    }

    /// Starts it, or finds its process.
    ///
    /// # Errors
    /// When it does not start or does not listen in time.
    pub fn start(&self) -> Result<(Target, Peer), BrokerError> {
        match self {
            Self::External { target, pid } => {
                let pid = pid.or_else(|| listener_pid(target));
                Ok((target.clone(), Peer::External(pid)))
            }
            Self::Started {
                program,
                arguments,
                data_dir_parent,
                ..
            } => {
                let broker =
                    EmbeddedBroker::start(program.as_deref(), arguments, data_dir_parent.as_deref())?;
                Ok((target_of(broker.address()), Peer::Embedded(broker)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_what_is_driven() {
        let embedded = Subject::embedded();
        assert_eq!(
            (embedded.name(), embedded.commit("abc")),
            ("embedded".into(), Some("abc".into()))
        );
        let other = Subject::Started {
            program: Some("/b/broker".into()),
            commit: None,
            arguments: vec!["--reactors=2".into()],
            data_dir_parent: None,
        };
        assert_eq!(
            (other.name(), other.commit("abc")),
            ("embedded:/b/broker".into(), None)
        );
        assert_eq!(other.arguments(), ["--reactors=2"]);
        let external = Subject::External {
            target: "amqp://u:secret@h:1".parse().unwrap(),
            pid: None,
        };
        assert_eq!(
            (external.name(), external.is_started()),
            ("amqp://h:1".into(), false)
        );
    }
}
