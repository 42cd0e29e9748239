//! What a start makes of each segment of a log: the recovery table of seglog's `FORMAT.md`, over files that were read in
//! whole.

use super::problem::{Kind, Problem};
use super::segment::Segment;

/// What is wrong with a segment, by what follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing.
    Whole,
    /// Its end is not as a writer leaves it, but nobody was told of what was lost there: a start cuts it.
    Torn,
    /// What was durable is not there any more.
    Damaged {
        /// A start does not read this part: the broker runs, and stops delivering there.
        is_found_by_reads: bool,
    },
}

impl Verdict {
    pub(crate) fn is_damaged(self) -> bool {
        matches!(self, Verdict::Damaged { .. })
    }
}

const REFUSED: Verdict = Verdict::Damaged {
    is_found_by_reads: false,
};

/// One verdict a segment; `segments` ascend.
pub(crate) fn judge(segments: &[Segment]) -> Vec<Verdict> {
    let mut durable_before = 0;
    let mut later: Option<&Segment> = None;
    let mut verdicts = Vec::with_capacity(segments.len());
    for segment in segments.iter().rev() {
        let is_durable = segment.first < durable_before;
        verdicts.push(judge_one(segment, later, is_durable));
        let header = segment.header.map_or(0, |header| header.durable_before);
        durable_before = durable_before.max(header);
        if segment.saw_sync && !is_believed(segment, is_durable) {
            durable_before = durable_before.max(segment.first);
        }
        later = Some(segment);
    }
    verdicts.reverse();
    verdicts
}

/// A start takes the footer's word and does not read the records.
fn is_believed(segment: &Segment, is_durable: bool) -> bool {
    segment
        .footer
        .is_some_and(|footer| footer.is_body_durable || is_durable)
}

fn judge_one(segment: &Segment, later: Option<&Segment>, is_durable: bool) -> Verdict {
    let Some(header) = segment.header else {
        // Records come only after the header and the name are durable.
        return match segment.is_blank && later.is_none() {
            true => Verdict::Torn,
            false => REFUSED,
        };
    };
    let is_into_next = later.is_some_and(|later| segment.next > later.first);
    if header.first != segment.first || is_into_next {
        return REFUSED;
    }
    let is_witnessed = segment.gaps.iter().any(|gap| gap.is_witnessed);
    match (&segment.footer, segment.gaps.is_empty()) {
        (Some(_), true) => Verdict::Whole,
        (Some(_), false) if is_believed(segment, is_durable) => Verdict::Damaged {
            is_found_by_reads: true,
        },
        (None, _) if is_durable => REFUSED,
        (None, true) => Verdict::Whole,
        (_, false) if is_witnessed => REFUSED,
        (_, false) => Verdict::Torn,
    }
}

/// What there is to say of a segment; nothing of a whole one.
pub(crate) fn problems(segment: &Segment, verdict: Verdict) -> Vec<Problem> {
    let problem = |kind, place: Option<String>, what: &str, meaning: &str| Problem {
        kind,
        path: segment.path.clone(),
        place,
        what: what.to_owned(),
        meaning: meaning.to_owned(),
    };
    let meaning = match verdict {
        Verdict::Whole => return Vec::new(),
        Verdict::Torn => {
            // Behind it is only what the start cuts as well.
            let gap = segment.gaps.first();
            return gap
                .map(|gap| {
                    let place = format!("at byte {}", gap.position);
                    let meaning = "an unfinished write that no sync covered: the next start cuts it";
                    problem(Kind::Torn, Some(place), &gap.what, meaning)
                })
                .into_iter()
                .collect();
        }
        Verdict::Damaged {
            is_found_by_reads: true,
        } => "this was durable: a broker starts, and delivers nothing of the queue from there on",
        Verdict::Damaged {
            is_found_by_reads: false,
        } => "this was durable: a broker does not start on it",
    };
    let mut found: Vec<_> = segment
        .gaps
        .iter()
        .map(|gap| problem(Kind::Damaged, Some(gap.place()), &gap.what, meaning))
        .collect();
    if let Some(header) = segment.header.filter(|header| header.first != segment.first) {
        let what = format!("the header is of the segment that starts with {}", header.first);
        found.push(problem(
            Kind::Damaged,
            Some("at byte 0".to_owned()),
            &what,
            meaning,
        ));
    } else if found.is_empty() && segment.footer.is_none() {
        let place = format!("at byte {}", segment.end);
        let what = "it was complete once, and now it ends without a valid footer";
        found.push(problem(Kind::Damaged, Some(place), what, meaning));
    } else if found.is_empty() {
        let place = format!("at byte {}", segment.end);
        let what = format!("its offsets, below {}, reach into the next segment", segment.next);
        found.push(problem(Kind::Damaged, Some(place), &what, meaning));
    }
    found
}
