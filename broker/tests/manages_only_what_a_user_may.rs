//! The management API lets users see and change what RabbitMQ's tags and permissions say.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use serde_json::{Value, json};
use support::http::Http;
use support::{BrokerProcess, Client, declare_own};

/// A broker with two virtual hosts, a queue in each, and a user for every tag, all of whom may work in `one`.
fn start() -> BrokerProcess {
    let broker = BrokerProcess::start(&["--management-listen=127.0.0.1:0"]);
    let guest = Http::guest(&broker);
    for vhost in ["one", "two"] {
        guest.put(&format!("/api/vhosts/{vhost}"), &json!({}));
        guest.put(&format!("/api/queues/{vhost}/q"), &json!({}));
    }
    for tag in ["", "management", "policymaker", "monitoring", "administrator"] {
        let name = format!("u{tag}");
        let made = guest.put(
            &format!("/api/users/{name}"),
            &json!({"password": "x", "tags": tag}),
        );
        assert_eq!(made.status, 201, "{made:?}");
        let permission = json!({"configure": "^mine", "write": "^mine", "read": "^(mine|q)"});
        guest.put(&format!("/api/permissions/one/{name}"), &permission);
    }
    broker
}

fn count(list: &Value) -> usize {
    list.as_array().unwrap().len()
}

#[test]
fn nobody_gets_in_without_a_password_and_a_tag() {
    let broker = start();
    let anonymous = Http::anonymous(&broker).get("/api/overview");
    assert_eq!(anonymous.status, 401);
    assert_eq!(
        anonymous.header("www-authenticate"),
        Some("Basic realm=\"RabbitMQ Management\"")
    );
    assert_eq!(anonymous.json()["error"], "not_authorized");
    for (user, password) in [("guest", "wrong"), ("nobody", "x"), ("", "")] {
        assert_eq!(
            Http::as_user(&broker, user, password).get("/api/overview").status,
            401,
            "{user}"
        );
    }
    let untagged = Http::as_user(&broker, "u", "x").get("/api/overview");
    assert_eq!(
        (untagged.status, untagged.json()),
        (
            401,
            json!({"error": "not_authorised", "reason": "Not management user"})
        )
    );
    let odd = Http::anonymous(&broker).request("GET", "/api/whoami", &[("Authorization", "Bearer x")], None);
    assert_eq!(odd.status, 401);
    let metrics = Http::anonymous(&broker).get("/metrics");
    let failed = metrics.value("rabbitmq_auth_attempts_failed_total{protocol=\"http\"}");
    assert_eq!(failed, 3.0, "nothing was tried without a name");
}

#[test]
fn each_tag_sees_what_it_may() {
    let broker = start();
    let mut client = Client::connect(&broker);
    for (tag, vhosts, connections, users, nodes) in [
        ("management", 1, 0, 401, 401),
        ("policymaker", 1, 0, 401, 401),
        ("monitoring", 3, 1, 401, 200),
        ("administrator", 3, 1, 200, 200),
    ] {
        let http = Http::as_user(&broker, &format!("u{tag}"), "x");
        assert_eq!(http.json("/api/whoami")["tags"], json!([tag]));
        assert_eq!(count(&http.json("/api/vhosts")), vhosts, "{tag}");
        assert_eq!(
            count(&http.json("/api/queues")),
            if vhosts == 1 { 1 } else { 2 },
            "{tag}"
        );
        assert_eq!(count(&http.json("/api/connections")), connections, "{tag}");
        assert_eq!(http.get("/api/users").status, users, "{tag}");
        assert_eq!(http.get("/api/permissions").status, users, "{tag}");
        assert_eq!(http.get("/api/definitions").status, users, "{tag}");
        assert_eq!(http.get("/api/definitions/%2F").status, users, "{tag}");
        // As some clients write it.
        assert_eq!(http.get("/api/users/").status, users, "{tag}");
        assert_eq!(http.get("/api/nodes").status, nodes, "{tag}");
        let elsewhere = if vhosts == 1 { 401 } else { 200 };
        assert_eq!(http.get("/api/queues/two").status, elsewhere, "{tag}");
        assert_eq!(
            http.get("/api/overview").json()["object_totals"]["queues"],
            if vhosts == 1 { 1 } else { 2 }
        );
    }
    client.close();
}

