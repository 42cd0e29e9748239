//! The body layout of RabbitMQ PerfTest, as a head before the stamp, so that PerfTest's consumers can measure our messages.
//!
//! ```text
//!  0 ..... 3 | 4 ..... 11 | 12 ............ 27 | 28 …
//!  sequence  | timestamp  | our stamp          | filler          (sequence and timestamp big-endian)
//! ```
//!
//! PerfTest's consumers read the first twelve bytes and subtract the timestamp from their own clock: Java's
//! `System.nanoTime()`, or `System.currentTimeMillis()` with `--use-millis` (PerfTest: `TimeSequenceMessageBodySource`,
//! `TimestampProvider`). On Linux `nanoTime` is CLOCK_MONOTONIC, which starts with the machine: such bodies make sense only
//! to consumers on this machine. Like PerfTest's own, the timestamp is the actual send instant: what its consumers measure is
//! our service latency.

use serde::{Deserialize, Serialize};

use crate::clock::Clock;

/// Bytes of the head.
pub const HEAD_BYTES: usize = 12;
const SEQUENCE_BYTES: usize = 4;

/// Which of PerfTest's clocks the timestamp is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyLayout {
    /// CLOCK_MONOTONIC in ns: PerfTest's default.
    Perftest,
    /// Unix time in ms: PerfTest with `--use-millis`.
    PerftestMillis,
}

impl BodyLayout {
    /// The head of a message that is sent at `sent_ns` on the time line of `clock`.
    #[must_use]
    pub fn head(self, sequence: u32, sent_ns: u64, clock: Clock) -> [u8; HEAD_BYTES] {
        let timestamp = match self {
            Self::Perftest => clock.monotonic_ns(sent_ns),
            Self::PerftestMillis => clock.unix_ms(sent_ns),
        };
        let mut head = [0; HEAD_BYTES];
        head[..SEQUENCE_BYTES].copy_from_slice(&sequence.to_be_bytes());
        head[SEQUENCE_BYTES..].copy_from_slice(&timestamp.to_be_bytes());
        head
    }
}

/// Whether `head` is that of message `sequence`. Its timestamp has no check.
#[must_use]
pub fn is_head_of(head: &[u8], sequence: u32) -> bool {
    head.is_empty() || head[..SEQUENCE_BYTES] == sequence.to_be_bytes()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    /// What PerfTest's consumer reads: an int and a long.
    fn read(head: [u8; HEAD_BYTES]) -> (i32, i64) {
        let (sequence, timestamp) = head.split_at(SEQUENCE_BYTES);
        (
            i32::from_be_bytes(sequence.try_into().unwrap()),
            i64::from_be_bytes(timestamp.try_into().unwrap()),
        )
    }

    #[test]
    fn a_consumer_of_perftest_finds_sequence_and_send_instant() {
        let clock = Clock::start();
        let now_ns = clock.now_ns();
        let before = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let before_ns = before.tv_sec * 1_000_000_000 + before.tv_nsec;
        let (sequence, nanos) = read(BodyLayout::Perftest.head(7, now_ns, clock));
        assert_eq!(sequence, 7);
        // Both are of this test, on the same clock.
        assert!(nanos.abs_diff(before_ns) < 60_000_000_000, "{nanos} {before_ns}");
        let unix_ms = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as i64;
        let (_, millis) = read(BodyLayout::PerftestMillis.head(7, now_ns, clock));
        assert!(millis.abs_diff(unix_ms) < 60_000, "{millis} {unix_ms}");
        let later = read(BodyLayout::Perftest.head(8, now_ns + 1_000, clock));
        assert_eq!((later.0, later.1 - nanos), (8, 1_000));
    }

    #[test]
    fn a_head_names_its_message() {
        let head = BodyLayout::Perftest.head(7, 0, Clock::start());
        assert!(is_head_of(&head, 7) && !is_head_of(&head, 8) && is_head_of(&[], 8));
    }
}
