//! The HTTP server, on a thread of its own.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tiny_http::{Header, Method, Response, Server};

use super::Board;
use super::exposition::{CONTENT_TYPE, text};

/// Serves `/metrics` until it is dropped.
#[derive(Debug)]
pub struct MetricsServer {
    address: SocketAddr,
    server: Arc<ServerHandle>,
    thread: Option<JoinHandle<()>>,
}

struct ServerHandle(Server);

impl std::fmt::Debug for ServerHandle {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Server")
    }
}

impl MetricsServer {
    /// Listens on `address`; port 0 = a free one.
    ///
    /// # Errors
    /// When it cannot listen there.
    pub fn start(address: SocketAddr, board: Board) -> io::Result<Self> {
        let server = Server::http(address).map_err(io::Error::other)?;
        let address = server
            .server_addr()
            .to_ip()
            .ok_or_else(|| io::Error::other("the server listens on no address"))?;
        let server = Arc::new(ServerHandle(server));
        let serving = Arc::clone(&server);
        let thread = thread::spawn(move || {
            for request in serving.0.incoming_requests() {
                let path = request.url().split('?').next().unwrap_or_default();
                let response = match (request.method(), path) {
                    (Method::Get | Method::Head, "/metrics") => {
                        let kind = Header::from_bytes("Content-Type", CONTENT_TYPE);
                        Response::from_string(text(&board.read()))
                            .with_header(kind.expect("the header is constant"))
                    }
                    (Method::Get | Method::Head, _) => {
                        Response::from_string("see /metrics\n").with_status_code(404)
                    }
                    _ => Response::from_string("GET only\n").with_status_code(405),
                };
                // Whoever hangs up early does not want it any more.
                let _ = request.respond(response);
            }
        });
        Ok(Self {
            address,
            server,
            thread: Some(thread),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for MetricsServer {
    fn drop(&mut self) {
        self.server.0.unblock();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpStream};

    use super::*;
    use crate::terminal::standing;

    fn get(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(
            stream,
            "{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn answers_with_what_was_posted_last() {
        let board = Board::default();
        let server = MetricsServer::start((Ipv4Addr::LOCALHOST, 0).into(), board.clone()).unwrap();
        assert_ne!(server.address().port(), 0);
        let before = get(server.address(), "GET /metrics");
        assert!(
            before.starts_with("HTTP/1.1 200 ") && !before.contains("_total"),
            "{before}"
        );
        board.announce("20p20c");
        board.post(standing());
        let after = get(server.address(), "GET /metrics");
        assert!(
            after.contains("Content-Type: text/plain; version=0.0.4"),
            "{after}"
        );
        assert!(after.contains("\nloadgen_published_total 33000000\n"), "{after}");
        assert!(get(server.address(), "GET /").starts_with("HTTP/1.1 404 "));
        assert!(get(server.address(), "POST /metrics").starts_with("HTTP/1.1 405 "));
        // A taken address is an error, not a panic.
        assert!(MetricsServer::start(server.address(), board).is_err());
    }
}
