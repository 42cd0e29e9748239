//! What publishers and consumers wait for: the first thing to know about a broker that is slow.
//!
//! Somebody nearly always waits for something at any one moment. What counts is what is still waited for a while later: so
//! [`Waits`] are taken twice, and only what was there both times is told.

use std::collections::BTreeSet;

use super::link::{LinkView, Opened};
use super::queue::{ConsumerWait, QueueView};
use crate::alarms::Alarm;
use crate::broker::Broker;
use crate::queue::Queue;

/// Names that a sentence gives as examples.
const EXAMPLES_MAX: usize = 3;
/// A delivery that is out for as long as this has a consumer that works slowly, or not at all.
const SLOW_ACKNOWLEDGEMENT_S: u64 = 10;

/// Something that is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wait {
    /// `publishers`, `consumers` or `messages`.
    pub(crate) who: &'static str,
    /// A word: `disk`, `memory`, `log`, `rate`, `prefetch`, `unacked`, `outbox`, `acknowledgements`, `consumers`.
    pub(crate) cause: &'static str,
    /// How many of them, or of their queues.
    pub(crate) count: usize,
    /// A sentence with examples.
    pub(crate) text: String,
}

/// Everything that is waited for at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waits {
    /// Queue, who, cause.
    queues: BTreeSet<(String, &'static str, &'static str)>,
    /// Names of connections whose publishes wait.
    publishers: Vec<String>,
    /// What memory is used for: the largest first, in bytes.
    holders: Vec<(u64, String)>,
    /// Names of connections that publish more than they may.
    throttled: Vec<String>,
    /// Names of connections that hold a delivery for long, and for how many seconds.
    slow: Vec<(String, u64)>,
}

/// Who waits at a queue, and for what. Takes the locks of consumers that have stalled.
pub(crate) fn queue_waits(view: &QueueView) -> Vec<(&'static str, &'static str)> {
    let mut waits = Vec::new();
    if view.publishers_waiting > 0 {
        waits.push(("publishers", "log"));
    }
    if view.unreadable {
        waits.push(("messages", "log"));
        return waits;
    }
    if view.ready == 0 || view.consumers_able > 0 {
        return waits;
    }
    if view.consumers == 0 {
        waits.push(("messages", "consumers"));
        return waits;
    }
    let causes: BTreeSet<ConsumerWait> = view
        .queue
        .consumers()
        .iter()
        .filter_map(|consumer| consumer.waits_for())
        .filter(|cause| *cause != ConsumerWait::Turn)
        .collect();
    waits.extend(causes.into_iter().map(|cause| ("consumers", cause.name())));
    waits
}

impl Waits {
    /// Looks at what was copied of queues and connections.
    pub(crate) fn of(queues: &[QueueView], links: &[LinkView]) -> Waits {
        let mut waits = Waits::default();
        for view in queues {
            waits.hold(view.held_bytes, || label(&view.queue));
            for (who, cause) in queue_waits(view) {
                waits.queues.insert((label(&view.queue), who, cause));
            }
        }
        for link in links {
            let name = || link.observed.opened().map(Opened::name).unwrap_or_default();
            waits.hold(link.pending_bytes as u64, || {
                format!("what {} has not read", name())
            });
            if link.observed.blocked.get() > 0 {
                waits.publishers.push(name());
            }
            if link.observed.throttled.get() > 0 {
                waits.throttled.push(name());
            }
            let oldest_s = link.observed.oldest_unsettled_s.get();
            if oldest_s >= SLOW_ACKNOWLEDGEMENT_S {
                waits.slow.push((name(), oldest_s));
            }
        }
        waits
            .slow
            .sort_by_key(|&(_, oldest_s)| std::cmp::Reverse(oldest_s));
        waits
    }

    /// Notes what memory is used for, if it is among the largest.
    fn hold(&mut self, bytes: u64, name: impl FnOnce() -> String) {
        let place = self.holders.partition_point(|(others, _)| *others >= bytes);
        if bytes > 0 && place < EXAMPLES_MAX {
            self.holders.insert(place, (bytes, name()));
            self.holders.truncate(EXAMPLES_MAX);
        }
    }

