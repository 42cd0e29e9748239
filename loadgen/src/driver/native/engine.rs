//! The event loop: all connections of the load on one thread. What it does about faults: `recovery`, `orders`.

use std::io;
use std::time::Duration;

use mio::{Events, Interest, Poll, Token};

use super::consumer::Consumer;
use super::link::Link;
use super::orders::Stall;
use super::producer::{Next, Producer};
use super::recovery::Recoveries;
use super::ticker::Ticker;
use super::topology::Declared;
use crate::clock::Clock;
use crate::control::{Control, Phase};
use crate::driver::DriverError;
use crate::driver::course::Course;
use crate::driver::drain::DrainWatch;
use crate::driver::pace::Pace;
use crate::ledger::Ledger;
use crate::live::{Live, Totals};
use crate::plan::Plan;
use crate::recorder::{LatencyRecorder, Outcome, Recording, Second, Series, ServerProperties, Timeline};
use crate::target::Target;
use crate::tls::TlsFigures;

/// The shared read buffer. A message in one frame of the largest size fits with room to spare.
const BUFFER_BYTES: usize = 256 * 1024;
/// Socket events taken from one wait.
const EVENTS_MAX: usize = 1_024;
/// Open loop: due messages are gathered for so long, to be sent in one write.
const TICK_NS: u64 = 500_000;
/// The longest wait, so that phases, ack timers and the series are looked after.
const WAIT_MAX: Duration = Duration::from_millis(5);
/// How often the loop asks whether the load has begun.
const BEGIN_POLL: Duration = Duration::from_millis(1);

/// What every connection writes into.
#[derive(Debug)]
pub(super) struct Books {
    pub(super) clock: Clock,
    pub(super) ledger: Ledger,
    pub(super) recorder: LatencyRecorder,
    pub(super) totals: Totals,
    pub(super) blocked: u64,
    /// When the broker first confirmed since the last fault, on a connection that is watched for it.
    pub(super) first_confirm_ns: Option<u64>,
    /// When it first delivered, likewise.
    pub(super) first_delivery_ns: Option<u64>,
    /// Latencies by intended instant; only in runs with faults.
    pub(super) timeline: Option<Box<Timeline>>,
}

/// The event loop with its connections. Tokens: producers first, then consumers, then the ticker.
#[derive(Debug)]
pub(super) struct Engine {
    poll: Poll,
    ticker: Ticker,
    pub(super) producers: Vec<Producer>,
    pub(super) consumers: Vec<Consumer>,
    /// Tokens of sockets that may have input.
    pub(super) ready: Vec<usize>,
    pub(super) buffer: Vec<u8>,
    pub(super) books: Books,
    course: Course,
    drain: DrainWatch,
    pub(super) recoveries: Recoveries,
    pub(super) stall: Stall,
    /// Where the broker, or the proxy before it, listens.
    pub(super) target: Target,
    /// Where the round of producers starts, so that none is always first.
    first_producer: usize,
    pub(super) next_send_ns: u64,
    open_loop: bool,
}

/// Opens the consumers' connections; `go_on` may end it between two of them.
pub(super) fn connect_consumers(
    plan: &Plan,
    target: &Target,
    go_on: &dyn Fn() -> Result<(), DriverError>,
) -> Result<Vec<Consumer>, DriverError> {
    let consumers = plan.consumers.iter().map(|consumer| {
        go_on()?;
        Consumer::connect(plan, consumer, target)
    });
    consumers.collect()
}

/// Opens the producers' connections.
pub(super) fn connect_producers(
    plan: &Plan,
    target: &Target,
    go_on: &dyn Fn() -> Result<(), DriverError>,
) -> Result<Vec<Producer>, DriverError> {
    let producers = plan.producers.iter().enumerate().map(|(index, producer)| {
        go_on()?;
        Producer::connect(plan, index, producer, target)
    });
    producers.collect()
}

