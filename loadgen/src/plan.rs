//! The plan: everything a driver needs to know, computed from scenario and seed before any work.
//!
//! A pure function: the same scenario, seed and tag give the same queues, schedules and bytes.

use std::sync::Arc;

use crate::body::STAMP_BYTES;
use crate::scenario::{BrokerFault, Load, Routing, Scenario};

const NS_PER_S: f64 = 1e9;
/// Keeps the moments of the kills apart from everything else that comes of the seed.
const KILLS_SEED: u64 = 0x6b69_6c6c_6564;

/// A scenario spelled out.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What was asked for.
    pub scenario: Scenario,
    /// The seed of the schedules' phases and of the filler.
    pub seed: u64,
    /// The fanout exchange, if there is one.
    pub exchange: Option<String>,
    /// Queues, by index.
    pub queues: Vec<QueuePlan>,
    /// Producers, by id.
    pub producers: Vec<ProducerPlan>,
    /// Consumers, by id.
    pub consumers: Vec<ConsumerPlan>,
    /// The constant part of each body, after the stamp.
    pub filler: Arc<[u8]>,
    /// When the broker is killed, in ns since the measured window began; ascending.
    pub kills_ns: Vec<u64>,
}

/// A queue to declare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuePlan {
    /// Its name, unique to the run.
    pub name: String,
    /// Whether it is durable.
    pub durable: bool,
}

/// One producer.
#[derive(Clone, Debug, PartialEq)]
pub struct ProducerPlan {
    /// Its index.
    pub id: u16,
    /// The exchange that it publishes to; empty for the default exchange.
    pub exchange: String,
    /// The routing key of all its messages.
    pub routing_key: String,
    /// Ascending indices of the queues that must deliver each message; none when nobody consumes.
    pub queues: Vec<usize>,
    /// How many messages it sends, when the run is counted.
    pub messages: Option<u64>,
    /// When it sends.
    pub schedule: Schedule,
}

/// When a producer sends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Schedule {
    /// Whenever fewer than its share of the window is sent and not yet consumed.
    Saturating {
        /// This producer's share, at least 1.
        in_flight: u32,
    },
    /// Whenever the broker reads (and confirms).
    Flood,
    /// Message *k* is due at `first_ns + k × interval_ns` after the load began; computed from *k*, so nothing drifts.
    OpenLoop {
        /// Instant of message 0: a seeded phase within one interval, so that producers do not send in step.
        first_ns: u64,
        /// Distance of two messages of this producer.
        interval_ns: f64,
    },
}

/// One consumer.
#[derive(Clone, Debug, PartialEq)]
pub struct ConsumerPlan {
    /// Its index.
    pub id: u16,
    /// Index of the queue that it reads.
    pub queue: usize,
    /// Unacknowledged messages that it may hold; 0 = no limit.
    pub prefetch: u16,
    /// Messages that one ack settles; 0 with `no_ack`.
    pub ack_every: u16,
    /// Whether the broker settles on delivery.
    pub no_ack: bool,
    /// Time that it takes to work off one message, in ns, until the load ends; `None` = none.
    pub work_ns: Option<f64>,
}

