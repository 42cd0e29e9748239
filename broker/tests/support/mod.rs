//! A broker as a child process, and a small blocking AMQP client that shows every frame.
#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    clippy::unwrap_used,
    reason = "each test binary uses a part; a test may panic"
)]

pub mod configured;
pub mod control;
pub mod error_rows;
pub mod errors;
pub mod held_up;
pub mod http;
mod methods;
pub mod relay;
pub mod shovel;
pub mod tls;
mod watched;
mod witness;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

pub use methods::{bind, consume, declare, declare_own, encode_publish, frame, passive, tune_ok};
pub use watched::Watched;
use wire::{BasicProperties, FieldTable, FrameKind, Method, PROTOCOL_HEADER, TableRef, decode_frame};
pub use witness::Witness;

/// How long anything may take before a test fails.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// A running broker; killed when dropped.
#[derive(Debug)]
pub struct BrokerProcess {
    child: Child,
    pub address: SocketAddr,
    /// Where it serves HTTP, if it does.
    pub management: Option<SocketAddr>,
    data_dir: tempfile::TempDir,
}

impl BrokerProcess {
    /// A process that listens already.
    pub fn adopt(child: Child, address: SocketAddr, data_dir: tempfile::TempDir) -> BrokerProcess {
        BrokerProcess {
            child,
            address,
            management: None,
            data_dir,
        }
    }
}

impl BrokerProcess {
    /// Starts a broker on a free port with a fresh data directory.
    pub fn start(flags: &[&str]) -> BrokerProcess {
        BrokerProcess::start_under(&[], flags)
    }

    /// As `start`; the words of `wrapper`, if any, are a command that executes the broker.
    pub fn start_under(wrapper: &[&str], flags: &[&str]) -> BrokerProcess {
        BrokerProcess::start_on(tempfile::tempdir().unwrap(), wrapper, flags)
    }

    /// As `start_under`, on a data directory that has something in it.
    pub fn start_on(data_dir: tempfile::TempDir, wrapper: &[&str], flags: &[&str]) -> BrokerProcess {
        let mut child = spawn(wrapper, data_dir.path(), flags);
        let announced = announced(&mut child).expect("the broker starts on this directory");
        BrokerProcess {
            child,
            address: announced.amqp,
            management: announced.management,
            data_dir,
        }
    }

    /// Starts another broker on the directory of this one, which has ended.
    pub fn restart(&mut self, flags: &[&str]) {
        assert!(self.child.try_wait().unwrap().is_some(), "the old one still runs");
        self.child = spawn(&[], self.data_dir.path(), flags);
        let announced = announced(&mut self.child).expect("the broker starts again");
        (self.address, self.management) = (announced.amqp, announced.management);
    }

    /// Ends it as a crash does, and reaps it.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Stops it in good order.
    pub fn stop(&mut self) {
        self.terminate();
        assert_eq!(self.wait().code(), Some(0));
    }

