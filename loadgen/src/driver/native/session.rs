//! A blocking AMQP connection with one open channel: for the handshake, the topology and the orderly close.
//!
//! Every wait has a deadline. What arrives beyond the awaited answer stays in `input` and goes along when the
//! connection is handed to the event loop.

use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::time::Duration;

use wire::{FieldTable, FrameKind, Method, PROTOCOL_HEADER, TableRef, decode_frame};

use super::tls_stream::READ_BYTES_MIN;
use super::transport::{Taken, Transport};
use crate::driver::DriverError;
use crate::recorder::ServerProperties;
use crate::target::Target;

/// The one channel that each connection uses.
pub(super) const CHANNEL: u16 = 1;
/// What the driver offers as frame size; RabbitMQ's default.
const FRAME_BYTES_MAX: u32 = 131_072;
/// How long the broker may take for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long it may take to answer `connection.close`; after that the socket is just dropped.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Octets per blocking read.
const READ_BYTES: usize = READ_BYTES_MIN;
/// `connection.close` reply code of a normal end.
pub(super) const REPLY_SUCCESS: u16 = 200;

/// A connection that waits for each answer.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) name: String,
    pub(super) stream: Transport<TcpStream>,
    /// Received and not yet decoded.
    pub(super) input: Vec<u8>,
    pub(super) frame_bytes_max: usize,
    pub(super) server: ServerProperties,
    answer_timeout: Duration,
}

impl Session {
    /// Connects, logs in and opens the channel.
    pub(super) fn open(name: &str, target: &Target) -> Result<Self, DriverError> {
        let stream = connect(name, target)?;
        let mut session = Self {
            name: name.to_owned(),
            stream,
            input: Vec::new(),
            frame_bytes_max: FRAME_BYTES_MAX as usize,
            server: ServerProperties::default(),
            answer_timeout: ANSWER_TIMEOUT,
        };
        session.write(&PROTOCOL_HEADER)?;
        session.server = session.expect("the protocol header", |method| match method {
            Method::ConnectionStart {
                server_properties, ..
            } => Some(ServerProperties {
                product: first_text(server_properties, ["implementation", "product"]),
                version: first_text(server_properties, ["implementation_version", "version"]),
                durability: Some(text(server_properties, "durability")).filter(|level| !level.is_empty()),
            }),
            _ => None,
        })?;
        session.log_in(target)?;
        session.call(&Method::ChannelOpen, |method| {
            matches!(method, Method::ChannelOpenOk).then_some(())
        })?;
        Ok(session)
    }

    fn log_in(&mut self, target: &Target) -> Result<(), DriverError> {
        let properties = client_properties().to_bytes();
        let start_ok = Method::ConnectionStartOk {
            client_properties: TableRef::parse(&properties).expect("a table this crate encoded is valid"),
            mechanism: "PLAIN",
            response: format!("\0{}\0{}", target.username, target.password).as_bytes(),
            locale: "en_US",
        }
        .encoded(0);
        self.write(&start_ok)?;
        let (channel_max, frame_max) = self.expect("connection.start-ok", |method| match *method {
            Method::ConnectionTune {
                channel_max,
                frame_max,
                ..
            } => Some((channel_max, frame_max)),
            _ => None,
        })?;
        let frame_max = if frame_max == 0 {
            FRAME_BYTES_MAX
        } else {
            frame_max.min(FRAME_BYTES_MAX)
        };
        self.frame_bytes_max = frame_max as usize;
        // Heartbeats are switched off: a loaded connection shows its death by itself, an idle run is short.
        let tune_ok = Method::ConnectionTuneOk {
            channel_max,
            frame_max,
            heartbeat: 0,
        }
        .encoded(0);
        self.write(&tune_ok)?;
        let open = Method::ConnectionOpen {
            virtual_host: &target.vhost,
        }
        .encoded(0);
        self.write(&open)?;
        self.expect("connection.open", |method| {
            matches!(method, Method::ConnectionOpenOk).then_some(())
        })
    }

