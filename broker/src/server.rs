//! Listening, accepting, spreading connections over reactors, and stopping.
//!
//! The main thread accepts and waits for signals; every reactor is a thread of its own. An orderly stop has phases, each
//! with a deadline: nothing more is accepted; nothing more is read; what was published is kept and confirmed; what was
//! delivered and not settled goes back; final checkpoints are written; connections are closed with 320. A second
//! signal ends the process at once.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use socket2::{Domain, Type};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::mpsc;
use tokio::task::{JoinSet, LocalSet};

use crate::broker::{Broker, ConnectionPermit};
use crate::cli::{Loaded, Sources};
use crate::connection::{Connection, Peer, Signal, Socket};
use crate::control::Control;
use crate::descriptors::{self, Reserve};
use crate::http::{self, Listener};
use crate::inbox::Inbox;
use crate::logging;
use crate::notify::{Notifier, Watch};
use crate::reactor::Reactor;
use crate::reload::{self, Reload};
use crate::shutdown;
use crate::stage::{Protocol, Serving, Stage};
use crate::start;
use crate::store::{Job, Maintenance};
use crate::tls::{Established, Handshakes, note_expiries};
use crate::unix_socket::UnixSocket;
use seglog::LogOptions;

/// How long connections may take to answer `connection.close` when the broker stops.
pub const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(5);
/// Pause of the accept loop after an error, which may repeat at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often idle queues are looked at.
const TRIM_INTERVAL: Duration = Duration::from_secs(1);
/// Connections accepted and not yet taken over by their reactor.
const HANDOVER_MAX: usize = 1024;
/// Connections that the operating system keeps until they are accepted.
pub(crate) const LISTEN_BACKLOG: i32 = 1024;
/// Exit code after a second signal.
const EXIT_AT_ONCE: i32 = 1;

/// A connection on its way to its reactor.
#[derive(Debug)]
struct Accepted {
    socket: Unregistered,
    peer: Peer,
    permit: ConnectionPermit,
}

/// A socket between two runtimes.
#[derive(Debug)]
enum Unregistered {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
    Tls(std::net::TcpStream, Box<rustls::ServerConnection>, Instant),
}

impl Unregistered {
    /// Makes the runtime of this thread watch it.
    fn register(self) -> std::io::Result<Socket> {
        Ok(match self {
            Unregistered::Tcp(stream) => Socket::Tcp(TcpStream::from_std(stream)?),
            Unregistered::Unix(stream) => Socket::Unix(UnixStream::from_std(stream)?),
            Unregistered::Tls(stream, session, since) => {
                Socket::Tls(TcpStream::from_std(stream)?, session, since)
            }
        })
    }
}

impl From<Established> for Accepted {
    fn from(established: Established) -> Accepted {
        Accepted {
            socket: Unregistered::Tls(established.stream, established.session, established.accepted),
            peer: Peer::from(established.peer).certified(established.login_name),
            permit: established.permit,
        }
    }
}

