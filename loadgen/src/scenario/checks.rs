//! Checks across fields: combinations that cannot work, or that would measure something else than they say.

use super::{Arrivals, Fault, Load, QueueNames, QueueType, RatePhase, Routing, Scenario, Sizes, faults};
use crate::body::STAMP_BYTES;

/// Sequences are 32 bits a producer (see `body`).
const MESSAGES_PER_PRODUCER_MAX: f64 = u32::MAX as f64;
/// No generator on one core was seen to exceed this: bounds the sequence numbers of a saturating run.
const SATURATING_RATE_MAX: f64 = 16e6;
/// How exactly the phases of a profile must cover the window.
const PROFILE_TOLERANCE_S: f64 = 1e-6;

/// Finds the first combination that is not allowed.
pub(super) fn check(scenario: &Scenario) -> Result<(), Fault> {
    check_whether_anybody_sends(scenario)?;
    check_topology(scenario)?;
    check_queue_names(scenario)?;
    check_messages_variety(scenario)?;
    check_acks(scenario)?;
    check_load(scenario)?;
    check_course(scenario)?;
    faults::check(scenario)?;
    check_churn(scenario)?;
    check_targets(scenario)?;
    if scenario.body.is_some() {
        let size_bytes_min = (scenario.head_bytes() + STAMP_BYTES) as u32;
        let size_bytes = scenario.size_bytes.unwrap_or(0);
        if size_bytes < size_bytes_min {
            let found = scenario.size_bytes.map_or("null".into(), |size| size.to_string());
            let allowed = format!("at least {size_bytes_min} with body: PerfTest's 12 bytes and the stamp");
            return Err(Fault::new("size_bytes", found, allowed));
        }
    }
    if scenario.persistent && !scenario.durable {
        let allowed = "false, or durable = true: on a transient queue persistence means nothing";
        return Err(Fault::new("persistent", true, allowed));
    }
    if scenario.queue_type == Some(QueueType::Quorum) && !scenario.durable {
        let allowed = "classic, or durable = true: brokers refuse a quorum queue that is not durable";
        return Err(Fault::new("queue_type", "\"quorum\"", allowed));
    }
    Ok(())
}

/// Who only consumes takes what others have put into queues that stand already.
fn check_whether_anybody_sends(scenario: &Scenario) -> Result<(), Fault> {
    let sends = !matches!(scenario.load, Load::None {});
    if scenario.producers == 0 && sends {
        return Err(Fault::new("producers", 0, "at least 1, or load.shape = none"));
    }
    if sends {
        return Ok(());
    }
    let refused = |field: &str, found: String, allowed: &str| Err(Fault::new(field, found, allowed));
    if scenario.producers > 0 {
        let found = scenario.producers.to_string();
        return refused("producers", found, "0 when load.shape is none: nobody sends");
    }
    if scenario.consumers == 0 {
        return refused("consumers", "0".into(), "at least 1 when nobody sends");
    }
    if scenario.queue_names != QueueNames::Fixed || scenario.routing != Routing::Queue {
        let allowed =
            "fixed (and routing = queue) when nobody sends: only a queue that stands already holds messages";
        return refused("queue_names", "\"per_run\"".into(), allowed);
    }
    if let Some(messages) = scenario.messages {
        return refused(
            "messages",
            messages.to_string(),
            "null when nobody sends: the window ends by the clock",
        );
    }
    if let Some(rate) = scenario.targets.publish_rate_min {
        return refused(
            "targets.publish_rate_min",
            rate.to_string(),
            "null when nobody sends",
        );
    }
    Ok(())
}

fn check_topology(scenario: &Scenario) -> Result<(), Fault> {
    let Scenario {
        producers,
        consumers,
        queues,
        ..
    } = *scenario;
    if consumers > 0 && queues > consumers {
        let allowed = format!("at most consumers = {consumers}: a queue without a consumer never drains");
        return Err(Fault::new("queues", queues, allowed));
    }
    if scenario.routing == Routing::Queue && producers > 0 && queues > producers {
        let allowed = format!("at most producers = {producers}: a queue without a producer idles");
        return Err(Fault::new("queues", queues, allowed));
    }
    Ok(())
}

