//! Bars with error bars: one figure of several brokers, builds or machines.

/// One bar.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// Whose figure it is.
    pub name: String,
    /// The figure.
    pub value: f64,
    /// Lower end of its interval, or the smallest run.
    pub low: f64,
    /// Upper end of its interval, or the largest run.
    pub high: f64,
}
