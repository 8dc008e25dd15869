//! Small files that are replaced whole.
//!
//! Owns: the order of the steps, so that a reader of the file, or a start after a power cut, finds
//! either the old content or the new: written to a file beside it, synced, renamed, and the
//! directory synced (rename(2), fsync(2)).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Puts `bytes` in the place of `path`, readable by its owner only. First they are written to `path`
/// with `.new` behind it, so one at a time may do so; what a killed process left there is removed.
///
/// # Errors
///
/// The medium refuses it, or the directory is not there. The old file is there then.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    by_way_of(&path.with_added_extension("new"), path, bytes)
}

/// [`replace`] for a file that several processes may replace at the same moment.
///
/// # Errors
///
/// As those of [`replace`].
pub fn replace_shared(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = path.with_added_extension(format!("{}.new", std::process::id()));
    by_way_of(&draft, path, bytes)
}

fn by_way_of(draft: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Err(error) = fs::remove_file(draft)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(draft, path)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_is_there_whole_and_its_owners_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("known.json");
        replace(&path, b"old and longer").unwrap();
        // What a killed process left.
        fs::write(dir.path().join("known.json.new"), b"half").unwrap();
        for replace in [replace, replace_shared] {
            replace(&path, b"new").unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"new");
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_directory_that_is_not_there_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let error = replace(&dir.path().join("none/known.json"), b"new").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
