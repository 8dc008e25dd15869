//! The index is damaged in every way that a disk has, and every time recording starts within 5 s,
//! nothing of the ring is lost, and the index is filled again.
//!
//! `SEED=` replays the bits that are flipped; `FLIPS=` sets how many.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use holdfast::base::name::StreamName;
use holdfast::base::time::{BootTime, MediaTime, SystemClock, WallTime};
use holdfast::dvr::{Dvr, Recording, Retention, RingConfig, RingReader, RingSizing, Writer, tool};
use holdfast::media::codec::Law;
use holdfast::media::{AccessUnit, Captured, ClockSource, CodecParams, Entry, RunId, Tracks};
use holdfast::wire::mp4::{Fragment, FragmentBuilder, init_segment};

/// As many as a ring of 16 GiB has, and the smallest that there are.
const SLOTS: u64 = 256;
const SLOT_BYTES: u64 = 64 << 10;
/// Some fifteen fragments a slot.
const FRAGMENT_BYTES: usize = 4_000;
/// Into each stream; the ring has turned when they are in it.
const FRAGMENTS: u32 = 2_200;
const STREAMS: [&str; 2] = ["gate", "yard"];
const FLIPS: u64 = 2_000;
const NOISES: u64 = 200;
/// Recording is a promise of 5 s, the rest a bound for a test that shall end.
const START_MAX: Duration = Duration::from_secs(5);
const COMPLETE_MAX: Duration = Duration::from_secs(60);
/// As long as the next start waits for it.
const LOCK_MAX: Duration = Duration::from_secs(10);
/// Most of a case is waiting for the next commit.
const WORKERS: usize = 16;

#[derive(Clone, Debug)]
enum Damage {
    None,
    Missing,
    Zeroed,
    Cut {
        file: PathBuf,
        at: u64,
    },
    Flip {
        file: PathBuf,
        bit: u64,
    },
    /// Sectors of noise from here on: more than a checksum of eight bytes has to find.
    Noise {
        file: PathBuf,
        sector: u64,
        sectors: u64,
    },
    /// One file is as it was before the last start: a write that never came, or a reordered one.
    Old {
        file: PathBuf,
    },
}

/// How a case went.
#[derive(Clone, Copy, Debug, Default)]
struct Outcome {
    /// From opening to the first durable fragment, if one was recorded.
    started: Option<Duration>,
    /// From opening to the whole ring being known.
    complete: Duration,
    moved_aside: bool,
}

/// A ring that has turned, with its index, never opened again.
struct Master {
    dir: tempfile::TempDir,
    /// Path below `index/`, and what is in it.
    index: Vec<(PathBuf, Vec<u8>)>,
    /// The same one start before.
    index_before: Vec<(PathBuf, Vec<u8>)>,
    /// What the slots hold.
    runs: Vec<Vec<Recording>>,
    /// How many slots the index knows: all but the last one of each stream.
    records: usize,
}

fn name(stream: &str) -> StreamName {
    StreamName::parse(stream).unwrap()
}

