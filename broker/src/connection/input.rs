//! Bytes to frames to handlers.
//!
//! Publishes and acknowledgements, which are nearly all of the traffic, are recognised whole by
//! [`wire::fast`]; everything else goes frame by frame through the general decoder.

use wire::fast::{self, Scan};
use wire::{ContentHeader, Frame, FrameKind, Method, ReplyCode, decode_frame};

use super::channel::{Channel, Content};
use super::failure::Failure;
use super::routes::METHOD_BYTES_MAX;
use super::settle::Fate;
use super::task::{Connection, HANDSHAKE_FRAME_BYTES_MAX, Stage};
use crate::record::Content as RecordContent;

/// A publish that is not complete yet is left for the next read while it is smaller than this; a larger one
/// is collected frame by frame.
pub const INCOMPLETE_PUBLISH_BYTES_MAX: usize = 64 * 1024;

/// A body that is too large is read to its end, and forgotten, before its channel is closed. One that announces more than
/// this is refused at once; no RabbitMQ can be configured to take it.
const REFUSED_BODY_BYTES_MAX: u64 = 512 << 20;

/// Octets of a content header that are kept without being charged while its body is on its way.
const HEADER_BYTES_FREE: usize = 4096;

/// Where frames come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// What is not handled is kept, and handled with the next read.
    Socket,
    /// Whole frames that were parked on this channel. None is left for a read that would complete its publish, because what
    /// follows them comes by itself.
    Parked(u16),
}

impl Connection {
    /// Handles every complete frame in `input`; returns how many bytes that were.
    pub(super) fn process(&mut self, input: &[u8]) -> Result<usize, Failure> {
        self.handle_frames(input, Origin::Socket)
    }

    /// The same for whole frames that were parked on a channel, until it is blocked again.
    pub(super) fn process_parked(&mut self, id: u16, frames: &[u8]) -> Result<usize, Failure> {
        self.handle_frames(frames, Origin::Parked(id))
    }

    fn handle_frames(&mut self, input: &[u8], origin: Origin) -> Result<usize, Failure> {
        let mut at = 0;
        while self.stage == Stage::Open && at < input.len() && !self.stops(origin) {
            let rest = &input[at..];
            match fast::scan_publish(rest, self.frame_bytes_max) {
                Scan::Complete(publish)
                    if self.takes_publish(publish.channel, publish.body.len())
                        && wire::check_content_header(publish.header).is_ok() =>
                {
                    self.publish_or_close(publish, rest)
                        .map(|consumed| at += consumed)?;
                    continue;
                }
                Scan::Complete(publish) if self.parks_publishes(publish.channel) => {
                    at += self.park_publishes(&publish, rest);
                    continue;
                }
                Scan::Incomplete
                    if origin == Origin::Socket
                        && rest.len() < INCOMPLETE_PUBLISH_BYTES_MAX
                        && !self.awaits_content(rest) =>
                {
                    break;
                }
                _ => {}
            }
            if let Scan::Complete(ack) = fast::scan_ack(rest)
                && self.acks_at_once(ack.channel)
            {
                at += ack.len;
                if let Err(failure) = self.ack(ack.channel, ack.delivery_tag, ack.multiple) {
                    self.fail_channel(
                        ack.channel,
                        failure,
                        Method::BasicAck {
                            delivery_tag: 0,
                            multiple: false,
                        },
                    )?;
                }
                continue;
            }
            let Some(frame) = decode_frame(rest, self.frame_bytes_max)? else {
                break;
            };
            if self.is_metered && !self.passes(&frame) {
                break;
            }
            at += frame.payload.len() + wire::FRAME_OVERHEAD;
            self.flush_settles();
            self.on_frame(frame, &input[..at])?;
        }
        if self.stage != Stage::Open && at < input.len() {
            at += self.process_closed_or_handshake(&input[at..])?;
        }
        self.flush_settles();
        Ok(at)
    }

