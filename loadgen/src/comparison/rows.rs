//! Metric by metric: medians, intervals, ratio, significance.

use serde::Serialize;

use super::likeness::Benchmark;
use crate::history::Line;
use crate::metric::{METRICS, Metric};
use crate::statistics::{
    Alternative, Interval, hodges_lehmann, holm, mann_whitney, mann_whitney_p_min, median,
};

/// What a row amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// Significantly better.
    Better,
    /// Significantly worse.
    Worse,
    /// No difference was shown, which does not mean that there is none.
    NoDifference,
    /// So few runs cannot show any.
    TooFew,
}

/// One metric of one benchmark.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The scenario's name.
    pub scenario: String,
    /// The metric.
    pub metric: Metric,
    /// Runs of the base that gave it.
    pub base_runs: usize,
    /// Runs compared with them.
    pub new_runs: usize,
    /// Median of the base.
    pub base: f64,
    /// Median of the new runs.
    pub new: f64,
    /// Interval of the base's median; `None` with fewer than five runs, as below.
    pub base_interval: Option<Interval>,
    /// Interval of the new median.
    pub new_interval: Option<Interval>,
    /// new ÷ base.
    pub ratio: f64,
    /// Its interval.
    pub ratio_interval: Option<Interval>,
    /// By how much the new runs are shifted (Hodges and Lehmann).
    pub shift: f64,
    /// Two-sided Mann–Whitney, by itself.
    pub p: f64,
    /// Adjusted for all rows of the comparison (Holm).
    pub p_adjusted: f64,
    /// What it amounts to.
    pub finding: Finding,
}

/// All metrics that both sides of each benchmark have; `confidence` is a share, e.g. 0.95.
#[must_use]
pub fn rows(benchmarks: &[Benchmark<'_>], confidence: f64, seed: u64) -> Vec<Row> {
    let mut rows: Vec<Row> = benchmarks
        .iter()
        .flat_map(|benchmark| {
            METRICS
                .into_iter()
                .filter_map(move |metric| row(benchmark, metric, confidence, seed))
        })
        .collect();
    let adjusted = holm(&rows.iter().map(|row| row.p).collect::<Vec<_>>());
    let alpha = 1.0 - confidence;
    let tests = rows.len() as f64;
    for (row, p) in rows.iter_mut().zip(adjusted) {
        row.p_adjusted = p;
        let p_min = 2.0 * mann_whitney_p_min(row.base_runs, row.new_runs);
        row.finding = if p <= alpha {
            if row.metric.improves(row.new / row.base) {
                Finding::Better
            } else {
                Finding::Worse
            }
        } else if p_min * tests > alpha {
            Finding::TooFew
        } else {
            Finding::NoDifference
        };
    }
    rows
}

pub(super) fn values(lines: &[&Line], metric: Metric) -> Vec<f64> {
    lines.iter().filter_map(|line| metric.of(&line.summary)).collect()
}

fn row(benchmark: &Benchmark<'_>, metric: Metric, confidence: f64, seed: u64) -> Option<Row> {
    let (base, new) = (values(&benchmark.base, metric), values(&benchmark.new, metric));
    if base.is_empty() || new.is_empty() {
        return None;
    }
    let (base_median, new_median) = (median(&base), median(&new));
    Some(Row {
        scenario: benchmark.scenario.clone(),
        metric,
        base_runs: base.len(),
        new_runs: new.len(),
        base: base_median,
        new: new_median,
        base_interval: Interval::of_median(&base, confidence, seed).ok(),
        new_interval: Interval::of_median(&new, confidence, seed).ok(),
        ratio: new_median / base_median,
        ratio_interval: Interval::of_ratio(&new, &base, confidence, seed).ok(),
        shift: hodges_lehmann(&new, &base),
        p: mann_whitney(&new, &base, Alternative::Different).p,
        p_adjusted: 1.0,
        finding: Finding::NoDifference,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::comparison::pair;
    use crate::result::tests::run_result;

    /// `count` runs whose rates, latencies and CPU are `factor` times those of a good run, give or take 1 %.
    pub(in crate::comparison) fn runs(scenario: &str, count: usize, factor: f64) -> Vec<Line> {
        let good = Line::from(&run_result(scenario));
        (0..count)
            .map(|index| {
                let mut line = good.clone();
                let noise = 1.0 + 0.01 * ((index * 7 % count) as f64 / count as f64 - 0.5) + 1e-4 * factor;
                line.summary.publish_rate *= factor * noise;
                line.summary.consume_rate *= factor * noise;
                if let Some(cpu) = &mut line.summary.broker.cpu_us_per_message {
                    *cpu *= noise / factor;
                }
                line
            })
            .collect()
    }

    fn compared(base: &[Line], new: &[Line]) -> Vec<Row> {
        let (base, new): (Vec<&Line>, Vec<&Line>) = (base.iter().collect(), new.iter().collect());
        rows(&pair(&base, &new, false).benchmarks, 0.95, 1)
    }

    fn finding(rows: &[Row], metric: Metric) -> Finding {
        rows.iter().find(|row| row.metric == metric).unwrap().finding
    }

    #[test]
    fn a_tenth_more_is_found_in_the_right_direction() {
        let rows = compared(&runs("20p20c", 10, 1.0), &runs("20p20c", 10, 1.1));
        assert_eq!(finding(&rows, Metric::ConsumeRate), Finding::Better);
        assert_eq!(
            finding(&rows, Metric::BrokerCpu),
            Finding::Better,
            "less CPU is better"
        );
        assert_eq!(finding(&rows, Metric::BrokerMemory), Finding::NoDifference);
        let row = &rows[0];
        assert!(
            row.ratio_interval.unwrap().contains(1.1) && row.shift > 0.0,
            "{row:?}"
        );
        assert!(row.p_adjusted >= row.p);
        let reverse = compared(&runs("20p20c", 10, 1.1), &runs("20p20c", 10, 1.0));
        assert_eq!(finding(&reverse, Metric::ConsumeRate), Finding::Worse);
    }

    #[test]
    fn one_run_against_one_shows_nothing_however_far_apart() {
        let rows = compared(&runs("20p20c", 1, 1.0), &runs("20p20c", 1, 3.0));
        assert!(
            rows.iter()
                .all(|row| row.finding == Finding::TooFew && row.ratio_interval.is_none())
        );
        assert!((rows[0].ratio - 3.0).abs() < 0.01);
    }
}
