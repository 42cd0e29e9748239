//! Arguments as plain JSON, which has fewer types than field tables: every whole number comes back as a 64-bit one.

use serde_json::{Map, Number, Value};
use wire::{FieldTable, FieldValue, TableRef};

use super::fields::unexpected;

/// The table that an object says.
///
/// # Errors
/// When a number does not fit, or it is nested too deeply for a client to have sent it.
pub(crate) fn to_table(place: &str, object: Map<String, Value>) -> Result<FieldTable, String> {
    let table = entries(place, object)?;
    match TableRef::parse(&table.to_bytes()) {
        Ok(_) => Ok(table),
        Err(error) => Err(format!("{place}: {error}")),
    }
}

fn entries(place: &str, object: Map<String, Value>) -> Result<FieldTable, String> {
    object
        .into_iter()
        .map(|(key, value)| {
            let value = to_field(&format!("{place}.{key}"), value)?;
            Ok((key, value))
        })
        .collect()
}

fn to_field(place: &str, value: Value) -> Result<FieldValue, String> {
    Ok(match value {
        Value::Null => FieldValue::Void,
        Value::Bool(value) => FieldValue::Bool(value),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => FieldValue::I64(whole),
            (None, Some(fraction)) if !number.is_u64() => FieldValue::F64(fraction),
            _ => return Err(unexpected(place, "a number of 64 bits", &number.into())),
        },
        Value::String(text) => FieldValue::LongStr(text.into_bytes()),
        Value::Array(values) => {
            let values = values.into_iter().map(|value| to_field(place, value));
            FieldValue::Array(values.collect::<Result<_, _>>()?)
        }
        Value::Object(object) => FieldValue::Table(entries(place, object)?),
    })
}

/// The object that says a table, or `None` when JSON cannot say something in it.
pub(crate) fn to_object(table: &FieldTable) -> Option<Map<String, Value>> {
    let entries = table
        .iter()
        .map(|(key, value)| Some((key.to_owned(), to_value(value)?)));
    entries.collect()
}

fn to_value(field: &FieldValue) -> Option<Value> {
    Some(match field {
        FieldValue::Void => Value::Null,
        FieldValue::Bool(value) => (*value).into(),
        FieldValue::I8(value) => (*value).into(),
        FieldValue::U8(value) => (*value).into(),
        FieldValue::I16(value) => (*value).into(),
        FieldValue::U16(value) => (*value).into(),
        FieldValue::I32(value) => (*value).into(),
        FieldValue::U32(value) => (*value).into(),
        FieldValue::I64(value) => (*value).into(),
        FieldValue::F32(value) => Number::from_f64((*value).into())?.into(),
        FieldValue::F64(value) => Number::from_f64(*value)?.into(),
        FieldValue::LongStr(bytes) => std::str::from_utf8(bytes).ok()?.into(),
        FieldValue::Array(values) => values.iter().map(to_value).collect::<Option<Vec<_>>>()?.into(),
        FieldValue::Table(table) => to_object(table)?.into(),
        FieldValue::Timestamp(seconds) => (*seconds).into(),
        FieldValue::Decimal { .. } | FieldValue::Bytes(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(text: &str) -> Map<String, Value> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn arguments_come_back_as_they_were() {
        let text = r#"{"x-max-length":1000,"x-queue-type":"classic","a":[1,-2.5,null,{"b":true}]}"#;
        let table = to_table("arguments", object(text)).unwrap();
        assert_eq!(table.get("x-max-length"), Some(&FieldValue::I64(1000)));
        assert_eq!(Value::from(to_object(&table).unwrap()).to_string(), text);
    }

    #[test]
    fn what_does_not_fit_is_told_with_its_place() {
        let error = to_table(
            "queues[0].arguments",
            object(r#"{"x":{"y":18446744073709551615}}"#),
        )
        .unwrap_err();
        assert_eq!(
            error,
            "queues[0].arguments.x.y: expected a number of 64 bits, found 18446744073709551615"
        );
        let mut table = FieldTable::new();
        table.insert("x", FieldValue::Bytes(vec![0]));
        assert_eq!(to_object(&table), None);
    }
}
