//! The thread that does all handshakes. See [`super`] for why.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use parking_lot::RwLock;
use rustls::{ServerConfig, ServerConnection};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::LocalSet;

use super::files::session;
use super::login_name::login_name;
use super::settings::TlsSettings;
use super::unblocked::Unblocked;
use crate::broker::{Broker, ConnectionPermit};

/// What the first byte of a TLS connection is: the type of a record with a handshake message (RFC 8446, section 5.1).
pub(crate) const PROTOCOL_BYTE: u8 = 22;
/// Connections that may wait for the thread.
const WAITING_MAX: usize = 1024;

/// A connection whose handshake is done.
#[derive(Debug)]
pub(crate) struct Established {
    pub(crate) stream: std::net::TcpStream,
    pub(crate) session: Box<ServerConnection>,
    /// The user that the client's certificate names.
    pub(crate) login_name: Option<String>,
    pub(crate) peer: SocketAddr,
    pub(crate) permit: ConnectionPermit,
    pub(crate) accepted: Instant,
}

#[derive(Debug)]
struct Waiting {
    stream: std::net::TcpStream,
    peer: SocketAddr,
    permit: ConnectionPermit,
    accepted: Instant,
}

/// What handshakes go by; changed by a reload, for those that come after it.
#[derive(Debug)]
struct Terms {
    config: Arc<ServerConfig>,
    settings: TlsSettings,
}

/// The way to the thread. It ends when all of them are dropped.
#[derive(Clone, Debug)]
pub(crate) struct Handshakes {
    waiting: mpsc::Sender<Waiting>,
    terms: Arc<RwLock<Arc<Terms>>>,
}

/// Why a handshake came to nothing.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("the client speaks AMQP without TLS, on an address for TLS")]
    Plain,
    #[error("the client does not speak TLS")]
    NotTls,
    #[error("the client is gone")]
    Gone,
    #[error("no end of it within the handshake timeout")]
    Late,
    #[error("{0}")]
    Refused(#[from] rustls::Error),
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl Handshakes {
    /// Starts the thread; what is established goes to `established`.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(crate) fn start(
        broker: &Arc<Broker>,
        config: Arc<ServerConfig>,
        settings: TlsSettings,
        established: mpsc::Sender<Established>,
    ) -> anyhow::Result<(Handshakes, JoinHandle<()>)> {
        let terms = Arc::new(RwLock::new(Arc::new(Terms { config, settings })));
        let (waiting, mut arrivals) = mpsc::channel::<Waiting>(WAITING_MAX);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (broker, current) = (Arc::clone(broker), Arc::clone(&terms));
        let thread = std::thread::Builder::new().name("tls".to_owned());
        let thread = thread.spawn(move || {
            // Dropped with what is unfinished when nobody accepts any more.
            LocalSet::new().block_on(&runtime, async move {
                while let Some(arrival) = arrivals.recv().await {
                    let terms = Arc::clone(&current.read());
                    let (broker, established) = (Arc::clone(&broker), established.clone());
                    tokio::task::spawn_local(async move {
                        if let Some(done) = establish(&broker, &terms, arrival).await {
                            // Nobody takes it when the broker stops.
                            let _ = established.send(done).await;
                        }
                    });
                }
            });
        })?;
        Ok((Handshakes { waiting, terms }, thread))
    }

    /// Another configuration for all handshakes that begin from here on.
    pub(crate) fn change(&self, config: Arc<ServerConfig>, settings: TlsSettings) {
        *self.terms.write() = Arc::new(Terms { config, settings });
    }

    /// Hands an accepted connection over. False when the thread has ended.
    pub(crate) async fn begin(
        &self,
        stream: std::net::TcpStream,
        peer: SocketAddr,
        permit: ConnectionPermit,
    ) -> bool {
        let waiting = Waiting {
            stream,
            peer,
            permit,
            accepted: Instant::now(),
        };
        self.waiting.send(waiting).await.is_ok()
    }
}

/// One handshake, within its time; what fails is told in the log.
async fn establish(broker: &Broker, terms: &Terms, arrival: Waiting) -> Option<Established> {
    let peer = arrival.peer;
    let deadline = arrival.accepted + broker.limits.handshake_timeout();
    let shaken = async {
        let stream = TcpStream::from_std(arrival.stream)?;
        let session = shake_hands(&stream, session(Arc::clone(&terms.config))?).await?;
        Ok((stream.into_std()?, session))
    };
    let shaken = tokio::time::timeout_at(deadline.into(), shaken).await;
    match shaken.unwrap_or(Err(Failed::Late)) {
        Ok((stream, session)) => Some(Established {
            login_name: named_user(&session, terms, peer),
            session: Box::new(session),
            stream,
            peer,
            permit: arrival.permit,
            accepted: arrival.accepted,
        }),
        Err(failed @ (Failed::Plain | Failed::NotTls)) => {
            tracing::warn!(%peer, reason = %failed, "TLS handshake failed");
            None
        }
        Err(failed) => {
            tracing::info!(%peer, reason = %failed, "TLS handshake failed");
            None
        }
    }
}

fn named_user(session: &ServerConnection, terms: &Terms, peer: SocketAddr) -> Option<String> {
    let certificate = session.peer_certificates()?.first()?;
    login_name(certificate, &terms.settings)
        .inspect_err(|reason| tracing::info!(%peer, reason, "no EXTERNAL for this client"))
        .ok()
}

async fn shake_hands(stream: &TcpStream, mut session: ServerConnection) -> Result<ServerConnection, Failed> {
    let mut first = [0; 4];
    match stream.peek(&mut first).await? {
        0 => return Err(Failed::Gone),
        _ if first[0] == PROTOCOL_BYTE => {}
        count if b"AMQP".starts_with(&first[..count]) => return Err(Failed::Plain),
        _ => return Err(Failed::NotTls),
    }
    while session.is_handshaking() || session.wants_write() {
        let is_writing = session.wants_write();
        let moved = if is_writing {
            stream.writable().await?;
            session.write_tls(&mut Unblocked(stream))
        } else {
            stream.readable().await?;
            session.read_tls(&mut Unblocked(stream))
        };
        match moved {
            Ok(0) => return Err(Failed::Gone),
            Ok(_) if is_writing => continue,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error.into()),
        }
        if let Err(error) = session.process_new_packets() {
            // The alert says why, if the socket takes it at once.
            let _ = session.write_tls(&mut Unblocked(stream));
            return Err(error.into());
        }
    }
    Ok(session)
}