fn scratch() -> tempfile::TempDir {
    // In memory where possible: thousands of rings are copied and synced.
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn open(dir: &Path) -> Dvr {
    let config = RingConfig {
        data_dir: dir.to_owned(),
        size: RingSizing::Bytes(SLOT_BYTES * SLOTS),
        slot_bytes: Some(SLOT_BYTES),
    };
    Dvr::open(config, Arc::new(SystemClock), None).unwrap()
}

fn params() -> Arc<CodecParams> {
    Arc::new(CodecParams::g711(Law::A, NonZeroU32::new(8_000).unwrap(), 1))
}

fn init() -> Bytes {
    init_segment(&Tracks::new(RunId(1), [params()]))
}

/// The `at`-th second of a stream.
fn fragment(at: u32) -> Fragment {
    let params = params();
    let nanos = i64::from(at) * 1_000_000_000;
    let decode = MediaTime::from_nanos(nanos, params.clock_rate);
    let unit = |decode, data: Vec<u8>| AccessUnit {
        arrived: BootTime::from_nanos(nanos.unsigned_abs()),
        captured: Captured {
            wall: WallTime::from_unix_nanos(1_795_000_000_000_000_000 + nanos),
            source: ClockSource::Arrival,
        },
        entry: Entry::key_frame(true),
        ..AccessUnit::new(params.clone(), decode, data.into())
    };
    let mut builder = FragmentBuilder::new(at + 1);
    builder.push(Arc::new(unit(decode, at.to_be_bytes().repeat(FRAGMENT_BYTES / 4))));
    let next = MediaTime { ticks: decode.ticks + 8_000, rate: decode.rate };
    builder.build(Some(&unit(next, Vec::new())))
}

fn durable(writer: &Writer) -> u64 {
    writer.durable().borrow().map_or(0, |durable| durable.fragments)
}

fn until(what: &str, limit: Duration, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < limit, "{what} did not come within {limit:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn is_complete(dvr: &Dvr) -> bool {
    let status = dvr.status();
    status.held_slots > 0
        && status.indexed_slots == status.held_slots
        && STREAMS.iter().all(|stream| dvr.listing(&name(stream)).complete)
}

impl Master {
    fn make() -> Self {
        let dir = scratch();
        let dvr = open(dir.path());
        let writers = STREAMS.map(|stream| dvr.writer(&name(stream), Retention::default()));
        let init = init();
        for at in 0..FRAGMENTS {
            for writer in &writers {
                // Half of the queue at most: nothing is refused.
                until("the commit", COMPLETE_MAX, || u64::from(at) < durable(writer) + 400);
                writer.append(&init, fragment(at), at == 0, false).unwrap();
            }
        }
        for writer in &writers {
            until("the commit", COMPLETE_MAX, || durable(writer) == u64::from(FRAGMENTS));
        }
        drop(writers);
        assert!(dvr.close(COMPLETE_MAX));
        let mut index_before = Vec::new();
        collect(&dir.path().join("index"), Path::new(""), &mut index_before);
        // Once more, as a box that was restarted: sled goes over what it has.
        let dvr = open(dir.path());
        until("the index", COMPLETE_MAX, || is_complete(&dvr));
        assert!(dvr.close(COMPLETE_MAX));
        let mut index = Vec::new();
        collect(&dir.path().join("index"), Path::new(""), &mut index);
        let runs = scan(dir.path());
        let records = records_in(&dir.path().join("index"));
        assert_eq!(records, usize::try_from(SLOTS).unwrap() - STREAMS.len());
        Self { dir, index, index_before, runs, records }
    }

    fn bytes(&self) -> u64 {
        self.index.iter().map(|(_, bytes)| bytes.len() as u64).sum()
    }

    /// A bit of any byte, or of any file: the small ones would hardly ever be hit otherwise.
    fn flip(&self, random: &mut fastrand::Rng) -> Damage {
        let of_file = random.u8(0..4) == 0;
        loop {
            let (file, bytes) = random.choice(&self.index).unwrap();
            let bits = bytes.len() as u64 * 8;
            let largest = self.index.iter().map(|(_, bytes)| bytes.len() as u64 * 8).max();
            let bit = random.u64(0..if of_file { bits.max(1) } else { largest.unwrap() });
            if bit < bits {
                return Damage::Flip { file: file.clone(), bit };
            }
        }
    }

    fn noise(&self, random: &mut fastrand::Rng) -> Damage {
        let (file, bytes) = random.choice(&self.index).unwrap();
        let sector = random.u64(0..(bytes.len() as u64).div_ceil(512).max(1));
        Damage::Noise { file: file.clone(), sector, sectors: random.u64(1..17) }
    }

    /// Everything but the index, to `dir`.
    fn copy_ring(&self, dir: &Path) {
        let ring = dir.join("ring");
        let _ = std::fs::remove_dir_all(&ring);
        std::fs::create_dir_all(&ring).unwrap();
        for entry in std::fs::read_dir(self.dir.path().join("ring")).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), ring.join(entry.file_name())).unwrap();
        }
        std::fs::copy(self.dir.path().join("journal.log"), dir.join("journal.log")).unwrap();
    }

    /// The index as `damage` leaves it, to `dir`.
    fn put_index(&self, dir: &Path, damage: &Damage) {
        for old in ["index", "index.bad"] {
            let _ = std::fs::remove_dir_all(dir.join(old));
        }
        let _ = std::fs::remove_file(dir.join("index.opening"));
        if matches!(damage, Damage::Missing) {
            return;
        }
        for (file, bytes) in &self.index {
            let mut bytes = bytes.clone();
            match damage {
                Damage::Zeroed => bytes.fill(0),
                Damage::Cut { file: cut, at } if cut == file => {
                    bytes.truncate(usize::try_from(*at).unwrap());
                }
                Damage::Flip { file: flipped, bit } if flipped == file => {
                    bytes[usize::try_from(bit / 8).unwrap()] ^= 1 << (bit % 8);
                }
                Damage::Noise { file: noisy, sector, sectors } if noisy == file => {
                    let mut random = fastrand::Rng::with_seed(sector ^ sectors);
                    let at = usize::try_from(sector * 512).unwrap();
                    let bytes = bytes.iter_mut().skip(at);
                    bytes.take(usize::try_from(sectors * 512).unwrap()).for_each(|byte| {
                        *byte = random.u8(..);
                    });
                }
                Damage::Old { file: old } if old == file => {
                    let before = self.index_before.iter().find(|(before, _)| before == file);
                    bytes = before.map(|(_, bytes)| bytes.clone()).unwrap_or_default();
                }
                _ => {}
            }
            let path = dir.join("index").join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        std::fs::create_dir_all(dir.join("index/blobs")).unwrap();
    }
}

