//! One row per way to be refused: what is sent, and the close that must come back.
//!
//! Rows speak to an address, so that the same table runs against another broker: RabbitMQ of whatever version. A row says
//! where an older RabbitMQ answers otherwise, or why it cannot be asked.

use std::net::SocketAddr;

use wire::Method;

use super::Client;

/// How far a refusal reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Channel,
    Connection,
}

/// A close: scope, reply code, class and method that it names, and its text, in which `*` stands for anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close {
    pub scope: Scope,
    pub code: u16,
    pub method: (u16, u16),
    pub text: &'static str,
}

/// A close of channel 1.
pub const fn channel(code: u16, method: (u16, u16), text: &'static str) -> Close {
    Close {
        scope: Scope::Channel,
        code,
        method,
        text,
    }
}

/// A close of the connection.
pub const fn connection(code: u16, method: (u16, u16), text: &'static str) -> Close {
    Close {
        scope: Scope::Connection,
        code,
        method,
        text,
    }
}

/// One way to be refused.
pub struct Row {
    pub what: &'static str,
    /// Sends what is refused, and all that must be there before.
    pub ask: Box<dyn Fn(&mut Client)>,
    start: Start,
    pub close: Close,
    /// What RabbitMQ 3 answers, where that differs.
    before_4: Option<Close>,
    /// Why RabbitMQ cannot be asked.
    not_rabbitmq: Option<&'static str>,
}

/// Where a row starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// A socket.
    Socket,
    /// An open connection with channel 1 open.
    Channel,
}

/// A row about a connection that is not open yet.
pub fn handshake(what: &'static str, ask: impl Fn(&mut Client) + 'static, close: Close) -> Row {
    Row {
        start: Start::Socket,
        ..row(what, ask, close)
    }
}

/// A row about an open connection with channel 1 open.
pub fn row(what: &'static str, ask: impl Fn(&mut Client) + 'static, close: Close) -> Row {
    Row {
        what,
        ask: Box::new(ask),
        start: Start::Channel,
        close,
        before_4: None,
        not_rabbitmq: None,
    }
}

/// A row that needs nothing but one method on channel 1.
pub fn method(what: &'static str, method: Method<'static>, close: Close) -> Row {
    row(what, move |client| client.send(1, method), close)
}

impl Row {
    /// What RabbitMQ 3 answers.
    pub fn before_4(mut self, close: Close) -> Row {
        self.before_4 = Some(close);
        self
    }

    /// Why RabbitMQ cannot be asked.
    pub fn not_rabbitmq(mut self, why: &'static str) -> Row {
        self.not_rabbitmq = Some(why);
        self
    }
}

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// This broker.
    Ours,
    /// RabbitMQ of this major version.
    RabbitMq(u32),
}

/// Runs a table; returns what was answered otherwise.
pub fn run(rows: &[Row], address: SocketAddr, peer: Peer) -> Vec<String> {
    rows.iter()
        .filter(|row| peer == Peer::Ours || row.not_rabbitmq.is_none())
        .filter_map(|row| {
            let expected = match peer {
                Peer::RabbitMq(major) if major < 4 => row.before_4.unwrap_or(row.close),
                _ => row.close,
            };
            let answered = answer(row, address);
            let same = answered.as_ref().is_ok_and(|(scope, code, method, text)| {
                (*scope, *code, *method) == (expected.scope, expected.code, expected.method)
                    && matches(expected.text, text)
            });
            (!same).then(|| format!("{}:\n  expected {expected:?}\n  answered {answered:?}", row.what))
        })
        .collect()
}

/// How long a row waits for its close.
const ANSWER_DEADLINE: std::time::Duration = std::time::Duration::from_secs(5);

type Answer = (Scope, u16, (u16, u16), String);

/// The close that a row gets; an error when something else came, or when what must survive it did not.
fn answer(row: &Row, address: SocketAddr) -> Result<Answer, String> {
    let mut client = match row.start {
        Start::Socket => Client::raw_to(address),
        Start::Channel => Client::connect_to(address),
    };
    client.stream.set_read_timeout(Some(ANSWER_DEADLINE)).unwrap();
    let answer = std::panic::AssertUnwindSafe(|| {
        (row.ask)(&mut client);
        client.try_frame()
    });
    // A table is worth more when one silence does not hide the rows behind it.
    let frame = std::panic::catch_unwind(answer).map_err(|_| "nothing, or something else on the way")?;
    let frame = frame.ok_or("the socket closed without a word")?;
    let (scope, code, text, method) = match frame.method() {
        Method::ChannelClose {
            reply_code,
            reply_text,
            class_id,
            method_id,
        } if frame.channel == 1 => (
            Scope::Channel,
            reply_code,
            reply_text.to_owned(),
            (class_id, method_id),
        ),
        Method::ConnectionClose {
            reply_code,
            reply_text,
            class_id,
            method_id,
        } if frame.channel == 0 => (
            Scope::Connection,
            reply_code,
            reply_text.to_owned(),
            (class_id, method_id),
        ),
        other => return Err(format!("{other:?} on channel {}", frame.channel)),
    };
    match scope {
        Scope::Channel => {
            // What follows on a closed channel is discarded, up to close-ok; then its number is free.
            client.send(1, Method::TxCommit);
            client.send(1, Method::ChannelCloseOk);
            client.open_channel(1);
        }
        Scope::Connection => {
            let mut close_ok = Vec::new();
            Method::ConnectionCloseOk.encode(0, &mut close_ok);
            // After a framing error a peer need not wait for it.
            let _ = std::io::Write::write_all(&mut client.stream, &close_ok);
            if let Some(frame) = client.try_frame() {
                return Err(format!("{frame:?} after the close of the connection"));
            }
        }
    }
    Ok((scope, code, method, text))
}

/// Whether a text is as a pattern says; `*` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            (0..=text.len())
                .filter(|&at| text.is_char_boundary(at))
                .any(|at| matches(rest, &text[at..]))
        }),
    }
}
