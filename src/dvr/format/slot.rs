//! A slot as bytes: how it is opened, grown and closed, and how it is read back.
//!
//! Owns: the layout `ftyp moov header (moof mdat seal)* free`. Reads through a [`DiskFile`];
//! what to do about what it finds is decided in `ring` and `storage`.

use std::io;

use bytes::Bytes;

use crate::dvr::disk::DiskFile;
use crate::dvr::format::seal::{
    FragmentEntry, HEADER_BYTES, SEAL_BYTES, SEAL_TYPE, Seal, SlotHeader,
};
use crate::wire::mp4::set_dates;

/// Bytes of a box header, and so of the smallest `free` box.
pub(crate) const BOX_HEADER_BYTES: u64 = 8;
/// Read at once of a fragment whose `moof` is wanted; what most have.
const MOVIE_BYTES: usize = 2 << 10;
/// Read at once when looking for the next seal behind damage.
pub(crate) const SEARCH_BYTES: u64 = 256 << 10;

/// How a slot's fragments end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// With the `free` box that the next fragment overwrites.
    Free,
    /// With a `skip` box, or exactly at the end: nothing may be added.
    Closed,
    /// With something that is neither a whole fragment nor a `free` box.
    Torn,
}

/// What to make of a fragment that does not match its seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// The slot was the last one being written in its boot: the first mismatch is its end.
    Tail,
    /// The slot was finished: a damaged fragment is skipped if a good one follows.
    Finished,
}

impl Strictness {
    /// How a lap is read that is or is not the last of its stream in its boot.
    pub(crate) fn of_lap(is_last_of_boot: bool) -> Self {
        if is_last_of_boot { Self::Tail } else { Self::Finished }
    }
}

/// The fragments of a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotContents {
    /// The good ones, in order.
    pub entries: Vec<FragmentEntry>,
    /// Where the last good one ends, its seal included.
    pub end: u64,
    /// What is there.
    pub tail: Tail,
    /// Stretches of bytes (from, to) that were skipped.
    pub damaged: Vec<(u64, u64)>,
}

/// The bytes at the front of a slot's lap, without the `free` box behind them. The init segment in
/// them carries the date of opening, for people who have nothing but the file.
pub(crate) fn opening(header: &SlotHeader, init: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(init.len() + HEADER_BYTES);
    out.extend_from_slice(init);
    set_dates(&mut out, Some(header.opened_wall.as_unix_millis() / 1_000));
    let header = header.encode(&out);
    out.extend_from_slice(&header);
    out
}

/// The header of the `free` box from `at` to the end of the slot; nothing at the very end.
pub(crate) fn free_box(at: u64, slot_bytes: u64) -> Vec<u8> {
    filler(at, slot_bytes, *b"free")
}

/// As [`free_box`], of the type that says "nothing is added here".
pub(crate) fn skip_box(at: u64, slot_bytes: u64) -> Vec<u8> {
    filler(at, slot_bytes, *b"skip")
}

fn filler(at: u64, slot_bytes: u64, kind: [u8; 4]) -> Vec<u8> {
    let length = slot_bytes.saturating_sub(at);
    if length == 0 {
        return Vec::new();
    }
    let length = u32::try_from(length).expect("a slot is at most SLOT_BYTES_MAX");
    [length.to_be_bytes(), kind].concat()
}

/// Whether a fragment of `length` bytes with its seal fits at `at` with room for a `free` box.
pub(crate) fn fits(at: u64, length: usize, slot_bytes: u64) -> bool {
    at + length as u64 + SEAL_BYTES as u64 + BOX_HEADER_BYTES <= slot_bytes
}

/// Reads and checks every fragment of the lap that `header` begins.
pub(crate) fn scan(
    file: &dyn DiskFile,
    header: &SlotHeader,
    strictness: Strictness,
) -> io::Result<SlotContents> {
    let begin = u64::from(header.init_bytes) + HEADER_BYTES as u64;
    let mut walk = Walk { file, header, at: begin, sequence: 0, buffer: Vec::new() };
    let mut found =
        SlotContents { entries: Vec::new(), end: begin, tail: Tail::Torn, damaged: Vec::new() };
    loop {
        match walk.next()? {
            ScanStep::Fragment(entry) => {
                found.entries.push(entry);
                found.end = walk.at;
            }
            ScanStep::End(tail) => {
                found.tail = tail;
                return Ok(found);
            }
            ScanStep::Mismatch => {
                let from = walk.at;
                if strictness == Strictness::Tail {
                    return Ok(found);
                }
                let Some(entry) = walk.search()? else { return Ok(found) };
                found.damaged.push((from, u64::from(entry.offset)));
                found.entries.push(entry);
                found.end = walk.at;
            }
        }
    }
}

