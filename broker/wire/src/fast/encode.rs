//! Writing deliveries and acks.

use super::scan::{ACK, ACK_FRAME_SIZE};
use crate::cursor::{SHORT_STRING_BYTES_MAX, Writer};
use crate::frame::{
    FRAME_END, FRAME_HEADER_SIZE, FRAME_OVERHEAD, FrameKind, body_payload_max, encode_body_frames,
    frame_header,
};

/// Appends a `basic.ack` frame: an acknowledgement towards a broker, a confirm towards a publisher.
#[inline]
pub fn encode_ack(out: &mut Vec<u8>, channel: u16, delivery_tag: u64, multiple: bool) {
    let [c0, c1] = channel.to_be_bytes();
    let [i0, i1, i2, i3, i4, i5, i6, i7] = ACK;
    let [t0, t1, t2, t3, t4, t5, t6, t7] = delivery_tag.to_be_bytes();
    let frame: [u8; ACK_FRAME_SIZE] = [
        FrameKind::Method as u8,
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
        multiple as u8,
        FRAME_END,
    ];
    out.extend_from_slice(&frame);
}

/// The constant start of every delivery to one consumer: frame header, class, method, consumer tag.
#[derive(Clone, Debug)]
pub struct DeliverTemplate {
    channel: u16,
    /// Frame header to consumer tag; the size field is filled in per delivery.
    prefix: Vec<u8>,
}

impl DeliverTemplate {
    /// Prepares deliveries to this consumer. A tag longer than 255 bytes is cut at a character boundary.
    pub fn new(channel: u16, consumer_tag: &str) -> Self {
        let mut prefix = frame_header(FrameKind::Method, channel, 0).to_vec();
        prefix.extend_from_slice(&[0, 60, 0, 60]);
        Writer::new(&mut prefix).short_string(consumer_tag);
        Self { channel, prefix }
    }

    /// The channel it delivers on.
    #[inline]
    pub const fn channel(&self) -> u16 {
        self.channel
    }

    /// Appends a whole delivery: method, header and as many body frames as the limit asks for.
    ///
    /// Exchange and routing key are short strings as a broker keeps them: at most 255 octets, the rest is
    /// cut.
    ///
    /// # Panics
    /// When `frame_bytes_max` leaves no room for a payload: limits below
    /// [`FRAME_MIN_SIZE`](crate::FRAME_MIN_SIZE) are never negotiated.
    #[inline]
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of a delivery lie in one record; a struct would only rename them"
    )]
    pub fn encode(
        &self,
        out: &mut Vec<u8>,
        delivery_tag: u64,
        redelivered: bool,
        exchange: &[u8],
        routing_key: &[u8],
        header_payload: &[u8],
        body: &[u8],
        frame_bytes_max: usize,
    ) {
        self.reserve(
            out,
            exchange,
            routing_key,
            header_payload,
            body.len() + FRAME_OVERHEAD,
        );
        self.encode_head(
            out,
            delivery_tag,
            redelivered,
            exchange,
            routing_key,
            header_payload,
        );
        if body.len() <= body_payload_max(frame_bytes_max) {
            if !body.is_empty() {
                out.extend_from_slice(&frame_header(FrameKind::Body, self.channel, body.len()));
                out.extend_from_slice(body);
                out.push(FRAME_END);
            }
        } else {
            encode_body_frames(out, self.channel, body, frame_bytes_max);
        }
    }

    /// Appends method and header frame only: for bodies that are sent from where they lie.
    #[inline]
    pub fn encode_head(
        &self,
        out: &mut Vec<u8>,
        delivery_tag: u64,
        redelivered: bool,
        exchange: &[u8],
        routing_key: &[u8],
        header_payload: &[u8],
    ) {
        let exchange = short(exchange);
        let routing_key = short(routing_key);
        self.reserve(out, exchange, routing_key, header_payload, 0);
        let start = out.len();
        out.extend_from_slice(&self.prefix);
        let [t0, t1, t2, t3, t4, t5, t6, t7] = delivery_tag.to_be_bytes();
        out.extend_from_slice(&[
            t0,
            t1,
            t2,
            t3,
            t4,
            t5,
            t6,
            t7,
            redelivered as u8,
            exchange.len() as u8,
        ]);
        out.extend_from_slice(exchange);
        out.push(routing_key.len() as u8);
        out.extend_from_slice(routing_key);
        let payload_len = (out.len() - start - FRAME_HEADER_SIZE) as u32;
        out[start + 3..start + FRAME_HEADER_SIZE].copy_from_slice(&payload_len.to_be_bytes());

        let [h0, h1, h2, h3, h4, h5, h6] =
            frame_header(FrameKind::Header, self.channel, header_payload.len());
        out.extend_from_slice(&[FRAME_END, h0, h1, h2, h3, h4, h5, h6]);
        out.extend_from_slice(header_payload);
        out.push(FRAME_END);
    }

    /// Appends a whole delivery whose content lies ready as frames: a header frame and, unless the body is
    /// empty, one body frame, on whatever channel they came. `names` holds exchange and routing key as the
    /// two short strings of a `basic.publish`. Three copies and a few octets, whatever the content.
    ///
    /// The caller sees to it that the peer accepts a body frame of this size.
    ///
    /// # Panics
    /// When `header_len`, the header frame's payload size, does not fit `frames`.
    #[inline(always)]
    pub fn encode_frames(
        &self,
        out: &mut Vec<u8>,
        delivery_tag: u64,
        redelivered: bool,
        names: &[u8],
        frames: &[u8],
        header_len: usize,
    ) {
        let method_len = self.prefix.len() + 9 + names.len();
        out.reserve(method_len + 1 + frames.len());
        let start = out.len();
        out.extend_from_slice(&self.prefix);
        let payload_len = (method_len - FRAME_HEADER_SIZE) as u32;
        out[start + 3..start + FRAME_HEADER_SIZE].copy_from_slice(&payload_len.to_be_bytes());
        let [t0, t1, t2, t3, t4, t5, t6, t7] = delivery_tag.to_be_bytes();
        out.extend_from_slice(&[t0, t1, t2, t3, t4, t5, t6, t7, redelivered as u8]);
        out.extend_from_slice(names);
        out.push(FRAME_END);
        let content = out.len();
        out.extend_from_slice(frames);
        let channel = self.channel.to_be_bytes();
        let frames = &mut out[content..];
        frames[1..3].copy_from_slice(&channel);
        if let Some(body_channel) =
            frames.get_mut(header_len + FRAME_OVERHEAD + 1..header_len + FRAME_OVERHEAD + 3)
        {
            body_channel.copy_from_slice(&channel);
        }
    }

    /// Makes room once, so that the appends do not grow the buffer step by step.
    #[inline]
    fn reserve(
        &self,
        out: &mut Vec<u8>,
        exchange: &[u8],
        routing_key: &[u8],
        header_payload: &[u8],
        more: usize,
    ) {
        // Tag, flag, two length octets, frame end; then the header frame's overhead.
        let fixed = 12 + FRAME_OVERHEAD;
        out.reserve(
            self.prefix.len() + exchange.len() + routing_key.len() + header_payload.len() + fixed + more,
        );
    }
}

/// At most what a short string can hold.
#[inline]
fn short(bytes: &[u8]) -> &[u8] {
    bytes.get(..SHORT_STRING_BYTES_MAX).unwrap_or(bytes)
}
