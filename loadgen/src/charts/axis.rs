//! Axes: where a value lies and which ticks are labelled.
//!
//! All scales are turned into a linear one here, so that one piece of drawing code serves all of them.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

/// How values are spread over an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scale {
    Linear,
    Log,
    /// Percentiles by their number of nines: log10(1 / (1 − p)).
    Nines,
}

/// One axis.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    scale: Scale,
    /// First and last place.
    pub(super) range: (f64, f64),
    /// Places of the ticks and their labels.
    pub(super) ticks: Vec<(f64, String)>,
}

impl Axis {
    /// From 0 to a round number at or above `value_max`, with about `ticks` ticks.
    pub(super) fn from_zero(value_max: f64, ticks: usize, label: fn(f64) -> String) -> Self {
        let step = round_step(value_max / ticks as f64);
        let count = (value_max / step).ceil().max(1.0) as usize;
        let ticks = (0..=count)
            .map(|index| index as f64 * step)
            .map(|value| (value, label(value)))
            .collect();
        Self {
            scale: Scale::Linear,
            range: (0.0, count as f64 * step),
            ticks,
        }
    }

    /// Exactly from 0 to `value_max`, for time.
    pub(super) fn span(value_max: f64, ticks: usize, label: fn(f64) -> String) -> Self {
        let mut axis = Self::from_zero(value_max, ticks, label);
        axis.range.1 = value_max;
        axis.ticks.retain(|(place, _)| *place <= value_max);
        axis
    }

    /// Logarithmic, from a tick at or below `value_min` to one at or above `value_max`, ticks at 1, 2 and 5 of each
    /// decade, or only at 1 when that would be too many.
    pub(super) fn log(value_min: f64, value_max: f64, label: fn(f64) -> String) -> Self {
        const TICKS_MAX: usize = 10;
        let (first, last) = (value_min.log10().floor() as i32, value_max.log10().ceil() as i32);
        let all: Vec<f64> = (first..=last)
            .flat_map(|decade| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(decade)))
            .collect();
        let low = all
            .iter()
            .copied()
            .filter(|&tick| tick <= value_min * 1.001)
            .fold(all[0], f64::max);
        let high = all
            .iter()
            .copied()
            .find(|&tick| tick >= value_max * 0.999)
            .unwrap_or(value_max);
        let within: Vec<f64> = all
            .into_iter()
            .filter(|tick| (low..=high).contains(tick))
            .collect();
        let is_decade = |tick: f64| (tick.log10() - tick.log10().round()).abs() < 1e-9;
        let sparse = within.len() > TICKS_MAX;
        let ticks = within.into_iter().filter(|&tick| !sparse || is_decade(tick));
        let ticks = ticks.map(|tick| (tick.log10(), label(tick))).collect();
        Self {
            scale: Scale::Log,
            range: (low.log10(), high.log10()),
            ticks,
        }
    }

    /// Percentiles, up to the last one that `count` values can tell.
    pub(super) fn nines(count: u64) -> Self {
        const NINES_MAX: usize = 7;
        let nines = (count.max(10) as f64).log10().min(NINES_MAX as f64);
        let mut ticks = vec![
            (Scale::Nines.place(0.0), "0".to_string()),
            (Scale::Nines.place(0.5), "50 %".into()),
        ];
        for digits in 1..=nines as usize {
            let label = match digits {
                1 => "90 %".to_string(),
                2 => "99 %".into(),
                more => format!("99.{} %", "9".repeat(more - 2)),
            };
            ticks.push((digits as f64, label));
        }
        Self {
            scale: Scale::Nines,
            range: (0.0, nines),
            ticks,
        }
    }

    /// One place for each name, from 0.
    pub(super) fn categories(names: impl IntoIterator<Item = String>) -> Self {
        let ticks: Vec<_> = (0..).map(f64::from).zip(names).collect();
        Self {
            scale: Scale::Linear,
            range: (-0.5, ticks.len().max(1) as f64 - 0.5),
            ticks,
        }
    }

    /// The same axis without the ticks whose labels would touch their neighbours' when it is `length` pixels long;
    /// `width` measures a label.
    pub(super) fn thinned(&self, length: i32, width: impl Fn(&str) -> i32) -> Self {
        const GAP: f64 = 10.0;
        let mut axis = self.clone();
        let mut free_from = f64::NEG_INFINITY;
        axis.ticks.retain(|(place, label)| {
            let share = (place - self.range.0) / (self.range.1 - self.range.0);
            let (middle, half) = (share * f64::from(length), f64::from(width(label)) / 2.0);
            let fits = middle - half >= free_from;
            if fits {
                free_from = middle + half + GAP;
            }
            fits
        });
        axis
    }

    /// The place of a value.
    pub(super) fn place(&self, value: f64) -> f64 {
        self.scale.place(value).clamp(self.range.0, self.range.1)
    }

    /// The label of the tick at `place`.
    fn label(&self, place: f64) -> String {
        let tick = self.ticks.iter().find(|(tick, _)| (tick - place).abs() < 1e-9);
        tick.map(|(_, label)| label.clone()).unwrap_or_default()
    }
}

