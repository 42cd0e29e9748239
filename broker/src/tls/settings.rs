//! What can be said about TLS, in RabbitMQ's words where it has them.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The settings of all TLS listeners.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// Certificates of those who may sign clients' certificates (PEM).
    pub cacertfile: Option<PathBuf>,
    /// The broker's certificate and the chain that signed it (PEM).
    pub certfile: Option<PathBuf>,
    /// Its key (PEM).
    pub keyfile: Option<PathBuf>,
    /// Other certificates, for clients that ask for these names.
    pub server_names: Vec<NamedCertificate>,
    /// Whether clients are asked for a certificate.
    pub verify: Verify,
    /// Whether a client without one is refused.
    pub fail_if_no_peer_cert: bool,
    /// Older versions are refused.
    pub version_min: MinimumVersion,
    /// Where a client's certificate names a user.
    pub login_from: LoginFrom,
    /// Which of the alternative names does.
    pub login_san_type: SanType,
    /// The how many-eth of that type, from 0.
    pub login_san_index: u32,
}

/// A certificate for a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedCertificate {
    /// A host name in lower case, or `*.` and the rest of one.
    pub name: String,
    /// As [`TlsSettings::certfile`].
    pub certfile: PathBuf,
    /// As [`TlsSettings::keyfile`].
    pub keyfile: PathBuf,
}

impl FromStr for NamedCertificate {
    type Err = &'static str;

    /// Reads `NAME=CERTFILE,KEYFILE`.
    fn from_str(text: &str) -> Result<NamedCertificate, &'static str> {
        const EXPECTED: &str = "expected NAME=CERTFILE,KEYFILE, for example mq.example.org=mq.pem,mq.key";
        let (name, files) = text.split_once('=').ok_or(EXPECTED)?;
        let (certfile, keyfile) = files.split_once(',').ok_or(EXPECTED)?;
        if name.is_empty() || certfile.is_empty() || keyfile.is_empty() {
            return Err(EXPECTED);
        }
        Ok(NamedCertificate {
            name: name.to_ascii_lowercase(),
            certfile: certfile.into(),
            keyfile: keyfile.into(),
        })
    }
}

/// A choice among words.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub enum $name {
            $($(#[$doc])* $variant,)+
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $($name::$variant => $word,)+
                })
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<$name, String> {
                match text {
                    $($word => Ok($name::$variant),)+
                    _ => Err(format!("expected one of {}", [$($word),+].join(", "))),
                }
            }
        }
    };
}

words! {
    /// Whether clients are asked for a certificate.
    Verify {
        /// They are not.
        #[default]
        None = "none",
        /// They are, and it must be signed by somebody in `cacertfile`.
        Peer = "peer",
    }
}

words! {
    /// The oldest version that is spoken.
    MinimumVersion {
        /// RFC 5246, with forward secrecy and authenticated encryption only.
        #[default]
        Tls12 = "1.2",
        /// RFC 8446.
        Tls13 = "1.3",
    }
}

words! {
    /// Where a client's certificate names a user, for the mechanism EXTERNAL.
    LoginFrom {
        /// The whole subject, as RFC 4514 writes it.
        #[default]
        DistinguishedName = "distinguished_name",
        /// The common names of the subject, joined with commas.
        CommonName = "common_name",
        /// One of the subject alternative names.
        SubjectAlternativeName = "subject_alternative_name",
    }
}

words! {
    /// Types of subject alternative names.
    SanType {
        /// A host name.
        #[default]
        Dns = "dns",
        /// An address.
        Ip = "ip",
        /// An e-mail address.
        Email = "email",
        /// A URI.
        Uri = "uri",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_shown_and_others_name_them() {
        for word in ["distinguished_name", "common_name", "subject_alternative_name"] {
            assert_eq!(word.parse::<LoginFrom>().unwrap().to_string(), word);
        }
        assert_eq!(
            "1.1".parse::<MinimumVersion>(),
            Err("expected one of 1.2, 1.3".to_owned())
        );
        assert_eq!(
            "ipv4".parse::<SanType>(),
            Err("expected one of dns, ip, email, uri".to_owned())
        );
    }

    #[test]
    fn a_named_certificate_has_three_parts() {
        let named: NamedCertificate = "MQ.example.org=a=b.pem,c.key".parse().unwrap();
        assert_eq!(
            (named.name.as_str(), named.certfile),
            ("mq.example.org", "a=b.pem".into())
        );
        for text in ["", "a", "a=b", "a=b,", "=b,c", "a=,c"] {
            text.parse::<NamedCertificate>().unwrap_err();
        }
    }
}
