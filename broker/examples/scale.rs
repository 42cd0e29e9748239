//! How a broker bears many of everything: 10,000 queues, 5,000 bindings on one topic exchange, 2,000 connections with
//! 10,000 channels. Prints what each takes of the broker's resident memory, how fast they are declared, and how long HTTP takes to
//! tell of them.
//!
//! ```text
//! cargo build --release -p broker
//! cargo run --release -p broker --example scale -- target/release/broker
//! ```
//! Everything goes over real sockets on loopback, answers are awaited in windows of [`WINDOW`]. Resident memory is what
//! `/proc/PID/statm` says, which includes what the allocator keeps in reserve.

use std::error::Error;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use wire::{FRAME_OVERHEAD, Method, PROTOCOL_HEADER, TableRef};

const QUEUES: u32 = 10_000;
const DURABLE_QUEUES: u32 = 2_000;
const BINDINGS: u32 = 5_000;
const CONNECTIONS: u32 = 2_000;
const CHANNELS_EACH: u16 = 5;
/// Requests that are under way at the same time.
const WINDOW: u32 = 100;
const PAGE_BYTES: u64 = 4096;
/// What an operator looks at.
const PATHS: [&str; 4] = [
    "/metrics",
    "/api/queues?page=1&page_size=100",
    "/api/queues?page=1&page_size=100&sort=messages&sort_reverse=true",
    "/api/overview",
];
/// Requests for each; the middle one counts.
const REQUESTS: usize = 5;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let binary = std::env::args().nth(1).ok_or("usage: scale PATH-OF-BROKER")?;
    let data_dir = std::env::temp_dir().join(format!("broker-scale-{}", std::process::id()));
    let mut broker = Broker::start(Path::new(&binary), &data_dir)?;
    let measured = measure(&broker);
    broker.process.kill()?;
    broker.process.wait()?;
    std::fs::remove_dir_all(&data_dir)?;
    measured
}

fn measure(broker: &Broker) -> Result<()> {
    let mut client = Client::connect(&broker.address)?;
    println!("idle: {} KiB resident", broker.resident_bytes()? / 1024);

    broker.report("queue, transient and empty", QUEUES, || {
        client.windowed(QUEUES, |client, index| {
            client.send(1, declare(&format!("q{index}"), false));
        })
    })?;
    broker.report("message of 16 B in each of those queues", QUEUES, || {
        client.windowed(QUEUES, |client, index| client.publish(&format!("q{index}")))
    })?;
    broker.report("queue, durable and empty", DURABLE_QUEUES, || {
        client.windowed(DURABLE_QUEUES, |client, index| {
            client.send(1, declare(&format!("d{index}"), true));
        })
    })?;
    broker.report("binding on one topic exchange", BINDINGS, || {
        client.windowed(BINDINGS, |client, index| {
            let queue = format!("q{index}");
            let key = format!("region{}.*.device{index}.#", index % 50);
            client.send(
                1,
                Method::QueueBind {
                    queue: &queue,
                    exchange: "amq.topic",
                    routing_key: &key,
                    no_wait: false,
                    arguments: TableRef::EMPTY,
                },
            );
        })
    })?;

    let mut connections = Vec::new();
    broker.report("connection with a channel", CONNECTIONS, || {
        for _ in 0..CONNECTIONS {
            connections.push(Client::connect(&broker.address)?);
        }
        Ok(())
    })?;
    let channels = CONNECTIONS * u32::from(CHANNELS_EACH - 1);
    broker.report("further channel", channels, || {
        for client in &mut connections {
            for channel in 2..=CHANNELS_EACH {
                client.send(channel, Method::ChannelOpen);
            }
            client.flush()?;
            for _ in 2..=CHANNELS_EACH {
                client.answer()?;
            }
        }
        Ok(())
    })?;
    for path in PATHS {
        broker.time(path)?;
    }
    Ok(())
}

fn declare(queue: &str, durable: bool) -> Method<'_> {
    Method::QueueDeclare {
        queue,
        passive: false,
        durable,
        exclusive: false,
        auto_delete: false,
        no_wait: false,
        arguments: TableRef::EMPTY,
    }
}

/// A broker of our own on a free port.
struct Broker {
    process: Child,
    management: String,
    address: String,
}

