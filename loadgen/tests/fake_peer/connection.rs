//! One client's connection to the fake peer.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use wire::fast::encode_ack;
use wire::{
    ContentHeader, FieldTable, FrameKind, Method, PROTOCOL_HEADER, TableRef, decode_frame, delivery_mode,
};

use super::Shared;
use super::routing::{Consumer, Message, Taken, Writer};

const FRAME_BYTES_MAX: u32 = 131_072;
const READ_BYTES: usize = 64 * 1024;

struct Connection<'a> {
    shared: &'a Arc<Shared>,
    writer: Writer,
    frame_bytes_max: usize,
    confirms: bool,
    published: u64,
    /// Confirms that are due at the end of a read: tags and whether they are refusals.
    settled: Vec<(u64, bool)>,
    partial: Option<Message>,
    body_bytes: u64,
    acked_through: u64,
    /// Of the peer; after its next crash nothing that this connection says counts any more.
    incarnation: u32,
    prefetch: usize,
}

/// Why a connection ends.
enum End {
    Closed,
    HungUp,
}

pub fn serve(mut stream: TcpStream, incarnation: u32, shared: &Arc<Shared>) {
    let frame_max = if shared.faults.frame_bytes_max == 0 {
        FRAME_BYTES_MAX
    } else {
        shared.faults.frame_bytes_max
    };
    stream.set_nodelay(true).unwrap();
    let mut header = [0; 8];
    if stream.read_exact(&mut header).is_err() || header != PROTOCOL_HEADER {
        return;
    }
    let writer = Arc::new(Mutex::new((stream.try_clone().unwrap(), frame_max as usize)));
    let mut connection = Connection {
        shared,
        writer,
        frame_bytes_max: frame_max as usize,
        confirms: false,
        published: 0,
        settled: Vec::new(),
        partial: None,
        body_bytes: 0,
        acked_through: 0,
        incarnation,
        prefetch: 0,
    };
    connection.send_start();
    connection.converse(&mut stream);
    let mut routes = shared.routes.lock().unwrap();
    routes.leave(&connection.writer, shared);
}

