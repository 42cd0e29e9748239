//! What can be seen of a running broker from outside of its reactors, and what seeing it costs.
//!
//! Nothing is measured for the sake of being looked at that would cost a message anything. Three kinds of figures:
//!
//! | kind | written by | costs |
//! |---|---|---|
//! | [`Count`], one writer each: [`ReactorCounts`], [`LinkObserved`], [`ChannelObserved`] | the owning thread, once a batch | an addition in its own cache line |
//! | fields of a queue ([`QueueCounts`], what its ring says) | whoever holds the queue's lock anyway | an addition |
//! | shared: [`Stages`], [`Histogram`], [`Tallies`] | whoever has a sampled message, a commit, a dead letter | one message in 1024; commits and dead letters are rare |
//!
//! A reader takes one queue's or one connection's lock at a time, for about 100 ns, and copies figures; it never holds two, and no
//! text is copied under a queue's lock but the tags of consumers. So a snapshot of 10,000 queues takes some milliseconds and
//! some megabytes of the reader's. Rates are made by the reader, from two snapshots.

mod channel;
mod count;
mod histogram;
mod limited;
mod link;
mod look;
mod overview;
mod process;
mod queue;
mod reactor;
mod samples;
mod stages;
mod tallies;
mod threads;
mod waits;

pub use channel::{ChannelObserved, ChannelShare, ChannelView};
pub use count::{Count, Gauge};
pub use histogram::{BUCKETS_LOG2, Histogram, HistogramView};
pub use limited::{Limited, limited};
pub(crate) use link::now_ms;
pub use link::{Client, Encryption, LinkObserved, LinkState, LinkView, Opened};
pub(crate) use look::{Earlier, Look, QueueLook, Views};
pub use overview::{GlobalCounts, Overview, QueueTotals, consumers, links, overview, queue_views};
pub use process::Process;
pub use queue::{ConsumerView, ConsumerWait, Delivered, QueueCounts, QueueView};
pub use reactor::ReactorCounts;
pub use samples::{Progress, SAMPLE_EVERY, Samples};
pub use stages::{Stage, Stages};
pub use tallies::{DeadLetterCounts, LoginProtocol, Logins, Tallies};
pub(crate) use threads::Threads;
pub(crate) use waits::{Wait, Waits, queue_waits};
