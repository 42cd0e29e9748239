//! Attempts to get at, change or break what somebody may not, by whoever reaches the broker's ports. `SECURITY.md` lists all attacks and
//! where each is tried; here are those that go through several interfaces or through all routes of one.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use serde_json::{Value, json};
use support::http::Http;
use support::{BrokerProcess, Client, DEADLINE};
use wire::FieldTable;

fn start() -> (BrokerProcess, Http) {
    let broker = BrokerProcess::start(&["--management-listen=127.0.0.1:0"]);
    let http = Http::guest(&broker);
    (broker, http)
}

/// As part of a path: every octet that could be read as something else is escaped.
fn escaped(name: &str) -> String {
    let escape = |octet: u8| match octet {
        b'a'..=b'z' | b'0'..=b'9' => char::from(octet).to_string(),
        _ => format!("%{octet:02X}"),
    };
    name.bytes().map(escape).collect()
}

/// What the API says there is, in an order that a restart does not change.
fn defined(http: &Http) -> Value {
    let mut document = http.json("/api/definitions");
    for list in document.as_object_mut().unwrap().values_mut() {
        if let Some(list) = list.as_array_mut() {
            list.sort_by_key(Value::to_string);
        }
    }
    document
}

/// Files below a directory, their names relative to it.
fn files_below(directory: &Path, found: &mut Vec<String>, root: &Path) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, found, root);
        } else {
            found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
        }
    }
}

#[test]
fn names_that_look_like_paths_are_names() {
    let (mut broker, http) = start();
    let names = [
        "..",
        "../../../../tmp/planted",
        "/etc/passwd",
        "a/../../b",
        "..%2f..%2fplanted",
        "C:\\planted",
        "line\nbreak",
        "nul\0l",
        "{\"json\": 1}",
        "~root",
        "$(touch planted)",
    ];
    let mut client = Client::connect(&broker);
    for name in names {
        client.declare_durable(1, &format!("by-amqp{name}"), &FieldTable::new());
        client.declare_durable(1, name, &FieldTable::new());
        let path = escaped(name);
        for (kind, body) in [
            (format!("vhosts/{path}"), json!({})),
            (
                format!("exchanges/%2F/{path}"),
                json!({"type": "fanout", "durable": true}),
            ),
            (format!("users/{path}"), json!({"password": "x", "tags": ""})),
        ] {
            let made = http.put(&format!("/api/{kind}"), &body);
            assert_eq!(made.status, 201, "{kind} {made:?}");
        }
        client.publish_persistent(1, "", name, name.as_bytes());
    }
    client.close();
    let before = defined(&http);
    broker.stop();
    let mut files = Vec::new();
    files_below(broker.data_dir(), &mut files, broker.data_dir());
    assert!(files.len() > 4 * names.len(), "{files:?}");
    for file in &files {
        let is_plain = |part: &str| {
            let plain = |character: char| character.is_ascii_alphanumeric() || "%@+~_-.".contains(character);
            part.chars().all(plain) && !part.starts_with('.')
        };
        assert!(file.split('/').all(is_plain), "{file}");
    }
    broker.restart(&["--management-listen=127.0.0.1:0"]);
    assert!(
        defined(&Http::guest(&broker)) == before,
        "something is gone or new"
    );
    let mut client = Client::connect(&broker);
    for name in names {
        assert_eq!(client.get(1, name).unwrap().body, name.as_bytes());
    }
}

#[test]
fn silent_http_connections_keep_no_probe_out() {
    let (_broker, http) = start();
    // More than there are places; each of them may wait for longer than this test.
    let connect = |_| TcpStream::connect(http.address()).unwrap();
    let silent: Vec<TcpStream> = (0..300).map(connect).collect();
    for _ in 0..3 {
        assert_eq!(http.get("/healthz").status, 200);
        assert_eq!(http.get("/api/overview").status, 200);
    }
    drop(silent);
}

