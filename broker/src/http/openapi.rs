//! `/api/openapi.json`: every path with what it does, made from the routes themselves and the table below.

mod operations;

use serde_json::{Map, Value, json};

use super::answer::Json;
use super::routes::listed;
use operations::{OPERATIONS, Operation};

/// Shapes of bodies.
const SCHEMAS: &str = include_str!("openapi/schemas.json");
/// Parameters of every list.
const LIST_PARAMETERS: [(&str, &str); 7] = [
    ("page", "This page only, counted from 1."),
    ("page_size", "Rows of a page, 1 to 500; 100 by default."),
    ("name", "Rows whose name contains this."),
    ("use_regex", "`name` is a regular expression: true or false."),
    ("sort", "Field to sort by, with dots into objects."),
    ("sort_reverse", "The other way round: true or false."),
    (
        "columns",
        "Fields to show, separated by commas, with dots into objects.",
    ),
];

/// The document.
pub(super) async fn document() -> Json {
    Json(build())
}

fn build() -> Value {
    let mut paths = Map::new();
    for (method, path) in listed() {
        let operation = OPERATIONS
            .iter()
            .find(|known| (known.method, known.path) == (method, path));
        let item = paths.entry(path).or_insert_with(|| json!({}));
        item[method] = operation.map_or(Value::Null, described);
    }
    let schemas: Value = serde_json::from_str(SCHEMAS).expect("checked by a test");
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Broker management",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Health, metrics, and the paths and fields of RabbitMQ's management API. Names in paths are percent-encoded: the virtual host / is %2F. amq.default is the default exchange.",
            "license": {"name": env!("CARGO_PKG_LICENSE")},
        },
        "servers": [{"url": "/"}],
        "security": [{"basic": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"basic": {"type": "http", "scheme": "basic"}},
            "schemas": schemas,
            "responses": {
                "Refused": {
                    "description": "Refused; the reason is in the body.",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}}},
                },
            },
        },
    })
}

fn described(operation: &Operation) -> Value {
    let mut parameters: Vec<Value> = names_in(operation.path)
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
        .collect();
    let is_list = operation.answers == "list";
    for (name, description) in LIST_PARAMETERS.iter().filter(|_| is_list) {
        parameters.push(
            json!({"name": name, "in": "query", "description": description, "schema": {"type": "string"}}),
        );
    }
    let refused = json!({"$ref": "#/components/responses/Refused"});
    let mut responses = Map::new();
    let success =
        |schema: Value| json!({"description": "Done.", "content": {"application/json": {"schema": schema}}});
    match operation.answers {
        "list" => responses.insert("200".to_owned(), success(json!({"type": ["array", "object"]}))),
        "object" => responses.insert("200".to_owned(), success(json!({"type": "object"}))),
        "text" => responses.insert("200".to_owned(), json!({"description": "Text."})),
        "made" => {
            responses.insert("201".to_owned(), json!({"description": "It is new."}));
            responses.insert("204".to_owned(), json!({"description": "It was there."}))
        }
        _ => responses.insert("204".to_owned(), json!({"description": "Done."})),
    };
    if operation.path.starts_with("/api/") {
        for status in ["400", "401", "404", "503"] {
            responses.insert(status.to_owned(), refused.clone());
        }
    }
    let mut out = json!({
        "summary": operation.summary,
        "operationId": id(operation),
        "parameters": parameters,
        "responses": responses,
    });
    if !operation.path.starts_with("/api/") || operation.path == "/api/openapi.json" {
        out["security"] = json!([]);
    }
    if let Some(body) = operation.body {
        let reference = format!("#/components/schemas/{body}");
        out["requestBody"] = json!({"content": {"application/json": {"schema": {"$ref": reference}}}});
    }
    out
}

fn names_in(path: &str) -> impl Iterator<Item = &str> {
    path.split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

/// Unique: the method and the words of the path.
fn id(operation: &Operation) -> String {
    let words = operation
        .path
        .split(['/', '{', '}', '.'])
        .filter(|word| !word.is_empty());
    std::iter::once(operation.method)
        .chain(words)
        .collect::<Vec<_>>()
        .join("_")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_route_is_described_and_nothing_else_is() {
        let routes: BTreeSet<_> = listed().into_iter().collect();
        let described: BTreeSet<_> = OPERATIONS
            .iter()
            .map(|known| (known.method, known.path))
            .collect();
        assert_eq!(described.len(), OPERATIONS.len(), "something is described twice");
        let missing: Vec<_> = routes.difference(&described).collect();
        let surplus: Vec<_> = described.difference(&routes).collect();
        assert!(
            missing.is_empty() && surplus.is_empty(),
            "not described {missing:?}, not there {surplus:?}"
        );
    }

    #[test]
    fn references_lead_somewhere_and_ids_are_unique() {
        let document = build();
        let text = document.to_string();
        for reference in text.split("\"$ref\":\"#").skip(1) {
            let pointer = reference.split('"').next().unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
        let ids: BTreeSet<_> = OPERATIONS.iter().map(id).collect();
        assert_eq!(ids.len(), OPERATIONS.len());
    }
}
