//! What a restart finds of one queue: its log, minus what its checkpoint says is settled.
//!
//! | log has | checkpoint says | the message is |
//! |---|---|---|
//! | it | nothing, or not settled | live |
//! | it | settled | settled |
//! | it not | anything | settled: it was before it had to be written, or the disk never got it and nobody was told so |
//!
//! Offsets go on at the higher of both, so that no old checkpoint can ever speak of a new message. Bodies are not read.

use std::ops::Range;

use ring::Offset;
use seglog::{Cut, Found, SeglogError, Settled};

use super::directory::Store;
use super::durability::Durability;
use super::queue_log::QueueLog;
use crate::queue::Remains;

/// One queue's log and what is to be delivered of it.
#[derive(Debug)]
pub struct RecoveredQueue {
    /// Its log.
    pub log: std::sync::Arc<QueueLog>,
    /// What is live in it.
    pub remains: Remains,
    /// Unfinished ends that a crash had left, and that were cut.
    pub cuts: Vec<Cut>,
    /// Generation of the checkpoint that was used; 0 when there was none.
    pub generation: u64,
}

/// Reads the log and the checkpoint of a durable queue. After anything else than an orderly stop every message may have been
/// delivered before.
///
/// # Errors
/// When a file cannot be read, or is damaged in a way that no crash explains.
pub fn recover_queue(
    store: &Store,
    id: &str,
    durability: Durability,
    after_clean_stop: bool,
) -> Result<RecoveredQueue, SeglogError> {
    let (log, recovered) = store.recover_log(id, durability)?;
    let checkpoint = match store.checkpoints().read(id)? {
        Found::None => None,
        Found::Current(checkpoint) => Some(checkpoint),
        Found::Previous(checkpoint, why) => {
            tracing::warn!(
                queue = id,
                why,
                "the newest checkpoint is unusable: an older one is used"
            );
            Some(checkpoint)
        }
    };
    let next = checkpoint
        .as_ref()
        .map_or(0, |checkpoint| checkpoint.next)
        .max(recovered.next);
    let nothing = Settled {
        frontier: 0,
        ranges: Vec::new(),
    };
    let settled = checkpoint
        .as_ref()
        .map_or(&nothing, |checkpoint| &checkpoint.settled);
    let delivered = match &checkpoint {
        Some(checkpoint) if after_clean_stop && checkpoint.clean => checkpoint.dispatched,
        _ => next,
    };
    let attempts = checkpoint.iter().flat_map(|checkpoint| &checkpoint.attempts);
    let attempts = attempts.map(|&(offset, count)| (Offset(offset), count.min(u32::MAX.into()) as u32));
    Ok(RecoveredQueue {
        log,
        remains: Remains {
            next: Offset(next),
            live: subtract(&recovered.kept, settled),
            redeliver_below: Offset(delivered),
            attempts: attempts.collect(),
            // What a crash has left may hold what no checkpoint knew of.
            expiring: !after_clean_stop || checkpoint.as_ref().is_none_or(|checkpoint| checkpoint.expiring),
        },
        cuts: recovered.cuts,
        generation: checkpoint.map_or(0, |checkpoint| checkpoint.generation),
    })
}

/// What of `kept`, ascending and disjoint, is not settled.
fn subtract(kept: &[Range<u64>], settled: &Settled) -> Vec<Range<Offset>> {
    let mut live = Vec::new();
    let mut holes = std::iter::once(0..settled.frontier)
        .chain(settled.ranges.iter().cloned())
        .peekable();
    for range in kept {
        let mut start = range.start;
        while start < range.end {
            // Holes that end before the rest of this range end before all that follow, too.
            while holes.next_if(|hole| hole.end <= start).is_some() {}
            match holes.peek() {
                Some(hole) if hole.start <= start => start = hole.end,
                hole => {
                    let end = hole.map_or(range.end, |hole| hole.start.min(range.end));
                    live.push(Offset(start)..Offset(end));
                    start = end;
                }
            }
        }
    }
    live
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Ranges out of lengths: a gap, a range, a gap …
    fn ranges(lengths: &[u64], start: u64) -> Vec<Range<u64>> {
        let mut at = start;
        lengths
            .chunks_exact(2)
            .map(|pair| {
                let start = at + pair[0];
                at = start + pair[1];
                start..at
            })
            .collect()
    }

    proptest! {
        #[test]
        fn what_is_live_is_what_is_kept_and_not_settled(
            kept in proptest::collection::vec(1_u64..9, 0..16),
            holes in proptest::collection::vec(1_u64..9, 0..16),
            frontier in 0_u64..40,
        ) {
            let kept = ranges(&kept, 0);
            let settled = Settled { frontier, ranges: ranges(&holes, frontier) };
            let live = subtract(&kept, &settled);
            let has = |ranges: &[Range<u64>], at: u64| ranges.iter().any(|range| range.contains(&at));
            for at in 0..200 {
                let expected = has(&kept, at) && at >= frontier && !has(&settled.ranges, at);
                prop_assert_eq!(live.iter().any(|range| range.contains(&Offset(at))), expected, "offset {}", at);
            }
            prop_assert!(live.windows(2).all(|pair| pair[0].end <= pair[1].start));
            prop_assert!(live.iter().all(|range| range.start < range.end));
        }
    }
}
