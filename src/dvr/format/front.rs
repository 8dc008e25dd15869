//! The front of a slot: `ftyp`, `moov` and the header of the lap that follows.
//!
//! Owns: distinguishing a lap from a blank slot and from a damaged one, and mending a single wrong
//! bit in a front. The checksum over a front names the wrong bit, so a lap behind it is read as if
//! nothing had happened; the file is left as it is.

use std::io;

use bytes::Bytes;

use crate::base::limits::{INIT_BYTES_MAX, SLOT_BYTES_MAX};
use crate::dvr::disk::DiskFile;
use crate::dvr::format::seal::{HEADER_BYTES, HEADER_TYPE, Identity, SlotHeader};
use crate::dvr::format::slot::{BOX_HEADER_BYTES, box_head, to_usize};
use crate::wire::mp4::set_dates;

/// Read at once at the front of a slot; what most init segments and the header need.
const FRONT_BYTES: u64 = 4 << 10;
/// Longest front that there can be.
const FRONT_BYTES_MAX: u64 = (INIT_BYTES_MAX + HEADER_BYTES) as u64;
/// Samples of a slot that are looked at behind a front of zeros.
const WIPED_SAMPLES: u64 = 32;
/// CRC-32C, reflected: its generator (RFC 3720 §B.4).
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// What is at the front of a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SlotFront {
    /// A lap of a stream.
    Held {
        /// Its header.
        header: SlotHeader,
        /// Its `ftyp` and `moov`.
        init: Bytes,
        /// The file does not say so any more: a bit is wrong, or its end is missing.
        is_damaged: bool,
    },
    /// It was never used.
    Blank,
    /// Something else: a torn opening, damage of more than a bit, or a file that is not ours.
    Damaged,
}

/// Reads the front of a slot of `slot_bytes`. Its init segment comes without the dates that only
/// people with the bare file need, so that it is the same in all slots of a stream.
pub(crate) fn read_front(file: &dyn DiskFile, slot_bytes: u64) -> io::Result<SlotFront> {
    Ok(match read_dated(file, slot_bytes)? {
        SlotFront::Held { header, init, is_damaged } => {
            let mut init = init.to_vec();
            set_dates(&mut init, None);
            SlotFront::Held { header, init: init.into(), is_damaged }
        }
        other => other,
    })
}

fn read_dated(file: &dyn DiskFile, slot_bytes: u64) -> io::Result<SlotFront> {
    let length = file.length()?;
    let mut front = vec![0; to_usize(length.min(slot_bytes).min(FRONT_BYTES))];
    file.read_at(0, &mut front)?;
    if is_zero(&front) {
        // Among these are files whose making was cut short: empty ones, or without their space.
        let is_wiped = is_wiped(file, length.min(slot_bytes))?;
        return Ok(if is_wiped { SlotFront::Damaged } else { SlotFront::Blank });
    }
    if slot_bytes > SLOT_BYTES_MAX {
        return Ok(SlotFront::Damaged);
    }
    if matches!(box_head(&front), Some((_, kind)) if matches!(&kind, b"free" | b"skip")) {
        return Ok(SlotFront::Blank);
    }
    if let Some(init_bytes) =
        init_bytes(&front).filter(|&bytes| bytes + HEADER_BYTES as u64 <= length)
    {
        let whole = init_bytes + HEADER_BYTES as u64;
        if whole > front.len() as u64 {
            front.resize(to_usize(whole), 0);
            file.read_at(0, &mut front)?;
        }
        let (init, header) = front[..to_usize(whole)].split_at(to_usize(init_bytes));
        if let Some(header) = SlotHeader::parse(init, header).filter(|h| h.slot_bytes == slot_bytes)
        {
            let init = Bytes::copy_from_slice(init);
            return Ok(SlotFront::Held { header, init, is_damaged: length < slot_bytes });
        }
    }
    front.resize(to_usize(length.min(slot_bytes).min(FRONT_BYTES_MAX)), 0);
    file.read_at(0, &mut front)?;
    Ok(match mended(&front, slot_bytes) {
        Some((header, init)) => SlotFront::Held { header, init, is_damaged: true },
        None => SlotFront::Damaged,
    })
}

/// Whether a file whose front is zeros was more than that: one whose making was cut short is zeros
/// everywhere. Reads samples.
fn is_wiped(file: &dyn DiskFile, length: u64) -> io::Result<bool> {
    let step = (length / WIPED_SAMPLES).max(FRONT_BYTES);
    let mut sample = vec![0; to_usize(FRONT_BYTES)];
    let mut at = FRONT_BYTES;
    while at + FRONT_BYTES <= length {
        file.read_at(at, &mut sample)?;
        if !is_zero(&sample) {
            return Ok(true);
        }
        // Footage begins near the front.
        at += if at < FRONT_BYTES_MAX { FRONT_BYTES } else { step };
    }
    Ok(false)
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == 0)
}

