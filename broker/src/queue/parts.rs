//! What goes into a queue's calls and what comes out of them.

use std::sync::{Arc, Weak};

use ring::{ChunkPool, Offset};

use super::declaration::Declaration;
use super::starved::Starved;
use super::state::{QueueConfig, Remains};
use crate::connection::ConsumerTarget;
use crate::inbox::Inbox;
use crate::observe::{Delivered, Tallies};
use crate::store::QueueLog;
use crate::vhost::VirtualHost;

/// A batch of messages as a queue took it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// How much of it found its place.
    pub placed: Placed,
    /// One past the offset of the last message that did.
    pub next: Offset,
    /// Positions of those that the queue refused because of its length limit; they count as placed.
    pub refused: Vec<usize>,
}

/// What a dispatch has left to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turned {
    /// What was delivered.
    pub delivered: Delivered,
    /// There is more to do, as soon as others had their turn.
    pub more: bool,
    /// The queue is to be dispatched again then: milliseconds since the Unix epoch.
    pub wake_at_ms: Option<u64>,
}

/// How much of a batch found its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// Every message.
    All,
    /// The first so many; then the ring was full. The publisher is called back with
    /// [`Signal::RetryPublish`](crate::connection::Signal::RetryPublish).
    First(usize),
}

/// A consumer to add.
#[derive(Debug)]
pub struct Subscription {
    /// Where deliveries go.
    pub target: ConsumerTarget,
    /// Unsettled messages it may hold; 0 = no limit.
    pub prefetch: u16,
    /// Higher ones are served first.
    pub priority: i32,
    /// It must be the only one.
    pub exclusive: bool,
}

/// What makes a queue.
#[derive(Debug)]
pub struct QueueParts {
    /// Where it belongs.
    pub vhost: Weak<VirtualHost>,
    /// Unique in the vhost.
    pub name: String,
    /// Unique among all queues that ever were; names its log and its checkpoint.
    pub id: String,
    /// What it was declared with.
    pub declaration: Declaration,
    /// Limits.
    pub config: QueueConfig,
    /// The memory of all queues.
    pub pool: Arc<ChunkPool>,
    /// Publishers that wait for it.
    pub starved: Arc<Starved>,
    /// What is counted for people to see.
    pub tallies: Arc<Tallies>,
    /// See [`Queue`](super::Queue).
    pub home: Arc<Inbox>,
    /// Its log.
    pub log: Arc<QueueLog>,
    /// What a restart has left of it.
    pub remains: Remains,
    /// Its description is stored, or need not be.
    pub stored: bool,
    /// Generation of its last checkpoint.
    pub generation: u64,
}
