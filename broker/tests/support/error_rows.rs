//! The table: see `errors`.

mod basic;
mod channels;
mod exchanges;
mod frames;
mod handshakes;
mod modes;
mod queues;

pub use basic::basic;
pub use channels::channels;
pub use exchanges::exchanges;
pub use frames::frames;
pub use handshakes::handshakes;
pub use modes::modes;
pub use queues::queues;
use wire::{FieldTable, FieldValue, Method, TableRef};

use super::{Client, declare_own};

const NONE: TableRef<'static> = TableRef::EMPTY;

/// A table of one entry, encoded.
fn one(name: &str, value: impl Into<FieldValue>) -> Vec<u8> {
    let mut table = FieldTable::new();
    table.insert(name, value);
    table.to_bytes()
}

/// Declares a queue that goes with the connection.
fn own_queue(client: &mut Client, queue: &str) {
    let answer = client.call(1, declare_own(queue));
    assert!(
        matches!(answer.method(), Method::QueueDeclareOk { .. }),
        "{answer:?}"
    );
}

/// Another connection to the same broker, with an exclusive queue; both live as long as it is kept.
fn owner_of(client: &Client, queue: &str) -> Client {
    let mut owner = Client::connect_to(client.stream.peer_addr().unwrap());
    own_queue(&mut owner, queue);
    owner
}
