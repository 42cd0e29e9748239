//! Bodies of several frames that find the memory budget spent.
//!
//! What has come of a body is charged to the budget. What finds no room there is owed, and the connection's socket is not read until that
//! is paid: so no connection keeps more than one read that is not charged. Bodies that hold parts of the budget could each wait for
//! the rest of the others', so one connection at a time has the [`Overdraft`]: it is read on all the same until a body of its is
//! complete, which gives back what that has held. Who has it and does not come to an end is closed once others want it.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, Sleep, sleep};
use wire::ReplyCode;

use super::channel::Channel;
use super::failure::Failure;
use super::link::ConnectionId;
use super::task::{Connection, Stage};

/// Pause before what is owed is tried to be paid again.
const RETRY: Duration = Duration::from_millis(20);

/// How long others may take the overdraft before who had it last.
const OTHERS_FIRST: Duration = Duration::from_millis(100);

/// A connection's wait for memory.
#[derive(Debug)]
pub(super) struct Shortage {
    retry: Pin<Box<Sleep>>,
}

/// Who may go on although the budget is spent. Shared by all connections.
#[derive(Debug, Default)]
pub(crate) struct Overdraft {
    overdrawn: Mutex<Overdrawn>,
    /// Connections whose shortage has not ended.
    short: AtomicUsize,
}

#[derive(Debug, Default)]
struct Overdrawn {
    holder: Option<Holder>,
    /// Who has given it back while others wanted it, and when: they come first.
    passed_on: Option<(ConnectionId, Instant)>,
}

#[derive(Debug)]
struct Holder {
    id: ConnectionId,
    since: Instant,
    /// When somebody else has asked for it last.
    asked: Option<Instant>,
}

impl Overdraft {
    /// True while some connection waits for memory for its bodies.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.short.load(Ordering::Relaxed) > 0
    }

    /// True when it is this connection's from here on.
    fn take(&self, id: ConnectionId, now: Instant) -> bool {
        let mut overdrawn = self.overdrawn.lock();
        if let Some(holder) = &mut overdrawn.holder {
            if holder.id != id {
                holder.asked = Some(now);
            }
            return holder.id == id;
        }
        let waits = |(passed_on, at): (ConnectionId, Instant)| passed_on == id && now < at + OTHERS_FIRST;
        if overdrawn.passed_on.is_some_and(waits) {
            return false;
        }
        *overdrawn = Overdrawn {
            holder: Some(Holder {
                id,
                since: now,
                asked: None,
            }),
            passed_on: None,
        };
        true
    }

    /// For how long this connection has had it, and whether others want it.
    fn had_by(&self, id: ConnectionId, now: Instant) -> Option<(Duration, bool)> {
        let overdrawn = self.overdrawn.lock();
        let holder = overdrawn.holder.as_ref().filter(|holder| holder.id == id)?;
        Some((now - holder.since, holder.is_wanted(now)))
    }

    /// Nothing, if it is not this connection's.
    fn give_back(&self, id: ConnectionId, now: Instant) {
        let mut overdrawn = self.overdrawn.lock();
        if let Some(holder) = overdrawn.holder.take_if(|holder| holder.id == id) {
            overdrawn.passed_on = holder.is_wanted(now).then_some((id, now));
        }
    }
}

impl Holder {
    /// True while somebody asks again and again.
    fn is_wanted(&self, now: Instant) -> bool {
        self.asked.is_some_and(|asked| now < asked + OTHERS_FIRST)
    }
}

impl Connection {
    /// Pays for what has come of a channel's body. Where there is no room for it the shortage begins.
    pub(super) fn pay_for_body(&mut self, id: u16) {
        let content = self
            .channels
            .get_mut(&id)
            .and_then(|channel| channel.content.as_mut());
        if content.is_none_or(|content| content.pay(&self.broker.pool)) {
            return;
        }
        self.begin_shortage();
    }

    fn begin_shortage(&mut self) {
        if self.shortage.is_some() {
            return;
        }
        self.shortage = Some(Shortage {
            retry: Box::pin(sleep(RETRY)),
        });
        self.broker.overdraft.short.fetch_add(1, Ordering::Relaxed);
        self.tell_blocked();
    }

