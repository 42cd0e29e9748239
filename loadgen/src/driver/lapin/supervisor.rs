//! The supervisor: connects everything, starts the tasks, obeys the run's control, and writes the series.

use std::cell::OnceCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use lapin::{Consumer, ErrorKind, Event};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::books::Books;
use super::consumer::{self, ConsumerTask};
use super::producer::{self, ConfirmQueue, ProducerTask, collect_confirms};
use super::setup::{Link, failed};
use crate::control::{Control, Phase};
use crate::driver::DriverError;
use crate::driver::acks::AckBatch;
use crate::driver::course::Course;
use crate::driver::drain::DrainWatch;
use crate::driver::pace::Pace;
use crate::live::Live;
use crate::plan::{ConsumerPlan, Plan};
use crate::recorder::{Outcome, Recording, Second, Series, ServerProperties};
use crate::target::Target;
use crate::tls::TlsFigures;

/// How often the supervisor looks at the phase.
const TICK: Duration = Duration::from_millis(2);
/// After a failure: how long to wait for another task to say why the broker closed the connection.
const REASON_TIMEOUT: Duration = Duration::from_millis(200);

type Tasks = JoinSet<Result<(), DriverError>>;

/// Carries one run, from the first connection to the last close.
pub(super) async fn run(
    plan: &Plan,
    target: &Target,
    control: &Control,
    live: &Live,
    server: ServerProperties,
) -> Result<Recording, DriverError> {
    let go_on = || {
        if control.interrupted() {
            Err(DriverError::Interrupted)
        } else {
            Ok(())
        }
    };
    let (mut consumers, mut producers) = (Vec::new(), Vec::new());
    for consumer in &plan.consumers {
        go_on()?;
        let link = consumer::connect(consumer, target).await?;
        let deliveries = match plan.scenario.backlog_first {
            true => None,
            false => Some(consumer::subscribe(plan, consumer, &link).await?),
        };
        consumers.push((consumer, link, deliveries));
    }
    for producer in &plan.producers {
        go_on()?;
        producers.push(producer::connect(plan, producer, target).await?);
    }
    control.connected();
    let started_ns = await_begin(control).await?;

    let books = Arc::new(Books::new(plan, control.clock()));
    let mut course = Course::new(&plan.scenario);
    let window = control.measure_window();
    books.set_window(window, course.load_end_ns(window));
    let paces = plan
        .producers
        .iter()
        .map(|producer| Pace::new(&producer.schedule, started_ns));
    let paces: Vec<_> = paces.collect();
    let mut tasks = Tasks::new();
    let (mut links, mut waiting) = (Vec::new(), Vec::new());
    for (planned, link, deliveries) in consumers {
        match deliveries {
            Some(deliveries) => {
                let task = consumer_task(plan, planned, &link, deliveries, &books);
                tasks.spawn(task.run());
                links.push(link);
            }
            None => waiting.push((planned, link)),
        }
    }
    for (index, link) in producers.into_iter().enumerate() {
        let confirms = plan.scenario.confirm_window.map(|window| {
            let permits = Arc::new(Semaphore::new(window as usize));
            let (unconfirmed, receiver) = mpsc::unbounded_channel();
            let (name, for_task) = (link.name.clone(), Arc::clone(&permits));
            tasks.spawn(collect_confirms(
                name,
                index,
                receiver,
                for_task,
                Arc::clone(&books),
            ));
            ConfirmQueue { permits, unconfirmed }
        });
        let task = ProducerTask::new(
            plan,
            index,
            &link,
            paces[index].clone(),
            confirms,
            Arc::clone(&books),
        );
        tasks.spawn(task.run());
        links.push(link);
    }
    for link in &links {
        let events = link.connection.events_listener();
        tasks.spawn(watch(link.name.clone(), events, Arc::clone(&books)));
    }

    let mut series = Series::new(plan.scenario.is_open_loop(), started_ns);
    let run = Run {
        plan,
        due: Due::new(plan, &paces),
        books: &books,
        control,
        live,
    };
    let supervised = run
        .supervise(&mut tasks, &mut series, &mut course, &waiting)
        .await;
    tasks.shutdown().await;
    links.extend(waiting.into_iter().map(|(_, link)| link));
    let tls = TlsFigures::together(links.iter().map(|link| link.tls.clone()));
    close(links).await;
    supervised?;
    let unsent = run.due.unsent(&books);
    let books = Arc::into_inner(books).expect("every task has ended");
    let outcome = Outcome {
        with_confirms: plan.scenario.confirm_window.is_some(),
        ledger: books.ledger.into_inner().close(),
        reads: 0,
        writes: 0,
        blocked: books.blocked.into_inner(),
        unsent,
        held_back: books.held_back.into_inner(),
        server,
        tls,
        recoveries: Vec::new(),
        timeline: None,
    };
    Ok(series.into_recording(control, live, outcome))
}

