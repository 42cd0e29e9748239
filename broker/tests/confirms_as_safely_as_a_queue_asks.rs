//! The durability level: a flag for the broker, an argument for a queue.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::{BrokerProcess, Client};
use wire::{FieldTable, Method, TableRef};

fn with_level(level: &str) -> FieldTable {
    let mut arguments = FieldTable::new();
    arguments.insert("x-durability", level);
    arguments
}

fn start_properties(broker: &BrokerProcess) -> String {
    let mut client = Client::raw(broker);
    client.write(&wire::PROTOCOL_HEADER);
    match client.frame().method() {
        Method::ConnectionStart {
            server_properties, ..
        } => {
            let value = server_properties
                .get("durability")
                .expect("the broker says how durable it is");
            value.as_str().unwrap().to_owned()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_level_confirms_and_keeps() {
    for level in ["none", "write", "sync"] {
        let mut broker = BrokerProcess::start(&[&format!("--durability={level}")]);
        assert_eq!(start_properties(&broker), level);
        let mut client = Client::connect(&broker);
        client.confirm_select(1);
        client.declare_durable(1, "as the broker", &FieldTable::new());
        for other in ["none", "write", "sync"] {
            client.declare_durable(1, other, &with_level(other));
        }
        let queues = ["as the broker", "none", "write", "sync"];
        for queue in queues {
            client.publish_persistent(1, "", queue, queue.as_bytes());
        }
        client.await_confirms(queues.len() as u64);
        // An orderly stop keeps what every level has confirmed.
        broker.stop();
        broker.restart(&[&format!("--durability={level}")]);
        let mut client = Client::connect(&broker);
        for queue in queues {
            assert_eq!(
                client.get(1, queue).unwrap().body,
                queue.as_bytes(),
                "{level}, {queue}"
            );
        }
        // The same arguments are needed to declare it again.
        client.declare_durable(1, "write", &with_level("write"));
    }
}

#[test]
fn a_confirm_covers_every_queue_of_a_route() {
    let mut broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    client.confirm_select(1);
    let queues = ["none", "write", "sync"];
    for queue in queues {
        client.declare_durable(1, queue, &with_level(queue));
        let bind = Method::QueueBind {
            queue,
            exchange: "amq.fanout",
            routing_key: "",
            no_wait: false,
            arguments: TableRef::EMPTY,
        };
        client.send(1, bind);
        client.expect(1, Method::QueueBindOk);
    }
    for index in 0..50u8 {
        client.publish_persistent(1, "amq.fanout", "", &[index]);
    }
    client.await_confirms(50);
    broker.kill();
    broker.restart(&[]);
    let mut client = Client::connect(&broker);
    for queue in ["write", "sync"] {
        for index in 0..50u8 {
            assert_eq!(client.get(1, queue).unwrap().body, [index], "{queue}");
        }
    }
}

#[test]
fn a_wrong_level_is_refused_with_what_is_allowed() {
    let broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    let arguments = with_level("disk").to_bytes();
    let declare = Method::QueueDeclare {
        queue: "q",
        passive: false,
        durable: true,
        exclusive: false,
        auto_delete: false,
        no_wait: false,
        arguments: TableRef::parse(&arguments).unwrap(),
    };
    client.send(1, declare);
    let text = client.expect_close(1, 406);
    assert!(
        text.contains("x-durability") && text.contains("none, write or sync"),
        "{text}"
    );
}
