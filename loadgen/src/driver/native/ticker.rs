//! A timer finer than epoll's milliseconds: a timerfd among the sockets.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

/// Wakes the event loop at an instant.
#[derive(Debug)]
pub(super) struct Ticker {
    timer: OwnedFd,
    armed_ns: Option<u64>,
}

impl Ticker {
    /// A ticker that makes `token` ready in the poll of `registry`.
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        let timer = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )?;
        registry.register(&mut SourceFd(&timer.as_raw_fd()), token, Interest::READABLE)?;
        Ok(Self {
            timer,
            armed_ns: None,
        })
    }

    /// Asks for a wake-up at `at_ns` (both instants on the run's time line). An earlier one that is still to come stays: a
    /// wake-up too many is cheaper than a system call each turn.
    pub(super) fn arm(&mut self, at_ns: u64, now_ns: u64) -> io::Result<()> {
        if self
            .armed_ns
            .is_some_and(|armed_ns| now_ns < armed_ns && armed_ns <= at_ns)
        {
            return Ok(());
        }
        // Zero would disarm the timer instead of firing at once.
        let wait_ns = at_ns.saturating_sub(now_ns).max(1);
        let it_value = Timespec {
            tv_sec: (wait_ns / 1_000_000_000) as i64,
            tv_nsec: (wait_ns % 1_000_000_000) as i64,
        };
        let once = Itimerspec {
            it_interval: Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            },
            it_value,
        };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
        self.armed_ns = Some(at_ns);
        Ok(())
    }
}
