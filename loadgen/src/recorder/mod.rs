//! Latencies and counts of a run: recorded per worker, merged at the end, never averaged.
//!
//! [`LatencyRecorder`] belongs to one worker. It keeps the histograms of the second that is going on; when the second
//! ends its owner takes them ([`LatencyRecorder::take_second`]) and hands them to the one [`Series`], which adds them
//! to the run's totals and computes the second's quantiles. So each value is recorded once only.

mod buckets;
mod encoding;
mod interval_histograms;
mod latency;
mod recording;
mod series;
mod timeline;

pub use buckets::LatencyBuckets;
pub use encoding::{decode, encode, encode_compressed};
pub use interval_histograms::IntervalHistograms;
pub use latency::{LatencyRecorder, Second, histogram};
pub use recording::{Outcome, Recording, Recovery, ServerProperties};
pub use series::Series;
pub(crate) use series::quantiles;
pub use timeline::Timeline;
