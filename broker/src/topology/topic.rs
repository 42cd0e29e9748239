//! The bindings of a topic exchange: a trie over the words of their patterns.
//!
//! ```text
//! patterns a.*.c, a.#          root ─ a ┬ * ─ c  [a.*.c]
//!                                       └ #      [a.#]
//! ```
//! A routing key is matched like a nondeterministic automaton: one pass over its words with the set of nodes that
//! the words so far can have reached. A `#` node, once reached, stays in the set, and is entered once only; every other
//! node has one parent and is reached from it alone. So the work is bounded by words × nodes whatever the
//! patterns are, where plain backtracking would be exponential in the number of `#`.

use rustc_hash::{FxHashMap, FxHashSet};
use slab::Slab;
use smallvec::SmallVec;

use super::binding::{BindingId, Destination, Target};
use super::binding_list::BindingList;

type NodeId = usize;

const ANY_WORD: &str = "*";
const ANY_WORDS: &str = "#";

#[derive(Debug, Default)]
struct Node {
    words: FxHashMap<Box<str>, NodeId>,
    any_word: Option<NodeId>,
    any_words: Option<NodeId>,
    /// Bindings whose pattern ends here.
    targets: BindingList<Target>,
}

impl Node {
    fn is_empty(&self) -> bool {
        self.targets.is_empty()
            && self.words.is_empty()
            && self.any_word.is_none()
            && self.any_words.is_none()
    }

    fn child(&self, word: &str) -> Option<NodeId> {
        match word {
            ANY_WORD => self.any_word,
            ANY_WORDS => self.any_words,
            word => self.words.get(word).copied(),
        }
    }

    fn set_child(&mut self, word: &str, child: NodeId) {
        match word {
            ANY_WORD => self.any_word = Some(child),
            ANY_WORDS => self.any_words = Some(child),
            word => drop(self.words.insert(word.into(), child)),
        }
    }

