//! Mapped sealed segments, of which a bounded number is kept for later reads.
//!
//! Whoever reads holds an `Arc`; leaving the cache only gives up the cache's own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::counters::Counters;
use crate::footer::Footer;
use crate::storage::Mapping;

/// A sealed segment's bytes and where its footer's parts lie in them.
#[derive(Debug)]
pub(crate) struct Mapped {
    bytes: Arc<dyn Mapping>,
    pub(crate) footer: Footer,
    counters: Arc<Counters>,
    /// When it was last read, by the cache's clock; relaxed, as it only chooses what leaves.
    used: AtomicU64,
}

impl Mapped {
    pub(crate) fn new(bytes: Arc<dyn Mapping>, footer: Footer, counters: &Arc<Counters>) -> Arc<Mapped> {
        counters.mappings.add(1);
        Arc::new(Mapped {
            bytes,
            footer,
            counters: Arc::clone(counters),
            used: AtomicU64::new(0),
        })
    }

    /// The whole file.
    pub(crate) fn file(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        self.counters.mappings.subtract(1);
    }
}

/// The least recently read leaves first.
#[derive(Debug)]
pub(crate) struct MappingCache {
    mappings_max: usize,
    clock: AtomicU64,
    cached: Mutex<Vec<Arc<Mapped>>>,
}

impl MappingCache {
    pub(crate) fn new(mappings_max: usize) -> MappingCache {
        MappingCache {
            mappings_max: mappings_max.max(1),
            clock: AtomicU64::new(0),
            cached: Mutex::default(),
        }
    }

    pub(crate) fn touch(&self, mapped: &Mapped) {
        mapped
            .used
            .store(self.clock.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
    }

    pub(crate) fn insert(&self, mapped: &Arc<Mapped>) {
        self.touch(mapped);
        let mut cached = self.cached.lock();
        cached.push(Arc::clone(mapped));
        let surplus = if cached.len() > self.mappings_max {
            let oldest = (0..cached.len()).min_by_key(|at| cached[*at].used.load(Ordering::Relaxed));
            oldest.map(|at| cached.swap_remove(at))
        } else {
            None
        };
        // Unmapping takes its time; not under the lock.
        drop(cached);
        drop(surplus);
    }

    pub(crate) fn remove(&self, mapped: &Arc<Mapped>) {
        self.cached.lock().retain(|other| !Arc::ptr_eq(other, mapped));
    }
}
