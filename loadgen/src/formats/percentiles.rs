//! HdrHistogram's percentile distribution (`.hgrm`), as `outputPercentileDistribution` prints it with 5 ticks for each
//! half of what is left: what its plotter reads.

use std::fmt::Write as _;

use hdrhistogram::Histogram;

/// Lines for each halving of the distance to 100 %; the Java implementation's default.
const TICKS_PER_HALF_DISTANCE: u32 = 5;

/// The distribution of `histogram`, its values divided by `value_unit`: 1,000 shows ns as µs.
#[must_use]
pub fn percentiles(histogram: &Histogram<u64>, value_unit: f64) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut out, histogram, value_unit);
    out
}

fn write(out: &mut String, histogram: &Histogram<u64>, value_unit: f64) -> std::fmt::Result {
    writeln!(
        out,
        "{:>12} {:>14} {:>10} {:>14}\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    )?;
    let mut total = 0;
    for step in histogram.iter_quantiles(TICKS_PER_HALF_DISTANCE) {
        total += step.count_since_last_iteration();
        let value = step.value_iterated_to() as f64 / value_unit;
        let quantile = step.quantile_iterated_to();
        write!(out, "{value:12.3} {quantile:.12} {total:10}")?;
        if quantile < 1.0 {
            write!(out, " {:14.2}", 1.0 / (1.0 - quantile))?;
        }
        out.push('\n');
    }
    // Two powers of ten of a digit and the next power of two: how many values a bucket tells apart.
    let sub_buckets = (2 * 10_u32.pow(u32::from(histogram.sigfig()))).next_power_of_two();
    writeln!(
        out,
        "#[Mean    = {:12.3}, StdDeviation   = {:12.3}]",
        histogram.mean() / value_unit,
        histogram.stdev() / value_unit
    )?;
    writeln!(
        out,
        "#[Max     = {:12.3}, Total count    = {:12}]",
        histogram.max() as f64 / value_unit,
        histogram.len()
    )?;
    writeln!(
        out,
        "#[Buckets = {:12}, SubBuckets     = {sub_buckets:12}]",
        histogram.buckets()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What HdrHistogram prints for three values, from the tests of its JavaScript port.
    const KNOWN: &str = "       Value     Percentile TotalCount 1/(1-Percentile)

      25.000 0.000000000000          1           1.00
      25.000 0.100000000000          1           1.11
      25.000 0.200000000000          1           1.25
      25.000 0.300000000000          1           1.43
      50.000 0.400000000000          2           1.67
      50.000 0.500000000000          2           2.00
      50.000 0.550000000000          2           2.22
      50.000 0.600000000000          2           2.50
      50.000 0.650000000000          2           2.86
      75.000 0.700000000000          3           3.33
      75.000 1.000000000000          3
#[Mean    =       50.000, StdDeviation   =       20.412]
#[Max     =       75.000, Total count    =            3]
#[Buckets =           43, SubBuckets     =         2048]
";

    #[test]
    fn prints_what_other_implementations_print() {
        let mut histogram = Histogram::new_with_bounds(1, (1 << 53) - 1, 3).unwrap();
        for value in [25, 50, 75] {
            histogram.record(value).unwrap();
        }
        assert_eq!(percentiles(&histogram, 1.0), KNOWN);
    }

    #[test]
    fn values_are_shown_in_the_unit_asked_for() {
        let mut histogram = crate::recorder::histogram();
        histogram.record_n(2_048_000, 7).unwrap();
        let text = percentiles(&histogram, 1_000.0);
        let last = text
            .lines()
            .find(|line| line.contains(" 1.000000000000 "))
            .unwrap();
        let fields: Vec<_> = last.split_whitespace().collect();
        let value_us: f64 = fields[0].parse().unwrap();
        assert!((value_us - 2_048.0).abs() < 2.1, "{last}");
        assert_eq!(&fields[1..], ["1.000000000000", "7"]);
    }
}
