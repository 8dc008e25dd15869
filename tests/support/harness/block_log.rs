//! A block device that keeps a log of every write and flush it sees, and images of what a power
//! cut leaves of it.
//!
//! The device is a loop device over a file that `qemu-storage-daemon` exports by FUSE: its driver
//! `blklogwrites` writes the format of Linux's dm-log-writes. A sector of 512 bytes is the unit
//! throughout.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use fastrand::Rng;
use rustix::fs::{MemfdFlags, memfd_create};

use super::{Running, need, run_well, wait_for};

/// What a disk writes whole.
pub const SECTOR: usize = 512;
/// `struct log_write_super`: magic, version, number of entries (Linux, drivers/md/dm-log-writes.c).
const MAGIC: u64 = 0x006a_7366_7773_6872;
/// Flags of `struct log_write_entry` that are understood here.
const FLUSH: u64 = 1;
const FUA: u64 = 2;
const DISCARD: u64 = 4;
/// A crash image is copied in pieces of this, so that what was never written stays a hole.
const PIECE: usize = 64 << 10;
const QUICK: Duration = Duration::from_secs(20);

/// One entry of the log.
#[derive(Clone, Copy, Debug)]
pub enum Entry {
    /// Bytes that were written at `to` on the device and are at `from` in the log.
    Write { to: u64, from: u64, bytes: usize },
    /// All writes before are on the medium.
    Flush,
}

/// A device under a log, with ext4 on it.
#[derive(Debug)]
pub struct LoggedDisk {
    bytes: usize,
    /// In this order they go: the mount, the loop device, the server.
    mount: Option<Mount>,
    device: Option<LoopDevice>,
    server: Option<Running>,
    walk: Walk,
    _dir: tempfile::TempDir,
}

