//! How long sampled messages take from one stage to the next, and the look-ups of their routes.

use super::histogram::Histogram;

/// A stretch of a message's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// A look-up of a publish's route, of one in 16: decoding its method, permissions, bindings. A route that the channel remembers
    /// needs none.
    Route,
    /// From the socket read that brought it to its place in the queue's ring: decoding, routing, appending.
    ReadToRing,
    /// From there until its queue knows that the log has it; only what goes to a log.
    RingToWritten,
    /// From the ring until its queue knows that it is as safe as the queue asks for; only what goes to a log.
    RingToKept,
    /// From the ring until it is encoded for a consumer, for the first time.
    RingToDelivered,
    /// From there until it is settled.
    DeliveredToSettled,
}

/// One histogram of microseconds a stage.
#[derive(Debug, Default)]
pub struct Stages {
    histograms: [Histogram; Stage::ALL.len()],
}

impl Stage {
    /// All of them, in the order of a message's way.
    pub const ALL: [Stage; 6] = [
        Stage::Route,
        Stage::ReadToRing,
        Stage::RingToWritten,
        Stage::RingToKept,
        Stage::RingToDelivered,
        Stage::DeliveredToSettled,
    ];

    /// Its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Route => "route",
            Stage::ReadToRing => "read_to_ring",
            Stage::RingToWritten => "ring_to_written",
            Stage::RingToKept => "ring_to_kept",
            Stage::RingToDelivered => "ring_to_delivered",
            Stage::DeliveredToSettled => "delivered_to_settled",
        }
    }
}

impl Stages {
    /// A sampled message took so many microseconds.
    pub fn record(&self, stage: Stage, us: u64) {
        self.histograms[stage as usize].record(us);
    }

    /// Of one stage.
    pub fn histogram(&self, stage: Stage) -> &Histogram {
        &self.histograms[stage as usize]
    }
}
