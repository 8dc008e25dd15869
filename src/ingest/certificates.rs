//! The certificates that cameras showed first, kept over restarts.
//!
//! Owns: one small file, written as a whole when a camera is seen for the first time. A damaged one
//! counts as none, and is reported once: cameras are then believed anew.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tracing::{info, warn};

use super::fingerprint::Fingerprint;
use crate::base::file;
use crate::base::limits::{CAMERA_CERTIFICATES_BYTES_MAX, CAMERA_CERTIFICATES_MAX};
use crate::base::sync::lock;

/// The file's name.
const NAME: &str = "camera-certificates.json";

/// The certificate that each camera showed first, by the camera's host and port. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct CameraCertificates(Arc<KnownCertificates>);

#[derive(Debug, Default)]
struct KnownCertificates {
    /// `None`: they are forgotten with the process.
    path: Option<PathBuf>,
    known: Mutex<BTreeMap<String, Fingerprint>>,
}

impl CameraCertificates {
    /// Those that are kept in `state_dir`.
    #[must_use]
    pub fn open(state_dir: &Path) -> Self {
        let path = state_dir.join(NAME);
        let known = read(&path).unwrap_or_else(|error| {
            warn!(part = "tls", %error, "certificates of cameras not read, the next ones are believed");
            BTreeMap::new()
        });
        Self(Arc::new(KnownCertificates { path: Some(path), known: Mutex::new(known) }))
    }

    /// The one that the camera at `address` showed first.
    #[must_use]
    pub(super) fn of(&self, address: &str) -> Option<Fingerprint> {
        lock(&self.0.known).get(address).copied()
    }

    /// Remembers the first one that the camera at `address` shows.
    pub(super) async fn learn(&self, address: &str, shown: Fingerprint) {
        let text = {
            let mut known = lock(&self.0.known);
            if known.contains_key(address) || known.len() >= CAMERA_CERTIFICATES_MAX {
                return;
            }
            known.insert(address.to_owned(), shown);
            let texts: BTreeMap<_, _> =
                known.iter().map(|(address, shown)| (address, shown.to_string())).collect();
            serde_json::to_vec_pretty(&texts).unwrap_or_default()
        };
        let Some(path) = self.0.path.clone() else { return };
        info!(part = "tls", peer = address, certificate = %shown, "certificate of a camera believed from now on");
        let written = tokio::task::spawn_blocking(move || write(&path, &text)).await;
        if let Err(error) = written.map_err(io::Error::other).and_then(|done| done) {
            warn!(part = "tls", %error, "certificate of a camera not kept, after a restart the next one is believed");
        }
    }
}

fn write(path: &Path, text: &[u8]) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    file::replace(path, text)
}

fn read(path: &Path) -> io::Result<BTreeMap<String, Fingerprint>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    let mut text = String::new();
    file.take(CAMERA_CERTIFICATES_BYTES_MAX).read_to_string(&mut text)?;
    let texts: BTreeMap<String, String> = serde_json::from_str(&text)?;
    let known = texts.into_iter().take(CAMERA_CERTIFICATES_MAX);
    let wrong = || io::Error::other("not the SHA-256 of a certificate");
    known.map(|(at, text)| Ok((at, Fingerprint::parse(&text).ok_or_else(wrong)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(digit: &str) -> Fingerprint {
        Fingerprint::parse(&digit.repeat(64)).unwrap()
    }

    #[tokio::test]
    async fn the_first_certificate_is_kept_over_a_restart_and_no_other_takes_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let known = CameraCertificates::open(&state);
        assert_eq!(known.of("10.0.0.7:322"), None);
        known.learn("10.0.0.7:322", print("a")).await;
        known.learn("10.0.0.7:322", print("b")).await;
        let after = CameraCertificates::open(&state);
        assert_eq!(after.of("10.0.0.7:322"), Some(print("a")));
        assert_eq!(after.of("10.0.0.8:322"), None);
    }

    #[tokio::test]
    async fn a_damaged_file_counts_as_none_and_is_written_anew() {
        let dir = tempfile::tempdir().unwrap();
        for damaged in ["", "[]", "{\"a\": 1}", "{\"a\": \"b\"}", &"{".repeat(100_000)] {
            std::fs::write(dir.path().join(NAME), damaged).unwrap();
            let known = CameraCertificates::open(dir.path());
            assert_eq!(known.of("a"), None, "{damaged:.20}");
            known.learn("a", print("c")).await;
            assert_eq!(CameraCertificates::open(dir.path()).of("a"), Some(print("c")));
        }
    }

    #[tokio::test]
    async fn no_more_are_kept_than_may() {
        let known = CameraCertificates::default();
        for number in 0..CAMERA_CERTIFICATES_MAX + 5 {
            known.learn(&number.to_string(), print("d")).await;
        }
        assert_eq!(lock(&known.0.known).len(), CAMERA_CERTIFICATES_MAX);
    }
}
