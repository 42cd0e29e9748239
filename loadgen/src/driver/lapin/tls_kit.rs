//! The client's runtime, but its TCP connections speak TLS: below the client, which itself has none compiled in, so that both
//! drivers offer the same and obey the same options.

use std::future::Future;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_rs::Tokio;
use async_rs::traits::{Executor, Reactor, RuntimeKit};
use async_rs::util::Task;
use futures_io::{AsyncRead, AsyncWrite};
use futures_rustls::TlsConnector;
use futures_rustls::client::TlsStream;
use futures_util::Stream;
use parking_lot::Mutex;
use rustls::pki_types::ServerName;

use crate::tls::{Tls, TlsFigures, explained};

/// Tokio, with TLS to one broker.
#[derive(Clone, Debug)]
pub(super) struct TlsKit {
    tokio: Tokio,
    tls: Tls,
    name: ServerName<'static>,
    /// What the last handshake agreed on; for whoever asked for the connection.
    agreed: Arc<Mutex<Option<TlsFigures>>>,
}

impl TlsKit {
    /// On the current runtime, to a broker that is on `host`.
    ///
    /// # Errors
    /// When nothing can be certified for that host.
    pub(super) fn new(tls: &Tls, host: &str) -> Result<Self, String> {
        Ok(Self {
            tokio: Tokio::current(),
            tls: tls.clone(),
            name: tls.server_name(host)?,
            agreed: Arc::default(),
        })
    }

    /// Where the figures of the next handshake can be found.
    pub(super) fn agreed(&self) -> Arc<Mutex<Option<TlsFigures>>> {
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
            let stream = shaking_hands.await.map_err(in_words)?;
            *agreed.lock() = TlsFigures::agreed(stream.get_ref().1, tls.options().verify);
            Ok(stream)
        }
    }
}

fn in_words(error: io::Error) -> io::Error {
    let why = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match (why, error.kind()) {
        (Some(why), _) => io::Error::new(ErrorKind::InvalidData, explained(why)),
        (None, ErrorKind::UnexpectedEof) => {
            io::Error::new(ErrorKind::UnexpectedEof, "it hung up during the TLS handshake")
        }
        (None, _) => error,
    }
}
