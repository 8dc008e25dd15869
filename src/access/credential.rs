//! Keys that programs carry: the session's cookie, and the box's own key for its command line.
//!
//! Owns: their form. Of a key that others hold only its hash is kept.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::base::secret::Secret;

/// Bytes of a key.
pub(super) const KEY_BYTES: usize = 32;
/// In front of the key of the command line, so that a text search finds it where it should not be.
const LOCAL_PREFIX: &str = "hfl_";

/// SHA-256 of a key.
pub(super) type KeyHash = [u8; 32];

pub(super) fn hash(text: &str) -> KeyHash {
    Sha256::digest(text.as_bytes()).into()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What a browser keeps of its session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionKey(pub(super) Secret);

impl SessionKey {
    /// A key out of unguessable bytes.
    pub(super) fn new(random: [u8; KEY_BYTES]) -> Self {
        Self(Secret::new(hex(&random)))
    }

    /// The text for the cookie.
    #[must_use]
    pub fn reveal(&self) -> &str {
        self.0.reveal()
    }
}

/// What `holdfast` on the same machine shows to the daemon; another one at each start.
#[derive(Clone, Debug)]
pub struct LocalKey(Secret);

impl LocalKey {
    /// A key out of unguessable bytes.
    #[must_use]
    pub fn new(random: [u8; KEY_BYTES]) -> Self {
        Self(Secret::new(format!("{LOCAL_PREFIX}{}", hex(&random))))
    }

    /// The key in the text of its file.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let digits = text.strip_prefix(LOCAL_PREFIX)?;
        let whole = digits.len() == 2 * KEY_BYTES && digits.bytes().all(|b| b.is_ascii_hexdigit());
        whole.then(|| Self(Secret::new(text)))
    }

    /// The text for the header.
    #[must_use]
    pub fn reveal(&self) -> &str {
        self.0.reveal()
    }

    /// Whether `shown` is this key.
    #[must_use]
    pub fn is(&self, shown: &str) -> bool {
        hash(self.0.reveal()).ct_eq(&hash(shown)).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_back_and_never_shown() {
        let key = LocalKey::new([7; KEY_BYTES]);
        let read = LocalKey::parse(&format!("{}\n", key.reveal())).unwrap();
        assert!(read.is(key.reveal()) && !read.is("hfl_") && !read.is(""));
        assert!(!format!("{key:?}{:?}", SessionKey::new([7; KEY_BYTES])).contains("0707"));
        for wrong in ["", "hfl_", "hfl_00", &format!("hfl_{}", "g".repeat(64))] {
            assert!(LocalKey::parse(wrong).is_none(), "{wrong}");
        }
    }
}