/// Adds to `entries`, the first fragments of the lap, those behind them up to number `until`,
/// by their seals alone: no media is read, and nothing may be believed of a fragment before
/// [`read_fragment`] agreed. Returns whether the walk came to the end of the lap, or to `until`.
pub(crate) fn outline(
    file: &dyn DiskFile,
    header: &SlotHeader,
    until: u64,
    entries: &mut Vec<FragmentEntry>,
) -> io::Result<bool> {
    let begin = u64::from(header.init_bytes) + HEADER_BYTES as u64;
    let mut walk = Walk { file, header, at: begin, sequence: 0, buffer: Vec::new() };
    if let Some(last) = entries.last() {
        let _ = walk.pass(*last);
    }
    while walk.sequence < until && walk.at < header.slot_bytes {
        let Some((length, kind)) = walk.head(walk.at)? else { return Ok(false) };
        match &kind {
            b"moof" => {}
            b"free" | b"skip" => return Ok(walk.at + length == header.slot_bytes),
            _ => return Ok(false),
        }
        let Some((data, b"mdat")) =
            walk.head(walk.at + length)?.as_ref().map(|(length, kind)| (*length, kind))
        else {
            return Ok(false);
        };
        let Some(entry) = walk.sealed(walk.at, length + data)? else { return Ok(false) };
        if entry.sequence > until {
            return Ok(true);
        }
        let _ = walk.pass(entry);
        entries.push(entry);
    }
    Ok(true)
}

/// Whether the lap still ends with the fragment `last`, or with none, and the filler behind it:
/// then what was known of it is what is there, as far as a look at its end can say.
pub(crate) fn ends_with(
    file: &dyn DiskFile,
    header: &SlotHeader,
    last: Option<&FragmentEntry>,
) -> io::Result<bool> {
    let begin = u64::from(header.init_bytes) + HEADER_BYTES as u64;
    let at = last.map_or(begin, end);
    if let Some(last) = last {
        let seal_at = at - SEAL_BYTES as u64;
        if at > header.slot_bytes {
            return Ok(false);
        }
        let mut seal = [0; SEAL_BYTES];
        file.read_at(seal_at, &mut seal)?;
        if !Seal::peek(&seal).is_some_and(|seal| header.owns(&seal) && seal.entry == *last) {
            return Ok(false);
        }
    }
    let walk = Walk { file, header, at, sequence: 0, buffer: Vec::new() };
    Ok(at == header.slot_bytes
        || walk.head(at)?.is_some_and(|(length, kind)| {
            matches!(&kind, b"free" | b"skip") && at + length == header.slot_bytes
        }))
}

/// Whether the lap has just the seals of `entries` and the filler behind them; what they seal is
/// not read.
pub(crate) fn has_seals(
    file: &dyn DiskFile,
    header: &SlotHeader,
    entries: &[FragmentEntry],
) -> io::Result<bool> {
    let mut seal = [0; SEAL_BYTES];
    for entry in entries {
        if end(entry) > header.slot_bytes {
            return Ok(false);
        }
        file.read_at(end(entry) - SEAL_BYTES as u64, &mut seal)?;
        if !Seal::peek(&seal).is_some_and(|seal| header.owns(&seal) && seal.entry == *entry) {
            return Ok(false);
        }
    }
    ends_with(file, header, entries.last())
}

/// Reads the fragment that `entry` names and checks it against its seal.
///
/// `None` when it is not there any more: the slot was reused, or the bytes are damaged.
pub(crate) fn read_fragment(
    file: &dyn DiskFile,
    header: &SlotHeader,
    entry: &FragmentEntry,
) -> io::Result<Option<Bytes>> {
    let at = u64::from(entry.offset);
    let mut walk = Walk { file, header, at, sequence: 0, buffer: Vec::new() };
    let found = walk.check(at, u64::from(entry.length))?;
    if found != Some(*entry) {
        return Ok(None);
    }
    let mut bytes = walk.buffer;
    bytes.truncate(entry.length as usize);
    header.epoch.leave(&mut bytes);
    Ok(Some(bytes.into()))
}

