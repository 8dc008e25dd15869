//! A private key, its certificate and a line about them in one file, so that they cannot part.
//!
//! Owns: the form. The line is JSON behind a `#`; readers of PEM skip it (RFC 7468 §2).

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use rustls::pki_types::CertificateDer;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{TlsError, chain};
use crate::base::file;

const KEY_END: &str = "-----END PRIVATE KEY-----\n";

/// What is in the file.
pub(super) struct PemFile<A> {
    pub(super) about: A,
    /// The private key, as PEM.
    pub(super) key: String,
    /// The certificate, as PEM.
    pub(super) certificate: String,
}

impl<A> PemFile<A> {
    pub(super) fn chain(&self) -> Option<Vec<CertificateDer<'static>>> {
        chain(self.certificate.as_bytes())
    }
}

/// The file at `path`; `None` if it does not exist or has another form.
pub(super) fn read<A: DeserializeOwned>(path: &Path) -> Result<Option<PemFile<A>>, TlsError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(parse(&text)),
        Err(error) if is_absent(error.kind()) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
        // It is there: another one would surprise everyone who trusts it.
        Err(source) => Err(TlsError::Read { path: path.to_owned(), source }),
    }
}

fn parse<A: DeserializeOwned>(text: &str) -> Option<PemFile<A>> {
    let (about, rest) = text.strip_prefix("# ")?.split_once('\n')?;
    let (key, certificate) = rest.split_at(rest.find(KEY_END)? + KEY_END.len());
    let about = serde_json::from_str(about).ok()?;
    Some(PemFile { about, key: key.to_owned(), certificate: certificate.to_owned() })
}

fn is_absent(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Puts `file` at `path`, for its owner only.
pub(super) fn write<A: Serialize>(path: &Path, file: &PemFile<A>) -> io::Result<()> {
    let about = serde_json::to_string(&file.about)?;
    let dir = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let text = format!("# {about}\n{}{}", file.key, file.certificate);
    file::replace(path, text.as_bytes())
}
