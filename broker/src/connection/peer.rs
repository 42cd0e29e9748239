//! Who is at the other end of a connection.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

/// See the module documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    place: Place,
    /// The user that its certificate names; only where the certificate was verified.
    certified: Option<Arc<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Address(SocketAddr),
    /// Somebody on this machine, by the socket at this path; the number tells one from another.
    Path(Arc<Path>, u64),
}

impl Peer {
    /// Somebody who came through the socket at `path`, as the `number`th.
    pub fn local(path: Arc<Path>, number: u64) -> Peer {
        Peer {
            place: Place::Path(path, number),
            certified: None,
        }
    }

    /// The same peer with the user whom its verified certificate names.
    #[must_use]
    pub fn certified(self, user: Option<String>) -> Peer {
        Peer {
            certified: user.map(Arc::from),
            ..self
        }
    }

    /// The user that its certificate names, if it has a verified one.
    pub fn certified_user(&self) -> Option<&str> {
        self.certified.as_deref()
    }

    /// Its address, unless it came by a Unix-domain socket.
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.place {
            Place::Address(address) => Some(*address),
            Place::Path(..) => None,
        }
    }

    /// Its address without the port, or the path of the socket that it came by.
    pub fn host(&self) -> String {
        match &self.place {
            Place::Address(address) => address.ip().to_string(),
            Place::Path(path, _) => format!("unix:{}", path.display()),
        }
    }

    /// Its port, unless it came by a Unix-domain socket.
    pub fn port(&self) -> Option<u16> {
        self.address().map(|address| address.port())
    }

    /// True for whoever is on this machine.
    pub fn is_loopback(&self) -> bool {
        match &self.place {
            Place::Address(address) => address.ip().to_canonical().is_loopback(),
            Place::Path(..) => true,
        }
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Peer {
        Peer {
            place: Place::Address(address),
            certified: None,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Address(address) => address.fmt(f),
            Place::Path(path, number) => write!(f, "unix:{}#{number}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_on_this_machine_is_loopback() {
        let at = |text: &str| Peer::from(text.parse::<SocketAddr>().unwrap());
        for text in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert!(at(text).is_loopback(), "{text}");
        }
        for text in ["192.0.2.7:1", "[2001:db8::1]:1", "[::ffff:192.0.2.7]:1"] {
            assert!(!at(text).is_loopback(), "{text}");
        }
        let local = Peer::local(Arc::from(Path::new("/run/mq.sock")), 7);
        assert!(local.is_loopback());
        assert_eq!(local.to_string(), "unix:/run/mq.sock#7");
        assert_eq!((local.host().as_str(), local.port()), ("unix:/run/mq.sock", None));
        assert_eq!(
            (at("[::1]:1").host().as_str(), at("[::1]:1").port()),
            ("::1", Some(1))
        );
    }
}
