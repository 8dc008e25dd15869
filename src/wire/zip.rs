//! Zip archives whose members are stored as they are (APPNOTE.TXT 6.3.10), with the 64-bit
//! forms where the 32-bit ones are too small.
//!
//! Owns: the bytes around the members. There is one way to write them, so that an archive that
//! is read can be held against what would have been written, byte by byte. Does not own: the
//! members' own bytes, files, hashes.

use bytes::{Buf, BufMut};

use crate::base::limits::ZIP_NAME_BYTES_MAX;
use crate::base::time::WallTime;

/// Signatures, §4.3.7, §4.3.12, §4.3.14 to §4.3.16.
const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END_64: u32 = 0x0606_4b50;
const LOCATOR_64: u32 = 0x0706_4b50;
const END: u32 = 0x0605_4b50;
/// Version needed to extract, §4.4.3: plain, and with 64-bit forms.
const VERSION: u16 = 20;
const VERSION_64: u16 = 45;
/// Made on Unix (§4.4.2), a plain file that everyone may read (§4.4.15).
const MADE_BY: u16 = (3 << 8) | VERSION_64;
const ATTRIBUTES: u32 = 0o100_644 << 16;
/// The extra field with 64-bit numbers, §4.5.3.
const EXTRA_64: u16 = 1;
const END_BYTES: usize = 22;
const LOCATOR_BYTES: usize = 20;
const END_64_BYTES: usize = 56;

/// The most bytes behind the directory.
pub const END_BYTES_MAX: usize = END_BYTES + LOCATOR_BYTES + END_64_BYTES;

/// A file in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// CRC-32 of its bytes.
    pub crc32: u32,
    /// Its length.
    pub bytes: u64,
    /// Where its head begins in the archive.
    pub at: u64,
    /// Its length is written in 64 bits.
    pub wide: bool,
}

/// The date of every member: DOS has steps of two seconds and no zone; ours is UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    date: u16,
    time: u16,
}

impl Stamp {
    /// The date `at`; the first of 1980 where DOS has none.
    #[must_use]
    pub fn at(at: WallTime) -> Self {
        let of = |at: jiff::Zoned| {
            let part = |value: i8, shift: u32| u16::from(value.unsigned_abs()) << shift;
            let years = u16::try_from(at.year() - 1980).ok().filter(|years| *years < 128)?;
            let date = (years << 9) | part(at.month(), 5) | part(at.day(), 0);
            let time = part(at.hour(), 11) | part(at.minute(), 5) | part(at.second() / 2, 0);
            Some(Self { date, time })
        };
        let found = jiff::Timestamp::from_second(at.as_unix_millis().div_euclid(1_000)).ok();
        let first = Self { date: (1 << 5) | 1, time: 0 };
        found.and_then(|at| of(at.to_zoned(jiff::tz::TimeZone::UTC))).unwrap_or(first)
    }
}

impl Member {
    /// A member that begins at `at` and will have `bytes`; its length and its checksum are filled
    /// in when it is complete.
    #[must_use]
    pub fn begin(name: &str, at: u64, bytes: u64) -> Self {
        Self { name: name.to_owned(), crc32: 0, bytes: 0, at, wide: bytes >= u64::from(u32::MAX) }
    }

    /// Whether a member of this form may have `bytes`.
    #[must_use]
    pub fn may_have(&self, bytes: u64) -> bool {
        self.wide || bytes < u64::from(u32::MAX)
    }

    /// Length of [`Member::head`].
    #[must_use]
    pub fn head_bytes(&self) -> u64 {
        30 + self.name.len() as u64 + if self.wide { 20 } else { 0 }
    }

    /// What is before its bytes (§4.3.7); the length does not depend on the member's.
    #[must_use]
    pub fn head(&self, stamp: Stamp) -> Vec<u8> {
        let mut out = Vec::with_capacity(96);
        out.put_u32_le(LOCAL);
        self.put_common(&mut out, stamp);
        out.put_u16_le(if self.wide { 20 } else { 0 });
        out.put_slice(self.name.as_bytes());
        if self.wide {
            put_extra(&mut out, &[self.bytes, self.bytes]);
        }
        out
    }

