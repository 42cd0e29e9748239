//! What the event loop does when the broker is killed: it books the broker's last words, waits until it listens again,
//! declares what should still stand, connects everybody anew, and goes on.
//!
//! Nothing is sent twice: a message whose confirm did not come before the kill stays as it is, delivered or not, and the
//! producers go on with new ones. A kill may strike again at any point of this; then it begins anew.

use std::time::Duration;

use super::engine::{Books, Engine, connect_consumers, connect_producers};
use super::topology;
use crate::control::Control;
use crate::driver::DriverError;
use crate::plan::Plan;
use crate::recorder::Recovery;
use crate::target::Target;

/// How long the conductor may take for a restart; it has its own, shorter deadline.
const RESTART_TIMEOUT: Duration = Duration::from_secs(60);

/// The broker's returns so far.
#[derive(Debug, Default)]
pub(super) struct Recoveries {
    /// The broker's incarnation that the connections belong to.
    incarnation: u32,
    pub(super) all: Vec<Recovery>,
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

    /// Fills in what came of the last return.
    pub(super) fn end_last(&mut self, books: &Books) {
        if let Some(last) = self.all.last_mut() {
            last.first_confirm_ns = books.first_confirm_ns;
            last.recovered = books.ledger.recovered() - self.recovered_before;
            last.repeated = books.ledger.repeated() - self.repeated_before;
        }
    }
}

impl Engine {
    /// Goes on after a kill of the broker; any other `error` is handed back.
    pub(super) fn recover(
        &mut self,
        error: DriverError,
        plan: &Plan,
        control: &Control,
    ) -> Result<(), DriverError> {
        let outages = control.outages();
        if outages.struck() == self.recoveries.incarnation {
            return Err(error);
        }
        self.book_last_words();
        let mut error = error;
        loop {
            let restart = outages.await_restart(self.recoveries.incarnation, RESTART_TIMEOUT);
            let Some((incarnation, target)) = restart else {
                return Err(error);
            };
            // By now every socket has seen the end.
            self.book_last_words();
            self.recoveries.end_last(&self.books);
            self.recoveries.incarnation = incarnation;
            let at_stake = self.books.ledger.owed();
            self.books.ledger.kill();
            self.books.first_confirm_ns = None;
            match self.reconnect(plan, &target, at_stake) {
                Ok(()) => return Ok(()),
                Err(again) if outages.struck() > incarnation => error = again,
                Err(other) => return Err(other),
            }
        }
    }

    /// Reads what the broker had sent before it died: a confirm is a promise, whenever it is read.
    fn book_last_words(&mut self) {
        let Self {
            producers,
            consumers,
            books,
            buffer,
            ..
        } = self;
        // Each ends with an error, when it comes to the end of what was sent, or with nothing more to read.
        for producer in producers {
            producer.link.socket.readable = true;
            while producer.link.socket.readable && producer.read(books, buffer).is_ok() {}
        }
        for consumer in consumers {
            consumer.link.socket.readable = true;
            while consumer.link.socket.readable && consumer.read(books, buffer).is_ok() {}
        }
    }

    fn reconnect(&mut self, plan: &Plan, target: &Target, at_stake: u64) -> Result<(), DriverError> {
        self.drop_connections();
        let go_on = || Ok(());
        let queued = topology::declare(plan, target)?.queued;
        (self.recoveries.recovered_before, self.recoveries.repeated_before) =
            (self.books.ledger.recovered(), self.books.ledger.repeated());
        self.consumers = connect_consumers(plan, target, &go_on)?;
        let mut producers = connect_producers(plan, target, &go_on)?;
        let now_ns = self.books.clock.now_ns();
        for (index, (producer, before)) in producers.iter_mut().zip(&self.producers).enumerate() {
            producer.resume(before, self.books.ledger.published_by(index), now_ns);
        }
        self.producers = producers;
        self.ready.clear();
        self.next_send_ns = 0;
        self.register().map_err(|source| DriverError::Generator {
            what: "set up its event loop",
            source,
        })?;
        self.recoveries.all.push(Recovery {
            incarnation: self.recoveries.incarnation,
            connected_ns: now_ns,
            at_stake,
            queued,
            ..Recovery::default()
        });
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
}
