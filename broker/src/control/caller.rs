//! Who asks: the operating system says so (`SO_PEERCRED`).

use rustix::process::geteuid;
use tokio::net::UnixStream;

use super::protocol::{Kind, Refusal, Request};

/// The broker's own user, and root.
fn may_ask(uid: u32, own: u32) -> bool {
    uid == own || uid == 0
}

/// A process of the broker's own user, or of root.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    uid: u32,
    /// None where it runs in a namespace that this process does not see.
    pid: Option<i32>,
}

impl Caller {
    /// Who is at the other end. The permissions of the socket allow nobody else; this holds when somebody has changed them.
    ///
    /// # Errors
    /// When it is somebody else.
    pub(super) fn of(stream: &UnixStream) -> Result<Caller, Refusal> {
        let credentials = stream
            .peer_cred()
            .map_err(|error| Refusal::new(Kind::Access, format!("cannot tell who asks: {error}")))?;
        Caller::admit(credentials.uid(), credentials.pid(), geteuid().as_raw())
    }

    fn admit(uid: u32, pid: Option<i32>, own: u32) -> Result<Caller, Refusal> {
        if !may_ask(uid, own) {
            tracing::warn!(
                uid,
                pid,
                "control: refused, neither root nor the broker's own user"
            );
            let text = format!("user {uid} may not ask: the broker answers its own user, {own}, and root");
            return Err(Refusal::new(Kind::Access, text));
        }
        Ok(Caller { uid, pid })
    }

    /// Tells in the log who has asked for a change.
    pub(super) fn note(&self, request: &Request) {
        if !request.is_logged() {
            return;
        }
        let (uid, pid, command) = (self.uid, self.pid, request.name());
        match request {
            Request::Close { connection, reason } => {
                tracing::info!(uid, pid, command, connection, reason, "control");
            }
            Request::Purge { vhost, queue } => tracing::info!(uid, pid, command, vhost, queue, "control"),
            _ => tracing::info!(uid, pid, command, "control"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_brokers_own_user_and_root_may_ask_and_nobody_else() {
        let asked = [
            (1000, 1000),
            (0, 1000),
            (0, 0),
            (1001, 1000),
            (1000, 0),
            (65_534, 1000),
        ];
        let may = asked.map(|(uid, own)| may_ask(uid, own));
        assert_eq!(may, [true, true, true, false, false, false]);
    }

    #[test]
    fn somebody_else_is_refused_by_name() {
        let refusal = Caller::admit(1001, Some(7), 1000).unwrap_err();
        assert_eq!(refusal.kind, Kind::Access);
        let expected = "user 1001 may not ask: the broker answers its own user, 1000, and root";
        assert_eq!(refusal.text, expected);
        assert!(Caller::admit(1000, None, 1000).is_ok());
    }
}