#[test]
fn changes_need_the_permissions_that_a_client_needs() {
    let broker = start();
    let http = Http::as_user(&broker, "umanagement", "x");
    for (method, path, body, expected) in [
        ("PUT", "/api/queues/one/mine", json!({}), 201),
        ("PUT", "/api/queues/one/other", json!({}), 401),
        ("PUT", "/api/queues/two/mine", json!({}), 401),
        ("DELETE", "/api/queues/one/q", json!({}), 401),
        ("DELETE", "/api/queues/one/q/contents", json!({}), 204),
        (
            "POST",
            "/api/queues/one/q/get",
            json!({"count": 1, "ackmode": "ack_requeue_true", "encoding": "auto"}),
            200,
        ),
        ("PUT", "/api/exchanges/one/mine", json!({"type": "fanout"}), 201),
        ("PUT", "/api/exchanges/one/other", json!({"type": "fanout"}), 401),
        (
            "POST",
            "/api/exchanges/one/mine/publish",
            json!({"routing_key": "", "payload": "", "properties": {}}),
            200,
        ),
        (
            "POST",
            "/api/exchanges/one/amq.default/publish",
            json!({"routing_key": "q", "payload": "", "properties": {}}),
            401,
        ),
        ("POST", "/api/bindings/one/e/mine/q/mine", json!({}), 201),
        ("POST", "/api/bindings/one/e/mine/q/q", json!({}), 401),
        ("PUT", "/api/vhosts/three", json!({}), 401),
        ("PUT", "/api/users/eve", json!({"password": "x", "tags": ""}), 401),
        (
            "PUT",
            "/api/permissions/one/u",
            json!({"configure": "", "write": "", "read": ""}),
            401,
        ),
        (
            "PUT",
            "/api/vhost-limits/one/max-queues",
            json!({"value": 1}),
            401,
        ),
        ("POST", "/api/definitions", json!({}), 401),
        ("DELETE", "/api/users/guest", json!({}), 401),
        ("DELETE", "/api/vhosts/one", json!({}), 401),
    ] {
        let answer = http.request(method, path, &[], Some(body.to_string().as_bytes()));
        assert_eq!(answer.status, expected, "{method} {path} {answer:?}");
    }
    let refused = http.put("/api/queues/one/other", &json!({})).json();
    assert_eq!(
        refused["reason"],
        "ACCESS_REFUSED - configure access to queue 'other' in vhost 'one' refused for user 'umanagement'"
    );
}

#[test]
fn connections_are_closed_by_their_user_or_an_administrator() {
    let broker = start();
    let mut client = Client::connect_as(&broker, "umanagement", "x", "one");
    let own = Http::as_user(&broker, "umanagement", "x");
    let list = own.json("/api/connections");
    assert_eq!(count(&list), 1);
    let name = list[0]["name"]
        .as_str()
        .unwrap()
        .replace(' ', "%20")
        .replace('>', "%3E");
    let path = format!("/api/connections/{name}");
    assert_eq!(
        Http::as_user(&broker, "umonitoring", "x").delete(&path).status,
        401
    );
    assert_eq!(
        Http::as_user(&broker, "upolicymaker", "x").delete(&path).status,
        404,
        "not seen"
    );
    assert_eq!(own.delete(&path).status, 204);
    client.expect_close(0, 320);
}

#[test]
fn exclusive_queues_are_seen_and_left_alone() {
    let broker = start();
    let guest = Http::guest(&broker);
    let mut client = Client::connect(&broker);
    client.call(1, declare_own("own"));
    assert_eq!(guest.json("/api/queues/%2F/own")["exclusive"], true);
    for answer in [
        guest.delete("/api/queues/%2F/own"),
        guest.delete("/api/queues/%2F/own/contents"),
    ] {
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(
            answer.body.contains("cannot obtain exclusive access"),
            "{answer:?}"
        );
    }
}
