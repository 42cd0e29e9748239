//! What a start adds to the stored users: those of the command line, and `guest` when there is nobody.

use super::pattern::EVERYTHING;
use super::{ADMINISTRATOR, GUEST, PasswordHash, User};
use crate::store::metadata::{Entity, PasswordHashing, PermissionRecord, UserLimits, UserRecord};
use crate::vhost::DEFAULT_VHOST;

/// The records that are new or changed, in the order in which they are to be stored: permissions first, so that a crash in
/// between leaves no user without.
///
/// Each flag takes the place of the stored user with its name, the last of several with the same name counts, and one with
/// the password that is stored already changes nothing. A user who was stored keeps tags, limits and permissions; a new one
/// is an administrator who may do everything in `/`, as `guest` is. So may those who were stored before there were
/// permissions.
pub(crate) fn seeded(stored: &[Entity], flags: &[User]) -> Vec<Entity> {
    let users: Vec<&UserRecord> = stored.iter().filter_map(as_user).collect();
    let mut changed: Vec<UserRecord> = users
        .iter()
        .filter(|user| user.limits.is_none())
        .map(|&user| user.clone())
        .collect();
    let mut privileged: Vec<String> = changed.iter().map(|user| user.name.clone()).collect();
    let mut wanted: Vec<User> = Vec::new();
    if users.is_empty() && !flags.iter().any(|flag| flag.name == GUEST) {
        wanted.push(User {
            name: GUEST.to_owned(),
            password: GUEST.to_owned(),
        });
    }
    for flag in flags {
        wanted.retain(|earlier| earlier.name != flag.name);
        wanted.push(flag.clone());
    }
    for flag in wanted {
        let (mut tags, mut limits) = (vec![ADMINISTRATOR.to_owned()], None);
        match users.iter().find(|user| user.name == flag.name) {
            Some(stored) if stored.password_hash.matches(flag.password.as_bytes()) => continue,
            Some(stored) => (tags, limits) = (stored.tags.clone(), stored.limits),
            None => privileged.push(flag.name.clone()),
        }
        changed.retain(|user| user.name != flag.name);
        let password_hash = match flag.name == GUEST && flag.password == GUEST {
            // Everybody knows that one.
            true => PasswordHash::sha256(GUEST),
            false => PasswordHash::new(&flag.password),
        };
        changed.push(UserRecord {
            name: flag.name,
            hashing: PasswordHashing::of(&password_hash),
            password_hash,
            tags,
            limits,
        });
    }
    for user in &mut changed {
        user.limits.get_or_insert(UserLimits::default());
    }
    let permissions = privileged.into_iter().map(everything).map(Entity::from);
    permissions.chain(changed.into_iter().map(Entity::from)).collect()
}

fn as_user(entity: &Entity) -> Option<&UserRecord> {
    match entity {
        Entity::User(user) => Some(user),
        _ => None,
    }
}

fn everything(user: String) -> PermissionRecord {
    PermissionRecord {
        vhost: DEFAULT_VHOST.to_owned(),
        user,
        configure: EVERYTHING.to_owned(),
        write: EVERYTHING.to_owned(),
        read: EVERYTHING.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flag(text: &str) -> User {
        text.parse().unwrap()
    }

    fn users(entities: &[Entity]) -> Vec<&UserRecord> {
        entities.iter().filter_map(as_user).collect()
    }

    fn names(entities: &[Entity]) -> Vec<String> {
        let name = |entity: &Entity| match entity {
            Entity::User(user) => user.name.clone(),
            Entity::Permission(permission) => format!("{}@{}", permission.user, permission.vhost),
            other => format!("{other:?}"),
        };
        entities.iter().map(name).collect()
    }

    #[test]
    fn a_flag_takes_the_place_of_the_stored_user() {
        let mut stored = seeded(&[], &[flag("ada:old"), flag("bob:b")]);
        assert_eq!(
            names(&stored),
            ["guest@/", "ada@/", "bob@/", "guest", "ada", "bob"]
        );
        for entity in &mut stored {
            if let Entity::User(user) = entity
                && user.name == "ada"
            {
                user.tags = vec!["monitoring".to_owned()];
                user.limits = Some(UserLimits {
                    connections_max: Some(1),
                    ..UserLimits::default()
                });
            }
        }
        let flags = [
            flag("ada:overruled"),
            flag("ada:new"),
            flag("bob:b"),
            flag("eve:e"),
        ];
        let changed = seeded(&stored, &flags);
        assert_eq!(
            names(&changed),
            ["eve@/", "ada", "eve"],
            "bob's password is the stored one"
        );
        let [ada, eve] = users(&changed)[..] else {
            panic!("{changed:?}");
        };
        assert_eq!(ada.tags, ["monitoring"]);
        assert_eq!(ada.limits.unwrap().connections_max, Some(1));
        assert!(ada.password_hash.matches(b"new"));
        assert_eq!(eve.tags, [ADMINISTRATOR]);
    }

    #[test]
    fn guest_comes_when_there_is_nobody_and_is_left_alone_afterwards() {
        let stored = seeded(&[], &[flag("guest:other")]);
        assert_eq!(names(&stored), ["guest@/", "guest"]);
        assert_eq!(seeded(&stored, &[]), []);
        let without_guest = seeded(&[], &[flag("ada:a")]);
        let without_guest: Vec<_> = without_guest
            .into_iter()
            .filter(|entity| as_user(entity).is_none_or(|user| user.name != GUEST))
            .collect();
        assert_eq!(seeded(&without_guest, &[]), [], "it was deleted");
    }

    #[test]
    fn users_from_before_there_were_permissions_keep_what_they_had() {
        let mut stored = seeded(&[], &[]);
        stored.retain(|entity| as_user(entity).is_some());
        for entity in &mut stored {
            if let Entity::User(user) = entity {
                user.limits = None;
            }
        }
        let changed = seeded(&stored, &[flag("guest:new")]);
        assert_eq!(names(&changed), ["guest@/", "guest"]);
        assert!(users(&changed)[0].password_hash.matches(b"new"));
        assert!(users(&changed)[0].limits.is_some());
    }
}