/// Bytes of the `ftyp` and `moov` that `front` begins with.
fn init_bytes(front: &[u8]) -> Option<u64> {
    let (length, kind) = box_head(front)?;
    if &kind != b"ftyp" || length > FRONT_BYTES - BOX_HEADER_BYTES {
        return None;
    }
    let (movie, kind) = box_head(front.get(to_usize(length)..)?)?;
    let bytes = length + movie;
    (&kind == b"moov" && bytes <= INIT_BYTES_MAX as u64).then_some(bytes)
}

/// The header and init segment that `front` was written with, if one bit of it is wrong.
///
/// One wrong bit leaves the lengths of the boxes or the type of the header as it was, so one of the
/// two finds the header.
fn mended(front: &[u8], slot_bytes: u64) -> Option<(SlotHeader, Bytes)> {
    let candidates = init_bytes(front).map(to_usize).into_iter().chain(headers_in(front));
    for init_bytes in candidates {
        let Some(bytes) = front.get(..init_bytes + HEADER_BYTES) else { continue };
        let Some(bytes) = with_bit_corrected(bytes) else { continue };
        let (init, header) = bytes.split_at(init_bytes);
        if let Some(header) = SlotHeader::parse(init, header).filter(|h| h.slot_bytes == slot_bytes)
        {
            return Some((header, Bytes::copy_from_slice(init)));
        }
    }
    None
}

/// Where in `front` a header may begin, by its type.
fn headers_in(front: &[u8]) -> impl Iterator<Item = usize> {
    (to_usize(BOX_HEADER_BYTES)..front.len())
        .filter(|&at| front[at..].starts_with(&HEADER_TYPE))
        .map(|at| at - to_usize(BOX_HEADER_BYTES))
}

/// The lap whose front was made blank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LapBefore {
    /// The slot was never used.
    None,
    /// Its header is still there.
    Is {
        /// Its ring.
        ring: Identity,
        /// Its number.
        generation: u64,
    },
    /// There was one, and its header was overwritten in part.
    Unknown,
}

/// Which lap was in the blank slot `file`. Only the first eight bytes make a slot blank, and where a
/// process was killed before it synced them, the lap may come back whole.
pub(crate) fn lap_before(file: &dyn DiskFile, slot_bytes: u64) -> io::Result<LapBefore> {
    let length = file.length()?.min(slot_bytes);
    let head = to_usize(BOX_HEADER_BYTES);
    let mut front = vec![0; to_usize(length.min(FRONT_BYTES))];
    file.read_at(0, &mut front)?;
    if front.len() < head || is_zero(&front[head..]) {
        return Ok(LapBefore::None);
    }
    if headers_in(&front).next().is_none_or(|at| at + HEADER_BYTES > front.len()) {
        front.resize(to_usize(length.min(FRONT_BYTES_MAX)), 0);
        file.read_at(0, &mut front)?;
    }
    let header = headers_in(&front).find_map(|init_bytes| {
        let whole = front.get(..init_bytes + HEADER_BYTES)?;
        let movie = whole[head..init_bytes].windows(4).position(|kind| kind == b"moov")? + 4;
        let mut whole = whole.to_vec();
        whole[..4].copy_from_slice(&u32::try_from(movie).ok()?.to_be_bytes());
        whole[4..head].copy_from_slice(b"ftyp");
        let (init, header) = whole.split_at(init_bytes);
        SlotHeader::parse(init, header)
    });
    Ok(header.map_or(LapBefore::Unknown, |header| LapBefore::Is {
        ring: header.ring,
        generation: header.generation,
    }))
}

/// `bytes`, which end with their CRC-32C, with the one bit turned that makes it right; `None` when no
/// single bit does.
///
/// The difference between the two checksums depends only on which bit is wrong. It is worked out for
/// each bit from the last byte to the first: one more byte behind it is one step of the CRC.
fn with_bit_corrected(bytes: &[u8]) -> Option<Vec<u8>> {
    let (text, crc) = bytes.split_last_chunk::<4>()?;
    let difference = crc32c::crc32c(text) ^ u32::from_be_bytes(*crc);
    let mut mended = bytes.to_vec();
    if difference.is_power_of_two() {
        let crc = u32::from_be_bytes(*crc) ^ difference;
        mended[text.len()..].copy_from_slice(&crc.to_be_bytes());
        return Some(mended);
    }
    let mut effects: [u32; 8] = std::array::from_fn(|bit| ONE_BYTE[1 << bit]);
    for at in (0..text.len()).rev() {
        if let Some(bit) = effects.iter().position(|&effect| effect == difference) {
            mended[at] ^= 1 << bit;
            return Some(mended);
        }
        for effect in &mut effects {
            *effect = (*effect >> 8) ^ ONE_BYTE[(*effect & 0xff) as usize];
        }
    }
    None
}

