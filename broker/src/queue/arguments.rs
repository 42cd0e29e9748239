//! Reading single `x-…` arguments of a queue, and what is said of those that cannot be used: RabbitMQ's texts, which
//! client libraries match on.

use wire::{FieldTable, FieldValue};

use super::options::QueueKind;
use crate::terms::type_name;

/// Arguments or flags that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArgumentError {
    /// The value of an argument.
    Value {
        /// Its name.
        argument: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The type of an argument's value.
    Type {
        /// Its name.
        argument: &'static str,
        /// The type that was given.
        given: &'static str,
    },
    /// An argument that queues of this type do not have.
    Kind {
        /// Its name.
        argument: &'static str,
        /// The type of queue.
        kind: QueueKind,
    },
    /// A flag that quorum queues cannot have.
    Property(&'static str),
}

impl ArgumentError {
    pub(super) fn new(argument: &'static str, problem: impl Into<String>) -> ArgumentError {
        let problem = problem.into();
        ArgumentError::Value { argument, problem }
    }

    /// The text of the reply.
    pub fn reply_text(&self, queue: &str, vhost: &str) -> String {
        let place = format!("queue '{queue}' in vhost '{vhost}'");
        match self {
            ArgumentError::Value { argument, problem } => {
                format!("invalid arg '{argument}' for {place}: {problem}")
            }
            ArgumentError::Type { argument, given } => {
                format!("invalid type '{given}' for arg '{argument}' in {place}")
            }
            ArgumentError::Kind { argument, kind } => {
                let kind = kind.module();
                format!("invalid arg '{argument}' for {place} of queue type {kind}")
            }
            ArgumentError::Property(property) => format!("invalid property '{property}' for {place}"),
        }
    }
}

impl std::fmt::Display for ArgumentError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ArgumentError::Value { argument, problem } => write!(f, "argument '{argument}': {problem}"),
            ArgumentError::Type { argument, given } => write!(f, "argument '{argument}': a {given}"),
            ArgumentError::Kind { argument, kind } => {
                write!(f, "argument '{argument}': not for {}", kind.module())
            }
            ArgumentError::Property(property) => write!(f, "a quorum queue cannot be {property}"),
        }
    }
}

/// A string.
pub(super) fn text<'a>(
    arguments: &'a FieldTable,
    name: &'static str,
) -> Result<Option<&'a str>, ArgumentError> {
    let Some(value) = arguments.get(name) else {
        return Ok(None);
    };
    value.as_str().map(Some).ok_or_else(|| unacceptable(name, value))
}

/// A string out of a few; `what` is said of any other.
pub(super) fn check_choice(
    arguments: &FieldTable,
    name: &'static str,
    allowed: &[&str],
    what: &str,
) -> Result<(), ArgumentError> {
    match text(arguments, name)? {
        Some(value) if !allowed.contains(&value) => {
            Err(ArgumentError::new(name, format!("\"{what} '{value}'\"")))
        }
        _ => Ok(()),
    }
}

/// A string, of which the reply says only that its type is wrong when it is none.
pub(super) fn typed_text(
    arguments: &FieldTable,
    argument: &'static str,
) -> Result<Option<String>, ArgumentError> {
    let Some(value) = arguments.get(argument) else {
        return Ok(None);
    };
    let given = type_name(value);
    let text = value.as_str().ok_or(ArgumentError::Type { argument, given })?;
    Ok(Some(text.to_owned()))
}

/// A boolean; false when it is not there.
pub(super) fn flag(arguments: &FieldTable, name: &'static str) -> Result<bool, ArgumentError> {
    match arguments.get(name) {
        None => Ok(false),
        Some(FieldValue::Bool(value)) => Ok(*value),
        Some(value) => Err(unacceptable(name, value)),
    }
}

/// An integer of any sign.
pub(super) fn integer(arguments: &FieldTable, name: &'static str) -> Result<Option<i64>, ArgumentError> {
    let Some(value) = arguments.get(name) else {
        return Ok(None);
    };
    let not_integer = || ArgumentError::new(name, format!("\"expected integer, got {}\"", type_name(value)));
    value.as_i64().map(Some).ok_or_else(not_integer)
}

/// An integer from `min` (0 or 1) to `max`.
pub(super) fn number(
    arguments: &FieldTable,
    name: &'static str,
    min: u64,
    max: u64,
) -> Result<Option<u64>, ArgumentError> {
    let Some(number) = integer(arguments, name)? else {
        return Ok(None);
    };
    let problem = match number {
        ..0 => format!("{{value_negative,{number}}}"),
        0 if min > 0 => format!("{{value_zero,{number}}}"),
        1.. if number as u64 > max => format!("{{value_too_large,{number}}}"),
        _ => return Ok(Some(number as u64)),
    };
    Err(ArgumentError::new(name, problem))
}

fn unacceptable(name: &'static str, value: &FieldValue) -> ArgumentError {
    ArgumentError::new(name, format!("{{unacceptable_type,{}}}", type_name(value)))
}
