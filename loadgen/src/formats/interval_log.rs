//! HdrHistogram's interval log, format 1.3 (`.hlog`): one line for each second and latency, tagged with the latency's
//! name, each a histogram in the compressed V2 encoding.
//!
//! The driver hands over a second's histograms ([`Live::stream_histograms`]); a thread of its own encodes them while the
//! run goes on, so that only compressed text is kept.
//!
//! ```text
//! #[Histogram log format version 1.3]
//! #[StartTime: 1764000000.000 (seconds since epoch)]
//! #[BaseTime: 1764000000.000 (seconds since epoch)]
//! "StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"
//! Tag=response,10.000,1.000,4.211,HISTFAAA…          (values in ns; the maximum in ms)
//! ```

use std::fmt::Write as _;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{
    IntervalLogIterator, IntervalLogWriterBuilder, LogEntry, Tag,
};
use serde::{Deserialize, Serialize};

use crate::live::Live;
use crate::recorder::{IntervalHistograms, decode};

/// Java's reader and writer show maxima in ms where values are ns.
const MAX_VALUE_DIVISOR: f64 = 1e6;
const LEGEND: &str = r#""StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram""#;
/// The tags, in the order of their lines within an interval.
const TAGS: [&str; 3] = ["response", "service", "confirm"];

/// The text of an interval log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntervalLog(pub String);

/// The thread that encodes intervals.
#[derive(Debug)]
pub struct IntervalEncoder {
    thread: JoinHandle<IntervalLog>,
}

impl IntervalEncoder {
    /// Starts to encode what `live` is given.
    #[must_use]
    pub fn start(live: &Live) -> Self {
        let (sender, receiver): (Sender<IntervalHistograms>, Receiver<_>) = mpsc::channel();
        live.stream_histograms(sender);
        let thread = thread::spawn(move || encode(receiver.iter(), SystemTime::now));
        Self { thread }
    }

    /// Ends the stream and returns the log.
    #[must_use]
    pub fn finish(self, live: &Live) -> IntervalLog {
        live.end_histograms();
        // A panic is reported on standard error by the thread; a log is not worth a run.
        self.thread.join().unwrap_or_default()
    }
}

/// Encodes intervals as they come; `now` tells, at the first of them, when its end was.
fn encode(intervals: impl Iterator<Item = IntervalHistograms>, now: impl Fn() -> SystemTime) -> IntervalLog {
    let mut intervals = intervals.peekable();
    let Some(first) = intervals.peek() else {
        return IntervalLog::default();
    };
    let began = now() - Duration::from_nanos(first.start_ns + first.length_ns);
    let mut text = header(began);
    for interval in intervals {
        let histograms = [&interval.response, &interval.service, &interval.confirm];
        for (tag, histogram) in TAGS.into_iter().zip(histograms) {
            if !histogram.is_empty() {
                append(&mut text, tag, interval.start_ns, interval.length_ns, histogram);
            }
        }
    }
    IntervalLog(String::from_utf8(text).expect("the log is ASCII"))
}

fn header(began: SystemTime) -> Vec<u8> {
    let epoch_s = began.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let mut text = String::from("#[Histogram log format version 1.3]\n");
    // Writing to a String cannot fail.
    let _ = writeln!(text, "#[StartTime: {epoch_s:.3} (seconds since epoch)]");
    let _ = writeln!(text, "#[BaseTime: {epoch_s:.3} (seconds since epoch)]");
    text.push_str(LEGEND);
    text.push('\n');
    text.into_bytes()
}

fn append(text: &mut Vec<u8>, tag: &str, start_ns: u64, length_ns: u64, histogram: &Histogram<u64>) {
    let mut line = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    IntervalLogWriterBuilder::new()
        .with_max_value_divisor(MAX_VALUE_DIVISOR)
        .begin_log_with(&mut line, &mut serializer)
        .expect("a Vec takes all bytes")
        .write_histogram(
            histogram,
            Duration::from_nanos(start_ns),
            Duration::from_nanos(length_ns),
            Tag::new(tag),
        )
        .expect("a Vec takes all bytes, and a histogram's size fits a u32");
    // The writer notes the divisor before each line; the format has no such note.
    let lines = line.split_inclusive(|byte| *byte == b'\n');
    text.extend(lines.filter(|line| !line.starts_with(b"#")).flatten());
}

