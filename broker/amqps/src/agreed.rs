//! What a handshake agreed on.

use rustls::{CipherSuite, CommonState, ProtocolVersion};

/// Version and cipher suite of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// Version of the protocol.
    pub version: ProtocolVersion,
    /// How records are encrypted.
    pub cipher_suite: CipherSuite,
}

impl Agreed {
    /// Of a connection after its handshake; `None` before.
    #[must_use]
    pub fn of(connection: &CommonState) -> Option<Self> {
        Some(Self {
            version: connection.protocol_version()?,
            cipher_suite: connection.negotiated_cipher_suite()?.suite(),
        })
    }
}
