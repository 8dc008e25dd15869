//! What was handed over, written, synced and acknowledged, and whether a disk keeps its word.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use crate::base::time::BootTime;
use crate::dvr::disk::Disk;
use crate::dvr::disk::model::{DiskEvent, ModelDisk};
use crate::dvr::format::seal::{FragmentEntry, SEAL_BYTES, Seal, SlotHeader};
use crate::dvr::{RingReader, tool};

/// What the payload of every fragment begins with; its number follows.
pub(crate) const MARK: &[u8; 8] = b"\x01footage";

/// How far a fragment has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    /// Handed over, or written: it may be there.
    Taken,
    /// Written, and its file was synced: it may be there.
    Synced,
    /// "Durable until" covers it: it is there.
    Acknowledged,
    /// It was, and its slot was taken for something else, or a fault took it: it may be there.
    Excused,
}

/// One fragment.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) stream: usize,
    pub(crate) state: State,
    pub(crate) begun: BootTime,
    pub(crate) taken_at: BootTime,
    pub(crate) life: u32,
    /// The date of its end by the right clock, in nanoseconds.
    true_end: i64,
    /// The life in which it was there.
    seen: u32,
    bytes: Bytes,
    /// Its file and lap, as the writes said: more than one when a write failed.
    laps: Vec<(PathBuf, u64)>,
    /// Where in the last of these files, in bytes.
    at: u64,
    /// It was cut off there again.
    is_cut: bool,
}

/// A fragment found on a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) slot: u32,
    pub(crate) header: SlotHeader,
    pub(crate) entry: FragmentEntry,
    pub(crate) id: u64,
}

/// A lap whose slot was taken.
#[derive(Clone, Debug)]
pub(crate) struct Gone {
    pub(crate) path: PathBuf,
    pub(crate) stream: usize,
    pub(crate) generation: u64,
    /// The date of its newest synced fragment's end by the right clock, in nanoseconds; zero when
    /// it has none.
    pub(crate) true_end: i64,
    /// Something in it was acknowledged: it was really there.
    pub(crate) is_owed: bool,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    fragments: BTreeMap<u64, Written>,
    next_id: u64,
    /// Acknowledged fragments when the medium was kept.
    kept: BTreeSet<u64>,
    pub(crate) acknowledged: u64,
    pub(crate) evicted: u64,
}

impl Ledger {
    pub(crate) fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Takes note of a fragment that is handed over: its number, stream and life, when its first
    /// unit arrived, when it is handed over, and the date at which it ends by the right clock.
    pub(crate) fn take(
        &mut self,
        (id, stream, life): (u64, usize, u32),
        begun: BootTime,
        taken_at: BootTime,
        true_end: i64,
        bytes: Bytes,
    ) {
        let (state, seen, laps) = (State::Taken, life, Vec::new());
        let (at, is_cut) = (0, false);
        let written = Written {
            stream,
            state,
            begun,
            taken_at,
            life,
            true_end,
            seen,
            bytes,
            laps,
            at,
            is_cut,
        };
        self.fragments.insert(id, written);
    }

    pub(crate) fn of_life(&self, life: u32) -> impl Iterator<Item = (&u64, &Written)> {
        self.fragments.iter().filter(move |(_, fragment)| fragment.life == life)
    }

    /// Follows what the disk saw; returns the laps that went.
    pub(crate) fn observe(&mut self, events: Vec<DiskEvent>) -> Vec<Gone> {
        let mut gone = Vec::new();
        for event in events {
            match event {
                DiskEvent::Wrote { path, at: 0, .. } => gone.extend(self.evict(path)),
                DiskEvent::Wrote { path, at, bytes } => {
                    if let Some(id) = id_of(&bytes) {
                        // The seal, and the header of the `free` box behind it.
                        let seal = bytes.len() - SEAL_BYTES - 8;
                        let generation = Seal::peek(&bytes[seal..]).expect("a seal").generation;
                        let fragment = self.fragments.get_mut(&id).expect("it was handed over");
                        fragment.laps.push((path, generation));
                        (fragment.at, fragment.is_cut) = (at, false);
                    } else {
                        // A tail that was written in trouble is cut off: what was not reported
                        // durable there does not belong to the lap, though its file was synced.
                        for fragment in self.in_file(&path).filter(|cut| cut.at >= at) {
                            if fragment.state <= State::Synced {
                                (fragment.state, fragment.is_cut) = (State::Taken, true);
                            }
                        }
                    }
                }
                DiskEvent::Synced { path } => {
                    for fragment in self.in_file(&path).filter(|fragment| !fragment.is_cut) {
                        fragment.state = fragment.state.max(State::Synced);
                    }
                }
                DiskEvent::CameBackOlder => {
                    let kept = std::mem::take(&mut self.kept);
                    for (id, fragment) in &mut self.fragments {
                        if !kept.contains(id) {
                            fragment.state = State::Excused;
                        }
                    }
                }
            }
        }
        gone
    }

