//! The two checked boxes of a slot: its header behind `moov`, and the seal behind each fragment.
//!
//! Owns: their bytes, both ways. Both are `uuid` boxes (ISO/IEC 14496-12 §4.2), which players skip.
//! Numbers are big-endian, as everywhere in MP4. The tables are in the README.

use bytes::BufMut;

use crate::base::name::StreamName;
use crate::base::time::{BootTime, Trust, WallTime};
use crate::dvr::format::effort::Effort;
use crate::dvr::format::epoch::SlotEpoch;
use crate::media::ClockSource;

/// Bytes of a slot's header box.
pub(crate) const HEADER_BYTES: usize = 148;
/// Bytes of a seal.
pub(crate) const SEAL_BYTES: usize = 140;
/// Version of both boxes.
const VERSION: u8 = 1;
/// Extended type of a slot's header.
pub(crate) const HEADER_TYPE: [u8; 16] = *b"holdfast-slot\0\0\x01";
/// Extended type of a seal, by which a scan finds its way again behind damage.
pub(crate) const SEAL_TYPE: [u8; 16] = *b"holdfast-seal\0\0\x01";

const STARTS_WITH_KEY: u8 = 1;
const LOSS_BEFORE: u8 = 2;
const RUN_START: u8 = 4;

/// 16 random bytes that name a ring, or the kernel's name of a boot.
pub type Identity = [u8; 16];

/// What a slot says of itself for one lap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotHeader {
    /// The ring that the slot belongs to.
    pub ring: Identity,
    /// Its number, which is also its name.
    pub slot: u32,
    /// Size of the file.
    pub slot_bytes: u64,
    /// Which lap this is: larger than that of every slot opened before, over the whole ring.
    pub generation: u64,
    /// The stream that it holds.
    pub stream: StreamName,
    /// The boot during which it was opened; a slot never holds two boots.
    pub boot: Identity,
    /// When it was opened.
    pub opened: BootTime,
    /// The date at that moment, as believed.
    pub opened_wall: WallTime,
    /// Bytes of `ftyp` and `moov` in front of the header.
    pub init_bytes: u32,
    /// What the media times in the slot count from.
    pub epoch: SlotEpoch,
}

/// One fragment: its place and its times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FragmentEntry {
    /// Where its `moof` begins in the slot.
    pub offset: u32,
    /// Bytes of `moof` and `mdat`.
    pub length: u32,
    /// Its number within the slot's lap, from 1.
    pub sequence: u64,
    /// When its first unit arrived.
    pub boot_time: BootTime,
    /// When its first unit was captured, as believed.
    pub wall: WallTime,
    /// Decoding time of its first unit on the stream's timeline, in nanoseconds since boot.
    pub decode_nanos: i64,
    /// How long it plays, in nanoseconds.
    pub span_nanos: u64,
    /// Samples over all tracks.
    pub samples: u32,
    /// A reader can begin here.
    pub starts_with_key: bool,
    /// Units due before it were lost.
    pub loss_before: bool,
    /// It is the first of a run.
    pub run_start: bool,
    /// What the encoder spent on its pictures.
    pub effort: Effort,
}

#[cfg(test)]
impl FragmentEntry {
    /// One that begins at `at_ms` on every clock, lasts for `span_ms`, and can be begun with.
    pub(crate) fn example(at_ms: i64, span_ms: u64) -> Self {
        Self {
            offset: 0,
            length: 10,
            sequence: 1,
            boot_time: BootTime::from_millis(at_ms.unsigned_abs()),
            wall: WallTime::from_unix_nanos(at_ms * 1_000_000),
            decode_nanos: at_ms * 1_000_000,
            span_nanos: span_ms * 1_000_000,
            samples: 1,
            starts_with_key: true,
            loss_before: false,
            run_start: false,
            effort: Effort::default(),
        }
    }
}

/// The seal of one fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal {
    /// The ring.
    pub ring: Identity,
    /// [`stream_identity`] of the stream.
    pub stream: u64,
    /// The slot's lap.
    pub generation: u64,
    /// The boot.
    pub boot: Identity,
    /// Which run of the stream, counted since the process started, modulo 65,536.
    pub run: u16,
    /// Units lost before or within it.
    pub lost: u32,
    /// Who said what the wall time is.
    pub wall_source: ClockSource,
    /// Who vouched for this machine's date when it was written; `None` if it was not judged yet.
    pub wall_trust: Option<Trust>,
    /// The fragment.
    pub entry: FragmentEntry,
}

