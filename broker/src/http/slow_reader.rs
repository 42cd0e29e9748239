//! A socket that fails when its peer does not take the answer that it has asked for.
//!
//! A connection has a place among [`CONNECTIONS_MAX`](super::connections::CONNECTIONS_MAX) and holds its answer until it is written.
//! So a peer that is behind must take [`TAKEN_BYTES_MIN`] in each stretch of `--write-timeout`, or all there is. That is no rate that a slow
//! line could miss, and a peer that takes a byte now and then holds its place no longer than one that takes none.

use std::future::Future as _;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// Octets that a peer which is behind must take in each stretch.
const TAKEN_BYTES_MIN: usize = 64 << 10;

/// See the module documentation.
#[derive(Debug)]
pub(super) struct Impatient<S> {
    stream: S,
    /// Zero: it waits for ever.
    timeout: Duration,
    /// While the peer is behind.
    stretch: Option<Stretch>,
}

#[derive(Debug)]
struct Stretch {
    end: Pin<Box<Sleep>>,
    taken: usize,
}

impl<S> Impatient<S> {
    pub(super) fn new(stream: S, timeout: Duration) -> Impatient<S> {
        Impatient {
            stream,
            timeout,
            stretch: None,
        }
    }

    /// The peer takes nothing now: an error once that has gone on for too long.
    fn poll_wait<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if self.timeout.is_zero() {
            return Poll::Pending;
        }
        loop {
            let stretch = self.stretch.get_or_insert_with(|| Stretch {
                end: Box::pin(sleep(self.timeout)),
                taken: 0,
            });
            ready!(stretch.end.as_mut().poll(context));
            if stretch.taken < TAKEN_BYTES_MIN {
                let text = "the peer does not take its answer";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, text)));
            }
            self.stretch = None;
        }
    }

    fn taken(&mut self, written: &Poll<io::Result<usize>>) {
        if let (Some(stretch), Poll::Ready(Ok(count))) = (&mut self.stretch, written) {
            stretch.taken += count;
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.taken(&written);
        match written {
            Poll::Pending => self.poll_wait(context),
            written => written,
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.taken(&written);
        match written {
            Poll::Pending => self.poll_wait(context),
            written => written,
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Whoever flushes has written everything, so the peer is not behind any more.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(Pin::new(&mut self.stream).poll_flush(context));
        self.stretch = None;
        Poll::Ready(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(50);

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        runtime.unwrap().block_on(test);
    }

    fn pair(timeout: Duration) -> (Impatient<DuplexStream>, DuplexStream) {
        let (ours, theirs) = duplex(1024);
        (Impatient::new(ours, timeout), theirs)
    }

    #[test]
    fn a_peer_that_takes_nothing_is_given_up() {
        run(async {
            let (mut ours, _theirs) = pair(TIMEOUT);
            let error = ours.write_all(&[0; 2048]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        });
    }

    #[test]
    fn a_peer_that_takes_next_to_nothing_is_given_up_too() {
        run(async {
            let (mut ours, mut theirs) = pair(TIMEOUT);
            let drip = async {
                let mut byte = [0];
                for _ in 0..100 {
                    theirs.read_exact(&mut byte).await.unwrap();
                    tokio::task::yield_now().await;
                }
            };
            let body = vec![0; 100_000];
            let (written, ()) = tokio::join!(ours.write_all(&body), drip);
            assert_eq!(written.unwrap_err().kind(), io::ErrorKind::TimedOut);
        });
    }

    #[test]
    fn a_peer_that_takes_enough_gets_everything_and_is_not_behind_any_more() {
        run(async {
            let (mut ours, mut theirs) = pair(TIMEOUT);
            let body = vec![7; 4 * TAKEN_BYTES_MIN];
            let mut got = vec![0; body.len()];
            let (written, read) = tokio::join!(ours.write_all(&body), theirs.read_exact(&mut got));
            written.unwrap();
            assert_eq!(read.unwrap(), body.len());
            assert!(got == body && ours.stretch.is_some());
            ours.flush().await.unwrap();
            assert!(ours.stretch.is_none(), "what comes next has a stretch of its own");
        });
    }

    #[test]
    fn without_a_timeout_it_waits() {
        run(async {
            let (mut ours, _theirs) = pair(Duration::ZERO);
            let waits = tokio::time::timeout(TIMEOUT, ours.write_all(&[0; 2048])).await;
            assert!(waits.is_err());
        });
    }
}