impl LoggedDisk {
    /// Makes a device of `bytes` with an empty ext4; says what of it this machine lacks.
    pub fn new(bytes: usize) -> Self {
        need_devices();
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        File::create(path("image")).unwrap().set_len(bytes as u64).unwrap();
        File::create(path("log")).unwrap().set_len(8 << 30).unwrap();
        let export = path("export");
        File::create(&export).unwrap();
        let server = serve(&path("image"), &path("log"), &export);
        wait_for("the export is there", QUICK, || {
            (std::fs::metadata(&export).unwrap().len() == bytes as u64).then_some(())
        });
        let device = LoopDevice::over(&export);
        let mut mkfs = Command::new("mkfs.ext4");
        // All of it is written now, not by the kernel in the background while we record.
        mkfs.args(["-q", "-b", "4096", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard"]);
        run_well(mkfs.arg(&device.0), QUICK);
        let walk = Walk::new(&path("log"));
        Self { bytes, mount: None, device: Some(device), server: Some(server), walk, _dir: dir }
    }

    /// Mounts it at `at`.
    pub fn mount(&mut self, at: &Path) {
        let device = &self.device.as_ref().expect("the disk was not taken away").0;
        self.mount = Some(Mount::new(device, at, "noatime"));
    }

    /// How many entries the log has: they alone define what is on the medium now.
    pub fn position(&mut self) -> usize {
        self.walk.go_on();
        self.walk.entries.len()
    }

    /// Takes the disk out of service and hands out its log.
    pub fn into_log(mut self) -> BlockLog {
        self.take_away();
        self.walk.go_on();
        let walk = &mut self.walk;
        assert_eq!(walk.told(), walk.entries.len() as u64, "the log's own count of its entries");
        let entries = std::mem::take(&mut walk.entries);
        BlockLog { entries, log: walk.log.try_clone().unwrap(), bytes: self.bytes }
    }

    fn take_away(&mut self) {
        self.mount = None;
        self.device = None;
        let Some(mut server) = self.server.take() else { return };
        if server.runs() {
            server.signal(rustix::process::Signal::TERM);
            server.ended_within(QUICK);
        }
    }
}

impl Drop for LoggedDisk {
    fn drop(&mut self) {
        self.take_away();
    }
}

/// Says what is missing, and fails.
fn need_devices() {
    need("qemu-storage-daemon", "qemu-utils");
    for program in ["losetup", "mount", "umount"] {
        need(program, "mount");
    }
    need("mkfs.ext4", "e2fsprogs");
    assert!(rustix::process::geteuid().is_root(), "mounting needs root");
    for (node, what) in [("/dev/fuse", "FUSE"), ("/dev/loop-control", "loop devices")] {
        assert!(Path::new(node).exists(), "{what} is missing: there is no {node}");
    }
    let kinds = std::fs::read_to_string("/proc/filesystems").unwrap();
    assert!(kinds.lines().any(|kind| kind.ends_with("\text4")), "the kernel has no ext4");
}

fn serve(image: &Path, log: &Path, export: &Path) -> Running {
    let mut server = Command::new("qemu-storage-daemon");
    for (node, path) in [("image", image), ("log", log)] {
        // What reaches this machine's disk does not matter: the log counts.
        let path = path.display();
        let node = format!("driver=file,node-name={node},filename={path},cache.no-flush=on");
        server.arg("--blockdev").arg(node);
    }
    server.args(["--blockdev", "driver=blklogwrites,node-name=logged,file=image,log=log"]);
    let export = export.display();
    let export = format!("type=fuse,id=export,node-name=logged,mountpoint={export},writable=on");
    Running::start(server.arg("--export").arg(export).stdin(Stdio::null()))
}

#[derive(Debug)]
struct LoopDevice(PathBuf);

impl LoopDevice {
    fn over(file: &Path) -> Self {
        let out = run_well(Command::new("losetup").args(["--find", "--show"]).arg(file), QUICK);
        Self(String::from_utf8(out).unwrap().trim().into())
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("--detach").arg(&self.0).status();
    }
}

#[derive(Debug)]
struct Mount(PathBuf);

impl Mount {
    fn new(what: &Path, at: &Path, options: &str) -> Self {
        let mut mount = Command::new("mount");
        run_well(mount.args(["-t", "ext4", "-o", options]).arg(what).arg(at), QUICK);
        Self(at.to_owned())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        for _ in 0..50 {
            let mut umount = Command::new("umount");
            if umount.arg(&self.0).stderr(Stdio::null()).status().is_ok_and(|done| done.success()) {
                return;
            }
            // A process that was just killed still holds a file of it.
            std::thread::sleep(Duration::from_millis(100));
        }
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// Reads entries as they are added.
#[derive(Debug)]
struct Walk {
    log: File,
    /// Position of the next entry, in bytes.
    at: u64,
    entries: Vec<Entry>,
}

impl Walk {
    fn new(log: &Path) -> Self {
        Self { log: File::open(log).unwrap(), at: SECTOR as u64, entries: Vec::new() }
    }

    fn go_on(&mut self) {
        let mut head = [0; 32];
        loop {
            self.log.read_exact_at(&mut head, self.at).unwrap();
            let [sector, count, flags, data_bytes] = numbers(&head);
            if count == 0 && flags == 0 {
                return;
            }
            assert_eq!(flags & !(FLUSH | FUA), 0, "discards are not understood ({DISCARD})");
            assert_eq!(data_bytes, 0, "only the kernel's own log has data in a header");
            let from = self.at + SECTOR as u64;
            let bytes = count * SECTOR as u64;
            if count > 0 {
                let to = sector * SECTOR as u64;
                self.entries.push(Entry::Write { to, from, bytes: bytes.try_into().unwrap() });
            }
            if flags != 0 {
                self.entries.push(Entry::Flush);
            }
            assert!(count == 0 || flags == 0, "a write with flags would be two entries");
            self.at = from + bytes;
        }
    }

    /// How many entries the log itself says it has.
    fn told(&self) -> u64 {
        let mut head = [0; 32];
        self.log.read_exact_at(&mut head, 0).unwrap();
        let [magic, version, count, _] = numbers(&head);
        assert_eq!((magic, version), (MAGIC, 1), "this is no log of writes");
        count
    }
}

fn numbers(head: &[u8; 32]) -> [u64; 4] {
    let number = |at: usize| u64::from_le_bytes(*head[at * 8..].first_chunk().unwrap());
    [number(0), number(1), number(2), number(3)]
}

/// The log of a device, whole.
#[derive(Debug)]
pub struct BlockLog {
    /// All entries, in order.
    pub entries: Vec<Entry>,
    log: File,
    bytes: usize,
}

impl BlockLog {
    /// The first place from `at` on that a flush follows: there most writes are open.
    pub fn before_flush(&self, at: usize) -> usize {
        let flush = self.entries[at..].iter().position(|entry| matches!(entry, Entry::Flush));
        flush.map_or(at, |flush| at + flush)
    }

    fn data(&self, from: u64, bytes: usize) -> Vec<u8> {
        let mut data = vec![0; bytes];
        self.log.read_exact_at(&mut data, from).unwrap();
        data
    }
}

/// What a power cut makes of the writes since the last flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// All of them are there.
    Prefix,
    /// Some of them, whichever.
    Some,
    /// All but the last, and some sectors from the beginning of that.
    Torn,
}

/// The device, grown entry by entry.
#[derive(Debug)]
pub struct Crashes<'a> {
    log: &'a BlockLog,
    /// All that was flushed.
    flushed: Vec<u8>,
    touched: Vec<bool>,
    /// The first entry behind the last flush.
    begin: usize,
}

impl<'a> Crashes<'a> {
    pub fn new(log: &'a BlockLog) -> Self {
        let touched = vec![false; log.bytes.div_ceil(PIECE)];
        Self { log, flushed: vec![0; log.bytes], touched, begin: 0 }
    }

    /// Continues to the last flush among the first `until` entries.
    fn advance(&mut self, until: usize) {
        let entries = &self.log.entries;
        let flush = entries[self.begin..until].iter().rposition(|e| matches!(e, Entry::Flush));
        let Some(flush) = flush else { return };
        let end = self.begin + flush + 1;
        for entry in &entries[self.begin..end] {
            let Entry::Write { to, from, bytes } = *entry else { continue };
            let at = usize::try_from(to).unwrap();
            self.flushed[at..at + bytes].copy_from_slice(&self.log.data(from, bytes));
            self.touched[at / PIECE..(at + bytes).div_ceil(PIECE)].fill(true);
        }
        self.begin = end;
    }

    /// The device after a power cut behind the first `until` entries, mounted at `at`, and how
    /// many writes were not flushed yet. Cuts are made in order.
    pub fn mounted(
        &mut self,
        until: usize,
        cut: Cut,
        random: &mut Rng,
        at: &Path,
    ) -> (CrashImage, usize) {
        self.advance(until);
        let file = memory_file(self.log.bytes).unwrap();
        for (piece, _) in self.touched.iter().enumerate().filter(|(_, touched)| **touched) {
            let from = piece * PIECE;
            let end = self.flushed.len().min(from + PIECE);
            file.write_all_at(&self.flushed[from..end], from as u64).unwrap();
        }
        let open = &self.log.entries[self.begin..until];
        for (nth, entry) in open.iter().enumerate() {
            let Entry::Write { to, from, bytes } = *entry else { unreachable!("after the flush") };
            let kept = match cut {
                Cut::Prefix => bytes,
                Cut::Some => bytes * usize::from(random.bool()),
                Cut::Torn if nth + 1 < open.len() => bytes,
                Cut::Torn => random.usize(..bytes / SECTOR) * SECTOR,
            };
            file.write_all_at(&self.log.data(from, kept), to).unwrap();
        }
        (CrashImage::new(file, at), open.len())
    }
}

fn memory_file(bytes: usize) -> io::Result<File> {
    let file = File::from(memfd_create("crash-image", MemfdFlags::CLOEXEC)?);
    file.set_len(bytes as u64)?;
    Ok(file)
}

/// A device after a power cut, mounted: the kernel has replayed its journal.
#[derive(Debug)]
pub struct CrashImage {
    _mount: Mount,
    file: File,
}

impl CrashImage {
    fn new(file: File, at: &Path) -> Self {
        let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
        Self { _mount: Mount::new(Path::new(&path), at, "loop,noatime"), file }
    }

    /// Copies it to `to`, for a later investigation.
    pub fn keep(&self, to: &Path) {
        let mut bytes = vec![0; usize::try_from(self.file.metadata().unwrap().len()).unwrap()];
        self.file.read_exact_at(&mut bytes, 0).unwrap();
        std::fs::write(to, bytes).unwrap();
    }
}
