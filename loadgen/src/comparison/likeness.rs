//! Like with like: runs are paired only when load, driver, TLS and machine are the same; otherwise what differs is named.
//!
//! The driver is part of the load's hash.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::history::Line;
use crate::tls::TlsFigures;

/// Runs of one load on one machine, on both sides.
#[derive(Clone, Debug)]
pub struct Benchmark<'a> {
    /// The scenario's name.
    pub scenario: String,
    /// The load's hash.
    pub scenario_hash: String,
    /// Whether the machines differ, which was allowed.
    pub machines_differ: bool,
    /// Runs of the base.
    pub base: Vec<&'a Line>,
    /// Runs that are compared with them.
    pub new: Vec<&'a Line>,
}

/// Runs that cannot be compared, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// The scenario's name.
    pub scenario: String,
    /// What differs.
    pub reason: String,
}

/// What can be compared and what cannot.
#[derive(Clone, Debug, Default)]
pub struct Pairing<'a> {
    /// Comparable.
    pub benchmarks: Vec<Benchmark<'a>>,
    /// On both sides, but not alike.
    pub refusals: Vec<Refusal>,
    /// Scenarios without a run among the new ones.
    pub only_base: Vec<String>,
    /// Scenarios without a run in the base.
    pub only_new: Vec<String>,
}

/// Pairs runs by load and machine; with `any_machine` by load alone.
#[must_use]
pub fn pair<'a>(base: &[&'a Line], new: &[&'a Line], any_machine: bool) -> Pairing<'a> {
    let mut pairing = Pairing::default();
    let (base_loads, new_loads) = (by_load(base), by_load(new));
    for (load, base_runs) in &base_loads {
        let scenario = &base_runs[0].summary.scenario;
        match new_loads.get(load) {
            Some(new_runs) => pair_machines(&mut pairing, base_runs, new_runs, any_machine),
            None => match new.iter().find(|line| line.summary.scenario == *scenario) {
                Some(other) => pairing.refusals.push(Refusal {
                    scenario: scenario.clone(),
                    reason: load_difference(base_runs[0], other),
                }),
                None => pairing.only_base.push(scenario.clone()),
            },
        }
    }
    for (load, new_runs) in &new_loads {
        let scenario = &new_runs[0].summary.scenario;
        let is_known = base.iter().any(|line| line.summary.scenario == *scenario);
        if !base_loads.contains_key(load) && !is_known {
            pairing.only_new.push(scenario.clone());
        }
    }
    pairing.benchmarks.sort_by(|a, b| a.scenario.cmp(&b.scenario));
    pairing
}

/// The hash of a load, and what it was encrypted with.
type Load<'a> = (&'a str, String);

fn by_load<'a>(lines: &[&'a Line]) -> BTreeMap<Load<'a>, Vec<&'a Line>> {
    let mut loads: BTreeMap<Load<'_>, Vec<&Line>> = BTreeMap::new();
    for line in lines {
        let summary = &line.summary;
        let load = (summary.scenario_hash.as_str(), tls(line));
        loads.entry(load).or_default().push(line);
    }
    loads
}

fn tls(line: &Line) -> String {
    TlsFigures::describe_any(line.summary.tls.as_ref())
}

