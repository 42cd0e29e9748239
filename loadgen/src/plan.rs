//! The plan: everything a driver needs to know, computed from scenario and seed before any work.
//!
//! A pure function: the same scenario, seed and tag give the same queues, schedules and bytes.

use std::sync::Arc;

use crate::body::STAMP_BYTES;
use crate::faults::{PlannedFault, planned};
use crate::random::{self, SplitMix64};
use crate::rate_curve::RateCurve;
use crate::scenario::{Arrivals, Load, QueueNames, Routing, Scenario};
use crate::schedule::{Schedule, Timetable};
use crate::variety::Variety;
use crate::work::WorkTimes;

const NS_PER_S: f64 = 1e9;
/// Keeps the phase of the bursts apart from everything else that comes of the seed.
const BURSTS_SEED: u64 = 0x6275_7273_7473;
/// The same for the consumers' work.
const WORK_SEED: u64 = 0x776f_726b;

/// A scenario spelled out.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What was asked for.
    pub scenario: Scenario,
    /// The seed of the schedules' phases and of the filler.
    pub seed: u64,
    /// The exchange, if it is not the default one.
    pub exchange: Option<String>,
    /// How the queues are bound to it.
    pub bindings: Vec<Binding>,
    /// Routing keys, by index, where messages choose among them.
    pub keys: Vec<String>,
    /// Which message has which size and key.
    pub variety: Arc<Variety>,
    /// Queues, by index.
    pub queues: Vec<QueuePlan>,
    /// Producers, by id.
    pub producers: Vec<ProducerPlan>,
    /// Consumers, by id.
    pub consumers: Vec<ConsumerPlan>,
    /// The constant part of each body, after head and stamp.
    pub filler: Arc<[u8]>,
    /// What strikes within the measured window, in the order in which it does.
    pub faults: Vec<PlannedFault>,
}

/// A binding of the exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Index of the queue.
    pub queue: usize,
    /// Routing key, or pattern of a topic exchange.
    pub key: String,
}

/// A queue to declare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuePlan {
    /// Its name, unique to the run unless the scenario asks for fixed ones.
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
    /// The routing key of all its messages; unused when they choose among the plan's keys.
    pub routing_key: String,
    /// Ascending indices of the queues that must deliver each message (with keys: of those among which its key decides); none when
    /// nobody consumes.
    pub queues: Vec<usize>,
    /// How many messages it sends, when the run is counted.
    pub messages: Option<u64>,
    /// When it sends.
    pub schedule: Schedule,
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
    /// How long it works on each message, until the load ends; `None` = not at all.
    pub work: Option<WorkTimes>,
}

impl Plan {
    /// The queues that are the run's own, to be deleted after it: none with fixed names.
    #[must_use]
    pub fn own_queues(&self) -> &[QueuePlan] {
        match self.scenario.queue_names {
            QueueNames::PerRun => &self.queues,
            QueueNames::Fixed => &[],
        }
    }

    /// Whether messages that are in the queues already would be taken for the run's own: it consumes from queues with fixed names.
    #[must_use]
    pub fn needs_empty_queues(&self) -> bool {
        self.scenario.queue_names == QueueNames::Fixed && !self.consumers.is_empty() && !self.only_consumes()
    }

    /// Whether nobody sends: the queues stand already, and their messages are others'.
    #[must_use]
    pub fn only_consumes(&self) -> bool {
        self.producers.is_empty()
    }

    /// Spells `scenario` out. `run_tag` makes the names of queues and exchange unique to the run.
    #[must_use]
    pub fn new(scenario: &Scenario, seed: u64, run_tag: &str) -> Self {
        let mut random = SplitMix64::new(seed);
        let scheduler = Scheduler::new(scenario, seed);
        let kind = scenario.routing.exchange_kind();
        let exchange = kind.map(|kind| format!("loadgen.{run_tag}.{kind}"));
        let variety = Arc::new(Variety::new(scenario, seed));
        let queues: Vec<_> = (0..scenario.queues)
            .map(|index| QueuePlan {
                name: queue_name(scenario, index, run_tag),
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
                    schedule: scheduler.schedule(id, &mut random),
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
                work: work_times(scenario, seed, id),
            })
            .collect();
        let filler = (scenario.head_bytes() + STAMP_BYTES..variety.size_bytes_max())
            .map(|_| random.next() as u8)
            .collect();
        Self {
            scenario: scenario.clone(),
            seed,
            exchange,
            bindings: bindings(scenario, &variety),
            keys: (0..variety.keys().unwrap_or(0))
                .map(|key| routing_key(scenario, &variety, key))
                .collect(),
            variety,
            queues,
            producers,
            consumers,
            filler,
            faults: planned(scenario, seed),
        }
    }
}

