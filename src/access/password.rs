//! Passwords: argon2id with 19 MiB, two passes, one lane (OWASP's first choice for small memory).
//!
//! Owns: the memory that hashing takes, which is one buffer used again: the C library would keep
//! that of every hash.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::credential::hex;
use crate::base::limits::{PASSWORD_HASH_KIB, PASSWORDS_IN_LINE_MAX};
use crate::base::secret::Secret;

const PASSES: u32 = 2;
const LANES: u32 = 1;
const HASH_BYTES: usize = 32;
pub(super) const SALT_BYTES: usize = 16;
/// Most memory that a stored hash may ask for, in KiB: a file with another figure costs no more.
const KIB_MAX: u32 = 64 * 1024;
/// Most passes that a stored hash may ask for.
const PASSES_MAX: u32 = 8;

/// What is kept of a password, with what it takes to make it again.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PasswordHash {
    memory_kib: u32,
    passes: u32,
    salt: String,
    hash: String,
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// Too many passwords are being checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords are being checked right now; try again in a few seconds")]
pub(super) struct Busy;

/// Hashes passwords, one at a time.
#[derive(Debug, Default)]
pub(super) struct Hasher {
    in_line: AtomicUsize,
    buffer: Mutex<Vec<Block>>,
}

/// Leaves the line when dropped.
struct InLine<'a>(&'a AtomicUsize);

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

impl Hasher {
    /// Hashes `password` with `salt`. Takes tens of milliseconds and blocks.
    pub(super) fn hash(
        &self,
        password: &Secret,
        salt: [u8; SALT_BYTES],
    ) -> Result<PasswordHash, Busy> {
        let bytes = self.derive(password, &salt, PASSWORD_HASH_KIB, PASSES)?;
        Ok(PasswordHash {
            memory_kib: PASSWORD_HASH_KIB,
            passes: PASSES,
            salt: hex(&salt),
            hash: hex(&bytes.unwrap_or_default()),
        })
    }

    /// Whether `password` is the one of `known`; takes as long without one.
    pub(super) fn is(&self, password: &Secret, known: Option<&PasswordHash>) -> Result<bool, Busy> {
        let nobody = PasswordHash::none();
        let hash = known.unwrap_or(&nobody);
        let salt = unhex(&hash.salt).unwrap_or_default();
        let made = self.derive(password, &salt, hash.memory_kib, hash.passes)?;
        let (Some(made), Some(wanted)) = (made, unhex(&hash.hash)) else { return Ok(false) };
        Ok(bool::from(made.ct_eq(wanted.as_slice())) & known.is_some())
    }

    /// The hash; `None` for parameters that this build never wrote.
    fn derive(
        &self,
        password: &Secret,
        salt: &[u8],
        kib: u32,
        passes: u32,
    ) -> Result<Option<[u8; HASH_BYTES]>, Busy> {
        let before = self.in_line.fetch_add(1, SeqCst);
        let _in_line = InLine(&self.in_line);
        if before >= PASSWORDS_IN_LINE_MAX {
            return Err(Busy);
        }
        if kib > KIB_MAX || passes > PASSES_MAX {
            return Ok(None);
        }
        let Ok(params) = Params::new(kib, passes, LANES, Some(HASH_BYTES)) else {
            return Ok(None);
        };
        let mut buffer = self.buffer.lock().unwrap_or_else(PoisonError::into_inner);
        buffer.resize(params.block_count(), Block::default());
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let mut hash = [0; HASH_BYTES];
        let password = password.reveal().as_bytes();
        let made = argon2.hash_password_into_with_memory(password, salt, &mut hash, &mut *buffer);
        Ok(made.is_ok().then_some(hash))
    }
}

impl PasswordHash {
    /// That of no password.
    pub(super) fn none() -> Self {
        let (memory_kib, passes) = (PASSWORD_HASH_KIB, PASSES);
        Self { memory_kib, passes, salt: "00".repeat(SALT_BYTES), hash: "00".repeat(HASH_BYTES) }
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let plain = digits.len().is_multiple_of(2) && digits.iter().all(u8::is_ascii_hexdigit);
    let pair = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).ok();
    plain.then(|| (0..digits.len()).step_by(2).map(pair).collect())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_by_its_hash_and_by_nothing_else() {
        let hasher = Hasher::default();
        let password = Secret::new("correct horse battery");
        let hash = hasher.hash(&password, [7; SALT_BYTES]).unwrap();
        assert_ne!(hash, hasher.hash(&password, [8; SALT_BYTES]).unwrap());
        let text = serde_json::to_string(&hash).unwrap();
        assert!(!text.contains("horse") && !format!("{hash:?}").contains(&hash.salt));
        let read: PasswordHash = serde_json::from_str(&text).unwrap();
        assert_eq!(hasher.is(&password, Some(&read)), Ok(true));
        assert_eq!(hasher.is(&Secret::new("correct horse batterz"), Some(&read)), Ok(false));
        assert_eq!(hasher.is(&password, None), Ok(false));
    }

    #[test]
    fn a_file_cannot_ask_for_more_than_the_box_has() {
        let hasher = Hasher::default();
        let password = Secret::new("x");
        for (memory_kib, passes) in [(u32::MAX, 1), (8, u32::MAX), (0, 0)] {
            let hash = PasswordHash { memory_kib, passes, ..PasswordHash::none() };
            assert_eq!(hasher.is(&password, Some(&hash)), Ok(false));
        }
    }

    /// RFC 9106 has no vector of these parameters; this one was made with the reference
    /// implementation: `printf password | argon2 somesaltsomesalt -id -k 19456 -t 2 -p 1 -l 32`.
    #[test]
    fn it_is_argon2id() {
        let made = Hasher::default().hash(&Secret::new("password"), *b"somesaltsomesalt").unwrap();
        assert_eq!(made.hash, VECTOR);
    }

    const VECTOR: &str = "2b5dc4054886ec957ef59c73b661c54dd6fb274590b278f657c6d96aac8fa6d1";
}
