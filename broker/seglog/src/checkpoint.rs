//! What is settled of one queue, as a file that a person can read and that no damage can make believable.
//!
//! ```text
//! {
//!   "format": 1,
//!   "queue": "orders",
//!   "generation": 7,
//!   "next": 120,
//!   "dispatched": 110,
//!   "clean": false,
//!   "frontier": 100,
//!   "settled": [[102,3],[109,1]],        (first offset, count), ascending, disjoint, none below the frontier
//!   "attempts": [[100,2]],               (offset, how often it came back); left out when there are none
//!   "expiring": true,                    some message has an expiration of its own; left out when none has
//!   "crc32": "1a2b3c4d"
//! }
//! ```
//! The checksum is the CRC-32 (IEEE 802.3) of every byte before the line of `crc32`, the line feed in front of it
//! included; that line has two spaces, the name and eight lower-case hex digits, and `}` and one line feed end the file. So
//! each byte of the file is either summed or the only one possible, and a file edited by hand is refused as well.

use std::fmt::Write as _;

use serde::Deserialize;

use crate::settled::Settled;

/// Number of the form above.
const FORMAT: u64 = 1;
/// What stands around the checksum's digits.
const CHECKSUM_HEAD: &str = "  \"crc32\": \"";
const CHECKSUM_TAIL: &str = "\"\n}\n";
const CHECKSUM_DIGITS: usize = 8;

/// What is settled of one queue.
///
/// An old one is safe: what it does not know settled is delivered again, flagged. Losing one is, too. One with wrong
/// numbers is not, since it may call messages settled that nobody saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The queue's name, for people and for a check by the owner.
    pub queue: String,
    /// Which of the queues that had this identifier, or this name, one after another.
    pub generation: u64,
    /// First offset that no message has yet.
    pub next: u64,
    /// First offset never delivered.
    pub dispatched: u64,
    /// Written by an orderly stop: nothing was delivered after it. Whoever starts from it replaces it by one that is
    /// not clean before the first delivery.
    pub clean: bool,
    /// What is settled.
    pub settled: Settled,
    /// Messages that came back, and how often, where their owner counts that.
    pub attempts: Vec<(u64, u64)>,
    /// Some message has an expiration of its own, as far as its owner knows.
    pub expiring: bool,
}

/// The file's JSON object.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    format: u64,
    queue: String,
    generation: u64,
    next: u64,
    dispatched: u64,
    clean: bool,
    frontier: u64,
    settled: Vec<(u64, u64)>,
    #[serde(default)]
    attempts: Vec<(u64, u64)>,
    #[serde(default)]
    expiring: bool,
    #[serde(rename = "crc32")]
    _crc32: String,
}

/// Where bytes are no checkpoint, and what is wrong with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unbelievable {
    pub(crate) position: u64,
    pub(crate) what: String,
}