impl Engine {
    /// Opens every connection: consumers first, so that nothing piles up before them.
    pub(super) fn connect(plan: &Plan, target: &Target, control: &Control) -> Result<Self, DriverError> {
        let go_on = || {
            if control.interrupted() {
                Err(DriverError::Interrupted)
            } else {
                Ok(())
            }
        };
        let consumers = connect_consumers(plan, target, &go_on)?;
        let producers = connect_producers(plan, target, &go_on)?;
        let open_loop = plan.scenario.is_open_loop();
        let failed = |source| DriverError::Generator {
            what: "set up its event loop",
            source,
        };
        let poll = Poll::new().map_err(failed)?;
        let ticker =
            Ticker::new(poll.registry(), Token(producers.len() + consumers.len())).map_err(failed)?;
        let mut engine = Self {
            poll,
            ticker,
            producers,
            consumers,
            ready: Vec::new(),
            buffer: vec![0; BUFFER_BYTES],
            books: Books {
                clock: control.clock(),
                ledger: Ledger::new(plan),
                recorder: LatencyRecorder::new(open_loop),
                totals: Totals::default(),
                blocked: 0,
                first_confirm_ns: None,
                first_delivery_ns: None,
                timeline: (!plan.faults.is_empty())
                    .then(|| Box::new(Timeline::new(plan.scenario.recovered_p99_us_max))),
            },
            course: Course::new(&plan.scenario),
            drain: DrainWatch::new(!plan.faults.is_empty()),
            recoveries: Recoveries::default(),
            stall: Stall::default(),
            target: target.clone(),
            first_producer: 0,
            next_send_ns: 0,
            open_loop,
        };
        engine.register().map_err(failed)?;
        Ok(engine)
    }

    /// Hands every socket to the poll.
    pub(super) fn register(&mut self) -> io::Result<()> {
        (0..self.producers.len() + self.consumers.len()).try_for_each(|token| self.register_one(token))
    }

    /// Hands the socket of one connection to the poll.
    pub(super) fn register_one(&mut self, token: usize) -> io::Result<()> {
        let Self {
            poll,
            producers,
            consumers,
            ready,
            ..
        } = self;
        let link = match token.checked_sub(producers.len()) {
            None => &mut producers[token].link,
            Some(index) => &mut consumers[index].link,
        };
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registry = poll.registry();
        registry.register(link.socket.stream.socket_mut(), Token(token), interest)?;
        if link.socket.readable {
            ready.push(token);
        }
        Ok(())
    }

    /// Waits for the load to begin, carries it through to the end of the drain, and closes every connection.
    pub(super) fn run(
        mut self,
        plan: &Plan,
        control: &Control,
        live: &Live,
        declared: Declared,
    ) -> Result<Recording, DriverError> {
        self.tell_connected(control);
        control.connected();
        let started_ns = await_begin(control)?;
        let with_faults = !plan.faults.is_empty();
        for (producer, planned) in self.producers.iter_mut().zip(&plan.producers) {
            producer.begin(Pace::new(&planned.schedule, started_ns));
        }
        let mut series = Series::new(self.open_loop, started_ns);
        let mut second = Second::default();
        let mut events = Events::with_capacity(EVENTS_MAX);
        let mut window = (0, 0);
        let ended_ns = loop {
            let now_ns = self.books.clock.now_ns();
            if self.course.is_counted() {
                self.advance(control, control.phase_at(now_ns))?;
            }
            let phase = control.phase_at(now_ns);
            if control.measure_window() != window {
                window = control.measure_window();
                self.books.recorder.set_window(window);
                let end_ns = self.course.load_end_ns(window);
                self.producers
                    .iter_mut()
                    .for_each(|producer| producer.set_end(end_ns));
            }
            live.set_totals(self.books.totals);
            if now_ns >= series.interval_end_ns() {
                self.end_interval(&mut series, &mut second, now_ns, live);
            }
            if with_faults {
                self.obey(control.outages(), now_ns);
                self.mend_cut(plan, control)?;
            }
            if phase >= Phase::Drain && self.is_over(control, now_ns, phase) {
                break now_ns;
            }
            if let Err(error) = self.turn(&mut events, now_ns, phase) {
                // Only a fault is survived; any other error is the run's end.
                self.recover(error, plan, control)?;
                self.drain.restart();
            }
        };
        self.end_interval(&mut series, &mut second, ended_ns, live);
        let with_confirms = plan.scenario.confirm_window.is_some();
        Ok(series.into_recording(control, live, self.finish(with_confirms, declared.server)))
    }

