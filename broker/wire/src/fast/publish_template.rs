//! A prebuilt publish, for a generator that sends the same message again and again.

use crate::frame::{FRAME_OVERHEAD, body_payload_max, encode_body_frames};
use crate::method::Method;
use crate::properties::{BasicProperties, encode_content_header};

/// All frames of one `basic.publish`, ready to be copied.
///
/// Fill in the constant part of the body once with [`fill`](Self::fill); for each message
/// [`append`](Self::append) a copy and patch its changing part there. In a body of several frames, octet `p`
/// of the body lies after `p / n` further frame ends and headers, where `n` is
/// [`part_len_max`](Self::part_len_max); [`patch`](Self::patch) knows that.
#[derive(Clone, Debug)]
pub struct PublishTemplate {
    bytes: Vec<u8>,
    /// Where the body's first octet lies in `bytes` (their end, when the body is empty).
    body_start: usize,
    body_len: usize,
    part_len_max: usize,
}

impl PublishTemplate {
    /// Encodes the frames, with a body of zeros.
    ///
    /// # Panics
    /// When `frame_bytes_max` leaves no room for a payload: limits below
    /// [`FRAME_MIN_SIZE`](crate::FRAME_MIN_SIZE) are never negotiated.
    pub fn new(
        channel: u16,
        exchange: &str,
        routing_key: &str,
        mandatory: bool,
        properties: &BasicProperties<'_>,
        body_len: usize,
        frame_bytes_max: usize,
    ) -> Self {
        let mut bytes = Vec::new();
        Method::BasicPublish {
            exchange,
            routing_key,
            mandatory,
            immediate: false,
        }
        .encode(channel, &mut bytes);
        encode_content_header(&mut bytes, channel, body_len as u64, properties);
        let head_len = bytes.len();
        encode_body_frames(&mut bytes, channel, &vec![0; body_len], frame_bytes_max);
        let body_start = if body_len == 0 {
            head_len
        } else {
            head_len + crate::frame::FRAME_HEADER_SIZE
        };
        Self {
            bytes,
            body_start,
            body_len,
            part_len_max: body_payload_max(frame_bytes_max),
        }
    }

    /// Octets of one whole publish.
    #[inline]
    pub const fn encoded_len(&self) -> usize {
        self.bytes.len()
    }

    /// Octets of the body.
    #[inline]
    pub const fn body_len(&self) -> usize {
        self.body_len
    }

    /// Octets of body in each frame but the last.
    #[inline]
    pub const fn part_len_max(&self) -> usize {
        self.part_len_max
    }

    /// Whether the whole body lies in one piece.
    #[inline]
    pub const fn body_is_contiguous(&self) -> bool {
        self.body_len <= self.part_len_max
    }

    /// Sets octets of the template's own body, starting `at` octets into it.
    ///
    /// # Panics
    /// When they do not fit the body.
    pub fn fill(&mut self, at: usize, octets: &[u8]) {
        let Self {
            ref mut bytes,
            body_start,
            body_len,
            part_len_max,
        } = *self;
        write_body(
            bytes,
            BodyPlace {
                body_start,
                body_len,
                part_len_max,
            },
            at,
            octets,
        );
    }

    /// Appends one publish; returns where its body starts in `out`. At least the first
    /// `min(body_len, part_len_max)` octets from there are contiguous.
    #[inline]
    pub fn append(&self, out: &mut Vec<u8>) -> usize {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        start + self.body_start
    }

    /// Sets octets of an appended copy's body, starting `at` octets into it; `body_start` is what
    /// [`append`](Self::append) returned.
    ///
    /// # Panics
    /// When they do not fit the body, or `out` is not where it was appended.
    #[inline]
    pub fn patch(&self, out: &mut [u8], body_start: usize, at: usize, octets: &[u8]) {
        let place = BodyPlace {
            body_start,
            body_len: self.body_len,
            part_len_max: self.part_len_max,
        };
        write_body(out, place, at, octets);
    }
}

/// Where a body lies in a buffer.
#[derive(Clone, Copy)]
struct BodyPlace {
    body_start: usize,
    body_len: usize,
    part_len_max: usize,
}

/// Copies octets into a body, stepping over the frame boundaries between its parts.
#[inline]
fn write_body(buffer: &mut [u8], place: BodyPlace, mut at: usize, mut octets: &[u8]) {
    let BodyPlace {
        body_start,
        body_len,
        part_len_max,
    } = place;
    assert!(
        at.checked_add(octets.len()).is_some_and(|end| end <= body_len),
        "{} octets at {at} do not fit a body of {body_len}",
        octets.len()
    );
    while !octets.is_empty() {
        let (part, part_at) = (at / part_len_max, at % part_len_max);
        let (now, later) = octets.split_at(octets.len().min(part_len_max - part_at));
        let start = body_start + at + part * FRAME_OVERHEAD;
        buffer[start..start + now.len()].copy_from_slice(now);
        at += now.len();
        octets = later;
    }
}
