//! Certificates for a test, and a client that speaks AMQP over TLS.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};
use wire::{FrameKind, Method, PROTOCOL_HEADER, TableRef};

use super::{DEADLINE, OwnedFrame};

/// Somebody who signs certificates, and the directory with the files.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
    directory: tempfile::TempDir,
}

/// A certificate with its key.
#[derive(Debug)]
pub struct Identity {
    pub certificate: rcgen::Certificate,
    pub key: KeyPair,
}

impl Authority {
    pub fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "authority of a test");
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Authority {
            issuer: Issuer::new(params, key),
            certificate,
            directory: tempfile::tempdir().unwrap(),
        }
    }

    /// A certificate for these host names.
    pub fn sign(&self, names: &[&str]) -> Identity {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        self.sign_with(CertificateParams::new(names).unwrap())
    }

    /// A certificate that ended years ago.
    pub fn sign_ended(&self, names: &[&str]) -> Identity {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        self.sign_with(params)
    }

    /// A client's certificate: organisation, common name and e-mail address.
    pub fn sign_client(&self, organisation: &str, name: &str, email: &str) -> Identity {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::OrganizationName, organisation);
        params.distinguished_name.push(DnType::CommonName, name);
        params.subject_alt_names = vec![SanType::Rfc822Name(email.try_into().unwrap())];
        self.sign_with(params)
    }

    fn sign_with(&self, params: CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity { certificate, key }
    }

    /// Where a file of this name is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes `NAME.pem` and `NAME.key`.
    pub fn write(&self, name: &str, identity: &Identity) {
        std::fs::write(self.path(&format!("{name}.pem")), identity.certificate.pem()).unwrap();
        std::fs::write(self.path(&format!("{name}.key")), identity.key.serialize_pem()).unwrap();
    }

    /// The flags of a listener on a free port whose certificate is for `localhost`.
    pub fn flags(&self) -> Vec<String> {
        self.write("server", &self.sign(&["localhost"]));
        std::fs::write(self.path("ca.pem"), self.certificate.pem()).unwrap();
        let flag = |flag: &str, name: &str| format!("--tls-{flag}={}", self.path(name).display());
        vec![
            "--listen-tls=127.0.0.1:0".to_owned(),
            flag("cacertfile", "ca.pem"),
            flag("certfile", "server.pem"),
            flag("keyfile", "server.key"),
        ]
    }

    /// What a client trusts and shows.
    pub fn client(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        shown: Option<&Identity>,
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        Arc::new(match shown {
            None => builder.with_no_client_auth(),
            Some(Identity { certificate, key }) => {
                let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
                builder
                    .with_client_auth_cert(vec![certificate.der().clone()], key)
                    .unwrap()
            }
        })
    }
}

/// One connection over TLS; every call blocks, with a deadline.
#[derive(Debug)]
pub struct TlsClient {
    pub stream: StreamOwned<ClientConnection, TcpStream>,
    input: Vec<u8>,
}

impl TlsClient {
    /// Shakes hands; an error is what the broker, or the client, has against it.
    pub fn connect(
        address: SocketAddr,
        config: &Arc<ClientConfig>,
        name: &str,
    ) -> std::io::Result<TlsClient> {
        let socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(DEADLINE))?;
        socket.set_write_timeout(Some(DEADLINE))?;
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let session = ClientConnection::new(Arc::clone(config), name).unwrap();
        let mut stream = StreamOwned::new(session, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(TlsClient {
            stream,
            input: Vec::new(),
        })
    }

    /// The broker's certificate.
    pub fn shown(&self) -> CertificateDer<'static> {
        self.stream.conn.peer_certificates().unwrap()[0]
            .clone()
            .into_owned()
    }

    /// What `connection.start` offers.
    pub fn mechanisms(&mut self) -> String {
        self.stream.write_all(&PROTOCOL_HEADER).unwrap();
        match self.frame().method() {
            Method::ConnectionStart { mechanisms, .. } => String::from_utf8(mechanisms.to_vec()).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// `start-ok`, and what follows when the broker agrees: an open connection with channel 1.
    pub fn log_in(&mut self, mechanism: &str, response: &[u8]) {
        self.start_ok(mechanism, response);
        let tune = self.frame();
        let Method::ConnectionTune {
            channel_max,
            frame_max,
            ..
        } = tune.method()
        else {
            panic!("{:?}", tune.method())
        };
        let tune_ok = Method::ConnectionTuneOk {
            channel_max,
            frame_max,
            heartbeat: 0,
        };
        self.send(0, tune_ok);
        self.send(0, Method::ConnectionOpen { virtual_host: "/" });
        assert_eq!(self.frame().method(), Method::ConnectionOpenOk);
        self.send(1, Method::ChannelOpen);
        assert_eq!(self.frame().method(), Method::ChannelOpenOk);
    }

    pub fn start_ok(&mut self, mechanism: &str, response: &[u8]) {
        let start_ok = Method::ConnectionStartOk {
            client_properties: TableRef::EMPTY,
            mechanism,
            response,
            locale: "en_US",
        };
        self.send(0, start_ok);
    }

    /// An open connection as guest, with channel 1.
    pub fn guest(address: SocketAddr, config: &Arc<ClientConfig>) -> TlsClient {
        let mut client = TlsClient::connect(address, config, "localhost").unwrap();
        client.mechanisms();
        client.log_in("PLAIN", b"\0guest\0guest");
        client
    }

    pub fn send(&mut self, channel: u16, method: Method<'_>) {
        let mut bytes = Vec::new();
        method.encode(channel, &mut bytes);
        self.stream.write_all(&bytes).unwrap();
    }

    pub fn frame(&mut self) -> OwnedFrame {
        self.try_frame().expect("the broker closed the session")
    }

    /// The next frame, or `None` when the session was closed as TLS asks for.
    pub fn try_frame(&mut self) -> Option<OwnedFrame> {
        loop {
            if let Some(frame) = OwnedFrame::take(&mut self.input, 131_072) {
                return Some(frame);
            }
            let mut buffer = [0; 64 * 1024];
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(count) => self.input.extend_from_slice(&buffer[..count]),
                Err(error) => panic!("reading: {error}"),
            }
        }
    }

    /// The body of the next message.
    pub fn body(&mut self) -> Vec<u8> {
        let method = self.frame();
        assert!(method.method().has_content(), "{:?}", method.method());
        let header = self.frame();
        let size = wire::ContentHeader::decode(&header.payload).unwrap().body_size as usize;
        let mut body = Vec::new();
        while body.len() < size {
            let frame = self.frame();
            assert_eq!(frame.kind, FrameKind::Body);
            body.extend_from_slice(&frame.payload);
        }
        body
    }
}

/// Reads a socket to its end, which must come; how many bytes came before.
pub fn read_to_end(socket: &mut TcpStream) -> usize {
    let mut rest = Vec::new();
    match socket.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("no end: {error}"),
    }
    rest.len()
}

/// A path as a flag has it.
pub fn shown(path: &Path) -> String {
    path.display().to_string()
}