/// What the supervisor looks at.
struct Run<'a> {
    plan: &'a Plan,
    due: Due<'a>,
    books: &'a Arc<Books>,
    control: &'a Control,
    live: &'a Live,
}

/// Where the ledger stands.
struct Standing {
    /// Grows with everything that the broker does.
    progress: u64,
    /// All that was sent has arrived.
    received: bool,
    /// All that was sent is confirmed or refused, if anybody asked for it.
    confirmed: bool,
}

impl Run<'_> {
    /// Until the drain is over or a task fails. `waiting` are the consumers that a backlog comes before.
    async fn supervise(
        &self,
        tasks: &mut Tasks,
        series: &mut Series,
        course: &mut Course,
        waiting: &[(&ConsumerPlan, Link)],
    ) -> Result<(), DriverError> {
        let Self {
            plan,
            ref due,
            books,
            control,
            live,
        } = *self;
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut drain, mut second) = (DrainWatch::new(false), Second::default());
        let mut window = control.measure_window();
        loop {
            tokio::select! {
                Some(ended) = tasks.join_next() => {
                    if let Err(error) = ended.expect("no task panics, and none is aborted yet") {
                        return Err(reason(error, tasks).await);
                    }
                }
                _ = ticks.tick() => {}
            }
            let now_ns = books.clock.now_ns();
            let standing = self.standing();
            let done = books.done.load(Ordering::Acquire) == plan.producers.len();
            let sent = done && standing.confirmed;
            let start = course.advance(control, control.phase_at(now_ns), sent, standing.received);
            let phase = control.phase_at(now_ns);
            if control.measure_window() != window {
                window = control.measure_window();
                books.set_window(window, course.load_end_ns(window));
            }
            if now_ns >= books.load_end_ns() {
                books.wake_producers();
            }
            if start {
                // Not before everybody knows of the window that its first deliveries belong to.
                self.start(waiting, tasks).await?;
            }
            let totals = books.totals();
            live.set_totals(totals);
            let complete = standing.received && standing.confirmed;
            let complete = complete && books.is_settled() && phase >= Phase::Drain && due.unsent(books) == 0;
            let over = drain.is_over(now_ns, phase, standing.progress, complete);
            if over || now_ns >= series.interval_end_ns() {
                books.take_seconds(&mut second, |second| series.add(second));
                let (backlog, harm) = {
                    let ledger = books.ledger.lock();
                    (ledger.backlog(), ledger.harm())
                };
                live.set_harm(harm);
                series.end_interval(now_ns, totals, backlog, live);
            }
            if over {
                return Ok(());
            }
        }
    }

    fn standing(&self) -> Standing {
        let ledger = self.books.ledger.lock();
        let with_confirms = self.plan.scenario.confirm_window.is_some();
        Standing {
            progress: ledger.published()
                + ledger.received()
                + ledger.repeated()
                + ledger.settled()
                + ledger.foreign(),
            received: ledger.is_complete(),
            confirmed: !with_confirms || ledger.settled() == ledger.published(),
        }
    }

    /// Starts the consumers of a backlog.
    async fn start(&self, waiting: &[(&ConsumerPlan, Link)], tasks: &mut Tasks) -> Result<(), DriverError> {
        for (planned, link) in waiting {
            let deliveries = consumer::subscribe(self.plan, planned, link).await?;
            let task = consumer_task(self.plan, planned, link, deliveries, self.books);
            tasks.spawn(task.run());
        }
        Ok(())
    }
}

