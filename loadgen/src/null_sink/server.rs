//! The loop: waits for sockets and passes on what they are ready for.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token, Waker};

use super::sink::{BUFFER_BYTES, Sink};

const LISTENER: Token = Token(usize::MAX);
const WAKER: Token = Token(usize::MAX - 1);
const EVENTS_MAX: usize = 1_024;

/// Listener, connections and the poll that watches them; all of one thread.
#[derive(Debug)]
pub(super) struct Server {
    listener: TcpListener,
    poll: Poll,
    waker: Arc<Waker>,
    sink: Sink,
}

impl Server {
    pub(super) fn new(mut listener: TcpListener) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        poll.registry()
            .register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            listener,
            poll,
            waker,
            sink: Sink::default(),
        })
    }

    /// Ends [`Server::run`] when it is woken.
    pub(super) fn waker(&self) -> &Arc<Waker> {
        &self.waker
    }

    /// Serves until it is woken.
    pub(super) fn run(mut self) -> io::Result<()> {
        let (mut events, mut buffer) = (Events::with_capacity(EVENTS_MAX), vec![0; BUFFER_BYTES]);
        loop {
            match self.poll.poll(&mut events, None) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                other => other?,
            }
            for event in &events {
                match event.token() {
                    WAKER => return Ok(()),
                    LISTENER => self.accept()?,
                    Token(key) => {
                        if event.is_writable() {
                            self.sink.writable(key);
                        }
                        if event.is_readable() || event.is_read_closed() {
                            self.sink.read(key, &mut buffer);
                        }
                    }
                }
            }
            self.sink.flush(&mut buffer);
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                // Who gave up before it was accepted is nobody's fault here.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error),
            };
            stream.set_nodelay(true)?;
            let token = Token(self.sink.next_key());
            self.poll
                .registry()
                .register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
            self.sink.add(stream);
        }
    }
}
