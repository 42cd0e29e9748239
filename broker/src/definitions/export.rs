//! Records to a document, and the command that writes one.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::parse::{ARGON2ID, PUBLISH_BYTES_RATE, PUBLISH_LIMITS, PUBLISH_RATE, VHOST_LIMITS, hashing_name};
use super::{arguments, elsewhere};
use crate::broker::Broker;
use crate::config::Config;
use crate::data_dir::{DataDir, DataDirError};
use crate::log_command::ReadOnly;
use crate::queue::Queue;
use crate::restore;
use crate::store::metadata::{Entity, MetadataStore, UserLimits, UserRecord, VhostLimits};
use crate::topology::DELAY_QUEUE_PREFIX;
use crate::vhost::VirtualHost;
use wire::FieldTable;

/// What to do with definitions.
#[derive(Clone, Debug, Subcommand)]
pub enum DefinitionsCommand {
    /// Prints users, virtual hosts, permissions, limits, exchanges, queues and bindings in RabbitMQ's format.
    ///
    /// What it prints has password hashes in it; what other brokers make of it otherwise is said on standard error. Never changes
    /// anything.
    Export(ExportFlags),
}

/// Flags of `export`.
#[derive(Clone, Debug, Args)]
pub struct ExportFlags {
    /// Data directory of a broker that does not run.
    #[arg(long, value_name = "PATH", default_value = Config::default().data_dir.into_os_string())]
    pub(crate) data_dir: PathBuf,
}

