//! The SASL mechanisms: the name and the password in a response.

use wire::TableRef;

use super::Refused;

/// The name and the password that a response carries.
///
/// # Errors
/// When the mechanism is unknown or the response does not have its form.
pub(super) fn credentials<'a>(mechanism: &str, response: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), Refused> {
    match mechanism {
        "PLAIN" => decode_plain(response),
        "AMQPLAIN" => decode_amqplain(response),
        _ => return Err(Refused::UnknownMechanism),
    }
    .ok_or(Refused::Malformed)
}

/// RFC 4616: `authorization identity NUL name NUL password`. An authorization identity other than the name
/// would ask to act for somebody else, which there is no way to permit here.
fn decode_plain(response: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut parts = response.split(|&byte| byte == 0);
    let (identity, name, password) = (parts.next()?, parts.next()?, parts.next()?);
    let well_formed = parts.next().is_none() && (identity.is_empty() || identity == name);
    well_formed.then_some((name, password))
}

/// RabbitMQ's `AMQPLAIN`: a field table without its length, with the long strings `LOGIN` and `PASSWORD`.
fn decode_amqplain(response: &[u8]) -> Option<(&[u8], &[u8])> {
    let table = TableRef::parse(response).ok()?;
    let text = |key| match table.get(key)? {
        wire::ValueRef::LongStr(bytes) => Some(bytes),
        _ => None,
    };
    Some((text("LOGIN")?, text("PASSWORD")?))
}

#[cfg(test)]
mod tests {
    use wire::FieldTable;

    use super::*;

    #[test]
    fn both_mechanisms_carry_a_name_and_a_password() {
        let mut table = FieldTable::new();
        table.insert("LOGIN", "ada");
        table.insert("PASSWORD", "a:b");
        let expected = Ok((&b"ada"[..], &b"a:b"[..]));
        assert_eq!(credentials("AMQPLAIN", &table.to_bytes()), expected);
        for response in [&b"\0ada\0a:b"[..], b"ada\0ada\0a:b"] {
            assert_eq!(credentials("PLAIN", response), expected);
        }
    }

    #[test]
    fn malformed_responses_and_unknown_mechanisms_are_refused() {
        for response in [
            &b""[..],
            b"guest",
            b"\0guest",
            b"\0guest\0guest\0",
            b"other\0guest\0guest",
        ] {
            assert_eq!(
                credentials("PLAIN", response),
                Err(Refused::Malformed),
                "{response:?}"
            );
        }
        for response in [
            &b""[..],
            b"\x05LOGIN",
            b"\x05LOGINI\0\0\0\x01\x08PASSWORDS\0\0\0\0",
        ] {
            assert_eq!(
                credentials("AMQPLAIN", response),
                Err(Refused::Malformed),
                "{response:?}"
            );
        }
        assert_eq!(credentials("EXTERNAL", b""), Err(Refused::UnknownMechanism));
    }
}
