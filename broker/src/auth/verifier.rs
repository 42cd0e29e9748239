//! Checks passwords without keeping a reactor waiting.
//!
//! An Argon2id hash costs tens of milliseconds and 19 MiB by design. So it is computed on threads of its own, only so many at
//! a time, and others wait in line; whoever waits longer than the handshake timeout is gone. What was right once is known
//! again by a keyed SHA-256 of hash and password, which is cheap to compare and, since the key is in this process's memory
//! only, worth nothing to whoever reads the disk. A client that connects a thousand times pays once.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use super::PasswordHash;
use super::password_hash::{are_equal, random};

/// Checks that run at the same time.
const PARALLEL_MAX: usize = 2;

/// See the module documentation.
#[derive(Debug)]
pub(super) struct Verifier {
    running: Arc<Semaphore>,
    key: [u8; 32],
    /// By user, of the last password that was right.
    known: Mutex<BTreeMap<String, [u8; 32]>>,
}

impl Verifier {
    pub(super) fn new() -> Verifier {
        Verifier {
            running: Arc::new(Semaphore::new(PARALLEL_MAX)),
            key: random(),
            known: Mutex::default(),
        }
    }

    /// Whether `hash` was made of `password`. Waits only where the answer takes long.
    pub(super) async fn matches(&self, user: &str, hash: &PasswordHash, password: &[u8]) -> bool {
        if !hash.is_slow() {
            return hash.matches(password);
        }
        let fingerprint = self.fingerprint(hash, password);
        if self.is_known(user, &fingerprint) {
            return true;
        }
        let Ok(turn) = Arc::clone(&self.running).acquire_owned().await else {
            return false;
        };
        let (hash, password) = (hash.clone(), password.to_vec());
        let check = move || {
            // Until it is done, even if nobody waits for it any more.
            let _turn = turn;
            hash.matches(&password)
        };
        let is_right = tokio::task::spawn_blocking(check).await.unwrap_or(false);
        if is_right {
            self.known.lock().insert(user.to_owned(), fingerprint);
        }
        is_right
    }

    /// Forgets a user who is gone.
    pub(super) fn forget(&self, user: &str) {
        self.known.lock().remove(user);
    }

    fn is_known(&self, user: &str, fingerprint: &[u8; 32]) -> bool {
        let known = self.known.lock();
        known.get(user).is_some_and(|known| are_equal(known, fingerprint))
    }

    /// With the key in front and the length of the first part, so that nothing can be exchanged for something else.
    fn fingerprint(&self, hash: &PasswordHash, password: &[u8]) -> [u8; 32] {
        let hash = hash.to_string();
        let mut digest = Sha256::new();
        digest.update(self.key);
        digest.update((hash.len() as u64).to_be_bytes());
        digest.update(hash.as_bytes());
        digest.update(password);
        digest.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(future)
    }

    #[test]
    fn what_was_right_once_is_known_until_the_password_changes() {
        let verifier = Verifier::new();
        let (old, new) = (PasswordHash::new("old"), PasswordHash::new("new"));
        run(async {
            assert!(!verifier.matches("ada", &old, b"other").await);
            assert!(verifier.known.lock().is_empty(), "a wrong one is not remembered");
            assert!(verifier.matches("ada", &old, b"old").await);
            // Nobody can compute anything any more: only what is known is still right.
            verifier.running.close();
            assert!(verifier.matches("ada", &old, b"old").await);
            assert!(!verifier.matches("ada", &old, b"other").await);
            assert!(!verifier.matches("bob", &old, b"old").await, "it is hers");
            assert!(!verifier.matches("ada", &new, b"old").await);
            verifier.forget("ada");
            assert!(!verifier.matches("ada", &old, b"old").await);
        });
    }

    #[test]
    fn only_so_many_are_computed_at_a_time() {
        let verifier = Verifier::new();
        let hash = PasswordHash::new("secret");
        run(async {
            let held = verifier.running.acquire_many(PARALLEL_MAX as u32).await.unwrap();
            let mut waiting = Box::pin(verifier.matches("ada", &hash, b"secret"));
            let polled = futures_util::poll!(waiting.as_mut());
            assert!(polled.is_pending());
            drop(held);
            assert!(waiting.await);
        });
    }
}