/// Runs a command.
pub(crate) fn run(command: &DefinitionsCommand) -> ExitCode {
    let DefinitionsCommand::Export(flags) = command;
    let printed = exported(&flags.data_dir).and_then(|document| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{document:#}")?;
        out.flush().context("cannot write to standard output")
    });
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("broker definitions: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn exported(path: &Path) -> anyhow::Result<Value> {
    let owned = DataDir::open_existing(path);
    if let Err(DataDirError::InUse { .. }) = &owned {
        return owned
            .map(|_| Value::Null)
            .context("a broker runs on it, which `broker export` asks");
    }
    let _owned = owned?;
    let metadata = MetadataStore::open(Arc::new(ReadOnly), path.join("metadata"))?;
    let mut entities = metadata.load()?;
    // The broker makes its own queues itself, wherever there is an exchange that needs them.
    entities.retain(
        |entity| !matches!(entity, Entity::Queue(queue) if queue.name.starts_with(DELAY_QUEUE_PREFIX)),
    );
    for remark in elsewhere::remarks(&entities) {
        eprintln!("broker definitions: {remark}");
    }
    Ok(document(entities)?.into())
}

/// What is durable in some virtual hosts, themselves among it, of a broker that runs.
pub(super) fn live(broker: &Broker, vhosts: &[Arc<VirtualHost>]) -> Vec<Entity> {
    let known = broker.vhosts();
    let mut entities = Vec::new();
    for vhost in vhosts {
        if !known.iter().any(|other| Arc::ptr_eq(other, vhost)) {
            continue;
        }
        entities.push(Entity::Vhost(vhost.record()));
        let topology = vhost.topology.read();
        let exchanges = topology
            .exchanges()
            .filter(|spec| spec.durable && !spec.name.starts_with("amq."));
        let exchanges = exchanges
            .cloned()
            .map(|spec| restore::exchange_record(vhost.name(), spec));
        entities.extend(exchanges.map(Entity::Exchange));
        let is_defined = |queue: &&Arc<Queue>| {
            queue.declaration().is_stored() && !queue.name().starts_with(DELAY_QUEUE_PREFIX)
        };
        let queues = topology.queues().filter(is_defined);
        entities.extend(queues.map(|queue| Entity::Queue(restore::description(vhost.name(), queue))));
        let bindings = topology.durable_bindings();
        let bindings = bindings.map(|spec| restore::binding_record(vhost.name(), spec.clone()));
        entities.extend(bindings.map(Entity::Binding));
    }
    entities
}

/// The document that defines all of `entities`.
pub(super) fn document(entities: Vec<Entity>) -> anyhow::Result<Map<String, Value>> {
    let names = [
        "vhosts",
        "users",
        "permissions",
        "topic_permissions",
        "parameters",
        "policies",
        "exchanges",
        "queues",
        "bindings",
    ];
    let mut lists: Map<String, Value> = names.iter().map(|&name| (name.to_owned(), json!([]))).collect();
    let mut add = |list: &str, value: Value| {
        if let Some(Value::Array(values)) = lists.get_mut(list) {
            values.push(value);
        }
    };
    for entity in entities {
        match entity {
            Entity::Vhost(vhost) => {
                if let Some(value) = vhost_limits(vhost.limits) {
                    let name = &vhost.name;
                    let limits =
                        json!({"component": VHOST_LIMITS, "vhost": name, "name": "limits", "value": value});
                    add("parameters", limits);
                }
                let metadata = json!({"description": vhost.description, "tags": vhost.tags});
                add("vhosts", json!({"name": vhost.name, "metadata": metadata}));
            }
            Entity::User(record) => add("users", user_object(&record)),
            Entity::Permission(record) => add(
                "permissions",
                json!({
                    "user": record.user, "vhost": record.vhost,
                    "configure": record.configure, "write": record.write, "read": record.read,
                }),
            ),
            Entity::TopicPermission(record) => add(
                "topic_permissions",
                json!({
                    "user": record.user, "vhost": record.vhost, "exchange": record.exchange,
                    "write": record.write, "read": record.read,
                }),
            ),
            Entity::Exchange(record) => add(
                "exchanges",
                json!({
                    "name": record.name, "vhost": record.vhost, "type": record.kind, "durable": record.durable,
                    "auto_delete": record.auto_delete, "internal": record.internal,
                    "arguments": object(&record.arguments, "exchange", &record.name)?,
                }),
            ),
            Entity::Queue(record) => add(
                "queues",
                json!({
                    "name": record.name, "vhost": record.vhost, "durable": record.durable,
                    "auto_delete": record.auto_delete,
                    "arguments": object(&record.arguments, "queue", &record.name)?,
                }),
            ),
            Entity::Binding(record) => add(
                "bindings",
                json!({
                    "source": record.source, "vhost": record.vhost, "destination": record.destination,
                    "destination_type": record.destination_kind.name(), "routing_key": record.routing_key,
                    "arguments": object(&record.arguments, "binding of", &record.destination)?,
                }),
            ),
        }
    }
    Ok(lists)
}

/// A user as a document has it. To RabbitMQ one whose password is hashed by Argon2id has none; the hash is beside that for this
/// broker.
pub(crate) fn user_object(user: &UserRecord) -> Value {
    let mut value = json!({
        "name": user.name,
        "password_hash": user.password_hash.for_rabbitmq(),
        "hashing_algorithm": hashing_name(&user.password_hash),
        "tags": user.tags,
        "limits": user_limits(user.limits.unwrap_or_default()),
    });
    if user.password_hash.is_slow() {
        value[ARGON2ID] = json!(user.password_hash);
    }
    let publish_limits = publish_limits(user.limits.unwrap_or_default());
    if !publish_limits.is_empty() {
        value[PUBLISH_LIMITS] = publish_limits.into();
    }
    value
}

fn object(arguments: &FieldTable, kind: &str, name: &str) -> anyhow::Result<Map<String, Value>> {
    arguments::to_object(arguments)
        .with_context(|| format!("{kind} '{name}': an argument has a value that JSON cannot say"))
}

pub(crate) fn vhost_limits(limits: VhostLimits) -> Option<Map<String, Value>> {
    let all = [
        ("max-connections", limits.connections_max),
        ("max-queues", limits.queues_max),
    ];
    Some(set(all)).filter(|limits| !limits.is_empty())
}

pub(crate) fn user_limits(limits: UserLimits) -> Map<String, Value> {
    set([
        ("max-connections", limits.connections_max),
        ("max-channels", limits.channels_max),
    ])
}

/// The limits of a user that RabbitMQ does not have.
pub(crate) fn publish_limits(limits: UserLimits) -> Map<String, Value> {
    set([
        (PUBLISH_RATE, limits.publish_rate_max),
        (PUBLISH_BYTES_RATE, limits.publish_bytes_rate_max),
    ])
}

fn set(limits: [(&str, Option<u64>); 2]) -> Map<String, Value> {
    let set = limits.into_iter();
    set.filter_map(|(name, limit)| Some((name.to_owned(), limit?.into())))
        .collect()
}

#[cfg(test)]
mod tests {
    use seglog::simulation::SimStorage;

    use super::*;
    use crate::definitions::Definitions;

    const DOCUMENT: &str = r#"{
        "rabbit_version": "4.0.5",
        "vhosts": [{"name": "/"}, {"name": "tenant", "metadata": {"description": "d", "tags": ["t"]}}],
        "users": [{"name": "ada", "password_hash": "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR",
            "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": "administrator,monitoring",
            "limits": {"max-connections": 5, "max-channels": -1}, "publish_limits": {"max-publish-rate": 9}}],
        "permissions": [{"user": "ada", "vhost": "tenant", "configure": "", "write": "^x", "read": ".*"}],
        "topic_permissions": [{"user": "ada", "vhost": "tenant", "exchange": "x", "write": "^a", "read": ""}],
        "parameters": [
            {"component": "vhost-limits", "vhost": "tenant", "name": "limits", "value": {"max-queues": 7}},
            {"component": "shovel", "vhost": "/", "name": "s", "value": {}}
        ],
        "global_parameters": [{"name": "cluster_name", "value": "c"}],
        "policies": [],
        "exchanges": [
            {"name": "x", "vhost": "tenant", "type": "topic", "durable": true, "auto_delete": false,
             "internal": false, "arguments": {"alternate-exchange": "y"}},
            {"name": "brief", "vhost": "tenant", "type": "fanout", "durable": false}
        ],
        "queues": [{"name": "q", "vhost": "tenant", "durable": true, "auto_delete": false, "arguments": {},
            "type": "classic", "leader": "l"}],
        "bindings": [
            {"source": "x", "vhost": "tenant", "destination": "q", "destination_type": "queue",
             "routing_key": "a.#", "arguments": {"n": 1}, "properties_key": "a.%23~x"},
            {"source": "brief", "vhost": "tenant", "destination": "q", "destination_type": "queue",
             "routing_key": "", "arguments": {}}
        ],
        "federation": 1
    }"#;

    fn imported(storage: &SimStorage, text: &str) -> anyhow::Result<Vec<Entity>> {
        let config = Config {
            definitions: Some(text.parse().map_err(anyhow::Error::msg)?),
            ..Config::default()
        };
        let (broker, jobs) = Broker::open(config, Arc::new(storage.clone()))?;
        let entities = broker.store.metadata().load()?;
        crate::store::Maintenance::start(Arc::clone(&broker), jobs)?.stop();
        broker.store.log_thread().stop();
        Ok(entities)
    }

    #[test]
    fn what_is_imported_is_exported_and_importing_again_changes_nothing() {
        let storage = SimStorage::default();
        let entities = imported(&storage, DOCUMENT).unwrap();
        assert_eq!(imported(&storage, DOCUMENT).unwrap(), entities);
        let users: Vec<_> = entities
            .iter()
            .filter(|entity| matches!(entity, Entity::User(_)))
            .collect();
        assert_eq!(users.len(), 1, "no guest where users are defined");

        let exported = Value::from(document(entities).unwrap());
        assert_eq!(exported["vhosts"].as_array().unwrap().len(), 2);
        assert_eq!(
            exported["parameters"],
            json!([{"component": "vhost-limits", "vhost": "tenant", "name": "limits", "value": {"max-queues": 7}}])
        );
        assert_eq!(
            exported["users"][0]["tags"],
            json!(["administrator", "monitoring"])
        );
        assert_eq!(
            exported["users"][0]["limits"],
            json!({"max-connections": 5}),
            "nothing that RabbitMQ would refuse"
        );
        assert_eq!(
            exported["users"][0]["publish_limits"],
            json!({"max-publish-rate": 9})
        );
        assert_eq!(exported["exchanges"].as_array().unwrap().len(), 1);
        assert_eq!(exported["bindings"].as_array().unwrap().len(), 1);
        assert_eq!(exported["bindings"][0]["arguments"], json!({"n": 1}));

        let copy = SimStorage::default();
        let again = Value::from(document(imported(&copy, &exported.to_string()).unwrap()).unwrap());
        assert_eq!(again, exported);
    }

    #[test]
    fn what_this_broker_has_nothing_like_is_named() {
        let definitions: Definitions = DOCUMENT.parse().unwrap();
        assert_eq!(
            definitions.left_out,
            [
                "parameters[1].component 'shovel'",
                "queues[0].leader",
                "global_parameters[0].name 'cluster_name'",
                "federation",
            ]
        );
    }

    #[test]
    fn a_mistake_is_told_with_its_place() {
        for (text, expected) in [
            ("[]", "the document: expected an object, found a list"),
            (
                r#"{"users": [{"name": 7}]}"#,
                "users[0].name: expected a string, found 7",
            ),
            (
                r#"{"users": [{"name": "a"}]}"#,
                "users[0].password_hash: either this or a password is required",
            ),
            (
                r#"{"users": [{"name": "a", "password_hash": "x", "hashing_algorithm": "rabbit_password_hashing_md5"}]}"#,
                "users[0].hashing_algorithm: 'rabbit_password_hashing_md5' is not supported, only rabbit_password_hashing_sha256 and rabbit_password_hashing_sha512",
            ),
            (
                r#"{"users": [{"name": "a", "password_hash": "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR", "hashing_algorithm": "rabbit_password_hashing_sha512"}]}"#,
                "users[0].password_hash: it was not made by the hashing_algorithm",
            ),
            (r#"{"queues": [{"vhost": "/"}]}"#, "queues[0].name: missing"),
            (
                r#"{"exchanges": [{"name": "x", "vhost": "/", "type": "topical"}]}"#,
                "exchanges[0].type: ",
            ),
            (
                r#"{"policies": [{"name": "p"}]}"#,
                "policies: not supported by this broker",
            ),
            (r#"{"vhosts": {"#, "EOF while parsing"),
        ] {
            let error = text.parse::<Definitions>().unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn what_could_not_be_declared_is_refused_and_nothing_is_stored() {
        for (text, expected) in [
            (
                r#"{"permissions": [{"user": "eve", "vhost": "/", "configure": "", "write": "", "read": ""}]}"#,
                "permission of user 'eve' in vhost '/': there is no such user",
            ),
            (
                r#"{"permissions": [{"user": "guest", "vhost": "/", "configure": "(", "write": "", "read": ""}]}"#,
                "permission of user 'guest' in vhost '/': configure pattern '('",
            ),
            (
                r#"{"queues": [{"name": "q", "vhost": "nowhere"}]}"#,
                "queue 'q' in vhost 'nowhere': there is no such vhost",
            ),
            (
                r#"{"queues": [{"name": "q", "vhost": "/", "arguments": {"x-durability": "perhaps"}}]}"#,
                "queue 'q' in vhost '/': invalid arg 'x-durability'",
            ),
            (
                r#"{"bindings": [{"source": "amq.topic", "vhost": "/", "destination": "q",
                    "destination_type": "queue", "routing_key": ""}]}"#,
                "binding of 'q' to 'amq.topic' in vhost '/': NOT_FOUND - no queue 'q' in vhost '/'",
            ),
        ] {
            let storage = SimStorage::default();
            let error = format!("{:#}", imported(&storage, text).unwrap_err());
            assert!(error.contains(expected), "{error}");
            assert_eq!(storage.files(), [] as [&Path; 0], "{expected}");
        }
    }
}