    fn in_file<'a>(&'a mut self, path: &'a Path) -> impl Iterator<Item = &'a mut Written> {
        // As text: comparing paths part by part is a tenth of the simulation's time.
        let here = move |fragment: &&mut Written| {
            fragment.laps.last().is_some_and(|(file, _)| file.as_os_str() == path.as_os_str())
        };
        self.fragments.values_mut().filter(here)
    }

    fn evict(&mut self, path: PathBuf) -> Option<Gone> {
        let (mut evicted, mut gone) = (0, None);
        for fragment in self.in_file(&path) {
            evicted += u64::from(fragment.state == State::Acknowledged);
            let state = std::mem::replace(&mut fragment.state, State::Excused);
            if state == State::Excused {
                continue;
            }
            // What was written in trouble and never synced may be none of the lap.
            let true_end = if state >= State::Synced { fragment.true_end } else { 0 };
            let stream = fragment.stream;
            let generation = fragment.laps.last().unwrap().1;
            let lap = Gone { path: PathBuf::new(), stream, generation, true_end, is_owed: false };
            let gone = gone.get_or_insert(lap);
            gone.true_end = gone.true_end.max(true_end);
            gone.is_owed |= state == State::Acknowledged;
        }
        self.evicted += evicted;
        gone.map(|gone| Gone { path, ..gone })
    }

    /// Fails unless just these bytes were handed over once.
    pub(crate) fn assert_written(&self, bytes: &Bytes) {
        let id = id_of(bytes).expect("what is read was never written");
        let written = self.fragments.get(&id).unwrap_or_else(|| panic!("{id} is long gone"));
        assert_eq!(written.bytes, bytes, "{id} reads as other bytes");
    }

    /// A bit of `path` was flipped: what the hit takes is not asked for.
    pub(crate) fn excuse(&mut self, found: &[Found], path: &Path, bit: u64) {
        let at = bit / 8;
        let hit = |found: &&Found| {
            let (from, end) =
                (u64::from(found.entry.offset), crate::dvr::format::slot::end(&found.entry));
            // The front names all of them, and may have a wrong bit already; the tail of the newest
            // slot ends at a mismatch.
            (from..end).contains(&at) || at < u64::from(found.header.init_bytes) + 148
        };
        let slot = format!("{}", path.display());
        let in_slot = || found.iter().filter(|f| slot.ends_with(&format!("{:06}.mp4", f.slot)));
        let first = in_slot().find(hit).map(|found| found.entry.sequence);
        for found in
            in_slot().filter(|found| Some(found.entry.sequence) >= first && first.is_some())
        {
            self.fragments.get_mut(&found.id).unwrap().state = State::Excused;
        }
    }

    /// What is in `slot` is not asked for any more.
    pub(crate) fn excuse_slot(&mut self, found: &[Found], slot: u32) {
        for found in found.iter().filter(|found| found.slot == slot) {
            self.fragments.get_mut(&found.id).unwrap().state = State::Excused;
        }
    }

    /// Remembers what [`ModelDisk::keep`] keeps.
    pub(crate) fn keep(&mut self) {
        let acknowledged =
            |(id, f): (&u64, &Written)| (f.state == State::Acknowledged).then_some(*id);
        self.kept = self.fragments.iter().filter_map(acknowledged).collect();
    }

    /// "Durable until" of `stream` grew by `count` fragments. The newest of them is the last of
    /// its lap: one of those that begin at `lasts`. Its lap may have been given up in the
    /// same turn, where half of the ring is protected, or in trouble.
    pub(crate) fn acknowledge(
        &mut self,
        (stream, life): (usize, u32),
        lasts: &[BootTime],
        count: u64,
        may_be_gone: bool,
    ) {
        let mine = |(_, f): &(&u64, &Written)| f.stream == stream && f.life == life;
        // In trouble a lap is known by what was read of it, synced or not.
        let may_be = |f: &Written| !may_be_gone || f.state >= State::Synced;
        let is_last = |(_, f): &(&u64, &Written)| lasts.contains(&f.begun) && may_be(f);
        let newest = self.fragments.iter().filter(mine).rfind(is_last);
        let Some((&newest, found)) = newest else {
            return assert!(may_be_gone, "what is acknowledged was handed over");
        };
        assert!(found.state >= State::Synced, "{newest} was acknowledged before it was synced");
        let wait = |(id, f): &(&u64, &mut Written)| {
            **id <= newest && f.stream == stream && f.life == life && f.state == State::Synced
        };
        let waiting = self.fragments.iter_mut().filter(wait).count() as u64;
        // Some of a slot that was given up after its sync may be among them: then only the
        // newest is known to be meant.
        let all = waiting == count;
        for (id, fragment) in self.fragments.iter_mut().filter(wait) {
            if all || *id == newest {
                fragment.state = State::Acknowledged;
                self.acknowledged += 1;
            }
        }
    }

