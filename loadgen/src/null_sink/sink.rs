//! Messages in, deliveries out.
//!
//! A connection's two sides lie apart under the same key, so that the message of one is copied straight into the other's outbox.

use std::io::{ErrorKind, Read as _};

use mio::net::TcpStream;
use slab::Slab;
use wire::fast::{PublishScan, Scan, encode_ack, scan_ack, scan_publish};
use wire::{FrameKind, Method, PROTOCOL_HEADER, decode_frame};

use super::FRAME_BYTES_MAX;
use super::input::{Input, Partial};
use super::methods;
use super::output::Output;
use super::topology::Topology;

/// Room for the largest message of single frames: method, header and body.
pub(super) const BUFFER_BYTES: usize = 4 * FRAME_BYTES_MAX;
/// Producers are not read from while one of their consumers has not read so much.
const OUTBOX_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Octets of a publish before exchange and routing key: class, method, a reserved short.
const NAMES_START: usize = 6;
/// Octets of a publish behind them: its flags.
const FLAGS_LEN: usize = 1;

/// A message, whole.
struct Message<'a> {
    method: &'a [u8],
    header: &'a [u8],
    body: &'a [u8],
    /// Header and body frame as they came, if they did so.
    frames: Option<&'a [u8]>,
}

/// All connections.
#[derive(Debug, Default)]
pub(super) struct Sink {
    inputs: Slab<Input>,
    outputs: Slab<Output>,
    topology: Topology,
    /// Connections with output.
    dirty: Vec<usize>,
    /// Producers whose consumers are far behind.
    held_back: Vec<usize>,
}

impl Sink {
    /// The key of the connection that is added next.
    pub(super) fn next_key(&self) -> usize {
        self.outputs.vacant_key()
    }

    pub(super) fn add(&mut self, stream: TcpStream) {
        let key = self.outputs.insert(Output::new(stream));
        let same = self.inputs.insert(Input::default());
        debug_assert_eq!(key, same, "both sides come and go together");
    }

    /// The socket of connection `key` may take something again.
    pub(super) fn writable(&mut self, key: usize) {
        if let Some(output) = self.outputs.get_mut(key) {
            output.is_writable = true;
            self.dirty.push(key);
        }
    }

    /// Reads until the socket is empty; every read's messages go on before the next.
    pub(super) fn read(&mut self, key: usize, buffer: &mut [u8]) {
        while let Some(input) = self.inputs.get(key) {
            if self.is_held_back(input) {
                self.held_back.push(key);
                return;
            }
            let kept = input.remainder.len();
            buffer[..kept].copy_from_slice(&input.remainder);
            let filled = match self.outputs[key].stream.read(&mut buffer[kept..]) {
                Ok(0) => return self.remove(key),
                Ok(count) => kept + count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return self.remove(key),
            };
            if let Err(reason) = self.take_all(key, &buffer[..filled]) {
                eprintln!("null sink: a connection is closed: {reason}");
                return self.remove(key);
            }
            self.dirty.push(key);
            if filled < buffer.len() {
                return;
            }
        }
    }

    /// Writes what the sockets take, and reads from producers that were held back as long as they are not any more.
    pub(super) fn flush(&mut self, buffer: &mut [u8]) {
        while !self.dirty.is_empty() {
            for key in std::mem::take(&mut self.dirty) {
                if let Some(output) = self.outputs.get_mut(key) {
                    output.flush();
                }
            }
            for key in std::mem::take(&mut self.held_back) {
                self.read(key, buffer);
            }
        }
    }

    fn is_held_back(&self, input: &Input) -> bool {
        let queues = input.last_route.iter();
        let queues = queues.filter_map(|&queue| self.topology.queues.get(queue));
        let mut outputs = queues
            .flat_map(|queue| &queue.consumers)
            .map(|&it| &self.outputs[it]);
        outputs.any(|output| output.outbox.len() > OUTBOX_BYTES_MAX)
    }

    fn remove(&mut self, key: usize) {
        self.topology.forget(key);
        self.inputs.remove(key);
        self.outputs.remove(key);
    }

