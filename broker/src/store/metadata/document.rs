//! The content of a file: a JSON object with the number of its format and the fields of a record.
//!
//! ```text
//! {
//!   "format": 1,
//!   "name": "/"
//! }
//! ```
//! Every field that has no default is required and no other is accepted, so that a word mistyped by hand is not taken for a wish.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::entity::Entity;
use super::key::EntityKind;

const FORMAT: u64 = 1;
const FORMAT_FIELD: &str = "format";

#[derive(Serialize)]
struct Document<'a, T> {
    format: u64,
    #[serde(flatten)]
    record: &'a T,
}

/// The bytes of an entity's file.
pub(super) fn encode(entity: &Entity) -> Vec<u8> {
    match entity {
        Entity::Vhost(record) => write(record),
        Entity::User(record) => write(record),
        Entity::Permission(record) => write(record),
        Entity::TopicPermission(record) => write(record),
        Entity::Exchange(record) => write(record),
        Entity::Queue(record) => write(record),
        Entity::Binding(record) => write(record),
    }
}

/// Reads what [`encode`] wrote, or what is wrong with it in words.
pub(super) fn decode(kind: EntityKind, bytes: &[u8]) -> Result<Entity, String> {
    let fields = fields(bytes)?;
    match kind {
        EntityKind::Vhost => read(fields).map(Entity::Vhost),
        EntityKind::User => read(fields).map(Entity::User),
        EntityKind::Permission => read(fields).map(Entity::Permission),
        EntityKind::TopicPermission => read(fields).map(Entity::TopicPermission),
        EntityKind::Exchange => read(fields).map(Entity::Exchange),
        EntityKind::Queue => read(fields).map(Entity::Queue),
        EntityKind::Binding => read(fields).map(Entity::Binding),
    }
}

fn write(record: &impl Serialize) -> Vec<u8> {
    let document = Document {
        format: FORMAT,
        record,
    };
    let mut bytes = serde_json::to_vec_pretty(&document)
        .expect("records have text keys and no number that JSON cannot say");
    bytes.push(b'\n');
    bytes
}

/// The record's fields, once the format is known to be this one.
fn fields(bytes: &[u8]) -> Result<Map<String, Value>, String> {
    let mut fields: Map<String, Value> = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    match fields.shift_remove(FORMAT_FIELD) {
        Some(format) if format == FORMAT => Ok(fields),
        Some(format) => Err(format!(
            "it has format {format}, and this version knows format {FORMAT} only"
        )),
        None => Err(format!("the field \"{FORMAT_FIELD}\" is missing")),
    }
}

fn read<T: DeserializeOwned>(fields: Map<String, Value>) -> Result<T, String> {
    serde_json::from_value(Value::Object(fields)).map_err(|error| error.to_string())
}
