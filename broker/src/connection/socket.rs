//! A connection's socket: TCP, TLS over TCP, or Unix domain. Which of them is decided when it is accepted, so that a read
//! or a write branches once and calls no trait object.
//!
//! A TLS session is shared by both directions, behind a lock of its own, which is the innermost: a reactor that writes
//! deliveries and the connection's task that reads may meet there, for as long as some records take.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustls::ServerConnection;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::{TcpStream, UnixStream, tcp, unix};

use crate::observe::Encryption;
use crate::reactor::{READ_BYTES_MAX, Reactor};
use crate::tls::Unblocked;

/// Bytes of ciphertext read from one socket in one turn. What they decrypt to, with the rest of a record that was there
/// before, fits into what a plain read may take.
pub const CIPHERTEXT_BYTES_MAX: usize = READ_BYTES_MAX / 2;

/// An accepted socket, ready for a connection's task.
#[derive(Debug)]
pub enum Socket {
    /// Plain TCP.
    Tcp(TcpStream),
    /// Unix domain.
    Unix(UnixStream),
    /// TCP with a session whose handshake is done, and when that began.
    Tls(TcpStream, Box<ServerConnection>, Instant),
}

impl From<TcpStream> for Socket {
    fn from(stream: TcpStream) -> Socket {
        Socket::Tcp(stream)
    }
}

/// The reading half, which the connection's task owns.
#[derive(Debug)]
pub(super) enum Reader {
    Tcp(tcp::OwnedReadHalf),
    Unix(unix::OwnedReadHalf),
    Tls(tcp::OwnedReadHalf, Session),
}

/// The writing half, which is in the [`Link`](super::Link).
#[derive(Debug)]
pub(super) enum Writer {
    /// Plain TCP.
    Tcp(tcp::OwnedWriteHalf),
    /// Unix domain.
    Unix(unix::OwnedWriteHalf),
    /// TCP with a session.
    Tls(tcp::OwnedWriteHalf, Session),
}

/// A session of which both halves have a share.
#[derive(Clone, Debug)]
pub(super) struct Session(Arc<Mutex<ServerConnection>>);

impl Socket {
    /// The broker's end; none of a Unix-domain socket.
    pub(super) fn local(&self) -> Option<SocketAddr> {
        match self {
            Socket::Tcp(stream) | Socket::Tls(stream, ..) => stream.local_addr().ok(),
            Socket::Unix(_) => None,
        }
    }

    /// The TLS session, if it has one.
    pub(super) fn encryption(&self) -> Option<Encryption> {
        let Socket::Tls(_, session, _) = self else {
            return None;
        };
        let version = format!("{:?}", session.protocol_version()?);
        Some(Encryption {
            version: version.to_lowercase().replace('_', "."),
            cipher: format!("{:?}", session.negotiated_cipher_suite()?.suite()),
        })
    }

    /// What is gone of the time for the handshakes.
    pub(super) fn spent(&self) -> Duration {
        match self {
            Socket::Tcp(_) | Socket::Unix(_) => Duration::ZERO,
            Socket::Tls(_, _, since) => since.elapsed(),
        }
    }

    pub(super) fn split(self) -> (Reader, Writer) {
        match self {
            Socket::Tcp(stream) => {
                let (reader, writer) = stream.into_split();
                (Reader::Tcp(reader), Writer::Tcp(writer))
            }
            Socket::Unix(stream) => {
                let (reader, writer) = stream.into_split();
                (Reader::Unix(reader), Writer::Unix(writer))
            }
            Socket::Tls(stream, session, _) => {
                let session = Session(Arc::new(Mutex::new(*session)));
                let (reader, writer) = stream.into_split();
                (Reader::Tls(reader, session.clone()), Writer::Tls(writer, session))
            }
        }
    }
}

impl Reader {
    /// Reads once into `buffer`; nothing in it means the end. True when more is likely to wait.
    pub(super) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
        reactor: &Reactor,
    ) -> Poll<io::Result<bool>> {
        match self {
            Reader::Tcp(half) => ready!(Pin::new(half).poll_read(context, buffer))?,
            Reader::Unix(half) => ready!(Pin::new(half).poll_read(context, buffer))?,
            Reader::Tls(half, session) => {
                // As much as fits when it is decrypted, with the rest of a record that was there before.
                let ciphertext_max = CIPHERTEXT_BYTES_MAX.min(buffer.capacity() / 2);
                let mut ciphertext = reactor.ciphertext();
                return session.poll_read(half, context, buffer, &mut ciphertext[..ciphertext_max]);
            }
        }
        Poll::Ready(Ok(buffer.remaining() == 0))
    }
}

