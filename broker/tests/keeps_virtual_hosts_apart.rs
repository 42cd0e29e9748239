//! Two virtual hosts have entities of the same names and know nothing of each other, also after a restart.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::{BrokerProcess, Client, definitions};
use wire::{FieldTable, Method, TableRef};

const DEFINITIONS: &str = r#"{
    "vhosts": [{"name": "/"}, {"name": "tenant"}, {"name": "closed"}],
    "users": [{"name": "ada", "password": "a", "tags": []}],
    "permissions": [
        {"user": "ada", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"},
        {"user": "ada", "vhost": "tenant", "configure": ".*", "write": ".*", "read": ".*"}
    ]
}"#;

fn refused(broker: &BrokerProcess, virtual_host: &str) -> String {
    let mut client = Client::raw(broker);
    client.start("ada", "a");
    client.tune_and_ask(virtual_host);
    client.expect_close(0, 530)
}

#[test]
fn the_same_names_in_two_virtual_hosts_are_two_things() {
    let (_file, flag) = definitions(DEFINITIONS);
    let mut broker = BrokerProcess::start(&[&flag]);
    for (virtual_host, body) in [("/", &b"root"[..]), ("tenant", b"tenant")] {
        let mut client = Client::connect_as(&broker, "ada", "a", virtual_host);
        assert_eq!(client.declare_durable(1, "q", &FieldTable::new()), 0);
        let bind = Method::QueueBind {
            queue: "q",
            exchange: "amq.topic",
            routing_key: "#",
            no_wait: false,
            arguments: TableRef::EMPTY,
        };
        assert_eq!(client.call(1, bind).method(), Method::QueueBindOk);
        client.confirm_select(1);
        client.publish_persistent(1, "amq.topic", "a", body);
        client.await_confirms(1);
        client.close();
    }
    broker.stop();
    for (flags, body) in [(&["--vhost=tenant"][..], "tenant"), (&[], "root")] {
        let dumped = std::process::Command::new(env!("CARGO_BIN_EXE_broker"))
            .args(["log", "dump", "--format=json", "--queue=q", "--data-dir"])
            .arg(broker.data_dir())
            .args(flags)
            .output()
            .unwrap();
        let dumped = String::from_utf8(dumped.stdout).unwrap();
        assert!(dumped.contains(&format!("\"{body}\"")), "{dumped}");
    }
    broker.restart(&[]);
    for (virtual_host, body) in [("/", &b"root"[..]), ("tenant", b"tenant")] {
        let mut client = Client::connect_as(&broker, "ada", "a", virtual_host);
        assert_eq!(client.ready(1, "q"), 1);
        assert_eq!(client.get(1, "q").unwrap().body, body, "{virtual_host}");
    }
}

#[test]
fn refusals_name_the_virtual_host() {
    let (_file, flag) = definitions(DEFINITIONS);
    let broker = BrokerProcess::start(&[&flag]);
    assert_eq!(
        refused(&broker, "nowhere"),
        "NOT_ALLOWED - vhost nowhere not found"
    );
    assert_eq!(
        refused(&broker, "closed"),
        "NOT_ALLOWED - access to vhost 'closed' refused for user 'ada'"
    );
    let mut client = Client::connect_as(&broker, "ada", "a", "tenant");
    let get = Method::BasicGet {
        queue: "missing",
        no_ack: true,
    };
    client.send(1, get);
    assert_eq!(
        client.expect_close(1, 404),
        "NOT_FOUND - no queue 'missing' in vhost 'tenant'"
    );
}
