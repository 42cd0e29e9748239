//! A queue with consumers that only count.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use broker::queue::{
    Accepted, DeliverySession, DeliveryTarget, QueueConfig, QueueOptions, QueueState, SpillLimits,
};
use broker::record::{Content, Record, RecordFields};
use ring::{ChunkPool, Offset, PoolConfig, RingConfig};

/// A content header frame payload without properties.
const HEADER: [u8; 14] = [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0];

/// An empty queue with the broker's default limits.
pub fn queue() -> QueueState<Counter> {
    let pool = ChunkPool::new(PoolConfig {
        bytes_budget: 512 << 20,
        chunk_bytes: 256 * 1024,
    });
    let ring = RingConfig {
        messages_max: 65_536,
        bytes_max: 128 << 20,
        chunk_bytes_first: 4096,
    };
    let config = QueueConfig {
        ring,
        spill: SpillLimits::above(0.8),
        durable: false,
        options: QueueOptions::default(),
    };
    QueueState::new(config, pool)
}

/// Frames of a message, to be published again and again.
pub fn frames(body: &[u8]) -> Vec<u8> {
    let mut frames = Vec::new();
    Content::build(&mut frames, &HEADER, body);
    frames
}

/// A message to the default exchange.
pub fn record(frames: &[u8]) -> RecordFields<'_> {
    let content = Content::from_frames(frames, HEADER.len());
    RecordFields {
        timestamp_ms: 0,
        flags: 0,
        names: b"\0\x0bbench.queue",
        content,
    }
}

/// Counts bodies and remembers what to settle.
#[derive(Clone, Debug, Default)]
pub struct Counter {
    runs: Rc<RefCell<Vec<(Offset, usize)>>>,
    body_bytes: Rc<Cell<u64>>,
}

impl Counter {
    /// Runs of offsets delivered since the last call.
    pub fn take_runs(&self) -> Vec<(Offset, usize)> {
        self.runs.take()
    }

    /// Body bytes seen so far.
    pub fn body_bytes(&self) -> u64 {
        self.body_bytes.get()
    }
}

impl DeliveryTarget for Counter {
    type Session<'a> = &'a Counter;

    fn open(&self) -> Option<&Counter> {
        Some(self)
    }

    fn no_ack(&self) -> bool {
        false
    }
}

impl DeliverySession for &Counter {
    #[inline]
    fn deliver(&mut self, offset: Offset, _redelivered: bool, record: &Record<'_>) -> Accepted {
        self.body_bytes
            .set(self.body_bytes.get() + record.content.body_len() as u64);
        let mut runs = self.runs.borrow_mut();
        match runs.last_mut() {
            Some((first, count)) if first.advance(*count as u64) == offset => *count += 1,
            _ => runs.push((offset, 1)),
        }
        Accepted::Taken
    }
}
