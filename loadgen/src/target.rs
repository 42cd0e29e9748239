//! Whom to drive: AMQP URLs taken apart. One URL names one node; several name the nodes of a cluster.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The port of AMQP without TLS.
pub const PORT_DEFAULT: u16 = 5672;

/// A broker's address and the credentials for it. `Display` leaves the password out.
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
    /// Where to connect to instead of `host` and `port`: a proxy in between.
    pub via: Option<SocketAddr>,
    /// Further nodes of the same cluster. A node has none.
    pub further_nodes: Vec<Target>,
}

/// Why a URL names no target.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{url:?} is not a usable broker URL: {why}; expected amqp://[user[:password]@]host[:port][/vhost]")]
pub struct TargetError {
    url: String,
    why: String,
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
        if host.contains(':') {
            write!(out, "amqp://[{host}]:{port}{vhost}")?;
        } else {
            write!(out, "amqp://{host}:{port}{vhost}")?;
        }
        self.further_nodes
            .iter()
            .try_for_each(|node| write!(out, ",{node}"))
    }
}

impl FromStr for Target {
    type Err = TargetError;

    /// One URL, or several of them with commas in between. Follows RabbitMQ's URI specification, except that an empty path means the default virtual host `/`, as it does
    /// in most clients.
    fn from_str(urls: &str) -> Result<Self, TargetError> {
        // A comma may be part of a password, but no scheme is.
        let starts = urls.match_indices(",amqp").map(|(at, _)| at);
        let mut nodes = Vec::new();
        let mut from = 0;
        for to in starts.chain([urls.len()]) {
            nodes.push(Self::node_from_str(&urls[from..to])?);
            from = to + 1;
        }
        Ok(Self::cluster(nodes).expect("split yields at least one part"))
    }
}

impl Target {
    fn node_from_str(url: &str) -> Result<Self, TargetError> {
        parse(url).map_err(|why| {
            // A password must not reach a log.
            let shown = match (url.find("://"), url.rfind('@')) {
                (Some(scheme), Some(at)) if scheme < at => format!("{}…{}", &url[..scheme + 3], &url[at..]),
                _ => url.to_string(),
            };
            TargetError { url: shown, why }
        })
    }
}

fn parse(url: &str) -> Result<Target, String> {
    let (scheme, rest) = url.split_once("://").ok_or("it has no scheme")?;
    match scheme {
        "amqp" => {}
        "amqps" => return Err("TLS is not supported".into()),
        other => return Err(format!("the scheme is {other}")),
    }
    if let Some(extra) = rest.find(['?', '#']) {
        return Err(format!("{:?} is not supported", &rest[extra..]));
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (user_info, address) = match authority.rsplit_once('@') {
        Some((user_info, address)) => (Some(user_info), address),
        None => (None, authority),
    };
    let (host, port) = parse_address(address)?;
    let mut target = Target::guest(host, port);
    if let Some(user_info) = user_info {
        let (username, password) = user_info.split_once(':').unwrap_or((user_info, "guest"));
        target.username = percent_decode(username)?;
        target.password = percent_decode(password)?;
    }
    if path.contains('/') {
        return Err("a slash within the vhost must be written %2F".into());
    }
    if !path.is_empty() {
        target.vhost = percent_decode(path)?;
    }
    Ok(target)
}

fn parse_address(address: &str) -> Result<(&str, u16), String> {
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest
                .split_once(']')
                .ok_or("the bracket of the IPv6 address is not closed")?;
            let port = match after {
                "" => None,
                after => Some(
                    after
                        .strip_prefix(':')
                        .ok_or("after the IPv6 address only a port may follow")?,
                ),
            };
            (host, port)
        }
        None => match address.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        },
    };
    if host.is_empty() {
        return Err("the host is empty".into());
    }
    let port = match port {
        None => PORT_DEFAULT,
        Some(port) => port
            .parse()
            .ok()
            .filter(|&port| port != 0)
            .ok_or(format!("the port is {port:?}, not 1 to 65535"))?,
    };
    Ok((host, port))
}

