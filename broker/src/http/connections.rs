//! Accepting, and one connection's HTTP/1.1.

use std::error::Error as _;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::connect_info::ConnectInfo;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::shared::Shared;
use super::slow_reader::Impatient;
use crate::descriptors::Reserve;

/// Connections served at a time; further ones wait to be accepted.
pub(crate) const CONNECTIONS_MAX: usize = 256;
/// Time for the head of a request, the wait for it on an idle connection included.
const HEAD_DEADLINE: Duration = Duration::from_secs(30);
/// Time for one request, its body and its answer.
pub(super) const REQUEST_DEADLINE: Duration = Duration::from_secs(30);
/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 32 << 10;
/// Pause of the accept loop after an error, which may repeat at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts for ever.
pub(super) async fn accept(listener: TcpListener, router: Router, shared: Shared) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut reserve = Reserve::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let router = router.clone();
                // As it is now: a reload reaches those that come later.
                let stream = Impatient::new(stream, shared.write_timeout());
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    let _place = place;
                    serve(stream, peer, router, &shared).await;
                });
            }
            Err(error) if Reserve::is_wanted(&error) => {
                if !reserve.refuse(listener.accept()).await {
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
            Err(error) => {
                tracing::error!(%error, "cannot accept a management connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(stream: Impatient<TcpStream>, peer: SocketAddr, router: Router, shared: &Shared) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        router.call(request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    match served {
        Err(error) if is_write_timeout(&error) => {
            tracing::warn!(%peer, "management connection closed: its peer does not take the answer");
            if let Some(broker) = shared.opened() {
                broker.tallies.http.write_timeouts.add(1);
            }
        }
        Err(error) => tracing::debug!(%peer, %error, "management connection ended"),
        Ok(()) => {}
    }
}

/// True for what an [`Impatient`] socket fails with; a head that comes too slowly has no error of the socket.
fn is_write_timeout(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::TimedOut)
}
