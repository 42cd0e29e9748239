//! The ecosystem's bounded queues. A record travels as its own `Vec`, since its size varies in real use.

use std::{iter, sync::Arc};

use crossbeam_queue::ArrayQueue;
use tokio::sync::mpsc;

use crate::contest::{Arrivals, CAPACITY, Publish, Records, Take};

/// `crossbeam_queue::ArrayQueue`.
pub fn open_array_queue() -> (impl Publish + Clone + Send, impl Take) {
    let queue = Arc::new(ArrayQueue::new(CAPACITY));
    (Array(Arc::clone(&queue)), Array(queue))
}

#[derive(Clone)]
struct Array(Arc<ArrayQueue<Vec<u8>>>);

impl Publish for Array {
    fn try_publish(&mut self, records: Records<'_>) -> usize {
        records
            .iter()
            .take_while(|record| self.0.push(record.to_vec()).is_ok())
            .count()
    }
}

impl Take for Array {
    fn take(&mut self, max: usize, sink: &mut Arrivals) -> usize {
        pass_on(iter::from_fn(|| self.0.pop()).take(max), sink)
    }
}

/// `crossbeam_channel::bounded`.
pub fn open_crossbeam_channel() -> (impl Publish + Clone + Send, impl Take) {
    let (sender, receiver) = crossbeam_channel::bounded(CAPACITY);
    (CrossbeamSender(sender), CrossbeamReceiver(receiver))
}

#[derive(Clone)]
struct CrossbeamSender(crossbeam_channel::Sender<Vec<u8>>);

impl Publish for CrossbeamSender {
    fn try_publish(&mut self, records: Records<'_>) -> usize {
        records
            .iter()
            .take_while(|record| self.0.try_send(record.to_vec()).is_ok())
            .count()
    }
}

struct CrossbeamReceiver(crossbeam_channel::Receiver<Vec<u8>>);

impl Take for CrossbeamReceiver {
    fn take(&mut self, max: usize, sink: &mut Arrivals) -> usize {
        pass_on(self.0.try_iter().take(max), sink)
    }
}

/// `tokio::sync::mpsc::channel`. A batch reserves its permits at once.
pub fn open_tokio_mpsc() -> (impl Publish + Clone + Send, impl Take) {
    let (sender, receiver) = mpsc::channel(CAPACITY);
    (TokioSender(sender), TokioReceiver(receiver))
}

#[derive(Clone)]
struct TokioSender(mpsc::Sender<Vec<u8>>);

impl Publish for TokioSender {
    fn try_publish(&mut self, records: Records<'_>) -> usize {
        let Ok(permits) = self.0.try_reserve_many(records.count()) else {
            return 0;
        };
        permits
            .zip(records.iter())
            .map(|(permit, record)| permit.send(record.to_vec()))
            .count()
    }
}

struct TokioReceiver(mpsc::Receiver<Vec<u8>>);

impl Take for TokioReceiver {
    fn take(&mut self, max: usize, sink: &mut Arrivals) -> usize {
        pass_on(iter::from_fn(|| self.0.try_recv().ok()).take(max), sink)
    }
}

fn pass_on(records: impl Iterator<Item = Vec<u8>>, sink: &mut Arrivals) -> usize {
    records.map(|record| sink.arrived_bytes(&record)).count()
}
