//! Moving, as long as both connections hold.

use std::future::Future;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, ExchangeDeclareOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{Confirmation, Consumer, ExchangeKind};

use super::failure::Failure;
use super::flags::{AckMode, ShovelCommand};
use super::forwarded;
use super::link::{Link, answered};
use super::run::Stop;
use super::tally::Tally;

/// How often progress is told.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);
/// How long the destination may take, after the order to stop, to confirm what is on its way.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Connects both sides and moves messages until all are moved or `stop` says so.
///
/// # Errors
/// Whatever ended it earlier. What is not acknowledged by then is in the source.
pub(super) async fn run(command: &ShovelCommand, tally: &mut Tally, stop: &mut Stop) -> Result<(), Failure> {
    let (source, destination) = tokio::select! {
        links = connect(command) => links?,
        () = stop.ordered() => return Ok(()),
    };
    for failure in source.passed_over.iter().chain(&destination.passed_over) {
        tally.say(&format!("goes on without a node: {}", failure.text()));
    }
    tally.say(&format!("moves from {} to {}", source.name, destination.name));
    let outcome = shovel(command, &source, &destination, tally, stop).await;
    // What was published and acknowledged early must arrive; acknowledgements are sent before the close, too.
    destination.close().await;
    source.close().await;
    outcome
}

async fn connect(command: &ShovelCommand) -> Result<(Link, Link), Failure> {
    let source = Link::open("source", &command.from).await?;
    match Link::open("destination", &command.to).await {
        Ok(destination) => Ok((source, destination)),
        Err(failure) => {
            source.close().await;
            Err(failure)
        }
    }
}

async fn shovel(
    command: &ShovelCommand,
    source: &Link,
    destination: &Link,
    tally: &mut Tally,
    stop: &mut Stop,
) -> Result<(), Failure> {
    find_destination(command, destination).await?;
    let deliveries = subscribe(command, source, tally).await?;
    let (exchange, key) = command.address();
    let session = Session {
        command,
        source,
        destination,
        exchange,
        key,
        forwarded: command
            .add_forward_headers
            .then(|| forwarded::entry(command, &source.node, &destination.node)),
    };
    session.shovel(deliveries, tally, stop).await
}

async fn find_destination(command: &ShovelCommand, destination: &Link) -> Result<(), Failure> {
    let Link { channel, name, .. } = destination;
    if let Some(queue) = &command.to_queue {
        let options = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let finding = channel.queue_declare(queue.as_str().into(), options, FieldTable::default());
        answered(name, finding).await?;
    }
    // The default exchange cannot be declared, not even passively.
    if let Some(exchange) = command.to_exchange.as_ref().filter(|name| !name.is_empty()) {
        let options = ExchangeDeclareOptions {
            passive: true,
            ..ExchangeDeclareOptions::default()
        };
        let (exchange, kind) = (exchange.as_str().into(), ExchangeKind::Direct);
        answered(
            name,
            channel.exchange_declare(exchange, kind, options, FieldTable::default()),
        )
        .await?;
    }
    answered(name, channel.confirm_select(ConfirmSelectOptions::default())).await
}

async fn subscribe(command: &ShovelCommand, source: &Link, tally: &mut Tally) -> Result<Consumer, Failure> {
    let Link { channel, name, .. } = source;
    let queue = || command.from_queue.as_str().into();
    let options = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    let found = answered(
        name,
        channel.queue_declare(queue(), options, FieldTable::default()),
    )
    .await?;
    tally.see_length(found.message_count().into());
    answered(
        name,
        channel.basic_qos(command.prefetch, BasicQosOptions::default()),
    )
    .await?;
    let options = BasicConsumeOptions::default();
    answered(
        name,
        channel.basic_consume(queue(), "shovel".into(), options, FieldTable::default()),
    )
    .await
}

/// What does not change while both connections hold.
struct Session<'a> {
    command: &'a ShovelCommand,
    source: &'a Link,
    destination: &'a Link,
    exchange: &'a str,
    /// `None` = each message's own.
    key: Option<&'a str>,
    forwarded: Option<FieldTable>,
}

