//! Why TLS failed, for an operator: what to look at, or which option says otherwise.

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

/// The reason in words that follow the broker's address and a colon.
#[must_use]
pub fn explained(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(error) => certificate(error),
        Error::AlertReceived(alert) => format!("it refused with the alert {alert:?}{}", advice(*alert)),
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
        ) => "what it says is not TLS: does this port speak plain AMQP (amqp://)?".into(),
        other => format!("TLS failed: {other}"),
    }
}

fn certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::UnknownIssuer => {
            "its certificate is signed by no trusted authority: name that one with cacertfile, or accept any with verify=verify_none".into()
        }
        CertificateError::BadSignature => {
            "its certificate is not signed by the trusted authority of that name: cacertfile names another one of the same name".into()
        }
        CertificateError::NotValidForName => {
            "its certificate is not valid for this name: server_name_indication names another".into()
        }
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => {
            let presented = match presented.as_slice() {
                [] => "no name".into(),
                names => names.join(", "),
            };
            format!(
                "its certificate is valid for {presented}, not for {}: server_name_indication names another",
                expected.to_str()
            )
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            format!("its certificate has expired: {error}")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            format!("its certificate is not valid yet: {error}")
        }
        other => format!("its certificate is refused: {other}"),
    }
}

fn advice(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::CertificateRequired => {
            ": it wants a client's certificate, which certfile and keyfile name"
        }
        AlertDescription::HandshakeFailure
        | AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnknownCA
        | AlertDescription::AccessDenied => {
            ": it may want a client's certificate, or another one; certfile and keyfile name it"
        }
        AlertDescription::UnrecognisedName => ": server_name_indication names another, or disable sends none",
        AlertDescription::ProtocolVersion => ": it speaks neither TLS 1.2 nor 1.3",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::ServerName;

    use super::*;

    #[test]
    fn reasons_say_what_to_look_at() {
        let cases = [
            (
                Error::InvalidCertificate(CertificateError::UnknownIssuer),
                "cacertfile",
            ),
            (
                Error::InvalidCertificate(CertificateError::NotValidForNameContext {
                    expected: ServerName::try_from("mq").unwrap(),
                    presented: vec!["DnsName(\"other\")".into()],
                }),
                "not for mq",
            ),
            (
                Error::AlertReceived(AlertDescription::CertificateRequired),
                "certfile and keyfile",
            ),
            (
                Error::InvalidMessage(InvalidMessage::InvalidContentType),
                "plain AMQP",
            ),
            (Error::DecryptError, "TLS failed"),
        ];
        for (error, expected) in cases {
            let words = explained(&error);
            assert!(words.contains(expected), "{words}");
        }
    }
}
