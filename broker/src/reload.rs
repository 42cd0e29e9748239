//! SIGHUP: the configuration is read again as a start would read it. What can change while the broker runs does, what
//! cannot is told by name, and one with a mistake changes nothing.

use std::ffi::OsString;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::auth;
use crate::broker::Broker;
use crate::cli::{Loaded, Setting, Sources, shown};
use crate::definitions;
use crate::logging;
use crate::store::metadata::Entity;
use crate::tls::Handshakes;

/// Keys of what takes effect at once. Users and definitions that are gone from the configuration stay, as at a start.
const LIVE_KEYS: [&str; 21] = [
    "auth_failure_delay",
    "connections_max",
    "consumers_per_channel_max",
    "handshake_timeout",
    "consumer_timeout",
    "heartbeat",
    "log",
    "log_format",
    "user",
    "definitions",
    "loopback_users",
    "tls_cacertfile",
    "tls_certfile",
    "tls_keyfile",
    "tls_sni",
    "tls_verify",
    "tls_fail_if_no_peer_cert",
    "tls_version_min",
    "tls_login_from",
    "tls_login_san_type",
    "tls_login_san_index",
];

/// What is needed to read the configuration again.
#[derive(Debug)]
pub(crate) struct Reload {
    sources: Sources,
    /// What is in force; of settings that need a restart, what was at the start.
    current: Loaded,
    broker: Arc<Broker>,
    handshakes: Option<Handshakes>,
    demand: Signal,
}

impl Reload {
    /// Listens for SIGHUP from here on.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub(crate) fn new(
        current: Loaded,
        sources: Sources,
        broker: Arc<Broker>,
        handshakes: Option<Handshakes>,
    ) -> anyhow::Result<Reload> {
        Ok(Reload {
            sources,
            current,
            broker,
            handshakes,
            demand: signal(SignalKind::hangup())?,
        })
    }

    /// Reads the configuration whenever SIGHUP comes. Never returns.
    pub(crate) async fn on_demand(mut self) {
        while self.demand.recv().await.is_some() {
            tracing::info!("SIGHUP: reading the configuration again");
            // Reads files, and may hash passwords: not on the thread that accepts.
            let reloaded = tokio::task::spawn_blocking(move || {
                self.reload();
                self
            });
            match reloaded.await {
                Ok(reload) => self = reload,
                Err(error) => {
                    tracing::error!(%error, "the configuration cannot be read again any more");
                    return;
                }
            }
        }
    }

    fn reload(&mut self) {
        let new = match self.sources.load() {
            Ok(new) => new,
            Err(problems) => {
                for problem in &problems.0 {
                    tracing::error!(%problem, "configuration refused; nothing is changed");
                }
                return;
            }
        };
        for note in &new.notes {
            tracing::warn!("{note}");
        }
        // First, because it alone can fail.
        if let Err(error) = self.import(&new) {
            tracing::error!(
                error = format!("{error:#}"),
                "configuration refused; nothing is changed"
            );
            return;
        }
        logging::change(&new.log);
        self.broker.limits.set(&new.config);
        self.broker
            .users
            .set_loopback_only(new.config.loopback_users.clone());
        if let (Some(handshakes), Some(tls)) = (&self.handshakes, &new.tls) {
            handshakes.change(Arc::clone(tls), new.config.tls.clone());
            tracing::info!("certificates read again");
        }
        self.put_users(&new);
        // Last: whoever reads it in the log can rely on it.
        let waiting = self.tell_changes(&new);
        let mut current = new;
        // Told again at the next reload, unless they have been changed back.
        for (key, setting) in waiting {
            current.settings.insert(key, setting);
        }
        self.current = current;
    }

    fn import(&self, new: &Loaded) -> anyhow::Result<()> {
        let Some(definitions) = &new.config.definitions else {
            return Ok(());
        };
        let current = self.current.config.definitions.as_ref();
        if current.is_some_and(|current| current.has_text_of(definitions)) {
            return Ok(());
        }
        definitions::apply(&self.broker, definitions)
    }

    /// Logs what is different. Gives the settings that were to change and cannot, as they are in force.
    fn tell_changes(&self, new: &Loaded) -> Vec<(String, Setting)> {
        let mut waiting = Vec::new();
        for (key, now) in &new.settings {
            let Some(before) = self.current.settings.get(key) else {
                continue;
            };
            if before.values == now.values {
                continue;
            }
            let text = |values: &[OsString]| {
                let values: Vec<String> = values.iter().map(|value| shown(key, value)).collect();
                values.join(", ")
            };
            let (from, to) = (text(&before.values), text(&now.values));
            if LIVE_KEYS.contains(&key.as_str()) {
                tracing::info!(key, from, to, origin = %now.origin, "setting changed");
            } else {
                tracing::warn!(key, from, to, origin = %now.origin, "setting changed; it takes effect at the next start");
                waiting.push((key.clone(), before.clone()));
            }
        }
        waiting
    }

    fn put_users(&self, new: &Loaded) {
        let wanted = &new.config.users;
        if *wanted == self.current.config.users {
            return;
        }
        let seeded = auth::seeded(&self.broker.users.records(), wanted);
        let (users, permissions): (Vec<_>, Vec<_>) = seeded
            .into_iter()
            .partition(|entity| matches!(entity, Entity::User(_)));
        // Only who is known can be given permissions.
        for entity in users.into_iter().chain(permissions) {
            match entity {
                Entity::User(record) => drop(self.broker.put_user(record)),
                Entity::Permission(record) => {
                    let (user, vhost) = (record.user.clone(), record.vhost.clone());
                    if let Err(error) = self.broker.set_permission(record) {
                        tracing::warn!(user, vhost, error, "user without permissions");
                    }
                }
                _ => {}
            }
        }
    }
}
