//! A producer task: sends what its schedule or its window allows; and the task that collects its confirms.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use lapin::options::{BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{BasicProperties, Confirmation, PublisherConfirm};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use super::books::Books;
use super::setup::{Link, answered, failed};
use crate::body::{STAMP_BYTES, Stamp};
use crate::driver::DriverError;
use crate::driver::pace::Pace;
use crate::perftest::{BodyLayout, HEAD_BYTES};
use crate::plan::{Plan, ProducerPlan};
use crate::target::Target;
use crate::variety::Variety;

/// Messages that a producer sends before the other tasks of its worker get their turn.
const BATCH_MAX: u64 = 64;
/// A send that takes longer was not waiting for the client but for the broker to read.
const SEND_NS_MAX: u64 = 1_000_000;
/// The delivery mode of persistent messages.
const PERSISTENT: u8 = 2;

/// Connects and, if the scenario says so, switches confirms on.
pub(super) async fn connect(
    plan: &Plan,
    producer: &ProducerPlan,
    target: &Target,
) -> Result<Link, DriverError> {
    let link = Link::open(
        format!("producer {}", producer.id),
        target.node(usize::from(producer.id)),
    )
    .await?;
    if plan.scenario.confirm_window.is_some() {
        let selecting = link.channel.confirm_select(ConfirmSelectOptions::default());
        answered(&link.name, "confirm.select", selecting).await?;
    }
    Ok(link)
}

/// A message whose confirm is awaited.
pub(super) struct Unconfirmed {
    confirm: PublisherConfirm,
    sent_ns: u64,
    /// Whether it was intended within the measured window.
    measured: bool,
}

/// The sending side of a producer's confirms. The channel is bounded by the permits: one for each message in it.
pub(super) struct ConfirmQueue {
    pub(super) permits: Arc<Semaphore>,
    pub(super) unconfirmed: UnboundedSender<Unconfirmed>,
}

/// The task of one producer; it ends when the load is over and all that was due is sent, or when its share of a counted
/// run is sent and the broker has taken it over.
pub(super) struct ProducerTask {
    name: String,
    id: u16,
    index: usize,
    channel: lapin::Channel,
    exchange: ShortString,
    /// By key; only one when messages do not choose.
    routing_keys: Vec<ShortString>,
    variety: Arc<Variety>,
    properties: BasicProperties,
    body: Vec<u8>,
    /// What stands before the stamp.
    layout: Option<BodyLayout>,
    pace: Pace,
    messages_max: Option<u64>,
    confirms: Option<ConfirmQueue>,
    books: Arc<Books>,
}

impl ProducerTask {
    pub(super) fn new(
        plan: &Plan,
        index: usize,
        link: &Link,
        pace: Pace,
        confirms: Option<ConfirmQueue>,
        books: Arc<Books>,
    ) -> Self {
        let producer = &plan.producers[index];
        let properties = BasicProperties::default();
        let mut body = vec![0; plan.scenario.head_bytes() + STAMP_BYTES];
        body.extend_from_slice(&plan.filler);
        Self {
            name: link.name.clone(),
            id: producer.id,
            index,
            channel: link.channel.clone(),
            exchange: producer.exchange.as_str().into(),
            routing_keys: match plan.keys.as_slice() {
                [] => vec![producer.routing_key.as_str().into()],
                keys => keys.iter().map(|key| key.as_str().into()).collect(),
            },
            variety: Arc::clone(&plan.variety),
            properties: if plan.scenario.persistent {
                properties.with_delivery_mode(PERSISTENT)
            } else {
                properties
            },
            body,
            layout: plan.scenario.body,
            pace,
            messages_max: producer.messages,
            confirms,
            books,
        }
    }

    pub(super) async fn run(mut self) -> Result<(), DriverError> {
        if self.send_all().await? {
            if self.confirms.is_none() {
                self.await_taken_over().await?;
            }
            self.books.done.fetch_add(1, Ordering::AcqRel);
        }
        Ok(())
    }

