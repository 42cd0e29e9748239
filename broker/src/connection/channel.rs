//! A channel's state on its connection's task.

use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use ring::{ChunkPool, Offset};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::ages::Ages;
use super::link::Link;
use super::parking::Parked;
use super::replies::ReplyConsumer;
use super::routes::{RouteBudget, RouteCache};
use super::transaction::Transaction;
use super::window::SourceId;
use crate::auth::UserShare;
use crate::observe::ChannelShare;
use crate::queue::{ConsumerId, Publisher, Queue};
use crate::store::Ticket;

/// One open or closing channel.
#[derive(Debug)]
pub(super) struct Channel {
    /// Its place among the channels of its user.
    _user_share: UserShare,
    /// What can be seen of it.
    pub(super) observed: ChannelShare,
    /// Key of its delivery window in the link.
    pub(super) window: usize,
    /// Since when its deliveries are out.
    pub(super) ages: Ages,
    /// The server has sent `channel.close`; everything but close-ok is discarded.
    pub(super) closing: bool,
    /// Prefetch of consumers yet to come (`basic.qos`, not global); 0 = no limit.
    pub(super) prefetch: u16,
    /// Name of the queue declared last: what an empty queue name means.
    pub(super) queue_last: String,
    pub(super) consumers: FxHashMap<String, ChannelConsumer>,
    /// Who gets answers by direct reply-to.
    pub(super) replies: Option<ReplyConsumer>,
    /// Content whose frames are not all here yet.
    pub(super) content: Option<Content>,
    pub(super) routes: RouteCache,
    pub(super) confirms: Option<Confirms>,
    /// Since `tx.select`. Its `confirms` count what a commit waits for, and are not sent.
    pub(super) tx: Option<Box<Transaction>>,
    /// Accepted publishes that some full queue has not taken yet, oldest first.
    pub(super) blocked: VecDeque<BlockedPublish>,
    /// An answer that waits until what it answers for is stored.
    pub(super) deferred: Option<Deferred>,
    /// Raw frames that came after something blocked and must wait behind it.
    pub(super) parked: Parked,
}

/// An answer to be sent once the store has come to `ticket`.
#[derive(Debug)]
pub(super) struct Deferred {
    pub(super) ticket: Ticket,
    /// Encoded; empty when the client wants none.
    pub(super) reply: Vec<u8>,
}

/// A consumer of the channel.
#[derive(Clone, Debug)]
pub(super) struct ChannelConsumer {
    pub(super) queue: Arc<Queue>,
    pub(super) id: ConsumerId,
    pub(super) source: SourceId,
}

/// A `basic.publish` on its way in, frame by frame.
#[derive(Debug)]
pub(super) struct Content {
    /// Payload of the method frame.
    pub(super) method: Vec<u8>,
    /// Payload of the content header frame; empty until it has come.
    pub(super) header: Vec<u8>,
    pub(super) body: Vec<u8>,
    /// Body size that the header announced.
    pub(super) body_bytes: u64,
    /// What of it has come. `body` keeps nothing of a message that is larger than allowed.
    pub(super) come_bytes: u64,
    /// Bytes of the memory budget that it holds.
    pub(super) charged: usize,
    /// Bytes that it should hold, and for which there was no room.
    pub(super) owed: usize,
}

impl Content {
    /// Charges what is owed to the budget. False when there is no room for it.
    pub(super) fn pay(&mut self, pool: &ChunkPool) -> bool {
        let pays = pool.try_hold(self.owed);
        if pays {
            self.charged += std::mem::take(&mut self.owed);
        }
        pays
    }
}

/// Publisher confirms: sequence numbers from 1, confirmed cumulatively.
#[derive(Debug, Default)]
pub(super) struct Confirms {
    /// Messages published since `confirm.select`.
    pub(super) published: u64,
    /// Confirmed up to here.
    pub(super) confirmed: u64,
    /// Messages that a log has to keep before they are confirmed, in the order of their numbers.
    unkept: VecDeque<Unkept>,
    /// Numbers of messages that some queue refused because it has as many as it may have.
    refused: BTreeSet<u64>,
    /// The queue of the first of them will raise [`Signal::Kept`](super::Signal::Kept).
    awaiting: bool,
}

/// Consecutive messages in one queue.
#[derive(Debug)]
struct Unkept {
    /// Number of the first of them.
    first: u64,
    queue: Arc<Queue>,
    /// One past the offset of the last of them.
    next: Offset,
}

/// Where one publish method leads.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) exchange: String,
    pub(super) routing_key: String,
    /// Both, as a record keeps them.
    pub(super) names: Vec<u8>,
    pub(super) mandatory: bool,
    /// Somebody got it already, as an answer.
    pub(super) replied: bool,
    /// Empty and not to be used when `by_headers`.
    pub(super) queues: SmallVec<[Arc<Queue>; 4]>,
    /// Depends on the message's headers or properties, or leads to whoever waits for an answer: each message is routed by
    /// itself.
    pub(super) by_headers: bool,
}

