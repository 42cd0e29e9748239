//! PEM files: the authorities to trust, the certificate to show, and its key.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The longest file that is read. A system's whole collection of authorities has some 300 KB.
const PEM_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The certificates in the file that `option` names; at least one.
pub(super) fn certificates(option: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let fault = |why: String| {
        format!(
            "{option} is {path:?}, which {why}; allowed: a readable PEM file with at least one certificate"
        )
    };
    let bytes = read(path).map_err(fault)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match certificates {
        Ok(none) if none.is_empty() => Err(fault("holds no certificate".into())),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(fault(format!("is damaged: {error}"))),
    }
}

/// The first private key in the file that `option` names.
pub(super) fn private_key(option: &str, path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let fault = |why: String| {
        format!(
            "{option} is {path:?}, which {why}; allowed: a readable PEM file with a private key that is not encrypted"
        )
    };
    let bytes = read(path).map_err(fault)?;
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => fault("holds no such key".into()),
        error => fault(format!("is damaged: {error}")),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(PEM_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    match bytes.len() as u64 {
        0 => Err("is empty".into()),
        length if length > PEM_BYTES_MAX => Err(format!("is longer than {PEM_BYTES_MAX} bytes")),
        _ => Ok(bytes),
    }
}
