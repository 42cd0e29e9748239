//! Who may connect: the SASL mechanisms PLAIN and AMQPLAIN over a fixed list of users.
//!
//! `guest` exists from the start with the password `guest`, and as in RabbitMQ may only come from a loopback
//! address, whatever its password. A refused client learns no more than that it was refused; the reason is
//! for the log.

use std::fmt;
use std::hint::black_box;
use std::net::IpAddr;
use std::str::FromStr;

use wire::{ReplyCode, TableRef};

/// The predeclared user, restricted to loopback addresses.
pub const GUEST: &str = "guest";
/// The mechanisms, as `connection.start` offers them.
pub const MECHANISMS: &str = "PLAIN AMQPLAIN";

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
    #[error("unknown authentication mechanism, expected one of: {MECHANISMS}")]
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
    /// `guest` from elsewhere.
    #[error("user '{GUEST}' can only connect from a loopback address")]
    NotLoopback,
}

impl Refused {
    /// The code to close the connection with.
    pub fn reply_code(&self) -> ReplyCode {
        match self {
            Refused::UnknownMechanism => ReplyCode::CommandInvalid,
            _ => ReplyCode::AccessRefused,
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

/// Checks logins against a fixed list of users.
#[derive(Clone, Debug)]
pub struct Authenticator {
    users: Vec<User>,
}

impl Authenticator {
    /// `guest` and `users`; the last of several with the same name counts.
    pub fn new(users: &[User]) -> Authenticator {
        let mut known = vec![User {
            name: GUEST.to_owned(),
            password: GUEST.to_owned(),
        }];
        for user in users {
            known.retain(|earlier| earlier.name != user.name);
            known.push(user.clone());
        }
        Authenticator { users: known }
    }

    /// Checks the response of `connection.start-ok` and returns the user's name.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn authenticate(&self, mechanism: &str, response: &[u8], peer: IpAddr) -> Result<String, Refused> {
        let (name, password) = match mechanism {
            "PLAIN" => decode_plain(response),
            "AMQPLAIN" => decode_amqplain(response),
            _ => return Err(Refused::UnknownMechanism),
        }
        .ok_or(Refused::Malformed)?;
        let known = self.users.iter().find(|user| user.name.as_bytes() == name);
        // An unknown name takes as long as a wrong password: it is compared with a password too.
        let expected = known.map_or("", |user| user.password.as_str());
        if !equal_in_constant_time(password, expected.as_bytes()) || known.is_none() {
            return Err(Refused::InvalidCredentials {
                user: String::from_utf8_lossy(name).into_owned(),
            });
        }
        let name = known.expect("unknown names returned above").name.as_str();
        if name == GUEST && !peer.to_canonical().is_loopback() {
            return Err(Refused::NotLoopback);
        }
        Ok(name.to_owned())
    }
}

/// RFC 4616: `authorization identity NUL name NUL password`. An authorization identity other than the name
/// would ask to act for somebody else, which there is no way to permit here.
fn decode_plain(response: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut parts = response.split(|&byte| byte == 0);
    let (identity, name, password) = (parts.next()?, parts.next()?, parts.next()?);
    let well_formed = parts.next().is_none() && (identity.is_empty() || identity == name);
    well_formed.then_some((name, password))
}

/// RabbitMQ's `AMQPLAIN`: a field table without its length, with the long strings `LOGIN` and `PASSWORD`.
fn decode_amqplain(response: &[u8]) -> Option<(&[u8], &[u8])> {
    let table = TableRef::parse(response).ok()?;
    let text = |key| match table.get(key)? {
        wire::ValueRef::LongStr(bytes) => Some(bytes),
        _ => None,
    };
    Some((text("LOGIN")?, text("PASSWORD")?))
}

/// Equality whose duration depends on `given` only, which the peer knows anyway.
fn equal_in_constant_time(given: &[u8], secret: &[u8]) -> bool {
    let mut differences = u8::from(given.len() != secret.len());
    for (index, &byte) in given.iter().enumerate() {
        let expected = secret.get(index).copied().unwrap_or(!byte);
        differences = black_box(differences | (byte ^ expected));
    }
    differences == 0
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use wire::FieldTable;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const AWAY: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

    fn user(text: &str) -> User {
        text.parse().unwrap()
    }

    fn plain(user: &str, password: &str) -> Vec<u8> {
        format!("\0{user}\0{password}").into_bytes()
    }

    fn amqplain(user: &str, password: &str) -> Vec<u8> {
        let mut table = FieldTable::new();
        table.insert("LOGIN", user);
        table.insert("PASSWORD", password);
        table.to_bytes()
    }

    #[test]
    fn guest_may_connect_from_loopback_only() {
        let authenticator = Authenticator::new(&[user("guest:other")]);
        let login = |peer| authenticator.authenticate("PLAIN", &plain("guest", "other"), peer);
        assert_eq!(login(HERE).unwrap(), "guest");
        assert_eq!(login(IpAddr::V6(Ipv6Addr::LOCALHOST)).unwrap(), "guest");
        assert_eq!(
            login(IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped())).unwrap(),
            "guest"
        );
        assert_eq!(login(AWAY), Err(Refused::NotLoopback));
        let old = authenticator.authenticate("PLAIN", &plain("guest", "guest"), HERE);
        assert_eq!(
            old,
            Err(Refused::InvalidCredentials {
                user: "guest".to_owned()
            })
        );
    }

    #[test]
    fn both_mechanisms_check_name_and_password() {
        let authenticator = Authenticator::new(&[user("ada:a:b")]);
        type Encode = fn(&str, &str) -> Vec<u8>;
        for (mechanism, encode) in [("PLAIN", plain as Encode), ("AMQPLAIN", amqplain as Encode)] {
            let login = |name, password| authenticator.authenticate(mechanism, &encode(name, password), AWAY);
            assert_eq!(login("ada", "a:b").unwrap(), "ada");
            for (name, password) in [
                ("ada", "a:"),
                ("ada", "a:bc"),
                ("ada", ""),
                ("bob", "a:b"),
                ("", ""),
            ] {
                let refused = login(name, password).unwrap_err();
                assert_eq!(
                    refused,
                    Refused::InvalidCredentials {
                        user: name.to_owned()
                    },
                    "{password}"
                );
                assert_eq!(refused.reply_code(), ReplyCode::AccessRefused);
                assert_eq!(
                    refused.reply_text(mechanism),
                    format!(
                        "Login was refused using authentication mechanism {mechanism}. For details see the broker logfile."
                    )
                );
            }
        }
    }

    #[test]
    fn malformed_responses_and_unknown_mechanisms_are_refused() {
        let authenticator = Authenticator::new(&[]);
        let login = |mechanism, response: &[u8]| authenticator.authenticate(mechanism, response, HERE);
        for response in [
            &b""[..],
            b"guest",
            b"guest\0guest",
            b"root\0guest\0guest",
            b"\0guest\0guest\0",
        ] {
            assert_eq!(login("PLAIN", response), Err(Refused::Malformed), "{response:?}");
        }
        assert_eq!(login("PLAIN", b"guest\0guest\0guest").unwrap(), "guest");
        for response in [
            &b""[..],
            b"\x05LOGIN",
            b"\x05LOGINI\0\0\0\x01\x08PASSWORDS\0\0\0\0",
        ] {
            assert_eq!(
                login("AMQPLAIN", response),
                Err(Refused::Malformed),
                "{response:?}"
            );
        }
        assert_eq!(login("EXTERNAL", b""), Err(Refused::UnknownMechanism));
        assert_eq!(Refused::UnknownMechanism.reply_code(), ReplyCode::CommandInvalid);
    }

    #[test]
    fn user_flags_need_a_name_and_a_password_and_hide_the_latter() {
        for text in ["", "ada", "ada:", ":secret"] {
            assert!(text.parse::<User>().is_err(), "{text}");
        }
        assert_eq!(format!("{:?}", user("ada:secret")), "User { name: \"ada\", .. }");
    }
}
