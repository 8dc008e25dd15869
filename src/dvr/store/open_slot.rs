//! A slot while it is being written.
//!
//! Owns: where it ends, what of it is durable, and the bytes of each write: one write per
//! fragment, which carries the fragment, its seal and the header of the `free` box behind it.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::base::limits::{COMMIT_AGE_MAX, COMMIT_PAUSE_MIN};
use crate::base::time::{BootTime, Trust};
use crate::dvr::catalogue::recent::DurableFragment;
use crate::dvr::disk::DiskFile;
use crate::dvr::format::effort::Effort;
use crate::dvr::format::seal::{FragmentEntry, HEADER_BYTES, Seal, SlotHeader, stream_identity};
use crate::dvr::format::slot;
use crate::dvr::format::slot::SlotContents;
use crate::dvr::store::state::StreamLog;
use crate::wire::mp4::Fragment;

/// What is written last of a new front: the header of its first box, which no disk tears.
const FRONT_HEAD_BYTES: usize = 8;

/// An open slot.
#[derive(Debug)]
pub(crate) struct OpenSlot {
    pub(crate) log: Arc<StreamLog>,
    pub(crate) header: SlotHeader,
    /// Its fragments that are on the medium.
    pub(crate) durable: Vec<FragmentEntry>,
    file: Arc<dyn DiskFile>,
    init: Bytes,
    /// Its fragments that are written and not yet on the medium.
    pending: Vec<FragmentEntry>,
    /// When the first unit of these arrived.
    pending_since: BootTime,
    /// When the last commit ended.
    pub(crate) synced_at: BootTime,
    end: u64,
    durable_end: u64,
    sequence: u64,
    /// Place of the newest fragment that begins with a key frame.
    key_at: Option<u64>,
    /// The longest way from one such fragment to the next.
    gop_bytes: u64,
}

