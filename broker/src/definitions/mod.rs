//! RabbitMQ's definitions: users, virtual hosts, permissions, limits, exchanges, queues and bindings as one JSON document.
//!
//! `broker --definitions FILE` reads a document before anything else is done, so that one with a mistake changes nothing; a start
//! then stores what it defines. `broker definitions export` writes one about a data directory. What RabbitMQ exports can be
//! imported, and the other way round, as long as both have what is defined; what has no counterpart here is named.
//!
//! Import follows RabbitMQ: virtual hosts, users, permissions and limits take the place of those that are there, exchanges,
//! queues and bindings that are there stay as they are. So importing the same document at every start changes nothing.
//!
//! | file | what it holds |
//! |---|---|
//! | `fields` | one JSON object, read field by field, with the place of each mistake |
//! | `arguments` | field tables as plain JSON |
//! | `parse` | a document to records |
//! | `import` | records to the store |
//! | `apply` | records to a broker that runs |
//! | `export` | records to a document, and the command |
//! | `running` | what a broker that runs defines |
//! | `elsewhere` | what other brokers make of such a document |

mod apply;
mod arguments;
mod elsewhere;
mod export;
mod fields;
mod import;
mod parse;
mod running;

pub(crate) use apply::{apply, make_all, resolve};
pub(crate) use arguments::{to_object as table_to_object, to_table as arguments_to_table};
pub use export::DefinitionsCommand;
pub(crate) use export::{publish_limits, run, user_limits, user_object, vhost_limits};
pub(crate) use fields::Fields;
pub(crate) use import::import;
pub use parse::Definitions;
pub(crate) use parse::{PUBLISH_BYTES_RATE, PUBLISH_RATE, user_record};
pub(crate) use running::{move_into, running};
