//! What one user may do in one virtual host.

use std::collections::BTreeMap;
use std::fmt;

use super::pattern::{Pattern, expanded};
use crate::store::metadata::{PermissionRecord, TopicPermissionRecord};

/// Name of the default exchange where permissions are concerned.
const DEFAULT_EXCHANGE: &str = "amq.default";

/// What a permission is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Declare and delete.
    Configure,
    /// Publish, and bind.
    Write,
    /// Consume, purge, and bind to.
    Read,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operation::Configure => "configure",
            Operation::Write => "write",
            Operation::Read => "read",
        })
    }
}

/// What a permission is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource<'a> {
    /// An exchange; the empty name is that of the default exchange.
    Exchange(&'a str),
    /// A queue.
    Queue(&'a str),
}

impl Resource<'_> {
    fn name(&self) -> &str {
        match *self {
            Resource::Exchange("") => DEFAULT_EXCHANGE,
            Resource::Exchange(name) | Resource::Queue(name) => name,
        }
    }
}

impl fmt::Display for Resource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Resource::Exchange(_) => "exchange",
            Resource::Queue(_) => "queue",
        };
        write!(f, "{kind} '{}'", self.name())
    }
}

/// A user's permissions in a virtual host, ready to be matched.
#[derive(Clone, Debug, Default)]
pub struct Permissions {
    general: Option<General>,
    topics: BTreeMap<String, Topic>,
}

#[derive(Clone, Debug)]
struct General {
    record: PermissionRecord,
    configure: Pattern,
    write: Pattern,
    read: Pattern,
}

#[derive(Clone, Debug)]
struct Topic {
    record: TopicPermissionRecord,
    write: Pattern,
    read: Pattern,
}

impl Permissions {
    /// Whether the user may open the virtual host at all.
    pub fn may_enter(&self) -> bool {
        self.general.is_some()
    }

    /// Whether the user may do this.
    pub fn allow(&self, operation: Operation, resource: Resource<'_>) -> bool {
        self.general.as_ref().is_some_and(|general| {
            let pattern = match operation {
                Operation::Configure => &general.configure,
                Operation::Write => &general.write,
                Operation::Read => &general.read,
            };
            pattern.matches(resource.name())
        })
    }

    /// Whether routing keys matter for this exchange.
    pub fn restrict_topics_of(&self, exchange: &str) -> bool {
        self.topics.contains_key(exchange)
    }

    /// Whether the user may do this to a topic exchange with this routing key.
    pub fn allow_topic(&self, operation: Operation, exchange: &str, routing_key: &str) -> bool {
        self.topics.get(exchange).is_none_or(|topic| match operation {
            Operation::Configure => true,
            Operation::Write => topic.write.matches(routing_key),
            Operation::Read => topic.read.matches(routing_key),
        })
    }

    /// As stored.
    pub(super) fn record(&self) -> Option<&PermissionRecord> {
        self.general.as_ref().map(|general| &general.record)
    }

    /// As stored.
    pub(super) fn topic_records(&self) -> impl Iterator<Item = &TopicPermissionRecord> {
        self.topics.values().map(|topic| &topic.record)
    }

    /// # Errors
    /// Which pattern is wrong, and why.
    pub(super) fn set(&mut self, record: PermissionRecord) -> Result<(), String> {
        self.general = Some(General {
            configure: compiled(Operation::Configure, &record.configure)?,
            write: compiled(Operation::Write, &record.write)?,
            read: compiled(Operation::Read, &record.read)?,
            record,
        });
        Ok(())
    }

    pub(super) fn clear(&mut self) -> Option<PermissionRecord> {
        self.general.take().map(|general| general.record)
    }

    /// # Errors
    /// Which pattern is wrong, and why.
    pub(super) fn set_topic(&mut self, record: TopicPermissionRecord) -> Result<(), String> {
        let pattern =
            |operation, text: &str| compiled(operation, &expanded(text, &record.user, &record.vhost));
        let (write, read) = (
            pattern(Operation::Write, &record.write)?,
            pattern(Operation::Read, &record.read)?,
        );
        let exchange = record.exchange.clone();
        self.topics.insert(exchange, Topic { record, write, read });
        Ok(())
    }

    pub(super) fn clear_topic(&mut self, exchange: &str) -> Option<TopicPermissionRecord> {
        self.topics.remove(exchange).map(|topic| topic.record)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.general.is_none() && self.topics.is_empty()
    }
}

fn compiled(operation: Operation, text: &str) -> Result<Pattern, String> {
    Pattern::new(text).map_err(|error| format!("{operation} pattern '{text}': {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(configure: &str, write: &str, read: &str) -> PermissionRecord {
        PermissionRecord {
            vhost: "/".to_owned(),
            user: "ada".to_owned(),
            configure: configure.to_owned(),
            write: write.to_owned(),
            read: read.to_owned(),
        }
    }

    #[test]
    fn each_operation_has_a_pattern_of_its_own() {
        let mut permissions = Permissions::default();
        assert!(!permissions.may_enter());
        permissions.set(record("", "^amq\\.default$", "^q")).unwrap();
        assert!(permissions.may_enter());
        for (operation, resource, expected) in [
            (Operation::Configure, Resource::Queue("q"), false),
            (Operation::Write, Resource::Exchange(""), true),
            (Operation::Write, Resource::Queue("q"), false),
            (Operation::Read, Resource::Queue("q1"), true),
            (Operation::Read, Resource::Exchange("x"), false),
        ] {
            assert_eq!(
                permissions.allow(operation, resource),
                expected,
                "{operation} {resource}"
            );
        }
        let wrong = permissions.set(record(".*", "[", ".*")).unwrap_err();
        assert!(wrong.starts_with("write pattern '[': "), "{wrong}");
        assert!(
            permissions.allow(Operation::Read, Resource::Queue("q1")),
            "as before"
        );
    }

    #[test]
    fn topics_are_free_unless_an_exchange_has_patterns() {
        let mut permissions = Permissions::default();
        permissions
            .set_topic(TopicPermissionRecord {
                vhost: "/".to_owned(),
                user: "ada".to_owned(),
                exchange: "amq.topic".to_owned(),
                write: "^{username}\\.".to_owned(),
                read: String::new(),
            })
            .unwrap();
        assert!(permissions.restrict_topics_of("amq.topic") && !permissions.restrict_topics_of("x"));
        for (operation, exchange, key, expected) in [
            (Operation::Write, "amq.topic", "ada.x", true),
            (Operation::Write, "amq.topic", "bob.x", false),
            (Operation::Read, "amq.topic", "ada.x", false),
            (Operation::Write, "x", "bob.x", true),
        ] {
            assert_eq!(
                permissions.allow_topic(operation, exchange, key),
                expected,
                "{key}"
            );
        }
    }
}
