//! A broker is killed at any moment, again and again, on one directory: what it confirmed and nobody acknowledged is there.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeMap;

use support::{BrokerProcess, Client};
use wire::{FieldTable, Method};

/// Kills in one test.
const ROUNDS: u64 = 24;
const QUEUES: [&str; 2] = ["even", "odd"];
/// Messages that a round publishes at most.
const ROUND_MESSAGES: u64 = 400;

/// What the test knows of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Sent; the broker may have it or not.
    Sent,
    /// The broker must have it.
    Confirmed,
    /// An acknowledgement was sent: it may come again, flagged, or not.
    Acknowledged,
}

/// Steele, Lea and Flood's SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

fn number(body: &[u8]) -> u64 {
    u64::from_be_bytes(body[..8].try_into().unwrap())
}

#[test]
fn nothing_confirmed_is_lost_and_nothing_comes_again_unannounced() {
    for durability in ["sync", "write"] {
        kill_again_and_again(durability, 0x5eed_0001);
    }
}

fn kill_again_and_again(durability: &str, seed: u64) {
    println!("durability {durability}, seed {seed:#x}");
    // Small segments and rings, so that rolling, spilling, compaction and checkpoints happen all the time.
    let level = format!("--durability={durability}");
    let flags = [
        level.as_str(),
        "--segment-bytes=64KiB",
        "--ring-messages=64",
        "--offset-checkpoint-interval=100ms",
    ];
    let mut random = Random(seed);
    let mut broker = BrokerProcess::start(&flags);
    let mut fates: BTreeMap<u64, Fate> = BTreeMap::new();
    let mut sent = 0u64;
    for round in 0..ROUNDS {
        let mut publisher = Client::connect(&broker);
        for queue in QUEUES {
            publisher.declare_durable(1, queue, &FieldTable::new());
        }
        publisher.confirm_select(1);
        let mut consumer = Client::connect(&broker);
        consumer.qos(1, 20, false);
        consumer.consume(1, QUEUES[round as usize % 2], "c", false);
        let (first, goal) = (sent, random.below(ROUND_MESSAGES));
        let consumed_max = random.below(ROUND_MESSAGES);
        let mut confirmed = 0;
        let mut consumed = 0;
        while confirmed < goal {
            for _ in 0..1 + random.below(40) {
                let mut body = vec![sent as u8; 8 + random.below(2000) as usize];
                body[..8].copy_from_slice(&sent.to_be_bytes());
                publisher.publish_persistent(1, "", QUEUES[sent as usize % 2], &body);
                fates.insert(sent, Fate::Sent);
                sent += 1;
            }
            while confirmed < sent - first && confirmed < goal {
                match publisher.frame().method() {
                    Method::BasicAck { delivery_tag, .. } => {
                        for index in confirmed..delivery_tag {
                            let fate = fates.get_mut(&(first + index)).unwrap();
                            *fate = Fate::Confirmed.max_of(*fate);
                        }
                        confirmed = delivery_tag;
                    }
                    other => panic!("{other:?}"),
                }
            }
            while consumed < consumed_max.min(confirmed / 4) {
                let message = consumer.message();
                let (tag, redelivered) = message.tag();
                let number = number(&message.body);
                let fate = fates
                    .insert(number, Fate::Acknowledged)
                    .expect("a message that was sent");
                assert!(
                    fate != Fate::Acknowledged || redelivered,
                    "message {number} came again unannounced"
                );
                consumer.ack(1, tag, false);
                consumed += 1;
            }
        }
        broker.kill();
        broker.restart(&flags);
    }
    let mut client = Client::connect(&broker);
    for (index, queue) in QUEUES.into_iter().enumerate() {
        let mut last = None;
        while let Some(message) = client.get(1, queue) {
            let number = number(&message.body);
            assert_eq!(number as usize % 2, index);
            assert!(
                message.body[8..].iter().all(|&byte| byte == number as u8),
                "message {number} is damaged"
            );
            assert!(last < Some(number), "message {number} after {last:?}");
            last = Some(number);
            let fate = fates.remove(&number).expect("each message once");
            assert!(
                fate != Fate::Acknowledged || message.tag().1,
                "message {number} came again unannounced"
            );
        }
    }
    let lost: Vec<_> = fates
        .iter()
        .filter(|(_, fate)| **fate == Fate::Confirmed)
        .collect();
    assert!(lost.is_empty(), "confirmed and lost: {lost:?}");
}

impl Fate {
    /// An acknowledgement may come before the confirm.
    fn max_of(self, other: Fate) -> Fate {
        if other == Fate::Acknowledged { other } else { self }
    }
}
