//! Queues, bindings and consumers of the fake peer, and the faults on a message's way through them.

use std::collections::{HashMap, VecDeque};
use std::io::Write;
use std::net::TcpStream;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use wire::fast::DeliverTemplate;

use super::{Faults, Shared};

/// The writing half of a connection, with its negotiated frame size.
pub type Writer = Arc<Mutex<(TcpStream, usize)>>;

/// A message as it came.
#[derive(Clone)]
pub struct Message {
    pub exchange: String,
    pub routing_key: String,
    pub header: Vec<u8>,
    pub body: Vec<u8>,
    pub redelivered: bool,
}

struct Consumer {
    writer: Writer,
    template: DeliverTemplate,
    last_tag: u64,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Message>,
    consumers: Vec<Consumer>,
    turn: usize,
    /// A message that waits for its successor to overtake it.
    swapped: Option<Message>,
}

/// All that stands in the peer.
pub struct Routes {
    queues: HashMap<String, Queue>,
    exchanges: HashMap<String, Vec<String>>,
    taken: u64,
    held: Option<Sender<(Instant, String, Message)>>,
    hold: Duration,
}

impl Routes {
    pub fn new(faults: &Faults) -> Self {
        Self {
            queues: HashMap::new(),
            exchanges: HashMap::new(),
            taken: 0,
            held: None,
            hold: faults.hold.unwrap_or_default(),
        }
    }

    pub fn len(&self) -> usize {
        self.queues.len() + self.exchanges.len()
    }

    pub fn declare_queue(&mut self, name: &str) {
        self.queues.entry(name.to_owned()).or_default();
    }

    pub fn delete_queue(&mut self, name: &str) {
        self.queues.remove(name);
    }

    pub fn declare_exchange(&mut self, name: &str) {
        self.exchanges.entry(name.to_owned()).or_default();
    }

    pub fn delete_exchange(&mut self, name: &str) {
        self.exchanges.remove(name);
    }

    pub fn bind(&mut self, queue: &str, exchange: &str) {
        self.exchanges.get_mut(exchange).unwrap().push(queue.to_owned());
    }

    pub fn consume(&mut self, queue: &str, writer: Writer, channel: u16, tag: &str, shared: &Shared) {
        let consumer = Consumer {
            writer,
            template: DeliverTemplate::new(channel, tag),
            last_tag: 0,
        };
        self.queues.get_mut(queue).unwrap().consumers.push(consumer);
        self.dispatch(queue, shared);
    }

    /// Takes a message and does to it what the faults say. `false` when it is refused.
    pub fn publish(&mut self, message: Message, shared: &Arc<Shared>) -> bool {
        self.taken += 1;
        let faults = &shared.faults;
        let taken = self.taken;
        let hit = |every: Option<u64>| every.is_some_and(|every| taken.is_multiple_of(every));
        if hit(faults.nack_every) {
            return false;
        }
        if hit(faults.drop_every) {
            return true;
        }
        let mut message = message;
        if hit(faults.corrupt_every) {
            message.body[faults.corrupt_at] ^= 0x10;
        }
        let queues = match message.exchange.as_str() {
            "" => vec![message.routing_key.clone()],
            exchange => self.exchanges.get(exchange).cloned().unwrap_or_default(),
        };
        for name in queues {
            let Some(queue) = self.queues.get_mut(&name) else {
                continue;
            };
            if hit(faults.swap_every) {
                queue.swapped = Some(message.clone());
                continue;
            }
            let first = queue.swapped.take();
            let copies = if hit(faults.duplicate_every) { 2 } else { 1 };
            for copy in 0..copies {
                let redelivered = copy > 0 && faults.flag_duplicates;
                self.enqueue(
                    &name,
                    Message {
                        redelivered,
                        ..message.clone()
                    },
                    shared,
                );
            }
            if let Some(first) = first {
                self.enqueue(&name, first, shared);
            }
        }
        true
    }

    fn enqueue(&mut self, name: &str, message: Message, shared: &Arc<Shared>) {
        if shared.faults.hold.is_some() {
            let due = Instant::now() + self.hold;
            let held = self.held.get_or_insert_with(|| release_later(Arc::clone(shared)));
            held.send((due, name.to_owned(), message)).unwrap();
        } else if let Some(queue) = self.queues.get_mut(name) {
            queue.waiting.push_back(message);
            self.dispatch(name, shared);
        }
    }

    fn dispatch(&mut self, name: &str, shared: &Shared) {
        let Some(queue) = self.queues.get_mut(name) else {
            return;
        };
        while !queue.consumers.is_empty() {
            let Some(message) = queue.waiting.pop_front() else {
                break;
            };
            let turn = queue.turn % queue.consumers.len();
            queue.turn += 1;
            let consumer = &mut queue.consumers[turn];
            consumer.last_tag += 1;
            let mut out = Vec::new();
            let mut writer = consumer.writer.lock().unwrap();
            consumer.template.encode(
                &mut out,
                consumer.last_tag,
                message.redelivered,
                message.exchange.as_bytes(),
                message.routing_key.as_bytes(),
                &message.header,
                &message.body,
                writer.1,
            );
            // A consumer that went away loses its messages: the tests never need them again.
            if writer.0.write_all(&out).is_ok() {
                shared
                    .seen
                    .delivered
                    .fetch_add(1, std::sync::atomic::Ordering::AcqRel);
            }
        }
    }
}

/// A thread that hands messages on when they are due, in the order in which they came.
fn release_later(shared: Arc<Shared>) -> Sender<(Instant, String, Message)> {
    let (sender, receiver) = channel::<(Instant, String, Message)>();
    std::thread::spawn(move || {
        for (due, name, message) in receiver {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let mut routes = shared.routes.lock().unwrap();
            if let Some(queue) = routes.queues.get_mut(&name) {
                queue.waiting.push_back(message);
            }
            routes.dispatch(&name, &shared);
        }
    });
    sender
}
