//! Harm: messages lost, duplicated, reordered, damaged or refused. A failure on whatever machine.

use crate::recorder::Recording;

/// What was done to messages that should not have been.
pub(super) fn reasons(recording: &Recording) -> Vec<String> {
    let ledger = &recording.ledger;
    // Whoever interrupts the drain, too, gives up messages that were on their way.
    let (lost, confirmed_lost) = if recording.cut_short {
        (0, 0)
    } else {
        (ledger.lost, ledger.confirmed_lost.unwrap_or(0))
    };
    let counts = [
        (confirmed_lost, "confirmed and lost"),
        (lost - confirmed_lost, "lost"),
        (ledger.duplicated, "duplicated"),
        (ledger.reordered, "reordered"),
        (ledger.corrupt, "corrupt"),
        (ledger.nacked, "refused (nack)"),
    ];
    counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("messages {what}: {count}"))
        .collect()
}
