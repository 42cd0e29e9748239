//! `/api/health/checks/…`, `/api/aliveness-test/…`: 200, or 503 with a reason.

use axum::extract::Path;
use axum::http::StatusCode;
use serde_json::json;

use crate::auth::{Operation, Resource};
use crate::declare::durability;
use crate::http::answer::{Json, Refusal};
use crate::http::login::Session;
use crate::http::routes::Routes;
use crate::observe::now_ms;
use crate::queue::{Declaration, Publisher};
use crate::record::{Content, RecordFields, join_names};
use crate::stage::Protocol;

/// Queue of the aliveness test; its name is RabbitMQ's.
const ALIVENESS: &str = "aliveness-test";

pub(super) fn add(routes: Routes) -> Routes {
    routes
        .get("/api/health/checks/alarms", alarms)
        .get("/api/health/checks/local-alarms", alarms)
        .get("/api/health/checks/ready-to-serve-clients", ready)
        .get("/api/health/checks/is-in-service", ready)
        .get("/api/health/checks/virtual-hosts", one_node)
        .get("/api/health/checks/node-is-mirror-sync-critical", one_node)
        .get("/api/health/checks/node-is-quorum-critical", one_node)
        .get("/api/health/checks/below-node-connection-limit", below_limit)
        .get("/api/health/checks/port-listener/{port}", port)
        .get("/api/health/checks/protocol-listener/{protocol}", protocol)
        .get(
            "/api/health/checks/certificate-expiration/{within}/{unit}",
            certificates,
        )
        .get("/api/aliveness-test/{vhost}", alive)
}

fn checked(problem: Option<String>) -> (StatusCode, Json) {
    match problem {
        None => (StatusCode::OK, Json(json!({"status": "ok"}))),
        Some(reason) => (
            StatusCode::SERVICE_UNAVAILABLE,
            Json(json!({"status": "failed", "reason": reason})),
        ),
    }
}

async fn alarms(session: Session) -> (StatusCode, Json) {
    let found = session.shared.obstacles().into_iter();
    let mut alarms = found.filter(|(check, _)| ["disk", "memory"].contains(check));
    checked(alarms.next().map(|(_, reason)| reason))
}

async fn ready(session: Session) -> (StatusCode, Json) {
    let first = session.shared.obstacles().into_iter().next();
    checked(first.map(|(_, reason)| reason))
}

/// What can only be wrong in a cluster.
async fn one_node(_: Session) -> (StatusCode, Json) {
    checked(None)
}

async fn below_limit(session: Session) -> (StatusCode, Json) {
    let (open, max) = (
        session.broker.connection_count(),
        session.broker.limits.connections_max(),
    );
    checked((open >= max).then(|| format!("{open} connections are open, the limit is {max}")))
}

async fn port(session: Session, Path(port): Path<String>) -> Result<(StatusCode, Json), Refusal> {
    let wanted: u16 = port.parse().map_err(|_| {
        Refusal::bad_request(format!("port: expected a number from 0 to 65535, found '{port}'"))
    })?;
    let is_there = session
        .shared
        .addresses()
        .iter()
        .any(|(_, address)| address.port() == wanted);
    Ok(checked(
        (!is_there).then(|| format!("nothing listens on port {wanted}")),
    ))
}

async fn protocol(session: Session, Path(protocol): Path<String>) -> (StatusCode, Json) {
    let is_served = |wanted| {
        session
            .shared
            .addresses()
            .iter()
            .any(|&(served, _)| served == wanted)
    };
    let is_there = match protocol.as_str() {
        "amqp" | "amqp091" => is_served(Protocol::Amqp),
        "amqps" | "amqp/ssl" => is_served(Protocol::Amqps),
        "http" => true,
        _ => false,
    };
    checked((!is_there).then(|| format!("nothing listens for protocol '{protocol}'")))
}

async fn certificates(
    session: Session,
    Path((within, unit)): Path<(String, String)>,
) -> Result<(StatusCode, Json), Refusal> {
    let days = match unit.as_str() {
        "days" => 1,
        "weeks" => 7,
        "months" => 30,
        "years" => 365,
        _ => {
            let text = format!("unit: expected days, weeks, months or years, found '{unit}'");
            return Err(Refusal::bad_request(text));
        }
    };
    let within: u32 = within.parse().map_err(|_| {
        Refusal::bad_request(format!("within: expected a number from 0 on, found '{within}'"))
    })?;
    let deadline_s = (now_ms() / 1000) as i64 + i64::from(within) * days * 24 * 60 * 60;
    let certificates = session.broker.tallies.certificates().into_iter();
    let ending: Vec<String> = certificates
        .filter(|certificate| certificate.not_after_s < deadline_s)
        .map(|certificate| certificate.path.display().to_string())
        .collect();
    let is_sound = ending.is_empty();
    Ok(checked((!is_sound).then(|| {
        format!("Certificates expiring: {}", ending.join(", "))
    })))
}

/// Declares a queue, publishes into it, and gets the message.
async fn alive(session: Session, Path(vhost): Path<String>) -> Result<(StatusCode, Json), Refusal> {
    let vhost = session.vhost(&vhost)?;
    let declaration = Declaration {
        durable: false,
        auto_delete: false,
        owner: None,
        arguments: wire::FieldTable::new(),
    };
    session.check(&vhost, |access| {
        access.check_queue_declare(ALIVENESS, &declaration.arguments)?;
        access.check(Operation::Write, Resource::Exchange(""))?;
        access.check(Operation::Read, Resource::Queue(ALIVENESS))
    })?;
    let durability = durability(&declaration, session.broker.config.durability)?;
    let queue = vhost
        .declare_queue(&session.broker.store, ALIVENESS, declaration, durability, false)?
        .queue;
    let (mut header, mut frames) = (Vec::new(), Vec::new());
    let body = b"test_message";
    wire::encode_content_header(
        &mut header,
        0,
        body.len() as u64,
        &wire::BasicProperties::default(),
    );
    let header = &header[wire::FRAME_HEADER_SIZE..header.len() - 1];
    let content = Content::build(&mut frames, header, body);
    let names = join_names("", ALIVENESS);
    let fields = RecordFields::new(now_ms(), &names, content);
    queue.publish(std::iter::once(fields), Publisher::Caller, false, None);
    let got = queue.get(true, now_ms(), |_, _, record, _| record.content.body() == body);
    let problem = got
        .is_none()
        .then(|| "a message that was published could not be got".to_owned());
    Ok(checked(problem))
}
