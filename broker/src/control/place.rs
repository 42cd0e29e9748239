//! Where the socket is: `control.sock` in the data directory, for the broker's own user only.
//!
//! The path of a socket has room for 107 bytes, which a data directory's may exceed. Then the socket is reached through the
//! directory's descriptor, `/proc/self/fd/N/control.sock`.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

use crate::unix_socket::{self, PATH_BYTES_MAX};

/// Name of the socket.
pub(super) const CONTROL_SOCKET: &str = "control.sock";
/// Nobody but the owner may connect.
const MODE: u32 = 0o600;
/// Clients that the operating system keeps until they are accepted.
const BACKLOG: i32 = 64;

/// A path to the socket, valid as long as this is kept.
#[derive(Debug)]
struct Reach {
    path: PathBuf,
    /// What the path leads through.
    _directory: Option<File>,
}

/// The socket of a broker that listens; its file goes with it.
#[derive(Debug)]
pub(super) struct Place {
    reach: Reach,
}

impl Reach {
    fn new(directory: &Path) -> io::Result<Reach> {
        let path = directory.join(CONTROL_SOCKET);
        if path.as_os_str().len() <= PATH_BYTES_MAX {
            return Ok(Reach {
                path,
                _directory: None,
            });
        }
        let directory = File::open(directory)?;
        let through = format!("/proc/self/fd/{}/{CONTROL_SOCKET}", directory.as_raw_fd());
        Ok(Reach {
            path: through.into(),
            _directory: Some(directory),
        })
    }
}

impl Place {
    /// Listens in a data directory, which the caller owns: a socket that is there is nobody's any more.
    ///
    /// # Errors
    /// When something else has the name, or the operating system or the file system refuses.
    pub(super) fn listen(directory: &Path) -> io::Result<(Place, UnixListener)> {
        let reach = Reach::new(directory)?;
        match fs::symlink_metadata(&reach.path) {
            Ok(metadata) if metadata.file_type().is_socket() => fs::remove_file(&reach.path)?,
            Ok(_) => {
                let text = format!("{CONTROL_SOCKET} is there and no socket");
                return Err(io::Error::new(ErrorKind::AlreadyExists, text));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let socket = unix_socket::bind(&reach.path, MODE)?;
        let place = Place { reach };
        socket.listen(BACKLOG)?;
        Ok((place, socket.into()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Somebody may have taken it away already.
        let _ = fs::remove_file(&self.reach.path);
    }
}

/// Connects to the broker that owns a data directory; `timeout` is for that, and for each write.
///
/// # Errors
/// As the operating system tells them: `WouldBlock` when others wait to be accepted, and it took too long.
pub(super) fn connect(directory: &Path, timeout: Duration) -> io::Result<UnixStream> {
    let reach = Reach::new(directory)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Of a Unix socket it counts for connecting, too.
    socket.set_write_timeout(Some(timeout))?;
    socket.connect(&SockAddr::unix(&reach.path)?)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const SOON: Duration = Duration::from_millis(50);

    #[test]
    fn a_broker_that_accepts_nobody_is_given_up() {
        let directory = tempfile::tempdir().unwrap();
        let (_place, _listener) = Place::listen(directory.path()).unwrap();
        let connected: Vec<_> = (0..=BACKLOG)
            .map(|_| connect(directory.path(), SOON).unwrap())
            .collect();
        let refused = connect(directory.path(), SOON).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::WouldBlock, "after {}", connected.len());
    }

    fn is_reached(directory: &Path) {
        let (place, listener) = Place::listen(directory).unwrap();
        listener.set_nonblocking(false).unwrap();
        let file = directory.join(CONTROL_SOCKET);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, MODE);
        let mut client = connect(directory, SOON).unwrap();
        client.write_all(b"!").unwrap();
        listener.accept().unwrap().0.read_exact(&mut [0]).unwrap();
        drop(listener);
        let refused = connect(directory, SOON).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "as after a crash");
        drop(place);
        assert!(!file.exists());
    }

    #[test]
    fn a_directory_of_any_depth_has_one() {
        let parent = tempfile::tempdir().unwrap();
        is_reached(parent.path());
        let deep = parent.path().join("d".repeat(100)).join("e".repeat(200));
        fs::create_dir_all(&deep).unwrap();
        is_reached(&deep);
    }

    #[test]
    fn what_a_crash_left_is_replaced_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let (place, listener) = Place::listen(directory.path()).unwrap();
        std::mem::forget(place);
        drop(listener);
        is_reached(directory.path());
        let file = directory.path().join(CONTROL_SOCKET);
        fs::write(&file, "mine").unwrap();
        let refused = Place::listen(directory.path()).unwrap_err().to_string();
        assert!(refused.contains("no socket"), "{refused}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    }
}
