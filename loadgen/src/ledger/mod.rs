//! The ledger: for every (producer, queue) pair, which messages were published and which arrived.
//!
//! It covers every message of the run, warm-up and drain included, and decides from the stamps alone what was lost,
//! duplicated, reordered or corrupt. A copy is *expected* on each queue that the plan names for its producer.
//!
//! * lost: expected, never received. When connections ended: confirmed lost and unconfirmed lost apart (`survival`);
//!   the latter are no loss that anybody could complain of, and are not counted in lost.
//! * duplicated: a copy came without the redelivered flag after another one without it; redelivered: any other repetition.
//! * reordered: a first copy, not flagged, with a lower sequence than one that the same consumer already had from the
//!   same producer and queue. A message handed to another consumer may overtake; within one consumer none may. A consumer
//!   that connects anew after a fault starts afresh; of what was sent before a cut no order is judged on the
//!   queues and of the producers that it struck.
//! * corrupt: stamp check or filler wrong, wrong size, unknown producer, a sequence that was never published, or a
//!   queue that the producer does not feed.

mod books;
mod kill;
mod standing;
mod stream;
mod summary;
mod survival;

pub use books::{Ledger, Receipt};
pub use summary::LedgerSummary;
