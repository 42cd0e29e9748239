//! TLS over one socket, blocking or not.
//!
//! A read takes from the socket once, as much as there is, into the rear of the caller's buffer, and decrypts from there to
//! the front. The front is so much longer that all of it fits, whatever part of a record was held before: between two reads
//! no decrypted octet is left behind, so nobody waits for a socket that has nothing more to say. Of input only an incomplete
//! record is held (below 18 KiB), of output at most `HELD_BYTES_MAX`, which counts as not yet sent.

use std::io::{self, ErrorKind, Read, Write};

use amqps::{Agreed, Tls, explained};
use rustls::ClientConnection;

use super::transport::Taken;
use crate::target::Target;
use crate::tls::TlsFigures;

/// The longest record, its header included: RFC 5246, section 6.2.3; those of TLS 1.3 are shorter.
const RECORD_BYTES_MAX: usize = 5 + 16_384 + 2_048;
/// The shortest buffer that a read may be given.
pub(super) const READ_BYTES_MIN: usize = 2 * RECORD_BYTES_MAX;
/// Encrypted output that waits for the socket, at most and by one record more.
const HELD_BYTES_MAX: usize = 128 * 1024;
/// Read after a failed write, in search of the reason.
const REASON_BYTES: usize = 4_096;

/// A connection after its handshake.
#[derive(Debug)]
pub(super) struct TlsStream<S> {
    socket: S,
    connection: ClientConnection,
    /// The broker's, for errors.
    address: String,
    figures: TlsFigures,
    /// The peer has said `close_notify`.
    closed: bool,
    /// Why nothing more can be read; told when everything before it has been handed out.
    failed: Option<String>,
    /// Whether the peer has said anything of AMQP yet.
    heard: bool,
}

impl<S: Read + Write> TlsStream<S> {
    /// Shakes hands on a socket that blocks, within the socket's timeouts. An error says why in words, without the address.
    pub(super) fn connect(mut socket: S, tls: &Tls, target: &Target) -> io::Result<Self> {
        let invalid = |what: String| io::Error::new(ErrorKind::InvalidInput, what);
        let name = tls.server_name(&target.host).map_err(invalid)?;
        let mut connection =
            ClientConnection::new(tls.config(), name).map_err(|error| invalid(explained(&error)))?;
        connection.set_buffer_limit(Some(HELD_BYTES_MAX));
        shake_hands(&mut connection, &mut socket)?;
        let verify = tls.options().verify;
        let agreed = Agreed::of(&connection).expect("the handshake is over");
        let figures = TlsFigures::of(agreed, verify);
        Ok(Self {
            socket,
            connection,
            address: format!("{}:{}", target.host, target.port),
            figures,
            closed: false,
            failed: None,
            heard: false,
        })
    }

    /// See [`Transport::read`](super::transport::Transport::read). `buffer` has at least [`READ_BYTES_MIN`].
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Taken> {
        assert!(buffer.len() >= READ_BYTES_MIN, "room for a record and its text");
        // Application data that came with the end of the handshake.
        let early = self.take_decrypted(buffer);
        if early > 0 {
            return Ok(self.taken(early, true));
        }
        loop {
            if let Some(why) = &self.failed {
                return Err(self.failure(ErrorKind::InvalidData, why));
            }
            if self.closed {
                return self.end_in_order();
            }
            let rear = (buffer.len() - RECORD_BYTES_MAX) / 2;
            let (text, records) = buffer.split_at_mut(buffer.len() - rear);
            let count = match self.socket.read(records)? {
                0 => return Err(self.end_at_once()),
                count => count,
            };
            let octets = self.decrypt(&records[..count], text);
            if octets > 0 {
                let more = count == rear || self.closed || self.failed.is_some();
                return Ok(self.taken(octets, more));
            }
            // A part of a record, or nothing of AMQP: the socket says whether there is more.
        }
    }

