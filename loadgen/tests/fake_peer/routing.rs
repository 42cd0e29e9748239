//! Queues, bindings and consumers of the fake peer, and the faults on a message's way through them.

use std::collections::{HashMap, VecDeque};
use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::Ordering;
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
    /// Its place among all messages.
    pub number: u64,
}

/// What became of a publish.
pub enum Taken {
    Kept,
    Refused,
    Swallowed,
}

pub struct Consumer {
    writer: Writer,
    template: DeliverTemplate,
    last_tag: u64,
    prefetch: usize,
    no_ack: bool,
    unacked: VecDeque<(u64, Message)>,
}

impl Consumer {
    pub fn new(writer: Writer, channel: u16, tag: &str) -> Self {
        Self {
            writer,
            template: DeliverTemplate::new(channel, tag),
            last_tag: 0,
            prefetch: 0,
            no_ack: false,
            unacked: VecDeque::new(),
        }
    }

    /// Gets at most `prefetch` unacknowledged messages (0: no limit).
    pub fn limited(self, prefetch: usize, no_ack: bool) -> Self {
        Self {
            prefetch,
            no_ack,
            ..self
        }
    }

    fn has_room(&self) -> bool {
        self.prefetch == 0 || self.no_ack || self.unacked.len() < self.prefetch
    }

    /// Sends one message; what it needs to acknowledge is kept.
    fn deliver(&mut self, message: Message, shared: &Shared) {
        self.last_tag += 1;
        let mut out = Vec::new();
        let mut writer = self.writer.lock().unwrap();
        self.template.encode(
            &mut out,
            self.last_tag,
            message.redelivered,
            message.exchange.as_bytes(),
            message.routing_key.as_bytes(),
            &message.header,
            &message.body,
            writer.1,
        );
        // A consumer that went away loses its messages, unless the peer crashed: the tests never need them again.
        if writer.0.write_all(&out).is_ok() {
            shared.seen.delivered.fetch_add(1, Ordering::AcqRel);
        }
        if !self.no_ack {
            self.unacked.push_back((self.last_tag, message));
        }
    }
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Message>,
    consumers: Vec<Consumer>,
    turn: usize,
    /// A message that waits for its successor to overtake it.
    swapped: Option<Message>,
}

#[derive(Default)]
struct Exchange {
    kind: String,
    /// Queue and key of each binding.
    bindings: Vec<(String, String)>,
}

impl Exchange {
    fn queues(&self, routing_key: &str) -> Vec<String> {
        let matches = |pattern: &str| match self.kind.as_str() {
            "direct" => pattern == routing_key,
            "topic" => {
                let words = pattern.split('.').zip(routing_key.split('.'));
                words.into_iter().all(|(word, key)| word == "*" || word == key)
                    && pattern.split('.').count() == routing_key.split('.').count()
            }
            _ => true,
        };
        let bound = self.bindings.iter().filter(|(_, pattern)| matches(pattern));
        bound.map(|(queue, _)| queue.clone()).collect()
    }
}

/// All that stands in the peer.
pub struct Routes {
    queues: HashMap<String, Queue>,
    exchanges: HashMap<String, Exchange>,
    taken: u64,
    /// Crashes so far.
    incarnation: u32,
    held: Option<Sender<(Instant, String, Message)>>,
    hold: Duration,
}

impl Routes {
    pub fn new(faults: &Faults) -> Self {
        Self {
            queues: HashMap::new(),
            exchanges: HashMap::new(),
            taken: 0,
            incarnation: 0,
            held: None,
            hold: faults.hold.unwrap_or_default(),
        }
    }

    pub fn len(&self) -> usize {
        self.queues.len() + self.exchanges.len()
    }

    pub fn incarnation(&self) -> u32 {
        self.incarnation
    }

    /// How many messages are in it.
    pub fn declare_queue(&mut self, name: &str) -> u32 {
        self.queues.entry(name.to_owned()).or_default().waiting.len() as u32
    }

    /// Forgets its consumers; what they have not acknowledged goes back to its place.
    pub fn crash(&mut self, faults: &Faults) {
        self.incarnation += 1;
        for queue in self.queues.values_mut() {
            for consumer in queue.consumers.drain(..) {
                let unacked = consumer.unacked.into_iter().map(|(_, message)| Message {
                    redelivered: !faults.crash_loses_flags,
                    ..message
                });
                queue.waiting.extend(unacked);
            }
            queue
                .waiting
                .make_contiguous()
                .sort_by_key(|message| message.number);
            let mut kept = 0_u64;
            queue.waiting.retain(|_| {
                kept += 1;
                faults
                    .crash_loses_every
                    .is_none_or(|every| !kept.is_multiple_of(every))
            });
        }
    }

