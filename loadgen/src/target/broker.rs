//! A broker's address, or those of a cluster's nodes, and how to log in there.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use amqps::{Tls, percent_encode};
use serde::{Deserialize, Serialize};

/// A broker's address and the credentials for it. `Display` leaves user, password and the options of TLS out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Name or address, IPv6 without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// User.
    pub username: String,
    /// Password.
    pub password: String,
    /// Virtual host.
    pub vhost: String,
    /// How to speak TLS with it; `None` = plain TCP.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// Where to connect to instead of `host` and `port`: a proxy in between.
    pub via: Option<SocketAddr>,
    /// Further nodes of the same cluster. A node has none.
    pub further_nodes: Vec<Target>,
}

impl Target {
    /// The guest account on the default virtual host of a broker at `host:port`.
    #[must_use]
    pub fn guest(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            username: "guest".into(),
            password: "guest".into(),
            vhost: "/".into(),
            tls: None,
            via: None,
            further_nodes: Vec::new(),
        }
    }

    /// All these URLs as the nodes of one cluster, in their order; `None` when there is none.
    #[must_use]
    pub fn cluster(targets: impl IntoIterator<Item = Self>) -> Option<Self> {
        let mut nodes = targets.into_iter().flat_map(Self::into_nodes);
        let first = nodes.next()?;
        Some(Self {
            further_nodes: nodes.collect(),
            ..first
        })
    }

    /// Its nodes, each by itself.
    #[must_use]
    pub fn into_nodes(mut self) -> Vec<Self> {
        let further = std::mem::take(&mut self.further_nodes);
        std::iter::once(self).chain(further).collect()
    }

    /// How many nodes it has.
    #[must_use]
    pub fn node_count(&self) -> usize {
        1 + self.further_nodes.len()
    }

    /// The node of the `index`-th connection: the nodes take turns.
    #[must_use]
    pub fn node(&self, index: usize) -> &Self {
        match index % self.node_count() {
            0 => self,
            further => &self.further_nodes[further - 1],
        }
    }

    /// What its connections go over: `plain TCP`, `TLS`, or both.
    #[must_use]
    pub fn transport(&self) -> &'static str {
        let mut nodes = std::iter::once(self).chain(&self.further_nodes);
        let with_tls = nodes.clone().filter(|node| node.tls.is_some()).count();
        match with_tls {
            0 => "plain TCP",
            _ if nodes.all(|node| node.tls.is_some()) => "TLS",
            _ => "TLS and plain TCP",
        }
    }

    /// The same broker behind a proxy at `via`.
    #[must_use]
    pub fn through(self, via: SocketAddr) -> Self {
        Self {
            via: Some(via),
            ..self
        }
    }

    /// The addresses to connect to, in the order in which to try them.
    ///
    /// # Errors
    /// When the host's name has none.
    pub fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        if let Some(via) = self.via {
            return Ok(vec![via]);
        }
        let addresses: Vec<_> = (self.host.as_str(), self.port).to_socket_addrs()?.collect();
        if addresses.is_empty() {
            let error = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
            return Err(error);
        }
        Ok(addresses)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            host, port, vhost, ..
        } = self;
        let vhost = if vhost == "/" {
            String::new()
        } else {
            format!("/{}", percent_encode(vhost))
        };
        let scheme = if self.tls.is_some() { "amqps" } else { "amqp" };
        if host.contains(':') {
            write!(out, "{scheme}://[{host}]:{port}{vhost}")?;
        } else {
            write!(out, "{scheme}://{host}:{port}{vhost}")?;
        }
        self.further_nodes
            .iter()
            .try_for_each(|node| write!(out, ",{node}"))
    }
}
