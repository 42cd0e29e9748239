//! A binding and its identity.

use wire::{FieldTable, FieldValue};

/// Place of a binding in the topology's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct BindingId(pub(super) u32);

/// Place of an exchange in the topology's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ExchangeId(pub(super) u32);

/// Place of a queue in the topology's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct QueueId(pub(super) u32);

/// Where a binding leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Destination {
    Queue(QueueId),
    Exchange(ExchangeId),
}

/// What a matcher finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) binding: BindingId,
    pub(super) destination: Destination,
}

/// What makes two bindings the same one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Binding {
    pub(super) source: ExchangeId,
    pub(super) destination: Destination,
    pub(super) key: Box<str>,
    /// The arguments, encoded, in the order of their names.
    arguments: Box<[u8]>,
}

impl Binding {
    pub(super) fn encoded_arguments(&self) -> &[u8] {
        &self.arguments
    }

    pub(super) fn new(
        source: ExchangeId,
        destination: Destination,
        key: &str,
        arguments: &FieldTable,
    ) -> Binding {
        Binding {
            source,
            destination,
            key: key.into(),
            arguments: sorted(arguments).to_bytes().into(),
        }
    }
}

/// The order of arguments has no meaning.
fn sorted(arguments: &FieldTable) -> FieldTable {
    let mut entries: Vec<(&str, &FieldValue)> = arguments.iter().collect();
    entries.sort_by_key(|&(name, _)| name);
    entries
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.clone()))
        .collect()
}
