//! The thread that answers: a runtime of its own, so that neither reactors nor HTTP wait for it or make it wait.

use std::io::{self, Write as _};
use std::os::fd::IntoRawFd as _;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use parking_lot::Mutex;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::answer::Answering;
use super::caller::Caller;
use super::kept_back::KeptBack;
use super::line::{Lines, Next};
use super::place::{CONTROL_SOCKET, Place};
use super::protocol::{Kind, Refusal, Request, reply_line};
use crate::descriptors::Reserve;
use crate::stage::Stage;

/// Clients served at a time; further ones are sent away.
const CLIENTS_MAX: usize = 16;
/// Pause of the accept loop after an error, which may repeat at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The running thread; none where there can be no socket.
#[derive(Debug)]
pub(crate) struct Control {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    answering: Answering,
    kept_back: Arc<KeptBack>,
    stopped: Notify,
    /// Who waits for the end of the broker.
    waiting: Mutex<Vec<std::os::unix::net::UnixStream>>,
    places: Arc<Semaphore>,
    /// One request above the usual size is read at a time.
    long_requests: Arc<Semaphore>,
    /// One answer of any length is made and sent at a time.
    long_answers: Semaphore,
}

impl Control {
    /// Listens in a data directory, which this process owns. A broker without a control socket is better than none: what is in the
    /// way is told in the log.
    pub(crate) fn start(directory: &Path, stage: Arc<Stage>) -> Control {
        let kept_back = Arc::<KeptBack>::default();
        let shared = Arc::new(Shared {
            answering: Answering::new(directory, stage, Arc::clone(&kept_back)),
            kept_back,
            stopped: Notify::new(),
            waiting: Mutex::default(),
            places: Arc::new(Semaphore::new(CLIENTS_MAX)),
            long_requests: Arc::new(Semaphore::new(1)),
            long_answers: Semaphore::new(1),
        });
        let thread = match spawn(directory, &shared) {
            Ok(thread) => Some(thread),
            Err(error) => {
                let path = directory.join(CONTROL_SOCKET);
                tracing::error!(
                    path = %path.display(),
                    error = format!("{error:#}"),
                    "no control socket: broker status and its kin cannot reach this broker"
                );
                None
            }
        };
        Control { shared, thread }
    }

    /// The broker has done what is to be done, in good order if `clean`: the last thing that its clients hear.
    pub(crate) fn conclude(self, clean: bool) {
        let shared = Arc::clone(&self.shared);
        // Its thread has ended then: nobody comes to wait any more.
        drop(self);
        let waiting = std::mem::take(&mut *shared.waiting.lock());
        let line = reply_line(Ok(serde_json::json!({"stopped": true, "clean": clean}).into()));
        for mut stream in waiting {
            // Into the socket's empty buffer; who has gone does not hear it.
            let _ = stream.write_all(&line);
            // Stays open until the process has ended, which is what the client waits for.
            let _ = stream.into_raw_fd();
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.shared.stopped.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the control thread panicked");
        }
    }
}

fn spawn(directory: &Path, shared: &Arc<Shared>) -> anyhow::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (place, listener) = Place::listen(directory).context("cannot listen")?;
    let listener = {
        let _entered = runtime.enter();
        UnixListener::from_std(listener)?
    };
    let shared = Arc::clone(shared);
    let thread = std::thread::Builder::new().name("control".to_owned());
    let thread = thread.spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                () = shared.stopped.notified() => {}
                () = accept(listener, &shared) => {}
            }
        });
        // What it has begun in the background is the disk's or the reload's; nobody waits for it any more.
        runtime.shutdown_background();
        drop(place);
    })?;
    Ok(thread)
}

/// Never returns.
async fn accept(listener: UnixListener, shared: &Arc<Shared>) {
    loop {
        shared.kept_back.refill();
        match listener.accept().await {
            Ok((stream, _)) => begin(stream, shared),
            Err(error) if Reserve::is_wanted(&error) => {
                shared.kept_back.give_up_one();
                // It is there, has gone, or another thread has taken the descriptor.
                match tokio::time::timeout(ACCEPT_PAUSE, listener.accept()).await {
                    Ok(Ok((stream, _))) => begin(stream, shared),
                    Ok(Err(_)) => tokio::time::sleep(ACCEPT_PAUSE).await,
                    Err(_) => {}
                }
            }
            Err(error) => {
                tracing::error!(%error, "cannot accept a control connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn send_away(stream: &UnixStream, text: &str) {
    // Into an empty buffer; a client that has gone does not hear it.
    let _ = stream.try_write(&reply_line(Err(Refusal::new(Kind::Unavailable, text))));
}

/// Serves a client, or says that there is no place.
fn begin(stream: UnixStream, shared: &Arc<Shared>) {
    if !shared.kept_back.refill() {
        return send_away(&stream, "no file descriptor is left: try again");
    }
    let Ok(place) = Arc::clone(&shared.places).try_acquire_owned() else {
        send_away(
            &stream,
            &format!("{CLIENTS_MAX} others are being answered: try again"),
        );
        return;
    };
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let place: OwnedSemaphorePermit = place;
        serve(stream, &shared).await;
        drop(place);
        // Before another thread has what this client had.
        shared.kept_back.refill();
    });
}

/// One client's requests, one after the other.
async fn serve(stream: UnixStream, shared: &Arc<Shared>) {
    let caller = Caller::of(&stream);
    let mut lines = Lines::new(stream, Arc::clone(&shared.long_requests));
    let caller = match caller {
        Ok(caller) => caller,
        Err(refusal) => {
            let _ = lines.send(&reply_line(Err(refusal))).await;
            return;
        }
    };
    loop {
        let line = match lines.next().await {
            Next::Line(line) => line,
            Next::End => return,
            Next::Unruly(text) => {
                let _ = lines
                    .send(&reply_line(Err(Refusal::new(Kind::Request, text))))
                    .await;
                return;
            }
        };
        let request = Request::parse(&line.bytes);
        drop(line);
        let sent = match request {
            Ok((Request::Stop { wait }, _)) => {
                caller.note(&Request::Stop { wait });
                stop(wait, lines, shared).await;
                return;
            }
            Ok(asked) => answer(asked, &caller, &mut lines, shared).await,
            Err(refusal) => lines.send(&reply_line(Err(refusal))).await,
        };
        if sent.is_err() {
            return;
        }
    }
}

/// Has the broker stopped, after the client has heard of it and is among those who wait.
async fn stop(wait: bool, mut lines: Lines, shared: &Shared) {
    let line = reply_line(Ok(serde_json::json!({"stopping": true}).into()));
    let sent = lines.send(&line).await;
    if wait
        && sent.is_ok()
        && let Ok(stream) = lines.into_stream().into_std()
    {
        // The rest is said by `conclude`.
        shared.waiting.lock().push(stream);
    }
    shared.answering.stop();
}

async fn answer(
    (request, patience): (Request, Duration),
    caller: &Caller,
    lines: &mut Lines,
    shared: &Arc<Shared>,
) -> io::Result<()> {
    caller.note(&request);
    let at_length = request.is_answered_at_length();
    let before = shared.answering.look_before(&request).await;
    let turn = match at_length {
        true => shared.long_answers.acquire().await.ok(),
        false => None,
    };
    let answer = match before {
        Ok(before) => shared.answering.answer(request, before, patience).await,
        Err(refusal) => Err(refusal),
    };
    let sent = lines.send(&reply_line(answer)).await;
    drop(turn);
    sent
}
