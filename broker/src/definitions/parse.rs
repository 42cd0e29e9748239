//! A document as records.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::arguments;
use super::fields::Fields;
use crate::auth::PasswordHash;
use crate::store::metadata::{
    BindingRecord, DestinationKind, ExchangeRecord, PasswordHashing, PermissionRecord, QueueRecord,
    TopicPermissionRecord, UserLimits, UserRecord, VhostLimits, VhostRecord,
};
use crate::topology::ExchangeKind;

/// Names of the hashes that RabbitMQ and this broker know.
const HASHINGS: [(&str, PasswordHashing); 2] = [
    ("rabbit_password_hashing_sha256", PasswordHashing::Sha256),
    ("rabbit_password_hashing_sha512", PasswordHashing::Sha512),
];
/// Field of a user whose password RabbitMQ cannot check: the hash in its usual text form.
pub(super) const ARGON2ID: &str = "password_hash_argon2id";
/// Limits of a user that RabbitMQ does not know, and would refuse among `limits`.
pub(super) const PUBLISH_LIMITS: &str = "publish_limits";
/// Messages published in a second.
pub(crate) const PUBLISH_RATE: &str = "max-publish-rate";
/// Bytes published in a second.
pub(crate) const PUBLISH_BYTES_RATE: &str = "max-publish-bytes-rate";
/// Component of the parameters that are limits of virtual hosts.
pub(super) const VHOST_LIMITS: &str = "vhost-limits";
/// Fields about the broker that wrote the document.
const ABOUT: [&str; 8] = [
    "rabbit_version",
    "rabbitmq_version",
    "product_name",
    "product_version",
    "rabbitmq_definition_format",
    "original_vhost_name",
    "original_cluster_name",
    "explanation",
];

/// What a document defines.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Definitions {
    pub(super) vhosts: Vec<VhostRecord>,
    /// By name of the virtual host.
    pub(super) vhost_limits: Vec<(String, VhostLimits)>,
    pub(super) users: Vec<UserRecord>,
    pub(super) permissions: Vec<PermissionRecord>,
    pub(super) topic_permissions: Vec<TopicPermissionRecord>,
    pub(super) exchanges: Vec<ExchangeRecord>,
    /// Without ids.
    pub(super) queues: Vec<QueueRecord>,
    pub(super) bindings: Vec<BindingRecord>,
    /// What is in the document and cannot be imported.
    pub(super) left_out: Vec<String>,
    /// Where it came from, for people.
    pub(crate) path: PathBuf,
    /// SHA-256 of the text. Salts of passwords differ each time that it is read.
    digest: [u8; 32],
}

impl Definitions {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read; else the first mistake in it, with its place.
    pub fn read(path: &Path) -> Result<Definitions, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read it: {error}"))?;
        let mut definitions: Definitions = text.parse()?;
        definitions.path = path.to_owned();
        definitions.digest = Sha256::digest(text.as_bytes()).into();
        Ok(definitions)
    }

    /// True when both were read from the same text.
    pub(crate) fn has_text_of(&self, other: &Definitions) -> bool {
        self.digest == other.digest
    }
}

impl Definitions {
    /// What the document has and this broker has nothing like, with its place.
    pub(crate) fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// Says where they came from.
    pub(crate) fn note_source(&mut self, source: &str) {
        self.path = source.into();
    }
}

/// A user that the fields describe, but for the name.
///
/// # Errors
/// The field, and what is wrong with it.
pub(crate) fn user_record(name: String, mut fields: Fields) -> Result<UserRecord, String> {
    fields.set("name", name.into());
    // What nobody knows has no effect, as in RabbitMQ.
    user(&mut fields, &mut Vec::new())
}

impl FromStr for Definitions {
    type Err = String;

    fn from_str(text: &str) -> Result<Definitions, String> {
        let document: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        Definitions::of(document)
    }
}

