//! The bindings of a headers exchange: patterns over the message's headers.
//!
//! `x-match` chooses between all of the pattern's entries (`all`, the default, and `all-with-x`) and one of them (`any`,
//! `any-with-x`). Entries whose names begin with `x-` count only in the `-with-x` forms. An entry without value
//! (void) asks only that the header is there. Values compare by what they are, not by their type: integers and timestamps by
//! value, whatever their width, floats by value, strings by their octets; but an integer is no float.

use smallvec::SmallVec;
use wire::{FieldTable, FieldValue, TableRef, ValueRef};

use super::binding::{BindingId, Destination, Target};
use super::binding_list::{BindingList, OfBinding};
use super::error::TopologyError;
use crate::terms::{binary, term, type_name};

const MATCH: &str = "x-match";

/// Message headers, decoded once for all patterns.
type Headers<'a> = SmallVec<[(&'a str, ValueRef<'a>); 16]>;

#[derive(Debug)]
struct Pattern {
    /// All entries must match, not only one.
    all: bool,
    entries: Box<[(Box<str>, FieldValue)]>,
    target: Target,
}

impl OfBinding for Pattern {
    fn binding(&self) -> BindingId {
        self.target.binding
    }
}

impl Pattern {
    fn matches(&self, headers: &Headers<'_>) -> bool {
        let matches = |(name, expected): &(Box<str>, FieldValue)| {
            let header = headers.iter().find(|(header, _)| *header == &**name);
            header.is_some_and(|&(_, value)| accepts(expected, value))
        };
        match self.all {
            true => self.entries.iter().all(matches),
            false => self.entries.iter().any(matches),
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct HeaderBindings {
    patterns: BindingList<Pattern>,
}

impl HeaderBindings {
    pub(super) fn check(arguments: &FieldTable) -> Result<(), TopologyError> {
        mode(arguments).map(|_| ())
    }

    /// Adds a binding whose arguments passed the check.
    pub(super) fn insert(&mut self, arguments: &FieldTable, target: Target) {
        let (all, with_x) = mode(arguments).expect("checked before the binding was added");
        let entries = arguments
            .iter()
            .filter(|(name, _)| *name != MATCH && (with_x || !name.starts_with("x-")))
            .map(|(name, value)| (name.into(), value.clone()))
            .collect();
        self.patterns.push(Pattern { all, entries, target });
    }

    pub(super) fn remove(&mut self, binding: BindingId) {
        self.patterns.remove(binding);
    }

    /// Calls `found` for every binding whose pattern matches.
    pub(super) fn visit(&self, headers: TableRef<'_>, mut found: impl FnMut(Destination)) {
        let headers: Headers<'_> = headers.iter().collect();
        for pattern in self.patterns.iter().filter(|pattern| pattern.matches(&headers)) {
            found(pattern.target.destination);
        }
    }
}

/// Whether all entries must match, and whether those that begin with `x-` count.
fn mode(arguments: &FieldTable) -> Result<(bool, bool), TopologyError> {
    let Some(value) = arguments.get(MATCH) else {
        return Ok((true, false));
    };
    let FieldValue::LongStr(text) = value else {
        let text = format!(
            "Invalid {MATCH} field type {} (value {}); expected longstr",
            type_name(value),
            term(value)
        );
        return Err(TopologyError::invalid_argument(text));
    };
    Ok(match text.as_slice() {
        b"all" => (true, false),
        b"any" => (false, false),
        b"all-with-x" => (true, true),
        b"any-with-x" => (false, true),
        other => {
            let text = format!(
                "Invalid {MATCH} field value {}; expected all, any, all-with-x, or any-with-x",
                binary(other)
            );
            return Err(TopologyError::invalid_argument(text));
        }
    })
}

fn accepts(expected: &FieldValue, value: ValueRef<'_>) -> bool {
    match (expected, value) {
        (FieldValue::Void, _) => true,
        (
            FieldValue::LongStr(expected) | FieldValue::Bytes(expected),
            ValueRef::LongStr(value) | ValueRef::Bytes(value),
        ) => expected == value,
        (expected, value) => {
            let value = value.to_value();
            match (integer(expected), integer(&value)) {
                (Some(expected), Some(value)) => expected == value,
                _ => float(expected)
                    .zip(float(&value))
                    .map_or(*expected == value, |(a, b)| a == b),
            }
        }
    }
}

fn integer(value: &FieldValue) -> Option<i128> {
    match value {
        FieldValue::Timestamp(seconds) => Some((*seconds).into()),
        value => value.as_i64().map(i128::from),
    }
}

fn float(value: &FieldValue) -> Option<f64> {
    match *value {
        FieldValue::F32(value) => Some(value.into()),
        FieldValue::F64(value) => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::binding::QueueId;
    use super::*;

    fn table(entries: &[(&str, FieldValue)]) -> FieldTable {
        entries
            .iter()
            .cloned()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    fn matches(pattern: &[(&str, FieldValue)], headers: &[(&str, FieldValue)]) -> bool {
        let mut bindings = HeaderBindings::default();
        let target = Target {
            binding: BindingId(0),
            destination: Destination::Queue(QueueId(0)),
        };
        bindings.insert(&table(pattern), target);
        let mut count = 0;
        bindings.visit(TableRef::parse(&table(headers).to_bytes()).unwrap(), |_| {
            count += 1
        });
        assert!(count <= 1);
        count == 1
    }

    #[test]
    fn all_and_any_of_the_entries() {
        let all = [("x-match", "all".into()), ("a", 1i32.into()), ("b", "x".into())];
        let any = [("x-match", "any".into()), ("a", 1i32.into()), ("b", "x".into())];
        let both = [("b", "x".into()), ("c", true.into()), ("a", 1i64.into())];
        assert!(matches(&all, &both) && matches(&any, &both) && matches(&all[1..], &both));
        assert!(!matches(&all, &both[..2]) && matches(&any, &both[..2]));
        let wrong = [("a", 2i32.into()), ("b", 1i32.into())];
        assert!(!matches(&all, &wrong) && !matches(&any, &wrong));
    }

    #[test]
    fn patterns_without_entries_match_everything_or_nothing() {
        let headers = [("a", 1i32.into())];
        assert!(matches(&[], &headers) && matches(&[], &[]));
        assert!(matches(&[("x-match", "all".into())], &[]));
        assert!(!matches(&[("x-match", "any".into())], &headers));
    }

    #[test]
    fn names_with_x_count_only_when_asked() {
        let pattern = |mode: &str| [("x-match", mode.into()), ("x-a", 1i32.into()), ("b", 1i32.into())];
        let (with, without) = ([("x-a", 1i32.into())], [("b", 1i32.into())]);
        assert!(!matches(&pattern("any"), &with) && matches(&pattern("any-with-x"), &with));
        assert!(matches(&pattern("all"), &without) && !matches(&pattern("all-with-x"), &without));
    }

    #[test]
    fn values_compare_by_class() {
        let one = |expected: FieldValue, value: FieldValue| matches(&[("a", expected)], &[("a", value)]);
        assert!(one(FieldValue::Void, "anything".into()));
        assert!(one(FieldValue::U8(7), FieldValue::I64(7)));
        assert!(one(FieldValue::F32(0.5), FieldValue::F64(0.5)));
        assert!(one(FieldValue::Timestamp(7), FieldValue::Timestamp(7)));
        assert!(one(FieldValue::Timestamp(7), FieldValue::I64(7)));
        assert!(one("x".into(), FieldValue::Bytes(b"x".to_vec())));
        assert!(!one(FieldValue::U8(7), "7".into()));
        assert!(!one(FieldValue::F64(7.0), FieldValue::I64(7)));
        assert!(!one(FieldValue::Timestamp(7), FieldValue::I64(8)));
        assert!(!one("7".into(), FieldValue::I64(7)));
        assert!(!one(true.into(), "true".into()));
        assert!(!one(FieldValue::I64(7), FieldValue::Void));
    }

    #[test]
    fn other_modes_are_refused() {
        let refused = |value: FieldValue| {
            HeaderBindings::check(&table(&[("x-match", value)]))
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            refused("some".into()),
            "PRECONDITION_FAILED - Invalid x-match field value <<\"some\">>; expected all, any, all-with-x, or any-with-x"
        );
        assert_eq!(
            refused(true.into()),
            "PRECONDITION_FAILED - Invalid x-match field type bool (value true); expected longstr"
        );
    }
}
