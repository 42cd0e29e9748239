//! Producers publish, one consumer takes: the same work and the same checks for every contender.
//!
//! A record is `record_bytes` long. Its first eight bytes are a stamp (producer, then place in that producer's
//! sequence), its last eight the stamp's complement; with 16-byte records that is all there is. The consumer reads
//! both ends of each record and nothing between, as one that only looks at headers and passes bodies on.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Records that fit in a contender at one time.
pub const CAPACITY: usize = 4096;
/// Records that the consumer takes at most in one go.
pub const TAKE_MAX: usize = 512;
/// The bits of a stamp that count within one producer.
const PLACE_BITS: u32 = 48;

/// The sending side of a contender.
pub trait Publish {
    /// Publishes records from the front of `records` as far as there is room, and answers how many.
    fn try_publish(&mut self, records: Records<'_>) -> usize;
}

/// The receiving side of a contender.
pub trait Take {
    /// Takes up to `max` records in order and answers how many.
    fn take(&mut self, max: usize, sink: &mut Arrivals) -> usize;
}

/// A batch of records of one size, end to end.
#[derive(Clone, Copy, Debug)]
pub struct Records<'a> {
    bytes: &'a [u8],
    record_bytes: usize,
}

impl<'a> Records<'a> {
    /// The records one by one.
    #[inline]
    pub fn iter(self) -> std::slice::ChunksExact<'a, u8> {
        self.bytes.chunks_exact(self.record_bytes)
    }

    /// All records, end to end.
    #[inline]
    pub fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// How many records.
    #[inline]
    pub fn count(self) -> usize {
        self.bytes.len() / self.record_bytes
    }

    /// The size of each record.
    #[inline]
    pub fn record_bytes(self) -> usize {
        self.record_bytes
    }
}

/// What has arrived so far. Checks each record as it comes in.
#[derive(Debug)]
pub struct Arrivals {
    /// The next place expected of each producer.
    expected: Vec<u64>,
    missing: u64,
}

impl Arrivals {
    fn new(producers: usize, each: u64) -> Arrivals {
        Arrivals {
            expected: vec![0; producers],
            missing: producers as u64 * each,
        }
    }

    /// Notes one record by its first and last eight bytes.
    #[inline]
    pub fn arrived(&mut self, first: u64, last: u64) {
        assert_eq!(first, !last, "a record arrived torn");
        let expected = &mut self.expected[(first >> PLACE_BITS) as usize];
        assert_eq!(
            first & ((1 << PLACE_BITS) - 1),
            *expected,
            "a record was lost, doubled or reordered"
        );
        *expected += 1;
        self.missing -= 1;
    }

    /// Notes one record.
    #[inline]
    pub fn arrived_bytes(&mut self, record: &[u8]) {
        let first = record.first_chunk().expect("a record has at least 16 bytes");
        let last = record.last_chunk().expect("a record has at least 16 bytes");
        self.arrived(u64::from_le_bytes(*first), u64::from_le_bytes(*last));
    }
}

/// One way to run the contest.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Producer threads; 0: one thread publishes a batch and takes it in turn, as a reactor does.
    pub producers: usize,
    /// Records published in one go.
    pub batch: usize,
    /// The size of a record: at least 16.
    pub record_bytes: usize,
}

/// Passes `count` records or a few more through a contender, and answers how long that took and how many those were.
pub fn run<P, T>(shape: Shape, count: u64, (publish, take): (P, T)) -> (Duration, u64)
where
    P: Publish + Clone + Send,
    T: Take,
{
    let producers = shape.producers.max(1);
    let batches = count.div_ceil(producers as u64 * shape.batch as u64).max(1);
    let mut arrivals = Arrivals::new(producers, batches * shape.batch as u64);
    let total = arrivals.missing;
    let elapsed = match shape.producers {
        0 => in_turn(shape, batches, publish, take, &mut arrivals),
        _ => across_threads(shape, batches, publish, take, &mut arrivals),
    };
    assert_eq!(arrivals.missing, 0);
    (elapsed, total)
}

fn in_turn(
    shape: Shape,
    batches: u64,
    mut publish: impl Publish,
    mut take: impl Take,
    arrivals: &mut Arrivals,
) -> Duration {
    let mut source = Source::new(0, shape);
    let start = Instant::now();
    for _ in 0..batches {
        assert_eq!(publish.try_publish(source.next_batch()), shape.batch);
        assert_eq!(take.take(TAKE_MAX, arrivals), shape.batch);
    }
    start.elapsed()
}

