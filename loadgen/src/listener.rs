//! Which process listens where: finds the broker behind a loopback URL, so that it can be measured.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use procfs::net::{TcpNetEntry, TcpState};
use procfs::process::{FDTarget, all_processes};

use crate::target::Target;

/// The process that listens on `target`, if it is one, runs on this machine and may be looked into.
#[must_use]
pub fn listener_pid(target: &Target) -> Option<u32> {
    if target.node_count() > 1 {
        return None;
    }
    let addresses: Vec<SocketAddr> = (target.host.as_str(), target.port)
        .to_socket_addrs()
        .ok()?
        .collect();
    if addresses.is_empty() || !addresses.iter().all(|address| address.ip().is_loopback()) {
        return None;
    }
    let entries = procfs::net::tcp()
        .into_iter()
        .chain(procfs::net::tcp6())
        .flatten();
    let listening = entries.filter(|entry| addresses.iter().any(|&address| listens_on(entry, address)));
    let inodes: Vec<u64> = listening.map(|entry| entry.inode).collect();
    let holder = all_processes().ok()?.flatten().find(|process| {
        let mut descriptors = process.fd().into_iter().flatten().flatten();
        descriptors.any(|fd| matches!(fd.target, FDTarget::Socket(inode) if inodes.contains(&inode)))
    })?;
    u32::try_from(holder.pid).ok()
}

fn listens_on(entry: &TcpNetEntry, address: SocketAddr) -> bool {
    let local = entry.local_address;
    let any = match local.ip() {
        IpAddr::V4(ip) => ip.is_unspecified(),
        IpAddr::V6(ip) => ip.is_unspecified(),
    };
    entry.state == TcpState::Listen && local.port() == address.port() && (any || local.ip() == address.ip())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn finds_itself_by_its_listening_socket() {
        for bind in ["127.0.0.1:0", "0.0.0.0:0"] {
            let listener = TcpListener::bind(bind).unwrap();
            let target = Target::guest("127.0.0.1", listener.local_addr().unwrap().port());
            assert_eq!(listener_pid(&target), Some(std::process::id()), "{bind}");
        }
    }

    #[test]
    fn a_distant_or_silent_target_has_no_process_here() {
        assert_eq!(listener_pid(&Target::guest("192.0.2.1", 5672)), None);
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        assert_eq!(listener_pid(&Target::guest("127.0.0.1", port)), None);
    }
}