    /// Whether it sent its whole share of a counted run.
    async fn send_all(&mut self) -> Result<bool, DriverError> {
        // When the broker last kept this producer from sending.
        let mut blocked_ns = 0;
        for index in 0..self.messages_max.unwrap_or(u64::MAX) {
            if index % BATCH_MAX == BATCH_MAX - 1 {
                tokio::task::yield_now().await;
            }
            let Some(intended_ns) = self.await_turn().await else {
                return Ok(false);
            };
            if let Some(confirms) = &self.confirms {
                let is_full = confirms.permits.available_permits() == 0;
                let permit = confirms.permits.acquire().await;
                permit.expect("the semaphore of a run is never closed").forget();
                if is_full {
                    blocked_ns = self.books.clock.now_ns();
                }
            }
            let sent_ns = self.books.clock.now_ns();
            if intended_ns.is_none() && sent_ns >= self.books.load_end_ns() {
                return Ok(false);
            }
            if intended_ns.is_some_and(|intended_ns| intended_ns <= blocked_ns) {
                self.books.held_back.fetch_add(1, Ordering::Relaxed);
            }
            self.send(intended_ns.unwrap_or(sent_ns), sent_ns).await?;
            self.pace.advance();
            let now_ns = self.books.clock.now_ns();
            if now_ns - sent_ns > SEND_NS_MAX {
                blocked_ns = now_ns;
            }
        }
        Ok(self.messages_max.is_some())
    }

    /// The broker's answer to a request behind the last message proves that it has read them all.
    async fn await_taken_over(&self) -> Result<(), DriverError> {
        let asking = self.channel.basic_qos(0, BasicQosOptions::default());
        asking.await.map_err(|source| failed(&self.name, source))
    }

    /// Waits until the next message may be sent: its intended instant, or `Some(None)` when the window decides. `None` at
    /// the end of the load.
    async fn await_turn(&self) -> Option<Option<u64>> {
        let books = &self.books;
        loop {
            match self.pace {
                Pace::Saturating { window } => {
                    let room = books.room[self.index].notified();
                    if books.clock.now_ns() >= books.load_end_ns() {
                        return None;
                    }
                    if books.ledger.lock().in_flight(self.index) < window {
                        return Some(None);
                    }
                    room.await;
                }
                Pace::OpenLoop(_) => {
                    let intended_ns = self.pace.next_ns()?;
                    if intended_ns >= books.load_end_ns() {
                        return None;
                    }
                    if intended_ns <= books.clock.now_ns() {
                        return Some(Some(intended_ns));
                    }
                    // An interrupt wakes it early: the end of the load has moved.
                    let due = tokio::time::sleep_until(books.clock.instant_at(intended_ns).into());
                    tokio::select! {
                        () = due => {}
                        () = books.room[self.index].notified() => {}
                    }
                }
            }
        }
    }

    async fn send(&mut self, intended_ns: u64, sent_ns: u64) -> Result<(), DriverError> {
        let sequence = self.books.ledger.lock().publish(self.index);
        let stamp = Stamp::new(intended_ns, sent_ns, self.id, sequence).encode();
        let mut start = 0;
        if let Some(layout) = self.layout {
            let head = layout.head(sequence, sent_ns, self.books.clock);
            self.body[..HEAD_BYTES].copy_from_slice(&head);
            start = HEAD_BYTES;
        }
        self.body[start..start + STAMP_BYTES].copy_from_slice(&stamp);
        let (size, key) = self.variety.kind(self.index, sequence).unwrap_or_default();
        let size = self.variety.sizes()[size] as usize;
        let measured = {
            let mut recorder = self.books.recorder(self.index);
            recorder.sent(intended_ns, sent_ns);
            recorder.published(1, sent_ns);
            recorder.in_window(intended_ns)
        };
        let publishing = self.channel.basic_publish(
            self.exchange.clone(),
            self.routing_keys[key].clone(),
            BasicPublishOptions::default(),
            &self.body[..size],
            self.properties.clone(),
        );
        let confirm = publishing.await.map_err(|source| failed(&self.name, source))?;
        if let Some(confirms) = &self.confirms {
            // The collector ends after this sender, or with an error that ends the run.
            let _ = confirms.unconfirmed.send(Unconfirmed {
                confirm,
                sent_ns,
                measured,
            });
        }
        Ok(())
    }
}

/// Collects a producer's confirms, in whatever order they come.
pub(super) async fn collect_confirms(
    name: String,
    task: usize,
    mut unconfirmed: UnboundedReceiver<Unconfirmed>,
    permits: Arc<Semaphore>,
    books: Arc<Books>,
) -> Result<(), DriverError> {
    let mut pending = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(Unconfirmed { confirm, sent_ns, measured }) = unconfirmed.recv() => {
                pending.push(async move { (confirm.await, sent_ns, measured) });
            }
            Some((confirmation, sent_ns, measured)) = pending.next() => {
                match confirmation.map_err(|source| failed(&name, source))? {
                    Confirmation::Nack(_) => books.ledger.lock().nack(1),
                    Confirmation::Ack(_) | Confirmation::NotRequested => {
                        books.ledger.lock().confirm(1);
                        let now_ns = books.clock.now_ns();
                        books.recorder(task).confirmed(1, sent_ns, measured, now_ns);
                    }
                }
                permits.add_permits(1);
            }
            else => return Ok(()),
        }
    }
}
