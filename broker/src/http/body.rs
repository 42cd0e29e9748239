//! Bodies of requests: one JSON object, read field by field.

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, Request};
use serde_json::{Map, Value};
use wire::FieldTable;

use super::answer::Refusal;
use super::shared::Shared;
use crate::definitions::{Fields, arguments_to_table};

/// Largest body of a request: definitions are the largest.
pub(super) const BODY_BYTES_MAX: usize = 32 << 20;

/// An object; an empty body is an empty one.
#[derive(Debug)]
pub(super) struct Object(pub(super) Fields);

/// The bytes.
#[derive(Debug)]
pub(super) struct Text(pub(super) String);

impl FromRequest<Shared> for Text {
    type Rejection = Refusal;

    async fn from_request(request: Request<Body>, _: &Shared) -> Result<Text, Refusal> {
        let announced = request.headers().get(axum::http::header::CONTENT_LENGTH);
        let announced = announced.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if announced.is_some_and(|bytes| bytes > BODY_BYTES_MAX) {
            return Err(Refusal::too_large(BODY_BYTES_MAX));
        }
        let bytes = to_bytes(request.into_body(), BODY_BYTES_MAX)
            .await
            .map_err(|_| Refusal::too_large(BODY_BYTES_MAX))?;
        match String::from_utf8(bytes.into()) {
            Ok(text) => Ok(Text(text)),
            Err(_) => Err(Refusal::bad_request("the body is not UTF-8")),
        }
    }
}

impl FromRequest<Shared> for Object {
    type Rejection = Refusal;

    async fn from_request(request: Request<Body>, shared: &Shared) -> Result<Object, Refusal> {
        let Text(text) = Text::from_request(request, shared).await?;
        let value = match text.trim() {
            "" => Value::Object(Map::new()),
            text => serde_json::from_str(text)
                .map_err(|error| Refusal::bad_request(format!("the body is not JSON: {error}")))?,
        };
        Ok(Object(Fields::of("", value).map_err(Refusal::bad_request)?))
    }
}

impl Object {
    /// A field that must be there.
    pub(super) fn text(&mut self, field: &str) -> Result<String, Refusal> {
        self.0.text(field).map_err(Refusal::bad_request)
    }

    /// A name: short enough for AMQP.
    pub(super) fn name(&mut self, field: &str) -> Result<String, Refusal> {
        self.0.name(field).map_err(Refusal::bad_request)
    }

    pub(super) fn optional_text(&mut self, field: &str) -> Result<Option<String>, Refusal> {
        self.0.optional_text(field).map_err(Refusal::bad_request)
    }

    /// `true` and `false`, also as the strings that `rabbitmqadmin` sends.
    pub(super) fn flag(&mut self, field: &str, default: bool) -> Result<bool, Refusal> {
        match self.0.take(field) {
            None | Some(Value::Null) => Ok(default),
            Some(Value::Bool(value)) => Ok(value),
            Some(Value::String(text)) if text == "true" => Ok(true),
            Some(Value::String(text)) if text == "false" => Ok(false),
            Some(other) => Err(Refusal::bad_request(format!(
                "{field}: expected true or false, found {other}"
            ))),
        }
    }

    /// A whole number, also as a string of digits.
    pub(super) fn number(&mut self, field: &str) -> Result<Option<i64>, Refusal> {
        let value = match self.0.take(field) {
            None | Some(Value::Null) => return Ok(None),
            Some(value) => value,
        };
        let number = value.as_i64().or_else(|| value.as_str()?.parse().ok());
        match number {
            Some(number) => Ok(Some(number)),
            None => Err(Refusal::bad_request(format!(
                "{field}: expected a whole number, found {value}"
            ))),
        }
    }

    /// A table of arguments; none when it is not there.
    pub(super) fn arguments(&mut self) -> Result<FieldTable, Refusal> {
        let object = self.0.object("arguments").map_err(Refusal::bad_request)?;
        arguments_to_table("arguments", object.into_map()).map_err(Refusal::bad_request)
    }
}
