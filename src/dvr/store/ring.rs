//! The ring: its file, its geometry, and how its slots become more and fewer.
//!
//! Owns: `ring.toml` and the numbers of the slots. Their files are the business of `slots`.
//!
//! Slots are a set of numbers: a ring that was made smaller keeps its newest laps in whatever
//! slots they are, and a slot that is made later takes the lowest number that is free.

mod padded;
mod slots;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use crate::base::limits::SLOTS_MAX;
use crate::dvr::catalogue::geometry::{Geometry, RingSize};
use crate::dvr::catalogue::lap::SlotView;
use crate::dvr::catalogue::table::Catalogue;
use crate::dvr::config::RingConfig;
use crate::dvr::disk;
use crate::dvr::disk::{Disk, DiskFile, OpenMode};
use crate::dvr::error::DvrError;
use crate::dvr::format::seal::{Identity, SlotHeader};
use crate::dvr::store::ring_file::{self, RingFile, slot_number};
use crate::dvr::store::size;
use crate::dvr::store::size::{Present, RingSizing};

const FORMAT: u32 = 1;
const RING_FILE: &str = "ring.toml";
/// Longest `ring.toml`: one that names all of [`SLOTS_MAX`] as leaving.
const RING_FILE_BYTES_MAX: u64 = 1 << 20;

/// A ring whose identity was checked.
#[derive(Clone, Debug)]
pub(crate) struct Ring {
    dir: PathBuf,
    pub(crate) identity: Identity,
    /// The volume that it was made on; 0 where that has no lasting identity.
    volume: u64,
    pub(crate) slot_bytes: u64,
    /// How many slots it has, or takes as space is found.
    pub(crate) slots: u32,
    /// Their numbers are below this.
    numbers: u32,
    /// Slots that are being deleted, in order: none of the ring any more.
    pub(crate) leaving: Arc<[u32]>,
    /// How many slots it should have: fewer than `slots` when a shrink awaits agreement.
    pub(crate) wanted_slots: u32,
    /// Bytes of the volume that are left to others when slots are made.
    left_bytes: u64,
    /// Laps whose fronts say nothing any more, by slot: what their seals tell, and the init segment of
    /// another lap of the stream.
    salvaged: Arc<Mutex<BTreeMap<u32, (SlotHeader, Bytes)>>>,
}

/// What was found in a ring when it was opened.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) ring: Ring,
    pub(crate) table: Catalogue,
    /// Files in the ring's directory that do not belong to it.
    pub(crate) foreign: u64,
    /// Slots that hold a copy of another slot, with that slot.
    pub(crate) copies: Vec<(u32, u32)>,
    /// The number of slots before and after: it just grew, or a shrink continues.
    pub(crate) resized: Option<(u32, u32)>,
    /// What was wrong with `ring.toml`, which was made again, for people.
    pub(crate) recovered: Option<String>,
}

impl Found {
    /// Slots that were deleted: one is made only when all with lower numbers are there. After a shrink
    /// there are holes that are none.
    pub(crate) fn missing(&self) -> Vec<u32> {
        let highest = self.table.slots.keys().next_back().copied();
        let is_whole = self.ring.numbers == self.ring.slots && self.ring.leaving.is_empty();
        let below = 0..highest.filter(|_| is_whole).unwrap_or(0);
        below.filter(|number| !self.table.slots.contains_key(number)).collect()
    }

    /// Searches the slots whose fronts are damaged for footage. Reads all of each.
    pub(crate) fn search_damaged(&mut self, disk: &dyn Disk) -> Result<(), DvrError> {
        let damaged = |(&number, view): (&u32, &SlotView)| {
            matches!(view, SlotView::Damaged).then_some(number)
        };
        let damaged: Vec<u32> = self.table.slots.iter().filter_map(damaged).collect();
        let known = self.table.known_streams();
        for number in damaged {
            let view = self.ring.salvage(disk, number, &known)?;
            // A front that is not blank stays damage, though nothing is lost with it.
            if !matches!(view, SlotView::Blank) {
                self.table.slots.insert(number, view);
            }
        }
        Ok(())
    }
}

