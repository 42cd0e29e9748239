//! From the protocol header to `connection.open-ok`.
//!
//! ```text
//! client                      broker                      stage afterwards
//! protocol header        -->                              Header
//!                        <--  connection.start            Start
//! connection.start-ok    -->                              Authenticating (see `login`)
//!                        <--  connection.tune             Tune
//! connection.tune-ok     -->                              Opening
//! connection.open        -->
//!                        <--  connection.open-ok          Open
//! ```

use wire::{FieldTable, FieldValue, Frame, FrameKind, Method, PROTOCOL_HEADER, ReplyCode, TableRef};

use std::sync::Arc;

use super::failure::Failure;
use super::input::decode_method;
use super::task::{Connection, Stage};
use crate::auth::{EXTERNAL, MECHANISMS};
use crate::config::Product;
use crate::node::{PRODUCT, node_name};
use crate::store::Durability;
use crate::tls::PROTOCOL_BYTE;
use crate::vhost::{Joined, VirtualHost};

/// What clients may rely on, in the terms of RabbitMQ's `server-properties`.
const CAPABILITIES: [&str; 9] = [
    "publisher_confirms",
    "exchange_exchange_bindings",
    "basic.nack",
    "connection.blocked",
    "consumer_cancel_notify",
    "per_consumer_qos",
    "authentication_failure_close",
    "consumer_priorities",
    "direct_reply_to",
];

impl Connection {
    /// Checks the protocol header, the first eight bytes of a connection; `None` while they are incomplete.
    /// A peer that speaks something else is told what we speak, and the socket is closed.
    pub(super) fn on_protocol_header(&mut self, input: &[u8]) -> Option<usize> {
        let compared = input.len().min(PROTOCOL_HEADER.len());
        if input[..compared] != PROTOCOL_HEADER[..compared] {
            if input[0] == PROTOCOL_BYTE {
                tracing::warn!(peer = %self.peer, "peer speaks TLS, on an address without it");
            } else {
                tracing::info!(peer = %self.peer, "peer does not speak AMQP 0-9-1");
            }
            self.link.outbound().pending.extend_from_slice(&PROTOCOL_HEADER);
            self.reactor.mark_flush(&self.link);
            self.stage = Stage::Closed;
            return Some(input.len());
        }
        if compared < PROTOCOL_HEADER.len() {
            return None;
        }
        let properties =
            server_properties(&self.broker.config.product, self.broker.store.durability()).to_bytes();
        let mechanisms = match self.peer.certified_user() {
            Some(_) => format!("{MECHANISMS} {EXTERNAL}"),
            None => MECHANISMS.to_owned(),
        };
        let start = Method::ConnectionStart {
            version_major: 0,
            version_minor: 9,
            server_properties: TableRef::parse(&properties).expect("our own table is well formed"),
            mechanisms: mechanisms.as_bytes(),
            locales: b"en_US",
        };
        self.reply(0, start);
        self.stage = Stage::Start;
        Some(PROTOCOL_HEADER.len())
    }

    /// A frame before the connection is open, or while it closes.
    pub(super) fn on_handshake_frame(&mut self, frame: Frame<'_>) -> Result<(), Failure> {
        if self.stage == Stage::Closing {
            return self.on_closing_frame(frame);
        }
        if frame.kind == FrameKind::Heartbeat {
            return Ok(());
        }
        if frame.kind != FrameKind::Method || frame.channel != 0 {
            return Err(Failure::new(
                ReplyCode::UnexpectedFrame,
                "only methods on channel 0 before connection.open",
            ));
        }
        let method = decode_method(frame.payload)?;
        let result = match (self.stage, method) {
            (_, Method::ConnectionClose { .. }) => self.on_connection_method(method),
            (
                Stage::Start,
                Method::ConnectionStartOk {
                    client_properties,
                    mechanism,
                    response,
                    ..
                },
            ) => {
                self.on_start_ok(client_properties, mechanism, response);
                Ok(())
            }
            (
                Stage::Tune,
                Method::ConnectionTuneOk {
                    channel_max,
                    frame_max,
                    heartbeat,
                },
            ) => self.on_tune_ok(channel_max, frame_max, heartbeat),
            (Stage::Opening, Method::ConnectionOpen { virtual_host }) => self.on_open(virtual_host),
            (stage, _) => {
                let stage = match stage {
                    Stage::Start => "starting",
                    Stage::Tune => "tuning",
                    _ => "opening",
                };
                let text = format!("unexpected method in connection state {stage}");
                Err(Failure::new(ReplyCode::ChannelError, text))
            }
        };
        result.map_err(|failure| match failure.code {
            // A refused login names no method, as in RabbitMQ.
            ReplyCode::AccessRefused => failure,
            _ => failure.during(&method),
        })
    }

