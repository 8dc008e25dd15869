//! The index: what is in each finished slot, so that a start need not read them all.
//!
//! Owns: the store's thread, and what happens to a store that fails. A cache and nothing more: sled
//! 0.34.7 may lose records silently, hang or panic, so every record is checked against its slot's
//! header, and a store that misbehaves is moved aside and filled again from the slots.

mod store;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use tracing::{info, warn};

pub(crate) use store::Index;

use crate::base::limits::{INDEX_ANSWER_TIME_MAX, INDEX_OPEN_TIME_MAX, INDEX_QUEUE_LEN_MAX};
use crate::dvr::disk::{Disk, OpenMode};
use crate::dvr::error::DvrError;
use crate::dvr::format::index_record::IndexRecord;
use store::SledIndex;

/// How long it may take to close before it is moved aside.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(2);

/// How a store is opened; runs on the store's thread, where it may hang and panic.
type OpenStore = fn(&Path) -> Result<Box<dyn Index>, DvrError>;

enum IndexRequest {
    Put(u32, Vec<u8>),
    Remove(u32),
    Get(u32, SyncSender<Option<Vec<u8>>>),
    Size(SyncSender<u64>),
}

/// What the store answered about a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Looked {
    /// It has no time, or there is none.
    Unknown,
    /// No record that can be read.
    Gone,
    /// This.
    Record(IndexRecord),
}

/// The store on its own thread, behind a limit on time and a catch for panics.
pub(crate) struct IndexHandle {
    asks: Option<SyncSender<IndexRequest>>,
    done: Option<Receiver<()>>,
    /// A store that is asked here and now, without a thread.
    direct: Option<Box<dyn Index>>,
    /// What it should hold: lap and bytes by slot.
    kept: BTreeMap<u32, (u64, u64)>,
    /// Why the store that was there before is not used, for people.
    pub(crate) anew: Option<String>,
}

impl IndexHandle {
    /// No store: nothing is kept.
    pub(crate) fn none() -> Self {
        Self { asks: None, done: None, direct: None, kept: BTreeMap::new(), anew: None }
    }

    /// A store that neither hangs nor panics, and its readable records.
    #[cfg(test)]
    pub(crate) fn direct(mut index: Box<dyn Index>) -> (Self, Vec<(u32, IndexRecord)>) {
        let records = readable(index.load().unwrap_or_default());
        let kept = kept(&records);
        (Self { direct: Some(index), kept, ..Self::none() }, records)
    }

    /// Opens the store under `data_dir` and returns its readable records.
    ///
    /// A marker is beside it while it is being opened and read: found at a start, it says
    /// that the last try hung or took the process with it, and the store is moved aside.
    pub(crate) fn open(disk: &dyn Disk, data_dir: &Path) -> (Self, Vec<(u32, IndexRecord)>) {
        let sled = |dir: &Path| Ok(Box::new(SledIndex::open(dir)?) as Box<dyn Index>);
        Self::open_with(disk, data_dir, sled, INDEX_OPEN_TIME_MAX)
    }

