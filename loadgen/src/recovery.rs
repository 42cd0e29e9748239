//! Faults in a result: when, and how the load went on. Two witnesses, one row: the conductor knows when it made the fault and
//! when that was over, the driver what came of connections and messages.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::faults::Strike;
use crate::recorder::Recording;
use crate::scenario::FaultKind;

/// A fault and its consequences. Times are from the fault on; `None` is what was not seen before the next fault or the end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FaultFigures {
    /// What kind of fault.
    pub kind: FaultKind,
    /// When, in seconds since the load began.
    pub at_s: f64,
    /// Until it was over: the broker listened again or went on, the consumers were let go, the connections were cut.
    pub ended_ms: Option<f64>,
    /// Until every connection was open again; of a pause or stall, until the driver knew that it was over.
    pub connected_ms: Option<f64>,
    /// Until the first confirm after that; of a cut, on a connection that it had struck.
    pub first_confirm_ms: Option<f64>,
    /// Until the first delivery after that, likewise.
    pub first_delivery_ms: Option<f64>,
    /// The longest response latency of messages intended from the fault until `connected_ms`.
    pub response_worst_ms: Option<f64>,
    /// Until the first whole second of intended instants whose response latency (p99) is within the scenario's
    /// `recovered_p99_us_max`; `None` also without that.
    pub response_good_ms: Option<f64>,
    /// Copies of confirmed messages that had not arrived by the fault: what the broker had to bring back.
    pub at_stake: Option<u64>,
    /// Messages in the queues before anybody consumed again, as the broker counts them; only after a kill or a restart.
    pub queued: Option<u64>,
    /// First copies, afterwards, of messages sent on connections that had ended.
    pub recovered: Option<u64>,
    /// Copies that arrived again.
    pub repeated: Option<u64>,
    /// Confirmed messages that never arrived and were sent after the fault before it; `None` when the run does not tell
    /// confirmed ones apart.
    pub confirmed_lost: Option<u64>,
    /// The reply code with which the broker closed a connection before it ended, if it did.
    pub reply_code: Option<u16>,
}

/// A kill of the broker in results of schema 3, which knew no other fault.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KillFigures {
    /// When, in seconds since the load began.
    pub at_s: f64,
    /// From the kill until the broker listened again.
    pub listening_ms: f64,
    /// Until every connection was open again.
    pub connected_ms: Option<f64>,
    /// Until the first confirm of a message sent after it.
    pub first_confirm_ms: Option<f64>,
    /// Copies of confirmed messages that had not arrived.
    pub at_stake: Option<u64>,
    /// Messages in the queues after the restart.
    pub queued: Option<u64>,
    /// Messages sent before the kill that arrived for the first time after it.
    pub recovered: Option<u64>,
    /// Messages sent before the kill that arrived before and after it.
    pub repeated: Option<u64>,
}

/// One row a fault; the load began at `started_ns`.
#[must_use]
pub fn rows(strikes: &[Strike], recording: &Recording, started_ns: u64) -> Vec<FaultFigures> {
    let ledger = &recording.ledger;
    let row = |(index, strike): (usize, &Strike)| {
        let since_ms = |ns: u64| ns.saturating_sub(strike.at_ns) as f64 / 1e6;
        let mut recoveries = recording.recoveries.iter();
        let recovery = recoveries.find(|recovery| recovery.fault == index);
        let timeline = recording.timeline.as_ref();
        let over_ns = recovery.map(|it| it.connected_ns).or(strike.ended_ns);
        let worst_us = timeline.and_then(|it| it.worst_us(strike.at_ns, over_ns.unwrap_or(u64::MAX)));
        FaultFigures {
            kind: strike.kind,
            at_s: strike.at_ns.saturating_sub(started_ns) as f64 / 1e9,
            ended_ms: strike.ended_ns.map(since_ms),
            connected_ms: recovery.map(|it| since_ms(it.connected_ns)),
            first_confirm_ms: recovery.and_then(|it| it.first_confirm_ns).map(since_ms),
            first_delivery_ms: recovery.and_then(|it| it.first_delivery_ns).map(since_ms),
            response_worst_ms: worst_us.map(|us| us as f64 / 1e3),
            response_good_ms: timeline
                .and_then(|it| it.good_from_ns(strike.at_ns))
                .map(since_ms),
            at_stake: recovery.map(|it| it.at_stake),
            queued: recovery.and_then(|it| it.queued),
            recovered: recovery.map(|it| it.recovered),
            repeated: recovery.map(|it| it.repeated),
            confirmed_lost: ledger
                .confirmed_lost
                .map(|_| ledger.confirmed_lost_by_fault.get(index).copied().unwrap_or(0)),
            reply_code: recovery.and_then(|it| it.reply_code),
        }
    };
    strikes.iter().enumerate().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;
    use crate::recorder::{Recovery, Timeline};
    use crate::scenario::built_in;

    const MS: u64 = 1_000_000;

    #[test]
    fn each_fault_finds_its_recovery() {
        let strike = |kind, at_ms: u64| Strike {
            kind,
            at_ns: at_ms * MS,
            ended_ns: Some((at_ms + 30) * MS),
        };
        let mut recording = fixtures::recording(&built_in("crash").unwrap());
        // The broker was killed again before anybody was back after the restart.
        recording.recoveries = vec![Recovery {
            fault: 1,
            connected_ns: 2_090 * MS,
            first_confirm_ns: Some(2_140 * MS),
            first_delivery_ns: Some(2_100 * MS),
            at_stake: 50,
            queued: Some(70),
            recovered: 60,
            repeated: 10,
            reply_code: None,
        }];
        recording.ledger.confirmed_lost = Some(3);
        recording.ledger.confirmed_lost_by_fault = vec![3];
        let mut timeline = Timeline::new(Some(1_000.0));
        for ms in 0..4_000 {
            let received_ms = if (1_950..2_090).contains(&ms) { 2_095 } else { ms };
            timeline.record(ms * MS, received_ms * MS);
        }
        recording.timeline = Some(Box::new(timeline));
        let strikes = [strike(FaultKind::Restart, 1_950), strike(FaultKind::Kill, 2_000)];
        let rows = rows(&strikes, &recording, 500 * MS);
        let expected = [
            FaultFigures {
                kind: FaultKind::Restart,
                at_s: 1.45,
                ended_ms: Some(30.0),
                connected_ms: None,
                first_confirm_ms: None,
                first_delivery_ms: None,
                response_worst_ms: Some(145.0),
                response_good_ms: Some(130.0),
                at_stake: None,
                queued: None,
                recovered: None,
                repeated: None,
                confirmed_lost: Some(3),
                reply_code: None,
            },
            FaultFigures {
                kind: FaultKind::Kill,
                at_s: 1.5,
                ended_ms: Some(30.0),
                connected_ms: Some(90.0),
                first_confirm_ms: Some(140.0),
                first_delivery_ms: Some(100.0),
                response_worst_ms: Some(95.0),
                response_good_ms: Some(80.0),
                at_stake: Some(50),
                queued: Some(70),
                recovered: Some(60),
                repeated: Some(10),
                confirmed_lost: Some(0),
                reply_code: None,
            },
        ];
        assert_eq!(rows, expected);
    }
}
