//! Transactions (`tx.select`, `tx.commit`, `tx.rollback`), as RabbitMQ does them: publishes and settlements of one channel
//! that take effect together, in the sense of "not before the commit"; the work of others is not kept apart.
//!
//! A publish is routed when it arrives, so that what is wrong with it is said then, and kept here. A settlement names
//! deliveries that stay in the channel's window and keep using its prefetch. A commit places the publishes in order, then
//! settles; it is answered when every queue has taken its messages and keeps those that are persistent, just as a confirm would
//! be. What follows on the channel waits for that answer. A rollback forgets both; so does whatever ends the channel.
//!
//! What is kept is charged to the memory budget, and to no more than [`BUDGET_SHARE`] of it a channel.

use std::rc::Rc;

use rustc_hash::FxHashSet;
use smallvec::SmallVec;
use wire::{Method, ReplyCode};

use super::channel::{Confirm, Confirms, Route};
use super::failure::Failure;
use super::settle::Fate;
use super::task::Connection;
use crate::record::Content;

/// A transaction may hold this part of the memory budget (one over it).
const BUDGET_SHARE: usize = 4;

/// What a transactional channel has not committed yet.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    publishes: Vec<HeldPublish>,
    settlements: Vec<HeldSettlement>,
    held: HeldTags,
    /// Bytes of the memory budget that `publishes` take.
    charged: usize,
    /// The commit is under way, and not answered.
    pub(super) committing: bool,
    /// A queue has refused a message of that commit.
    refused: bool,
}

/// A publish that waits for the commit.
#[derive(Debug)]
struct HeldPublish {
    route: Rc<Route>,
    /// Header frame and body frame.
    frames: Vec<u8>,
    header_len: usize,
}

/// Deliveries that one ack, nack or reject named.
#[derive(Debug)]
struct HeldSettlement {
    tags: Vec<u64>,
    fate: Fate,
}

/// Delivery tags that are settled as far as the client is concerned.
#[derive(Debug, Default)]
struct HeldTags {
    /// All that is outstanding up to here.
    through: u64,
    above: FxHashSet<u64>,
}

impl HeldTags {
    fn contains(&self, tag: u64) -> bool {
        tag <= self.through || self.above.contains(&tag)
    }
}

impl HeldPublish {
    fn content(&self) -> Content<'_> {
        Content::from_frames(&self.frames, self.header_len)
    }
}

impl Connection {
    pub(super) fn on_tx_method(&mut self, id: u16, method: Method<'_>) -> Result<(), Failure> {
        match method {
            Method::TxSelect => self.tx_select(id),
            Method::TxCommit => self.tx_commit(id),
            Method::TxRollback => self.tx_rollback(id),
            _ => unreachable!("dispatched here by method"),
        }
    }

    fn tx_select(&mut self, id: u16) -> Result<(), Failure> {
        let channel = self.channel_mut(id);
        if channel.tx.is_none() {
            if channel.confirms.is_some() {
                let text = "cannot switch from confirm to tx mode";
                return Err(Failure::new(ReplyCode::PreconditionFailed, text));
            }
            channel.tx = Some(Box::default());
            channel.observed.note_transactional();
            // Counts what a commit places and waits for; nothing of it is sent.
            channel.confirms = Some(Confirms::default());
        }
        self.reply(id, Method::TxSelectOk);
        Ok(())
    }

