//! TLS to the broker: what an `amqps://` URL asks for, what the two sides agreed on, and, in words, why they did not.
//!
//! Both drivers take their configuration from here, so that their handshakes offer the same. Only the `ring` provider is
//! compiled in. Sessions are never resumed: every connection pays for a whole handshake, as it would in a process of its own.

mod figures;
mod options;
mod pem;
mod settings;
mod verifier;
mod words;

pub use figures::TlsFigures;
pub use options::{ServerNameIndication, TlsOptions, Verify};
pub use settings::Tls;
pub use words::explained;
