//! A small blocking HTTP client.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use base64::Engine as _;
use serde_json::Value;

use super::{BrokerProcess, DEADLINE};

/// Answers requests of one user.
#[derive(Clone, Debug)]
pub struct Http {
    address: SocketAddr,
    authorization: Option<String>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Http {
    /// Without a password, of a broker that has come no further than to serve HTTP.
    pub fn at(address: SocketAddr) -> Http {
        Http {
            address,
            authorization: None,
        }
    }

    /// Without a password.
    pub fn anonymous(broker: &BrokerProcess) -> Http {
        Http {
            address: broker.management.expect("started with --management-listen"),
            authorization: None,
        }
    }

    /// As `guest`.
    pub fn guest(broker: &BrokerProcess) -> Http {
        Http::as_user(broker, "guest", "guest")
    }

    pub fn as_user(broker: &BrokerProcess, user: &str, password: &str) -> Http {
        let credentials = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        Http {
            authorization: Some(format!("Basic {credentials}")),
            ..Http::anonymous(broker)
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The header's value.
    pub fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }

    pub fn get(&self, path: &str) -> Answer {
        self.request("GET", path, &[], None)
    }

    /// A document that must be there.
    pub fn json(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.json()
    }

    pub fn put(&self, path: &str, body: &Value) -> Answer {
        self.request("PUT", path, &[], Some(body.to_string().as_bytes()))
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.request("POST", path, &[], Some(body.to_string().as_bytes()))
    }

    pub fn delete(&self, path: &str) -> Answer {
        self.request("DELETE", path, &[], None)
    }

    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&[u8]>) -> Answer {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n",
            self.address
        );
        let authorization = self
            .authorization
            .as_deref()
            .map(|value| ("Authorization", value));
        for (name, value) in headers.iter().copied().chain(authorization) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(body) = body {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        // A body that is too large is not read to its end.
        let _ = stream.write_all(body.unwrap_or_default());
        let mut answer = Vec::new();
        if let Err(error) = stream.read_to_end(&mut answer) {
            assert!(!answer.is_empty(), "{method} {path}: {error}");
        }
        parsed(&String::from_utf8(answer).unwrap())
    }
}

fn parsed(text: &str) -> Answer {
    let (head, body) = text.split_once("\r\n\r\n").expect("an answer has a head");
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines.map(|line| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.to_lowercase(), value.to_owned())
    });
    Answer {
        status,
        headers: headers.collect(),
        body: body.to_owned(),
    }
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The value of a metric with these labels, written as they are exported.
    pub fn metric(&self, name_and_labels: &str) -> Option<f64> {
        let value = |line: &str| {
            line.strip_prefix(name_and_labels)?
                .strip_prefix(' ')?
                .parse()
                .ok()
        };
        self.body.lines().find_map(value)
    }

    /// As `metric`, for one that must be there.
    pub fn value(&self, name_and_labels: &str) -> f64 {
        self.metric(name_and_labels)
            .unwrap_or_else(|| panic!("no {name_and_labels} in\n{}", self.body))
    }
}
