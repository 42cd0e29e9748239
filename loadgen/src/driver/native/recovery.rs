//! What the event loop does when connections end that were meant to. It books what was still said on them, connects anew
//! (after an end of the broker: once it listens again, and with the topology declared once more), and goes on.
//!
//! Nothing is sent twice: a message whose confirm did not come before its connection ended stays as it is, delivered or not,
//! and the producers go on with new ones. A kill may strike again at any point of this; then it begins anew.

use std::time::{Duration, Instant};

use super::consumer::Consumer;
use super::engine::{Books, Engine, connect_consumers, connect_producers};
use super::producer::Producer;
use super::topology;
use crate::control::Control;
use crate::driver::DriverError;
use crate::outages::{Cut, Outages};
use crate::plan::Plan;
use crate::recorder::Recovery;
use crate::target::Target;

/// How long the conductor may take for a restart; it has its own, shorter deadlines.
const RESTART_TIMEOUT: Duration = Duration::from_secs(60);
/// How long connections that are cut may take to notice it.
const CUT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often connections that are about to end are looked at.
const POLL: Duration = Duration::from_millis(1);

/// The recoveries so far.
#[derive(Debug, Default)]
pub(super) struct Recoveries {
    /// The broker's incarnation that the connections belong to.
    incarnation: u32,
    /// Cuts that have been got over.
    cuts: u32,
    pub(super) all: Vec<Recovery>,
    /// Whether the last one is still going on.
    is_open: bool,
    /// Reads and writes of connections that are gone.
    pub(super) socket_calls: (u64, u64),
    /// The ledger's counts when the last one began.
    recovered_before: u64,
    repeated_before: u64,
}

impl Recoveries {
    /// The broker's incarnation that the connections belong to.
    pub(super) fn incarnation(&self) -> u32 {
        self.incarnation
    }

    /// Whether every end of a connection so far has been got over.
    pub(super) fn has_seen_all(&self, outages: &Outages) -> bool {
        outages.struck() == self.incarnation && outages.cuts() == self.cuts
    }

    /// Whether nothing is known of this fault of the plan yet.
    pub(super) fn is_new(&self, fault: usize) -> bool {
        self.all.last().is_none_or(|last| last.fault < fault)
    }

    /// Fills in what came of the last one.
    pub(super) fn end_last(&mut self, books: &Books) {
        if let Some(last) = self.all.last_mut().filter(|_| std::mem::take(&mut self.is_open)) {
            last.first_confirm_ns = books.first_confirm_ns;
            last.first_delivery_ns = books.first_delivery_ns;
            last.recovered = books.ledger.recovered() - self.recovered_before;
            last.repeated = books.ledger.repeated() - self.repeated_before;
        }
    }
}

impl Engine {
    /// Goes on after a fault that ends connections; any other `error` is handed back.
    pub(super) fn recover(
        &mut self,
        error: DriverError,
        plan: &Plan,
        control: &Control,
    ) -> Result<(), DriverError> {
        let outages = control.outages();
        if outages.struck() != self.recoveries.incarnation {
            return self.survive(error, plan, control);
        }
        if outages.cuts() == self.recoveries.cuts {
            return Err(error);
        }
        self.mend_cut(plan, control)
    }

    /// Goes on after a cut, if there was one that has not been got over. Of a FIN that comes with data a socket may give no
    /// further sign, so this is asked every turn.
    pub(super) fn mend_cut(&mut self, plan: &Plan, control: &Control) -> Result<(), DriverError> {
        let outages = control.outages();
        let cuts = outages.cuts();
        let Some(cut) = outages.last_cut().filter(|_| cuts != self.recoveries.cuts) else {
            return Ok(());
        };
        self.recoveries.cuts = cuts;
        match self.mend(&cut, plan, control) {
            Err(again) if outages.struck() != self.recoveries.incarnation => {
                self.survive(again, plan, control)
            }
            outcome => outcome,
        }
    }

