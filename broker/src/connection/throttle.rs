//! A connection that may publish only so much a second; others have no [`Throttle`] and pay a look at that for each read.
//!
//! Its frames are taken one by one, and charged to the connection's own meter and to the one that the connections of its user share. A publish
//! that a meter has no room for stays where it is, in the connection's unparsed input with everything behind it, and the socket is
//! not read for a while. So order is kept, nothing is buffered, and an acknowledgement waits for no more than
//! the publishes that its own client has sent before it.
//!
//! Connections that share a meter take turns. Who has to wait owes for a [`Turn`] at once, and waits until that is paid; who comes next owes
//! behind it. Turns are of one message at first, and grow while a connection has to wait again and again, up to a hundredth of a second's
//! worth, which is the shortest pause.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::time::{Sleep, sleep};
use wire::{Frame, FrameKind};

use super::parking::starts_basic_publish;
use super::task::{Connection, Stage};
use crate::meter::{Meter, PublishRate};
use crate::reactor::READ_BYTES_MAX;

/// Octets of one read when the meters hold less than a full read could bring, so that little has to wait. A record of TLS fits.
const READ_BYTES_TIGHT: usize = 32 << 10;
/// Shortest pause: a timer is not worth a message or two.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// Bytes of a turn for each of its messages.
const TURN_BYTES: u64 = 1024;
/// Seconds after a pause in which the connection still counts as one in flow; RabbitMQ's number.
const FLOW_TICKS: u64 = 5;

/// See the module documentation.
#[derive(Debug)]
pub(super) struct Throttle {
    own: Meter,
    /// The user's connections share a meter.
    by_user: bool,
    /// What may pass because it was waited for.
    turn: Option<Turn>,
    /// Messages of the next turn, where the rate allows so many.
    turn_messages: u64,
    /// Of both meters, as charged last.
    rates: (PublishRate, PublishRate),
    pause: Option<Pin<Box<Sleep>>>,
    /// Reactor tick of the last pause.
    paused_tick: Option<u64>,
}

/// What a connection may publish when its pause is over.
#[derive(Clone, Copy, Debug)]
struct Turn {
    /// What was charged for it; 0: not limited.
    charged: PublishRate,
    /// What is left of it.
    left: PublishRate,
}

impl Connection {
    /// Looks at what this connection may publish. When it is open, and once a second.
    pub(super) fn refresh_throttle(&mut self) {
        let (settings, now) = (self.broker.limits.settings(), Instant::now());
        let by_user = self.account().usage.refresh_rate(settings.user_publish_rate, now);
        let is_limited = by_user || !settings.publish_rate.is_unlimited();
        match &mut self.throttle {
            None if is_limited => {
                self.throttle = Some(Box::new(Throttle {
                    own: Meter::new(settings.publish_rate, now),
                    by_user,
                    turn: None,
                    turn_messages: 1,
                    rates: Default::default(),
                    pause: None,
                    paused_tick: None,
                }));
            }
            None => {}
            // What was paused has to be handled before it can be forgotten.
            Some(throttle) if !is_limited && throttle.pause.is_none() => self.throttle = None,
            Some(throttle) => {
                throttle.by_user = by_user;
                throttle.set_rate(settings.publish_rate, now);
            }
        }
        // Under a higher rate it is over earlier. What others owe by now is behind it.
        let end = Instant::now() + self.wait();
        if let Some(pause) = self
            .throttle
            .as_mut()
            .and_then(|throttle| throttle.pause.as_mut())
            && end < pause.deadline().into_std()
        {
            pause.as_mut().reset(end.into());
        }
        let tick = self.reactor.ticks();
        let in_flow = self
            .throttle
            .as_ref()
            .is_some_and(|throttle| throttle.is_in_flow(tick));
        self.link.observed().throttled.set(in_flow.into());
    }

    /// True while the socket is not read because its publishes are too many.
    pub(super) fn is_paused(&self) -> bool {
        self.throttle
            .as_ref()
            .is_some_and(|throttle| throttle.pause.is_some())
    }

    /// Octets that one read may bring.
    #[inline]
    pub(super) fn read_bytes_max(&mut self) -> usize {
        if self.throttle.is_none() {
            return READ_BYTES_MAX;
        }
        match self.covers(READ_BYTES_MAX) {
            true => READ_BYTES_MAX,
            false => READ_BYTES_TIGHT,
        }
    }

    /// Handles input of a connection with a throttle; how much of it need not be kept.
    #[cold]
    pub(super) fn take_metered_input(&mut self, input: &[u8]) -> usize {
        self.set_metered(true);
        let consumed = self.take_input(input);
        self.set_metered(false);
        consumed
    }

    /// Goes on with what was paused, once its time has come.
    pub(super) fn poll_pause(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while let Some(throttle) = &mut self.throttle
            && let Some(pause) = &mut throttle.pause
        {
            if self.stage == Stage::Open {
                ready!(pause.as_mut().poll(context));
                if self.quiet {
                    return Poll::Pending;
                }
            }
            throttle.pause = None;
            let mut input = std::mem::take(&mut self.remainder);
            let consumed = self.take_metered_input(&input);
            input.drain(..consumed);
            self.remainder = input;
        }
        Poll::Ready(())
    }

