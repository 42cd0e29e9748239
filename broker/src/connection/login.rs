//! The login: begun by `connection.start-ok`, decided elsewhere, answered when it is decided.
//!
//! A password may take tens of milliseconds to check, and a refusal is not answered before a while has passed. The
//! connection's task waits for both without holding up its reactor; until then nothing more is read from the client.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use wire::{FieldTable, Method, TableRef};

use super::failure::Failure;
use super::task::{Connection, Stage};
use crate::auth::{Account, Refused};
use crate::observe::{Client, LoginProtocol};

/// A login that is not decided.
pub(super) struct Login {
    mechanism: String,
    /// The client understands a close that says why.
    told_of_refusal: bool,
    properties: FieldTable,
    decision: Pin<Box<dyn Future<Output = Result<Account, Refused>>>>,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("mechanism", &self.mechanism)
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// `connection.start-ok`.
    pub(super) fn on_start_ok(&mut self, client: TableRef<'_>, mechanism: &str, response: &[u8]) {
        let capability = |name: &str| {
            let capabilities = client.get("capabilities").and_then(|value| value.as_table());
            capabilities
                .and_then(|table| table.get(name))
                .and_then(|value| value.as_bool())
                == Some(true)
        };
        let mut outbound = self.link.outbound();
        outbound.consumer_cancel_notify = capability("consumer_cancel_notify");
        outbound.blocked_notify = capability("connection.blocked");
        drop(outbound);
        let broker = Arc::clone(&self.broker);
        let peer = self.peer.clone();
        let (name, response) = (mechanism.to_owned(), response.to_vec());
        let decision = async move { broker.log_in(LoginProtocol::Amqp, &name, &response, &peer).await };
        self.login = Some(Login {
            mechanism: mechanism.to_owned(),
            told_of_refusal: capability("authentication_failure_close"),
            properties: client.to_table(),
            decision: Box::pin(decision),
        });
        self.stage = Stage::Authenticating;
    }

    /// Ready when no login waits, and what the client sent behind it is handled.
    pub(super) fn poll_login(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(login) = &mut self.login else {
            return Poll::Ready(());
        };
        let decided = ready!(login.decision.as_mut().poll(context));
        let login = self.login.take();
        if self.stage != Stage::Authenticating {
            return Poll::Ready(());
        }
        match (decided, login) {
            (Ok(account), Some(login)) => self.on_logged_in(account, login),
            (Err(refused), Some(login)) if login.told_of_refusal => {
                let text = refused.reply_text(&login.mechanism);
                // The refusal is in the log already, if it is to be there.
                self.close_with(&Failure::new(refused.reply_code(), text));
            }
            // Clients that do not know the capability expect the socket to close instead.
            _ => self.stage = Stage::Closed,
        }
        let rest = std::mem::take(&mut self.remainder);
        let consumed = self.take_input(&rest);
        self.remainder.extend_from_slice(&rest[consumed..]);
        Poll::Ready(())
    }

    fn on_logged_in(&mut self, account: Account, login: Login) {
        tracing::debug!(connection = %self.link.id(), user = account.record.name, "authenticated");
        self.log_in(account);
        self.client = Client {
            mechanism: login.mechanism,
            properties: login.properties,
        };
        let config = &self.broker.config;
        let tune = Method::ConnectionTune {
            channel_max: config.channel_max,
            frame_max: config.frame_max,
            heartbeat: self.broker.limits.heartbeat_s(),
        };
        self.reply(0, tune);
        self.stage = Stage::Tune;
    }
}
