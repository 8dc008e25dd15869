//! A configuration under which the daemon keeps dying is left for the last one that was good.
//!
//! Owns: `config.good`, the text that last ran for ten minutes, and `config.trial`, how often the
//! daemon died with another one since. Both are in the data directory, readable by the daemon only:
//! they hold cameras' passwords. The user's own file is never touched; any change of it is tried
//! again.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::base::limits::CONFIG_BYTES_MAX;
use crate::base::{boot, device, file};
use crate::config::{self, Config};

const GOOD: &str = "config.good";
const TRIAL: &str = "config.trial";
/// Deaths after which the last good one is used.
const DEATHS_MAX: u32 = 3;
/// A configuration that ran for so long is good.
pub(super) const GOOD_AFTER: Duration = Duration::from_secs(600);

/// What is known of a configuration that was not found good yet.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Note {
    /// SHA-256 of its text.
    text: String,
    deaths: u32,
    /// The boot in which the daemon runs with it; a power cut is not its fault.
    running_in: Option<String>,
}

/// The configuration that runs, until it is known to be good.
#[derive(Debug)]
pub(super) struct ConfigTrial {
    state_dir: PathBuf,
    text: String,
    /// Why the daemon does not run with the file that is there.
    pub(super) reverted: Option<String>,
}

impl ConfigTrial {
    /// Decides with which configuration to start: `wanted`, whose text is `text`, or the last
    /// good one when the daemon died with it again and again.
    pub(super) fn begin(text: String, wanted: Config) -> (Self, Config) {
        let state_dir = prepared(&wanted);
        let mut trial = Self { state_dir, text, reverted: None };
        let good = trial.read(GOOD);
        if good.as_ref() == Some(&trial.text) {
            trial.forget();
            return (trial, wanted);
        }
        let mut note = trial.note();
        if note.running_in.as_ref() == Some(&this_boot()) {
            note.deaths += 1;
        }
        let good = (note.deaths >= DEATHS_MAX).then_some(good).flatten();
        let good = good.and_then(|text| config::parse(&text).ok());
        note.running_in = good.is_none().then(this_boot);
        trial.write(&note);
        let Some(good) = good else { return (trial, wanted) };
        let deaths = note.deaths;
        trial.reverted = Some(format!(
            "The daemon died {deaths} times with the current configuration, so the last good \
             one is used. Change the file, or `systemctl reload holdfast`, to try again."
        ));
        (trial, good)
    }

    /// Whether it is `text` that runs.
    pub(super) fn is_of(&self, text: &str) -> bool {
        self.reverted.is_none() && self.text == text
    }

    /// A person wants `text` to run from now on.
    pub(super) fn restart(&mut self, text: String) {
        let state_dir = self.state_dir.clone();
        *self = Self { state_dir, text, reverted: None };
        let running_in = Some(this_boot());
        self.write(&Note { text: digest(&self.text), deaths: 0, running_in });
    }

    /// It ran for [`GOOD_AFTER`].
    pub(super) fn passed(&self) {
        if self.reverted.is_some() || self.read(GOOD).as_ref() == Some(&self.text) {
            return;
        }
        let kept = file::replace(&self.state_dir.join(GOOD), self.text.as_bytes());
        tell(kept);
        self.forget();
    }

    /// The daemon ends on request.
    pub(super) fn close(&self) {
        let note = self.note();
        if note.running_in.is_some() {
            self.write(&Note { running_in: None, ..note });
        }
    }

    /// The record of this text; nothing of another one.
    fn note(&self) -> Note {
        let note = self.read(TRIAL).and_then(|text| serde_json::from_str::<Note>(&text).ok());
        let digest = digest(&self.text);
        let note = note.filter(|note| note.text == digest);
        note.unwrap_or(Note { text: digest, ..Note::default() })
    }

    fn write(&self, note: &Note) {
        let text = serde_json::to_vec(note).map_err(io::Error::from);
        let kept = text.and_then(|text| file::replace(&self.state_dir.join(TRIAL), &text));
        tell(kept);
    }

