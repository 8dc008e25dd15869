//! Small files that are replaced whole.
//!
//! Owns: the order of the steps, so that a reader of the file, or a start after a power cut, finds
//! either the old content or the new: written to a file beside it, synced, renamed, and the
//! directory synced (rename(2), fsync(2)).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// A file that is moved has no more bytes than this.
const ADOPTED_BYTES_MAX: u64 = 4 << 20;

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

/// Moves the small file `old` to `new`, which may be on another medium. Where both are there, `new`
/// stays: the old one is of before it was moved.
///
/// # Errors
///
/// Either cannot be read or written, or `old` is larger than a small file. Nothing is lost then.
pub fn adopt(old: &Path, new: &Path) -> io::Result<()> {
    let bytes = match fs::metadata(old) {
        Ok(file) if file.len() <= ADOPTED_BYTES_MAX => fs::read(old)?,
        Ok(_) => return Err(io::Error::other("the file is larger than allowed")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !new.try_exists()? {
        replace(new, &bytes)?;
    }
    fs::remove_file(old)?;
    File::open(old.parent().unwrap_or(Path::new(".")))?.sync_all()
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
    fn a_file_that_moves_is_in_one_place_and_its_owners_only() {
        let dir = tempfile::tempdir().unwrap();
        let (old, new) = (dir.path().join("old.key"), dir.path().join("new.key"));
        adopt(&old, &new).unwrap();
        assert!(!new.exists(), "there was none");
        fs::write(&old, "key").unwrap();
        adopt(&old, &new).unwrap();
        assert_eq!(fs::read(&new).unwrap(), b"key");
        assert_eq!(fs::metadata(&new).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&old, "of before").unwrap();
        adopt(&old, &new).unwrap();
        assert!(!old.exists() && fs::read(&new).unwrap() == b"key");
    }

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