fn pair_machines<'a>(pairing: &mut Pairing<'a>, base: &[&'a Line], new: &[&'a Line], any_machine: bool) {
    let summary = &base[0].summary;
    let machines = |lines: &[&Line]| {
        let mut machines: Vec<String> = lines.iter().map(|line| line.environment.machine()).collect();
        machines.sort();
        machines.dedup();
        machines
    };
    let (of_base, of_new) = (machines(base), machines(new));
    let benchmark = |base: Vec<&'a Line>, new: Vec<&'a Line>, machines_differ: bool| Benchmark {
        scenario: summary.scenario.clone(),
        scenario_hash: summary.scenario_hash.clone(),
        machines_differ,
        base,
        new,
    };
    if any_machine {
        let differ = of_base != of_new || of_base.len() > 1;
        pairing
            .benchmarks
            .push(benchmark(base.to_vec(), new.to_vec(), differ));
        return;
    }
    let common: Vec<&String> = of_base
        .iter()
        .filter(|machine| of_new.contains(machine))
        .collect();
    for machine in &common {
        let on = |lines: &[&'a Line]| -> Vec<&'a Line> {
            let on = lines
                .iter()
                .filter(|line| line.environment.machine() == **machine);
            on.copied().collect()
        };
        pairing.benchmarks.push(benchmark(on(base), on(new), false));
    }
    if common.is_empty() {
        pairing.refusals.push(Refusal {
            scenario: summary.scenario.clone(),
            reason: format!(
                "the machines differ: {} against {}",
                of_base.join(" and "),
                of_new.join(" and ")
            ),
        });
    }
}

/// In what two loads of one name differ, as far as history lines tell.
fn load_difference(base: &Line, new: &Line) -> String {
    let mut differences = Vec::new();
    let (base_tls, new_tls) = (tls(base), tls(new));
    let (base, new) = (&base.summary, &new.summary);
    if base.scenario_hash != new.scenario_hash {
        differences.push(format!(
            "scenario_hash {} against {}",
            base.scenario_hash, new.scenario_hash
        ));
    }
    if base_tls != new_tls {
        differences.push(format!("TLS: {base_tls} against {new_tls}"));
    }
    if base.driver != new.driver {
        differences.push(format!(
            "driver {} against {}",
            base.driver.name(),
            new.driver.name()
        ));
    }
    if base.overrides != new.overrides {
        let shown = |overrides: &[String]| match overrides {
            [] => "none".into(),
            some => some.join(", "),
        };
        differences.push(format!(
            "overrides {} against {}",
            shown(&base.overrides),
            shown(&new.overrides)
        ));
    }
    format!("the loads differ: {}", differences.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;
    use crate::result::tests::run_result;
    use crate::scenario::DriverKind;

    fn line(scenario: &str) -> Line {
        Line::from(&run_result(scenario))
    }

    fn pair_one<'a>(base: &'a Line, new: &'a Line, any_machine: bool) -> Pairing<'a> {
        pair(&[base], &[new], any_machine)
    }

    #[test]
    fn equal_loads_on_one_machine_are_compared() {
        let (base, new) = (line("20p20c"), line("20p20c"));
        let pairing = pair_one(&base, &new, false);
        assert_eq!(pairing.benchmarks.len(), 1);
        assert!(!pairing.benchmarks[0].machines_differ && pairing.refusals.is_empty());
    }

    #[test]
    fn other_loads_of_the_same_name_are_refused_with_what_differs() {
        let (base, mut new) = (line("20p20c"), line("20p20c"));
        new.summary.scenario_hash = "other".into();
        new.summary.driver = DriverKind::Lapin;
        new.summary.overrides = vec!["size_bytes = 64".into()];
        let pairing = pair_one(&base, &new, true);
        assert!(pairing.benchmarks.is_empty());
        let reason = &pairing.refusals[0].reason;
        for expected in [
            "against other",
            "driver native against lapin",
            "overrides none against size_bytes = 64",
        ] {
            assert!(reason.contains(expected), "{reason}");
        }
    }

    #[test]
    fn a_run_over_tls_is_compared_with_none_without_or_of_another_kind() {
        let (plain, mut new) = (line("20p20c"), line("20p20c"));
        new.summary.tls = Some(fixtures::tls("TLSv1.3"));
        let pairing = pair_one(&plain, &new, true);
        assert!(pairing.benchmarks.is_empty() && pairing.only_new.is_empty());
        let expected = "the loads differ: TLS: plain TCP against TLSv1.3, SUITE, verify_peer";
        assert_eq!(pairing.refusals[0].reason, expected);
        let mut older = new.clone();
        assert_eq!(pair_one(&older, &new, false).benchmarks.len(), 1);
        older.summary.tls = Some(fixtures::tls("TLSv1.2"));
        assert_eq!(pair_one(&older, &new, false).refusals.len(), 1);
    }

    #[test]
    fn other_machines_are_refused_unless_allowed() {
        let (base, mut new) = (line("20p20c"), line("20p20c"));
        new.environment.cpu = "Another CPU".into();
        let pairing = pair_one(&base, &new, false);
        assert!(pairing.benchmarks.is_empty() && pairing.refusals[0].reason.contains("Another CPU"));
        let pairing = pair_one(&base, &new, true);
        assert!(pairing.benchmarks[0].machines_differ && pairing.refusals.is_empty());
    }

    #[test]
    fn what_is_on_one_side_only_is_listed() {
        let (base, new) = (line("20p20c"), line("fanout"));
        let pairing = pair_one(&base, &new, false);
        assert_eq!(
            (pairing.only_base, pairing.only_new),
            (vec!["20p20c".into()], vec!["fanout".into()])
        );
    }
}