impl Plan {
    /// Spells `scenario` out. `run_tag` makes the names of queues and exchange unique to the run.
    #[must_use]
    pub fn new(scenario: &Scenario, seed: u64, run_tag: &str) -> Self {
        let mut random = SplitMix64(seed);
        let exchange = (scenario.routing == Routing::Fanout).then(|| format!("loadgen.{run_tag}.fanout"));
        let queues: Vec<_> = (0..scenario.queues)
            .map(|index| QueuePlan {
                name: format!("loadgen.{run_tag}.q{index}"),
                durable: scenario.durable,
            })
            .collect();
        let producers = (0..scenario.producers)
            .map(|id| {
                let queue = usize::from(id) % queues.len();
                ProducerPlan {
                    id,
                    exchange: exchange.clone().unwrap_or_default(),
                    routing_key: if exchange.is_some() {
                        String::new()
                    } else {
                        queues[queue].name.clone()
                    },
                    queues: if scenario.consumers == 0 {
                        vec![]
                    } else if exchange.is_some() {
                        (0..queues.len()).collect()
                    } else {
                        vec![queue]
                    },
                    messages: scenario
                        .messages
                        .map(|messages| share(messages, scenario.producers, id)),
                    schedule: schedule(scenario, id, &mut random),
                }
            })
            .collect();
        let consumers = (0..scenario.consumers)
            .map(|id| ConsumerPlan {
                id,
                queue: usize::from(id) % queues.len(),
                prefetch: scenario.prefetch,
                ack_every: scenario.ack_every,
                no_ack: scenario.ack_every == 0,
                work_ns: scenario
                    .consume_rate_max
                    .map(|rate| NS_PER_S * f64::from(scenario.consumers) / rate as f64),
            })
            .collect();
        let filler = (STAMP_BYTES..scenario.size_bytes as usize)
            .map(|_| random.next() as u8)
            .collect();
        Self {
            scenario: scenario.clone(),
            seed,
            exchange,
            queues,
            producers,
            consumers,
            filler,
            kills_ns: kills(scenario, seed),
        }
    }
}

/// The first producers take the remainder, so that the shares add up.
fn share(total: u64, producers: u16, producer: u16) -> u64 {
    let producers = u64::from(producers);
    total / producers + u64::from(u64::from(producer) < total % producers)
}

fn kills(scenario: &Scenario, seed: u64) -> Vec<u64> {
    let mut random = SplitMix64(seed ^ KILLS_SEED);
    let instants = scenario.faults.iter().map(|fault| {
        let BrokerFault::Kill {
            after_s: (from_s, to_s),
        } = *fault;
        ((from_s + (to_s - from_s) * random.fraction()) * NS_PER_S) as u64
    });
    instants.collect()
}

fn schedule(scenario: &Scenario, producer: u16, random: &mut SplitMix64) -> Schedule {
    match scenario.load {
        Load::Saturating { in_flight } => {
            let share = share(u64::from(in_flight), scenario.producers, producer);
            Schedule::Saturating {
                in_flight: u32::try_from(share).expect("a share is at most the whole"),
            }
        }
        Load::Flood {} => Schedule::Flood,
        Load::OpenLoop { rate } => {
            let interval_ns = NS_PER_S * f64::from(scenario.producers) / rate as f64;
            Schedule::OpenLoop {
                first_ns: (random.fraction() * interval_ns) as u64,
                interval_ns,
            }
        }
    }
}

