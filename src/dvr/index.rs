//! The index: what is in each finished slot, so that a start need not read them all.
//!
//! Owns: the records and the store behind [`Index`]. A cache and nothing more: sled 0.34.7 may
//! lose records silently, hang or panic, so every record is checked against its slot's header,
//! and a store that misbehaves is moved aside and filled again from the slots.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use bytes::BufMut;
use tracing::{info, warn};

use super::disk::{Disk, Open};
use super::error::DvrError;
use super::seal::Entry;
use crate::base::limits::{INDEX_ANSWER_TIME_MAX, INDEX_OPEN_TIME_MAX, INDEX_QUEUE_LEN_MAX};
use crate::base::time::{BootTime, WallTime};

const VERSION: u8 = 1;
const CACHE_BYTES: u64 = 8 << 20;
const FLUSH_INTERVAL_MS: u64 = 5_000;
/// How long it may take to close when it is to be moved aside.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(2);
/// A process that was just killed may still hold the lock.
const LOCK_WAIT: Duration = Duration::from_secs(10);
const ENTRY_BYTES: usize = 53;

/// A store of one record per slot. All calls come from one thread.
pub(super) trait Index: Send {
    /// Every record.
    fn load(&mut self) -> Result<Vec<(u32, Vec<u8>)>, DvrError>;
    /// Sets the record of a slot.
    fn put(&mut self, slot: u32, record: &[u8]) -> Result<(), DvrError>;
    /// Forgets the record of a slot.
    fn remove(&mut self, slot: u32) -> Result<(), DvrError>;
    /// The record of a slot.
    fn get(&mut self, slot: u32) -> Result<Option<Vec<u8>>, DvrError>;
    /// Bytes that the store takes on the disk.
    fn size_bytes(&mut self) -> Result<u64, DvrError>;
}

/// What is kept of one slot: which lap, and its fragments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) generation: u64,
    /// Damaged stretches that were passed over.
    pub(super) damaged: u32,
    pub(super) entries: Vec<Entry>,
}

impl Record {
    /// Version, CRC-32C of what follows, lap, damage, fragments; big-endian.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(12 + self.entries.len() * ENTRY_BYTES);
        body.put_u64(self.generation);
        body.put_u32(self.damaged);
        for entry in &self.entries {
            body.put_u32(entry.offset);
            body.put_u32(entry.length);
            body.put_u64(entry.sequence);
            body.put_u64(entry.boot_time.as_nanos());
            body.put_i64(entry.wall.as_unix_nanos());
            body.put_i64(entry.decode_nanos);
            body.put_u64(entry.span_nanos);
            body.put_u32(entry.samples);
            body.put_u8(
                u8::from(entry.starts_with_key)
                    | u8::from(entry.loss_before) << 1
                    | u8::from(entry.run_start) << 2,
            );
        }
        let mut out = vec![VERSION];
        out.put_u32(crc32c::crc32c(&body));
        out.extend_from_slice(&body);
        out
    }

    /// `None` when it is of another version, damaged or cut short.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (&version, rest) = bytes.split_first()?;
        let (crc, body) = rest.split_first_chunk::<4>()?;
        if version != VERSION || crc32c::crc32c(body) != u32::from_be_bytes(*crc) {
            return None;
        }
        let (generation, rest) = body.split_first_chunk::<8>()?;
        let (damaged, rest) = rest.split_first_chunk::<4>()?;
        let chunks = rest.chunks_exact(ENTRY_BYTES);
        if !chunks.remainder().is_empty() {
            return None;
        }
        Some(Self {
            generation: u64::from_be_bytes(*generation),
            damaged: u32::from_be_bytes(*damaged),
            entries: chunks.map(parse_entry).collect::<Option<_>>()?,
        })
    }
}

