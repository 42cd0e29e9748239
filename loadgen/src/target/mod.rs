//! Whom to drive: a broker or a cluster, as URLs name it.

mod broker;
mod url;

pub use broker::Target;
pub use url::{FORM, PORT_DEFAULT, TLS_PORT_DEFAULT, TargetError};
