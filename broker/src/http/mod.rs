//! HTTP: health checks and metrics.
//!
//! One thread with a runtime of its own: nothing here runs on a reactor, and nothing waits for one. What a request wants to know is
//! read through [`observe`](crate::observe).
//!
//! | module | what it does |
//! |---|---|
//! | `settings` | flags and limits |
//! | `listener`, `connections` | the thread; accepting, limits of size and time |
//! | `stage` | what all requests share: how far the broker has come |
//! | `routes` | which path leads where |
//! | `answer` | JSON, and errors as JSON |
//! | `health` | `/healthz`, `/readyz` |
//! | `metrics` | Prometheus |

mod answer;
mod connections;
mod health;
mod listener;
mod metrics;
mod routes;
mod settings;
mod stage;

pub use listener::Listener;
pub use routes::listed as listed_routes;
pub use settings::{ManagementConfig, ManagementFlags};
