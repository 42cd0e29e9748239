//! The Prometheus text format, version 0.0.4.

use std::fmt::{Display, Write as _};

use crate::observe::HistogramView;

/// Text under construction.
#[derive(Debug, Default)]
pub(super) struct Exposition {
    out: String,
    family: &'static str,
}

/// What a metric is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Labels of one sample.
pub(super) type Labels<'a> = &'a [(&'a str, &'a str)];

impl Exposition {
    /// Begins a metric; its samples follow.
    pub(super) fn family(&mut self, kind: Kind, name: &'static str, help: &str) -> &mut Exposition {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let _ = write!(self.out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        self.family = name;
        self
    }

    /// One sample of the metric that was begun last.
    pub(super) fn sample(&mut self, labels: Labels<'_>, value: impl Display) -> &mut Exposition {
        self.line("", labels, None, value)
    }

    /// A counter without labels.
    pub(super) fn counter(&mut self, name: &'static str, help: &str, value: u64) {
        self.family(Kind::Counter, name, help).sample(&[], value);
    }

    /// A gauge without labels.
    pub(super) fn gauge(&mut self, name: &'static str, help: &str, value: impl Display) {
        self.family(Kind::Gauge, name, help).sample(&[], value);
    }

    /// A gauge that may not be known: then it is left out.
    pub(super) fn gauge_if(&mut self, name: &'static str, help: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.gauge(name, help, value);
        }
    }

    /// The samples of a histogram, of the metric that was begun last. Values are multiplied by `unit`; the bounds are the powers of two
    /// from `2^first` to `2^last`.
    pub(super) fn histogram(
        &mut self,
        labels: Labels<'_>,
        view: &HistogramView,
        unit: f64,
        (first, last): (usize, usize),
    ) -> &mut Exposition {
        let mut below = 0;
        for (index, count) in view.buckets.iter().enumerate().take(last + 1) {
            below += count;
            if index >= first {
                let bound = ((1u64 << index) as f64 * unit).to_string();
                self.line("_bucket", labels, Some(&bound), below);
            }
        }
        self.line("_bucket", labels, Some("+Inf"), view.count());
        self.line("_sum", labels, None, view.sum as f64 * unit);
        self.line("_count", labels, None, view.count())
    }

    /// All of it.
    pub(super) fn finish(self) -> String {
        self.out
    }

    fn line(
        &mut self,
        suffix: &str,
        labels: Labels<'_>,
        bound: Option<&str>,
        value: impl Display,
    ) -> &mut Exposition {
        let _ = write!(self.out, "{}{suffix}", self.family);
        let bound = bound.map(|bound| ("le", bound));
        let mut before = '{';
        for (name, value) in labels.iter().copied().chain(bound) {
            let _ = write!(self.out, "{before}{name}=\"{}\"", escaped(value));
            before = ',';
        }
        if before == ',' {
            self.out.push('}');
        }
        let _ = writeln!(self.out, " {value}");
        self
    }
}

/// In a label's value backslash, quote and line feed are escaped.
fn escaped(value: &str) -> std::borrow::Cow<'_, str> {
    if !value.contains(['\\', '"', '\n']) {
        return value.into();
    }
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Histogram;

    #[test]
    fn samples_have_their_labels_escaped() {
        let mut out = Exposition::default();
        out.family(Kind::Gauge, "depth", "How deep.")
            .sample(&[("vhost", "/"), ("queue", "a\"b\\c\nd")], 3)
            .sample(&[], 0.5);
        assert_eq!(
            out.finish(),
            "# HELP depth How deep.\n# TYPE depth gauge\ndepth{vhost=\"/\",queue=\"a\\\"b\\\\c\\nd\"} 3\ndepth 0.5\n"
        );
    }

    #[test]
    fn buckets_are_cumulative_and_what_lies_outside_counts_too() {
        let histogram = Histogram::default();
        for value in [1, 3, 5, 100] {
            histogram.record(value);
        }
        let mut out = Exposition::default();
        out.family(Kind::Histogram, "t", "T.")
            .histogram(&[("s", "x")], &histogram.view(), 0.5, (1, 3));
        let text = out.finish();
        let lines: Vec<_> = text.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                "t_bucket{s=\"x\",le=\"1\"} 1",
                "t_bucket{s=\"x\",le=\"2\"} 2",
                "t_bucket{s=\"x\",le=\"4\"} 3",
                "t_bucket{s=\"x\",le=\"+Inf\"} 4",
                "t_sum{s=\"x\"} 54.5",
                "t_count{s=\"x\"} 4",
            ]
        );
    }
}
