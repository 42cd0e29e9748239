//! One event as one line.

use std::fmt::{self, Write as _};

use serde_json::{Map, Number, Value as Json};
use tracing::field::{Field, Visit};
use tracing::{Event, Level};

use super::settings::LogFormat;
use crate::utc;

/// The field that `tracing` keeps an event's sentence in.
const MESSAGE: &str = "message";

/// What is to be written. Times are microseconds since the Unix epoch.
#[derive(Debug)]
pub(super) struct Line<'a> {
    pub(super) time_us: u64,
    pub(super) level: Level,
    pub(super) target: &'a str,
    pub(super) parts: Parts,
}

/// The sentence and the fields of an event.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) message: String,
    pub(super) fields: Vec<(&'static str, Value)>,
}

/// The value of a field.
#[derive(Debug, PartialEq)]
pub(super) enum Value {
    /// Text; quoted always.
    Text(String),
    /// What something calls itself; quoted where it must be.
    Shown(String),
    Number(Number),
    Flag(bool),
}

impl Parts {
    pub(super) fn of(event: &Event<'_>) -> Parts {
        let mut parts = Parts::default();
        event.record(&mut parts);
        parts
    }

    /// Whom or what the event is about, to tell floods apart: the peer's host, and the word for what failed (`NOT_FOUND`).
    pub(super) fn about(&self) -> String {
        let text = |wanted: &str| {
            let found = self.fields.iter().find(|(name, _)| *name == wanted);
            match found {
                Some((_, Value::Text(text) | Value::Shown(text))) => text.as_str(),
                _ => "",
            }
        };
        let host = text("peer").rsplit_once(':').map_or("", |(host, _)| host);
        let failure = text("failure").split_once(" - ").map_or("", |(code, _)| code);
        match (host, failure) {
            (host, "") => host.to_owned(),
            ("", failure) => failure.to_owned(),
            (host, failure) => format!("{host} {failure}"),
        }
    }

    fn add(&mut self, field: &Field, value: Value) {
        if field.name() == MESSAGE {
            self.message = match value {
                Value::Text(text) | Value::Shown(text) => text,
                Value::Number(number) => number.to_string(),
                Value::Flag(flag) => flag.to_string(),
            };
        } else {
            self.fields.push((field.name(), value));
        }
    }
}

