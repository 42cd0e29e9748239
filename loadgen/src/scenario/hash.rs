//! The identity of a load: runs are comparable when their hashes are equal.

use super::{Scenario, Targets, Validity};

/// FNV-1a, 64 bits (offset basis and prime from Fowler, Noll and Vo): stable across builds and machines, unlike the
/// standard library's hashers. It tells loads apart; nobody attacks it.
const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// Hash of the scenario without its name, description, targets, conditions for ending it and validity, which do not change the load.
pub(super) fn load_hash(scenario: &Scenario) -> String {
    let load = Scenario {
        name: String::new(),
        description: String::new(),
        targets: Targets::default(),
        abort: Vec::new(),
        validity: Validity::default(),
        ..scenario.clone()
    };
    let canonical = serde_json::to_vec(&load).expect("a scenario is plain data");
    let hash = canonical.iter().fold(OFFSET_BASIS, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(PRIME)
    });
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use crate::scenario::built_in;

    #[test]
    fn same_load_same_hash() {
        let scenario = built_in("20p20c").unwrap();
        let mut renamed = scenario.clone();
        renamed.name = "other".into();
        renamed.targets.publish_rate_min = None;
        assert_eq!(scenario.hash(), renamed.hash());
        let mut longer = scenario.clone();
        longer.duration_s += 1.0;
        assert_ne!(scenario.hash(), longer.hash());
        assert_eq!(scenario.hash().len(), 16);
    }

    /// Fields that came later are left out of the hash while they change nothing, so that old runs stay comparable.
    #[test]
    fn hashes_of_known_loads_stay() {
        let known = [
            ("20p20c", "1644d2d506c31760"),
            ("20p20c-1k", "fc2407e31ef06656"),
            ("20p20c-latency", "e8fcd7be049edbc2"),
            ("fanout", "296c924df61bb06d"),
        ];
        for (name, hash) in known {
            assert_eq!(built_in(name).unwrap().hash(), hash, "{name}");
        }
    }
}
