//! The plainest path: a locked deque with an allocation a record.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;

use crate::contest::{Arrivals, CAPACITY, Publish, Records, Take};

type Deque = Arc<Mutex<VecDeque<Vec<u8>>>>;

/// A deque in a mutex.
pub fn open() -> (impl Publish + Clone + Send, impl Take) {
    let deque: Deque = Arc::new(Mutex::new(VecDeque::with_capacity(CAPACITY)));
    (Sender(Arc::clone(&deque)), Receiver(deque))
}

#[derive(Clone)]
struct Sender(Deque);

impl Publish for Sender {
    fn try_publish(&mut self, records: Records<'_>) -> usize {
        let mut deque = self.0.lock();
        let room = CAPACITY - deque.len();
        deque.extend(records.iter().take(room).map(<[u8]>::to_vec));
        room.min(records.count())
    }
}

struct Receiver(Deque);

impl Take for Receiver {
    fn take(&mut self, max: usize, sink: &mut Arrivals) -> usize {
        let mut deque = self.0.lock();
        let count = max.min(deque.len());
        deque
            .drain(..count)
            .for_each(|record| sink.arrived_bytes(&record));
        count
    }
}