/// Serves until SIGINT or SIGTERM. Prints one line on standard output for each address it listens on.
///
/// # Errors
/// When the data directory cannot be used, an address cannot be listened on, or a thread cannot be started.
pub(crate) fn run(loaded: Loaded, sources: Sources) -> anyhow::Result<()> {
    descriptors::raise(
        &loaded.config,
        LogOptions::default().open_files_max,
        http::CONNECTIONS_MAX,
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // Before anything that takes long: without handlers, the first process of a container would not even notice.
    let mut signals = runtime.block_on(async { shutdown::Signals::new() })?;
    let notifier = Arc::new(Notifier::from_environment());
    notifier.status("starting: reading the data directory");
    let stage = Arc::<Stage>::default();
    let control = Control::start(&loaded.config.data_dir, Arc::clone(&stage));
    let management = Listener::start(&loaded.config.management, Arc::clone(&stage))?;
    runtime.block_on(async {
        let (broker, jobs) = start::open(loaded.config.clone(), &mut signals).await?;
        let maintenance = Maintenance::start(Arc::clone(&broker), jobs)?;
        let config = &broker.config;
        let listeners: Vec<TcpListener> = listen_all(&config.listen)?;
        let tls_listeners = listen_all(&config.listen_tls)?;
        let unix_sockets = config.listen_unix.iter();
        let unix_sockets: Vec<UnixSocket> = unix_sockets
            .map(|path| UnixSocket::listen(path, config.unix_mode))
            .collect::<anyhow::Result<_>>()?;
        let (reactors, mut threads) = start_reactors(&broker)?;
        let mut serving = JoinSet::new();
        let mut handshakes = None;
        if let Some(tls) = &loaded.tls {
            let (established, arrivals) = mpsc::channel(HANDOVER_MAX);
            let (started, thread) =
                Handshakes::start(&broker, Arc::clone(tls), config.tls.clone(), established)?;
            note_expiries(&broker, &config.tls);
            threads.push(thread);
            serving.spawn(deal_established(arrivals, Arc::clone(&reactors)));
            handshakes = Some(started);
        }
        // Before anybody is told that the broker is there: without a handler the signal would end it.
        let (reloads, requests) = mpsc::channel(reload::REQUESTS_MAX);
        let reload = Reload::new(
            loaded,
            sources,
            Arc::clone(&broker),
            handshakes.clone(),
            Arc::clone(&notifier),
            requests,
        )?;
        let plain = listeners.iter().map(|listener| (Protocol::Amqp, listener));
        let encrypted = tls_listeners.iter().map(|listener| (Protocol::Amqps, listener));
        let addresses = plain
            .chain(encrypted)
            .map(|(protocol, listener)| Ok((protocol, listener.local_addr()?)));
        let served = Serving {
            addresses: addresses.collect::<std::io::Result<_>>()?,
            unix_sockets: config.listen_unix.clone(),
            management: management.addresses().to_vec(),
            reloads,
        };
        stage.serve(&broker, served);
        for listener in &listeners {
            announce(format_args!("on {}", listener.local_addr()?))?;
        }
        for listener in &tls_listeners {
            announce(format_args!("with TLS on {}", listener.local_addr()?))?;
        }
        for socket in &unix_sockets {
            announce(format_args!("on {}", socket.path.display()))?;
        }
        for listener in listeners {
            serving.spawn(accept(listener, Arc::clone(&broker), Arc::clone(&reactors)));
        }
        // Its thread ends when nobody can hand it anything any more: no handle stays here.
        if let Some(handshakes) = handshakes {
            for listener in tls_listeners {
                serving.spawn(accept_tls(listener, Arc::clone(&broker), handshakes.clone()));
            }
        }
        for socket in unix_sockets {
            serving.spawn(accept_local(socket, Arc::clone(&broker), Arc::clone(&reactors)));
        }
        serving.spawn(trim_idle_queues(Arc::clone(&broker)));
        serving.spawn(logging::watch_limits());
        serving.spawn(checkpoint_on_demand(Arc::clone(&broker)));
        serving.spawn(reload.on_demand());
        if notifier.has_manager() {
            let watch = Watch::new(Arc::clone(&notifier), Arc::clone(&stage), Arc::clone(&broker));
            notifier.ready(watch.status());
            // Not among those that end when the stop begins.
            tokio::spawn(watch.run());
        }
        let by_signal = tokio::select! {
            () = signals.wait() => true,
            () = stage.stop_requested() => false,
        };
        tracing::info!("stopping: no more connections");
        stage.stop();
        notifier.stopping();
        serving.shutdown().await;
        let stopping = async {
            shutdown::quiesce(&broker).await;
            let conclude = move || shutdown::conclude(&broker, maintenance);
            let clean = tokio::task::spawn_blocking(conclude).await?;
            drop(reactors);
            tokio::task::spawn_blocking(move || join(threads)).await??;
            tokio::task::spawn_blocking(move || {
                management.stop();
                control.conclude(clean);
            })
            .await?;
            Ok(())
        };
        let insisted = async {
            if !by_signal {
                // A service manager sends one after it has asked for the stop by a command.
                signals.wait().await;
                tracing::info!("first signal: already stopping");
            }
            signals.wait().await;
        };
        tokio::select! {
            result = stopping => result,
            () = insisted => {
                // Whatever a thread waits for, the process ends now: a crash, as far as the data is concerned.
                tracing::warn!("second signal: stopped at once");
                logging::flush_limits();
                std::process::exit(EXIT_AT_ONCE)
            }
        }
    })
}

/// Writes checkpoints when SIGUSR1 comes. Never returns.
async fn checkpoint_on_demand(broker: Arc<Broker>) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut demand) = signal(SignalKind::user_defined1()) else {
        tracing::warn!(
            "cannot listen for SIGUSR1: checkpoints are written by the clock and at shutdown only"
        );
        return;
    };
    while demand.recv().await.is_some() {
        tracing::info!("checkpoints on demand");
        broker.store.submit(Job::Checkpoint);
    }
}

