//! Recognising publish, deliver and ack.

use crate::cursor::Reader;
use crate::error::WireError;
use crate::frame::{FRAME_END, FRAME_OVERHEAD, Frame, FrameKind, decode_frame};
use crate::method::CLASS_BASIC;
use crate::properties::ContentHeader;

/// Class and method id of `basic.publish`.
const PUBLISH: &[u8] = &[0, 60, 0, 40];
/// Class and method id of `basic.deliver`.
const DELIVER: &[u8] = &[0, 60, 0, 60];
/// Payload size, class and method id of `basic.ack`: octets 3 to 11 of its frame.
pub(super) const ACK: [u8; 8] = [0, 0, 0, 13, 0, 60, 0, 80];
/// Octets of a whole `basic.ack` frame.
pub(super) const ACK_FRAME_SIZE: usize = 21;

/// What a scan found at the start of its input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scan<T> {
    /// The shape, complete.
    Complete(T),
    /// A prefix that may still become the shape: scan again when there is more. It never asks for more than
    /// a method, a header and a body frame of the maximum size.
    Incomplete,
    /// Not this shape (another method, a body in several frames, something malformed): use the general
    /// decoder.
    Other,
}

/// A `basic.publish` with its whole content.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PublishScan<'a> {
    /// Channel of all its frames.
    pub channel: u16,
    /// Payload of the method frame, ids included. Equal bytes mean equal exchange, routing key and flags.
    pub method: &'a [u8],
    /// Payload of the header frame, from class id to properties; at least 14 octets.
    pub header: &'a [u8],
    /// The body.
    pub body: &'a [u8],
    /// Header frame and body frame, whole, as they came: what
    /// [`DeliverTemplate::encode_frames`](super::DeliverTemplate::encode_frames) takes.
    pub frames: &'a [u8],
    /// Octets taken from the input.
    pub len: usize,
}

/// A `basic.deliver` with its whole content.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeliverScan<'a> {
    /// Channel of all its frames.
    pub channel: u16,
    /// What an ack must name.
    pub delivery_tag: u64,
    /// Whether it was delivered before.
    pub redelivered: bool,
    /// The consumer it is for.
    pub consumer_tag: &'a [u8],
    /// The body.
    pub body: &'a [u8],
    /// Octets taken from the input.
    pub len: usize,
}

/// A `basic.ack`, in either direction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AckScan {
    /// Its channel.
    pub channel: u16,
    /// The delivery (or publish sequence) it names; 0 with `multiple` is everything outstanding.
    pub delivery_tag: u64,
    /// Whether all lower tags are meant, too.
    pub multiple: bool,
    /// Octets taken from the input.
    pub len: usize,
}

/// Why a scan stops early.
enum Stop {
    Incomplete,
    Other,
}

impl From<WireError> for Stop {
    #[inline]
    fn from(_: WireError) -> Self {
        Self::Other
    }
}

impl<T> From<Result<T, Stop>> for Scan<T> {
    #[inline]
    fn from(result: Result<T, Stop>) -> Self {
        match result {
            Ok(found) => Self::Complete(found),
            Err(Stop::Incomplete) => Self::Incomplete,
            Err(Stop::Other) => Self::Other,
        }
    }
}

/// A method with its content: header and no or one body frame.
struct Content<'a> {
    channel: u16,
    method: &'a [u8],
    header: &'a [u8],
    body: &'a [u8],
    frames: &'a [u8],
    len: usize,
}

/// Scans for `basic.publish`, its header and a body of at most one frame, all on one channel.
#[inline]
pub fn scan_publish<'a>(input: &'a [u8], frame_bytes_max: usize) -> Scan<PublishScan<'a>> {
    scan_content(input, frame_bytes_max, PUBLISH)
        .map(
            |Content {
                 channel,
                 method,
                 header,
                 body,
                 frames,
                 len,
             }| PublishScan {
                channel,
                method,
                header,
                body,
                frames,
                len,
            },
        )
        .into()
}

/// Scans for `basic.deliver`, its header and a body of at most one frame, all on one channel.
#[inline]
pub fn scan_deliver<'a>(input: &'a [u8], frame_bytes_max: usize) -> Scan<DeliverScan<'a>> {
    scan_content(input, frame_bytes_max, DELIVER)
        .and_then(|content| Ok(read_deliver(content)?))
        .into()
}