impl Checkpoint {
    /// The file's bytes.
    ///
    /// # Errors
    /// What is wrong with the numbers, in words: [`Checkpoint::decode`] would refuse them.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, String> {
        self.check()?;
        let queue = serde_json::Value::from(self.queue.as_str());
        let mut text = format!(
            "{{\n  \"format\": {FORMAT},\n  \"queue\": {queue},\n  \"generation\": {},\n  \"next\": {},\n  \
             \"dispatched\": {},\n  \"clean\": {},\n  \"frontier\": {},\n  \"settled\": [",
            self.generation, self.next, self.dispatched, self.clean, self.settled.frontier
        );
        let ranges = self.settled.ranges.iter();
        push_pairs(
            &mut text,
            ranges.map(|range| (range.start, range.end - range.start)),
        );
        text.push_str("],\n");
        if !self.attempts.is_empty() {
            text.push_str("  \"attempts\": [");
            push_pairs(&mut text, self.attempts.iter().copied());
            text.push_str("],\n");
        }
        if self.expiring {
            text.push_str("  \"expiring\": true,\n");
        }
        let checksum = checksum_line(text.as_bytes());
        text.push_str(&checksum);
        Ok(text.into_bytes())
    }

    /// Reads what [`Checkpoint::encode`] wrote.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Checkpoint, Unbelievable> {
        let checksum_bytes = CHECKSUM_HEAD.len() + CHECKSUM_DIGITS + CHECKSUM_TAIL.len();
        let summed_bytes = bytes
            .len()
            .checked_sub(checksum_bytes)
            .ok_or_else(|| Unbelievable {
                position: bytes.len() as u64,
                what: format!("it ends there; its last {checksum_bytes} bytes would be the checksum"),
            })?;
        let (summed, found) = bytes.split_at(summed_bytes);
        let expected = checksum_line(summed);
        if found != expected.as_bytes() {
            return Err(Unbelievable {
                position: summed_bytes as u64,
                what: format!(
                    "the bytes before have the checksum {}, the file ends in {:?}",
                    &expected[CHECKSUM_HEAD.len()..][..CHECKSUM_DIGITS],
                    String::from_utf8_lossy(found)
                ),
            });
        }
        let understood = serde_json::from_slice(bytes)
            .map_err(|error| error.to_string())
            .and_then(Form::into_checkpoint);
        understood.map_err(|what| Unbelievable { position: 0, what })
    }

    /// Checks that the numbers fit together.
    fn check(&self) -> Result<(), String> {
        let next = self.next;
        for (name, offset) in [
            ("dispatched", self.dispatched),
            ("frontier", self.settled.frontier),
        ] {
            if offset > next {
                return Err(format!("{name} is {offset}, beyond next, {next}"));
            }
        }
        let mut below = self.settled.frontier;
        for range in &self.settled.ranges {
            if range.start < below || range.is_empty() || range.end > next {
                return Err(format!(
                    "settled has offsets {}..{} after {below} and with next at {next}",
                    range.start, range.end
                ));
            }
            below = range.end;
        }
        Ok(())
    }
}

impl Form {
    fn into_checkpoint(self) -> Result<Checkpoint, String> {
        if self.format != FORMAT {
            return Err(format!(
                "format {} is not known here, only format {FORMAT}",
                self.format
            ));
        }
        let range = |&(first, count): &(u64, u64)| {
            let end = first
                .checked_add(count)
                .ok_or(format!("settled counts {count} offsets from {first}"));
            Ok::<_, String>(first..end?)
        };
        let ranges = self.settled.iter().map(range).collect::<Result<_, _>>()?;
        let checkpoint = Checkpoint {
            queue: self.queue,
            generation: self.generation,
            next: self.next,
            dispatched: self.dispatched,
            clean: self.clean,
            settled: Settled {
                frontier: self.frontier,
                ranges,
            },
            attempts: self.attempts,
            expiring: self.expiring,
        };
        checkpoint.check().map(|()| checkpoint)
    }
}

fn push_pairs(text: &mut String, pairs: impl Iterator<Item = (u64, u64)>) {
    for (index, (first, second)) in pairs.enumerate() {
        let separator = if index == 0 { "" } else { "," };
        // Writing to a string cannot fail.
        let _ = write!(text, "{separator}[{first},{second}]");
    }
}

