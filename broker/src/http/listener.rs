//! The thread that serves HTTP.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::connections::accept;
use super::routes::router;
use super::settings::ManagementConfig;
use super::shared::{Service, Shared};
use crate::server::listen;
use crate::stage::Stage;

/// The running thread; none where no address is asked for.
#[derive(Debug)]
pub struct Listener {
    stopped: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
    addresses: Vec<SocketAddr>,
}

impl Listener {
    /// Listens, and prints one line on standard output for each address. Until
    /// [`Stage::serve`] only the health checks have
    /// something to say.
    ///
    /// # Errors
    /// When an address cannot be listened on, or there is no thread left.
    pub fn start(config: &ManagementConfig, stage: Arc<Stage>) -> anyhow::Result<Listener> {
        let shared = Service::new(config.clone(), stage);
        let stopped = Arc::<Notify>::default();
        let (mut thread, mut addresses) = (None, Vec::new());
        if !config.listen.is_empty() {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let listeners: Vec<TcpListener> = {
                let _entered = runtime.enter();
                let addresses = config.listen.iter();
                addresses
                    .map(|&address| listen(address))
                    .collect::<anyhow::Result<_>>()?
            };
            for listener in &listeners {
                addresses.push(listener.local_addr()?);
            }
            announce(&addresses)?;
            let serving = serve(listeners, shared, Arc::clone(&stopped));
            let spawned = std::thread::Builder::new()
                .name("http".to_owned())
                .spawn(move || {
                    runtime.block_on(serving);
                    runtime.shutdown_background();
                });
            thread = Some(spawned?);
        }
        Ok(Listener {
            stopped,
            thread,
            addresses,
        })
    }

    /// Where it listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Ends the thread.
    pub fn stop(mut self) {
        self.stopped.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the HTTP thread panicked");
        }
    }
}

async fn serve(listeners: Vec<TcpListener>, shared: Shared, stopped: Arc<Notify>) {
    let router = router(Arc::clone(&shared));
    for listener in listeners {
        tokio::spawn(accept(listener, router.clone(), Arc::clone(&shared)));
    }
    tokio::spawn(async move { shared.sampler.run(&shared).await });
    stopped.notified().await;
}

fn announce(addresses: &[SocketAddr]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for address in addresses {
        writeln!(out, "broker management listening on {address}")?;
    }
    out.flush().context("cannot write to standard output")
}