fn parse_entry(bytes: &[u8]) -> Option<Entry> {
    let u32_at = |at: usize| Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
    let u64_at = |at: usize| Some(u64::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
    let flags = *bytes.get(52)?;
    Some(Entry {
        offset: u32_at(0)?,
        length: u32_at(4)?,
        sequence: u64_at(8)?,
        boot_time: BootTime::from_nanos(u64_at(16)?),
        wall: WallTime::from_unix_nanos(u64_at(24)?.cast_signed()),
        decode_nanos: u64_at(32)?.cast_signed(),
        span_nanos: u64_at(40)?,
        samples: u32_at(48)?,
        starts_with_key: flags & 1 != 0,
        loss_before: flags & 2 != 0,
        run_start: flags & 4 != 0,
    })
}

/// How a store is opened; runs on the store's thread, where it may hang and panic.
type OpenStore = fn(&Path) -> Result<Box<dyn Index>, DvrError>;

/// The store in sled.
struct SledIndex(sled::Db);

impl SledIndex {
    fn open(dir: &Path) -> Result<Self, DvrError> {
        let begun = Instant::now();
        loop {
            let opened = sled::Config::default()
                .path(dir)
                .mode(sled::Mode::LowSpace)
                .cache_capacity(CACHE_BYTES)
                .flush_every_ms(Some(FLUSH_INTERVAL_MS))
                .open();
            match opened {
                Ok(db) => return Ok(Self(db)),
                Err(sled::Error::Io(_)) if begun.elapsed() < LOCK_WAIT => {
                    std::thread::sleep(Duration::from_millis(500));
                }
                Err(error) => return Err(refused(error)),
            }
        }
    }
}

impl Index for SledIndex {
    fn load(&mut self) -> Result<Vec<(u32, Vec<u8>)>, DvrError> {
        let mut records = Vec::new();
        for pair in self.0.iter() {
            let (key, value) = pair.map_err(refused)?;
            let Ok(slot) = <[u8; 4]>::try_from(&key[..]) else { continue };
            records.push((u32::from_be_bytes(slot), value.to_vec()));
        }
        Ok(records)
    }

    fn put(&mut self, slot: u32, record: &[u8]) -> Result<(), DvrError> {
        self.0.insert(slot.to_be_bytes(), record).map(drop).map_err(refused)
    }

    fn remove(&mut self, slot: u32) -> Result<(), DvrError> {
        self.0.remove(slot.to_be_bytes()).map(drop).map_err(refused)
    }

    fn get(&mut self, slot: u32) -> Result<Option<Vec<u8>>, DvrError> {
        Ok(self.0.get(slot.to_be_bytes()).map_err(refused)?.map(|value| value.to_vec()))
    }

    fn size_bytes(&mut self) -> Result<u64, DvrError> {
        self.0.size_on_disk().map_err(refused)
    }
}

// By value, because that is how `map_err` hands it over.
fn refused(error: sled::Error) -> DvrError {
    DvrError::Index(error.to_string())
}

enum Ask {
    Put(u32, Vec<u8>),
    Remove(u32),
    Get(u32, SyncSender<Option<Vec<u8>>>),
    Size(SyncSender<u64>),
}

/// What the store answered about a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Looked {
    /// It has no time, or there is none.
    Unknown,
    /// No record that can be read.
    Gone,
    /// This.
    Record(Record),
}

/// The store on its own thread, behind a limit on time and a catch for panics.
pub(super) struct IndexHandle {
    asks: Option<SyncSender<Ask>>,
    done: Option<Receiver<()>>,
    /// A store that is asked here and now, without a thread.
    direct: Option<Box<dyn Index>>,
    /// What it should hold: lap and bytes by slot.
    kept: BTreeMap<u32, (u64, u64)>,
    /// Why the store that was there before is not used, for people.
    pub(super) anew: Option<String>,
}

impl IndexHandle {
    /// No store: nothing is kept.
    pub(super) fn none() -> Self {
        Self { asks: None, done: None, direct: None, kept: BTreeMap::new(), anew: None }
    }

    /// A store that neither hangs nor panics, and its readable records.
    #[cfg(test)]
    pub(super) fn direct(mut index: Box<dyn Index>) -> (Self, Vec<(u32, Record)>) {
        let records = readable(index.load().unwrap_or_default());
        let kept = kept(&records);
        (Self { direct: Some(index), kept, ..Self::none() }, records)
    }

    /// Opens the store under `data_dir` and returns its readable records.
    ///
    /// A marker stands beside it while it is being opened and read: found at a start, it says
    /// that the last try hung or took the process with it, and the store is moved aside.
    pub(super) fn open(disk: &dyn Disk, data_dir: &Path) -> (Self, Vec<(u32, Record)>) {
        let sled = |dir: &Path| Ok(Box::new(SledIndex::open(dir)?) as Box<dyn Index>);
        Self::open_with(disk, data_dir, sled, INDEX_OPEN_TIME_MAX)
    }