    /// Takes what is complete in `bytes` and keeps the rest. The error says what is wrong with them.
    fn take_all(&mut self, key: usize, bytes: &[u8]) -> Result<(), String> {
        let mut input = std::mem::take(&mut self.inputs[key]);
        let mut at = 0;
        if !input.greeted && bytes.len() >= PROTOCOL_HEADER.len() {
            if !bytes.starts_with(&PROTOCOL_HEADER) {
                return Err("it does not begin with AMQP 0-9-1's header".into());
            }
            at = PROTOCOL_HEADER.len();
            input.greeted = true;
            methods::greet(&mut self.outputs[key]);
        }
        let published_before = input.published;
        while input.greeted
            && let Some(length) = self.take(key, &mut input, &bytes[at..])?
        {
            at += length;
        }
        if input.published > published_before {
            if let Some(channel) = input.confirms_on {
                encode_ack(&mut self.outputs[key].outbox, channel, input.published, true);
            }
            for &queue in &input.last_route {
                if let Some(queue) = self.topology.queues.get_mut(queue) {
                    queue.turn = queue.turn.wrapping_add(1);
                }
            }
        }
        input.remainder.clear();
        input.remainder.extend_from_slice(&bytes[at..]);
        self.inputs[key] = input;
        Ok(())
    }

    /// Takes the first message or frame; its length, or `None` when it is not complete.
    fn take(&mut self, key: usize, input: &mut Input, bytes: &[u8]) -> Result<Option<usize>, String> {
        if input.partial.is_none() {
            match scan_publish(bytes, FRAME_BYTES_MAX) {
                Scan::Complete(PublishScan {
                    method,
                    header,
                    body,
                    frames,
                    len,
                    ..
                }) => {
                    let frames = Some(frames);
                    self.deliver(
                        input,
                        &Message {
                            method,
                            header,
                            body,
                            frames,
                        },
                    )?;
                    return Ok(Some(len));
                }
                Scan::Incomplete => return Ok(None),
                Scan::Other => {}
            }
            if let Scan::Complete(ack) = scan_ack(bytes) {
                return Ok(Some(ack.len));
            }
        }
        let Some(frame) = decode_frame(bytes, FRAME_BYTES_MAX).map_err(|error| error.to_string())? else {
            return Ok(None);
        };
        match (frame.kind, &mut input.partial) {
            (FrameKind::Method, None) => {
                let output = &mut self.outputs[key];
                methods::answer(
                    key,
                    input,
                    output,
                    &mut self.topology,
                    (frame.channel, frame.payload),
                )?;
            }
            (FrameKind::Header, Some(partial)) => partial.header = frame.payload.to_vec(),
            (FrameKind::Body, Some(partial)) => partial.body.extend_from_slice(frame.payload),
            (FrameKind::Heartbeat, _) => {}
            (kind, _) => return Err(format!("a frame came out of order: {kind:?}")),
        }
        if let Some(Partial { method, header, body }) = input.partial.take_if(Partial::is_complete) {
            let whole = Message {
                method: &method,
                header: &header,
                body: &body,
                frames: None,
            };
            self.deliver(input, &whole)?;
        }
        Ok(Some(frame.encoded_len()))
    }

    /// Copies a message to the consumer whose turn it is, on every queue of its route.
    fn deliver(&mut self, input: &mut Input, message: &Message<'_>) -> Result<(), String> {
        input.published += 1;
        let version = self.topology.version();
        if message.method != input.last_method || input.last_version != version {
            let (exchange, routing_key) = names(message.method)?;
            input.last_route = self.topology.route(exchange, routing_key);
            input.last_method.clear();
            input.last_method.extend_from_slice(message.method);
            input.last_version = version;
        }
        for &queue in &input.last_route {
            let queue = &self.topology.queues[queue];
            if queue.consumers.is_empty() {
                continue;
            }
            let consumer = queue.consumers[queue.turn % queue.consumers.len()];
            let output = &mut self.outputs[consumer];
            let Some((template, last_tag)) = &mut output.deliveries else {
                continue;
            };
            *last_tag += 1;
            if output.outbox.is_empty() {
                self.dirty.push(consumer);
            }
            let (outbox, header) = (&mut output.outbox, message.header);
            if let Some(frames) = message.frames {
                let names = &message.method[NAMES_START..message.method.len() - FLAGS_LEN];
                template.encode_frames(outbox, *last_tag, false, names, frames, header.len());
                continue;
            }
            let (exchange, routing_key) = names(message.method)?;
            let (exchange, routing_key) = (exchange.as_bytes(), routing_key.as_bytes());
            template.encode(
                outbox,
                *last_tag,
                false,
                exchange,
                routing_key,
                header,
                message.body,
                FRAME_BYTES_MAX,
            );
        }
        Ok(())
    }
}

/// Exchange and routing key of a publish.
fn names(method: &[u8]) -> Result<(&str, &str), String> {
    match Method::decode(method).map_err(|error| error.to_string())? {
        Method::BasicPublish {
            exchange,
            routing_key,
            ..
        } => Ok((exchange, routing_key)),
        other => Err(format!("{other:?} is no publish")),
    }
}
