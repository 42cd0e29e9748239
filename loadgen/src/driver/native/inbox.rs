//! The general decoder behind the fast paths: any frame, bodies in several frames, and what the broker complains of.

use wire::{ContentHeader, FrameKind, Method, decode_frame};

use super::session::{CHANNEL, content, refusal};
use crate::driver::DriverError;

/// The largest body that is put together; the plan's largest is 16 MiB.
const BODY_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// One thing that the broker said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incoming<'a> {
    /// A message with its whole body.
    Delivery {
        /// What an ack must name.
        tag: u64,
        /// The redelivered flag.
        redelivered: bool,
        /// The body.
        body: &'a [u8],
    },
    /// Publishes were taken over (or, as `nack`, refused).
    Settled {
        /// The publish tag.
        tag: u64,
        /// Whether all lower ones are meant, too.
        multiple: bool,
        /// Refused, not accepted.
        nack: bool,
    },
    /// The answer to a request that was made while the load runs.
    Answer,
    /// `connection.blocked`: the broker stops reading publishes for a while.
    Blocked,
    /// A part of a message, a heartbeat, `connection.unblocked`: nothing to do.
    Part,
}

/// A delivery whose content has not all arrived.
#[derive(Clone, Debug)]
struct Partial {
    tag: u64,
    redelivered: bool,
    /// From the content header, once it came.
    body_bytes: Option<u64>,
}

/// Decoding state of one connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Inbox {
    partial: Option<Partial>,
    body: Vec<u8>,
}

impl Inbox {
    /// Whether a delivery is half read, so that only this decoder understands what comes next.
    pub(super) fn is_mid_message(&self) -> bool {
        self.partial.is_some()
    }

    /// Decodes one frame at the start of `input`: how long it is, and what it says. `None` when it is incomplete.
    pub(super) fn decode(
        &mut self,
        connection: &str,
        input: &[u8],
        frame_bytes_max: usize,
    ) -> Result<Option<(usize, Incoming<'_>)>, DriverError> {
        let malformed = |source| DriverError::Wire {
            connection: connection.to_owned(),
            source,
        };
        let Some(frame) = decode_frame(input, frame_bytes_max).map_err(malformed)? else {
            return Ok(None);
        };
        let incoming = match frame.kind {
            FrameKind::Heartbeat => Incoming::Part,
            FrameKind::Method => {
                let method = Method::decode(frame.payload).map_err(malformed)?;
                self.method(connection, frame.channel, &method)?
            }
            FrameKind::Header => {
                let header = ContentHeader::decode(frame.payload).map_err(malformed)?;
                self.header(connection, header.body_size)?
            }
            FrameKind::Body => self.body(connection, frame.payload)?,
        };
        Ok(Some((frame.encoded_len(), incoming)))
    }

    fn method(
        &mut self,
        connection: &str,
        channel: u16,
        method: &Method<'_>,
    ) -> Result<Incoming<'static>, DriverError> {
        let settled = |tag, multiple, nack| Ok(Incoming::Settled { tag, multiple, nack });
        match *method {
            Method::ConnectionBlocked { .. } => Ok(Incoming::Blocked),
            Method::ConnectionUnblocked => Ok(Incoming::Part),
            Method::BasicQosOk | Method::BasicConsumeOk { .. } if channel == CHANNEL => Ok(Incoming::Answer),
            Method::BasicDeliver {
                delivery_tag,
                redelivered,
                ..
            } if channel == CHANNEL && self.partial.is_none() => {
                self.partial = Some(Partial {
                    tag: delivery_tag,
                    redelivered,
                    body_bytes: None,
                });
                self.body.clear();
                Ok(Incoming::Part)
            }
            Method::BasicAck {
                delivery_tag,
                multiple,
            } => settled(delivery_tag, multiple, false),
            Method::BasicNack {
                delivery_tag,
                multiple,
                ..
            } => settled(delivery_tag, multiple, true),
            _ => Err(refusal(connection, method)),
        }
    }

    fn header(&mut self, connection: &str, body_bytes: u64) -> Result<Incoming<'_>, DriverError> {
        match &mut self.partial {
            Some(partial) if partial.body_bytes.is_none() && body_bytes <= BODY_BYTES_MAX => {
                partial.body_bytes = Some(body_bytes);
                Ok(self.finish())
            }
            _ => Err(content(connection)),
        }
    }

    fn body(&mut self, connection: &str, payload: &[u8]) -> Result<Incoming<'_>, DriverError> {
        let expected = self.partial.as_ref().and_then(|partial| partial.body_bytes);
        if expected.is_none_or(|expected| (self.body.len() + payload.len()) as u64 > expected) {
            return Err(content(connection));
        }
        self.body.extend_from_slice(payload);
        Ok(self.finish())
    }

    /// The delivery, if its body is complete.
    fn finish(&mut self) -> Incoming<'_> {
        match self.partial {
            Some(Partial {
                tag,
                redelivered,
                body_bytes: Some(expected),
            }) if expected == self.body.len() as u64 => {
                self.partial = None;
                Incoming::Delivery {
                    tag,
                    redelivered,
                    body: &self.body,
                }
            }
            _ => Incoming::Part,
        }
    }
}