    /// True when the rest has to wait on.
    fn stops(&self, origin: Origin) -> bool {
        match origin {
            Origin::Socket => false,
            Origin::Parked(id) => self.channels.get(&id).is_some_and(Channel::is_blocked),
        }
    }

    /// Frames outside the open stage: the handshake, and what follows a close.
    fn process_closed_or_handshake(&mut self, input: &[u8]) -> Result<usize, Failure> {
        let mut at = 0;
        while self.stage != Stage::Open && self.stage != Stage::Closed {
            if self.stage == Stage::Authenticating {
                // Until it is known who it is, the rest waits, of which there is to be no more than a frame or two.
                let waiting = input.len() - at;
                return match waiting <= HANDSHAKE_FRAME_BYTES_MAX {
                    true => Ok(at),
                    false => Err(Failure::new(
                        ReplyCode::UnexpectedFrame,
                        "too much before the answer to connection.start-ok",
                    )),
                };
            }
            let Some(frame) = decode_frame(&input[at..], self.frame_bytes_max)? else {
                return Ok(at);
            };
            at += frame.payload.len() + wire::FRAME_OVERHEAD;
            self.on_handshake_frame(frame)?;
        }
        if self.stage == Stage::Closed {
            return Ok(input.len());
        }
        Ok(at + self.process(&input[at..])?)
    }

    /// True when the fast path may take a publish on this channel now.
    fn takes_publish(&self, id: u16, body_bytes: usize) -> bool {
        let Some(channel) = self.channels.get(&id) else {
            return false;
        };
        !channel.closing
            && !self.frame_by_frame
            && channel.content.is_none()
            && !channel.is_blocked()
            && body_bytes as u64 <= self.broker.config.message_bytes_max
    }

    /// True when a publish is on its way in on the channel that the frame at the start of `input` is for.
    fn awaits_content(&self, input: &[u8]) -> bool {
        let id = input.get(1..3).map_or(0, |id| u16::from_be_bytes([id[0], id[1]]));
        self.channels
            .get(&id)
            .is_some_and(|channel| channel.content.is_some())
    }

    /// True when an acknowledgement on this channel needs nothing but its window.
    fn acks_at_once(&self, id: u16) -> bool {
        self.channels
            .get(&id)
            .is_some_and(|channel| !channel.closing && channel.content.is_none() && channel.tx.is_none())
    }

    fn publish_or_close(&mut self, publish: fast::PublishScan<'_>, input: &[u8]) -> Result<usize, Failure> {
        match self.publish_run(publish, input) {
            Ok(consumed) => Ok(consumed),
            Err(failure) => {
                self.fail_channel(publish.channel, failure, basic_publish())?;
                Ok(publish.len)
            }
        }
    }

    /// One frame of an open connection.
    fn on_frame(&mut self, frame: Frame<'_>, consumed: &[u8]) -> Result<(), Failure> {
        if frame.kind == FrameKind::Heartbeat {
            return match frame.channel {
                0 => Ok(()),
                channel => Err(Failure::unexpected_frame(format!(
                    "heartbeat on channel {channel}"
                ))),
            };
        }
        if frame.channel == 0 {
            let FrameKind::Method = frame.kind else {
                return Err(Failure::unexpected_frame("content frame on channel 0"));
            };
            return self.on_connection_method(decode_method(frame.payload)?);
        }
        if self.must_park(&frame) {
            let raw = &consumed[consumed.len() - frame.payload.len() - wire::FRAME_OVERHEAD..];
            self.park_frame(frame.channel, frame.kind, raw);
            return Ok(());
        }
        match frame.kind {
            FrameKind::Method => self.on_channel_frame(frame.channel, frame.payload),
            FrameKind::Header => self.on_content_header(frame.channel, frame.payload),
            _ => self.on_content_body(frame.channel, frame.payload),
        }
    }