/// AMQP's limit is 255 octets; the rest is for the index and the run's tag.
const QUEUE_PATTERN_LEN_MAX: usize = 200;

fn check_queue_names(scenario: &Scenario) -> Result<(), Fault> {
    let Some(pattern) = &scenario.queue_pattern else {
        if scenario.queue_names == QueueNames::Fixed {
            let allowed = "per_run without queue_pattern, which says what the fixed names are";
            return Err(Fault::new("queue_names", "\"fixed\"", allowed));
        }
        return Ok(());
    };
    let indices = pattern.matches("%d").count();
    let allowed = if pattern.len() > QUEUE_PATTERN_LEN_MAX {
        format!("at most {QUEUE_PATTERN_LEN_MAX} octets")
    } else if indices > 1 || indices == 0 && scenario.queues > 1 {
        "a name with one %d in it, for the queue's index; with one queue it may be missing".to_owned()
    } else if pattern.starts_with("amq.") {
        "a name that does not begin with amq., which brokers keep for themselves".to_owned()
    } else if scenario.queue_names == QueueNames::Fixed && !scenario.faults.is_empty() {
        "nothing with fixed names when there are faults: the queues belong to the run".to_owned()
    } else {
        return Ok(());
    };
    Err(Fault::new("queue_pattern", format!("{pattern:?}"), allowed))
}

/// Ready-made messages of the native driver's producers, all together.
const TEMPLATE_BYTES_MAX: f64 = (1_u64 << 30) as f64;

fn check_messages_variety(scenario: &Scenario) -> Result<(), Fault> {
    match (scenario.size_bytes, &scenario.sizes) {
        (None, None) => {
            let allowed = "a whole number of octets, or sizes";
            return Err(Fault::new("size_bytes", "missing", allowed));
        }
        (Some(size), Some(_)) => {
            let allowed = "nothing when sizes is given: one of them says it all";
            return Err(Fault::new("size_bytes", size, allowed));
        }
        (None, Some(Sizes::Uniform(min, max))) if min > max => {
            let allowed = "two numbers, the lower one first";
            return Err(Fault::new("sizes.uniform", format!("[{min}, {max}]"), allowed));
        }
        (None, Some(Sizes::LogNormal { median, max, .. })) if median > max => {
            let allowed = format!("at most max = {max}");
            return Err(Fault::new("sizes.log_normal.median", median, allowed));
        }
        _ => {}
    }
    check_keys(scenario)?;
    let keys = scenario.keys.as_ref().map_or(1.0, |keys| f64::from(keys.count));
    let sizes = scenario.weighted_sizes();
    let bytes: f64 = sizes.iter().map(|(size, _)| f64::from(*size)).sum();
    let bytes = bytes * keys * f64::from(scenario.producers);
    if bytes > TEMPLATE_BYTES_MAX && sizes.len() as f64 * keys > 1.0 {
        let found = format!("{:.0} MiB of ready-made messages", bytes / f64::from(1 << 20));
        let allowed = "1024 MiB: one of each size for each key and producer";
        return Err(Fault::new("sizes", found, allowed));
    }
    Ok(())
}

fn check_keys(scenario: &Scenario) -> Result<(), Fault> {
    match &scenario.keys {
        None if scenario.routing.is_keyed() => {
            let allowed = "an object with count and distribution: they decide which queue gets a message";
            Err(Fault::new("keys", "missing", allowed))
        }
        Some(keys) if !scenario.routing.is_keyed() => {
            let allowed = "nothing unless routing is direct or topic";
            Err(Fault::new("keys", format!("{} keys", keys.count), allowed))
        }
        Some(keys) if keys.count < scenario.queues => {
            let allowed = format!(
                "at least queues = {}: a queue without a key idles",
                scenario.queues
            );
            Err(Fault::new("keys.count", keys.count, allowed))
        }
        _ => Ok(()),
    }
}

