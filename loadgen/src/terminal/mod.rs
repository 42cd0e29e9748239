//! What is shown while a run goes on: a live view on a terminal, a plain line now and then elsewhere, and metrics for
//! whoever asks.
//!
//! All of it on the conductor's thread (but for the metrics' server) and on standard error, so that standard output
//! carries only results.

mod color;
mod screen;
mod standing;
mod text;
mod view;

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

pub use color::Color;
pub use standing::Standing;
#[cfg(test)]
pub(crate) use standing::tests::standing;

use crate::control::Phase;
use crate::prometheus::Board;
use screen::Screen;
use view::Rates;

/// Distance of two plain lines.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);
/// Distance of two views.
const VIEW_INTERVAL: Duration = Duration::from_millis(250);

/// How runs are shown.
#[derive(Clone, Debug, Default)]
pub struct Display {
    /// Nothing is shown.
    pub quiet: bool,
    /// Whether a live view is wanted, if standard error and standard output are a terminal.
    pub live: bool,
    /// Whether the view has colours.
    pub color: bool,
    /// Where metrics are read, if anybody may.
    pub board: Option<Board>,
}

impl Display {
    /// A live view on a terminal, colours as the environment says, no metrics; nothing when `quiet`.
    #[must_use]
    pub fn of(quiet: bool) -> Self {
        Self {
            quiet,
            live: true,
            color: Color::Auto.is_on(),
            board: None,
        }
    }

    /// Shows nothing.
    #[must_use]
    pub fn quiet() -> Self {
        Self {
            quiet: true,
            ..Self::default()
        }
    }
}

/// Shows how a run goes.
#[derive(Debug)]
pub struct Progress {
    view: View,
    board: Option<Board>,
}

#[derive(Debug)]
enum View {
    Live(Box<LiveView>),
    Plain { phase: Option<Phase>, next: Duration },
    Quiet,
}

#[derive(Debug)]
struct LiveView {
    screen: Screen,
    rates: Rates,
    next: Option<Instant>,
}

impl Progress {
    /// A live view, plain lines or nothing, as `display` says.
    #[must_use]
    pub fn new(display: &Display) -> Self {
        let is_terminal = std::io::stdout().is_terminal() && std::io::stderr().is_terminal();
        let view = if display.quiet {
            View::Quiet
        } else if display.live && is_terminal {
            View::Live(Box::new(LiveView {
                screen: Screen::new(display.color),
                rates: Rates::default(),
                next: None,
            }))
        } else {
            View::Plain {
                phase: None,
                next: Duration::ZERO,
            }
        };
        Self {
            view,
            board: display.board.clone(),
        }
    }

    /// Shows where the run stands.
    pub fn show(&mut self, standing: &Standing) {
        if let Some(board) = &self.board {
            board.post(standing.clone());
        }
        match &mut self.view {
            View::Quiet => {}
            View::Live(live) => live.show(standing),
            View::Plain { phase, next } => {
                if *phase == Some(standing.phase) && standing.elapsed < *next {
                    return;
                }
                *next = if *phase == Some(standing.phase) {
                    *next
                } else {
                    Duration::ZERO
                } + PLAIN_INTERVAL;
                *phase = Some(standing.phase);
                say(&format!("{:>8} {}", standing.phase_name(), text::line(standing)));
            }
        }
    }

    /// A line that stays.
    pub fn note(&mut self, text: &str) {
        match &mut self.view {
            View::Quiet => {}
            View::Live(live) => live.screen.note(text),
            View::Plain { .. } => say(text),
        }
    }

    /// Takes the live view away.
    pub fn finish(&mut self) {
        if let View::Live(live) = &mut self.view {
            live.screen.clear();
        }
    }
}

/// A run that ends with an error leaves no half view behind.
impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

impl LiveView {
    fn show(&mut self, standing: &Standing) {
        if let Some(last) = &standing.last {
            self.rates.note(last);
        }
        let now = Instant::now();
        if self.next.is_some_and(|next| now < next) {
            return;
        }
        self.next = Some(now + VIEW_INTERVAL);
        let lines = view::lines(standing, &self.rates, self.screen.columns());
        self.screen.draw(&lines);
    }
}

/// A closed standard error is no reason to stop a run.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