    /// See [`Transport::write`](super::transport::Transport::write).
    pub(super) fn write(&mut self, bytes: &[u8], calls: &mut u64) -> io::Result<usize> {
        self.push(calls)?;
        let count = match self.connection.writer().write(bytes) {
            Ok(count) => count,
            Err(error) => {
                let why = self.failed.clone().unwrap_or_else(|| error.to_string());
                return Err(self.failure(error.kind(), &why));
            }
        };
        match self.push(calls) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(count),
        }
    }

    /// Says that nothing more will be sent.
    pub(super) fn close_notify(&mut self) {
        self.connection.send_close_notify();
        let _ = self.push(&mut 0);
    }

    fn taken(&mut self, octets: usize, more: bool) -> Taken {
        self.heard = true;
        Taken { octets, more }
    }

    /// Decrypts what came from the socket; how many octets of text there are.
    fn decrypt(&mut self, mut records: &[u8], text: &mut [u8]) -> usize {
        let mut octets = 0;
        while !records.is_empty() && !self.closed && self.failed.is_none() {
            // It takes a part at a time, and never refuses: what was decrypted before has been taken away.
            let fed = self.connection.read_tls(&mut records);
            let processed = match fed {
                Ok(_) => self
                    .connection
                    .process_new_packets()
                    .map(drop)
                    .map_err(|error| explained(&error)),
                Err(error) => Err(error.to_string()),
            };
            octets += self.take_decrypted(&mut text[octets..]);
            self.failed = processed.err();
        }
        if self.connection.wants_write() {
            // An alert, or the answer to a new key. What the socket does not take now it takes with the next output.
            let _ = self.push(&mut 0);
        }
        octets
    }

    fn take_decrypted(&mut self, text: &mut [u8]) -> usize {
        let mut octets = 0;
        while octets < text.len() {
            match self.connection.reader().read(&mut text[octets..]) {
                Ok(0) => {
                    self.closed = true;
                    break;
                }
                Ok(count) => octets += count,
                // Nothing is left. It never says that the peer is gone: it was never told.
                Err(_) => break,
            }
        }
        octets
    }

    /// Writes what is encrypted, as far as the socket takes it.
    fn push(&mut self, calls: &mut u64) -> io::Result<()> {
        while self.connection.wants_write() {
            match self.connection.write_tls(&mut self.socket) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(_) => *calls += 1,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(error),
                Err(error) => return Err(self.reason(error)),
            }
        }
        Ok(())
    }

    /// Why the peer takes no output: the alert that it sent before it hung up, while it has said nothing of AMQP (with TLS 1.3
    /// it judges a client's certificate when the client's handshake is over already); otherwise `error`.
    fn reason(&mut self, error: io::Error) -> io::Error {
        let mut records = [0; REASON_BYTES];
        while !self.heard && self.failed.is_none() {
            match self.socket.read(&mut records) {
                Ok(count) if count > 0 => {
                    let mut rest = &records[..count];
                    while !rest.is_empty() && self.connection.read_tls(&mut rest).is_ok_and(|fed| fed > 0) {
                        if let Err(why) = self.connection.process_new_packets() {
                            self.failed = Some(explained(&why));
                            break;
                        }
                    }
                }
                _ => break,
            }
        }
        match &self.failed {
            Some(why) => self.failure(ErrorKind::InvalidData, why),
            None => self.failure(error.kind(), &error.to_string()),
        }
    }

    fn end_in_order(&self) -> io::Result<Taken> {
        if self.heard {
            return Ok(Taken {
                octets: 0,
                more: false,
            });
        }
        let why = "it closed the connection with close_notify before it said anything of AMQP";
        Err(self.failure(ErrorKind::ConnectionAborted, why))
    }

    fn end_at_once(&self) -> io::Error {
        let why = "it hung up without close_notify";
        self.failure(ErrorKind::UnexpectedEof, why)
    }

    fn failure(&self, kind: ErrorKind, why: &str) -> io::Error {
        io::Error::new(kind, format!("TLS with {}: {why}", self.address))
    }
}

impl<S> TlsStream<S> {
    pub(super) fn socket(&self) -> &S {
        &self.socket
    }

    pub(super) fn socket_mut(&mut self) -> &mut S {
        &mut self.socket
    }

    pub(super) fn figures(&self) -> &TlsFigures {
        &self.figures
    }

    pub(super) fn holds_output(&self) -> bool {
        self.connection.wants_write()
    }

    pub(super) fn map<T>(self, change: impl FnOnce(S) -> T) -> TlsStream<T> {
        TlsStream {
            socket: change(self.socket),
            connection: self.connection,
            address: self.address,
            figures: self.figures,
            closed: self.closed,
            failed: self.failed,
            heard: self.heard,
        }
    }
}