fn check_acks(scenario: &Scenario) -> Result<(), Fault> {
    let Scenario {
        consumers,
        prefetch,
        ack_every,
        ..
    } = *scenario;
    let slowness = scenario
        .consume_rate_max
        .map(|rate| ("consume_rate_max", rate.to_string()));
    let work = scenario
        .work_us
        .map(|work| ("work_us", format!("{} µs", work.mean_us())));
    if let (Some(_), Some((field, found))) = (&slowness, &work) {
        let allowed = "nothing when consume_rate_max is given: one of them says how slow the consumers are";
        return Err(Fault::new(*field, found, allowed));
    }
    if let Some((field, found)) = slowness.or(work) {
        let refused = |allowed: &str| Err(Fault::new(field, &found, allowed));
        if consumers == 0 {
            return refused("nothing when consumers = 0");
        }
        if prefetch == 0 || ack_every == 0 {
            return refused(
                "nothing when prefetch or ack_every is 0: only consumers that withhold acks are slow",
            );
        }
        if scenario
            .consume_rate_max
            .is_some_and(|rate| rate < u64::from(consumers))
        {
            let allowed = format!("at least consumers = {consumers}: one message a second each");
            return refused(&allowed);
        }
    }
    if ack_every == 0 && prefetch != 0 {
        let allowed =
            "0 when ack_every = 0: brokers ignore the prefetch of consumers that do not acknowledge";
        return Err(Fault::new("prefetch", prefetch, allowed));
    }
    if prefetch != 0 && ack_every > prefetch {
        let allowed =
            format!("at most prefetch = {prefetch}: the broker stops before the batch of acks is full");
        return Err(Fault::new("ack_every", ack_every, allowed));
    }
    Ok(())
}

fn check_load(scenario: &Scenario) -> Result<(), Fault> {
    let producers = f64::from(scenario.producers);
    let nobody_consumes = scenario.consumers == 0 || scenario.backlog_first;
    check_rates(scenario)?;
    let rate = match &scenario.load {
        Load::Saturating { .. } if nobody_consumes => {
            let allowed = "flood, or open_loop, when nobody consumes while the load runs: the window would never open again";
            return Err(Fault::new("load.shape", "saturating", allowed));
        }
        &Load::Saturating { in_flight } => {
            if in_flight < u32::from(scenario.producers) {
                let allowed = format!("at least producers = {producers}: each needs one message in flight");
                return Err(Fault::new("load.in_flight", in_flight, allowed));
            }
            SATURATING_RATE_MAX
        }
        Load::Flood {} => SATURATING_RATE_MAX,
        Load::None {} => return Ok(()),
        Load::OpenLoop { .. } | Load::Profile { .. } => mean_rate_of_all(scenario),
    };
    if let Some(messages) = scenario.messages {
        return check_messages(scenario, messages);
    }
    let seconds = scenario.warmup_s + scenario.duration_s;
    let seconds_max = MESSAGES_PER_PRODUCER_MAX * producers / rate;
    if seconds > seconds_max {
        let allowed = format!(
            "less than {:.0} with warmup_s, so that no producer exceeds 2^32 messages at {rate:.0}/s in all",
            seconds_max
        );
        return Err(Fault::new("duration_s", scenario.duration_s, allowed));
    }
    Ok(())
}

/// Over warm-up and window.
fn mean_rate_of_all(scenario: &Scenario) -> f64 {
    let seconds = scenario.warmup_s + scenario.duration_s;
    let count = scenario.rate_curve().map(|curve| curve.count_at(seconds));
    count.unwrap_or_default() / seconds
}

