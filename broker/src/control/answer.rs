//! Requests to answers.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::Semaphore;

use super::changes;
use super::kept_back::KeptBack;
use super::protocol::{Answer, INTERVAL_MAX, Kind, Listing, REPLY_BYTES_MAX, Refusal, Request};
use super::rows::{ChannelRow, ConnectionRow, ConsumerRow, List, QueueRow, vhost, vhosts};
use super::status::{self, Moment};
use super::table::{Row, Selection};
use crate::broker::Broker;
use crate::definitions;
use crate::observe::{Earlier, Look};
use crate::stage::{Phase, Stage};

/// Looks for answers.
#[derive(Debug)]
pub(super) struct Answering {
    directory: PathBuf,
    stage: Arc<Stage>,
    kept_back: Arc<KeptBack>,
    /// One import at a time, whoever still waits for it.
    imports: Arc<Semaphore>,
}

/// What an answer is compared with.
#[derive(Debug)]
pub(super) enum Before {
    Nothing,
    Look(Arc<Look>),
    Moment(Box<Moment>),
}

impl Answering {
    pub(super) fn new(directory: &Path, stage: Arc<Stage>, kept_back: Arc<KeptBack>) -> Answering {
        Answering {
            directory: directory.to_owned(),
            stage,
            kept_back,
            imports: Arc::new(Semaphore::new(1)),
        }
    }

    /// Asks for an orderly stop.
    pub(super) fn stop(&self) {
        self.stage.request_stop();
    }

    /// The broker, once it has read its data directory.
    fn broker(&self) -> Result<&Arc<Broker>, Refusal> {
        let text = "the broker is starting: it reads its data directory";
        self.stage
            .opened()
            .ok_or_else(|| Refusal::new(Kind::Unavailable, text))
    }

    /// Looks at what rates are made of, and waits for as long as they are to be taken over.
    ///
    /// # Errors
    /// For what cannot be answered, before any time is lost.
    pub(super) async fn look_before(&self, request: &Request) -> Result<Before, Refusal> {
        match request {
            Request::Status { interval_ms } => {
                let interval = checked(*interval_ms)?;
                let Ok(broker) = self.broker() else {
                    return Ok(Before::Nothing);
                };
                if interval.is_zero() {
                    return Ok(Before::Nothing);
                }
                let moment = Box::new(Moment::take(broker, &self.kept_back));
                tokio::time::sleep(interval).await;
                Ok(Before::Moment(moment))
            }
            Request::Queues(listing) => self.look::<QueueRow>(listing).await,
            Request::Connections(listing) => self.look::<ConnectionRow>(listing).await,
            Request::Channels(listing) => self.look::<ChannelRow>(listing).await,
            Request::Consumers(listing) => self.look::<ConsumerRow>(listing).await,
            _ => Ok(Before::Nothing),
        }
    }

    async fn look<R: Row>(&self, listing: &Listing) -> Result<Before, Refusal> {
        let selection = Selection::<R>::of(listing)?;
        let interval = checked(listing.interval_ms)?;
        let broker = self.broker()?;
        vhosts(broker, listing)?;
        if !selection.compares() || interval.is_zero() {
            return Ok(Before::Nothing);
        }
        let look = Arc::new(Look::take(broker));
        tokio::time::sleep(interval).await;
        Ok(Before::Look(look))
    }

    /// Answers what was asked after [`Answering::look_before`]; a change within the client's patience.
    ///
    /// # Errors
    /// When it cannot be done, or would be longer than a reply may be.
    pub(super) async fn answer(
        &self,
        request: Request,
        before: Before,
        patience: Duration,
    ) -> Result<Answer, Refusal> {
        let answer = self.look_for(request, before, patience).await?;
        match answer.0.len() {
            0..REPLY_BYTES_MAX => Ok(answer),
            bytes => Err(Refusal::new(
                Kind::Refused,
                format!(
                    "the answer has {bytes} bytes, and the control socket carries {REPLY_BYTES_MAX}: ask for less (--vhost, --limit), or by HTTP"
                ),
            )),
        }
    }

