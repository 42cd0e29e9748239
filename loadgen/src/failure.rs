//! Why an invocation ended without a result, and with which exit code.

use crate::conductor::ConductError;
use crate::driver::DriverError;
use crate::verdict::Outcome;

/// Wrong usage: nothing was done.
pub const EXIT_USAGE: u8 = 2;
/// The run, or the comparison, says nothing.
pub const EXIT_INVALID: u8 = 3;
/// The broker failed.
pub const EXIT_BROKER: u8 = 4;

/// Why an invocation ended without a result.
#[derive(Debug)]
pub struct Failure {
    /// What the process exits with.
    pub exit_code: u8,
    /// Why.
    pub error: anyhow::Error,
}

impl Failure {
    /// Wrong usage, found before any work.
    pub fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self {
            exit_code: EXIT_USAGE,
            error: error.into(),
        }
    }

    /// The broker failed.
    pub fn broker(error: impl Into<anyhow::Error>) -> Self {
        Self {
            exit_code: EXIT_BROKER,
            error: error.into(),
        }
    }

    /// Writing results failed: the run is not one that others could check.
    #[must_use]
    pub fn results(error: anyhow::Error) -> Self {
        Self {
            exit_code: EXIT_INVALID,
            error,
        }
    }

    /// What it counts as among verdicts.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        if self.exit_code == EXIT_INVALID {
            Outcome::Invalid
        } else {
            Outcome::Fail
        }
    }
}

impl From<ConductError> for Failure {
    fn from(error: ConductError) -> Self {
        let exit_code = match &error {
            ConductError::Driver(
                DriverError::Generator { .. } | DriverError::Worker { .. } | DriverError::Interrupted,
            )
            | ConductError::Panicked => EXIT_INVALID,
            ConductError::Driver(_) | ConductError::Broker(_) | ConductError::Proxy { .. } => EXIT_BROKER,
        };
        Self {
            exit_code,
            error: error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_blamed_on_whoever_failed() {
        let code = |error: ConductError| Failure::from(error).exit_code;
        assert_eq!(code(ConductError::Driver(DriverError::Interrupted)), EXIT_INVALID);
        assert_eq!(code(ConductError::Panicked), EXIT_INVALID);
        let hung_up = DriverError::Disconnected {
            connection: "producer 1".into(),
        };
        assert_eq!(code(ConductError::Driver(hung_up)), EXIT_BROKER);
    }
}