    /// Its data directory.
    pub fn data_dir(&self) -> &std::path::Path {
        self.data_dir.path()
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends a signal.
    pub fn signal(&self, name: &str) {
        let killed = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(killed.success());
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the process to end.
    pub fn wait(&mut self) -> ExitStatus {
        wait_for("the broker to exit", || self.child.try_wait().unwrap())
    }

    /// Resident memory now, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The same without pages of files, such as segments that are read back.
    pub fn anonymous_bytes(&self) -> u64 {
        self.memory("RssAnon:")
    }

    fn memory(&self, kind: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(kind)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }
}

impl Drop for BrokerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(wrapper: &[&str], data_dir: &std::path::Path, flags: &[&str]) -> Child {
    let broker = env!("CARGO_BIN_EXE_broker");
    let (program, first) = wrapper
        .split_first()
        .map_or((broker, None), |(program, _)| (*program, Some(broker)));
    Command::new(program)
        .args(wrapper.iter().skip(1))
        .args(first)
        .args(["--listen", "127.0.0.1:0", "--log", "warn", "--data-dir"])
        .arg(data_dir)
        .args(flags)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// A file with definitions, and the flag that imports it.
pub fn definitions(text: &str) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("definitions.json");
    std::fs::write(&path, text).unwrap();
    let flag = format!("--definitions={}", path.display());
    (directory, flag)
}

/// Where a broker listens.
struct Announced {
    amqp: SocketAddr,
    management: Option<SocketAddr>,
}

/// Where a broker says that it listens; `None` when it ends instead.
fn announced(child: &mut Child) -> Option<Announced> {
    let mut management = None;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let (what, address) = line.rsplit_once(' ')?;
        let address = address.parse().ok()?;
        match what {
            "broker management listening on" => management = Some(address),
            _ => {
                return Some(Announced {
                    amqp: address,
                    management,
                });
            }
        }
    }
    None
}

/// Free bytes on the disk of `path`.
pub fn free_bytes(path: &std::path::Path) -> u64 {
    let output = Command::new("df")
        .args(["--output=avail", "-B1"])
        .arg(path)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().nth(1).unwrap().trim().parse().unwrap()
}

/// A connection whose operating system keeps next to nothing for a reader that does not come.
pub fn narrow_stream(address: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(address),
        socket2::Type::STREAM,
        Some(socket2::Protocol::TCP),
    )
    .unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&address.into()).unwrap();
    socket.into()
}

/// Polls until `probe` gives something.
pub fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(start.elapsed() < DEADLINE, "waited too long for {what}");
        std::thread::yield_now();
    }
}

/// A frame with its payload owned.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnedFrame {
    pub kind: FrameKind,
    pub channel: u16,
    pub payload: Vec<u8>,
}

impl OwnedFrame {
    /// Takes the first frame out of what was received, when all of it is there.
    pub fn take(input: &mut Vec<u8>, frame_bytes_max: usize) -> Option<Self> {
        let frame = decode_frame(input, frame_bytes_max).unwrap()?;
        let len = frame.payload.len() + wire::FRAME_OVERHEAD;
        let frame = Self {
            kind: frame.kind,
            channel: frame.channel,
            payload: frame.payload.to_vec(),
        };
        input.drain(..len);
        Some(frame)
    }

    /// The method in it.
    pub fn method(&self) -> Method<'_> {
        assert_eq!(self.kind, FrameKind::Method, "{self:?}");
        Method::decode(&self.payload).unwrap()
    }
}

/// A message as delivered, got or returned.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    pub method: OwnedFrame,
    pub header: Vec<u8>,
    pub body: Vec<u8>,
}

impl Message {
    /// Tag and redelivered flag of a `basic.deliver` or `basic.get-ok`.
    pub fn tag(&self) -> (u64, bool) {
        match self.method.method() {
            Method::BasicDeliver {
                delivery_tag,
                redelivered,
                ..
            }
            | Method::BasicGetOk {
                delivery_tag,
                redelivered,
                ..
            } => (delivery_tag, redelivered),
            other => panic!("no delivery: {}", other.name()),
        }
    }
}

/// One connection; every call blocks, with a deadline.
#[derive(Debug)]
pub struct Client {
    pub stream: TcpStream,
    input: Vec<u8>,
    pub frame_bytes_max: usize,
}

impl Client {
    /// A socket, nothing sent.
    pub fn raw(broker: &BrokerProcess) -> Client {
        Client::raw_to(broker.address)
    }

    /// The same, to any broker.
    pub fn raw_to(address: SocketAddr) -> Client {
        Client::over(TcpStream::connect(address).unwrap())
    }

    fn over(stream: TcpStream) -> Client {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        Client {
            stream,
            input: Vec::new(),
            frame_bytes_max: 131_072,
        }
    }

    /// As `connect`, with so little room in the operating system that a client which does not read is soon noticed.
    pub fn connect_narrowly(broker: &BrokerProcess) -> Client {
        let mut client = Client::over(narrow_stream(broker.address));
        client.handshake("guest", "guest");
        client.open_channel(1);
        client
    }

