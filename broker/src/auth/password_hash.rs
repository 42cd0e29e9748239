//! RabbitMQ's salted password hash, `rabbit_password_hashing_sha256`.
//!
//! ```text
//! base64( salt, 4 bytes | SHA-256( salt | password ), 32 bytes )
//! ```
//! It is what RabbitMQ exports in its definitions, so users move from one broker to the other. One round of SHA-256 is
//! cheap to try passwords against: the files that hold such hashes are to be kept as safe as passwords.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _};
use std::hint::black_box;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};

const SALT_BYTES: usize = 4;
const DIGEST_BYTES: usize = 32;

/// A password that can be checked, but not read. `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    salt: [u8; SALT_BYTES],
    digest: [u8; DIGEST_BYTES],
}

impl PasswordHash {
    /// Hashes a password with a new salt.
    pub fn new(password: &str) -> PasswordHash {
        // The standard library seeds its hashers at random. A salt need not be secret, only differ.
        let random = RandomState::new().build_hasher().finish().to_be_bytes();
        let [a, b, c, d, ..] = random;
        PasswordHash::with_salt([a, b, c, d], password.as_bytes())
    }

    /// Whether it was made of this password. The duration depends on the length of `password` only.
    pub fn matches(&self, password: &[u8]) -> bool {
        let given = PasswordHash::with_salt(self.salt, password).digest;
        let differences = given
            .iter()
            .zip(&self.digest)
            .fold(0, |differences, (one, other)| {
                black_box(differences | (one ^ other))
            });
        differences == 0
    }

    fn with_salt(salt: [u8; SALT_BYTES], password: &[u8]) -> PasswordHash {
        let mut digest = Sha256::new();
        digest.update(salt);
        digest.update(password);
        PasswordHash {
            salt,
            digest: digest.finalize().into(),
        }
    }
}

impl fmt::Display for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [0; SALT_BYTES + DIGEST_BYTES];
        bytes[..SALT_BYTES].copy_from_slice(&self.salt);
        bytes[SALT_BYTES..].copy_from_slice(&self.digest);
        f.write_str(&STANDARD.encode(bytes))
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

impl FromStr for PasswordHash {
    type Err = &'static str;

    /// Reads what `Display` writes.
    fn from_str(text: &str) -> Result<PasswordHash, &'static str> {
        const EXPECTED: &str = "a password hash is 36 bytes in base64: salt and SHA-256";
        let bytes = STANDARD.decode(text).map_err(|_| EXPECTED)?;
        let (salt, digest) = bytes.split_first_chunk().ok_or(EXPECTED)?;
        Ok(PasswordHash {
            salt: *salt,
            digest: digest.try_into().map_err(|_| EXPECTED)?,
        })
    }
}

impl Serialize for PasswordHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PasswordHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PasswordHash, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_example_in_rabbitmqs_documentation() {
        // "Passwords and password hashing": salt 908DC60A, password "test12".
        let documented = "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR";
        let hash: PasswordHash = documented.parse().unwrap();
        assert!(hash.matches(b"test12"));
        assert!(!hash.matches(b"test13"));
        assert!(!hash.matches(b""));
        assert_eq!(hash.to_string(), documented);
        assert_eq!(PasswordHash::with_salt([0x90, 0x8d, 0xc6, 0x0a], b"test12"), hash);
    }

    #[test]
    fn the_same_password_has_another_hash_each_time() {
        let hashes: Vec<_> = (0..8).map(|_| PasswordHash::new("secret")).collect();
        assert!(hashes.iter().all(|hash| hash.matches(b"secret")));
        assert!(hashes.iter().skip(1).any(|hash| *hash != hashes[0]));
        assert_eq!(format!("{:?}", hashes[0]), "PasswordHash(..)");
    }

    #[test]
    fn every_flipped_bit_is_another_password() {
        let hash = PasswordHash::new("secret");
        for bit in 0..8 * DIGEST_BYTES {
            let mut other = hash.clone();
            other.digest[bit / 8] ^= 1 << (bit % 8);
            assert!(!other.matches(b"secret"), "{bit}");
        }
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        for text in [
            "",
            "AAAA",
            "!",
            "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2PORAA==",
        ] {
            assert!(text.parse::<PasswordHash>().is_err(), "{text}");
        }
    }
}
