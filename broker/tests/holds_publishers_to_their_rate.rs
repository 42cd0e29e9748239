//! Whoever publishes more than it may is read more slowly: nothing is lost or reordered, nobody else waits, and whoever looks sees it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::Write as _;
use std::net::Shutdown;
use std::time::{Duration, Instant};

use serde_json::json;
use support::http::Http;
use support::{BrokerProcess, Client, DEADLINE, Watched, Witness, consume, encode_publish, wait_for};
use wire::Method;

const MANAGED: &str = "--management-listen=127.0.0.1:0";
/// A second's worth passes at once, so these take four seconds at 50 a second.
const MESSAGES: u64 = 250;
/// What they take at least: a timer may be a little early.
const FOUR_SECONDS: Duration = Duration::from_millis(3900);

/// A client with a queue and confirms, and numbered messages to publish in one write.
fn publisher(broker: &BrokerProcess, queue: &str) -> Client {
    let mut client = Client::connect(broker);
    client.declare(1, queue);
    client.confirm_select(1);
    client
}

fn numbered(queue: &str, count: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in 1..=count {
        encode_publish(&mut bytes, 1, "", queue, false, &number.to_be_bytes(), 131_072);
    }
    bytes
}

/// The state of the connection whose client's end is this.
fn state_of(http: &Http, client: &Client) -> String {
    let port = client.stream.local_addr().unwrap().port();
    let list = http.json("/api/connections");
    let mut all = list.as_array().unwrap().iter();
    let found = all.find(|connection| connection["peer_port"] == port);
    found.map_or_else(String::new, |found| found["state"].as_str().unwrap().to_owned())
}

#[test]
fn a_connection_publishes_no_more_messages_than_it_may_and_others_do_not_wait() {
    let broker = BrokerProcess::start(&[MANAGED, "--publish-rate-max=50"]);
    let http = Http::guest(&broker);
    let mut client = publisher(&broker, "q");
    // More than the test would wait for.
    let mut flood = publisher(&broker, "flood");
    flood.write(&numbered("flood", 10_000));
    let start = Instant::now();
    client.write(&numbered("q", MESSAGES));
    wait_for("flow", || (state_of(&http, &client) == "flow").then_some(()));
    // Another connection has a rate of its own.
    let mut witness = Witness::of(&broker);
    (0..20).for_each(|_| witness.works());
    let mut reader = Client::connect(&broker);
    assert!(reader.ready(1, "flood") < 10_000, "the others were waited for");
    client.await_confirms(MESSAGES);
    assert!(start.elapsed() >= FOUR_SECONDS, "{:?}", start.elapsed());
    let metrics = http.get("/metrics");
    assert!(metrics.value("broker_publish_pauses_total") > 1.0);
    assert!(metrics.value("broker_connections_throttled") >= 1.0);
    reader.consume(1, "q", "c", true);
    for number in 1..=MESSAGES {
        assert_eq!(reader.message().body, number.to_be_bytes());
    }
}

