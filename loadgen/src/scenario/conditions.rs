//! Checks of the texts that are expressions: targets over the summary, and conditions that end a hopeless run.

use super::{Fault, Scenario};
use crate::abort::AbortRule;
use crate::expression::Expression;
use crate::figures;

/// Figures that the window of a load decides, not the broker, unless the load is an open loop with ready consumers.
const LATENCIES: [&str; 2] = ["latency_us.", "service_latency_us."];

/// Finds the first text that is no expression, or that asks for what the load cannot tell.
pub(super) fn check(scenario: &Scenario) -> Result<(), Fault> {
    for (index, text) in scenario.targets.expressions.iter().enumerate() {
        let refused =
            |allowed: String| Fault::new(format!("targets.expressions[{index}]"), quoted(text), allowed);
        let expression = Expression::parse(text, figures::NAMES)
            .map_err(|error| refused(format!("a condition over the summary: {error}")))?;
        let latency = expression.figures().into_iter().find(|name| is_latency(name));
        if let (Some(name), Some(why)) = (latency, no_latency_target(scenario)) {
            return Err(refused(format!("a condition without {name}: {why}")));
        }
    }
    for (index, text) in scenario.abort.iter().enumerate() {
        AbortRule::parse(text).map_err(|error| {
            let allowed =
                format!("a condition over one second of the run, with or without \"for N s\": {error}");
            Fault::new(format!("abort[{index}]"), quoted(text), allowed)
        })?;
    }
    Ok(())
}

/// Whether an expression speaks of latency.
pub(super) fn is_of_latency(text: &str) -> bool {
    let expression = Expression::parse(text, figures::NAMES);
    expression.is_ok_and(|expression| expression.figures().into_iter().any(is_latency))
}

fn is_latency(name: &str) -> bool {
    LATENCIES.iter().any(|prefix| name.starts_with(prefix))
}

/// Why a latency can be no target, if so.
fn no_latency_target(scenario: &Scenario) -> Option<&'static str> {
    if !scenario.is_open_loop() {
        Some("unless the load is an open loop the window decides the latency (see METHOD.md)")
    } else if scenario.consumers == 0 || scenario.consume_rate_max.is_some() {
        Some("consumers that are slow or missing decide the latency")
    } else {
        None
    }
}

fn quoted(text: &str) -> String {
    format!("{text:?}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::built_in;

    fn refused(name: &str, change: impl FnOnce(&mut Scenario)) -> String {
        let mut scenario = built_in(name).unwrap();
        change(&mut scenario);
        let Fault {
            field,
            value,
            allowed,
        } = check(&scenario).unwrap_err();
        format!("{field} is {value}; allowed: {allowed}")
    }

    #[test]
    fn expressions_are_read_with_the_scenario() {
        let target = |text: &str| {
            refused("20p20c", |scenario| {
                scenario.targets.expressions = vec![text.into()]
            })
        };
        let typo = target("ledger.losst == 0");
        assert!(
            typo.starts_with(
                "targets.expressions[0] is \"ledger.losst == 0\"; allowed: a condition over the summary: "
            ) && typo.contains("the nearest are ledger.lost"),
            "{typo}"
        );
        assert!(target("latency_us.p99 < 1 ms").contains("unless the load is an open loop"));
        let abort = refused("20p20c", |scenario| {
            scenario.abort = vec!["backlog > 5 M".into(), "backlog > 5 lightyears".into()];
        });
        assert!(
            abort.starts_with("abort[1]") && abort.contains("lightyears is no unit"),
            "{abort}"
        );
    }

    #[test]
    fn good_ones_pass() {
        let mut scenario = built_in("20p20c-latency").unwrap();
        scenario.targets.expressions = vec![
            "latency_us.p99 <= 1 ms".into(),
            "cost.broker_cpu_us <= 0.5".into(),
        ];
        scenario.abort = vec!["response_p99_us > 2 s for 10 s".into()];
        assert_eq!(check(&scenario), Ok(()));
    }
}
