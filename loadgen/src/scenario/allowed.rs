//! What a scenario's fields may hold, and the check of a JSON value against it.
//!
//! Checked on the JSON value, before it becomes typed, so that a message can name the field, the value found and what
//! is allowed, which serde's own messages do not.

use serde_json::{Map, Value};

use super::Fault;

/// The longest name of a scenario.
pub(super) const NAME_LEN_MAX: usize = 64;

/// What a field may hold.
#[derive(Clone, Copy)]
pub(super) enum Allowed {
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
    /// A list of at most so many texts.
    Texts(usize),
    /// Two numbers, the second not below the first.
    Range(f64, f64),
    Fields(&'static [Field]),
    /// An object one of whose fields, named first, decides the others.
    Variant(&'static str, Variants),
    /// A list of such objects, at most so many.
    Each(usize, &'static str, Variants),
    /// One of these words, or an object with exactly one of these fields.
    Choice(&'static [&'static str], &'static [(&'static str, Allowed)]),
    /// A list of one to so many elements.
    List(usize, &'static Allowed),
    /// A list with exactly these elements.
    Tuple(&'static [Allowed]),
    /// An object; the first of these whose first field it has tells which fields it has.
    Shapes(&'static [&'static [Field]]),
}

/// The values of the deciding field, each with the other fields.
pub(super) type Variants = &'static [(&'static str, &'static [Field])];

pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) allowed: Allowed,
    pub(super) required: bool,
}

pub(super) const fn required(name: &'static str, allowed: Allowed) -> Field {
    Field {
        name,
        allowed,
        required: true,
    }
}

pub(super) const fn optional(name: &'static str, allowed: Allowed) -> Field {
    Field {
        name,
        allowed,
        required: false,
    }
}

pub(super) fn check_object(object: &Map<String, Value>, prefix: &str, fields: &[Field]) -> Result<(), Fault> {
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
        Allowed::Choice(words, fields) => {
            if value.as_str().is_some_and(|word| words.contains(&word)) {
                return Ok(());
            }
            let only = value.as_object().filter(|object| object.len() == 1);
            let (name, value) = only.and_then(|object| object.iter().next()).ok_or_else(fault)?;
            let field = fields.iter().find(|(known, _)| name == known);
            let (_, allowed) = field.ok_or_else(fault)?;
            check_value(value, &format!("{prefix}{name}"), *allowed)
        }
        Allowed::List(count_max, element) => {
            let list = value.as_array().ok_or_else(fault)?;
            if !(1..=count_max).contains(&list.len()) {
                return Err(fault());
            }
            check_elements(list, path, |_| *element)
        }
        Allowed::Tuple(elements) => {
            let list = value.as_array().filter(|list| list.len() == elements.len());
            check_elements(list.ok_or_else(fault)?, path, |index| elements[index])
        }
        Allowed::Shapes(shapes) => {
            let object = value.as_object().ok_or_else(fault)?;
            let fits = |shape: &&&[Field]| object.contains_key(shape[0].name);
            let shape = shapes.iter().find(fits).ok_or_else(fault)?;
            check_object(object, &prefix, shape)
        }
        _ if allowed.accepts(value) => Ok(()),
        _ => Err(fault()),
    }
}

fn check_elements(list: &[Value], path: &str, allowed: impl Fn(usize) -> Allowed) -> Result<(), Fault> {
    let mut elements = list.iter().enumerate();
    elements
        .try_for_each(|(index, element)| check_value(element, &format!("{path}[{index}]"), allowed(index)))
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
            Self::Texts(count_max) => value
                .as_array()
                .is_some_and(|list| list.len() <= count_max && list.iter().all(|it| Self::Text.accepts(it))),
            Self::Range(min, max) => {
                let ends = value.as_array().map(|ends| ends.iter().map(Value::as_f64));
                let ends = ends.and_then(Iterator::collect::<Option<Vec<f64>>>);
                matches!(ends.as_deref(), Some(&[from, to]) if min <= from && from <= to && to <= max)
            }
            Self::Fields(_) | Self::Variant(..) | Self::Each(..) => unreachable!("checked field by field"),
            Self::Choice(..) | Self::List(..) | Self::Tuple(_) | Self::Shapes(_) => {
                unreachable!("checked element by element")
            }
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
            Self::Texts(count_max) => format!("a list of at most {count_max} texts of one line"),
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
            Self::Choice(words, fields) => {
                let fields = fields
                    .iter()
                    .map(|(name, allowed)| format!("{{\"{name}\": {}}}", allowed.describe()));
                let words = words.iter().map(|word| (*word).to_owned());
                words.chain(fields).collect::<Vec<_>>().join(" or ")
            }
            Self::List(count_max, element) => {
                format!("a list of 1 to {count_max}, each {}", element.describe())
            }
            Self::Tuple(elements) => {
                let elements: Vec<_> = elements.iter().map(|element| element.describe()).collect();
                format!("[{}]", elements.join(", "))
            }
            Self::Shapes(shapes) => {
                let shapes = shapes.iter().map(|fields| {
                    let names: Vec<_> = fields.iter().map(|field| field.name).collect();
                    names.join(", ")
                });
                let shapes: Vec<_> = shapes.collect();
                format!("an object with {}", shapes.join(" or with "))
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
pub(super) fn shorten(value: &Value) -> String {
    const CHARS_MAX: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
