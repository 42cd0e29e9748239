//! Lists: which part of one is wanted, in which order, with which fields. Parameters and answers are RabbitMQ's.
//!
//! | parameter | means |
//! |---|---|
//! | `page`, `page_size` | this page only, counted from 1; 100 rows a page, at most 500 |
//! | `name`, `use_regex` | rows whose name contains this, or matches it |
//! | `sort`, `sort_reverse` | by this field, with dots into objects |
//! | `columns` | these fields only, separated by commas, with dots into objects |
//!
//! A row becomes JSON when it is on the page, or when it is sorted by a field; then it is forgotten again. So a list of 10,000 queues
//! takes as much memory as its page.

use std::cmp::Ordering;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use fancy_regex::RegexBuilder;
use serde_json::{Map, Value, json};

use super::answer::{Json, Refusal};
use super::shared::Shared;

/// Rows of one answer without pages.
const ROWS_MAX: usize = 20_000;
const PAGE_SIZE: usize = 100;
const PAGE_SIZE_MAX: usize = 500;
/// Steps that matching one name may take.
const BACKTRACK_MAX: usize = 100_000;

/// What the query asks for.
#[derive(Clone, Debug, Default)]
pub(super) struct Listing {
    page: Option<usize>,
    page_size: usize,
    name: Option<Matching>,
    sort: Option<Vec<String>>,
    reverse: bool,
    columns: Option<Vec<Vec<String>>>,
}

#[derive(Clone, Debug)]
enum Matching {
    Part(String),
    Pattern(Box<fancy_regex::Regex>),
}

impl FromRequestParts<Shared> for Listing {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Listing, Refusal> {
        let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|error| Refusal::bad_request(format!("the query cannot be read: {error}")))?;
        Listing::parse(pairs.0)
    }
}

impl Listing {
    fn parse(pairs: Vec<(String, String)>) -> Result<Listing, Refusal> {
        let mut listing = Listing {
            page_size: PAGE_SIZE,
            ..Listing::default()
        };
        let (mut name, mut by_pattern) = (None, false);
        for (key, value) in pairs {
            match key.as_str() {
                "page" => listing.page = Some(number("page", &value, 1, usize::MAX)?),
                "page_size" => listing.page_size = number("page_size", &value, 1, PAGE_SIZE_MAX)?,
                "name" if !value.is_empty() => name = Some(value),
                "use_regex" => by_pattern = flag("use_regex", &value)?,
                "sort" if !value.is_empty() => listing.sort = Some(path(&value)),
                "sort_reverse" => listing.reverse = flag("sort_reverse", &value)?,
                "columns" if !value.is_empty() => {
                    listing.columns = Some(value.split(',').map(path).collect());
                }
                // As in RabbitMQ, what nobody knows is passed over: clients send more than one server understands.
                _ => {}
            }
        }
        listing.name = match name {
            Some(pattern) if by_pattern => {
                let built = RegexBuilder::new(&pattern).backtrack_limit(BACKTRACK_MAX).build();
                let pattern = built.map_err(|error| {
                    Refusal::bad_request(format!("name: '{pattern}' is no regular expression: {error}"))
                })?;
                Some(Matching::Pattern(Box::new(pattern)))
            }
            Some(part) => Some(Matching::Part(part)),
            None => None,
        };
        Ok(listing)
    }

    /// The answer. `rows` are in the order that is meant when nothing else is asked for.
    pub(super) fn answer<T>(
        &self,
        mut rows: Vec<T>,
        name: impl Fn(&T) -> String,
        render: impl Fn(&T) -> Value,
    ) -> Result<Json, Refusal> {
        let total = rows.len();
        if let Some(matching) = &self.name {
            rows.retain(|row| matching.accepts(&name(row)));
        }
        if let Some(field) = &self.sort {
            let mut keyed: Vec<(Value, T)> = rows
                .into_iter()
                .map(|row| (at(&render(&row), field).clone(), row))
                .collect();
            keyed.sort_by(|one, other| compare(&one.0, &other.0));
            rows = keyed.into_iter().map(|(_, row)| row).collect();
        }
        if self.reverse {
            rows.reverse();
        }
        let shown = |row: &T| self.selected(render(row));
        let Some(page) = self.page else {
            if rows.len() > ROWS_MAX {
                let reason = format!(
                    "{} rows are more than {ROWS_MAX}: ask for pages with page=1&page_size={PAGE_SIZE_MAX}",
                    rows.len()
                );
                return Err(Refusal::bad_request(reason));
            }
            return Ok(Json(rows.iter().map(shown).collect()));
        };
        let filtered = rows.len();
        let pages = filtered.div_ceil(self.page_size).max(1);
        if page > pages {
            let reason = format!("page {page} is not there: there are {pages}");
            return Err(Refusal::bad_request(reason));
        }
        let first = (page - 1) * self.page_size;
        let items: Vec<Value> = rows.iter().skip(first).take(self.page_size).map(shown).collect();
        Ok(Json(json!({
            "total_count": total, "filtered_count": filtered, "item_count": items.len(),
            "page": page, "page_size": self.page_size, "page_count": pages, "items": items,
        })))
    }

    /// The fields that are asked for.
    pub(super) fn selected(&self, row: Value) -> Value {
        let Some(columns) = &self.columns else { return row };
        let mut out = Map::new();
        for column in columns {
            copy(&row, column, &mut out);
        }
        Value::Object(out)
    }
}

