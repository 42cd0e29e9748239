//! The user that a client's certificate names, as RabbitMQ's `ssl_cert_login_from` has it.

use std::fmt::Write as _;
use std::net::IpAddr;

use x509_parser::der_parser::asn1_rs::{Oid, ToDer as _};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use super::settings::{LoginFrom, SanType, TlsSettings};

/// The short names of RFC 4514, section 3, and those that OpenSSL adds most often.
const SHORT_NAMES: [(&str, &str); 11] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.6", "C"),
    ("2.5.4.9", "STREET"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("2.5.4.5", "SERIALNUMBER"),
    ("1.2.840.113549.1.9.1", "EMAILADDRESS"),
];

/// The name in a certificate (DER).
///
/// # Errors
/// Why there is none.
pub(super) fn login_name(certificate: &[u8], settings: &TlsSettings) -> Result<String, String> {
    let (_, certificate) = X509Certificate::from_der(certificate).map_err(|error| error.to_string())?;
    let subject = certificate.subject();
    let name = match settings.login_from {
        LoginFrom::DistinguishedName => distinguished_name(subject),
        LoginFrom::CommonName => {
            let names: Vec<&str> = subject
                .iter_common_name()
                .filter_map(|name| name.as_str().ok())
                .collect();
            names.join(",")
        }
        LoginFrom::SubjectAlternativeName => alternative_name(&certificate, settings)?,
    };
    if name.is_empty() {
        return Err(format!("the certificate has no {}", settings.login_from));
    }
    Ok(name)
}

fn alternative_name(certificate: &X509Certificate<'_>, settings: &TlsSettings) -> Result<String, String> {
    let (wanted, index) = (settings.login_san_type, settings.login_san_index);
    let extension = certificate.subject_alternative_name().ok().flatten();
    let names = extension
        .iter()
        .flat_map(|extension| &extension.value.general_names);
    let mut of_type = names.filter_map(|name| match (wanted, name) {
        (SanType::Dns, GeneralName::DNSName(name))
        | (SanType::Email, GeneralName::RFC822Name(name))
        | (SanType::Uri, GeneralName::URI(name)) => Some((*name).to_owned()),
        (SanType::Ip, GeneralName::IPAddress(bytes)) => address(bytes).map(|address| address.to_string()),
        _ => None,
    });
    of_type
        .nth(index as usize)
        .ok_or_else(|| format!("the certificate has no subject alternative name {index} of type {wanted}"))
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    let v6 = <[u8; 16]>::try_from(bytes).map(IpAddr::from);
    v4.or(v6).ok()
}

/// RFC 4514: the last part first, values escaped.
fn distinguished_name(name: &X509Name<'_>) -> String {
    let mut parts: Vec<String> = name
        .iter_rdn()
        .map(|part| part.iter().map(attribute).collect::<Vec<_>>().join("+"))
        .collect();
    parts.reverse();
    parts.join(",")
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let oid: &Oid<'_> = attribute.attr_type();
    let oid = oid.to_id_string();
    let short = SHORT_NAMES.iter().find(|(known, _)| *known == oid);
    match (short, attribute.as_str()) {
        (Some((_, short)), Ok(value)) => format!("{short}={}", escaped(value)),
        (None, Ok(value)) => format!("{oid}={}", escaped(value)),
        (_, Err(_)) => {
            // Section 2.4: what has no text is the hexadecimal digits of its encoding.
            let bytes = attribute.attr_value().to_der_vec().unwrap_or_default();
            let mut out = format!("{oid}=#");
            for byte in bytes {
                let _ = write!(out, "{byte:02x}");
            }
            out
        }
    }
}

/// Section 2.4.
fn escaped(value: &str) -> String {
    let mut out = String::new();
    let last = value.chars().count().saturating_sub(1);
    for (at, character) in value.chars().enumerate() {
        match character {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => {
                out.push('\\');
                out.push(character);
            }
            '#' if at == 0 => out.push_str("\\#"),
            ' ' if at == 0 || at == last => out.push_str("\\ "),
            '\0' => out.push_str("\\00"),
            other => out.push(other),
        }
    }
    out
}
