//! Everything that touches files: the [`Disk`] trait, the real disk, and the model of one.
//!
//! Owns: system calls. Does not own: what is written where, which is `slot`, `ring` and `storage`.
//! The trait is small so that the model disk, which tears and forgets, can replace it.

#[cfg(test)]
pub(crate) mod model;
mod priority;
mod real;

use std::path::Path;
use std::sync::Arc;
use std::{fmt, io};

pub use self::priority::yield_to_others;
pub use self::real::RealDisk;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// It is there and is only read.
    Read,
    /// It is there and is read and written.
    Write,
    /// It is not there and is made; fails when there is anything of that name.
    Create,
}

/// What is known of the volume that holds a directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// Identity of the file system, the same at every mount; 0 where it has none.
    pub identity: u64,
    /// All bytes of it.
    pub total_bytes: u64,
    /// Bytes that we may still take.
    pub free_bytes: u64,
}

/// A place for files. All calls block; they are made on the storage and index threads, and for
/// readers on threads for blocking work.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Opens a file; never through a symbolic link in the last component.
    fn open(&self, path: &Path, how: OpenMode) -> io::Result<Arc<dyn DiskFile>>;
    /// Names of what is in a directory, in no order.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// As [`Disk::list`], each with the number of its file, which stays when it is renamed; 0 where
    /// files have none.
    fn files(&self, dir: &Path) -> io::Result<Vec<(String, u64)>> {
        Ok(self.list(dir)?.into_iter().map(|name| (name, 0)).collect())
    }
    /// Makes a directory and those above it; one that is there already is fine.
    fn make_dir(&self, dir: &Path) -> io::Result<()>;
    /// Renames; what had the new name is replaced.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file, or a directory with all in it.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// What is known of the volume that holds `dir`.
    fn volume(&self, dir: &Path) -> io::Result<Volume>;
    /// The number of the device that holds `path`; 0 where devices have none.
    fn device(&self, _path: &Path) -> io::Result<u64> {
        Ok(0)
    }
}

/// An open file.
pub trait DiskFile: Send + Sync + fmt::Debug {
    /// Bytes in it.
    fn length(&self) -> io::Result<u64>;
    /// Fills `buffer` from `at`; `UnexpectedEof` when the file ends first.
    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()>;
    /// Writes all `pieces` one behind the other from `at`, in one system call where it takes
    /// them all at once.
    fn write_at(&self, at: u64, pieces: &[&[u8]]) -> io::Result<()>;
    /// Takes space so that the file has `bytes`; fails with `StorageFull` when there is none.
    fn allocate(&self, bytes: u64) -> io::Result<()>;
    /// Keeps other processes from doing the same until the file is closed; false when one
    /// does it already.
    fn try_lock(&self) -> io::Result<bool>;
    /// `fdatasync`: returns when what was written is on the medium.
    fn sync_data(&self) -> io::Result<()>;
    /// The number of its device, when it has no name any more: it was deleted, not moved.
    fn deleted_from(&self) -> io::Result<Option<u64>> {
        Ok(None)
    }
    /// Forgets what is remembered of the file and is not waiting to be written: what is read
    /// next comes from the medium. Advice; where it is not taken nothing is different.
    fn forget_cached(&self) -> io::Result<()> {
        Ok(())
    }
}

/// The whole of a small file, at most `bytes_max`.
pub(crate) fn read_small(disk: &dyn Disk, path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let file = disk.open(path, OpenMode::Read)?;
    let length = file.length()?;
    if length > bytes_max {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is too long"));
    }
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    file.read_at(0, &mut bytes)?;
    Ok(bytes)
}

/// Puts a small file in place so that after a crash it is there whole or not at all.
pub(crate) fn write_small(disk: &dyn Disk, dir: &Path, name: &str, text: &[u8]) -> io::Result<()> {
    let path = dir.join(name);
    let fresh = dir.join(format!("{name}.new"));
    match disk.remove(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = disk.open(&fresh, OpenMode::Create)?;
    file.write_at(0, &[text])?;
    file.sync_data()?;
    disk.rename(&fresh, &path)?;
    disk.sync_dir(dir)
}

/// Locks the directory for this process, by a file in it that stays.
pub(crate) fn lock(disk: &dyn Disk, dir: &Path) -> io::Result<Option<Arc<dyn DiskFile>>> {
    disk.make_dir(dir)?;
    let path = dir.join("lock");
    let file = match disk.open(&path, OpenMode::Create) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            disk.open(&path, OpenMode::Write)
        }
        opened => opened,
    }?;
    Ok(file.try_lock()?.then_some(file))
}
