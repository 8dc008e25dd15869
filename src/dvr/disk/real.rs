//! The disk of this machine.
//!
//! Owns: the system calls behind [`Disk`]. Each excuses its thread to the watchdog: a disk that
//! stalls is not mended by a new daemon.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::{DirEntryExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Advice, FallocateFlags, FlockOperation, OFlags};

use super::{Disk, DiskFile, OpenMode, Volume};
use crate::supervise::in_device;

/// `f_type` of ext2, ext3 and ext4, and of btrfs (statfs(2)).
const EXT4_MAGIC: i128 = 0xef53;
const BTRFS_MAGIC: i128 = 0x9123_683e;

/// The disk of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn open(&self, path: &Path, how: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let _call = in_device();
        let mut options = OpenOptions::new();
        // A pipe in the place of a file is not waited on: what it is is checked below.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        options.read(true).custom_flags(flags);
        match how {
            OpenMode::Read => {}
            OpenMode::Write => {
                options.write(true);
            }
            OpenMode::Create => {
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
        let _call = in_device();
        let mut names = Vec::new();
        for entry in fs::read_dir(dir)? {
            // A name that is not UTF-8 is not ours.
            names.extend(entry?.file_name().into_string().ok());
        }
        Ok(names)
    }

    fn files(&self, dir: &Path) -> io::Result<Vec<(String, u64)>> {
        let _call = in_device();
        let mut files = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let number = entry.ino();
            files.extend(entry.file_name().into_string().ok().map(|name| (name, number)));
        }
        Ok(files)
    }

    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        let _call = in_device();
        fs::create_dir_all(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let _call = in_device();
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let _call = in_device();
        if fs::symlink_metadata(path)?.is_dir() {
            fs::remove_dir_all(path)
        } else {
            fs::remove_file(path)
        }
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let _call = in_device();
        File::open(dir)?.sync_all()
    }

    fn device(&self, path: &Path) -> io::Result<u64> {
        let _call = in_device();
        Ok(fs::metadata(path)?.dev())
    }

    fn volume(&self, dir: &Path) -> io::Result<Volume> {
        let _call = in_device();
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
        let _call = in_device();
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        let _call = in_device();
        self.0.read_exact_at(buffer, at)
    }

    fn write_at(&self, mut at: u64, pieces: &[&[u8]]) -> io::Result<()> {
        let _call = in_device();
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
        let _call = in_device();
        match rustix::fs::fallocate(&self.0, FallocateFlags::empty(), 0, bytes) {
            Ok(()) => Ok(()),
            // Some file systems cannot reserve; there the space is taken as it is written, and a
            // full disk shows only then.
            Err(rustix::io::Errno::OPNOTSUPP) => self.0.set_len(bytes),
            Err(error) => Err(error.into()),
        }
    }

    fn try_lock(&self) -> io::Result<bool> {
        let _call = in_device();
        match rustix::fs::flock(&self.0, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        let _call = in_device();
        self.0.sync_data()
    }

    fn deleted_from(&self) -> io::Result<Option<u64>> {
        let _call = in_device();
        let metadata = self.0.metadata()?;
        Ok((metadata.nlink() == 0).then(|| metadata.dev()))
    }

    fn forget_cached(&self) -> io::Result<()> {
        let _call = in_device();
        rustix::fs::fadvise(&self.0, 0, None, Advice::DontNeed).map_err(Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_pieces_arrive_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let file = RealDisk.open(&dir.path().join("x"), OpenMode::Create).unwrap();
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
        assert!(RealDisk.open(&link, OpenMode::Write).is_err());
        assert!(RealDisk.open(&link, OpenMode::Create).is_err());
    }

    #[test]
    fn a_pipe_or_a_directory_in_the_place_of_a_file_is_told_and_not_waited_on() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("ring.toml");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        for path in [pipe.as_path(), dir.path()] {
            for how in [OpenMode::Read, OpenMode::Write] {
                assert!(RealDisk.open(path, how).is_err(), "{how:?} {}", path.display());
            }
        }
    }
}
