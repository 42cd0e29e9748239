//! Who may connect, and what they may do.
//!
//! A user logs in by the SASL mechanisms PLAIN or AMQPLAIN, or EXTERNAL with a client certificate. `guest` exists from the first start with the password `guest`,
//! and as in RabbitMQ may only come from a loopback address, whatever its password. A refused client learns no more than
//! that it was refused; the reason is for the log. Passwords are kept as salted hashes only.
//!
//! Inside a virtual host permissions decide: patterns for what may be configured, written and read, and for the
//! routing keys of topic exchanges.

mod password_hash;
mod pattern;
mod permissions;
mod sasl;
mod seed;
mod usage;
mod users;
mod verifier;

use std::fmt;
use std::str::FromStr;

use wire::ReplyCode;

pub use self::password_hash::PasswordHash;
pub use self::permissions::{Operation, Permissions, Resource};
pub(crate) use self::seed::seeded;
pub use self::usage::{Usage, UserShare};
pub use self::users::{Account, Users};

/// The predeclared user, restricted to loopback addresses.
pub const GUEST: &str = "guest";
/// The tag of users who may administer the broker.
const ADMINISTRATOR: &str = "administrator";
/// The mechanisms, as `connection.start` offers them.
pub const MECHANISMS: &str = "PLAIN AMQPLAIN";
/// The mechanism that is offered besides to whoever has a verified certificate which names a user.
pub const EXTERNAL: &str = "EXTERNAL";

/// A name and a password. `Debug` does not show the password.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// The name, never empty.
    pub name: String,
    /// The password, never empty.
    pub password: String,
}

impl FromStr for User {
    type Err = &'static str;

    /// Reads `name:password`; the password may contain further colons.
    fn from_str(text: &str) -> Result<User, &'static str> {
        match text.split_once(':') {
            Some((name, password)) if !name.is_empty() && !password.is_empty() => Ok(User {
                name: name.to_owned(),
                password: password.to_owned(),
            }),
            _ => Err("expected NAME:PASSWORD, neither of them empty"),
        }
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Why a login was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The mechanism was not offered.
    #[error(
        "unknown authentication mechanism, expected one of: {MECHANISMS}, or {EXTERNAL} with a certificate"
    )]
    UnknownMechanism,
    /// The response does not have the mechanism's form.
    #[error("malformed SASL response")]
    Malformed,
    /// No such user, or another password.
    #[error("user '{user}' - invalid credentials")]
    InvalidCredentials {
        /// As the client gave it.
        user: String,
    },
    /// Somebody from elsewhere who may come from this machine only.
    #[error("user '{user}' can only connect from a loopback address")]
    NotLoopback {
        /// The user's name.
        user: String,
    },
}

impl Refused {
    /// The code to close the connection with.
    pub fn reply_code(&self) -> ReplyCode {
        match self {
            Refused::UnknownMechanism => ReplyCode::CommandInvalid,
            _ => ReplyCode::AccessRefused,
        }
    }

    /// Whose login it was, as far as the client said so.
    pub fn user(&self) -> Option<&str> {
        match self {
            Refused::UnknownMechanism | Refused::Malformed => None,
            Refused::InvalidCredentials { user } | Refused::NotLoopback { user } => Some(user),
        }
    }

    /// The reply text for the client, without the code's name in front.
    pub fn reply_text(&self, mechanism: &str) -> String {
        match self {
            Refused::UnknownMechanism => format!("unknown authentication mechanism '{mechanism}'"),
            _ => format!(
                "Login was refused using authentication mechanism {mechanism}. For details see the broker logfile."
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_flags_need_a_name_and_a_password_and_hide_the_latter() {
        let user = |text: &str| text.parse::<User>();
        for text in ["", "ada", "ada:", ":secret"] {
            assert!(user(text).is_err(), "{text}");
        }
        assert_eq!(
            format!("{:?}", user("ada:secret").unwrap()),
            "User { name: \"ada\", .. }"
        );
    }
}
