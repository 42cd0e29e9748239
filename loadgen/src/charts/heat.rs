//! The latency heat map: how many messages took how long in each second.

use super::panel::{Cell, Panel};
use super::views::{View, latency_axis};
use crate::recorder::LatencyBuckets;

/// Shades told apart; neighbours of the same shade are one rectangle, which keeps the file small.
const SHADES: f64 = 24.0;
/// A difference of times, in seconds, that is none.
const TOUCHING_S: f64 = 1e-6;

impl View<'_> {
    /// Response latency of each second, by bucket; the shade is the logarithm of the messages a second.
    pub(super) fn heat(&self) -> Panel {
        let intervals = &self.run.intervals;
        let densest = intervals
            .iter()
            .filter(|interval| interval.length_s > 0.0)
            .flat_map(|interval| {
                interval
                    .latency
                    .counts()
                    .map(move |(_, count)| count as f64 / interval.length_s)
            })
            .fold(0.0, f64::max);
        let mut cells: Vec<Cell> = Vec::new();
        // Rectangles that end where the next interval begins, by bucket.
        let mut growing: Vec<Option<usize>> = vec![None; LatencyBuckets::COUNT];
        for interval in intervals.iter().filter(|interval| interval.length_s > 0.0) {
            let x = (interval.t_s - interval.length_s, interval.t_s);
            for (bucket, count) in interval.latency.counts().filter(|(_, count)| *count > 0) {
                let heat = shade(count as f64 / interval.length_s, densest);
                if let Some(before) = growing[bucket].map(|index| &mut cells[index])
                    && before.heat == heat
                    && (before.x.1 - x.0).abs() < TOUCHING_S
                {
                    before.x.1 = x.1;
                    continue;
                }
                growing[bucket] = Some(cells.len());
                let (low_ns, high_ns) = LatencyBuckets::bounds_ns(bucket);
                let y = (low_ns / 1e3, high_ns / 1e3);
                cells.push(Cell { x, y, heat });
            }
        }
        let limits = cells.iter().flat_map(|cell| [cell.y.0, cell.y.1]);
        let y = latency_axis(limits);
        let title = self.measured_title("response latency of each second, how often", !cells.is_empty());
        let mut panel = self.over_time(&title, y, Vec::new());
        if !cells.is_empty() {
            panel.note = "the stronger the shade, the more messages (logarithmic)".into();
        }
        panel.cells = cells;
        panel
    }
}

/// From just above 0 for one message a second to 1 for the densest bucket.
fn shade(per_second: f64, densest: f64) -> f64 {
    let share = if densest > 1.0 {
        per_second.max(1.0).ln() / densest.ln()
    } else {
        1.0
    };
    (share * SHADES).round() / SHADES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::tests::run_result;

    fn heat(change: impl Fn(&mut crate::result::RunResult)) -> Panel {
        let mut run = run_result("20p20c-latency");
        change(&mut run);
        let histograms = run.histograms.decode().unwrap();
        View {
            run: &run,
            histograms: &histograms,
        }
        .heat()
    }

    #[test]
    fn every_bucket_of_every_second_has_its_place() {
        let panel = heat(|run| {
            run.intervals.truncate(3);
            run.intervals[0].latency = LatencyBuckets::from_counts([(4, 100)]);
            run.intervals[1].latency = LatencyBuckets::from_counts([(4, 100), (9, 1)]);
            run.intervals[2].latency = LatencyBuckets::from_counts([(4, 10_000)]);
        });
        // Bucket 4 of the first two seconds is one rectangle.
        assert_eq!(panel.cells.len(), 3);
        assert_eq!(panel.cells[0].x, (0.0, 2.0));
        let (low_us, high_us) = panel.cells[0].y;
        assert!(low_us == 2.0 && (high_us - 2.0 * 2_f64.powf(0.25)).abs() < 1e-9);
        assert_eq!(panel.cells[1].heat, 0.0);
        assert_eq!(panel.cells[2].heat, 1.0);
    }

    #[test]
    fn runs_that_are_older_than_the_buckets_say_so() {
        let panel = heat(|run| {
            run.intervals
                .iter_mut()
                .for_each(|it| it.latency = LatencyBuckets::default())
        });
        assert!(panel.cells.is_empty() && panel.title.ends_with("none was measured"));
    }
}
