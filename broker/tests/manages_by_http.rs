//! RabbitMQ's management API: what is declared, published and got by HTTP is what clients see, and the other way round.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use serde_json::{Value, json};
use support::http::Http;
use support::{BrokerProcess, Client, wait_for};
use wire::{FieldTable, Method};

const MANAGED: &[&str] = &[
    "--management-listen=127.0.0.1:0",
    "--management-sample-interval=100ms",
];

fn start() -> (BrokerProcess, Http) {
    let broker = BrokerProcess::start(MANAGED);
    let http = Http::guest(&broker);
    (broker, http)
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|item| item["name"].as_str().unwrap())
        .collect()
}

#[test]
fn a_topology_is_made_looked_at_and_unmade() {
    let (broker, http) = start();
    let durable = json!({"durable": true, "arguments": {"x-max-length": 5}});
    assert_eq!(http.put("/api/queues/%2F/a%2Fb", &durable).status, 201);
    assert_eq!(
        http.put("/api/queues/%2F/a%2Fb", &durable).status,
        204,
        "it is there"
    );
    let other = http.put("/api/queues/%2F/a%2Fb", &json!({"durable": false}));
    assert_eq!(
        (other.status, other.json()["error"].as_str()),
        (400, Some("bad_request"))
    );
    let reason = other.json()["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("inequivalent arg 'durable'"), "{reason}");
    assert_eq!(
        http.put("/api/exchanges/%2F/x", &json!({"type": "topic", "durable": true}))
            .status,
        201
    );
    let bound = http.post(
        "/api/bindings/%2F/e/x/q/a%2Fb",
        &json!({"routing_key": "k.#", "arguments": {"n": 1}}),
    );
    assert_eq!(bound.status, 201);
    let location = bound.header("location").unwrap().to_owned();

    let queue = http.json("/api/queues/%2F/a%2Fb");
    for (field, expected) in [
        ("name", json!("a/b")),
        ("vhost", json!("/")),
        ("type", json!("classic")),
        ("durable", json!(true)),
        ("exclusive", json!(false)),
        ("arguments", json!({"x-max-length": 5})),
        ("messages", json!(0)),
        ("state", json!("running")),
    ] {
        assert_eq!(queue[field], expected, "{field}");
    }
    let bindings = http.json("/api/queues/%2F/a%2Fb/bindings");
    assert_eq!(bindings.as_array().unwrap().len(), 2, "{bindings}");
    let made = bindings
        .as_array()
        .unwrap()
        .iter()
        .find(|binding| binding["source"] == "x")
        .unwrap();
    assert_eq!(
        (&made["destination_type"], &made["routing_key"]),
        (&json!("queue"), &json!("k.#"))
    );
    let from = http.json("/api/exchanges/%2F/x/bindings/source");
    assert_eq!(from.as_array().unwrap().as_slice(), std::slice::from_ref(made));

    // A client finds it.
    let mut client = Client::connect(&broker);
    client.confirm_select(1);
    client.publish_persistent(1, "x", "k.1", b"body");
    client.await_confirms(1);
    assert_eq!(http.json("/api/queues/%2F/a%2Fb")["messages_ready"], 1);
    assert_eq!(http.delete("/api/queues/%2F/a%2Fb?if-empty=true").status, 400);
    assert_eq!(http.delete("/api/queues/%2F/a%2Fb/contents").status, 204);

    let path = format!("/api/bindings/%2F/e/x/q/{location}");
    assert_eq!(http.json(&path)["arguments"], json!({"n": 1}));
    assert_eq!(http.delete(&path).status, 204);
    assert_eq!(http.delete(&path).status, 404);
    assert_eq!(http.delete("/api/queues/%2F/a%2Fb?if-empty=true").status, 204);
    assert_eq!(http.get("/api/queues/%2F/a%2Fb").status, 404);
    assert_eq!(http.delete("/api/exchanges/%2F/x").status, 204);
    assert_eq!(
        http.delete("/api/exchanges/%2F/amq.topic").status,
        401,
        "as RabbitMQ says 403 here"
    );
}

#[test]
fn messages_are_published_and_got() {
    let (broker, http) = start();
    http.put("/api/queues/%2F/q", &json!({"durable": true}));
    let publish = |body: Value| http.post("/api/exchanges/%2F/amq.default/publish", &body);
    let properties = json!({"delivery_mode": 2, "headers": {"h": [1, "x"]}, "type": "t", "timestamp": 7});
    let sent = json!({"properties": properties, "routing_key": "q", "payload": "hello", "payload_encoding": "string"});
    assert_eq!(publish(sent).json(), json!({"routed": true}));
    let binary =
        json!({"properties": {}, "routing_key": "q", "payload": "/wA=", "payload_encoding": "base64"});
    assert_eq!(publish(binary).json(), json!({"routed": true}));
    let nowhere =
        json!({"properties": {}, "routing_key": "nowhere", "payload": "x", "payload_encoding": "string"});
    assert_eq!(publish(nowhere).json(), json!({"routed": false}));

    let get = |body: Value| http.post("/api/queues/%2F/q/get", &body).json();
    let looked = get(json!({"count": 9, "ackmode": "ack_requeue_true", "encoding": "auto"}));
    assert_eq!(looked.as_array().unwrap().len(), 2);
    assert_eq!(looked[0]["properties"], properties);
    assert_eq!(
        (&looked[0]["payload"], &looked[0]["message_count"]),
        (&json!("hello"), &json!(1))
    );
    assert_eq!(
        (&looked[1]["payload"], &looked[1]["payload_encoding"]),
        (&json!("/wA="), &json!("base64"))
    );
    let taken = get(json!({"count": 1, "ackmode": "ack_requeue_false", "encoding": "base64", "truncate": 2}));
    assert_eq!(taken[0]["redelivered"], true);
    assert_eq!(
        (&taken[0]["payload"], &taken[0]["payload_bytes"]),
        (&json!("aGU="), &json!(5))
    );
    assert_eq!(http.json("/api/queues/%2F/q")["messages"], 1);
    let stats = &http.json("/api/overview")["message_stats"];
    for (name, expected) in [
        ("publish", 3),
        ("confirm", 2),
        ("return_unroutable", 1),
        ("get", 2),
        ("get_no_ack", 1),
        ("redeliver", 1),
    ] {
        assert_eq!(stats[name], expected, "{name}");
    }

    // What was published is kept as safely as a confirm says.
    drop(http);
    let mut broker = broker;
    broker.kill();
    broker.restart(MANAGED);
    let http = Http::guest(&broker);
    let body = json!({"count": 9, "ackmode": "ack_requeue_true", "encoding": "auto"});
    let left = http.post("/api/queues/%2F/q/get", &body).json();
    // An acknowledgement that no checkpoint has seen is forgotten; the other message was transient.
    assert_eq!(left.as_array().unwrap().len(), 1, "{left}");
    assert_eq!(
        (&left[0]["payload"], &left[0]["redelivered"]),
        (&json!("hello"), &json!(true))
    );
}

#[test]
fn bad_requests_name_the_field() {
    let (_broker, http) = start();
    http.put("/api/queues/%2F/q", &json!({}));
    for (path, body, expected) in [
        (
            "/api/exchanges/%2F/amq.direct/publish",
            json!({"routing_key": "q"}),
            "payload",
        ),
        (
            "/api/exchanges/%2F/amq.direct/publish",
            json!({"routing_key": "q", "payload": 7}),
            "payload: expected a string",
        ),
        (
            "/api/exchanges/%2F/amq.direct/publish",
            json!({"routing_key": "q", "payload": "!", "payload_encoding": "base64"}),
            "payload: no base64",
        ),
        (
            "/api/exchanges/%2F/amq.direct/publish",
            json!({"routing_key": "q", "payload": "", "payload_encoding": "hex"}),
            "payload_encoding: expected string or base64",
        ),
        (
            "/api/exchanges/%2F/amq.direct/publish",
            json!({"routing_key": "q", "payload": "", "properties": {"priority": 256}}),
            "properties.priority: expected a number from 0 to 255",
        ),
        (
            "/api/exchanges/%2F/amq.direct/publish",
            json!({"routing_key": "q", "payload": "", "properties": {"user_id": "ada"}}),
            "properties.user_id",
        ),
        (
            "/api/queues/%2F/q/get",
            json!({"count": -1, "ackmode": "ack_requeue_true", "encoding": "auto"}),
            "count: expected",
        ),
        (
            "/api/queues/%2F/q/get",
            json!({"count": 1, "ackmode": "x", "encoding": "auto"}),
            "ackmode: expected",
        ),
    ] {
        let answer = http.post(path, &body);
        assert_eq!(answer.status, 400, "{body} {answer:?}");
        let reason = answer.json()["reason"].as_str().unwrap().to_owned();
        assert!(reason.starts_with(expected), "{reason}");
    }
    for (path, body, expected) in [
        (
            "/api/exchanges/%2F/x",
            json!({"type": "topical"}),
            "unknown exchange type",
        ),
        (
            "/api/queues/%2F/r",
            json!({"durable": "perhaps"}),
            "durable: expected true or false",
        ),
        (
            "/api/queues/%2F/r",
            json!({"arguments": {"x-max-length": "x"}}),
            "invalid arg 'x-max-length'",
        ),
        (
            "/api/vhost-limits/%2F/max-mess",
            json!({"value": 1}),
            "'max-mess' is no limit",
        ),
        ("/api/users/ada", json!({"tags": ""}), "password_hash"),
        (
            "/api/permissions/%2F/guest",
            json!({"configure": "(", "write": "", "read": ""}),
            "configure pattern '('",
        ),
        ("/api/policies/%2F/p", json!({}), "policies are not supported"),
        (
            format!("/api/queues/%2F/{}", "x".repeat(256)).as_str(),
            json!({}),
            "name: longer than 255 bytes",
        ),
    ] {
        let answer = http.put(path, &body);
        assert_eq!(answer.status, 400, "{path} {answer:?}");
        let reason = answer.json()["reason"].as_str().unwrap().to_owned();
        assert!(reason.starts_with(expected), "{path}: {reason}");
    }
    // There is none of what cannot be made.
    for path in [
        "/api/policies/%2F/p",
        "/api/operator-policies/%2F/p",
        "/api/parameters/shovel/%2F/s",
    ] {
        assert_eq!(
            (http.get(path).status, http.delete(path).status),
            (404, 404),
            "{path}"
        );
    }
    assert_eq!(http.json("/api/parameters/shovel/%2F"), json!([]));
    let no_json = http.request("PUT", "/api/queues/%2F/r", &[], Some(b"{"));
    assert!(
        no_json.status == 400 && no_json.body.contains("not JSON"),
        "{no_json:?}"
    );
    assert_eq!(
        http.request(
            "PUT",
            "/api/queues/%2F/r",
            &[("Content-Length", "99999999999")],
            None
        )
        .status,
        413
    );
    assert_eq!(http.post("/api/queues/%2F/r", &json!({})).status, 405);
    assert_eq!(http.get("/api/nothing").status, 404);
    assert_eq!(http.get("/api/queues/nowhere").status, 404);
    assert_eq!(http.get("/api/queues?page=0").status, 400);
}

#[test]
fn who_is_connected_is_seen_and_can_be_sent_away() {
    let (broker, http) = start();
    let mut client = Client::connect(&broker);
    client.open_channel(7);
    client.confirm_select(1);
    client.declare_durable(1, "q", &FieldTable::new());
    client.publish_persistent(1, "", "q", b"x");
    client.await_confirms(1);
    client.qos(7, 9, false);
    client.consume(7, "q", "tag", false);
    client.message();

    let connections = http.json("/api/connections");
    let connection = &connections[0];
    let name = connection["name"].as_str().unwrap();
    assert_eq!(
        name,
        format!("{} -> {}", client.stream.local_addr().unwrap(), broker.address)
    );
    for (field, expected) in [
        ("user", json!("guest")),
        ("vhost", json!("/")),
        ("channels", json!(2)),
        ("state", json!("running")),
        ("protocol", json!("AMQP 0-9-1")),
        ("auth_mechanism", json!("PLAIN")),
    ] {
        assert_eq!(connection[field], expected, "{field}");
    }
    assert_eq!(
        connection["client_properties"]["capabilities"]["connection.blocked"],
        true
    );
    assert!(connection["recv_oct"].as_u64().unwrap() > 100 && connection["send_oct"].as_u64().unwrap() > 100);

    let encoded = name.replace(' ', "%20").replace('>', "%3E");
    let channels = http.json(&format!("/api/connections/{encoded}/channels"));
    assert_eq!(channels.as_array().unwrap().len(), 2);
    let (publishing, consuming) = (&channels[0], &channels[1]);
    assert_eq!(
        (&publishing["number"], &publishing["confirm"]),
        (&json!(1), &json!(true))
    );
    assert_eq!(publishing["message_stats"]["publish"], 1);
    assert_eq!(publishing["message_stats"]["confirm"], 1);
    assert_eq!(consuming["prefetch_count"], 9);
    assert_eq!(consuming["messages_unacknowledged"], 1);
    assert_eq!(consuming["message_stats"]["deliver"], 1);
    let consumers = http.json("/api/consumers/%2F");
    assert_eq!(consumers[0]["consumer_tag"], "tag");
    assert_eq!(consumers[0]["prefetch_count"], 9);
    assert_eq!(consumers[0]["channel_details"]["connection_name"], name);
    assert_eq!(
        http.json("/api/queues/%2F/q")["consumer_details"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let overview = http.json("/api/overview");
    assert_eq!(
        overview["object_totals"],
        json!({"connections": 1, "channels": 2, "exchanges": 7, "queues": 1, "consumers": 1})
    );

    // A consumer is told when its queue goes.
    assert_eq!(http.delete("/api/queues/%2F/q").status, 204);
    client.expect(
        7,
        Method::BasicCancel {
            consumer_tag: "tag",
            no_wait: true,
        },
    );
    let answer = http.request(
        "DELETE",
        &format!("/api/connections/{encoded}"),
        &[("X-Reason", "go away")],
        None,
    );
    assert_eq!(answer.status, 204);
    let text = client.expect_close(0, 320);
    assert!(text.ends_with("go away"), "{text}");
    wait_for("the end of the connection", || {
        (http.json("/api/connections") == json!([])).then_some(())
    });
}

#[test]
fn rates_follow_what_happens() {
    let (broker, http) = start();
    let mut client = Client::connect(&broker);
    client.declare(1, "q");
    let (queue, overview) = wait_for("a rate", || {
        for _ in 0..10 {
            client.publish(1, "q", b"x");
        }
        let queue = http.json("/api/queues/%2F/q");
        let rate = queue["message_stats"]["publish_details"]["rate"]
            .as_f64()
            .unwrap();
        (rate > 0.0).then(|| (queue, http.json("/api/overview")))
    });
    assert!(queue["messages_details"]["rate"].as_f64().unwrap() > 0.0);
    assert_eq!(queue["message_stats"]["ack_details"]["rate"], 0.0);
    assert!(
        overview["message_stats"]["publish_details"]["rate"]
            .as_f64()
            .unwrap()
            > 0.0
    );
    wait_for("the end of it", || {
        let overview = http.json("/api/overview");
        (overview["message_stats"]["publish_details"]["rate"] == 0.0).then_some(())
    });
}

#[test]
fn lists_come_in_pages_and_columns() {
    let (broker, http) = start();
    let mut client = Client::connect(&broker);
    for queue in ["c", "a", "b1", "b2"] {
        client.declare(1, queue);
    }
    client.publish(1, "b1", b"x");
    wait_for("the message", || {
        (http.json("/api/queues/%2F/b1")["messages"] == 1).then_some(())
    });
    assert_eq!(names(&http.json("/api/queues")), ["a", "b1", "b2", "c"]);
    let page =
        http.json("/api/queues?page=1&page_size=1&sort=messages&sort_reverse=true&columns=name,messages");
    assert_eq!(page["items"], json!([{"name": "b1", "messages": 1}]));
    assert_eq!(
        (&page["total_count"], &page["page_count"]),
        (&json!(4), &json!(4))
    );
    assert_eq!(
        names(&http.json("/api/queues/%2F?name=%5Eb&use_regex=true")),
        ["b1", "b2"]
    );
    assert_eq!(http.json("/api/exchanges?name=amq.").as_array().unwrap().len(), 6);
}

#[test]
fn definitions_go_out_and_come_in() {
    let (_first, http) = start();
    http.put("/api/vhosts/tenant", &json!({"description": "d", "tags": "a,b"}));
    http.put("/api/users/ada", &json!({"password": "x", "tags": "management"}));
    // In the words of RabbitMQ, which knows no Argon2id, she has no password.
    let ada = http.json("/api/users/ada");
    assert_eq!(ada["password_hash"], "");
    assert!(
        ada["password_hash_argon2id"]
            .as_str()
            .unwrap()
            .starts_with("$argon2id$")
    );
    http.put(
        "/api/permissions/tenant/ada",
        &json!({"configure": "", "write": ".*", "read": "^q"}),
    );
    http.put(
        "/api/topic-permissions/tenant/ada",
        &json!({"exchange": "x", "write": "^a", "read": ""}),
    );
    http.put("/api/vhost-limits/tenant/max-queues", &json!({"value": 3}));
    http.put("/api/user-limits/ada/max-channels", &json!({"value": 8}));
    http.put(
        "/api/exchanges/tenant/x",
        &json!({"type": "topic", "durable": true}),
    );
    http.put("/api/queues/tenant/q", &json!({"durable": true}));
    http.put("/api/queues/tenant/brief", &json!({}));
    http.post("/api/bindings/tenant/e/x/q/q", &json!({"routing_key": "a.#"}));
    let document = http.json("/api/definitions");
    assert_eq!(
        names(&document["queues"]),
        ["q"],
        "what is not durable is not defined"
    );

    let (_second, other) = start();
    assert_eq!(other.post("/api/definitions", &document).status, 204);
    assert_eq!(other.json("/api/definitions"), document);
    assert_eq!(
        other.json("/api/user-limits/ada"),
        json!([{"user": "ada", "value": {"max-channels": 8}}])
    );
    assert_eq!(other.json("/api/vhosts/tenant")["tags"], json!(["a", "b"]));

    let of_tenant = other.json("/api/definitions/tenant");
    assert_eq!(of_tenant["bindings"][0]["vhost"], Value::Null);
    other.put("/api/vhosts/copy", &json!({}));
    assert_eq!(other.post("/api/definitions/copy", &of_tenant).status, 204);
    assert_eq!(names(&other.json("/api/queues/copy")), ["q"]);
    let wrong = other.post(
        "/api/definitions",
        &json!({"queues": [{"name": "q", "vhost": "nowhere"}]}),
    );
    assert_eq!(wrong.status, 400);
    assert!(wrong.body.contains("there is no such vhost"), "{wrong:?}");
}

#[test]
fn health_is_checked_by_rabbitmqs_paths_too() {
    let (broker, http) = start();
    let port = broker.address.port();
    for path in [
        "/api/health/checks/alarms",
        "/api/health/checks/local-alarms",
        "/api/health/checks/virtual-hosts",
        "/api/health/checks/ready-to-serve-clients",
        "/api/health/checks/protocol-listener/amqp",
        "/api/aliveness-test/%2F",
        &format!("/api/health/checks/port-listener/{port}"),
    ] {
        assert_eq!(http.json(path), json!({"status": "ok"}), "{path}");
    }
    assert_eq!(http.get("/api/health/checks/port-listener/1").status, 503);
    for absent in ["amqps", "mqtt"] {
        let path = format!("/api/health/checks/protocol-listener/{absent}");
        assert_eq!(http.get(&path).status, 503, "{absent}");
    }
    assert_eq!(http.json("/api/queues/%2F/aliveness-test")["messages"], 0);
    let node = &http.json("/api/nodes")[0];
    assert!(
        node["mem_used"].as_u64() > Some(1 << 20)
            && node["broker"]["stages_us"]["read_to_ring"]["count"].is_u64()
    );
}
