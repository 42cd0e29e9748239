//! The null sink: turns publishes into deliveries with as little as possible in between.
//!
//! It states the generator's own ceiling: `cargo run --release -p loadgen --example null_sink`, then drive the address that
//! it prints with `loadgen --url`. One thread on epoll; it parses every publish and encodes every delivery, and confirms,
//! but keeps no messages: no prefetch, no unacknowledged set, no memory limit, no errors. What arrives together goes to one
//! consumer of the queue together, the next in turn.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::process::ExitCode;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use wire::fast::{DeliverTemplate, PublishScan, Scan, encode_ack, scan_ack, scan_publish};
use wire::{ContentHeader, FrameKind, Method, PROTOCOL_HEADER, TableRef, decode_frame};

const LISTENER: Token = Token(usize::MAX);
const FRAME_BYTES_MAX: usize = 131_072;
const BUFFER_BYTES: usize = 256 * 1024;
const EVENTS_MAX: usize = 1_024;
/// A client whose output is further behind is not read from.
const OUTBOX_BYTES_MAX: usize = 64 * 1024 * 1024;

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("null_sink: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> io::Result<()> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let address = address
        .parse()
        .map_err(|error| io::Error::new(ErrorKind::InvalidInput, error))?;
    let mut listener = TcpListener::bind(address)?;
    println!("null sink listening on amqp://{}", listener.local_addr()?);
    let mut poll = Poll::new()?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut sink = Sink::default();
    let (mut events, mut buffer) = (Events::with_capacity(EVENTS_MAX), vec![0; BUFFER_BYTES]);
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                sink.accept(&listener, &poll)?;
                continue;
            }
            let index = event.token().0;
            match &mut sink.clients[index] {
                Some(client) if event.is_writable() => {
                    client.writable = true;
                    sink.dirty.push(index);
                }
                _ => {}
            }
            if event.is_readable() || event.is_read_closed() {
                sink.read(index, &mut buffer);
            }
        }
        sink.flush();
    }
}

/// A connection.
struct Client {
    stream: TcpStream,
    remainder: Vec<u8>,
    greeted: bool,
    out: Vec<u8>,
    writable: bool,
    confirms: bool,
    published: u64,
    /// The route of the last publish, by the bytes of its method frame.
    last_method: Vec<u8>,
    last_route: Vec<usize>,
    /// Exchange and routing key of the last publish, as deliveries repeat them.
    last_names: (Vec<u8>, Vec<u8>),
    /// A publish whose body comes in several frames.
    partial: Option<Partial>,
    /// As a consumer: its deliveries' constant part and the last tag.
    deliveries: Option<(DeliverTemplate, u64)>,
}

#[derive(Default)]
struct Partial {
    method: Vec<u8>,
    header: Vec<u8>,
    body: Vec<u8>,
}

#[derive(Default)]
struct Queue {
    consumers: Vec<usize>,
    turn: usize,
}

#[derive(Default)]
struct Sink {
    clients: Vec<Option<Client>>,
    queues: Vec<Queue>,
    queue_names: HashMap<String, usize>,
    bindings: HashMap<String, Vec<usize>>,
    /// Clients with output.
    dirty: Vec<usize>,
}

impl Sink {
    fn accept(&mut self, listener: &TcpListener, poll: &Poll) -> io::Result<()> {
        loop {
            let mut stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.set_nodelay(true)?;
            let token = Token(self.clients.len());
            poll.registry()
                .register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
            self.clients.push(Some(Client {
                stream,
                remainder: Vec::new(),
                greeted: false,
                out: Vec::new(),
                writable: true,
                confirms: false,
                published: 0,
                last_method: Vec::new(),
                last_route: Vec::new(),
                last_names: Default::default(),
                partial: None,
                deliveries: None,
            }));
        }
    }

