//! A bounded ring of `u64` tokens from many producers to one consumer, after the LMAX disruptor.
//!
//! ```text
//!   gate (consumed)              claimed
//!     v                            v
//!   ..[taken][ready][ready][being written][ready][free]..     capacity slots, a power of two
//! ```
//!
//! A producer claims sequences by compare-and-swap on `claimed` (a plain fetch-add could not be refused), writes its
//! tokens and publishes each through its slot's own sequence. The consumer takes the contiguous published
//! prefix and then moves the gate, which frees the slots for the next lap.
//!
//! No producer waits for another, and nobody blocks: a full ring answers [`Full`]. A producer that is held up between
//! claim and publish holds back what was claimed after it, in order, until it goes on. Waking the consumer is the
//! owner's affair.
//!
//! Invariants: `consumed <= claimed <= consumed + capacity`; slot `s % capacity` holds the token of sequence `s`
//! exactly while its `published` is `s + 1`, and is only rewritten after the gate passed `s`.

use crate::sync::{Arc, AtomicU64, Ordering};

/// The ring has no room for the tokens. A normal answer; nothing was pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// A counter alone on its cache lines (two, as the prefetcher fetches pairs), so that the two sides do not collide.
#[derive(Debug)]
#[repr(align(128))]
struct Cursor(AtomicU64);

#[derive(Debug)]
struct Slot {
    token: AtomicU64,
    /// One more than the sequence whose token is here; 0 at first.
    published: AtomicU64,
}

#[derive(Debug)]
struct Shared {
    /// The next sequence to be claimed. Written by producers.
    claimed: Cursor,
    /// The gate: every lower sequence was taken. Written by the consumer.
    consumed: Cursor,
    slots: Box<[Slot]>,
    mask: u64,
}

impl Shared {
    fn capacity(&self) -> u64 {
        self.mask + 1
    }

    fn slot(&self, sequence: u64) -> &Slot {
        &self.slots[(sequence & self.mask) as usize]
    }

    fn len(&self) -> usize {
        // The gate first: `claimed` is never below a gate that was read before it (see `try_claim`).
        let gate = self.consumed.0.load(Ordering::Acquire);
        let claimed = self.claimed.0.load(Ordering::Relaxed);
        (claimed - gate).min(self.capacity()) as usize
    }
}

/// A ring for `capacity` tokens, rounded up to a power of two.
pub fn bounded(capacity: usize) -> (Producer, Consumer) {
    let capacity = capacity.max(1).next_power_of_two();
    let slot = |_| Slot {
        token: AtomicU64::new(0),
        published: AtomicU64::new(0),
    };
    let shared = Arc::new(Shared {
        claimed: Cursor(AtomicU64::new(0)),
        consumed: Cursor(AtomicU64::new(0)),
        slots: (0..capacity).map(slot).collect(),
        mask: capacity as u64 - 1,
    });
    (
        Producer {
            shared: Arc::clone(&shared),
        },
        Consumer { shared, next: 0 },
    )
}

/// The sending side; clone it for each thread, or share one.
#[derive(Clone, Debug)]
pub struct Producer {
    shared: Arc<Shared>,
}

impl Producer {
    /// Pushes one token, or answers [`Full`].
    #[inline]
    pub fn try_push(&self, token: u64) -> Result<(), Full> {
        let sequence = self.try_claim(1)?;
        self.publish(sequence, token);
        Ok(())
    }

    /// Pushes all of `tokens`, next to each other, or none.
    pub fn try_push_all(&self, tokens: &[u64]) -> Result<(), Full> {
        if tokens.is_empty() {
            return Ok(());
        }
        let first = self.try_claim(tokens.len() as u64)?;
        for (sequence, token) in (first..).zip(tokens) {
            self.publish(sequence, *token);
        }
        Ok(())
    }

    /// Claims `count` sequences for this producer alone and answers the first.
    #[inline]
    fn try_claim(&self, count: u64) -> Result<u64, Full> {
        let shared = &*self.shared;
        // Acquire, partner: the Release store of the gate in `Taking::drop`. What the consumer read from the slots
        // below the gate is read before we write them again. It also makes the claims of all those slots
        // visible, so `claimed`, loaded after it, is never below `gate`.
        let mut gate = shared.consumed.0.load(Ordering::Acquire);
        let mut claimed = shared.claimed.0.load(Ordering::Relaxed);
        loop {
            if claimed + count - gate > shared.capacity() {
                // The gate may have moved on since: only a gate that stands still means full.
                let gate_now = shared.consumed.0.load(Ordering::Acquire); // partner as above
                if gate_now == gate {
                    return Err(Full);
                }
                gate = gate_now;
                claimed = shared.claimed.0.load(Ordering::Relaxed);
                continue;
            }
            // Relaxed: the claim carries no data; the token travels by `published`.
            match shared.claimed.0.compare_exchange_weak(
                claimed,
                claimed + count,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(first) => return Ok(first),
                Err(current) => claimed = current,
            }
        }
    }

