//! Routes remembered by publish method, so that a publisher's usual message needs no look-up.
//!
//! Keys are method payloads, and a client decides what they are. So what a connection remembers is bounded in bytes, over all its
//! channels; a channel that finds no room keeps its last route only.

use std::cell::Cell;
use std::rc::Rc;

use rustc_hash::FxHashMap;

use super::channel::Route;

/// Routes remembered per channel; a publisher with more distinct routing keys starts over.
const ROUTES_MAX: usize = 1024;
/// Bytes that all channels of a connection remember together.
const BYTES_MAX: usize = 1 << 20;
/// A publish method takes no more: ids, a reserved number, two short strings and flags. What follows is ignored, and so not worth
/// keeping.
pub(super) const METHOD_BYTES_MAX: usize = 4 + 2 + 256 + 256 + 1;

/// What the channels of a connection remember, in bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct RouteBudget(Rc<Cell<usize>>);

/// Publish method payloads and their routes; valid for one generation of the topology.
#[derive(Debug)]
pub(super) struct RouteCache {
    generation: u64,
    last_method: Vec<u8>,
    last: Option<Rc<Route>>,
    all: FxHashMap<Vec<u8>, Rc<Route>>,
    /// Of `all`, counted in `budget`.
    bytes: usize,
    budget: RouteBudget,
}

impl RouteCache {
    pub(super) fn new(budget: &RouteBudget) -> RouteCache {
        RouteCache {
            generation: 0,
            last_method: Vec::new(),
            last: None,
            all: FxHashMap::default(),
            bytes: 0,
            budget: budget.clone(),
        }
    }

    /// The remembered route of a method payload, if the topology is still at `generation`.
    #[inline]
    pub(super) fn get(&mut self, method: &[u8], generation: u64) -> Option<Rc<Route>> {
        if self.generation != generation {
            self.forget();
            return None;
        }
        if let Some(route) = &self.last
            && self.last_method == method
        {
            return Some(Rc::clone(route));
        }
        let route = Rc::clone(self.all.get(method)?);
        self.remember_last(method, &route);
        Some(route)
    }

    /// Remembers a route looked up at `generation`.
    pub(super) fn insert(&mut self, method: &[u8], generation: u64, route: &Rc<Route>) {
        self.generation = generation;
        if method.len() > METHOD_BYTES_MAX {
            return;
        }
        let bytes = method.len() + route.bytes();
        if self.all.len() >= ROUTES_MAX || self.budget.0.get() + bytes > BYTES_MAX {
            self.forget();
        }
        if self.budget.0.get() + bytes <= BYTES_MAX {
            self.budget.0.update(|sum| sum + bytes);
            self.bytes += bytes;
            self.all.insert(method.to_vec(), Rc::clone(route));
        }
        self.remember_last(method, route);
    }

    fn forget(&mut self) {
        self.all.clear();
        self.last = None;
        self.budget.0.update(|sum| sum - self.bytes);
        self.bytes = 0;
    }

    fn remember_last(&mut self, method: &[u8], route: &Rc<Route>) {
        self.last_method.clear();
        self.last_method.extend_from_slice(method);
        self.last = Some(Rc::clone(route));
    }
}

impl Drop for RouteCache {
    fn drop(&mut self) {
        self.forget();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(key: &str) -> Rc<Route> {
        Rc::new(Route {
            exchange: String::new(),
            routing_key: key.to_owned(),
            names: Vec::new(),
            mandatory: false,
            replied: false,
            queues: smallvec::SmallVec::new(),
            by_headers: false,
        })
    }

    #[test]
    fn channels_share_what_may_be_remembered_and_give_it_back() {
        let budget = RouteBudget::default();
        let mut caches: Vec<RouteCache> = (0..64).map(|_| RouteCache::new(&budget)).collect();
        let method = |number: usize| {
            let mut method = vec![b'k'; METHOD_BYTES_MAX];
            method[..8].copy_from_slice(&number.to_be_bytes());
            method
        };
        for cache in &mut caches {
            for number in 0..ROUTES_MAX {
                let key = number.to_string();
                cache.insert(&method(number), 7, &route(&key));
                let found = cache.get(&method(number), 7).unwrap();
                assert_eq!(found.routing_key, key, "the last one is always there");
            }
            assert!(budget.0.get() <= BYTES_MAX);
        }
        assert_eq!(
            budget.0.get(),
            caches.iter().map(|cache| cache.bytes).sum::<usize>()
        );
        assert!(
            caches[0].get(&method(ROUTES_MAX - 1), 8).is_none(),
            "of another generation"
        );
        caches.clear();
        assert_eq!(budget.0.get(), 0);
    }

    #[test]
    fn what_is_longer_than_a_publish_is_not_remembered() {
        let mut cache = RouteCache::new(&RouteBudget::default());
        let method = vec![0; METHOD_BYTES_MAX + 1];
        cache.insert(&method, 1, &route("k"));
        assert!(cache.get(&method, 1).is_none() && cache.last_method.is_empty());
    }
}
