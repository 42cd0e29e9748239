//! The table of all scenario fields: type, range, and whether they may be absent.

use serde_json::Value;

use super::allowed::{Allowed, Field, Variants, check_object, optional, required, shorten};
use super::sizes::SIZES_MAX;
use super::{Fault, SIZE_BYTES_MAX};

const DURATION_S_MAX: f64 = 36_000.0;
const FAULTS_MAX: usize = 100;
/// Targets that are expressions, or conditions that end a run.
const EXPRESSIONS_MAX: usize = 100;
const PHASES_MAX: usize = 100;
/// Messages a second; no generator makes more.
const RATE_MAX: u64 = 20_000_000;

pub(super) const SCENARIO: &[Field] = &[
    required("name", Allowed::Name),
    required("description", Allowed::Text),
    optional("driver", Allowed::OneOf(&["native", "lapin"])),
    required("producers", Allowed::Integer(0, 1_000)),
    required("consumers", Allowed::Integer(0, 1_000)),
    required("queues", Allowed::Integer(1, 1_000)),
    optional("routing", Allowed::OneOf(&["queue", "fanout", "direct", "topic"])),
    optional("keys", Allowed::Fields(KEYS)),
    optional("queue_pattern", Allowed::Text),
    optional("queue_names", Allowed::OneOf(&["per_run", "fixed"])),
    optional("size_bytes", SIZE),
    optional("sizes", SIZES),
    optional("body", Allowed::OneOf(&["perftest", "perftest_millis"])),
    required("load", Allowed::Variant("shape", LOAD)),
    optional("messages", Allowed::IntegerOrNull(1, 1 << 42)),
    optional("backlog_first", Allowed::Flag),
    required("duration_s", Allowed::Number(0.1, DURATION_S_MAX)),
    required("warmup_s", Allowed::Number(0.0, 3_600.0)),
    optional("drain_s", Allowed::Number(0.1, 3_600.0)),
    required("prefetch", Allowed::Integer(0, u16::MAX as u64)),
    required("ack_every", Allowed::Integer(0, u16::MAX as u64)),
    optional("ack_flush_ms", Allowed::Integer(0, 60_000)),
    optional("consume_rate_max", Allowed::IntegerOrNull(1, RATE_MAX)),
    optional("work_us", WORK),
    optional("confirm_window", Allowed::IntegerOrNull(1, 1_000_000)),
    optional("persistent", Allowed::Flag),
    optional("durable", Allowed::Flag),
    optional("queue_type", Allowed::OneOf(&["classic", "quorum"])),
    optional("churn", Allowed::Fields(CHURN)),
    optional("faults", Allowed::Each(FAULTS_MAX, "kind", FAULTS)),
    optional("recovered_p99_us_max", Allowed::NumberOrNull(1.0, 60e6)),
    optional("targets", Allowed::Fields(TARGETS)),
    optional("abort", Allowed::Texts(EXPRESSIONS_MAX)),
    optional("validity", Allowed::Fields(VALIDITY)),
];

const SIZE: Allowed = Allowed::Integer(16, SIZE_BYTES_MAX as u64);

const SIZES: Allowed = Allowed::Choice(
    &[],
    &[
        ("uniform", Allowed::Tuple(&[SIZE, SIZE])),
        (
            "choices",
            Allowed::List(
                SIZES_MAX,
                &Allowed::Tuple(&[SIZE, Allowed::Integer(1, 1_000_000)]),
            ),
        ),
        ("log_normal", Allowed::Fields(LOG_NORMAL)),
    ],
);

const LOG_NORMAL: &[Field] = &[
    required("median", SIZE),
    required("sigma", Allowed::Number(0.01, 5.0)),
    required("max", SIZE),
];

const KEYS: &[Field] = &[
    required("count", Allowed::Integer(1, 1_000)),
    required(
        "distribution",
        Allowed::Choice(&["uniform"], &[("zipf", Allowed::Number(0.0, 10.0))]),
    ),
];

const WORK: Allowed = Allowed::Choice(&[], &[("constant", WORK_US), ("exponential", WORK_US)]);
const WORK_US: Allowed = Allowed::Number(0.1, 60e6);

const LOAD: Variants = &[
    (
        "saturating",
        &[required("in_flight", Allowed::Integer(1, 10_000_000))],
    ),
    (
        "open_loop",
        &[
            optional("rate", Allowed::Integer(1, RATE_MAX)),
            optional("rate_per_producer", Allowed::Integer(1, RATE_MAX)),
            optional("arrivals", ARRIVALS),
        ],
    ),
    (
        "profile",
        &[
            required("phases", Allowed::List(PHASES_MAX, &Allowed::Shapes(PHASE))),
            optional("arrivals", ARRIVALS),
        ],
    ),
    ("flood", &[]),
    ("none", &[]),
];