    /// Whether a frame may pass. One that may not is the first of those that wait, and the pause begins.
    pub(super) fn passes(&mut self, frame: &Frame<'_>) -> bool {
        let bytes = (frame.payload.len() + wire::FRAME_OVERHEAD) as u64;
        match frame.kind {
            FrameKind::Method if starts_basic_publish(frame.payload) => self.passes_publish(bytes),
            FrameKind::Header | FrameKind::Body => {
                let paid = self.throttle.as_mut().and_then(|throttle| throttle.turn.as_mut());
                let paid = paid.map_or(0, |turn| turn.use_bytes(bytes));
                self.charge(0, bytes - paid);
                true
            }
            _ => true,
        }
    }

    fn set_metered(&mut self, is_metered: bool) {
        self.is_metered = is_metered;
        self.note_frame_by_frame();
    }

    /// `bytes`: of the method's frame.
    fn passes_publish(&mut self, bytes: u64) -> bool {
        let rates = self.all_meters(
            |meter| (meter.rate(), PublishRate::default()),
            Default::default(),
            |own, shared| (own.0, shared.0),
        );
        let Some(throttle) = &mut self.throttle else {
            return true;
        };
        if std::mem::replace(&mut throttle.rates, rates) != rates {
            // A meter whose rate changes forgets what is owed.
            throttle.turn = None;
        }
        if let Some(turn) = &mut throttle.turn {
            if turn.left.messages > 0 && turn.left.bytes > 0 {
                turn.left.messages -= 1;
                let paid = turn.use_bytes(bytes);
                self.charge(0, bytes - paid);
                return true;
            }
            self.give_up_turn();
        }
        let now = Instant::now();
        if self.all_meters(|meter| meter.holds(1, 1, now), true, |one, other| one && other) {
            self.charge(1, bytes);
            return true;
        }
        self.owe_for_a_turn(rates);
        false
    }

    /// Whatever is left of it goes back.
    pub(super) fn give_up_turn(&mut self) {
        let turn = self.throttle.as_mut().and_then(|throttle| throttle.turn.take());
        if let Some(unused) = turn.map(|turn| turn.unused()) {
            self.all_meters(
                |meter| meter.give_back(unused.messages, unused.bytes),
                (),
                |(), ()| (),
            );
        }
    }

    fn owe_for_a_turn(&mut self, (own, shared): (PublishRate, PublishRate)) {
        let Some(throttle) = &mut self.throttle else {
            return;
        };
        let turn_messages = match throttle.is_in_flow(self.reactor.ticks()) {
            true => throttle.turn_messages.saturating_mul(2),
            false => 1,
        };
        throttle.turn_messages = turn_messages;
        let charged = own
            .min(shared)
            .quantum(turn_messages, turn_messages.saturating_mul(TURN_BYTES));
        throttle.turn = Some(Turn::of(charged));
        self.charge(charged.messages, charged.bytes);
        let wait = self.wait();
        self.pause(wait);
    }

    fn pause(&mut self, wait: Duration) {
        let tick = self.reactor.ticks();
        self.reactor.counts().publish_pauses.add(1);
        self.link.observed().throttled.set(1);
        if let Some(throttle) = &mut self.throttle {
            throttle.pause = Some(Box::pin(sleep(wait.max(PAUSE_MIN))));
            throttle.paused_tick = Some(tick);
        }
        self.note_state();
    }

    fn covers(&mut self, bytes: usize) -> bool {
        let (bytes, now) = (bytes as u64, Instant::now());
        self.all_meters(|meter| meter.covers(bytes, now), true, |one, other| one && other)
    }

    fn wait(&mut self) -> Duration {
        let now = Instant::now();
        self.all_meters(|meter| meter.wait(now), Duration::ZERO, Duration::max)
    }

    fn charge(&mut self, messages: u64, bytes: u64) {
        if messages == 0 && bytes == 0 {
            return;
        }
        let now = Instant::now();
        self.all_meters(|meter| meter.take(messages, bytes, now), (), |(), ()| ());
    }

    /// Asks its own meter and its user's; `none` where there is none.
    fn all_meters<R>(&mut self, ask: impl Fn(&mut Meter) -> R, none: R, both: impl Fn(R, R) -> R) -> R {
        let Some(throttle) = &mut self.throttle else {
            return none;
        };
        let (own, by_user) = (ask(&mut throttle.own), throttle.by_user);
        match by_user.then(|| self.account().usage.metered(ask)).flatten() {
            Some(shared) => both(own, shared),
            None => own,
        }
    }
}

impl Turn {
    fn of(charged: PublishRate) -> Turn {
        let left = |charged| if charged == 0 { u64::MAX } else { charged };
        Turn {
            charged,
            left: PublishRate {
                messages: left(charged.messages),
                bytes: left(charged.bytes),
            },
        }
    }

    /// Takes bytes out of it as far as it has them: how many.
    fn use_bytes(&mut self, bytes: u64) -> u64 {
        let used = bytes.min(self.left.bytes);
        self.left.bytes -= used;
        used
    }

    /// What was charged in vain.
    fn unused(&self) -> PublishRate {
        let unused = |charged, left| if charged == 0 { 0 } else { left };
        PublishRate {
            messages: unused(self.charged.messages, self.left.messages),
            bytes: unused(self.charged.bytes, self.left.bytes),
        }
    }
}

impl Throttle {
    fn set_rate(&mut self, rate: PublishRate, now: Instant) {
        if self.own.rate() != rate {
            self.own = Meter::new(rate, now);
        }
    }

    fn is_in_flow(&self, tick: u64) -> bool {
        self.pause.is_some() || self.paused_tick.is_some_and(|paused| tick - paused < FLOW_TICKS)
    }
}
