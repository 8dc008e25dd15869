//! A change of the configuration that may lock everybody out is taken back, unless somebody who could
//! still connect confirms it in time.
//!
//! Owns: which changes those are, and the note on the disk: a daemon that starts and finds one takes
//! the change back too, so that a power cut is no confirmation. A file that was changed by hand
//! meanwhile stays as it is.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tracing::{error, warn};

use crate::base::fault::chain;
use crate::base::file;
use crate::base::limits::CONFIG_BYTES_MAX;
use crate::config::Config;
use crate::config::file::{ConfigFile, Snapshot};
use crate::serve::config_desk::{Changer, ConfigRefusal};

const NOTE: &str = "config.unconfirmed";

/// The change that waits for its confirmation, if there is one.
#[derive(Debug)]
pub(super) struct Unconfirmed {
    path: PathBuf,
    pending: Option<Pending>,
}

#[derive(Debug)]
struct Pending {
    note: Note,
    /// The connection over which the change came.
    from: SocketAddr,
    until: Instant,
}

/// What is on the disk.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    /// The text that comes back.
    before: String,
    /// The tag of the text that waits.
    after: String,
}

impl Unconfirmed {
    /// Nothing waits; its note is to be in `state_dir`.
    pub(super) fn new(state_dir: &Path) -> Self {
        Self { path: state_dir.join(NOTE), pending: None }
    }

    /// Whether a change waits.
    pub(super) fn waits(&self) -> bool {
        self.pending.is_some()
    }

    /// When the change is taken back.
    pub(super) fn until(&self) -> Option<Instant> {
        self.pending.as_ref().map(|pending| pending.until)
    }

    /// How long the change waits still.
    pub(super) fn left(&self) -> Option<Duration> {
        self.until().map(|until| until.saturating_duration_since(Instant::now()))
    }

    /// Notes that `after` is about to take the place of `before`.
    pub(super) fn begin(
        &mut self,
        before: &Snapshot,
        after: &Snapshot,
        changer: Changer,
    ) -> io::Result<()> {
        let note = Note { before: before.text.clone(), after: after.tag.clone() };
        file::replace(&self.path, &serde_json::to_vec(&note)?)?;
        let Changer { from, confirm_within } = changer;
        self.pending = Some(Pending { note, from, until: Instant::now() + confirm_within });
        Ok(())
    }

    /// The change stays.
    pub(super) fn confirm(&mut self, from: SocketAddr) -> Result<(), ConfigRefusal> {
        let pending = self.pending.as_ref().ok_or(ConfigRefusal::NothingToConfirm)?;
        if pending.from == from {
            return Err(ConfigRefusal::SameConnection);
        }
        self.forget();
        Ok(())
    }

    /// The file says `text` now: a change that was replaced by hand waits no longer.
    pub(super) fn replaced_by(&mut self, text: &str) {
        let tag = Snapshot::new(text.to_owned()).tag;
        if self.pending.as_ref().is_some_and(|pending| pending.note.after != tag) {
            self.forget();
        }
    }

    /// The change did not happen, or waits no longer.
    pub(super) fn forget(&mut self) {
        self.pending = None;
        let _ = fs::remove_file(&self.path);
    }

    /// Puts the text of before back into `file`; that text, if it is there now.
    pub(super) fn take_back(&mut self, file: &ConfigFile) -> Option<String> {
        let Pending { note, .. } = self.pending.take()?;
        self.put_back(file, note)
    }

    /// The same at a start, if the note of a change is found.
    pub(super) fn take_back_left(&mut self, file: &ConfigFile) -> Option<String> {
        let small = fs::metadata(&self.path).ok()?.len() <= 4 * CONFIG_BYTES_MAX;
        let text = small.then(|| fs::read_to_string(&self.path).ok()).flatten();
        let note = text.and_then(|text| serde_json::from_str(&text).ok());
        let Some(note) = note else {
            self.forget();
            return None;
        };
        self.put_back(file, note)
    }

    fn put_back(&mut self, file: &ConfigFile, note: Note) -> Option<String> {
        let now = file.read().ok().filter(|now| now.tag == note.after);
        let put = now.map(|now| file.write(&now, &note.before));
        match put {
            Some(Ok(())) => {
                warn!(part = "config", "a change was not confirmed in time and is taken back");
                self.forget();
                Some(note.before)
            }
            Some(Err(cause)) => {
                let error = chain(&cause);
                error!(
                    part = "config",
                    error, "a change that was not confirmed cannot be taken back"
                );
                None
            }
            None => {
                self.forget();
                None
            }
        }
    }
}

