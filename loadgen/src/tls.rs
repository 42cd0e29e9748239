//! What the handshakes of a run agreed on.

use amqps::{Agreed, Verify};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What stands for a node without TLS beside ones with it.
const PLAIN: &str = "plain TCP";

/// The TLS of a run. Where connections differ, as the nodes of a cluster may, all values are named, with ` + ` in between.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TlsFigures {
    /// Version of the protocol, e.g. `TLSv1.3`.
    pub version: String,
    /// Cipher suite, e.g. `TLS13_AES_256_GCM_SHA384`.
    pub cipher_suite: String,
    /// `verify_peer`, or `verify_none` when any certificate was accepted.
    pub verify: String,
}

impl TlsFigures {
    /// Of one connection.
    #[must_use]
    pub fn of(agreed: Agreed, verify: Verify) -> Self {
        let Agreed {
            version,
            cipher_suite,
        } = agreed;
        Self {
            version: format!("{version:?}").replace('_', "."),
            cipher_suite: format!("{cipher_suite:?}"),
            verify: verify.name().to_owned(),
        }
    }

    /// Of all connections of a run, each with its own or, on plain TCP, none.
    #[must_use]
    pub fn together(connections: impl IntoIterator<Item = Option<Self>>) -> Option<Self> {
        let mut different: Vec<Option<Self>> = Vec::new();
        for connection in connections {
            if !different.contains(&connection) {
                different.push(connection);
            }
        }
        if different.iter().all(Option::is_none) {
            return None;
        }
        let joined = |value: fn(&Self) -> &str| {
            let mut values: Vec<&str> = Vec::new();
            for connection in &different {
                let value = connection.as_ref().map_or(PLAIN, value);
                if !values.contains(&value) {
                    values.push(value);
                }
            }
            // The order is not to depend on who connected first.
            values.sort_unstable();
            values.join(" + ")
        };
        Some(Self {
            version: joined(|it| &it.version),
            cipher_suite: joined(|it| &it.cipher_suite),
            verify: joined(|it| &it.verify),
        })
    }

    /// `TLSv1.3, TLS13_AES_256_GCM_SHA384, verify_peer`
    #[must_use]
    pub fn describe(&self) -> String {
        let Self {
            version,
            cipher_suite,
            verify,
        } = self;
        format!("{version}, {cipher_suite}, {verify}")
    }

    /// The same of a run that may have none.
    #[must_use]
    pub fn describe_any(tls: Option<&Self>) -> String {
        tls.map_or_else(|| PLAIN.to_owned(), Self::describe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_that_differ_are_all_named() {
        let tls = |version: &str| {
            Some(TlsFigures {
                version: version.into(),
                cipher_suite: "S".into(),
                verify: "verify_peer".into(),
            })
        };
        assert_eq!(TlsFigures::together([None, None]), None);
        assert_eq!(
            TlsFigures::together([tls("TLSv1.3"), tls("TLSv1.3")]),
            tls("TLSv1.3")
        );
        let mixed = TlsFigures::together([tls("TLSv1.3"), None, tls("TLSv1.2")]).unwrap();
        assert_eq!(
            mixed.describe(),
            "TLSv1.2 + TLSv1.3 + plain TCP, S + plain TCP, plain TCP + verify_peer"
        );
        assert_eq!(
            TlsFigures::together([None, tls("TLSv1.2"), tls("TLSv1.3")]),
            Some(mixed)
        );
        assert_eq!(TlsFigures::describe_any(None), "plain TCP");
    }
}
