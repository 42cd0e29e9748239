//! Who may log in, and what they may do where.
//!
//! A map behind a lock, read at logins and whenever permissions may have changed. The generation tells connections
//! when to ask again, so that between changes nobody takes the lock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use super::permissions::Permissions;
use super::usage::Usage;
use super::verifier::Verifier;
use super::{EXTERNAL, PasswordHash, Refused, sasl};
use crate::connection::Peer;
use crate::store::metadata::{Entity, PermissionRecord, TopicPermissionRecord, UserRecord};

/// See the module documentation.
#[derive(Debug)]
pub struct Users {
    state: RwLock<State>,
    /// Changes after each change of `state`.
    generation: AtomicU64,
    /// What the password of an unknown user is compared with.
    decoy: PasswordHash,
    verifier: Verifier,
    /// Users who may come from a loopback address only.
    loopback_only: RwLock<Vec<String>>,
}

#[derive(Debug, Default)]
struct State {
    users: BTreeMap<String, Account>,
    /// By virtual host and user.
    permissions: BTreeMap<(String, String), Arc<Permissions>>,
}

/// A user, and what is open in the user's name.
#[derive(Clone, Debug)]
pub struct Account {
    /// As of the login.
    pub record: Arc<UserRecord>,
    /// Shared by all logins.
    pub usage: Arc<Usage>,
}

impl Users {
    /// Nobody yet; users of these names may come from a loopback address only.
    pub fn new(loopback_only: Vec<String>) -> Users {
        Users {
            state: RwLock::default(),
            generation: AtomicU64::new(0),
            decoy: PasswordHash::decoy(),
            verifier: Verifier::new(),
            loopback_only: RwLock::new(loopback_only),
        }
    }

    /// From here on users of these names may come from a loopback address only; whoever is logged in stays.
    pub(crate) fn set_loopback_only(&self, names: Vec<String>) {
        *self.loopback_only.write() = names;
    }

    /// Permissions obtained at another generation may be stale.
    #[inline]
    pub fn generation(&self) -> u64 {
        // Acquire pairs with the release in `change`.
        self.generation.load(Ordering::Acquire)
    }

