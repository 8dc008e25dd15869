//! The slots of a ring as files: what their fronts say, and how one is opened and made.
//!
//! Owns: the search of slots whose fronts are lost. What the slots hold is kept in the catalogue; writing
//! them is the business of the ring's writer.

use std::path::PathBuf;
use std::sync::Arc;

use tracing::warn;

use super::padded::Padded;
use super::{Found, RING_FILE, Ring};
use crate::base::name::StreamName;
use crate::base::sync::lock;
use crate::dvr::catalogue::lap::SlotView;
use crate::dvr::catalogue::table::{Catalogue, GENERATIONS_SKIPPED};
use crate::dvr::disk::{Disk, DiskFile, OpenMode};
use crate::dvr::error::DvrError;
use crate::dvr::format::front::{self, LapBefore, SlotFront};
use crate::dvr::format::seal::{SlotHeader, stream_identity};
use crate::dvr::format::{salvage, slot};
use crate::dvr::store::ring_file::{slot_name, slot_number};

impl Ring {
    /// Reads the front of every slot there is.
    pub(crate) fn read_fronts(self, disk: &dyn Disk) -> Result<Found, DvrError> {
        let mut table = Catalogue::default();
        let mut foreign = 0;
        for name in disk.list(&self.dir).map_err(DvrError::disk("list", &self.dir))? {
            match self.slot_of(&name) {
                Some(number) => {
                    let view = self.read_view(disk, number);
                    if matches!(&view, Ok(SlotView::Held(lap)) if lap.is_front_damaged) {
                        warn!(
                            seq = number,
                            "the front of a slot is damaged; what it holds is kept"
                        );
                    } else if matches!(&view, Ok(SlotView::Damaged)) {
                        warn!(
                            seq = number,
                            "the front of a slot is lost; it is searched for footage"
                        );
                    }
                    table.slots.insert(number, view.unwrap_or(SlotView::Unreadable));
                }
                None if name == RING_FILE || self.is_leaving(&name) => {}
                None => foreign += 1,
            }
        }
        // All of them were read just now.
        let copies: Vec<_> = table.copies().iter().map(|&(slot, own, _)| (slot, own)).collect();
        for &(slot, own) in &copies {
            warn!(seq = slot, reason = format!("slot {own:06}"), "a slot is a copy of another one");
            table.slots.insert(slot, SlotView::Blank);
        }
        table.next_generation = self.next_generation(disk, &table);
        if foreign > 0 {
            warn!(units = foreign, "foreign files in the ring's directory are ignored");
        }
        Ok(Found { ring: self, table, foreign, copies, resized: None, recovered: None })
    }

    /// What laps are counted on from: more than every number that was given, also to laps that do not
    /// show now. A process that was killed may have left the blank front of a slot in memory only, and a
    /// power cut brings back what was there.
    fn next_generation(&self, disk: &dyn Disk, table: &Catalogue) -> u64 {
        let (mut newest, mut unknown) = (table.newest_generation(), 0);
        for (&number, view) in &table.slots {
            let before = match view {
                SlotView::Blank => self
                    .open_slot(disk, number, OpenMode::Read)
                    .ok()
                    .and_then(|file| front::lap_before(&*file, self.slot_bytes).ok())
                    .unwrap_or(LapBefore::Unknown),
                SlotView::Damaged | SlotView::Unreadable => LapBefore::Unknown,
                _ => LapBefore::None,
            };
            match before {
                LapBefore::Is { ring, generation } if ring == self.identity => {
                    newest = newest.max(generation);
                }
                LapBefore::Unknown => unknown += 1,
                LapBefore::Is { .. } | LapBefore::None => {}
            }
        }
        newest + GENERATIONS_SKIPPED * (1 + unknown)
    }

    /// Files in its directory that do not belong to it.
    pub(crate) fn foreign_files(&self, disk: &dyn Disk) -> Result<Vec<String>, DvrError> {
        let names = disk.list(&self.dir).map_err(DvrError::disk("list", &self.dir))?;
        let is_foreign = |name: &String| {
            self.slot_of(name).is_none() && name != RING_FILE && !self.is_leaving(name)
        };
        Ok(names.into_iter().filter(is_foreign).collect())
    }

    /// The slot whose lap is in the file of slot `number`, if that is another one.
    pub(crate) fn number_inside(&self, disk: &dyn Disk, number: u32) -> Option<u32> {
        let file = self.open_slot(disk, number, OpenMode::Read).ok()?;
        match front::read_front(&*file, self.slot_bytes).ok()? {
            SlotFront::Held { header, .. } => Some(header.slot).filter(|&own| own != number),
            SlotFront::Blank | SlotFront::Damaged => None,
        }
    }

    /// Whether not even the head of a box is at the front of slot `number`.
    pub(crate) fn begins_with_zeros(&self, disk: &dyn Disk, number: u32) -> bool {
        let mut head = [1; 8];
        let file = self.open_slot(disk, number, OpenMode::Read);
        file.is_ok_and(|file| file.read_at(0, &mut head).is_ok()) && head == [0; 8]
    }

