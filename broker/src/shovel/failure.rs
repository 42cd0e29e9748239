//! What went wrong, and whether another try may help.

use amqps::{cause, explained, is_refusal};
use lapin::ErrorKind;

/// Reply codes of a broker that is stopping or had trouble of its own, rather than with what was asked.
const PASSING: [u16; 3] = [
    320, // connection-forced
    506, // resource-error
    541, // internal-error
];

/// Why moving ended before its time.
#[derive(Debug)]
pub(super) enum Failure {
    /// A connection is lost or not to be had, or a message was refused: later it may be otherwise.
    Passing(String),
    /// A broker said no to what the command line asks for, or TLS to who is there.
    Final(String),
}

impl Failure {
    /// What happened with `what`.
    pub(super) fn of(what: &str, error: &lapin::Error) -> Self {
        let told = format!("{what}: {error}");
        match error.kind() {
            ErrorKind::ProtocolError(error) if !PASSING.contains(&error.get_id()) => Self::Final(told),
            ErrorKind::IOError(error) => match cause(error) {
                Some(error) if is_refusal(error) => Self::Final(format!("{what}: {}", explained(error))),
                Some(error) => Self::Passing(format!("{what}: {}", explained(error))),
                None => Self::Passing(told),
            },
            _ => Self::Passing(told),
        }
    }

    /// What happened with every one of several nodes.
    pub(super) fn of_all(failures: &[Self]) -> Self {
        let told: Vec<&str> = failures.iter().map(Self::text).collect();
        let told = told.join("; ");
        if failures.iter().all(|failure| matches!(failure, Self::Final(_))) {
            Self::Final(told)
        } else {
            Self::Passing(told)
        }
    }

    pub(super) fn text(&self) -> &str {
        match self {
            Self::Passing(text) | Self::Final(text) => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_that_all_refuse_end_it_and_one_that_is_away_does_not() {
        let refusal = || Failure::Final("one: no".to_owned());
        let absence = || Failure::Passing("two: away".to_owned());
        for (failures, is_final) in [
            (vec![refusal()], true),
            (vec![refusal(), refusal()], true),
            (vec![refusal(), absence()], false),
            (vec![absence(), refusal()], false),
        ] {
            let all = Failure::of_all(&failures);
            assert_eq!(matches!(all, Failure::Final(_)), is_final, "{failures:?}");
        }
        assert_eq!(
            Failure::of_all(&[refusal(), absence()]).text(),
            "one: no; two: away"
        );
    }
}
