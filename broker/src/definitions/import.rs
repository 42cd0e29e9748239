//! Records to the store, before anything is restored from it.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher as _;

use anyhow::{Context as _, ensure};

use super::parse::Definitions;
use crate::auth::{GUEST, Users};
use crate::config::Config;
use crate::restore;
use crate::store::Store;
use crate::store::metadata::{
    BindingRecord, DestinationKind, Entity, ExchangeRecord, QueueRecord, VhostRecord,
};
use crate::topology::{DELAY_QUEUE_PREFIX, Topology};
use crate::vhost::DEFAULT_VHOST;

/// Stores what `definitions` says and `entities`, all that is stored, lack; they are read anew then.
///
/// # Errors
/// When something in it refers to what is nowhere, or could not be declared; nothing is stored then. Or when it cannot be
/// stored.
pub(crate) fn import(
    store: &Store,
    entities: &mut Vec<Entity>,
    definitions: &Definitions,
    config: &Config,
) -> anyhow::Result<()> {
    let path = definitions.path.display();
    let new = resolved(entities, definitions, config)?;
    store.metadata().put_all(&new)?;
    *entities = store.metadata().load()?;
    tracing::info!(%path, records = new.len(), "definitions imported");
    Ok(())
}

/// The records that `definitions` has and `stored` lacks, in the order in which each can refer to those before it. Tells
/// what is left out.
///
/// # Errors
/// When something in it refers to what is nowhere, or could not be declared.
pub(super) fn resolved(
    stored: &[Entity],
    definitions: &Definitions,
    config: &Config,
) -> anyhow::Result<Vec<Entity>> {
    let path = definitions.path.display();
    let new = Importer::new(stored, config)
        .run(definitions)
        .with_context(|| format!("cannot import definitions from {path}"))?;
    for what in &new.left_out {
        tracing::warn!(%path, what, "not imported: this broker has nothing like it");
    }
    Ok(new.entities)
}

/// What is to be stored.
#[derive(Debug, Default)]
struct New {
    entities: Vec<Entity>,
    left_out: Vec<String>,
}

/// What is there, stored or new.
#[derive(Debug)]
struct Importer<'a> {
    stored: &'a [Entity],
    config: &'a Config,
    vhosts: BTreeMap<String, VhostRecord>,
    users: BTreeSet<String>,
    topologies: BTreeMap<String, Topology<()>>,
    /// Exchanges and queues that are defined and not imported.
    transient: BTreeSet<(String, DestinationName)>,
    new: New,
}

type DestinationName = (bool, String);

