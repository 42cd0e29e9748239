//! URLs taken apart. One URL names one node; several name the nodes of a cluster.

use std::str::FromStr;

use amqps::{Tls, TlsOptions, percent_decode};
use thiserror::Error;

use super::broker::Target;

/// The port of AMQP without TLS.
pub const PORT_DEFAULT: u16 = 5672;
/// The port of AMQP over TLS.
pub const TLS_PORT_DEFAULT: u16 = 5671;

/// What a URL looks like.
pub const FORM: &str = "amqp[s]://[user[:password]@]host[:port][/vhost], and with amqps ?option=value&…";

/// Why a URL names no target.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{url:?} is not a usable broker URL: {why}; expected {FORM}")]
pub struct TargetError {
    url: String,
    why: String,
}

impl FromStr for Target {
    type Err = TargetError;

    /// One URL, or several of them with commas in between. Follows RabbitMQ's URI specification and, of its query parameters, has
    /// those of TLS, except that an empty path means the default virtual host `/`, as it does in most clients. Files that options
    /// name are read here.
    fn from_str(urls: &str) -> Result<Self, TargetError> {
        // A comma may be part of a password or of a file's name, but no scheme is.
        let starts = urls.match_indices(",amqp").map(|(at, _)| at);
        let starts = starts.filter(|at| {
            [",amqp://", ",amqps://"]
                .iter()
                .any(|start| urls[*at..].starts_with(start))
        });
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
    let (is_tls, port_default) = match scheme {
        "amqp" => (false, PORT_DEFAULT),
        "amqps" => (true, TLS_PORT_DEFAULT),
        other => return Err(format!("the scheme is {other}; allowed: amqp, amqps")),
    };
    let (rest, query) = split_query(rest)?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (user_info, address) = match authority.rsplit_once('@') {
        Some((user_info, address)) => (Some(user_info), address),
        None => (None, authority),
    };
    let (host, port) = parse_address(address, port_default)?;
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
    if is_tls {
        let tls = Tls::new(TlsOptions::from_query(query.unwrap_or_default())?)?;
        tls.server_name(host)?;
        target.tls = Some(tls);
    } else if let Some(query) = query {
        return Err(format!(
            "the options {query:?} are not allowed on amqp://, which has none; those of TLS go with amqps://"
        ));
    }
    Ok(target)
}

/// What stands before the question mark, and behind it. Nothing of what might be a password is repeated.
fn split_query(rest: &str) -> Result<(&str, Option<&str>), String> {
    let (before, query) = match rest.split_once('?') {
        Some((before, query)) => (before, Some(query)),
        None => (rest, None),
    };
    if query.is_some_and(|query| query.contains('@')) {
        return Err("an @ in an option must be written %40, a question mark in a password %3F".into());
    }
    if rest.contains('#') {
        return Err("a # must be written %23".into());
    }
    Ok((before, query))
}

fn parse_address(address: &str, port_default: u16) -> Result<(&str, u16), String> {
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
        None => port_default,
        Some(port) => port
            .parse()
            .ok()
            .filter(|&port| port != 0)
            .ok_or(format!("the port is {port:?}, not 1 to 65535"))?,
    };
    Ok((host, port))
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
            tls: None,
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
            ("http://localhost", "scheme is http; allowed: amqp, amqps"),
            ("amqp://", "host is empty"),
            ("amqp://h:0", "port is \"0\""),
            ("amqp://h:x", "port is \"x\""),
            ("amqp://h/a/b", "%2F"),
            ("amqp://h/%zz", "hexadecimal"),
            ("amqp://[::1", "not closed"),
            (
                "amqp://h?verify=verify_none",
                "\"verify=verify_none\" are not allowed on amqp://",
            ),
            (
                "amqps://h?heartbeat=3",
                "\"heartbeat\" is unknown; allowed: cacertfile",
            ),
            (
                "amqps://h?cacertfile=/no/such.pem",
                "cacertfile is \"/no/such.pem\", which cannot be read",
            ),
            ("amqps://h?certfile=a@b.pem", "must be written %40"),
            ("amqps://a%20b?verify=verify_none", "allowed with TLS: a DNS name"),
            ("amqps://u:secret#x@h", "%23"),
            ("amqps://u:x?secret@h", "%3F"),
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
    fn amqps_has_a_port_and_options_of_its_own() {
        let target: Target = "amqps://u:p@mq/v?verify=verify_none".parse().unwrap();
        assert_eq!(
            (target.port, &target.vhost[..], &target.host[..]),
            (5671, "v", "mq")
        );
        let options = target.tls.as_ref().unwrap().options();
        assert_eq!(options, &TlsOptions::from_query("verify=verify_none").unwrap());
        assert_eq!(target.to_string(), "amqps://mq:5671/v");
        let mixed: Target =
            "amqp://a,amqps://b:7?verify=verify_none&server_name_indication=x,amqps://c?verify=verify_none"
                .parse()
                .unwrap();
        assert_eq!(mixed.to_string(), "amqp://a:5672,amqps://b:7,amqps://c:5671");
        let with_tls: Vec<_> = (0..3).map(|index| mixed.node(index).tls.is_some()).collect();
        assert_eq!(with_tls, [false, true, true]);
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
