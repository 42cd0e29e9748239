//! The table of all scenario fields: type, range, and whether they may be absent.
//!
//! Checked on the JSON value, before it becomes typed, so that a message can name the field, the value found and what
//! is allowed, which serde's own messages do not.

use serde_json::{Map, Value};

use super::{Fault, SIZE_BYTES_MAX};

/// What a field may hold.
#[derive(Clone, Copy)]
enum Allowed {
    /// Lower-case letters, digits and dashes.
    Name,
    Text,
    Flag,
    Integer(u64, u64),
    /// An integer or `null`.
    IntegerOrNull(u64, u64),
    Number(f64, f64),
    NumberOrNull(f64, f64),
    OneOf(&'static [&'static str]),
    /// Two numbers, the second not below the first.
    Range(f64, f64),
    Fields(&'static [Field]),
    /// An object one of whose fields, named first, decides the others.
    Variant(&'static str, Variants),
    /// A list of such objects, at most so many.
    Each(usize, &'static str, Variants),
}

/// The values of the deciding field, each with the other fields.
type Variants = &'static [(&'static str, &'static [Field])];

struct Field {
    name: &'static str,
    allowed: Allowed,
    required: bool,
}

const fn required(name: &'static str, allowed: Allowed) -> Field {
    Field {
        name,
        allowed,
        required: true,
    }
}

const fn optional(name: &'static str, allowed: Allowed) -> Field {
    Field {
        name,
        allowed,
        required: false,
    }
}

const NAME_LEN_MAX: usize = 64;
const DURATION_S_MAX: f64 = 36_000.0;
const FAULTS_MAX: usize = 100;

const SCENARIO: &[Field] = &[
    required("name", Allowed::Name),
    required("description", Allowed::Text),
    optional("driver", Allowed::OneOf(&["native", "lapin"])),
    required("producers", Allowed::Integer(1, 1_000)),
    required("consumers", Allowed::Integer(0, 1_000)),
    required("queues", Allowed::Integer(1, 1_000)),
    optional("routing", Allowed::OneOf(&["queue", "fanout"])),
    required("size_bytes", Allowed::Integer(16, SIZE_BYTES_MAX as u64)),
    required("load", Allowed::Variant("shape", LOAD)),
    optional("messages", Allowed::IntegerOrNull(1, 1 << 42)),
    optional("backlog_first", Allowed::Flag),
    required("duration_s", Allowed::Number(0.1, DURATION_S_MAX)),
    required("warmup_s", Allowed::Number(0.0, 3_600.0)),
    optional("drain_s", Allowed::Number(0.1, 3_600.0)),
    required("prefetch", Allowed::Integer(0, u16::MAX as u64)),
    required("ack_every", Allowed::Integer(0, u16::MAX as u64)),
    optional("ack_flush_ms", Allowed::Integer(0, 60_000)),
    optional("consume_rate_max", Allowed::IntegerOrNull(1, 20_000_000)),
    optional("confirm_window", Allowed::IntegerOrNull(1, 1_000_000)),
    optional("persistent", Allowed::Flag),
    optional("durable", Allowed::Flag),
    optional("queue_type", Allowed::OneOf(&["classic", "quorum"])),
    optional("faults", Allowed::Each(FAULTS_MAX, "kind", FAULTS)),
    optional("targets", Allowed::Fields(TARGETS)),
    optional("validity", Allowed::Fields(VALIDITY)),
];

const LOAD: Variants = &[
    (
        "saturating",
        &[required("in_flight", Allowed::Integer(1, 10_000_000))],
    ),
    ("open_loop", &[required("rate", Allowed::Integer(1, 20_000_000))]),
    ("flood", &[]),
];

const FAULTS: Variants = &[(
    "kill",
    &[required("after_s", Allowed::Range(0.0, DURATION_S_MAX))],
)];

const TARGETS: &[Field] = &[
    optional("publish_rate_min", Allowed::NumberOrNull(0.0, 1e9)),
    optional("consume_rate_min", Allowed::NumberOrNull(0.0, 1e9)),
    optional("broker_rss_bytes_max", Allowed::IntegerOrNull(1, 1 << 50)),
    optional("broker_rss_anon_bytes_max", Allowed::IntegerOrNull(1, 1 << 50)),
    optional("schedule_lag_p99_us_max", Allowed::NumberOrNull(1.0, 60e6)),
    optional("latency_p99_us_max", Allowed::NumberOrNull(1.0, 60e6)),
];

const VALIDITY: &[Field] = &[
    optional("schedule_lag_p99_us_max", Allowed::Number(1.0, 60e6)),
    optional("generator_cpu_max", Allowed::Number(0.01, 1.0)),
    optional("steal_max", Allowed::Number(0.0, 1.0)),
    optional("foreign_cpu_max", Allowed::Number(0.0, 1.0)),
];

/// Finds the first field that is missing, unknown, of the wrong type or out of range.
pub(super) fn check(scenario: &Value) -> Result<(), Fault> {
    let Some(object) = scenario.as_object() else {
        return Err(Fault::new("the scenario", shorten(scenario), "a JSON object"));
    };
    check_object(object, "", SCENARIO)
}

fn check_object(object: &Map<String, Value>, prefix: &str, fields: &[Field]) -> Result<(), Fault> {
    if let Some((name, value)) = object
        .iter()
        .find(|(name, _)| fields.iter().all(|field| field.name != **name))
    {
        let known: Vec<_> = fields.iter().map(|field| field.name).collect();
        let fault = format!("not a field; fields here are {}", known.join(", "));
        return Err(Fault::new(format!("{prefix}{name}"), shorten(value), fault));
    }
    for field in fields {
        let path = format!("{prefix}{}", field.name);
        match object.get(field.name) {
            Some(value) => check_value(value, &path, field.allowed)?,
            None if field.required => return Err(Fault::new(path, "missing", field.allowed.describe())),
            None => {}
        }
    }
    Ok(())
}

fn check_value(value: &Value, path: &str, allowed: Allowed) -> Result<(), Fault> {
    let fault = || Fault::new(path, shorten(value), allowed.describe());
    let prefix = format!("{path}.");
    match allowed {
        Allowed::Fields(fields) => check_object(value.as_object().ok_or_else(fault)?, &prefix, fields),
        Allowed::Variant(key, variants) => {
            let mut object = value.as_object().ok_or_else(fault)?.clone();
            let found = object.remove(key).unwrap_or(Value::String("missing".into()));
            let fields = variants
                .iter()
                .find(|(name, _)| found == *name)
                .map(|(_, fields)| *fields);
            let unknown = || Fault::new(format!("{prefix}{key}"), shorten(&found), names(variants));
            check_object(&object, &prefix, fields.ok_or_else(unknown)?)
        }
        Allowed::Each(count_max, key, variants) => {
            let list = value.as_array().filter(|list| list.len() <= count_max);
            for (index, element) in list.ok_or_else(fault)?.iter().enumerate() {
                check_value(
                    element,
                    &format!("{path}[{index}]"),
                    Allowed::Variant(key, variants),
                )?;
            }
            Ok(())
        }
        _ if allowed.accepts(value) => Ok(()),
        _ => Err(fault()),
    }
}

impl Allowed {
    /// Whether a plain value is allowed (objects are checked field by field).
    fn accepts(self, value: &Value) -> bool {
        match self {
            Self::Name => value.as_str().is_some_and(is_name),
            Self::Text => value
                .as_str()
                .is_some_and(|text| !text.trim().is_empty() && !text.contains('\n')),
            Self::Flag => value.is_boolean(),
            Self::Integer(min, max) => value.as_u64().is_some_and(|value| (min..=max).contains(&value)),
            Self::IntegerOrNull(min, max) => value.is_null() || Self::Integer(min, max).accepts(value),
            Self::Number(min, max) => value.as_f64().is_some_and(|value| (min..=max).contains(&value)),
            Self::NumberOrNull(min, max) => value.is_null() || Self::Number(min, max).accepts(value),
            Self::OneOf(names) => value.as_str().is_some_and(|value| names.contains(&value)),
            Self::Range(min, max) => {
                let ends = value.as_array().map(|ends| ends.iter().map(Value::as_f64));
                let ends = ends.and_then(Iterator::collect::<Option<Vec<f64>>>);
                matches!(ends.as_deref(), Some(&[from, to]) if min <= from && from <= to && to <= max)
            }
            Self::Fields(_) | Self::Variant(..) | Self::Each(..) => unreachable!("checked field by field"),
        }
    }

    fn describe(self) -> String {
        match self {
            Self::Name => format!("1 to {NAME_LEN_MAX} lower-case letters, digits and dashes"),
            Self::Text => "a text of one line".into(),
            Self::Flag => "true or false".into(),
            Self::Integer(min, max) => format!("a whole number from {min} to {max}"),
            Self::IntegerOrNull(min, max) => format!("null or a whole number from {min} to {max}"),
            Self::Number(min, max) => format!("a number from {min} to {max}"),
            Self::NumberOrNull(min, max) => format!("null or a number from {min} to {max}"),
            Self::OneOf(names) => names.join(" or "),
            Self::Fields(fields) => {
                let names: Vec<_> = fields.iter().map(|field| field.name).collect();
                format!("an object with any of {}", names.join(", "))
            }
            Self::Range(min, max) => format!("two numbers from {min} to {max}, the lower one first"),
            Self::Variant(key, variants) => format!("an object with {key} = {}", names(variants)),
            Self::Each(count_max, key, variants) => {
                format!(
                    "a list of at most {count_max} objects with {key} = {}",
                    names(variants)
                )
            }
        }
    }
}

fn names(variants: Variants) -> String {
    let names: Vec<_> = variants.iter().map(|(name, _)| *name).collect();
    names.join(" or ")
}

fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=NAME_LEN_MAX).contains(&name.len()) && name.bytes().all(allowed)
}