fn collect(dir: &Path, below: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
    let mut entries: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap()).collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let name = below.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            collect(&entry.path(), &name, files);
        } else {
            files.push((name, std::fs::read(entry.path()).unwrap()));
        }
    }
}

/// Records that another reader of sled's files finds. sled's own threads may hold the lock for a
/// moment longer than the store.
fn records_in(index: &Path) -> usize {
    let begun = Instant::now();
    loop {
        match sled::open(index) {
            Ok(db) => return db.iter().flatten().count(),
            Err(sled::Error::Io(_)) if begun.elapsed() < LOCK_MAX => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(error) => panic!("the index cannot be read: {error}"),
        }
    }
}

/// What the slots themselves say, without an index.
fn scan(dir: &Path) -> Vec<Vec<Recording>> {
    let reader = RingReader::open(dir).unwrap();
    let mut listings = tool::listings(&reader).unwrap();
    STREAMS.map(|stream| listings.remove(&name(stream)).unwrap().runs).into()
}

fn count(runs: &[Vec<Recording>]) -> usize {
    runs.iter().flatten().map(|run| usize::try_from(run.fragments).unwrap()).sum()
}

/// One start over a damaged index; with `records` a fragment of each stream is recorded.
fn live(master: &Master, dir: &Path, damage: &Damage, records: bool) -> Outcome {
    master.put_index(dir, damage);
    let begun = Instant::now();
    let dvr = open(dir);
    let mut outcome = Outcome::default();
    if records {
        let writers = STREAMS.map(|stream| dvr.writer(&name(stream), Retention::default()));
        let init = init();
        until("the ring", START_MAX, || dvr.status().slot_bytes > 0);
        for writer in &writers {
            writer.append(&init, fragment(FRAGMENTS), false, false).unwrap();
        }
        for writer in &writers {
            until("the first durable fragment", START_MAX, || durable(writer) == 1);
        }
        outcome.started = Some(begun.elapsed());
        assert!(begun.elapsed() < START_MAX, "started after {:?}", begun.elapsed());
    }
    until("the whole index", COMPLETE_MAX, || is_complete(&dvr));
    outcome.complete = begun.elapsed();
    let listed = STREAMS.map(|stream| dvr.listing(&name(stream)).runs);
    assert!(dvr.close(COMPLETE_MAX), "it does not close");
    if records {
        let slots = scan(dir);
        assert_eq!(&listed[..], &slots[..]);
        assert_eq!(count(&slots), count(&master.runs) + STREAMS.len(), "fragments");
    } else {
        assert_eq!(&listed[..], &master.runs[..]);
    }
    assert!(!dir.join("index.opening").exists(), "the marker stayed");
    assert_eq!(records_in(&dir.join("index")), master.records, "records in the index");
    outcome.moved_aside = dir.join("index.bad").exists();
    outcome
}

