//! The URI of one node.

use std::fmt;
use std::str::FromStr;

use lapin::uri::{AMQPScheme, AMQPUri};

/// What may stand in a URI's query.
const QUERY: [&str; 5] = [
    "heartbeat",
    "frame_max",
    "channel_max",
    "connection_timeout",
    "auth_mechanism",
];

/// One node of a side. It is shown without user and password.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Node(AMQPUri);

impl Node {
    pub(super) fn uri(&self) -> AMQPUri {
        self.0.clone()
    }

    /// How long connecting may take, in milliseconds, if the URI says.
    pub(super) fn timeout_ms(&self) -> Option<u64> {
        self.0.query.connection_timeout
    }
}

impl FromStr for Node {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with("amqps:") {
            return Err(
                "the shovel connects without TLS: only amqp:// URIs are allowed, not amqps://".to_owned(),
            );
        }
        let mut uri: AMQPUri = text
            .parse()
            .map_err(|error| format!("{error}; expected amqp://USER:PASSWORD@HOST:PORT/VHOST"))?;
        if uri.scheme != AMQPScheme::AMQP {
            return Err("expected amqp://USER:PASSWORD@HOST:PORT/VHOST".to_owned());
        }
        let (place, query) = text.split_once('?').unwrap_or((text, ""));
        // The parser leaves out addresses of IPv6.
        if let Some((_, rest)) = place.split_once('[')
            && let Some((host, _)) = rest.split_once(']')
        {
            uri.authority.host = host.to_owned();
        }
        let names = query.split('&').filter(|pair| !pair.is_empty());
        for name in names.map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name)) {
            if !QUERY.contains(&name) {
                let allowed = QUERY.join(", ");
                return Err(format!("the query has {name:?}; allowed are {allowed}"));
            }
        }
        Ok(Self(uri))
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, port) = (&self.0.authority.host, self.0.authority.port);
        let host = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.clone()
        };
        match self.0.vhost.as_str() {
            "/" => write!(f, "amqp://{host}:{port}"),
            vhost => write!(f, "amqp://{host}:{port}/{}", vhost.replace('/', "%2f")),
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_shown_without_its_password() {
        for (text, shown) in [
            ("amqp://localhost", "amqp://localhost:5672"),
            ("amqp://u:secret@h:7/v?heartbeat=5", "amqp://h:7/v"),
            ("amqp://u:secret@[::1]:7/%2f", "amqp://[::1]:7"),
            ("amqp://127.0.0.1:7/a%2fb", "amqp://127.0.0.1:7/a%2fb"),
        ] {
            let node: Node = text.parse().unwrap();
            assert_eq!(node.to_string(), shown);
            assert!(!format!("{node:?}").contains("secret"));
        }
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        for (text, expected) in [
            ("amqps://h", "without TLS"),
            ("http://h", "expected amqp://"),
            ("h:5672", "expected amqp://"),
            ("amqp://h?heartbeats=5", "allowed are heartbeat"),
            ("amqp://h?heartbeat=soon", "expected amqp://"),
        ] {
            let told = text.parse::<Node>().unwrap_err();
            assert!(told.contains(expected), "{text}: {told}");
        }
    }
}