/// A stream's name as a number (FNV-1a, 64 bit).
pub(crate) fn stream_identity(name: &StreamName) -> u64 {
    fingerprint(name.as_str().as_bytes())
}

/// FNV-1a 64 of `bytes`.
pub(crate) fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

impl SlotHeader {
    /// The box, sealed together with `init`, the bytes in front of it.
    pub fn encode(&self, init: &[u8]) -> Vec<u8> {
        let mut out = begin(HEADER_BYTES, &HEADER_TYPE);
        let epoch = self.epoch.millis().to_be_bytes();
        out.put_u8(VERSION);
        out.put_slice(&epoch[2..5]);
        out.put_slice(&self.ring);
        out.put_u32(self.slot);
        out.put_u64(self.slot_bytes);
        out.put_u64(self.generation);
        out.put_u64(stream_identity(&self.stream));
        out.put_slice(&self.boot);
        out.put_u64(self.opened.as_nanos());
        out.put_i64(self.opened_wall.as_unix_nanos());
        let name = self.stream.as_str().as_bytes();
        // A name has at most 32 bytes, so its length fits and so does it.
        out.put_u8(u8::try_from(name.len()).unwrap_or(0));
        out.put_slice(name);
        out.resize(137, 0);
        out.put_slice(&epoch[5..]);
        out.put_u32(self.init_bytes);
        let crc = crc32c::crc32c_append(crc32c::crc32c(init), &out);
        out.put_u32(crc);
        out
    }

    /// Reads the box that follows `init`; `None` when anything about it is wrong.
    pub fn parse(init: &[u8], bytes: &[u8]) -> Option<Self> {
        let checked = whole(bytes, HEADER_BYTES, &HEADER_TYPE, crc32c::crc32c(init))?;
        let [high @ .., _] = *checked.get(25..29)?.first_chunk::<4>()?;
        let mut fields = Fields(&checked[28..]);
        let ring = fields.take()?;
        let slot = u32::from_be_bytes(fields.take()?);
        let slot_bytes = u64::from_be_bytes(fields.take()?);
        let generation = u64::from_be_bytes(fields.take()?);
        let identity = u64::from_be_bytes(fields.take()?);
        let boot = fields.take()?;
        let opened = BootTime::from_nanos(u64::from_be_bytes(fields.take()?));
        let opened_wall = WallTime::from_unix_nanos(i64::from_be_bytes(fields.take()?));
        let [length] = fields.take()?;
        let name: [u8; 32] = fields.take()?;
        let name = std::str::from_utf8(name.get(..usize::from(length))?).ok()?;
        let stream = StreamName::parse(name).ok()?;
        let low: [u8; 3] = fields.take()?;
        let millis = [high, low].concat().iter().fold(0, |sum, &octet| sum << 8 | u64::from(octet));
        let init_bytes = u32::from_be_bytes(fields.take()?);
        let fits = usize::try_from(init_bytes) == Ok(init.len());
        (fits && stream_identity(&stream) == identity).then_some(Self {
            ring,
            slot,
            slot_bytes,
            generation,
            stream,
            boot,
            opened,
            opened_wall,
            init_bytes,
            epoch: SlotEpoch::new(millis, init),
        })
    }

    /// Whether `seal` closes a fragment of this lap of this slot.
    pub fn owns(&self, seal: &Seal) -> bool {
        seal.ring == self.ring
            && seal.generation == self.generation
            && seal.stream == stream_identity(&self.stream)
            && seal.boot == self.boot
    }
}