/// A message that at least one of its queues had no room for.
#[derive(Debug)]
pub(super) struct BlockedPublish {
    pub(super) route: Rc<Route>,
    /// Header frame and body frame.
    pub(super) frames: Vec<u8>,
    pub(super) header_len: usize,
    /// Queues that have not taken it yet.
    pub(super) remaining: SmallVec<[Arc<Queue>; 4]>,
}

impl BlockedPublish {
    /// What it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        self.frames.len() + size_of::<BlockedPublish>()
    }

    pub(super) fn content(&self) -> crate::record::Content<'_> {
        crate::record::Content::from_frames(&self.frames, self.header_len)
    }
}

impl Channel {
    pub(super) fn new(observed: ChannelShare, user_share: UserShare, routes: &RouteBudget) -> Channel {
        Channel {
            window: observed.window,
            observed,
            ages: Ages::default(),
            _user_share: user_share,
            closing: false,
            prefetch: 0,
            queue_last: String::new(),
            consumers: FxHashMap::default(),
            replies: None,
            content: None,
            routes: RouteCache::new(routes),
            confirms: None,
            tx: None,
            blocked: VecDeque::new(),
            deferred: None,
            parked: Parked::default(),
        }
    }

    /// Something has to happen before the next frames can be handled.
    pub(super) fn is_blocked(&self) -> bool {
        !self.blocked.is_empty() || !self.parked.is_empty() || self.awaits_answer()
    }

    /// Its publishes wait for room in a queue, or for the end of an alarm.
    pub(super) fn waits_for_room(&self) -> bool {
        !self.blocked.is_empty() || !self.parked.is_empty() && !self.awaits_answer()
    }

    /// A request is not answered yet, and what follows it has to wait.
    pub(super) fn awaits_answer(&self) -> bool {
        self.deferred.is_some() || self.is_committing()
    }

    /// A `tx.commit` is not answered yet.
    pub(super) fn is_committing(&self) -> bool {
        self.tx.as_ref().is_some_and(|tx| tx.committing)
    }
}

impl Route {
    /// About what it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Route>()
            + self.exchange.len()
            + self.routing_key.len()
            + self.names.len()
            + self.queues.len() * size_of::<Arc<Queue>>()
    }
}

/// Entries of [`Confirms::unkept`]; beyond, the last one is extended: its confirm comes later than it could.
const UNKEPT_MAX: usize = 4096;

impl Confirms {
    /// Messages from number `first` on are in `queue`, below `next`, and must be kept there.
    pub(super) fn keep(&mut self, first: u64, queue: &Arc<Queue>, next: Offset) {
        let is_long = self.unkept.len() >= UNKEPT_MAX;
        match self.unkept.back_mut() {
            Some(last) if is_long && Arc::ptr_eq(&last.queue, queue) => last.next = next,
            _ => self.unkept.push_back(Unkept {
                first,
                queue: Arc::clone(queue),
                next,
            }),
        }
    }

    /// Message number `number` was refused.
    pub(super) fn refuse(&mut self, number: u64) {
        self.refused.insert(number);
    }

    /// True when something waits for a log.
    pub(super) fn is_unkept(&self) -> bool {
        !self.unkept.is_empty()
    }

    /// True when all that was published is confirmed.
    pub(super) fn is_complete(&self) -> bool {
        self.confirmed == self.published
    }

    /// Looks which messages are kept by now, and asks to be called back for the others. Without a signal (`called`)
    /// nothing can have changed for one that was asked for already.
    pub(super) fn settle_kept(&mut self, link: &Arc<Link>, called: bool) {
        if self.awaiting && !called {
            return;
        }
        while let Some(front) = self.unkept.front() {
            let kept = if self.awaiting {
                front.queue.is_kept_through(front.next)
            } else {
                front.queue.await_kept(front.next, Publisher::Link(link))
            };
            self.awaiting = !kept;
            if !kept {
                return;
            }
            self.unkept.pop_front();
        }
    }

    /// What is to be said of the messages that are decided by now, in order: all but the `blocked` last ones and those that
    /// are not kept yet.
    pub(super) fn take(&mut self, blocked: usize) -> SmallVec<[Confirm; 1]> {
        let placed = self.published - blocked as u64;
        let through = match self.unkept.front() {
            Some(unkept) => placed.min(unkept.first - 1),
            None => placed,
        };
        let mut confirms = SmallVec::new();
        while let Some(&number) = self.refused.first().filter(|&&number| number <= through) {
            self.confirm_through(number - 1, &mut confirms);
            confirms.push(Confirm::Nack { number });
            self.confirmed = number;
            self.refused.pop_first();
        }
        self.confirm_through(through, &mut confirms);
        confirms
    }

    fn confirm_through(&mut self, through: u64, confirms: &mut SmallVec<[Confirm; 1]>) {
        if through > self.confirmed {
            self.confirmed = through;
            confirms.push(Confirm::Ack { through });
        }
    }
}

/// What a publisher is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Confirm {
    /// The broker has taken responsibility for every message up to this one that was not refused.
    Ack { through: u64 },
    /// It has not for this one.
    Nack { number: u64 },
}
