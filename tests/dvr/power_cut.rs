//! Power cuts, from a log of every write and flush that the block device saw.
//!
//! A recording is made on ext4 over a device that logs. Then the power is cut behind any entry of
//! the log, with all, some, or a torn last one of the writes since the last flush; the kernel
//! mounts what is left, and what was reported durable before that entry must be there.
//!
//! `SEED` replays the choice of the cuts, not the recording, whose timing is the machine's. The
//! image of a cut that fails is kept and named. `CUTS` sets how many are made.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::harness::block_log::{BlockLog, Crashes, Cut, Entry as BlockEntry, LoggedDisk};
use crate::harness::daemon::{Daemon, assert_slots_decode};
use crate::harness::{Running, ffmpeg, run_well, wait_for};
use fastrand::Rng;
use holdfast::base::name::StreamName;
use holdfast::base::time::{BootTime, Clock, MediaTime, SystemClock, WallTime};
use holdfast::dvr::{
    Disk, DiskFile, Dvr, DvrError, FragmentEntry, OpenMode, RealDisk, Retention, RingConfig,
    RingReader, RingSizing, RingState, Volume, Writer, tool,
};
use holdfast::media::codec::Law;
use holdfast::media::{AccessUnit, Captured, ClockSource, CodecParams, RunId, TrackId, Tracks};
use holdfast::wire::mp4::{FragmentBuilder, init_segment};