    /// The connection that `writer` belongs to has ended: what its consumer has not acknowledged goes back to its place.
    pub fn leave(&mut self, writer: &Writer, shared: &Shared) {
        let mut left = Vec::new();
        for (name, queue) in &mut self.queues {
            let mut consumers = queue.consumers.iter();
            let Some(index) = consumers.position(|consumer| Arc::ptr_eq(&consumer.writer, writer)) else {
                continue;
            };
            let consumer = queue.consumers.remove(index);
            left.push(name.clone());
            if shared.faults.end_loses_unacked {
                queue.waiting.clear();
                continue;
            }
            let unacked = consumer.unacked.into_iter().map(|(_, message)| Message {
                redelivered: !shared.faults.crash_loses_flags,
                ..message
            });
            queue.waiting.extend(unacked);
            queue
                .waiting
                .make_contiguous()
                .sort_by_key(|message| message.number);
        }
        for name in left {
            self.dispatch(&name, shared);
        }
    }

    /// Settles deliveries of the consumer that `writer` belongs to.
    pub fn ack(&mut self, writer: &Writer, tag: u64, multiple: bool, shared: &Shared) {
        let mut settled = None;
        for (name, queue) in &mut self.queues {
            let consumer = queue
                .consumers
                .iter_mut()
                .find(|consumer| Arc::ptr_eq(&consumer.writer, writer));
            if let Some(consumer) = consumer {
                let is_settled = |other: u64| other == tag || multiple && other < tag;
                consumer.unacked.retain(|(other, _)| !is_settled(*other));
                settled = Some(name.clone());
            }
        }
        if let Some(name) = settled {
            self.dispatch(&name, shared);
        }
    }

    pub fn delete_queue(&mut self, name: &str) {
        self.queues.remove(name);
    }

    pub fn declare_exchange(&mut self, name: &str, kind: &str) {
        self.exchanges.entry(name.to_owned()).or_default().kind = kind.to_owned();
    }

    pub fn delete_exchange(&mut self, name: &str) {
        self.exchanges.remove(name);
    }

    pub fn bind(&mut self, queue: &str, exchange: &str, key: &str) {
        let exchange = self.exchanges.get_mut(exchange).unwrap();
        exchange.bindings.push((queue.to_owned(), key.to_owned()));
    }

    pub fn consume(&mut self, queue: &str, consumer: Consumer, shared: &Shared) {
        self.queues.get_mut(queue).unwrap().consumers.push(consumer);
        self.dispatch(queue, shared);
    }

    /// Takes a message and does to it what the faults say.
    pub fn publish(&mut self, message: Message, shared: &Arc<Shared>) -> Taken {
        self.taken += 1;
        let faults = &shared.faults;
        let taken = self.taken;
        let hit = |every: Option<u64>| every.is_some_and(|every| taken.is_multiple_of(every));
        if faults.swallow_after.is_some_and(|after| taken > after) && self.incarnation == 0 {
            return Taken::Swallowed;
        }
        if hit(faults.nack_every) {
            return Taken::Refused;
        }
        if hit(faults.drop_every) {
            return Taken::Kept;
        }
        let mut message = message;
        message.number = taken;
        if hit(faults.lengthen_every) {
            // As it might be: the filler goes on.
            message.body.push(0);
            message.header[4..12].copy_from_slice(&(message.body.len() as u64).to_be_bytes());
        }
        if hit(faults.truncate_every) {
            message.body.truncate(16);
            message.header[4..12].copy_from_slice(&16_u64.to_be_bytes());
        }
        if hit(faults.corrupt_every) {
            message.body[faults.corrupt_at] ^= 0x10;
        }
        let queues = match message.exchange.as_str() {
            "" => vec![message.routing_key.clone()],
            exchange => {
                let exchange = self.exchanges.get(exchange);
                exchange.map_or(vec![], |exchange| exchange.queues(&message.routing_key))
            }
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
        Taken::Kept
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
        while !queue.waiting.is_empty() {
            // The next in turn that has room.
            let (turn, consumers) = (queue.turn, queue.consumers.len());
            let next = (0..consumers).map(|offset| (turn + offset) % consumers);
            let Some(next) = next.into_iter().find(|&index| queue.consumers[index].has_room()) else {
                break;
            };
            queue.turn = next + 1;
            if let Some(message) = queue.waiting.pop_front() {
                queue.consumers[next].deliver(message, shared);
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