    fn forget(&self) {
        let _ = fs::remove_file(self.state_dir.join(TRIAL));
    }

    fn read(&self, name: &str) -> Option<String> {
        let path = self.state_dir.join(name);
        let small = fs::metadata(&path).is_ok_and(|file| file.len() <= CONFIG_BYTES_MAX);
        small.then(|| fs::read_to_string(path).ok()).flatten()
    }
}

/// The directory of both files. What a version of before kept with the footage moves there.
fn prepared(wanted: &Config) -> PathBuf {
    let state_dir = wanted.state_dir();
    // Not its parents: they may be a disk that is to come.
    let _ = fs::DirBuilder::new().mode(0o700).create(&state_dir);
    for name in [GOOD, TRIAL] {
        tell(file::adopt(&wanted.data_dir.join(name), &state_dir.join(name)));
    }
    state_dir
}

fn tell(kept: io::Result<()>) {
    match kept {
        // A directory that is not there yet is the ring's to make, or a disk to come.
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            warn!(part = "config", error = %error, "trial of the configuration is not noted");
        }
        Ok(()) | Err(_) => {}
    }
}

fn digest(text: &str) -> String {
    device::hex(ring::digest::digest(&ring::digest::SHA256, text.as_bytes()).as_ref())
}

fn this_boot() -> String {
    device::hex(&boot::identity())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn text(dir: &Path, fps: u32) -> String {
        let dir = dir.display();
        let source = format!("{{ kind = \"pattern\", fps = {fps} }}");
        format!("data_dir = \"{dir}\"\n[stream.demo]\nsource = {source}\n")
    }

    fn start(dir: &Path, fps: u32) -> (ConfigTrial, bool) {
        let wanted = config::parse(&text(dir, fps)).unwrap();
        let (trial, config) = ConfigTrial::begin(text(dir, fps), wanted.clone());
        (trial, config == wanted)
    }

    #[test]
    fn three_deaths_bring_the_last_good_one_back() {
        let dir = tempfile::tempdir().unwrap();
        start(dir.path(), 5).0.passed();
        for deaths in 0..3 {
            assert!(start(dir.path(), 7).1, "{deaths} deaths");
        }
        for _ in 0..3 {
            let (trial, wanted) = start(dir.path(), 7);
            assert!(!wanted && trial.reverted.is_some(), "and it stays so");
            trial.passed();
        }
        assert!(start(dir.path(), 8).1, "another text is tried");
        let (mut trial, _) = start(dir.path(), 7);
        trial.restart(text(dir.path(), 7));
        trial.close();
        assert!(start(dir.path(), 7).1, "somebody wants it to be tried again");
    }

    #[test]
    fn ends_that_were_asked_for_are_no_deaths() {
        let dir = tempfile::tempdir().unwrap();
        start(dir.path(), 5).0.passed();
        for _ in 0..9 {
            let (trial, wanted) = start(dir.path(), 7);
            assert!(wanted);
            trial.close();
        }
    }

    #[test]
    fn without_a_good_one_there_is_nothing_to_go_back_to() {
        let dir = tempfile::tempdir().unwrap();
        assert!((0..9).all(|_| start(dir.path(), 7).1));
        fs::write(dir.path().join(GOOD), "no configuration").unwrap();
        assert!((0..9).all(|_| start(dir.path(), 7).1));
    }

    #[test]
    fn a_good_one_is_readable_by_the_daemon_only() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        start(dir.path(), 5).0.passed();
        let mode = fs::metadata(dir.path().join("state").join(GOOD)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!dir.path().join("state").join(TRIAL).exists());
    }

    #[test]
    fn what_lay_with_the_footage_moves_to_the_state() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(GOOD), text(dir.path(), 5)).unwrap();
        assert!((0..3).all(|_| start(dir.path(), 7).1));
        let (trial, wanted) = start(dir.path(), 7);
        assert!(!wanted && trial.reverted.is_some(), "it is still the good one");
        assert!(!dir.path().join(GOOD).exists());
    }
}
