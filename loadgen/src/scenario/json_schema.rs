//! The JSON Schema (draft 2020-12) of scenario files, generated from the table that scenarios are checked with: whatever
//! `fields` refuses, the schema refuses.
//!
//! Combinations of fields (`checks`) are beyond it, and so is that a range's lower end comes first.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::allowed::{Allowed, Field, NAME_LEN_MAX, Variants};
use super::fields::SCENARIO;

/// The schema of a scenario file.
#[must_use]
pub fn json_schema() -> Value {
    let mut schema = object(SCENARIO, None);
    let header = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "loadgen scenario",
        "description": "A load to put on an AMQP 0-9-1 broker, and what counts as good. Combinations of fields are checked by loadgen itself.",
    });
    if let (Value::Object(header), Value::Object(fields)) = (header, &mut schema) {
        let fields = std::mem::take(fields);
        return Value::Object(header.into_iter().chain(fields).collect());
    }
    schema
}

/// An object with exactly these fields and, before them, the one that decides on them.
fn object(fields: &[Field], deciding: Option<(&str, &str)>) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    if let Some((key, value)) = deciding {
        properties.insert(key.into(), json!({ "const": value }));
        required.push(key);
    }
    for field in fields {
        properties.insert(field.name.into(), schema_of(field.allowed));
        if field.required {
            required.push(field.name);
        }
    }
    let mut object = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !required.is_empty() {
        object["required"] = json!(required);
    }
    object
}

fn variants(key: &str, variants: Variants) -> Value {
    let each = variants
        .iter()
        .map(|(value, fields)| object(fields, Some((key, value))));
    json!({ "oneOf": each.collect::<Vec<_>>() })
}

fn schema_of(allowed: Allowed) -> Value {
    match allowed {
        Allowed::Name => json!({ "type": "string", "pattern": format!("^[a-z0-9-]{{1,{NAME_LEN_MAX}}}$") }),
        // One line with something on it.
        Allowed::Text => json!({ "type": "string", "pattern": r"^[^\n]*[^\s][^\n]*$" }),
        Allowed::Flag => json!({ "type": "boolean" }),
        Allowed::Integer(min, max) => number("integer", min, max),
        Allowed::IntegerOrNull(min, max) => or_null(number("integer", min, max)),
        Allowed::Number(min, max) => number("number", min, max),
        Allowed::NumberOrNull(min, max) => or_null(number("number", min, max)),
        Allowed::OneOf(names) => json!({ "enum": names }),
        Allowed::Range(min, max) => json!({
            "type": "array", "items": number("number", min, max), "minItems": 2, "maxItems": 2,
        }),
        Allowed::Fields(fields) => object(fields, None),
        Allowed::Variant(key, each) => variants(key, each),
        Allowed::Each(count_max, key, each) => json!({
            "type": "array", "items": variants(key, each), "maxItems": count_max,
        }),
        Allowed::Choice(words, fields) => {
            let fields = fields.iter().map(|(name, value)| {
                json!({
                    "type": "object", "properties": { *name: schema_of(*value) },
                    "required": [name], "additionalProperties": false,
                })
            });
            let words = std::iter::once(json!({ "enum": words }));
            json!({ "anyOf": words.chain(fields).collect::<Vec<_>>() })
        }
        Allowed::List(count_max, element) => json!({
            "type": "array", "items": schema_of(*element), "minItems": 1, "maxItems": count_max,
        }),
        Allowed::Texts(count_max) => json!({
            "type": "array", "items": schema_of(Allowed::Text), "maxItems": count_max,
        }),
        Allowed::Tuple(elements) => json!({
            "type": "array", "prefixItems": elements.iter().map(|it| schema_of(*it)).collect::<Vec<_>>(),
            "minItems": elements.len(), "maxItems": elements.len(),
        }),
        Allowed::Shapes(shapes) => {
            let shapes = shapes.iter().map(|fields| object(fields, None));
            json!({ "anyOf": shapes.collect::<Vec<_>>() })
        }
    }
}

