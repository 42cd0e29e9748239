//! Finds the bindings of one exchange that match a message.

use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use wire::{FieldTable, TableRef};

use super::binding::{BindingId, Destination, Target};
use super::error::TopologyError;
use super::exchange::ExchangeKind;
use super::headers::HeaderBindings;
use super::topic::TopicTrie;

/// The bindings of an exchange, arranged for its type. Every binding is in it once.
#[derive(Debug)]
pub(super) enum Matcher {
    Direct(FxHashMap<Box<str>, SmallVec<[Target; 1]>>),
    Fanout(Vec<Target>),
    Topic(TopicTrie),
    Headers(HeaderBindings),
}

impl Matcher {
    pub(super) fn new(kind: ExchangeKind) -> Matcher {
        match kind {
            ExchangeKind::Direct => Matcher::Direct(FxHashMap::default()),
            ExchangeKind::Fanout => Matcher::Fanout(Vec::new()),
            ExchangeKind::Topic => Matcher::Topic(TopicTrie::default()),
            ExchangeKind::Headers => Matcher::Headers(HeaderBindings::default()),
        }
    }

    /// Checks the arguments of a binding before anything changes.
    pub(super) fn check(&self, arguments: &FieldTable) -> Result<(), TopologyError> {
        match self {
            Matcher::Headers(_) => HeaderBindings::check(arguments),
            _ => Ok(()),
        }
    }

    /// Adds a binding whose arguments were checked.
    pub(super) fn insert(&mut self, key: &str, arguments: &FieldTable, target: Target) {
        match self {
            Matcher::Direct(keys) => keys.entry(key.into()).or_default().push(target),
            Matcher::Fanout(targets) => targets.push(target),
            Matcher::Topic(trie) => trie.insert(key, target),
            Matcher::Headers(bindings) => bindings.insert(arguments, target),
        }
    }

    pub(super) fn remove(&mut self, key: &str, binding: BindingId) {
        let is_it = |target: &Target| target.binding == binding;
        match self {
            Matcher::Direct(keys) => {
                let Some(targets) = keys.get_mut(key) else { return };
                if let Some(index) = targets.iter().position(is_it) {
                    targets.swap_remove(index);
                }
                if targets.is_empty() {
                    keys.remove(key);
                }
            }
            Matcher::Fanout(targets) => {
                if let Some(index) = targets.iter().position(is_it) {
                    targets.swap_remove(index);
                }
            }
            Matcher::Topic(trie) => trie.remove(key, binding),
            Matcher::Headers(bindings) => bindings.remove(binding),
        }
    }

    /// Calls `found` for the destination of every binding that matches; a destination may come repeatedly.
    pub(super) fn visit(&self, key: &str, headers: TableRef<'_>, mut found: impl FnMut(Destination)) {
        let targets = match self {
            Matcher::Direct(keys) => keys.get(key).map_or(&[][..], |targets| targets),
            Matcher::Fanout(targets) => targets,
            Matcher::Topic(trie) => return trie.visit(key, found),
            Matcher::Headers(bindings) => return bindings.visit(headers, found),
        };
        for target in targets {
            found(target.destination);
        }
    }
}
