//! What lapin's users do with a broker: `interop [FEATURE]...`. See `../README.md`.

mod connections;
mod consuming;
mod dead_letters;
mod errors;
mod harness;
mod messages;
mod publishing;
mod queues;
mod routing;
mod scope;

use std::process::ExitCode;

use harness::Feature;

macro_rules! features {
    ($($name:literal: $test:path,)*) => {
        &[$(($name, (|scope| Box::pin($test(scope))) as Feature)),*]
    };
}

const FEATURES: &[(&str, Feature)] = features! {
    "handshake": connections::handshake,
    "topology": routing::topology,
    "topic_headers": routing::topic_and_headers,
    "alternate_exchange": routing::alternate_exchange,
    "confirms": publishing::confirms,
    "returns": publishing::returns,
    "get": consuming::get,
    "prefetch": consuming::prefetch,
    "requeue": consuming::requeue,
    "ttl": queues::ttl,
    "dead_letter": dead_letters::dead_letter,
    "max_length": queues::max_length,
    "priority": queues::priority,
    "consumer_priority": consuming::consumer_priority,
    "single_active": consuming::single_active,
    "exclusive": consuming::exclusive,
    "delivery_limit": dead_letters::delivery_limit,
    "cancel_notify": consuming::cancel_notify,
    "errors": errors::errors,
    "tx": publishing::transactions,
    "direct_reply_to": consuming::direct_reply_to,
    "cc_bcc": publishing::cc_and_bcc,
    "user_id": publishing::user_id,
    "properties": publishing::all_properties,
    "large": publishing::large,
    "channels_500": connections::channels_500,
    "heartbeat": connections::heartbeat,
    "restart": connections::restart,
};

fn main() -> ExitCode {
    harness::run(FEATURES)
}