#[test]
fn paths_lead_to_routes_and_to_no_file() {
    let (_broker, http) = start();
    for path in [
        "/../../../../../../etc/passwd",
        "/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2f..%2fetc%2fpasswd",
        "//etc/passwd",
        "/api/../../etc/passwd",
        "/api/queues/%2F/..%2F..%2F..%2Fetc%2Fpasswd",
        "/api/definitions/..%2F..%2Fetc%2Fpasswd",
        "/metrics/../../../etc/passwd",
        "file:///etc/passwd",
    ] {
        let answer = http.get(path);
        assert!(
            [400, 404].contains(&answer.status) && !answer.body.contains("root:"),
            "{path} {answer:?}"
        );
    }
}

/// Method and path of every route that the API describes, with something in the place of each parameter.
fn routes(http: &Http) -> Vec<(String, String)> {
    let document = http.json("/api/openapi.json");
    let mut routes = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in ["get", "put", "post", "delete"] {
            if operations.get(method).is_some() {
                let parts = path.split('/').map(|part| match part {
                    "{vhost}" => "%2F",
                    part if part.starts_with('{') => "x",
                    part => part,
                });
                let path: Vec<&str> = parts.collect();
                routes.push((method.to_uppercase(), path.join("/")));
            }
        }
    }
    assert!(routes.len() > 60, "{routes:?}");
    routes
}

#[test]
fn no_route_answers_whoever_has_no_password_or_no_tag() {
    let (broker, http) = start();
    http.put("/api/queues/%2F/x", &json!({"durable": true}));
    http.put("/api/users/x", &json!({"password": "x", "tags": ""}));
    http.put(
        "/api/permissions/%2F/x",
        &json!({"configure": ".*", "write": ".*", "read": ".*"}),
    );
    let before = defined(&http);
    let for_all = [
        "/",
        "/healthz",
        "/readyz",
        "/metrics",
        "/metrics/per-object",
        "/api/openapi.json",
    ];
    for (method, path) in routes(&http) {
        if for_all.contains(&path.as_str()) {
            continue;
        }
        for visitor in [Http::anonymous(&broker), Http::as_user(&broker, "x", "x")] {
            let answer = visitor.request(&method, &path, &[], Some(b"{}"));
            assert_eq!(answer.status, 401, "{method} {path} {answer:?}");
        }
    }
    assert!(defined(&http) == before, "something has changed");
}

#[test]
fn nobody_but_an_administrator_can_give_rights() {
    let (broker, http) = start();
    http.put("/api/vhosts/x", &json!({}));
    let tags = ["management", "policymaker", "monitoring"];
    for tag in tags {
        http.put(
            &format!("/api/users/{tag}"),
            &json!({"password": "x", "tags": tag}),
        );
        let all = json!({"configure": ".*", "write": ".*", "read": ".*"});
        http.put(&format!("/api/permissions/%2F/{tag}"), &all);
    }
    let before = defined(&http);
    for tag in tags {
        let visitor = Http::as_user(&broker, tag, "x");
        let rights = json!({"password": "mine", "tags": "administrator", "configure": ".*", "write": ".*", "read": ".*",
            "exchange": "amq.topic", "value": 1, "users": [{"name": tag, "password": "mine", "tags": "administrator"}]});
        for (method, path) in routes(&http) {
            let gives = [
                "/api/users",
                "/api/permissions",
                "/api/topic-permissions",
                "/api/vhosts",
                "/api/definitions",
            ];
            let limits = path.contains("-limits");
            if method == "GET" || !(limits || gives.iter().any(|gives| path.starts_with(gives))) {
                continue;
            }
            for path in [path.clone(), path.replace("/x", &format!("/{tag}"))] {
                let answer = visitor.request(&method, &path, &[], Some(rights.to_string().as_bytes()));
                assert_eq!(answer.status, 401, "{tag} {method} {path} {answer:?}");
            }
        }
    }
    assert!(defined(&http) == before, "something has changed");
}

