//! The URI of one node.

use std::fmt;
use std::str::FromStr;

use amqps::{Tls, TlsOptions, percent_encode};
use lapin::uri::{AMQPScheme, AMQPUri};

/// What may stand in a URI's query; after `amqps://` also [`TlsOptions::NAMES`].
const QUERY: [&str; 5] = [
    "heartbeat",
    "frame_max",
    "channel_max",
    "connection_timeout",
    "auth_mechanism",
];

const FORM: &str = "expected amqp[s]://USER:PASSWORD@HOST:PORT/VHOST";

/// One node of a side. It is shown without user, password and options.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Node {
    /// Without TLS, which is none of the client's business.
    uri: AMQPUri,
    tls: Option<TlsOptions>,
}

impl Node {
    pub(super) fn uri(&self) -> AMQPUri {
        self.uri.clone()
    }

    pub(super) fn host(&self) -> &str {
        &self.uri.authority.host
    }

    /// How to speak TLS with it, if at all. The files are read again: they may have been replaced since the last connection.
    pub(super) fn tls(&self) -> Option<Result<Tls, String>> {
        self.tls.clone().map(Tls::new)
    }

    /// How long connecting may take, in milliseconds, if the URI says.
    pub(super) fn timeout_ms(&self) -> Option<u64> {
        self.uri.query.connection_timeout
    }
}

impl FromStr for Node {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (place, query) = text.split_once('?').unwrap_or((text, ""));
        let mut uri: AMQPUri = text.parse().map_err(|error| format!("{error}; {FORM}"))?;
        // The parser leaves out addresses of IPv6.
        if let Some((_, rest)) = place.split_once('[')
            && let Some((host, _)) = rest.split_once(']')
        {
            uri.authority.host = host.to_owned();
        }
        let is_tls = uri.scheme == AMQPScheme::AMQPS;
        let tls_query = tls_part(query, is_tls)?;
        uri.scheme = AMQPScheme::AMQP;
        if !is_tls {
            return Ok(Self { uri, tls: None });
        }
        let options = TlsOptions::from_query(&tls_query)?;
        Tls::new(options.clone())?.server_name(&uri.authority.host)?;
        Ok(Self {
            uri,
            tls: Some(options),
        })
    }
}

/// The part of the query that is about TLS, after a look at all of it.
fn tls_part(query: &str, is_tls: bool) -> Result<String, String> {
    let mut options = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let name = pair.split_once('=').map_or(pair, |(name, _)| name);
        match (TlsOptions::NAMES.contains(&name), is_tls) {
            (true, true) => options.push(pair),
            (true, false) => return Err(format!("the query has {name:?}, which goes with amqps:// only")),
            (false, _) if QUERY.contains(&name) => {}
            (false, _) => {
                let tls: &[&str] = if is_tls { &TlsOptions::NAMES } else { &[] };
                let allowed = [&QUERY[..], tls].concat().join(", ");
                return Err(format!("the query has {name:?}; allowed are {allowed}"));
            }
        }
    }
    Ok(options.join("&"))
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls.is_some() { "amqps" } else { "amqp" };
        let (host, port) = (self.host(), self.uri.authority.port);
        if host.contains(':') {
            write!(f, "{scheme}://[{host}]:{port}")?;
        } else {
            write!(f, "{scheme}://{host}:{port}")?;
        }
        match self.uri.vhost.as_str() {
            "/" => Ok(()),
            vhost => write!(f, "/{}", percent_encode(vhost)),
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
            ("amqp://127.0.0.1:7/a%2fb", "amqp://127.0.0.1:7/a%2Fb"),
            ("amqps://u:secret@h?verify=verify_none", "amqps://h:5671"),
        ] {
            let node: Node = text.parse().unwrap();
            assert_eq!(node.to_string(), shown);
            assert!(!format!("{node:?}").contains("secret"));
        }
    }

    #[test]
    fn what_is_about_tls_is_told_from_the_rest() {
        let text =
            "amqps://h?heartbeat=5&verify=verify_none&auth_mechanism=external&server_name_indication=a%20b";
        assert!(text.parse::<Node>().unwrap_err().contains("a DNS name"));
        let node: Node = text.replace("%20", "").parse().unwrap();
        assert_eq!(node.uri().query.heartbeat, Some(5));
        assert!(node.uri().query.auth_mechanism.is_some());
        let expected = TlsOptions::from_query("verify=verify_none&server_name_indication=ab").unwrap();
        assert_eq!(node.tls().unwrap().unwrap().options(), &expected);
        assert!("amqp://h".parse::<Node>().unwrap().tls().is_none());
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        for (text, expected) in [
            ("amqps://h?cacertfile=/no/such.pem", "/no/such.pem"),
            ("amqps://h?verify=maybe", "verify_peer, verify_none"),
            ("amqps://h?heartbeats=5", "auth_mechanism, cacertfile, certfile"),
            ("amqp://h?verify=verify_none", "amqps:// only"),
            ("http://h", "expected amqp[s]://"),
            ("h:5672", "expected amqp[s]://"),
            ("amqp://h?heartbeats=5", "allowed are heartbeat"),
            ("amqp://h?heartbeat=soon", "expected amqp[s]://"),
        ] {
            let told = text.parse::<Node>().unwrap_err();
            assert!(told.contains(expected), "{text}: {told}");
        }
    }
}
