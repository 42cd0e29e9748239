//! PEM files to what rustls wants. Everything is read and tried at once, so that a start, a check and a reload refuse the
//! same, and a reload with a mistake changes nothing.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

use super::server_names::ServerNames;
use super::settings::{MinimumVersion, TlsSettings, Verify};

/// Plaintext and ciphertext that a session holds while the socket takes no more.
const SESSION_BYTES_MAX: usize = 64 * 1024;

/// What is wrong with a file, and which setting names it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{flag} {path}: {problem}")]
pub(crate) struct FileProblem {
    pub(crate) flag: &'static str,
    path: String,
    problem: String,
}

impl FileProblem {
    fn new(flag: &'static str, path: &Path, problem: impl ToString) -> FileProblem {
        FileProblem {
            flag,
            path: path.display().to_string(),
            problem: problem.to_string(),
        }
    }
}

/// What a handshake goes by.
///
/// # Errors
/// All files that are of no use.
pub(crate) fn load(settings: &TlsSettings) -> Result<Arc<ServerConfig>, Vec<FileProblem>> {
    let provider = Arc::new(ring::default_provider());
    let mut problems = Vec::new();
    let mut tell = |result: Result<_, FileProblem>| result.map_err(|problem| problems.push(problem)).ok();
    let mut certificates = ServerNames::default();
    if let (Some(certfile), Some(keyfile)) = (&settings.certfile, &settings.keyfile) {
        let flags = ["--tls-certfile", "--tls-keyfile"];
        certificates.default = tell(certified_key(flags, certfile, keyfile, &provider));
    }
    for named in &settings.server_names {
        let flags = ["--tls-sni"; 2];
        if let Some(key) = tell(certified_key(flags, &named.certfile, &named.keyfile, &provider)) {
            certificates.add(&named.name, key);
        }
    }
    let verifier = verifier(settings, &provider).map_err(|problem| problems.push(problem));
    let versions = versions(settings.version_min);
    let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(&versions);
    match (builder, verifier) {
        (Ok(builder), Ok(verifier)) if problems.is_empty() => {
            let builder = match verifier {
                Some(verifier) => builder.with_client_cert_verifier(verifier),
                None => builder.with_no_client_auth(),
            };
            Ok(Arc::new(builder.with_cert_resolver(Arc::new(certificates))))
        }
        (Err(error), _) => {
            let problem = FileProblem::new("--tls-version-min", Path::new(""), error);
            Err(vec![problem])
        }
        _ => Err(problems),
    }
}

/// Makes a session that holds no more than it should.
pub(super) fn session(config: Arc<ServerConfig>) -> Result<rustls::ServerConnection, rustls::Error> {
    let mut session = rustls::ServerConnection::new(config)?;
    session.set_buffer_limit(Some(SESSION_BYTES_MAX));
    Ok(session)
}

fn versions(minimum: MinimumVersion) -> Vec<&'static SupportedProtocolVersion> {
    let mut versions = vec![&rustls::version::TLS13];
    if minimum == MinimumVersion::Tls12 {
        versions.push(&rustls::version::TLS12);
    }
    versions
}

fn certified_key(
    [cert_flag, key_flag]: [&'static str; 2],
    certfile: &Path,
    keyfile: &Path,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, FileProblem> {
    let chain = certificates(cert_flag, certfile)?;
    let key = PrivateKeyDer::from_pem_file(keyfile)
        .map_err(|error| FileProblem::new(key_flag, keyfile, format!("no private key in PEM: {error}")))?;
    let key = provider
        .key_provider
        .load_private_key(key)
        .map_err(|error| FileProblem::new(key_flag, keyfile, error))?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        // Some keys cannot tell.
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {
            Ok(Arc::new(certified))
        }
        Err(_) => {
            let problem = format!("it is not the key of the certificate in {}", certfile.display());
            Err(FileProblem::new(key_flag, keyfile, problem))
        }
    }
}

/// All certificates of a PEM file.
pub(super) fn certificates(
    flag: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, FileProblem> {
    let refuse = |problem: String| FileProblem::new(flag, path, problem);
    let found = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| refuse(format!("no certificates in PEM: {error}")))?;
    if found.is_empty() {
        return Err(refuse(
            "no certificates in PEM: expected BEGIN CERTIFICATE".to_owned(),
        ));
    }
    Ok(found)
}

fn verifier(
    settings: &TlsSettings,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, FileProblem> {
    const FLAG: &str = "--tls-cacertfile";
    let (Verify::Peer, Some(path)) = (settings.verify, &settings.cacertfile) else {
        // Read all the same: what is wrong with it is wrong the day that it is used.
        if let Some(path) = &settings.cacertfile {
            certificates(FLAG, path)?;
        }
        return Ok(None);
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(FLAG, path)? {
        roots
            .add(certificate)
            .map_err(|error| FileProblem::new(FLAG, path, error))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let builder = if settings.fail_if_no_peer_cert {
        builder
    } else {
        builder.allow_unauthenticated()
    };
    let verifier = builder.build();
    verifier
        .map(Some)
        .map_err(|error| FileProblem::new(FLAG, path, error))
}