    /// Goes on after an end of the broker.
    fn survive(&mut self, error: DriverError, plan: &Plan, control: &Control) -> Result<(), DriverError> {
        let outages = control.outages();
        let mut error = error;
        let reply_code = match &error {
            DriverError::Closed { code, .. } => Some(*code),
            _ => None,
        };
        loop {
            let Some((incarnation, target)) = self.await_restart(outages) else {
                return Err(error);
            };
            self.recoveries.incarnation = incarnation;
            self.recoveries.cuts = outages.cuts();
            let at_stake = self.books.ledger.owed();
            let fault = plan.fault_of_incarnation(incarnation);
            self.end_recovery();
            self.books.ledger.kill(fault);
            match self.reconnect(plan, &target, fault, at_stake) {
                Ok(()) => {
                    if let Some(last) = self.recoveries.all.last_mut() {
                        last.reply_code = reply_code;
                    }
                    self.tell_connected(control);
                    return Ok(());
                }
                Err(again) if outages.struck() > incarnation => error = again,
                Err(other) => return Err(other),
            }
        }
    }

    /// Reads what the broker still says (a confirm is a promise, whenever it is read), and waits until it listens again.
    fn await_restart(&mut self, outages: &Outages) -> Option<(u32, Target)> {
        let deadline = Instant::now() + RESTART_TIMEOUT;
        let everybody = 0..self.producers.len() + self.consumers.len();
        let mut open: Vec<usize> = everybody.collect();
        loop {
            self.book_last_words(&mut open);
            let wait = if open.is_empty() {
                deadline.saturating_duration_since(Instant::now())
            } else {
                POLL
            };
            let restart = outages.await_restart(self.recoveries.incarnation, wait);
            if restart.is_some() {
                // By now every socket has seen the end.
                self.book_last_words(&mut open);
                return restart;
            }
            if outages.is_given_up() || Instant::now() >= deadline {
                return None;
            }
        }
    }

    /// Reads what there is on the connections of these tokens, and keeps those that have not come to their end.
    fn book_last_words(&mut self, open: &mut Vec<usize>) {
        let Self {
            producers,
            consumers,
            books,
            buffer,
            ..
        } = self;
        open.retain(|&token| match token.checked_sub(producers.len()) {
            None => {
                let producer = &mut producers[token];
                producer.link.socket.readable = true;
                let mut is_open = true;
                while producer.link.socket.readable && is_open {
                    is_open = producer.read(books, buffer).is_ok();
                }
                is_open
            }
            Some(index) => {
                let consumer = &mut consumers[index];
                consumer.link.socket.readable = true;
                let mut is_open = true;
                while consumer.link.socket.readable && is_open {
                    is_open = consumer.read(books, buffer).is_ok();
                }
                is_open
            }
        });
    }

    fn reconnect(
        &mut self,
        plan: &Plan,
        target: &Target,
        fault: usize,
        at_stake: u64,
    ) -> Result<(), DriverError> {
        self.drop_connections();
        let go_on = || Ok(());
        let queued = topology::declare(plan, target)?.queued;
        self.note_counts();
        self.consumers = connect_consumers(plan, target, &go_on)?;
        let mut producers = connect_producers(plan, target, &go_on)?;
        let now_ns = self.books.clock.now_ns();
        for (index, (producer, before)) in producers.iter_mut().zip(&self.producers).enumerate() {
            producer.resume(before, self.books.ledger.published_by(index), now_ns);
            producer.is_watched = true;
        }
        self.producers = producers;
        self.consumers.iter_mut().for_each(|it| it.is_watched = true);
        self.target = target.clone();
        self.ready.clear();
        self.stall.forget_parked();
        self.next_send_ns = 0;
        self.register().map_err(registering)?;
        self.push_recovery(fault, now_ns, at_stake, Some(queued));
        Ok(())
    }

    /// The producers stay, for what they know of the load.
    fn drop_connections(&mut self) {
        let mut consumers = std::mem::take(&mut self.consumers);
        let links = self.producers.iter_mut().map(|producer| &mut producer.link);
        for link in links.chain(consumers.iter_mut().map(|consumer| &mut consumer.link)) {
            self.recoveries.socket_calls.0 += std::mem::take(&mut link.socket.reads);
            self.recoveries.socket_calls.1 += std::mem::take(&mut link.socket.writes);
        }
        self.ready.clear();
    }

