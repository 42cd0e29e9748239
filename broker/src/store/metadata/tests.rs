//! Entities on a disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;
use seglog::FsStorage;
use seglog::simulation::{CrashMode, SimStorage};
use wire::{FieldTable, FieldValue};

use super::*;

const DIRECTORY: &str = "/data/metadata";
const HASH: &str = "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR";

fn open(storage: &SimStorage) -> MetadataStore {
    MetadataStore::open(Arc::new(storage.clone()), PathBuf::from(DIRECTORY)).unwrap()
}

fn vhost(name: &str) -> Entity {
    let record = VhostRecord {
        name: name.to_owned(),
        description: "everything".to_owned(),
        tags: Vec::new(),
        limits: VhostLimits {
            connections_max: Some(0),
            queues_max: None,
        },
    };
    record.into()
}

fn user(name: &str) -> Entity {
    let record = UserRecord {
        name: name.to_owned(),
        password_hash: HASH.parse().unwrap(),
        hashing: PasswordHashing::Sha256,
        tags: vec!["administrator".to_owned()],
        limits: Some(UserLimits::default()),
    };
    record.into()
}

fn permission(vhost: &str, user: &str) -> Entity {
    let record = PermissionRecord {
        vhost: vhost.to_owned(),
        user: user.to_owned(),
        configure: String::new(),
        write: "^amq\\.".to_owned(),
        read: ".*".to_owned(),
    };
    record.into()
}

fn topic_permission(vhost: &str, user: &str, exchange: &str) -> Entity {
    let record = TopicPermissionRecord {
        vhost: vhost.to_owned(),
        user: user.to_owned(),
        exchange: exchange.to_owned(),
        write: "^{username}\\.".to_owned(),
        read: String::new(),
    };
    record.into()
}

fn exchange(vhost: &str, name: &str) -> Entity {
    let record = ExchangeRecord {
        vhost: vhost.to_owned(),
        name: name.to_owned(),
        kind: "topic".to_owned(),
        durable: true,
        auto_delete: false,
        internal: true,
        arguments: arguments(),
    };
    record.into()
}

fn queue(vhost: &str, name: &str) -> Entity {
    let record = QueueRecord {
        vhost: vhost.to_owned(),
        name: name.to_owned(),
        id: "q1".to_owned(),
        durable: true,
        auto_delete: true,
        arguments: arguments(),
    };
    record.into()
}

fn binding(vhost: &str, source: &str, destination: &str, routing_key: &str) -> Entity {
    let record = BindingRecord {
        vhost: vhost.to_owned(),
        source: source.to_owned(),
        destination_kind: DestinationKind::Queue,
        destination: destination.to_owned(),
        routing_key: routing_key.to_owned(),
        arguments: arguments(),
    };
    record.into()
}

fn arguments() -> FieldTable {
    FieldTable::from_iter([
        ("z".to_owned(), FieldValue::I64(i64::MIN)),
        ("a".to_owned(), FieldValue::LongStr(b"\xff".to_vec())),
        ("z".to_owned(), FieldValue::Void),
    ])
}

fn example() -> [Entity; 7] {
    [
        vhost("/"),
        user("guest"),
        permission("/", "guest"),
        topic_permission("/", "guest", "logs"),
        exchange("/", "logs"),
        queue("/", "orders"),
        binding("/", "logs", "orders", "a.#"),
    ]
}

#[test]
fn entities_are_loaded_in_an_order_in_which_they_can_be_declared() {
    let storage = SimStorage::default();
    let store = open(&storage);
    let mut reversed = example();
    reversed.reverse();
    store.put_all(&reversed).unwrap();
    let survived = open(&storage.crash(0, CrashMode::LoseUnsynced));
    assert_eq!(survived.load().unwrap(), example());
    let Entity::User(mut changed) = user("guest") else {
        panic!("no user");
    };
    changed.tags.clear();
    store.put(&changed.clone().into()).unwrap();
    assert_eq!(store.load().unwrap()[1], changed.into());
    store.remove(&queue("/", "orders")).unwrap();
    store.remove(&queue("/", "orders")).unwrap();
    assert_eq!(store.load().unwrap().len(), 6);
    store.remove_all(&example()).unwrap();
    let survived = storage.crash(0, CrashMode::LoseUnsynced);
    assert_eq!(open(&survived).load().unwrap(), []);
    assert_eq!(survived.files(), [] as [&Path; 0]);
}

#[test]
fn a_crash_anywhere_leaves_nothing_that_refers_to_what_is_missing() {
    for removing in [false, true] {
        for steps in 0.. {
            let storage = SimStorage::default();
            let store = open(&storage);
            if removing {
                store.put_all(&example()).unwrap();
            }
            storage.stop_at(storage.count() + steps);
            let changed = match removing {
                false => store.put_all(&example()),
                true => store.remove_all(&example()),
            };
            for seed in 0..8 {
                for mode in [CrashMode::KeepAll, CrashMode::LoseUnsynced, CrashMode::Tear] {
                    let left = open(&storage.crash(seed, mode)).load().unwrap();
                    assert_eq!(left, example()[..left.len()], "cut after {steps}");
                    assert!(changed.is_err() || left.len() == if removing { 0 } else { 7 });
                }
            }
            if changed.is_ok() {
                break;
            }
        }
    }
}