impl Session<'_> {
    async fn shovel(
        &self,
        mut deliveries: Consumer,
        tally: &mut Tally,
        stop: &mut Stop,
    ) -> Result<(), Failure> {
        let mut flying = FuturesUnordered::new();
        let mut progress = tokio::time::interval(PROGRESS_INTERVAL);
        let mut refused = false;
        let mut stopping = false;
        let give_up = tokio::time::sleep(STOP_TIMEOUT);
        tokio::pin!(give_up);
        let outcome = loop {
            // Early acknowledgements are counted as settled at once, and leave none of `flying` to count.
            let counted = if self.is_early() { 0 } else { flying.len() };
            let takes = !refused && !stopping && tally.has_room(counted);
            if !takes && flying.is_empty() {
                break if refused && !stopping {
                    let name = &self.destination.name;
                    Err(Failure::Passing(format!("{name} refused messages")))
                } else {
                    Ok(())
                };
            }
            tokio::select! {
                () = stop.ordered(), if !stopping => {
                    stopping = true;
                    give_up.as_mut().reset(tokio::time::Instant::now() + STOP_TIMEOUT);
                }
                () = &mut give_up, if stopping => {
                    tally.say("the destination has not confirmed everything in time: the source keeps what it has no acknowledgement of");
                    break Ok(());
                }
                _ = progress.tick() => tally.progress(),
                Some(settled) = flying.next() => match self.settle(settled, tally).await {
                    Ok(taken) => refused |= !taken,
                    Err(failure) => break Err(failure),
                },
                delivery = deliveries.next(), if takes && flying.len() < usize::from(self.command.prefetch) => {
                    match self.forward(delivery, tally).await {
                        Ok(confirm) => flying.push(confirm),
                        Err(failure) => break Err(failure),
                    }
                }
            }
        };
        if self.is_early() {
            tally.unconfirmed += flying.len() as u64;
        }
        outcome
    }

    /// Whether the source gets its acknowledgement before the destination has confirmed.
    fn is_early(&self) -> bool {
        self.command.ack_mode != AckMode::OnConfirm
    }

    /// Publishes a delivery; what it gives waits for the confirm.
    async fn forward(
        &self,
        delivery: Option<lapin::Result<Delivery>>,
        tally: &mut Tally,
    ) -> Result<impl Future<Output = (u64, lapin::Result<Confirmation>)> + use<>, Failure> {
        let name = &self.source.name;
        let Some(delivery) = delivery else {
            return Err(Failure::Passing(format!("{name} cancelled the consumer")));
        };
        let delivery = delivery.map_err(|error| Failure::of(name, &error))?;
        let tag = delivery.delivery_tag;
        if self.command.ack_mode == AckMode::NoAck {
            self.acknowledge(tag, tally).await?;
        }
        let properties = match &self.forwarded {
            Some(entry) => forwarded::with_entry(delivery.properties, entry),
            None => delivery.properties,
        };
        let key = self.key.map_or(delivery.routing_key, Into::into);
        // What no queue takes is not lost but refused.
        let options = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let exchange = self.exchange.into();
        let channel = &self.destination.channel;
        let publishing = channel.basic_publish(exchange, key, options, &delivery.data, properties);
        let confirm = match publishing.await {
            Ok(confirm) => confirm,
            Err(error) => {
                tally.unconfirmed += u64::from(self.command.ack_mode == AckMode::NoAck);
                return Err(Failure::of(&self.destination.name, &error));
            }
        };
        if self.command.ack_mode == AckMode::OnPublish {
            self.acknowledge(tag, tally).await?;
        }
        Ok(async move { (tag, confirm.await) })
    }

    /// Does what a confirm asks for; whether the destination has the message.
    async fn settle(
        &self,
        (tag, confirm): (u64, lapin::Result<Confirmation>),
        tally: &mut Tally,
    ) -> Result<bool, Failure> {
        let early = self.is_early();
        let confirm = confirm.map_err(|error| {
            tally.unconfirmed += u64::from(early);
            Failure::of(&self.destination.name, &error)
        })?;
        let taken = matches!(confirm, Confirmation::Ack(None));
        match (taken, early) {
            (true, early) => {
                if !early {
                    self.acknowledge(tag, tally).await?;
                }
                tally.moved += 1;
            }
            (false, true) => tally.unconfirmed += 1,
            (false, false) => {
                let options = BasicNackOptions {
                    requeue: true,
                    ..BasicNackOptions::default()
                };
                let giving_back = self.source.channel.basic_nack(tag, options).await;
                giving_back.map_err(|error| Failure::of(&self.source.name, &error))?;
                tally.given_back += 1;
            }
        }
        Ok(taken)
    }

    async fn acknowledge(&self, tag: u64, tally: &mut Tally) -> Result<(), Failure> {
        let acknowledging = self.source.channel.basic_ack(tag, BasicAckOptions::default());
        acknowledging
            .await
            .map_err(|error| Failure::of(&self.source.name, &error))?;
        tally.settle();
        Ok(())
    }
}