fn check_rates(scenario: &Scenario) -> Result<(), Fault> {
    let producers = u64::from(scenario.producers);
    match &scenario.load {
        Load::OpenLoop {
            rate: None,
            rate_per_producer: None,
            ..
        } => {
            let allowed = "a whole number of messages a second, all producers together, or rate_per_producer";
            return Err(Fault::new("load.rate", "missing", allowed));
        }
        Load::OpenLoop {
            rate: Some(_),
            rate_per_producer: Some(each),
            ..
        } => {
            let allowed = "nothing when rate is given: one of them says it all";
            return Err(Fault::new("load.rate_per_producer", each, allowed));
        }
        Load::Profile { phases, .. } => check_phases(phases, scenario.duration_s)?,
        Load::OpenLoop { .. } | Load::Saturating { .. } | Load::Flood {} | Load::None {} => {}
    }
    if let Some(Arrivals::Burst(burst)) = scenario.load.arrivals().filter(|_| producers > 0)
        && burst < producers
    {
        let allowed = format!("at least producers = {producers}: each sends its part of every burst");
        return Err(Fault::new("load.arrivals.burst", burst, allowed));
    }
    Ok(())
}

fn check_phases(phases: &[RatePhase], duration_s: f64) -> Result<(), Fault> {
    let ends = phases.iter().map(|phase| phase.ends());
    let (length_s, rate_max) = ends.fold((0.0, 0.0), |(length_s, rate_max), (from, to, for_s)| {
        (length_s + for_s, f64::max(rate_max, from.max(to)))
    });
    if (length_s - duration_s).abs() > PROFILE_TOLERANCE_S {
        let found = format!("{length_s} s long in all");
        let allowed = format!("as long as the window: duration_s = {duration_s}");
        return Err(Fault::new("load.phases", found, allowed));
    }
    if rate_max == 0.0 {
        let allowed = "a rate above 0 in one of them";
        return Err(Fault::new("load.phases", "without any message", allowed));
    }
    Ok(())
}

fn check_messages(scenario: &Scenario, messages: u64) -> Result<(), Fault> {
    let producers = u64::from(scenario.producers);
    if scenario.is_open_loop() {
        let allowed = "null in an open loop, which ends by the clock (duration_s)";
        return Err(Fault::new("messages", messages, allowed));
    }
    let messages_max = u64::from(u32::MAX) * producers;
    if !(producers..=messages_max).contains(&messages) {
        let allowed = format!("from producers = {producers} to 2^32 - 1 for each of them");
        return Err(Fault::new("messages", messages, allowed));
    }
    Ok(())
}

/// Runs whose phases end when their work is done.
fn check_course(scenario: &Scenario) -> Result<(), Fault> {
    let Scenario { warmup_s, .. } = *scenario;
    if !scenario.backlog_first {
        if scenario.messages.is_some() && warmup_s > 0.0 {
            let allowed = "0 when messages are counted: all of them are measured";
            return Err(Fault::new("warmup_s", warmup_s, allowed));
        }
        return Ok(());
    }
    let refused = |allowed| Err(Fault::new("backlog_first", true, allowed));
    if scenario.messages.is_none() {
        return refused("false without messages: only a counted backlog is complete at some time");
    }
    if scenario.consumers == 0 {
        return refused("false when consumers = 0: nobody drains the backlog");
    }
    if scenario.work_rate_max().is_some() {
        return refused(
            "false with consume_rate_max or work_us: the window measures how fast the backlog drains",
        );
    }
    if warmup_s <= 0.0 {
        let allowed = "more than 0 when backlog_first is true: it is the time that the fill may take";
        return Err(Fault::new("warmup_s", warmup_s, allowed));
    }
    Ok(())
}

fn check_churn(scenario: &Scenario) -> Result<(), Fault> {
    let Some(churn) = scenario.churn else {
        return Ok(());
    };
    let allowed = if churn.rates().next().is_none() {
        "an object with at least one of connections_per_s, channels_per_s, queues_per_s"
    } else if !scenario.faults.is_empty() {
        "nothing when there are faults: what they break would count as the churn's errors"
    } else {
        return Ok(());
    };
    let rates = churn
        .rates()
        .map(|(kind, rate)| format!("{rate} {}", kind.name()));
    let found = rates.collect::<Vec<_>>().join(", ");
    let found = if found.is_empty() {
        "empty".to_owned()
    } else {
        found
    };
    Err(Fault::new("churn", found, allowed))
}