    fn on_channel_frame(&mut self, id: u16, payload: &[u8]) -> Result<(), Failure> {
        if let Some(content) = self
            .channels
            .get(&id)
            .and_then(|channel| channel.content.as_ref())
        {
            return Err(not_expected(Some(content)));
        }
        let method = decode_method(payload)?;
        let Some(channel) = self.channels.get_mut(&id) else {
            return match method {
                Method::ChannelOpen => self.open_channel(id),
                _ => Err(Failure::new(ReplyCode::ChannelError, "expected 'channel.open'").during(&method)),
            };
        };
        if channel.closing {
            return self.on_closing_channel(id, &method);
        }
        if let Method::BasicPublish { .. } = method {
            channel.content = Some(Content {
                method: payload[..payload.len().min(METHOD_BYTES_MAX)].to_vec(),
                header: Vec::new(),
                body: Vec::new(),
                body_bytes: 0,
                come_bytes: 0,
                charged: 0,
                owed: 0,
            });
            return Ok(());
        }
        match self.on_channel_method(id, method) {
            Ok(()) => Ok(()),
            Err(failure) => self.fail_channel(id, failure, method),
        }
    }

    fn on_channel_method(&mut self, id: u16, method: Method<'_>) -> Result<(), Failure> {
        match method {
            Method::ChannelOpen => Err(Failure::new(
                ReplyCode::ChannelError,
                "second 'channel.open' seen",
            )),
            Method::ChannelClose { .. } => self.close_channel(id),
            // Of older versions of the protocol; tickets mean nothing.
            Method::AccessRequest { .. } => {
                self.reply(id, Method::AccessRequestOk { ticket: 1 });
                Ok(())
            }
            Method::ChannelFlow { active } => self.channel_flow(id, active),
            Method::ChannelFlowOk { .. } => Ok(()),
            Method::BasicAck {
                delivery_tag,
                multiple,
            } => self.settle_or_hold(id, delivery_tag, multiple, Fate::Settle),
            Method::BasicNack {
                delivery_tag,
                multiple,
                requeue,
            } => self.settle_or_hold(id, delivery_tag, multiple, Fate::of_rejected(requeue)),
            Method::BasicReject {
                delivery_tag,
                requeue,
            } => self.settle_or_hold(id, delivery_tag, false, Fate::of_rejected(requeue)),
            Method::BasicRecover { requeue } | Method::BasicRecoverAsync { requeue } => {
                self.recover(id, requeue, matches!(method, Method::BasicRecover { .. }))
            }
            Method::BasicQos { .. }
            | Method::BasicConsume { .. }
            | Method::BasicCancel { .. }
            | Method::BasicGet { .. } => self.on_basic_method(id, method),
            // The client's answer to a cancellation that we announced.
            Method::BasicCancelOk { .. } => Ok(()),
            Method::ConfirmSelect { no_wait } => self.confirm_select(id, no_wait),
            Method::ExchangeDeclare { .. }
            | Method::ExchangeDelete { .. }
            | Method::ExchangeBind { .. }
            | Method::ExchangeUnbind { .. }
            | Method::QueueDeclare { .. }
            | Method::QueueBind { .. }
            | Method::QueueUnbind { .. }
            | Method::QueuePurge { .. }
            | Method::QueueDelete { .. } => self.on_entity_method(id, method),
            Method::TxSelect | Method::TxCommit | Method::TxRollback => self.on_tx_method(id, method),
            _ => Err(Failure::new(ReplyCode::CommandInvalid, "unimplemented method")),
        }
    }

    fn on_content_header(&mut self, id: u16, payload: &[u8]) -> Result<(), Failure> {
        let Some(channel) = self.channels.get_mut(&id) else {
            return Err(not_expected(None));
        };
        if channel.closing {
            return Ok(());
        }
        let content = match &mut channel.content {
            Some(content) if content.header.is_empty() => content,
            other => return Err(not_expected(other.as_ref())),
        };
        let header = ContentHeader::decode(payload)
            .and_then(|header| wire::check_content_header(payload).map(|()| header))
            .map_err(|error| Failure::from(error).during(&basic_publish()))?;
        if header.body_size > self.broker.config.message_bytes_max.max(REFUSED_BODY_BYTES_MAX) {
            return self.refuse_size(id, header.body_size);
        }
        content.owed += payload.len().saturating_sub(HEADER_BYTES_FREE);
        self.body_tick = self.reactor.ticks();
        content.header.extend_from_slice(payload);
        content.body_bytes = header.body_size;
        self.finish_content(id)
    }