    /// Hands the token of a claimed sequence to the consumer.
    #[inline]
    fn publish(&self, sequence: u64, token: u64) {
        let slot = self.shared.slot(sequence);
        slot.token.store(token, Ordering::Relaxed);
        // Release, partner: the Acquire load in `Consumer::drain`. The token is there before its sequence is.
        slot.published.store(sequence + 1, Ordering::Release);
    }

    /// Tokens claimed and not yet taken: exact only while nobody pushes or drains.
    pub fn len(&self) -> usize {
        self.shared.len()
    }

    /// Whether nothing is claimed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most tokens that fit.
    pub fn capacity(&self) -> usize {
        self.shared.slots.len()
    }
}

/// The receiving side. There is one.
#[derive(Debug)]
pub struct Consumer {
    shared: Arc<Shared>,
    /// The next sequence to be taken; the gate follows it at the end of each drain.
    next: u64,
}

impl Consumer {
    /// Takes up to `max` published tokens in sequence order and answers how many.
    pub fn drain(&mut self, max: usize, mut take: impl FnMut(u64)) -> usize {
        let first = self.next;
        // Moves the gate once for the whole batch, also when `take` unwinds.
        let taking = Taking { consumer: self };
        let end = first.saturating_add(max as u64);
        while taking.consumer.next < end {
            let slot = taking.consumer.shared.slot(taking.consumer.next);
            // Acquire, partner: the Release store in `Producer::publish`.
            if slot.published.load(Ordering::Acquire) != taking.consumer.next + 1 {
                break;
            }
            let token = slot.token.load(Ordering::Relaxed);
            taking.consumer.next += 1;
            take(token);
        }
        (taking.consumer.next - first) as usize
    }

    /// Tokens claimed and not yet taken; some of them may not be published yet.
    pub fn len(&self) -> usize {
        self.shared.len()
    }

    /// Whether nothing is claimed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A drain in progress.
struct Taking<'a> {
    consumer: &'a mut Consumer,
}