    /// The number of the slot in the file `name`, if it is one of this ring.
    pub(super) fn slot_of(&self, name: &str) -> Option<u32> {
        slot_number(name).filter(|&number| number < self.numbers && !self.is_leaving(name))
    }

    fn is_leaving(&self, name: &str) -> bool {
        slot_number(name).is_some_and(|number| self.leaving.binary_search(&number).is_ok())
    }

    /// What is at the front of a slot.
    pub(crate) fn read_view(&self, disk: &dyn Disk, number: u32) -> Result<SlotView, DvrError> {
        let file = self.open_slot(disk, number, OpenMode::Read)?;
        // What a failed write left in memory only is not what is on the medium.
        let front = file.forget_cached().and_then(|()| self.read_front(&*file, number));
        Ok(match front.map_err(DvrError::disk("read", self.slot_path(number)))? {
            SlotFront::Held { header, .. } if header.ring != self.identity => SlotView::Foreign,
            SlotFront::Held { header, init, is_damaged } => {
                SlotView::unread(header, &init, is_damaged)
            }
            SlotFront::Blank => SlotView::Blank,
            SlotFront::Damaged => SlotView::Damaged,
        })
    }

    /// What is at the front of slot `number`. A lap of this ring in a file of another slot's name
    /// counts as damaged, and one whose front is lost is what its seals say.
    pub(crate) fn read_front(
        &self,
        file: &dyn DiskFile,
        number: u32,
    ) -> std::io::Result<SlotFront> {
        Ok(match front::read_front(file, self.slot_bytes)? {
            SlotFront::Held { header, init, .. }
                if header.slot != number && header.ring == self.identity =>
            {
                let header = SlotHeader { slot: number, ..header };
                SlotFront::Held { header, init, is_damaged: true }
            }
            SlotFront::Damaged => match lock(&self.salvaged).get(&number) {
                Some((header, init)) => {
                    let (header, init) = (header.clone(), init.clone());
                    SlotFront::Held { header, init, is_damaged: true }
                }
                None => SlotFront::Damaged,
            },
            front => front,
        })
    }

    /// Looks for footage in a slot whose front is damaged, by its seals. `known` are slots of which the
    /// stream is known: one of them lends its init segment. Reads all of the slot.
    pub(crate) fn salvage(
        &self,
        disk: &dyn Disk,
        number: u32,
        known: &[(u32, StreamName)],
    ) -> Result<SlotView, DvrError> {
        let file = self.open_slot(disk, number, OpenMode::Read)?;
        let failed = DvrError::disk("read", self.slot_path(number));
        let remains = salvage::remains(&*file, self.slot_bytes, Some(self.identity));
        let Some(remains) = remains.map_err(failed)? else { return Ok(SlotView::Blank) };
        for (slot, stream) in
            known.iter().filter(|(_, name)| stream_identity(name) == remains.first.stream)
        {
            let file = self.open_slot(disk, *slot, OpenMode::Read)?;
            let front = self.read_front(&*file, *slot);
            let SlotFront::Held { init, .. } =
                front.map_err(DvrError::disk("read", self.slot_path(*slot)))?
            else {
                continue;
            };
            let header = remains.header(number, self.slot_bytes, stream.clone(), &init);
            let view = SlotView::unread(header.clone(), &init, true);
            lock(&self.salvaged).insert(number, (header, init));
            return Ok(view);
        }
        Ok(SlotView::Nameless { fragments: remains.fragments })
    }

    /// Opens the file of slot `number`.
    pub(crate) fn open_slot(
        &self,
        disk: &dyn Disk,
        number: u32,
        how: OpenMode,
    ) -> Result<Arc<dyn DiskFile>, DvrError> {
        let path = self.slot_path(number);
        let file = disk.open(&path, how).map_err(DvrError::disk("open", &path))?;
        if how != OpenMode::Read {
            return Ok(file);
        }
        // A file that was cut short is read to the end of its slot.
        let length = file.length().map_err(DvrError::disk("read", path))?;
        Ok(if length < self.slot_bytes { Arc::new(Padded { file, length }) } else { file })
    }

    /// Makes the file of slot `number` and takes its space, all of it durable when this returns: a
    /// fragment may be reported durable after a sync of its file alone. Leaves nothing behind on
    /// failure.
    pub(crate) fn make_slot(
        &self,
        disk: &dyn Disk,
        number: u32,
    ) -> Result<Arc<dyn DiskFile>, DvrError> {
        self.leave_room(disk)?;
        let path = self.slot_path(number);
        let file = self.open_slot(disk, number, OpenMode::Create)?;
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

    /// Whether the volume has room for one more slot beside what is left to others.
    fn leave_room(&self, disk: &dyn Disk) -> Result<(), DvrError> {
        if self.left_bytes == 0 {
            return Ok(());
        }
        let volume = disk.volume(&self.dir).map_err(DvrError::disk("look at", &self.dir))?;
        if volume.free_bytes >= self.left_bytes + self.slot_bytes {
            return Ok(());
        }
        Err(DvrError::NoRoom { free_bytes: volume.free_bytes, left_bytes: self.left_bytes })
    }

    pub(crate) fn slot_path(&self, number: u32) -> PathBuf {
        self.dir.join(slot_name(number))
    }
}