impl Seal {
    /// The box; `media_crc` is the CRC-32C of `moof` and `mdat`.
    pub fn encode(&self, media_crc: u32) -> Vec<u8> {
        let entry = &self.entry;
        let mut out = begin(SEAL_BYTES, &SEAL_TYPE);
        let flag = |set, flag| if set { flag } else { 0 };
        let flags = flag(entry.starts_with_key, STARTS_WITH_KEY)
            | flag(entry.loss_before, LOSS_BEFORE)
            | flag(entry.run_start, RUN_START);
        let source = match self.wall_source {
            ClockSource::Arrival => 1,
            ClockSource::Sender => 2,
        };
        out.put_slice(&[VERSION, flags, source, Trust::to_octet(self.wall_trust)]);
        out.put_slice(&self.ring);
        out.put_u64(self.stream);
        out.put_u64(self.generation);
        out.put_u64(entry.sequence);
        out.put_slice(&self.boot);
        out.put_u64(entry.boot_time.as_nanos());
        out.put_i64(entry.wall.as_unix_nanos());
        out.put_i64(entry.decode_nanos);
        out.put_u64(entry.span_nanos);
        // Seals of before have a run of 32 bits, whose upper half was never reached.
        out.put_u16(entry.effort.to_bits());
        out.put_u16(self.run);
        out.put_u32(entry.samples);
        out.put_u32(self.lost);
        out.put_u32(entry.offset);
        out.put_u32(entry.length);
        let crc = crc32c::crc32c_append(media_crc, &out);
        out.put_u32(crc);
        out
    }

    /// Reads the fields without checking the CRC; `None` when it is not a seal of this version.
    ///
    /// Nothing may be believed before [`Seal::parse`] agreed; this tells only where to look.
    pub fn peek(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..SEAL_BYTES)?;
        if !is_box(bytes, SEAL_BYTES, &SEAL_TYPE) {
            return None;
        }
        let (flags, source, wall_trust) = (bytes[25], bytes[26], Trust::from_octet(bytes[27]));
        let mut fields = Fields(&bytes[28..]);
        let ring = fields.take()?;
        let stream = u64::from_be_bytes(fields.take()?);
        let generation = u64::from_be_bytes(fields.take()?);
        let sequence = u64::from_be_bytes(fields.take()?);
        let boot = fields.take()?;
        let boot_time = BootTime::from_nanos(u64::from_be_bytes(fields.take()?));
        let wall = WallTime::from_unix_nanos(i64::from_be_bytes(fields.take()?));
        let decode_nanos = i64::from_be_bytes(fields.take()?);
        let span_nanos = u64::from_be_bytes(fields.take()?);
        let effort = Effort::from_bits(u16::from_be_bytes(fields.take()?));
        let run = u16::from_be_bytes(fields.take()?);
        let samples = u32::from_be_bytes(fields.take()?);
        let lost = u32::from_be_bytes(fields.take()?);
        let offset = u32::from_be_bytes(fields.take()?);
        let length = u32::from_be_bytes(fields.take()?);
        let wall_source = if source == 2 { ClockSource::Sender } else { ClockSource::Arrival };
        let entry = FragmentEntry {
            offset,
            length,
            sequence,
            boot_time,
            wall,
            decode_nanos,
            span_nanos,
            samples,
            starts_with_key: flags & STARTS_WITH_KEY != 0,
            loss_before: flags & LOSS_BEFORE != 0,
            run_start: flags & RUN_START != 0,
            effort,
        };
        Some(Self { ring, stream, generation, boot, run, lost, wall_source, wall_trust, entry })
    }

    /// Reads a seal behind media of this CRC; `None` when anything about it is wrong.
    pub fn parse(media_crc: u32, bytes: &[u8]) -> Option<Self> {
        whole(bytes, SEAL_BYTES, &SEAL_TYPE, media_crc)?;
        Self::peek(bytes)
    }
}

fn begin(length: usize, kind: &[u8; 16]) -> Vec<u8> {
    let mut out = Vec::with_capacity(length);
    out.put_u32(u32::try_from(length).expect("a constant below 4 GiB"));
    out.put_slice(b"uuid");
    out.put_slice(kind);
    out
}

fn is_box(bytes: &[u8], length: usize, kind: &[u8; 16]) -> bool {
    bytes.len() == length
        && u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize == length
        && &bytes[4..8] == b"uuid"
        && &bytes[8..24] == kind
        && bytes[24] == VERSION
}

