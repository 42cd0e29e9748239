//! SIGHUP, or `broker reload`: the configuration is read again as a start would read it. What can change while the broker runs does, what
//! cannot is told by name, and one with a mistake changes nothing.

use std::ffi::OsString;
use std::sync::Arc;

use serde::Serialize;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::auth;
use crate::broker::Broker;
use crate::cli::{Loaded, Setting, Sources, shown};
use crate::definitions;
use crate::logging;
use crate::notify::Notifier;
use crate::stage::ReloadRequest;
use crate::store::metadata::Entity;
use crate::tls::{Handshakes, note_expiries};

/// Keys of what takes effect at once. Users and definitions that are gone from the configuration stay, as at a start.
const LIVE_KEYS: [&str; 33] = [
    "memory_high_watermark",
    "write_timeout",
    "publish_rate_max",
    "publish_bytes_rate_max",
    "user_publish_rate_max",
    "user_publish_bytes_rate_max",
    "unacked_bytes_max",
    "channels_max",
    "queues_max",
    "exchanges_max",
    "bindings_max",
    "disk_free_min",
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

/// What came of reading the configuration again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Reloaded {
    /// All mistakes; with one of them nothing is changed.
    pub(crate) problems: Vec<String>,
    /// What is worth a word.
    pub(crate) notes: Vec<String>,
    /// What is in force now.
    pub(crate) changed: Vec<Change>,
    /// What takes effect at the next start.
    pub(crate) waiting: Vec<Change>,
    /// What was done without a setting that changed: files that settings name were read again.
    pub(crate) done: Vec<String>,
    /// What could not be done, though all else is in force.
    pub(crate) failures: Vec<String>,
}

/// A setting that is different.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Change {
    pub(crate) key: String,
    /// What is secret in it is hidden.
    pub(crate) from: String,
    pub(crate) to: String,
    /// Where the new value stands.
    pub(crate) origin: String,
}

/// Requests of those who wait for the outcome, at a time.
pub(crate) const REQUESTS_MAX: usize = 16;

/// What came of importing definitions.
struct Imported {
    done: Vec<String>,
    failure: Option<String>,
}

/// What is needed to read the configuration again.
#[derive(Debug)]
pub(crate) struct Reload {
    sources: Sources,
    /// What is in force; of settings that need a restart, what was at the start.
    current: Loaded,
    broker: Arc<Broker>,
    handshakes: Option<Handshakes>,
    notifier: Arc<Notifier>,
    demand: Signal,
    requests: mpsc::Receiver<ReloadRequest>,
}

