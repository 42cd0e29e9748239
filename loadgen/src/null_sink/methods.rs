//! Answers to requests.

use wire::fast::DeliverTemplate;
use wire::{FieldTable, Method, TableRef};

use super::FRAME_BYTES_MAX;
use super::input::{Input, Partial};
use super::output::Output;
use super::topology::Topology;

/// Channels of a connection: one for the load, one for churn.
const CHANNEL_MAX: u16 = 2;
const PRODUCT: &str = "null sink";

/// Greets a client that has sent the protocol header.
pub(super) fn greet(output: &mut Output) {
    let mut properties = FieldTable::new();
    properties.insert("product", PRODUCT);
    properties.insert("version", env!("CARGO_PKG_VERSION"));
    let properties = properties.to_bytes();
    let start = Method::ConnectionStart {
        version_major: 0,
        version_minor: 9,
        server_properties: TableRef::parse(&properties).expect("a table this crate encoded is valid"),
        mechanisms: b"PLAIN",
        locales: b"en_US",
    };
    output.send(0, &start);
}

/// Does what the method of connection `key` asks for. `payload` is the method's frame.
///
/// The error says what is wrong with it.
pub(super) fn answer(
    key: usize,
    input: &mut Input,
    output: &mut Output,
    topology: &mut Topology,
    (channel, payload): (u16, &[u8]),
) -> Result<(), String> {
    let method = Method::decode(payload).map_err(|error| error.to_string())?;
    let answer = match method {
        Method::BasicPublish { .. } => {
            input.partial = Some(Partial {
                method: payload.to_vec(),
                ..Partial::default()
            });
            return Ok(());
        }
        Method::ConnectionTuneOk { .. }
        | Method::BasicAck { .. }
        | Method::ConnectionCloseOk
        | Method::ChannelCloseOk => return Ok(()),
        Method::ConnectionStartOk { .. } => Method::ConnectionTune {
            channel_max: CHANNEL_MAX,
            frame_max: FRAME_BYTES_MAX as u32,
            heartbeat: 0,
        },
        Method::ConnectionOpen { .. } => Method::ConnectionOpenOk,
        Method::ConnectionClose { .. } => Method::ConnectionCloseOk,
        Method::ChannelOpen => Method::ChannelOpenOk,
        Method::ChannelClose { .. } => Method::ChannelCloseOk,
        Method::ExchangeDeclare { exchange, kind, .. } => {
            if !topology.declare_exchange(exchange, kind) {
                return Err(format!("an exchange of kind {kind:?} is not known here"));
            }
            Method::ExchangeDeclareOk
        }
        Method::ExchangeDelete { exchange, .. } => {
            topology.delete_exchange(exchange);
            Method::ExchangeDeleteOk
        }
        Method::QueueDeclare { queue, .. } => {
            topology.declare_queue(queue);
            Method::QueueDeclareOk {
                queue,
                message_count: 0,
                consumer_count: 0,
            }
        }
        Method::QueueBind {
            queue,
            exchange,
            routing_key,
            ..
        } => {
            if !topology.bind(queue, exchange, routing_key) {
                return Err(format!("there is no queue {queue:?} or no exchange {exchange:?}"));
            }
            Method::QueueBindOk
        }
        Method::QueueDelete { queue, .. } => {
            topology.delete_queue(queue);
            Method::QueueDeleteOk { message_count: 0 }
        }
        Method::BasicQos { .. } => Method::BasicQosOk,
        Method::BasicConsume {
            queue, consumer_tag, ..
        } => {
            let found = topology
                .queue(queue)
                .ok_or_else(|| format!("there is no queue {queue:?}"))?;
            topology.queues[found].consumers.push(key);
            output.deliveries = Some((DeliverTemplate::new(channel, consumer_tag), 0));
            Method::BasicConsumeOk { consumer_tag }
        }
        Method::BasicCancel { consumer_tag, .. } => {
            topology.forget(key);
            output.deliveries = None;
            Method::BasicCancelOk { consumer_tag }
        }
        Method::ConfirmSelect { .. } => {
            input.confirms_on = Some(channel);
            Method::ConfirmSelectOk
        }
        other => return Err(format!("nobody here answers {other:?}")),
    };
    output.send(channel, &answer);
    Ok(())
}
