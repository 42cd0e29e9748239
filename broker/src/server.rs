//! Listening, accepting, spreading connections over reactors, and stopping.
//!
//! The main thread accepts and waits for signals; every reactor is a thread of its own. An orderly stop has phases, each
//! with a deadline: nothing more is accepted; nothing more is read; what was published is kept and confirmed; what was
//! delivered and not settled goes back; final checkpoints are written; connections are closed with 320. A second
//! signal ends the process at once.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{JoinSet, LocalSet};

use crate::broker::{Broker, ConnectionPermit};
use crate::cli::{Loaded, Sources};
use crate::connection::{Connection, Signal};
use crate::http::Listener;
use crate::inbox::Inbox;
use crate::reactor::Reactor;
use crate::reload::Reload;
use crate::shutdown;
use crate::store::{Job, Maintenance};
use seglog::FsStorage;

/// How long connections may take to answer `connection.close` when the broker stops.
pub const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(5);
/// Pause of the accept loop after an error such as "too many open files", which would repeat at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often idle queues are looked at.
const TRIM_INTERVAL: Duration = Duration::from_secs(1);
/// Connections accepted and not yet taken over by their reactor.
const HANDOVER_MAX: usize = 1024;
const LISTEN_BACKLOG: i32 = 1024;
/// Exit code after a second signal.
const EXIT_AT_ONCE: i32 = 1;

/// A connection on its way from the accept loop to its reactor.
#[derive(Debug)]
struct Accepted {
    stream: std::net::TcpStream,
    peer: SocketAddr,
    permit: ConnectionPermit,
}

/// Serves until SIGINT or SIGTERM. Prints one line on standard output for each address it listens on.
///
/// # Errors
/// When the data directory cannot be used, an address cannot be listened on, or a thread cannot be started.
pub(crate) fn run(loaded: Loaded, sources: Sources) -> anyhow::Result<()> {
    let management = Listener::start(&loaded.config.management)?;
    let (broker, jobs) = Broker::open(loaded.config.clone(), Arc::new(FsStorage))?;
    let maintenance = Maintenance::start(Arc::clone(&broker), jobs)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listeners: Vec<TcpListener> = broker
            .config
            .listen
            .iter()
            .map(|&address| listen(address))
            .collect::<anyhow::Result<_>>()?;
        let (reactors, threads) = start_reactors(&broker)?;
        let mut signals = ShutdownSignals::new()?;
        // Before anybody is told that the broker is there: without a handler the signal would end it.
        let reload = Reload::new(loaded, sources, Arc::clone(&broker))?;
        let addresses = listeners.iter().map(TcpListener::local_addr);
        management.serve(&broker, addresses.collect::<std::io::Result<_>>()?);
        for listener in &listeners {
            announce(listener.local_addr()?)?;
        }
        let mut serving = JoinSet::new();
        for listener in listeners {
            serving.spawn(accept(listener, Arc::clone(&broker), reactors.clone()));
        }
        serving.spawn(trim_idle_queues(Arc::clone(&broker)));
        serving.spawn(checkpoint_on_demand(Arc::clone(&broker)));
        serving.spawn(reload.on_demand());
        signals.wait().await;
        tracing::info!("stopping: no more connections");
        management.note_stopping();
        serving.shutdown().await;
        let stopping = async {
            shutdown::quiesce(&broker).await;
            tokio::task::spawn_blocking(move || shutdown::conclude(&broker, maintenance)).await?;
            drop(reactors);
            tokio::task::spawn_blocking(move || join(threads)).await??;
            tokio::task::spawn_blocking(move || management.stop()).await?;
            Ok(())
        };
        tokio::select! {
            result = stopping => result,
            () = signals.wait() => {
                // Whatever a thread waits for, the process ends now: a crash, as far as the data is concerned.
                tracing::warn!("second signal: stopped at once");
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

pub(crate) fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let bind = || -> std::io::Result<TcpListener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(LISTEN_BACKLOG)?;
        TcpListener::from_std(socket.into())
    };
    bind().with_context(|| format!("cannot listen on {address}"))
}

/// Tells whoever started the broker that it is ready, and where.
fn announce(address: SocketAddr) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "broker listening on {address}")?;
    out.flush().context("cannot write to standard output")
}

type Handovers = Vec<mpsc::Sender<Accepted>>;

fn start_reactors(broker: &Arc<Broker>) -> anyhow::Result<(Handovers, Vec<JoinHandle<()>>)> {
    let mut handovers = Vec::new();
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
        })?);
        handovers.push(handover);
    }
    Ok((handovers, threads))
}

/// Accepts and deals connections to the reactors in turn. Never returns.
async fn accept(listener: TcpListener, broker: Arc<Broker>, reactors: Handovers) {
    let mut turn = 0;
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::error!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(permit) = broker.admit_connection() else {
            tracing::warn!(%peer, limit = broker.limits.connections_max(), "connection refused: limit reached");
            continue;
        };
        let stream = match stream.set_nodelay(true).and_then(|()| stream.into_std()) {
            Ok(stream) => stream,
            Err(error) => {
                tracing::debug!(%peer, %error, "connection lost while it was accepted");
                continue;
            }
        };
        turn = (turn + 1) % reactors.len();
        if reactors[turn]
            .send(Accepted { stream, peer, permit })
            .await
            .is_err()
        {
            return;
        }
    }
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
                let Some(Accepted { stream, peer, permit }) = next else { break };
                let (broker, reactor) = (Arc::clone(&broker), std::rc::Rc::clone(&reactor));
                connections.spawn_local(async move {
                    let _permit = permit;
                    match TcpStream::from_std(stream) {
                        Ok(stream) => {
                            let id = broker.next_connection_id();
                            Connection::serve(broker, reactor, id, stream, peer).await;
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

/// SIGINT and SIGTERM.
#[derive(Debug)]
struct ShutdownSignals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl ShutdownSignals {
    fn new() -> anyhow::Result<ShutdownSignals> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(ShutdownSignals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