fn percent_decode(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if byte != b'%' {
            bytes.push(byte);
            rest = after;
            continue;
        }
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let decoded = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let decoded = decoded.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(decoded.ok_or("a % is not followed by two hexadecimal digits")?);
        rest = &after[2..];
    }
    String::from_utf8(bytes).map_err(|_| "a decoded part is not UTF-8".into())
}

/// Encodes all but RFC 3986's unreserved characters.
fn percent_encode(text: &str) -> String {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| {
            if unreserved(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(host: &str, port: u16, username: &str, password: &str, vhost: &str) -> Target {
        Target {
            host: host.into(),
            port,
            username: username.into(),
            password: password.into(),
            vhost: vhost.into(),
            via: None,
            further_nodes: Vec::new(),
        }
    }

    #[test]
    fn urls_are_taken_apart() {
        let cases = [
            (
                "amqp://localhost",
                target("localhost", 5672, "guest", "guest", "/"),
            ),
            (
                "amqp://localhost/",
                target("localhost", 5672, "guest", "guest", "/"),
            ),
            ("amqp://h:1234/%2F", target("h", 1234, "guest", "guest", "/")),
            ("amqp://u:p%40x@h/v%2fw", target("h", 5672, "u", "p@x", "v/w")),
            (
                "amqp://u@10.0.0.1:5673/prod",
                target("10.0.0.1", 5673, "u", "guest", "prod"),
            ),
            ("amqp://[::1]:5674", target("::1", 5674, "guest", "guest", "/")),
        ];
        for (url, expected) in cases {
            assert_eq!(url.parse(), Ok(expected), "{url}");
        }
    }

    #[test]
    fn faults_are_explained_without_the_password() {
        let cases = [
            ("localhost:5672", "no scheme"),
            ("http://localhost", "scheme is http"),
            ("amqps://localhost", "TLS is not supported"),
            ("amqp://", "host is empty"),
            ("amqp://h:0", "port is \"0\""),
            ("amqp://h:x", "port is \"x\""),
            ("amqp://h/a/b", "%2F"),
            ("amqp://h/%zz", "hexadecimal"),
            ("amqp://[::1", "not closed"),
            ("amqp://h?heartbeat=3", "not supported"),
            ("amqp://u:secret@h:0", "port is"),
        ];
        for (url, expected) in cases {
            let message = url.parse::<Target>().unwrap_err().to_string();
            assert!(
                message.contains(expected) && !message.contains("secret"),
                "{url}: {message}"
            );
        }
    }

    #[test]
    fn is_shown_without_credentials() {
        assert_eq!(
            target("h", 1, "u", "secret", "a/b").to_string(),
            "amqp://h:1/a%2Fb"
        );
        assert_eq!(Target::guest("::1", 2).to_string(), "amqp://[::1]:2");
    }

    #[test]
    fn several_urls_are_the_nodes_of_a_cluster_in_turn() {
        let cluster: Target = "amqp://u:a,b@one,amqp://two:2,amqp://[::1]:3/v".parse().unwrap();
        assert_eq!(
            cluster.to_string(),
            "amqp://one:5672,amqp://two:2,amqp://[::1]:3/v"
        );
        assert_eq!(cluster.password, "a,b");
        let hosts: Vec<_> = (0..5).map(|index| cluster.node(index).host.as_str()).collect();
        assert_eq!(hosts, ["one", "two", "::1", "one", "two"]);
        let repeated = Target::cluster([cluster.clone(), Target::guest("four", 4)]).unwrap();
        assert_eq!((repeated.node_count(), &repeated.node(3).host[..]), (4, "four"));
        assert_eq!(Target::cluster(cluster.clone().into_nodes()), Some(cluster));
        let message = "amqp://one,amqp://u:secret@two:0".parse::<Target>().unwrap_err();
        let message = message.to_string();
        assert!(
            message.contains("@two:0") && !message.contains("secret"),
            "{message}"
        );
    }
}