impl Ring {
    /// Opens the ring under `config.data_dir`, or makes it when there is none and none is
    /// `expected`; then reads the front of every slot.
    pub(crate) fn open(
        disk: &dyn Disk,
        config: &RingConfig,
        expected: Option<Identity>,
    ) -> Result<Found, DvrError> {
        let (found, recovered) = match Self::find_or_recover(disk, &config.data_dir)? {
            Some((ring, why)) => (Some(ring), why),
            None => (None, None),
        };
        if let Some(ring) = found.as_ref().filter(|_| recovered.is_none()) {
            ring.check_place(disk)?;
        }
        let ring = match found {
            Some(ring) if expected.is_some_and(|expected| expected != ring.identity) => {
                return Err(DvrError::Foreign { path: ring.dir, what: "another ring" });
            }
            Some(ring) => ring,
            None if expected.is_some() => {
                return Err(DvrError::Gone { path: config.data_dir.join("ring") });
            }
            None => Self::make(disk, config)?,
        };
        if recovered.is_some() {
            ring.write_file(disk)?;
        }
        ring.sync_names(disk)?;
        let before = ring.slots_with_leaving();
        let ring = ring.measured(disk, config.size)?.grown(disk)?;
        let resized = (before != ring.slots).then_some((before, ring.slots));
        let found = ring.read_fronts(disk)?;
        // Laps are counted on from those that are there: none is begun while that is not known.
        let slots = found.table.slots.len() as u64;
        if slots > 0 && found.table.unreadable() == slots {
            return Err(DvrError::Unreadable { path: found.ring.dir });
        }
        Ok(Found { resized, recovered, ..found })
    }