    /// Opens or closes the window of a counted run when its work is done.
    fn advance(&mut self, control: &Control, phase: Phase) -> Result<(), DriverError> {
        let sent = self
            .producers
            .iter()
            .all(|producer| producer.is_done(&self.books));
        let received = self.books.ledger.is_complete();
        if self.course.advance(control, phase, sent, received) {
            let Self {
                consumers, buffer, ..
            } = self;
            consumers
                .iter_mut()
                .try_for_each(|consumer| consumer.start(buffer))?;
        }
        Ok(())
    }

    fn is_over(&mut self, control: &Control, now_ns: u64, phase: Phase) -> bool {
        // While a fault is still to come, or has not been noticed yet, nobody has said the last word.
        let outages = control.outages();
        let settled = !outages.is_pending() && self.recoveries.has_seen_all(outages);
        let (progress, complete) = (self.progress(), settled && self.is_complete());
        self.drain.is_over(now_ns, phase, progress, complete)
    }

    /// One turn: read, acknowledge, send, wait.
    fn turn(&mut self, events: &mut Events, now_ns: u64, phase: Phase) -> Result<(), DriverError> {
        self.read_ready()?;
        let acks_due_ns = self.flush_due_acks(now_ns, phase)?;
        let more = self.send(now_ns)?;
        let wake_ns = if self.open_loop {
            acks_due_ns.min(self.next_send_ns)
        } else {
            acks_due_ns
        };
        if !more && wake_ns < u64::MAX {
            let armed = self.ticker.arm(wake_ns, self.books.clock.now_ns());
            armed.map_err(|source| DriverError::Generator {
                what: "set its timer",
                source,
            })?;
        }
        let timeout = if more || !self.ready.is_empty() {
            Duration::ZERO
        } else {
            WAIT_MAX
        };
        match self.poll.poll(events, Some(timeout)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(source) => {
                return Err(DriverError::Generator {
                    what: "wait for its sockets",
                    source,
                });
            }
        }
        for event in events.iter() {
            let token = event.token().0;
            let Some(link) = self.link(token) else { continue };
            let woken = event.is_readable() || event.is_read_closed() || event.is_error();
            let queued = link.socket.readable;
            link.socket.readable |= woken;
            if event.is_writable() {
                link.socket.writable = true;
                // Half-written output must not wait for its owner's next turn: a consumer may have none.
                if link.socket.is_backed_up() {
                    self.flush(token)?;
                }
            }
            if woken && !queued {
                self.ready.push(token);
            }
        }
        Ok(())
    }

    fn link(&mut self, token: usize) -> Option<&mut Link> {
        let producers = self.producers.len();
        match token.checked_sub(producers) {
            None => Some(&mut self.producers[token].link),
            Some(index) => self.consumers.get_mut(index).map(|consumer| &mut consumer.link),
        }
    }

    fn flush(&mut self, token: usize) -> Result<(), DriverError> {
        let Self {
            producers,
            consumers,
            buffer,
            ..
        } = self;
        match token.checked_sub(producers.len()) {
            None => producers[token].link.flush(buffer),
            Some(index) => consumers[index].link.flush(buffer),
        }
    }

    /// Reads each ready socket once; those with more to read stay on the list.
    fn read_ready(&mut self) -> Result<(), DriverError> {
        let Self {
            producers,
            consumers,
            books,
            buffer,
            ready,
            stall,
            ..
        } = self;
        let mut kept = 0;
        for at in 0..ready.len() {
            let token = ready[at];
            if stall.parks(token) {
                continue;
            }
            let readable = match token.checked_sub(producers.len()) {
                None => {
                    producers[token].read(books, buffer)?;
                    producers[token].link.socket.readable
                }
                Some(index) => {
                    consumers[index].read(books, buffer)?;
                    consumers[index].link.socket.readable
                }
            };
            if readable {
                ready[kept] = token;
                kept += 1;
            }
        }
        ready.truncate(kept);
        Ok(())
    }

    /// Sends acks whose timer has run out (in the drain none needs to wait for more); when the next ones are due.
    fn flush_due_acks(&mut self, now_ns: u64, phase: Phase) -> Result<u64, DriverError> {
        let Self {
            producers,
            consumers,
            books,
            buffer,
            stall,
            ..
        } = self;
        let mut next_due_ns = u64::MAX;
        for (index, consumer) in consumers.iter_mut().enumerate() {
            if stall.holds(producers.len() + index) {
                continue;
            }
            match consumer.ack_due_ns() {
                Some(due_ns) if due_ns <= now_ns || phase >= Phase::Drain => {
                    consumer.flush_acks(books, buffer, now_ns, phase >= Phase::Drain)?;
                }
                Some(due_ns) => next_due_ns = next_due_ns.min(due_ns),
                None => {}
            }
        }
        Ok(next_due_ns)
    }

