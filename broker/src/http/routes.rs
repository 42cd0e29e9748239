//! Which path leads where.

use axum::Router;
use axum::handler::Handler;
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, Request};
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
        .layer(from_fn(from_here))
        .layer(from_fn(in_time))
        .with_state(shared)
}

/// Refuses changes that a page from elsewhere asks for: a browser adds the password that its user once gave for this address to
/// any page's requests. What is no browser sends neither header.
async fn from_here(request: Request<axum::body::Body>, next: Next) -> Response {
    if !request.method().is_safe() && is_from_elsewhere(request.headers()) {
        return Refusal::from_elsewhere().into_response();
    }
    next.run(request).await
}

fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    // Newer browsers judge themselves, and know the address that they used even where a proxy changes the host.
    if let Some(site) = headers.get("sec-fetch-site") {
        return site != "same-origin" && site != "none";
    }
    let Some(origin) = headers.get(ORIGIN) else {
        return false;
    };
    let authority = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    authority.map(|(_, authority)| authority) != host
}

/// Ends a request whose time is over.
async fn in_time(request: Request<axum::body::Body>, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_DEADLINE, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Refusal::too_slow(REQUEST_DEADLINE.as_secs()).into_response(),
    }
}
