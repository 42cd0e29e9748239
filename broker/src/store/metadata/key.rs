//! What makes an entity that entity, and so names its file.

use std::path::PathBuf;

use wire::{FieldTable, FieldValue};

use super::entity::DestinationKind;
use super::file_name::{bounded, escape, with_digest};

/// End of every file name.
pub(super) const EXTENSION: &str = ".json";

/// What entities there are; each kind has a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum EntityKind {
    /// Virtual hosts.
    Vhost,
    /// Users.
    User,
    /// What users may do in a virtual host.
    Permission,
    /// What users may do with a topic exchange.
    TopicPermission,
    /// Exchanges.
    Exchange,
    /// Queues.
    Queue,
    /// Bindings.
    Binding,
}

impl EntityKind {
    /// All kinds, in an order in which they can be declared: each refers to earlier ones only.
    pub(super) const ALL: [EntityKind; 7] = [
        EntityKind::Vhost,
        EntityKind::User,
        EntityKind::Permission,
        EntityKind::TopicPermission,
        EntityKind::Exchange,
        EntityKind::Queue,
        EntityKind::Binding,
    ];

    /// Name of the directory.
    pub(super) fn directory(self) -> &'static str {
        match self {
            EntityKind::Vhost => "vhosts",
            EntityKind::User => "users",
            EntityKind::Permission => "permissions",
            EntityKind::TopicPermission => "topic_permissions",
            EntityKind::Exchange => "exchanges",
            EntityKind::Queue => "queues",
            EntityKind::Binding => "bindings",
        }
    }
}

/// The identity of an entity.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    kind: EntityKind,
    /// Without [`EXTENSION`].
    stem: String,
}

impl Key {
    /// A virtual host.
    pub(super) fn vhost(name: &str) -> Key {
        Key::bounded(EntityKind::Vhost, escape(name))
    }

    /// A user.
    pub(super) fn user(name: &str) -> Key {
        Key::bounded(EntityKind::User, escape(name))
    }

    /// What a user may do in a virtual host.
    pub(super) fn permission(vhost: &str, user: &str) -> Key {
        Key::bounded(
            EntityKind::Permission,
            format!("{}@{}", escape(user), escape(vhost)),
        )
    }

    /// What a user may do with an exchange.
    pub(super) fn topic_permission(vhost: &str, user: &str, exchange: &str) -> Key {
        Key::bounded(
            EntityKind::TopicPermission,
            format!("{}+{}@{}", escape(user), escape(exchange), escape(vhost)),
        )
    }

    /// An exchange.
    pub(super) fn exchange(vhost: &str, name: &str) -> Key {
        Key::bounded(
            EntityKind::Exchange,
            format!("{}@{}", escape(name), escape(vhost)),
        )
    }

    /// A queue.
    pub(super) fn queue(vhost: &str, name: &str) -> Key {
        Key::bounded(EntityKind::Queue, format!("{}@{}", escape(name), escape(vhost)))
    }

    /// A binding. Its identity is all that it has; only the order of its arguments has no meaning.
    pub(super) fn binding(
        vhost: &str,
        source: &str,
        destination_kind: DestinationKind,
        destination: &str,
        routing_key: &str,
        arguments: &FieldTable,
    ) -> Key {
        let names = format!("{}+{}@{}", escape(source), escape(destination), escape(vhost));
        let parts = [
            vhost.as_bytes(),
            source.as_bytes(),
            destination_kind.name().as_bytes(),
            destination.as_bytes(),
            routing_key.as_bytes(),
            &sorted(arguments).to_bytes(),
        ];
        Key {
            kind: EntityKind::Binding,
            stem: with_digest(names, &parts),
        }
    }

    /// Of what kind the entity is.
    pub(super) fn kind(&self) -> EntityKind {
        self.kind
    }

    /// The file's name.
    pub(super) fn file_name(&self) -> String {
        format!("{}{EXTENSION}", self.stem)
    }

    /// The file, as seen from the metadata directory.
    pub(super) fn path(&self) -> PathBuf {
        [self.kind.directory(), &self.file_name()].iter().collect()
    }

    fn bounded(kind: EntityKind, name: String) -> Key {
        Key {
            kind,
            stem: bounded(name),
        }
    }
}

fn sorted(arguments: &FieldTable) -> FieldTable {
    let mut entries: Vec<(&str, &FieldValue)> = arguments.iter().collect();
    entries.sort_by_key(|&(name, _)| name);
    entries
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn files_are_named_for_their_entities() {
        let path = |key: Key| key.path().display().to_string();
        assert_eq!(path(Key::vhost("/")), "vhosts/%2f.json");
        assert_eq!(path(Key::user("guest")), "users/guest.json");
        assert_eq!(
            path(Key::exchange("/", "amq.logs")),
            "exchanges/amq.logs@%2f.json"
        );
        assert_eq!(path(Key::queue("/", "")), "queues/%@%2f.json");
        assert_eq!(path(Key::permission("/", "guest")), "permissions/guest@%2f.json");
        assert_eq!(
            path(Key::topic_permission("/", "guest", "amq.topic")),
            "topic_permissions/guest+amq.topic@%2f.json"
        );
        let none = FieldTable::new();
        let binding = |kind| path(Key::binding("/", "logs", kind, "orders", "a.#", &none));
        let expected = "bindings/logs+orders@%2f~d4143b9be2a405a0ff023ca9bd91a72f.json";
        assert_eq!(
            binding(DestinationKind::Queue),
            expected,
            "a change would orphan stored files"
        );
        assert_ne!(binding(DestinationKind::Exchange), expected);
    }

    #[test]
    fn the_order_of_a_bindings_arguments_has_no_meaning() {
        let key = |names: &[&str]| {
            let entries = names
                .iter()
                .map(|&name| (name.to_owned(), FieldValue::from(name)));
            let arguments = entries.collect();
            Key::binding("/", "x", DestinationKind::Queue, "q", "", &arguments)
        };
        assert_eq!(key(&["a", "b"]), key(&["b", "a"]));
        assert_ne!(key(&["a", "b"]), key(&["a"]));
    }

    type Names = (String, String, String, String);

    fn names() -> impl Strategy<Value = Names> {
        let name = || prop_oneof![4 => "[.%/aA~@+]{0,3}", 1 => "[aA/]{100,101}", 1 => ".{0,255}"];
        (name(), name(), name(), name())
    }

    fn keys((vhost, one, two, three): &Names) -> [(Key, Vec<String>); 6] {
        let none = FieldTable::new();
        let of = |parts: &[&String]| parts.iter().map(|&part| part.clone()).collect();
        [
            (Key::vhost(vhost), of(&[vhost])),
            (Key::exchange(vhost, one), of(&[vhost, one])),
            (Key::queue(vhost, one), of(&[vhost, one])),
            (Key::permission(vhost, one), of(&[vhost, one])),
            (Key::topic_permission(vhost, one, two), of(&[vhost, one, two])),
            (
                Key::binding(vhost, one, DestinationKind::Queue, two, three, &none),
                of(&[vhost, one, two, three]),
            ),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

        #[test]
        fn distinct_entities_have_distinct_files(all in prop::collection::vec(names(), 2..20)) {
            let mut seen: HashMap<Key, Vec<String>> = HashMap::new();
            for (key, identity) in all.iter().flat_map(keys) {
                prop_assert!(key.file_name().len() <= 160, "{:?}", key);
                let first = seen.entry(key).or_insert_with(|| identity.clone());
                prop_assert_eq!(&*first, &identity);
            }
        }
    }
}