    async fn look_for(
        &self,
        request: Request,
        before: Before,
        patience: Duration,
    ) -> Result<Answer, Refusal> {
        match (&request, &before) {
            (Request::Status { .. }, before) => return Ok(self.status(before)),
            (Request::Queues(listing), _) => return self.list::<QueueRow>(listing, before),
            (Request::Connections(listing), _) => return self.list::<ConnectionRow>(listing, before),
            (Request::Channels(listing), _) => return self.list::<ChannelRow>(listing, before),
            (Request::Consumers(listing), _) => return self.list::<ConsumerRow>(listing, before),
            _ => {}
        }
        let broker = self.broker()?;
        if let Request::Export { vhost: name } = &request {
            let vhost = name.as_ref().map(|name| vhost(broker, name)).transpose()?;
            let document = definitions::running(broker, vhost);
            let (document, remarks) =
                document.map_err(|error| Refusal::new(Kind::Failed, format!("{error:#}")))?;
            return Ok(json!({"definitions": document, "remarks": remarks}).into());
        }
        if self.stage.phase() == Phase::Stopping {
            return Err(Refusal::new(
                Kind::Unavailable,
                "the broker is stopping: nothing is changed any more",
            ));
        }
        let change = changes::make(&self.stage, broker, &self.imports, request);
        match tokio::time::timeout(patience, change).await {
            Ok(answer) => answer,
            Err(_) => {
                let text = format!(
                    "it takes longer than {} s (--timeout), and goes on: the log tells what comes of it",
                    patience.as_secs_f64()
                );
                Err(Refusal::new(Kind::Failed, text))
            }
        }
    }

    fn status(&self, before: &Before) -> Answer {
        let then = match before {
            Before::Moment(moment) => Some(&**moment),
            _ => None,
        };
        let status = match self.broker() {
            Ok(broker) => status::full(&self.stage, broker, &self.directory, then, &self.kept_back),
            Err(_) => status::brief(&self.stage, &self.directory),
        };
        status.into()
    }

    fn list<R: List>(&self, listing: &Listing, before: Before) -> Result<Answer, Refusal> {
        let broker = self.broker()?;
        let earlier = match before {
            Before::Look(look) => Some(Earlier::since(look)),
            _ => None,
        };
        let rows = R::list(&vhosts(broker, listing)?, earlier.as_ref());
        Selection::<R>::of(listing)?.answer(rows)
    }
}

fn checked(interval_ms: u64) -> Result<Duration, Refusal> {
    let interval = Duration::from_millis(interval_ms);
    match interval <= INTERVAL_MAX {
        true => Ok(interval),
        false => {
            let max = INTERVAL_MAX.as_millis();
            let text = format!("interval_ms: expected 0 to {max}, found {interval_ms}");
            Err(Refusal::new(Kind::Request, text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(answering: &Answering, request: Request) -> Result<serde_json::Value, Refusal> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(async {
            let before = answering.look_before(&request).await?;
            let answer = answering.answer(request, before, Duration::ZERO).await?;
            Ok(serde_json::from_slice(&answer.0).unwrap())
        })
    }

    #[test]
    fn while_it_starts_it_says_so() {
        let answering = Answering::new("/data".as_ref(), Arc::default(), Arc::default());
        let status = asked(&answering, Request::Status { interval_ms: 1000 }).unwrap();
        let expected = (json!("starting"), json!(std::process::id()), json!("/data"));
        assert_eq!(
            (&status["state"], &status["pid"], &status["data_directory"]),
            (&expected.0, &expected.1, &expected.2)
        );
        for request in [
            Request::Queues(Listing::default()),
            Request::Checkpoint {},
            Request::Export { vhost: None },
        ] {
            let refusal = asked(&answering, request).unwrap_err();
            assert_eq!(refusal.kind, Kind::Unavailable);
            assert!(refusal.text.contains("starting"), "{refusal:?}");
        }
        let wrong = Listing {
            columns: vec!["nome".to_owned()],
            ..Listing::default()
        };
        assert_eq!(
            asked(&answering, Request::Consumers(wrong)).unwrap_err().kind,
            Kind::Request
        );
    }
}