fn check_targets(scenario: &Scenario) -> Result<(), Fault> {
    let targets = &scenario.targets;
    check_latency_target(scenario)?;
    if let Some(lag) = targets
        .schedule_lag_p99_us_max
        .filter(|_| !scenario.is_open_loop())
    {
        let allowed = "null unless the load is an open loop: nothing else has a schedule";
        return Err(Fault::new("targets.schedule_lag_p99_us_max", lag, allowed));
    }
    if let Some(rate) = targets.publish_rate_min.filter(|_| scenario.backlog_first) {
        let allowed = "null when backlog_first is true: nothing is sent within the window";
        return Err(Fault::new("targets.publish_rate_min", rate, allowed));
    }
    let publish_rate_max = scenario.offered_rate_mean().unwrap_or(f64::INFINITY);
    let copies = f64::from(scenario.copies());
    let consume_rate_max = match (scenario.consumers, scenario.work_rate_max()) {
        (0, _) => 0.0,
        (_, Some(limit)) => limit,
        (_, None) => publish_rate_max * copies,
    };
    let limits = [
        (
            "targets.publish_rate_min",
            targets.publish_rate_min,
            publish_rate_max,
        ),
        (
            "targets.consume_rate_min",
            targets.consume_rate_min,
            consume_rate_max,
        ),
    ];
    for (field, target, rate_max) in limits {
        if let Some(target) = target.filter(|&target| target > rate_max) {
            let allowed = format!("at most {rate_max}: the scenario never makes more");
            return Err(Fault::new(field, target, allowed));
        }
    }
    Ok(())
}

