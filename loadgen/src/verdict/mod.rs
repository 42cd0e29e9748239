//! The verdict: pass, fail or invalid, and why.
//!
//! Order of precedence: a message lost, duplicated, reordered or corrupted is a failure on any machine (`harm`); then
//! whatever made the run say nothing about the broker makes it invalid (`validity`); then the targets decide (`targets`).
//! A message that was on its way when its connection ended, and not confirmed, is not lost in this sense; one delivered
//! again with the redelivered flag is not duplicated. A run that was ended because it was hopeless has failed.

mod ceiling;
mod harm;
mod targets;
#[cfg(test)]
mod tests;
mod validity;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::conductor::Conducted;
use crate::recorder::Recording;
use crate::result::Summary;
use crate::scenario::Scenario;
use crate::usage::Usage;

/// What a run amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// All targets reached.
    Pass,
    /// Targets missed, or messages harmed.
    Fail,
    /// The generator or the machine was the bottleneck, or the run was cut short.
    Invalid,
}

impl Outcome {
    /// `pass`, `fail` or `invalid`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Invalid => "invalid",
        }
    }

    /// The process's exit code.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Fail => 1,
            Self::Invalid => 3,
        }
    }
}

/// One target and what was reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// The target's field, or the expression.
    pub target: String,
    /// Its value.
    pub limit: f64,
    /// What was measured; `None` when it could not be.
    pub measured: Option<f64>,
    /// Whether it was reached; `None` when nothing was measured.
    pub passed: Option<bool>,
    /// Of an expression: both sides of each comparison, as they were measured. Its `limit` and `measured` are the right and
    /// the left side of the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared: Option<String>,
}

/// The outcome with its reasons.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// What the run amounts to.
    pub outcome: Outcome,
    /// Why it is not a pass; empty for a pass.
    pub reasons: Vec<String>,
    /// Each target that the scenario states, and its limit for the share of the generator's ceiling.
    pub checks: Vec<Check>,
}

/// All that a run is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// What was asked for.
    pub scenario: &'a Scenario,
    /// What the driver measured.
    pub recording: &'a Recording,
    /// What the processes used; `None` when the window was too short to say.
    pub usage: Option<&'a Usage>,
    /// The figures, for targets that are expressions.
    pub summary: &'a Summary,
    /// How many faults were made.
    pub faults: usize,
    /// Why the run was ended as hopeless, if it was.
    pub hopeless: Option<&'a str>,
}

impl<'a> Evidence<'a> {
    /// Of a run whose figures are in `summary`.
    #[must_use]
    pub fn of(
        scenario: &'a Scenario,
        conducted: &'a Conducted,
        usage: Option<&'a Usage>,
        summary: &'a Summary,
    ) -> Self {
        Self {
            scenario,
            recording: &conducted.recording,
            usage,
            summary,
            faults: conducted.strikes.len(),
            hopeless: conducted.hopeless.as_deref(),
        }
    }
}

impl Verdict {
    /// Judges a run.
    #[must_use]
    pub fn of(evidence: &Evidence<'_>) -> Self {
        let Evidence {
            scenario,
            recording,
            hopeless,
            ..
        } = *evidence;
        let mut checks = targets::checks(evidence);
        let harm = harm::reasons(recording);
        // What was ended on purpose is short on purpose.
        let invalid = match hopeless {
            Some(_) => Vec::new(),
            None => validity::reasons(evidence),
        };
        let mut missed: Vec<_> = hopeless.into_iter().map(str::to_owned).collect();
        missed.extend(targets::missed(&checks));
        // It decides whether the run says anything, not whether the broker is good enough.
        checks.extend(ceiling::check(evidence));
        if hopeless.is_none() {
            missed.extend(targets::unsent(scenario, recording));
        }
        let outcome = match (harm.is_empty(), invalid.is_empty(), missed.is_empty()) {
            (false, _, _) => Outcome::Fail,
            (true, false, _) => Outcome::Invalid,
            (true, true, false) => Outcome::Fail,
            (true, true, true) => Outcome::Pass,
        };
        Self {
            outcome,
            reasons: [harm, invalid, missed].concat(),
            checks,
        }
    }
}
