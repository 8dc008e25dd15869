//! Reads what the kernel tells in small files, below a root that tests choose.
//!
//! Owns: the bounds. Whatever a file holds, the answer is a short text, a number, or nothing.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::base::limits::{BOARD_ENTRIES_MAX, BOARD_FILE_BYTES_MAX, BOARD_TEXT_CHARS_MAX};

/// A file system as the kernel shows it: `/`, or what a test has made.
#[derive(Clone, Debug)]
pub(super) struct SysTree(PathBuf);

impl SysTree {
    pub(super) fn new(root: impl Into<PathBuf>) -> Self {
        Self(root.into())
    }

    pub(super) fn path(&self, inside: impl AsRef<Path>) -> PathBuf {
        self.0.join(inside)
    }

    /// The first [`BOARD_FILE_BYTES_MAX`] bytes of a file.
    pub(super) fn bytes(&self, inside: impl AsRef<Path>) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = File::open(self.path(inside)).ok()?;
        file.take(BOARD_FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    /// Reads a file of several lines, replacing what is not UTF-8.
    pub(super) fn lines(&self, inside: impl AsRef<Path>) -> Option<String> {
        Some(String::from_utf8_lossy(&self.bytes(inside)?).into_owned())
    }

    /// The one line of a file: printable, trimmed, not empty, at most [`BOARD_TEXT_CHARS_MAX`].
    pub(super) fn text(&self, inside: impl AsRef<Path>) -> Option<String> {
        printable(&self.bytes(inside)?)
    }

    /// The number that a file holds.
    pub(super) fn number<T: FromStr>(&self, inside: impl AsRef<Path>) -> Option<T> {
        self.text(inside)?.parse().ok()
    }

    /// Names in a directory, in order.
    pub(super) fn names(&self, inside: impl AsRef<Path>) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path(inside)) else { return Vec::new() };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<_> = names.take(BOARD_ENTRIES_MAX).collect();
        names.sort_by_key(|name| (name.len(), name.clone()));
        names
    }
}

/// `bytes` up to the first line end or NUL (device trees end texts so), if people can read it.
pub(super) fn printable(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|&byte| byte == 0 || byte == b'\n').unwrap_or(bytes.len());
    let text = std::str::from_utf8(&bytes[..end]).ok()?.trim();
    let good = !text.is_empty() && !text.chars().any(char::is_control);
    good.then(|| text.chars().take(BOARD_TEXT_CHARS_MAX).collect())
}