const CUTS: usize = 200;
/// So large that the ring leaves to others what it has to.
const DEVICE_BYTES: usize = 96 << 20;
/// Two test pictures; open groups of pictures; parameter sets that differ from one key frame to the next.
const STREAMS: [&str; 4] = ["gate", "yard", "door", "lift"];
/// How films are made small enough for slots of 64 KiB.
const X264: [&str; 8] =
    ["-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "ultrafast", "-crf", "38"];
/// Those whose slots play from their first picture on without an error.
const CLOSED: [&str; 2] = ["gate", "yard"];
/// The log is read at so many places to learn what was ever in it; slots live longer than the
/// time between two.
const LOOKS: usize = 24;
/// After so many cuts the recorder itself starts on what is left, and slots are decoded.
const STARTED_EVERY: usize = 8;
const STARTED_EVERY_IN_SOAK: usize = 40;
/// What a power cut may cost on a disk that does not stall.
const LOSS_MAX: Duration = Duration::from_secs(2);
/// A stall of the device within this time before a cut: what is lost then is not the recorder's
/// doing.
const STALL_SEEN_WITHIN: Duration = Duration::from_secs(4);
/// Another boot than the one that recorded.
const NEXT_BOOT: [u8; 16] = [7; 16];

/// A fragment that was on the medium at some time.
#[derive(Clone, Debug, PartialEq)]
struct Known {
    stream: StreamName,
    slot: u32,
    entry: FragmentEntry,
}

impl Known {
    fn end_ms(&self) -> i64 {
        let nanos = i64::try_from(self.entry.span_nanos).unwrap();
        self.entry.wall.offset_nanos(nanos).as_unix_millis()
    }

    /// When the last of it had arrived at the recorder: what the source itself is late with, as
    /// an encoder on a busy machine, no power cut took.
    fn arrived_until(&self) -> BootTime {
        self.entry.boot_time.after(Duration::from_nanos(self.entry.span_nanos))
    }
}

/// What the slots of an image hold.
#[derive(Default)]
struct Found {
    /// By generation and sequence.
    fragments: BTreeMap<(u64, u64), Known>,
    /// Slot and time of opening, by generation.
    laps: BTreeMap<u64, (u32, BootTime)>,
}

impl Found {
    /// Reads them; `None` where there is no ring yet.
    fn read(data: &Path) -> Result<Option<Self>, String> {
        let reader = match RingReader::open(data) {
            Ok(reader) => reader,
            Err(DvrError::Gone { .. }) => return Ok(None),
            Err(error) => return Err(format!("the ring cannot be opened: {error}")),
        };
        let mut found = Self::default();
        for &lap in reader.laps() {
            let contents = reader.contents(lap).map_err(|error| error.to_string())?;
            let (header, contents) = contents.ok_or("a slot changed by itself")?;
            found.laps.insert(lap.generation, (lap.slot, header.opened));
            for entry in contents.entries {
                let known = Known { stream: header.stream.clone(), slot: lap.slot, entry };
                found.fragments.insert((lap.generation, known.entry.sequence), known);
            }
        }
        Ok(Some(found))
    }
}

/// What was reported durable during the recording, and at which place of the log.
#[derive(Default)]
struct Told {
    /// Place in the log, and until when the stream was durable, in Unix milliseconds.
    durable: BTreeMap<StreamName, Vec<(usize, i64)>>,
    /// Place in the log, and when it was reached at the latest.
    times: Vec<(usize, BootTime)>,
}

impl Told {
    /// Notes what was reported until now. The place is looked up afterwards, so that every flush on
    /// which it rests comes before it.
    fn note(&mut self, disk: &mut LoggedDisk, told: Vec<(StreamName, i64)>) {
        let position = disk.position();
        self.times.push((position, SystemClock.boot()));
        for (stream, until_ms) in told {
            let list = self.durable.entry(stream).or_default();
            if list.last().is_none_or(|&(_, before)| before < until_ms) {
                list.push((position, until_ms));
            }
        }
    }

    /// Until when `stream` was reported durable before entry `at`.
    fn until_ms(&self, stream: &StreamName, at: usize) -> Option<i64> {
        let list = self.durable.get(stream)?;
        list.iter().take_while(|&&(position, _)| position <= at).last().map(|&(_, until)| until)
    }

    fn time(&self, at: usize) -> BootTime {
        let reached = self.times.iter().find(|(position, _)| *position >= at);
        reached.or(self.times.last()).unwrap().1
    }
}

/// A recording with all its facts.
struct Recording {
    log: BlockLog,
    /// Entries of the log between the mount and the end of the recording.
    begin: usize,
    end: usize,
    told: Told,
    /// All fragments and laps that ever were on the medium.
    known: Found,
    /// Whether the image of the first cut that loses something is kept.
    keeps_image: bool,
}

/// What the cuts of one recording showed.
#[derive(Debug, Default)]
struct Seen {
    cuts: usize,
    /// Writes that were not flushed yet, over all cuts.
    open_writes: usize,
    /// Cuts with an open write.
    in_flight: usize,
    /// Fragments that had been reported durable and were there, over all cuts.
    held: usize,
    /// Cuts after which the recorder was started, and those of them with harm before it.
    started: usize,
    harmed: usize,
    /// What each cut cost of each stream, and how long the device stalled before it.
    losses: Vec<(Duration, Duration)>,
    faults: Vec<String>,
}

impl Recording {
    fn new(disk: LoggedDisk, begin: usize, told: Told) -> Self {
        let end = told.times.last().unwrap().0;
        let log = disk.into_log();
        let mut recording =
            Self { log, begin, end, told, known: Found::default(), keeps_image: true };
        let acknowledged: usize = recording.told.durable.values().map(Vec::len).sum();
        recording.learn();
        println!(
            "{} log entries from {begin}, {acknowledged} acknowledgements, {} fragments in {} laps",
            end - begin,
            recording.known.fragments.len(),
            recording.known.laps.len()
        );
        recording
    }

    /// Learns what was ever on the medium, from the log without a cut write.
    fn learn(&mut self) {
        let dir = tempfile::tempdir().unwrap();
        let mut known = Found::default();
        let mut crashes = Crashes::new(&self.log);
        for look in 1..=LOOKS {
            let at = self.begin + (self.end - self.begin) * look / LOOKS;
            let at = if look == LOOKS { self.log.entries.len() } else { at };
            let _image = crashes.mounted(at, Cut::Prefix, &mut Rng::new(), dir.path());
            // Without a sync there may be nothing that can be read; that is for the cuts to tell.
            let Ok(Some(found)) = Found::read(dir.path()) else { continue };
            for (id, fragment) in found.fragments {
                if let Some(other) = known.fragments.insert(id, fragment.clone()) {
                    assert_eq!(other, fragment, "one number, two fragments");
                }
            }
            known.laps.extend(found.laps);
        }
        self.known = known;
    }

    /// Fails unless every reported durable end was the end of a fragment on the medium: what never
    /// got there could not be missed after a cut.
    fn assert_all_known(&self) {
        for (stream, list) in &self.told.durable {
            for (position, until_ms) in list {
                let is_this =
                    |known: &&Known| known.stream == *stream && known.end_ms() == *until_ms;
                let known = self.known.fragments.values().find(is_this);
                assert!(
                    known.is_some(),
                    "{stream} until {until_ms}, told at {position}: never there"
                );
            }
        }
    }

    /// Cuts at `count` places, one in each stretch of the recording.
    fn cut(&self, count: usize, started_every: usize, random: &mut Rng) -> Seen {
        let dir = tempfile::tempdir().unwrap();
        let mut seen = Seen::default();
        let mut crashes = Crashes::new(&self.log);
        let length = self.end - self.begin;
        for nth in 0..count {
            let from = self.begin + length * nth / count;
            let to = self.begin + length * (nth + 1) / count;
            let mut at = random.usize(from..=to);
            if random.bool() {
                at = self.log.before_flush(at);
            }
            let cut = [Cut::Prefix, Cut::Some, Cut::Some, Cut::Torn][random.usize(..4)];
            let (image, open) = crashes.mounted(at, cut, random, dir.path());
            seen.cuts += 1;
            seen.open_writes += open;
            seen.in_flight += usize::from(open > 0);
            let mut checked = self.check(at, dir.path(), 0, &mut seen);
            if nth % started_every == started_every - 1 && checked.is_ok() {
                seen.started += 1;
                let harm = Harm::draw(dir.path(), random);
                seen.harmed += usize::from(harm.is_some());
                checked = self.start(at, dir.path(), harm, random);
            }
            if let Err(fault) = checked {
                if seen.faults.is_empty() && self.keeps_image {
                    let name = format!("power-cut-{at}-{cut:?}.img");
                    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
                    image.keep(&kept);
                    println!("the image of the first cut that lost is {}", kept.display());
                }
                seen.faults.push(format!("cut {nth} at entry {at}, {cut:?}: {fault}"));
            }
        }
        seen
    }

    /// Checks what is there after a cut at entry `at`, from the files alone.
    /// `damaged` slots are damaged on purpose.
    fn check(&self, at: usize, data: &Path, damaged: u64, seen: &mut Seen) -> Result<(), String> {
        let found = Found::read(data)?;
        let is_ring = found.is_some();
        let found = found.unwrap_or_default();
        for (id, fragment) in &found.fragments {
            if self.known.fragments.get(id) != Some(fragment) {
                return Err(format!("nobody ever wrote {fragment:?} of lap {id:?}"));
            }
        }
        let boot = self.told.time(at);
        for (&(generation, sequence), fragment) in &self.known.fragments {
            let until_ms = self.told.until_ms(&fragment.stream, at);
            if until_ms.is_none_or(|until_ms| fragment.end_ms() > until_ms) {
                continue;
            }
            if found.fragments.contains_key(&(generation, sequence)) {
                seen.held += 1;
            } else if found.laps.contains_key(&generation)
                || !self.was_reused(fragment.slot, generation, boot)
            {
                return Err(format!("{fragment:?} of lap {generation} is lost"));
            }
        }
        if is_ring {
            let mut said = Vec::new();
            let verdict = tool::verify(data, &mut said).map_err(|error| error.to_string())?;
            // The slot that a stream writes, and the one before within the same second.
            let torn_max = 2 * self.told.durable.len() as u64;
            if verdict.damaged != damaged || verdict.torn_tails > torn_max {
                return Err(format!("{verdict:?}: {}", String::from_utf8_lossy(&said)));
            }
        }
        for stream in self.told.durable.keys() {
            let there = found.fragments.values().filter(|known| known.stream == *stream);
            if let Some(end) = there.map(Known::arrived_until).max() {
                seen.losses.push((boot.since(end), self.stall(at)));
            }
        }
        Ok(())
    }

    /// The longest that no flush reached the device in the seconds before entry `at` did.
    fn stall(&self, at: usize) -> Duration {
        let cut_at = self.told.time(at);
        let (mut flushed, mut flushed_at, mut stall) = (0, None, Duration::ZERO);
        for &(position, seen_at) in &self.told.times {
            let flush = |entry: &BlockEntry| matches!(entry, BlockEntry::Flush);
            let Some(newest) = self.log.entries[..position].iter().rposition(flush) else {
                continue;
            };
            if cut_at.since(seen_at) < STALL_SEEN_WITHIN {
                stall = stall.max(seen_at.since(flushed_at.unwrap_or(seen_at)));
            }
            if newest > flushed || flushed_at.is_none() {
                (flushed, flushed_at) = (newest, Some(seen_at));
            }
            if seen_at >= cut_at {
                break;
            }
        }
        stall
    }

    /// Whether a newer lap had been begun in `slot` by `time`.
    fn was_reused(&self, slot: u32, generation: u64, time: BootTime) -> bool {
        let newer = self.known.laps.range(generation + 1..);
        newer.into_iter().any(|(_, &(other, opened))| other == slot && opened <= time)
    }

    /// Starts the recorder on what is left, harmed or not: it mends, loses nothing, tells of the harm, and
    /// records.
    fn start(
        &self,
        at: usize,
        data: &Path,
        harm: Option<Harm>,
        random: &mut Rng,
    ) -> Result<(), String> {
        if !data.join("ring/ring.toml").exists() && harm.is_none() {
            return Ok(());
        }
        let damaged = harm.map_or(0, Harm::faults);
        let recorder = Recorder::open(Arc::new(RealDisk), data);
        wait_for(&format!("cut at {at}: mended"), Duration::from_secs(5), || {
            let verdict = tool::verify(data, &mut Vec::new()).unwrap();
            // Nothing is written to a slot whose front is damaged.
            (verdict.damaged == damaged && verdict.torn_tails <= damaged).then_some(())
        });
        let started = |fault| format!("started after {harm:?}: {fault}");
        self.check(at, data, damaged, &mut Seen::default()).map_err(started)?;
        if let Some(harm) = harm {
            let told = recorder.dvr.status().damage;
            if !told.iter().any(|one| one.contains(&harm.words())) {
                return Err(format!("{harm:?} is not told: {told:?}"));
            }
        }
        if damaged == 0 {
            decode_some(data, random)?;
        }
        recorder.record_until_durable();
        assert!(recorder.dvr.close(Duration::from_secs(5)), "the recorder does not end");
        Ok(())
    }
}

/// What else may be wrong when the power comes back.
#[derive(Clone, Copy, Debug)]
enum Harm {
    /// `ring.toml` is gone.
    NoRingFile,
    /// A bit of `ring.toml` is wrong.
    RingFile,
    /// A bit in the front of a slot is wrong.
    Front(u32),
}

impl Harm {
    /// Harms what is there in half of all cases, if there is footage.
    fn draw(data: &Path, random: &mut Rng) -> Option<Self> {
        let path = data.join("ring/ring.toml");
        let found = Found::read(data).ok()??;
        let slots: Vec<u32> = found.fragments.values().map(|known| known.slot).collect();
        if slots.is_empty() || random.bool() {
            return None;
        }
        Some(match random.u8(0..3) {
            0 => {
                std::fs::remove_file(&path).unwrap();
                Self::NoRingFile
            }
            1 => {
                // In the digits of the identity.
                let at = std::fs::read_to_string(&path).unwrap().find("ring = \"").unwrap() + 12;
                flip(&path, at as u64, 1);
                Self::RingFile
            }
            _ => {
                let slot = slots[random.usize(..slots.len())];
                let path = data.join(format!("ring/{slot:06}.mp4"));
                flip(&path, random.u64(..400), random.u8(0..8));
                Self::Front(slot)
            }
        })
    }

    /// What `verify` counts of it once the recorder has started.
    fn faults(self) -> u64 {
        u64::from(matches!(self, Self::Front(_)))
    }

    /// What is told of it.
    fn words(self) -> String {
        match self {
            Self::NoRingFile => "ring.toml was missing".to_owned(),
            Self::RingFile => "ring.toml was damaged".to_owned(),
            Self::Front(slot) => format!("The front of slot {slot:06} is damaged"),
        }
    }
}

fn flip(path: &Path, at: u64, bit: u8) {
    use std::os::unix::fs::FileExt;
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1 << bit], at).unwrap();
}