impl Writer {
    /// Takes what the socket, or the session before it, takes without waiting.
    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Writer::Tcp(half) => half.try_write(bytes),
            Writer::Unix(half) => half.try_write(bytes),
            Writer::Tls(half, session) => session.try_write(half.as_ref(), bytes),
        }
    }

    /// Writes what was taken and is not yet out; `WouldBlock` when some of it must wait.
    pub(super) fn try_finish(&self) -> io::Result<()> {
        match self {
            Writer::Tcp(_) | Writer::Unix(_) => Ok(()),
            Writer::Tls(half, session) => push(&mut session.0.lock(), half.as_ref()),
        }
    }

    pub(super) fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Writer::Tcp(half) | Writer::Tls(half, _) => half.as_ref().poll_write_ready(context),
            Writer::Unix(half) => half.as_ref().poll_write_ready(context),
        }
    }

    /// Has the operating system forget what is not sent when the socket closes, which resets the connection. What a Unix-domain
    /// socket holds goes with it anyway.
    pub(super) fn abandon(&self) {
        if let Writer::Tcp(half) | Writer::Tls(half, _) = self {
            // At worst it is kept for as long as the operating system goes on trying.
            let _ = socket2::SockRef::from(half.as_ref()).set_linger(Some(Duration::ZERO));
        }
    }

    /// Says goodbye where the protocol has a way to, if the socket takes it at once.
    pub(super) fn say_goodbye(&self) {
        if let Writer::Tls(half, session) = self {
            let mut session = session.0.lock();
            session.send_close_notify();
            let _ = push(&mut session, half.as_ref());
        }
    }
}

impl Session {
    fn poll_read(
        &self,
        half: &mut tcp::OwnedReadHalf,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
        ciphertext: &mut [u8],
    ) -> Poll<io::Result<bool>> {
        // What came with the end of the handshake.
        drain(&mut self.0.lock(), buffer)?;
        let mut is_full = false;
        while buffer.filled().is_empty() {
            let mut read = ReadBuf::new(ciphertext);
            ready!(Pin::new(&mut *half).poll_read(context, &mut read))?;
            is_full = read.remaining() == 0;
            if read.filled().is_empty() || self.decrypt(read.filled(), buffer, half.as_ref())? {
                break;
            }
        }
        Poll::Ready(Ok(is_full))
    }

    /// Appends what `ciphertext` says to `buffer`. True when the peer has said goodbye.
    fn decrypt(
        &self,
        mut ciphertext: &[u8],
        buffer: &mut ReadBuf<'_>,
        socket: &TcpStream,
    ) -> io::Result<bool> {
        let mut session = self.0.lock();
        let mut has_ended = false;
        while !ciphertext.is_empty() && !has_ended {
            session.read_tls(&mut ciphertext)?;
            match session.process_new_packets() {
                Ok(state) => has_ended = state.peer_has_closed(),
                Err(error) => {
                    // The alert says why, if the socket takes it at once.
                    let _ = push(&mut session, socket);
                    return Err(io::Error::new(io::ErrorKind::InvalidData, error));
                }
            }
            drain(&mut session, buffer)?;
        }
        // An answer to what the peer asked of the session itself, such as new keys.
        match push(&mut session, socket) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(has_ended),
        }
    }

    fn try_write(&self, socket: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
        let mut session = self.0.lock();
        // What was taken before goes first, and bounds what is taken now.
        push(&mut session, socket)?;
        let taken = session.writer().write(bytes)?;
        match push(&mut session, socket) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(taken),
        }
    }
}

/// Moves decrypted bytes into `buffer`, for which there is always room: see [`CIPHERTEXT_BYTES_MAX`].
fn drain(session: &mut ServerConnection, buffer: &mut ReadBuf<'_>) -> io::Result<()> {
    loop {
        let room = buffer.initialize_unfilled();
        match session.reader().read(room) {
            Ok(0) => return Ok(()),
            Ok(count) => buffer.advance(count),
            // Nothing more for now; or the end without a goodbye, which the socket tells, too.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

fn push(session: &mut ServerConnection, socket: &TcpStream) -> io::Result<()> {
    while session.wants_write() {
        session.write_tls(&mut Unblocked(socket))?;
    }
    Ok(())
}