/// Reads the `moof` of the fragment that `entry` names, without checking anything but that it is
/// one. `None` when it is not there any more.
pub(crate) fn read_movie(
    file: &dyn DiskFile,
    header: &SlotHeader,
    entry: &FragmentEntry,
) -> io::Result<Option<Bytes>> {
    let mut bytes = vec![0; (entry.length as usize).min(MOVIE_BYTES)];
    file.read_at(u64::from(entry.offset), &mut bytes)?;
    let Some((length, b"moof")) = box_head(&bytes).as_ref().map(|(l, k)| (*l, k)) else {
        return Ok(None);
    };
    if length > u64::from(entry.length) {
        return Ok(None);
    }
    let read = bytes.len();
    bytes.resize(to_usize(length), 0);
    if let Some(rest) = bytes.get_mut(read..).filter(|rest| !rest.is_empty()) {
        file.read_at(u64::from(entry.offset) + read as u64, rest)?;
    }
    header.epoch.leave(&mut bytes);
    Ok(Some(bytes.into()))
}

/// Reads the fragment that begins at `at` with its seal, and checks it.
///
/// `None` when none of this lap begins there, or when it does not end at `until` or before.
pub(crate) fn fragment_at(
    file: &dyn DiskFile,
    header: &SlotHeader,
    at: u64,
    until: u64,
) -> io::Result<Option<Vec<u8>>> {
    if at > until || until > header.slot_bytes {
        return Ok(None);
    }
    let mut walk = Walk { file, header, at, sequence: 0, buffer: Vec::new() };
    // What a box claims is believed only as far as the caller's own bound.
    let length = walk.length_of_fragment()?;
    let Some(length) = length.filter(|length| at + length + SEAL_BYTES as u64 <= until) else {
        return Ok(None);
    };
    if walk.check(at, length)?.is_none() {
        return Ok(None);
    }
    header.epoch.leave(&mut walk.buffer);
    Ok(Some(walk.buffer))
}

enum ScanStep {
    Fragment(FragmentEntry),
    End(Tail),
    Mismatch,
}

struct Walk<'a> {
    file: &'a dyn DiskFile,
    header: &'a SlotHeader,
    at: u64,
    /// Sequence number of the last good fragment: they only grow, so that what a torn write
    /// left behind is not taken for what came later.
    sequence: u64,
    buffer: Vec<u8>,
}

