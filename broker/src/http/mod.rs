//! HTTP: health checks, metrics, RabbitMQ's management API, a status page.
//!
//! One thread with a runtime of its own: nothing here runs on a reactor, and nothing waits for one. What a request wants to know is
//! read through [`observe`](crate::observe); what it wants changed goes the way that a client's methods go.
//!
//! | module | what it does |
//! |---|---|
//! | `settings` | flags and limits |
//! | `listener`, `connections` | the thread; accepting, limits of size and time |
//! | `shared` | what all requests share |
//! | `routes` | which path leads where |
//! | `answer`, `body`, `listing` | JSON out, errors among it; JSON in; pages of lists |
//! | `login` | Basic auth, tags, permissions |
//! | `health` | `/healthz`, `/readyz` |
//! | `metrics` | Prometheus |
//! | `sampler` | rates from two looks |
//! | `api` | RabbitMQ's management API |
//! | `openapi`, `page` | its description; the status page |

mod answer;
mod api;
mod body;
mod connections;
mod health;
mod listener;
mod listing;
mod login;
mod metrics;
mod openapi;
mod page;
mod routes;
mod sampler;
mod settings;
mod shared;
mod slow_reader;

pub(crate) use connections::CONNECTIONS_MAX;
pub use listener::Listener;
pub use routes::listed as listed_routes;
pub use settings::{ManagementConfig, ManagementFlags};
