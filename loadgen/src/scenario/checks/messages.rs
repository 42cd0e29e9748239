//! What the messages are: their sizes, their keys, what stands before the stamp.

use crate::body::STAMP_BYTES;
use crate::scenario::{Fault, Scenario, Sizes};

/// Ready-made messages of the native driver's producers, all together.
const TEMPLATE_BYTES_MAX: f64 = (1_u64 << 30) as f64;

/// Finds the first combination that is not allowed.
pub(super) fn check(scenario: &Scenario) -> Result<(), Fault> {
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

/// Finds a size that has no room for what stands before the stamp.
pub(super) fn check_head(scenario: &Scenario) -> Result<(), Fault> {
    if scenario.body.is_some() {
        let size_bytes_min = (scenario.head_bytes() + STAMP_BYTES) as u32;
        let size_bytes = scenario.size_bytes.unwrap_or(0);
        if size_bytes < size_bytes_min {
            let found = scenario.size_bytes.map_or("null".into(), |size| size.to_string());
            let allowed = format!("at least {size_bytes_min} with body: PerfTest's 12 bytes and the stamp");
            return Err(Fault::new("size_bytes", found, allowed));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::perftest::BodyLayout;
    use crate::scenario::checks::{check, tests};
    use crate::scenario::{KeyDistribution, Keys, Routing, built_in};

    #[test]
    fn sizes_and_keys_fit_together() {
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
    }

    #[test]
    fn what_stands_before_the_stamp_needs_room() {
        assert_eq!(
            tests::refused(|s| (s.body, s.size_bytes) = (Some(BodyLayout::Perftest), Some(27))),
            tests::pair("size_bytes", "27")
        );
    }
}