/// An interval of a log: when it began and how long it was, in whole ms, and its histogram.
#[derive(Clone, Debug)]
pub struct Logged {
    /// `response`, `service` or `confirm`.
    pub tag: String,
    /// Since the load began.
    pub start: Duration,
    /// Its length.
    pub length: Duration,
    /// Latencies in ns.
    pub histogram: Histogram<u64>,
}

impl IntervalLog {
    /// Whether nothing was logged.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Its intervals in order; `None` when it is not a log.
    #[must_use]
    pub fn intervals(&self) -> Option<Vec<Logged>> {
        let mut intervals = Vec::new();
        for entry in IntervalLogIterator::new(self.0.as_bytes()) {
            let LogEntry::Interval(interval) = entry.ok()? else {
                continue;
            };
            intervals.push(Logged {
                tag: interval.tag()?.as_str().to_owned(),
                start: interval.start_timestamp(),
                length: interval.duration(),
                histogram: decode(interval.encoded_histogram()).ok()?,
            });
        }
        Some(intervals)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    fn interval(second: u64, latency_ns: u64) -> IntervalHistograms {
        let mut interval = IntervalHistograms {
            start_ns: second * SECOND_NS,
            length_ns: SECOND_NS,
            ..IntervalHistograms::default()
        };
        interval.response.record_n(latency_ns, 1_000).unwrap();
        interval.confirm.record_n(latency_ns / 2, 10).unwrap();
        interval
    }

    fn log(intervals: Vec<IntervalHistograms>) -> IntervalLog {
        encode(intervals.into_iter(), || {
            UNIX_EPOCH + Duration::from_secs(1_764_000_011)
        })
    }

    #[test]
    fn a_log_has_the_formats_header_and_is_read_back_value_by_value() {
        let written = log(vec![interval(10, 300_000), interval(11, 4_000_000)]);
        let head: Vec<_> = written.0.lines().take(4).collect();
        assert_eq!(
            head,
            [
                "#[Histogram log format version 1.3]",
                "#[StartTime: 1764000000.000 (seconds since epoch)]",
                "#[BaseTime: 1764000000.000 (seconds since epoch)]",
                LEGEND
            ]
        );
        let fifth = written.0.lines().nth(4).unwrap();
        assert!(
            fifth.starts_with("Tag=response,10.000,1.000,0.300,HISTF"),
            "{fifth}"
        );
        assert_eq!(written.0.lines().count(), 8);
        let read = written.intervals().unwrap();
        let tags: Vec<_> = read.iter().map(|it| it.tag.as_str()).collect();
        assert_eq!(tags, ["response", "confirm", "response", "confirm"]);
        assert_eq!(read[2].histogram, interval(11, 4_000_000).response);
        assert_eq!(read[2].start, Duration::from_secs(11));
    }

    /// A line of the log that Java's HdrHistogram is tested with.
    #[test]
    fn a_line_of_another_implementation_is_read() {
        let known = concat!(
            "#[Histogram log format version 1.2]\n",
            "#[StartTime: 1441812279.474 (seconds since epoch), Wed Sep 09 08:24:39 PDT 2015]\n",
            "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n",
            "Tag=A,0.127,1.007,2.769,",
            "HISTFAAAAEV42pNpmSzMwMCgyAABTBDKT4GBgdnNYMcCBvsPEBEJISEuATEZMQ4uASkhIR4nrxg9v2lMaxhvMekILGZkKmcCAEf2CsI=\n"
        );
        let read = IntervalLog(known.to_owned()).intervals().unwrap();
        assert_eq!((read.len(), read[0].tag.as_str()), (1, "A"));
        assert_eq!(
            (read[0].start, read[0].length),
            (Duration::from_millis(127), Duration::from_millis(1_007))
        );
        // The line itself says that the maximum is 2.769 ms.
        assert_eq!((read[0].histogram.max() + 500) / 1_000, 2_769);
    }

    #[test]
    fn nothing_counted_is_no_log() {
        let live = Live::default();
        let encoder = IntervalEncoder::start(&live);
        assert!(encoder.finish(&live).is_empty());
    }
}
