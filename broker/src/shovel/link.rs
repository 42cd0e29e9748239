//! A connection to one side, with its one channel.

use std::future::Future;
use std::time::Duration;

use amqps::TlsKit;
use async_rs::Runtime;
use lapin::{Channel, Connection, ConnectionProperties};

use super::failure::Failure;
use super::node::Node;

/// How long a node may take for the connection, and for each answer; a URI's `connection_timeout` overrides the first.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long it may take to close in order.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// `connection.close` reply code of a normal end.
const REPLY_SUCCESS: u16 = 200;

/// One side.
pub(super) struct Link {
    pub(super) channel: Channel,
    /// Which side and node, for people.
    pub(super) name: String,
    /// Which of the side's nodes.
    pub(super) node: Node,
    /// What the nodes before it failed with.
    pub(super) passed_over: Vec<Failure>,
    connection: Connection,
}

impl Link {
    /// Connects to the first of `nodes` that can be had.
    ///
    /// # Errors
    /// What each of them failed with: final only when all of them refused, since one that is merely away may let it in later.
    pub(super) async fn open(side: &str, nodes: &[Node]) -> Result<Self, Failure> {
        let mut failures = Vec::new();
        for node in nodes {
            match Self::open_to(side, node).await {
                Err(failure) => failures.push(failure),
                Ok(link) => {
                    return Ok(Self {
                        passed_over: failures,
                        ..link
                    });
                }
            }
        }
        Err(Failure::of_all(&failures))
    }

    async fn open_to(side: &str, node: &Node) -> Result<Self, Failure> {
        let name = format!("{side} {node}");
        let properties = ConnectionProperties::default().with_connection_name("broker shovel".into());
        let timeout = node.timeout_ms().map_or(ANSWER_TIMEOUT, Duration::from_millis);
        let connection = match node.tls() {
            None => within(timeout, &name, Connection::connect_uri(node.uri(), properties)).await?,
            Some(tls) => {
                let kit = tls.and_then(|tls| TlsKit::new(&tls, node.host()));
                let kit = kit.map_err(|why| Failure::Passing(format!("{name}: {why}")))?;
                let connecting =
                    Connection::connect_uri_with_runtime(node.uri(), properties, Runtime::new(kit));
                within(timeout, &name, connecting).await?
            }
        };
        let channel = answered(&name, connection.create_channel()).await?;
        Ok(Self {
            channel,
            name,
            node: node.clone(),
            passed_over: Vec::new(),
            connection,
        })
    }

    /// Closes in order, after all that was sent; a node that does not answer is left.
    pub(super) async fn close(self) {
        let closing = self.connection.close(REPLY_SUCCESS, "done".into());
        // What is not settled by now is delivered again: there is nothing left to do about an error.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, closing).await;
    }
}

/// Waits for an answer, for a limited time.
pub(super) async fn answered<T>(
    name: &str,
    answer: impl Future<Output = lapin::Result<T>>,
) -> Result<T, Failure> {
    within(ANSWER_TIMEOUT, name, answer).await
}

async fn within<T>(
    timeout: Duration,
    name: &str,
    answer: impl Future<Output = lapin::Result<T>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(timeout, answer).await {
        Ok(answer) => answer.map_err(|error| Failure::of(name, &error)),
        Err(_) => Err(Failure::Passing(format!(
            "{name}: no answer within {} ms",
            timeout.as_millis()
        ))),
    }
}
