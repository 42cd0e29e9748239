//! Frames: the units that the peers exchange once the protocol header has been sent.
//!
//! ```text
//! 0      1         3             7                  7+size      8+size
//! +------+---------+-------------+------------------+-----------+
//! | type | channel | size        | payload          | 0xCE      |
//! | u8   | u16     | u32         | size octets      | u8        |
//! +------+---------+-------------+------------------+-----------+
//! ```
//! The negotiated frame-max counts all of it: payload plus [`FRAME_OVERHEAD`].

use crate::error::WireError;

/// The octet that ends every frame.
pub const FRAME_END: u8 = 0xCE;
/// Type, channel and size: the octets before the payload.
pub const FRAME_HEADER_SIZE: usize = 7;
/// What a frame adds to its payload: header and end octet.
pub const FRAME_OVERHEAD: usize = FRAME_HEADER_SIZE + 1;
/// The frame size that every peer must accept (and the limit during negotiation), overhead included.
pub const FRAME_MIN_SIZE: usize = 4096;
/// What a client sends first, and what a server answers when it speaks no other version.
pub const PROTOCOL_HEADER: [u8; 8] = *b"AMQP\x00\x00\x09\x01";

/// The type octet of a frame.
#[repr(u8)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum FrameKind {
    /// A method with its arguments.
    Method = 1,
    /// Class, body size and properties of a content.
    Header = 2,
    /// Part of a content's body.
    Body = 3,
    /// A sign of life, on channel 0, without payload.
    Heartbeat = 8,
}

impl FrameKind {
    /// The kind with this type octet.
    #[inline]
    pub const fn from_octet(octet: u8) -> Option<Self> {
        match octet {
            1 => Some(Self::Method),
            2 => Some(Self::Header),
            3 => Some(Self::Body),
            8 => Some(Self::Heartbeat),
            _ => None,
        }
    }
}

/// One complete frame, borrowed from the input. On the wire it takes `payload.len() + FRAME_OVERHEAD` octets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame<'a> {
    /// What the payload is.
    pub kind: FrameKind,
    /// Channel number; 0 is the connection itself.
    pub channel: u16,
    /// The octets between header and end octet.
    pub payload: &'a [u8],
}

impl Frame<'_> {
    /// Octets of the whole frame: how far to advance the input.
    #[inline]
    pub const fn encoded_len(&self) -> usize {
        self.payload.len() + FRAME_OVERHEAD
    }
}

/// Decodes the frame at the start of `input`; `None` while it is incomplete.
///
/// Type and size are judged as soon as the seven header octets are there, so that a reader never waits for
/// (nor makes room for) more than `frame_bytes_max` octets. That limit counts the whole frame, as the
/// negotiated frame-max does.
///
/// # Errors
/// All of them are [`ReplyCode::FrameError`](crate::ReplyCode::FrameError): unknown type, oversized frame,
/// wrong end octet.
#[inline]
pub fn decode_frame(input: &[u8], frame_bytes_max: usize) -> Result<Option<Frame<'_>>, WireError> {
    let Some((&[kind, c0, c1, s0, s1, s2, s3], rest)) = input.split_first_chunk::<FRAME_HEADER_SIZE>() else {
        return Ok(None);
    };
    let Some(kind) = FrameKind::from_octet(kind) else {
        return Err(WireError::UnknownFrameKind { kind });
    };
    let size = u32::from_be_bytes([s0, s1, s2, s3]);
    let frame_bytes = u64::from(size) + FRAME_OVERHEAD as u64;
    if frame_bytes > frame_bytes_max as u64 {
        return Err(WireError::FrameTooLarge {
            frame_bytes,
            frame_bytes_max,
        });
    }
    match rest.split_at_checked(size as usize) {
        Some((payload, [FRAME_END, ..])) => Ok(Some(Frame {
            kind,
            channel: u16::from_be_bytes([c0, c1]),
            payload,
        })),
        Some((_, &[found, ..])) => Err(WireError::FrameEndMissing { found }),
        Some((_, [])) | None => Ok(None),
    }
}

/// The header of a frame with this payload length.
#[inline]
pub(crate) const fn frame_header(
    kind: FrameKind,
    channel: u16,
    payload_len: usize,
) -> [u8; FRAME_HEADER_SIZE] {
    let [c0, c1] = channel.to_be_bytes();
    let [s0, s1, s2, s3] = (payload_len as u32).to_be_bytes();
    [kind as u8, c0, c1, s0, s1, s2, s3]
}

/// Appends one frame around what `payload` writes.
#[inline]
pub(crate) fn encode_frame_with(
    out: &mut Vec<u8>,
    kind: FrameKind,
    channel: u16,
    payload: impl FnOnce(&mut Vec<u8>),
) {
    let start = out.len();
    out.extend_from_slice(&frame_header(kind, channel, 0));
    payload(out);
    let payload_len = out.len() - start - FRAME_HEADER_SIZE;
    out[start + 3..start + FRAME_HEADER_SIZE].copy_from_slice(&(payload_len as u32).to_be_bytes());
    out.push(FRAME_END);
}

