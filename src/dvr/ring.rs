//! The ring: its file, its geometry, and which slot comes next.
//!
//! Owns: `ring.toml`, the names of slots and the choice. What stands in the slots is kept in
//! `table`; writing them is the business of `storage`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::disk::{self, Disk, DiskFile, Open};
use super::error::DvrError;
use super::seal::Identity;
use super::slot::{self, Front};
use super::table::{SlotTable, SlotView};
use super::{Config, Size};
use crate::base::limits::{SLOT_BYTES_MAX, SLOT_BYTES_MIN, SLOTS_MAX, SLOTS_MIN};

const FORMAT: u32 = 1;
const RING_FILE: &str = "ring.toml";
const RING_FILE_BYTES_MAX: u64 = 4 << 10;
/// Slots are chosen so that a ring has about this many, within the two sizes below.
const SLOTS_AIM: u64 = 256;
const SLOT_BYTES_SMALL: u64 = 4 << 20;
const SLOT_BYTES_LARGE: u64 = 64 << 20;
/// Slot sizes are whole multiples of this, as file systems and cards like it.
const SLOT_BYTES_STEP: u64 = 4 << 10;
/// How far laps are counted on at each start, so that a lap whose header was torn off by a
/// power cut is never given out again: more than one commit interval can open.
const GENERATIONS_SKIPPED: u64 = 1 << 10;

/// What `ring.toml` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RingFile {
    format: u32,
    /// The ring's identity, 32 hexadecimal digits.
    ring: String,
    slot_bytes: u64,
    slots: u32,
    /// The file system's identity in hexadecimal; 0 where it has none.
    volume: String,
}

/// A ring whose identity was checked.
#[derive(Clone, Debug)]
pub(super) struct Ring {
    dir: PathBuf,
    pub(super) identity: Identity,
    /// The volume that it was made on; 0 where that has no lasting identity.
    volume: u64,
    pub(super) slot_bytes: u64,
    pub(super) slots: u32,
}

/// What was found in a ring when it was opened.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) ring: Ring,
    pub(super) table: SlotTable,
    /// Files in the ring's directory that are none of its own.
    pub(super) foreign: u64,
}

impl Ring {
    /// Opens the ring under `config.data_dir`, or makes it when there is none and none is
    /// `expected`; then reads the front of every slot.
    pub(super) fn open(
        disk: &dyn Disk,
        config: &Config,
        expected: Option<Identity>,
    ) -> Result<Found, DvrError> {
        let found = Self::find(disk, &config.data_dir)?;
        if let Some(ring) = &found {
            ring.check_place(disk)?;
        }
        let ring = match found {
            Some(ring) if expected.is_some_and(|expected| expected != ring.identity) => {
                return Err(DvrError::Foreign { path: ring.dir, what: "another ring" });
            }
            Some(ring) => ring.grown(disk, config)?,
            None if expected.is_some() => {
                return Err(DvrError::Gone { path: config.data_dir.join("ring") });
            }
            None => Self::make(disk, config)?,
        };
        ring.sync_names(disk)?;
        ring.read_fronts(disk)
    }

