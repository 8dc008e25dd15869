//! What is kept of one finished slot, as octets.
//!
//! Owns: the form. A record of another version, damaged or cut short, is ignored.

use bytes::BufMut;

use crate::base::time::{BootTime, WallTime};
use crate::dvr::format::effort::Effort;
use crate::dvr::format::seal::FragmentEntry;

const VERSION: u8 = 2;
const ENTRY_BYTES: usize = 55;
/// Those of before, without effort.
const OLD_VERSION: u8 = 1;
const OLD_ENTRY_BYTES: usize = 53;

/// What is kept of one slot: which lap, and its fragments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IndexRecord {
    pub(crate) generation: u64,
    /// Damaged stretches that were skipped.
    pub(crate) damaged: u32,
    pub(crate) entries: Vec<FragmentEntry>,
}

impl IndexRecord {
    /// Version, CRC-32C of what follows, lap, damage, fragments; big-endian.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(12 + self.entries.len() * ENTRY_BYTES);
        body.put_u64(self.generation);
        body.put_u32(self.damaged);
        for entry in &self.entries {
            body.put_u32(entry.offset);
            body.put_u32(entry.length);
            body.put_u64(entry.sequence);
            body.put_u64(entry.boot_time.as_nanos());
            body.put_i64(entry.wall.as_unix_nanos());
            body.put_i64(entry.decode_nanos);
            body.put_u64(entry.span_nanos);
            body.put_u32(entry.samples);
            body.put_u8(
                u8::from(entry.starts_with_key)
                    | u8::from(entry.loss_before) << 1
                    | u8::from(entry.run_start) << 2,
            );
            body.put_u16(entry.effort.to_bits());
        }
        let mut out = vec![VERSION];
        out.put_u32(checksum(VERSION, &body));
        out.extend_from_slice(&body);
        out
    }

    /// `None` when it is of another version, damaged or cut short.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let (&version, rest) = bytes.split_first()?;
        let (crc, body) = rest.split_first_chunk::<4>()?;
        let entry_bytes = match version {
            VERSION => ENTRY_BYTES,
            OLD_VERSION => OLD_ENTRY_BYTES,
            _ => return None,
        };
        if checksum(version, body) != u32::from_be_bytes(*crc) {
            return None;
        }
        let (generation, rest) = body.split_first_chunk::<8>()?;
        let (damaged, rest) = rest.split_first_chunk::<4>()?;
        let chunks = rest.chunks_exact(entry_bytes);
        if !chunks.remainder().is_empty() {
            return None;
        }
        Some(Self {
            generation: u64::from_be_bytes(*generation),
            damaged: u32::from_be_bytes(*damaged),
            entries: chunks.map(parse_entry).collect::<Option<_>>()?,
        })
    }
}

/// That of the octets behind it; from version 2 on the version counts as well, so that a flipped bit
/// of it does not pass for another form.
fn checksum(version: u8, body: &[u8]) -> u32 {
    let before = if version == OLD_VERSION { 0 } else { crc32c::crc32c(&[version]) };
    crc32c::crc32c_append(before, body)
}

fn parse_entry(bytes: &[u8]) -> Option<FragmentEntry> {
    let u32_at = |at: usize| Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
    let u64_at = |at: usize| Some(u64::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
    let flags = *bytes.get(52)?;
    Some(FragmentEntry {
        offset: u32_at(0)?,
        length: u32_at(4)?,
        sequence: u64_at(8)?,
        boot_time: BootTime::from_nanos(u64_at(16)?),
        wall: WallTime::from_unix_nanos(u64_at(24)?.cast_signed()),
        decode_nanos: u64_at(32)?.cast_signed(),
        span_nanos: u64_at(40)?,
        samples: u32_at(48)?,
        starts_with_key: flags & 1 != 0,
        loss_before: flags & 2 != 0,
        run_start: flags & 4 != 0,
        effort: bytes
            .get(53..)
            .and_then(|bytes| bytes.first_chunk())
            .map_or(Effort::default(), |bits| Effort::from_bits(u16::from_be_bytes(*bits))),
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn record() -> IndexRecord {
        let entry = FragmentEntry {
            offset: 1,
            length: 2,
            sequence: 3,
            boot_time: BootTime::from_nanos(4),
            wall: WallTime::from_unix_nanos(-5),
            decode_nanos: 6,
            span_nanos: 7,
            samples: 8,
            starts_with_key: true,
            loss_before: false,
            run_start: true,
            effort: Effort::of(700, 9_000),
        };
        IndexRecord {
            generation: 9,
            damaged: 1,
            entries: vec![entry, FragmentEntry { sequence: 4, ..entry }],
        }
    }

    #[test]
    fn a_record_of_before_is_read_without_effort() {
        let mut old = vec![OLD_VERSION, 0, 0, 0, 0];
        old.extend([&9u64.to_be_bytes()[..], &1u32.to_be_bytes()].concat());
        for entry in record().encode()[17..].chunks(ENTRY_BYTES) {
            old.extend(&entry[..OLD_ENTRY_BYTES]);
        }
        let crc = crc32c::crc32c(&old[5..]).to_be_bytes();
        old[1..5].copy_from_slice(&crc);
        let mut expected = record();
        expected.entries.iter_mut().for_each(|entry| entry.effort = Effort::default());
        assert_eq!(IndexRecord::parse(&old), Some(expected));
    }

    #[test]
    fn a_record_comes_back_and_no_flipped_bit_passes() {
        let bytes = record().encode();
        assert_eq!(IndexRecord::parse(&bytes), Some(record()));
        for at in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[at / 8] ^= 1 << (at % 8);
            assert_eq!(IndexRecord::parse(&bytes), None, "bit {at}");
        }
        assert_eq!(IndexRecord::parse(&bytes[..bytes.len() - 1]), None);
    }
}