const ARRIVALS: Allowed = Allowed::Choice(
    &["constant", "poisson"],
    &[("burst", Allowed::Integer(1, 10_000_000))],
);

const PHASE: &[&[Field]] = &[
    &[
        required("rate", Allowed::Integer(0, RATE_MAX)),
        required("for_s", Allowed::Number(0.001, DURATION_S_MAX)),
    ],
    &[
        required("from", Allowed::Integer(0, RATE_MAX)),
        required("to", Allowed::Integer(0, RATE_MAX)),
        required("for_s", Allowed::Number(0.001, DURATION_S_MAX)),
    ],
];

const CHURN: &[Field] = &[
    optional("connections_per_s", Allowed::Integer(1, 10_000)),
    optional("channels_per_s", Allowed::Integer(1, 100_000)),
    optional("queues_per_s", Allowed::Integer(1, 100_000)),
];

const FAULTS: Variants = &[
    ("kill", &[AFTER_S]),
    ("restart", &[AFTER_S]),
    ("pause", &[AFTER_S, FOR_S]),
    ("stall", &[AFTER_S, FOR_S, SHARE]),
    (
        "cut",
        &[
            AFTER_S,
            SHARE,
            optional("by", Allowed::OneOf(&["reset", "finish"])),
        ],
    ),
];

const AFTER_S: Field = required("after_s", Allowed::Range(0.0, DURATION_S_MAX));
const FOR_S: Field = required("for_s", Allowed::Number(0.001, 3_600.0));
const SHARE: Field = optional("share", Allowed::Number(0.001, 1.0));

const TARGETS: &[Field] = &[
    optional("publish_rate_min", Allowed::NumberOrNull(0.0, 1e9)),
    optional("consume_rate_min", Allowed::NumberOrNull(0.0, 1e9)),
    optional("broker_rss_bytes_max", Allowed::IntegerOrNull(1, 1 << 50)),
    optional("broker_rss_anon_bytes_max", Allowed::IntegerOrNull(1, 1 << 50)),
    optional("schedule_lag_p99_us_max", Allowed::NumberOrNull(1.0, 60e6)),
    optional("latency_p99_us_max", Allowed::NumberOrNull(1.0, 60e6)),
    optional("expressions", Allowed::Texts(EXPRESSIONS_MAX)),
];

const VALIDITY: &[Field] = &[
    optional("schedule_lag_p99_us_max", Allowed::Number(1.0, 60e6)),
    optional("generator_cpu_max", Allowed::Number(0.01, 1.0)),
    optional("steal_max", Allowed::Number(0.0, 1.0)),
    optional("foreign_cpu_max", Allowed::Number(0.0, 1.0)),
    optional("hiccup_p99_us_max", Allowed::NumberOrNull(1.0, 60e6)),
    optional("hiccup_max_us", Allowed::NumberOrNull(1.0, 60e6)),
    optional("ceiling_share_max", Allowed::NumberOrNull(0.01, 1.0)),
];