impl Reload {
    /// Listens for SIGHUP from here on; `requests` are other ways to ask.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub(crate) fn new(
        current: Loaded,
        sources: Sources,
        broker: Arc<Broker>,
        handshakes: Option<Handshakes>,
        notifier: Arc<Notifier>,
        requests: mpsc::Receiver<ReloadRequest>,
    ) -> anyhow::Result<Reload> {
        Ok(Reload {
            sources,
            current,
            broker,
            handshakes,
            notifier,
            demand: signal(SignalKind::hangup())?,
            requests,
        })
    }

    /// Reads the configuration whenever SIGHUP or a request comes. Never returns.
    pub(crate) async fn on_demand(mut self) {
        loop {
            let request = tokio::select! {
                Some(()) = self.demand.recv() => {
                    tracing::info!("SIGHUP: reading the configuration again");
                    None
                }
                Some(request) = self.requests.recv() => {
                    tracing::info!("reading the configuration again, as asked for");
                    Some(request)
                }
                else => return,
            };
            let notifier = Arc::clone(&self.notifier);
            notifier.reloading();
            // Reads files, and may hash passwords: not on the thread that accepts.
            let reloaded = tokio::task::spawn_blocking(move || {
                let outcome = self.reload();
                (self, outcome)
            });
            match reloaded.await {
                Ok((reload, outcome)) => {
                    self = reload;
                    let store = &self.broker.store;
                    store.stored(store.ticket_last()).await;
                    if let Some(request) = request {
                        // Whoever has asked may be gone.
                        let _ = request.send(outcome);
                    }
                    notifier.reloaded();
                }
                Err(error) => {
                    tracing::error!(%error, "the configuration cannot be read again any more");
                    return;
                }
            }
        }
    }

    fn reload(&mut self) -> Reloaded {
        let refused = |problems: Vec<String>| {
            for problem in &problems {
                tracing::error!(%problem, "configuration refused; nothing is changed");
            }
            Reloaded {
                problems,
                ..Reloaded::default()
            }
        };
        let new = match self.sources.load() {
            Ok(new) => new,
            Err(problems) => return refused(problems.0.iter().map(ToString::to_string).collect()),
        };
        for note in &new.notes {
            tracing::warn!("{note}");
        }
        // First, because what is wrong with it can still refuse all of it.
        let imported = match self.import(&new) {
            Ok(imported) => imported,
            Err(error) => return refused(vec![format!("definitions: {error:#}")]),
        };
        logging::change(&new.log);
        self.broker.limits.set(&new.config);
        self.broker
            .users
            .set_loopback_only(new.config.loopback_users.clone());
        let mut done = Vec::new();
        if let (Some(handshakes), Some(tls)) = (&self.handshakes, &new.tls) {
            handshakes.change(Arc::clone(tls), new.config.tls.clone());
            note_expiries(&self.broker, &new.config.tls);
            done.push("certificates read again".to_owned());
        }
        let mut failures = self.put_users(&new);
        if let Some(Imported { done: read, failure }) = imported {
            done.extend(read);
            failures.extend(failure);
        }
        for done in &done {
            tracing::info!("{done}");
        }
        for failure in &failures {
            tracing::error!("{failure}");
        }
        // Last: whoever reads it in the log can rely on it.
        let (changed, waiting) = self.tell_changes(&new);
        let outcome = Reloaded {
            notes: new.notes.clone(),
            done,
            failures,
            ..changed
        };
        let mut current = new;
        // Told again at the next reload, unless they have been changed back.
        for (key, setting) in waiting {
            current.settings.insert(key, setting);
        }
        self.current = current;
        outcome
    }

    /// Imports the definitions if their file has changed.
    ///
    /// # Errors
    /// When they could not be imported at a start; nothing is changed then.
    fn import(&self, new: &Loaded) -> anyhow::Result<Option<Imported>> {
        let Some(definitions) = &new.config.definitions else {
            return Ok(None);
        };
        let current = self.current.config.definitions.as_ref();
        if current.is_some_and(|current| current.has_text_of(definitions)) {
            return Ok(None);
        }
        let path = definitions.path.display();
        let resolved = definitions::resolve(&self.broker, definitions)?;
        let records = resolved.len();
        let left_out = definitions.left_out().iter();
        let mut done: Vec<String> = left_out
            .map(|place| format!("{path}: {place} left out, because this broker has nothing like it"))
            .collect();
        let failure = match definitions::make_all(&self.broker, resolved) {
            Ok(()) => {
                done.push(format!("{path}: {records} definitions imported"));
                None
            }
            Err(error) => Some(format!(
                "{path}: not all definitions imported; what came before this is there: {error:#}"
            )),
        };
        Ok(Some(Imported { done, failure }))
    }

    /// Logs what is different. Gives it, and the settings that were to change and cannot, as they are in force.
    fn tell_changes(&self, new: &Loaded) -> (Reloaded, Vec<(String, Setting)>) {
        let (mut outcome, mut waiting) = (Reloaded::default(), Vec::new());
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
            let change = Change {
                key: key.clone(),
                from: from.clone(),
                to: to.clone(),
                origin: now.origin.to_string(),
            };
            if LIVE_KEYS.contains(&key.as_str()) {
                tracing::info!(key, from, to, origin = %now.origin, "setting changed");
                outcome.changed.push(change);
            } else {
                tracing::warn!(key, from, to, origin = %now.origin, "setting changed; it takes effect at the next start");
                outcome.waiting.push(change);
                waiting.push((key.clone(), before.clone()));
            }
        }
        (outcome, waiting)
    }

    /// Makes users what the configuration says; gives what could not be done.
    fn put_users(&self, new: &Loaded) -> Vec<String> {
        let mut failures = Vec::new();
        let wanted = &new.config.users;
        if *wanted == self.current.config.users {
            return failures;
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
                        failures.push(format!(
                            "user '{user}' has no permissions in vhost '{vhost}': {error}"
                        ));
                    }
                }
                _ => {}
            }
        }
        failures
    }
}
