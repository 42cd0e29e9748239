//! One record of a log as text or JSON.

use std::io::{self, Write};

use serde_json::{Map, Value, json};
use wire::{BasicProperties, ContentHeader, TableRef, ValueRef};

use super::flags::Bodies;
use crate::record::{FLAG_PERSISTENT, Record};
use crate::store::metadata::hex;
use crate::utc;

/// A record and where it lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct StoredMessage<'a> {
    pub(super) segment: &'a str,
    pub(super) position: u64,
    pub(super) offset: u64,
    pub(super) flags: u16,
    pub(super) is_settled: bool,
    /// The whole record, verified.
    pub(super) bytes: &'a [u8],
}

impl StoredMessage<'_> {
    /// One object, in the order in which people look at it.
    pub(super) fn json(&self, bodies: Bodies) -> Value {
        let mut object = Map::new();
        let mut set = |key: &str, value: Value| drop(object.insert(key.to_owned(), value));
        set("offset", self.offset.into());
        set("segment", self.segment.into());
        set("position", self.position.into());
        set("record_bytes", self.bytes.len().into());
        set("flags", self.flags.into());
        set("persistent", self.is_persistent().into());
        set("settled", self.is_settled.into());
        let Some(record) = Record::parse(self.bytes) else {
            set("record_hex", hex::encode(self.bytes).into());
            return Value::Object(object);
        };
        let (exchange, routing_key) = record.split_names();
        set("timestamp", utc::iso(record.timestamp_ms).into());
        set("exchange", text(exchange).into());
        set("routing_key", text(routing_key).into());
        set("properties", properties(record.content.header()));
        set("body_bytes", record.content.body_len().into());
        match (bodies, std::str::from_utf8(record.content.body())) {
            (Bodies::None, _) => {}
            (Bodies::Text, Ok(body)) => set("body", body.into()),
            _ => set("body_hex", hex::encode(record.content.body()).into()),
        }
        Value::Object(object)
    }

    /// A few lines.
    pub(super) fn write_text(&self, bodies: Bodies, out: &mut dyn Write) -> io::Result<()> {
        let persistence = if self.is_persistent() {
            "persistent"
        } else {
            "transient"
        };
        let state = if self.is_settled { "settled" } else { "live" };
        let (offset, flags) = (self.offset, self.flags);
        let record = Record::parse(self.bytes);
        let timestamp = record.map_or_else(String::new, |record| utc::iso(record.timestamp_ms));
        writeln!(
            out,
            "offset {offset}, {persistence} (flags {flags:#06x}), {state}, {timestamp}"
        )?;
        let (segment, position, bytes) = (self.segment, self.position, self.bytes.len());
        writeln!(out, "  in {segment} at byte {position}, {bytes} bytes")?;
        let Some(record) = record else {
            return writeln!(out, "  no message: {}", hex::encode(self.bytes));
        };
        let (exchange, routing_key) = record.split_names();
        let (exchange, routing_key) = (text(exchange), text(routing_key));
        writeln!(out, "  exchange {exchange:?}, routing key {routing_key:?}")?;
        writeln!(out, "  properties {}", properties(record.content.header()))?;
        let (body, size) = (record.content.body(), record.content.body_len());
        match (bodies, std::str::from_utf8(body)) {
            (Bodies::None, _) => writeln!(out, "  body of {size} bytes"),
            (Bodies::Text, Ok(body)) => writeln!(out, "  body of {size} bytes: {}", body.escape_debug()),
            _ => writeln!(out, "  body of {size} bytes, in hex: {}", hex::encode(body)),
        }
    }

    fn is_persistent(&self) -> bool {
        self.flags & FLAG_PERSISTENT != 0
    }
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

/// The properties that are there; what is wrong with them, and their bytes, when they cannot be decoded.
fn properties(header: &[u8]) -> Value {
    let decoded = ContentHeader::decode(header).and_then(|header| BasicProperties::decode(header.properties));
    let properties = match decoded {
        Ok(properties) => properties,
        Err(error) => return json!({"error": error.to_string(), "hex": hex::encode(header)}),
    };
    let all = [
        ("content_type", properties.content_type.map(Value::from)),
        ("content_encoding", properties.content_encoding.map(Value::from)),
        ("headers", properties.headers.map(table)),
        ("delivery_mode", properties.delivery_mode.map(Value::from)),
        ("priority", properties.priority.map(Value::from)),
        ("correlation_id", properties.correlation_id.map(Value::from)),
        ("reply_to", properties.reply_to.map(Value::from)),
        ("expiration", properties.expiration.map(Value::from)),
        ("message_id", properties.message_id.map(Value::from)),
        ("timestamp", properties.timestamp.map(Value::from)),
        ("type", properties.kind.map(Value::from)),
        ("user_id", properties.user_id.map(Value::from)),
        ("app_id", properties.app_id.map(Value::from)),
        ("cluster_id", properties.cluster_id.map(Value::from)),
    ];
    let present = all
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(present.collect())
}