    fn on_content_body(&mut self, id: u16, payload: &[u8]) -> Result<(), Failure> {
        let Some(channel) = self.channels.get_mut(&id) else {
            return Err(not_expected(None));
        };
        if channel.closing {
            return Ok(());
        }
        let content = match &mut channel.content {
            Some(content) if !content.header.is_empty() => content,
            other => return Err(not_expected(other.as_ref())),
        };
        content.come_bytes += payload.len() as u64;
        if content.come_bytes > content.body_bytes {
            let text = format!(
                "body longer than the {} bytes its header announced",
                content.body_bytes
            );
            return Err(Failure::new(ReplyCode::FrameError, text).during(&basic_publish()));
        }
        if content.body_bytes <= self.broker.config.message_bytes_max {
            content.owed += payload.len();
            content.body.extend_from_slice(payload);
        }
        self.body_tick = self.reactor.ticks();
        self.finish_content(id)
    }

    fn refuse_size(&mut self, id: u16, body_bytes: u64) -> Result<(), Failure> {
        let text = format!(
            "message size {body_bytes} is larger than configured max size {}",
            self.broker.config.message_bytes_max
        );
        let failure = Failure::new(ReplyCode::PreconditionFailed, text);
        self.fail_channel(id, failure, basic_publish())
    }

    /// Publishes the content when all of it is there, or refuses it: not before, because a client that still has a part of
    /// the body to send may take the close for the end of it and reuse the channel's number.
    fn finish_content(&mut self, id: u16) -> Result<(), Failure> {
        let channel = self.channels.get_mut(&id).expect("content of an open channel");
        let complete = |content: &mut Content| content.come_bytes == content.body_bytes;
        let Some(content) = channel.content.take_if(complete) else {
            self.pay_for_body(id);
            return Ok(());
        };
        self.broker.pool.release_held(content.charged);
        if content.body_bytes > self.broker.config.message_bytes_max {
            return self.refuse_size(id, content.body_bytes);
        }
        let mut frames =
            Vec::with_capacity(content.header.len() + content.body.len() + 2 * wire::FRAME_OVERHEAD);
        let whole = RecordContent::build(&mut frames, &content.header, &content.body);
        let published = self.publish(id, &content.method, &[whole], true);
        if !self.budget_spent {
            self.end_overdraft();
        }
        match published {
            Ok(_) => Ok(()),
            Err(failure) => self.fail_channel(id, failure, basic_publish()),
        }
    }

    /// Forgets a content that is not complete.
    pub(super) fn drop_content(&mut self, id: u16) {
        if let Some(content) = self
            .channels
            .get_mut(&id)
            .and_then(|channel| channel.content.take())
        {
            self.broker.pool.release_held(content.charged);
            self.end_overdraft();
        }
    }
}

/// Decodes a method frame's payload.
pub(super) fn decode_method(payload: &[u8]) -> Result<Method<'_>, Failure> {
    Method::decode(payload).map_err(|error| Failure::undecodable(payload, &error))
}

/// A frame that is not the one that must come next on its channel: what that is follows from the publish on its way in,
/// if there is one.
fn not_expected(content: Option<&Content>) -> Failure {
    match content {
        None => Failure::unexpected_frame("expected method frame, got non method frame instead"),
        Some(content) if content.header.is_empty() => {
            let text = "expected content header for class 60, got non content header frame instead";
            Failure::unexpected_frame(text).during(&basic_publish())
        }
        Some(_) => {
            let text = "expected content body, got non content body frame instead";
            Failure::unexpected_frame(text).during(&basic_publish())
        }
    }
}

/// The method named in errors about publishing.
fn basic_publish() -> Method<'static> {
    Method::BasicPublish {
        exchange: "",
        routing_key: "",
        mandatory: false,
        immediate: false,
    }
}
