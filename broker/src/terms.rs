//! Values as RabbitMQ's texts show them: Erlang terms. Clients match on these texts, so they are written the same way.

use std::fmt::Write as _;

use wire::FieldValue;

/// The name of a value's type.
pub(crate) fn type_name(value: &FieldValue) -> &'static str {
    match value {
        FieldValue::Bool(_) => "bool",
        FieldValue::I8(_) => "byte",
        FieldValue::U8(_) => "unsignedbyte",
        FieldValue::I16(_) => "short",
        FieldValue::U16(_) => "unsignedshort",
        FieldValue::I32(_) => "signedint",
        FieldValue::U32(_) => "unsignedint",
        FieldValue::I64(_) => "long",
        FieldValue::F32(_) => "float",
        FieldValue::F64(_) => "double",
        FieldValue::Decimal { .. } => "decimal",
        FieldValue::LongStr(_) => "longstr",
        FieldValue::Array(_) => "array",
        FieldValue::Timestamp(_) => "timestamp",
        FieldValue::Table(_) => "table",
        FieldValue::Void => "void",
        FieldValue::Bytes(_) => "binary",
    }
}

/// A value without its type: strings plainly, all else as a term.
pub(crate) fn shown(value: &FieldValue) -> String {
    match value {
        FieldValue::LongStr(octets) | FieldValue::Bytes(octets) => {
            String::from_utf8_lossy(octets).into_owned()
        }
        value => term(value),
    }
}

/// A value as a term.
pub(crate) fn term(value: &FieldValue) -> String {
    match value {
        FieldValue::Bool(value) => value.to_string(),
        FieldValue::F32(value) => format!("{value:?}"),
        FieldValue::F64(value) => format!("{value:?}"),
        FieldValue::Decimal { scale, value } => format!("{{{scale},{value}}}"),
        FieldValue::LongStr(octets) | FieldValue::Bytes(octets) => binary(octets),
        FieldValue::Array(values) => {
            let values = values
                .iter()
                .map(|value| format!("{{{},{}}}", type_name(value), term(value)));
            format!("[{}]", values.collect::<Vec<_>>().join(","))
        }
        FieldValue::Timestamp(seconds) => seconds.to_string(),
        FieldValue::Table(table) => {
            let entries = table.iter().map(|(name, value)| {
                let name = binary(name.as_bytes());
                format!("{{{name},{},{}}}", type_name(value), term(value))
            });
            format!("[{}]", entries.collect::<Vec<_>>().join(","))
        }
        FieldValue::Void => "undefined".to_owned(),
        integer => integer.as_i64().unwrap_or_default().to_string(),
    }
}

/// Octets as a term: `<<"text">>` when they are printable, their numbers otherwise.
pub(crate) fn binary(octets: &[u8]) -> String {
    let text = std::str::from_utf8(octets)
        .ok()
        .filter(|text| !text.is_empty() && !text.chars().any(char::is_control));
    match text {
        Some(text) => {
            let mut quoted = String::from("<<\"");
            for character in text.chars() {
                if matches!(character, '"' | '\\') {
                    quoted.push('\\');
                }
                quoted.push(character);
            }
            quoted.push_str(if text.is_ascii() { "\">>" } else { "\"/utf8>>" });
            quoted
        }
        None => {
            let mut numbers = String::from("<<");
            for (index, octet) in octets.iter().enumerate() {
                let comma = if index == 0 { "" } else { "," };
                let _ = write!(numbers, "{comma}{octet}");
            }
            numbers.push_str(">>");
            numbers
        }
    }
}

/// What differs between an argument of a first declaration and of a second one, as RabbitMQ says it after
/// `inequivalent arg 'x' for …: `; `None` when both say the same. Integers of any width are alike.
pub(crate) fn difference(current: Option<&FieldValue>, received: Option<&FieldValue>) -> Option<String> {
    let (received, current) = match (received, current) {
        (None, None) => return None,
        (Some(received), Some(current)) => {
            if class(received) == class(current) && shown(received) == shown(current) {
                return None;
            }
            (format!("'{}'", shown(received)), format!("'{}'", shown(current)))
        }
        (received, current) => (with_type(received), with_type(current)),
    };
    Some(format!("received {received} but current is {current}"))
}

fn with_type(value: Option<&FieldValue>) -> String {
    match value {
        None => "none".to_owned(),
        Some(value) => format!("the value '{}' of type '{}'", shown(value), type_name(value)),
    }
}

/// Types that RabbitMQ takes for the same when it compares arguments.
fn class(value: &FieldValue) -> &'static str {
    match value {
        FieldValue::F32(_) | FieldValue::F64(_) => "float",
        value if value.as_i64().is_some() => "integer",
        value => type_name(value),
    }
}

#[cfg(test)]
mod tests {
    use wire::FieldTable;

    use super::*;

    #[test]
    fn values_look_like_erlang_terms() {
        let mut table = FieldTable::new();
        table.insert("k", "v\"");
        table.insert(
            "n",
            vec![FieldValue::I32(-1), FieldValue::Bool(true), FieldValue::Void],
        );
        assert_eq!(
            term(&FieldValue::Table(table)),
            r#"[{<<"k">>,longstr,<<"v\"">>},{<<"n">>,array,[{signedint,-1},{bool,true},{void,undefined}]}]"#
        );
        assert_eq!(binary("ä".as_bytes()), "<<\"ä\"/utf8>>");
        assert_eq!(binary(b"\x00\xff"), "<<0,255>>");
        assert_eq!(binary(b""), "<<>>");
        assert_eq!(term(&FieldValue::F64(1.0)), "1.0");
    }

    #[test]
    fn arguments_differ_by_value_and_class() {
        let (five, text) = (FieldValue::I32(5), FieldValue::from("5"));
        assert_eq!(difference(None, None), None);
        assert_eq!(difference(Some(&five), Some(&FieldValue::I64(5))), None);
        assert_eq!(
            difference(Some(&five), Some(&text)).unwrap(),
            "received '5' but current is '5'"
        );
        assert_eq!(
            difference(Some(&five), None).unwrap(),
            "received none but current is the value '5' of type 'signedint'"
        );
        assert_eq!(
            difference(None, Some(&text)).unwrap(),
            "received the value '5' of type 'longstr' but current is none"
        );
    }
}