impl Visit for Parts {
    fn record_f64(&mut self, field: &Field, value: f64) {
        let value = Number::from_f64(value).map_or_else(|| Value::Shown(value.to_string()), Value::Number);
        self.add(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, Value::Number(value.into()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, Value::Number(value.into()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, Value::Flag(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, Value::Text(value.to_owned()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, Value::Shown(format!("{value:?}")));
    }
}

impl Line<'_> {
    /// The line with its end; `in_colour` is for terminals, and for text.
    pub(super) fn render(self, format: LogFormat, in_colour: bool) -> String {
        match format {
            LogFormat::Text => self.text(in_colour),
            LogFormat::Json => self.json(),
        }
    }

    fn text(self, in_colour: bool) -> String {
        let (colour, dim, plain) = match in_colour {
            true => (colour_of(self.level), "\x1b[2m", "\x1b[0m"),
            false => ("", "", ""),
        };
        let mut out = format!(
            "{dim}{}{plain} {colour}{:>5}{plain} {dim}{}:{plain}",
            utc::iso_us(self.time_us),
            self.level.as_str(),
            self.target,
        );
        if !self.parts.message.is_empty() {
            out.push(' ');
            push_printable(&mut out, &self.parts.message);
        }
        for (name, value) in &self.parts.fields {
            // Writing to a string cannot fail.
            let _ = match value {
                Value::Text(text) => write!(out, " {name}={text:?}"),
                Value::Shown(text) if is_bare(text) => write!(out, " {name}={text}"),
                Value::Shown(text) => write!(out, " {name}={text:?}"),
                Value::Number(number) => write!(out, " {name}={number}"),
                Value::Flag(flag) => write!(out, " {name}={flag}"),
            };
        }
        out.push('\n');
        out
    }

    fn json(self) -> String {
        let fields: Map<String, Json> = self
            .parts
            .fields
            .into_iter()
            .map(|(name, value)| {
                let value = match value {
                    Value::Text(text) | Value::Shown(text) => Json::String(text),
                    Value::Number(number) => Json::Number(number),
                    Value::Flag(flag) => Json::Bool(flag),
                };
                (name.to_owned(), value)
            })
            .collect();
        let object = serde_json::json!({
            "time": utc::iso_us(self.time_us),
            "level": self.level.as_str().to_ascii_lowercase(),
            "target": self.target,
            "message": self.parts.message,
            "fields": fields,
        });
        let mut out = inert_json(&object.to_string());
        out.push('\n');
        out
    }
}

/// The same JSON, without what it leaves as it is and a terminal or a line reader may obey. That stands in strings only.
pub(crate) fn inert_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\u{7f}'..='\u{9f}'
            | '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

/// True for what cannot be taken for the beginning of another field, nor for the end of the line.
fn is_bare(text: &str) -> bool {
    let ends_a_value = |c: char| c.is_whitespace() || matches!(c, '"' | '\\' | '=') || !is_printable(c);
    !text.is_empty() && !text.chars().any(ends_a_value)
}

fn is_printable(c: char) -> bool {
    matches!(c, '"' | '\'' | '\\') || c.escape_debug().count() == 1
}

/// Appends a text, with escapes for what is not printable.
pub(crate) fn push_printable(out: &mut String, text: &str) {
    for c in text.chars() {
        match is_printable(c) {
            true => out.push(c),
            false => out.extend(c.escape_debug()),
        }
    }
}

fn colour_of(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        Level::DEBUG => "\x1b[34m",
        Level::TRACE => "\x1b[35m",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(message: &str, fields: Vec<(&'static str, Value)>) -> Line<'static> {
        Line {
            time_us: 1_700_000_000_123_456,
            level: Level::WARN,
            target: "broker::auth",
            parts: Parts {
                message: message.to_owned(),
                fields,
            },
        }
    }

    fn shown(text: &str) -> Value {
        Value::Shown(text.to_owned())
    }

    #[test]
    fn text_has_time_level_target_message_and_fields() {
        let fields = vec![
            ("peer", shown("127.0.0.1:1")),
            ("user", Value::Text("ada".to_owned())),
            ("count", Value::Number(3.into())),
            ("clean", Value::Flag(true)),
        ];
        assert_eq!(
            line("login refused", fields).render(LogFormat::Text, false),
            "2023-11-14T22:13:20.123456Z  WARN broker::auth: login refused peer=127.0.0.1:1 user=\"ada\" count=3 clean=true\n"
        );
        let coloured = line("m", Vec::new()).render(LogFormat::Text, true);
        assert!(coloured.contains("\x1b[33m WARN\x1b[0m"), "{coloured:?}");
    }

    #[test]
    fn nobody_can_forge_a_line_or_a_field() {
        let hostile = "q' \nERROR broker: forged user=\"root\"\r\x1b[2J\u{9b}1m\u{202e}\u{2028}";
        let fields = || {
            vec![
                ("queue", Value::Text(hostile.to_owned())),
                ("reason", shown(hostile)),
            ]
        };
        let text = line(hostile, fields()).render(LogFormat::Text, false);
        assert_eq!(text.matches('\n').count(), 1, "{text:?}");
        assert!(text.chars().all(|c| c == '\n' || is_printable(c)), "{text:?}");
        let quoted = format!("queue={hostile:?} reason={hostile:?}\n");
        assert!(text.ends_with(&quoted), "{text}");

        let json = line(hostile, fields()).render(LogFormat::Json, false);
        assert!(
            json.trim_end_matches('\n')
                .chars()
                .all(|c| !c.is_control() && c != '\u{2028}'),
            "{json:?}"
        );
        let read: Json = serde_json::from_str(&json).unwrap();
        assert_eq!(read["message"], hostile);
        assert_eq!(read["fields"]["queue"], hostile);
        assert_eq!(read["fields"]["reason"], hostile);
    }

    #[test]
    fn values_are_quoted_where_they_must_be() {
        for (value, expected) in [
            ("127.0.0.1:1", "v=127.0.0.1:1\n"),
            ("1.5ms", "v=1.5ms\n"),
            ("größer", "v=größer\n"),
            ("", "v=\"\"\n"),
            ("two words", "v=\"two words\"\n"),
            ("a=b", "v=\"a=b\"\n"),
            ("a\\nb", "v=\"a\\\\nb\"\n"),
        ] {
            let text = line("m", vec![("v", shown(value))]).render(LogFormat::Text, false);
            assert!(text.ends_with(expected), "{text}");
        }
    }

    #[test]
    fn json_keeps_the_kinds_of_values() {
        let fields = vec![
            ("count", Value::Number(3.into())),
            ("clean", Value::Flag(false)),
            ("time", Value::Text("now".to_owned())),
        ];
        let read: Json = serde_json::from_str(&line("m", fields).render(LogFormat::Json, true)).unwrap();
        let expected = serde_json::json!({
            "time": "2023-11-14T22:13:20.123456Z", "level": "warn", "target": "broker::auth", "message": "m",
            "fields": {"count": 3, "clean": false, "time": "now"},
        });
        assert_eq!(read, expected);
    }
}
