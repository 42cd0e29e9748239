//! The stamp: 16 bytes at the start of every message body that let the receiver check and time it alone.
//!
//! ```text
//!  bits 127 ........ 88 | 87 ............ 64 | 63 .... 48 | 47 .... 16 | 15 .. 0
//!       intended, 64 ns | send lag, 64 ns    | producer   | sequence   | check       (one big-endian u128)
//! ```
//!
//! * intended: when the schedule wanted the message sent, since the run's epoch (40 bits of 64 ns: 19 hours).
//! * send lag: actual − intended, saturating at 1.07 s. Beyond that the service latency is overstated.
//! * sequence: per producer, from 0.
//! * check: a weighted sum of the seven 16-bit words above it, modulo a prime. The prime makes a change of a
//!   single bit always visible, which no truncated multiplicative hash promises.
//!
//! The rest of the body is the plan's constant filler, compared byte for byte on receipt.

/// Bytes of a stamp; no message is smaller.
pub const STAMP_BYTES: usize = 16;
/// Unit of the stamp's instants.
pub const STAMP_UNIT_NS: u64 = 64;
/// The largest send lag that a stamp can carry.
pub const SEND_LAG_NS_MAX: u64 = LAG_MAX * STAMP_UNIT_NS;

const LAG_MAX: u64 = (1 << 24) - 1;
const INTENDED_MASK: u64 = (1 << 40) - 1;
/// The largest prime below 2^16.
const CHECK_PRIME: u64 = 65_521;
/// So that an all-zero body is not a valid stamp.
const CHECK_SEED: u64 = 0x5EED;

/// What a message says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The instant the schedule intended, in ns since the run's epoch (rounded down to 64 ns).
    pub intended_ns: u64,
    /// Actual send instant − intended instant, in ns (rounded down to 64 ns, saturating).
    pub lag_ns: u64,
    /// Index of the producer.
    pub producer: u16,
    /// The producer's own count of messages, from 0.
    pub sequence: u32,
}

impl Stamp {
    /// The stamp of a message that was intended for `intended_ns` and is sent at `sent_ns`.
    #[must_use]
    pub fn new(intended_ns: u64, sent_ns: u64, producer: u16, sequence: u32) -> Self {
        Self {
            intended_ns,
            lag_ns: sent_ns.saturating_sub(intended_ns),
            producer,
            sequence,
        }
    }

    /// When the message was sent, in ns since the run's epoch.
    #[must_use]
    pub fn sent_ns(&self) -> u64 {
        self.intended_ns + self.lag_ns
    }

    /// The 16 bytes that go at the start of the body.
    #[must_use]
    pub fn encode(&self) -> [u8; STAMP_BYTES] {
        let intended = (self.intended_ns / STAMP_UNIT_NS) & INTENDED_MASK;
        let lag = (self.lag_ns / STAMP_UNIT_NS).min(LAG_MAX);
        let high = intended << 24 | lag;
        let low = u64::from(self.producer) << 48 | u64::from(self.sequence) << 16;
        let low = low | check(high, low);
        (u128::from(high) << 64 | u128::from(low)).to_be_bytes()
    }

    /// Reads a stamp from the start of `body`; `None` when the body is too short or the check does not match.
    #[must_use]
    pub fn decode(body: &[u8]) -> Option<Self> {
        let bytes: [u8; STAMP_BYTES] = body.get(..STAMP_BYTES)?.try_into().ok()?;
        let word = u128::from_be_bytes(bytes);
        let (high, low) = ((word >> 64) as u64, word as u64);
        if check(high, low) != low & 0xFFFF {
            return None;
        }
        Some(Self {
            intended_ns: (high >> 24) * STAMP_UNIT_NS,
            lag_ns: (high & LAG_MAX) * STAMP_UNIT_NS,
            producer: (low >> 48) as u16,
            sequence: (low >> 16) as u32,
        })
    }
}

/// The check over all but the lowest 16 bits of `low`. Each word has its own weight, so exchanged words show
/// too; a weight times a power of two is never 0 modulo the prime, so a flipped bit always shows.
fn check(high: u64, low: u64) -> u64 {
    let word = |from: u64, shift: u32| (from >> shift) & 0xFFFF;
    let sum = CHECK_SEED
        + word(high, 48) * 40_503
        + word(high, 32) * 30_011
        + word(high, 16) * 50_021
        + word(high, 0) * 10_007
        + word(low, 48) * 60_013
        + word(low, 32) * 20_011
        + word(low, 16) * 45_007;
    sum % CHECK_PRIME
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn survives_a_round_trip(intended in 0..=INTENDED_MASK, lag in 0..=LAG_MAX,
                                 producer in any::<u16>(), sequence in any::<u32>()) {
            let stamp = Stamp {
                intended_ns: intended * STAMP_UNIT_NS, lag_ns: lag * STAMP_UNIT_NS, producer, sequence,
            };
            prop_assert_eq!(Stamp::decode(&stamp.encode()), Some(stamp));
        }

        #[test]
        fn every_single_flipped_bit_is_noticed(intended in any::<u64>(), lag in any::<u64>(),
                                               producer in any::<u16>(), sequence in any::<u32>()) {
            let good = Stamp { intended_ns: intended, lag_ns: lag, producer, sequence }.encode();
            for bit in 0..STAMP_BYTES * 8 {
                let mut bad = good;
                bad[bit / 8] ^= 1 << (bit % 8);
                prop_assert_eq!(Stamp::decode(&bad), None, "bit {}", bit);
            }
        }
    }

    #[test]
    fn send_lag_saturates_and_an_early_send_has_none() {
        let late = Stamp::new(6_400, 10_000_000_000, 1, 2);
        assert_eq!(Stamp::decode(&late.encode()).unwrap().lag_ns, SEND_LAG_NS_MAX);
        let early = Stamp::new(6_400, 64, 1, 2);
        assert_eq!(Stamp::decode(&early.encode()).unwrap().sent_ns(), 6_400);
    }

    #[test]
    fn short_and_blank_bodies_are_no_stamps() {
        let good = Stamp::new(64, 64, 0, 0).encode();
        assert_eq!(Stamp::decode(&good[..15]), None);
        assert_eq!(Stamp::decode(&[0; 16]), None);
        assert_eq!(Stamp::decode(&[0xFF; 16]), None);
    }
}