fn shake_hands(connection: &mut ClientConnection, socket: &mut (impl Read + Write)) -> io::Result<()> {
    let in_time = |error: io::Error| match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            io::Error::new(ErrorKind::TimedOut, "it did not answer the TLS handshake in time")
        }
        kind => io::Error::new(kind, format!("it ended the TLS handshake: {error}")),
    };
    loop {
        while connection.wants_write() {
            match connection.write_tls(socket) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // It may have said why before it hung up.
                Err(_) if connection.is_handshaking() => break,
                Err(error) => return Err(in_time(error)),
            }
        }
        if !connection.is_handshaking() {
            return Ok(());
        }
        match connection.read_tls(socket) {
            Ok(0) => {
                let why = "it hung up during the TLS handshake";
                return Err(io::Error::new(ErrorKind::UnexpectedEof, why));
            }
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(in_time(error)),
        }
        if let Err(error) = connection.process_new_packets() {
            // The alert that tells the broker what is wrong.
            let _ = connection.write_tls(socket);
            return Err(io::Error::new(ErrorKind::InvalidData, explained(&error)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Arc;

    use rustls::crypto::ring;
    use rustls::pki_types::PrivateKeyDer;
    use rustls::{ServerConfig, ServerConnection};

    use super::*;
    use amqps::TlsOptions;

    /// A socket with a server at its other end, in memory. Reads and writes take as much as chance says, or nothing.
    struct Wire {
        server: ServerConnection,
        to_client: VecDeque<u8>,
        /// What the server has decrypted.
        received: Vec<u8>,
        random: fastrand::Rng,
        piece_bytes_max: usize,
        /// Whether a call may find the socket not ready.
        is_moody: bool,
        has_hung_up: bool,
    }

    impl Wire {
        fn new(seed: u64, piece_bytes_max: usize, fragment_bytes_max: Option<usize>) -> Self {
            let signed = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
            let key = PrivateKeyDer::try_from(signed.signing_key.serialize_der()).unwrap();
            let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![signed.cert.der().clone()], key)
                .unwrap();
            config.max_fragment_size = fragment_bytes_max;
            let mut server = ServerConnection::new(Arc::new(config)).unwrap();
            server.set_buffer_limit(None);
            Self {
                server,
                to_client: VecDeque::new(),
                received: Vec::new(),
                random: fastrand::Rng::with_seed(seed),
                piece_bytes_max,
                is_moody: false,
                has_hung_up: false,
            }
        }

        fn say(&mut self, text: &[u8]) {
            self.server.writer().write_all(text).unwrap();
            self.flush_server();
        }

        fn flush_server(&mut self) {
            while self.server.wants_write() {
                self.server.write_tls(&mut self.to_client).unwrap();
            }
        }

        fn piece(&mut self, length: usize) -> io::Result<usize> {
            if self.is_moody && self.random.u8(..) < 64 {
                return Err(ErrorKind::WouldBlock.into());
            }
            Ok(self.random.usize(1..=self.piece_bytes_max).min(length))
        }
    }

    impl Read for Wire {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.to_client.is_empty() {
                return if self.has_hung_up {
                    Ok(0)
                } else {
                    Err(ErrorKind::WouldBlock.into())
                };
            }
            let length = self.piece(buffer.len())?;
            self.to_client.read(&mut buffer[..length])
        }
    }

    impl Write for Wire {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let length = self.piece(bytes.len())?;
            let mut rest = &bytes[..length];
            while !rest.is_empty() {
                self.server.read_tls(&mut rest).unwrap();
                let state = self.server.process_new_packets().map_err(io::Error::other)?;
                let from = self.received.len();
                self.received.resize(from + state.plaintext_bytes_to_read(), 0);
                self.server
                    .reader()
                    .read_exact(&mut self.received[from..])
                    .unwrap();
            }
            self.flush_server();
            Ok(length)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn connected(wire: Wire) -> TlsStream<Wire> {
        let tls = Tls::new(TlsOptions::from_query("verify=verify_none").unwrap()).unwrap();
        TlsStream::connect(wire, &tls, &Target::guest("localhost", 5671)).unwrap()
    }

    fn text(random: &mut fastrand::Rng, length: usize) -> Vec<u8> {
        (0..length).map(|_| random.u8(..)).collect()
    }

    /// Every read hands out all that it got: nothing decrypted is left for which no socket will wake anybody.
    #[test]
    fn records_fragmented_at_will_come_whole_and_leave_nothing_behind() {
        for seed in 0..24 {
            let mut random = fastrand::Rng::with_seed(seed);
            let piece = [1, 3, 100, 5_000, 1 << 20][seed as usize % 5];
            let fragment = [None, Some(32), Some(1_000)][seed as usize % 3];
            let mut stream = connected(Wire::new(seed, piece, fragment));
            stream.socket_mut().is_moody = true;
            let length = if piece < 100 { 20_000 } else { 600_000 };
            let said = text(&mut random, length);
            let (mut heard, mut at) = (Vec::new(), 0);
            let mut buffer = vec![0; READ_BYTES_MIN + random.usize(0..200_000)];
            while heard.len() < said.len() {
                if at < said.len() && stream.socket().to_client.is_empty() {
                    let next = (at + random.usize(1..150_000)).min(said.len());
                    stream.socket_mut().say(&said[at..next]);
                    at = next;
                }
                match stream.read(&mut buffer) {
                    Ok(Taken { octets, .. }) => heard.extend_from_slice(&buffer[..octets]),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "seed {seed}: {error}"),
                }
                let left = stream.connection.reader().read(&mut [0; 1]);
                assert_eq!(left.unwrap_err().kind(), ErrorKind::WouldBlock, "seed {seed}");
            }
            assert!(heard == said, "seed {seed}");
        }
    }

    #[test]
    fn output_is_bounded_and_counts_as_held_until_the_socket_took_it() {
        for seed in 0..12 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut stream = connected(Wire::new(seed, [7, 900, 1 << 20][seed as usize % 3], None));
            stream.socket_mut().is_moody = true;
            let said = text(&mut random, 500_000);
            let (mut sent, mut calls) = (0, 0);
            while sent < said.len() || stream.holds_output() {
                match stream.write(&said[sent..], &mut calls) {
                    Ok(count) => sent += count,
                    Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "seed {seed}: {error}"),
                }
                let held = sent - stream.socket().received.len();
                assert!(held <= HELD_BYTES_MAX + RECORD_BYTES_MAX, "seed {seed}: {held}");
            }
            assert!(calls > 0 && stream.socket().received == said, "seed {seed}");
        }
    }

    /// What the server does in the end, and how the error begins; none is empty.
    type End = (&'static str, fn(&mut Wire));

    #[test]
    fn what_was_said_before_an_end_is_heard_before_the_end() {
        let mut buffer = vec![0; 256 * 1024];
        let ends: [End; 3] = [
            ("", |wire| wire.server.send_close_notify()),
            ("TLS with localhost:5671: it hung up without close_notify", |_| {}),
            ("TLS with localhost:5671: TLS failed", |wire| {
                wire.flush_server();
                // A record that nobody encrypted.
                wire.to_client.extend([23, 3, 3, 0, 20]);
                wire.to_client.extend([0; 20]);
            }),
        ];
        for (expected, end) in ends {
            let mut stream = connected(Wire::new(1, 1 << 20, None));
            stream.socket_mut().say(&[7; 100]);
            end(stream.socket_mut());
            stream.socket_mut().flush_server();
            stream.socket_mut().has_hung_up = true;
            let taken = stream.read(&mut buffer).unwrap();
            assert_eq!(taken.octets, 100, "{expected}");
            match stream.read(&mut buffer) {
                Ok(taken) => assert_eq!((taken.octets, expected), (0, "")),
                Err(error) => {
                    let message = error.to_string();
                    assert!(!expected.is_empty() && message.starts_with(expected), "{message}");
                }
            }
        }
    }

    #[test]
    fn a_goodbye_before_the_first_word_is_told_with_the_address() {
        let mut stream = connected(Wire::new(1, 1 << 20, None));
        stream.socket_mut().server.send_close_notify();
        stream.socket_mut().flush_server();
        let error = stream.read(&mut vec![0; READ_BYTES_MIN]).unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains("localhost:5671") && message.contains("close_notify"),
            "{message}"
        );
        let mut gone = connected(Wire::new(1, 1 << 20, None));
        gone.close_notify();
        let server = &mut gone.socket_mut().server;
        assert!(server.process_new_packets().unwrap().peer_has_closed());
    }
}