    /// Checks the response of `connection.start-ok`.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn authenticate(
        &self,
        mechanism: &str,
        response: &[u8],
        peer: &Peer,
    ) -> Result<Account, Refused> {
        let account = match (mechanism, peer.certified_user()) {
            // What the response says is left alone, as in RabbitMQ: the certificate says who it is.
            (EXTERNAL, Some(user)) => self.account(user).ok_or_else(|| Refused::InvalidCredentials {
                user: user.to_owned(),
            })?,
            _ => self.by_password(mechanism, response).await?,
        };
        if self.loopback_only.read().contains(&account.record.name) && !peer.is_loopback() {
            return Err(Refused::NotLoopback {
                user: account.record.name.clone(),
            });
        }
        Ok(account)
    }

    async fn by_password(&self, mechanism: &str, response: &[u8]) -> Result<Account, Refused> {
        let (name, password) = sasl::credentials(mechanism, response)?;
        let refused = || Refused::InvalidCredentials {
            user: String::from_utf8_lossy(name).into_owned(),
        };
        let known = std::str::from_utf8(name).ok().and_then(|name| self.account(name));
        // An unknown name takes as long as a wrong password: its password is compared too.
        let expected = known
            .as_ref()
            .map_or(&self.decoy, |user| &user.record.password_hash);
        let who = known.as_ref().map_or("", |user| &user.record.name);
        let is_equal = self.verifier.matches(who, expected, password).await;
        known.filter(|_| is_equal).ok_or_else(refused)
    }

    /// The user of this name.
    pub fn account(&self, name: &str) -> Option<Account> {
        self.state.read().users.get(name).cloned()
    }

    /// What a user may do in a virtual host.
    pub fn permissions(&self, vhost: &str, user: &str) -> Arc<Permissions> {
        let key = (vhost.to_owned(), user.to_owned());
        self.state
            .read()
            .permissions
            .get(&key)
            .cloned()
            .unwrap_or_default()
    }

    /// All users with their permissions, by name, as stored.
    pub fn records(&self) -> Vec<Entity> {
        let state = self.state.read();
        let users = state.users.values().map(|user| (*user.record).clone().into());
        let permissions = state
            .permissions
            .values()
            .flat_map(|permissions| permissions_as_stored(permissions));
        users.chain(permissions).collect()
    }

    /// Adds a user, or takes the place of the one with this name.
    pub(crate) fn put(&self, record: UserRecord) {
        self.change(|state| {
            let usage = state.users.get(&record.name).map(|old| Arc::clone(&old.usage));
            let usage = usage.unwrap_or_default();
            usage.set_limits(record.limits.unwrap_or_default());
            let account = Account {
                usage,
                record: Arc::new(record),
            };
            state.users.insert(account.record.name.clone(), account);
        });
    }

    /// Removes a user with all permissions; returns what is to be removed from the store.
    pub(crate) fn remove(&self, name: &str) -> Vec<Entity> {
        self.verifier.forget(name);
        self.change(|state| {
            let Some(account) = state.users.remove(name) else {
                return Vec::new();
            };
            let mut removed = state.remove_permissions(|_, user| user == name);
            removed.push((*account.record).clone().into());
            removed
        })
    }

    /// Removes all permissions in a virtual host; returns what is to be removed from the store.
    pub(crate) fn forget_vhost(&self, name: &str) -> Vec<Entity> {
        self.change(|state| state.remove_permissions(|vhost, _| vhost == name))
    }

    /// Gives a user permissions in a virtual host, in place of those that the user had there.
    ///
    /// # Errors
    /// Which pattern is wrong, and why.
    pub(crate) fn grant(&self, record: PermissionRecord) -> Result<(), String> {
        let key = (record.vhost.clone(), record.user.clone());
        self.change(|state| state.update(key, |permissions| permissions.set(record)))
    }

    /// Takes a user's permissions in a virtual host away.
    pub(crate) fn revoke(&self, vhost: &str, user: &str) -> Option<PermissionRecord> {
        let key = (vhost.to_owned(), user.to_owned());
        self.change(|state| state.update(key, Permissions::clear))
    }

    /// As [`Users::grant`], for an exchange.
    ///
    /// # Errors
    /// Which pattern is wrong, and why.
    pub(crate) fn grant_topic(&self, record: TopicPermissionRecord) -> Result<(), String> {
        let key = (record.vhost.clone(), record.user.clone());
        self.change(|state| state.update(key, |permissions| permissions.set_topic(record)))
    }

    /// As [`Users::revoke`], for an exchange.
    pub(crate) fn revoke_topic(
        &self,
        vhost: &str,
        user: &str,
        exchange: &str,
    ) -> Option<TopicPermissionRecord> {
        let key = (vhost.to_owned(), user.to_owned());
        self.change(|state| state.update(key, |permissions| permissions.clear_topic(exchange)))
    }

    fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state.write();
        let result = change(&mut state);
        self.generation.fetch_add(1, Ordering::Release);
        result
    }
}

impl State {
    /// Connections hold the old permissions on, until they ask again.
    fn update<R>(&mut self, key: (String, String), change: impl FnOnce(&mut Permissions) -> R) -> R {
        let permissions = self.permissions.entry(key.clone()).or_default();
        let permissions = Arc::make_mut(permissions);
        let result = change(permissions);
        if permissions.is_empty() {
            self.permissions.remove(&key);
        }
        result
    }

    fn remove_permissions(&mut self, goes: impl Fn(&str, &str) -> bool) -> Vec<Entity> {
        let mut removed = Vec::new();
        self.permissions.retain(|(vhost, user), permissions| {
            let goes = goes(vhost, user);
            if goes {
                removed.extend(permissions_as_stored(permissions));
            }
            !goes
        });
        removed
    }
}