    /// Goes on after a cut: those whose connections it strikes connect anew, all others go on.
    fn mend(&mut self, cut: &Cut, plan: &Plan, control: &Control) -> Result<(), DriverError> {
        let first_consumer = self.producers.len();
        let producers = cut.producers.iter().copied();
        let tokens: Vec<usize> = producers
            .chain(cut.consumers.iter().map(|index| first_consumer + index))
            .collect();
        let deadline = Instant::now() + CUT_TIMEOUT;
        let mut open = tokens.clone();
        loop {
            self.book_last_words(&mut open);
            let Some(&token) = open.first() else { break };
            if Instant::now() >= deadline {
                let connection = self.name_of(token).to_owned();
                let what = "its connection was cut, and went on all the same".to_owned();
                return Err(DriverError::Protocol { connection, what });
            }
            std::thread::sleep(POLL);
        }
        self.end_recovery();
        let at_stake = self.books.ledger.owed();
        self.books.ledger.cut(cut.fault, &cut.producers, &cut.consumers);
        self.note_counts();
        let target = self.target.clone();
        for &index in &cut.consumers {
            let mut consumer = Consumer::connect(plan, &plan.consumers[index], &target)?;
            consumer.is_watched = true;
            let before = std::mem::replace(&mut self.consumers[index], consumer);
            self.count_calls(&before.link);
        }
        for &index in &cut.producers {
            let mut producer = Producer::connect(plan, index, &plan.producers[index], &target)?;
            let now_ns = self.books.clock.now_ns();
            producer.resume(
                &self.producers[index],
                self.books.ledger.published_by(index),
                now_ns,
            );
            producer.is_watched = true;
            let before = std::mem::replace(&mut self.producers[index], producer);
            self.count_calls(&before.link);
        }
        for &token in &tokens {
            self.register_one(token).map_err(registering)?;
        }
        self.look_at_everybody();
        let now_ns = self.books.clock.now_ns();
        self.push_recovery(cut.fault, now_ns, at_stake, None);
        self.tell_connected(control);
        Ok(())
    }

    /// The turn that found the cut was left in the middle, and with it the events of others.
    fn look_at_everybody(&mut self) {
        self.stall.forget_parked();
        let links = self.producers.iter_mut().map(|it| &mut it.link);
        for link in links.chain(self.consumers.iter_mut().map(|it| &mut it.link)) {
            (link.socket.readable, link.socket.writable) = (true, true);
        }
        self.ready.clear();
        self.ready.extend(0..self.producers.len() + self.consumers.len());
        self.next_send_ns = 0;
    }

    fn name_of(&self, token: usize) -> &str {
        match token.checked_sub(self.producers.len()) {
            None => &self.producers[token].link.name,
            Some(index) => &self.consumers[index].link.name,
        }
    }

    fn count_calls(&mut self, link: &super::link::Link) {
        self.recoveries.socket_calls.0 += link.socket.reads;
        self.recoveries.socket_calls.1 += link.socket.writes;
    }

    /// From here on everything belongs to the next recovery.
    fn end_recovery(&mut self) {
        self.recoveries.end_last(&self.books);
        (self.books.first_confirm_ns, self.books.first_delivery_ns) = (None, None);
    }

    fn note_counts(&mut self) {
        (self.recoveries.recovered_before, self.recoveries.repeated_before) =
            (self.books.ledger.recovered(), self.books.ledger.repeated());
    }

    fn push_recovery(&mut self, fault: usize, connected_ns: u64, at_stake: u64, queued: Option<u64>) {
        self.recoveries.is_open = true;
        self.recoveries.all.push(Recovery {
            fault,
            connected_ns,
            at_stake,
            queued,
            ..Recovery::default()
        });
    }

    /// Ends the last recovery and begins the one from the plan's fault `fault`.
    pub(super) fn begin_recovery(
        &mut self,
        fault: usize,
        connected_ns: u64,
        at_stake: u64,
        queued: Option<u64>,
    ) {
        self.end_recovery();
        self.note_counts();
        self.push_recovery(fault, connected_ns, at_stake, queued);
    }
}

fn registering(source: std::io::Error) -> DriverError {
    DriverError::Generator {
        what: "set up its event loop",
        source,
    }
}
