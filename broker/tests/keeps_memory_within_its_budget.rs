//! Many queues share one small memory budget: what does not fit lies in their logs, and nobody waits for ever.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::{BrokerProcess, Client};

const FLAGS: [&str; 4] = [
    "--message-bytes-max=64KiB",
    "--ring-bytes=1MiB",
    "--outbox-bytes=128KiB",
    "--memory-budget=8MiB",
];
const QUEUES: u32 = 400;
const MESSAGES: u32 = 60;

#[test]
fn hundreds_of_backlogs_flow_through_a_budget_that_a_few_would_fill() {
    let broker = BrokerProcess::start(&FLAGS);
    let mut client = Client::connect(&broker);
    let names: Vec<_> = (0..QUEUES).map(|index| format!("q{index}")).collect();
    for name in &names {
        client.declare(1, name);
    }
    client.confirm_select(1);
    let mut body = vec![9; 1024];
    for message in 0..MESSAGES {
        for name in &names {
            body[..4].copy_from_slice(&message.to_be_bytes());
            client.publish(1, name, &body);
        }
        client.await_confirms_patiently(u64::from((message + 1) * QUEUES));
    }
    let resident = broker.resident_bytes();
    assert!(resident < 64 << 20, "{resident} bytes for a budget of 8 MiB");
    for (index, name) in names.iter().enumerate() {
        assert_eq!(client.ready(1, name), MESSAGES);
        client.consume(1, name, name, true);
        for message in 0..MESSAGES {
            assert_eq!(client.message().body[..4], message.to_be_bytes(), "queue {index}");
        }
    }
}