    fn drop_child(&mut self, word: &str) {
        match word {
            ANY_WORD => self.any_word = None,
            ANY_WORDS => self.any_words = None,
            word => drop(self.words.remove(word)),
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct TopicTrie {
    nodes: Slab<Node>,
    root: NodeId,
}

impl Default for TopicTrie {
    fn default() -> TopicTrie {
        let mut nodes = Slab::new();
        let root = nodes.insert(Node::default());
        TopicTrie { nodes, root }
    }
}

impl TopicTrie {
    pub(super) fn insert(&mut self, pattern: &str, target: Target) {
        let mut node = self.root;
        for word in words(pattern) {
            node = match self.nodes[node].child(word) {
                Some(child) => child,
                None => {
                    let child = self.nodes.insert(Node::default());
                    self.nodes[node].set_child(word, child);
                    child
                }
            };
        }
        self.nodes[node].targets.push(target);
    }

    /// Removes a binding, and the nodes that led to nothing else.
    pub(super) fn remove(&mut self, pattern: &str, binding: BindingId) {
        let mut path: Vec<(NodeId, &str)> = Vec::new();
        let mut node = self.root;
        for word in words(pattern) {
            let Some(child) = self.nodes[node].child(word) else {
                return;
            };
            path.push((node, word));
            node = child;
        }
        self.nodes[node].targets.remove(binding);
        while let Some((parent, word)) = path.pop() {
            if !self.nodes[node].is_empty() {
                return;
            }
            self.nodes.remove(node);
            self.nodes[parent].drop_child(word);
            node = parent;
        }
    }

    /// Calls `found` for every binding whose pattern matches.
    pub(super) fn visit(&self, key: &str, mut found: impl FnMut(Destination)) {
        let mut reached = Reached::default();
        let mut next: SmallVec<[NodeId; 16]> = SmallVec::new();
        self.enter(self.root, &mut reached);
        for word in words(key) {
            for &node in reached.nodes.iter().chain(&reached.open) {
                let node = &self.nodes[node];
                next.extend(node.words.get(word).copied());
                next.extend(node.any_word);
            }
            reached.nodes.clear();
            for node in next.drain(..) {
                self.enter(node, &mut reached);
            }
            if reached.nodes.is_empty() && reached.open.is_empty() {
                return;
            }
        }
        for &node in reached.nodes.iter().chain(&reached.open) {
            for target in self.nodes[node].targets.iter() {
                found(target.destination);
            }
        }
    }

    /// Adds a node to the set, and the `#` nodes below it, which match no words too.
    fn enter(&self, node: NodeId, reached: &mut Reached) {
        reached.nodes.push(node);
        let mut below = self.nodes[node].any_words;
        while let Some(node) = below {
            if !reached.opened.insert(node) {
                break;
            }
            reached.open.push(node);
            below = self.nodes[node].any_words;
        }
    }
}

/// The nodes that the words so far can have led to.
#[derive(Default)]
struct Reached {
    nodes: SmallVec<[NodeId; 16]>,
    /// `#` nodes: they match all further words.
    open: SmallVec<[NodeId; 8]>,
    opened: FxHashSet<NodeId>,
}

/// The words between the dots. The empty key has none, as in RabbitMQ; `"."` has two empty ones.
fn words(key: &str) -> impl Iterator<Item = &str> {
    key.split('.').filter(move |_| !key.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::binding::QueueId;
    use super::*;

    fn target(number: u32) -> Target {
        Target {
            binding: BindingId(number),
            destination: Destination::Queue(QueueId(number)),
        }
    }

    fn matches(trie: &TopicTrie, key: &str) -> Vec<u32> {
        let mut found = Vec::new();
        trie.visit(key, |destination| match destination {
            Destination::Queue(QueueId(number)) => found.push(number),
            Destination::Exchange(_) => panic!("no exchange was bound"),
        });
        found.sort_unstable();
        found
    }

    /// By the book: recursion over words.
    fn naive(pattern: &[&str], key: &[&str]) -> bool {
        match pattern.split_first() {
            None => key.is_empty(),
            Some((&ANY_WORDS, rest)) => (0..=key.len()).any(|skipped| naive(rest, &key[skipped..])),
            Some((&word, rest)) => key
                .split_first()
                .is_some_and(|(first, key)| (word == ANY_WORD || word == *first) && naive(rest, key)),
        }
    }

    fn split(key: &str) -> Vec<&str> {
        words(key).collect()
    }

    #[test]
    fn the_examples_of_the_specification() {
        let mut trie = TopicTrie::default();
        let patterns = ["*.stock.#", "usd.*", "#", "", "a..b", "#.#", "*"];
        for (number, pattern) in patterns.iter().enumerate() {
            trie.insert(pattern, target(number as u32));
        }
        assert_eq!(matches(&trie, "usd.stock"), [0, 1, 2, 5]);
        assert_eq!(matches(&trie, "eur.stock.db"), [0, 2, 5]);
        assert_eq!(matches(&trie, "stock.nasdaq"), [2, 5]);
        assert_eq!(matches(&trie, ""), [2, 3, 5]);
        assert_eq!(matches(&trie, "a..b"), [2, 4, 5]);
        assert_eq!(matches(&trie, "usd"), [2, 5, 6]);
    }

    #[test]
    fn many_wildcards_take_bounded_time() {
        let mut trie = TopicTrie::default();
        let pattern = format!("{}b", "#.a.".repeat(60));
        trie.insert(&pattern, target(0));
        let key = vec!["a"; 128].join(".");
        assert_eq!(matches(&trie, &key), [] as [u32; 0]);
        assert_eq!(matches(&trie, &format!("{key}.b")), [0]);
    }

    fn key(words: &'static [&'static str]) -> impl Strategy<Value = String> {
        prop::collection::vec(prop::sample::select(words), 0..7).prop_map(|words| words.join("."))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

        #[test]
        fn agrees_with_plain_recursion_while_bindings_come_and_go(
            patterns in prop::collection::vec((key(&["a", "b", "", "*", "#"]), any::<bool>()), 1..24),
            keys in prop::collection::vec(key(&["a", "b", "", "c"]), 1..8),
        ) {
            let mut trie = TopicTrie::default();
            for (number, (pattern, _)) in patterns.iter().enumerate() {
                trie.insert(pattern, target(number as u32));
            }
            for removing in [false, true] {
                if removing {
                    for (number, (pattern, _)) in patterns.iter().enumerate().filter(|(_, (_, stays))| !stays) {
                        trie.remove(pattern, BindingId(number as u32));
                    }
                }
                for key in &keys {
                    let expected: Vec<u32> = patterns
                        .iter()
                        .enumerate()
                        .filter(|(_, (pattern, stays))| (*stays || !removing) && naive(&split(pattern), &split(key)))
                        .map(|(number, _)| number as u32)
                        .collect();
                    prop_assert_eq!(matches(&trie, key), expected, "key {:?}", key);
                }
            }
            for (number, (pattern, _)) in patterns.iter().enumerate().filter(|(_, (_, stays))| *stays) {
                trie.remove(pattern, BindingId(number as u32));
            }
            prop_assert_eq!(trie.nodes.len(), 1, "only the root is left");
        }
    }
}
