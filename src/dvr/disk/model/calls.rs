//! The calls of [`Disk`] and [`DiskFile`] on the model.
//!
//! Owns: what each call does to files and names, and which troubles it meets.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::inode::Inode;
use super::survival::{Survives, Write};
use super::world::{ModelNode, NameChange, World, eio, set};
use super::{
    CutKind, DiskEvent, DiskTrouble, ModelDisk, OTHER_VOLUME, PAGE_BYTES, SECTOR_BYTES, VOLUME,
};
use crate::dvr::disk::{Disk, DiskFile, OpenMode, Volume};

#[derive(Debug)]
pub(crate) struct ModelFile {
    pub(crate) disk: ModelDisk,
    pub(crate) path: PathBuf,
    pub(crate) inode: usize,
    pub(crate) epoch: u32,
}

impl ModelFile {
    fn write(&self, at: usize, bytes: Vec<u8>) -> io::Result<()> {
        let mut world = self.disk.world();
        world.change()?;
        world.alive(self.epoch)?;
        let whole = bytes.len();
        let (mut arrives, mut answer) = (whole, Ok(()));
        match world.struck() {
            Some(DiskTrouble::Write | DiskTrouble::Dying) => (arrives, answer) = (0, Err(eio())),
            Some(DiskTrouble::ShortWrite) => {
                (arrives, answer) = (world.part(at, whole, SECTOR_BYTES), Err(eio()));
            }
            Some(DiskTrouble::Full) => {
                let full = ErrorKind::StorageFull.into();
                (arrives, answer) = (world.part(at, whole, PAGE_BYTES), Err(full));
            }
            _ => {}
        }
        if world.ends_here() {
            // A kill stops between two pages; what power leaves is decided by `lose`.
            if world.ended == Some(CutKind::Kill) {
                arrives = world.part(at, arrives, PAGE_BYTES);
            }
            answer = Err(eio());
        }
        let event =
            DiskEvent::Wrote { path: self.path.clone(), at: at as u64, bytes: bytes.clone() };
        world.events.push(event);
        let stamp = world.stamp();
        let inode = &mut world.inodes[self.inode];
        let bytes = bytes[..arrives].to_vec();
        if inode.cache.len() < at + arrives {
            inode.cache.resize(at + arrives, 0);
        }
        inode.cache[at..at + arrives].copy_from_slice(&bytes);
        inode.dirty.push(Write { stamp, at, bytes });
        answer
    }
}