    /// As [`IndexHandle::open`], any store, which may take `limit` to open and be read.
    fn open_with(
        disk: &dyn Disk,
        data_dir: &Path,
        open_store: OpenStore,
        limit: Duration,
    ) -> (Self, Vec<(u32, Record)>) {
        let dir = data_dir.join("index");
        let marker = data_dir.join("index.opening");
        let mut anew = None;
        if disk.open(&marker, Open::Read).is_ok() {
            warn!("the index did not open last time, building it again");
            anew = Some("it did not open the last time".to_owned());
            move_aside(disk, data_dir);
        } else if disk.list(&dir).is_err() {
            anew = Some("there was none".to_owned());
        }
        for attempt in 0..2 {
            if disk.open(&marker, Open::Read).is_err() && disk.open(&marker, Open::Create).is_err()
            {
                // Read-only or full: recording has the same trouble and tells of it.
                return (Self::none(), Vec::new());
            }
            match Self::start(dir.clone(), open_store, limit) {
                Ok((handle, records)) => {
                    let _ = disk.remove(&marker);
                    return (Self { anew, ..handle }, records);
                }
                Err(Failed::Hung) => {
                    warn!("the index does not open in time, going on without it");
                    return (Self::none(), Vec::new());
                }
                Err(Failed::Refused(error)) => {
                    warn!(attempt, error, "the index is damaged, building it again");
                    anew = Some(format!("it is damaged: {error}"));
                    move_aside(disk, data_dir);
                    let _ = disk.remove(&marker);
                }
            }
        }
        (Self::none(), Vec::new())
    }

    fn start(
        dir: PathBuf,
        open_store: OpenStore,
        limit: Duration,
    ) -> Result<(Self, Vec<(u32, Record)>), Failed> {
        let (opened, wait) = sync_channel(1);
        let (asks, queue) = sync_channel(INDEX_QUEUE_LEN_MAX);
        let (done_sender, done) = sync_channel(1);
        let serve = move || {
            let index = catch_unwind(AssertUnwindSafe(|| {
                let mut index = open_store(&dir)?;
                let records = index.load()?;
                Ok::<_, DvrError>((index, records))
            }));
            let (index, records) = match index {
                Ok(Ok(both)) => both,
                Ok(Err(error)) => return drop(opened.send(Err(error.to_string()))),
                Err(_) => return drop(opened.send(Err("it panicked".to_owned()))),
            };
            if opened.send(Ok(records)).is_ok() {
                serve(index, &queue);
            }
            let _ = done_sender.send(());
        };
        std::thread::Builder::new()
            .name("dvr-index-store".to_owned())
            .spawn(serve)
            .map_err(|error| Failed::Refused(error.to_string()))?;
        let records = match wait.recv_timeout(limit) {
            Ok(Ok(records)) => records,
            Ok(Err(error)) => return Err(Failed::Refused(error)),
            Err(_) => return Err(Failed::Hung),
        };
        let records = readable(records);
        let kept = kept(&records);
        Ok((Self { asks: Some(asks), done: Some(done), kept, ..Self::none() }, records))
    }

    /// Sets a record. Does not wait: a record that finds no room is found by reading the slot.
    pub(super) fn put(&mut self, slot: u32, record: &Record) {
        let bytes = record.encode();
        let kept = (record.generation, bytes.len() as u64);
        if self.ask(Ask::Put(slot, bytes)) {
            self.kept.insert(slot, kept);
        } else {
            self.kept.remove(&slot);
        }
    }

    /// Forgets a record.
    pub(super) fn remove(&mut self, slot: u32) {
        self.ask(Ask::Remove(slot));
        self.kept.remove(&slot);
    }

    /// The slot behind `slot`, round and round, of which it should have a record, and the lap.
    pub(super) fn next_kept(&self, slot: u32) -> Option<(u32, u64)> {
        let behind = self.kept.range(slot.saturating_add(1)..).next();
        behind.or(self.kept.first_key_value()).map(|(&slot, &(generation, _))| (slot, generation))
    }

    /// Bytes of all records that it should have.
    pub(super) fn kept_bytes(&self) -> u64 {
        self.kept.values().map(|(_, bytes)| bytes).sum()
    }

    /// The record of a slot, as the store has it.
    pub(super) fn look(&mut self, slot: u32) -> Looked {
        let (answer, answered) = sync_channel(1);
        match self.answer(Ask::Get(slot, answer), &answered) {
            Some(bytes) => {
                bytes.and_then(|bytes| Record::parse(&bytes)).map_or(Looked::Gone, Looked::Record)
            }
            None => Looked::Unknown,
        }
    }

    /// Bytes that the store takes on the disk.
    pub(super) fn size_bytes(&mut self) -> Option<u64> {
        let (answer, answered) = sync_channel(1);
        self.answer(Ask::Size(answer), &answered)
    }

