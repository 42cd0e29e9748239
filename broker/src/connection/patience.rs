//! Peers that leave their socket full.
//!
//! What waits for such a peer is bounded ([`Link::admit`](super::Link::admit)), and its consumers are skipped; but what was delivered to it
//! stays unsettled for as long as it stays connected. So there is a limit to that.

use std::io;
use std::time::Duration;

use super::task::Connection;

/// Since when the peer has taken nothing.
#[derive(Debug, Default)]
pub(super) struct Stuck {
    /// Reactor tick of the first look, and what [`Link::stuck`](super::Link::stuck) said then.
    since: Option<(u64, u64)>,
}

impl Stuck {
    /// A look at tick `now`: for how many ticks the socket has been full without a pause.
    fn look(&mut self, now: u64, stuck: Option<u64>) -> u64 {
        self.since = match (self.since, stuck) {
            (Some((since, then)), Some(mark)) if then == mark => Some((since, mark)),
            (_, Some(mark)) => Some((now, mark)),
            (_, None) => None,
        };
        self.since.map_or(0, |(since, _)| now - since)
    }
}

impl Connection {
    /// Gives a peer up that has taken nothing for too long. Once a second.
    pub(super) fn check_patience(&mut self) -> io::Result<()> {
        let ticks = self.stuck.look(self.reactor.ticks(), self.link.stuck());
        if ticks == 0 {
            return Ok(());
        }
        let timeout = self.broker.limits.settings().write_timeout;
        if timeout.is_zero() || Duration::from_secs(ticks) < timeout {
            return Ok(());
        }
        let opened = self.link.observed().opened();
        let given_name = opened.and_then(|opened| opened.client.properties.get("connection_name"));
        tracing::warn!(
            connection = %self.link.id(),
            peer = %self.peer,
            user = opened.map(|opened| opened.user.as_str()),
            name = given_name.and_then(|name| name.as_str()),
            unsent_bytes = self.link.outbound().unsent_bytes(),
            "write timeout: the peer has taken nothing for {}s",
            timeout.as_secs()
        );
        self.reactor.counts().write_timeouts.add(1);
        self.link.abandon();
        Err(io::Error::new(io::ErrorKind::TimedOut, "the peer takes nothing"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_socket_that_stays_full_counts() {
        let mut stuck = Stuck::default();
        let looks = [
            (1, None, 0),
            (2, Some(7), 0),
            (3, Some(7), 1),
            (9, Some(7), 7),
            // It made room in between, and was filled again.
            (10, Some(8), 0),
            (12, Some(8), 2),
            (13, None, 0),
            (14, Some(8), 0),
            (15, Some(8), 1),
        ];
        for (now, mark, expected) in looks {
            assert_eq!(stuck.look(now, mark), expected, "at {now}");
        }
    }
}