impl<'a> Importer<'a> {
    fn new(stored: &'a [Entity], config: &'a Config) -> Importer<'a> {
        let mut importer = Importer {
            stored,
            config,
            vhosts: BTreeMap::new(),
            users: config.users.iter().map(|user| user.name.clone()).collect(),
            topologies: BTreeMap::new(),
            transient: BTreeSet::new(),
            new: New::default(),
        };
        for entity in stored {
            match entity {
                Entity::Vhost(vhost) => drop(importer.vhosts.insert(vhost.name.clone(), vhost.clone())),
                Entity::User(user) => drop(importer.users.insert(user.name.clone())),
                _ => {}
            }
        }
        importer
    }

    fn run(mut self, definitions: &Definitions) -> anyhow::Result<New> {
        self.new.left_out.clone_from(&definitions.left_out);
        self.vhosts_and_limits(definitions)?;
        self.users_and_permissions(definitions)?;
        for entity in self.stored {
            match entity {
                Entity::Exchange(record) => self.declare_exchange(record)?,
                Entity::Queue(record) => self.declare_queue(record)?,
                Entity::Binding(record) => self.bind(record)?,
                _ => {}
            }
        }
        for exchange in &definitions.exchanges {
            self.exchange(exchange)?;
        }
        for (index, queue) in definitions.queues.iter().enumerate() {
            self.queue(index, queue)?;
        }
        for binding in &definitions.bindings {
            self.binding(binding)?;
        }
        Ok(self.new)
    }

    fn vhosts_and_limits(&mut self, definitions: &Definitions) -> anyhow::Result<()> {
        let mut changed = BTreeSet::new();
        for vhost in &definitions.vhosts {
            let known = self.vhosts.entry(vhost.name.clone()).or_default();
            *known = VhostRecord {
                limits: known.limits,
                ..vhost.clone()
            };
            changed.insert(vhost.name.clone());
        }
        if self.vhosts.is_empty() {
            self.vhosts.insert(DEFAULT_VHOST.to_owned(), default_vhost());
        }
        for (name, limits) in &definitions.vhost_limits {
            let known = self.vhosts.get_mut(name);
            let known = known.with_context(|| format!("limits of vhost '{name}': there is no such vhost"))?;
            known.limits = *limits;
            changed.insert(name.clone());
        }
        for name in self.vhosts.keys() {
            self.topologies.insert(name.clone(), Topology::new(name));
        }
        let changed = changed.iter().filter_map(|name| self.vhosts.get(name));
        self.new.entities.extend(changed.cloned().map(Entity::from));
        Ok(())
    }

    fn users_and_permissions(&mut self, definitions: &Definitions) -> anyhow::Result<()> {
        let new = definitions.users.iter();
        self.users.extend(new.clone().map(|user| user.name.clone()));
        self.new.entities.extend(new.cloned().map(Entity::from));
        if self.users.is_empty() {
            self.users.insert(GUEST.to_owned());
        }
        let patterns = Users::new(Vec::new());
        for permission in &definitions.permissions {
            let (vhost, user) = (&permission.vhost, &permission.user);
            let text = || format!("permission of user '{user}' in vhost '{vhost}'");
            self.check_known(vhost, user).with_context(text)?;
            let granted = patterns.grant(permission.clone());
            granted.map_err(anyhow::Error::msg).with_context(text)?;
            self.new.entities.push(permission.clone().into());
        }
        for permission in &definitions.topic_permissions {
            let (vhost, user, exchange) = (&permission.vhost, &permission.user, &permission.exchange);
            let text =
                || format!("topic permission of user '{user}' for exchange '{exchange}' in vhost '{vhost}'");
            self.check_known(vhost, user).with_context(text)?;
            let granted = patterns.grant_topic(permission.clone());
            granted.map_err(anyhow::Error::msg).with_context(text)?;
            self.new.entities.push(permission.clone().into());
        }
        Ok(())
    }

    fn check_known(&self, vhost: &str, user: &str) -> anyhow::Result<()> {
        ensure!(self.vhosts.contains_key(vhost), "there is no such vhost");
        ensure!(self.users.contains(user), "there is no such user");
        Ok(())
    }

    fn exchange(&mut self, record: &ExchangeRecord) -> anyhow::Result<()> {
        let (vhost, name) = (&record.vhost, &record.name);
        let text = || format!("exchange '{name}' in vhost '{vhost}'");
        if self
            .topology(vhost)
            .with_context(text)?
            .check_exchange(name)
            .is_ok()
        {
            return Ok(());
        }
        if !record.durable {
            self.new
                .left_out
                .push(format!("{}, which is not durable", text()));
            self.transient.insert((vhost.clone(), (false, name.clone())));
            return Ok(());
        }
        self.declare_exchange(record)?;
        self.new.entities.push(record.clone().into());
        Ok(())
    }

    fn queue(&mut self, index: usize, record: &QueueRecord) -> anyhow::Result<()> {
        let (vhost, name) = (&record.vhost, &record.name);
        let text = || format!("queue '{name}' in vhost '{vhost}'");
        // The broker makes its own queues itself.
        if self.topology(vhost).with_context(text)?.queue(name).is_some()
            || name.starts_with(DELAY_QUEUE_PREFIX)
        {
            return Ok(());
        }
        if !record.durable {
            self.new
                .left_out
                .push(format!("{}, which is not durable", text()));
            self.transient.insert((vhost.clone(), (true, name.clone())));
            return Ok(());
        }
        self.declare_queue(record)?;
        let record = QueueRecord {
            // A letter that no queue declared by a client has there.
            id: format!("{:016x}-d{index:x}", RandomState::new().hash_one(index)),
            ..record.clone()
        };
        self.new.entities.push(record.into());
        Ok(())
    }

    fn binding(&mut self, record: &BindingRecord) -> anyhow::Result<()> {
        let is_queue = record.destination_kind == DestinationKind::Queue;
        let ends = [(false, &record.source), (is_queue, &record.destination)];
        let is_left_out = |(is_queue, name): &(bool, &String)| {
            let key = (record.vhost.clone(), (*is_queue, (*name).clone()));
            self.transient.contains(&key)
        };
        if ends.iter().any(is_left_out) {
            self.new.left_out.push(described(record));
            return Ok(());
        }
        let before = self.topology(&record.vhost)?.generation();
        self.bind(record)?;
        if self.topology(&record.vhost)?.generation() != before {
            self.new.entities.push(record.clone().into());
        }
        Ok(())
    }

    fn declare_exchange(&mut self, record: &ExchangeRecord) -> anyhow::Result<()> {
        let spec = restore::exchange_spec(record.clone())?;
        let declared = self
            .topology(&record.vhost)
            .and_then(|topology| topology.declare_exchange(spec).map_err(anyhow::Error::from));
        declared.with_context(|| format!("exchange '{}' in vhost '{}'", record.name, record.vhost))
    }

    fn declare_queue(&mut self, record: &QueueRecord) -> anyhow::Result<()> {
        let durability = self.config.durability;
        let declared = self.topology(&record.vhost).and_then(|topology| {
            restore::check_queue(record, durability).map_err(anyhow::Error::msg)?;
            topology.add_queue(&record.name, true, ());
            Ok(())
        });
        declared.with_context(|| format!("queue '{}' in vhost '{}'", record.name, record.vhost))
    }

    fn bind(&mut self, record: &BindingRecord) -> anyhow::Result<()> {
        let bound = self
            .topology(&record.vhost)
            .and_then(|topology| Ok(restore::bind(topology, record)?));
        bound.with_context(|| described(record))
    }

    fn topology(&mut self, vhost: &str) -> anyhow::Result<&mut Topology<()>> {
        self.topologies.get_mut(vhost).context("there is no such vhost")
    }
}

fn described(record: &BindingRecord) -> String {
    let BindingRecord {
        vhost,
        source,
        destination,
        ..
    } = record;
    format!("binding of '{destination}' to '{source}' in vhost '{vhost}'")
}

fn default_vhost() -> VhostRecord {
    VhostRecord {
        name: DEFAULT_VHOST.to_owned(),
        ..VhostRecord::default()
    }
}