    /// As [`IndexHandle::open`], any store, which may take `limit` to open and be read.
    fn open_with(
        disk: &dyn Disk,
        data_dir: &Path,
        open_store: OpenStore,
        limit: Duration,
    ) -> (Self, Vec<(u32, IndexRecord)>) {
        let dir = data_dir.join("index");
        let marker = data_dir.join("index.opening");
        let mut anew = None;
        if disk.open(&marker, OpenMode::Read).is_ok() {
            warn!("the index did not open last time, building it again");
            anew = Some("it did not open the last time".to_owned());
            move_aside(disk, data_dir);
        } else if disk.list(&dir).is_err() {
            anew = Some("there was none".to_owned());
        }
        for attempt in 0..2 {
            if disk.open(&marker, OpenMode::Read).is_err()
                && disk.open(&marker, OpenMode::Create).is_err()
            {
                // Read-only or full: recording has the same trouble and reports it.
                return (Self::none(), Vec::new());
            }
            match Self::start(dir.clone(), open_store, limit) {
                Ok((handle, records)) => {
                    let _ = disk.remove(&marker);
                    return (Self { anew, ..handle }, records);
                }
                Err(Failed::Hung) => {
                    warn!("the index did not open in time, continuing without it");
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
    ) -> Result<(Self, Vec<(u32, IndexRecord)>), Failed> {
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
    pub(crate) fn put(&mut self, slot: u32, record: &IndexRecord) {
        let bytes = record.encode();
        let kept = (record.generation, bytes.len() as u64);
        if self.ask(IndexRequest::Put(slot, bytes)) {
            self.kept.insert(slot, kept);
        } else {
            self.kept.remove(&slot);
        }
    }

    /// Forgets a record.
    pub(crate) fn remove(&mut self, slot: u32) {
        self.ask(IndexRequest::Remove(slot));
        self.kept.remove(&slot);
    }

    /// The slot behind `slot`, round and round, of which it should have a record, and the lap.
    pub(crate) fn next_kept(&self, slot: u32) -> Option<(u32, u64)> {
        let behind = self.kept.range(slot.saturating_add(1)..).next();
        behind.or(self.kept.first_key_value()).map(|(&slot, &(generation, _))| (slot, generation))
    }

    /// Bytes of all records that it should have.
    pub(crate) fn kept_bytes(&self) -> u64 {
        self.kept.values().map(|(_, bytes)| bytes).sum()
    }

    /// The record of a slot, as the store has it.
    pub(crate) fn look(&mut self, slot: u32) -> Looked {
        let (answer, answered) = sync_channel(1);
        match self.answer(IndexRequest::Get(slot, answer), &answered) {
            Some(bytes) => bytes
                .and_then(|bytes| IndexRecord::parse(&bytes))
                .map_or(Looked::Gone, Looked::Record),
            None => Looked::Unknown,
        }
    }

    /// Bytes that the store takes on the disk.
    pub(crate) fn size_bytes(&mut self) -> Option<u64> {
        let (answer, answered) = sync_channel(1);
        self.answer(IndexRequest::Size(answer), &answered)
    }

    fn answer<T>(&mut self, ask: IndexRequest, answered: &Receiver<T>) -> Option<T> {
        if !self.ask(ask) {
            return None;
        }
        let answer = answered.recv_timeout(INDEX_ANSWER_TIME_MAX).ok();
        if answer.is_none() {
            warn!("the index does not answer, continuing without it until the next start");
            self.asks = None;
        }
        answer
    }

    /// Closes the store for good and moves it aside.
    pub(crate) fn give_up(&mut self, disk: &dyn Disk, data_dir: &Path) {
        self.close(CLOSE_TIME_MAX);
        move_aside(disk, data_dir);
    }

    /// Returns whether the store hears of it.
    fn ask(&mut self, ask: IndexRequest) -> bool {
        use std::sync::mpsc::TrySendError;
        if let Some(index) = &mut self.direct {
            return put(&mut **index, ask).is_ok();
        }
        let Some(asks) = &self.asks else { return false };
        let asked = asks.try_send(ask);
        if let Err(TrySendError::Disconnected(_)) = asked {
            warn!("the index failed, continuing without it until the next start");
            self.asks = None;
        }
        asked.is_ok()
    }

    /// Lets the store write what it holds, for at most `limit`.
    pub(crate) fn close(&mut self, limit: Duration) {
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

fn readable(records: Vec<(u32, Vec<u8>)>) -> Vec<(u32, IndexRecord)> {
    let parsed = |(slot, bytes): (u32, Vec<u8>)| Some((slot, IndexRecord::parse(&bytes)?));
    records.into_iter().filter_map(parsed).collect()
}

fn put(index: &mut dyn Index, ask: IndexRequest) -> Result<(), DvrError> {
    match ask {
        IndexRequest::Put(slot, record) => index.put(slot, &record),
        IndexRequest::Remove(slot) => index.remove(slot),
        // The caller may have gone.
        IndexRequest::Get(slot, answer) => index.get(slot).map(|record| drop(answer.send(record))),
        IndexRequest::Size(answer) => {
            index.size_bytes().map(|bytes| answer.send(bytes).unwrap_or(()))
        }
    }
}

fn kept(records: &[(u32, IndexRecord)]) -> BTreeMap<u32, (u64, u64)> {
    records.iter().map(|(slot, record)| (*slot, (record.generation, record.bytes()))).collect()
}

fn serve(mut index: Box<dyn Index>, queue: &Receiver<IndexRequest>) {
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

/// Keeps the newest store that failed for a later investigation.
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
    use crate::dvr::format::index_record::tests::record;

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

    /// A store that panics where its directory name asks for it: `open`, `load` or `put`; `hang`
    /// hangs.
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

    fn moody(dir: &Path, mood: &str) -> (IndexHandle, Vec<(u32, IndexRecord)>) {
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