    /// Its line in the directory (§4.3.12).
    fn put_line(&self, out: &mut Vec<u8>, stamp: Stamp) {
        let mut extra = if self.wide { vec![self.bytes, self.bytes] } else { Vec::new() };
        extra.extend((self.at >= u64::from(u32::MAX)).then_some(self.at));
        out.put_u32_le(CENTRAL);
        out.put_u16_le(MADE_BY);
        self.put_common(out, stamp);
        let extra_bytes = if extra.is_empty() { 0 } else { 4 + 8 * extra.len() };
        out.put_u16_le(u16::try_from(extra_bytes).unwrap_or(0));
        out.put_bytes(0, 6); // comment, disk, internal attributes
        out.put_u32_le(ATTRIBUTES);
        out.put_u32_le(narrow(self.at));
        out.put_slice(self.name.as_bytes());
        if !extra.is_empty() {
            put_extra(out, &extra);
        }
    }

    /// From the version to the length of the name, which heads and lines share.
    fn put_common(&self, out: &mut Vec<u8>, stamp: Stamp) {
        let bytes = if self.wide { u32::MAX } else { narrow(self.bytes) };
        let is_wide = self.wide || self.at >= u64::from(u32::MAX);
        out.put_u16_le(if is_wide { VERSION_64 } else { VERSION });
        out.put_bytes(0, 4); // flags; method "stored"
        out.put_u16_le(stamp.time);
        out.put_u16_le(stamp.date);
        out.put_u32_le(self.crc32);
        out.put_u32_le(bytes);
        out.put_u32_le(bytes);
        out.put_u16_le(u16::try_from(self.name.len()).unwrap_or(u16::MAX));
    }
}