#[test]
fn messages_by_http_need_the_same_topics_as_by_amqp() {
    let (broker, http) = start();
    http.put("/api/users/ada", &json!({"password": "x", "tags": "management"}));
    http.put(
        "/api/permissions/%2F/ada",
        &json!({"configure": "", "write": "^amq\\.topic$", "read": ""}),
    );
    http.put(
        "/api/topic-permissions/%2F/ada",
        &json!({"exchange": "amq.topic", "write": "^ada\\.", "read": ""}),
    );
    let ada = Http::as_user(&broker, "ada", "x");
    let publish = |key: &str, headers: Value| {
        let body = json!({"routing_key": key, "payload": "", "properties": {"headers": headers}});
        ada.post("/api/exchanges/%2F/amq.topic/publish", &body).status
    };
    assert_eq!(publish("ada.x", json!({})), 200);
    assert_eq!(publish("bob.x", json!({})), 401);
    assert_eq!(publish("ada.x", json!({"CC": ["bob.x"]})), 401);
    assert_eq!(publish("ada.x", json!({"BCC": ["bob.x"]})), 401);
    assert_eq!(publish("ada.x", json!({"CC": ["ada.y"]})), 200);
}

/// The places of all values within a document, as JSON pointers.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let name = name.replace('~', "~0").replace('/', "~1");
                places(value, &format!("{at}/{name}"), found);
            }
        }
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                places(value, &format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

#[test]
fn definitions_with_anything_wrong_are_refused_and_change_nothing() {
    let (_broker, http) = start();
    let document = json!({
        "users": [{"name": "eve", "password_hash": "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR",
            "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": ["management"], "limits": {"max-channels": 7}}],
        "vhosts": [{"name": "v"}],
        "permissions": [{"user": "eve", "vhost": "v", "configure": "a", "write": "b", "read": "c"}],
        "topic_permissions": [{"user": "eve", "vhost": "v", "exchange": "t", "write": "d", "read": "e"}],
        "exchanges": [{"name": "t", "vhost": "v", "type": "topic", "durable": true, "auto_delete": false, "internal": false,
            "arguments": {"alternate-exchange": "amq.fanout"}}],
        "queues": [{"name": "q", "vhost": "v", "durable": true, "auto_delete": false, "arguments": {"x-max-length": 9}}],
        "bindings": [{"source": "t", "vhost": "v", "destination": "q", "destination_type": "queue", "routing_key": "k",
            "arguments": {"x": 1}}],
    });
    let mut all = Vec::new();
    places(&document, "", &mut all);
    let before = defined(&http);
    let mut refused = 0;
    for place in &all {
        for wrong in [
            Value::Null,
            json!(true),
            json!(-1),
            json!(1e300),
            json!("("),
            json!("x".repeat(300)),
            json!([[]]),
            json!({"\u{0}": {}}),
        ] {
            let mut document = document.clone();
            *document.pointer_mut(place).unwrap() = wrong.clone();
            let answer = http.post("/api/definitions", &document);
            match answer.status {
                400 => {
                    assert!(!answer.json()["reason"].as_str().unwrap().is_empty());
                    assert!(defined(&http) == before, "changed by {wrong} at {place}");
                    refused += 1;
                }
                // Allowed after all: a pattern, an argument that nobody knows. It must be as harmless as the document.
                204 => {
                    for vhost in http.json("/api/vhosts").as_array().unwrap() {
                        let name = vhost["name"].as_str().unwrap();
                        if name != "/" {
                            http.delete(&format!("/api/vhosts/{}", escaped(name)));
                        }
                    }
                    for user in http.json("/api/users").as_array().unwrap() {
                        let name = user["name"].as_str().unwrap();
                        if name != "guest" {
                            http.delete(&format!("/api/users/{}", escaped(name)));
                        }
                    }
                    assert!(defined(&http) == before, "changed by {wrong} at {place}");
                }
                status => panic!("{status}: {place} {wrong} {answer:?}"),
            }
        }
    }
    assert!(refused > 3 * all.len(), "{refused} refused of {}", all.len());
}

/// What comes back for these bytes until the connection ends.
fn answer_to(http: &Http, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(http.address()).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    // Both may fail once the broker has had enough; what it said before that counts.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn oversized_and_ambiguous_requests_are_cut_short() {
    let (broker, http) = start();
    let resident = broker.resident_bytes();
    let long = "x".repeat(100_000);
    let nested = "[".repeat(100_000);
    let many: String = (0..5_000).map(|index| format!("X-{index}: x\r\n")).collect();
    let guest = http.authorization().unwrap().to_owned();
    for (request, statuses) in [
        (
            format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"),
            &[414, 431][..],
        ),
        (
            format!("GET /api/overview HTTP/1.1\r\nHost: x\r\nX-Long: {long}\r\n\r\n"),
            &[431],
        ),
        (
            format!("GET /api/overview HTTP/1.1\r\nHost: x\r\n{many}\r\n"),
            &[431],
        ),
        (
            format!(
                "GET /api/overview HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Basic {}\r\n\r\n",
                "A".repeat(20_000)
            ),
            &[401],
        ),
        (
            "POST /api/definitions HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n{}xx"
                .to_owned(),
            &[400],
        ),
        (
            format!(
                "POST /api/definitions HTTP/1.1\r\nHost: x\r\nAuthorization: {guest}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{nested}",
                nested.len()
            ),
            &[400],
        ),
        (
            format!(
                "POST /api/definitions HTTP/1.1\r\nHost: x\r\nAuthorization: {guest}\r\nContent-Length: -1\r\n\r\n"
            ),
            &[400],
        ),
        ("GET / HTTP/9.9\r\n\r\n".to_owned(), &[400, 505]),
        ("AMQP\0\0\u{9}\u{1}\r\n\r\n".to_owned(), &[400]),
    ] {
        let answer = answer_to(&http, request.as_bytes());
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        assert!(
            status.is_some_and(|status: u16| statuses.contains(&status)),
            "{}: {answer:?}",
            &request[..60.min(request.len())]
        );
    }
    // A body that says nothing of its length, and goes on.
    let chunk = format!("100000\r\n{}\r\n", "x".repeat(1 << 20));
    let head = format!(
        "POST /api/definitions HTTP/1.1\r\nHost: x\r\nAuthorization: {guest}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    let answer = answer_to(&http, (head + &chunk.repeat(40)).as_bytes());
    assert!(answer.is_empty() || answer.contains(" 413 "), "{answer:?}");
    assert_eq!(http.get("/healthz").status, 200);
    assert!(broker.resident_bytes() < resident + (200 << 20));
}

#[test]
fn pages_from_elsewhere_cannot_use_a_browsers_password() {
    let (_broker, http) = start();
    let publish = br#"{"durable": true}"#;
    let from = |headers: &[(&str, &str)]| {
        http.request("PUT", "/api/queues/%2F/planted", headers, Some(publish))
            .status
    };
    for headers in [
        &[("Origin", "https://elsewhere.example")][..],
        &[("Origin", "null")],
        &[("Sec-Fetch-Site", "cross-site")],
        &[("Sec-Fetch-Site", "same-site")],
    ] {
        assert_eq!(from(headers), 403, "{headers:?}");
        assert_eq!(http.get("/api/queues/%2F/planted").status, 404);
    }
    let own = format!("http://{}", http.address());
    assert_eq!(from(&[("Origin", &own)]), 201);
    // Behind a proxy the host may have another name; the browser says that it is the same origin.
    let proxied = [
        ("Origin", "https://broker.example"),
        ("Sec-Fetch-Site", "same-origin"),
    ];
    assert_eq!(from(&proxied), 204);
    assert_eq!(from(&[("Sec-Fetch-Site", "none")]), 204);
}
