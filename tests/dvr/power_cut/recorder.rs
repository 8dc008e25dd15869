//! The recorder alone, in this process, on a disk that syncs or does not.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast::base::name::StreamName;
use holdfast::base::time::{BootTime, Clock, MediaTime, SystemClock, WallTime};
use holdfast::dvr::{
    Disk, DiskFile, Dvr, OpenMode, RealDisk, Retention, RingConfig, RingSizing, RingState, Volume,
    Writer,
};
use holdfast::media::codec::Law;
use holdfast::media::{AccessUnit, Captured, ClockSource, CodecParams, RunId, Tracks};
use holdfast::wire::mp4::{FragmentBuilder, init_segment};

use super::found::Told;
use super::{DEVICE_BYTES, NEXT_BOOT, Recording, STREAMS};
use crate::harness::block_log::LoggedDisk;
use crate::harness::wait_for;

/// The recorder alone, in this process.
pub(super) struct Recorder {
    pub(super) dvr: Dvr,
    pub(super) writers: Vec<Writer>,
    pub(super) params: Arc<CodecParams>,
}

impl Recorder {
    /// Opens the ring under `data`, or makes one of 16 slots.
    pub(super) fn open(disk: Arc<dyn Disk>, data: &Path) -> Self {
        const SLOT_BYTES: u64 = 64 << 10;
        let size = RingSizing::Bytes(16 * SLOT_BYTES);
        let config = RingConfig { data_dir: data.to_owned(), size, slot_bytes: Some(SLOT_BYTES) };
        let dvr = Dvr::open_on(disk, NEXT_BOOT, config, Arc::new(SystemClock), None).unwrap();
        wait_for("the ring is ready", Duration::from_secs(5), || {
            (dvr.status().ring == RingState::Ready).then_some(())
        });
        let writer =
            |name: &&str| dvr.writer(&StreamName::parse(name).unwrap(), Retention::default());
        let writers = STREAMS.iter().map(writer).collect();
        let params = Arc::new(CodecParams::g711(Law::A, NonZeroU32::new(8_000).unwrap(), 1));
        Self { dvr, writers, params }
    }

    /// Hands over a fragment of 50 ms and 4 kB to each stream.
    pub(super) fn append(&self, sequence: u32) {
        let init = init_segment(&Tracks::new(RunId(1), [Arc::clone(&self.params)]));
        let (now, wall) = (SystemClock.boot(), SystemClock.wall());
        for writer in &self.writers {
            let mut builder = FragmentBuilder::new(sequence);
            for at in 0..10 {
                builder.push(Arc::new(self.unit(now, wall, at * 5_000_000)));
            }
            writer.append(&init, builder.build(None), sequence == 1, false).unwrap();
        }
    }

    pub(super) fn unit(&self, now: BootTime, wall: WallTime, nanos: i64) -> AccessUnit {
        let begun = i64::try_from(now.as_nanos()).unwrap();
        let decode = MediaTime::from_nanos(begun + nanos, self.params.clock_rate);
        AccessUnit {
            arrived: now,
            captured: Captured { wall: wall.offset_nanos(nanos), source: ClockSource::Arrival },
            entry: holdfast::media::Entry::key_frame(true),
            ..AccessUnit::new(Arc::clone(&self.params), decode, vec![0x55; 400].into())
        }
    }

    pub(super) fn durable(&self) -> Vec<(StreamName, i64)> {
        let told = self.writers.iter().filter_map(|writer| {
            let durable = *writer.durable().borrow();
            Some((writer.stream().clone(), durable?.until.as_unix_millis()))
        });
        told.collect()
    }

    pub(super) fn record_until_durable(&self) {
        self.append(1);
        wait_for("what is recorded is durable", Duration::from_secs(5), || {
            (self.durable().len() == self.writers.len()).then_some(())
        });
    }
}

/// The disk of this machine, but what is written to a slot is never synced.
#[derive(Debug)]
pub(super) struct NoSync;

#[derive(Debug)]
pub(super) struct NoSyncFile {
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) is_slot: bool,
}

impl Disk for NoSync {
    fn open(&self, path: &Path, how: OpenMode) -> std::io::Result<Arc<dyn DiskFile>> {
        let is_slot = path.extension().is_some_and(|extension| extension == "mp4");
        Ok(Arc::new(NoSyncFile { file: RealDisk.open(path, how)?, is_slot }))
    }
    fn list(&self, dir: &Path) -> std::io::Result<Vec<String>> {
        RealDisk.list(dir)
    }
    fn make_dir(&self, dir: &Path) -> std::io::Result<()> {
        RealDisk.make_dir(dir)
    }
    fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        RealDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> std::io::Result<()> {
        RealDisk.remove(path)
    }
    fn sync_dir(&self, dir: &Path) -> std::io::Result<()> {
        RealDisk.sync_dir(dir)
    }
    fn volume(&self, dir: &Path) -> std::io::Result<Volume> {
        RealDisk.volume(dir)
    }
}

impl DiskFile for NoSyncFile {
    fn length(&self) -> std::io::Result<u64> {
        self.file.length()
    }
    fn read_at(&self, at: u64, buffer: &mut [u8]) -> std::io::Result<()> {
        self.file.read_at(at, buffer)
    }
    fn write_at(&self, at: u64, pieces: &[&[u8]]) -> std::io::Result<()> {
        self.file.write_at(at, pieces)
    }
    fn allocate(&self, bytes: u64) -> std::io::Result<()> {
        self.file.allocate(bytes)
    }
    fn try_lock(&self) -> std::io::Result<bool> {
        self.file.try_lock()
    }
    fn sync_data(&self) -> std::io::Result<()> {
        if self.is_slot { Ok(()) } else { self.file.sync_data() }
    }
}

/// Records in this process, on `on`.
pub(super) fn recorded_here(on: Arc<dyn Disk>, secs: u64) -> Recording {
    let mut disk = LoggedDisk::new(DEVICE_BYTES);
    let at = tempfile::tempdir().unwrap();
    disk.mount(at.path());
    let begin = disk.position();
    let mut told = Told::default();
    let recorder = Recorder::open(on, at.path());
    let begun = Instant::now();
    for sequence in 1u32.. {
        recorder.append(sequence);
        let durable = recorder.durable();
        told.note(&mut disk, durable);
        if begun.elapsed() >= Duration::from_secs(secs) {
            break;
        }
        std::thread::sleep(Duration::from_millis(40));
    }
    assert!(recorder.dvr.close(Duration::from_secs(5)), "the recorder does not end");
    drop(recorder);
    Recording::new(disk, begin, told)
}
