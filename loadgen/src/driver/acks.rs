//! A consumer's acknowledgements in batches.

/// Acknowledges every `every` deliveries, or what there is when the oldest has waited for `flush_ns`.
#[derive(Debug)]
pub(super) struct AckBatch {
    /// 0: the broker expects no acks.
    every: u16,
    flush_ns: u64,
    pending: u16,
    pending_since_ns: u64,
    last_tag: u64,
}

/// An acknowledgement to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ack {
    /// The delivery tag that it names.
    pub(super) tag: u64,
    /// Whether it settles all lower tags, too.
    pub(super) multiple: bool,
    /// Deliveries that it settles.
    pub(super) count: u64,
}

impl AckBatch {
    /// Batches of `every` deliveries (0: no acks) with a flush timer (0: after every read).
    pub(super) fn new(every: u16, flush_ms: u32) -> Self {
        Self {
            every,
            flush_ns: u64::from(flush_ms) * 1_000_000,
            pending: 0,
            pending_since_ns: 0,
            last_tag: 0,
        }
    }

    /// Whether the broker settles on delivery.
    pub(super) fn is_off(&self) -> bool {
        self.every == 0
    }

    /// Whether each read ends with an ack of all that it brought.
    pub(super) fn is_per_read(&self) -> bool {
        self.flush_ns == 0
    }

    /// Books a delivery; the ack that completes a batch.
    pub(super) fn delivered(&mut self, tag: u64, now_ns: u64) -> Option<Ack> {
        if self.is_off() {
            return None;
        }
        if self.pending == 0 {
            self.pending_since_ns = now_ns;
        }
        self.last_tag = tag;
        self.pending += 1;
        if self.pending < self.every {
            None
        } else {
            self.flush()
        }
    }

    /// The ack of everything pending.
    pub(super) fn flush(&mut self) -> Option<Ack> {
        let count = u64::from(std::mem::take(&mut self.pending));
        (count > 0).then_some(Ack {
            tag: self.last_tag,
            multiple: count > 1,
            count,
        })
    }

    /// When the pending deliveries are to be acknowledged at the latest.
    pub(super) fn due_ns(&self) -> Option<u64> {
        (self.pending > 0).then(|| self.pending_since_ns + self.flush_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledges_each_batch_cumulatively_and_the_rest_by_timer() {
        let mut batch = AckBatch::new(3, 1);
        let acks: Vec<_> = (1..=7).filter_map(|tag| batch.delivered(tag, tag * 10)).collect();
        let batch_of = |tag| Ack {
            tag,
            multiple: true,
            count: 3,
        };
        assert_eq!(acks, [batch_of(3), batch_of(6)]);
        assert_eq!(batch.due_ns(), Some(1_000_070));
        assert_eq!(
            batch.flush(),
            Some(Ack {
                tag: 7,
                multiple: false,
                count: 1
            })
        );
        assert_eq!((batch.due_ns(), batch.flush()), (None, None));
    }

    #[test]
    fn single_acks_and_no_acks() {
        let single = AckBatch::new(1, 1).delivered(4, 0);
        assert_eq!(
            single,
            Some(Ack {
                tag: 4,
                multiple: false,
                count: 1
            })
        );
        let mut off = AckBatch::new(0, 1);
        assert_eq!((off.delivered(4, 0), off.due_ns()), (None, None));
        assert!(off.is_off());
    }
}