/// Lives through `cases` with several workers; what one says is about which damage.
fn live_all(master: &Master, cases: &[(Damage, bool)]) -> Vec<Outcome> {
    let (next, outcomes) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        let dir = scratch();
        master.copy_ring(dir.path());
        while let Some((damage, records)) = cases.get(next.fetch_add(1, Relaxed)) {
            let case = || live(master, dir.path(), damage, *records);
            let lived = std::panic::catch_unwind(std::panic::AssertUnwindSafe(case));
            let outcome = lived.unwrap_or_else(|_| panic!("with {damage:?}"));
            outcomes.lock().unwrap().push(outcome);
            if *records {
                master.copy_ring(dir.path());
            }
        }
        // Starts without recording leave the slots as they are.
        assert_eq!(scan(dir.path()), master.runs);
    };
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(work);
        }
    });
    outcomes.into_inner().unwrap()
}

fn tell(what: &str, begun: Instant, outcomes: &[Outcome]) {
    let started = outcomes.iter().filter_map(|outcome| outcome.started).max();
    let complete = outcomes.iter().map(|outcome| outcome.complete).max();
    let moved = outcomes.iter().filter(|outcome| outcome.moved_aside).count();
    println!(
        "{what}: {} starts in {:.1} s, {moved} times moved aside; slowest first durable \
         fragment {:?}, slowest whole index {:?}",
        outcomes.len(),
        begun.elapsed().as_secs_f64(),
        started.unwrap_or_default(),
        complete.unwrap_or_default(),
    );
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn whatever_the_index_holds_recording_starts_and_nothing_is_lost() {
    let seed = number("SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("SEED={seed}");
    let begun = Instant::now();
    let master = Master::make();
    println!("ring: {:.1} s, index of {} bytes", begun.elapsed().as_secs_f64(), master.bytes());

    let begun = Instant::now();
    let whole = live_all(&master, &[(Damage::None, true), (Damage::None, false)]);
    tell("undamaged", begun, &whole);
    assert!(whole.iter().all(|outcome| !outcome.moved_aside), "a good index was moved aside");

    let mut cases = vec![(Damage::Missing, true), (Damage::Zeroed, true)];
    for (file, bytes) in &master.index {
        let cut = |at| (Damage::Cut { file: file.clone(), at }, true);
        cases.extend((0..bytes.len() as u64).step_by(4 << 10).map(cut));
    }
    let begun = Instant::now();
    let cut = live_all(&master, &cases);
    tell("missing, zeroed, cut at every 4 KiB", begun, &cut);
    assert!(cut.iter().any(|outcome| outcome.moved_aside), "no cut was noticed");

    let old = |(file, _): &(PathBuf, _)| (Damage::Old { file: file.clone() }, true);
    let cases: Vec<_> = master.index.iter().map(old).collect();
    let begun = Instant::now();
    tell("one file from the start before", begun, &live_all(&master, &cases));

    let mut random = fastrand::Rng::with_seed(seed);
    let flips: Vec<_> = (0..number("FLIPS").unwrap_or(FLIPS))
        .map(|at| (master.flip(&mut random), at % 20 == 0))
        .collect();
    let begun = Instant::now();
    let flipped = live_all(&master, &flips);
    tell("one bit flipped", begun, &flipped);
    assert!(flipped.iter().any(|outcome| outcome.moved_aside), "no flip was noticed");

    let noise = |at| (master.noise(&mut random), at % 20 == 0);
    let noises: Vec<_> = (0..NOISES).map(noise).collect();
    let begun = Instant::now();
    tell("noise", begun, &live_all(&master, &noises));
}
