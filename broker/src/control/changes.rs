//! What changes something, answered when it is done.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use tokio::sync::{Semaphore, oneshot};

use super::protocol::{Answer, Kind, Refusal, Request};
use super::rows::vhost;
use crate::broker::Broker;
use crate::connection::Link;
use crate::definitions::{self, Definitions};
use crate::observe::Opened;
use crate::stage::Stage;
use crate::store::Job;

/// Longest reason that a client is told.
const REASON_BYTES_MAX: usize = 200;

/// Makes a change.
///
/// # Errors
/// When it cannot be made.
pub(super) async fn make(
    stage: &Stage,
    broker: &Arc<Broker>,
    imports: &Arc<Semaphore>,
    request: Request,
) -> Result<Answer, Refusal> {
    match request {
        Request::Close { connection, reason } => close(broker, &connection, &reason),
        Request::Purge { vhost, queue } => purge(broker, &vhost, &queue),
        Request::Checkpoint {} => checkpoint(broker).await,
        Request::Import { vhost, definitions } => import(broker, imports, vhost, definitions).await,
        Request::Reload {} => reload(stage).await,
        other => Err(Refusal::new(
            Kind::Refused,
            format!("{} changes nothing", other.name()),
        )),
    }
}

fn close(broker: &Broker, connection: &str, reason: &str) -> Result<Answer, Refusal> {
    if reason.len() > REASON_BYTES_MAX {
        let text = format!("reason: longer than {REASON_BYTES_MAX} bytes");
        return Err(Refusal::new(Kind::Request, text));
    }
    let links = broker.vhosts().into_iter().flat_map(|vhost| vhost.links());
    let is_it = |link: &Arc<Link>| {
        let name = link.observed().opened().map(Opened::name);
        name.as_deref() == Some(connection) || link.id().to_string() == connection
    };
    let link = links.into_iter().find(is_it);
    let link = link.ok_or_else(|| {
        Refusal::not_found(format!("connection: none has the id or the name '{connection}'"))
    })?;
    link.force_close(reason);
    Ok(json!({"closed": link.observed().opened().map(Opened::name)}).into())
}

fn purge(broker: &Broker, vhost_name: &str, queue: &str) -> Result<Answer, Refusal> {
    let queue = vhost(broker, vhost_name)?.find_queue(queue, None);
    let queue = queue.map_err(|failure| match failure.code {
        wire::ReplyCode::NotFound => Refusal::not_found(failure.text),
        _ => Refusal::new(Kind::Refused, failure.text),
    })?;
    Ok(json!({"messages": queue.purge()}).into())
}

async fn checkpoint(broker: &Broker) -> Result<Answer, Refusal> {
    let tallies = &broker.tallies;
    let (failed, (written, _)) = (tallies.checkpoints_failed(), tallies.checkpoints());
    let ticket = broker.store.submit(Job::Checkpoint);
    broker.store.stored(ticket).await;
    match tallies.checkpoints_failed() - failed {
        0 => Ok(json!({"checkpoints": tallies.checkpoints().0 - written}).into()),
        failed => {
            let text = format!("{failed} checkpoints could not be written: the log says why");
            Err(Refusal::new(Kind::Failed, text))
        }
    }
}

async fn import(
    broker: &Arc<Broker>,
    imports: &Arc<Semaphore>,
    vhost_name: Option<String>,
    mut document: Map<String, Value>,
) -> Result<Answer, Refusal> {
    if let Some(name) = &vhost_name {
        vhost(broker, name)?;
        definitions::move_into(&mut document, name);
    }
    let turn = Arc::clone(imports).try_acquire_owned().map_err(|_| {
        let text = "another import is under way: the log tells what comes of it";
        Refusal::new(Kind::Unavailable, text)
    })?;
    let applied = {
        let broker = Arc::clone(broker);
        // Hashes passwords and reads what is stored: not on the thread that answers.
        tokio::task::spawn_blocking(move || {
            let _until_it_has_ended = turn;
            let imported = apply(&broker, document);
            // Whoever has asked may have gone.
            imported.inspect_err(|refusal| tracing::error!(error = refusal.text, "control: cannot import"))
        })
    };
    let left_out = match applied.await {
        Ok(imported) => imported?,
        Err(_) => return Err(Refusal::new(Kind::Failed, "the import has failed")),
    };
    broker.store.stored(broker.store.ticket_last()).await;
    match broker.store.poison_reason() {
        None => Ok(json!({"left_out": left_out}).into()),
        Some(reason) => Err(Refusal::new(
            Kind::Failed,
            format!("the log has failed: {reason}"),
        )),
    }
}

/// Gives what was left out.
fn apply(broker: &Broker, document: Map<String, Value>) -> Result<Vec<String>, Refusal> {
    let definitions = Definitions::of(document.into());
    let mut definitions = definitions.map_err(|text| Refusal::new(Kind::Request, text))?;
    definitions.note_source("the control socket");
    definitions::apply(broker, &definitions)
        .map_err(|error| Refusal::new(Kind::Refused, format!("{error:#}")))?;
    Ok(definitions.left_out().to_vec())
}

async fn reload(stage: &Stage) -> Result<Answer, Refusal> {
    let unavailable = || {
        Refusal::new(
            Kind::Unavailable,
            "the configuration cannot be read again any more",
        )
    };
    let (sender, outcome) = oneshot::channel();
    let serving = stage.serving().ok_or_else(unavailable)?;
    serving.reloads.send(sender).await.map_err(|_| unavailable())?;
    let outcome = outcome.await.map_err(|_| unavailable())?;
    if !outcome.problems.is_empty() {
        let text = format!("nothing is changed:\n{}", outcome.problems.join("\n"));
        return Err(Refusal::new(Kind::Refused, text));
    }
    Ok(json!(outcome).into())
}