impl Definitions {
    /// What a document defines.
    ///
    /// # Errors
    /// The first mistake in it, with its place.
    pub(crate) fn of(document: Value) -> Result<Definitions, String> {
        let mut document = Fields::of("", document)?;
        for field in ABOUT {
            document.take(field);
        }
        let mut definitions = Definitions::default();
        let left_out = &mut definitions.left_out;
        refuse_policies(&mut document)?;
        for mut fields in document.list("vhosts")? {
            definitions.vhosts.push(vhost(&mut fields, left_out)?);
            left_out.extend(fields.unknown());
        }
        for mut fields in document.list("users")? {
            definitions.users.push(user(&mut fields, left_out)?);
            left_out.extend(fields.unknown());
        }
        for mut fields in document.list("permissions")? {
            definitions.permissions.push(PermissionRecord {
                vhost: fields.name("vhost")?,
                user: fields.name("user")?,
                configure: fields.text("configure")?,
                write: fields.text("write")?,
                read: fields.text("read")?,
            });
            left_out.extend(fields.unknown());
        }
        for mut fields in document.list("topic_permissions")? {
            definitions.topic_permissions.push(TopicPermissionRecord {
                vhost: fields.name("vhost")?,
                user: fields.name("user")?,
                exchange: fields.name("exchange")?,
                write: fields.text("write")?,
                read: fields.text("read")?,
            });
            left_out.extend(fields.unknown());
        }
        for mut fields in document.list("parameters")? {
            let component = fields.text("component")?;
            if component == VHOST_LIMITS {
                definitions
                    .vhost_limits
                    .push(vhost_limits(&mut fields, left_out)?);
                left_out.extend(fields.unknown());
            } else if component == "operator_policy" {
                return Err(format!(
                    "{}: policies are not supported",
                    fields.place("component")
                ));
            } else {
                left_out.push(format!("{} '{component}'", fields.place("component")));
            }
        }
        for mut fields in document.list("exchanges")? {
            let exchange = exchange(&mut fields)?;
            left_out.extend(fields.unknown());
            definitions.exchanges.extend(exchange);
        }
        for mut fields in document.list("queues")? {
            definitions.queues.push(queue(&mut fields)?);
            left_out.extend(fields.unknown());
        }
        for mut fields in document.list("bindings")? {
            let binding = binding(&mut fields)?;
            left_out.extend(fields.unknown());
            definitions.bindings.extend(binding);
        }
        for mut fields in document.list("global_parameters")? {
            let name = fields.text("name")?;
            left_out.push(format!("{} '{name}'", fields.place("name")));
        }
        left_out.extend(document.unknown());
        Ok(definitions)
    }
}

/// A policy changes what queues and exchanges do: leaving it out in silence would break a promise.
fn refuse_policies(document: &mut Fields) -> Result<(), String> {
    match document.list("policies")?.is_empty() {
        true => Ok(()),
        false => Err(
            "policies: not supported by this broker; give queues and exchanges arguments instead, and empty the list"
                .to_owned(),
        ),
    }
}

fn vhost(fields: &mut Fields, left_out: &mut Vec<String>) -> Result<VhostRecord, String> {
    let name = fields.name("name")?;
    let mut metadata = fields.object("metadata")?;
    let description = match fields.optional_text("description")? {
        Some(description) => description,
        None => metadata.optional_text("description")?.unwrap_or_default(),
    };
    let mut tags = fields.tags("tags")?;
    if tags.is_empty() {
        tags = metadata.tags("tags")?;
    }
    for of in [&mut *fields, &mut metadata] {
        let place = of.place("default_queue_type");
        match of.optional_text("default_queue_type")?.as_deref() {
            None | Some("classic" | "undefined") => {}
            Some(other) => left_out.push(format!("{place} '{other}'")),
        }
    }
    // RabbitMQ says them again under `parameters`, from where it imports them itself.
    fields.take("limits");
    // Said in `metadata` as well.
    metadata.take("description");
    metadata.take("tags");
    left_out.extend(metadata.unknown());
    Ok(VhostRecord {
        name,
        description,
        tags,
        limits: VhostLimits::default(),
    })
}

fn parsed_hash(fields: &Fields, field: &str, text: &str) -> Result<PasswordHash, String> {
    text.parse()
        .map_err(|expected| format!("{}: {expected}", fields.place(field)))
}

fn hashing_of(fields: &Fields, name: &str) -> Result<PasswordHashing, String> {
    let known = HASHINGS.iter().find(|(known, _)| *known == name);
    known.map(|(_, hashing)| *hashing).ok_or_else(|| {
        let place = fields.place("hashing_algorithm");
        let names = HASHINGS.map(|(name, _)| name).join(" and ");
        format!("{place}: '{name}' is not supported, only {names}")
    })
}

/// RabbitMQ's name of the way in which a hash was made, or of its default where it does not know that.
pub(super) fn hashing_name(hash: &PasswordHash) -> &'static str {
    let hashing = PasswordHashing::of(hash);
    let known = HASHINGS.iter().find(|(_, known)| *known == hashing);
    known.map_or(HASHINGS[0].0, |(name, _)| name)
}