    /// The ring under `data_dir`, if there is one.
    pub(super) fn find(disk: &dyn Disk, data_dir: &Path) -> Result<Option<Self>, DvrError> {
        let dir = data_dir.join("ring");
        let path = dir.join(RING_FILE);
        let text = match disk::read_small(disk, &path, RING_FILE_BYTES_MAX) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(DvrError::disk("read", path)(error)),
        };
        let wrong = |why: String| DvrError::RingFile { path: path.clone(), why };
        let text = String::from_utf8(text).map_err(|error| wrong(error.to_string()))?;
        let file: RingFile = toml::from_str(&text).map_err(|e| wrong(e.message().to_owned()))?;
        let identity = u128::from_str_radix(&file.ring, 16)
            .map_err(|_| wrong("`ring` is no identity".to_owned()))?
            .to_be_bytes();
        let volume = u64::from_str_radix(&file.volume, 16)
            .map_err(|_| wrong("`volume` is no identity".to_owned()))?;
        if file.format != FORMAT {
            return Err(wrong(format!("format {} is not known here", file.format)));
        }
        check_slot_bytes(file.slot_bytes)?;
        if !(1..=SLOTS_MAX).contains(&file.slots) {
            return Err(wrong(format!("{} slots", file.slots)));
        }
        Ok(Some(Self { dir, identity, volume, slot_bytes: file.slot_bytes, slots: file.slots }))
    }

    /// Checks that the ring may be written where it stands: it was made on this volume, and the
    /// volume takes writes. A reader need not ask.
    fn check_place(&self, disk: &dyn Disk) -> Result<(), DvrError> {
        let here = disk.volume(&self.dir).map_err(DvrError::disk("look at", &self.dir))?.identity;
        if self.volume != 0 && here != 0 && self.volume != here {
            let what = "another volume (if it was copied here, set volume = \"0\" in ring.toml)";
            return Err(DvrError::Foreign { path: self.dir.clone(), what });
        }
        let path = self.dir.join(RING_FILE);
        disk.open(&path, Open::Write).map(drop).map_err(DvrError::disk("write to", path))
    }

    fn make(disk: &dyn Disk, config: &Config) -> Result<Self, DvrError> {
        let dir = config.data_dir.join("ring");
        disk.make_dir(&dir).map_err(DvrError::disk("make", &dir))?;
        let bytes = wanted_bytes(disk, &dir, config.size)?;
        let slot_bytes = match config.slot_bytes {
            Some(slot_bytes) => slot_bytes,
            None => slot_bytes_for(bytes),
        };
        check_slot_bytes(slot_bytes)?;
        let slots = slots_for(bytes, slot_bytes)?;
        let identity = fastrand::u128(..).to_be_bytes();
        let volume = disk.volume(&dir).map_err(DvrError::disk("look at", &dir))?.identity;
        let ring = Self { dir, identity, volume, slot_bytes, slots };
        ring.write_file(disk)?;
        tracing::info!(bytes = slot_bytes * u64::from(slots), units = slots, "ring made");
        Ok(ring)
    }

    /// Makes all names from the one of the data directory to those of the slots durable: a
    /// process that was killed may have given them and not have come that far.
    fn sync_names(&self, disk: &dyn Disk) -> Result<(), DvrError> {
        for dir in self.dir.ancestors().take(3) {
            match disk.sync_dir(dir) {
                // Somebody else's directory that may not be read: its names were there before.
                Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {}
                synced => synced.map_err(DvrError::disk("sync", dir))?,
            }
        }
        Ok(())
    }

    /// Takes more slots when the configuration asks for more. Fewer are the next step: taking
    /// slots away deletes footage, and that is to be asked first.
    fn grown(mut self, disk: &dyn Disk, config: &Config) -> Result<Self, DvrError> {
        // A share of the volume is measured against what is free beside the ring, which moves;
        // only a fixed size grows a ring that is there.
        let Size::Bytes(bytes) = config.size else { return Ok(self) };
        let wanted = u32::try_from(bytes / self.slot_bytes).unwrap_or(u32::MAX).min(SLOTS_MAX);
        if wanted > self.slots {
            tracing::info!(units = wanted - self.slots, "ring grows");
            self.slots = wanted;
            self.write_file(disk)?;
        } else if wanted < self.slots {
            tracing::warn!(
                units = self.slots - wanted,
                "the ring is larger than configured and stays so: shrinking would delete footage"
            );
        }
        Ok(self)
    }

    fn write_file(&self, disk: &dyn Disk) -> Result<(), DvrError> {
        let file = RingFile {
            format: FORMAT,
            ring: format!("{:032x}", u128::from_be_bytes(self.identity)),
            slot_bytes: self.slot_bytes,
            slots: self.slots,
            volume: format!("{:x}", self.volume),
        };
        let text = toml::to_string(&file).map_err(|error| DvrError::RingFile {
            path: self.dir.join(RING_FILE),
            why: error.to_string(),
        })?;
        disk::write_small(disk, &self.dir, RING_FILE, text.as_bytes())
            .map_err(DvrError::disk("write", self.dir.join(RING_FILE)))
    }

    /// Reads the front of every slot there is.
    pub(super) fn read_fronts(self, disk: &dyn Disk) -> Result<Found, DvrError> {
        let mut table = SlotTable::default();
        let mut foreign = 0;
        for name in disk.list(&self.dir).map_err(DvrError::disk("list", &self.dir))? {
            match slot_number(&name).filter(|&number| number < self.slots) {
                Some(number) => {
                    let view = self.read_view(disk, number);
                    table.slots.insert(number, view);
                }
                None if name == RING_FILE => {}
                None => foreign += 1,
            }
        }
        table.next_generation = table.newest_generation() + GENERATIONS_SKIPPED;
        if foreign > 0 {
            tracing::warn!(units = foreign, "foreign files in the ring's directory are ignored");
        }
        Ok(Found { ring: self, table, foreign })
    }

    fn read_view(&self, disk: &dyn Disk, number: u32) -> SlotView {
        match self.open_slot(disk, number, Open::Read) {
            // What a failed write left in memory only is not what is on the medium.
            Ok(file) => {
                match file.forget_cached().and_then(|()| slot::read_front(&*file, self.slot_bytes))
                {
                    Ok(Front::Held { header, .. }) if header.ring != self.identity => SlotView::Bad,
                    Ok(Front::Held { header, .. }) if header.slot != number => SlotView::Damaged,
                    Ok(Front::Held { header, .. }) => SlotView::unread(header),
                    Ok(Front::Blank) => SlotView::Blank,
                    Ok(Front::Damaged) => SlotView::Damaged,
                    Err(_) => SlotView::Bad,
                }
            }
            Err(_) => SlotView::Bad,
        }
    }

    /// Checks that the ring is still the one that was opened: a volume that went away leaves
    /// an empty mount point, and nothing must be written there.
    pub(super) fn is_still_there(&self, disk: &dyn Disk) -> Result<(), DvrError> {
        let data_dir = self.dir.parent().unwrap_or(&self.dir);
        match Self::find(disk, data_dir)? {
            Some(found) if found.identity == self.identity => found.check_place(disk),
            Some(_) => Err(DvrError::Foreign { path: self.dir.clone(), what: "another ring" }),
            None => Err(DvrError::Gone { path: self.dir.clone() }),
        }
    }

    /// Opens the file of slot `number`.
    pub(super) fn open_slot(
        &self,
        disk: &dyn Disk,
        number: u32,
        how: Open,
    ) -> Result<Arc<dyn DiskFile>, DvrError> {
        let path = self.slot_path(number);
        disk.open(&path, how).map_err(DvrError::disk("open", path))
    }

    /// Makes the file of slot `number` and takes its space, all of it durable when this returns:
    /// a fragment may be told durable after a sync of its file alone. Leaves nothing behind on
    /// failure.
    pub(super) fn make_slot(
        &self,
        disk: &dyn Disk,
        number: u32,
    ) -> Result<Arc<dyn DiskFile>, DvrError> {
        let path = self.slot_path(number);
        let file = self.open_slot(disk, number, Open::Create)?;
        let taken = file
            .allocate(self.slot_bytes)
            .and_then(|()| file.write_at(0, &[&slot::free_box(0, self.slot_bytes)]))
            .and_then(|()| file.sync_data())
            .and_then(|()| disk.sync_dir(&self.dir));
        if let Err(error) = taken {
            // Should this fail too, the file is a damaged slot, which is the same as a free one.
            let _ = disk.remove(&path);
            return Err(DvrError::disk("take space for", path)(error));
        }
        Ok(file)
    }

    pub(super) fn slot_path(&self, number: u32) -> PathBuf {
        self.dir.join(format!("{number:06}.mp4"))
    }

    pub(super) fn bytes(&self) -> u64 {
        self.slot_bytes * u64::from(self.slots)
    }
}

