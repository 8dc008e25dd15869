//! One viewer that keeps what it sees, for the other servers: the same files in the same moment.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;

use crate::harness::wait_for;

/// What the playlist is called.
pub const PLAYLIST: &str = "media.m3u8";
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Files that stay: more than a playlist names.
const FILES_MAX: usize = 32;

/// Files by their names.
pub type Files = Arc<Mutex<HashMap<String, Bytes>>>;

/// The mirror; it works until the program ends.
#[derive(Debug)]
pub struct Mirror {
    files: Files,
}

impl Mirror {
    /// Mirrors what is at `base` into `dir`. Returns once there is something.
    pub fn start(base: String, dir: &Path) -> Self {
        let files = Files::default();
        let mut work =
            Work { base, dir: dir.to_owned(), files: Arc::clone(&files), order: Vec::new() };
        std::thread::spawn(move || {
            loop {
                work.look();
                std::thread::sleep(LOOK_EVERY);
            }
        });
        wait_for("a playlist", Duration::from_secs(60), || {
            files.lock().unwrap().contains_key(PLAYLIST).then_some(())
        });
        Self { files }
    }

    /// What it holds.
    pub fn files(&self) -> Files {
        Arc::clone(&self.files)
    }
}

struct Work {
    base: String,
    dir: PathBuf,
    files: Files,
    /// Names of what was taken, the oldest first.
    order: Vec<String>,
}

impl Work {
    fn look(&mut self) {
        let Some(playlist) = self.get(PLAYLIST) else { return };
        let text = String::from_utf8(playlist.to_vec()).unwrap();
        let names = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        for name in names {
            if !self.order.iter().any(|known| known == name) {
                let Some(bytes) = self.get(name) else { return };
                self.put(name, bytes);
                self.order.push(name.to_owned());
            }
        }
        self.put(PLAYLIST, playlist);
        while self.order.len() > FILES_MAX {
            let oldest = self.order.remove(0);
            self.files.lock().unwrap().remove(&oldest);
            let _ = std::fs::remove_file(self.dir.join(oldest));
        }
    }

    fn get(&self, name: &str) -> Option<Bytes> {
        let mut answer = ureq::get(&format!("{}{name}", self.base)).call().ok()?;
        answer.body_mut().read_to_vec().ok().map(Bytes::from)
    }

    /// A file is there whole or not at all. When all is over the directory goes first.
    fn put(&self, name: &str, bytes: Bytes) {
        let fresh = self.dir.join("fresh");
        let _ = std::fs::write(&fresh, &bytes);
        let _ = std::fs::rename(&fresh, self.dir.join(name));
        self.files.lock().unwrap().insert(name.to_owned(), bytes);
    }
}
