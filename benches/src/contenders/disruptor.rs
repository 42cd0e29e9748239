//! The `disruptor` crate: preallocated slots of the record's exact size, so it neither allocates nor indexes.
//!
//! Always its multi-producer form, as a queue has many publishers.

use ::disruptor::{
    BusySpin, EventPoller, MultiProducer, MultiProducerBarrier, Producer, SingleConsumerBarrier,
    build_multi_producer,
};

use crate::contest::{Arrivals, CAPACITY, Publish, Records, Take};

/// A disruptor for records of exactly `N` bytes.
pub fn open<const N: usize>() -> (impl Publish + Clone + Send, impl Take) {
    let (poller, builder) = build_multi_producer(CAPACITY, || [0; N], BusySpin).new_event_poller();
    (Sender(builder.build()), Receiver(poller))
}

struct Sender<const N: usize>(MultiProducer<[u8; N], SingleConsumerBarrier>);

impl<const N: usize> Clone for Sender<N> {
    fn clone(&self) -> Self {
        Sender(self.0.clone())
    }
}

impl<const N: usize> Publish for Sender<N> {
    fn try_publish(&mut self, records: Records<'_>) -> usize {
        let count = records.count();
        let published = match count {
            1 => self
                .0
                .try_publish(|slot| slot.copy_from_slice(records.bytes()))
                .is_ok(),
            _ => {
                let fill = |slot: &mut [u8; N], record: &[u8]| slot.copy_from_slice(record);
                let write = |slots| {
                    Iterator::zip(slots, records.iter()).for_each(|(slot, record)| fill(slot, record))
                };
                self.0.try_batch_publish(count, write).is_ok()
            }
        };
        if published { count } else { 0 }
    }
}

struct Receiver<const N: usize>(EventPoller<[u8; N], MultiProducerBarrier>);

impl<const N: usize> Take for Receiver<N> {
    fn take(&mut self, max: usize, sink: &mut Arrivals) -> usize {
        let Ok(mut events) = self.0.take(max as u64) else {
            return 0;
        };
        (&mut events).map(|record| sink.arrived_bytes(record)).count()
    }
}