fn consumer_task(
    plan: &Plan,
    planned: &ConsumerPlan,
    link: &Link,
    deliveries: Consumer,
    books: &Arc<Books>,
) -> ConsumerTask {
    let every = if planned.no_ack {
        0
    } else {
        planned.ack_every.max(1)
    };
    ConsumerTask {
        name: link.name.clone(),
        index: usize::from(planned.id),
        channel: link.channel.clone(),
        deliveries,
        acks: AckBatch::new(every, plan.scenario.ack_flush_ms, planned.work.clone()),
        books: Arc::clone(books),
    }
}

/// Counts `connection.blocked`, and ends with the connection's error.
async fn watch(
    name: String,
    events: impl Stream<Item = Event> + Send,
    books: Arc<Books>,
) -> Result<(), DriverError> {
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        match event {
            Event::ConnectionBlocked(_) => {
                books.blocked.fetch_add(1, Ordering::Relaxed);
            }
            Event::Error(source) => return Err(failed(&name, source)),
            _ => {}
        }
    }
    Ok(())
}

/// When the broker closes a connection, its tasks fail one after the other; the one that knows what the broker said
/// is the one to report.
async fn reason(first: DriverError, tasks: &mut Tasks) -> DriverError {
    let said = |error: &DriverError| match error {
        DriverError::Lapin { source, .. } => matches!(source.kind(), ErrorKind::ProtocolError(_)),
        _ => true,
    };
    if said(&first) {
        return first;
    }
    let search = async {
        while let Some(ended) = tasks.join_next().await {
            match ended {
                Ok(Err(error)) if said(&error) => return Some(error),
                _ => {}
            }
        }
        None
    };
    timeout(REASON_TIMEOUT, search)
        .await
        .ok()
        .flatten()
        .unwrap_or(first)
}

/// How many messages each producer has to send in all: its part of the count, or what its schedule holds until the load ends.
struct Due<'a> {
    plan: &'a Plan,
    paces: &'a [Pace],
    /// Counted once, when the load is over and its end moves no more.
    counts: OnceCell<Vec<u64>>,
}

impl<'a> Due<'a> {
    fn new(plan: &'a Plan, paces: &'a [Pace]) -> Self {
        Self {
            plan,
            paces,
            counts: OnceCell::new(),
        }
    }

    /// Of these, those that were not sent. To be asked in the drain.
    fn unsent(&self, books: &Books) -> u64 {
        let counts = self.counts.get_or_init(|| {
            let end_ns = books.load_end_ns();
            let producers = self.plan.producers.iter().zip(self.paces);
            let due = producers.map(|(producer, pace)| producer.messages.or_else(|| pace.due_before(end_ns)));
            due.map(Option::unwrap_or_default).collect()
        });
        let ledger = books.ledger.lock();
        let unsent = counts
            .iter()
            .enumerate()
            .map(|(index, due)| due.saturating_sub(ledger.published_by(index)));
        unsent.sum()
    }
}

async fn close(links: Vec<Link>) {
    let closing = links.into_iter().map(Link::close);
    futures_util::future::join_all(closing).await;
}

/// Waits for the conductor; the instant at which the load begins.
async fn await_begin(control: &Control) -> Result<u64, DriverError> {
    let mut ticks = interval(TICK);
    loop {
        ticks.tick().await;
        if let Some(started_ns) = control.started_ns() {
            return Ok(started_ns);
        }
        if control.interrupted() {
            return Err(DriverError::Interrupted);
        }
    }
}