#[test]
fn what_was_stored_before_there_were_permissions_and_limits_is_read() {
    let storage = SimStorage::default();
    let store = open(&storage);
    let user = format!(
        r#"{{"format": 1, "name": "guest", "password_hash": "{HASH}", "hashing": "sha256", "tags": []}}"#
    );
    for (path, text) in [
        ("vhosts/%2f.json", r#"{"format": 1, "name": "/"}"#),
        ("users/guest.json", &user),
    ] {
        storage
            .put(&Path::new(DIRECTORY).join(path), text.as_bytes().to_vec())
            .unwrap();
    }
    let loaded = store.load().unwrap();
    let [Entity::Vhost(vhost), Entity::User(user)] = &loaded[..] else {
        panic!("{loaded:?}");
    };
    assert_eq!((vhost.name.as_str(), vhost.limits), ("/", VhostLimits::default()));
    assert_eq!(user.limits, None);
    // A virtual host without limits is stored as before.
    store.put(&loaded[0]).unwrap();
    let path = Path::new(DIRECTORY).join("vhosts/%2f.json");
    let text = String::from_utf8(storage.content(&path).unwrap()).unwrap();
    assert_eq!(text, "{\n  \"format\": 1,\n  \"name\": \"/\"\n}\n");
}

#[test]
fn the_file_can_be_read_by_a_person() {
    let storage = SimStorage::default();
    open(&storage).put(&queue("/", "Orders")).unwrap();
    let path = Path::new(DIRECTORY).join("queues/%4frders@%2f.json");
    let text = String::from_utf8(storage.content(&path).unwrap()).unwrap();
    let expected = r#"{
  "format": 1,
  "vhost": "/",
  "name": "Orders",
  "id": "q1",
  "durable": true,
  "auto_delete": true,
  "arguments": [
    {
      "key": "z",
      "type": "i64",
      "value": -9223372036854775808
    },
"#;
    assert!(text.starts_with(expected) && text.ends_with("  ]\n}\n"), "{text}");
}

#[test]
fn files_that_are_not_understood_are_reported_with_their_path() {
    let good = r#"{"format": 1, "name": "/"}"#;
    for (name, content, expected) in [
        ("vhosts/a.json", good, "belongs into a file named %2f.json"),
        ("vhosts/%2F.json", good, "belongs into a file named %2f.json"),
        ("vhosts/%2f.txt", good, "only files named …"),
        ("vhosts/%2f.json", "", "EOF"),
        ("vhosts/%2f.json", "[]", "expected a map"),
        ("vhosts/%2f.json", r#"{"name": "/"}"#, "\"format\" is missing"),
        ("vhosts/%2f.json", r#"{"format": 2, "name": "/"}"#, "format 2"),
        (
            "vhosts/%2f.json",
            r#"{"format": 1, "name": "/", "names": 1}"#,
            "unknown field `names`",
        ),
        ("vhosts/%2f.json", r#"{"format": 1}"#, "missing field `name`"),
        (
            "users/a.json",
            r#"{"format": 1, "name": "a", "password_hash": "AAAA", "hashing": "sha256", "tags": []}"#,
            "36 or 68 bytes",
        ),
        (
            "exchanges/a@%2f.json",
            r#"{"format": 1, "vhost": "/", "name": "a", "kind": "x-random", "durable": true,
                "auto_delete": false, "internal": false, "arguments": []}"#,
            "unknown exchange type 'x-random'",
        ),
    ] {
        let storage = SimStorage::default();
        let store = open(&storage);
        let path = Path::new(DIRECTORY).join(name);
        storage.put(&path, content.into()).unwrap();
        let text = store.load().unwrap_err().to_string();
        assert!(
            text.contains(expected) && text.contains(path.to_str().unwrap()),
            "{text}"
        );
    }
}

#[test]
fn interrupted_writes_are_removed() {
    let storage = SimStorage::default();
    open(&storage);
    let path = Path::new(DIRECTORY).join("users/a.json.tmp");
    storage.put(&path, b"{".to_vec()).unwrap();
    assert_eq!(open(&storage).load().unwrap(), []);
    assert_eq!(storage.files(), [] as [&Path; 0]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_names_are_stored_and_found(
        names in prop::collection::vec(prop_oneof![".{0,80}", "[aA./%~]{0,3}", "[aA/é]{120,127}"], 3),
    ) {
        // Names on a real file system, where length and characters matter.
        let directory = tempfile::tempdir().unwrap();
        let store = MetadataStore::open(Arc::new(FsStorage), directory.path().to_owned()).unwrap();
        let (one, two, three) = (&names[0], &names[1], &names[2]);
        let entities = [
            vhost(one),
            user(two),
            exchange(one, two),
            queue(one, two),
            binding(one, two, three, two),
        ];
        store.put_all(&entities).unwrap();
        prop_assert_eq!(store.load().unwrap(), entities);
    }
}
