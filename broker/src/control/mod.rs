//! The control socket: how a person or a script asks a broker that runs, without HTTP and without a password.
//!
//! ```text
//!  broker status ──► data directory/control.sock ──► thread control ──► observe, administration, definitions, reload
//! ```
//! Who may open the socket is who may do anything: the broker's own user and root. It answers from before the data directory is
//! read until the last connection is closed.
//!
//! | file | what it holds |
//! |---|---|
//! | `protocol` | requests and replies |
//! | `place` | where the socket is |
//! | `server`, `caller`, `line` | the thread; who asks; limits of size and time |
//! | `kept_back` | descriptors for when there is no other left |
//! | `answer`, `changes` | requests to answers |
//! | `status` | how the broker is |
//! | `table`, `rows` | lists and their columns |
//! | `flags`, `command`, `client`, `print` | the commands: what they ask, and how they print the answers |

mod answer;
mod caller;
mod changes;
mod client;
mod command;
mod flags;
mod kept_back;
mod line;
mod place;
mod print;
mod protocol;
mod rows;
mod server;
mod status;
mod table;

pub(crate) use command::run;
pub(crate) use flags::ControlCommand;
pub(crate) use server::Control;