impl Plan {
    /// Which of its faults ends the broker for the `incarnation`-th time; 0 when none does.
    #[must_use]
    pub fn fault_of_incarnation(&self, incarnation: u32) -> usize {
        let ends = self.faults.iter().enumerate();
        let mut ends = ends.filter(|(_, fault)| fault.kind().ends_the_broker());
        let nth = (incarnation as usize).saturating_sub(1);
        ends.nth(nth).map_or(0, |(index, _)| index)
    }
}

fn queue_name(scenario: &Scenario, index: u16, run_tag: &str) -> String {
    let Some(pattern) = &scenario.queue_pattern else {
        return format!("loadgen.{run_tag}.q{index}");
    };
    let name = pattern.replace("%d", &index.to_string());
    match scenario.queue_names {
        QueueNames::Fixed => name,
        QueueNames::PerRun => format!("{name}.{run_tag}"),
    }
}

/// Of a topic exchange: the queue's word, then the key's own.
fn routing_key(scenario: &Scenario, variety: &Variety, key: usize) -> String {
    match (scenario.routing, variety.queue_of_key(key)) {
        (Routing::Topic, Some(queue)) => format!("q{queue}.k{key}"),
        _ => format!("k{key}"),
    }
}

fn bindings(scenario: &Scenario, variety: &Variety) -> Vec<Binding> {
    let queues = 0..usize::from(scenario.queues);
    match scenario.routing {
        Routing::Queue => Vec::new(),
        Routing::Fanout => {
            let key = String::new;
            queues.map(|queue| Binding { queue, key: key() }).collect()
        }
        Routing::Topic => {
            let pattern = |queue| format!("q{queue}.*");
            let binding = |queue| Binding {
                queue,
                key: pattern(queue),
            };
            queues.map(binding).collect()
        }
        Routing::Direct => {
            let keys = 0..variety.keys().unwrap_or(0);
            let binding = |key| {
                let queue = variety.queue_of_key(key)?;
                let key = routing_key(scenario, variety, key);
                Some(Binding { queue, key })
            };
            keys.filter_map(binding).collect()
        }
    }
}

fn work_times(scenario: &Scenario, seed: u64, consumer: u16) -> Option<WorkTimes> {
    let by_rate = scenario.consume_rate_max.map(|rate| {
        let work_ns = NS_PER_S * f64::from(scenario.consumers) / rate as f64;
        WorkTimes::constant(work_ns)
    });
    let seed = random::at(seed ^ WORK_SEED, u64::from(consumer));
    by_rate.or_else(|| scenario.work_us.map(|work| WorkTimes::new(work, seed)))
}

/// The first producers take the remainder, so that the shares add up.
fn share(total: u64, producers: u16, producer: u16) -> u64 {
    let producers = u64::from(producers);
    total / producers + u64::from(u64::from(producer) < total % producers)
}

/// The schedules of all producers; their chance comes from `random`, one draw each.
struct Scheduler<'a> {
    scenario: &'a Scenario,
    /// The rate of all producers, and that of each.
    curves: Option<(Arc<RateCurve>, Arc<RateCurve>)>,
    /// All producers burst together.
    burst_phase: f64,
}

impl<'a> Scheduler<'a> {
    fn new(scenario: &'a Scenario, seed: u64) -> Self {
        let curves = scenario.rate_curve().map(|all| {
            let each = all.scaled(1.0 / f64::from(scenario.producers));
            (Arc::new(all), Arc::new(each))
        });
        Self {
            scenario,
            curves,
            burst_phase: SplitMix64::new(seed ^ BURSTS_SEED).fraction(),
        }
    }