    /// What is waited for now and was then, the gravest first.
    pub(crate) fn since(&self, then: &Waits, broker: &Broker) -> Vec<Wait> {
        let mut found = Vec::new();
        self.add_alarms(broker, &mut found);
        let kept = |who, cause| {
            let of_both = self.queues.intersection(&then.queues);
            let queues = of_both.filter(|(_, of, what)| *of == who && *what == cause);
            queues.map(|(queue, _, _)| queue.as_str()).collect::<Vec<&str>>()
        };
        let mut add = |who, cause, tell: &str| {
            let queues = kept(who, cause);
            if !queues.is_empty() {
                let (count, names) = (queues.len(), examples(&queues));
                let text = format!("{tell}: {names}");
                found.push(Wait {
                    who,
                    cause,
                    count,
                    text,
                });
            }
        };
        add(
            "publishers",
            "log",
            "rings are full, because the log is not written as fast as messages come",
        );
        add(
            "messages",
            "log",
            "messages could not be read back, and nothing from there on is delivered (see `broker log verify`)",
        );
        add(
            "consumers",
            "prefetch",
            "messages are ready, and every consumer holds as many as its prefetch allows: consumers acknowledge too slowly, or \
             prefetch is too small",
        );
        add(
            "consumers",
            "outbox",
            "messages are ready, and no consumer's client reads as fast as it is written to",
        );
        add(
            "consumers",
            "unacked",
            "messages are ready, and connections leave as many bytes unacknowledged as they may",
        );
        if !self.throttled.is_empty() {
            let names: Vec<&str> = self.throttled.iter().map(String::as_str).collect();
            found.push(Wait {
                who: "publishers",
                cause: "rate",
                count: names.len(),
                text: format!("connections publish more than they may: {}", examples(&names)),
            });
        }
        if !self.slow.is_empty() {
            let names: Vec<String> = self
                .slow
                .iter()
                .map(|(name, oldest_s)| format!("{name} ({oldest_s} s)"))
                .collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            found.push(Wait {
                who: "consumers",
                cause: "acknowledgements",
                count: self.slow.len(),
                text: format!(
                    "deliveries are not acknowledged for a long time: {}",
                    examples(&names)
                ),
            });
        }
        let queues = kept("messages", "consumers");
        if !queues.is_empty() {
            found.push(Wait {
                who: "messages",
                cause: "consumers",
                count: queues.len(),
                text: format!("queues have messages and no consumer: {}", examples(&queues)),
            });
        }
        found
    }

    fn add_alarms(&self, broker: &Broker, found: &mut Vec<Wait>) {
        let blocked = || match self.publishers.is_empty() {
            true => "nobody publishes now".to_owned(),
            false => {
                let names: Vec<&str> = self.publishers.iter().map(String::as_str).collect();
                examples(&names)
            }
        };
        let mut add = |cause, reason: String| {
            let (count, text) = (self.publishers.len(), format!("{reason}: {}", blocked()));
            let who = "publishers";
            found.push(Wait {
                who,
                cause,
                count,
                text,
            });
        };
        if let Some(reason) = broker.store.poison_reason() {
            add(
                "log",
                format!("the log has failed, nothing persistent is taken until a restart ({reason})"),
            );
        }
        let alarms = &broker.alarms;
        if alarms.has(Alarm::Disk) {
            let limit = broker.limits.disk_free_min();
            add("disk", format!("less than {limit} bytes are free on the disk"));
        }
        if alarms.has(Alarm::Memory) {
            let (used, limit) = (alarms.memory_used(), alarms.memory_limit().unwrap_or(0));
            add(
                "memory",
                format!("the process has {used} bytes of memory, {limit} is the high watermark"),
            );
        }
        if broker.starved.any() {
            let (used, budget) = (broker.pool.bytes_used(), broker.pool.bytes_budget());
            let holders = self.holders.iter();
            let holders: Vec<String> = holders
                .map(|(bytes, name)| format!("{name} has {bytes}"))
                .collect();
            let holders = match holders.is_empty() {
                true => String::new(),
                false => format!(" ({})", holders.join(", ")),
            };
            let reason = format!("{used} bytes of the memory budget of {budget} are in use{holders}");
            add("memory", reason);
        }
    }
}

/// `queue 'orders' in '/'`.
fn label(queue: &Queue) -> String {
    let vhost = queue.vhost();
    let vhost = vhost.as_ref().map_or("", |vhost| vhost.name());
    format!("queue '{}' in '{vhost}'", queue.name())
}

/// Some names, and how many more there are.
fn examples(names: &[&str]) -> String {
    let shown = names
        .iter()
        .take(EXAMPLES_MAX)
        .copied()
        .collect::<Vec<&str>>()
        .join(", ");
    match names.len().saturating_sub(EXAMPLES_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_holders_of_memory_are_kept() {
        let mut waits = Waits::default();
        for (bytes, name) in [
            (5, "a"),
            (0, "nothing"),
            (9, "b"),
            (1, "c"),
            (7, "d"),
            (2, "e"),
            (9, "f"),
        ] {
            waits.hold(bytes, || name.to_owned());
        }
        let names: Vec<&str> = waits.holders.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(names, ["b", "f", "d"]);
    }

    #[test]
    fn only_some_names_are_given() {
        assert_eq!(examples(&["a", "b", "c"]), "a, b, c");
        assert_eq!(examples(&["a", "b", "c", "d", "e"]), "a, b, c and 2 more");
    }
}
