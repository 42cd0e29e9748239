//! A consumer task: books deliveries and acknowledges them in batches.

use std::sync::Arc;

use futures_util::StreamExt;
use lapin::Consumer;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;

use super::books::Books;
use super::setup::{Link, answered, failed};
use crate::driver::DriverError;
use crate::driver::acks::{Ack, AckBatch};
use crate::ledger::Receipt;
use crate::plan::{ConsumerPlan, Plan};
use crate::target::Target;

/// Deliveries booked together when so many wait.
const CHUNK_MAX: usize = 256;

/// Connects, ready to consume.
pub(super) async fn connect(consumer: &ConsumerPlan, target: &Target) -> Result<Link, DriverError> {
    let link = Link::open(
        format!("consumer {}", consumer.id),
        target.node(usize::from(consumer.id)),
    )
    .await?;
    let limiting = link
        .channel
        .basic_qos(consumer.prefetch, BasicQosOptions::default());
    answered(&link.name, "basic.qos", limiting).await?;
    Ok(link)
}

/// Starts to consume.
pub(super) async fn subscribe(
    plan: &Plan,
    consumer: &ConsumerPlan,
    link: &Link,
) -> Result<Consumer, DriverError> {
    let options = BasicConsumeOptions {
        no_ack: consumer.no_ack,
        ..BasicConsumeOptions::default()
    };
    let queue = plan.queues[consumer.queue].name.as_str();
    let consuming = link
        .channel
        .basic_consume(queue.into(), "c".into(), options, FieldTable::default());
    answered(&link.name, "basic.consume", consuming).await
}

/// The task of one consumer; it ends only with an error, or when it is aborted after the drain.
pub(super) struct ConsumerTask {
    pub(super) name: String,
    pub(super) index: usize,
    pub(super) channel: lapin::Channel,
    pub(super) deliveries: Consumer,
    pub(super) acks: AckBatch,
    pub(super) books: Arc<Books>,
}

impl ConsumerTask {
    pub(super) async fn run(mut self) -> Result<(), DriverError> {
        let mut chunks = self.deliveries.clone().ready_chunks(CHUNK_MAX);
        let mut acks = Vec::new();
        loop {
            let due = self
                .acks
                .due_ns()
                .map(|due_ns| self.books.clock.instant_at(due_ns));
            let timer = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                chunk = chunks.next() => {
                    let Some(chunk) = chunk else {
                        return Err(DriverError::Protocol {
                            connection: self.name,
                            what: "it cancelled the consumer".to_owned(),
                        });
                    };
                    self.book(chunk, &mut acks)?;
                }
                () = timer => {}
            }
            let now_ns = self.books.clock.now_ns();
            if now_ns >= self.books.load_end_ns() {
                self.acks.hurry();
            }
            while let Some(ack) = self.acks.due(now_ns) {
                acks.push(ack);
            }
            for ack in acks.drain(..) {
                let options = BasicAckOptions {
                    multiple: ack.multiple,
                };
                let acknowledging = self.channel.basic_ack(ack.tag, options).await;
                acknowledging.map_err(|source| failed(&self.name, source))?;
                self.books.acked(ack.count);
            }
        }
    }

    fn book(&mut self, chunk: Vec<lapin::Result<Delivery>>, acks: &mut Vec<Ack>) -> Result<(), DriverError> {
        let now_ns = self.books.clock.now_ns();
        if !self.acks.is_off() {
            self.books
                .owe_acks(chunk.iter().filter(|delivery| delivery.is_ok()).count() as u64);
        }
        let mut ledger = self.books.ledger.lock();
        let mut recorder = self.books.recorder(self.index);
        for delivery in chunk {
            let delivery = delivery.map_err(|source| failed(&self.name, source))?;
            acks.extend(self.acks.delivered(delivery.delivery_tag, now_ns));
            match ledger.receive(self.index, delivery.redelivered, &delivery.data) {
                Receipt::First(stamp) => {
                    recorder.received(stamp.intended_ns, stamp.sent_ns(), now_ns);
                    recorder.consumed(1, now_ns);
                    self.books.room[usize::from(stamp.producer)].notify_one();
                }
                Receipt::Foreign => recorder.consumed(1, now_ns),
                Receipt::Again(_) | Receipt::Corrupt => {}
            }
        }
        Ok(())
    }
}
