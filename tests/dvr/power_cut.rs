//! Power cuts, from a log of every write and flush that the block device saw.
//!
//! A recording is made on ext4 over a device that logs. Then the power is cut behind any entry of
//! the log, with all, some, or a torn last one of the writes since the last flush; the kernel
//! mounts what is left, and what was reported durable before that entry must be there.
//!
//! `SEED` replays the choice of the cuts, not the recording, whose timing is the machine's. The
//! image of a cut that fails is kept and named. `CUTS` sets how many are made.

mod daemon;
mod found;
mod harm;
mod recorder;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use holdfast::base::name::StreamName;
use holdfast::base::time::BootTime;
use holdfast::dvr::{RealDisk, tool};

use self::daemon::recorded_by_the_daemon;
use self::found::{Found, Known, Told};
use self::harm::Harm;
use self::recorder::{NoSync, Recorder, recorded_here};
use crate::harness::block_log::{BlockLog, Crashes, Cut, Entry as BlockEntry, LoggedDisk};
use crate::harness::daemon::assert_slots_decode;
use crate::harness::wait_for;

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
        let owed: BTreeMap<_, _> = self
            .told
            .durable
            .keys()
            .filter_map(|stream| Some((stream, self.owed(stream, at)?)))
            .collect();
        for (&(generation, sequence), fragment) in &self.known.fragments {
            let is_owed = owed.get(&fragment.stream).is_some_and(|&(until_ms, last)| {
                fragment.end_ms() <= until_ms && (generation, sequence) <= last
            });
            if !is_owed {
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

    /// Until when `stream` was reported durable before entry `at`, and which fragment that was. Where
    /// pictures are sent in another order than they are shown, one that came later may end before it.
    fn owed(&self, stream: &StreamName, at: usize) -> Option<(i64, (u64, u64))> {
        let until_ms = self.told.until_ms(stream, at)?;
        let is_last = |known: &Known| known.stream == *stream && known.end_ms() == until_ms;
        let last = self.known.fragments.iter().find(|(_, known)| is_last(known));
        // One that was never seen is no reason to ask for less.
        Some((until_ms, last.map_or((u64::MAX, u64::MAX), |(&id, _)| id)))
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
