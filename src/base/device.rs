//! The key that says which box it was: made once, kept in `state_dir`, never shown.
//!
//! Owns: its file, its public half in the forms that people compare, signing and checking
//! (Ed25519, RFC 8032). A key that is there and cannot be used is kept as `device.key.bad`.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};

use super::{file, random};

/// The file.
const FILE: &str = "device.key";
const DAMAGED: &str = "device.key.bad";
/// What is before the 32 bytes of a private key in PKCS #8 (RFC 8410 §7).
const PRIVATE_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
/// What is before the 32 bytes of a public key in a `SubjectPublicKeyInfo` (RFC 8410 §4).
const PUBLIC_PREFIX: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// Characters of a line of PEM (RFC 7468 §2).
const PEM_LINE_CHARS: usize = 64;
/// Bytes of a signature.
pub const SIGNATURE_BYTES: usize = 64;

/// Why there is no device key.
#[derive(Debug, thiserror::Error)]
pub enum DeviceKeyError {
    /// Its file cannot be read or written.
    #[error("cannot {doing} {}", path.display())]
    File {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// There is none yet.
    #[error("{} is not there: the key is made when the daemon first opens its ring", path.display())]
    Missing {
        /// Where it would be.
        path: PathBuf,
    },
    /// The file holds no key of ours.
    #[error("{} holds no Ed25519 key", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
    },
    /// The kernel gives no random bytes.
    #[error("no random bytes")]
    Random(#[source] io::Error),
}

/// The private half. It leaves the process only into its file.
pub struct DeviceKey(Ed25519KeyPair);

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceKey({})", self.public().fingerprint())
    }
}

impl DeviceKey {
    /// Moves the key from `old`, where versions of before kept it with the recordings, to `new`.
    pub fn adopt(old: &Path, new: &Path) -> Result<(), DeviceKeyError> {
        let path = old.join(FILE);
        file::adopt(&path, &new.join(FILE)).map_err(|source| DeviceKeyError::File {
            doing: "move",
            path,
            source,
        })
    }

    /// The key in `dir`, made if there is none. Says whether it was made.
    pub fn find_or_make(dir: &Path) -> Result<(Self, bool), DeviceKeyError> {
        match Self::find(dir) {
            Ok(key) => return Ok((key, false)),
            Err(DeviceKeyError::Missing { .. }) => {}
            Err(DeviceKeyError::Damaged { path }) => {
                let moved = fs::rename(&path, dir.join(DAMAGED));
                moved.map_err(|source| DeviceKeyError::File { doing: "move", path, source })?;
            }
            Err(error) => return Err(error),
        }
        let seed = random::bytes::<32>().map_err(DeviceKeyError::Random)?;
        let der = [&PRIVATE_PREFIX[..], &seed[..]].concat();
        let path = dir.join(FILE);
        let key =
            Self::parse(&der).ok_or_else(|| DeviceKeyError::Damaged { path: path.clone() })?;
        file::replace(&path, pem("PRIVATE KEY", &der).as_bytes())
            .map_err(|source| DeviceKeyError::File { doing: "write", path, source })?;
        Ok((key, true))
    }

    /// The key in `dir`.
    pub fn find(dir: &Path) -> Result<Self, DeviceKeyError> {
        let path = dir.join(FILE);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(DeviceKeyError::Missing { path });
            }
            Err(source) => return Err(DeviceKeyError::File { doing: "read", path, source }),
        };
        let der = PrivatePkcs8KeyDer::from_pem_slice(&text).ok();
        let key = der.and_then(|der| Self::parse(der.secret_pkcs8_der()));
        key.ok_or(DeviceKeyError::Damaged { path })
    }

    fn parse(der: &[u8]) -> Option<Self> {
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).ok().map(Self)
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.public_key().as_ref());
        PublicKey(bytes)
    }

    /// Signs `message`.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        let mut bytes = [0; SIGNATURE_BYTES];
        bytes.copy_from_slice(self.0.sign(message).as_ref());
        bytes
    }
}

/// The public half of a device key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.fingerprint())
    }
}

impl PublicKey {
    /// From PEM, as openssl reads and writes it.
    #[must_use]
    pub fn from_pem(text: &[u8]) -> Option<Self> {
        let der = SubjectPublicKeyInfoDer::from_pem_slice(text).ok()?;
        der.strip_prefix(&PUBLIC_PREFIX)?.try_into().ok().map(Self)
    }

    /// As PEM.
    #[must_use]
    pub fn to_pem(&self) -> String {
        pem("PUBLIC KEY", &self.der())
    }

    /// SHA-256 of its DER form, 64 hexadecimal digits:
    /// `openssl pkey -pubin -in KEY -outform DER | sha256sum`.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        hex(digest(&SHA256, &self.der()).as_ref())
    }

    /// Whether `signature` is this key's under `message`.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(message, signature).is_ok()
    }

    fn der(&self) -> Vec<u8> {
        [&PUBLIC_PREFIX[..], &self.0[..]].concat()
    }
}

/// `bytes` as lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing into a String cannot fail
        text
    })
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(PEM_LINE_CHARS));
        out.push_str(line);
        out.push('\n');
        rest = more;
    }
    out + &format!("-----END {label}-----\n")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_readable_by_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(DeviceKey::find(dir.path()), Err(DeviceKeyError::Missing { .. })));
        let (key, made) = DeviceKey::find_or_make(dir.path()).unwrap();
        let (again, made_again) = DeviceKey::find_or_make(dir.path()).unwrap();
        assert_eq!((made, made_again), (true, false));
        assert_eq!(key.public(), again.public());
        let mode = fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_key_is_kept_beside_the_new_one() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), "no key").unwrap();
        assert!(DeviceKey::find_or_make(dir.path()).unwrap().1);
        assert_eq!(fs::read(dir.path().join(DAMAGED)).unwrap(), b"no key");
    }

    #[test]
    fn what_one_key_signed_no_other_did() {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [key, other] = dirs.map(|dir| DeviceKey::find_or_make(dir.path()).unwrap().0);
        let signature = key.sign(b"seen");
        assert!(key.public().verifies(b"seen", &signature));
        assert!(!key.public().verifies(b"unseen", &signature));
        assert!(!other.public().verifies(b"seen", &signature));
        assert_eq!(PublicKey::from_pem(key.public().to_pem().as_bytes()), Some(key.public()));
    }

    #[test]
    fn printing_a_key_prints_its_fingerprint_only() {
        let dir = tempfile::tempdir().unwrap();
        let (key, _) = DeviceKey::find_or_make(dir.path()).unwrap();
        assert_eq!(format!("{key:?}"), format!("DeviceKey({})", key.public().fingerprint()));
    }
}