    /// Reads until the socket is empty; every read's messages go on before the next.
    fn read(&mut self, index: usize, buffer: &mut [u8]) {
        loop {
            let Some(mut client) = self.clients[index].take() else {
                return;
            };
            let kept = client.remainder.len();
            buffer[..kept].copy_from_slice(&client.remainder);
            let (filled, full) = match client.stream.read(&mut buffer[kept..]) {
                Ok(count) if count > 0 => (kept + count, kept + count == buffer.len()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.clients[index] = Some(client);
                    return;
                }
                // Gone: its consumers with it.
                Ok(_) | Err(_) => {
                    self.queues
                        .iter_mut()
                        .for_each(|queue| queue.consumers.retain(|&it| it != index));
                    return;
                }
            };
            client.remainder.clear();
            let taken = self.take_all(index, &mut client, &buffer[..filled]);
            client.remainder.extend_from_slice(&buffer[taken..filled]);
            self.dirty.push(index);
            self.clients[index] = Some(client);
            if !full {
                return;
            }
        }
    }

    fn take_all(&mut self, index: usize, client: &mut Client, input: &[u8]) -> usize {
        let mut at = 0;
        if !client.greeted {
            if input.len() < PROTOCOL_HEADER.len() {
                return 0;
            }
            at = PROTOCOL_HEADER.len();
            client.greeted = true;
            send(client, 0, &start());
        }
        let first = client.published;
        while let Some(length) = self.take(index, client, &input[at..]) {
            at += length;
        }
        if client.confirms && client.published > first {
            encode_ack(&mut client.out, 1, client.published, true);
        }
        if client.published > first {
            // The next read's messages are the next consumer's.
            client
                .last_route
                .iter()
                .for_each(|&queue| self.queues[queue].turn += 1);
        }
        at
    }

    fn take(&mut self, index: usize, client: &mut Client, input: &[u8]) -> Option<usize> {
        if client.partial.is_none() {
            match scan_publish(input, FRAME_BYTES_MAX) {
                Scan::Complete(publish) => {
                    let PublishScan {
                        method,
                        header,
                        body,
                        len,
                        ..
                    } = publish;
                    self.deliver(index, client, method, header, body);
                    return Some(len);
                }
                Scan::Incomplete => return None,
                Scan::Other => {}
            }
            if let Scan::Complete(ack) = scan_ack(input) {
                return Some(ack.len);
            }
        }
        let frame = decode_frame(input, FRAME_BYTES_MAX).expect("the generator sends valid frames")?;
        match frame.kind {
            FrameKind::Method => self.method(index, client, frame.channel, frame.payload),
            FrameKind::Header => {
                let partial = client.partial.as_mut().expect("a header follows a publish");
                partial.header = frame.payload.to_vec();
            }
            FrameKind::Body => {
                let partial = client.partial.as_mut().expect("a body follows a header");
                partial.body.extend_from_slice(frame.payload);
            }
            FrameKind::Heartbeat => {}
        }
        let complete = |partial: &mut Partial| {
            let header = ContentHeader::decode(&partial.header);
            header.is_ok_and(|header| header.body_size == partial.body.len() as u64)
        };
        if let Some(Partial { method, header, body }) = client.partial.take_if(complete) {
            self.deliver(index, client, &method, &header, &body);
        }
        Some(frame.encoded_len())
    }

    /// Copies a message to the consumer whose turn it is, on every queue of its route.
    fn deliver(&mut self, index: usize, client: &mut Client, method: &[u8], header: &[u8], body: &[u8]) {
        client.published += 1;
        if method != client.last_method {
            self.route(client, method);
        }
        for &queue in &client.last_route {
            let queue = &self.queues[queue];
            if queue.consumers.is_empty() {
                continue;
            }
            let consumer = queue.consumers[queue.turn % queue.consumers.len()];
            if consumer == index {
                continue;
            }
            let Some(target) = &mut self.clients[consumer] else {
                continue;
            };
            let Some((template, last_tag)) = &mut target.deliveries else {
                continue;
            };
            *last_tag += 1;
            if target.out.is_empty() {
                self.dirty.push(consumer);
            }
            assert!(
                target.out.len() < OUTBOX_BYTES_MAX,
                "the generator stopped reading its deliveries"
            );
            let (exchange, routing_key) = &client.last_names;
            template.encode(
                &mut target.out,
                *last_tag,
                false,
                exchange,
                routing_key,
                header,
                body,
                FRAME_BYTES_MAX,
            );
        }
    }

