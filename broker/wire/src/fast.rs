//! The hot path: publish, deliver and ack in one pass over contiguous bytes, without allocation.
//!
//! A scan recognises one exact shape and nothing else. [`Scan::Other`] is never a verdict: it sends the same
//! bytes to the general decoder, which alone names errors. What a scan does accept, the general decoder
//! splits into the same frames. A scan of publish or deliver does not judge exchange, routing key or
//! properties: whoever needs them decodes them, from `method` or `header`.

mod encode;
mod publish_template;
mod scan;
#[cfg(test)]
mod tests;

pub use encode::{DeliverTemplate, encode_ack};
pub use publish_template::PublishTemplate;
pub use scan::{AckScan, DeliverScan, PublishScan, Scan, scan_ack, scan_deliver, scan_publish};