/// The box without its CRC, if type, version and CRC are right.
fn whole<'a>(bytes: &'a [u8], length: usize, kind: &[u8; 16], before: u32) -> Option<&'a [u8]> {
    let bytes = bytes.get(..length)?;
    let (checked, crc) = bytes.split_last_chunk::<4>()?;
    let right = crc32c::crc32c_append(before, checked) == u32::from_be_bytes(*crc);
    (is_box(bytes, length, kind) && right).then_some(checked)
}

/// Takes fixed numbers of octets off the front.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> SlotHeader {
        SlotHeader {
            ring: [1; 16],
            slot: 3,
            slot_bytes: 4 << 20,
            generation: 77,
            stream: StreamName::parse("gate").unwrap(),
            boot: [2; 16],
            opened: BootTime::from_millis(1_234),
            opened_wall: WallTime::from_unix_nanos(-5),
            init_bytes: 9,
            epoch: SlotEpoch::new(0x0102_0304_0506, b"ftyp+moov"),
        }
    }

    fn seal() -> Seal {
        Seal {
            ring: [1; 16],
            stream: stream_identity(&StreamName::parse("gate").unwrap()),
            generation: 77,
            boot: [2; 16],
            run: 4,
            lost: 2,
            wall_source: ClockSource::Sender,
            wall_trust: Some(Trust::Rtc),
            entry: FragmentEntry {
                offset: 1_000,
                length: 5,
                sequence: 9,
                boot_time: BootTime::from_millis(99),
                wall: WallTime::from_unix_nanos(1_795_000_000_000_000_000),
                decode_nanos: 98_000_000,
                span_nanos: 1_000_000_000,
                samples: 75,
                starts_with_key: true,
                loss_before: false,
                run_start: true,
                effort: crate::dvr::format::effort::Effort::default(),
            },
        }
    }

    #[test]
    fn a_header_comes_back_as_it_was() {
        let bytes = header().encode(b"ftyp+moov");
        assert_eq!(bytes.len(), HEADER_BYTES);
        assert_eq!((&bytes[25..28], &bytes[137..140]), (&[1, 2, 3][..], &[4, 5, 6][..]));
        assert_eq!(SlotHeader::parse(b"ftyp+moov", &bytes), Some(header()));
        assert!(header().owns(&seal()));
    }

    #[test]
    fn a_seal_comes_back_as_it_was() {
        let media = crc32c::crc32c(b"media");
        let bytes = seal().encode(media);
        assert_eq!(bytes.len(), SEAL_BYTES);
        assert_eq!(Seal::parse(media, &bytes), Some(seal()));
    }

    #[test]
    fn a_seal_says_who_vouched_for_the_date_and_an_old_one_that_nobody_looked() {
        let media = crc32c::crc32c(b"media");
        for (octet, wall_trust) in
            [(0, None), (1, Some(Trust::None)), (2, Some(Trust::Rtc)), (3, Some(Trust::Ntp))]
        {
            let seal = Seal { wall_trust, ..seal() };
            let bytes = seal.encode(media);
            assert_eq!(bytes[27], octet);
            assert_eq!(Seal::parse(media, &bytes), Some(seal));
        }
    }

    #[test]
    fn any_flipped_bit_is_refused() {
        let media = crc32c::crc32c(b"media");
        let (seal, header) = (seal().encode(media), header().encode(b"ftyp+moov"));
        for at in 0..SEAL_BYTES * 8 {
            let mut bytes = seal.clone();
            bytes[at / 8] ^= 1 << (at % 8);
            assert_eq!(Seal::parse(media, &bytes), None, "bit {at}");
        }
        for at in 0..HEADER_BYTES * 8 {
            let mut bytes = header.clone();
            bytes[at / 8] ^= 1 << (at % 8);
            assert_eq!(SlotHeader::parse(b"ftyp+moov", &bytes), None, "bit {at}");
        }
        assert_eq!(SlotHeader::parse(b"ftyp+mooV", &header), None);
        assert_eq!(Seal::parse(crc32c::crc32c(b"mediA"), &seal), None);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_readers_panic(bytes: Vec<u8>) {
            let _ = SlotHeader::parse(&bytes, &bytes);
            let _ = Seal::peek(&bytes);
            let _ = Seal::parse(0, &bytes);
        }
    }
}