/// Scans for `basic.ack`.
#[inline]
pub fn scan_ack(input: &[u8]) -> Scan<AckScan> {
    let Some(frame) = input.first_chunk::<ACK_FRAME_SIZE>() else {
        return scan_ack_prefix(input);
    };
    let &[
        kind,
        c0,
        c1,
        i0,
        i1,
        i2,
        i3,
        i4,
        i5,
        i6,
        i7,
        t0,
        t1,
        t2,
        t3,
        t4,
        t5,
        t6,
        t7,
        bits,
        end,
    ] = frame;
    if kind != FrameKind::Method as u8 || [i0, i1, i2, i3, i4, i5, i6, i7] != ACK || end != FRAME_END {
        return Scan::Other;
    }
    Scan::Complete(AckScan {
        channel: u16::from_be_bytes([c0, c1]),
        delivery_tag: u64::from_be_bytes([t0, t1, t2, t3, t4, t5, t6, t7]),
        multiple: bits & 1 != 0,
        len: ACK_FRAME_SIZE,
    })
}

/// An input too short for an ack: either the start of one, or something else (which may well be complete).
#[cold]
fn scan_ack_prefix(input: &[u8]) -> Scan<AckScan> {
    let kind_fits = input.first().is_none_or(|&kind| kind == FrameKind::Method as u8);
    let ids_fit = input
        .get(3..)
        .unwrap_or_default()
        .iter()
        .zip(&ACK)
        .all(|(found, wanted)| found == wanted);
    if kind_fits && ids_fit {
        Scan::Incomplete
    } else {
        Scan::Other
    }
}

#[inline(always)]
fn scan_content<'a>(input: &'a [u8], frame_bytes_max: usize, method: &[u8]) -> Result<Content<'a>, Stop> {
    let (method_frame, rest) = next_frame(input, frame_bytes_max)?;
    if method_frame.kind != FrameKind::Method || !method_frame.payload.starts_with(method) {
        return Err(Stop::Other);
    }
    let channel = method_frame.channel;
    let content = rest;
    let (header_frame, rest) = next_frame(rest, frame_bytes_max)?;
    if header_frame.kind != FrameKind::Header || header_frame.channel != channel {
        return Err(Stop::Other);
    }
    let ContentHeader {
        class_id, body_size, ..
    } = ContentHeader::decode(header_frame.payload)?;
    if class_id != CLASS_BASIC {
        return Err(Stop::Other);
    }
    let (body, rest) = if body_size == 0 {
        (&[][..], rest)
    } else {
        if body_size.saturating_add(FRAME_OVERHEAD as u64) > frame_bytes_max as u64 {
            return Err(Stop::Other);
        }
        let (body_frame, rest) = next_frame(rest, frame_bytes_max)?;
        if body_frame.kind != FrameKind::Body
            || body_frame.channel != channel
            || body_frame.payload.len() as u64 != body_size
        {
            return Err(Stop::Other);
        }
        (body_frame.payload, rest)
    };
    let len = input.len() - rest.len();
    Ok(Content {
        channel,
        method: method_frame.payload,
        header: header_frame.payload,
        body,
        frames: &content[..content.len() - rest.len()],
        len,
    })
}

#[inline(always)]
fn next_frame(input: &[u8], frame_bytes_max: usize) -> Result<(Frame<'_>, &[u8]), Stop> {
    match decode_frame(input, frame_bytes_max)? {
        Some(frame) => Ok((frame, input.get(frame.encoded_len()..).unwrap_or_default())),
        None => Err(Stop::Incomplete),
    }
}

#[inline]
fn read_deliver(content: Content<'_>) -> Result<DeliverScan<'_>, WireError> {
    let Content {
        channel,
        method,
        body,
        len,
        ..
    } = content;
    let mut reader = Reader::new(method.get(DELIVER.len()..).unwrap_or_default());
    let consumer_tag_len = reader.u8()?;
    let consumer_tag = reader.slice(consumer_tag_len.into())?;
    let delivery_tag = reader.u64()?;
    let redelivered = reader.bit()?;
    Ok(DeliverScan {
        channel,
        delivery_tag,
        redelivered,
        consumer_tag,
        body,
        len,
    })
}
