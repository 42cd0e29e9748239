//! What can be seen of a queue, and the timing of its sampled messages.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use ring::Offset;

use super::consumer::Credit;
use super::handle::{Inner, Queue};
use super::state::QueueState;
use crate::connection::ConsumerTarget;
use crate::observe::{ConsumerView, Progress, QueueView, Stages};

impl Queue {
    /// Its figures now. Takes the lock for as long as it takes to copy them.
    pub fn view(self: &Arc<Self>) -> QueueView {
        let inner = self.lock();
        let (state, backlog) = (&inner.state, &inner.state.backlog);
        let (ready, in_memory) = (backlog.ready_len() as u64, backlog.ring.len() as u64);
        let frontier = backlog.settled.frontier();
        let is_live = backlog.live_len() > 0;
        let in_memory_ms = is_live.then(|| backlog.record(frontier)).flatten();
        let in_memory_ms = in_memory_ms.map(|record| record.timestamp_ms);
        // Of a message before it, maybe: as of the last second.
        let in_log_ms = || inner.oldest_stored.map(|(_, ms)| ms);
        let oldest_ms = in_memory_ms.or_else(|| is_live.then(in_log_ms).flatten());
        QueueView {
            queue: Arc::clone(self),
            counts: state.counts,
            published: state.published(),
            ready,
            unsettled: backlog.unsettled as u64,
            dead: backlog.dead_len() as u64,
            in_memory,
            in_log_only: (backlog.live_len() as u64).saturating_sub(in_memory),
            memory_bytes: backlog.ring.bytes() as u64,
            held_bytes: (state.bytes_held() + state.cold_bytes_held()) as u64,
            fill: state.fill_ratio(),
            consumers: state.consumer_count() as u64,
            consumers_able: state.roster.able_len() as u64,
            publishers_waiting: inner.waiting.len() as u64,
            oldest_ms,
            unreadable: inner.unreadable,
            deleted: inner.deleted,
            next: state.next_offset(),
        }
    }

    /// Its consumers now, in no order.
    pub fn consumers(&self) -> Vec<ConsumerView> {
        self.lock().state.consumers()
    }
}

impl Inner {
    /// Begins to time a message.
    #[cold]
    pub(super) fn begin_sample(&mut self, offset: Offset, read_us: Option<u64>, stages: &Stages) {
        let special = self.state.backlog.special.as_ref();
        if special.is_some_and(|special| special.lanes.is_some() || special.delays.is_some()) {
            return;
        }
        self.samples.begin(offset, read_us, now_us(), stages);
    }

    /// Looks how far the timed messages have come.
    #[cold]
    pub(super) fn follow_samples(&mut self, now_us: u64, stages: &Stages) {
        let backlog = &self.state.backlog;
        let (staged, written, kept) = backlog.journal.marks();
        let progress = Progress {
            staged,
            written,
            kept,
            cursor: backlog.cursor,
        };
        self.samples.progress(progress, &backlog.settled, now_us, stages);
    }

    /// The same after a settlement.
    #[cold]
    pub(super) fn settle_samples(&mut self, stages: &Stages) {
        let settled = &self.state.backlog.settled;
        self.samples.settle(settled, now_us, stages);
    }
}

impl QueueState<ConsumerTarget> {
    fn consumers(&self) -> Vec<ConsumerView> {
        let consumers = self.roster.iter().map(|(consumer, active)| ConsumerView {
            link: Arc::clone(consumer.target.link()),
            window: consumer.target.window(),
            channel: consumer.target.channel(),
            tag: consumer.target.consumer_tag().to_owned(),
            acknowledges: consumer.target.acknowledges(),
            exclusive: consumer.exclusive,
            prefetch: match consumer.credit {
                Credit::Unlimited => 0,
                Credit::Limited { limit, .. } => limit.into(),
            },
            held: match consumer.credit {
                Credit::Unlimited => None,
                Credit::Limited { available, limit } => Some((limit - available).into()),
            },
            priority: consumer.priority,
            active,
            stalled: consumer.stalled,
        });
        consumers.collect()
    }
}

/// Unix time in microseconds.
fn now_us() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_micros() as u64)
}