    fn route(&mut self, client: &mut Client, method: &[u8]) {
        let Ok(Method::BasicPublish {
            exchange,
            routing_key,
            ..
        }) = Method::decode(method)
        else {
            return;
        };
        client.last_method = method.to_vec();
        client.last_names = (exchange.as_bytes().to_vec(), routing_key.as_bytes().to_vec());
        client.last_route = if exchange.is_empty() {
            self.queue_names.get(routing_key).copied().into_iter().collect()
        } else {
            self.bindings.get(exchange).cloned().unwrap_or_default()
        };
    }

    fn method(&mut self, index: usize, client: &mut Client, channel: u16, payload: &[u8]) {
        let method = Method::decode(payload).expect("the generator sends valid methods");
        let answer = match method {
            Method::ConnectionStartOk { .. } => Method::ConnectionTune {
                channel_max: 1,
                frame_max: FRAME_BYTES_MAX as u32,
                heartbeat: 0,
            },
            Method::ConnectionOpen { .. } => Method::ConnectionOpenOk,
            Method::ConnectionClose { .. } => Method::ConnectionCloseOk,
            Method::ChannelOpen => Method::ChannelOpenOk,
            Method::ChannelClose { .. } => Method::ChannelCloseOk,
            Method::ExchangeDeclare { .. } => Method::ExchangeDeclareOk,
            Method::ExchangeDelete { exchange, .. } => {
                self.bindings.remove(exchange);
                Method::ExchangeDeleteOk
            }
            Method::QueueDeclare { queue, .. } => {
                let next = self.queues.len();
                if *self.queue_names.entry(queue.to_owned()).or_insert(next) == next {
                    self.queues.push(Queue::default());
                }
                Method::QueueDeclareOk {
                    queue,
                    message_count: 0,
                    consumer_count: 0,
                }
            }
            Method::QueueBind { queue, exchange, .. } => {
                let queue = self.queue_names[queue];
                self.bindings.entry(exchange.to_owned()).or_default().push(queue);
                Method::QueueBindOk
            }
            Method::QueueDelete { .. } => Method::QueueDeleteOk { message_count: 0 },
            Method::BasicQos { .. } => Method::BasicQosOk,
            Method::BasicConsume {
                queue, consumer_tag, ..
            } => {
                client.deliveries = Some((DeliverTemplate::new(channel, consumer_tag), 0));
                self.queues[self.queue_names[queue]].consumers.push(index);
                Method::BasicConsumeOk { consumer_tag }
            }
            Method::ConfirmSelect { .. } => {
                client.confirms = true;
                Method::ConfirmSelectOk
            }
            Method::BasicPublish { .. } => {
                client.partial = Some(Partial {
                    method: payload.to_vec(),
                    ..Partial::default()
                });
                return;
            }
            _ => return,
        };
        send(client, channel, &answer);
    }

    /// Writes what every client's socket takes.
    fn flush(&mut self) {
        for index in std::mem::take(&mut self.dirty) {
            let Some(client) = &mut self.clients[index] else {
                continue;
            };
            let mut sent = 0;
            while client.writable && sent < client.out.len() {
                match client.stream.write(&client.out[sent..]) {
                    Ok(count) => sent += count,
                    Err(_) => client.writable = false,
                }
            }
            client.out.drain(..sent);
        }
    }
}

fn start() -> Method<'static> {
    Method::ConnectionStart {
        version_major: 0,
        version_minor: 9,
        server_properties: TableRef::EMPTY,
        mechanisms: b"PLAIN",
        locales: b"en_US",
    }
}

fn send(client: &mut Client, channel: u16, method: &Method<'_>) {
    method.encode(channel, &mut client.out);
}
