//! The campaign: all runs of a matrix, round by round.

use std::time::Duration;

use super::document::{Attempt, Document};
use super::entrant::Entrant;
use super::metric::figures;
use super::order::{Slot, order};
use super::settle::settle;
use crate::failure::{EXIT_BROKER, EXIT_INVALID};
use crate::runner::{Measured, Runner};
use crate::scenario::Overridden;
use crate::units::{latency_us, rate};
use crate::verdict::Outcome;

/// What is to be run, and by whom.
#[derive(Debug)]
pub struct Campaign<'a> {
    /// The brokers.
    pub entrants: &'a [Entrant],
    /// The loads.
    pub scenarios: &'a [Overridden],
    /// Makes the runs.
    pub runner: &'a Runner<'a>,
}

/// How a campaign ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Every cell had its rounds.
    Complete,
    /// Some cell lacks counted runs.
    Incomplete,
    /// A broker harmed messages.
    Harmed,
    /// A broker failed.
    BrokerFailed,
}

impl Ending {
    /// Of all runs made: the worst of them that was not made good by another one.
    #[must_use]
    pub fn of(document: &Document) -> Self {
        let mut attempts = document.cells.iter().flat_map(|cell| &cell.attempts);
        if attempts.clone().any(|attempt| attempt.exit_code == EXIT_BROKER) {
            return Self::BrokerFailed;
        }
        if attempts.any(|attempt| attempt.counted && attempt.harmed) {
            return Self::Harmed;
        }
        let lacks = |cell: &super::document::Cell| cell.counted().count() < document.rounds as usize;
        if document.cells.iter().any(lacks) {
            return Self::Incomplete;
        }
        Self::Complete
    }

    /// What the process exits with.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Complete => 0,
            Self::Harmed => 1,
            Self::Incomplete => EXIT_INVALID,
            Self::BrokerFailed => EXIT_BROKER,
        }
    }
}

impl Campaign<'_> {
    /// Makes all runs and books them in `document`. `tell` gets a line for each; `finished` is called after each round.
    ///
    /// # Errors
    /// What `finished` says.
    pub fn run<E>(
        &self,
        document: &mut Document,
        mut tell: impl FnMut(&str),
        mut finished: impl FnMut(&Document) -> Result<(), E>,
    ) -> Result<(), E> {
        for round in 0..document.rounds {
            for slot in order(document.seed, round, self.scenarios.len(), self.entrants.len()) {
                if !self.fill(document, round, slot, &mut tell) {
                    document.interrupted = true;
                    return finished(document);
                }
            }
            finished(document)?;
        }
        Ok(())
    }

    /// One cell's turn: until a run counts or the retries are used up. `false` when interrupted.
    fn fill(&self, document: &mut Document, round: u32, slot: Slot, tell: &mut impl FnMut(&str)) -> bool {
        let seed = document.seed.wrapping_add(u64::from(round));
        let index = slot.scenario * self.entrants.len() + slot.entrant;
        for _ in 0..=document.retries_max {
            if !settle(Duration::from_secs_f64(document.settle_s_max), self.runner.events) {
                return false;
            }
            let attempt = self.attempt(round, seed, slot);
            let cut_short = self.runner.events.interrupted();
            let cell = &mut document.cells[index];
            tell(&line(
                round,
                document.rounds,
                &cell.scenario,
                &cell.entrant,
                &attempt,
            ));
            // A failed broker is a result; it is not asked again.
            let done = attempt.counted || attempt.exit_code == EXIT_BROKER;
            cell.attempts.push(attempt);
            if cut_short {
                return false;
            }
            if done {
                break;
            }
        }
        true
    }

    fn attempt(&self, round: u32, seed: u64, slot: Slot) -> Attempt {
        let subject = &self.entrants[slot.entrant].subject;
        let empty = Attempt {
            round: round + 1,
            seed,
            verdict: Outcome::Invalid,
            counted: false,
            harmed: false,
            reasons: Vec::new(),
            run: None,
            exit_code: EXIT_INVALID,
            figures: Default::default(),
        };
        match self.runner.measure(&self.scenarios[slot.scenario], seed, subject) {
            Ok(Measured { run, .. }) => Attempt {
                verdict: run.summary.verdict,
                counted: run.summary.verdict != Outcome::Invalid,
                harmed: is_harmed(&run.summary.ledger),
                reasons: run.summary.reasons.clone(),
                exit_code: run.summary.verdict.exit_code(),
                figures: figures(&run.summary),
                run: Some(run.id),
                ..empty
            },
            Err(failure) => Attempt {
                verdict: failure.outcome(),
                reasons: vec![format!("{:#}", failure.error)],
                exit_code: failure.exit_code,
                ..empty
            },
        }
    }
}

/// Whether anything happened to messages that a broker must not do, targets aside.
fn is_harmed(ledger: &crate::result::LedgerCounts) -> bool {
    ledger.lost + ledger.duplicated + ledger.reordered + ledger.corrupt + ledger.nacked > 0
}

fn line(round: u32, rounds: u32, scenario: &str, entrant: &str, attempt: &Attempt) -> String {
    let mut parts = Vec::new();
    if let Some(&published) = attempt.figures.get("publish_rate") {
        parts.push(format!("{} published", rate(published)));
    }
    if let Some(&consumed) = attempt.figures.get("consume_rate") {
        parts.push(format!("{} consumed", rate(consumed)));
    }
    if let Some(&p99) = attempt.figures.get("response_us_p99") {
        parts.push(format!("p99 {}", latency_us(p99)));
    }
    if !attempt.counted || attempt.harmed {
        parts.extend(attempt.reasons.iter().cloned());
    }
    let outcome = match (attempt.counted, attempt.harmed) {
        (true, false) => "counted",
        (true, true) => "harmed",
        (false, _) => attempt.verdict.name(),
    };
    format!(
        "{}/{rounds}  {scenario:<22} {entrant:<16} {outcome:<8} {}",
        round + 1,
        parts.join(" · ")
    )
}

#[cfg(test)]
mod tests {
    use super::super::document::tests::{attempt, document};
    use super::*;

    #[test]
    fn the_worst_that_was_not_made_good_decides() {
        let mut complete = document();
        assert_eq!(Ending::of(&complete), Ending::Incomplete);
        complete.cells[1].attempts.push(attempt(30e3, true));
        assert_eq!(Ending::of(&complete), Ending::Complete);
        complete.cells[0].attempts[1].harmed = true;
        assert_eq!(Ending::of(&complete), Ending::Harmed);
        complete.cells[0].attempts[3].exit_code = EXIT_BROKER;
        assert_eq!(Ending::of(&complete).exit_code(), 4);
    }

    #[test]
    fn a_line_says_what_came_of_a_run() {
        let text = line(0, 5, "20p20c", "rabbitmq", &attempt(41_000.0, true));
        assert_eq!(
            text,
            "1/5  20p20c                 rabbitmq         counted  41.0 k/s published"
        );
        let text = line(1, 5, "20p20c", "rabbitmq", &attempt(41_000.0, false));
        assert!(
            text.contains("invalid  41.0 k/s published · CPU <used> by others"),
            "{text}"
        );
    }
}
