//! Passwords that can be checked, but not read.
//!
//! Three ways to hash them:
//!
//! - Argon2id (RFC 9106), in its usual text form `$argon2id$v=19$m=…,t=…,p=…$salt$hash`, for passwords that are set here.
//!   Trying one costs milliseconds and megabytes, so it must not happen on a reactor: see [`super::Verifier`].
//! - RabbitMQ's `rabbit_password_hashing_sha256` and `rabbit_password_hashing_sha512`, for what comes from there; the length tells
//!   which:
//!
//! ```text
//! base64( salt, 4 bytes | SHA-256( salt | password ), 32 bytes )
//! base64( salt, 4 bytes | SHA-512( salt | password ), 64 bytes )
//! ```
//!
//! One round of either is cheap to try passwords against: the files that hold such hashes are to be kept as safe as
//! passwords. An empty text is no password at all: nobody logs in with one, though perhaps with a certificate.

use std::fmt;
use std::hint::black_box;
use std::str::FromStr;

use argon2::password_hash::{PasswordHashString, PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{Algorithm, Argon2, Params};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::crypto::ring::default_provider;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::digest::Output;
use sha2::{Digest, Sha256, Sha512};

const SALT_BYTES: usize = 4;
const DIGEST_BYTES: usize = 32;
const SHA512_BYTES: usize = 64;
const ARGON2_SALT_BYTES: usize = 16;
/// How a text with an Argon2id hash begins.
const ARGON2_PREFIX: &str = "$argon2id$";
/// A hash with the default parameters, of nothing that anybody knows.
const DECOY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$ZGVjb3lkZWNveWRlY28$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
/// Most memory and passes that a stored hash may ask for: it decides what a login attempt costs the broker.
const MEMORY_KIB_MAX: u32 = 1 << 20;
const PASSES_MAX: u32 = 64;

/// A password that can be checked, but not read. `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(Kind);

#[derive(Clone, PartialEq, Eq)]
enum Kind {
    /// Matches nothing.
    Unset,
    Sha256 {
        salt: [u8; SALT_BYTES],
        digest: [u8; DIGEST_BYTES],
    },
    Sha512 {
        salt: [u8; SALT_BYTES],
        digest: [u8; SHA512_BYTES],
    },
    Argon2(PasswordHashString),
}

impl PasswordHash {
    /// Hashes a password with a new salt, by Argon2id with the parameters that OWASP recommends (19 MiB, two passes). Costs
    /// milliseconds.
    pub fn new(password: &str) -> PasswordHash {
        let salt = SaltString::encode_b64(&random::<ARGON2_SALT_BYTES>()).expect("16 bytes are a salt");
        let hash = Argon2::default()
            .hash_password(password.as_bytes(), &salt)
            .expect("the default parameters and such a salt are valid, and any password is");
        PasswordHash(Kind::Argon2(hash.serialize()))
    }

    /// Hashes a password as RabbitMQ does. For one that is no secret, such as that of `guest`.
    pub fn sha256(password: &str) -> PasswordHash {
        PasswordHash::with_salt(random(), password.as_bytes())
    }

    /// No password: matches none.
    pub fn unset() -> PasswordHash {
        PasswordHash(Kind::Unset)
    }

    /// What nobody's password matches, and takes as long to find out as one that was set here.
    pub(super) fn decoy() -> PasswordHash {
        DECOY.parse().expect("a valid hash")
    }

    /// True for RabbitMQ's longer kind.
    pub fn is_sha512(&self) -> bool {
        matches!(self.0, Kind::Sha512 { .. })
    }

    /// What RabbitMQ can use of it: its own kinds of hash, or none.
    pub fn for_rabbitmq(&self) -> PasswordHash {
        match &self.0 {
            Kind::Sha256 { .. } | Kind::Sha512 { .. } => self.clone(),
            Kind::Argon2(_) | Kind::Unset => PasswordHash::unset(),
        }
    }

    /// True where checking costs milliseconds.
    pub fn is_slow(&self) -> bool {
        matches!(self.0, Kind::Argon2(_))
    }

    /// Whether it was made of this password. The duration depends on the length of `password` and the kind of hash only.
    pub fn matches(&self, password: &[u8]) -> bool {
        match &self.0 {
            Kind::Unset => false,
            Kind::Sha256 { salt, digest } => are_equal(&salted::<Sha256>(salt, password).into(), digest),
            Kind::Sha512 { salt, digest } => are_equal(&salted::<Sha512>(salt, password).into(), digest),
            Kind::Argon2(hash) => Argon2::default()
                .verify_password(password, &hash.password_hash())
                .is_ok(),
        }
    }

    fn with_salt(salt: [u8; SALT_BYTES], password: &[u8]) -> PasswordHash {
        let digest = salted::<Sha256>(&salt, password).into();
        PasswordHash(Kind::Sha256 { salt, digest })
    }
}

fn salted<D: Digest>(salt: &[u8], password: &[u8]) -> Output<D> {
    let mut digest = D::new();
    digest.update(salt);
    digest.update(password);
    digest.finalize()
}

/// Compares without telling by its duration where the difference is.
pub(super) fn are_equal<const N: usize>(one: &[u8; N], other: &[u8; N]) -> bool {
    let differences = one.iter().zip(other).fold(0, |differences, (one, other)| {
        black_box(differences | (one ^ other))
    });
    differences == 0
}

/// Bytes that nobody can guess.
pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let filled = default_provider().secure_random.fill(&mut bytes);
    filled.expect("the operating system has random numbers");
    bytes
}