fn listen_all(addresses: &[SocketAddr]) -> anyhow::Result<Vec<TcpListener>> {
    addresses.iter().map(|&address| listen(address)).collect()
}

pub(crate) fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let bind = || -> std::io::Result<TcpListener> {
        let socket = socket2::Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(socket2::Protocol::TCP),
        )?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(LISTEN_BACKLOG)?;
        TcpListener::from_std(socket.into())
    };
    bind().with_context(|| format!("cannot listen on {address}"))
}

/// Tells whoever started the broker that it is ready, and where.
fn announce(place: std::fmt::Arguments<'_>) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "broker listening {place}")?;
    out.flush().context("cannot write to standard output")
}

/// The ways to the reactors, which get connections in turn.
#[derive(Debug)]
struct Handovers {
    reactors: Vec<mpsc::Sender<Accepted>>,
    turn: AtomicUsize,
}

impl Handovers {
    /// Hands a connection to the next reactor; false when that has ended.
    async fn deal(&self, accepted: Accepted) -> bool {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.reactors.len();
        self.reactors[turn].send(accepted).await.is_ok()
    }
}

fn start_reactors(broker: &Arc<Broker>) -> anyhow::Result<(Arc<Handovers>, Vec<JoinHandle<()>>)> {
    let mut reactors = Vec::new();
    let mut threads = Vec::new();
    for (index, inbox) in broker.inboxes().iter().enumerate() {
        let (handover, accepted) = mpsc::channel(HANDOVER_MAX);
        let (broker, inbox) = (Arc::clone(broker), Arc::clone(inbox));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let thread = std::thread::Builder::new().name(format!("reactor-{index}"));
        threads.push(thread.spawn(move || {
            LocalSet::new().block_on(&runtime, run_reactor(broker, inbox, accepted));
            // A password that is still being hashed has nobody who waits for it.
            runtime.shutdown_background();
        })?);
        reactors.push(handover);
    }
    let handovers = Handovers {
        reactors,
        turn: AtomicUsize::new(0),
    };
    Ok((Arc::new(handovers), threads))
}

/// Accepts and deals connections to the reactors in turn. Never returns.
async fn accept(listener: TcpListener, broker: Arc<Broker>, reactors: Arc<Handovers>) {
    let mut reserve = Reserve::new();
    loop {
        let (stream, peer, permit) = next_tcp(&listener, &broker, &mut reserve).await;
        let accepted = Accepted {
            socket: Unregistered::Tcp(stream),
            peer: peer.into(),
            permit,
        };
        if !reactors.deal(accepted).await {
            return;
        }
    }
}

/// Accepts connections and has hands shaken with them. Never returns.
async fn accept_tls(listener: TcpListener, broker: Arc<Broker>, handshakes: Handshakes) {
    let mut reserve = Reserve::new();
    loop {
        let (stream, peer, permit) = next_tcp(&listener, &broker, &mut reserve).await;
        if !handshakes.begin(stream, peer, permit).await {
            return;
        }
    }
}

/// Deals connections whose handshake is done. Ends when there will be no more.
async fn deal_established(mut arrivals: mpsc::Receiver<Established>, reactors: Arc<Handovers>) {
    while let Some(established) = arrivals.recv().await {
        if !reactors.deal(established.into()).await {
            return;
        }
    }
}

