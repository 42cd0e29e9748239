//! The client's side of `amqps://`: what such a URI asks for, made ready for handshakes; TLS below a client that has none of its
//! own; and, in words, why the two sides did not agree.
//!
//! ```text
//!   ?cacertfile=…&verify=…  ──TlsOptions──▶ Tls (files are read) ──▶ rustls, by hand
//!                                                               └──▶ TlsKit, lapin's runtime with TLS on every socket
//! ```
//! Nothing here knows a scenario, a shovel or a frame. Only the `ring` provider is compiled in. Sessions are never resumed: every
//! connection pays for a whole handshake, as it would in a process of its own.

#![forbid(unsafe_code)]

mod agreed;
mod kit;
mod options;
mod pem;
mod percent;
mod settings;
mod verifier;
mod words;

pub use agreed::Agreed;
pub use kit::TlsKit;
pub use options::{ServerNameIndication, TlsOptions, Verify};
pub use percent::{percent_decode, percent_encode};
pub use settings::Tls;
pub use words::{cause, explained, is_refusal};