    /// Reads `disk` with nothing but its slots and checks every promise about what is there.
    pub(crate) fn check(&mut self, disk: &ModelDisk, data_dir: &Path, fronts: bool) -> Vec<Found> {
        let arc: Arc<dyn Disk> = Arc::new(disk.clone());
        let mut found = Vec::new();
        match RingReader::open_on(arc, data_dir) {
            Ok(reader) => {
                let damaged = reader.damaged();
                assert!(!fronts || damaged.is_empty(), "fronts of slots {damaged:?} are damaged");
                for &lap in reader.laps() {
                    let (header, contents) = reader.contents(lap).unwrap().expect("it is there");
                    let mended = &contents.damaged;
                    assert!(!fronts || mended.is_empty(), "slot {}: damaged {mended:?}", lap.slot);
                    for entry in contents.entries {
                        let bytes = reader.fragment(&header, &entry).unwrap().expect("it is there");
                        let id = self.known(lap.slot, &header, &bytes);
                        found.push(Found { slot: lap.slot, header: header.clone(), entry, id });
                    }
                }
            }
            Err(error) => assert!(
                matches!(error, crate::dvr::DvrError::Gone { .. }),
                "the ring cannot be opened: {error}"
            ),
        }
        self.check_order(&found);
        self.check_presence(&found);
        found
    }

    /// The number of a fragment that was found; fails unless it was written just so, there.
    fn known(&self, slot: u32, header: &SlotHeader, bytes: &Bytes) -> u64 {
        let id = id_of(bytes).unwrap_or_else(|| panic!("slot {slot}: never written"));
        let written =
            self.fragments.get(&id).unwrap_or_else(|| panic!("{id} in slot {slot}: long gone"));
        assert_eq!(written.bytes, bytes, "{id} in slot {slot} has other bytes");
        let name = format!("{slot:06}.mp4");
        let laps = &written.laps;
        let is_this =
            |(path, lap): &(PathBuf, u64)| path.ends_with(&name) && *lap == header.generation;
        assert!(laps.iter().any(is_this), "{id} of {laps:?} shows in slot {slot} as {header:?}");
        id
    }

    /// No fragment twice, none before an earlier one of its stream, and where fragments of one
    /// process are missing between two, the second one reports the loss.
    fn check_order(&self, found: &[Found]) {
        let mut newest: BTreeMap<usize, &Found> = BTreeMap::new();
        for this in found {
            let (id, fragment) = (this.id, &self.fragments[&this.id]);
            let Some(last) = newest.insert(fragment.stream, this) else { continue };
            // After a write that failed it is written again elsewhere, and both may be there.
            let again = last.id == id && fragment.laps.len() > 1;
            assert!(last.id < id || again, "{id} in slot {} comes behind {}", this.slot, last.id);
            // A hole in the slot reports itself.
            let adjoin = u64::from(this.entry.offset) == crate::dvr::format::slot::end(&last.entry);
            // The one before, whichever of the stream was handed over before this one.
            let mut before = self.fragments.range(..id).rev();
            let before = before.find(|(_, f)| f.stream == fragment.stream);
            if (this.slot != last.slot || adjoin)
                && self.fragments[&last.id].life == fragment.life
                && before.is_some_and(|(at, f)| *at > last.id && f.state != State::Excused)
            {
                let told = this.entry.loss_before || this.entry.run_start;
                assert!(told, "a loss between {} and {id} is not told", last.id);
            }
        }
    }

    fn check_presence(&self, found: &[Found]) {
        let there: BTreeSet<_> = found.iter().map(|found| found.id).collect();
        for (id, fragment) in &self.fragments {
            let is_missing = fragment.state == State::Acknowledged && !there.contains(id);
            assert!(!is_missing, "{id} was acknowledged and is gone: {:?}", fragment.laps);
        }
    }

    /// Forgets what has not been there for long and is not owed. What a kill left only in memory
    /// may go, and reveal what was there before, some ends later.
    pub(crate) fn prune(&mut self, found: &[Found], life: u32) {
        for Found { id, .. } in found {
            self.fragments.get_mut(id).unwrap().seen = life;
        }
        let owed = |f: &mut Written| f.state == State::Acknowledged || f.seen + 16 > life;
        self.fragments.retain(|_, fragment| owed(fragment));
    }
}

/// The listings of every stream, from the slots alone.
pub(crate) fn listings(disk: &ModelDisk, data_dir: &Path) -> BTreeMap<String, crate::dvr::Listing> {
    let reader = RingReader::open_on(Arc::new(disk.clone()), data_dir).unwrap();
    let listings = tool::listings(&reader).unwrap();
    listings.into_iter().map(|(stream, listing)| (stream.as_str().to_owned(), listing)).collect()
}

/// The number in a fragment's payload.
fn id_of(bytes: &[u8]) -> Option<u64> {
    if bytes.get(4..8)? != b"moof" {
        return None;
    }
    let moof = u32::from_be_bytes(*bytes.first_chunk()?) as usize;
    let payload = bytes.get(moof + 8..)?;
    let number = payload.strip_prefix(MARK)?.first_chunk()?;
    Some(u64::from_be_bytes(*number))
}
