//! Finds the bindings of one exchange that match a message.

use rustc_hash::FxHashMap;
use wire::{BasicProperties, FieldTable, TableRef};

use super::binding::{BindingId, Destination, Target};
use super::binding_list::BindingList;
use super::consistent_hash::HashBindings;
use super::error::TopologyError;
use super::exchange::ExchangeKind;
use super::headers::HeaderBindings;
use super::topic::TopicTrie;

/// The bindings of an exchange, arranged for its type. Every binding is in it once.
#[derive(Debug)]
pub(super) enum Matcher {
    Direct(FxHashMap<Box<str>, BindingList<Target>>),
    Fanout(BindingList<Target>),
    Topic(TopicTrie),
    Headers(HeaderBindings),
    ConsistentHash(HashBindings),
}

impl Matcher {
    /// For an exchange of this type that was declared with these arguments. A type that routes by another one, which its
    /// arguments name, asks for the matcher of that one.
    ///
    /// # Errors
    /// 406 when the arguments make no sense for the type.
    /// `kind`: see [`ExchangeSpec::matched_kind`](super::exchange::ExchangeSpec::matched_kind).
    pub(super) fn new(kind: ExchangeKind, arguments: &FieldTable) -> Result<Matcher, TopologyError> {
        Ok(match kind {
            ExchangeKind::Direct => Matcher::Direct(FxHashMap::default()),
            ExchangeKind::Fanout => Matcher::Fanout(BindingList::default()),
            ExchangeKind::Topic => Matcher::Topic(TopicTrie::default()),
            ExchangeKind::Headers => Matcher::Headers(HeaderBindings::default()),
            ExchangeKind::ConsistentHash => Matcher::ConsistentHash(HashBindings::new(arguments)?),
            ExchangeKind::Delayed => unreachable!("stands for another kind"),
        })
    }

    /// True when more than the routing key may decide where a message goes.
    pub(super) fn reads_properties(&self) -> bool {
        match self {
            Matcher::Direct(_) | Matcher::Fanout(_) | Matcher::Topic(_) => false,
            Matcher::Headers(_) => true,
            Matcher::ConsistentHash(bindings) => bindings.reads_properties(),
        }
    }

    /// Checks the key and the arguments of a binding before anything changes.
    pub(super) fn check(&self, key: &str, arguments: &FieldTable) -> Result<(), TopologyError> {
        match self {
            Matcher::Headers(_) => HeaderBindings::check(arguments),
            Matcher::ConsistentHash(_) => HashBindings::check(key),
            _ => Ok(()),
        }
    }

    /// Adds a binding that was checked; `destination` is the name of what it leads to.
    pub(super) fn insert(&mut self, key: &str, arguments: &FieldTable, target: Target, destination: &str) {
        match self {
            Matcher::Direct(keys) => keys.entry(key.into()).or_default().push(target),
            Matcher::Fanout(targets) => targets.push(target),
            Matcher::Topic(trie) => trie.insert(key, target),
            Matcher::Headers(bindings) => bindings.insert(arguments, target),
            Matcher::ConsistentHash(bindings) => bindings.insert(key, target, destination),
        }
    }

    pub(super) fn remove(&mut self, key: &str, binding: BindingId) {
        match self {
            Matcher::Direct(keys) => {
                let Some(targets) = keys.get_mut(key) else { return };
                targets.remove(binding);
                if targets.is_empty() {
                    keys.remove(key);
                }
            }
            Matcher::Fanout(targets) => targets.remove(binding),
            Matcher::Topic(trie) => trie.remove(key, binding),
            Matcher::Headers(bindings) => bindings.remove(binding),
            Matcher::ConsistentHash(bindings) => bindings.remove(key, binding),
        }
    }

    /// Calls `found` for the destination of every binding that matches; a destination may come repeatedly.
    pub(super) fn visit(
        &self,
        key: &str,
        properties: &BasicProperties<'_>,
        mut found: impl FnMut(Destination),
    ) {
        let targets = match self {
            Matcher::Direct(keys) => keys.get(key),
            Matcher::Fanout(targets) => Some(targets),
            Matcher::Topic(trie) => return trie.visit(key, found),
            Matcher::Headers(bindings) => {
                return bindings.visit(properties.headers.unwrap_or(TableRef::EMPTY), found);
            }
            Matcher::ConsistentHash(bindings) => return bindings.visit(key, properties, found),
        };
        for target in targets.into_iter().flat_map(BindingList::iter) {
            found(target.destination);
        }
    }
}
