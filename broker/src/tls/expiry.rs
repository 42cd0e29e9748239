//! When the broker's own certificates end: nobody but clients would notice otherwise, on the day.

use std::path::PathBuf;

use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::files::certificates;
use super::settings::TlsSettings;
use crate::broker::Broker;
use crate::observe::now_ms;

/// Days before the end of a certificate in which a start and a reload say so.
const DAYS_TOLD: i64 = 14;
const DAY_S: i64 = 24 * 60 * 60;

/// A file with a certificate of the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// The file.
    pub path: PathBuf,
    /// When the first certificate of its chain ends: Unix time, in seconds.
    pub not_after_s: i64,
}

/// Notes when the certificates end that are in use from here on.
pub(crate) fn note_expiries(broker: &Broker, settings: &TlsSettings) {
    let found = expiries(settings);
    let now_s = (now_ms() / 1000) as i64;
    for Expiry { path, not_after_s } in &found {
        let days = (not_after_s - now_s).div_euclid(DAY_S);
        if days < DAYS_TOLD {
            tracing::warn!(path = %path.display(), days, "a certificate ends soon, or has ended");
        }
    }
    broker.tallies.set_certificates(found);
}

/// Of every file that can be read and understood; the others are refused by `files`.
fn expiries(settings: &TlsSettings) -> Vec<Expiry> {
    let named = settings.server_names.iter().map(|named| &named.certfile);
    let files = settings.certfile.iter().chain(named);
    let expiry = |path: &PathBuf| {
        let chain = certificates("--tls-certfile", path).ok()?;
        let ends = chain.iter().filter_map(|certificate| {
            let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
            Some(certificate.validity().not_after.timestamp())
        });
        Some(Expiry {
            path: path.clone(),
            not_after_s: ends.min()?,
        })
    };
    let mut found: Vec<Expiry> = files.filter_map(expiry).collect();
    // One file may be for several names.
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found.dedup();
    found
}
