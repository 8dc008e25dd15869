//! A disk that fails on command.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};

use crate::dvr::disk::{Disk, DiskFile, OpenMode, RealDisk, Volume};

/// What is to fail from now on.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) write: Option<io::ErrorKind>,
    /// Fails this many syncs.
    pub(crate) syncs: u32,
    /// Slots whose space can still be taken; `None` for any number.
    pub(crate) room: Option<u32>,
    pub(crate) stalled: bool,
    /// Identity of the volume, if not the real one.
    pub(crate) volume: Option<u64>,
    /// Files whose sync failed, and how often they were synced afterwards.
    pub(crate) failed: Vec<(PathBuf, u32)>,
}

/// The disk of this machine, with faults.
#[derive(Clone, Debug, Default)]
pub(crate) struct FaultyDisk(Arc<(Mutex<Faults>, Condvar)>);

impl FaultyDisk {
    pub(crate) fn set(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.0.0.lock().unwrap());
        self.0.1.notify_all();
    }

    pub(crate) fn failed(&self) -> Vec<(PathBuf, u32)> {
        self.0.0.lock().unwrap().failed.clone()
    }

    fn write_fault(&self) -> io::Result<()> {
        let mut faults = self.0.0.lock().unwrap();
        while faults.stalled {
            faults = self.0.1.wait(faults).unwrap();
        }
        faults.write.map_or(Ok(()), |kind| Err(kind.into()))
    }
}

impl Disk for FaultyDisk {
    fn open(&self, path: &Path, how: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        if how != OpenMode::Read {
            self.write_fault()?;
        }
        let file = RealDisk.open(path, how)?;
        Ok(Arc::new(FaultyFile { disk: self.clone(), path: path.to_owned(), file }))
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(dir)
    }
    fn files(&self, dir: &Path) -> io::Result<Vec<(String, u64)>> {
        RealDisk.files(dir)
    }
    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        self.write_fault()?;
        RealDisk.make_dir(dir)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.write_fault()?;
        RealDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.sync_dir(dir)
    }
    fn volume(&self, dir: &Path) -> io::Result<Volume> {
        let real = RealDisk.volume(dir)?;
        let identity = self.0.0.lock().unwrap().volume.unwrap_or(real.identity);
        Ok(Volume { identity, ..real })
    }
    fn device(&self, path: &Path) -> io::Result<u64> {
        RealDisk.device(path)
    }
}

#[derive(Debug)]
struct FaultyFile {
    disk: FaultyDisk,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
}

impl DiskFile for FaultyFile {
    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }
    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_at(at, buffer)
    }
    fn write_at(&self, at: u64, pieces: &[&[u8]]) -> io::Result<()> {
        self.disk.write_fault()?;
        self.file.write_at(at, pieces)
    }
    fn allocate(&self, bytes: u64) -> io::Result<()> {
        self.disk.write_fault()?;
        let mut faults = self.disk.0.0.lock().unwrap();
        match &mut faults.room {
            Some(0) => return Err(io::ErrorKind::StorageFull.into()),
            Some(room) => *room -= 1,
            None => {}
        }
        drop(faults);
        self.file.allocate(bytes)
    }
    fn try_lock(&self) -> io::Result<bool> {
        self.file.try_lock()
    }
    fn deleted_from(&self) -> io::Result<Option<u64>> {
        self.file.deleted_from()
    }
    fn sync_data(&self) -> io::Result<()> {
        let mut faults = self.disk.0.0.lock().unwrap();
        if let Some(known) = faults.failed.iter_mut().find(|(path, _)| *path == self.path) {
            known.1 += 1;
        }
        if faults.syncs > 0 {
            faults.syncs -= 1;
            faults.failed.push((self.path.clone(), 0));
            return Err(io::Error::from_raw_os_error(5));
        }
        drop(faults);
        self.file.sync_data()
    }
}