fn checksum_line(summed: &[u8]) -> String {
    let checksum = crc32fast::hash(summed);
    format!("{CHECKSUM_HEAD}{checksum:0CHECKSUM_DIGITS$x}{CHECKSUM_TAIL}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn example() -> Checkpoint {
        Checkpoint {
            queue: "orders \"€\"\n".to_owned(),
            generation: 7,
            next: 120,
            dispatched: 110,
            clean: false,
            settled: Settled {
                frontier: 100,
                ranges: vec![102..105, 109..110],
            },
            attempts: Vec::new(),
            expiring: false,
        }
    }

    #[test]
    fn the_file_looks_as_documented() {
        let text = String::from_utf8(example().encode().unwrap()).unwrap();
        let (summed, checksum) = text.split_at(text.find("  \"crc32\"").unwrap());
        let expected = "{\n  \"format\": 1,\n  \"queue\": \"orders \\\"€\\\"\\n\",\n  \"generation\": 7,\n  \"next\": 120,\n  \
                        \"dispatched\": 110,\n  \"clean\": false,\n  \"frontier\": 100,\n  \"settled\": [[102,3],[109,1]],\n";
        assert_eq!(summed, expected);
        let digits = format!("{:08x}", crc32fast::hash(expected.as_bytes()));
        assert_eq!(checksum, format!("  \"crc32\": \"{digits}\"\n}}\n"));
        assert_eq!(Checkpoint::decode(text.as_bytes()).unwrap(), example());
        let more = Checkpoint {
            attempts: vec![(100, 2), (101, 1)],
            expiring: true,
            ..example()
        };
        let text = String::from_utf8(more.encode().unwrap()).unwrap();
        assert!(
            text.contains(
                "[109,1]],\n  \"attempts\": [[100,2],[101,1]],\n  \"expiring\": true,\n  \"crc32\""
            )
        );
    }

    #[test]
    fn no_truncation_no_flipped_bit_and_no_addition_is_believed() {
        let bytes = example().encode().unwrap();
        for len in 0..bytes.len() {
            Checkpoint::decode(&bytes[..len]).unwrap_err();
        }
        for index in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[index] ^= 1 << bit;
                Checkpoint::decode(&damaged).unwrap_err();
            }
        }
        Checkpoint::decode(&[&bytes[..], b"\n"].concat()).unwrap_err();
        Checkpoint::decode(&vec![0; bytes.len()]).unwrap_err();
    }

    #[test]
    fn numbers_that_do_not_fit_are_neither_written_nor_believed() {
        let changes: [fn(&mut Checkpoint); 6] = [
            |checkpoint| checkpoint.next = 109,
            |checkpoint| checkpoint.dispatched = 121,
            |checkpoint| checkpoint.settled.frontier = 103,
            |checkpoint| checkpoint.settled.ranges[1] = 104..106,
            |checkpoint| checkpoint.settled.ranges[1] = 100..101,
            |checkpoint| checkpoint.settled.ranges[0] = 103..103,
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mut checkpoint = example();
            change(&mut checkpoint);
            checkpoint.encode().expect_err(&number.to_string());
        }
        let text = String::from_utf8(example().encode().unwrap()).unwrap();
        let summed = &text[..text.find("  \"crc32\"").unwrap()];
        for (old, new) in [
            ("\"format\": 1", "\"format\": 2"),
            ("[102,3]", "[102,0]"),
            ("[109,1]", "[109,18446744073709551615]"),
            ("\"clean\"", "\"cleaner\": 1, \"clean\""),
            ("\"next\": 120", "\"next\": 1"),
        ] {
            let changed = summed.replace(old, new);
            let refused =
                Checkpoint::decode(format!("{changed}{}", checksum_line(changed.as_bytes())).as_bytes())
                    .unwrap_err();
            assert_eq!(refused.position, 0, "{new}: {}", refused.what);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

        #[test]
        fn any_checkpoint_is_read_as_it_was_written(
            queue: String,
            (generation, frontier) in (any::<u64>(), 0..u64::MAX / 2),
            steps in prop::collection::vec((0..u64::MAX >> 40, 1..u64::MAX >> 40), 0..200),
            (beyond, clean, expiring) in (0..1000_u64, any::<bool>(), any::<bool>()),
            attempts: Vec<(u64, u64)>,
        ) {
            let mut below = frontier;
            let mut ranges = Vec::new();
            for (gap, count) in steps {
                ranges.push(below + gap..below + gap + count);
                below += gap + count;
            }
            let settled = Settled { frontier, ranges };
            let next = below + beyond;
            let checkpoint = Checkpoint { queue, generation, next, dispatched: below, clean, settled, attempts, expiring };
            prop_assert_eq!(Checkpoint::decode(&checkpoint.encode().unwrap()).unwrap(), checkpoint);
        }
    }
}
