//! An address that stays while the broker behind it changes its own.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Passes connections on to a broker, or, without one, drops them.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    target: Arc<Mutex<Option<SocketAddr>>>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Relay {
    pub fn new(target: Option<SocketAddr>) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let relay = Relay {
            address: listener.local_addr().unwrap(),
            target: Arc::new(Mutex::new(target)),
            open: Arc::default(),
        };
        let (target, open) = (Arc::clone(&relay.target), Arc::clone(&relay.open));
        std::thread::spawn(move || {
            for near in listener.incoming() {
                let target = *target.lock().unwrap();
                if let Some(far) = target.and_then(|target| TcpStream::connect(target).ok()) {
                    let near = near.unwrap();
                    open.lock().unwrap().push(near.try_clone().unwrap());
                    join(near, far);
                }
            }
        });
        relay
    }

    /// Where new connections go from now on.
    pub fn aim(&self, target: Option<SocketAddr>) {
        *self.target.lock().unwrap() = target;
    }

    /// Breaks all connections.
    pub fn cut(&self) {
        for connection in self.open.lock().unwrap().drain(..) {
            // It may have ended by itself.
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn uri(&self) -> String {
        format!("amqp://guest:guest@{}", self.address)
    }
}

fn join(near: TcpStream, far: TcpStream) {
    for (mut from, mut to) in [(near.try_clone().unwrap(), far.try_clone().unwrap()), (far, near)] {
        std::thread::spawn(move || {
            // However it ends, both sides are to see that it has.
            let _ = io::copy(&mut from, &mut to);
            let _ = from.shutdown(Shutdown::Both);
            let _ = to.shutdown(Shutdown::Both);
        });
    }
}
