//! Churn: connections, channels and queues that come and go beside the load, at rates of their own (open loop).
//!
//! Each kind has a thread and a connection of its own, with blocking calls, so that a slow answer delays neither the load nor
//! another kind. One operation of a kind is made after the other: if the broker is slower than the rate, the next ones are late,
//! and their times count from when they were due. It begins with the load and ends with the measured window.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use wire::{Method, TableRef};

use super::session::{CHANNEL, REPLY_SUCCESS, Session};
use crate::churn::{ChurnKind, ChurnRecording};
use crate::control::Control;
use crate::driver::DriverError;
use crate::plan::Plan;
use crate::random;
use crate::rate_curve::RateCurve;
use crate::schedule::Timetable;
use crate::target::Target;

/// How often a thread that waits looks whether the load has begun, or has ended early.
const LOOK: Duration = Duration::from_millis(5);
/// The channel that comes and goes; the connection's own one stays.
const CHURNED_CHANNEL: u16 = CHANNEL + 1;
/// Keeps the phases apart from everything else that comes of the seed.
const CHURN_SEED: u64 = 0x63_6875_726e;

/// Runs `load` with the plan's churn beside it.
pub(in crate::driver) fn beside<T>(
    plan: &Plan,
    target: &Target,
    control: &Control,
    load: impl FnOnce() -> T,
) -> (T, Vec<ChurnRecording>) {
    let over = AtomicBool::new(false);
    let kinds = plan.scenario.churn.into_iter().flat_map(|churn| churn.rates());
    std::thread::scope(|scope| {
        let threads: Vec<_> = kinds
            .map(|(kind, rate)| {
                let churner = Churner {
                    kind,
                    plan,
                    target,
                    session: None,
                    turns: 0,
                };
                let over = &over;
                scope.spawn(move || run(churner, rate, control, over))
            })
            .collect();
        let outcome = {
            // Also when the load panics: the threads must not wait for it.
            let _over = Raise(&over);
            load()
        };
        let joined = threads.into_iter().map(|thread| thread.join());
        let recordings = joined.map(|recording| recording.expect("churn does not panic"));
        (outcome, recordings.collect())
    })
}

/// Raises its flag when it is dropped.
struct Raise<'a>(&'a AtomicBool);

impl Drop for Raise<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

fn run(mut churner: Churner<'_>, rate: u32, control: &Control, over: &AtomicBool) -> ChurnRecording {
    let mut recording = ChurnRecording::new(churner.kind);
    let is_over = || over.load(Ordering::Acquire);
    let started_ns = loop {
        match control.started_ns() {
            Some(started_ns) => break started_ns,
            None if is_over() => return recording,
            None => std::thread::sleep(LOOK),
        }
    };
    let phase = random::at(churner.plan.seed ^ CHURN_SEED, churner.kind as u64) >> 40;
    let phase = phase as f64 / f64::from(1 << 24);
    let curve = Arc::new(RateCurve::constant(f64::from(rate)));
    let timetable = Timetable::even(curve, phase).starting_at(started_ns);
    let (clock, mut next) = (control.clock(), timetable.clone());
    loop {
        let (window_start_ns, window_end_ns) = control.measure_window();
        let (due_ns, now_ns) = (next.next_ns(), clock.now_ns());
        if is_over() || due_ns.max(now_ns) >= window_end_ns {
            recording.due = timetable.due_before(window_end_ns) - timetable.due_before(window_start_ns);
            break;
        }
        if now_ns < due_ns {
            std::thread::sleep(Duration::from_nanos(due_ns - now_ns).min(LOOK));
            continue;
        }
        match churner.turn() {
            Ok(()) if due_ns >= window_start_ns => {
                recording.made += 1;
                recording.took.saturating_record(clock.now_ns() - due_ns);
            }
            Ok(()) => {}
            Err(error) => {
                recording.errors += 1;
                recording.first_error.get_or_insert(error.to_string());
            }
        }
        next.advance();
    }
    churner.end();
    recording
}

/// Makes one kind of churn.
struct Churner<'a> {
    kind: ChurnKind,
    plan: &'a Plan,
    target: &'a Target,
    /// The connection of channels and queues; `None` before the first turn and after an error.
    session: Option<Session>,
    turns: u64,
}

impl Churner<'_> {
    /// Something comes and goes.
    fn turn(&mut self) -> Result<(), DriverError> {
        self.turns += 1;
        if self.kind == ChurnKind::Connections {
            self.open()?.close();
            return Ok(());
        }
        let mut session = match self.session.take() {
            Some(session) => session,
            None => self.open()?,
        };
        match self.kind {
            ChurnKind::Channels => churn_channel(&mut session)?,
            ChurnKind::Queues | ChurnKind::Connections => self.churn_queue(&mut session)?,
        }
        self.session = Some(session);
        Ok(())
    }

    fn open(&self) -> Result<Session, DriverError> {
        Session::open(&format!("the churn of {}", self.kind.name()), self.target)
    }

    /// A transient queue is exclusive, so that none stays behind, whatever fails.
    fn churn_queue(&self, session: &mut Session) -> Result<(), DriverError> {
        let durable = self.plan.scenario.durable;
        let first = self.plan.queues.first().map_or("loadgen", |queue| &queue.name);
        let queue = &format!("{first}.churn.{}", self.turns);
        let declare = Method::QueueDeclare {
            queue,
            passive: false,
            durable,
            exclusive: !durable,
            auto_delete: false,
            no_wait: false,
            arguments: TableRef::EMPTY,
        };
        session.call(&declare, |method| {
            matches!(method, Method::QueueDeclareOk { .. }).then_some(())
        })?;
        let delete = Method::QueueDelete {
            queue,
            if_unused: false,
            if_empty: false,
            no_wait: false,
        };
        session.call(&delete, |method| {
            matches!(method, Method::QueueDeleteOk { .. }).then_some(())
        })
    }

    fn end(self) {
        if let Some(session) = self.session {
            session.close();
        }
    }
}

fn churn_channel(session: &mut Session) -> Result<(), DriverError> {
    session.call_on(CHURNED_CHANNEL, &Method::ChannelOpen, |method| {
        matches!(method, Method::ChannelOpenOk).then_some(())
    })?;
    let close = Method::ChannelClose {
        reply_code: REPLY_SUCCESS,
        reply_text: "done",
        class_id: 0,
        method_id: 0,
    };
    session.call_on(CHURNED_CHANNEL, &close, |method| {
        matches!(method, Method::ChannelCloseOk).then_some(())
    })
}