fn narrow(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn put_extra(out: &mut Vec<u8>, values: &[u64]) {
    out.put_u16_le(EXTRA_64);
    out.put_u16_le(u16::try_from(8 * values.len()).unwrap_or(0));
    for &value in values {
        out.put_u64_le(value);
    }
}

/// What is behind the last member, from `at` to the archive's end: the directory and the
/// records that say where it is.
#[must_use]
pub fn tail(members: &[Member], stamp: Stamp, at: u64) -> Vec<u8> {
    let mut out = Vec::new();
    for member in members {
        member.put_line(&mut out, stamp);
    }
    let (count, bytes) = (members.len() as u64, out.len() as u64);
    let short = u16::try_from(count).unwrap_or(u16::MAX);
    if at >= u64::from(u32::MAX) || bytes >= u64::from(u32::MAX) || short == u16::MAX {
        out.put_u32_le(END_64);
        out.put_u64_le(END_64_BYTES as u64 - 12);
        out.put_u16_le(MADE_BY);
        out.put_u16_le(VERSION_64);
        out.put_u64_le(0); // this disk, disk of the directory
        out.put_u64_le(count);
        out.put_u64_le(count);
        out.put_u64_le(bytes);
        out.put_u64_le(at);
        out.put_u32_le(LOCATOR_64);
        out.put_u32_le(0); // disk
        out.put_u64_le(at + bytes);
        out.put_u32_le(1); // disks
    }
    out.put_u32_le(END);
    out.put_u32_le(0); // this disk, disk of the directory
    out.put_u16_le(short);
    out.put_u16_le(short);
    out.put_u32_le(narrow(bytes));
    out.put_u32_le(narrow(at));
    out.put_u16_le(0); // comment
    out
}

/// The directory of an archive of `length` bytes: where it begins, and its length. `end` is the
/// last [`END_BYTES_MAX`] of it, or all of it. `None` for an archive of another form.
#[must_use]
pub fn directory_at(end: &[u8], length: u64) -> Option<(u64, u64)> {
    let mut record = end.get(end.len().checked_sub(END_BYTES)?..)?;
    if record.get_u32_le() != END {
        return None;
    }
    record.advance(8);
    let (bytes, at) = (u64::from(record.get_u32_le()), u64::from(record.get_u32_le()));
    let wide = end.len().checked_sub(END_BYTES_MAX).map(|from| &end[from..]);
    let (bytes, at, behind) = match wide.filter(|wide| wide.starts_with(&END_64.to_le_bytes())) {
        Some(mut wide) => {
            wide.advance(40);
            (wide.get_u64_le(), wide.get_u64_le(), END_BYTES_MAX)
        }
        None => (bytes, at, END_BYTES),
    };
    (at.checked_add(bytes)?.checked_add(behind as u64)? == length).then_some((at, bytes))
}

/// The members that a directory names. `None` when it is not as [`tail`] writes it; what differs
/// elsewhere shows when it is written again.
#[must_use]
pub fn directory(mut bytes: &[u8]) -> Option<Vec<Member>> {
    let mut members = Vec::new();
    while !bytes.is_empty() {
        if bytes.try_get_u32_le().ok()? != CENTRAL || bytes.len() < 42 {
            return None;
        }
        bytes.advance(12);
        let crc32 = bytes.get_u32_le();
        let narrow_bytes = bytes.get_u32_le();
        bytes.advance(4);
        let (name, extra) = (usize::from(bytes.get_u16_le()), usize::from(bytes.get_u16_le()));
        bytes.advance(10);
        let narrow_at = bytes.get_u32_le();
        if name > ZIP_NAME_BYTES_MAX || bytes.len() < name + extra {
            return None;
        }
        let (name, rest) = bytes.split_at(name);
        let (mut extra, rest) = rest.split_at(extra);
        bytes = rest;
        extra = extra.get(4..).unwrap_or(&[]);
        let wide = narrow_bytes == u32::MAX;
        let mut number = |narrow: u32| match narrow {
            u32::MAX => extra.try_get_u64_le().ok(),
            narrow => Some(u64::from(narrow)),
        };
        let bytes = number(narrow_bytes)?;
        if wide && number(u32::MAX)? != bytes {
            return None;
        }
        let name = std::str::from_utf8(name).ok()?.to_owned();
        members.push(Member { name, crc32, bytes, at: number(narrow_at)?, wide });
    }
    Some(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp() -> Stamp {
        Stamp::at(WallTime::parse_rfc3339("2026-11-22T14:05:07Z").unwrap())
    }

    fn member(name: &str, bytes: u64, at: u64) -> Member {
        Member { bytes, crc32: 7, ..Member::begin(name, at, bytes) }
    }

    fn back(members: &[Member], at: u64) -> Vec<Member> {
        let tail = tail(members, stamp(), at);
        let end = &tail[tail.len().saturating_sub(END_BYTES_MAX)..];
        let (found, bytes) = directory_at(end, at + tail.len() as u64).unwrap();
        assert_eq!(found, at);
        directory(&tail[..usize::try_from(bytes).unwrap()]).unwrap()
    }

    #[test]
    fn a_directory_is_read_back_in_32_and_in_64_bits() {
        let small = vec![member("gate.mp4", 10, 0), member("manifest.json", 3, 48)];
        assert_eq!(back(&small, 100), small);
        let large = vec![member("gate.mp4", 5 << 30, 0), member("manifest.json", 3, 6 << 30)];
        assert_eq!(back(&large, 7 << 30), large);
        assert_eq!(back(&[], 0), []);
    }

    #[test]
    fn a_head_has_the_length_that_it_says() {
        for member in [member("a", 1, 0), member("gate.mp4", 5 << 30, 1)] {
            assert_eq!(member.head(stamp()).len() as u64, member.head_bytes());
        }
    }

    #[test]
    fn a_stamp_is_that_of_dos() {
        assert_eq!(
            stamp(),
            Stamp { date: (46 << 9) + (11 << 5) + 22, time: (14 << 11) | (5 << 5) | 3 }
        );
        assert_eq!(Stamp::at(WallTime::default()), Stamp { date: 33, time: 0 });
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_readers_panic(bytes: Vec<u8>, flips: Vec<(usize, u8)>) {
            let _ = (directory(&bytes), directory_at(&bytes, bytes.len() as u64));
            let mut tail = tail(&[member("a", 5 << 30, 0), member("b", 1, 5 << 30)], stamp(), 9 << 30);
            for (at, byte) in flips {
                let length = tail.len();
                tail[at % length] = byte;
            }
            let _ = (directory(&tail), directory_at(&tail, (9 << 30) + tail.len() as u64));
        }
    }
}
