//! The live view as a pure function: where a run stands → lines of a width.
//!
//! A line is a list of spans, so that its width is known before colours are added. Every character used is one column
//! wide.

use std::collections::VecDeque;

use super::standing::Standing;
use super::text::clock;
use crate::control::Phase;
use crate::live::Interval;
use crate::units::{bytes, count, latency_us, rate};

/// Seconds that a sparkline looks back.
const SECONDS_MAX: usize = 60;
/// Columns of the names on the left.
const LABEL_COLUMNS: usize = 10;
/// Columns of a rate.
const RATE_COLUMNS: usize = 10;
/// Below it sparklines and the phase's bar are left out.
const GRAPHICS_COLUMNS_MIN: usize = 50;
const SPARKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// How a span is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Label,
    Graph,
    Alarm,
}

/// A line of the view.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line(Vec<(Style, String)>);

impl Line {
    fn labelled(label: &str) -> Self {
        Self(vec![(Style::Label, format!("{label:<LABEL_COLUMNS$}"))])
    }

    fn and(mut self, style: Style, text: impl Into<String>) -> Self {
        self.0.push((style, text.into()));
        self
    }

    /// Columns that it takes.
    pub(super) fn columns(&self) -> usize {
        self.0.iter().map(|(_, text)| text.chars().count()).sum()
    }

    /// At most `columns` wide; what is cut is marked.
    fn fit(self, columns: usize) -> Self {
        if self.columns() <= columns {
            return self;
        }
        let mut room = columns.saturating_sub(1);
        let mut kept = Vec::new();
        for (style, text) in self.0 {
            let text: String = text.chars().take(room).collect();
            room -= text.chars().count();
            kept.push((style, text));
        }
        kept.push((Style::Plain, "…".chars().take(columns).collect()));
        Self(kept)
    }

    /// The text, with ANSI colours or without.
    pub(super) fn paint(&self, color: bool) -> String {
        let spans = self.0.iter().map(|(style, text)| {
            let code = match style {
                Style::Plain => "",
                Style::Label => "\u{1b}[2m",
                Style::Graph => "\u{1b}[36m",
                Style::Alarm => "\u{1b}[1;31m",
            };
            if color && !code.is_empty() {
                format!("{code}{text}\u{1b}[0m")
            } else {
                text.clone()
            }
        });
        spans.collect()
    }
}

/// The last minute's rates, second by second.
#[derive(Clone, Debug, Default)]
pub(super) struct Rates {
    last_t_s: f64,
    published: VecDeque<f64>,
    confirmed: VecDeque<f64>,
    consumed: VecDeque<f64>,
}

impl Rates {
    /// Notes a second, unless it is known already.
    pub(super) fn note(&mut self, interval: &Interval) {
        if interval.t_s <= self.last_t_s {
            return;
        }
        self.last_t_s = interval.t_s;
        for (rates, messages) in [
            (&mut self.published, interval.published),
            (&mut self.confirmed, interval.confirmed),
            (&mut self.consumed, interval.consumed),
        ] {
            if rates.len() == SECONDS_MAX {
                rates.pop_front();
            }
            rates.push_back(messages as f64 / interval.length_s.max(1e-3));
        }
    }
}

/// The whole view, `columns` wide.
pub(super) fn lines(standing: &Standing, rates: &Rates, columns: usize) -> Vec<Line> {
    let mut lines = vec![phase(standing, columns)];
    if standing.phase > Phase::Connect {
        for (label, rates) in [
            ("sent", &rates.published),
            ("confirmed", &rates.confirmed),
            ("received", &rates.consumed),
        ] {
            let wanted = label != "confirmed" || rates.iter().any(|rate| *rate > 0.0);
            if let Some(last) = rates.back().filter(|_| wanted) {
                let line = Line::labelled(label).and(Style::Plain, pad(&rate(*last), RATE_COLUMNS));
                lines.push(line.and(Style::Graph, sparkline(rates, columns)));
            }
        }
        lines.extend(standing.last.as_ref().map(latency));
        lines.push(backlog(standing));
        lines.extend(usage(standing));
    }
    lines.into_iter().map(|line| line.fit(columns)).collect()
}

