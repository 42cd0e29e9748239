//! TLS before a peer that speaks plain AMQP: certificates made for the test, and a server that decrypts and forwards.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "test support: each test file uses its part"
)]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use loadgen::target::Target;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion};
use tempfile::TempDir;

/// How many authorities there were.
static AUTHORITIES: AtomicUsize = AtomicUsize::new(0);

/// Somebody who signs, and the files that it hands out.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
    files: TempDir,
}

/// A signed certificate with its key.
pub struct Identity {
    certificate: rcgen::Certificate,
    key: KeyPair,
    pub certfile: PathBuf,
    pub keyfile: PathBuf,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Whoever has the same name would be taken for the same, with a wrong signature.
        let number = AUTHORITIES.fetch_add(1, Ordering::Relaxed);
        params
            .distinguished_name
            .push(DnType::CommonName, format!("authority {number}"));
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let files = tempfile::tempdir().unwrap();
        std::fs::write(files.path().join("ca.pem"), certificate.pem()).unwrap();
        let issuer = Issuer::new(params, key);
        Self {
            issuer,
            certificate,
            files,
        }
    }

    /// PEM file of its own certificate.
    pub fn cacertfile(&self) -> PathBuf {
        self.files.path().join("ca.pem")
    }

    /// A certificate for a name or an address.
    pub fn identity(&self, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let file = |ending: &str| self.files.path().join(format!("{name}.{ending}"));
        let (certfile, keyfile) = (file("pem"), file("key.pem"));
        std::fs::write(&certfile, certificate.pem()).unwrap();
        std::fs::write(&keyfile, key.serialize_pem()).unwrap();
        Identity {
            certificate,
            key,
            certfile,
            keyfile,
        }
    }
}

/// How the front behaves.
#[derive(Clone, Copy, Default)]
pub struct Manners {
    /// Clients must show a certificate of the same authority.
    pub mutual: bool,
    /// The only version it speaks; `None` = 1.2 and 1.3.
    pub version: Option<&'static SupportedProtocolVersion>,
    /// Records reach the client in pieces of up to so many octets, each written by itself; 0 = as they come.
    pub piece_bytes_max: usize,
    /// Records hold at most so many octets; 0 = as many as TLS allows.
    pub fragment_bytes_max: usize,
}

/// A running front; it takes nobody any more when it is dropped.
pub struct Front {
    port: u16,
    upstream: u16,
    stopped: Arc<AtomicBool>,
    pub seen: Arc<Seen>,
    thread: Option<JoinHandle<()>>,
}

/// What came to the front.
#[derive(Default)]
pub struct Seen {
    /// Handshakes that were completed.
    pub handshakes: AtomicUsize,
    /// Of the connections that said goodbye.
    pub close_notifies: AtomicUsize,
    /// Names that clients asked for.
    pub names: Mutex<Vec<Option<String>>>,
}

