//! Names of entities as names of files.
//!
//! An entity may be called anything: nothing at all, `..`, `a/b`, 255 bytes of Japanese, `A` beside `a`. Every byte
//! outside `[a-z0-9_-]` and the dot becomes `%` and two hex digits, a dot in front too; the empty name becomes a lone
//! `%`. Capitals are among the escaped, so that a file system that ignores case keeps `A` and `a` apart.
//!
//! Parts of a name are joined by `@` and `+`, which no part contains. One that would be longer than 120 bytes is cut
//! and gets `~` and half of the SHA-256 of the whole; `~` occurs in no short one.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::hex;

/// Longest name in bytes, before `~`.
const NAME_BYTES_MAX: usize = 120;
/// Bytes of SHA-256 behind `~`.
const DIGEST_BYTES: usize = 16;

/// The escaped name.
pub(super) fn escape(name: &str) -> String {
    if name.is_empty() {
        return "%".to_owned();
    }
    let mut escaped = String::with_capacity(name.len());
    for (index, byte) in name.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' => escaped.push(byte.into()),
            b'.' if index > 0 => escaped.push('.'),
            // Writing to a string cannot fail.
            _ => drop(write!(escaped, "%{byte:02x}")),
        }
    }
    escaped
}

/// Joined escaped parts, cut and told apart by a digest when too long.
pub(super) fn bounded(name: String) -> String {
    if name.len() <= NAME_BYTES_MAX {
        return name;
    }
    let whole = name.clone();
    with_digest(name, &[whole.as_bytes()])
}

/// The name, cut when too long, with a digest of all that `parts` hold. Each part is summed behind its length
/// (u64, big endian), so that no two lists of parts are summed alike.
pub(super) fn with_digest(mut name: String, parts: &[&[u8]]) -> String {
    name.truncate(NAME_BYTES_MAX);
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    let digest = hex::encode(&digest.finalize()[..DIGEST_BYTES]);
    format!("{name}~{digest}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_escaped_as_documented() {
        for (name, expected) in [
            ("orders", "orders"),
            ("", "%"),
            ("%", "%25"),
            ("/", "%2f"),
            (".", "%2e"),
            ("..", "%2e."),
            ("a.b.", "a.b."),
            ("Ab", "%41b"),
            ("~@+", "%7e%40%2b"),
            ("ä\0", "%c3%a4%00"),
        ] {
            assert_eq!(escape(name), expected);
        }
        let long = "x".repeat(NAME_BYTES_MAX);
        assert_eq!(bounded(long.clone()), long);
        let cut = bounded(format!("{long}y"));
        assert_eq!(cut.len(), NAME_BYTES_MAX + 1 + 2 * DIGEST_BYTES);
        assert!(cut.starts_with(&format!("{long}~")));
        assert_ne!(cut, bounded(format!("{long}z")));
        assert_ne!(
            with_digest(String::new(), &[b"ab", b"c"]),
            with_digest(String::new(), &[b"a", b"bc"])
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

        #[test]
        fn any_name_is_a_safe_file_name_of_its_own(one in ".{0,255}", other in "[.%/aA~@]{0,3}") {
            let (first, second) = (bounded(escape(&one)), bounded(escape(&other)));
            prop_assert_eq!(first == second, one == other);
            prop_assert!(first.len() <= 160 && !first.is_empty() && !first.starts_with('.'));
            let is_safe = first.chars().all(|character| {
                matches!(character, 'a'..='z' | '0'..='9' | '_' | '-' | '.' | '%' | '~')
            });
            prop_assert!(is_safe, "{}", first);
        }
    }
}
