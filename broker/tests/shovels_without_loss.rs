//! `broker shovel` between two brokers that are killed under it, one after the other: all that the source had confirmed
//! arrives.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::relay::Relay;
use support::shovel::Shovel;
use support::{BrokerProcess, Client, wait_for};
use wire::FieldTable;

const QUEUE: &str = "q";
/// Messages before the shovel starts, and during each restart of the source.
const BATCH: u64 = 3000;
/// Arrivals, after each of which something is killed.
const PROGRESS: u64 = 200;
const ROUNDS: usize = 2;

fn publish(broker: &BrokerProcess, numbers: std::ops::Range<u64>) {
    let mut client = Client::connect(broker);
    client.confirm_select(1);
    let count = numbers.end - numbers.start;
    for number in numbers {
        client.publish_persistent(1, "", QUEUE, &number.to_be_bytes());
    }
    client.await_confirms(count);
}

/// Waits until more messages have arrived than there were.
fn await_progress(destination: &BrokerProcess) {
    let mut client = Client::connect(destination);
    let goal = u64::from(client.ready(1, QUEUE)) + PROGRESS;
    wait_for("messages to arrive", || {
        (u64::from(client.ready(1, QUEUE)) >= goal).then_some(())
    });
}

#[test]
fn nothing_is_lost_when_either_side_is_killed() {
    let mut source = BrokerProcess::start(&[]);
    let mut destination = BrokerProcess::start(&[]);
    for broker in [&source, &destination] {
        Client::connect(broker).declare_durable(1, QUEUE, &FieldTable::new());
    }
    // A restarted broker has another port; a relay's address stays.
    let from = Relay::new(Some(source.address));
    let to = Relay::new(Some(destination.address));
    let (dead_uri, from_uri, to_uri) = (Relay::new(None).uri(), from.uri(), to.uri());
    let flags = [
        // The first node of the source drops every connection.
        ["--from", &dead_uri],
        ["--from", &from_uri],
        ["--from-queue", QUEUE],
        ["--to", &to_uri],
        ["--to-queue", QUEUE],
        ["--prefetch", "50"],
        ["--reconnect-delay", "20ms"],
    ]
    .concat();
    publish(&source, 0..BATCH);
    let mut published = BATCH;
    let shovel = Shovel::start(&flags);
    for _ in 0..ROUNDS {
        await_progress(&destination);
        from.aim(None);
        source.kill();
        source.restart(&[]);
        publish(&source, published..published + BATCH);
        published += BATCH;
        from.aim(Some(source.address));

        await_progress(&destination);
        to.aim(None);
        destination.kill();
        destination.restart(&[]);
        to.aim(Some(destination.address));
    }
    await_progress(&destination);
    shovel.interrupt();
    let ended = shovel.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.told);
    assert!(ended.told.contains("tries again in 20 ms"), "{}", ended.told);

    // What is left follows, and the shovel ends by itself.
    let ended = Shovel::run(&[&flags[..], &["--delete-after", "queue-length"]].concat());
    assert_eq!(ended.code, Some(0), "{}", ended.told);
    assert_eq!(Client::connect(&source).ready(1, QUEUE), 0);

    let mut arrivals = vec![0u32; published as usize];
    let mut client = Client::connect(&destination);
    while let Some(message) = client.get(1, QUEUE) {
        let number = u64::from_be_bytes(message.body.try_into().unwrap());
        arrivals[number as usize] += 1;
    }
    let lost: Vec<_> = (0..published)
        .filter(|&number| arrivals[number as usize] == 0)
        .collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
}