    pub(super) fn end_shortage(&mut self) {
        if self.shortage.take().is_some() {
            self.broker.overdraft.short.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// A body is complete and placed, or gone.
    pub(super) fn end_overdraft(&mut self) {
        if std::mem::take(&mut self.overdraws) {
            self.broker.overdraft.give_back(self.link.id(), Instant::now());
        }
    }

    /// Waits until what is owed is paid, or need not be.
    pub(super) fn poll_shortage(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.shortage.is_some() {
            if self.stage != Stage::Open || self.pays_or_overdraws() {
                self.end_shortage();
                return Poll::Ready(());
            }
            if let Some(shortage) = &mut self.shortage {
                ready!(shortage.retry.as_mut().poll(context));
                shortage.retry.as_mut().reset(Instant::now() + RETRY);
            }
        }
        Poll::Ready(())
    }

    fn pays_or_overdraws(&mut self) -> bool {
        let owed = self.pay();
        if owed == 0 {
            return true;
        }
        // Who is not read for another reason could make nothing of it.
        if !self.may_read() || self.is_paused() {
            self.end_overdraft();
            return false;
        }
        self.overdraws = self.broker.overdraft.take(self.link.id(), Instant::now());
        self.overdraws && owed <= self.broker.config.message_bytes_max
    }

    /// Pays for what has come of all bodies, as far as there is room: how many bytes are still owed.
    fn pay(&mut self) -> u64 {
        let mut owed = 0;
        for channel in self.channels.values_mut() {
            if let Some(content) = &mut channel.content {
                content.pay(&self.broker.pool);
                owed += content.owed as u64;
            }
        }
        // A message that is complete and has no room anywhere is still beyond the budget.
        if owed == 0 && !self.budget_spent {
            self.end_overdraft();
        }
        owed
    }

    /// What was blocked has been tried again.
    pub(super) fn review_overdraft(&mut self) {
        if self.overdraws && !self.budget_spent {
            // The message has found its place. For the next one others come first.
            self.end_overdraft();
            if self.pay() > 0 {
                self.begin_shortage();
            }
        }
    }

    /// Whether the socket is read, as far as it depends on the broker.
    pub(super) fn is_read(&self) -> bool {
        self.may_read() && !self.is_paused() && self.shortage.is_none()
    }

    /// Ends a connection that keeps memory from others and does not bring its bodies to an end. Once a second.
    pub(super) fn check_shortage(&mut self) -> Result<(), Failure> {
        if !self.is_read() {
            self.body_tick = self.reactor.ticks();
        }
        let timeout = self.broker.limits.handshake_timeout();
        let owed = if self.overdraws { self.pay() } else { 0 };
        if owed > 0 && self.shortage.is_none() && !self.is_read() {
            self.end_overdraft();
            self.begin_shortage();
        } else if owed > 0
            && let Some((had, is_wanted)) = self.broker.overdraft.had_by(self.link.id(), Instant::now())
            && had > timeout
        {
            if owed > self.broker.config.message_bytes_max {
                return Err(refusal("too many messages come at the same time"));
            }
            if is_wanted {
                return Err(refusal("the rest of a message has not come in time"));
            }
        }
        let holds = |channel: &Channel| {
            channel
                .content
                .as_ref()
                .is_some_and(|content| content.charged > 0)
        };
        let silent = Duration::from_secs(self.reactor.ticks() - self.body_tick);
        match silent > timeout && self.channels.values().any(holds) && self.broker.is_memory_waited_for() {
            true => Err(refusal("the rest of a message has not come in time")),
            false => Ok(()),
        }
    }
}

fn refusal(text: &str) -> Failure {
    Failure::new(ReplyCode::ResourceError, format!("memory is short, and {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_has_the_overdraft_and_is_told_while_another_wants_it() {
        let (overdraft, one, other) = (Overdraft::default(), ConnectionId(1), ConnectionId(2));
        let (now, later) = (Instant::now(), Instant::now() + Duration::from_secs(60));
        assert!(overdraft.take(one, now) && overdraft.take(one, later));
        assert_eq!(overdraft.had_by(one, later), Some((later - now, false)));
        assert!(!overdraft.take(other, now));
        assert_eq!(overdraft.had_by(one, now), Some((Duration::ZERO, true)));
        assert_eq!(overdraft.had_by(other, now), None);
        // Who has asked once has gone, or was served.
        assert_eq!(overdraft.had_by(one, later), Some((later - now, false)));
        overdraft.give_back(other, later);
        assert!(!overdraft.take(other, later));
        overdraft.give_back(one, later);
        assert!(!overdraft.take(one, later), "the other one comes first");
        assert!(overdraft.take(other, later));
        assert_eq!(overdraft.had_by(other, later), Some((Duration::ZERO, false)));
    }
}
