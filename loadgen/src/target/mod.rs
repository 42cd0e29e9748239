//! Whom to drive: a broker or a cluster, as URLs name it.

mod broker;
mod percent;
mod url;

pub use broker::Target;
pub(crate) use percent::percent_decode;
pub use url::{FORM, PORT_DEFAULT, TLS_PORT_DEFAULT, TargetError};
