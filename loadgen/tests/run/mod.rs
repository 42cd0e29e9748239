//! Runs a driver against a peer, as the conductor would.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "test support: each test file uses its part"
)]

use std::time::{Duration, Instant};

use loadgen::control::Control;
use loadgen::driver::{Driver, DriverError, LapinDriver, NativeDriver};
use loadgen::live::Live;
use loadgen::plan::Plan;
use loadgen::recorder::Recording;
use loadgen::scenario::Scenario;
use loadgen::target::Target;

/// A short run of two producers and two consumers on one queue; `changes` are JSON fields laid over it.
pub fn scenario(changes: serde_json::Value) -> Scenario {
    let mut fields = serde_json::json!({
        "name": "test", "description": "a test", "producers": 2, "consumers": 2, "queues": 1,
        "size_bytes": 16, "load": {"shape": "saturating", "in_flight": 100},
        "duration_s": 0.2, "warmup_s": 0.0, "drain_s": 1.0, "prefetch": 100, "ack_every": 10
    });
    for (name, value) in changes.as_object().unwrap() {
        fields[name] = value.clone();
    }
    // Something else stands in its place.
    if fields["size_bytes"].is_null() {
        fields.as_object_mut().unwrap().remove("size_bytes");
    }
    Scenario::from_json("test", &fields.to_string()).unwrap()
}

/// An open loop of `rate` messages a second, with `changes` laid over it.
pub fn open_loop(rate: u64, changes: serde_json::Value) -> Scenario {
    let mut fields = serde_json::json!({"load": {"shape": "open_loop", "rate": rate}});
    for (name, value) in changes.as_object().unwrap() {
        fields[name] = value.clone();
    }
    scenario(fields)
}

pub fn drivers() -> [Box<dyn Driver + Send>; 2] {
    [Box::new(NativeDriver), Box::new(LapinDriver)]
}

/// Runs `scenario` with `driver` on `target`.
pub fn run(
    driver: &mut (dyn Driver + Send),
    scenario: &Scenario,
    target: &Target,
) -> Result<Recording, DriverError> {
    run_until(driver, scenario, target, |_| {})
}

/// The same; `then` is called once the load has begun.
pub fn run_until(
    driver: &mut (dyn Driver + Send),
    scenario: &Scenario,
    target: &Target,
    then: impl FnOnce(&Control),
) -> Result<Recording, DriverError> {
    let plan = Plan::new(scenario, 42, "test");
    let (control, live) = (Control::new(), Live::default());
    std::thread::scope(|scope| {
        let driver = scope.spawn(|| driver.run(&plan, target, &control, &live));
        let deadline = Instant::now() + Duration::from_secs(20);
        while !control.is_connected() && !driver.is_finished() {
            assert!(Instant::now() < deadline, "the driver did not connect");
            std::thread::yield_now();
        }
        if control.is_connected() {
            control.outages().plan(plan.faults.len() as u32);
            let seconds = Duration::from_secs_f64;
            control.begin(
                seconds(scenario.warmup_s),
                seconds(scenario.duration_s),
                seconds(scenario.drain_s),
            );
            then(&control);
        }
        driver.join().unwrap()
    })
}