impl Matching {
    fn accepts(&self, name: &str) -> bool {
        match self {
            Matching::Part(part) => name.to_lowercase().contains(&part.to_lowercase()),
            // What runs into the limit does not match.
            Matching::Pattern(pattern) => pattern.is_match(name).unwrap_or(false),
        }
    }
}

fn path(text: &str) -> Vec<String> {
    text.split('.').map(str::to_owned).collect()
}

fn number(key: &str, text: &str, min: usize, max: usize) -> Result<usize, Refusal> {
    let number = text.parse().ok().filter(|number| (min..=max).contains(number));
    number.ok_or_else(|| match max {
        usize::MAX => Refusal::bad_request(format!("{key}: expected a number from {min}, found '{text}'")),
        max => Refusal::bad_request(format!(
            "{key}: expected a number from {min} to {max}, found '{text}'"
        )),
    })
}

fn flag(key: &str, text: &str) -> Result<bool, Refusal> {
    match text {
        "true" => Ok(true),
        "false" | "" => Ok(false),
        _ => Err(Refusal::bad_request(format!(
            "{key}: expected true or false, found '{text}'"
        ))),
    }
}

fn at<'a>(value: &'a Value, path: &[String]) -> &'a Value {
    path.iter()
        .fold(value, |value, key| value.get(key).unwrap_or(&Value::Null))
}

fn copy(row: &Value, column: &[String], out: &mut Map<String, Value>) {
    let Some((first, rest)) = column.split_first() else {
        return;
    };
    let Some(value) = row.get(first) else { return };
    if rest.is_empty() {
        out.insert(first.clone(), value.clone());
    } else if value.is_object() {
        let inner = out
            .entry(first.clone())
            .or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(inner) = inner {
            copy(value, rest, inner);
        }
    }
}

/// Numbers by size, texts by letters; what is not there comes first.
fn compare(one: &Value, other: &Value) -> Ordering {
    let rank = |value: &Value| match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(_) => 2,
        _ => 3,
    };
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            let (one, other) = (one.as_f64().unwrap_or(0.0), other.as_f64().unwrap_or(0.0));
            one.total_cmp(&other)
        }
        (Value::Bool(one), Value::Bool(other)) => one.cmp(other),
        (Value::String(one), Value::String(other)) => one.cmp(other),
        _ => rank(one)
            .cmp(&rank(other))
            .then_with(|| one.to_string().cmp(&other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(query: &[(&str, &str)]) -> Result<Value, String> {
        let pairs = query
            .iter()
            .map(|&(key, value)| (key.to_owned(), value.to_owned()));
        let listing = Listing::parse(pairs.collect()).map_err(|refusal| refusal.reason)?;
        let rows = vec![("b", 10), ("a", 9), ("ab", 100)];
        let render = |row: &(&str, i32)| json!({"name": row.0, "d": {"n": row.1, "m": 0}});
        let answer = listing.answer(rows, |row| row.0.to_owned(), render);
        answer.map(|Json(value)| value).map_err(|refusal| refusal.reason)
    }

    fn names(value: &Value) -> Vec<&str> {
        let items = value.as_array().or_else(|| value["items"].as_array()).unwrap();
        items.iter().map(|item| item["name"].as_str().unwrap()).collect()
    }

    #[test]
    fn rows_are_filtered_sorted_and_cut() {
        for (query, expected) in [
            (&[][..], &["b", "a", "ab"][..]),
            (&[("name", "A")], &["a", "ab"]),
            (&[("name", "^a$"), ("use_regex", "true")], &["a"]),
            (&[("sort", "d.n")], &["a", "b", "ab"]),
            (&[("sort", "name"), ("sort_reverse", "true")], &["b", "ab", "a"]),
            (&[("sort", "nowhere"), ("unknown", "x")], &["b", "a", "ab"]),
            (&[("page", "2"), ("page_size", "2")], &["ab"]),
            (&[("page", "1"), ("name", "zzz")], &[]),
        ] {
            assert_eq!(names(&listed(query).unwrap()), expected, "{query:?}");
        }
        let page = listed(&[("page", "1"), ("page_size", "1"), ("name", "a")]).unwrap();
        assert_eq!(
            (
                &page["total_count"],
                &page["filtered_count"],
                &page["item_count"],
                &page["page_count"]
            ),
            (&json!(3), &json!(2), &json!(1), &json!(2))
        );
    }

    #[test]
    fn columns_reach_into_objects() {
        let rows = listed(&[("columns", "d.n,nowhere,d.m"), ("name", "ab")]).unwrap();
        assert_eq!(rows, json!([{"d": {"n": 100, "m": 0}}]));
    }

    #[test]
    fn a_query_that_cannot_be_is_told_by_its_parameter() {
        for (key, value) in [
            ("page", "0"),
            ("page_size", "501"),
            ("sort_reverse", "1"),
            ("use_regex", "x"),
            ("page", "9"),
        ] {
            let reason = listed(&[(key, value)]).unwrap_err();
            assert!(reason.starts_with(key), "{reason}");
        }
        let reason = listed(&[("use_regex", "true"), ("name", "(")]).unwrap_err();
        assert!(reason.starts_with("name: "), "{reason}");
    }
}