/// For people: JSON knows fewer types than a table.
fn table(table: TableRef<'_>) -> Value {
    let entries = table.iter().map(|(key, field)| (key.to_owned(), value(field)));
    Value::Object(entries.collect())
}

fn value(field: ValueRef<'_>) -> Value {
    match field {
        ValueRef::Bool(value) => value.into(),
        ValueRef::I8(value) => value.into(),
        ValueRef::U8(value) => value.into(),
        ValueRef::I16(value) => value.into(),
        ValueRef::U16(value) => value.into(),
        ValueRef::I32(value) => value.into(),
        ValueRef::U32(value) => value.into(),
        ValueRef::I64(value) => value.into(),
        ValueRef::Timestamp(value) => value.into(),
        ValueRef::F32(value) => float(value.into()),
        ValueRef::F64(value) => float(value),
        ValueRef::Decimal { scale, value } => json!({"scale": scale, "value": value}),
        ValueRef::LongStr(octets) => match std::str::from_utf8(octets) {
            Ok(text) => text.into(),
            Err(_) => json!({"hex": hex::encode(octets)}),
        },
        ValueRef::Bytes(octets) => json!({"hex": hex::encode(octets)}),
        ValueRef::Array(elements) => elements.iter().map(value).collect(),
        ValueRef::Table(nested) => table(nested),
        ValueRef::Void => Value::Null,
    }
}

/// JSON has no infinities.
fn float(value: f64) -> Value {
    serde_json::Number::from_f64(value).map_or_else(|| value.to_string().into(), Value::Number)
}

#[cfg(test)]
mod tests {
    use wire::FieldTable;

    use super::*;
    use crate::record::{Content, RecordFields, join_names};

    fn record(properties: &BasicProperties<'_>, body: &[u8]) -> Vec<u8> {
        let mut header = vec![0, 60, 0, 0];
        header.extend_from_slice(&(body.len() as u64).to_be_bytes());
        properties.encode(&mut header);
        let (names, mut buffer) = (join_names("orders", "eu.new"), Vec::new());
        let fields = RecordFields {
            timestamp_ms: 1_700_000_000_123,
            flags: FLAG_PERSISTENT,
            names: &names,
            content: Content::build(&mut buffer, &header, body),
        };
        [&fields.head()[..], fields.names, fields.content.frames()].concat()
    }

    fn stored(bytes: &[u8]) -> StoredMessage<'_> {
        StoredMessage {
            segment: "00000000000000000000.log",
            position: 98,
            offset: 3,
            flags: FLAG_PERSISTENT,
            is_settled: true,
            bytes,
        }
    }

    #[test]
    fn tells_all_that_is_in_a_message() {
        let mut headers = FieldTable::new();
        headers.insert("x-count", 3_i32);
        headers.insert("all", f64::INFINITY);
        let headers = headers.to_bytes();
        let properties = BasicProperties {
            content_type: Some("text/plain"),
            delivery_mode: Some(2),
            headers: Some(TableRef::parse(&headers).unwrap()),
            ..BasicProperties::default()
        };
        let bytes = record(&properties, b"hello");
        let expected = concat!(
            r#"{"offset":3,"segment":"00000000000000000000.log","position":98,"record_bytes":106,"flags":1,"#,
            r#""persistent":true,"settled":true,"timestamp":"2023-11-14T22:13:20.123Z","exchange":"orders","#,
            r#""routing_key":"eu.new","properties":{"content_type":"text/plain","headers":{"x-count":3,"all":"inf"},"#,
            r#""delivery_mode":2},"body_bytes":5,"body":"hello"}"#
        );
        let message = stored(&bytes);
        let written = message.json(Bodies::Text).to_string();
        let of_any_size = |text: &str| {
            text.replace(
                &format!("\"record_bytes\":{}", bytes.len()),
                "\"record_bytes\":106",
            )
        };
        assert_eq!(of_any_size(&written), expected);
        assert_eq!(message.json(Bodies::Hex)["body_hex"], "68656c6c6f");
        assert_eq!(message.json(Bodies::None).get("body"), None);
        let mut text = Vec::new();
        message.write_text(Bodies::Text, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.starts_with("offset 3, persistent (flags 0x0001), settled, 2023-11-14T22:13:20.123Z\n"));
        assert!(text.ends_with("  body of 5 bytes: hello\n"), "{text}");
    }

    #[test]
    fn what_is_no_text_is_shown_in_hex() {
        let bytes = record(&BasicProperties::default(), &[0xff, 0]);
        assert_eq!(stored(&bytes).json(Bodies::Text)["body_hex"], "ff00");
        assert_eq!(
            stored(&bytes[..20]).json(Bodies::Text)["record_hex"],
            hex::encode(&bytes[..20])
        );
    }
}