#[test]
fn acknowledgements_wait_only_for_what_their_own_client_has_published_before() {
    let broker = BrokerProcess::start(&["--publish-rate-max=20"]);
    let mut feeder = Client::connect(&broker);
    feeder.declare(1, "in");
    feeder.publish(1, "in", b"work");
    let mut worker = publisher(&broker, "out");
    worker.send(1, consume("in", "c", false));
    worker.expect(1, Method::BasicConsumeOk { consumer_tag: "c" });
    let tag = worker.message().tag().0;
    // Three more than pass at once, and the acknowledgement behind them.
    worker.write(&numbered("out", 23));
    worker.ack(1, tag, false);
    worker.await_confirms(23);
    worker.send(1, consume("in", "another", false));
    worker.expect(
        1,
        Method::BasicConsumeOk {
            consumer_tag: "another",
        },
    );
    drop(worker);
    // It was acknowledged: nothing comes back.
    wait_for("the end of the connection", || {
        match feeder.call(1, support::passive("in")).method() {
            Method::QueueDeclareOk {
                message_count,
                consumer_count,
                ..
            } => {
                assert_eq!(message_count, 0);
                (consumer_count == 0).then_some(())
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn bytes_are_limited_too_and_a_message_larger_than_a_second_s_worth_passes() {
    let broker = BrokerProcess::start(&["--publish-bytes-rate-max=1MiB"]);
    let mut client = publisher(&broker, "q");
    let body = vec![7; 1 << 20];
    let start = Instant::now();
    // The first is paid for, the second and third are owed for, the fourth waits for both.
    for _ in 0..4 {
        client.publish(1, "q", &body);
    }
    client.await_confirms(4);
    assert!(
        start.elapsed() >= Duration::from_millis(1900),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(client.ready(1, "q"), 4);
}

#[test]
fn nobody_is_missed_by_heartbeats_that_are_not_read() {
    let broker = BrokerProcess::start(&["--publish-bytes-rate-max=1MiB"]);
    let mut client = Client::with_heartbeats(&broker);
    client.declare(1, "q");
    // The next publish has to wait for four seconds, and the question behind it.
    let start = Instant::now();
    client.publish(1, "q", &vec![7; 5 << 20]);
    assert_eq!(client.ready(1, "q"), 1);
    client.publish(1, "q", b"x");
    assert_eq!(client.ready(1, "q"), 2);
    assert!(start.elapsed() >= FOUR_SECONDS, "{:?}", start.elapsed());
}

#[test]
fn the_connections_of_a_user_share_a_rate_that_the_user_may_be_given() {
    let broker = BrokerProcess::start(&[MANAGED, "--user=ada:a", "--user-publish-rate-max=50"]);
    let http = Http::guest(&broker);
    let start = Instant::now();
    let mut both: Vec<Client> = ["one", "two"].map(|queue| publisher(&broker, queue)).into();
    for (client, queue) in both.iter_mut().zip(["one", "two"]) {
        client.write(&numbered(queue, MESSAGES / 2));
    }
    // Another user has a rate of its own.
    let mut ada = Client::connect_as(&broker, "ada", "a", "/");
    ada.confirm_select(1);
    ada.write(&numbered("one", 40));
    ada.await_confirms(40);
    // Whoever is made to wait is in flow for seconds afterwards.
    assert_eq!(state_of(&http, &ada), "running", "she was made to wait");
    for client in &mut both {
        client.await_confirms(MESSAGES / 2);
    }
    assert!(start.elapsed() >= FOUR_SECONDS, "{:?}", start.elapsed());

    // More than the test would wait for, but for the limit that this user is given: none.
    both[0].write(&numbered("one", 10_000));
    let limit = "/api/user-limits/guest/max-publish-rate";
    assert_eq!(http.put(limit, &json!({"value": 0})).status, 204);
    assert_eq!(
        http.json("/api/user-limits/guest")[0]["value"],
        json!({"max-publish-rate": 0})
    );
    both[0].await_confirms(10_000 + MESSAGES / 2);
    let refused = http.put("/api/user-limits/guest/max-speed", &json!({"value": 1}));
    assert_eq!(refused.status, 400);
    assert!(
        refused.body.contains("max-publish-bytes-rate"),
        "{}",
        refused.body
    );
    let document = http.json("/api/definitions");
    let mut users = document["users"].as_array().unwrap().iter();
    let guest = users.find(|user| user["name"] == "guest").unwrap();
    assert_eq!(guest["limits"], json!({}), "what RabbitMQ would refuse");
    assert_eq!(guest["publish_limits"], json!({"max-publish-rate": 0}));
}

#[test]
fn the_connections_of_a_user_take_turns() {
    let broker = BrokerProcess::start(&["--user-publish-rate-max=5000"]);
    let mut reader = Client::connect(&broker);
    let flood = publisher(&broker, "flood");
    let mut client = publisher(&broker, "q");
    let mut stream = flood.stream.try_clone().unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    let passed = std::thread::scope(|scope| {
        // More than the test would wait for.
        scope.spawn(move || stream.write_all(&numbered("flood", 200_000)).is_ok());
        wait_for("the flood to take all that passes at once", || {
            (reader.ready(1, "flood") >= 5000).then_some(())
        });
        client.write(&numbered("q", 2000));
        client.await_confirms(2000);
        let passed = reader.ready(1, "flood");
        flood.stream.shutdown(Shutdown::Both).unwrap();
        passed
    });
    // As many as the other, and some before and after that. Were the other one to have what is left over, it would be all.
    assert!((6000..30_000).contains(&passed), "{passed}");
}

#[test]
fn whoever_is_closed_while_it_waits_leaves_its_turn_to_others() {
    let broker = BrokerProcess::start(&[MANAGED, "--user=ada:a", "--user-publish-rate-max=1"]);
    let http = Http::as_user(&broker, "ada", "a");
    let waiting = |_| {
        let mut client = publisher(&broker, "q");
        client.write(&numbered("q", 2));
        client
    };
    // A turn a second for each of them: more than the test would wait for.
    let waiting: Vec<Client> = (0..30).map(waiting).collect();
    wait_for("all of them to wait", || {
        (http.get("/metrics").value("broker_publish_pauses_total") >= 30.0).then_some(())
    });
    assert_eq!(http.delete("/api/connections/username/guest").status, 204);
    let mut next = publisher(&broker, "q");
    next.write(&numbered("q", 1));
    next.await_confirms(1);
    drop(waiting);
}

#[test]
fn acknowledgements_do_not_count() {
    let broker = BrokerProcess::start(&[MANAGED, "--user=ada:a"]);
    let http = Http::guest(&broker);
    let limit = "/api/user-limits/guest/max-publish-bytes-rate";
    assert_eq!(http.put(limit, &json!({"value": 4096})).status, 204);
    let mut feeder = Client::connect_as(&broker, "ada", "a", "/");
    feeder.declare(1, "in");
    feeder.write(&numbered("in", 1000));
    let mut worker = publisher(&broker, "out");
    worker.send(1, consume("in", "c", false));
    worker.expect(1, Method::BasicConsumeOk { consumer_tag: "c" });
    let mut bytes = Vec::new();
    for _ in 0..1000 {
        let ack = Method::BasicAck {
            delivery_tag: worker.message().tag().0,
            multiple: false,
        };
        ack.encode(1, &mut bytes);
    }
    assert!(bytes.len() > 4 * 4096);
    // Between two that may pass at once.
    let publish = numbered("out", 1);
    worker.write(&[&publish[..], &bytes, &publish].concat());
    worker.await_confirms(2);
    assert_eq!(http.get("/metrics").value("broker_publish_pauses_total"), 0.0);
}

#[test]
fn a_rate_changes_while_a_connection_is_paused() {
    let cases = [
        ("publish_rate_max", "1", "0"),
        ("publish_bytes_rate_max", "'1KiB'", "'1GiB'"),
    ];
    for (key, before, after) in cases {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("broker.toml");
        std::fs::write(&path, format!("{key} = {before}\n")).unwrap();
        let config = format!("--config={}", path.display());
        let broker = Watched::start(&[&config], &[("RUST_LOG", "info")], 1);
        let mut client = publisher(&broker, "q");
        // What follows it would have to wait for a minute, or for hours.
        client.publish(1, "q", &[7; 64 << 10]);
        client.await_confirms(1);
        client.write(&numbered("q", 10_000));
        std::fs::write(&path, format!("{key} = {after}\n")).unwrap();
        broker.signal("HUP");
        broker.expect_log(&["setting changed", key]);
        client.await_confirms(10_001);
        assert_eq!(client.ready(1, "q"), 10_001);
    }
}