    fn tx_commit(&mut self, id: u16) -> Result<(), Failure> {
        let tx = self.channel_mut(id).tx.as_mut().ok_or_else(not_transactional)?;
        tx.committing = true;
        tx.held = HeldTags::default();
        let publishes = std::mem::take(&mut tx.publishes);
        let settlements = std::mem::take(&mut tx.settlements);
        // What does not find its place at once is charged again, as a blocked publish.
        let charged = std::mem::take(&mut tx.charged);
        self.broker.pool.release_held(charged);
        for run in publishes.chunk_by(|a, b| Rc::ptr_eq(&a.route, &b.route)) {
            let contents: SmallVec<[Content<'_>; 64]> = run.iter().map(HeldPublish::content).collect();
            self.place(id, &run[0].route, &contents, false)?;
        }
        for settlement in settlements {
            self.settle_tags(id, &settlement.tags, settlement.fate);
        }
        if !self.finish_commit(id)? {
            self.blocked = true;
        }
        Ok(())
    }

    fn tx_rollback(&mut self, id: u16) -> Result<(), Failure> {
        let channel = self.channel_mut(id);
        let tx = channel.tx.replace(Box::default()).ok_or_else(not_transactional)?;
        self.broker.pool.release_held(tx.charged);
        self.reply(id, Method::TxRollbackOk);
        Ok(())
    }

    /// Answers a commit once everything is placed and kept; false while it has to wait on. Fails when some queue had as
    /// many messages as it may have.
    pub(super) fn finish_commit(&mut self, id: u16) -> Result<bool, Failure> {
        let Some(channel) = self.channels.get_mut(&id) else {
            return Ok(false);
        };
        let Some(tx) = channel.tx.as_mut().filter(|tx| tx.committing) else {
            return Ok(true);
        };
        let confirms = channel.confirms.as_mut().expect("a transactional channel counts");
        confirms.settle_kept(&self.link, true);
        let decided = confirms.take(channel.blocked.len());
        tx.refused |= decided
            .iter()
            .any(|confirm| matches!(confirm, Confirm::Nack { .. }));
        tx.committing = !confirms.is_complete();
        if tx.committing {
            return Ok(false);
        }
        if std::mem::take(&mut tx.refused) {
            let text = "partial tx completion";
            return Err(Failure::new(ReplyCode::PreconditionFailed, text).during(&Method::TxCommit));
        }
        self.reply(id, Method::TxCommitOk);
        Ok(true)
    }

    /// Keeps publishes of one route for the commit.
    pub(super) fn hold_publishes(
        &mut self,
        id: u16,
        route: &Rc<Route>,
        run: &[Content<'_>],
    ) -> Result<(), Failure> {
        let pool = &self.broker.pool;
        let bytes_max = pool.bytes_budget() / BUDGET_SHARE;
        let channel = self.channels.get_mut(&id).expect("publishing on an open channel");
        let tx = channel.tx.as_mut().expect("publishing in a transaction");
        for content in run {
            let bytes = content.frames().len() + size_of::<HeldPublish>();
            if tx.charged + bytes > bytes_max || !pool.try_hold(bytes) {
                let text = format!(
                    "the transaction is larger than the broker has memory for (holds {} bytes)",
                    tx.charged
                );
                return Err(Failure::new(ReplyCode::PreconditionFailed, text));
            }
            tx.charged += bytes;
            tx.publishes.push(HeldPublish {
                route: Rc::clone(route),
                frames: content.frames().to_vec(),
                header_len: content.header_len(),
            });
        }
        Ok(())
    }

    /// Keeps an ack, nack or reject for the commit.
    pub(super) fn hold_settlement(
        &mut self,
        id: u16,
        tag: u64,
        multiple: bool,
        fate: Fate,
    ) -> Result<(), Failure> {
        let channel = self
            .channels
            .get_mut(&id)
            .expect("acknowledging on an open channel");
        let tx = channel.tx.as_mut().expect("acknowledging in a transaction");
        let outbound = self.link.outbound();
        let window = &outbound.windows[channel.window];
        let is_all = tag == 0 && multiple;
        if !is_all && (tx.held.contains(tag) || !window.is_outstanding(tag)) {
            return Err(super::settle::unknown_delivery_tag(tag));
        }
        let tags: Vec<u64> = match (is_all, multiple) {
            (false, false) => vec![tag],
            (true, _) => window.outstanding(tx.held.through + 1, u64::MAX).collect(),
            (false, true) => window.outstanding(tx.held.through + 1, tag).collect(),
        };
        let tags: Vec<u64> = tags.into_iter().filter(|&tag| !tx.held.contains(tag)).collect();
        drop(outbound);
        let Some(&last) = tags.last() else {
            return Ok(());
        };
        if multiple {
            tx.held.through = last;
            tx.held.above.retain(|&above| above > last);
        } else {
            tx.held.above.insert(tag);
        }
        match tx.settlements.last_mut() {
            Some(before) if before.fate == fate => before.tags.extend(tags),
            _ => tx.settlements.push(HeldSettlement { tags, fate }),
        }
        Ok(())
    }

    /// The channel's outstanding deliveries, without those that the open transaction has settled.
    pub(super) fn unsettled_tags(&self, id: u16) -> Vec<u64> {
        let channel = &self.channels[&id];
        let outbound = self.link.outbound();
        let outstanding = outbound.windows[channel.window].outstanding(0, u64::MAX);
        let is_held = |tag| channel.tx.as_ref().is_some_and(|tx| tx.held.contains(tag));
        outstanding.filter(|&tag| !is_held(tag)).collect()
    }
}

impl Transaction {
    /// Bytes of the memory budget that it takes.
    pub(super) fn charged(&self) -> usize {
        self.charged
    }
}

fn not_transactional() -> Failure {
    Failure::new(ReplyCode::PreconditionFailed, "channel is not transactional")
}
