//! Cuts a byte stream of H.264 (ITU-T H.264 Annex B) into access units, as it comes.
//!
//! Owns: where one picture ends and the next begins (§7.4.1.2.3). Arbitrary slice order and field
//! pictures are not known: no encoder of a live camera makes them. A unit is returned as soon as
//! the first two octets of the next one are there, which is one picture after it was sent; the byte
//! stream says no earlier that a unit is whole.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use memchr::memmem;

use crate::base::limits::ACCESS_UNIT_BYTES_MAX;
use crate::media::nal::{self, START_CODE};

/// NAL unit types, ITU-T H.264 Table 7-1.
const NAL_SLICE: u8 = 1;
const NAL_IDR: u8 = 5;
const NAL_SPS: u8 = 7;
const NAL_PPS: u8 = 8;

/// What is seen of a NAL unit before it is known whether it begins an access unit.
const PEEK_BYTES: usize = 2;

/// One picture as found in the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// NAL units behind 4-byte lengths, without parameter sets, delimiters and filler.
    pub data: Bytes,
    /// Whether it is an IDR picture.
    pub key: bool,
    /// SPS and PPS that hold from this picture on, when either preceded it.
    pub sets: Option<(Bytes, Bytes)>,
    /// Whether something of it may be shown after what comes later: it has B slices.
    pub is_reordered: bool,
    /// Pictures directly before it that were damaged or too large.
    pub lost: u16,
}

/// The cutter: [`receive`](Splitter::receive) once, then [`poll`](Splitter::poll) until `None`.
#[derive(Debug, Default)]
pub struct Splitter {
    /// Behind the last start code; before the first one nothing is kept.
    rest: BytesMut,
    /// How far `rest` was searched.
    searched: usize,
    is_inside: bool,
    /// The NAL unit that `rest` begins with was too large, and its beginning was let go.
    is_torn: bool,
    unit: Draft,
    sps: Option<Bytes>,
    pps: Option<Bytes>,
    lost: u16,
}

/// The unit that is being gathered.
#[derive(Debug, Default)]
struct Draft {
    data: BytesMut,
    /// What its slices are; `None`: there is none yet.
    picture: Option<Slices>,
    has_sets: bool,
    is_damaged: bool,
}

#[derive(Debug, Default)]
struct Slices {
    key: bool,
    is_reordered: bool,
}

impl Splitter {
    /// Takes the next bytes of the stream, in pieces of any size.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
    }

    /// The next picture that is whole.
    pub fn poll(&mut self) -> Option<Unit> {
        while let Some(at) = self.start_code() {
            let next = at + START_CODE.len();
            let Some(peek) = self.rest.get(next..next + PEEK_BYTES) else {
                self.searched = at;
                return None;
            };
            let ends = self.is_inside && begins_unit(peek);
            let nal = self.rest.split_to(at);
            self.rest.advance(START_CODE.len());
            self.searched = 0;
            let is_torn = std::mem::take(&mut self.is_torn);
            if std::mem::replace(&mut self.is_inside, true) {
                self.take(&nal, is_torn);
            }
            if ends && let Some(unit) = self.cut() {
                return Some(unit);
            }
        }
        self.bound();
        None
    }

    /// Where the next start code is.
    fn start_code(&mut self) -> Option<usize> {
        let found = memmem::find(&self.rest[self.searched..], START_CODE);
        if found.is_none() {
            self.searched = self.rest.len().saturating_sub(START_CODE.len() - 1);
        }
        found.map(|at| self.searched + at)
    }

    /// Lets go what can be part of no unit.
    fn bound(&mut self) {
        if self.is_inside && self.rest.len() <= ACCESS_UNIT_BYTES_MAX {
            return;
        }
        self.is_torn = self.is_inside;
        self.rest.advance(self.searched);
        self.searched = 0;
    }

    /// Puts a whole NAL unit to the others of its access unit.
    fn take(&mut self, nal: &[u8], is_torn: bool) {
        let nal = nal::without_trailing_zeros(nal);
        let Some(&head) = nal.first() else { return };
        let draft = &mut self.unit;
        if is_torn || head & 0x80 != 0 || draft.data.len() + nal.len() > ACCESS_UNIT_BYTES_MAX {
            // What is not a picture is left out; the picture beside it may be whole.
            let is_slice = is_torn || (NAL_SLICE..=NAL_IDR).contains(&(head & 0x1f));
            if is_slice {
                draft.is_damaged = true;
                draft.picture.get_or_insert_default();
            }
            return;
        }
        match head & 0x1f {
            NAL_SPS => draft.has_sets |= renew(&mut self.sps, nal),
            NAL_PPS => draft.has_sets |= renew(&mut self.pps, nal),
            // Delimiters, ends of sequences and filler say nothing that is not known here.
            9..=12 => {}
            kind => {
                if (NAL_SLICE..=NAL_IDR).contains(&kind) {
                    let slices = draft.picture.get_or_insert_default();
                    slices.key |= kind == NAL_IDR;
                    slices.is_reordered |= kind <= 2 && is_bipredictive(nal);
                }
                // Bounded far below 4 GiB.
                draft.data.put_u32(u32::try_from(nal.len()).unwrap_or(u32::MAX));
                draft.data.extend_from_slice(nal);
            }
        }
    }

    /// Ends the access unit, if there is a picture in it.
    fn cut(&mut self) -> Option<Unit> {
        let slices = self.unit.picture.take()?;
        let draft = std::mem::take(&mut self.unit);
        if draft.is_damaged {
            self.lost = self.lost.saturating_add(1);
            // The next picture must bring the parameter sets that preceded this one.
            self.unit.has_sets = draft.has_sets;
            return None;
        }
        let sets = self.sps.clone().zip(self.pps.clone()).filter(|_| draft.has_sets);
        Some(Unit {
            data: draft.data.freeze(),
            key: slices.key,
            sets,
            is_reordered: slices.is_reordered,
            lost: std::mem::take(&mut self.lost),
        })
    }
}