    /// An open connection as guest, with channel 1 open.
    pub fn connect(broker: &BrokerProcess) -> Client {
        Client::connect_to(broker.address)
    }

    /// The same, to any broker.
    pub fn connect_to(address: SocketAddr) -> Client {
        let mut client = Client::raw_to(address);
        client.handshake("guest", "guest");
        client.open_channel(1);
        client
    }

    /// Everything up to `connection.open-ok`.
    pub fn handshake(&mut self, user: &str, password: &str) {
        self.start(user, password);
        self.tune_and_open("/");
    }

    /// An open connection of a user to a virtual host, with channel 1 open.
    pub fn connect_as(broker: &BrokerProcess, user: &str, password: &str, virtual_host: &str) -> Client {
        let mut client = Client::raw(broker);
        client.start(user, password);
        client.tune_and_open(virtual_host);
        client.open_channel(1);
        client
    }

    /// As guest, with channel 1 open, and a heartbeat of one second.
    pub fn with_heartbeats(broker: &BrokerProcess) -> Client {
        let mut client = Client::raw(broker);
        client.start("guest", "guest");
        client.frame();
        client.send(0, tune_ok(1));
        client.send(0, Method::ConnectionOpen { virtual_host: "/" });
        client.expect(0, Method::ConnectionOpenOk);
        client.open_channel(1);
        client
    }

    /// What follows `start-ok`: takes what the broker proposes, and opens.
    pub fn tune_and_open(&mut self, virtual_host: &str) {
        self.tune_and_ask(virtual_host);
        let open_ok = self.frame();
        assert_eq!(open_ok.method(), Method::ConnectionOpenOk);
    }

    /// As `tune_and_open`, without waiting for the answer.
    pub fn tune_and_ask(&mut self, virtual_host: &str) {
        let tune = self.frame();
        let Method::ConnectionTune {
            channel_max,
            frame_max,
            ..
        } = tune.method()
        else {
            panic!("{tune:?}")
        };
        self.frame_bytes_max = frame_max as usize;
        self.send(
            0,
            Method::ConnectionTuneOk {
                channel_max,
                frame_max,
                heartbeat: 0,
            },
        );
        self.send(0, Method::ConnectionOpen { virtual_host });
    }

    /// Protocol header and `start-ok`.
    pub fn start(&mut self, user: &str, password: &str) {
        let capabilities = [
            "authentication_failure_close",
            "consumer_cancel_notify",
            "connection.blocked",
        ];
        self.start_as(user, password, &capabilities);
    }

    /// The same for a client that understands so much.
    pub fn start_as(&mut self, user: &str, password: &str, understood: &[&str]) {
        self.write(&PROTOCOL_HEADER);
        let start = self.frame();
        assert!(
            matches!(start.method(), Method::ConnectionStart { .. }),
            "{start:?}"
        );
        let mut capabilities = FieldTable::new();
        for &capability in understood {
            capabilities.insert(capability, true);
        }
        let mut properties = FieldTable::new();
        properties.insert("capabilities", capabilities);
        let properties = properties.to_bytes();
        let response = format!("\0{user}\0{password}");
        self.send(
            0,
            Method::ConnectionStartOk {
                client_properties: TableRef::parse(&properties).unwrap(),
                mechanism: "PLAIN",
                response: response.as_bytes(),
                locale: "en_US",
            },
        );
    }

    pub fn open_channel(&mut self, channel: u16) {
        self.send(channel, Method::ChannelOpen);
        self.expect(channel, Method::ChannelOpenOk);
    }

    pub fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub fn send(&mut self, channel: u16, method: Method<'_>) {
        let mut bytes = Vec::new();
        method.encode(channel, &mut bytes);
        self.write(&bytes);
    }

    /// Sends a method and returns the answer.
    pub fn call(&mut self, channel: u16, method: Method<'_>) -> OwnedFrame {
        self.send(channel, method);
        self.frame()
    }