fn check_latency_target(scenario: &Scenario) -> Result<(), Fault> {
    let Some(latency) = scenario.targets.latency_p99_us_max else {
        return Ok(());
    };
    let allowed = if !scenario.is_open_loop() {
        "null unless the load is an open loop: otherwise the window decides the latency (see METHOD.md)"
    } else if scenario.consumers == 0 || scenario.work_rate_max().is_some() {
        "null when the consumers are slow or missing: they decide the latency"
    } else {
        return Ok(());
    };
    Err(Fault::new("targets.latency_p99_us_max", latency, allowed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::perftest::BodyLayout;
    use crate::scenario::{KeyDistribution, Keys, built_in};
    use crate::work::WorkUs;

    fn refused(change: impl FnOnce(&mut Scenario)) -> (String, String) {
        let mut scenario = built_in("20p20c").unwrap();
        change(&mut scenario);
        let fault = check(&scenario).unwrap_err();
        (fault.field, fault.value)
    }

    #[test]
    fn nonsense_is_refused() {
        let pair = |field: &str, value: &str| (field.to_string(), value.to_string());
        assert_eq!(refused(|s| s.ack_every = 2_000), pair("ack_every", "2000"));
        assert_eq!(refused(|s| s.ack_every = 0), pair("prefetch", "1000"));
        assert_eq!(refused(|s| s.queues = 21), pair("queues", "21"));
        assert_eq!(refused(|s| (s.producers, s.queues) = (3, 5)), pair("queues", "5"));
        assert_eq!(refused(|s| s.persistent = true), pair("persistent", "true"));
        assert_eq!(
            refused(|s| (s.body, s.size_bytes) = (Some(BodyLayout::Perftest), Some(27))),
            pair("size_bytes", "27")
        );
        assert_eq!(
            refused(|s| s.queue_type = Some(QueueType::Quorum)),
            pair("queue_type", "\"quorum\"")
        );
        assert_eq!(
            refused(|s| s.load = Load::Saturating { in_flight: 19 }),
            pair("load.in_flight", "19")
        );
        assert_eq!(
            refused(|s| s.targets.latency_p99_us_max = Some(1_000.0)),
            pair("targets.latency_p99_us_max", "1000")
        );
        assert_eq!(
            refused(|s| s.load = Load::open_loop(700_000)),
            pair("targets.publish_rate_min", "750000")
        );
        assert_eq!(
            refused(|s| (s.producers, s.duration_s) = (1, 300.0)),
            pair("duration_s", "300")
        );
    }

    #[test]
    fn an_open_loop_has_one_rate_and_a_profile_covers_the_window() {
        let refused = |load: &str| {
            let mut scenario = built_in("20p20c-latency").unwrap();
            (scenario.duration_s, scenario.targets.publish_rate_min) = (60.0, None);
            scenario.targets.consume_rate_min = None;
            scenario.load = serde_json::from_str(load).unwrap();
            let fault = check(&scenario).unwrap_err();
            format!("{} is {}", fault.field, fault.value)
        };
        assert_eq!(refused(r#"{"shape": "open_loop"}"#), "load.rate is missing");
        assert_eq!(
            refused(r#"{"shape": "open_loop", "rate": 5, "rate_per_producer": 6}"#),
            "load.rate_per_producer is 6"
        );
        assert_eq!(
            refused(r#"{"shape": "open_loop", "rate": 500, "arrivals": {"burst": 19}}"#),
            "load.arrivals.burst is 19"
        );
        assert_eq!(
            refused(r#"{"shape": "profile", "phases": [{"rate": 5, "for_s": 59.5}]}"#),
            "load.phases is 59.5 s long in all"
        );
        assert_eq!(
            refused(r#"{"shape": "profile", "phases": [{"rate": 0, "for_s": 60}]}"#),
            "load.phases is without any message"
        );
    }

    #[test]
    fn who_only_consumes_takes_from_queues_that_stand() {
        let refused = |change: fn(&mut Scenario)| {
            let mut scenario = built_in("20p20c").unwrap();
            scenario.targets.publish_rate_min = None;
            (scenario.load, scenario.producers) = (Load::None {}, 0);
            (scenario.queue_names, scenario.queue_pattern) = (QueueNames::Fixed, Some("load".into()));
            assert_eq!(check(&scenario), Ok(()));
            assert!(!scenario.measures_latency());
            change(&mut scenario);
            check(&scenario).unwrap_err().field
        };
        assert_eq!(refused(|s| s.load = Load::Flood {}), "producers");
        assert_eq!(refused(|s| s.producers = 1), "producers");
        assert_eq!(refused(|s| s.consumers = 0), "consumers");
        assert_eq!(refused(|s| s.queue_names = QueueNames::PerRun), "queue_names");
        assert_eq!(refused(|s| s.messages = Some(50)), "messages");
        assert_eq!(
            refused(|s| s.targets.publish_rate_min = Some(1.0)),
            "targets.publish_rate_min"
        );
        assert_eq!(refused(|s| s.backlog_first = true), "backlog_first");
    }

    #[test]
    fn sizes_keys_and_names_fit_together() {
        let refused = |change: fn(&mut Scenario)| {
            let mut scenario = built_in("20p20c").unwrap();
            scenario.queues = 4;
            change(&mut scenario);
            let fault = check(&scenario).unwrap_err();
            format!("{} is {}", fault.field, fault.value)
        };
        let keys = |count| {
            Some(Keys {
                count,
                distribution: KeyDistribution::Uniform,
            })
        };
        assert_eq!(refused(|s| s.size_bytes = None), "size_bytes is missing");
        assert_eq!(
            refused(|s| s.sizes = Some(Sizes::Uniform(16, 20))),
            "size_bytes is 16"
        );
        assert_eq!(
            refused(|s| (s.size_bytes, s.sizes) = (None, Some(Sizes::Uniform(20, 16)))),
            "sizes.uniform is [20, 16]"
        );
        assert_eq!(
            refused(|s| (s.size_bytes, s.sizes) = (None, Some(Sizes::Uniform(16, 16 << 20)))),
            "sizes is 10240 MiB of ready-made messages"
        );
        assert_eq!(refused(|s| s.routing = Routing::Topic), "keys is missing");
        let mut scenario = built_in("20p20c").unwrap();
        (scenario.queues, scenario.keys) = (4, keys(9));
        assert_eq!(check(&scenario).unwrap_err().field, "keys");
        (scenario.routing, scenario.keys) = (Routing::Direct, keys(3));
        assert_eq!(check(&scenario).unwrap_err().field, "keys.count");
        scenario.keys = keys(4);
        assert_eq!(check(&scenario), Ok(()));
        assert_eq!(
            refused(|s| s.queue_names = QueueNames::Fixed),
            "queue_names is \"fixed\""
        );
        for bad in ["load", "a.%d.%d", "amq.%d"] {
            let mut scenario = built_in("20p20c-20q").unwrap();
            scenario.queue_pattern = Some(bad.into());
            assert_eq!(check(&scenario).unwrap_err().field, "queue_pattern", "{bad}");
        }
    }

    #[test]
    fn a_backlog_needs_a_count_and_a_load_that_does_not_wait_for_consumers() {
        let refused = |change: fn(&mut Scenario)| {
            let mut scenario = built_in("backlog-drain").unwrap();
            change(&mut scenario);
            let fault = check(&scenario).unwrap_err();
            format!("{} is {}", fault.field, fault.value)
        };
        assert_eq!(
            refused(|s| s.load = Load::Saturating { in_flight: 1_000 }),
            "load.shape is saturating"
        );
        assert_eq!(refused(|s| s.messages = None), "backlog_first is true");
        assert_eq!(refused(|s| s.messages = Some(19)), "messages is 19");
        assert_eq!(
            refused(|s| s.messages = Some(u64::MAX)),
            format!("messages is {}", u64::MAX)
        );
        assert_eq!(refused(|s| s.load = Load::open_loop(9)), "messages is 10000000");
        assert_eq!(refused(|s| s.consumers = 0), "backlog_first is true");
        assert_eq!(
            refused(|s| s.consume_rate_max = Some(99)),
            "backlog_first is true"
        );
        assert_eq!(refused(|s| s.warmup_s = 0.0), "warmup_s is 0");
        assert_eq!(
            refused(|s| (s.backlog_first, s.warmup_s) = (false, 5.0)),
            "warmup_s is 5"
        );
        assert_eq!(
            refused(|s| s.targets.publish_rate_min = Some(1.0)),
            "targets.publish_rate_min is 1"
        );
        assert_eq!(
            self::refused(|s| s.consumers = 0),
            ("load.shape".into(), "saturating".into())
        );
    }

    #[test]
    fn slow_consumers_withhold_acks_and_decide_the_latency() {
        let refused = |change: fn(&mut Scenario)| {
            let mut scenario = built_in("slow-consumer").unwrap();
            change(&mut scenario);
            check(&scenario).unwrap_err().field
        };
        assert_eq!(
            refused(|s| (s.prefetch, s.ack_every) = (0, 0)),
            "consume_rate_max"
        );
        assert_eq!(refused(|s| s.consume_rate_max = Some(3)), "consume_rate_max");
        assert_eq!(refused(|s| s.work_us = Some(WorkUs::Constant(5.0))), "work_us");
        assert_eq!(
            refused(|s| (s.consume_rate_max, s.work_us) = (None, Some(WorkUs::Exponential(500.0)))),
            "targets.consume_rate_min"
        );
        assert_eq!(refused(|s| s.consumers = 0), "consume_rate_max");
        assert_eq!(
            refused(|s| s.targets.latency_p99_us_max = Some(1e6)),
            "targets.latency_p99_us_max"
        );
        assert_eq!(
            refused(|s| s.targets.consume_rate_min = Some(50_001.0)),
            "targets.consume_rate_min"
        );
    }

    #[test]
    fn a_fanout_may_have_more_queues_than_producers() {
        let mut scenario = built_in("20p20c").unwrap();
        (scenario.routing, scenario.producers, scenario.queues) = (Routing::Fanout, 1, 20);
        assert_eq!(check(&scenario), Ok(()));
        assert_eq!(scenario.copies(), 20);
    }
}
