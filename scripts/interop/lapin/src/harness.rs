//! Runs features one after another: a deadline, clean-up and one line of output for each.

use std::collections::BTreeSet;
use std::env;
use std::future::Future;
use std::panic;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::scope::Scope;

/// A feature fails by a panic, as a test does.
pub type Feature = fn(Arc<Scope>) -> Pin<Box<dyn Future<Output = ()> + Send>>;

const DEADLINE: Duration = Duration::from_secs(20);
const RESTART_DEADLINE: Duration = Duration::from_secs(40);
const CLEAN_UP_DEADLINE: Duration = Duration::from_secs(5);

static NOTES: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());

pub fn variable(name: &str, otherwise: &str) -> String {
    env::var(name).unwrap_or_else(|_| otherwise.to_owned())
}

pub fn number(name: &str, otherwise: u64) -> u64 {
    variable(name, &otherwise.to_string()).parse().expect(name)
}

fn peer() -> String {
    variable("INTEROP_PEER", "this")
}

/// Whether the peer is RabbitMQ 3, which differs from what must hold: noted with the reason.
pub fn on_rabbitmq_3(why: &'static str) -> bool {
    let is_old = peer() == "rabbitmq3";
    if is_old {
        NOTES.lock().unwrap().insert(why);
    }
    is_old
}

/// Runs the work to its end or to the deadline, and says why it failed.
async fn within(deadline: Duration, work: impl Future<Output = ()> + Send + 'static) -> Result<(), String> {
    let mut task = tokio::spawn(work);
    match tokio::time::timeout(deadline, &mut task).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => {
            let cause = error.into_panic();
            let text = cause.downcast_ref::<String>().map(String::as_str);
            let text = text.or(cause.downcast_ref::<&str>().copied());
            Err(text.unwrap_or("panic").replace('\n', " | "))
        }
        Err(_) => {
            task.abort();
            Err(format!("not done within {deadline:?}"))
        }
    }
}

async fn run_one(name: &'static str, feature: Feature) -> bool {
    let deadline = if name == "restart" {
        RESTART_DEADLINE
    } else {
        DEADLINE
    };
    let scope = Arc::new(Scope::new(name));
    let testing = scope.clone();
    let tested = within(deadline, async move {
        testing.open().await;
        feature(testing).await;
    })
    .await;
    let cleaned = within(CLEAN_UP_DEADLINE, async move { scope.close().await }).await;
    for note in std::mem::take(&mut *NOTES.lock().unwrap()) {
        println!("note {name}: {}: {note}", peer());
    }
    let result = tested.and(cleaned.map_err(|reason| format!("clean-up: {reason}")));
    match &result {
        Ok(()) => println!("ok {name}"),
        Err(reason) => println!("FAIL {name}: {reason}"),
    }
    result.is_ok()
}

#[tokio::main]
pub async fn run(features: &[(&'static str, Feature)]) -> ExitCode {
    if env::var_os("INTEROP_TRACE").is_none() {
        panic::set_hook(Box::new(|_| {}));
    }
    let chosen: Vec<String> = env::args().skip(1).collect();
    if let Some(unknown) = chosen
        .iter()
        .find(|name| !features.iter().any(|(known, _)| known == name))
    {
        println!("unknown feature {unknown}");
        return ExitCode::from(2);
    }
    let mut passed = true;
    for &(name, feature) in features {
        let is_named = chosen.iter().any(|chosen| chosen == name);
        if !chosen.is_empty() && !is_named {
            continue;
        }
        if name == "restart" && env::var_os("INTEROP_RESTART").is_none() {
            if is_named {
                println!("skip restart: INTEROP_RESTART is not set");
            }
            continue;
        }
        passed &= run_one(name, feature).await;
    }
    if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
