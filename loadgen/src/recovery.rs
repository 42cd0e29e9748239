//! Kills of the broker in a result: when, and how it came back. Two witnesses, one row: the conductor knows when it
//! killed the broker and when that listened again, the driver what came of the connections.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::conductor::Kill;
use crate::recorder::Recovery;

/// A kill of the broker with SIGKILL, and its return.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KillFigures {
    /// When, in seconds since the load began.
    pub at_s: f64,
    /// From the kill until the broker listened again.
    pub listening_ms: f64,
    /// From the kill until every connection was open again; `None`, as all of the following, when the broker was killed
    /// again before.
    pub connected_ms: Option<f64>,
    /// From the kill until the first confirm of a message sent after it.
    pub first_confirm_ms: Option<f64>,
    /// Copies of confirmed messages that had not arrived when the broker was killed: what it had to bring back.
    pub at_stake: Option<u64>,
    /// Messages in the queues after the restart, as the broker counts them.
    pub queued: Option<u64>,
    /// Messages sent before the kill that arrived for the first time after it.
    pub recovered: Option<u64>,
    /// Messages sent before the kill that arrived before and after it.
    pub repeated: Option<u64>,
}

/// One row a kill; the load began at `started_ns`.
#[must_use]
pub fn rows(kills: &[Kill], recoveries: &[Recovery], started_ns: u64) -> Vec<KillFigures> {
    let row = |(index, kill): (usize, &Kill)| {
        let since_kill_ms = |ns: u64| ns.saturating_sub(kill.at_ns) as f64 / 1e6;
        let recovery = recoveries
            .iter()
            .find(|recovery| recovery.incarnation as usize == index + 1);
        KillFigures {
            at_s: kill.at_ns.saturating_sub(started_ns) as f64 / 1e9,
            listening_ms: since_kill_ms(kill.listening_ns),
            connected_ms: recovery.map(|it| since_kill_ms(it.connected_ns)),
            first_confirm_ms: recovery.and_then(|it| it.first_confirm_ns).map(since_kill_ms),
            at_stake: recovery.map(|it| it.at_stake),
            queued: recovery.map(|it| it.queued),
            recovered: recovery.map(|it| it.recovered),
            repeated: recovery.map(|it| it.repeated),
        }
    };
    kills.iter().enumerate().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kill_finds_its_return() {
        let kill = |at_ms: u64| Kill {
            at_ns: at_ms * 1_000_000,
            listening_ns: (at_ms + 30) * 1_000_000,
        };
        // The broker was killed again before anybody was back after the first kill.
        let recovery = Recovery {
            incarnation: 2,
            connected_ns: 2_090_000_000,
            first_confirm_ns: Some(2_140_000_000),
            at_stake: 50,
            queued: 70,
            recovered: 60,
            repeated: 10,
        };
        let rows = rows(&[kill(1_950), kill(2_000)], &[recovery], 500_000_000);
        let expected = [
            KillFigures {
                at_s: 1.45,
                listening_ms: 30.0,
                connected_ms: None,
                first_confirm_ms: None,
                at_stake: None,
                queued: None,
                recovered: None,
                repeated: None,
            },
            KillFigures {
                at_s: 1.5,
                listening_ms: 30.0,
                connected_ms: Some(90.0),
                first_confirm_ms: Some(140.0),
                at_stake: Some(50),
                queued: Some(70),
                recovered: Some(60),
                repeated: Some(10),
            },
        ];
        assert_eq!(rows, expected);
    }
}