    /// Lets each producer send a batch; whether one of them could go on at once. An open loop sends once a tick.
    fn send(&mut self, now_ns: u64) -> Result<bool, DriverError> {
        if self.open_loop && now_ns < self.next_send_ns {
            return Ok(false);
        }
        let Self {
            producers,
            books,
            buffer,
            ..
        } = self;
        let (mut more, mut blocked, mut next_due_ns) = (false, false, u64::MAX);
        let (before, after) = producers.split_at_mut(self.first_producer);
        for producer in after.iter_mut().chain(before) {
            match producer.send(books, buffer)? {
                Next::Now => more = true,
                Next::At(due_ns) => next_due_ns = next_due_ns.min(due_ns),
                Next::Blocked => blocked = true,
                Next::Finished => {}
            }
        }
        self.first_producer = (self.first_producer + 1) % self.producers.len().max(1);
        if self.open_loop && !more {
            // One that waits for the broker has something overdue: it is asked again at the next tick.
            let tick_ns = now_ns + TICK_NS;
            self.next_send_ns = if blocked {
                tick_ns
            } else {
                next_due_ns.max(tick_ns)
            };
            if self.next_send_ns < u64::MAX {
                let armed = self.ticker.arm(self.next_send_ns, self.books.clock.now_ns());
                armed.map_err(|source| DriverError::Generator {
                    what: "set its timer",
                    source,
                })?;
            }
        }
        Ok(more)
    }

    fn end_interval(&mut self, series: &mut Series, second: &mut Second, now_ns: u64, live: &Live) {
        self.books.recorder.take_second(second);
        series.add(second);
        let backlog = self.books.ledger.backlog();
        live.set_harm(self.books.ledger.harm());
        series.end_interval(now_ns, self.books.totals, backlog, live);
    }

    /// Grows with everything that the broker does.
    fn progress(&self) -> u64 {
        let ledger = &self.books.ledger;
        ledger.published() + ledger.received() + ledger.repeated() + ledger.settled() + ledger.foreign()
    }

    /// Whether all that was due is sent, confirmed, received on every queue, and acknowledged.
    fn is_complete(&mut self) -> bool {
        let Self {
            producers,
            consumers,
            books,
            ..
        } = self;
        books.ledger.is_complete()
            && producers
                .iter_mut()
                .all(|it| it.unconfirmed() == 0 && it.unsent(books) == 0)
            && consumers.iter().all(Consumer::is_settled)
    }

    fn finish(self, with_confirms: bool, server: ServerProperties) -> Outcome {
        let Self {
            mut producers,
            consumers,
            books,
            mut recoveries,
            ..
        } = self;
        recoveries.end_last(&books);
        let unsent = producers.iter_mut().map(|it| it.unsent(&books)).sum();
        let held_back = producers.iter().map(Producer::held_back).sum();
        let links = producers.into_iter().map(|producer| producer.link);
        let links = links.chain(consumers.into_iter().map(|consumer| consumer.link));
        let links: Vec<_> = links.collect();
        let tls = TlsFigures::together(links.iter().map(|link| link.socket.stream.tls().cloned()));
        let (mut reads, mut writes) = recoveries.socket_calls;
        for link in links {
            reads += link.socket.reads;
            writes += link.socket.writes;
            link.close();
        }
        Outcome {
            ledger: books.ledger.close(),
            with_confirms,
            reads,
            writes,
            blocked: books.blocked,
            unsent,
            held_back,
            server,
            tls,
            recoveries: recoveries.all,
            timeline: books.timeline,
        }
    }
}

/// Waits for the conductor; the instant at which the load begins.
fn await_begin(control: &Control) -> Result<u64, DriverError> {
    loop {
        if let Some(started_ns) = control.started_ns() {
            return Ok(started_ns);
        }
        if control.interrupted() {
            return Err(DriverError::Interrupted);
        }
        std::thread::sleep(BEGIN_POLL);
    }
}
