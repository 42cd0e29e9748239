//! What is shown while a run goes on: one live line on a terminal, a plain line now and then elsewhere.
//!
//! On standard error, so that standard output carries only results.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::control::Phase;
use crate::live::{Interval, Totals};
use crate::units::{count, latency_us, rate};

/// Distance of two plain lines.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);

/// Where a run stands.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// The phase.
    pub phase: Phase,
    /// Since the phase began.
    pub elapsed: Duration,
    /// Length of the phase; for the drain its deadline. Zero while connecting.
    pub length: Duration,
    /// The last whole second.
    pub last: Option<Interval>,
    /// Running totals.
    pub totals: Totals,
    /// How far a phase has come that ends by count: messages, of how many. Its length is then only its limit.
    pub goal: Option<(u64, u64)>,
    /// Whether the warm-up fills a backlog.
    pub fills: bool,
}

/// Shows how a run goes.
#[derive(Debug)]
pub struct Progress {
    view: View,
}

#[derive(Debug)]
enum View {
    Line(ProgressBar),
    Plain { phase: Option<Phase>, next: Duration },
    Quiet,
}

impl Progress {
    /// A live line if standard error is a terminal, else plain lines; nothing when `quiet`.
    #[must_use]
    pub fn new(quiet: bool) -> Self {
        if quiet {
            return Self { view: View::Quiet };
        }
        if !std::io::stderr().is_terminal() {
            return Self {
                view: View::Plain {
                    phase: None,
                    next: Duration::ZERO,
                },
            };
        }
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{prefix:>8} {bar:24.cyan/dim} {wide_msg}");
        bar.set_style(style.expect("the template is constant").progress_chars("━━╌"));
        Self {
            view: View::Line(bar),
        }
    }

    /// Shows where the run stands.
    pub fn show(&mut self, standing: &Standing) {
        match &mut self.view {
            View::Quiet => {}
            View::Line(bar) => {
                let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
                let (position, length) = standing.goal.unwrap_or_else(|| {
                    let elapsed = standing.elapsed.min(standing.length);
                    (millis(elapsed), millis(standing.length))
                });
                bar.set_length(length);
                bar.set_position(position);
                bar.set_prefix(phase_name(standing));
                bar.set_message(line(standing));
            }
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
                say(&format!("{:>8} {}", phase_name(standing), line(standing)));
            }
        }
    }

    /// A line that stays.
    pub fn note(&self, text: &str) {
        match &self.view {
            View::Quiet => {}
            View::Line(bar) => bar.println(text),
            View::Plain { .. } => say(text),
        }
    }

    /// Takes the live line away.
    pub fn finish(&self) {
        if let View::Line(bar) = &self.view {
            bar.finish_and_clear();
        }
    }
}

/// A closed standard error is no reason to stop a run.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn phase_name(standing: &Standing) -> &'static str {
    match standing.phase {
        Phase::Connect => "connect",
        Phase::WarmUp if standing.fills => "fill",
        Phase::WarmUp => "warm-up",
        Phase::Measure => "measure",
        Phase::Drain => "drain",
        Phase::Done => "done",
    }
}

/// `12 / 60 s · 1.62 M/s sent · 1.62 M/s received · p50 480 µs · p99 1.2 ms · backlog 3,998`
fn line(standing: &Standing) -> String {
    if standing.phase == Phase::Connect {
        return "connections and queues".into();
    }
    let elapsed_s = standing.elapsed.as_secs_f64();
    let clock = match standing.goal {
        Some((done, of)) => format!("{} / {} in {elapsed_s:.0} s", count(done), count(of)),
        None => format!("{elapsed_s:.0} / {:.0} s", standing.length.as_secs_f64()),
    };
    let Some(last) = standing.last else { return clock };
    let per_second = |messages: u64| rate(messages as f64 / last.length_s.max(1e-3));
    let mut parts = vec![
        clock,
        format!("{} sent", per_second(last.published)),
        format!("{} received", per_second(last.consumed)),
    ];
    if last.response.count > 0 {
        let us = |ns: u64| latency_us(ns as f64 / 1e3);
        parts.push(format!(
            "p50 {} · p99 {}",
            us(last.response.p50_ns),
            us(last.response.p99_ns)
        ));
    }
    parts.push(format!("backlog {}", count(last.backlog)));
    if standing.phase == Phase::Drain {
        parts = vec![
            parts.swap_remove(0),
            format!(
                "{} sent, {} received",
                count(standing.totals.published),
                count(standing.totals.consumed)
            ),
        ];
    }
    parts.join(" · ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::Quantiles;

    #[test]
    fn a_line_says_how_fast_and_how_late() {
        let response = Quantiles {
            count: 9,
            p50_ns: 480_000,
            p99_ns: 1_240_000,
            ..Quantiles::default()
        };
        let last = Interval {
            length_s: 1.0,
            published: 1_620_000,
            consumed: 1_600_000,
            response,
            backlog: 3_998,
            ..Interval::default()
        };
        let mut standing = Standing {
            phase: Phase::Measure,
            elapsed: Duration::from_secs(12),
            length: Duration::from_secs(60),
            last: Some(last),
            totals: Totals {
                published: 10,
                consumed: 9,
                ..Totals::default()
            },
            goal: None,
            fills: false,
        };
        let expected =
            "12 / 60 s · 1.62 M/s sent · 1.60 M/s received · p50 480 µs · p99 1.24 ms · backlog 3,998";
        assert_eq!(line(&standing), expected);
        standing.goal = Some((4_000_000, 10_000_000));
        assert!(line(&standing).starts_with("4,000,000 / 10,000,000 in 12 s · 1.62 M/s sent"));
        standing.goal = None;
        standing.phase = Phase::Drain;
        assert_eq!(line(&standing), "12 / 60 s · 10 sent, 9 received");
    }
}