impl OpenSlot {
    /// Begins a lap: `init`, the header and one `free` box over the rest.
    ///
    /// The old lap is gone from the medium before the new one begins, and the new front is on
    /// it before the eight bytes that turn the slot into a file with footage: whatever a power
    /// cut leaves is the old lap whole, a blank slot, or the new lap. Only a slot that `is_fresh`,
    /// whose space was just taken, is blank already.
    pub(crate) fn begun(
        log: Arc<StreamLog>,
        file: Arc<dyn DiskFile>,
        header: SlotHeader,
        init: Bytes,
        is_fresh: bool,
    ) -> io::Result<Self> {
        if file.length()? < header.slot_bytes {
            // A file whose making was cut short.
            file.allocate(header.slot_bytes)?;
        }
        let end = init.len() as u64 + HEADER_BYTES as u64;
        if !slot::fits(end, 0, header.slot_bytes) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "slot too small for its moov"));
        }
        if !is_fresh {
            file.write_at(0, &[&slot::free_box(0, header.slot_bytes)])?;
            file.sync_data()?;
        }
        let front = slot::opening(&header, &init);
        let (head, rest) = front.split_at(FRONT_HEAD_BYTES);
        let free = slot::free_box(end, header.slot_bytes);
        file.write_at(FRONT_HEAD_BYTES as u64, &[rest, &free])?;
        file.sync_data()?;
        file.write_at(0, &[head])?;
        Ok(Self {
            log,
            header,
            durable: Vec::new(),
            file,
            init,
            pending: Vec::new(),
            pending_since: BootTime::default(),
            synced_at: BootTime::default(),
            end,
            durable_end: end,
            sequence: 0,
            key_at: None,
            gop_bytes: 0,
        })
    }

    /// Continues a lap whose `contents` were just read.
    pub(crate) fn resumed(
        log: Arc<StreamLog>,
        file: Arc<dyn DiskFile>,
        header: SlotHeader,
        init: Bytes,
        contents: SlotContents,
    ) -> Self {
        let sequence = contents.entries.last().map_or(0, |entry| entry.sequence);
        let keys = contents.entries.iter().filter(|entry| entry.starts_with_key);
        let keys: Vec<_> = keys.map(|entry| u64::from(entry.offset)).collect();
        Self {
            log,
            header,
            durable: contents.entries,
            file,
            init,
            pending: Vec::new(),
            pending_since: BootTime::default(),
            synced_at: BootTime::default(),
            end: contents.end,
            durable_end: contents.end,
            sequence,
            key_at: keys.last().copied(),
            gop_bytes: keys.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0),
        }
    }

    /// Whether `fragment` with these parameters goes in here.
    ///
    /// One that begins with a key frame does so only if what usually follows it does too, so
    /// that the next slot can begin with a key frame and plays on its own.
    pub(crate) fn takes(&self, init: &Bytes, fragment: &Fragment) -> bool {
        let whole = self.gop_bytes + self.gop_bytes / 4;
        let slot_bytes = self.header.slot_bytes;
        let begin = u64::from(self.header.init_bytes) + HEADER_BYTES as u64;
        let splits = fragment.starts_with_key
            && begin + whole <= slot_bytes
            && self.end + whole > slot_bytes;
        self.init == *init && !splits && slot::fits(self.end, fragment.len(), slot_bytes)
    }

    /// Whether its file was cut or deleted by something else: what is written there is lost.
    pub(crate) fn is_cut_short(&self) -> bool {
        let is_short = self.file.length().is_ok_and(|length| length < self.header.slot_bytes);
        is_short || matches!(self.file.deleted_from(), Ok(Some(_)))
    }

    pub(crate) fn is_dirty(&self) -> bool {
        !self.pending.is_empty()
    }

    /// When the written data must be made durable; `None` when all of it is.
    pub(crate) fn commit_due(&self) -> Option<BootTime> {
        let due = self.pending_since.after(COMMIT_AGE_MAX);
        let due = due.max(self.synced_at.after(COMMIT_PAUSE_MIN));
        self.is_dirty().then_some(due)
    }

    /// Samples that would be lost with what is not durable.
    pub(crate) fn pending_samples(&self) -> u64 {
        self.pending.iter().map(|entry| u64::from(entry.samples)).sum()
    }

    /// Writes one fragment, at `now`; `trust` is who vouches for the date. After an error none of
    /// it counts.
    pub(crate) fn write(
        &mut self,
        (now, trust): (BootTime, Option<Trust>),
        fragment: &Fragment,
        run_start: bool,
        loss_before: bool,
    ) -> io::Result<()> {
        let length = fragment.len();
        let entry = FragmentEntry {
            // A slot is at most SLOT_BYTES_MAX, so both fit.
            offset: u32::try_from(self.end).unwrap_or(u32::MAX),
            length: u32::try_from(length).unwrap_or(u32::MAX),
            sequence: self.sequence + 1,
            boot_time: fragment.first.arrived,
            wall: fragment.first.captured.wall,
            decode_nanos: fragment.first.decode.as_nanos(),
            span_nanos: u64::try_from(fragment.span.as_nanos()).unwrap_or(u64::MAX),
            samples: fragment.samples,
            starts_with_key: fragment.starts_with_key,
            loss_before: loss_before || fragment.lost > 0,
            run_start,
            effort: Effort::of(fragment.cost.predicted_bytes, fragment.cost.entry_bytes),
        };
        let seal = Seal {
            ring: self.header.ring,
            stream: stream_identity(&self.header.stream),
            generation: self.header.generation,
            boot: self.header.boot,
            run: u16::try_from(fragment.run.0 & 0xffff).unwrap_or(0),
            lost: fragment.lost,
            wall_source: fragment.first.captured.source,
            wall_trust: trust,
            entry,
        };
        let mut head = fragment.head.to_vec();
        self.header.epoch.enter(&mut head);
        let media =
            || std::iter::once(&head[..]).chain(fragment.data.iter().map(|piece| &piece[..]));
        let crc = media().fold(0, crc32c::crc32c_append);
        let seal = seal.encode(crc);
        let end = slot::end(&entry);
        let free = slot::free_box(end, self.header.slot_bytes);
        let mut pieces: Vec<&[u8]> = media().collect();
        pieces.extend([&seal[..], &free[..]]);
        self.file.write_at(self.end, &pieces)?;
        if entry.starts_with_key
            && let Some(key_at) = self.key_at.replace(self.end)
        {
            self.gop_bytes = self.gop_bytes.max(self.end - key_at);
        }
        (self.end, self.sequence) = (end, entry.sequence);
        if self.pending.is_empty() {
            // Units that claim to come from the future wait no longer than others.
            self.pending_since = entry.boot_time.min(now);
        }
        self.pending.push(entry);
        Ok(())
    }

    /// Makes all of it durable; returns the fragments that became so.
    pub(crate) fn sync(&mut self) -> io::Result<Vec<FragmentEntry>> {
        self.file.sync_data()?;
        self.durable_end = self.end;
        let entries = std::mem::take(&mut self.pending);
        self.durable.extend_from_slice(&entries);
        Ok(entries)
    }

    /// Notifies the stream's followers of durable fragments.
    pub(crate) fn tell(&self, entries: &[FragmentEntry]) {
        let (lap, boot) = (self.header.generation, self.header.boot);
        let mut recent = self.log.recent();
        for &entry in entries {
            recent.push(DurableFragment { lap, boot, init: self.init.clone(), entry });
        }
    }

    /// Ends the file at its last durable fragment, as far as the disk still allows. It is not
    /// synced: that failed, or would tell nothing.
    pub(crate) fn cut(&self) {
        let skip = slot::skip_box(self.durable_end, self.header.slot_bytes);
        let _ = self.file.write_at(self.durable_end, &[&skip]);
    }
}