/// Steele, Lea and Flood's SplitMix64 ("Fast splittable pseudorandom number generators", 2014).
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// 53 bits: a fraction in [0, 1) that an f64 holds exactly.
    fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::built_in;

    #[test]
    fn same_seed_same_plan() {
        let scenario = built_in("20p20c-latency").unwrap();
        let (one, same, other) = (
            Plan::new(&scenario, 7, "t"),
            Plan::new(&scenario, 7, "t"),
            Plan::new(&scenario, 8, "t"),
        );
        assert_eq!(one.producers, same.producers);
        assert_eq!(one.filler, same.filler);
        assert_ne!(one.producers, other.producers);
    }

    #[test]
    fn shares_of_the_window_add_up() {
        let mut scenario = built_in("20p20c").unwrap();
        (scenario.producers, scenario.queues, scenario.load) = (7, 1, Load::Saturating { in_flight: 100 });
        let shares: Vec<_> = Plan::new(&scenario, 1, "t")
            .producers
            .iter()
            .map(|producer| match producer.schedule {
                Schedule::Saturating { in_flight } => in_flight,
                Schedule::Flood | Schedule::OpenLoop { .. } => unreachable!("a saturating scenario"),
            })
            .collect();
        assert_eq!(shares, [15, 15, 14, 14, 14, 14, 14]);
    }

    #[test]
    fn producers_of_an_open_loop_add_up_to_the_rate_and_are_out_of_step() {
        let scenario = built_in("20p20c-latency").unwrap();
        let Load::OpenLoop { rate } = scenario.load else {
            panic!("an open loop")
        };
        let plan = Plan::new(&scenario, 1, "t");
        let mut total = 0.0;
        let mut phases = Vec::new();
        for producer in &plan.producers {
            let Schedule::OpenLoop {
                first_ns,
                interval_ns,
            } = producer.schedule
            else {
                panic!("an open loop")
            };
            assert!((first_ns as f64) < interval_ns);
            total += 1e9 / interval_ns;
            phases.push(first_ns);
        }
        assert!((total - rate as f64).abs() < 1e-3);
        phases.sort_unstable();
        phases.dedup();
        assert!(phases.len() > 15);
    }

    #[test]
    fn producers_and_consumers_are_dealt_over_the_queues() {
        let mut scenario = built_in("20p20c").unwrap();
        (scenario.producers, scenario.consumers, scenario.queues) = (5, 4, 2);
        let plan = Plan::new(&scenario, 1, "tag");
        let fed: Vec<_> = plan
            .producers
            .iter()
            .map(|producer| producer.queues.clone())
            .collect();
        assert_eq!(fed, [[0], [1], [0], [1], [0]]);
        assert_eq!(plan.producers[3].routing_key, "loadgen.tag.q1");
        assert_eq!(
            plan.consumers
                .iter()
                .map(|consumer| consumer.queue)
                .collect::<Vec<_>>(),
            [0, 1, 0, 1]
        );
    }

    #[test]
    fn a_fanout_reaches_every_queue() {
        let scenario = built_in("fanout").unwrap();
        let plan = Plan::new(&scenario, 1, "tag");
        let exchange = plan.exchange.as_deref().unwrap();
        let all: Vec<_> = (0..usize::from(scenario.queues)).collect();
        for producer in &plan.producers {
            assert_eq!((producer.exchange.as_str(), &producer.queues), (exchange, &all));
        }
    }

    #[test]
    fn what_nobody_consumes_is_expected_nowhere() {
        let plan = Plan::new(&built_in("backlog-fill").unwrap(), 1, "t");
        assert!(plan.consumers.is_empty());
        assert!(plan.producers.iter().all(|producer| producer.queues.is_empty()
            && producer.routing_key == "loadgen.t.q0"
            && producer.schedule == Schedule::Flood));
        let messages: u64 = plan.producers.iter().flat_map(|producer| producer.messages).sum();
        assert_eq!(messages, 10_000_000);
    }

    #[test]
    fn the_seed_decides_when_the_broker_is_killed() {
        let mut scenario = built_in("crash").unwrap();
        let after_s = |from, to| BrokerFault::Kill { after_s: (from, to) };
        scenario.faults = vec![after_s(0.5, 1.0), after_s(2.0, 2.0), after_s(2.0, 2.5)];
        let mut first = Vec::new();
        for seed in 0..100 {
            let kills_ns = Plan::new(&scenario, seed, "t").kills_ns;
            assert_eq!(kills_ns, Plan::new(&scenario, seed, "t").kills_ns);
            assert!(
                (500_000_000..1_000_000_000).contains(&kills_ns[0]),
                "{kills_ns:?}"
            );
            assert_eq!(kills_ns[1], 2_000_000_000);
            assert!(kills_ns.is_sorted());
            first.push(kills_ns[0]);
        }
        first.sort_unstable();
        // Consecutive seeds cover the range.
        assert!(first[9] < 600_000_000 && first[90] > 900_000_000, "{first:?}");
    }

    #[test]
    fn the_filler_completes_the_body() {
        let mut scenario = built_in("20p20c").unwrap();
        for size in [16, 17, 1_024] {
            scenario.size_bytes = size;
            assert_eq!(
                Plan::new(&scenario, 1, "t").filler.len() + STAMP_BYTES,
                size as usize
            );
        }
    }
}