/// What each byte adds to a CRC-32C.
const ONE_BYTE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0u32;
    while byte < 256 {
        let (mut crc, mut bit) = (byte, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        table[byte as usize] = crc;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::name::StreamName;
    use crate::base::time::{BootTime, WallTime};
    use crate::dvr::format::slot::{free_box, opening};
    use crate::dvr::tests::Memory;

    const SLOT_BYTES: u64 = 64 << 10;

    fn init(movie_bytes: u32) -> Vec<u8> {
        let mut init = [&24u32.to_be_bytes()[..], b"ftypisom0000isomiso6"].concat();
        init.truncate(24);
        init.extend_from_slice(&movie_bytes.to_be_bytes());
        init.extend_from_slice(b"moov");
        init.extend((8..movie_bytes).map(|n| n.to_le_bytes()[0]));
        init
    }

    fn slot(init: &[u8]) -> (SlotHeader, Vec<u8>) {
        let header = SlotHeader {
            ring: [7; 16],
            slot: 3,
            slot_bytes: SLOT_BYTES,
            generation: 1_027,
            stream: StreamName::parse("gate").unwrap(),
            boot: [2; 16],
            opened: BootTime::from_millis(1_234),
            opened_wall: WallTime::from_unix_nanos(1_795_000_000_000_000_000),
            init_bytes: u32::try_from(init.len()).unwrap(),
            epoch: crate::dvr::format::epoch::SlotEpoch::new(1_234, init),
        };
        let mut bytes = opening(&header, init);
        bytes.extend(free_box(bytes.len() as u64, SLOT_BYTES));
        bytes.resize(to_usize(SLOT_BYTES), 0);
        (header, bytes)
    }

    #[test]
    fn every_single_wrong_bit_of_a_front_is_mended_and_told() {
        for movie_bytes in [60, 700, 5_000] {
            let init = init(movie_bytes);
            let (header, bytes) = slot(&init);
            let whole = SlotFront::Held {
                header: header.clone(),
                init: init.clone().into(),
                is_damaged: false,
            };
            assert_eq!(read_front(&Memory(bytes.clone()), SLOT_BYTES).unwrap(), whole);
            let mended = SlotFront::Held { header, init: init.clone().into(), is_damaged: true };
            let step = if movie_bytes < 1_000 { 1 } else { 41 };
            for bit in (0..(init.len() + HEADER_BYTES) * 8).step_by(step) {
                let mut bytes = bytes.clone();
                bytes[bit / 8] ^= 1 << (bit % 8);
                let found = read_front(&Memory(bytes), SLOT_BYTES).unwrap();
                assert_eq!(found, mended, "bit {bit} of {} bytes", init.len());
            }
        }
    }

    #[test]
    fn a_blank_front_tells_which_lap_was_behind_it() {
        for movie_bytes in [60, 700, 5_000] {
            let init = init(movie_bytes);
            let (header, mut bytes) = slot(&init);
            bytes[..8].copy_from_slice(&free_box(0, SLOT_BYTES));
            assert_eq!(read_front(&Memory(bytes.clone()), SLOT_BYTES).unwrap(), SlotFront::Blank);
            let (ring, generation) = (header.ring, header.generation);
            let before = lap_before(&Memory(bytes.clone()), SLOT_BYTES).unwrap();
            assert_eq!(before, LapBefore::Is { ring, generation }, "{} bytes", init.len());
            bytes[init.len() + 60] ^= 1;
            let before = lap_before(&Memory(bytes), SLOT_BYTES).unwrap();
            assert_eq!(before, LapBefore::Unknown);
        }
        let mut fresh = vec![0; to_usize(SLOT_BYTES)];
        fresh[..8].copy_from_slice(&free_box(0, SLOT_BYTES));
        for bytes in [fresh, Vec::new()] {
            assert_eq!(lap_before(&Memory(bytes), SLOT_BYTES).unwrap(), LapBefore::None);
        }
    }

    #[test]
    fn a_front_of_zeros_is_blank_only_where_the_whole_file_is() {
        let (_, mut bytes) = slot(&init(700));
        let zeros = vec![0; bytes.len()];
        assert_eq!(read_front(&Memory(zeros), SLOT_BYTES).unwrap(), SlotFront::Blank);
        bytes[60_000] = 1;
        for wiped in [4 << 10, 32 << 10] {
            bytes[..wiped].fill(0);
            let found = read_front(&Memory(bytes.clone()), SLOT_BYTES).unwrap();
            assert_eq!(found, SlotFront::Damaged, "{wiped} bytes of zeros");
        }
        assert_eq!(read_front(&Memory(Vec::new()), SLOT_BYTES).unwrap(), SlotFront::Blank);
    }

    #[test]
    fn two_wrong_bits_make_no_lap_and_half_a_file_keeps_its_own() {
        let init = init(700);
        let (header, bytes) = slot(&init);
        for (one, other) in [(0, 900), (100, 101), (5_000, 6_500), (4, 5)] {
            let mut bytes = bytes.clone();
            bytes[one / 8] ^= 1 << (one % 8);
            bytes[other / 8] ^= 1 << (other % 8);
            let found = read_front(&Memory(bytes), SLOT_BYTES).unwrap();
            assert_eq!(found, SlotFront::Damaged, "bits {one} and {other}");
        }
        let half = bytes[..bytes.len() / 2].to_vec();
        let found = read_front(&Memory(half), SLOT_BYTES).unwrap();
        assert_eq!(found, SlotFront::Held { header, init: init.into(), is_damaged: true });
    }
}