/// Finds the first field that is missing, unknown, of the wrong type or out of range.
pub(super) fn check(scenario: &Value) -> Result<(), Fault> {
    let Some(object) = scenario.as_object() else {
        return Err(Fault::new("the scenario", shorten(scenario), "a JSON object"));
    };
    check_object(object, "", SCENARIO)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::scenario::built_in;

    fn fault(field: &str, value: Value) -> Fault {
        let mut scenario = serde_json::to_value(built_in("20p20c").unwrap()).unwrap();
        let (parent, name) = field.rsplit_once('.').unwrap_or(("", field));
        let object = if parent.is_empty() {
            &mut scenario
        } else {
            &mut scenario[parent]
        };
        object[name] = value;
        check(&scenario).unwrap_err()
    }

    #[test]
    fn a_fault_names_field_value_and_what_is_allowed() {
        let cases = [
            ("producers", json!(-1), "-1", "a whole number from 0 to 1000"),
            (
                "producers",
                json!("many"),
                "\"many\"",
                "a whole number from 0 to 1000",
            ),
            ("consumers", json!(1.5), "1.5", "a whole number from 0 to 1000"),
            (
                "prefetch",
                json!(70_000),
                "70000",
                "a whole number from 0 to 65535",
            ),
            (
                "size_bytes",
                json!(15),
                "15",
                "a whole number from 16 to 16777216",
            ),
            ("duration_s", json!(-1), "-1", "a number from 0.1 to 36000"),
            (
                "routing",
                json!("headers"),
                "\"headers\"",
                "queue or fanout or direct or topic",
            ),
            ("persistent", json!(1), "1", "true or false"),
            ("queue_type", json!("stream"), "\"stream\"", "classic or quorum"),
            (
                "confirm_window",
                json!(0),
                "0",
                "null or a whole number from 1 to 1000000",
            ),
            (
                "name",
                json!("../x"),
                "\"../x\"",
                "1 to 64 lower-case letters, digits and dashes",
            ),
            (
                "load.shape",
                json!("burst"),
                "\"burst\"",
                "saturating or open_loop or profile or flood or none",
            ),
            (
                "load.in_flight",
                json!(0),
                "0",
                "a whole number from 1 to 10000000",
            ),
            (
                "faults",
                json!({}),
                "{}",
                "a list of at most 100 objects with kind = kill or restart or pause or stall or cut",
            ),
            (
                "messages",
                json!(0),
                "0",
                "null or a whole number from 1 to 4398046511104",
            ),
            ("validity.steal_max", json!(2), "2", "a number from 0 to 1"),
            (
                "validity.ceiling_share_max",
                json!(1.5),
                "1.5",
                "null or a number from 0.01 to 1",
            ),
            (
                "targets.latency_p99_us_max",
                json!(0),
                "0",
                "null or a number from 1 to 60000000",
            ),
        ];
        for (field, value, found, allowed) in cases {
            assert_eq!(fault(field, value), Fault::new(field, found, allowed));
        }
    }

    #[test]
    fn a_fault_of_a_list_names_its_element() {
        let found = |faults: Value| {
            let fault = fault("faults", faults);
            (fault.field, fault.value, fault.allowed)
        };
        let triple = |field: &str, value: &str, allowed: &str| (field.into(), value.into(), allowed.into());
        let good = json!({"kind": "kill", "after_s": [1, 2.5]});
        assert_eq!(
            found(json!([good, {"kind": "drop"}])),
            triple(
                "faults[1].kind",
                "\"drop\"",
                "kill or restart or pause or stall or cut"
            )
        );
        for bad in [
            json!([3, 2]),
            json!([1]),
            json!(1),
            json!([-1, 2]),
            json!(["1", 2]),
        ] {
            assert_eq!(
                found(json!([{"kind": "kill", "after_s": bad}])),
                triple(
                    "faults[0].after_s",
                    &bad.to_string(),
                    "two numbers from 0 to 36000, the lower one first"
                )
            );
        }
        assert_eq!(
            found(json!([{"kind": "kill"}])).0,
            "faults[0].after_s".to_string()
        );
    }

    #[test]
    fn a_fault_inside_a_distribution_is_named_by_its_path() {
        let found = |field: &str, value: Value| {
            let fault = fault(field, value);
            format!("{} is {}; allowed: {}", fault.field, fault.value, fault.allowed)
        };
        assert_eq!(
            found("sizes", json!({"choices": [[16, 1], [15, 2]]})),
            "sizes.choices[1][0] is 15; allowed: a whole number from 16 to 16777216"
        );
        assert!(
            found("sizes", json!({"uniform": [16]})).starts_with("sizes.uniform is [16]; allowed: [a whole")
        );
        assert!(found("sizes", json!({"normal": 5})).contains("allowed: {\"uniform\": ["));
        assert!(
            found(
                "sizes",
                json!({"log_normal": {"median": 20, "sigma": 9, "max": 30}})
            )
            .starts_with("sizes.log_normal.sigma is 9")
        );
        assert_eq!(
            found("work_us", json!({"constant": 1, "exponential": 2})),
            "work_us is {\"constant\":1,\"exponential\":2}; allowed: {\"constant\": a number from 0.1 to 60000000} or \
             {\"exponential\": a number from 0.1 to 60000000}"
        );
        let phases = |phases: Value| found("load", json!({"shape": "profile", "phases": phases}));
        assert!(phases(json!([])).starts_with(
            "load.phases is []; allowed: a list of 1 to 100, each an object with rate, for_s or with from"
        ));
        assert!(
            phases(json!([{"rate": 5, "for_s": 1}, {"from": 5, "for_s": 1}]))
                .starts_with("load.phases[1].to is missing")
        );
        assert!(phases(json!([{"for_s": 1}])).starts_with("load.phases[0] is"));
        assert!(
            found("load", json!({"shape": "open_loop", "arrivals": "random"}))
                .starts_with("load.arrivals is \"random\"; allowed: constant or poisson or {\"burst\"")
        );
    }

    #[test]
    fn unknown_fields_are_refused_at_every_level() {
        assert!(
            fault("prodcers", json!(3))
                .allowed
                .starts_with("not a field; fields here are name, description")
        );
        assert!(
            fault("targets.p99", json!(3))
                .allowed
                .contains("latency_p99_us_max")
        );
        assert!(fault("load.rate", json!(3)).allowed.contains("in_flight"));
    }

    #[test]
    fn missing_fields_are_named() {
        let mut scenario = serde_json::to_value(built_in("20p20c").unwrap()).unwrap();
        scenario.as_object_mut().unwrap().remove("prefetch");
        let fault = check(&scenario).unwrap_err();
        assert_eq!(
            (fault.field.as_str(), fault.value.as_str()),
            ("prefetch", "missing")
        );
        assert_eq!(check(&json!([])).unwrap_err().allowed, "a JSON object");
    }
}