/// The next connection that is admitted, without delay of small writes.
async fn next_tcp(
    listener: &TcpListener,
    broker: &Arc<Broker>,
    reserve: &mut Reserve,
) -> (std::net::TcpStream, SocketAddr, ConnectionPermit) {
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) if Reserve::is_wanted(&error) => {
                if !reserve.refuse(listener.accept()).await {
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                continue;
            }
            Err(error) => {
                pause_after(&error).await;
                continue;
            }
        };
        let Some(permit) = admitted(broker, &peer) else {
            continue;
        };
        match stream.set_nodelay(true).and_then(|()| stream.into_std()) {
            Ok(stream) => return (stream, peer, permit),
            Err(error) => tracing::debug!(%peer, %error, "connection lost while it was accepted"),
        }
    }
}

/// As [`accept`], from this machine. Never returns; the socket's file goes with it.
async fn accept_local(socket: UnixSocket, broker: Arc<Broker>, reactors: Arc<Handovers>) {
    let mut number = 0;
    let mut reserve = Reserve::new();
    loop {
        let stream = match socket.listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) if Reserve::is_wanted(&error) => {
                if !reserve.refuse(socket.listener.accept()).await {
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                continue;
            }
            Err(error) => {
                pause_after(&error).await;
                continue;
            }
        };
        number += 1;
        let peer = Peer::local(Arc::clone(&socket.path), number);
        let Some(permit) = admitted(&broker, &peer) else {
            continue;
        };
        let socket = match stream.into_std() {
            Ok(stream) => Unregistered::Unix(stream),
            Err(error) => {
                tracing::debug!(%peer, %error, "connection lost while it was accepted");
                continue;
            }
        };
        if !reactors.deal(Accepted { socket, peer, permit }).await {
            return;
        }
    }
}

/// Tells an error of an accept loop, and waits before it would repeat.
async fn pause_after(error: &std::io::Error) {
    tracing::error!(%error, "cannot accept a connection");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

/// A place among the connections, or a word about the lack of one.
fn admitted(broker: &Arc<Broker>, peer: &impl std::fmt::Display) -> Option<ConnectionPermit> {
    let permit = broker.admit_connection();
    if permit.is_none() {
        tracing::warn!(%peer, limit = broker.limits.connections_max(), "connection refused: limit reached");
    }
    permit
}

/// Makes idle queues give their ring memory back. Never returns.
async fn trim_idle_queues(broker: Arc<Broker>) {
    let mut interval = tokio::time::interval(TRIM_INTERVAL);
    loop {
        interval.tick().await;
        for queue in broker.queues() {
            queue.trim();
        }
    }
}

/// A reactor's thread: connections until the accept loop is gone, then their orderly end.
async fn run_reactor(broker: Arc<Broker>, inbox: Arc<Inbox>, mut accepted: mpsc::Receiver<Accepted>) {
    let reactor = Reactor::new(broker.config.frame_max as usize, inbox);
    let dispatcher = tokio::task::spawn_local(std::rc::Rc::clone(&reactor).run_dispatcher());
    let timers = tokio::task::spawn_local(std::rc::Rc::clone(&reactor).run_timers());
    let ticks = tokio::task::spawn_local(std::rc::Rc::clone(&reactor).run_ticks());
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            next = accepted.recv() => {
                let Some(Accepted { socket, peer, permit }) = next else { break };
                let (broker, reactor) = (Arc::clone(&broker), std::rc::Rc::clone(&reactor));
                connections.spawn_local(async move {
                    let _permit = permit;
                    match socket.register() {
                        Ok(socket) => {
                            let id = broker.next_connection_id();
                            Connection::serve(broker, reactor, id, socket, peer).await;
                        }
                        Err(error) => tracing::error!(%peer, %error, "cannot register the connection"),
                    }
                });
            }
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a connection's task failed; the others go on");
                }
            }
        }
    }
    reactor.raise_all(Signal::Shutdown);
    let all_gone = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(SHUTDOWN_DEADLINE, all_gone).await.is_err() {
        tracing::warn!(
            connections = reactor.connection_count(),
            "connections did not close in time"
        );
    }
    dispatcher.abort();
    timers.abort();
    ticks.abort();
}

fn join(threads: Vec<JoinHandle<()>>) -> anyhow::Result<()> {
    for thread in threads {
        let name = thread.thread().name().unwrap_or("reactor").to_owned();
        thread
            .join()
            .map_err(|_| anyhow::anyhow!("thread {name} panicked"))?;
    }
    Ok(())
}