/// Whether a client that reaches the API under `old` may not reach it under `new`.
pub(super) fn may_lock_out(old: &Config, new: &Config) -> bool {
    let gone = |old: &[SocketAddr], new: &[SocketAddr]| old.iter().any(|at| !new.contains(at));
    gone(&old.http_listen, &new.http_listen)
        || gone(&old.https_listen, &new.https_listen)
        || old.tls != new.tls
        || (new.http.https_required && !old.http.https_required)
        || old.http.external_url != new.http.external_url
        || old.http.trusted_proxies != new.http.trusted_proxies
        || old.http.hosts.iter().any(|host| !new.http.hosts.contains(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "data_dir = \"/data\"\n";
    const AFTER: &str = "data_dir = \"/data\"\n[http]\nlisten = [\"127.0.0.1:8081\"]\n";

    fn changer(port: u16) -> Changer {
        let from = SocketAddr::from(([192, 0, 2, 7], port));
        Changer { from, confirm_within: Duration::from_secs(90) }
    }

    /// A file that was changed, with the note of it.
    fn changed(dir: &Path) -> (ConfigFile, Unconfirmed) {
        let path = dir.join("holdfast.toml");
        fs::write(&path, BEFORE).unwrap();
        let file = ConfigFile::new(&path, dir);
        let (before, after) = (file.read().unwrap(), Snapshot::new(AFTER.to_owned()));
        let mut unconfirmed = Unconfirmed::new(dir);
        unconfirmed.begin(&before, &after, changer(7)).unwrap();
        file.write(&before, AFTER).unwrap();
        (file, unconfirmed)
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_stays_once_somebody_else_or_somebody_who_came_anew_confirms_it() {
        let dir = tempfile::tempdir().unwrap();
        let (file, mut unconfirmed) = changed(dir.path());
        assert_eq!(unconfirmed.confirm(changer(7).from), Err(ConfigRefusal::SameConnection));
        assert!(unconfirmed.waits());
        assert_eq!(unconfirmed.confirm(changer(8).from), Ok(()));
        assert_eq!(unconfirmed.confirm(changer(8).from), Err(ConfigRefusal::NothingToConfirm));
        assert_eq!(Unconfirmed::new(dir.path()).take_back_left(&file), None);
        assert_eq!(file.read().unwrap().text, AFTER);
    }

    #[tokio::test(start_paused = true)]
    async fn without_one_the_old_text_comes_back_after_a_power_cut_too() {
        for cut in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let (file, mut unconfirmed) = changed(dir.path());
            let back = if cut {
                Unconfirmed::new(dir.path()).take_back_left(&file)
            } else {
                unconfirmed.take_back(&file)
            };
            assert_eq!(back.as_deref(), Some(BEFORE));
            assert_eq!(file.read().unwrap().text, BEFORE);
            assert_eq!(Unconfirmed::new(dir.path()).take_back_left(&file), None, "it is done");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_note_whose_change_was_cut_off_or_replaced_by_hand_changes_nothing() {
        for text in [BEFORE, "data_dir = \"/other\"\n"] {
            let dir = tempfile::tempdir().unwrap();
            let (file, mut unconfirmed) = changed(dir.path());
            fs::write(dir.path().join("holdfast.toml"), text).unwrap();
            assert_eq!(Unconfirmed::new(dir.path()).take_back_left(&file), None);
            assert_eq!(unconfirmed.take_back(&file), None);
            assert_eq!(file.read().unwrap().text, text);
            assert!(!dir.path().join(NOTE).exists());
        }
    }

    #[test]
    fn what_takes_a_way_in_away_has_to_be_confirmed() {
        let with = |text: &str| crate::config::parse(text).unwrap();
        let old = with("[http]\nlisten = [\"127.0.0.1:8080\"]\nhosts = [\"cam.example\"]\n");
        for (text, locks_out) in [
            ("listen = [\"127.0.0.1:8080\"]\nhosts = [\"cam.example\", \"b.example\"]", false),
            ("listen = [\"127.0.0.1:8080\", \"127.0.0.1:8081\"]\nhosts = [\"cam.example\"]", false),
            ("listen = [\"127.0.0.1:8081\"]\nhosts = [\"cam.example\"]", true),
            ("listen = [\"127.0.0.1:8080\"]\nhosts = []", true),
        ] {
            assert_eq!(
                may_lock_out(&old, &with(&format!("[http]\n{text}\n"))),
                locks_out,
                "{text}"
            );
        }
        assert!(!may_lock_out(&old, &old));
    }
}