/// To the plotting library an axis is a coordinate whose values are places.
impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, place: &f64, (first, last): (i32, i32)) -> i32 {
        let share = (place - self.range.0) / (self.range.1 - self.range.0);
        first + (f64::from(last - first) * share).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.iter().map(|(place, _)| *place).collect()
    }

    fn range(&self) -> Range<f64> {
        self.range.0..self.range.1
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, place: &f64) -> String {
        self.label(*place)
    }
}

impl Scale {
    fn place(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Log => value.max(f64::MIN_POSITIVE).log10(),
            Self::Nines => -(1.0 - value).max(f64::MIN_POSITIVE).log10(),
        }
    }
}

/// The smallest of 1, 2, 2.5 and 5 times a power of ten that is at least `step`.
fn round_step(step: f64) -> f64 {
    if step <= 0.0 || !step.is_finite() {
        return 1.0;
    }
    let power = 10_f64.powf(step.log10().floor());
    let digit = [1.0, 2.0, 2.5, 5.0, 10.0]
        .into_iter()
        .find(|digit| digit * power >= step * 0.999);
    digit.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn linear_ticks_are_round_and_cover_the_values() {
        let axis = Axis::from_zero(1_730_000.0, 5, |value| format!("{value}"));
        assert_eq!(labels(&axis), ["0", "500000", "1000000", "1500000", "2000000"]);
        assert_eq!(axis.range.1, 2_000_000.0);
        assert_eq!(
            labels(&Axis::from_zero(0.0, 5, |value| format!("{value}"))),
            ["0", "1"]
        );
        let time = Axis::span(71.0, 7, |value| format!("{value}"));
        assert_eq!((time.range.1, time.ticks.len()), (71.0, 4));
    }

    #[test]
    fn log_ticks_enclose_the_values() {
        let axis = Axis::log(130.0, 4_100.0, |value| format!("{value}"));
        assert_eq!(labels(&axis), ["100", "200", "500", "1000", "2000", "5000"]);
        let wide = Axis::log(1.0, 1e6, |value| format!("{value}"));
        assert_eq!(
            labels(&wide),
            ["1", "10", "100", "1000", "10000", "100000", "1000000"]
        );
    }

    #[test]
    fn labels_that_would_touch_are_left_out() {
        let axis = Axis::categories((0..20).map(|index| format!("commit{index}")));
        assert_eq!((axis.ticks.len(), axis.range), (20, (-0.5, 19.5)));
        let width = |label: &str| label.len() as i32 * 8;
        assert_eq!(axis.thinned(2_000, width).ticks.len(), 20);
        let thin = axis.thinned(400, width);
        assert!((3..=6).contains(&thin.ticks.len()), "{:?}", thin.ticks);
        assert_eq!(thin.range, axis.range);
    }

    #[test]
    fn nines_are_evenly_spaced() {
        let axis = Axis::nines(123_456);
        assert_eq!(
            labels(&axis),
            ["0", "50 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %"]
        );
        assert!((axis.place(0.999) - 3.0).abs() < 1e-9);
        assert_eq!(axis.place(1.0), axis.range.1);
        assert_eq!(axis.label(axis.place(0.9)), "90 %");
    }
}
