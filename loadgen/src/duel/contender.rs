//! `name=spec`: who fights.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use thiserror::Error;

use crate::invocation;
use crate::subject::Subject;
use crate::target::TargetError;

/// A broker to duel with, and what it is called.
#[derive(Clone, Debug, PartialEq)]
pub struct Contender {
    /// Short, for tables.
    pub name: String,
    /// Whom to drive.
    pub subject: Subject,
}

/// Why a contender cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ContenderError {
    /// It has not the form of one.
    #[error("contender is {found:?}; allowed: {allowed}")]
    Form {
        /// What was said, without passwords.
        found: String,
        /// What may be said.
        allowed: &'static str,
    },
    /// Its URL is not usable.
    #[error("contender {name}: {source}")]
    Url {
        /// Its name.
        name: String,
        /// Why.
        source: TargetError,
    },
}

const FORM: &str = "name=spec, where the name has letters, digits, dots, dashes and underscores, and the spec is a URL \
                    (amqp://… or amqps://…), or `embedded` or the path of a broker's executable, each with its flags after it";

impl FromStr for Contender {
    type Err = ContenderError;

    fn from_str(text: &str) -> Result<Self, ContenderError> {
        let fault = |allowed| ContenderError::Form {
            found: invocation::without_secrets([text.into()]).concat(),
            allowed,
        };
        let (name, spec) = text.split_once('=').ok_or_else(|| fault(FORM))?;
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if name.is_empty() || name.starts_with('-') || !name.bytes().all(is_name) {
            return Err(fault(FORM));
        }
        let mut words = spec.split_whitespace().peekable();
        let first = *words.peek().ok_or_else(|| fault(FORM))?;
        if first.contains("://") {
            if spec.split_whitespace().count() > 1 {
                return Err(fault("no flags for a broker that runs already"));
            }
            let target = first.parse().map_err(|source| ContenderError::Url {
                name: name.into(),
                source,
            })?;
            let subject = Subject::External { target, pid: None };
            return Ok(Self {
                name: name.into(),
                subject,
            });
        }
        let program = if first.starts_with('-') {
            None
        } else {
            words.next();
            (first != "embedded").then(|| PathBuf::from(first))
        };
        if program.as_ref().is_some_and(|program| !program.is_file()) {
            return Err(fault("the path of an executable that exists"));
        }
        Ok(Self {
            name: name.into(),
            subject: Subject::Started {
                program,
                commit: None,
                arguments: words.map(Into::into).collect(),
                data_dir_parent: None,
            },
        })
    }
}

impl Contender {
    /// The same, with its data directories made in `parent`; nothing changes for a broker that runs already.
    #[must_use]
    pub fn with_data_in(mut self, parent: Option<&Path>) -> Self {
        if let Subject::Started { data_dir_parent, .. } = &mut self.subject {
            *data_dir_parent = parent.map(Path::to_path_buf);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_is_flags_a_program_or_a_url() {
        let parse = |text: &str| text.parse::<Contender>().unwrap();
        let flags = parse("two=embedded --reactors=2 --x");
        assert_eq!(
            (flags.name.as_str(), flags.subject.name()),
            ("two", "embedded".into())
        );
        assert_eq!(flags.subject.arguments(), ["--reactors=2", "--x"]);
        assert_eq!(parse("two=--reactors=2 --x").subject, flags.subject);
        let program = parse("sh=/bin/sh -c x");
        assert_eq!(program.subject.name(), "embedded:/bin/sh");
        assert_eq!(program.subject.arguments(), ["-c", "x"]);
        assert_eq!(
            parse("peer=amqp://u:p@127.0.0.1:5672").subject.name(),
            "amqp://127.0.0.1:5672"
        );
        let on_disk = program.with_data_in(Some(Path::new("/d")));
        assert!(
            matches!(on_disk.subject, Subject::Started { data_dir_parent: Some(parent), .. } if parent == Path::new("/d"))
        );
    }

    #[test]
    fn anything_else_is_refused_with_what_is_allowed() {
        for (text, allowed) in [
            ("embedded", "name=spec"),
            ("=embedded", "name=spec"),
            ("a=", "name=spec"),
            ("a/b=embedded", "name=spec"),
            ("--reactors=2", "name=spec"),
            ("a=/no/such/program", "executable that exists"),
            ("a=amqp://x --flag", "no flags"),
        ] {
            let message = text.parse::<Contender>().unwrap_err().to_string();
            assert!(message.contains(allowed) && message.contains(text), "{message}");
        }
        let refused = |text: &str| text.parse::<Contender>().unwrap_err().to_string();
        let message = refused("a=http://x");
        assert!(
            message.starts_with("contender a: ") && message.contains("amqp[s]://"),
            "{message}"
        );
        let message = refused("a=amqps://u:secret@h?verify=x");
        assert!(
            message.contains("verify_none") && !message.contains("secret"),
            "{message}"
        );
        assert!(!refused("a=amqp://u:secret@h --flag").contains("secret"));
    }
}