impl fmt::Display for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Unset => Ok(()),
            Kind::Sha256 { salt, digest } => f.write_str(&STANDARD.encode([&salt[..], digest].concat())),
            Kind::Sha512 { salt, digest } => f.write_str(&STANDARD.encode([&salt[..], digest].concat())),
            Kind::Argon2(hash) => f.write_str(hash.as_str()),
        }
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
        const EXPECTED: &str = "a password hash is 36 or 68 bytes in base64 (salt and SHA-256 or SHA-512), Argon2id's $argon2id$v=19$m=..,t=..,p=..$salt$hash, or empty for none";
        if text.is_empty() {
            return Ok(PasswordHash::unset());
        }
        if text.starts_with(ARGON2_PREFIX) {
            let hash = PasswordHashString::new(text).map_err(|_| EXPECTED)?;
            let params = Params::try_from(&hash.password_hash()).map_err(|_| EXPECTED)?;
            let is_bearable = params.m_cost() <= MEMORY_KIB_MAX && params.t_cost() <= PASSES_MAX;
            let is_whole = hash.salt().is_some() && hash.hash().is_some();
            return (is_bearable && is_whole && hash.algorithm() == Algorithm::Argon2id.ident())
                .then(|| PasswordHash(Kind::Argon2(hash.clone())))
                .ok_or(EXPECTED);
        }
        let bytes = STANDARD.decode(text).map_err(|_| EXPECTED)?;
        let (&salt, digest) = bytes.split_first_chunk().ok_or(EXPECTED)?;
        if let Ok(digest) = digest.try_into() {
            return Ok(PasswordHash(Kind::Sha512 { salt, digest }));
        }
        let digest = digest.try_into().map_err(|_| EXPECTED)?;
        Ok(PasswordHash(Kind::Sha256 { salt, digest }))
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
        assert!(!hash.is_slow());
        assert_eq!(hash.for_rabbitmq(), hash);
    }

    #[test]
    fn rabbitmqs_longer_hashes_are_checked_and_go_back_as_they_came() {
        // Made by Python's hashlib, of the salt and the password above.
        let made =
            "kI3GChuNuIYf8lRbCCxZjgjKwsY19ns6+uFO0zcXRBGA/XGJPYD8OWMy7EB8TaOmAzjP2azv84GbINYwX2cDWb4DHnc=";
        let hash: PasswordHash = made.parse().unwrap();
        assert!(hash.matches(b"test12") && !hash.matches(b"test13") && !hash.matches(b""));
        assert!(hash.is_sha512() && !hash.is_slow());
        assert_eq!(hash.to_string(), made);
        assert_eq!(hash.for_rabbitmq(), hash);
    }

    #[test]
    fn argon2_hashes_are_read_as_others_write_them() {
        // The reference implementation's test vector for version 0x13, m=2^16, t=2, p=1, salt "somesalt".
        let reference =
            "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        let hash: PasswordHash = reference.parse().unwrap();
        assert!(hash.matches(b"password") && !hash.matches(b"passwort"));
        assert!(hash.is_slow());
        assert_eq!(hash.to_string(), reference);
        assert_eq!(hash.for_rabbitmq(), PasswordHash::unset());
    }

    #[test]
    fn the_decoy_costs_what_a_password_costs() {
        let params = |hash: PasswordHash| hash.to_string().split('$').nth(3).unwrap().to_owned();
        assert_eq!(params(PasswordHash::decoy()), params(PasswordHash::new("x")));
    }

    #[test]
    fn no_password_matches_none() {
        let unset: PasswordHash = "".parse().unwrap();
        assert!(!unset.matches(b"") && !unset.matches(b"x"));
        assert_eq!(unset.to_string(), "");
    }

    #[test]
    fn the_same_password_has_another_hash_each_time() {
        for make in [PasswordHash::new, PasswordHash::sha256] {
            let hashes: Vec<_> = (0..3).map(|_| make("secret")).collect();
            assert!(hashes.iter().all(|hash| hash.matches(b"secret")));
            assert!(hashes.iter().skip(1).all(|hash| *hash != hashes[0]));
            assert_eq!(format!("{:?}", hashes[0]), "PasswordHash(..)");
        }
    }

    #[test]
    fn every_flipped_bit_is_another_password() {
        let digest = [7; DIGEST_BYTES];
        for bit in 0..8 * DIGEST_BYTES {
            let mut other = digest;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!are_equal(&digest, &other), "{bit}");
        }
        assert!(are_equal(&digest, &digest));
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        for text in [
            "AAAA",
            "!",
            "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2PORAA==",
            "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ",
            "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
            "$argon2id$v=19$m=4294967295,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
            "$argon2id$v=19$m=65536,t=4000000,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        ] {
            assert!(text.parse::<PasswordHash>().is_err(), "{text}");
        }
    }
}
