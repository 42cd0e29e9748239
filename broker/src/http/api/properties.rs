//! Properties of messages, as JSON and back.

use serde_json::{Map, Value};
use wire::{BasicProperties, FieldTable, TableRef};

use crate::definitions::{Fields, arguments_to_table, table_to_object};

/// Properties that JSON named, owned.
#[derive(Debug, Default)]
pub(super) struct Properties {
    texts: Vec<(&'static str, String)>,
    numbers: Vec<(&'static str, u64)>,
    pub(super) headers: Option<FieldTable>,
    headers_encoded: Vec<u8>,
}

const TEXTS: [&str; 10] = [
    "content_type",
    "content_encoding",
    "correlation_id",
    "reply_to",
    "expiration",
    "message_id",
    "type",
    "user_id",
    "app_id",
    "cluster_id",
];
/// With the highest value of each.
const NUMBERS: [(&str, u64); 3] = [("delivery_mode", 2), ("priority", 255), ("timestamp", u64::MAX)];

impl Properties {
    /// Reads an object.
    ///
    /// # Errors
    /// The field, what it is and what is expected.
    pub(super) fn read(mut fields: Fields) -> Result<Properties, String> {
        let mut properties = Properties::default();
        for name in TEXTS {
            if fields.has(name) {
                properties.texts.push((name, fields.name(name)?));
            }
        }
        for (name, max) in NUMBERS {
            let Some(value) = fields.take(name) else { continue };
            let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
            match number.filter(|&number| number <= max) {
                Some(number) => properties.numbers.push((name, number)),
                None => {
                    return Err(format!(
                        "properties.{name}: expected a number from 0 to {max}, found {value}"
                    ));
                }
            }
        }
        if fields.has("headers") {
            let headers = fields.object("headers")?;
            let table = arguments_to_table("properties.headers", headers.into_map())?;
            properties.set_headers(table);
        }
        if let Some(unknown) = fields.unknown().first() {
            return Err(format!("{unknown}: there is no such property"));
        }
        Ok(properties)
    }

    pub(super) fn set_headers(&mut self, headers: FieldTable) {
        self.headers_encoded = headers.to_bytes();
        self.headers = Some(headers);
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let found = self.texts.iter().find(|(known, _)| *known == name);
        found.map(|(_, text)| text.as_str())
    }

    fn number(&self, name: &str) -> Option<u64> {
        let found = self.numbers.iter().find(|(known, _)| *known == name);
        found.map(|&(_, number)| number)
    }

    /// As they are encoded.
    pub(super) fn basic(&self) -> BasicProperties<'_> {
        BasicProperties {
            content_type: self.text("content_type"),
            content_encoding: self.text("content_encoding"),
            headers: self
                .headers
                .as_ref()
                .and_then(|_| TableRef::parse(&self.headers_encoded).ok()),
            delivery_mode: self.number("delivery_mode").map(|mode| mode as u8),
            priority: self.number("priority").map(|priority| priority as u8),
            correlation_id: self.text("correlation_id"),
            reply_to: self.text("reply_to"),
            expiration: self.text("expiration"),
            message_id: self.text("message_id"),
            timestamp: self.number("timestamp"),
            kind: self.text("type"),
            user_id: self.text("user_id"),
            app_id: self.text("app_id"),
            cluster_id: self.text("cluster_id"),
        }
    }
}

/// The object that says them. Headers that JSON cannot say are left out.
pub(super) fn to_value(properties: &BasicProperties<'_>) -> Value {
    let mut out = Map::new();
    let texts = [
        ("content_type", properties.content_type),
        ("content_encoding", properties.content_encoding),
        ("correlation_id", properties.correlation_id),
        ("reply_to", properties.reply_to),
        ("expiration", properties.expiration),
        ("message_id", properties.message_id),
        ("type", properties.kind),
        ("user_id", properties.user_id),
        ("app_id", properties.app_id),
        ("cluster_id", properties.cluster_id),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            out.insert(name.to_owned(), text.into());
        }
    }
    let numbers = [
        ("delivery_mode", properties.delivery_mode.map(u64::from)),
        ("priority", properties.priority.map(u64::from)),
        ("timestamp", properties.timestamp),
    ];
    for (name, number) in numbers {
        if let Some(number) = number {
            out.insert(name.to_owned(), number.into());
        }
    }
    if let Some(headers) = properties.headers {
        let headers = table_to_object(&headers.to_table()).unwrap_or_default();
        out.insert("headers".to_owned(), headers.into());
    }
    out.into()
}
