//! A data directory that was written before there were permissions and limits is read, and its users may do what they could.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use serde_json::Value;
use support::{BrokerProcess, Client};
use wire::FieldTable;

#[test]
fn users_keep_what_they_could_do() {
    let mut broker = BrokerProcess::start(&["--user=ada:a"]);
    let mut client = Client::connect_as(&broker, "ada", "a", "/");
    client.declare_durable(1, "q", &FieldTable::new());
    client.close();
    broker.stop();

    let metadata = broker.data_dir().join("metadata");
    std::fs::remove_dir_all(metadata.join("permissions")).unwrap();
    std::fs::remove_dir_all(metadata.join("topic_permissions")).unwrap();
    for user in ["guest", "ada"] {
        let path = metadata.join(format!("users/{user}.json"));
        let mut record: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        record.as_object_mut().unwrap().remove("limits").unwrap();
        std::fs::write(&path, record.to_string()).unwrap();
    }
    broker.restart(&[]);
    for (user, password) in [("guest", "guest"), ("ada", "a")] {
        let mut client = Client::connect_as(&broker, user, password, "/");
        assert_eq!(client.declare_durable(1, "q", &FieldTable::new()), 0);
        client.publish(1, "q", b"x");
        client.consume(1, "q", "c", true);
        assert_eq!(client.message().body, b"x");
        client.close();
    }
    // From here on they have permissions like anybody else's.
    broker.stop();
    for user in ["guest", "ada"] {
        assert!(metadata.join(format!("permissions/{user}@%2f.json")).exists());
    }
}
