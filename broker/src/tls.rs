//! TLS: certificates from files, handshakes on a thread of their own, sessions on reactors.
//!
//! A handshake costs a signature, and with client certificates the verification of some: up to milliseconds, which a
//! reactor's other connections would wait for. So one thread does all handshakes, and hands a connection to its reactor when
//! both sides agree. What is left there is reading and writing records (`connection::socket`).
//!
//! | file | what it holds |
//! |---|---|
//! | `settings` | what can be configured |
//! | `files` | PEM files to what rustls wants |
//! | `expiry` | when certificates end |
//! | `server_names` | which certificate for which name |
//! | `handshake` | the thread |
//! | `login_name` | the user that a client's certificate names |
//! | `unblocked` | a socket as rustls wants it |

mod expiry;
mod files;
mod handshake;
mod login_name;
mod server_names;
mod settings;
mod unblocked;

pub use expiry::Expiry;
pub(crate) use expiry::note_expiries;
pub(crate) use files::{FileProblem, load};
pub(crate) use handshake::{Established, Handshakes, PROTOCOL_BYTE};
pub use settings::{LoginFrom, MinimumVersion, NamedCertificate, SanType, TlsSettings, Verify};
pub(crate) use unblocked::Unblocked;