/// Puts a parameter set in place of the one before; tells whether it is another.
fn renew(set: &mut Option<Bytes>, nal: &[u8]) -> bool {
    let changed = set.as_deref() != Some(nal);
    if changed {
        *set = Some(Bytes::copy_from_slice(nal));
    }
    changed
}

/// Whether a NAL unit that begins so is behind the last one of the picture before it.
fn begins_unit(peek: &[u8]) -> bool {
    match peek[0] & 0x1f {
        // first_mb_in_slice is zero, which ue(v) writes as a single one bit (§9.1).
        1 | 2 | NAL_IDR => peek[1] & 0x80 != 0,
        6..=9 | 14..=18 => true,
        _ => false,
    }
}

/// Whether `slice_type` is B (§7.4.3, Table 7-6).
fn is_bipredictive(nal: &[u8]) -> bool {
    let mut bits = nal[1..].iter().flat_map(|octet| (0..8).rev().map(move |bit| octet >> bit & 1));
    let mut number = || {
        let zeros = bits.by_ref().take_while(|&bit| bit == 0).count();
        // Longer ones are neither a macroblock number nor a slice type.
        (zeros <= 24)
            .then(|| bits.by_ref().take(zeros).fold(1u32, |n, bit| n << 1 | u32::from(bit)))
    };
    let _first_mb = number();
    // The code number plus one (§9.1): types 1 and 6.
    matches!(number(), Some(2 | 7))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(stream: &[u8], pieces: usize) -> Vec<Unit> {
        let mut splitter = Splitter::default();
        let mut units = Vec::new();
        for piece in stream.chunks(pieces.max(1)) {
            splitter.receive(piece);
            units.extend(std::iter::from_fn(|| splitter.poll()));
        }
        units
    }

    fn stream(nals: &[&[u8]]) -> Vec<u8> {
        let code: [&[u8]; 2] = [&[0, 0, 1], &[0, 0, 0, 1]];
        nals.iter().zip(code.iter().cycle()).flat_map(|(nal, code)| [*code, nal].concat()).collect()
    }

    const SPS: &[u8] = &[0x67, 0x64, 0, 0x33];
    const PPS: &[u8] = &[0x68, 0xee, 0x3c];
    const IDR: &[u8] = &[0x65, 0x88, 1, 2];
    const IDR_LATER: &[u8] = &[0x65, 0x08, 3];
    const P: &[u8] = &[0x41, 0x9a, 4];
    const P_LATER: &[u8] = &[0x41, 0x1a, 5];
    const AUD: &[u8] = &[0x09, 0xf0];
    const SEI: &[u8] = &[0x06, 5, 1, 9];

    #[test]
    fn units_end_where_the_next_picture_begins() {
        let told = cut(&stream(&[SPS, PPS, SEI, IDR, IDR_LATER, P, P_LATER, P, AUD, P, P]), 7);
        let nals: Vec<Vec<&[u8]>> =
            told.iter().map(|u| nal::Nals::new(&u.data).collect()).collect();
        assert_eq!(nals, [vec![SEI, IDR, IDR_LATER], vec![P, P_LATER], vec![P], vec![P]]);
        let keys: Vec<_> = told.iter().map(|unit| unit.key).collect();
        assert_eq!(keys, [true, false, false, false]);
        let sets = (Bytes::from_static(SPS), Bytes::from_static(PPS));
        assert_eq!(told[0].sets, Some(sets));
        assert!(told[1..].iter().all(|unit| unit.sets.is_none() && unit.lost == 0));
    }

    #[test]
    fn a_picture_is_out_as_soon_as_the_next_begins() {
        let mut splitter = Splitter::default();
        splitter.receive(&stream(&[IDR, P]));
        assert!(splitter.poll().is_some_and(|unit| unit.key));
        assert_eq!(splitter.poll(), None);
    }

    #[test]
    fn the_same_sets_again_are_no_news_and_others_are() {
        let other = &[0x68, 0xce, 0x3c][..];
        let told = cut(&stream(&[SPS, PPS, IDR, SPS, PPS, IDR, PPS, other, IDR, P]), 1);
        let news: Vec<_> = told.iter().map(|unit| unit.sets.is_some()).collect();
        assert_eq!(news, [true, false, true]);
    }

    #[test]
    fn a_picture_that_is_too_large_or_damaged_is_counted() {
        let mut splitter = Splitter::default();
        splitter.receive(&stream(&[SPS, PPS, IDR, P, &[0x41, 0x9a]]));
        let units: Vec<_> = std::iter::from_fn(|| splitter.poll()).collect();
        assert_eq!(units.len(), 2);
        for _ in 0..ACCESS_UNIT_BYTES_MAX / 65_536 + 2 {
            splitter.receive(&vec![7; 65_536]);
            assert_eq!(splitter.poll(), None);
            assert!(splitter.rest.len() <= ACCESS_UNIT_BYTES_MAX + 65_536);
        }
        splitter.receive(&stream(&[&[0xc1, 0x9a, 3], P, P, P]));
        let units: Vec<_> = std::iter::from_fn(|| splitter.poll()).collect();
        assert_eq!(units.iter().map(|unit| unit.lost).collect::<Vec<_>>(), [2, 0]);
    }

    #[test]
    fn b_slices_are_seen() {
        // first_mb 0 (1), slice_type 1 (010): B is 1, and 6 (00111) when all slices are.
        for (nal, is_b) in [
            (&[0x01, 0b1010_0000, 1][..], true),
            (&[0x01, 0b1001_1100, 1], true),
            (&[0x41, 0b1100_0000, 1], false),
            (&[0x41, 0b1001_1000, 1], false),
        ] {
            let told = cut(&stream(&[nal, P]), 9);
            assert_eq!(told[0].is_reordered, is_b, "{nal:?}");
        }
    }

    proptest! {
        #[test]
        fn pieces_change_nothing(octets in proptest::collection::vec(0u8..12, 0..600), by in 1usize..40) {
            let whole = cut(&octets, octets.len());
            prop_assert_eq!(&cut(&octets, by), &whole);
            prop_assert!(whole.iter().all(|unit| nal::is_whole(&unit.data)));
        }

        #[test]
        fn every_picture_of_a_sound_stream_comes_out(
            pictures in proptest::collection::vec((any::<bool>(), 1usize..4, 1usize..90), 1..20),
            by in 1usize..50,
        ) {
            let mut nals: Vec<Vec<u8>> = Vec::new();
            for &(key, slices, bytes) in &pictures {
                for slice in 0..slices {
                    let head = if key { 0x65 } else { 0x41 };
                    let mut nal = vec![head, if slice == 0 { 0x9a } else { 0x1a }];
                    nal.extend(std::iter::repeat_n(0x55, bytes));
                    nals.push(nal);
                }
            }
            nals.push(P.to_vec());
            let nals: Vec<&[u8]> = nals.iter().map(Vec::as_slice).collect();
            let told = cut(&stream(&nals), by);
            let shapes: Vec<_> =
                told.iter().map(|unit| (unit.key, nal::Nals::new(&unit.data).count())).collect();
            let sent: Vec<_> = pictures.iter().map(|&(key, slices, _)| (key, slices)).collect();
            prop_assert_eq!(shapes, sent);
        }
    }
}
