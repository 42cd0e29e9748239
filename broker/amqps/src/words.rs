//! Why TLS failed, for an operator: what to look at, or which option says otherwise.

use std::io;

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

/// What TLS says of an error of a socket that it is on, if it is its own.
#[must_use]
pub fn cause(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

/// Whether one side has refused the other, as it will again until somebody changes a file, an option or the broker's settings.
#[must_use]
pub fn is_refusal(error: &Error) -> bool {
    match error {
        Error::InvalidCertificate(_)
        | Error::InvalidMessage(
            InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
        )
        | Error::PeerIncompatible(_) => true,
        Error::AlertReceived(alert) => !advice(*alert).is_empty(),
        _ => false,
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
    fn a_refusal_is_told_from_what_passes() {
        let alert = Error::AlertReceived;
        for (error, refusal) in [
            (Error::InvalidCertificate(CertificateError::UnknownIssuer), true),
            (Error::InvalidMessage(InvalidMessage::InvalidContentType), true),
            (alert(AlertDescription::CertificateRequired), true),
            (alert(AlertDescription::UnrecognisedName), true),
            (alert(AlertDescription::InternalError), false),
            (alert(AlertDescription::CloseNotify), false),
            (Error::DecryptError, false),
        ] {
            let error = io::Error::new(io::ErrorKind::InvalidData, error);
            assert_eq!(is_refusal(cause(&error).unwrap()), refusal, "{error}");
        }
        assert!(cause(&io::Error::from(io::ErrorKind::ConnectionReset)).is_none());
    }

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