    fn answer<T>(&mut self, ask: Ask, answered: &Receiver<T>) -> Option<T> {
        if !self.ask(ask) {
            return None;
        }
        let answer = answered.recv_timeout(INDEX_ANSWER_TIME_MAX).ok();
        if answer.is_none() {
            warn!("the index does not answer, going on without it until the next start");
            self.asks = None;
        }
        answer
    }

    /// Closes the store for good and moves it aside.
    pub(super) fn give_up(&mut self, disk: &dyn Disk, data_dir: &Path) {
        self.close(CLOSE_TIME_MAX);
        move_aside(disk, data_dir);
    }

    /// Returns whether the store hears of it.
    fn ask(&mut self, ask: Ask) -> bool {
        use std::sync::mpsc::TrySendError;
        if let Some(index) = &mut self.direct {
            return put(&mut **index, ask).is_ok();
        }
        let Some(asks) = &self.asks else { return false };
        let asked = asks.try_send(ask);
        if let Err(TrySendError::Disconnected(_)) = asked {
            warn!("the index failed, going on without it until the next start");
            self.asks = None;
        }
        asked.is_ok()
    }

    /// Lets the store write what it holds, for at most `limit`.
    pub(super) fn close(&mut self, limit: Duration) {
        self.asks = None;
        if let Some(done) = self.done.take() {
            let _ = done.recv_timeout(limit);
        }
    }
}

enum Failed {
    Hung,
    Refused(String),
}

fn readable(records: Vec<(u32, Vec<u8>)>) -> Vec<(u32, Record)> {
    let parsed = |(slot, bytes): (u32, Vec<u8>)| Some((slot, Record::parse(&bytes)?));
    records.into_iter().filter_map(parsed).collect()
}

fn put(index: &mut dyn Index, ask: Ask) -> Result<(), DvrError> {
    match ask {
        Ask::Put(slot, record) => index.put(slot, &record),
        Ask::Remove(slot) => index.remove(slot),
        // Whoever asked may have gone.
        Ask::Get(slot, answer) => index.get(slot).map(|record| drop(answer.send(record))),
        Ask::Size(answer) => index.size_bytes().map(|bytes| answer.send(bytes).unwrap_or(())),
    }
}

fn kept(records: &[(u32, Record)]) -> BTreeMap<u32, (u64, u64)> {
    records.iter().map(|(slot, record)| (*slot, (record.generation, record.bytes()))).collect()
}

fn serve(mut index: Box<dyn Index>, queue: &Receiver<Ask>) {
    let served = catch_unwind(AssertUnwindSafe(move || {
        for ask in queue {
            put(&mut *index, ask)?;
        }
        Ok::<_, DvrError>(())
    }));
    if let Ok(Err(error)) = served {
        warn!(error = error.to_string(), "the index takes no records");
    }
}

