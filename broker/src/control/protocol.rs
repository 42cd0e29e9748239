//! What the two ends say to each other: a line of JSON a request, a line a reply, as often as the client likes.
//!
//! ```text
//! {"version":1,"command":"purge","vhost":"/","queue":"orders"}
//! {"version":1,"broker":"0.1.0","answer":{"messages":17}}
//! {"version":1,"broker":"0.1.0","error":{"kind":"not_found","text":"no queue 'orders' in vhost '/'"}}
//! ```
//!
//! A request of another version is refused with `version`, and that refusal is understood by all versions: `version`, `broker` and
//! `error` stay as they are. `patience_ms` may be in any request: how long the client waits for a change. `stop` with `wait` is answered twice: at once, and as the last thing that the broker does.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Of requests and replies.
pub(super) const VERSION: u64 = 1;
/// Longest request: what was exported can be imported. One above [`PLAIN_BYTES_MAX`] waits until no other such is being read.
pub(super) const REQUEST_BYTES_MAX: usize = REPLY_BYTES_MAX + 4096;
/// Longest request that is read beside others.
pub(super) const PLAIN_BYTES_MAX: usize = 64 << 10;
/// Longest reply.
pub(super) const REPLY_BYTES_MAX: usize = 64 << 20;
/// Longest time that a client may wait for a change.
pub(super) const PATIENCE_MAX: Duration = Duration::from_secs(24 * 3600);
/// Time that it waits where the request does not say so.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// Longest time between the two looks of which rates are made.
pub(super) const INTERVAL_MAX: Duration = Duration::from_secs(60);

/// What the broker is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Request {
    /// How the broker is, and what anybody waits for.
    Status {
        /// Time over which rates are taken, at most [`INTERVAL_MAX`].
        interval_ms: u64,
    },
    Queues(Listing),
    Connections(Listing),
    Channels(Listing),
    Consumers(Listing),
    /// Closes a connection with 320.
    Close {
        /// Its id or its name.
        connection: String,
        reason: String,
    },
    /// Drops the messages of a queue that are ready.
    Purge {
        vhost: String,
        queue: String,
    },
    /// Writes every checkpoint that has changed.
    Checkpoint {},
    /// Everything that is defined, or what one virtual host has of it.
    Export {
        vhost: Option<String>,
    },
    /// The opposite.
    Import {
        vhost: Option<String>,
        definitions: Map<String, Value>,
    },
    /// Reads the configuration again.
    Reload {},
    /// Stops the broker in good order.
    Stop {
        /// Answer once more when that is done.
        wait: bool,
    },
}

/// Which part of a list.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listing {
    /// Only of this virtual host.
    pub(super) vhost: Option<String>,
    /// In this order; none: those that are shown when nobody asks for any.
    pub(super) columns: Vec<String>,
    /// Numbers from the largest down, texts from A to Z.
    pub(super) sort: Option<String>,
    /// Rows at most.
    pub(super) limit: Option<usize>,
    /// Time over which rates are taken, if there are any among the columns; at most [`INTERVAL_MAX`].
    pub(super) interval_ms: u64,
}

/// A reply as it is read.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Reply {
    pub(super) version: u64,
    /// The version of the broker.
    pub(super) broker: String,
    pub(super) answer: Option<Value>,
    pub(super) error: Option<Refusal>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Refusal {
    pub(super) kind: Kind,
    /// A sentence.
    pub(super) text: String,
}

/// Kinds of refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// The request is of another version.
    Version,
    /// It cannot be understood.
    Request,
    /// The user may not ask.
    Access,
    /// What it is about is not there.
    NotFound,
    /// It is understood and cannot be done.
    Refused,
    /// Not now: the broker starts or stops, or serves too many others.
    Unavailable,
    /// It was begun and has failed.
    Failed,
    /// Of a later broker.
    #[serde(other)]
    Other,
}

impl Refusal {
    pub(super) fn new(kind: Kind, text: impl Into<String>) -> Refusal {
        let text = text.into();
        Refusal { kind, text }
    }

    pub(super) fn not_found(text: impl Into<String>) -> Refusal {
        Refusal::new(Kind::NotFound, text)
    }
}

/// An answer: JSON, encoded already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer(pub(super) Vec<u8>);

impl From<Value> for Answer {
    fn from(value: Value) -> Answer {
        Answer(value.to_string().into_bytes())
    }
}

impl Request {
    /// Reads a line: what is asked, and how long the client waits for a change, `patience_ms`.
    ///
    /// # Errors
    /// What is wrong with it, the field among it.
    pub(super) fn parse(line: &[u8]) -> Result<(Request, Duration), Refusal> {
        let wrong = |text: String| Refusal::new(Kind::Request, text);
        let mut object: Map<String, Value> = serde_json::from_slice(line)
            .map_err(|error| wrong(format!("the request is no JSON object: {error}")))?;
        match object.shift_remove("version").as_ref().map(Value::as_u64) {
            Some(Some(VERSION)) => {}
            version => {
                let found = version.map_or_else(
                    || "none".to_owned(),
                    |version| match version {
                        Some(version) => version.to_string(),
                        None => "something else".to_owned(),
                    },
                );
                let text =
                    format!("version: this broker understands version {VERSION} of requests, found {found}");
                return Err(Refusal::new(Kind::Version, text));
            }
        }
        let patience = match object.shift_remove("patience_ms") {
            None => PATIENCE,
            Some(value) => {
                let patience = value.as_u64().map(Duration::from_millis);
                let patience = patience.filter(|patience| *patience <= PATIENCE_MAX);
                patience.ok_or_else(|| {
                    let max = PATIENCE_MAX.as_millis();
                    wrong(format!("patience_ms: expected 0 to {max}, found {value}"))
                })?
            }
        };
        let request = serde_json::from_value(Value::Object(object));
        Ok((request.map_err(|error| wrong(error.to_string()))?, patience))
    }