fn phase(standing: &Standing, columns: usize) -> Line {
    let line = Line::labelled(standing.phase_name());
    if standing.phase == Phase::Connect {
        return line.and(Style::Plain, "connections and queues");
    }
    let left = standing.length.saturating_sub(standing.elapsed).as_secs_f64();
    let at_most = if standing.goal.is_some() || standing.phase == Phase::Drain {
        "at most "
    } else {
        ""
    };
    let words = format!("{} · {at_most}{left:.0} s left", clock(standing));
    let bar_columns = columns
        .saturating_sub(LABEL_COLUMNS + words.chars().count() + 1)
        .min(24);
    if columns < GRAPHICS_COLUMNS_MIN || bar_columns < 8 {
        return line.and(Style::Plain, words);
    }
    let share = match standing.goal {
        Some((done, of)) => done as f64 / of.max(1) as f64,
        None => standing.elapsed.as_secs_f64() / standing.length.as_secs_f64().max(1e-9),
    };
    let filled = (share.clamp(0.0, 1.0) * bar_columns as f64) as usize;
    let bar = "━".repeat(filled) + &"╌".repeat(bar_columns - filled);
    line.and(Style::Graph, bar).and(Style::Plain, format!(" {words}"))
}

fn sparkline(rates: &VecDeque<f64>, columns: usize) -> String {
    if columns < GRAPHICS_COLUMNS_MIN {
        return String::new();
    }
    let room = (columns - LABEL_COLUMNS - RATE_COLUMNS - 1).min(SECONDS_MAX);
    let shown = rates.iter().skip(rates.len().saturating_sub(room));
    let most = shown.clone().fold(0.0, |most: f64, rate| most.max(*rate));
    let spark = |rate: &f64| {
        let level = rate / most.max(f64::MIN_POSITIVE) * (SPARKS.len() - 1) as f64;
        SPARKS[(level.round() as usize).min(SPARKS.len() - 1)]
    };
    shown.map(spark).collect()
}

fn latency(last: &Interval) -> Line {
    let line = Line::labelled("response");
    if last.response.count == 0 {
        return line.and(Style::Plain, "nothing received");
    }
    let us = |ns: u64| latency_us(ns as f64 / 1e3);
    let response = &last.response;
    line.and(
        Style::Plain,
        format!(
            "p50 {} · p99 {} · p99.9 {} · max {}",
            us(response.p50_ns),
            us(response.p99_ns),
            us(response.p99_9_ns),
            us(response.max_ns)
        ),
    )
}

fn backlog(standing: &Standing) -> Line {
    let backlog = standing.last.as_ref().map_or(0, |last| last.backlog);
    let mut line = Line::labelled("backlog").and(Style::Plain, pad(&count(backlog), RATE_COLUMNS));
    if standing.harm > 0 {
        line = line.and(Style::Alarm, format!("faults {}", count(standing.harm)));
    } else {
        line = line.and(Style::Plain, "no faults");
    }
    if standing.faults > 0 {
        line = line.and(Style::Plain, format!(" · injected {}", standing.faults));
    }
    line
}

fn usage(standing: &Standing) -> Vec<Line> {
    let Some(usage) = &standing.usage else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    if let (Some(cores), Some(anon)) = (usage.broker_cpu_cores, usage.broker_rss_anon_bytes) {
        let rss = anon + usage.broker_rss_file_bytes.unwrap_or(0);
        let text = format!(
            "{cores:.2} cores · {} resident, {} anonymous",
            bytes(rss as f64),
            bytes(anon as f64)
        );
        lines.push(Line::labelled("broker").and(Style::Plain, text));
    }
    let mut text = format!("{:.2} cores", usage.generator_cpu_cores);
    if let Some(lag) = standing
        .last
        .as_ref()
        .map(|last| last.schedule_lag)
        .filter(|lag| lag.count > 0)
    {
        text += &format!(" · schedule lag p99 {}", latency_us(lag.p99_ns as f64 / 1e3));
    }
    lines.push(Line::labelled("generator").and(Style::Plain, text));
    lines
}

