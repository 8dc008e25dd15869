//! The files through which the daemon and root's helper talk.
//!
//! Owns: both files and their format. Each side reads what the other may have forged: it is bounded, and
//! nothing in it names a path or a program.

use std::fs::{self, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::state::UpdateState;
use crate::base::limits::UPDATE_REPORT_BYTES_MAX;
use crate::base::request_file;

/// The daemon's request; `holdfast-update.path` watches it.
pub const REQUEST_PATH: &str = "/run/holdfast/update-request";
/// The daemon's request for a factory reset; `holdfast-reset.path` watches it.
pub const RESET_REQUEST_PATH: &str = "/run/holdfast/reset-request";
/// Where the unit moves the request before the helper runs.
pub const TAKEN_REQUEST_PATH: &str = "/run/holdfast-update/request";
/// The helper's report.
pub const REPORT_PATH: &str = "/run/holdfast-update/report.json";
/// The uploaded update, in the data directory.
pub(super) const BUNDLE: &str = "update/bundle.raucb";
/// Length of an upload's id.
const ID_LETTERS: usize = 16;

/// What to do with the uploaded update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateStep {
    /// Read its description.
    Inspect,
    /// Install it and restart the box into it.
    Install,
}

/// A request of the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateRequest {
    /// What to do.
    pub step: UpdateStep,
    /// The upload's id.
    pub id: String,
}

/// The helper's report on an upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Report {
    /// The upload's id.
    pub(super) id: String,
    /// How far it is.
    pub(super) state: UpdateState,
    /// Its version, if known.
    #[serde(default)]
    pub(super) version: Option<String>,
    /// How much of it is installed.
    #[serde(default)]
    pub(super) percent: Option<u8>,
    /// Why it was refused.
    #[serde(default)]
    pub(super) message: Option<String>,
}

impl UpdateRequest {
    /// Writes it to `path`.
    ///
    /// # Errors
    ///
    /// The file cannot be written: the service that would read it is missing.
    pub fn send(&self, path: &Path) -> io::Result<()> {
        let word = match self.step {
            UpdateStep::Inspect => "inspect",
            UpdateStep::Install => "install",
        };
        request_file::send(path, &format!("{word} {}", self.id))
    }

    /// Reads it from `path`, which may hold anything.
    ///
    /// # Errors
    ///
    /// It is not a request of the daemon.
    pub fn receive(path: &Path) -> io::Result<Self> {
        Self::parse(&request_file::receive(path)?).ok_or_else(|| io::Error::other("no request"))
    }

    fn parse(text: &str) -> Option<Self> {
        let (word, id) = text.split_once(' ')?;
        let step = match word {
            "inspect" => UpdateStep::Inspect,
            "install" => UpdateStep::Install,
            _ => return None,
        };
        let is_id = id.len() == ID_LETTERS && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_id.then(|| Self { step, id: id.to_owned() })
    }
}

impl Report {
    /// A report without details.
    pub(super) fn new(id: &str, state: UpdateState) -> Self {
        Self { id: id.to_owned(), state, version: None, percent: None, message: None }
    }

    /// Writes it to `path` atomically, readable for everyone.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let draft = path.with_added_extension("new");
        fs::write(&draft, serde_json::to_vec(self)?)?;
        fs::set_permissions(&draft, Permissions::from_mode(0o644))?;
        fs::rename(&draft, path)
    }

    /// The report at `path`, if there is a valid one.
    pub(super) fn read(path: &Path) -> Option<Self> {
        let file = fs::File::open(path).ok()?;
        let mut bytes = Vec::new();
        file.take(UPDATE_REPORT_BYTES_MAX).read_to_end(&mut bytes).ok()?;
        serde_json::from_slice(&bytes).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_one_line_of_known_words() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("request");
        for step in [UpdateStep::Inspect, UpdateStep::Install] {
            let sent = UpdateRequest { step, id: "0123456789abcdef".to_owned() };
            sent.send(&path).unwrap();
            assert_eq!(UpdateRequest::receive(&path).unwrap(), sent);
        }
        for text in ["", "install", "install ../../etc/passwd", "remove 0123456789abcdef"] {
            fs::write(&path, text).unwrap();
            assert!(UpdateRequest::receive(&path).is_err(), "{text}");
        }
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", &path).unwrap();
        assert!(UpdateRequest::receive(&path).is_err());
    }
}
