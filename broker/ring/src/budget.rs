//! A byte count with a ceiling, charged by any thread.
//!
//! Only the count is shared: memory itself changes hands through the pool's mutex or stays with its owner. So
//! every access is `Relaxed`; the atomic's own modification order is all that the ceiling needs.

use crate::sync::{AtomicUsize, Ordering};

/// Invariant: `used <= limit` at every instant.
#[derive(Debug)]
pub(crate) struct Budget {
    used: AtomicUsize,
    limit: usize,
}

impl Budget {
    pub(crate) fn new(limit: usize) -> Budget {
        Budget {
            used: AtomicUsize::new(0),
            limit,
        }
    }

    /// Adds `bytes` unless that would pass the limit.
    pub(crate) fn try_charge(&self, bytes: usize) -> bool {
        let mut used = self.used.load(Ordering::Relaxed);
        loop {
            if bytes > self.limit - used {
                return false;
            }
            match self
                .used
                .compare_exchange_weak(used, used + bytes, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return true,
                Err(current) => used = current,
            }
        }
    }

    /// Takes back what an earlier charge added.
    pub(crate) fn release(&self, bytes: usize) {
        let before = self.used.fetch_sub(bytes, Ordering::Relaxed);
        assert!(before >= bytes, "released {bytes} bytes of {before} charged");
    }

    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use loom::thread;

    use super::*;
    use crate::sync::Arc;

    #[test]
    fn charges_never_pass_the_limit() {
        loom::model(|| {
            let budget = Arc::new(Budget::new(3));
            let charge = |bytes| {
                let budget = Arc::clone(&budget);
                thread::spawn(move || {
                    let charged = budget.try_charge(bytes);
                    assert!(budget.used() <= 3);
                    if charged {
                        budget.release(bytes);
                    }
                    charged
                })
            };
            let threads = [charge(2), charge(2)];
            let charged = threads.map(|thread| thread.join().unwrap());
            assert!(charged.contains(&true), "one charge of 2 always fits in 3");
            assert_eq!(budget.used(), 0);
        });
    }
}
