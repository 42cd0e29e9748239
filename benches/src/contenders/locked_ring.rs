//! The broker's publish path: a [`Ring`] behind a short mutex, taken once a batch on either side.

use std::sync::Arc;

use parking_lot::Mutex;
use ring::{ChunkPool, Offset, PoolConfig, Ring, RingConfig};

use crate::contest::{Arrivals, CAPACITY, Publish, Records, Take};

/// A ring in its mutex.
pub fn open() -> (impl Publish + Clone + Send, impl Take) {
    let pool = ChunkPool::new(PoolConfig {
        bytes_budget: 1 << 30,
        chunk_bytes: PoolConfig::CHUNK_BYTES,
    });
    let config = RingConfig {
        messages_max: CAPACITY,
        ..RingConfig::default()
    };
    let ring = Arc::new(Mutex::new(Ring::new(config, pool, Offset::ZERO)));
    (
        Sender(Arc::clone(&ring)),
        Receiver {
            ring,
            next: Offset::ZERO,
        },
    )
}

#[derive(Clone)]
struct Sender(Arc<Mutex<Ring>>);

impl Publish for Sender {
    fn try_publish(&mut self, records: Records<'_>) -> usize {
        let mut ring = self.0.lock();
        records
            .iter()
            .take_while(|record| ring.try_append(&[record]).is_ok())
            .count()
    }
}

struct Receiver {
    ring: Arc<Mutex<Ring>>,
    next: Offset,
}

impl Take for Receiver {
    fn take(&mut self, max: usize, sink: &mut Arrivals) -> usize {
        let first = self.next;
        let ring = self.ring.lock();
        for (offset, record) in ring.records_from(first).take(max) {
            sink.arrived_bytes(record);
            self.next = offset.next();
        }
        drop(ring);
        let count = self.next.distance_from(first);
        if count > 0 {
            // Under a second lock: in the broker the acknowledgement comes later.
            assert_eq!(self.ring.lock().release_range(first, count), count);
        }
        count as usize
    }
}