impl Front {
    /// Before the peer on `upstream`, as `identity`, which `authority` signed.
    pub fn start(upstream: u16, authority: &Authority, identity: &Identity, manners: Manners) -> Self {
        let config = Arc::new(server_config(authority, identity, manners));
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let stopped = Arc::new(AtomicBool::new(false));
        let seen = Arc::new(Seen::default());
        let (for_thread, seen_by_all) = (Arc::clone(&stopped), Arc::clone(&seen));
        let thread = std::thread::spawn(move || {
            for client in listener.incoming() {
                if for_thread.load(Ordering::Acquire) {
                    break;
                }
                let (config, seen) = (Arc::clone(&config), Arc::clone(&seen_by_all));
                std::thread::spawn(move || serve(client.unwrap(), upstream, config, manners, &seen));
            }
        });
        Self {
            port,
            upstream,
            stopped,
            seen,
            thread: Some(thread),
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of the broker on `host` behind this front, with these options.
    pub fn url(&self, host: &str, options: &str) -> String {
        format!("amqps://{host}:{}/?{options}", self.port)
    }

    /// The same as a target.
    pub fn target(&self, host: &str, options: &str) -> Target {
        self.url(host, options).parse().unwrap()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        // Wakes the thread.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn server_config(authority: &Authority, identity: &Identity, manners: Manners) -> ServerConfig {
    let provider = Arc::new(ring::default_provider());
    let versions = match &manners.version {
        Some(version) => std::slice::from_ref(version),
        None => rustls::DEFAULT_VERSIONS,
    };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .unwrap();
    let builder = if manners.mutual {
        let mut roots = RootCertStore::empty();
        roots.add(authority.certificate.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        builder.with_client_cert_verifier(verifier.build().unwrap())
    } else {
        builder.with_no_client_auth()
    };
    let key = PrivateKeyDer::from_pem_slice(identity.key.serialize_pem().as_bytes()).unwrap();
    let mut config = builder
        .with_single_cert(vec![identity.certificate.der().clone()], key)
        .unwrap();
    if manners.fragment_bytes_max > 0 {
        config.max_fragment_size = Some(manners.fragment_bytes_max);
    }
    config
}

/// One connection: decrypts to the peer, encrypts to the client. It ends on both sides as it ends on one.
fn serve(mut client: TcpStream, upstream: u16, config: Arc<ServerConfig>, manners: Manners, seen: &Seen) {
    let mut connection = ServerConnection::new(config).unwrap();
    client.set_nodelay(true).unwrap();
    while connection.is_handshaking() {
        if connection.complete_io(&mut client).is_err() {
            // The alert may still have to be sent; the client's last words are read so that no RST overtakes it.
            let _ = connection.write_tls(&mut client);
            let _ = client.shutdown(Shutdown::Write);
            let _ = client.read_to_end(&mut Vec::new());
            return;
        }
    }
    seen.handshakes.fetch_add(1, Ordering::AcqRel);
    let name = connection.server_name().map(str::to_owned);
    seen.names.lock().unwrap().push(name);
    let connection = Mutex::new(connection);
    let peer = TcpStream::connect(("127.0.0.1", upstream)).unwrap();
    peer.set_nodelay(true).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| encrypt(&peer, &client, &connection, manners));
        decrypt(&client, &peer, &connection, seen);
    });
}

fn decrypt(mut client: &TcpStream, mut peer: &TcpStream, connection: &Mutex<ServerConnection>, seen: &Seen) {
    let mut records = vec![0; 65_536];
    loop {
        let mut text = Vec::new();
        let mut closed = false;
        {
            // What came with the handshake stands before what comes now.
            let mut connection = connection.lock().unwrap();
            let state = connection.process_new_packets();
            let Ok(state) = state else { break };
            text.resize(state.plaintext_bytes_to_read(), 0);
            connection.reader().read_exact(&mut text).unwrap();
        }
        if peer.write_all(&text).is_err() {
            break;
        }
        let Ok(count @ 1..) = client.read(&mut records) else {
            break;
        };
        let (mut rest, mut broken) = (&records[..count], false);
        let mut text = Vec::new();
        {
            let mut connection = connection.lock().unwrap();
            while !rest.is_empty() && !closed {
                connection.read_tls(&mut rest).unwrap();
                match connection.process_new_packets() {
                    Ok(state) => {
                        closed = state.peer_has_closed();
                        let from = text.len();
                        text.resize(from + state.plaintext_bytes_to_read(), 0);
                        connection.reader().read_exact(&mut text[from..]).unwrap();
                    }
                    Err(_) => {
                        broken = true;
                        break;
                    }
                }
            }
        }
        if peer.write_all(&text).is_err() || broken {
            break;
        }
        if closed {
            seen.close_notifies.fetch_add(1, Ordering::AcqRel);
            break;
        }
    }
    let _ = peer.shutdown(Shutdown::Both);
}

fn encrypt(mut peer: &TcpStream, client: &TcpStream, connection: &Mutex<ServerConnection>, manners: Manners) {
    let mut text = vec![0; 65_536];
    let mut pieces = Pieces {
        socket: client,
        bytes_max: manners.piece_bytes_max,
        random: fastrand::Rng::with_seed(0x7165),
    };
    loop {
        let count = peer.read(&mut text).unwrap_or(0);
        let mut connection = connection.lock().unwrap();
        if count == 0 {
            connection.send_close_notify();
        }
        let (mut rest, mut broken) = (&text[..count], false);
        while !rest.is_empty() || connection.wants_write() {
            let taken = connection.writer().write(rest).unwrap();
            rest = &rest[taken..];
            while connection.wants_write() && !broken {
                broken = connection.write_tls(&mut pieces).is_err();
            }
            if broken {
                break;
            }
        }
        if count == 0 || broken {
            let _ = client.shutdown(Shutdown::Both);
            return;
        }
    }
}

/// Writes in pieces of any length.
struct Pieces<'a> {
    socket: &'a TcpStream,
    bytes_max: usize,
    random: fastrand::Rng,
}

impl Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let length = match self.bytes_max {
            0 => bytes.len(),
            max => self.random.usize(1..=max).min(bytes.len()),
        };
        self.socket.write(&bytes[..length])
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