impl Broker {
    fn start(binary: &Path, data_dir: &Path) -> Result<Broker> {
        let mut process = Command::new(binary)
            .args([
                "--listen=127.0.0.1:0",
                "--management-listen=127.0.0.1:0",
                "--data-dir",
            ])
            .arg(data_dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut lines = BufReader::new(process.stdout.take().ok_or("no output")?).lines();
        let mut behind = |words: &str| -> Result<String> {
            let line = lines.next().ok_or("the broker did not start")??;
            Ok(line
                .strip_prefix(words)
                .ok_or("the broker did not start")?
                .to_owned())
        };
        let management = behind("broker management listening on ")?;
        let address = behind("broker listening on ")?;
        Ok(Broker {
            process,
            management,
            address,
        })
    }

    fn resident_bytes(&self) -> Result<u64> {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.process.id()))?;
        let pages: u64 = statm.split(' ').nth(1).ok_or("no statm")?.parse()?;
        Ok(pages * PAGE_BYTES)
    }

    /// Says how long a request takes, and how much it brings.
    fn time(&self, path: &str) -> Result<()> {
        let mut times = Vec::new();
        let mut answer = Vec::new();
        for _ in 0..REQUESTS {
            answer.clear();
            let start = Instant::now();
            let mut stream = TcpStream::connect(&self.management)?;
            // guest:guest
            write!(
                stream,
                "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\nConnection: close\r\n\r\n"
            )?;
            stream.read_to_end(&mut answer)?;
            times.push(start.elapsed());
        }
        if !answer.starts_with(b"HTTP/1.1 200") {
            return Err(format!("{path}: no answer").into());
        }
        times.sort_unstable();
        println!(
            "GET {path}: {:.1} ms, {} KiB",
            times[REQUESTS / 2].as_secs_f64() * 1e3,
            answer.len() / 1024
        );
        Ok(())
    }

    /// Does something `count` times and says what each took.
    fn report(&self, what: &str, count: u32, make: impl FnOnce() -> Result<()>) -> Result<()> {
        let (before, start) = (self.resident_bytes()?, Instant::now());
        make()?;
        let elapsed = start.elapsed();
        let bytes = self.resident_bytes()?.saturating_sub(before);
        println!(
            "{count:>6} × {what}: {:.2} KiB each, {:.0} a second",
            bytes as f64 / 1024.0 / f64::from(count),
            f64::from(count) / elapsed.as_secs_f64()
        );
        Ok(())
    }
}

/// A client that speaks frames and nothing more.
struct Client {
    stream: TcpStream,
    out: Vec<u8>,
    input: Vec<u8>,
}

impl Client {
    /// Logs in and opens channel 1, with confirms.
    fn connect(address: &str) -> Result<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let mut client = Client {
            stream,
            out: PROTOCOL_HEADER.to_vec(),
            input: Vec::new(),
        };
        client.flush()?;
        client.answer()?;
        client.send(
            0,
            Method::ConnectionStartOk {
                client_properties: TableRef::EMPTY,
                mechanism: "PLAIN",
                response: b"\0guest\0guest",
                locale: "en_US",
            },
        );
        client.flush()?;
        client.answer()?;
        let tune = Method::ConnectionTuneOk {
            channel_max: 100,
            frame_max: 131_072,
            heartbeat: 0,
        };
        client.send(0, tune);
        client.send(0, Method::ConnectionOpen { virtual_host: "/" });
        client.flush()?;
        client.answer()?;
        client.send(1, Method::ChannelOpen);
        client.send(1, Method::ConfirmSelect { no_wait: true });
        client.flush()?;
        client.answer()?;
        Ok(client)
    }

    fn send(&mut self, channel: u16, method: Method<'_>) {
        method.encode(channel, &mut self.out);
    }

    /// A message to the default exchange; its confirm is the answer.
    fn publish(&mut self, queue: &str) {
        let publish = Method::BasicPublish {
            exchange: "",
            routing_key: queue,
            mandatory: false,
            immediate: false,
        };
        self.send(1, publish);
        let properties = wire::BasicProperties::default();
        wire::encode_content_header(&mut self.out, 1, 16, &properties);
        wire::encode_body_frames(&mut self.out, 1, &[7; 16], 131_072);
    }

    fn flush(&mut self) -> Result<()> {
        self.stream.write_all(&self.out)?;
        self.out.clear();
        Ok(())
    }

    /// Sends `count` requests, so many at a time, and awaits what answers them.
    fn windowed(&mut self, count: u32, request: impl Fn(&mut Client, u32)) -> Result<()> {
        let mut confirmed = None;
        for first in (0..count).step_by(WINDOW as usize) {
            let through = count.min(first + WINDOW);
            for index in first..through {
                request(self, index);
            }
            self.flush()?;
            let mut awaited = u64::from(through - first);
            while awaited > 0 {
                match self.answer()? {
                    // Confirms are cumulative.
                    Answer::Confirmed(tag) => {
                        let newly = tag - confirmed.replace(tag).unwrap_or(0);
                        awaited = awaited.saturating_sub(newly);
                    }
                    Answer::Other => awaited -= 1,
                }
            }
        }
        Ok(())
    }

    /// The next method that comes.
    fn answer(&mut self) -> Result<Answer> {
        loop {
            if let Some(frame) = wire::decode_frame(&self.input, 131_072)? {
                let len = frame.payload.len() + FRAME_OVERHEAD;
                let answer = match Method::decode(frame.payload)? {
                    Method::BasicAck { delivery_tag, .. } => Answer::Confirmed(delivery_tag),
                    Method::ChannelClose { reply_text, .. } | Method::ConnectionClose { reply_text, .. } => {
                        return Err(reply_text.into());
                    }
                    _ => Answer::Other,
                };
                self.input.drain(..len);
                return Ok(answer);
            }
            let mut buffer = [0; 16 << 10];
            let read = self.stream.read(&mut buffer)?;
            if read == 0 {
                return Err("the broker closed the connection".into());
            }
            self.input.extend_from_slice(&buffer[..read]);
        }
    }
}

enum Answer {
    /// Everything up to this publish.
    Confirmed(u64),
    Other,
}
