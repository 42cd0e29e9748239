//! Which certificate for which name (RFC 6066, section 3).

use std::collections::BTreeMap;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// Certificates by name. A client that asks for an unknown name, or for none, gets the default, as in RabbitMQ.
#[derive(Debug, Default)]
pub(super) struct ServerNames {
    pub(super) default: Option<Arc<CertifiedKey>>,
    names: BTreeMap<String, Arc<CertifiedKey>>,
}

impl ServerNames {
    /// Adds one for a name in lower case, or for `*.` and the rest of one.
    pub(super) fn add(&mut self, name: &str, key: Arc<CertifiedKey>) {
        self.names.insert(name.to_owned(), key);
    }

    fn find(&self, name: Option<&str>) -> Option<&Arc<CertifiedKey>> {
        let named = name.and_then(|name| {
            let name = name.to_ascii_lowercase();
            self.names.get(&name).or_else(|| {
                // As in certificates, the star stands for one label.
                let (_, rest) = name.split_once('.')?;
                self.names.get(&format!("*.{rest}"))
            })
        });
        named.or(self.default.as_ref())
    }
}

impl ResolvesServerCert for ServerNames {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.find(hello.server_name()).cloned()
    }
}
