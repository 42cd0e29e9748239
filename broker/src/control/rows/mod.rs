//! What can be listed: a file for each kind of row, with its columns.

mod channels;
mod connections;
mod consumers;
mod queues;

use std::sync::Arc;

use serde_json::Value;

use super::protocol::{Listing, Refusal};
use super::table::Row;
use crate::broker::Broker;
use crate::observe::Earlier;
use crate::vhost::VirtualHost;
pub(super) use channels::ChannelRow;
pub(super) use connections::ConnectionRow;
pub(super) use consumers::ConsumerRow;
pub(super) use queues::QueueRow;

/// Rows of one kind, in the order that is meant when nothing else is asked for.
pub(super) trait List: Row {
    fn list(vhosts: &[Arc<VirtualHost>], earlier: Option<&Earlier>) -> Vec<Self>;
}

/// The virtual hosts that a listing is about.
///
/// # Errors
/// When there is none of the name.
pub(super) fn vhosts(broker: &Broker, listing: &Listing) -> Result<Vec<Arc<VirtualHost>>, Refusal> {
    match &listing.vhost {
        None => Ok(broker.vhosts()),
        Some(name) => Ok(vec![vhost(broker, name)?]),
    }
}

/// One by its name.
///
/// # Errors
/// When there is none.
pub(super) fn vhost(broker: &Broker, name: &str) -> Result<Arc<VirtualHost>, Refusal> {
    let found = broker.vhost(name);
    found.ok_or_else(|| Refusal::not_found(format!("vhost: there is no virtual host '{name}'")))
}

/// Per second, with one decimal; nothing without an earlier look.
fn rate(earlier: Option<&Earlier>, then: u64, now: u64) -> Value {
    earlier.map_or(Value::Null, |earlier| rounded(earlier.rate(then, now)))
}

fn rounded(number: f64) -> Value {
    Value::from((number * 10.0).round() / 10.0)
}