    fn on_closing_frame(&mut self, frame: Frame<'_>) -> Result<(), Failure> {
        if frame.kind == FrameKind::Method && frame.channel == 0 {
            match Method::decode(frame.payload) {
                Ok(Method::ConnectionCloseOk) => self.stage = Stage::Closed,
                Ok(Method::ConnectionClose { .. }) => self.reply(0, Method::ConnectionCloseOk),
                _ => {}
            }
        }
        Ok(())
    }

    /// The client may lower what we proposed, never raise it; 0 means "no limit of mine".
    fn on_tune_ok(&mut self, channel_max: u16, frame_max: u32, heartbeat: u16) -> Result<(), Failure> {
        let config = &self.broker.config;
        let refuse = |name: &str, theirs: u32, ours: u32| {
            let text =
                format!("negotiated {name} = {theirs} is higher than the maximum allowed value ({ours})");
            Err(Failure::new(ReplyCode::NotAllowed, text))
        };
        if channel_max > config.channel_max {
            return refuse("channel_max", channel_max.into(), config.channel_max.into());
        }
        if frame_max > config.frame_max {
            return refuse("frame_max", frame_max, config.frame_max);
        }
        if frame_max != 0 && (frame_max as usize) < wire::FRAME_MIN_SIZE {
            let text = format!(
                "negotiated frame_max = {frame_max} is lower than the minimum allowed value ({})",
                wire::FRAME_MIN_SIZE
            );
            return Err(Failure::new(ReplyCode::NotAllowed, text));
        }
        self.channel_max = if channel_max == 0 {
            config.channel_max
        } else {
            channel_max
        };
        self.frame_bytes_max = if frame_max == 0 {
            config.frame_max
        } else {
            frame_max
        } as usize;
        self.heartbeat_ticks = heartbeat.into();
        self.link.outbound().frame_bytes_max = self.frame_bytes_max;
        self.stage = Stage::Opening;
        Ok(())
    }

    fn on_open(&mut self, virtual_host: &str) -> Result<(), Failure> {
        let vhost = self.admitted_to(virtual_host)?;
        tracing::debug!(
            connection = %self.link.id(), user = self.user().name, vhost = vhost.name(), "connection opened"
        );
        self.enter(vhost);
        self.reply(0, Method::ConnectionOpenOk);
        self.stage = Stage::Open;
        self.deadline = None;
        // Signals that came during the handshake meant nothing yet.
        self.on_alarm();
        self.refresh_throttle();
        let unacked_bytes_max = self.broker.limits.settings().unacked_bytes_max;
        self.link.outbound().unacked.set_max(unacked_bytes_max);
        Ok(())
    }
}

impl Connection {
    /// The virtual host, once the connection has a place in it; the order of refusals is RabbitMQ's.
    fn admitted_to(&mut self, name: &str) -> Result<Arc<VirtualHost>, Failure> {
        let refused = |text| Err(Failure::new(ReplyCode::NotAllowed, text));
        let account = self.account().clone();
        let user = &account.record.name;
        let joined = self
            .broker
            .vhost(name)
            .map(|vhost| (vhost.join(&self.link, &account.record), vhost));
        let vhost = match joined {
            Some((Joined::In, vhost)) => vhost,
            Some((Joined::Full(max), _)) => {
                return refused(format!(
                    "access to vhost '{name}' refused for user '{user}': connection limit ({max}) is reached"
                ));
            }
            Some((Joined::Deleted, _)) | None => return refused(format!("vhost {name} not found")),
        };
        let share = account.usage.admit_connection();
        if share.is_ok() && self.broker.users.permissions(name, user).may_enter() {
            self.user_share = share.ok();
            return Ok(vhost);
        }
        vhost.leave(self.link.id());
        refused(match share {
            Err(max) => {
                format!("connection refused for user '{user}': user connection limit ({max}) is reached")
            }
            Ok(_) => format!("access to vhost '{name}' refused for user '{user}'"),
        })
    }
}

fn server_properties(product: &Product, durability: Durability) -> FieldTable {
    let mut capabilities = FieldTable::new();
    for name in CAPABILITIES {
        capabilities.insert(name, true);
    }
    let mut properties = FieldTable::new();
    properties.insert("product", product.name.as_str());
    properties.insert("version", product.version.as_str());
    // Who it really is, whatever `product` says.
    properties.insert("implementation", PRODUCT);
    properties.insert("implementation_version", env!("CARGO_PKG_VERSION"));
    properties.insert("platform", concat!("Rust ", env!("CARGO_PKG_RUST_VERSION")));
    properties.insert(
        "copyright",
        concat!("The authors of the ", env!("CARGO_PKG_NAME")),
    );
    properties.insert(
        "information",
        concat!("Licensed under ", env!("CARGO_PKG_LICENSE")),
    );
    properties.insert("cluster_name", node_name());
    properties.insert("durability", durability.name());
    properties.insert("capabilities", FieldValue::Table(capabilities));
    properties
}
