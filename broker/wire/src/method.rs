//! Every method of AMQP 0-9-1 and of RabbitMQ's extensions, declared once.
//!
//! The table below is the only place that knows ids, names and argument lists; enum, decoder, encoder and
//! names are generated from it (see `define.rs`). A line reads
//! `id Variant "class.method" [reserved types] { arguments in wire order } [reserved types];`
//! where reserved arguments are read and ignored, and written as zero or empty.
//!
//! Argument types: `bool` is a bit (consecutive bits share an octet), `&str` a short string (UTF-8, at most
//! 255 bytes; longer text is cut at a character boundary when written), `&[u8]` a long string.

#[macro_use]
mod define;
#[cfg(test)]
mod tests;

use crate::cursor::{Argument, Reader, Writer};
use crate::error::WireError;
use crate::frame::{FrameKind, encode_frame_with};
use crate::table::TableRef;

/// Class id of the basic class, which alone carries content.
pub const CLASS_BASIC: u16 = 60;

methods! {
    class 10 {
        10 ConnectionStart "connection.start" {
            version_major: u8, version_minor: u8, server_properties: TableRef<'a>, mechanisms: &'a [u8],
            locales: &'a [u8],
        };
        11 ConnectionStartOk "connection.start-ok" {
            client_properties: TableRef<'a>, mechanism: &'a str, response: &'a [u8], locale: &'a str,
        };
        20 ConnectionSecure "connection.secure" { challenge: &'a [u8] };
        21 ConnectionSecureOk "connection.secure-ok" { response: &'a [u8] };
        30 ConnectionTune "connection.tune" { channel_max: u16, frame_max: u32, heartbeat: u16 };
        31 ConnectionTuneOk "connection.tune-ok" { channel_max: u16, frame_max: u32, heartbeat: u16 };
        40 ConnectionOpen "connection.open" { virtual_host: &'a str } [&'a str, bool];
        41 ConnectionOpenOk "connection.open-ok" [&'a str];
        50 ConnectionClose "connection.close" {
            reply_code: u16, reply_text: &'a str, class_id: u16, method_id: u16,
        };
        51 ConnectionCloseOk "connection.close-ok";
        60 ConnectionBlocked "connection.blocked" { reason: &'a str };
        61 ConnectionUnblocked "connection.unblocked";
        70 ConnectionUpdateSecret "connection.update-secret" { new_secret: &'a [u8], reason: &'a str };
        71 ConnectionUpdateSecretOk "connection.update-secret-ok";
    }
    class 20 {
        10 ChannelOpen "channel.open" [&'a str];
        11 ChannelOpenOk "channel.open-ok" [&'a [u8]];
        20 ChannelFlow "channel.flow" { active: bool };
        21 ChannelFlowOk "channel.flow-ok" { active: bool };
        40 ChannelClose "channel.close" {
            reply_code: u16, reply_text: &'a str, class_id: u16, method_id: u16,
        };
        41 ChannelCloseOk "channel.close-ok";
    }
    class 30 {
        10 AccessRequest "access.request" {
            realm: &'a str, exclusive: bool, passive: bool, active: bool, write: bool, read: bool,
        };
        11 AccessRequestOk "access.request-ok" { ticket: u16 };
    }
    class 40 {
        10 ExchangeDeclare "exchange.declare" [u16] {
            exchange: &'a str, kind: &'a str, passive: bool, durable: bool, auto_delete: bool, internal: bool,
            no_wait: bool, arguments: TableRef<'a>,
        };
        11 ExchangeDeclareOk "exchange.declare-ok";
        20 ExchangeDelete "exchange.delete" [u16] { exchange: &'a str, if_unused: bool, no_wait: bool };
        21 ExchangeDeleteOk "exchange.delete-ok";
        30 ExchangeBind "exchange.bind" [u16] {
            destination: &'a str, source: &'a str, routing_key: &'a str, no_wait: bool,
            arguments: TableRef<'a>,
        };
        31 ExchangeBindOk "exchange.bind-ok";
        40 ExchangeUnbind "exchange.unbind" [u16] {
            destination: &'a str, source: &'a str, routing_key: &'a str, no_wait: bool,
            arguments: TableRef<'a>,
        };
        51 ExchangeUnbindOk "exchange.unbind-ok";
    }
    class 50 {
        10 QueueDeclare "queue.declare" [u16] {
            queue: &'a str, passive: bool, durable: bool, exclusive: bool, auto_delete: bool, no_wait: bool,
            arguments: TableRef<'a>,
        };
        11 QueueDeclareOk "queue.declare-ok" { queue: &'a str, message_count: u32, consumer_count: u32 };
        20 QueueBind "queue.bind" [u16] {
            queue: &'a str, exchange: &'a str, routing_key: &'a str, no_wait: bool, arguments: TableRef<'a>,
        };
        21 QueueBindOk "queue.bind-ok";
        30 QueuePurge "queue.purge" [u16] { queue: &'a str, no_wait: bool };
        31 QueuePurgeOk "queue.purge-ok" { message_count: u32 };
        40 QueueDelete "queue.delete" [u16] {
            queue: &'a str, if_unused: bool, if_empty: bool, no_wait: bool,
        };
        41 QueueDeleteOk "queue.delete-ok" { message_count: u32 };
        50 QueueUnbind "queue.unbind" [u16] {
            queue: &'a str, exchange: &'a str, routing_key: &'a str, arguments: TableRef<'a>,
        };
        51 QueueUnbindOk "queue.unbind-ok";
    }
    class 60 {
        10 BasicQos "basic.qos" { prefetch_size: u32, prefetch_count: u16, global: bool };
        11 BasicQosOk "basic.qos-ok";
        20 BasicConsume "basic.consume" [u16] {
            queue: &'a str, consumer_tag: &'a str, no_local: bool, no_ack: bool, exclusive: bool,
            no_wait: bool, arguments: TableRef<'a>,
        };
        21 BasicConsumeOk "basic.consume-ok" { consumer_tag: &'a str };
        30 BasicCancel "basic.cancel" { consumer_tag: &'a str, no_wait: bool };
        31 BasicCancelOk "basic.cancel-ok" { consumer_tag: &'a str };
        40 BasicPublish "basic.publish" [u16] {
            exchange: &'a str, routing_key: &'a str, mandatory: bool, immediate: bool,
        };
        50 BasicReturn "basic.return" {
            reply_code: u16, reply_text: &'a str, exchange: &'a str, routing_key: &'a str,
        };
        60 BasicDeliver "basic.deliver" {
            consumer_tag: &'a str, delivery_tag: u64, redelivered: bool, exchange: &'a str,
            routing_key: &'a str,
        };
        70 BasicGet "basic.get" [u16] { queue: &'a str, no_ack: bool };
        71 BasicGetOk "basic.get-ok" {
            delivery_tag: u64, redelivered: bool, exchange: &'a str, routing_key: &'a str, message_count: u32,
        };
        72 BasicGetEmpty "basic.get-empty" [&'a str];
        80 BasicAck "basic.ack" { delivery_tag: u64, multiple: bool };
        90 BasicReject "basic.reject" { delivery_tag: u64, requeue: bool };
        100 BasicRecoverAsync "basic.recover-async" { requeue: bool };
        110 BasicRecover "basic.recover" { requeue: bool };
        111 BasicRecoverOk "basic.recover-ok";
        120 BasicNack "basic.nack" { delivery_tag: u64, multiple: bool, requeue: bool };
    }
    class 85 {
        10 ConfirmSelect "confirm.select" { no_wait: bool };
        11 ConfirmSelectOk "confirm.select-ok";
    }
    class 90 {
        10 TxSelect "tx.select";
        11 TxSelectOk "tx.select-ok";
        20 TxCommit "tx.commit";
        21 TxCommitOk "tx.commit-ok";
        30 TxRollback "tx.rollback";
        31 TxRollbackOk "tx.rollback-ok";
    }
}

impl Method<'_> {
    /// Whether a content header and body follow this method.
    #[inline]
    pub const fn has_content(&self) -> bool {
        matches!(
            self,
            Self::BasicPublish { .. }
                | Self::BasicReturn { .. }
                | Self::BasicDeliver { .. }
                | Self::BasicGetOk { .. }
        )
    }
}
