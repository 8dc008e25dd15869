//! Everything that touches files: the [`Disk`] trait and the real one.
//!
//! Owns: system calls. Does not own: what is written where, which is `slot`, `ring` and
//! `storage`. The trait is small so that a model disk, which tears and forgets, can stand in.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{FallocateFlags, FlockOperation, OFlags};

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
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

/// A place for files. All calls block; they are made on the storage and index threads only.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Opens a file; never through a symbolic link in the last component.
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>>;
    /// Names of what is in a directory, in no order.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
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
}

/// `f_type` of ext2, ext3 and ext4, and of btrfs (statfs(2)).
const EXT4_MAGIC: i128 = 0xef53;
const BTRFS_MAGIC: i128 = 0x9123_683e;

/// The disk of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        let no_follow = OFlags::NOFOLLOW.bits().cast_signed();
        options.read(true).custom_flags(no_follow);
        match how {
            Open::Read => {}
            Open::Write => {
                options.write(true);
            }
            Open::Create => {
                options.write(true).create_new(true);
            }
        }
        let file = options.open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        Ok(Arc::new(RealFile(file)))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(dir)? {
            // A name that is not UTF-8 is none of ours.
            names.extend(entry?.file_name().into_string().ok());
        }
        Ok(names)
    }

    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if fs::symlink_metadata(path)?.is_dir() {
            fs::remove_dir_all(path)
        } else {
            fs::remove_file(path)
        }
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn volume(&self, dir: &Path) -> io::Result<Volume> {
        let stat = rustix::fs::statvfs(dir)?;
        let kind = rustix::fs::statfs(dir)?.f_type;
        // These derive it from the UUID that they were made with. Others take the number of the
        // device, which may be another one after the next boot.
        let lasting = [EXT4_MAGIC, BTRFS_MAGIC].iter().any(|&magic| i128::from(kind) == magic);
        Ok(Volume {
            identity: if lasting { stat.f_fsid } else { 0 },
            total_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
            free_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
        })
    }
}

#[derive(Debug)]
struct RealFile(File);

impl DiskFile for RealFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(buffer, at)
    }

    fn write_at(&self, mut at: u64, pieces: &[&[u8]]) -> io::Result<()> {
        let mut slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        let mut rest = &mut slices[..];
        IoSlice::advance_slices(&mut rest, 0); // passes over empty pieces
        while !rest.is_empty() {
            // Linux takes at most 1,024 pieces at once (IOV_MAX).
            let some = rest.len().min(1_024);
            let written = match rustix::io::pwritev(&self.0, &rest[..some], at) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => written,
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            at += written as u64;
            IoSlice::advance_slices(&mut rest, written);
        }
        Ok(())
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        match rustix::fs::fallocate(&self.0, FallocateFlags::empty(), 0, bytes) {
            Ok(()) => Ok(()),
            // Some file systems cannot reserve; there the space is taken as it is written, and
            // a full disk is met then.
            Err(rustix::io::Errno::OPNOTSUPP) => self.0.set_len(bytes),
            Err(error) => Err(error.into()),
        }
    }

    fn try_lock(&self) -> io::Result<bool> {
        match rustix::fs::flock(&self.0, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

/// The whole of a small file, at most `bytes_max`.
pub(super) fn read_small(disk: &dyn Disk, path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let file = disk.open(path, Open::Read)?;
    let length = file.length()?;
    if length > bytes_max {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is too long"));
    }
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    file.read_at(0, &mut bytes)?;
    Ok(bytes)
}

/// Puts a small file in place so that after a crash it is there whole or not at all.
pub(super) fn write_small(disk: &dyn Disk, dir: &Path, name: &str, text: &[u8]) -> io::Result<()> {
    let path = dir.join(name);
    let fresh = dir.join(format!("{name}.new"));
    match disk.remove(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = disk.open(&fresh, Open::Create)?;
    file.write_at(0, &[text])?;
    file.sync_data()?;
    disk.rename(&fresh, &path)?;
    disk.sync_dir(dir)
}

/// Locks the directory for this process, by a file in it that stays.
pub(super) fn lock(disk: &dyn Disk, dir: &Path) -> io::Result<Option<Arc<dyn DiskFile>>> {
    disk.make_dir(dir)?;
    let path = dir.join("lock");
    let file = match disk.open(&path, Open::Create) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => disk.open(&path, Open::Write),
        opened => opened,
    }?;
    Ok(file.try_lock()?.then_some(file))
}

/// Identity of this boot; all zero where the kernel does not tell it.
pub(super) fn boot_identity() -> [u8; 16] {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    u128::from_str_radix(&digits, 16).unwrap_or(0).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_pieces_arrive_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let file = RealDisk.open(&dir.path().join("x"), Open::Create).unwrap();
        let pieces: Vec<[u8; 2]> = (0..2_500u16).map(u16::to_be_bytes).collect();
        let mut slices: Vec<&[u8]> = pieces.iter().map(|piece| &piece[..]).collect();
        slices.insert(3, &[]);
        file.write_at(5, &slices).unwrap();
        let mut back = vec![0; 5_000];
        file.read_at(5, &mut back).unwrap();
        assert_eq!(back, pieces.concat());
    }

    #[test]
    fn a_planted_symlink_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("target");
        std::fs::write(&target, "precious").unwrap();
        let link = dir.path().join("000000.mp4");
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(RealDisk.open(&link, Open::Write).is_err());
        assert!(RealDisk.open(&link, Open::Create).is_err());
    }

    #[test]
    fn a_boot_has_an_identity() {
        assert_ne!(boot_identity(), [0; 16]);
        assert_eq!(boot_identity(), boot_identity());
    }
}