impl Walk<'_> {
    fn next(&mut self) -> io::Result<ScanStep> {
        let slot_bytes = self.header.slot_bytes;
        if self.at == slot_bytes {
            return Ok(ScanStep::End(Tail::Closed));
        }
        let Some((length, kind)) = self.head(self.at)? else { return Ok(ScanStep::Mismatch) };
        let to_the_end = self.at + length == slot_bytes;
        match &kind {
            b"free" if to_the_end => return Ok(ScanStep::End(Tail::Free)),
            b"skip" if to_the_end => return Ok(ScanStep::End(Tail::Closed)),
            _ => {}
        }
        let Some(length) = self.length_of_fragment()? else { return Ok(ScanStep::Mismatch) };
        Ok(match self.check(self.at, length)? {
            Some(entry) => self.pass(entry),
            None => ScanStep::Mismatch,
        })
    }

    /// Length of the `moof` and `mdat` at this place; `None` when other bytes are there.
    fn length_of_fragment(&self) -> io::Result<Option<u64>> {
        let Some((movie, b"moof")) = self.head(self.at)?.as_ref().map(|(l, k)| (*l, k)) else {
            return Ok(None);
        };
        let Some((data, b"mdat")) = self.head(self.at + movie)?.as_ref().map(|(l, k)| (*l, k))
        else {
            return Ok(None);
        };
        Ok(Some(movie + data))
    }

    fn pass(&mut self, entry: FragmentEntry) -> ScanStep {
        self.at = end(&entry);
        self.sequence = entry.sequence;
        ScanStep::Fragment(entry)
    }

    /// The fragment of `length` bytes at `at`, if its seal is behind it and matches.
    fn check(&mut self, at: u64, length: u64) -> io::Result<Option<FragmentEntry>> {
        let whole = length + SEAL_BYTES as u64;
        if at + whole > self.header.slot_bytes {
            return Ok(None);
        }
        // It only grows: what is read next goes over what was read before.
        if self.buffer.len() < to_usize(whole) {
            self.buffer = vec![0; to_usize(whole)];
        }
        let read = &mut self.buffer[..to_usize(whole)];
        self.file.read_at(at, read)?;
        let (media, seal) = read.split_at(to_usize(length));
        let Some(seal) = Seal::peek(seal).and_then(|_| Seal::parse(crc32c::crc32c(media), seal))
        else {
            return Ok(None);
        };
        let right = self.header.owns(&seal)
            && u64::from(seal.entry.offset) == at
            && u64::from(seal.entry.length) == length
            && seal.entry.sequence > self.sequence;
        Ok(right.then_some(seal.entry))
    }

    /// What the seal behind the fragment of `length` bytes at `at` says, if it is of this lap.
    fn sealed(&self, at: u64, length: u64) -> io::Result<Option<FragmentEntry>> {
        if at + length + SEAL_BYTES as u64 > self.header.slot_bytes {
            return Ok(None);
        }
        let mut seal = [0; SEAL_BYTES];
        self.file.read_at(at + length, &mut seal)?;
        let right = |seal: &Seal| {
            self.header.owns(seal)
                && u64::from(seal.entry.offset) == at
                && u64::from(seal.entry.length) == length
                && seal.entry.sequence > self.sequence
        };
        Ok(Seal::peek(&seal).filter(right).map(|seal| seal.entry))
    }

    /// Looks for the next good fragment behind damage, by its seal, and passes it.
    fn search(&mut self) -> io::Result<Option<FragmentEntry>> {
        let from = self.at;
        let mut window = Vec::new();
        let mut at = self.at;
        while at + SEAL_BYTES as u64 <= self.header.slot_bytes {
            // Windows overlap by a seal, so that none is cut in two.
            let length = (self.header.slot_bytes - at).min(SEARCH_BYTES + SEAL_BYTES as u64);
            window.resize(to_usize(length), 0);
            self.file.read_at(at, &mut window)?;
            for seal_at in seals(&window) {
                let Some(seal) = Seal::peek(&window[seal_at..]) else { continue };
                let offset = u64::from(seal.entry.offset);
                let stands = offset + u64::from(seal.entry.length) == at + seal_at as u64;
                if !stands || offset < from || !self.header.owns(&seal) {
                    continue;
                }
                if let Some(entry) = self.check(offset, u64::from(seal.entry.length))? {
                    self.pass(entry);
                    return Ok(Some(entry));
                }
            }
            at += SEARCH_BYTES;
        }
        Ok(None)
    }

    /// Length and type of the box at `at`; `None` when there cannot be one.
    fn head(&self, at: u64) -> io::Result<Option<(u64, [u8; 4])>> {
        if at + BOX_HEADER_BYTES > self.header.slot_bytes {
            return Ok(None);
        }
        let mut head = [0; 8];
        self.file.read_at(at, &mut head)?;
        let fits = |(length, _): &(u64, [u8; 4])| at + length <= self.header.slot_bytes;
        Ok(box_head(&head).filter(fits))
    }
}

/// Where a fragment with its seal ends.
pub(crate) fn end(entry: &FragmentEntry) -> u64 {
    u64::from(entry.offset) + u64::from(entry.length) + SEAL_BYTES as u64
}

/// Where seals may begin in `window`.
pub(crate) fn seals(window: &[u8]) -> impl Iterator<Item = usize> {
    let mut from = 0;
    std::iter::from_fn(move || {
        loop {
            let rest = window.get(from..)?;
            let at = from + rest.iter().position(|&byte| byte == SEAL_TYPE[0])?;
            from = at + 1;
            if window[at..].starts_with(&SEAL_TYPE) && at >= 8 {
                return Some(at - 8);
            }
        }
    })
}

/// Length and type of the box that `bytes` begins with; `None` for the special lengths 0 and 1,
/// which nothing here writes.
pub(crate) fn box_head(bytes: &[u8]) -> Option<(u64, [u8; 4])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let kind = rest.first_chunk::<4>()?;
    let length = u64::from(u32::from_be_bytes(*length));
    (length >= BOX_HEADER_BYTES).then_some((length, *kind))
}

pub(crate) fn to_usize(bytes: u64) -> usize {
    usize::try_from(bytes).expect("bounded by SLOT_BYTES_MAX")
}