fn number(kind: &str, min: impl Serialize, max: impl Serialize) -> Value {
    json!({ "type": kind, "minimum": min, "maximum": max })
}

fn or_null(schema: Value) -> Value {
    json!({ "anyOf": [{ "type": "null" }, schema] })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::scenario::{built_in, fields, list};

    /// Whether `value` is valid by the keywords that the two schemas use, and no others: an unknown one fails the test.
    pub(crate) fn is_valid(value: &Value, schema: &Value, root: &Value) -> bool {
        let Some(keywords) = schema.as_object() else {
            return schema.as_bool().unwrap();
        };
        let each = |schemas: &Value| -> usize {
            let valid = schemas
                .as_array()
                .unwrap()
                .iter()
                .filter(|it| is_valid(value, it, root));
            valid.count()
        };
        let number = |limit: &Value| limit.as_f64().unwrap();
        let length = |limit: &Value| limit.as_u64().unwrap() as usize;
        keywords.iter().all(|(keyword, said)| match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" | "format" | "default" => true,
            "$ref" => {
                let pointer = said.as_str().unwrap().strip_prefix('#').unwrap();
                is_valid(value, root.pointer(pointer).unwrap(), root)
            }
            "type" => {
                let types = said.as_array().cloned().unwrap_or_else(|| vec![said.clone()]);
                types.iter().any(|kind| match kind.as_str().unwrap() {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "boolean" => value.is_boolean(),
                    "null" => value.is_null(),
                    "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
                    "number" => value.is_number(),
                    other => panic!("unknown type {other}"),
                })
            }
            "const" => value == said,
            "enum" => said.as_array().unwrap().contains(value),
            "minimum" => value.as_f64().is_none_or(|value| value >= number(said)),
            "maximum" => value.as_f64().is_none_or(|value| value <= number(said)),
            "pattern" => value.as_str().is_none_or(|text| {
                let pattern = fancy_regex::Regex::new(said.as_str().unwrap()).unwrap();
                pattern.is_match(text).unwrap()
            }),
            "oneOf" => each(said) == 1,
            "anyOf" => each(said) >= 1,
            "allOf" => each(said) == said.as_array().unwrap().len(),
            "required" => value.as_object().is_none_or(|object| {
                let names = said.as_array().unwrap();
                names
                    .iter()
                    .all(|name| object.contains_key(name.as_str().unwrap()))
            }),
            "properties" => value.as_object().is_none_or(|object| {
                let known = object
                    .iter()
                    .filter_map(|(name, value)| Some((value, said.get(name)?)));
                known
                    .into_iter()
                    .all(|(value, schema)| is_valid(value, schema, root))
            }),
            "additionalProperties" => value.as_object().is_none_or(|object| {
                let known = schema.get("properties");
                let others = object
                    .iter()
                    .filter(|(name, _)| known.is_none_or(|known| known.get(name.as_str()).is_none()));
                others.into_iter().all(|(_, value)| is_valid(value, said, root))
            }),
            "items" => value.as_array().is_none_or(|items| {
                let first = schema
                    .get("prefixItems")
                    .map_or(0, |first| first.as_array().unwrap().len());
                items.iter().skip(first).all(|item| is_valid(item, said, root))
            }),
            "prefixItems" => value.as_array().is_none_or(|items| {
                let pairs = items.iter().zip(said.as_array().unwrap());
                pairs
                    .into_iter()
                    .all(|(item, schema)| is_valid(item, schema, root))
            }),
            "minItems" => value.as_array().is_none_or(|items| items.len() >= length(said)),
            "maxItems" => value.as_array().is_none_or(|items| items.len() <= length(said)),
            other => panic!("unknown keyword {other}"),
        })
    }

    fn good() -> Value {
        serde_json::to_value(built_in("crash").unwrap()).unwrap()
    }

    #[test]
    fn the_committed_schema_is_current() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios/schema.json");
        let committed: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        assert_eq!(
            committed,
            json_schema(),
            "loadgen schema scenario > scenarios/schema.json"
        );
    }

    #[test]
    fn every_scenario_is_valid() {
        let schema = json_schema();
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios");
        let mut files = 0;
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.ends_with("schema.json") {
                continue;
            }
            let scenario: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            assert!(is_valid(&scenario, &schema, &schema), "{}", path.display());
            files += 1;
        }
        assert!(files >= list(std::path::Path::new(directory)).len());
        // Also as loadgen itself writes them, every field present.
        assert!(is_valid(&good(), &schema, &schema));
    }

    #[test]
    fn what_the_table_refuses_the_schema_refuses_too() {
        let schema = json_schema();
        let cases = [
            ("/name", json!("Upper")),
            ("/name", json!("")),
            ("/name", json!("x".repeat(65))),
            ("/description", json!(" ")),
            ("/description", json!("two\nlines")),
            ("/driver", json!("java")),
            ("/producers", json!(1_001)),
            ("/producers", json!("many")),
            ("/producers", json!(1.5)),
            ("/producers", Value::Null),
            ("/consumers", json!(1_001)),
            ("/size_bytes", json!(15)),
            ("/size_bytes", json!(16 * 1024 * 1024 + 1)),
            ("/load", json!(3)),
            ("/load", json!({"shape": "saturating"})),
            ("/load", json!({"shape": "flood", "rate": 3})),
            ("/load", json!({"rate": 3})),
            ("/load/shape", json!("sawtooth")),
            (
                "/load",
                json!({"shape": "open_loop", "rate": 5, "arrivals": "sometimes"}),
            ),
            (
                "/load",
                json!({"shape": "open_loop", "rate": 5, "arrivals": {"burst": 0}}),
            ),
            (
                "/load",
                json!({"shape": "open_loop", "rate": 5, "arrivals": {"burst": 1, "x": 1}}),
            ),
            ("/load", json!({"shape": "profile", "phases": []})),
            ("/load", json!({"shape": "profile", "phases": [{"rate": 1}]})),
            (
                "/load",
                json!({"shape": "profile", "phases": [{"from": 1, "for_s": 1}]}),
            ),
            (
                "/load",
                json!({"shape": "profile", "phases": [{"rate": 1, "to": 1, "for_s": 1}]}),
            ),
            ("/duration_s", json!(0)),
            ("/duration_s", json!(36_001)),
            ("/persistent", json!(1)),
            ("/confirm_window", json!(0)),
            ("/faults", json!({})),
            ("/faults", json!([{"kind": "pause"}])),
            ("/faults", json!([{"kind": "kill"}])),
            ("/faults", json!([{"kind": "kill", "after_s": [1]}])),
            ("/faults", json!([{"kind": "kill", "after_s": [-1, 2]}])),
            ("/faults", json!([{"kind": "kill", "after_s": ["1", 2]}])),
            ("/targets", json!({"p99": 3})),
            ("/targets", json!({"latency_p99_us_max": 0})),
            ("/validity", json!({"steal_max": 2})),
            ("/validity", json!({"steal_max": null})),
            ("/prodcers", json!(3)),
        ];
        for (pointer, value) in cases {
            let mut scenario = good();
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            scenario.pointer_mut(parent).unwrap()[name] = value.clone();
            assert!(
                fields::check(&scenario).is_err(),
                "the table allows {pointer} = {value}"
            );
            assert!(
                !is_valid(&scenario, &schema, &schema),
                "the schema allows {pointer} = {value}"
            );
        }
        for field in SCENARIO.iter().filter(|field| field.required) {
            let mut scenario = good();
            scenario.as_object_mut().unwrap().shift_remove(field.name);
            assert!(
                !is_valid(&scenario, &schema, &schema),
                "{} may be missing",
                field.name
            );
        }
    }
}
