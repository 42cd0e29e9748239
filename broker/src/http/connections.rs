//! Accepting, and one connection's HTTP/1.1.

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
pub(super) async fn accept(listener: TcpListener, router: Router) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut reserve = Reserve::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let router = router.clone();
                tokio::spawn(async move {
                    let _place = place;
                    serve(stream, peer, router).await;
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

async fn serve(stream: TcpStream, peer: SocketAddr, router: Router) {
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
    if let Err(error) = served {
        tracing::debug!(%peer, %error, "management connection ended");
    }
}
