//! Who may connect: the SASL mechanisms PLAIN and AMQPLAIN over a fixed list of users.
//!
//! `guest` exists from the start with the password `guest`, and as in RabbitMQ may only come from a loopback
//! address, whatever its password. A refused client learns no more than that it was refused; the reason is
//! for the log. Passwords are kept as salted hashes only.

mod password_hash;

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use wire::{ReplyCode, TableRef};

pub use self::password_hash::PasswordHash;
use crate::store::metadata::{PasswordHashing, UserRecord};

/// The predeclared user, restricted to loopback addresses.
pub const GUEST: &str = "guest";
/// The tag of users who may do everything.
const ADMINISTRATOR: &str = "administrator";
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
    users: Vec<Arc<UserRecord>>,
    /// What the password of an unknown user is compared with.
    decoy: PasswordHash,
}

impl Authenticator {
    /// `guest` and `users`; the last of several with the same name counts.
    pub fn new(users: &[User]) -> Authenticator {
        Authenticator::from_records(Vec::new(), users).0
    }

    /// The stored users, and those given by flags, each of which takes the place of the stored one with its name; and
    /// `guest` when it is neither. The last of several flags with the same name counts.
    ///
    /// Returns also the records that are new or changed, to be stored. A flag with the password that is stored
    /// already changes nothing. A user who was stored keeps the tags; a new one is an administrator, as `guest` is.
    pub fn from_records(records: Vec<UserRecord>, flags: &[User]) -> (Authenticator, Vec<UserRecord>) {
        let mut users = records;
        let mut wanted: Vec<&User> = Vec::new();
        for flag in flags {
            wanted.retain(|earlier| earlier.name != flag.name);
            wanted.push(flag);
        }
        let mut changed = Vec::new();
        for flag in wanted {
            let stored = users.iter().position(|user| user.name == flag.name);
            let tags = match stored.map(|index| users.swap_remove(index)) {
                Some(stored) if stored.password_hash.matches(flag.password.as_bytes()) => {
                    users.push(stored);
                    continue;
                }
                Some(stored) => stored.tags,
                None => vec![ADMINISTRATOR.to_owned()],
            };
            changed.push(record(&flag.name, &flag.password, tags));
        }
        users.extend_from_slice(&changed);
        if !users.iter().any(|user| user.name == GUEST) {
            let guest = record(GUEST, GUEST, vec![ADMINISTRATOR.to_owned()]);
            changed.push(guest.clone());
            users.push(guest);
        }
        let decoy = PasswordHash::new("");
        let users = users.into_iter().map(Arc::new).collect();
        (Authenticator { users, decoy }, changed)
    }

    /// Checks the response of `connection.start-ok` and returns the user.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn authenticate(
        &self,
        mechanism: &str,
        response: &[u8],
        peer: IpAddr,
    ) -> Result<Arc<UserRecord>, Refused> {
        let (name, password) = match mechanism {
            "PLAIN" => decode_plain(response),
            "AMQPLAIN" => decode_amqplain(response),
            _ => return Err(Refused::UnknownMechanism),
        }
        .ok_or(Refused::Malformed)?;
        let known = self.users.iter().find(|user| user.name.as_bytes() == name);
        // An unknown name takes as long as a wrong password: its password is compared too.
        let expected = known.map_or(&self.decoy, |user| &user.password_hash);
        let is_equal = expected.matches(password);
        let Some(user) = known.filter(|_| is_equal) else {
            return Err(Refused::InvalidCredentials {
                user: String::from_utf8_lossy(name).into_owned(),
            });
        };
        if user.name == GUEST && !peer.to_canonical().is_loopback() {
            return Err(Refused::NotLoopback);
        }
        Ok(Arc::clone(user))
    }
}

fn record(name: &str, password: &str, tags: Vec<String>) -> UserRecord {
    UserRecord {
        name: name.to_owned(),
        password_hash: PasswordHash::new(password),
        hashing: PasswordHashing::Sha256,
        tags,
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
        assert_eq!(login(HERE).unwrap().name, "guest");
        assert_eq!(login(IpAddr::V6(Ipv6Addr::LOCALHOST)).unwrap().name, "guest");
        assert_eq!(
            login(IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped()))
                .unwrap()
                .name,
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
            assert_eq!(login("ada", "a:b").unwrap().name, "ada");
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
        assert_eq!(login("PLAIN", b"guest\0guest\0guest").unwrap().name, "guest");
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
    fn a_flag_takes_the_place_of_the_stored_user() {
        let may_log_in = |authenticator: &Authenticator, name: &str, password: &str| {
            let response = plain(name, password);
            authenticator.authenticate("PLAIN", &response, HERE).is_ok()
        };
        let names = |records: &[UserRecord]| -> Vec<String> {
            records.iter().map(|user| user.name.clone()).collect()
        };
        let (_, mut stored) = Authenticator::from_records(Vec::new(), &[user("ada:old"), user("bob:b")]);
        assert_eq!(names(&stored), ["ada", "bob", "guest"]);
        stored[0].tags = vec!["monitoring".to_owned()];
        let flags = [
            user("ada:overruled"),
            user("ada:new"),
            user("bob:b"),
            user("eve:e"),
        ];
        let (authenticator, changed) = Authenticator::from_records(stored.clone(), &flags);
        assert_eq!(
            names(&changed),
            ["ada", "eve"],
            "bob's password is the stored one"
        );
        assert_eq!(changed[0].tags, ["monitoring"]);
        assert_eq!(changed[1].tags, [ADMINISTRATOR]);
        for (name, password, expected) in [
            ("ada", "new", true),
            ("ada", "old", false),
            ("ada", "overruled", false),
            ("bob", "b", true),
            ("eve", "e", true),
            ("guest", "guest", true),
            ("nobody", "", false),
        ] {
            assert_eq!(
                may_log_in(&authenticator, name, password),
                expected,
                "{name} {password}"
            );
        }
    }

    #[test]
    fn a_stored_guest_is_left_alone() {
        let (_, stored) = Authenticator::from_records(Vec::new(), &[user("guest:other")]);
        assert_eq!(stored.len(), 1);
        let (authenticator, changed) = Authenticator::from_records(stored, &[]);
        assert_eq!(changed, []);
        let login = |password| authenticator.authenticate("PLAIN", &plain("guest", password), HERE);
        assert!(login("other").is_ok() && login("guest").is_err());
    }

    #[test]
    fn user_flags_need_a_name_and_a_password_and_hide_the_latter() {
        for text in ["", "ada", "ada:", ":secret"] {
            assert!(text.parse::<User>().is_err(), "{text}");
        }
        assert_eq!(format!("{:?}", user("ada:secret")), "User { name: \"ada\", .. }");
    }
}