    /// The next frame that is no heartbeat, or `None` at the end of the stream.
    pub fn try_frame(&mut self) -> Option<OwnedFrame> {
        loop {
            if let Some(frame) = OwnedFrame::take(&mut self.input, self.frame_bytes_max) {
                if frame.kind != FrameKind::Heartbeat {
                    return Some(frame);
                }
                continue;
            }
            let mut buffer = [0; 64 * 1024];
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(count) => self.input.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("reading: {error}"),
            }
        }
    }

    /// Waits until something has come, which stays to be read.
    pub fn wait_for_frame(&mut self) {
        if self.input.is_empty() {
            let count = self.stream.peek(&mut [0]).unwrap();
            assert_ne!(count, 0, "the broker closed the socket");
        }
    }

    /// Closes the connection in good order.
    pub fn close(&mut self) {
        let close = Method::ConnectionClose {
            reply_code: 200,
            reply_text: "",
            class_id: 0,
            method_id: 0,
        };
        self.send(0, close);
        self.expect(0, Method::ConnectionCloseOk);
    }

    pub fn frame(&mut self) -> OwnedFrame {
        self.try_frame().expect("the broker closed the socket")
    }

    /// The next frame must be this method.
    pub fn expect(&mut self, channel: u16, method: Method<'_>) {
        let frame = self.frame();
        assert_eq!((frame.channel, frame.method()), (channel, method));
    }

    /// The next frame must be a close with this code; returns its text. A channel close is answered.
    pub fn expect_close(&mut self, channel: u16, code: u16) -> String {
        let frame = self.frame();
        assert_eq!(frame.channel, channel, "{:?}", frame.method());
        let (reply_code, text) = match frame.method() {
            Method::ChannelClose {
                reply_code,
                reply_text,
                ..
            } => (reply_code, reply_text.to_owned()),
            Method::ConnectionClose {
                reply_code,
                reply_text,
                ..
            } => (reply_code, reply_text.to_owned()),
            other => panic!("expected a close with {code}, got {other:?}"),
        };
        assert_eq!(reply_code, code, "{text}");
        self.send(
            channel,
            if channel == 0 {
                Method::ConnectionCloseOk
            } else {
                Method::ChannelCloseOk
            },
        );
        text
    }

    /// Declares a queue that is neither durable nor exclusive nor auto-delete.
    pub fn declare(&mut self, channel: u16, queue: &str) -> (String, u32) {
        let answer = self.call(channel, declare(queue));
        match answer.method() {
            Method::QueueDeclareOk {
                queue, message_count, ..
            } => (queue.to_owned(), message_count),
            other => panic!("{other:?}"),
        }
    }

    /// Publishes to the default exchange.
    pub fn publish(&mut self, channel: u16, queue: &str, body: &[u8]) {
        let mut bytes = Vec::new();
        encode_publish(&mut bytes, channel, "", queue, false, body, self.frame_bytes_max);
        self.write(&bytes);
    }

    /// Declares a durable queue.
    pub fn declare_durable(&mut self, channel: u16, queue: &str, arguments: &FieldTable) -> u32 {
        let arguments = arguments.to_bytes();
        let declare = Method::QueueDeclare {
            queue,
            passive: false,
            durable: true,
            exclusive: false,
            auto_delete: false,
            no_wait: false,
            arguments: TableRef::parse(&arguments).unwrap(),
        };
        match self.call(channel, declare).method() {
            Method::QueueDeclareOk { message_count, .. } => message_count,
            other => panic!("{other:?}"),
        }
    }

    /// Publishes a persistent message.
    pub fn publish_persistent(&mut self, channel: u16, exchange: &str, key: &str, body: &[u8]) {
        let properties = BasicProperties {
            delivery_mode: Some(2),
            ..BasicProperties::default()
        };
        self.publish_with(channel, exchange, key, &properties, body);
    }

    /// Publishes a message with properties.
    pub fn publish_with(
        &mut self,
        channel: u16,
        exchange: &str,
        routing_key: &str,
        properties: &BasicProperties<'_>,
        body: &[u8],
    ) {
        let mut bytes = Vec::new();
        let publish = Method::BasicPublish {
            exchange,
            routing_key,
            mandatory: false,
            immediate: false,
        };
        publish.encode(channel, &mut bytes);
        wire::encode_content_header(&mut bytes, channel, body.len() as u64, properties);
        wire::encode_body_frames(&mut bytes, channel, body, self.frame_bytes_max);
        self.write(&bytes);
    }

    /// Switches confirms on.
    pub fn confirm_select(&mut self, channel: u16) {
        self.send(channel, Method::ConfirmSelect { no_wait: false });
        self.expect(channel, Method::ConfirmSelectOk);
    }

    /// Waits until everything up to `through` is confirmed.
    pub fn await_confirms(&mut self, through: u64) {
        let mut confirmed = 0;
        while confirmed < through {
            match self.frame().method() {
                Method::BasicAck { delivery_tag, .. } => confirmed = delivery_tag,
                other => panic!("{other:?}"),
            }
        }
    }

    /// The same where memory is short by intention: on a slow machine the client may be told so.
    pub fn await_confirms_patiently(&mut self, through: u64) {
        let mut confirmed = 0;
        while confirmed < through {
            match self.frame().method() {
                Method::BasicAck { delivery_tag, .. } => confirmed = delivery_tag,
                Method::ConnectionBlocked { .. } | Method::ConnectionUnblocked => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// One message of a queue, if it has one; it is not acknowledged.
    pub fn get(&mut self, channel: u16, queue: &str) -> Option<Message> {
        self.send(channel, Method::BasicGet { queue, no_ack: false });
        let method = self.frame();
        if method.method() == Method::BasicGetEmpty {
            return None;
        }
        Some(self.content_of(method))
    }

    pub fn consume(&mut self, channel: u16, queue: &str, tag: &str, no_ack: bool) {
        self.send(channel, consume(queue, tag, no_ack));
        self.expect(channel, Method::BasicConsumeOk { consumer_tag: tag });
    }

    pub fn qos(&mut self, channel: u16, prefetch_count: u16, global: bool) {
        self.send(
            channel,
            Method::BasicQos {
                prefetch_size: 0,
                prefetch_count,
                global,
            },
        );
        self.expect(channel, Method::BasicQosOk);
    }

    pub fn ack(&mut self, channel: u16, delivery_tag: u64, multiple: bool) {
        self.send(
            channel,
            Method::BasicAck {
                delivery_tag,
                multiple,
            },
        );
    }

    /// The next message: a method with content.
    pub fn message(&mut self) -> Message {
        let method = self.frame();
        assert!(method.method().has_content(), "{:?}", method.method());
        self.content_of(method)
    }

    /// What follows a method with content.
    pub fn content_of(&mut self, method: OwnedFrame) -> Message {
        let header = self.frame();
        assert_eq!(header.kind, FrameKind::Header);
        let size = wire::ContentHeader::decode(&header.payload).unwrap().body_size as usize;
        let mut body = Vec::new();
        while body.len() < size {
            let frame = self.frame();
            assert_eq!(frame.kind, FrameKind::Body);
            body.extend_from_slice(&frame.payload);
        }
        Message {
            method,
            header: header.payload,
            body,
        }
    }

    /// Deliveries' bodies until one of each of `count` has come.
    pub fn bodies(&mut self, count: usize) -> Vec<Vec<u8>> {
        (0..count).map(|_| self.message().body).collect()
    }

    /// Messages ready in a queue.
    pub fn ready(&mut self, channel: u16, queue: &str) -> u32 {
        match self.call(channel, passive(queue)).method() {
            Method::QueueDeclareOk { message_count, .. } => message_count,
            other => panic!("{other:?}"),
        }
    }
}