fn pad(text: &str, columns: usize) -> String {
    let missing = columns.saturating_sub(text.chars().count());
    format!("{text}{} ", " ".repeat(missing))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::standing::tests::standing;
    use super::*;

    fn rates(seconds: u64) -> Rates {
        let mut rates = Rates::default();
        for second in 1..=seconds {
            let interval = Interval {
                t_s: second as f64,
                length_s: 1.0,
                published: second * 1_000,
                confirmed: second * 1_000,
                consumed: second * 500,
                ..Interval::default()
            };
            rates.note(&interval);
            rates.note(&interval);
        }
        rates
    }

    fn shown(standing: &Standing, columns: usize) -> String {
        let lines = lines(standing, &rates(8), columns);
        assert!(lines.iter().all(|line| line.columns() <= columns));
        let text: Vec<_> = lines.iter().map(|line| line.paint(false)).collect();
        text.join("\n")
    }

    #[test]
    fn a_usual_terminal_shows_everything() {
        let expected = "\
measure   ━━━━╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌ 12 / 60 s · 48 s left
sent      8.00 k/s   ▂▃▄▅▅▆▇█
confirmed 8.00 k/s   ▂▃▄▅▅▆▇█
received  4.00 k/s   ▂▃▄▅▅▆▇█
response  p50 480 µs · p99 1.44 ms · p99.9 2.40 ms · max 4.32 ms
backlog   3,998      no faults
broker    0.84 cores · 44.0 MiB resident, 38.0 MiB anonymous
generator 0.72 cores · schedule lag p99 12.0 µs";
        assert_eq!(shown(&standing(), 80), expected);
        assert_eq!(shown(&standing(), 160), expected);
    }

    #[test]
    fn a_narrow_terminal_loses_graphics_first_and_then_the_ends_of_lines() {
        let text = shown(&standing(), 40);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "measure   12 / 60 s · 48 s left");
        assert_eq!(lines[1].trim_end(), "sent      8.00 k/s");
        assert_eq!(lines[4], "response  p50 480 µs · p99 1.44 ms · p9…");
        for columns in 0..12 {
            shown(&standing(), columns);
        }
    }

    #[test]
    fn a_sparkline_looks_back_a_minute_and_no_further_than_there_is_room() {
        let rates = rates(100);
        assert_eq!(sparkline(&rates.published, 160).chars().count(), SECONDS_MAX);
        assert_eq!(sparkline(&rates.published, 60).chars().count(), 39);
        assert!(sparkline(&rates.published, 60).ends_with('█'));
        let idle = VecDeque::from([0.0; 3]);
        assert_eq!(sparkline(&idle, 80), "▁▁▁");
    }

    #[test]
    fn harm_and_faults_stand_out_and_colours_can_be_off() {
        let mut standing = standing();
        (standing.harm, standing.faults) = (1_234, 2);
        let line = backlog(&standing);
        assert_eq!(
            line.paint(false),
            "backlog   3,998      faults 1,234 · injected 2"
        );
        assert!(line.paint(true).contains("\u{1b}[1;31mfaults 1,234\u{1b}[0m"));
        assert!(!line.paint(false).contains('\u{1b}'));
    }

    #[test]
    fn counted_phases_and_the_drain_have_limits_not_lengths() {
        let mut standing = standing();
        standing.goal = Some((2_500_000, 10_000_000));
        let text = shown(&standing, 100);
        let expected =
            "measure   ━━━━━━╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌ 2,500,000 / 10,000,000 in 12 s · at most 48 s left";
        assert_eq!(text.lines().next().unwrap(), expected);
        standing.goal = None;
        standing.phase = Phase::Drain;
        standing.elapsed = Duration::from_secs(70);
        assert!(shown(&standing, 100).contains("at most 0 s left"));
        standing.phase = Phase::Connect;
        assert_eq!(shown(&standing, 100), "connect   connections and queues");
    }

    #[test]
    fn an_unknown_broker_is_left_out() {
        let mut standing = standing();
        if let Some(usage) = &mut standing.usage {
            usage.broker_cpu_cores = None;
        }
        assert!(!shown(&standing, 80).contains("\nbroker"));
        standing.usage = None;
        assert!(!shown(&standing, 80).contains("generator"));
    }
}