impl Connection<'_> {
    /// Until one side ends it.
    fn converse(&mut self, stream: &mut TcpStream) {
        let (mut input, mut buffer) = (Vec::new(), vec![0; READ_BYTES]);
        loop {
            match stream.read(&mut buffer) {
                Ok(0) | Err(_) => return,
                Ok(count) => input.extend_from_slice(&buffer[..count]),
            }
            let mut at = 0;
            while let Some(frame) = decode_frame(&input[at..], self.frame_bytes_max).unwrap() {
                at += frame.encoded_len();
                let handled = match frame.kind {
                    FrameKind::Method => self.method(frame.channel, &Method::decode(frame.payload).unwrap()),
                    FrameKind::Header => self.header(frame.payload),
                    FrameKind::Body => self.body(frame.payload),
                    FrameKind::Heartbeat => Ok(()),
                };
                if handled.is_err() {
                    let _ = stream.shutdown(std::net::Shutdown::Both);
                    return;
                }
            }
            input.drain(..at);
            self.confirm();
        }
    }

    fn write(&self, bytes: &[u8]) {
        // A client that has gone is noticed by the next read.
        let _ = self.writer.lock().unwrap().0.write_all(bytes);
    }

    fn send(&self, channel: u16, method: &Method<'_>) {
        let mut out = Vec::new();
        method.encode(channel, &mut out);
        self.write(&out);
    }

    fn send_start(&self) {
        let mut properties = FieldTable::new();
        properties.insert("product", "fake peer");
        properties.insert("version", "1.2.3");
        properties.insert("durability", "sync");
        let properties = properties.to_bytes();
        let start = Method::ConnectionStart {
            version_major: 0,
            version_minor: 9,
            server_properties: TableRef::parse(&properties).unwrap(),
            mechanisms: b"PLAIN",
            locales: b"en_US",
        };
        self.send(0, &start);
    }

    fn method(&mut self, channel: u16, method: &Method<'_>) -> Result<(), End> {
        let routes = &self.shared.routes;
        match *method {
            Method::ConnectionStartOk {
                mechanism, response, ..
            } => {
                assert_eq!((mechanism, response), ("PLAIN", &b"\0guest\0guest"[..]));
                if self.shared.faults.refuse_login {
                    self.close(403, "ACCESS_REFUSED - Login was refused");
                    return Ok(());
                }
                let frame_max = self.frame_bytes_max as u32;
                self.send(
                    0,
                    &Method::ConnectionTune {
                        channel_max: 2047,
                        frame_max,
                        heartbeat: 60,
                    },
                );
            }
            Method::ConnectionTuneOk { frame_max, .. } => {
                assert!(frame_max > 0 && frame_max as usize <= self.frame_bytes_max);
                self.frame_bytes_max = frame_max as usize;
                self.writer.lock().unwrap().1 = frame_max as usize;
            }
            Method::ConnectionOpen { virtual_host } => {
                assert_eq!(virtual_host, "/");
                self.send(0, &Method::ConnectionOpenOk);
            }
            Method::ConnectionClose { .. } => {
                self.shared.seen.closed.fetch_add(1, Ordering::AcqRel);
                self.send(0, &Method::ConnectionCloseOk);
                return Err(End::Closed);
            }
            Method::ConnectionCloseOk => return Err(End::Closed),
            Method::ChannelOpen => self.send(channel, &Method::ChannelOpenOk),
            Method::ChannelClose { .. } => self.send(channel, &Method::ChannelCloseOk),
            Method::ExchangeDeclare { exchange, kind, .. } => {
                assert!(["fanout", "direct", "topic"].contains(&kind), "{kind}");
                routes.lock().unwrap().declare_exchange(exchange, kind);
                self.send(channel, &Method::ExchangeDeclareOk);
            }
            Method::ExchangeDelete { exchange, .. } => {
                routes.lock().unwrap().delete_exchange(exchange);
                self.send(channel, &Method::ExchangeDeleteOk);
            }
            Method::QueueDeclare { queue, arguments, .. } => {
                let kind = arguments.get("x-queue-type").and_then(|kind| kind.as_str());
                if kind == Some("quorum") {
                    self.shared.seen.quorum_queues.fetch_add(1, Ordering::AcqRel);
                }
                let message_count = routes.lock().unwrap().declare_queue(queue);
                self.send(
                    channel,
                    &Method::QueueDeclareOk {
                        queue,
                        message_count,
                        consumer_count: 0,
                    },
                );
            }
            Method::QueueBind {
                queue,
                exchange,
                routing_key,
                ..
            } => {
                routes.lock().unwrap().bind(queue, exchange, routing_key);
                self.send(channel, &Method::QueueBindOk);
            }
            Method::QueueDelete { queue, .. } => {
                routes.lock().unwrap().delete_queue(queue);
                self.send(channel, &Method::QueueDeleteOk { message_count: 0 });
            }
            Method::BasicQos { prefetch_count, .. } => {
                self.prefetch = usize::from(prefetch_count);
                self.send(channel, &Method::BasicQosOk);
            }
            Method::BasicConsume {
                queue,
                consumer_tag,
                no_ack,
                ..
            } => {
                self.send(channel, &Method::BasicConsumeOk { consumer_tag });
                let consumer = Consumer::new(Arc::clone(&self.writer), channel, consumer_tag);
                let consumer = consumer.limited(self.prefetch, no_ack);
                routes.lock().unwrap().consume(queue, consumer, self.shared);
            }
            Method::BasicCancel { consumer_tag, .. } => {
                self.send(channel, &Method::BasicCancelOk { consumer_tag });
            }
            Method::ConfirmSelect { .. } => {
                self.confirms = true;
                self.send(channel, &Method::ConfirmSelectOk);
            }
            Method::BasicAck {
                delivery_tag,
                multiple,
            } => {
                let acked = if multiple {
                    delivery_tag - self.acked_through
                } else {
                    1
                };
                self.acked_through = delivery_tag;
                self.shared.seen.acked.fetch_add(acked, Ordering::AcqRel);
                self.shared.seen.ack_frames.fetch_add(1, Ordering::AcqRel);
                let mut routes = routes.lock().unwrap();
                routes.ack(&self.writer, delivery_tag, multiple, self.shared);
            }
            Method::BasicPublish {
                exchange,
                routing_key,
                ..
            } => {
                self.partial = Some(Message {
                    exchange: exchange.to_owned(),
                    routing_key: routing_key.to_owned(),
                    header: Vec::new(),
                    body: Vec::new(),
                    redelivered: false,
                    number: 0,
                });
            }
            ref other => panic!("the fake peer does not know {}", other.name()),
        }
        Ok(())
    }

    fn header(&mut self, payload: &[u8]) -> Result<(), End> {
        self.body_bytes = ContentHeader::decode(payload).unwrap().body_size;
        let mode = u64::from(delivery_mode(payload));
        self.shared.seen.delivery_mode.store(mode, Ordering::Release);
        self.partial.as_mut().unwrap().header = payload.to_vec();
        self.finish()
    }

    fn body(&mut self, payload: &[u8]) -> Result<(), End> {
        self.partial.as_mut().unwrap().body.extend_from_slice(payload);
        self.finish()
    }

    fn finish(&mut self) -> Result<(), End> {
        if self.partial.as_ref().unwrap().body.len() as u64 != self.body_bytes {
            return Ok(());
        }
        let message = self.partial.take().unwrap();
        self.published += 1;
        let published = self.shared.seen.published.fetch_add(1, Ordering::AcqRel) + 1;
        let taken = {
            let mut routes = self.shared.routes.lock().unwrap();
            if routes.incarnation() != self.incarnation {
                return Err(End::HungUp);
            }
            routes.publish(message, self.shared)
        };
        match taken {
            Taken::Kept => self.settled.push((self.published, false)),
            Taken::Refused => self.settled.push((self.published, true)),
            Taken::Swallowed => {}
        }
        let faults = &self.shared.faults;
        match faults.stall {
            Some((after, pause)) if published == after => std::thread::sleep(pause),
            _ => {}
        }
        if faults.babble_after == Some(published) {
            self.write(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
        if faults.hang_up_after == Some(published) {
            return Err(End::HungUp);
        }
        if faults.close_after == Some(published) {
            self.close(541, "INTERNAL_ERROR - the fake peer has had enough");
        }
        Ok(())
    }

    fn close(&self, reply_code: u16, reply_text: &str) {
        self.send(
            0,
            &Method::ConnectionClose {
                reply_code,
                reply_text,
                class_id: 0,
                method_id: 0,
            },
        );
    }

    /// Confirms what was taken since the last call.
    fn confirm(&mut self) {
        let settled = std::mem::take(&mut self.settled);
        if !self.confirms || self.shared.faults.never_confirm {
            return;
        }
        let mut out = Vec::new();
        if self.shared.faults.confirm_backwards {
            for pair in settled.chunks(2) {
                pair.iter()
                    .rev()
                    .for_each(|&(tag, _)| encode_ack(&mut out, 1, tag, false));
            }
        } else {
            for (index, &(tag, refused)) in settled.iter().enumerate() {
                let last = settled.get(index + 1).is_none_or(|&(_, refused)| refused);
                if refused {
                    let nack = Method::BasicNack {
                        delivery_tag: tag,
                        multiple: false,
                        requeue: false,
                    };
                    nack.encode(1, &mut out);
                } else if last {
                    encode_ack(&mut out, 1, tag, true);
                }
            }
        }
        self.write(&out);
    }
}
