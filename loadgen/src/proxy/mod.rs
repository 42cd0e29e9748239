//! A TCP proxy between clients and broker, so that connections can be cut as a network would cut them.
//!
//! One thread owns all sockets; whoever has the [`Proxy`] sends it commands. It forwards bytes without understanding them, TLS
//! as well as plain AMQP. There is none in runs that cut nothing: it costs every message two more socket calls and a
//! thread's wake-up in each direction.

mod pair;
mod server;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use mio::net::TcpListener;
use mio::{Poll, Waker};

use crate::scenario::CutBy;
use crate::target::Target;
use server::{Command, Server, WAKER};

/// How long the broker may take to accept the connection that proves that it is there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A running proxy; it ends, with all its connections, when dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    commands: Sender<Command>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Listens on a free loopback port and forwards what comes to the broker at `target`.
    ///
    /// # Errors
    /// When the broker cannot be reached, or no socket can be made.
    pub fn start(target: &Target) -> io::Result<Self> {
        let upstream = reachable(target)?;
        let mut listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr()?;
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let (commands, received) = mpsc::channel();
        let server = Server::new(poll, &mut listener, upstream, received)?;
        let thread = thread::Builder::new()
            .name("proxy".into())
            .spawn(move || server.run(&listener))?;
        Ok(Self {
            address,
            commands,
            waker,
            thread: Some(thread),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The broker listens at `upstream` from now on.
    pub fn retarget(&self, upstream: SocketAddr) {
        self.send(Command::Retarget(upstream));
    }

    /// Cuts the connections of these clients; of one that is gone already there is nothing to cut.
    pub fn cut(&self, clients: Vec<SocketAddr>, by: CutBy) {
        self.send(Command::Cut(clients, by));
    }

    fn send(&self, command: Command) {
        // Both fail only when the thread has ended, which its clients notice.
        let _ = self.commands.send(command);
        let _ = self.waker.wake();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.send(Command::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The first of the target's addresses that accepts a connection.
fn reachable(target: &Target) -> io::Result<SocketAddr> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in target.addresses()? {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(_) => return Ok(address),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// A proxy before a listener of the test's own.
    fn proxy() -> (Proxy, TcpListener) {
        let broker = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = Target::guest("127.0.0.1", broker.local_addr().unwrap().port());
        let proxy = Proxy::start(&target).unwrap();
        // The connection that looked whether anybody is there.
        broker.accept().unwrap();
        (proxy, broker)
    }

    fn pair(proxy: &Proxy, broker: &TcpListener) -> (TcpStream, TcpStream) {
        let client = TcpStream::connect(proxy.address()).unwrap();
        let (served, _) = broker.accept().unwrap();
        for stream in [&client, &served] {
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        }
        (client, served)
    }

    #[test]
    fn bytes_pass_in_both_directions_however_many() {
        let (proxy, broker) = proxy();
        let (mut client, mut served) = pair(&proxy, &broker);
        // More than all buffers on the way hold.
        let sent: Vec<u8> = (0..8_000_000_u32).map(|index| (index % 251) as u8).collect();
        thread::scope(|scope| {
            let writer = scope.spawn(|| {
                client.write_all(&sent).unwrap();
                client.shutdown(std::net::Shutdown::Write).unwrap();
                let mut answer = Vec::new();
                client.read_to_end(&mut answer).unwrap();
                answer
            });
            let mut received = Vec::new();
            served.read_to_end(&mut received).unwrap();
            assert!(received == sent);
            // The other direction still stands.
            served.write_all(b"thanks").unwrap();
            drop(served);
            assert_eq!(writer.join().unwrap(), b"thanks");
        });
    }

    #[test]
    fn a_cut_strikes_both_sides_and_nobody_else() {
        let (proxy, broker) = proxy();
        let (mut cut, mut cut_served) = pair(&proxy, &broker);
        let (mut spared, mut spared_served) = pair(&proxy, &broker);
        let mut octet = [0];
        proxy.cut(vec![cut.local_addr().unwrap()], CutBy::Reset);
        for stream in [&mut cut, &mut cut_served] {
            let error = stream.read(&mut octet).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        }
        spared.write_all(b"x").unwrap();
        spared_served.read_exact(&mut octet).unwrap();
        proxy.cut(vec![spared.local_addr().unwrap()], CutBy::Finish);
        for stream in [&mut spared, &mut spared_served] {
            assert_eq!(stream.read(&mut octet).unwrap(), 0);
        }
        // Nobody listens any more to what is still said.
        spared.write_all(b"y").unwrap();
        drop(spared);
        assert_eq!(spared_served.read(&mut octet).unwrap(), 0);
    }

    #[test]
    fn new_connections_go_where_the_broker_is_now() {
        let (proxy, broker) = proxy();
        let (mut before, served) = pair(&proxy, &broker);
        drop((served, broker));
        assert_eq!(before.read(&mut [0]).unwrap(), 0);
        let moved = TcpListener::bind("127.0.0.1:0").unwrap();
        proxy.retarget(moved.local_addr().unwrap());
        let (mut client, mut served) = pair(&proxy, &moved);
        served.write_all(b"z").unwrap();
        let mut octet = [0];
        client.read_exact(&mut octet).unwrap();
        assert_eq!(&octet, b"z");
    }

    #[test]
    fn a_broker_that_is_not_there_is_an_error() {
        let port = {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap().port()
        };
        let error = Proxy::start(&Target::guest("127.0.0.1", port)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    }
}