impl Disk for ModelDisk {
    fn open(&self, path: &Path, how: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut world = self.world();
        let inode = if how == OpenMode::Create {
            world.change()?;
            if world.is_away {
                // Of the volume only the mount point shows, and that can be written to.
                if path.ancestors().count() > 3 {
                    return Err(ErrorKind::NotFound.into());
                }
                world.strays.push(path.to_owned());
            }
            if world.names.contains_key(path) {
                return Err(ErrorKind::AlreadyExists.into());
            }
            if world.struck() == Some(DiskTrouble::Full) {
                return Err(ErrorKind::StorageFull.into());
            }
            if world.ends_here() && world.random.bool() {
                return Err(eio());
            }
            world.inodes.push(Inode::default());
            let (inode, stamp) = (world.inodes.len() - 1, world.stamp());
            world.rename(path, Some(ModelNode::File(inode)), stamp);
            inode
        } else {
            world.call()?;
            if how == OpenMode::Write && world.struck() == Some(DiskTrouble::ReadOnly) {
                return Err(ErrorKind::ReadOnlyFilesystem.into());
            }
            world.file(path)?
        };
        let epoch = world.epoch;
        drop(world);
        Ok(Arc::new(ModelFile { disk: self.clone(), path: path.to_owned(), inode, epoch }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut world = self.world();
        world.call()?;
        if world.is_away || !world.names.contains_key(dir) {
            return Err(ErrorKind::NotFound.into());
        }
        let names = world.names.keys().filter(|path| path.parent() == Some(dir));
        let names = names.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
        Ok(names.collect())
    }

    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        let mut world = self.world();
        if world.is_away {
            world.strays.push(dir.to_owned());
        }
        if world.names.contains_key(dir) {
            return world.call();
        }
        world.change()?;
        if world.ends_here() && world.random.bool() {
            return Err(eio());
        }
        let stamp = world.stamp();
        for dir in dir.ancestors().filter(|dir| dir.parent().is_some()) {
            if !world.names.contains_key(dir) {
                world.rename(dir, Some(ModelNode::Dir), stamp);
            }
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.change()?;
        let inode = world.file(from)?;
        if world.ends_here() && world.random.bool() {
            return Err(eio());
        }
        let stamp = world.stamp();
        world.rename(from, None, stamp);
        world.rename(to, Some(ModelNode::File(inode)), stamp);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.change()?;
        world.file(path)?;
        if world.ends_here() && world.random.bool() {
            return Err(eio());
        }
        let stamp = world.stamp();
        world.rename(path, None, stamp);
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.change()?;
        if world.is_away {
            return Err(ErrorKind::NotFound.into());
        }
        world.pass_sync_time();
        if world.struck() == Some(DiskTrouble::SyncDir) || world.ends_here() {
            return Err(eio());
        }
        let (done, rest) = std::mem::take(&mut world.changes)
            .into_iter()
            .partition(|change| change.path.parent() == Some(dir));
        world.changes = rest;
        for change in done {
            let NameChange { path, node, .. } = change;
            set(&mut world.durable, path, node);
        }
        Ok(())
    }

    fn volume(&self, _: &Path) -> io::Result<Volume> {
        let mut world = self.world();
        world.call()?;
        let identity = if world.is_away { OTHER_VOLUME } else { VOLUME };
        let free = if world.struck() == Some(DiskTrouble::Full) { 0 } else { world.free_bytes };
        Ok(Volume { identity, total_bytes: free, free_bytes: free })
    }
}

impl DiskFile for ModelFile {
    fn length(&self) -> io::Result<u64> {
        let mut world = self.disk.world();
        world.call()?;
        world.alive(self.epoch)?;
        Ok(world.inodes[self.inode].cache.len() as u64)
    }

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut world = self.disk.world();
        world.call()?;
        world.alive(self.epoch)?;
        if world.struck() == Some(DiskTrouble::Read) {
            return Err(eio());
        }
        let at = usize::try_from(at).unwrap();
        let cache = &world.inodes[self.inode].cache;
        let found = cache.get(at..at + buffer.len()).ok_or(ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(found);
        Ok(())
    }

    fn write_at(&self, at: u64, pieces: &[&[u8]]) -> io::Result<()> {
        self.write(usize::try_from(at).unwrap(), pieces.concat())
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        let mut world = self.disk.world();
        world.change()?;
        world.alive(self.epoch)?;
        if matches!(world.struck(), Some(DiskTrouble::Full | DiskTrouble::LyingFree)) {
            return Err(ErrorKind::StorageFull.into());
        }
        if world.ends_here() && world.random.bool() {
            return Err(eio());
        }
        let cache = &mut world.inodes[self.inode].cache;
        let length = usize::try_from(bytes).unwrap().max(cache.len());
        cache.resize(length, 0);
        Ok(())
    }

    fn try_lock(&self) -> io::Result<bool> {
        Ok(true)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut world = self.disk.world();
        world.change()?;
        world.alive(self.epoch)?;
        world.pass_sync_time();
        if matches!(world.struck(), Some(DiskTrouble::Sync | DiskTrouble::Dying)) {
            // As Linux does: the pages count as clean, and show what is not on the medium.
            let World { inodes, random, .. } = &mut *world;
            let inode = &mut inodes[self.inode];
            let shown = inode.cache.clone();
            inode.lose(random, Survives::Some { odds: 0.5, unit: SECTOR_BYTES });
            inode.cache = shown;
            return Err(eio());
        }
        if world.ends_here() {
            if world.random.bool() {
                world.inodes[self.inode].flush();
            }
            return Err(eio());
        }
        world.inodes[self.inode].flush();
        world.events.push(DiskEvent::Synced { path: self.path.clone() });
        Ok(())
    }

    fn forget_cached(&self) -> io::Result<()> {
        let mut world = self.disk.world();
        world.call()?;
        world.alive(self.epoch)?;
        world.inodes[self.inode].forget();
        Ok(())
    }
}