fn permissions_as_stored(permissions: &Permissions) -> impl Iterator<Item = Entity> {
    let general = permissions.record().cloned().map(Entity::from);
    let topics = permissions.topic_records().cloned().map(Entity::from);
    general.into_iter().chain(topics)
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

    use super::*;
    use crate::auth::{GUEST, Operation, Resource, User, seeded};
    use crate::store::metadata::UserLimits;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const AWAY: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

    fn with(flags: &[&str]) -> Users {
        let users = Users::new(vec![GUEST.to_owned()]);
        let flags: Vec<User> = flags.iter().map(|flag| flag.parse().unwrap()).collect();
        for entity in seeded(&[], &flags) {
            match entity {
                Entity::User(user) => users.put(user),
                Entity::Permission(permission) => users.grant(permission).unwrap(),
                other => panic!("{other:?}"),
            }
        }
        users
    }

    fn login(users: &Users, name: &str, password: &str, peer: IpAddr) -> Result<String, Refused> {
        let response = format!("\0{name}\0{password}").into_bytes();
        log_in(users, "PLAIN", &response, &SocketAddr::from((peer, 1)).into())
    }

    fn log_in(users: &Users, mechanism: &str, response: &[u8], peer: &Peer) -> Result<String, Refused> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let account = runtime.block_on(users.authenticate(mechanism, response, peer))?;
        Ok(account.record.name.clone())
    }

    #[test]
    fn a_certificate_names_who_comes() {
        let users = with(&["ada:a"]);
        let from = |address: IpAddr| Peer::from(SocketAddr::from((address, 1)));
        let certified = |address, user: &str| from(address).certified(Some(user.to_owned()));
        assert_eq!(
            log_in(&users, EXTERNAL, b"bob", &certified(AWAY, "ada")).unwrap(),
            "ada"
        );
        let unknown = log_in(&users, EXTERNAL, b"ada", &certified(HERE, "eve"));
        assert_eq!(
            unknown,
            Err(Refused::InvalidCredentials {
                user: "eve".to_owned()
            })
        );
        let none = log_in(&users, EXTERNAL, b"ada", &from(HERE));
        assert_eq!(none, Err(Refused::UnknownMechanism));
        let guest = log_in(&users, EXTERNAL, b"", &certified(AWAY, "guest"));
        assert_eq!(
            guest,
            Err(Refused::NotLoopback {
                user: "guest".to_owned()
            })
        );
        // A certificate does not stand in the way of a password.
        assert_eq!(
            log_in(&users, "PLAIN", b"\0ada\0a", &certified(AWAY, "eve")).unwrap(),
            "ada"
        );
    }

    #[test]
    fn guest_may_connect_from_loopback_only() {
        let users = with(&["guest:other"]);
        let mapped = IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped());
        for peer in [HERE, IpAddr::V6(Ipv6Addr::LOCALHOST), mapped] {
            assert_eq!(login(&users, "guest", "other", peer).unwrap(), "guest");
        }
        let user = || "guest".to_owned();
        assert_eq!(
            login(&users, "guest", "other", AWAY),
            Err(Refused::NotLoopback { user: user() })
        );
        assert_eq!(
            login(&users, "guest", "guest", HERE),
            Err(Refused::InvalidCredentials { user: user() })
        );
    }

    #[test]
    fn others_may_come_from_anywhere_with_their_password() {
        let users = with(&["ada:a:b"]);
        assert_eq!(login(&users, "ada", "a:b", AWAY).unwrap(), "ada");
        for (name, password) in [("ada", "a"), ("ada", ""), ("eve", "a:b"), ("", "")] {
            assert!(login(&users, name, password, AWAY).is_err(), "{name} {password}");
        }
        assert_eq!(
            Refused::UnknownMechanism.reply_code(),
            wire::ReplyCode::CommandInvalid
        );
    }

    #[test]
    fn changes_are_seen_by_the_generation_and_removals_leave_nothing() {
        let users = with(&["ada:a"]);
        let before = users.generation();
        let tenant = PermissionRecord {
            vhost: "tenant".to_owned(),
            user: "ada".to_owned(),
            configure: String::new(),
            write: ".*".to_owned(),
            read: "^q".to_owned(),
        };
        users.grant(tenant.clone()).unwrap();
        assert_ne!(users.generation(), before);
        let held = users.permissions("tenant", "ada");
        assert!(held.allow(Operation::Read, Resource::Queue("q")));
        assert_eq!(users.revoke("tenant", "ada"), Some(tenant.clone()));
        assert!(!users.permissions("tenant", "ada").may_enter());
        assert!(held.may_enter(), "whoever does not ask again holds the old ones");
        users.grant(tenant).unwrap();
        assert_eq!(users.forget_vhost("tenant").len(), 1);
        assert_eq!(users.remove("ada").len(), 2, "the user and the permissions in /");
        assert!(users.account("ada").is_none() && users.remove("ada").is_empty());
    }

    #[test]
    fn what_is_open_is_counted_against_limits() {
        let users = with(&["ada:a"]);
        let account = users.account("ada").unwrap();
        let mut limited = (*account.record).clone();
        limited.limits = Some(UserLimits {
            connections_max: Some(2),
            ..UserLimits::default()
        });
        let (first, channel) = (account.usage.admit_connection(), account.usage.admit_channel());
        users.put(limited);
        let again = users.account("ada").unwrap().usage;
        let second = again.admit_connection();
        assert!(first.is_ok() && second.is_ok() && channel.is_ok());
        assert_eq!(
            account.usage.admit_connection().unwrap_err(),
            2,
            "all logins share them"
        );
        drop(first);
        assert!(account.usage.admit_connection().is_ok());
        assert!(account.usage.admit_channel().is_ok());
    }
}
