//! Finds a lap by its seals where the front of its slot says nothing any more.
//!
//! Owns: which fragments belong together. Each seal names ring, stream, lap, boot, place and length, and
//! its checksum covers the media, so what is found is footage and nothing else.

use std::io;

use crate::base::name::StreamName;
use crate::dvr::disk::DiskFile;
use crate::dvr::format::epoch::SlotEpoch;
use crate::dvr::format::seal::{HEADER_BYTES, Identity, SEAL_BYTES, Seal, SlotHeader};
use crate::dvr::format::slot::{SEARCH_BYTES, seals, to_usize};
use crate::wire::mp4::decode_times;

/// A lap as reconstructed from its seals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remains {
    /// Its first fragment that is whole.
    pub(crate) first: Seal,
    /// Its decoding times, as they are in the slot: `track_ID` and ticks.
    times: Vec<(u32, u64)>,
    /// How many are.
    pub(crate) fragments: u64,
}

impl Remains {
    /// A header that leads a scan to these fragments, of `stream`, whose tracks `init` describes.
    pub(crate) fn header(
        &self,
        slot: u32,
        slot_bytes: u64,
        stream: StreamName,
        init: &[u8],
    ) -> SlotHeader {
        let header_bytes = u32::try_from(HEADER_BYTES).unwrap_or(u32::MAX);
        SlotHeader {
            ring: self.first.ring,
            slot,
            slot_bytes,
            generation: self.first.generation,
            stream,
            boot: self.first.boot,
            opened: self.first.entry.boot_time,
            opened_wall: self.first.entry.wall,
            init_bytes: self.first.entry.offset.saturating_sub(header_bytes),
            epoch: SlotEpoch::of_times(init, self.first.entry.decode_nanos, &self.times),
        }
    }
}

/// The newest lap in a slot of which a whole fragment is left, of `ring` where that is known: what comes
/// first, because a lap overwrites the one before from the front on. Reads all of the file.
pub(crate) fn remains(
    file: &dyn DiskFile,
    slot_bytes: u64,
    ring: Option<Identity>,
) -> io::Result<Option<Remains>> {
    let mut found: Option<Remains> = None;
    let (mut window, mut media) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at + SEAL_BYTES as u64 <= slot_bytes {
        // Windows overlap by a seal, so that none is cut in two.
        let length = (slot_bytes - at).min(SEARCH_BYTES + SEAL_BYTES as u64);
        window.resize(to_usize(length), 0);
        file.read_at(at, &mut window)?;
        for seal_at in seals(&window) {
            // The next window has it, too.
            if seal_at as u64 >= SEARCH_BYTES {
                continue;
            }
            let Some(box_bytes) = window.get(seal_at..seal_at + SEAL_BYTES) else { continue };
            let Some(seal) = Seal::peek(box_bytes) else { continue };
            let offset = u64::from(seal.entry.offset);
            let stands = offset + u64::from(seal.entry.length) == at + seal_at as u64;
            if !stands || ring.is_some_and(|ring| ring != seal.ring) {
                continue;
            }
            media.resize(seal.entry.length as usize, 0);
            file.read_at(offset, &mut media)?;
            let Some(seal) = Seal::parse(crc32c::crc32c(&media), box_bytes) else { continue };
            let begun = || Remains { first: seal, times: decode_times(&media), fragments: 0 };
            let remains = found.get_or_insert_with(begun);
            let is_of_lap = (remains.first.generation, remains.first.boot);
            remains.fragments += u64::from(is_of_lap == (seal.generation, seal.boot));
        }
        at += SEARCH_BYTES;
    }
    Ok(found)
}
