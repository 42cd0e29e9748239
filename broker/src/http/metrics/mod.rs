//! Prometheus metrics: `/metrics` for the broker as a whole, `/metrics/per-object` with each queue.
//!
//! Names are RabbitMQ's where it has the figure, and begin with `broker_` where it has not. As there, `/metrics` stays short however
//! many queues there are, and no password is asked for: it is for the scraper that reaches the address.

mod exposition;
mod globals;
mod node;
mod queues;
mod storage;

use std::time::Instant;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

use super::answer::Refusal;
use super::shared::{Service, Shared};
use crate::broker::Broker;
use crate::observe::{LinkView, QueueView, links, queue_views};
use exposition::Exposition;

/// The text format that scrapers have known since 2014.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// One look for one scrape.
struct Scrape<'a> {
    /// Which of the two it is for, as RabbitMQ names them: its dashboards choose by that.
    endpoint: &'static str,
    stage: &'a Service,
    broker: &'a Broker,
    queues: Vec<QueueView>,
    links: Vec<LinkView>,
}

/// `/metrics`.
pub(super) async fn aggregated(State(shared): State<Shared>) -> Result<Response, Refusal> {
    let scrape = Scrape::take(&shared, "aggregated")?;
    let mut out = Exposition::default();
    scrape.write_common(&mut out);
    queues::write_totals(&scrape, &mut out);
    Ok(text(out))
}

/// `/metrics/per-object`.
pub(super) async fn per_object(State(shared): State<Shared>) -> Result<Response, Refusal> {
    let scrape = Scrape::take(&shared, "per-object")?;
    let mut out = Exposition::default();
    scrape.write_common(&mut out);
    queues::write_each(&scrape, &mut out);
    Ok(text(out))
}

impl<'a> Scrape<'a> {
    fn take(stage: &'a Service, endpoint: &'static str) -> Result<Scrape<'a>, Refusal> {
        let broker = stage.broker()?;
        let start = Instant::now();
        let vhosts = broker.vhosts();
        let scrape = Scrape {
            endpoint,
            stage,
            broker,
            queues: queue_views(&vhosts),
            links: vhosts.iter().flat_map(|vhost| links(vhost)).collect(),
        };
        let us = start.elapsed().as_micros() as u64;
        broker.tallies.snapshot_us.record(us);
        Ok(scrape)
    }

    fn write_common(&self, out: &mut Exposition) {
        node::write(self, out);
        globals::write(self, out);
        storage::write(self, out);
    }
}

fn text(out: Exposition) -> Response {
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE))];
    (headers, out.finish()).into_response()
}
