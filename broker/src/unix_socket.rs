//! A Unix-domain socket to listen on: a file that is there as long as somebody listens.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::UnixListener;

use crate::server::LISTEN_BACKLOG;

/// Room for a path in `sockaddr_un`, its final zero excluded.
pub(crate) const PATH_BYTES_MAX: usize = 107;

/// See the module documentation. The file goes with it.
#[derive(Debug)]
pub(crate) struct UnixSocket {
    pub(crate) listener: UnixListener,
    pub(crate) path: Arc<Path>,
}

impl UnixSocket {
    /// Listens at `path`, which gets the permissions `mode`. A socket that nobody listens on is taken away first.
    ///
    /// # Errors
    /// When somebody listens there, when something else has the name, or when the operating system refuses.
    pub(crate) fn listen(path: &Path, mode: u32) -> anyhow::Result<UnixSocket> {
        remove_stale(path)?;
        let listen = || -> io::Result<UnixSocket> {
            let socket = bind(path, mode)?;
            socket.listen(LISTEN_BACKLOG)?;
            Ok(UnixSocket {
                listener: UnixListener::from_std(socket.into())?,
                path: Arc::from(path),
            })
        };
        listen().with_context(|| format!("cannot listen on {}", path.display()))
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        // Somebody may have taken it away already.
        let _ = fs::remove_file(&self.path);
    }
}

/// A socket at `path` to which nobody can connect yet. Only listening makes that possible, and its permissions are in force
/// before.
pub(crate) fn bind(path: &Path, mode: u32) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    fs::set_permissions(path, Permissions::from_mode(mode)).inspect_err(|_| {
        // Ours, and of no use.
        let _ = fs::remove_file(path);
    })?;
    Ok(socket)
}

fn remove_stale(path: &Path) -> anyhow::Result<()> {
    let shown = path.display();
    let kind = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("cannot look at {shown}")),
    };
    if !kind.is_socket() {
        bail!("cannot listen on {shown}: it is there and no socket");
    }
    match UnixStream::connect(path) {
        Ok(_) => bail!("cannot listen on {shown}: somebody listens there already"),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            tracing::info!(path = %shown, "replacing a socket that nobody listens on");
            fs::remove_file(path).with_context(|| format!("cannot remove {shown}"))
        }
        Err(error) => Err(error).with_context(|| format!("cannot tell whether somebody listens on {shown}")),
    }
}

/// A path as given on the command line.
pub(crate) fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() || text.len() > PATH_BYTES_MAX {
        return Err(format!("expected a path of 1 to {PATH_BYTES_MAX} bytes"));
    }
    Ok(PathBuf::from(text))
}

/// Permissions as given on the command line.
pub(crate) fn mode(text: &str) -> Result<u32, String> {
    let expected = || "expected permissions in octal digits from 0 to 777, for example 660".to_owned();
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o777 => Ok(mode),
        _ => Err(expected()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_can_connect_before_the_permissions_are_in_force() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mq.sock");
        for mode in [0o600, 0o777] {
            let bound = bind(&path, mode).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode);
            let refused = UnixStream::connect(&path).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
            bound.listen(1).unwrap();
            UnixStream::connect(&path).unwrap();
            fs::remove_file(&path).unwrap();
        }
    }
}