/// Appends a heartbeat frame.
pub fn encode_heartbeat(out: &mut Vec<u8>) {
    out.extend_from_slice(&frame_header(FrameKind::Heartbeat, 0, 0));
    out.push(FRAME_END);
}

/// Appends a content header frame around a payload (class, weight, body size, properties) that is already
/// encoded.
#[inline]
pub fn encode_header_frame(out: &mut Vec<u8>, channel: u16, header_payload: &[u8]) {
    out.reserve(header_payload.len() + FRAME_OVERHEAD);
    out.extend_from_slice(&frame_header(FrameKind::Header, channel, header_payload.len()));
    out.extend_from_slice(header_payload);
    out.push(FRAME_END);
}

/// Appends a body as the fewest frames of at most `frame_bytes_max` octets each; nothing for an empty body.
///
/// # Panics
/// When `frame_bytes_max` leaves no room for a payload: limits below [`FRAME_MIN_SIZE`] are never negotiated.
#[inline]
pub fn encode_body_frames(out: &mut Vec<u8>, channel: u16, body: &[u8], frame_bytes_max: usize) {
    let payload_max = body_payload_max(frame_bytes_max);
    out.reserve(body.len() + body.len().div_ceil(payload_max) * FRAME_OVERHEAD);
    for part in body.chunks(payload_max) {
        out.extend_from_slice(&frame_header(FrameKind::Body, channel, part.len()));
        out.extend_from_slice(part);
        out.push(FRAME_END);
    }
}

/// Body octets that fit one frame.
#[inline]
pub(crate) const fn body_payload_max(frame_bytes_max: usize) -> usize {
    assert!(
        frame_bytes_max > FRAME_OVERHEAD,
        "frame_bytes_max must exceed the frame overhead"
    );
    frame_bytes_max - FRAME_OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ReplyCode;

    fn body_frame(payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        encode_body_frames(&mut out, 7, payload, FRAME_MIN_SIZE);
        out
    }

    #[test]
    fn every_truncation_is_incomplete() {
        let frame = body_frame(b"hello");
        for len in 0..frame.len() {
            assert_eq!(
                decode_frame(&frame[..len], FRAME_MIN_SIZE),
                Ok(None),
                "length {len}"
            );
        }
        let decoded = decode_frame(&frame, FRAME_MIN_SIZE).unwrap().unwrap();
        assert_eq!(
            decoded,
            Frame {
                kind: FrameKind::Body,
                channel: 7,
                payload: b"hello"
            }
        );
        assert_eq!(decoded.encoded_len(), frame.len());
    }

    #[test]
    fn size_is_judged_by_the_header_alone_and_counts_the_overhead() {
        let frame = body_frame(&[0; FRAME_MIN_SIZE - FRAME_OVERHEAD]);
        assert!(decode_frame(&frame, FRAME_MIN_SIZE).unwrap().is_some());
        let error = decode_frame(&frame[..FRAME_HEADER_SIZE], FRAME_MIN_SIZE - 1).unwrap_err();
        assert_eq!(
            error,
            WireError::FrameTooLarge {
                frame_bytes: 4096,
                frame_bytes_max: 4095
            }
        );
        assert_eq!(error.reply_code(), ReplyCode::FrameError);
        let huge = decode_frame(&[3, 0, 1, 255, 255, 255, 255], usize::MAX);
        assert_eq!(huge, Ok(None));
    }

    #[test]
    fn a_wrong_end_or_type_is_a_frame_error() {
        let mut frame = body_frame(b"x");
        *frame.last_mut().unwrap() = 0;
        assert_eq!(
            decode_frame(&frame, FRAME_MIN_SIZE),
            Err(WireError::FrameEndMissing { found: 0 })
        );
        frame[0] = 4;
        let error = decode_frame(&frame, FRAME_MIN_SIZE).unwrap_err();
        assert_eq!(error, WireError::UnknownFrameKind { kind: 4 });
        assert_eq!(error.reply_code().code(), 501);
    }

    #[test]
    fn bodies_are_split_at_the_limit() {
        let body: Vec<u8> = (0..10_000u32).map(|i| i as u8).collect();
        let mut out = Vec::new();
        encode_body_frames(&mut out, 1, &body, FRAME_MIN_SIZE);
        let (mut at, mut joined, mut frames) = (0, Vec::new(), 0);
        while let Some(frame) = decode_frame(&out[at..], FRAME_MIN_SIZE).unwrap() {
            joined.extend_from_slice(frame.payload);
            at += frame.encoded_len();
            frames += 1;
        }
        assert_eq!((joined, frames, at), (body, 3, out.len()));
        let before = out.len();
        encode_body_frames(&mut out, 1, b"", FRAME_MIN_SIZE);
        assert_eq!(out.len(), before);
    }

    #[test]
    fn heartbeat_is_eight_fixed_octets() {
        let mut out = Vec::new();
        encode_heartbeat(&mut out);
        assert_eq!(out, [8, 0, 0, 0, 0, 0, 0, 0xCE]);
    }
}