    /// As a line.
    pub(super) fn line(&self, patience: Duration) -> Vec<u8> {
        let patience_ms = patience.as_millis();
        let mut line = format!("{{\"version\":{VERSION},\"patience_ms\":{patience_ms},").into_bytes();
        let body = serde_json::to_vec(self).expect("a request has nothing that JSON cannot say");
        line.extend_from_slice(&body[1..]);
        line.push(b'\n');
        line
    }

    /// Its name on the command line.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Request::Status { .. } => "status",
            Request::Queues(_) => "queues",
            Request::Connections(_) => "connections",
            Request::Channels(_) => "channels",
            Request::Consumers(_) => "consumers",
            Request::Close { .. } => "close",
            Request::Purge { .. } => "purge",
            Request::Checkpoint {} => "checkpoint",
            Request::Export { .. } => "export",
            Request::Import { .. } => "import",
            Request::Reload {} => "reload",
            Request::Stop { .. } => "stop",
        }
    }

    /// How long the broker waits before it looks for the answer.
    pub(super) fn interval(&self) -> Duration {
        Duration::from_millis(match self {
            Request::Status { interval_ms } => *interval_ms,
            Request::Queues(listing)
            | Request::Connections(listing)
            | Request::Channels(listing)
            | Request::Consumers(listing) => listing.interval_ms,
            _ => 0,
        })
    }

    /// True for what changes something, or gives secrets away: the log tells who has asked for it.
    pub(super) fn is_logged(&self) -> bool {
        !matches!(
            self,
            Request::Status { .. }
                | Request::Queues(_)
                | Request::Connections(_)
                | Request::Channels(_)
                | Request::Consumers(_)
        )
    }

    /// True where the answer may be large.
    pub(super) fn is_answered_at_length(&self) -> bool {
        matches!(
            self,
            Request::Queues(_)
                | Request::Connections(_)
                | Request::Channels(_)
                | Request::Consumers(_)
                | Request::Export { .. }
        )
    }
}

/// A reply as a line.
pub(super) fn reply_line(outcome: Result<Answer, Refusal>) -> Vec<u8> {
    let (word, body) = match outcome {
        Ok(Answer(body)) => ("answer", body),
        Err(refusal) => {
            let body = serde_json::to_vec(&refusal);
            ("error", body.expect("a refusal has nothing that JSON cannot say"))
        }
    };
    let broker = env!("CARGO_PKG_VERSION");
    let head = format!("{{\"version\":{VERSION},\"broker\":\"{broker}\",\"{word}\":");
    let mut line = Vec::with_capacity(head.len() + body.len() + 2);
    line.extend_from_slice(head.as_bytes());
    line.extend_from_slice(&body);
    line.extend_from_slice(b"}\n");
    line
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_request_is_read_as_it_was_written() {
        let definitions = json!({"queues": [], "version": 7});
        let Value::Object(definitions) = definitions else {
            panic!()
        };
        for request in [
            Request::Status { interval_ms: 1 },
            Request::Queues(Listing {
                columns: vec!["name".to_owned()],
                limit: Some(3),
                ..Listing::default()
            }),
            Request::Checkpoint {},
            Request::Stop { wait: true },
            Request::Import {
                vhost: None,
                definitions,
            },
        ] {
            let line = request.line(PATIENCE_MAX);
            assert_eq!(line.iter().position(|&byte| byte == b'\n'), Some(line.len() - 1));
            assert_eq!(Request::parse(&line), Ok((request, PATIENCE_MAX)));
        }
    }

    #[test]
    fn what_is_wrong_with_a_request_is_named() {
        for (line, kind, expected) in [
            ("[]", Kind::Request, "no JSON object"),
            ("{}", Kind::Version, "version 1 of requests, found none"),
            (r#"{"version":2,"command":"reload"}"#, Kind::Version, "found 2"),
            (r#"{"version":"1"}"#, Kind::Version, "found something else"),
            (r#"{"version":1}"#, Kind::Request, "missing field `command`"),
            (
                r#"{"version":1,"command":"dance"}"#,
                Kind::Request,
                "expected one of `status`",
            ),
            (
                r#"{"version":1,"command":"purge","vhost":"/"}"#,
                Kind::Request,
                "missing field `queue`",
            ),
            (
                r#"{"version":1,"command":"stop","wait":1}"#,
                Kind::Request,
                "expected a boolean",
            ),
            (
                r#"{"version":1,"command":"reload","hard":1}"#,
                Kind::Request,
                "unknown field `hard`",
            ),
            (
                r#"{"version":1,"command":"reload","patience_ms":86400001}"#,
                Kind::Request,
                "patience_ms: expected 0 to 86400000, found 86400001",
            ),
        ] {
            let refusal = Request::parse(line.as_bytes()).unwrap_err();
            assert!(
                refusal.kind == kind && refusal.text.contains(expected),
                "{line}: {refusal:?}"
            );
        }
    }

    #[test]
    fn a_reply_of_any_version_can_be_read() {
        let read = |line: &[u8]| serde_json::from_slice::<Reply>(line).unwrap();
        let reply = read(&reply_line(Ok(json!({"messages": 1}).into())));
        assert_eq!(
            (reply.version, reply.answer),
            (VERSION, Some(json!({"messages": 1})))
        );
        let reply = read(&reply_line(Err(Refusal::not_found("no"))));
        assert_eq!(reply.error, Some(Refusal::not_found("no")));
        let later = br#"{"version":9,"broker":"7.0.0","error":{"kind":"tired","text":"t"},"more":1}"#;
        assert_eq!(read(later).error.map(|refusal| refusal.kind), Some(Kind::Other));
    }
}
