//! lapin's runtime, but its TCP connections speak TLS: below the client, which itself has none compiled in, so that whoever
//! connects offers the same and obeys the same options.

use std::future::Future;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use async_rs::Tokio;
use async_rs::traits::{Executor, Reactor, RuntimeKit};
use async_rs::util::Task;
use futures_io::{AsyncRead, AsyncWrite};
use futures_rustls::TlsConnector;
use futures_rustls::client::TlsStream;
use futures_util::Stream;
use rustls::pki_types::ServerName;

use crate::agreed::Agreed;
use crate::settings::Tls;

/// Tokio, with TLS to one broker: for one connection.
#[derive(Clone, Debug)]
pub struct TlsKit {
    tokio: Tokio,
    tls: Tls,
    name: ServerName<'static>,
    /// Set by the handshake; for whoever asked for the connection.
    agreed: Arc<OnceLock<Agreed>>,
}

impl TlsKit {
    /// On the current runtime, to a broker that is on `host`.
    ///
    /// # Errors
    /// When nothing can be certified for that host.
    pub fn new(tls: &Tls, host: &str) -> Result<Self, String> {
        Ok(Self {
            tokio: Tokio::current(),
            tls: tls.clone(),
            name: tls.server_name(host)?,
            agreed: Arc::default(),
        })
    }

    /// Where the handshake leaves what it agreed on.
    #[must_use]
    pub fn agreed(&self) -> Arc<OnceLock<Agreed>> {
        Arc::clone(&self.agreed)
    }
}

impl RuntimeKit for TlsKit {}

impl Executor for TlsKit {
    type Task<T: Send + 'static> = <Tokio as Executor>::Task<T>;

    fn block_on<T, F: Future<Output = T>>(&self, future: F) -> T {
        self.tokio.block_on(future)
    }

    fn spawn<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        &self,
        future: F,
    ) -> Task<Self::Task<T>> {
        self.tokio.spawn(future)
    }

    fn spawn_blocking<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(
        &self,
        work: F,
    ) -> Task<Self::Task<T>> {
        self.tokio.spawn_blocking(work)
    }
}

impl Reactor for TlsKit {
    type TcpStream = TlsStream<<Tokio as Reactor>::TcpStream>;
    type Sleep = <Tokio as Reactor>::Sleep;

    fn register<H: Read + Write + AsFd + AsRawFd + Send + 'static>(
        &self,
        socket: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        self.tokio.register(socket)
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        self.tokio.sleep(duration)
    }

    fn interval(&self, duration: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.tokio.interval(duration)
    }

    fn tcp_connect_addr(
        &self,
        address: SocketAddr,
    ) -> impl Future<Output = io::Result<Self::TcpStream>> + Send + 'static {
        let connecting = self.tokio.tcp_connect_addr(address);
        let Self {
            tls, name, agreed, ..
        } = self.clone();
        async move {
            let socket = connecting.await?;
            let shaking_hands = TlsConnector::from(tls.config()).connect(name, socket);
            let stream = shaking_hands.await.map_err(told)?;
            if let Some(outcome) = Agreed::of(stream.get_ref().1) {
                agreed.get_or_init(|| outcome);
            }
            Ok(stream)
        }
    }
}

/// An end without a word is told as what it is; other errors tell their cause themselves ([`cause`](crate::cause)).
fn told(error: io::Error) -> io::Error {
    if error.kind() == ErrorKind::UnexpectedEof {
        return io::Error::new(ErrorKind::UnexpectedEof, "it hung up during the TLS handshake");
    }
    error
}
