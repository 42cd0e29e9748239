//! Accepting, and one connection's HTTP/1.1.
//!
//! There are so many places. When all are taken, whoever has been silent for longest makes room for whoever comes: otherwise a few hundred
//! sockets from which nothing comes would keep out the probe that tells whether the broker is alive.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::connect_info::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper::{Request, Uri};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::shared::Shared;
use super::slow_reader::Impatient;
use crate::descriptors::Reserve;

/// Connections served at a time; one more may wait for its place.
pub(crate) const CONNECTIONS_MAX: usize = 256;
/// Time for the head of a request, the wait for it on an idle connection included.
const HEAD_DEADLINE: Duration = Duration::from_secs(30);
/// Time for one request, its body and its answer.
pub(super) const REQUEST_DEADLINE: Duration = Duration::from_secs(30);
/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 32 << 10;
/// Pause of the accept loop after an error, which may repeat at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Pause before somebody is looked for again who can make room.
const PLACE_PAUSE: Duration = Duration::from_millis(50);

/// The places of connections, and who is silent on them.
#[derive(Debug)]
struct Places {
    free: Arc<Semaphore>,
    silent: Mutex<Silent>,
}

/// Connections from which a request is awaited, in the order in which that began.
#[derive(Debug, Default)]
struct Silent {
    next: u64,
    by_turn: BTreeMap<u64, Arc<Notify>>,
}

/// One connection on its place.
#[derive(Debug)]
struct Guest {
    places: Arc<Places>,
    /// Where it stands among the silent ones.
    turn: Mutex<Option<u64>>,
    /// Told when it has to make room.
    leaves: Arc<Notify>,
    _place: OwnedSemaphorePermit,
}

impl Places {
    fn new() -> Arc<Places> {
        Arc::new(Places {
            free: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            silent: Mutex::default(),
        })
    }

    /// A place for one more, once there is one.
    async fn take(self: &Arc<Places>) -> Arc<Guest> {
        loop {
            if self.free.available_permits() == 0 {
                let longest = self.silent.lock().by_turn.pop_first();
                if let Some((_, leaves)) = longest {
                    leaves.notify_one();
                }
            }
            let place = Arc::clone(&self.free).acquire_owned();
            if let Ok(Ok(place)) = tokio::time::timeout(PLACE_PAUSE, place).await {
                let guest = Arc::new(Guest {
                    places: Arc::clone(self),
                    turn: Mutex::default(),
                    leaves: Arc::default(),
                    _place: place,
                });
                guest.is_silent();
                return guest;
            }
        }
    }
}

impl Guest {
    /// A request is awaited from it.
    fn is_silent(&self) {
        let turn = {
            let mut silent = self.places.silent.lock();
            let turn = silent.next;
            silent.next += 1;
            silent.by_turn.insert(turn, Arc::clone(&self.leaves));
            turn
        };
        *self.turn.lock() = Some(turn);
    }

    /// A request has come.
    fn speaks(&self) {
        let turn = self.turn.lock().take();
        if let Some(turn) = turn {
            self.places.silent.lock().by_turn.remove(&turn);
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.speaks();
    }
}

/// Accepts for ever.
pub(super) async fn accept(listener: TcpListener, router: Router, shared: Shared) {
    let places = Places::new();
    let mut reserve = Reserve::new();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let guest = places.take().await;
                let router = router.clone();
                // As it is now: a reload reaches those that come later.
                let stream = Impatient::new(stream, shared.write_timeout());
                let shared = Arc::clone(&shared);
                tokio::spawn(async move { serve(stream, peer, guest, router, &shared).await });
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

async fn serve(
    stream: Impatient<TcpStream>,
    peer: SocketAddr,
    guest: Arc<Guest>,
    router: Router,
    shared: &Shared,
) {
    let router = TowerToHyperService::new(router);
    let place = Arc::clone(&guest);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        if request.method().is_safe()
            && let Some(uri) = without_slash(request.uri())
        {
            *request.uri_mut() = uri;
        }
        guest.speaks();
        let (answer, guest) = (router.call(request), Arc::clone(&guest));
        async move {
            let answer = answer.await;
            guest.is_silent();
            answer
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let served = loop {
        tokio::select! {
            served = &mut connection => break served,
            () = place.leaves.notified() => {
                // Who has spoken meanwhile stays: somebody else is asked.
                if place.turn.lock().is_some() {
                    tracing::debug!(%peer, "silent management connection closed: another one needs its place");
                    return;
                }
            }
        }
    };
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

/// The same without the slash at its end: several clients write the paths of lists with one.
fn without_slash(uri: &Uri) -> Option<Uri> {
    let path = uri.path().strip_suffix('/').filter(|path| !path.is_empty())?;
    let mut parts = uri.clone().into_parts();
    let query = uri.query().map(|query| format!("?{query}"));
    parts.path_and_query = Some(format!("{path}{}", query.unwrap_or_default()).parse().ok()?);
    Uri::from_parts(parts).ok()
}

/// True for what an [`Impatient`] socket fails with; a head that comes too slowly has no error of the socket.
fn is_write_timeout(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::TimedOut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slash_at_the_end_of_a_path_does_not_matter() {
        let uri = |text: &str| text.parse::<Uri>().unwrap();
        let trimmed = |text| without_slash(&uri(text));
        assert_eq!(trimmed("/api/users/"), Some(uri("/api/users")));
        assert_eq!(
            trimmed("/api/queues/%2F/?page=1&name=a/"),
            Some(uri("/api/queues/%2F?page=1&name=a/"))
        );
        assert_eq!(
            trimmed("http://host/api/nodes/"),
            Some(uri("http://host/api/nodes"))
        );
        assert_eq!(trimmed("/api/users//"), Some(uri("/api/users/")));
        for as_it_is in ["/", "/api/users", "/api/queues?name=/"] {
            assert_eq!(trimmed(as_it_is), None, "{as_it_is}");
        }
    }
}