/// The value as JSON, short enough for a message.
fn shorten(value: &Value) -> String {
    const CHARS_MAX: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::scenario::built_in;

    fn fault(field: &str, value: Value) -> Fault {
        let mut scenario = serde_json::to_value(built_in("20p20c").unwrap()).unwrap();
        let (parent, name) = field.rsplit_once('.').unwrap_or(("", field));
        let object = if parent.is_empty() {
            &mut scenario
        } else {
            &mut scenario[parent]
        };
        object[name] = value;
        check(&scenario).unwrap_err()
    }

    #[test]
    fn a_fault_names_field_value_and_what_is_allowed() {
        let cases = [
            ("producers", json!(0), "0", "a whole number from 1 to 1000"),
            (
                "producers",
                json!("many"),
                "\"many\"",
                "a whole number from 1 to 1000",
            ),
            ("consumers", json!(1.5), "1.5", "a whole number from 0 to 1000"),
            (
                "prefetch",
                json!(70_000),
                "70000",
                "a whole number from 0 to 65535",
            ),
            (
                "size_bytes",
                json!(15),
                "15",
                "a whole number from 16 to 16777216",
            ),
            ("duration_s", json!(-1), "-1", "a number from 0.1 to 36000"),
            ("routing", json!("topic"), "\"topic\"", "queue or fanout"),
            ("persistent", json!(1), "1", "true or false"),
            ("queue_type", json!("stream"), "\"stream\"", "classic or quorum"),
            (
                "confirm_window",
                json!(0),
                "0",
                "null or a whole number from 1 to 1000000",
            ),
            (
                "name",
                json!("../x"),
                "\"../x\"",
                "1 to 64 lower-case letters, digits and dashes",
            ),
            (
                "load.shape",
                json!("burst"),
                "\"burst\"",
                "saturating or open_loop or flood",
            ),
            (
                "load.in_flight",
                json!(0),
                "0",
                "a whole number from 1 to 10000000",
            ),
            (
                "faults",
                json!({}),
                "{}",
                "a list of at most 100 objects with kind = kill",
            ),
            (
                "messages",
                json!(0),
                "0",
                "null or a whole number from 1 to 4398046511104",
            ),
            ("validity.steal_max", json!(2), "2", "a number from 0 to 1"),
            (
                "targets.latency_p99_us_max",
                json!(0),
                "0",
                "null or a number from 1 to 60000000",
            ),
        ];
        for (field, value, found, allowed) in cases {
            assert_eq!(fault(field, value), Fault::new(field, found, allowed));
        }
    }

    #[test]
    fn a_fault_of_a_list_names_its_element() {
        let found = |faults: Value| {
            let fault = fault("faults", faults);
            (fault.field, fault.value, fault.allowed)
        };
        let triple = |field: &str, value: &str, allowed: &str| (field.into(), value.into(), allowed.into());
        let good = json!({"kind": "kill", "after_s": [1, 2.5]});
        assert_eq!(
            found(json!([good, {"kind": "pause"}])),
            triple("faults[1].kind", "\"pause\"", "kill")
        );
        for bad in [
            json!([3, 2]),
            json!([1]),
            json!(1),
            json!([-1, 2]),
            json!(["1", 2]),
        ] {
            assert_eq!(
                found(json!([{"kind": "kill", "after_s": bad}])),
                triple(
                    "faults[0].after_s",
                    &bad.to_string(),
                    "two numbers from 0 to 36000, the lower one first"
                )
            );
        }
        assert_eq!(
            found(json!([{"kind": "kill"}])).0,
            "faults[0].after_s".to_string()
        );
    }

    #[test]
    fn unknown_fields_are_refused_at_every_level() {
        assert!(
            fault("prodcers", json!(3))
                .allowed
                .starts_with("not a field; fields here are name, description")
        );
        assert!(
            fault("targets.p99", json!(3))
                .allowed
                .contains("latency_p99_us_max")
        );
        assert!(fault("load.rate", json!(3)).allowed.contains("in_flight"));
    }

    #[test]
    fn missing_fields_are_named() {
        let mut scenario = serde_json::to_value(built_in("20p20c").unwrap()).unwrap();
        scenario.as_object_mut().unwrap().remove("prefetch");
        let fault = check(&scenario).unwrap_err();
        assert_eq!(
            (fault.field.as_str(), fault.value.as_str()),
            ("prefetch", "missing")
        );
        assert_eq!(check(&json!([])).unwrap_err().allowed, "a JSON object");
    }
}