    fn schedule(&self, producer: u16, random: &mut SplitMix64) -> Schedule {
        let producers = self.scenario.producers;
        if let Load::Saturating { in_flight } = self.scenario.load {
            let share = share(u64::from(in_flight), producers, producer);
            return Schedule::Saturating {
                in_flight: u32::try_from(share).expect("a share is at most the whole"),
            };
        }
        let (Some((all, each)), Some(arrivals)) = (&self.curves, self.scenario.load.arrivals()) else {
            return Schedule::Flood;
        };
        Schedule::OpenLoop(match arrivals {
            Arrivals::Constant => Timetable::even(Arc::clone(each), random.fraction()),
            Arrivals::Poisson => Timetable::random(Arc::clone(each), random.next()),
            Arrivals::Burst(burst) => {
                let part = share(burst, producers, producer);
                Timetable::bursts(Arc::clone(all), self.burst_phase, burst, part)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{KeyDistribution, Keys, built_in};

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
                Schedule::Flood | Schedule::OpenLoop(_) => unreachable!("a saturating scenario"),
            })
            .collect();
        assert_eq!(shares, [15, 15, 14, 14, 14, 14, 14]);
    }

    /// All instants of all producers in the first ten seconds, in ns.
    fn instants(scenario: &Scenario, seed: u64) -> Vec<Vec<u64>> {
        let producers = Plan::new(scenario, seed, "t").producers;
        let of_one = |producer: ProducerPlan| {
            let Schedule::OpenLoop(mut timetable) = producer.schedule else {
                panic!("an open loop")
            };
            let mut instants = Vec::new();
            while timetable.next_ns() < 10_000_000_000 {
                instants.push(timetable.next_ns());
                timetable.advance();
            }
            instants
        };
        producers.into_iter().map(of_one).collect()
    }

    #[test]
    fn producers_of_an_open_loop_add_up_to_the_rate_and_are_out_of_step() {
        let mut scenario = built_in("20p20c-latency").unwrap();
        let count = |scenario: &Scenario| instants(scenario, 1).iter().map(Vec::len).sum::<usize>();
        assert!(count(&scenario).abs_diff(2_500_000) <= 20);
        let mut first: Vec<_> = instants(&scenario, 1)
            .iter()
            .map(|instants| instants[0])
            .collect();
        assert!(first.iter().all(|&at_ns| at_ns < 80_000), "{first:?}");
        first.sort_unstable();
        first.dedup();
        assert!(first.len() > 15);
        scenario.load = Load::OpenLoop {
            rate: None,
            rate_per_producer: Some(1_000),
            arrivals: Arrivals::Poisson,
        };
        // Four standard deviations of a Poisson number.
        assert!(count(&scenario).abs_diff(200_000) < 4 * 447);
        assert_eq!(instants(&scenario, 5), instants(&scenario, 5));
        assert_ne!(instants(&scenario, 5), instants(&scenario, 6));
    }

    #[test]
    fn all_producers_burst_together_each_its_part() {
        let mut scenario = built_in("20p20c-latency").unwrap();
        scenario.producers = 3;
        scenario.load = Load::OpenLoop {
            rate: Some(1_000),
            rate_per_producer: None,
            arrivals: Arrivals::Burst(100),
        };
        let instants = instants(&scenario, 1);
        let lengths: Vec<_> = instants.iter().map(Vec::len).collect();
        assert_eq!(lengths, [3_400, 3_300, 3_300]);
        assert_eq!(instants[0][0], instants[0][33]);
        assert_eq!(instants[0][34] - instants[0][33], 100_000_000);
        assert!((0..3_300).all(|k| instants[1][k] == instants[2][k]));
        assert_eq!(
            (instants[1][0], instants[1][33]),
            (instants[0][0], instants[0][34])
        );
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
    fn keys_are_bound_to_the_queue_that_gets_their_messages() {
        let mut scenario = built_in("20p20c").unwrap();
        scenario.queues = 2;
        scenario.keys = Some(Keys {
            count: 3,
            distribution: KeyDistribution::Uniform,
        });
        let bound = |plan: &Plan| {
            let bindings = plan.bindings.iter();
            bindings.map(|it| (it.queue, it.key.clone())).collect::<Vec<_>>()
        };
        let pair = |queue, key: &str| (queue, key.to_owned());
        scenario.routing = Routing::Direct;
        let direct = Plan::new(&scenario, 1, "tag");
        assert_eq!(direct.exchange.as_deref(), Some("loadgen.tag.direct"));
        assert_eq!(bound(&direct), [pair(0, "k0"), pair(1, "k1"), pair(0, "k2")]);
        assert_eq!(direct.keys, ["k0", "k1", "k2"]);
        scenario.routing = Routing::Topic;
        let topic = Plan::new(&scenario, 1, "tag");
        assert_eq!(bound(&topic), [pair(0, "q0.*"), pair(1, "q1.*")]);
        assert_eq!(topic.keys, ["q0.k0", "q1.k1", "q0.k2"]);
    }

    #[test]
    fn queues_are_named_by_their_pattern() {
        let mut scenario = built_in("20p20c-20q").unwrap();
        scenario.queue_pattern = Some("load.%d.in".into());
        assert_eq!(Plan::new(&scenario, 1, "tag").queues[11].name, "load.11.in.tag");
        scenario.queue_names = QueueNames::Fixed;
        assert_eq!(Plan::new(&scenario, 1, "tag").queues[11].name, "load.11.in");
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
    fn the_filler_completes_the_body() {
        let mut scenario = built_in("20p20c").unwrap();
        for size in [16, 17, 1_024] {
            scenario.size_bytes = Some(size);
            assert_eq!(
                Plan::new(&scenario, 1, "t").filler.len() + STAMP_BYTES,
                size as usize
            );
        }
    }
}