impl Drop for Taking<'_> {
    fn drop(&mut self) {
        // Release, partner: the Acquire loads of the gate in `Producer::try_claim`.
        self.consumer
            .shared
            .consumed
            .0
            .store(self.consumer.next, Ordering::Release);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::{panic, thread};

    use super::*;

    fn drained(consumer: &mut Consumer, max: usize) -> Vec<u64> {
        let mut tokens = Vec::new();
        assert_eq!(consumer.drain(max, |token| tokens.push(token)), tokens.len());
        tokens
    }

    #[test]
    fn tokens_come_out_in_order_and_a_full_ring_refuses() {
        let (producer, mut consumer) = bounded(3);
        assert_eq!(producer.capacity(), 4);
        for lap in 0..10 {
            for token in 0..4 {
                assert_eq!(producer.try_push(lap * 4 + token), Ok(()));
            }
            assert_eq!(producer.try_push(99), Err(Full));
            assert_eq!((producer.len(), consumer.len()), (4, 4));
            assert_eq!(drained(&mut consumer, 3), [lap * 4, lap * 4 + 1, lap * 4 + 2]);
            assert_eq!(drained(&mut consumer, 3), [lap * 4 + 3]);
            assert!(consumer.is_empty() && producer.is_empty());
        }
    }

    #[test]
    fn a_batch_goes_in_whole_or_not_at_all() {
        let (producer, mut consumer) = bounded(4);
        assert_eq!(producer.try_push_all(&[]), Ok(()));
        assert_eq!(producer.try_push_all(&[1, 2, 3]), Ok(()));
        assert_eq!(producer.try_push_all(&[4, 5]), Err(Full));
        assert_eq!(producer.try_push_all(&[4]), Ok(()));
        assert_eq!(producer.try_push_all(&[0; 5]), Err(Full));
        assert_eq!(drained(&mut consumer, usize::MAX), [1, 2, 3, 4]);
        assert_eq!(producer.try_push_all(&[0; 5]), Err(Full), "never fits");
    }

    #[test]
    fn a_panicking_sink_loses_only_its_own_token() {
        let (producer, mut consumer) = bounded(4);
        producer.try_push_all(&[1, 2, 3]).unwrap();
        let result = panic::catch_unwind(panic::AssertUnwindSafe(|| {
            consumer.drain(3, |token| assert_ne!(token, 2));
        }));
        assert!(result.is_err());
        assert_eq!(drained(&mut consumer, 3), [3]);
        producer.try_push_all(&[4, 5, 6, 7]).unwrap();
        assert_eq!(drained(&mut consumer, 9), [4, 5, 6, 7]);
    }

    /// Each token names its producer and its place, so order per producer is checked along with completeness.
    #[test]
    fn four_producers_lose_and_reorder_nothing() {
        const PRODUCERS: u64 = 4;
        let each: u64 = if cfg!(miri) { 100 } else { 50_000 };
        let (producer, mut consumer) = bounded(64);
        thread::scope(|scope| {
            for id in 0..PRODUCERS {
                let producer = producer.clone();
                scope.spawn(move || {
                    for place in 0..each {
                        while producer.try_push(id << 32 | place).is_err() {
                            thread::yield_now();
                        }
                    }
                });
            }
            let mut expected = [0; PRODUCERS as usize];
            let mut missing = PRODUCERS * each;
            while missing > 0 {
                let taken = consumer.drain(16, |token| {
                    let next = &mut expected[(token >> 32) as usize];
                    assert_eq!(token & 0xffff_ffff, *next);
                    *next += 1;
                });
                missing -= taken as u64;
                if taken == 0 {
                    thread::yield_now();
                }
            }
            assert_eq!(expected, [each; PRODUCERS as usize]);
        });
        assert!(producer.is_empty());
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use loom::thread;

    use super::*;

    /// Every interleaving with at most this many forced switches between threads: without a bound the larger
    /// models run for hours, and faults of ordering show with two.
    const PREEMPTIONS_MAX: usize = 2;

    fn model(test: impl Fn() + Sync + Send + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(PREEMPTIONS_MAX);
        builder.check(test);
    }

    fn drain_all(consumer: &mut Consumer, expected: usize) -> Vec<u64> {
        let mut tokens = Vec::new();
        while tokens.len() < expected {
            if consumer.drain(2, |token| tokens.push(token)) == 0 {
                thread::yield_now();
            }
        }
        tokens
    }

    fn push(producer: &Producer, token: u64) {
        while producer.try_push(token).is_err() {
            thread::yield_now();
        }
    }

    /// The third token takes a slot for the second time.
    #[test]
    fn a_slot_is_written_again_only_after_the_gate_passed_it() {
        model(|| {
            let (producer, mut consumer) = bounded(2);
            let one = thread::spawn(move || (10..13).for_each(|token| push(&producer, token)));
            assert_eq!(drain_all(&mut consumer, 3), [10, 11, 12]);
            one.join().unwrap();
            assert!(consumer.is_empty());
        });
    }

    /// Two producers reuse the slots of a full ring while the consumer frees them. Nobody spins: loom follows no
    /// unbounded loops of two threads.
    #[test]
    fn two_producers_deliver_what_was_accepted_once() {
        model(|| {
            let (producer, mut consumer) = bounded(2);
            producer.try_push_all(&[8, 9]).unwrap();
            let other = producer.clone();
            let one = thread::spawn(move || producer.try_push(1));
            let two = thread::spawn(move || other.try_push(2));
            let mut tokens = Vec::new();
            consumer.drain(2, |token| tokens.push(token));
            assert_eq!(tokens[..2], [8, 9]);
            let accepted = [(1, one.join().unwrap()), (2, two.join().unwrap())];
            consumer.drain(2, |token| tokens.push(token));
            assert!(consumer.is_empty());
            let mut arrived = tokens.split_off(2);
            arrived.sort_unstable();
            let accepted = accepted
                .iter()
                .filter(|(_, result)| result.is_ok())
                .map(|(token, _)| *token);
            assert!(accepted.eq(arrived));
        });
    }

    /// A batch keeps its tokens together whatever the other producer does.
    #[test]
    fn a_batch_stays_together() {
        model(|| {
            let (producer, mut consumer) = bounded(4);
            let other = producer.clone();
            let one = thread::spawn(move || producer.try_push_all(&[1, 2]).unwrap());
            let two = thread::spawn(move || other.try_push(9).unwrap());
            let tokens = drain_all(&mut consumer, 3);
            one.join().unwrap();
            two.join().unwrap();
            assert!(tokens == [1, 2, 9] || tokens == [9, 1, 2], "{tokens:?}");
        });
    }

    /// One slot, refused pushes included: `Full` is only said while a token really is in the ring.
    #[test]
    fn a_refusal_is_true_and_a_push_after_the_gate_succeeds() {
        model(|| {
            let (producer, mut consumer) = bounded(1);
            let other = producer.clone();
            let one = thread::spawn(move || producer.try_push(1));
            let two = thread::spawn(move || other.try_push(2));
            let mut tokens = Vec::new();
            consumer.drain(1, |token| tokens.push(token));
            let results = [one.join().unwrap(), two.join().unwrap()];
            consumer.drain(1, |token| tokens.push(token));
            let pushed = results.iter().filter(|result| result.is_ok()).count();
            assert!(pushed >= 1, "one of them found the ring empty");
            assert_eq!(tokens.len(), pushed);
        });
    }
}
