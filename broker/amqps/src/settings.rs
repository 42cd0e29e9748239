//! Options made ready for handshakes: every file has been read.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use serde::{Deserialize, Serialize};

use super::options::{ServerNameIndication, TlsOptions, Verify};
use super::pem;
use super::verifier::AcceptAny;

/// How to speak TLS with a broker. As JSON it is its options, and whoever reads that reads the files.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "TlsOptions", into = "TlsOptions")]
pub struct Tls {
    options: TlsOptions,
    config: Arc<ClientConfig>,
}

impl Tls {
    /// Reads the files that `options` name, or the system's authorities.
    ///
    /// # Errors
    /// Names the option, its value and what is allowed.
    pub fn new(options: TlsOptions) -> Result<Self, String> {
        let config = Arc::new(config(&options)?);
        Ok(Self { options, config })
    }

    /// The options that it was made from.
    #[must_use]
    pub fn options(&self) -> &TlsOptions {
        &self.options
    }

    /// For handshakes.
    #[must_use]
    pub fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }

    /// What a certificate of the broker on `host` must be valid for.
    ///
    /// # Errors
    /// When it is neither a DNS name nor an address.
    pub fn server_name(&self, host: &str) -> Result<ServerName<'static>, String> {
        let (what, name) = match &self.options.server_name_indication {
            ServerNameIndication::Name(name) => ("server_name_indication", name.as_str()),
            ServerNameIndication::Host | ServerNameIndication::Disable => ("the host", host),
        };
        ServerName::try_from(name.to_owned())
            .map_err(|_| format!("{what} is {name:?}; allowed with TLS: a DNS name, or an IP address"))
    }
}

impl PartialEq for Tls {
    fn eq(&self, other: &Self) -> bool {
        self.options == other.options
    }
}

impl Eq for Tls {}

impl fmt::Debug for Tls {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Tls").field(&self.options).finish()
    }
}

impl TryFrom<TlsOptions> for Tls {
    type Error = String;

    fn try_from(options: TlsOptions) -> Result<Self, String> {
        Self::new(options)
    }
}

impl From<Tls> for TlsOptions {
    fn from(tls: Tls) -> Self {
        tls.options
    }
}

fn config(options: &TlsOptions) -> Result<ClientConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("ring has cipher suites for TLS 1.2 and 1.3");
    // Also where nobody is verified: a file that is named is a file that is there.
    let named = match &options.cacertfile {
        Some(path) => Some(named_roots(path)?),
        None => None,
    };
    let builder = match (options.verify, named) {
        (Verify::VerifyPeer, Some(roots)) => builder.with_root_certificates(roots),
        (Verify::VerifyPeer, None) => builder.with_root_certificates(system_roots()?),
        (Verify::VerifyNone, _) => {
            let any = Arc::new(AcceptAny(provider));
            builder.dangerous().with_custom_certificate_verifier(any)
        }
    };
    let mut config = match &options.certfile {
        None => builder.with_no_client_auth(),
        Some(certfile) => {
            let chain = pem::certificates("certfile", certfile)?;
            let (option, keyfile) = match &options.keyfile {
                Some(keyfile) => ("keyfile", keyfile),
                None => ("certfile (no keyfile is given)", certfile),
            };
            let key = pem::private_key(option, keyfile)?;
            builder.with_client_auth_cert(chain, key).map_err(|error| {
                format!(
                    "{option} is {keyfile:?}, whose key does not serve: {error}; allowed: the key of the first certificate in {certfile:?}"
                )
            })?
        }
    };
    config.enable_sni = options.server_name_indication != ServerNameIndication::Disable;
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn named_roots(path: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in pem::certificates("cacertfile", path)? {
        roots.add(certificate).map_err(|error| {
            format!("cacertfile is {path:?}, which holds what is no authority: {error}; allowed: certificates of authorities")
        })?;
    }
    Ok(roots)
}

fn system_roots() -> Result<RootCertStore, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let why: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
        return Err(format!(
            "cacertfile is not given, and this system trusts no authority ({}); allowed: cacertfile=<PEM file>, or verify=verify_none",
            if why.is_empty() {
                "it has none".into()
            } else {
                why.join("; ")
            }
        ));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(query: &str) -> String {
        let options = TlsOptions::from_query(query).unwrap();
        Tls::new(options).unwrap_err()
    }

    #[test]
    fn files_that_do_not_serve_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str, content: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, content).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let signed = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        let other = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        let certificate = path("certificate.pem", &signed.cert.pem());
        let (empty, text) = (path("empty.pem", ""), path("text.pem", "no PEM at all"));
        let damaged = path(
            "damaged.pem",
            "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n",
        );
        let key = path("other-key.pem", &other.signing_key.serialize_pem());
        let missing = directory.path().join("missing.pem");
        let missing = missing.to_str().unwrap();
        let cases = [
            (format!("cacertfile={missing}"), "cannot be read"),
            (
                format!("verify=verify_none&cacertfile={missing}"),
                "cannot be read",
            ),
            (format!("cacertfile={empty}"), "is empty"),
            (format!("cacertfile={text}"), "holds no certificate"),
            (format!("cacertfile={damaged}"), "is damaged"),
            (
                format!("verify=verify_none&certfile={certificate}"),
                "holds no such key",
            ),
            (
                format!("verify=verify_none&certfile={certificate}&keyfile={text}"),
                "keyfile is",
            ),
            (
                format!("verify=verify_none&certfile={certificate}&keyfile={key}"),
                "does not serve",
            ),
        ];
        for (query, expected) in cases {
            let why = fault(&query);
            assert!(
                why.contains(expected) && why.contains("; allowed: ") && why.contains(".pem\""),
                "{query}: {why}"
            );
        }
    }

    #[test]
    fn as_json_it_is_its_options() {
        let options = TlsOptions::from_query("verify=verify_none&server_name_indication=mq").unwrap();
        let tls = Tls::new(options.clone()).unwrap();
        let json = serde_json::to_string(&tls).unwrap();
        let read: Tls = serde_json::from_str(&json).unwrap();
        assert_eq!((read.options(), &read), (&options, &tls));
        let missing = json.replace("\"cacertfile\":null", "\"cacertfile\":\"/no/such.pem\"");
        let error = serde_json::from_str::<Tls>(&missing).unwrap_err().to_string();
        assert!(error.contains("/no/such.pem"), "{error}");
    }

    #[test]
    fn a_name_comes_from_the_host_or_the_option() {
        let name = |query: &str, host: &str| {
            let tls = Tls::new(TlsOptions::from_query(query).unwrap()).unwrap();
            tls.server_name(host).map(|name| name.to_str().into_owned())
        };
        assert_eq!(name("verify=verify_none", "::1"), Ok("::1".into()));
        assert_eq!(name("verify=verify_none", "mq"), Ok("mq".into()));
        let indicated = "verify=verify_none&server_name_indication=mq.example";
        assert_eq!(name(indicated, "10.0.0.1"), Ok("mq.example".into()));
        assert!(
            name("verify=verify_none", "no name")
                .unwrap_err()
                .contains("the host")
        );
    }
}
