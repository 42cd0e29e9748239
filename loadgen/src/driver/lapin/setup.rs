//! Connections, and the run's queues and exchange, by way of lapin.

use std::future::Future;
use std::io;
use std::time::Duration;

use amqps::{TlsKit, cause, explained};
use async_rs::Runtime;
use lapin::options::{
    ExchangeDeclareOptions, ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use lapin::{Channel, Connection, ConnectionProperties, ErrorKind, ExchangeKind};

use crate::driver::DriverError;
use crate::plan::Plan;
use crate::scenario::{QueueType, Routing};
use crate::target::Target;
use crate::tls::TlsFigures;

/// How long the broker may take for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long it may take to delete a queue with all that it holds.
const DELETE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long it may take to answer `connection.close`; after that the connection is just dropped.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
const TOPOLOGY: &str = "the topology";
/// `connection.close` reply code of a normal end.
const REPLY_SUCCESS: u16 = 200;

/// One connection with its one channel.
pub(super) struct Link {
    /// Whose it is, e.g. `producer 3`.
    pub(super) name: String,
    pub(super) connection: Connection,
    pub(super) channel: Channel,
    /// What the handshake agreed on; `None` on plain TCP.
    pub(super) tls: Option<TlsFigures>,
}

impl Link {
    /// Connects and opens the channel.
    pub(super) async fn open(name: String, target: &Target) -> Result<Self, DriverError> {
        let uri = AMQPUri {
            // TLS, where there is one, is none of the client's business: see `amqps`.
            scheme: AMQPScheme::AMQP,
            authority: AMQPAuthority {
                userinfo: AMQPUserInfo {
                    username: target.username.clone(),
                    password: target.password.clone(),
                },
                host: target.host.clone(),
                port: target.port,
            },
            vhost: target.vhost.clone(),
            // No heartbeats: a loaded connection shows its death by itself, an idle run is short.
            query: AMQPQueryString {
                heartbeat: Some(0),
                ..AMQPQueryString::default()
            },
        };
        // Which of several nodes it was, the client does not say.
        let attempt = format!("{name} to {target}");
        let (connection, tls) = match &target.tls {
            None => {
                let connecting = Connection::connect_uri(uri, ConnectionProperties::default());
                (answered(&attempt, "connection.open", connecting).await?, None)
            }
            Some(tls) => {
                let kit = TlsKit::new(tls, &target.host).map_err(|why| DriverError::Connect {
                    connection: name.clone(),
                    address: format!("{}:{}", target.host, target.port),
                    source: io::Error::new(io::ErrorKind::InvalidInput, why),
                })?;
                let agreed = kit.agreed();
                let runtime = Runtime::new(kit);
                let connecting =
                    Connection::connect_uri_with_runtime(uri, ConnectionProperties::default(), runtime);
                let connection = answered(&attempt, "connection.open", connecting).await?;
                let verify = tls.options().verify;
                let tls = agreed.get().map(|&agreed| TlsFigures::of(agreed, verify));
                (connection, tls)
            }
        };
        let channel = answered(&name, "channel.open", connection.create_channel()).await?;
        Ok(Self {
            name,
            connection,
            channel,
            tls,
        })
    }

    /// Closes in order, as far as the broker plays along within its time.
    pub(super) async fn close(self) {
        let closing = self.connection.close(REPLY_SUCCESS, "done".into());
        // The run is over: a broker that is gone already changes no result.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, closing).await;
    }
}

/// Waits for the broker's answer to `request`, for a limited time.
pub(super) async fn answered<T>(
    connection: &str,
    request: &'static str,
    answer: impl Future<Output = lapin::Result<T>>,
) -> Result<T, DriverError> {
    answered_within(ANSWER_TIMEOUT, connection, request, answer).await
}

async fn answered_within<T>(
    timeout: Duration,
    connection: &str,
    request: &'static str,
    answer: impl Future<Output = lapin::Result<T>>,
) -> Result<T, DriverError> {
    match tokio::time::timeout(timeout, answer).await {
        Ok(answer) => answer.map_err(|source| failed(connection, source)),
        Err(_) => Err(DriverError::Timeout {
            connection: connection.to_owned(),
            request,
            seconds: timeout.as_secs(),
        }),
    }
}

/// lapin's error on the connection of `connection`.
pub(super) fn failed(connection: &str, source: lapin::Error) -> DriverError {
    if let Some(why) = tls_reason(&source) {
        return DriverError::Io {
            connection: connection.to_owned(),
            source: io::Error::new(io::ErrorKind::InvalidData, why),
        };
    }
    DriverError::Lapin {
        connection: connection.to_owned(),
        source: Box::new(source),
    }
}

/// What TLS, below the client, says of the error, in words.
fn tls_reason(error: &lapin::Error) -> Option<String> {
    let ErrorKind::IOError(error) = error.kind() else {
        return None;
    };
    cause(error).map(explained)
}

/// Declares the exchange, the queues and their bindings; how many messages were in the queues already.
pub(super) async fn declare(plan: &Plan, target: &Target) -> Result<u64, DriverError> {
    let mut queued = 0;
    let link = Link::open(TOPOLOGY.to_owned(), target).await?;
    let durable = plan.scenario.durable;
    if let Some(exchange) = &plan.exchange {
        let options = ExchangeDeclareOptions {
            durable,
            ..ExchangeDeclareOptions::default()
        };
        let declaring = link.channel.exchange_declare(
            exchange.as_str().into(),
            match plan.scenario.routing {
                Routing::Direct => ExchangeKind::Direct,
                Routing::Topic => ExchangeKind::Topic,
                Routing::Queue | Routing::Fanout => ExchangeKind::Fanout,
            },
            options,
            FieldTable::default(),
        );
        answered(TOPOLOGY, "exchange.declare", declaring).await?;
    }
    for queue in &plan.queues {
        let name = queue.name.as_str();
        let options = QueueDeclareOptions {
            durable: queue.durable,
            passive: plan.only_consumes(),
            ..QueueDeclareOptions::default()
        };
        let declaring = link
            .channel
            .queue_declare(name.into(), options, queue_arguments(plan));
        let declared = answered(TOPOLOGY, "queue.declare", declaring).await?;
        queued += u64::from(declared.message_count());
    }
    for binding in &plan.bindings {
        let binding = link.channel.queue_bind(
            plan.queues[binding.queue].name.as_str().into(),
            plan.exchange.as_deref().unwrap_or_default().into(),
            binding.key.as_str().into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        );
        answered(TOPOLOGY, "queue.bind", binding).await?;
    }
    link.close().await;
    Ok(queued)
}

fn queue_arguments(plan: &Plan) -> FieldTable {
    let mut arguments = FieldTable::default();
    if let Some(kind) = plan.scenario.queue_type {
        arguments.insert(
            QueueType::ARGUMENT.into(),
            AMQPValue::LongString(kind.name().into()),
        );
    }
    arguments
}

/// Deletes them, with whatever is still in the queues; queues with fixed names stay.
pub(super) async fn delete(plan: &Plan, target: &Target) -> Result<(), DriverError> {
    let link = Link::open(TOPOLOGY.to_owned(), target).await?;
    for queue in plan.own_queues() {
        let deleting = link
            .channel
            .queue_delete(queue.name.as_str().into(), QueueDeleteOptions::default());
        answered_within(DELETE_TIMEOUT, TOPOLOGY, "queue.delete", deleting).await?;
    }
    if let Some(exchange) = &plan.exchange {
        let deleting = link
            .channel
            .exchange_delete(exchange.as_str().into(), ExchangeDeleteOptions::default());
        answered(TOPOLOGY, "exchange.delete", deleting).await?;
    }
    link.close().await;
    Ok(())
}
