//! What the query of an `amqps://` URL says: RabbitMQ's names of the options, percent-decoded.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::percent::percent_decode;

/// Whether the broker must prove who it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verify {
    /// Its certificate must be valid, for its name, and signed by a trusted authority.
    #[default]
    VerifyPeer,
    /// Whatever certificate it shows is accepted: nobody knows who it is.
    VerifyNone,
}

impl Verify {
    /// As it stands in the URL.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::VerifyPeer => "verify_peer",
            Self::VerifyNone => "verify_none",
        }
    }
}

/// The name that is sent in the handshake, and that the broker's certificate must be valid for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerNameIndication {
    /// The URL's host. An address is not sent, but checked.
    #[default]
    Host,
    /// This one.
    Name(String),
    /// None is sent; the certificate must be valid for the URL's host.
    Disable,
}

/// What an `amqps://` URL asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsOptions {
    /// PEM file of the authorities to trust; `None` = the system's.
    pub cacertfile: Option<PathBuf>,
    /// PEM file of the certificate to show, followed by the ones up to its authority.
    pub certfile: Option<PathBuf>,
    /// PEM file of its key; `None` = it stands in `certfile`, too.
    pub keyfile: Option<PathBuf>,
    /// Whether the broker must prove who it is.
    pub verify: Verify,
    /// Which name it must prove.
    pub server_name_indication: ServerNameIndication,
}

impl TlsOptions {
    /// The options' names.
    pub const NAMES: [&str; 5] = [
        "cacertfile",
        "certfile",
        "keyfile",
        "verify",
        "server_name_indication",
    ];

    /// Of a URL's query, without the question mark. No file is looked at.
    ///
    /// # Errors
    /// Names the option, its value and what is allowed.
    pub fn from_query(query: &str) -> Result<Self, String> {
        let mut options = Self::default();
        let mut given: Vec<&str> = Vec::new();
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            if given.contains(&name) {
                return Err(format!("the option {name} is given twice; allowed: once"));
            }
            given.push(name);
            let value = percent_decode(value).map_err(|why| format!("{name} is {value:?}: {why}"))?;
            options.set(name, value)?;
        }
        if let (Some(keyfile), None) = (&options.keyfile, &options.certfile) {
            return Err(format!(
                "keyfile is {keyfile:?} without a certfile; allowed: with the certfile of the certificate that the key belongs to"
            ));
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), String> {
        let file = |value: &str| {
            if value.is_empty() {
                return Err(format!("{name} is empty; allowed: the path of a PEM file"));
            }
            Ok(Some(PathBuf::from(value)))
        };
        match name {
            "cacertfile" => self.cacertfile = file(&value)?,
            "certfile" => self.certfile = file(&value)?,
            "keyfile" => self.keyfile = file(&value)?,
            "verify" => {
                self.verify = match value.as_str() {
                    "verify_peer" => Verify::VerifyPeer,
                    "verify_none" => Verify::VerifyNone,
                    _ => {
                        return Err(format!("verify is {value:?}; allowed: verify_peer, verify_none"));
                    }
                };
            }
            "server_name_indication" => {
                self.server_name_indication = match value.as_str() {
                    "" => return Err(format!("{name} is empty; allowed: a name, or disable")),
                    "disable" => ServerNameIndication::Disable,
                    _ => ServerNameIndication::Name(value),
                };
            }
            _ => {
                return Err(format!(
                    "the option {name:?} is unknown; allowed: {}",
                    Self::NAMES.join(", ")
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_as_rabbitmq_names_them() {
        let query =
            "cacertfile=/c%20a.pem&certfile=b.pem&keyfile=k.pem&verify=verify_none&server_name_indication=mq";
        let expected = TlsOptions {
            cacertfile: Some("/c a.pem".into()),
            certfile: Some("b.pem".into()),
            keyfile: Some("k.pem".into()),
            verify: Verify::VerifyNone,
            server_name_indication: ServerNameIndication::Name("mq".into()),
        };
        assert_eq!(TlsOptions::from_query(query), Ok(expected));
        assert_eq!(TlsOptions::from_query(""), Ok(TlsOptions::default()));
        let disabled = TlsOptions::from_query("server_name_indication=disable").unwrap();
        assert_eq!(disabled.server_name_indication, ServerNameIndication::Disable);
    }

    #[test]
    fn a_fault_names_the_option_its_value_and_what_is_allowed() {
        let cases = [
            (
                "verify=maybe",
                "verify is \"maybe\"; allowed: verify_peer, verify_none",
            ),
            (
                "heartbeat=3",
                "\"heartbeat\" is unknown; allowed: cacertfile, certfile",
            ),
            ("cacertfile=", "cacertfile is empty; allowed: the path"),
            (
                "keyfile=k.pem",
                "keyfile is \"k.pem\" without a certfile; allowed:",
            ),
            ("verify=verify_none&verify=verify_peer", "verify is given twice"),
            ("certfile=%zz", "certfile is \"%zz\": a % is not followed"),
            ("server_name_indication=", "allowed: a name, or disable"),
        ];
        for (query, expected) in cases {
            let why = TlsOptions::from_query(query).unwrap_err();
            assert!(why.contains(expected), "{query}: {why}");
        }
    }
}
