//! The records: what is remembered of each durable entity.

use serde::{Deserialize, Deserializer, Serialize, de};
use wire::FieldTable;

use super::arguments;
use super::key::Key;
use crate::auth::PasswordHash;
use crate::topology::ExchangeKind;

/// A virtual host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VhostRecord {
    /// Its name.
    pub name: String,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// For people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// What it may hold.
    #[serde(default, skip_serializing_if = "VhostLimits::is_unlimited")]
    pub limits: VhostLimits,
}

/// What a virtual host may hold at most; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VhostLimits {
    /// Connections that have opened it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections_max: Option<u64>,
    /// Queues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queues_max: Option<u64>,
}

impl VhostLimits {
    fn is_unlimited(&self) -> bool {
        *self == VhostLimits::default()
    }
}

/// What a user may have at most, over all virtual hosts; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserLimits {
    /// Open connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections_max: Option<u64>,
    /// Open channels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels_max: Option<u64>,
    /// Messages published in a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish_rate_max: Option<u64>,
    /// Bytes published in a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish_bytes_rate_max: Option<u64>,
}

/// What a user may do in a virtual host: regular expressions that a name must match somewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PermissionRecord {
    /// The virtual host.
    pub vhost: String,
    /// The user.
    pub user: String,
    /// What may be declared and deleted.
    pub configure: String,
    /// What may be published to and bound.
    pub write: String,
    /// What may be consumed, purged and bound to.
    pub read: String,
}

/// What a user may do with a topic exchange: regular expressions for routing keys, in which `{username}` and `{vhost}`
/// stand for the connection's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopicPermissionRecord {
    /// The virtual host.
    pub vhost: String,
    /// The user.
    pub user: String,
    /// The exchange.
    pub exchange: String,
    /// With what a message may be published.
    pub write: String,
    /// With what something may be bound.
    pub read: String,
}

/// Somebody who may connect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserRecord {
    /// The name.
    pub name: String,
    /// What a password is compared with.
    pub password_hash: PasswordHash,
    /// How it was made.
    pub hashing: PasswordHashing,
    /// Roles, as in RabbitMQ: `administrator`, `monitoring` …
    pub tags: Vec<String>,
    /// What the user may have. `None` was written before there were permissions: such a user may do everything in `/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<UserLimits>,
}

/// Ways to hash a password.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PasswordHashing {
    /// RabbitMQ's `rabbit_password_hashing_sha256`; also where there is no password.
    #[default]
    Sha256,
    /// RabbitMQ's `rabbit_password_hashing_sha512`.
    Sha512,
    /// Argon2id, for passwords that were set here.
    Argon2id,
}

impl PasswordHashing {
    /// The way in which a hash was made.
    pub fn of(hash: &PasswordHash) -> PasswordHashing {
        if hash.is_slow() {
            PasswordHashing::Argon2id
        } else if hash.is_sha512() {
            PasswordHashing::Sha512
        } else {
            PasswordHashing::Sha256
        }
    }
}

/// An exchange.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExchangeRecord {
    /// The virtual host it is in.
    pub vhost: String,
    /// Its name.
    pub name: String,
    /// The name of its type, an [`ExchangeKind`].
    #[serde(deserialize_with = "known_kind")]
    pub kind: String,
    /// Survives a restart.
    pub durable: bool,
    /// Goes with its last binding.
    pub auto_delete: bool,
    /// Reached through other exchanges only.
    pub internal: bool,
    /// Further arguments.
    #[serde(with = "arguments")]
    pub arguments: FieldTable,
}

/// A queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueRecord {
    /// The virtual host it is in.
    pub vhost: String,
    /// Its name.
    pub name: String,
    /// Names its log and its checkpoint; safe as a file name.
    pub id: String,
    /// Survives a restart.
    pub durable: bool,
    /// Deleted when its last consumer goes.
    pub auto_delete: bool,
    /// The `x-…` arguments, as given.
    #[serde(with = "arguments")]
    pub arguments: FieldTable,
}

/// Where a binding leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DestinationKind {
    /// To a queue.
    Queue,
    /// To an exchange.
    Exchange,
}

/// A binding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BindingRecord {
    /// The virtual host of both ends.
    pub vhost: String,
    /// The exchange it leads from.
    pub source: String,
    /// What it leads to.
    pub destination_kind: DestinationKind,
    /// The name of that.
    pub destination: String,
    /// The key or pattern.
    pub routing_key: String,
    /// What a headers exchange matches.
    #[serde(with = "arguments")]
    pub arguments: FieldTable,
}

/// A durable entity of any kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Entity {
    /// See [`VhostRecord`].
    Vhost(VhostRecord),
    /// See [`UserRecord`].
    User(UserRecord),
    /// See [`PermissionRecord`].
    Permission(PermissionRecord),
    /// See [`TopicPermissionRecord`].
    TopicPermission(TopicPermissionRecord),
    /// See [`ExchangeRecord`].
    Exchange(ExchangeRecord),
    /// See [`QueueRecord`].
    Queue(QueueRecord),
    /// See [`BindingRecord`].
    Binding(BindingRecord),
}

impl DestinationKind {
    /// Its name in files.
    pub fn name(self) -> &'static str {
        match self {
            DestinationKind::Queue => "queue",
            DestinationKind::Exchange => "exchange",
        }
    }
}

impl Entity {
    /// Its identity.
    pub(super) fn key(&self) -> Key {
        match self {
            Entity::Vhost(vhost) => Key::vhost(&vhost.name),
            Entity::User(user) => Key::user(&user.name),
            Entity::Permission(permission) => Key::permission(&permission.vhost, &permission.user),
            Entity::TopicPermission(permission) => {
                Key::topic_permission(&permission.vhost, &permission.user, &permission.exchange)
            }
            Entity::Exchange(exchange) => Key::exchange(&exchange.vhost, &exchange.name),
            Entity::Queue(queue) => Key::queue(&queue.vhost, &queue.name),
            Entity::Binding(binding) => Key::binding(
                &binding.vhost,
                &binding.source,
                binding.destination_kind,
                &binding.destination,
                &binding.routing_key,
                &binding.arguments,
            ),
        }
    }
}

macro_rules! conversions {
    ($($record:ident => $kind:ident;)*) => {$(
        impl From<$record> for Entity {
            fn from(record: $record) -> Entity {
                Entity::$kind(record)
            }
        }
    )*};
}

conversions! {
    VhostRecord => Vhost;
    UserRecord => User;
    PermissionRecord => Permission;
    TopicPermissionRecord => TopicPermission;
    ExchangeRecord => Exchange;
    QueueRecord => Queue;
    BindingRecord => Binding;
}

/// Refuses what could not be declared while the file is known that says it.
fn known_kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    match name.parse::<ExchangeKind>() {
        Ok(_) => Ok(name),
        Err(unknown) => Err(de::Error::custom(unknown)),
    }
}
