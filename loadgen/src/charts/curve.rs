//! Throughput against latency: what a sweep or a search measured at each rate.

/// One rate that was tried.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Messages a second that were due.
    pub offered_rate: f64,
    /// Messages a second that were consumed.
    pub achieved_rate: f64,
    /// Median of the response latency, in µs.
    pub p50_us: f64,
    /// 99th percentile, in µs.
    pub p99_us: f64,
    /// 99.9th percentile, in µs.
    pub p99_9_us: f64,
    /// Whether the objective was held at this rate.
    pub held: bool,
}