    /// The ring under `data_dir`, if there is one.
    pub(crate) fn find(disk: &dyn Disk, data_dir: &Path) -> Result<Option<Self>, DvrError> {
        let dir = data_dir.join("ring");
        let path = dir.join(RING_FILE);
        let text = match disk::read_small(disk, &path, RING_FILE_BYTES_MAX) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(DvrError::disk("read", path)(error)),
        };
        let wrong = |why: String| DvrError::RingFile { path: path.clone(), why };
        let file = RingFile::parse(&text).map_err(wrong)?;
        let identity = u128::from_str_radix(&file.ring, 16)
            .map_err(|_| wrong("`ring` is not an identity".to_owned()))?
            .to_be_bytes();
        let volume = u64::from_str_radix(&file.volume, 16)
            .map_err(|_| wrong("`volume` is not an identity".to_owned()))?;
        if file.format != FORMAT {
            // A checksum that is right says that a newer version wrote it so.
            let what = "a newer version of this program: its ring.toml has another format";
            return Err(if RingFile::has_checksum(&text) {
                DvrError::Foreign { path: dir, what }
            } else {
                wrong(format!("format {} is not known here", file.format))
            });
        }
        size::check_slot_bytes(file.slot_bytes).map_err(|error| wrong(error.to_string()))?;
        let numbers = file.numbers.unwrap_or(file.slots);
        if file.slots < 1 || !(file.slots..=SLOTS_MAX).contains(&numbers) {
            return Err(wrong(format!("{} slots with numbers below {numbers}", file.slots)));
        }
        let mut leaving = file.leaving;
        leaving.sort_unstable();
        Ok(Some(Self {
            dir,
            identity,
            volume,
            slot_bytes: file.slot_bytes,
            slots: file.slots,
            numbers,
            leaving: leaving.into(),
            wanted_slots: file.slots,
            left_bytes: 0,
            salvaged: Arc::default(),
        }))
    }

    /// The ring under `data_dir`, if there is one; where `ring.toml` is missing, damaged or at odds with
    /// the slots, it is what these say, and why. Writes nothing.
    pub(crate) fn find_or_recover(
        disk: &dyn Disk,
        data_dir: &Path,
    ) -> Result<Option<(Self, Option<String>)>, DvrError> {
        let found = Self::find(disk, data_dir);
        let why = match &found {
            Ok(Some(ring)) if !ring.is_at_odds(disk)? => return Ok(found?.map(|ring| (ring, None))),
            Ok(Some(_)) => "does not describe the slots beside it".to_owned(),
            Ok(None) => "was missing".to_owned(),
            Err(DvrError::RingFile { why, .. }) => format!("was damaged ({why})"),
            Err(_) => return Ok(found?.map(|ring| (ring, None))),
        };
        let dir = data_dir.join("ring");
        let Some(survey) = ring_file::survey(disk, &dir)? else {
            return Ok(found?.map(|ring| (ring, None)));
        };
        size::check_slot_bytes(survey.slot_bytes)?;
        let volume = disk.volume(&dir).map_err(DvrError::disk("look at", &dir))?.identity;
        let ring = Self {
            dir,
            identity: survey.ring,
            volume,
            slot_bytes: survey.slot_bytes,
            slots: survey.slots.clamp(1, SLOTS_MAX),
            numbers: survey.numbers.clamp(1, SLOTS_MAX),
            leaving: Arc::default(),
            wanted_slots: survey.slots.clamp(1, SLOTS_MAX),
            left_bytes: 0,
            salvaged: Arc::default(),
        };
        Ok(Some((ring, Some(format!("ring.toml {why}")))))
    }

    /// Whether there are slots with footage and none of them is this ring's, or one has a number that
    /// this ring does not know.
    fn is_at_odds(&self, disk: &dyn Disk) -> Result<bool, DvrError> {
        let names = match disk.list(&self.dir) {
            Err(error) => return Err(DvrError::disk("list", &self.dir)(error)),
            Ok(names) => names,
        };
        let mut others = false;
        let mut numbers: Vec<_> = names.iter().filter_map(|name| slot_number(name)).collect();
        // Those with numbers that are too high come first: there is none in a sound ring.
        numbers.sort_unstable_by(|a, b| b.cmp(a));
        for number in numbers {
            if self.leaving.binary_search(&number).is_ok() {
                continue;
            }
            match self.read_view(disk, number) {
                Ok(SlotView::Held(_)) if number < self.numbers => return Ok(false),
                Ok(SlotView::Held(_)) => return Ok(true),
                Ok(SlotView::Foreign | SlotView::Damaged) => others = true,
                _ => {}
            }
        }
        Ok(others)
    }

    /// Checks that the ring may be written where it is: it was made on this volume, and the volume
    /// takes writes. A reader need not check.
    pub(crate) fn check_place(&self, disk: &dyn Disk) -> Result<(), DvrError> {
        let here = disk.volume(&self.dir).map_err(DvrError::disk("look at", &self.dir))?.identity;
        if self.volume != 0 && here != 0 && self.volume != here {
            let what = "another volume (if it was copied here, set volume = \"0\" in ring.toml)";
            return Err(DvrError::Foreign { path: self.dir.clone(), what });
        }
        let path = self.dir.join(RING_FILE);
        disk.open(&path, OpenMode::Write).map(drop).map_err(DvrError::disk("write to", path))
    }

    fn make(disk: &dyn Disk, config: &RingConfig) -> Result<Self, DvrError> {
        let dir = config.data_dir.join("ring");
        disk.make_dir(&dir).map_err(DvrError::disk("make", &dir))?;
        let volume = disk.volume(&dir).map_err(DvrError::disk("look at", &dir))?;
        let bytes = config.size.made_bytes(&volume);
        let slot_bytes = config.slot_bytes.unwrap_or_else(|| size::slot_bytes_for(bytes));
        size::check_slot_bytes(slot_bytes)?;
        if let Some(error) = config.size.no_room(&volume, slot_bytes) {
            return Err(error);
        }
        let slots = size::slots_for(bytes, slot_bytes)?;
        let ring = Self {
            dir,
            identity: fastrand::u128(..).to_be_bytes(),
            volume: volume.identity,
            slot_bytes,
            slots,
            numbers: slots,
            leaving: Arc::default(),
            wanted_slots: slots,
            left_bytes: 0,
            salvaged: Arc::default(),
        };
        ring.write_file(disk)?;
        tracing::info!(bytes = slot_bytes * u64::from(slots), units = slots, "ring made");
        Ok(ring)
    }

    /// Makes all names from the one of the data directory to those of the slots durable: a
    /// process that was killed may have given them and not have come that far.
    fn sync_names(&self, disk: &dyn Disk) -> Result<(), DvrError> {
        for dir in self.dir.ancestors().take(3) {
            match disk.sync_dir(dir) {
                // A directory of another user that may not be read: its names were there before.
                Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {}
                synced => synced.map_err(DvrError::disk("sync", dir))?,
            }
        }
        Ok(())
    }

    /// Learns how large it should be.
    pub(crate) fn measured(mut self, disk: &dyn Disk, size: RingSizing) -> Result<Self, DvrError> {
        let volume = disk.volume(&self.dir).map_err(DvrError::disk("look at", &self.dir))?;
        let names = disk.list(&self.dir).map_err(DvrError::disk("list", &self.dir))?;
        let files = names.iter().filter(|name| self.slot_of(name).is_some()).count();
        let files = u32::try_from(files).unwrap_or(u32::MAX);
        let ring = Present { slot_bytes: self.slot_bytes, slots: self.slots, files };
        self.wanted_slots = size.wanted_slots(&volume, ring);
        self.left_bytes = size.left_bytes(&volume);
        Ok(self)
    }

    /// Leaves at least `bytes` of the volume to others when slots are made.
    pub(crate) fn leaving_at_least(mut self, bytes: u64) -> Self {
        self.left_bytes = self.left_bytes.max(bytes);
        self
    }

    /// The slots that have files, each with the number of its file.
    pub(crate) fn slot_files(&self, disk: &dyn Disk) -> Result<BTreeMap<u32, u64>, DvrError> {
        let files = disk.files(&self.dir).map_err(DvrError::disk("list", &self.dir))?;
        let slot = |(name, file): (String, u64)| Some((self.slot_of(&name)?, file));
        Ok(files.into_iter().filter_map(slot).collect())
    }

    /// A handle that later shows whether the ring's directory was deleted.
    pub(crate) fn witness(&self, disk: &dyn Disk) -> Option<Arc<dyn DiskFile>> {
        disk.open(&self.dir.join(RING_FILE), OpenMode::Read).ok()
    }

    /// Whether nothing of a ring is left under `data_dir`.
    pub(crate) fn is_deleted(disk: &dyn Disk, data_dir: &Path) -> bool {
        match disk.list(&data_dir.join("ring")) {
            Ok(names) => names.iter().all(|name| name != RING_FILE && slot_number(name).is_none()),
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        }
    }

    /// Takes more slots when it should have more. Fewer are taken only after agreement, because
    /// that deletes footage.
    pub(crate) fn grown(mut self, disk: &dyn Disk) -> Result<Self, DvrError> {
        // What leaves goes first; numbers are given again when it is gone.
        if self.wanted_slots > self.slots && self.leaving.is_empty() {
            tracing::info!(units = self.wanted_slots - self.slots, "ring grows");
            self.slots = self.wanted_slots;
            self.numbers = self.numbers.max(self.slots);
            self.write_file(disk)?;
        }
        Ok(self)
    }

    /// Has `slots` slots from now on and deletes those of `leaving`. When this returns that is on
    /// the medium, and they no longer belong to the ring whatever happens.
    pub(crate) fn without(
        &self,
        disk: &dyn Disk,
        slots: u32,
        mut leaving: Vec<u32>,
    ) -> Result<Self, DvrError> {
        leaving.sort_unstable();
        let smaller = Self { slots, leaving: leaving.into(), ..self.clone() };
        smaller.write_file(disk)?;
        Ok(smaller)
    }

    /// Deletes the file of a slot that leaves; one that is gone already is fine.
    pub(crate) fn remove_slot(&self, disk: &dyn Disk, number: u32) -> Result<(), DvrError> {
        let path = self.slot_path(number);
        match disk.remove(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(DvrError::disk("delete", path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Forgets those that left, once all their files are deleted; `highest` is the highest
    /// number of a slot that stays.
    pub(crate) fn left(&self, disk: &dyn Disk, highest: Option<u32>) -> Result<Self, DvrError> {
        disk.sync_dir(&self.dir).map_err(DvrError::disk("sync", &self.dir))?;
        let numbers = highest.map_or(0, |highest| highest + 1).max(self.slots);
        let rest = Self { numbers, leaving: Arc::default(), ..self.clone() };
        rest.write_file(disk)?;
        Ok(rest)
    }

    /// Slots before those that are leaving left.
    pub(crate) fn slots_with_leaving(&self) -> u32 {
        self.slots.saturating_add(u32::try_from(self.leaving.len()).unwrap_or(u32::MAX))
    }

    /// Slots that may have files now: none is made that a shrink would take away again, nor
    /// while others leave.
    pub(crate) fn slots_to_make(&self) -> u32 {
        if self.leaving.is_empty() { self.slots.min(self.wanted_slots) } else { 0 }
    }

    fn write_file(&self, disk: &dyn Disk) -> Result<(), DvrError> {
        let file = RingFile {
            format: FORMAT,
            ring: format!("{:032x}", u128::from_be_bytes(self.identity)),
            slot_bytes: self.slot_bytes,
            slots: self.slots,
            numbers: (self.numbers != self.slots).then_some(self.numbers),
            leaving: self.leaving.to_vec(),
            volume: format!("{:x}", self.volume),
        };
        let text = file
            .text()
            .map_err(|why| DvrError::RingFile { path: self.dir.join(RING_FILE), why })?;
        disk::write_small(disk, &self.dir, RING_FILE, text.as_bytes())
            .map_err(DvrError::disk("write", self.dir.join(RING_FILE)))
    }

    /// Checks that the ring is still the one that was opened: a volume that went away leaves
    /// an empty mount point, and nothing must be written there.
    pub(crate) fn is_still_there(&self, disk: &dyn Disk) -> Result<(), DvrError> {
        let data_dir = self.dir.parent().unwrap_or(&self.dir);
        match Self::find(disk, data_dir)? {
            Some(found) if found.identity == self.identity => found.check_place(disk),
            Some(_) => Err(DvrError::Foreign { path: self.dir.clone(), what: "another ring" }),
            None => Err(DvrError::Gone { path: self.dir.clone() }),
        }
    }

    /// The ring as far as its size matters.
    pub(crate) fn extent(&self) -> RingSize {
        RingSize {
            ring: self.identity,
            slots: self.slots,
            wanted_slots: self.wanted_slots,
            slot_bytes: self.slot_bytes,
        }
    }

    /// Its published state.
    pub(crate) fn geometry(&self, foreign: u64) -> Geometry {
        Geometry { extent: self.extent(), foreign }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.slot_bytes * u64::from(self.slots)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dvr::disk::RealDisk;

    fn config(dir: &Path, bytes: u64) -> RingConfig {
        RingConfig {
            data_dir: dir.to_owned(),
            size: RingSizing::Bytes(bytes),
            slot_bytes: Some(64 << 10),
        }
    }

    #[test]
    fn a_ring_is_found_again_and_grows_but_does_not_shrink() {
        let dir = tempfile::tempdir().unwrap();
        let made = Ring::open(&RealDisk, &config(dir.path(), 1 << 20), None).unwrap().ring;
        assert_eq!(made.slots, 16);
        let grown = Ring::open(&RealDisk, &config(dir.path(), 2 << 20), None).unwrap().ring;
        assert_eq!((grown.slots, grown.identity), (32, made.identity));
        for bytes in [1 << 20, 1] {
            let kept = Ring::open(&RealDisk, &config(dir.path(), bytes), None).unwrap().ring;
            assert_eq!(kept.slots, 32);
        }
    }

    #[test]
    fn a_ring_of_many_numbers_is_read_back_and_old_files_mean_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let made = Ring::open(&RealDisk, &config(dir.path(), 1 << 20), None).unwrap().ring;
        let path = dir.path().join("ring/ring.toml");
        let old = std::fs::read_to_string(&path).unwrap();
        assert!(!old.contains("numbers") && !old.contains("leaving"), "{old}");
        let smaller = made.without(&RealDisk, 9, vec![5, 3, 4]).unwrap();
        let found = Ring::find(&RealDisk, dir.path()).unwrap().unwrap();
        assert_eq!((found.slots, found.numbers, &*found.leaving), (9, 16, &[3, 4, 5][..]));
        for name in ["000004.mp4", "000015.mp4"] {
            std::fs::write(dir.path().join("ring").join(name), "").unwrap();
        }
        let found = smaller.clone().read_fronts(&RealDisk).unwrap();
        assert_eq!((found.table.slots.len(), found.foreign), (1, 0), "{found:?}");
        smaller.remove_slot(&RealDisk, 4).unwrap();
        smaller.remove_slot(&RealDisk, 4).unwrap();
        let rest = smaller.left(&RealDisk, Some(12)).unwrap();
        assert_eq!((rest.numbers, rest.leaving.len()), (13, 0));
        // All numbers that there can be are read back.
        let all = (0..SLOTS_MAX).collect();
        made.without(&RealDisk, 8, all).unwrap();
        assert!(Ring::find(&RealDisk, dir.path()).unwrap().is_some());
        for text in ["numbers = 7", "numbers = 2000000", "leaving = [-1]"] {
            let at = old.find("volume").unwrap();
            std::fs::write(&path, format!("{}{text}\n{}", &old[..at], &old[at..])).unwrap();
            assert!(Ring::find(&RealDisk, dir.path()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_ring_of_which_nothing_can_be_read_is_not_opened() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path(), 1 << 20);
        let ring = Ring::open(&RealDisk, &config, None).unwrap().ring;
        for number in 0..3 {
            // It can be opened, and not be read.
            std::fs::create_dir(ring.slot_path(number)).unwrap();
        }
        let error = Ring::open(&RealDisk, &config, None).unwrap_err();
        assert!(error.to_string().contains("no slot in"), "{error}");
        ring.make_slot(&RealDisk, 3).unwrap();
        let table = Ring::open(&RealDisk, &config, None).unwrap().table;
        assert_eq!((table.unreadable(), table.slots.len()), (3, 4));
    }

    #[test]
    fn a_share_leaves_room_to_others() {
        let dir = tempfile::tempdir().unwrap();
        let mut ring = Ring::open(&RealDisk, &config(dir.path(), 1 << 20), None).unwrap().ring;
        ring.left_bytes = 1 << 60;
        let error = ring.make_slot(&RealDisk, 3).unwrap_err();
        assert!(error.is_full() && error.to_string().contains("left to others"), "{error}");
        assert!(!dir.path().join("ring/000003.mp4").exists());
        ring.left_bytes = 1;
        assert!(ring.make_slot(&RealDisk, 3).is_ok());
    }

    #[test]
    fn an_expected_ring_is_never_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path(), 1 << 20);
        let error = Ring::open(&RealDisk, &config, Some([1; 16])).unwrap_err();
        assert!(matches!(error, DvrError::Gone { .. }), "{error}");
        Ring::open(&RealDisk, &config, None).unwrap();
        let error = Ring::open(&RealDisk, &config, Some([1; 16])).unwrap_err();
        assert!(matches!(error, DvrError::Foreign { .. }), "{error}");
    }

    #[test]
    fn a_ring_of_another_volume_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path(), 1 << 20);
        Ring::open(&RealDisk, &config, None).unwrap();
        let path = dir.path().join("ring/ring.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        let at = text.find("volume").unwrap();
        std::fs::write(&path, format!("{}volume = \"1\"\n", &text[..at])).unwrap();
        let opened = Ring::open(&RealDisk, &config, None);
        if RealDisk.volume(dir.path()).unwrap().identity == 0 {
            // Here nothing tells volumes apart, and a ring is not refused for it.
            assert!(opened.is_ok());
            return;
        }
        let error = opened.unwrap_err();
        assert!(error.to_string().contains("another volume"), "{error}");
        // A reader does not mind: the disk of another computer can be checked.
        assert!(Ring::find(&RealDisk, dir.path()).unwrap().is_some());
    }

    #[test]
    fn foreign_files_are_counted_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path(), 1 << 20);
        Ring::open(&RealDisk, &config, None).unwrap();
        for name in ["notes.txt", "0.mp4", "999999.mp4"] {
            std::fs::write(dir.path().join("ring").join(name), "mine").unwrap();
        }
        std::fs::write(dir.path().join("ring/000003.mp4"), "torn at its making").unwrap();
        let found = Ring::open(&RealDisk, &config, None).unwrap();
        assert_eq!(found.foreign, 3);
        assert!(matches!(found.table.slots[&3], SlotView::Damaged));
        assert_eq!(std::fs::read(dir.path().join("ring/0.mp4")).unwrap(), b"mine");
    }
}
