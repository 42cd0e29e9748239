//! What is to be done about one queue, and why nothing else.
//!
//! A new segment says that everything before it is durable. So, before one takes its place, every earlier segment is
//! replaced too that could not stand by that: one with a torn end, or one that a crash left without a footer.

use std::fmt;
use std::path::Path;

use seglog::Checkpoint;

use super::segment::Segment;
use super::survey::{CheckpointSurvey, QueueSurvey};
use super::verdict::Verdict;

/// One step; its `Display` says what it does, as an order.
#[derive(Debug)]
pub(super) enum Step<'a> {
    /// A new segment with what can be verified in this one, of offsets below the limit, takes its place.
    Replace { segment: &'a Segment, limit: u64 },
    /// What a start does to an unfinished end.
    Cut { segment: &'a Segment },
    /// The checkpoint's files get other names.
    SetAside { path: &'a Path },
    /// The checkpoint before becomes the current one.
    Restore {
        path: &'a Path,
        checkpoint: &'a Checkpoint,
    },
}

/// The steps for one queue, in order. Logs without a queue are left alone.
pub(super) fn steps<'a>(queue: &'a QueueSurvey) -> Vec<Step<'a>> {
    if queue.name.is_none() {
        return Vec::new();
    }
    let damaged = queue.verdicts.iter().rposition(|verdict| verdict.is_damaged());
    let replaced = damaged.map_or(0, |last| last + 1);
    let mut steps = Vec::new();
    for (index, (segment, verdict)) in queue.segments.iter().zip(&queue.verdicts).enumerate() {
        let is_sound = *verdict == Verdict::Whole && segment.footer.is_some();
        if index < replaced && !is_sound {
            let limit = queue.segments.get(index + 1).map_or(u64::MAX, |next| next.first);
            steps.push(Step::Replace { segment, limit });
        } else if *verdict == Verdict::Torn {
            steps.push(Step::Cut { segment });
        }
    }
    let path = queue.checkpoint_path.as_path();
    match &queue.checkpoint {
        CheckpointSurvey::Missing | CheckpointSurvey::Usable(_) => {}
        CheckpointSurvey::Previous(checkpoint, _) => steps.push(Step::Restore { path, checkpoint }),
        CheckpointSurvey::Unusable(_) => steps.push(Step::SetAside { path }),
    }
    steps
}

impl fmt::Display for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Replace { segment, limit } => {
                let kept = segment.kept.iter().chain(&segment.kept_behind);
                let below = kept.map(|range| range.end.min(*limit).saturating_sub(range.start));
                let messages: u64 = below.sum();
                let path = segment.path.display();
                write!(
                    f,
                    "replace {path} by a segment with its {messages} readable messages"
                )?;
                for gap in &segment.gaps {
                    write!(f, "; lost: {}", gap.place())?;
                }
                Ok(())
            }
            Step::Cut { segment } => {
                let position = segment.gaps.first().map_or(segment.end, |gap| gap.position);
                write!(f, "cut {} at byte {position}", segment.path.display())
            }
            Step::SetAside { path } => {
                let path = path.display();
                write!(f, "set {path} aside: all messages of the log are delivered again")
            }
            Step::Restore { path, .. } => {
                write!(f, "restore {} from the checkpoint before", path.display())
            }
        }
    }
}