fn user(fields: &mut Fields, left_out: &mut Vec<String>) -> Result<UserRecord, String> {
    let name = fields.name("name")?;
    let hashing = fields.optional_text("hashing_algorithm")?;
    let password_hash = match (
        fields.optional_text("password")?,
        fields.optional_text("password_hash")?,
    ) {
        (Some(password), None) => PasswordHash::new(&password),
        (None, Some(hash)) => {
            let named = hashing.map(|name| hashing_of(fields, &name)).transpose()?;
            // What this broker exports beside what RabbitMQ understands.
            match fields.optional_text(ARGON2ID)? {
                Some(slow) => parsed_hash(fields, ARGON2ID, &slow)?,
                None => {
                    let parsed = parsed_hash(fields, "password_hash", &hash)?;
                    let is_other = |named| named != PasswordHashing::of(&parsed) && !parsed.is_slow();
                    if !hash.is_empty() && named.is_some_and(is_other) {
                        let place = fields.place("password_hash");
                        return Err(format!(
                            "{place}: it was not made by the hashing_algorithm beside it"
                        ));
                    }
                    parsed
                }
            }
        }
        _ => {
            let place = fields.place("password_hash");
            return Err(format!("{place}: either this or a password is required"));
        }
    };
    let tags = fields.tags("tags")?;
    let mut limits = fields.object("limits")?;
    let mut publish_limits = fields.object(PUBLISH_LIMITS)?;
    let record = UserRecord {
        name,
        hashing: PasswordHashing::of(&password_hash),
        password_hash,
        tags,
        limits: Some(UserLimits {
            connections_max: limits.limit("max-connections")?,
            channels_max: limits.limit("max-channels")?,
            publish_rate_max: publish_limits.limit(PUBLISH_RATE)?,
            publish_bytes_rate_max: publish_limits.limit(PUBLISH_BYTES_RATE)?,
        }),
    };
    left_out.extend(limits.unknown());
    left_out.extend(publish_limits.unknown());
    Ok(record)
}

fn vhost_limits(fields: &mut Fields, left_out: &mut Vec<String>) -> Result<(String, VhostLimits), String> {
    let vhost = fields.name("vhost")?;
    fields.take("name");
    let mut value = fields.object("value")?;
    let limits = VhostLimits {
        connections_max: value.limit("max-connections")?,
        queues_max: value.limit("max-queues")?,
    };
    left_out.extend(value.unknown());
    Ok((vhost, limits))
}

/// `None` for one that is there without being defined.
fn exchange(fields: &mut Fields) -> Result<Option<ExchangeRecord>, String> {
    let name = fields.name("name")?;
    let kind = fields.text("type")?;
    let record = ExchangeRecord {
        vhost: fields.name("vhost")?,
        durable: fields.flag("durable", true)?,
        auto_delete: fields.flag("auto_delete", false)?,
        internal: fields.flag("internal", false)?,
        arguments: table(fields)?,
        name,
        kind,
    };
    if record.name.is_empty() || record.name.starts_with("amq.") {
        return Ok(None);
    }
    let kind: Result<ExchangeKind, _> = record.kind.parse();
    kind.map_err(|error| format!("{}: {}", fields.place("type"), error.text))?;
    Ok(Some(record))
}

fn queue(fields: &mut Fields) -> Result<QueueRecord, String> {
    let mut record = QueueRecord {
        vhost: fields.name("vhost")?,
        name: fields.name("name")?,
        id: String::new(),
        durable: fields.flag("durable", true)?,
        auto_delete: fields.flag("auto_delete", false)?,
        arguments: table(fields)?,
    };
    if record.name.is_empty() {
        return Err(format!("{}: empty", fields.place("name")));
    }
    let kind = fields.optional_text("type")?.filter(|kind| kind != "classic");
    if let Some(kind) = kind
        && record.arguments.get("x-queue-type").is_none()
    {
        record.arguments.insert("x-queue-type", kind.as_str());
    }
    Ok(record)
}

/// `None` for one that is there without being defined.
fn binding(fields: &mut Fields) -> Result<Option<BindingRecord>, String> {
    let kind = fields.text("destination_type")?;
    let record = BindingRecord {
        vhost: fields.name("vhost")?,
        source: fields.name("source")?,
        destination_kind: match kind.as_str() {
            "queue" => DestinationKind::Queue,
            "exchange" => DestinationKind::Exchange,
            other => {
                let place = fields.place("destination_type");
                return Err(format!("{place}: expected queue or exchange, found '{other}'"));
            }
        },
        destination: fields.name("destination")?,
        routing_key: fields.name("routing_key")?,
        arguments: table(fields)?,
    };
    fields.take("properties_key");
    Ok((!record.source.is_empty()).then_some(record))
}

fn table(fields: &mut Fields) -> Result<wire::FieldTable, String> {
    let place = fields.place("arguments");
    let object = fields.object("arguments")?;
    arguments::to_table(&place, object.into_map())
}