/// The number in a slot's file name.
fn slot_number(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(".mp4")?;
    let plain = digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|_| plain)
}

fn wanted_bytes(disk: &dyn Disk, dir: &Path, size: Size) -> Result<u64, DvrError> {
    Ok(match size {
        Size::Bytes(bytes) => bytes,
        Size::Percent(percent) => {
            let volume = disk.volume(dir).map_err(DvrError::disk("look at", dir))?;
            let share = volume.total_bytes / 100 * u64::from(percent.min(100));
            // What others hold already cannot be ours, and 2 % (at least 64 MiB) stays free.
            let floor = (volume.total_bytes / 50).max(64 << 20);
            share.min(volume.free_bytes.saturating_sub(floor))
        }
    })
}

/// 4 to 64 MiB for rings as they are used; smaller only where the ring could not turn else.
fn slot_bytes_for(ring_bytes: u64) -> u64 {
    let aim = ring_bytes / SLOTS_AIM;
    let small = SLOT_BYTES_SMALL.min(ring_bytes / u64::from(2 * SLOTS_MIN));
    let large = SLOT_BYTES_LARGE.max(ring_bytes / u64::from(SLOTS_MAX) + SLOT_BYTES_STEP);
    (aim.clamp(small, large) / SLOT_BYTES_STEP * SLOT_BYTES_STEP).max(SLOT_BYTES_MIN)
}

fn check_slot_bytes(bytes: u64) -> Result<(), DvrError> {
    if (SLOT_BYTES_MIN..=SLOT_BYTES_MAX).contains(&bytes) {
        Ok(())
    } else {
        Err(DvrError::SlotSize { bytes, min: SLOT_BYTES_MIN, max: SLOT_BYTES_MAX })
    }
}

fn slots_for(bytes: u64, slot_bytes: u64) -> Result<u32, DvrError> {
    let slots = u32::try_from(bytes / slot_bytes).unwrap_or(u32::MAX).min(SLOTS_MAX);
    if slots < SLOTS_MIN {
        return Err(DvrError::TooSmall { bytes, slot_bytes, slots_min: SLOTS_MIN });
    }
    Ok(slots)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dvr::disk::RealDisk;

    fn config(dir: &Path, bytes: u64) -> Config {
        Config { data_dir: dir.to_owned(), size: Size::Bytes(bytes), slot_bytes: Some(64 << 10) }
    }

    #[test]
    fn slot_sizes_follow_the_ring() {
        assert_eq!(slot_bytes_for(200 << 30), 64 << 20);
        assert_eq!(slot_bytes_for(8 << 30), 32 << 20);
        assert_eq!(slot_bytes_for(512 << 20), 4 << 20);
        assert_eq!(slot_bytes_for(16 << 20), 1 << 20);
        assert!(slots_for(1 << 44, slot_bytes_for(1 << 44)).unwrap() <= SLOTS_MAX);
        assert!(slots_for(1 << 20, 1 << 20).is_err());
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
        // A reader does not mind: the disk of another computer can be looked at.
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