    /// Takes over a connection from the event loop, to close it.
    pub(super) fn reopen(
        name: String,
        stream: Transport<TcpStream>,
        input: Vec<u8>,
        frame_bytes_max: usize,
    ) -> Self {
        Self {
            name,
            stream,
            input,
            frame_bytes_max,
            server: ServerProperties::default(),
            answer_timeout: ANSWER_TIMEOUT,
        }
    }

    /// Gives the broker so much time for each answer from now on.
    pub(super) fn set_answer_timeout(&mut self, timeout: Duration) -> Result<(), DriverError> {
        self.answer_timeout = timeout;
        let set = self.stream.socket().set_read_timeout(Some(timeout));
        set.map_err(|source| DriverError::Io {
            connection: self.name.clone(),
            source,
        })
    }

    /// Sends a method on the channel and waits for its answer, which `accept` recognises.
    pub(super) fn call<T>(
        &mut self,
        request: &Method<'_>,
        accept: impl Fn(&Method<'_>) -> Option<T>,
    ) -> Result<T, DriverError> {
        self.call_on(CHANNEL, request, accept)
    }

    /// The same on another channel; only one of them may wait for an answer.
    pub(super) fn call_on<T>(
        &mut self,
        channel: u16,
        request: &Method<'_>,
        accept: impl Fn(&Method<'_>) -> Option<T>,
    ) -> Result<T, DriverError> {
        self.write(&request.encoded(channel))?;
        self.expect(request.name(), accept)
    }

    /// Closes in order, as far as the broker plays along within its time.
    pub(super) fn close(mut self) {
        let close = Method::ConnectionClose {
            reply_code: REPLY_SUCCESS,
            reply_text: "done",
            class_id: 0,
            method_id: 0,
        };
        // The run is over: a broker that is gone already changes no result.
        let socket = self.stream.socket();
        if socket.set_read_timeout(Some(CLOSE_TIMEOUT)).is_ok() && self.write(&close.encoded(0)).is_ok() {
            self.await_close_ok();
            self.stream.say_goodbye();
        }
    }

    fn await_close_ok(&mut self) {
        loop {
            while let Ok(Some(frame)) = decode_frame(&self.input, self.frame_bytes_max) {
                let closed = frame.kind == FrameKind::Method
                    && matches!(Method::decode(frame.payload), Ok(Method::ConnectionCloseOk));
                let length = frame.encoded_len();
                self.input.drain(..length);
                if closed {
                    return;
                }
            }
            if self.fill("connection.close").is_err() {
                return;
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), DriverError> {
        let written = self.stream.write_all(bytes);
        written.map_err(|source| DriverError::Io {
            connection: self.name.clone(),
            source,
        })
    }

    /// Waits for the method that `accept` recognises; `request` names what it answers.
    fn expect<T>(
        &mut self,
        request: &'static str,
        accept: impl Fn(&Method<'_>) -> Option<T>,
    ) -> Result<T, DriverError> {
        loop {
            let frame =
                decode_frame(&self.input, self.frame_bytes_max).map_err(|source| self.malformed(source))?;
            let Some(frame) = frame else {
                self.fill(request)?;
                continue;
            };
            let length = frame.encoded_len();
            let answer = match frame.kind {
                FrameKind::Heartbeat => None,
                FrameKind::Method => {
                    let method = Method::decode(frame.payload).map_err(|source| self.malformed(source))?;
                    match accept(&method) {
                        None if is_notice(&method) => None,
                        None => return Err(refusal(&self.name, &method)),
                        some => some,
                    }
                }
                FrameKind::Header | FrameKind::Body => return Err(content(&self.name)),
            };
            self.input.drain(..length);
            if let Some(answer) = answer {
                return Ok(answer);
            }
        }
    }

    fn fill(&mut self, request: &'static str) -> Result<(), DriverError> {
        let mut buffer = [0; READ_BYTES];
        match self.stream.read(&mut buffer) {
            Ok(Taken { octets: 0, .. }) => Err(DriverError::Disconnected {
                connection: self.name.clone(),
            }),
            Ok(Taken { octets, .. }) => {
                self.input.extend_from_slice(&buffer[..octets]);
                Ok(())
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                let seconds = self.answer_timeout.as_secs();
                Err(DriverError::Timeout {
                    connection: self.name.clone(),
                    request,
                    seconds,
                })
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(source) => Err(DriverError::Io {
                connection: self.name.clone(),
                source,
            }),
        }
    }

    fn malformed(&self, source: wire::WireError) -> DriverError {
        DriverError::Wire {
            connection: self.name.clone(),
            source,
        }
    }
}

/// The error that a method means which answers nothing: what the broker said, when it closes something.
pub(super) fn refusal(connection: &str, method: &Method<'_>) -> DriverError {
    let connection = connection.to_owned();
    let closed = |scope, code, text: &str| DriverError::Closed {
        connection: connection.clone(),
        scope,
        code,
        text: text.to_owned(),
    };
    match *method {
        Method::ConnectionClose {
            reply_code,
            reply_text,
            ..
        } => closed("connection", reply_code, reply_text),
        Method::ChannelClose {
            reply_code,
            reply_text,
            ..
        } => closed("channel", reply_code, reply_text),
        Method::BasicReturn {
            reply_code,
            reply_text,
            ..
        } => DriverError::Protocol {
            what: format!("it returned a message that was not mandatory: {reply_code} {reply_text}"),
            connection,
        },
        _ => DriverError::Unexpected {
            connection,
            method: method.name(),
        },
    }
}

/// The error of content frames that follow no method.
pub(super) fn content(connection: &str) -> DriverError {
    DriverError::Protocol {
        connection: connection.to_owned(),
        what: "content that no method announced, or that does not fit its header".to_owned(),
    }
}

/// Whether a method merely tells something and needs no answer.
fn is_notice(method: &Method<'_>) -> bool {
    matches!(
        method,
        Method::ConnectionBlocked { .. } | Method::ConnectionUnblocked
    )
}

/// Connects, and shakes hands where the target wants TLS.
fn connect(name: &str, target: &Target) -> Result<Transport<TcpStream>, DriverError> {
    let failed = |source| DriverError::Connect {
        connection: name.to_owned(),
        address: format!("{}:{}", target.host, target.port),
        source,
    };
    let addresses = target.addresses().map_err(failed)?;
    let mut last = io::Error::new(ErrorKind::NotFound, "the host name has no address");
    for address in addresses {
        let stream = TcpStream::connect_timeout(&address, ANSWER_TIMEOUT).and_then(|stream| {
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
            stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
            Transport::begin(stream, target)
        });
        match stream {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(failed(last))
}

fn client_properties() -> FieldTable {
    let mut capabilities = FieldTable::new();
    for capability in [
        "publisher_confirms",
        "basic.nack",
        "connection.blocked",
        "consumer_cancel_notify",
    ] {
        capabilities.insert(capability, true);
    }
    capabilities.insert("authentication_failure_close", true);
    let mut properties = FieldTable::new();
    properties.insert("product", "loadgen");
    properties.insert("version", env!("CARGO_PKG_VERSION"));
    properties.insert("capabilities", capabilities);
    properties
}

/// The first of these that is there: a broker may call itself another's `product` for the sake of client libraries, and tell
/// in `implementation` who it is.
fn first_text(table: &TableRef<'_>, names: [&str; 2]) -> String {
    let texts = names.map(|name| text(table, name));
    texts
        .into_iter()
        .find(|text| !text.is_empty())
        .unwrap_or_default()
}

fn text(properties: &TableRef<'_>, key: &str) -> String {
    properties
        .get(key)
        .and_then(|value| value.as_str())
        .unwrap_or_default()
        .to_owned()
}

/// A method as one whole frame.
trait Encoded {
    fn encoded(&self, channel: u16) -> Vec<u8>;
}

impl Encoded for Method<'_> {
    fn encoded(&self, channel: u16) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(channel, &mut out);
        out
    }
}
