//! Answers: JSON, and errors in the form of RabbitMQ's management API, `{"error": …, "reason": …}`.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use wire::ReplyCode;

use crate::connection::Failure;
use crate::topology::TopologyError;

/// A request that is not done, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// A word for programs.
    pub(super) error: &'static str,
    /// A sentence for people.
    pub(super) reason: String,
}

impl Refusal {
    fn new(status: StatusCode, error: &'static str, reason: impl Into<String>) -> Refusal {
        let reason = reason.into();
        Refusal {
            status,
            error,
            reason,
        }
    }

    /// 400: what is wrong with the request.
    pub(super) fn bad_request(reason: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, "bad_request", reason)
    }

    /// 401: who asks is not known, and no more is said.
    pub(super) fn not_authenticated() -> Refusal {
        Refusal::new(StatusCode::UNAUTHORIZED, "not_authorized", "Not_Authorized")
    }

    /// 401, as RabbitMQ has it, for what a known user may not do.
    pub(super) fn not_authorised(reason: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::UNAUTHORIZED, "not_authorised", reason)
    }

    /// 403: a change that another site's page asks for.
    pub(super) fn from_elsewhere() -> Refusal {
        let reason = "the request comes from a page of another site (Origin, Sec-Fetch-Site)";
        Refusal::new(StatusCode::FORBIDDEN, "forbidden", reason)
    }

    /// 404, in RabbitMQ's words.
    pub(super) fn not_found() -> Refusal {
        Refusal::new(StatusCode::NOT_FOUND, "Object Not Found", "Not Found")
    }

    /// 405.
    pub(super) fn method_not_allowed() -> Refusal {
        let reason = "this path does not know this method";
        Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed", reason)
    }

    /// 413.
    pub(super) fn too_large(limit: usize) -> Refusal {
        let reason = format!("the body is larger than {limit} bytes");
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", reason)
    }

    /// 503.
    pub(super) fn unavailable(reason: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "service_unavailable", reason)
    }

    /// 504: the time for one request is over.
    pub(super) fn too_slow(seconds: u64) -> Refusal {
        let reason = format!("the request took longer than {seconds} s");
        Refusal::new(StatusCode::GATEWAY_TIMEOUT, "timeout", reason)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({"error": self.error, "reason": self.reason});
        let mut response = (self.status, Json(body)).into_response();
        if self.error == "not_authorized" {
            let realm = HeaderValue::from_static("Basic realm=\"RabbitMQ Management\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, realm);
        }
        response
    }
}

/// What AMQP refuses, as RabbitMQ's API says it.
impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Refusal {
        match failure.code {
            ReplyCode::NotFound => Refusal {
                reason: failure.text,
                ..Refusal::not_found()
            },
            ReplyCode::AccessRefused => Refusal::not_authorised(failure.to_string()),
            _ => Refusal::bad_request(failure.text),
        }
    }
}

impl From<TopologyError> for Refusal {
    fn from(error: TopologyError) -> Refusal {
        Refusal::from(Failure::from(error))
    }
}

/// A JSON document.
#[derive(Clone, Debug)]
pub(super) struct Json(pub(super) Value);

impl IntoResponse for Json {
    fn into_response(self) -> Response {
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        ];
        (headers, self.0.to_string()).into_response()
    }
}
