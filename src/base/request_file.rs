//! One line that the daemon leaves for a helper with more rights.
//!
//! Owns: how it is written, whole, and how a helper reads what a user it does not trust may have put
//! there: bounded, following no link and waiting for no pipe.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Longest request, in bytes.
const REQUEST_BYTES_MAX: u64 = 64;

/// Writes `line` to `path`, where it appears whole, because its appearance starts the helper.
///
/// # Errors
///
/// The file cannot be written: the service that would read it is missing.
pub(crate) fn send(path: &Path, line: &str) -> io::Result<()> {
    let draft = path.with_added_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&draft)?;
    // Whatever the daemon's umask: root without capabilities reads what everyone may read.
    file.set_permissions(Permissions::from_mode(0o644))?;
    writeln!(file, "{line}")?;
    fs::rename(&draft, path)
}

/// Reads the line at `path`, which may be anything.
///
/// # Errors
///
/// It cannot be read as text.
pub(crate) fn receive(path: &Path) -> io::Result<String> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let mut text = String::new();
    file.take(REQUEST_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text.trim_end().to_owned())
}
