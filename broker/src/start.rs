//! Reading the data directory, which may take long, and a stop meanwhile.

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use seglog::FsStorage;

use crate::broker::Broker;
use crate::config::Config;
use crate::logging;
use crate::shutdown::Signals;
use crate::store::Job;

/// Opens the broker on a thread of its own. One of `signals` ends the process meanwhile, with success: nobody has been promised
/// anything yet, and the next start reads again.
///
/// # Errors
/// When the data directory cannot be used.
pub(crate) async fn open(
    config: Config,
    signals: &mut Signals,
) -> anyhow::Result<(Arc<Broker>, Receiver<Job>)> {
    let opening = tokio::task::spawn_blocking(move || Broker::open(config, Arc::new(FsStorage)));
    tokio::select! {
        opened = opening => opened?,
        () = signals.wait() => {
            tracing::info!("stopped while it read the data directory");
            logging::flush_limits();
            std::process::exit(0)
        }
    }
}
