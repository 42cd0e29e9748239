//! Acknowledgements: delivery tags to runs of offsets to their queues.
//!
//! Runs collect over all acknowledgements of one input and are handed to the queue once; anything else than
//! an acknowledgement hands over first, so that no other method can see the difference.

use wire::{Method, ReplyCode};

use ring::Offset;

use super::failure::Failure;
use super::task::Connection;
use super::window::{SettledRun, Source, UnknownDeliveryTag};

/// Settlements of one source that its queue has not been told of yet.
#[derive(Debug, Default)]
pub(super) struct PendingSettles {
    source: Option<Source>,
    runs: Vec<(Offset, usize)>,
}

/// What becomes of messages taken out of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Settle,
    Requeue,
    /// Dead-letter it, where there is somewhere to.
    Reject,
}

impl Fate {
    /// Of what is rejected.
    pub(super) fn of_rejected(requeue: bool) -> Fate {
        if requeue { Fate::Requeue } else { Fate::Reject }
    }
}

impl Connection {
    /// `basic.ack`, `basic.nack` or `basic.reject` on any channel.
    pub(super) fn settle_or_hold(
        &mut self,
        id: u16,
        tag: u64,
        multiple: bool,
        fate: Fate,
    ) -> Result<(), Failure> {
        if self.channel_mut(id).tx.is_some() {
            return self.hold_settlement(id, tag, multiple, fate);
        }
        self.take_from_window(id, tag, multiple)?;
        self.hand_over(id, fate);
        Ok(())
    }

    /// `basic.ack` on a channel without transactions.
    pub(super) fn ack(&mut self, id: u16, tag: u64, multiple: bool) -> Result<(), Failure> {
        self.take_from_window(id, tag, multiple)?;
        self.hand_over(id, Fate::Settle);
        Ok(())
    }

    /// `basic.recover`, which RabbitMQ and we support with requeue only.
    pub(super) fn recover(&mut self, id: u16, requeue: bool, answer: bool) -> Result<(), Failure> {
        if !requeue {
            return Err(Failure::new(ReplyCode::NotImplemented, "requeue=false"));
        }
        if self.channel_mut(id).tx.is_some() {
            // What the transaction has settled is not the client's any more.
            let tags = self.unsettled_tags(id);
            self.settle_tags(id, &tags, Fate::Requeue);
        } else {
            self.requeue_all(id);
        }
        if answer {
            self.reply(id, Method::BasicRecoverOk);
        }
        Ok(())
    }

    /// Gives back everything that a channel holds unsettled.
    pub(super) fn requeue_all(&mut self, id: u16) {
        let Some(channel) = self.channels.get(&id) else {
            return;
        };
        let mut outbound = self.link.outbound();
        outbound.settle_in(channel.window, |window| window.settle_all(&mut self.runs));
        drop(outbound);
        self.hand_over(id, Fate::Requeue);
    }

    /// Settles deliveries one by one; those that are settled already are passed over.
    pub(super) fn settle_tags(&mut self, id: u16, tags: &[u64], fate: Fate) {
        let key = self.channel_mut(id).window;
        let mut outbound = self.link.outbound();
        outbound.settle_in(key, |window| {
            for &tag in tags {
                let _settled_already = window.settle(tag, false, &mut self.runs);
            }
        });
        drop(outbound);
        self.hand_over(id, fate);
    }

    fn take_from_window(&mut self, id: u16, tag: u64, multiple: bool) -> Result<(), Failure> {
        let window = self
            .channels
            .get(&id)
            .expect("acknowledging on an open channel")
            .window;
        let mut outbound = self.link.outbound();
        let taken = outbound.settle_in(window, |window| window.settle(tag, multiple, &mut self.runs));
        drop(outbound);
        taken.map_err(|UnknownDeliveryTag| unknown_delivery_tag(tag))
    }

    /// Takes the runs of one channel to where they belong.
    fn hand_over(&mut self, id: u16, fate: Fate) {
        let window_key = self
            .channels
            .get(&id)
            .expect("acknowledging on an open channel")
            .window;
        let runs = std::mem::take(&mut self.runs);
        for group in runs.chunk_by(|a, b| a.source == b.source) {
            match fate {
                Fate::Settle => self.settle_later(window_key, group),
                Fate::Requeue | Fate::Reject => {
                    self.flush_settles();
                    self.give_up(window_key, group, fate);
                }
            }
        }
        if fate == Fate::Settle {
            let count = runs.iter().map(|run| run.count as u64).sum();
            self.channels[&id].observed.acknowledged.add(count);
            self.reactor.counts().acknowledged.add(count);
        }
        let mut outbound = self.link.outbound();
        let window = &mut outbound.windows[window_key];
        window.release_runs(&runs);
        let (channel_unstalled, all_unstalled) = (window.take_unstalled(), outbound.unacked.take_unstalled());
        drop(outbound);
        if channel_unstalled || all_unstalled {
            self.flush_settles();
        }
        if all_unstalled {
            self.resume_consumers();
        } else if channel_unstalled {
            self.resume_consumers_of(id);
        }
        self.runs = runs;
        self.runs.clear();
    }

    fn settle_later(&mut self, window_key: usize, group: &[SettledRun]) {
        let outbound = self.link.outbound();
        let source = outbound.windows[window_key].source(group[0].source);
        if !self
            .settles
            .source
            .as_ref()
            .is_some_and(|pending| pending.is_same(source))
        {
            let source = source.clone();
            drop(outbound);
            self.flush_settles();
            self.settles.source = Some(source);
        }
        for run in group {
            match self.settles.runs.last_mut() {
                Some((first, count)) if first.advance(*count as u64) == run.first => *count += run.count,
                _ => self.settles.runs.push((run.first, run.count)),
            }
        }
    }

    /// Tells the queue of the settlements collected so far.
    pub(super) fn flush_settles(&mut self) {
        if self.settles.runs.is_empty() {
            return;
        }
        let source = self.settles.source.as_ref().expect("runs have a source");
        if source.queue.settle(source.consumer, &self.settles.runs) {
            self.reactor.mark_dirty(&source.queue);
        }
        self.settles.runs.clear();
    }

    /// Requeues or rejects.
    fn give_up(&mut self, window_key: usize, group: &[SettledRun], fate: Fate) {
        let source = self.link.outbound().windows[window_key]
            .source(group[0].source)
            .clone();
        let runs: Vec<_> = group.iter().map(|run| (run.first, run.count)).collect();
        let has_work = match fate {
            Fate::Reject => source.queue.reject(source.consumer, &runs),
            _ => source.queue.requeue(source.consumer, &runs),
        };
        if has_work {
            self.reactor.mark_dirty(&source.queue);
        }
    }

    /// A channel-wide limit has room again.
    fn resume_consumers_of(&self, id: u16) {
        let Some(channel) = self.channels.get(&id) else {
            return;
        };
        for consumer in channel.consumers.values() {
            consumer.queue.unstall(consumer.id);
            self.reactor.mark_dirty(&consumer.queue);
        }
    }

    /// The outbox has drained: every consumer of the connection can take messages again.
    pub(super) fn resume_consumers(&self) {
        for &id in self.channels.keys() {
            self.resume_consumers_of(id);
        }
    }
}

/// Nothing with this tag is outstanding.
pub(super) fn unknown_delivery_tag(tag: u64) -> Failure {
    Failure::new(
        ReplyCode::PreconditionFailed,
        format!("unknown delivery tag {tag}"),
    )
}

impl Source {
    fn is_same(&self, other: &Source) -> bool {
        self.consumer == other.consumer && std::sync::Arc::ptr_eq(&self.queue, &other.queue)
    }
}
