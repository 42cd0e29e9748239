//! Which path leads where.

use axum::Router;
use axum::handler::Handler;
use axum::http::Request;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};

use super::answer::Refusal;
use super::api;
use super::connections::REQUEST_DEADLINE;
use super::health;
use super::metrics;
use super::openapi;
use super::page::page;
use super::shared::Shared;

/// Routes, and their list for the document that describes them.
pub(super) struct Routes {
    router: Router<Shared>,
    listed: Vec<(&'static str, &'static str)>,
}

impl Routes {
    fn new() -> Routes {
        Routes {
            router: Router::new(),
            listed: Vec::new(),
        }
    }

    /// Adds a route.
    fn add<H, T>(mut self, filter: MethodFilter, name: &'static str, path: &'static str, handler: H) -> Routes
    where
        H: Handler<T, Shared>,
        T: 'static,
    {
        self.router = self.router.route(path, on(filter, handler));
        self.listed.push((name, path));
        self
    }

    /// Answers GET, and HEAD with it.
    pub(super) fn get<H, T>(self, path: &'static str, handler: H) -> Routes
    where
        H: Handler<T, Shared>,
        T: 'static,
    {
        self.add(MethodFilter::GET, "get", path, handler)
    }

    pub(super) fn put<H, T>(self, path: &'static str, handler: H) -> Routes
    where
        H: Handler<T, Shared>,
        T: 'static,
    {
        self.add(MethodFilter::PUT, "put", path, handler)
    }

    pub(super) fn post<H, T>(self, path: &'static str, handler: H) -> Routes
    where
        H: Handler<T, Shared>,
        T: 'static,
    {
        self.add(MethodFilter::POST, "post", path, handler)
    }

    pub(super) fn delete<H, T>(self, path: &'static str, handler: H) -> Routes
    where
        H: Handler<T, Shared>,
        T: 'static,
    {
        self.add(MethodFilter::DELETE, "delete", path, handler)
    }
}

fn all() -> Routes {
    let routes = Routes::new()
        .get("/", page)
        .get("/api/openapi.json", openapi::document)
        .get("/healthz", health::alive)
        .get("/readyz", health::ready)
        .get("/metrics", metrics::aggregated)
        .get("/metrics/per-object", metrics::per_object);
    api::add(routes)
}

/// Every method, in lower case, and path there is, as in OpenAPI: `/api/queues/{vhost}`.
pub fn listed() -> Vec<(&'static str, &'static str)> {
    all().listed
}

/// The service.
pub(super) fn router(shared: Shared) -> Router {
    let router = all().router;
    router
        .fallback(|| async { Refusal::not_found() })
        .method_not_allowed_fallback(|| async { Refusal::method_not_allowed() })
        .layer(from_fn(in_time))
        .with_state(shared)
}

/// Ends a request whose time is over.
async fn in_time(request: Request<axum::body::Body>, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_DEADLINE, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Refusal::too_slow(REQUEST_DEADLINE.as_secs()).into_response(),
    }
}