/// Keeps the newest store that failed for whoever wants to know why.
fn move_aside(disk: &dyn Disk, data_dir: &Path) {
    let bad = data_dir.join("index.bad");
    let _ = disk.remove(&bad);
    if disk.rename(&data_dir.join("index"), &bad).is_ok() {
        info!("the old index was moved to index.bad");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dvr::disk::RealDisk;

    fn record() -> Record {
        let entry = Entry {
            offset: 1,
            length: 2,
            sequence: 3,
            boot_time: BootTime::from_nanos(4),
            wall: WallTime::from_unix_nanos(-5),
            decode_nanos: 6,
            span_nanos: 7,
            samples: 8,
            starts_with_key: true,
            loss_before: false,
            run_start: true,
        };
        Record { generation: 9, damaged: 1, entries: vec![entry, Entry { sequence: 4, ..entry }] }
    }

    #[test]
    fn a_record_comes_back_and_no_flipped_bit_passes() {
        let bytes = record().encode();
        assert_eq!(Record::parse(&bytes), Some(record()));
        for at in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[at / 8] ^= 1 << (at % 8);
            assert_eq!(Record::parse(&bytes), None, "bit {at}");
        }
        assert_eq!(Record::parse(&bytes[..bytes.len() - 1]), None);
    }

    #[test]
    fn records_survive_a_close() {
        let dir = tempfile::tempdir().unwrap();
        let (mut index, records) = IndexHandle::open(&RealDisk, dir.path());
        assert!(records.is_empty());
        index.put(7, &record());
        index.put(8, &record());
        index.remove(8);
        index.close(Duration::from_secs(10));
        let (mut index, records) = IndexHandle::open(&RealDisk, dir.path());
        assert_eq!(records, [(7, record())]);
        index.close(Duration::from_secs(10));
    }

    #[test]
    fn a_marker_or_garbage_moves_the_store_aside() {
        let dir = tempfile::tempdir().unwrap();
        let (mut index, _) = IndexHandle::open(&RealDisk, dir.path());
        index.put(7, &record());
        index.close(Duration::from_secs(10));
        std::fs::write(dir.path().join("index.opening"), "").unwrap();
        let (mut index, records) = IndexHandle::open(&RealDisk, dir.path());
        assert!(records.is_empty() && dir.path().join("index.bad").is_dir());
        index.put(7, &record());
        index.close(Duration::from_secs(10));
        assert!(!dir.path().join("index.opening").exists());
        for name in ["conf", "db"] {
            std::fs::write(dir.path().join("index").join(name), vec![0x5a; 9_000]).unwrap();
        }
        let (mut index, _) = IndexHandle::open(&RealDisk, dir.path());
        index.put(1, &record());
        index.close(Duration::from_secs(10));
        let (mut index, records) = IndexHandle::open(&RealDisk, dir.path());
        assert_eq!(records, [(1, record())]);
        index.close(Duration::from_secs(10));
    }

    /// A store that panics where its directory says so: `open`, `load` or `put`; `hang` hangs.
    struct Moody(PathBuf);

    impl Moody {
        #[expect(clippy::unnecessary_wraps, reason = "as a store is opened")]
        fn open(dir: &Path) -> Result<Box<dyn Index>, DvrError> {
            std::fs::create_dir_all(dir).unwrap();
            let moody = Self(dir.join("mood"));
            moody.at("open");
            Ok(Box::new(moody))
        }

        fn at(&self, moment: &str) {
            let mood = std::fs::read_to_string(&self.0).unwrap_or_default();
            assert_ne!(mood, moment, "as the test wants it");
            if mood == "hang" {
                loop {
                    std::thread::park();
                }
            }
        }
    }

    impl Index for Moody {
        fn load(&mut self) -> Result<Vec<(u32, Vec<u8>)>, DvrError> {
            self.at("load");
            Ok(vec![(7, record().encode())])
        }
        fn put(&mut self, _: u32, _: &[u8]) -> Result<(), DvrError> {
            self.at("put");
            Ok(())
        }
        fn remove(&mut self, _: u32) -> Result<(), DvrError> {
            Ok(())
        }
        fn get(&mut self, _: u32) -> Result<Option<Vec<u8>>, DvrError> {
            Ok(None)
        }
        fn size_bytes(&mut self) -> Result<u64, DvrError> {
            Ok(0)
        }
    }

    fn moody(dir: &Path, mood: &str) -> (IndexHandle, Vec<(u32, Record)>) {
        std::fs::create_dir_all(dir.join("index")).unwrap();
        std::fs::write(dir.join("index/mood"), mood).unwrap();
        let limit = if mood == "hang" { Duration::from_millis(300) } else { INDEX_OPEN_TIME_MAX };
        IndexHandle::open_with(&RealDisk, dir, Moody::open, limit)
    }

    #[test]
    fn a_store_that_panics_is_moved_aside_and_nothing_else_notices() {
        for mood in ["open", "load"] {
            let dir = tempfile::tempdir().unwrap();
            let (mut index, records) = moody(dir.path(), mood);
            assert_eq!(records.len(), 1, "the new one is read");
            assert!(index.anew.as_ref().unwrap().contains("panicked"), "{:?}", index.anew);
            let bad = std::fs::read_to_string(dir.path().join("index.bad/mood")).unwrap();
            assert_eq!(bad, mood);
            assert!(!dir.path().join("index.opening").exists());
            index.close(Duration::from_secs(10));
        }
        let dir = tempfile::tempdir().unwrap();
        let (mut index, _) = moody(dir.path(), "put");
        for _ in 0..10 {
            index.put(1, &record());
        }
        index.close(Duration::from_secs(10));
        assert!(index.asks.is_none());
    }

    #[test]
    fn a_store_that_hangs_is_left_alone_and_moved_aside_at_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let (mut index, records) = moody(dir.path(), "hang");
        assert!(records.is_empty() && index.asks.is_none(), "going on without it");
        index.put(1, &record());
        assert!(dir.path().join("index.opening").exists());
        let (mut index, records) = IndexHandle::open(&RealDisk, dir.path());
        assert!(records.is_empty() && dir.path().join("index.bad/mood").exists());
        assert_eq!(index.anew.as_deref(), Some("it did not open the last time"));
        index.put(1, &record());
        index.close(Duration::from_secs(10));
        assert!(!dir.path().join("index.opening").exists());
    }
}
