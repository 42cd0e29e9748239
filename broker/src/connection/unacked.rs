//! Bytes that a connection's consumers have not acknowledged, over all channels, and how many there may be.
//!
//! A delivery is refused only while as much as the limit is out already: so there is always one message on its way, however large,
//! and what is out is less than the limit and one message more. Gets are never refused, but count.

use super::link::Outbound;
use super::window::DeliveryWindow;

/// See the module documentation.
#[derive(Clone, Copy, Debug)]
pub struct Unacked {
    /// As [`DeliveryWindow::unsettled_bytes`] counts them.
    pub(super) bytes: u64,
    /// `u64::MAX`: there is no limit.
    max: u64,
    /// A delivery was refused.
    stalled: bool,
}

impl Default for Unacked {
    fn default() -> Unacked {
        Unacked {
            bytes: 0,
            max: u64::MAX,
            stalled: false,
        }
    }
}

impl Unacked {
    /// True when one more delivery may go out; otherwise remembers the refusal.
    #[inline]
    pub(super) fn admit(&mut self) -> bool {
        let admitted = !self.is_full();
        self.stalled |= !admitted;
        admitted
    }

    /// Sets the limit; 0: none.
    pub(super) fn set_max(&mut self, max: u64) {
        self.max = if max == 0 { u64::MAX } else { max };
    }

    /// True, once, after a delivery was refused and an eighth of the limit is free again.
    pub(super) fn take_unstalled(&mut self) -> bool {
        let unstalled = self.stalled && self.bytes <= self.max - self.max.div_ceil(8);
        self.stalled &= !unstalled;
        unstalled
    }

    /// No more deliveries go out.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= self.max
    }

    /// So many there are.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Outbound {
    /// Settles something in a window.
    pub(super) fn settle_in<R>(&mut self, window: usize, settle: impl FnOnce(&mut DeliveryWindow) -> R) -> R {
        let window = &mut self.windows[window];
        let before = window.unsettled_bytes();
        let result = settle(window);
        self.unacked.bytes -= before - window.unsettled_bytes();
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_larger_than_the_limit_goes_out_alone() {
        let mut unacked = Unacked::default();
        assert!(unacked.admit() && !unacked.take_unstalled());
        unacked.set_max(100);
        assert!(unacked.admit());
        unacked.bytes += 1000;
        assert!(!unacked.admit() && !unacked.take_unstalled());
        unacked.bytes = 88;
        assert!(!unacked.take_unstalled(), "not for every byte");
        unacked.bytes = 87;
        assert!(unacked.take_unstalled() && !unacked.take_unstalled());
        for max in [1, 2, 7] {
            unacked.set_max(max);
            unacked.bytes = max;
            assert!(!unacked.admit());
            unacked.bytes = 0;
            assert!(unacked.take_unstalled(), "{max}");
        }
        unacked.set_max(0);
        unacked.bytes = 1 << 60;
        assert!(unacked.admit());
    }
}
