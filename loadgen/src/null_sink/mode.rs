//! The hidden mode: what the child does.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;

use mio::net::TcpListener;

use super::process::{LISTENING, SUBCOMMAND};
use super::server::Server;

/// What the child does, if `arguments` (the program's name first) say that this process is one.
#[must_use]
pub fn run_hidden(arguments: &[OsString]) -> Option<ExitCode> {
    (arguments.get(1)? == SUBCOMMAND).then(|| match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("null sink: {error}");
            ExitCode::FAILURE
        }
    })
}

/// Listens on a free loopback port, says where, and serves until standard input ends.
fn run() -> io::Result<()> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let address = listener.local_addr()?;
    let server = Server::new(listener)?;
    let waker = Arc::clone(server.waker());
    std::thread::spawn(move || {
        // An error means the same as the end: nobody holds the other side.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        // Fails only when the server is gone.
        let _ = waker.wake();
    });
    let mut out = io::stdout();
    writeln!(out, "{LISTENING}{address}")?;
    out.flush()?;
    server.run()
}
