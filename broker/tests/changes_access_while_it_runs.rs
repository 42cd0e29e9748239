//! What an administrator changes counts at once, for connections that are open too.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use broker::broker::Broker;
use broker::config::Config;
use broker::connection::Connection;
use broker::reactor::Reactor;
use broker::store::Maintenance;
use broker::store::metadata::{
    Entity, PermissionRecord, TopicPermissionRecord, UserLimits, VhostLimits, VhostRecord,
};
use seglog::simulation::SimStorage;
use support::{Client, declare};
use tokio::net::TcpListener;
use tokio::task::LocalSet;
use wire::Method;

/// A broker in this process. Its threads end with the test's process.
fn start() -> (Arc<Broker>, SocketAddr, SimStorage) {
    let storage = SimStorage::default();
    let config = Config {
        users: vec!["ada:a".parse().unwrap()],
        ..Config::default()
    };
    let (broker, jobs) = Broker::open(config, Arc::new(storage.clone())).unwrap();
    Maintenance::start(Arc::clone(&broker), jobs).unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    let served = Arc::clone(&broker);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        LocalSet::new().block_on(&runtime, async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            sender.send(listener.local_addr().unwrap()).unwrap();
            let inbox = Arc::clone(&served.inboxes()[0]);
            let reactor = Reactor::new(served.config.frame_max as usize, inbox);
            tokio::task::spawn_local(Rc::clone(&reactor).run_dispatcher());
            loop {
                let (stream, peer) = listener.accept().await.unwrap();
                let id = served.next_connection_id();
                let (served, reactor) = (Arc::clone(&served), Rc::clone(&reactor));
                tokio::task::spawn_local(Connection::serve(served, reactor, id, stream, peer));
            }
        });
    });
    (broker, receiver.recv().unwrap(), storage)
}

fn ada(address: SocketAddr, virtual_host: &str) -> Client {
    let mut client = Client::raw_to(address);
    client.start("ada", "a");
    client.tune_and_open(virtual_host);
    client.open_channel(1);
    client
}

fn permission(vhost: &str, write: &str) -> PermissionRecord {
    PermissionRecord {
        vhost: vhost.to_owned(),
        user: "ada".to_owned(),
        configure: ".*".to_owned(),
        write: write.to_owned(),
        read: ".*".to_owned(),
    }
}

#[test]
fn deleting_a_virtual_host_or_a_user_closes_connections() {
    let (broker, address, storage) = start();
    broker.create_vhost(VhostRecord {
        name: "tenant".to_owned(),
        ..VhostRecord::default()
    });
    broker.set_permission(permission("tenant", ".*")).unwrap();
    let (mut in_tenant, mut in_root) = (ada(address, "tenant"), ada(address, "/"));
    in_tenant.declare_durable(1, "q", &wire::FieldTable::new());
    in_root.declare(1, "q");
    assert!(broker.delete_vhost("tenant").is_some());
    assert_eq!(
        in_tenant.expect_close(0, 320),
        "CONNECTION_FORCED - vhost 'tenant' is deleted"
    );
    assert_eq!(in_root.ready(1, "q"), 0, "others stay");
    let ticket = broker.delete_user("ada").unwrap();
    assert_eq!(
        in_root.expect_close(0, 320),
        "CONNECTION_FORCED - user 'ada' is deleted"
    );
    let mut refused = Client::raw_to(address);
    refused.start("ada", "a");
    refused.expect_close(0, 403);
    support::wait_for("the removals to be stored", || {
        broker.store.is_stored(ticket).then_some(())
    });
    let left = storage.files();
    let left: Vec<_> = left
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap())
        .collect();
    assert_eq!(left, ["guest@%2f.json", "guest.json", "%2f.json"]);
}

#[test]
fn a_remembered_route_is_checked_again_when_permissions_change() {
    let (broker, address, _storage) = start();
    let mut client = ada(address, "/");
    client.declare(1, "q");
    client.publish(1, "q", b"allowed");
    client.consume(1, "q", "c", true);
    assert_eq!(client.message().body, b"allowed");
    broker.set_permission(permission("/", "^x")).unwrap();
    client.publish(1, "q", b"refused");
    assert_eq!(
        client.expect_close(1, 403),
        "ACCESS_REFUSED - write access to exchange 'amq.default' in vhost '/' refused for user 'ada'"
    );
    broker.set_permission(permission("/", ".*")).unwrap();
    client.open_channel(2);
    client.confirm_select(2);
    client.publish_persistent(2, "amq.topic", "a.b", b"unroutable");
    client.await_confirms(1);
    broker
        .set_topic_permission(TopicPermissionRecord {
            vhost: "/".to_owned(),
            user: "ada".to_owned(),
            exchange: "amq.topic".to_owned(),
            write: "^b".to_owned(),
            read: ".*".to_owned(),
        })
        .unwrap();
    client.publish_persistent(2, "amq.topic", "a.b", b"refused");
    assert_eq!(
        client.expect_close(2, 403),
        "ACCESS_REFUSED - write access to topic 'a.b' in exchange 'amq.topic' in vhost '/' refused for user 'ada'"
    );
    assert!(broker.clear_topic_permission("/", "ada", "amq.topic").is_some());
    assert!(broker.clear_permission("/", "ada").is_some());
    let mut refused = Client::raw_to(address);
    refused.start("ada", "a");
    refused.tune_and_ask("/");
    assert_eq!(
        refused.expect_close(0, 530),
        "NOT_ALLOWED - access to vhost '/' refused for user 'ada'"
    );
    assert_eq!(
        broker.set_permission(permission("nowhere", "")).unwrap_err(),
        "there is no vhost 'nowhere'"
    );
}

#[test]
fn limits_count_from_when_they_are_set() {
    let (broker, address, _storage) = start();
    let mut client = ada(address, "/");
    client.declare(1, "one");
    let limits = VhostLimits {
        connections_max: None,
        queues_max: Some(1),
    };
    assert!(broker.set_vhost_limits("/", limits).is_some());
    client.send(1, declare("two"));
    client.expect_close(1, 406);
    let records = broker.users.records();
    let ada = records.into_iter().find_map(|record| match record {
        Entity::User(user) if user.name == "ada" => Some(user),
        _ => None,
    });
    let mut ada = ada.unwrap();
    ada.limits = Some(UserLimits {
        channels_max: Some(1),
        ..UserLimits::default()
    });
    broker.put_user(ada);
    client.open_channel(2);
    client.send(3, Method::ChannelOpen);
    client.expect_close(0, 530);
}