fn across_threads<P: Publish + Clone + Send>(
    shape: Shape,
    batches: u64,
    publish: P,
    mut take: impl Take,
    arrivals: &mut Arrivals,
) -> Duration {
    thread::scope(|scope| {
        let start = Instant::now();
        for producer in 0..shape.producers {
            let mut publish = publish.clone();
            scope.spawn(move || {
                let mut source = Source::new(producer, shape);
                for _ in 0..batches {
                    let batch = source.next_batch();
                    let mut done = 0;
                    while done < shape.batch {
                        let bytes = &batch.bytes[done * shape.record_bytes..];
                        let published = publish.try_publish(Records { bytes, ..batch });
                        done += published;
                        if published == 0 {
                            thread::yield_now();
                        }
                    }
                }
            });
        }
        while arrivals.missing > 0 {
            if take.take(TAKE_MAX, arrivals) == 0 {
                thread::yield_now();
            }
        }
        start.elapsed()
    })
}

/// The records of one producer, stamped in place.
struct Source {
    bytes: Vec<u8>,
    record_bytes: usize,
    stamp: u64,
}

impl Source {
    fn new(producer: usize, shape: Shape) -> Source {
        assert!(shape.record_bytes >= 16 && shape.batch <= TAKE_MAX);
        Source {
            bytes: vec![0x5a; shape.batch * shape.record_bytes],
            record_bytes: shape.record_bytes,
            stamp: (producer as u64) << PLACE_BITS,
        }
    }

    fn next_batch(&mut self) -> Records<'_> {
        let record_bytes = self.record_bytes;
        for record in self.bytes.chunks_exact_mut(record_bytes) {
            record[..8].copy_from_slice(&self.stamp.to_le_bytes());
            record[record_bytes - 8..].copy_from_slice(&(!self.stamp).to_le_bytes());
            self.stamp += 1;
        }
        Records {
            bytes: &self.bytes,
            record_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contenders::{channels, claim_log, disruptor, locked_deque, locked_ring};

    const SHAPES: [Shape; 4] = [
        Shape {
            producers: 0,
            batch: 64,
            record_bytes: 16,
        },
        Shape {
            producers: 1,
            batch: 1,
            record_bytes: 16,
        },
        Shape {
            producers: 4,
            batch: 64,
            record_bytes: 16,
        },
        Shape {
            producers: 4,
            batch: 1,
            record_bytes: 16,
        },
    ];

    fn passes_several_times_its_capacity<P: Publish + Clone + Send, T: Take>(open: impl Fn() -> (P, T)) {
        for shape in SHAPES {
            let (_, passed) = run(shape, 5 * CAPACITY as u64, open());
            assert!(passed >= 5 * CAPACITY as u64);
        }
    }

    #[test]
    fn each_contender_passes_several_times_its_capacity() {
        passes_several_times_its_capacity(locked_ring::open);
        passes_several_times_its_capacity(|| claim_log::open(16));
        passes_several_times_its_capacity(disruptor::open::<16>);
        passes_several_times_its_capacity(channels::open_array_queue);
        passes_several_times_its_capacity(channels::open_crossbeam_channel);
        passes_several_times_its_capacity(channels::open_tokio_mpsc);
        passes_several_times_its_capacity(locked_deque::open);
    }

    /// Swallows every hundredth record.
    #[derive(Clone)]
    struct Lossy<P>(P, u64);

    impl<P: Publish> Publish for Lossy<P> {
        fn try_publish(&mut self, records: Records<'_>) -> usize {
            self.1 += 1;
            if self.1.is_multiple_of(100) {
                records.count()
            } else {
                self.0.try_publish(records)
            }
        }
    }

    #[test]
    #[should_panic(expected = "a record was lost, doubled or reordered")]
    fn a_loss_is_seen() {
        let (publish, take) = locked_deque::open();
        run(
            Shape {
                producers: 1,
                batch: 1,
                record_bytes: 16,
            },
            1000,
            (Lossy(publish, 0), take),
        );
    }

    #[test]
    #[should_panic(expected = "a record arrived torn")]
    fn a_torn_record_is_seen() {
        Arrivals::new(1, 1).arrived_bytes(&[0; 16]);
    }
}