/// Decodes two slots: of those that play on their own, as one without a key frame does not.
fn decode_some(data: &Path, random: &mut Rng) -> Result<(), String> {
    let found = Found::read(data)?.unwrap_or_default();
    let first = found.fragments.iter().filter(|((_, sequence), _)| *sequence == 1);
    let plays = first.filter(|(_, known)| {
        known.entry.starts_with_key && CLOSED.contains(&known.stream.as_str())
    });
    let mut slots: Vec<_> =
        plays.map(|(_, known)| data.join(format!("ring/{:06}.mp4", known.slot))).collect();
    random.shuffle(&mut slots);
    slots.truncate(2);
    if !slots.is_empty() {
        assert_slots_decode(&slots);
    }
    Ok(())
}

/// The recorder alone, in this process.
struct Recorder {
    dvr: Dvr,
    writers: Vec<Writer>,
    params: Arc<CodecParams>,
}

impl Recorder {
    /// Opens the ring under `data`, or makes one of 16 slots.
    fn open(disk: Arc<dyn Disk>, data: &Path) -> Self {
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
    fn append(&self, sequence: u32) {
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

    fn unit(&self, now: BootTime, wall: WallTime, nanos: i64) -> AccessUnit {
        let begun = i64::try_from(now.as_nanos()).unwrap();
        let decode = MediaTime::from_nanos(begun + nanos, self.params.clock_rate);
        AccessUnit {
            track: TrackId(0),
            run: RunId(1),
            decode,
            present: decode,
            arrived: now,
            captured: Captured { wall: wall.offset_nanos(nanos), source: ClockSource::Arrival },
            entry: holdfast::media::Entry::key_frame(true),
            leading: None,
            lost_before: 0,
            params: Arc::clone(&self.params),
            data: vec![0x55; 400].into(),
        }
    }

    fn durable(&self) -> Vec<(StreamName, i64)> {
        let told = self.writers.iter().filter_map(|writer| {
            let durable = *writer.durable().borrow();
            Some((writer.stream().clone(), durable?.until.as_unix_millis()))
        });
        told.collect()
    }

    fn record_until_durable(&self) {
        self.append(1);
        wait_for("what is recorded is durable", Duration::from_secs(5), || {
            (self.durable().len() == self.writers.len()).then_some(())
        });
    }
}

/// The disk of this machine, but what is written to a slot is never synced.
#[derive(Debug)]
struct NoSync;

#[derive(Debug)]
struct NoSyncFile {
    file: Arc<dyn DiskFile>,
    is_slot: bool,
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

/// Lets the real daemon record four test pictures.
fn recorded_by_the_daemon(secs: u64) -> Recording {
    let mut disk = LoggedDisk::new(DEVICE_BYTES);
    let films = tempfile::tempdir().unwrap();
    let flips = films.path().join("flips.h264");
    film(&flips, secs + 15);
    let stream = |(at, name): (usize, &&str)| {
        let (width, height) = [(320, 180), (640, 360)][at % 2];
        let source = match at {
            0 | 1 => format!("kind = \"pattern\", width = {width}, height = {height}, fps = 10"),
            2 => "kind = \"rtsp_push\"".to_owned(),
            _ => command(&flips),
        };
        format!("[stream.{name}]\nsource = {{ {source} }}\n")
    };
    let streams: String = STREAMS.iter().enumerate().map(stream).collect();
    // Small enough to turn.
    let mut daemon = Daemon::new("1MiB", &streams);
    disk.mount(&daemon.data_dir());
    let begin = disk.position();
    let mut told = Told::default();
    daemon.start();
    let _pushed = push_open(&daemon);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(secs) {
        let durable = durable_of(&daemon);
        told.note(&mut disk, durable);
        std::thread::sleep(Duration::from_millis(20));
    }
    daemon.kill();
    Recording::new(disk, begin, told)
}

/// Makes an H.264 film whose parameter sets are others in every other second.
fn film(path: &Path, secs: u64) {
    let second = |options: &str| {
        let mut made = ffmpeg();
        made.args(["-f", "lavfi", "-t", "1", "-i", "testsrc2=s=320x180:r=10"]).args(X264);
        made.args(["-x264-params", options, "-f", "h264", "-"]);
        run_well(&mut made, Duration::from_secs(30))
    };
    let (one, other) = (second("keyint=10:ref=1:bframes=0"), second("keyint=10:ref=2:bframes=0"));
    let turns = usize::try_from(secs / 2 + 1).unwrap();
    std::fs::write(path, [one, other].concat().repeat(turns)).unwrap();
}

/// Pushes open groups of pictures into the stream `door` until it is dropped.
fn push_open(daemon: &Daemon) -> Running {
    let mut push = ffmpeg();
    push.args(["-re", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=10"]).args(X264);
    let options = "keyint=10:min-keyint=10:scenecut=0:open-gop=1:bframes=2:b-adapt=0";
    push.args(["-x264-params", options, "-f", "rtsp", "-rtsp_transport", "tcp"]);
    Running::start(push.arg(daemon.rtsp("door")).stdin(Stdio::null()))
}

/// A source that plays `film`.
fn command(film: &Path) -> String {
    let film = film.display();
    format!(
        "kind = \"command\", command = [\"ffmpeg\", \"-nostdin\", \"-v\", \"error\", \"-re\", \"-r\", \
         \"10\", \"-i\", \"{film}\", \"-c\", \"copy\", \"-f\", \"h264\", \"-\"]"
    )
}

/// Until when each stream is durable, as the API tells.
fn durable_of(daemon: &Daemon) -> Vec<(StreamName, i64)> {
    let all = daemon.get("/api/v1/streams");
    let list = all["streams"].as_array().unwrap_or_else(|| panic!("no streams in {all}"));
    let told = list.iter().filter_map(|stream| {
        let until = WallTime::parse_rfc3339(stream["recording"]["durable_until"].as_str()?)?;
        Some((StreamName::parse(stream["name"].as_str()?).unwrap(), until.as_unix_millis()))
    });
    told.collect()
}

/// Records in this process, on `on`.
fn recorded_here(on: Arc<dyn Disk>, secs: u64) -> Recording {
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

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn seeded() -> Rng {
    let seed = number("SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("SEED={seed}");
    Rng::with_seed(seed)
}

impl Seen {
    /// What the cuts cost, in words. Nothing is asserted: on a busy machine it is as long as the
    /// device stalls; the simulation holds it to its promise.
    fn loss(&mut self) -> String {
        self.losses.sort_unstable();
        let Some(&(most, stall)) = self.losses.last() else { return String::new() };
        let (median, _) = self.losses[self.losses.len() / 2];
        let over = self.losses.iter().filter(|(lost, _)| *lost > LOSS_MAX).count();
        let unexplained = |(lost, stall): &&(Duration, Duration)| *lost > LOSS_MAX + *stall;
        let unexplained = self.losses.iter().filter(unexplained).count();
        let all = self.losses.len();
        format!(
            "streams lacked {median:.1?} (median), {most:.1?} (most, behind {stall:.1?} without a \
             flush); {over} of {all} more than {LOSS_MAX:?}, {unexplained} of them more than that \
             and the time without a flush"
        )
    }

    /// Prints what was seen; fails if anything was lost.
    fn assert_nothing_lost(&mut self, secs: f32) {
        let text = self.loss();
        let Self { cuts, open_writes, in_flight, held, started, harmed, faults, .. } = self;
        println!(
            "{cuts} cuts in {secs:.1} s, {in_flight} of them with open writes ({open_writes}); \
             {held} times a fragment was owed and there; {started} starts, {harmed} of them with harm; \
             {text}"
        );
        assert!(faults.is_empty(), "{} cuts lost: {:#?}", faults.len(), &faults[..1]);
        assert!(*held > *cuts, "too little was acknowledged to tell anything");
        assert!(*in_flight > *cuts / 4, "too few writes were cut");
    }
}

#[test]
fn what_is_durable_is_there_after_a_power_cut_at_any_write() {
    let _alone = crate::harness::alone();
    let mut random = seeded();
    let count = number("CUTS").map_or(CUTS, |count| usize::try_from(count).unwrap());
    let recording = recorded_by_the_daemon(25);
    let begun = Instant::now();
    recording
        .cut(count, STARTED_EVERY, &mut random)
        .assert_nothing_lost(begun.elapsed().as_secs_f32());
}

/// The harness itself: it finds nothing lost where all is synced, and what is lost where not.
#[test]
fn cuts_show_what_a_recorder_without_fdatasync_loses() {
    let _alone = crate::harness::alone();
    let mut random = seeded();
    let begun = Instant::now();
    let synced = recorded_here(Arc::new(RealDisk), 5);
    synced.assert_all_known();
    synced.cut(40, STARTED_EVERY, &mut random).assert_nothing_lost(begun.elapsed().as_secs_f32());
    // Too short for the ring to turn: what goes under in the first lap is still to be written.
    let mut unsynced = recorded_here(Arc::new(NoSync), 2);
    // Such a recording hardly writes: it is cut where something had been reported durable.
    let told = unsynced.told.durable.values().flatten().map(|&(position, _)| position);
    unsynced.begin = told.min().expect("something was told durable");
    unsynced.keeps_image = false;
    let seen = unsynced.cut(20, STARTED_EVERY, &mut random);
    println!(
        "without fdatasync {} of {} cuts lost, as {:?}",
        seen.faults.len(),
        seen.cuts,
        seen.faults.first()
    );
    assert!(seen.faults.iter().any(|fault| fault.contains("is lost")), "it was not found out");
}

/// A new recording every 1,000 cuts, until stopped, for `MINUTES`, or until `CUTS` were made.
#[test]
#[ignore = "runs until stopped; make soak"]
fn soak() {
    let (begun, limit) = (Instant::now(), number("MINUTES").map(|m| Duration::from_secs(m * 60)));
    let mut random = seeded();
    let (mut cuts, mut turn) = (0, 0);
    let most = number("CUTS").map(|most| usize::try_from(most).unwrap());
    while limit.is_none_or(|limit| begun.elapsed() < limit) && most.is_none_or(|most| cuts < most) {
        turn += 1;
        // The recorder alone writes more and turns faster, the daemon writes more beside it.
        let recording = match turn % 2 {
            1 => recorded_by_the_daemon(25),
            _ => recorded_here(Arc::new(RealDisk), 10),
        };
        recording.assert_all_known();
        let since = Instant::now();
        let mut seen = recording.cut(1_000, STARTED_EVERY_IN_SOAK, &mut random);
        seen.assert_nothing_lost(since.elapsed().as_secs_f32());
        cuts += seen.cuts;
        println!("{} min: {cuts} power cuts", begun.elapsed().as_secs() / 60);
    }
}
