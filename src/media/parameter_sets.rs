//! The parameter sets of one video track that are in force, by their ids.
//!
//! Owns: which set a NAL unit is, what it refers to, and what changes when one comes in-band. A set
//! is changed only when the content under its id differs; another id is an addition
//! (ITU-T H.264 §7.4.1.2.1, H.265 §7.4.2.4.2).

use std::collections::BTreeMap;

use bytes::Bytes;

use super::bits::Bits;
use super::codec::{CodecParams, ParamsError};
use super::hevc_sps::skip_to_sps_id;
use super::nal::Nals;
use crate::base::limits::{PARAMETER_SETS_BYTES_MAX, PARAMETER_SETS_MAX};

/// Which codec's NAL units these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standard {
    /// ITU-T H.264.
    H264,
    /// ITU-T H.265.
    H265,
}

/// What a NAL unit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum NalKind {
    /// Video parameter set, H.265 alone.
    Vps,
    /// Sequence parameter set.
    Sps,
    /// Picture parameter set.
    Pps,
    /// The first slice of a picture.
    FirstSlice,
    /// A further slice of it.
    Slice,
    /// What comes in front of a picture: a delimiter, or a message about it.
    Front,
    /// Anything else.
    Other,
}

impl Standard {
    /// Octets of a NAL unit header.
    pub(crate) fn header_bytes(self) -> usize {
        match self {
            Self::H264 => 1,
            Self::H265 => 2,
        }
    }

    /// What `nal` is; H.264 table 7-1, H.265 table 7-1.
    pub(crate) fn kind(self, nal: &[u8]) -> NalKind {
        let Some((&first, rest)) = nal.split_first() else { return NalKind::Other };
        match self {
            Self::H264 => match first & 0x1f {
                // `first_mb_in_slice` of zero is the code `1`.
                1 | 2 | 5 if rest.first().is_some_and(|&octet| octet & 0x80 != 0) => {
                    NalKind::FirstSlice
                }
                1..=5 => NalKind::Slice,
                6 | 9 => NalKind::Front,
                7 => NalKind::Sps,
                8 => NalKind::Pps,
                _ => NalKind::Other,
            },
            Self::H265 => match first >> 1 & 0x3f {
                0..=31 if rest.get(1).is_some_and(|&octet| octet & 0x80 != 0) => {
                    NalKind::FirstSlice
                }
                0..=31 => NalKind::Slice,
                32 => NalKind::Vps,
                33 => NalKind::Sps,
                34 => NalKind::Pps,
                35 | 39 => NalKind::Front,
                _ => NalKind::Other,
            },
        }
    }

    /// The id of the set `nal`.
    fn id(self, kind: NalKind, nal: &[u8]) -> Option<u32> {
        let payload = nal.get(self.header_bytes()..)?;
        let mut bits = Bits::new(payload);
        match (self, kind) {
            (Self::H264, NalKind::Sps) => bits.skip(24)?,
            (Self::H265, NalKind::Vps) => {
                return payload.first().map(|octet| u32::from(octet >> 4));
            }
            (Self::H265, NalKind::Sps) => skip_to_sps_id(&mut bits)?,
            _ => {}
        }
        bits.ue()
    }

    /// The id of the SPS that the PPS `nal` refers to.
    fn sps_of_pps(self, nal: &[u8]) -> Option<u32> {
        let mut bits = Bits::new(nal.get(self.header_bytes()..)?);
        bits.ue()?;
        bits.ue()
    }

    /// The id of the PPS that the first slice `nal` refers to.
    fn pps_of_slice(self, nal: &[u8]) -> Option<u32> {
        let mut bits = Bits::new(nal.get(self.header_bytes()..)?);
        match self {
            Self::H264 => {
                bits.ue()?; // first_mb_in_slice
                bits.ue()?; // slice_type
            }
            Self::H265 => {
                let kind = nal.first()? >> 1 & 0x3f;
                // `no_output_of_prior_pics_flag` of IRAP pictures, §7.3.6.1.
                bits.skip(if (16..=23).contains(&kind) { 2 } else { 1 })?;
            }
        }
        bits.ue()
    }
}

/// Whether `nal` can be read as an SPS, H.264 §7.3.2.1.1.
fn is_h264_sps(nal: &[u8]) -> bool {
    let rbsp = h264_reader::rbsp::decode_nal(nal);
    rbsp.is_ok_and(|rbsp| {
        let bits = h264_reader::rbsp::BitReader::new(&*rbsp);
        h264_reader::nal::sps::SeqParameterSet::from_bits(bits).is_ok()
    })
}

/// The sets in force.
#[derive(Clone, Debug)]
pub(crate) struct ParameterSets {
    standard: Standard,
    sets: BTreeMap<(NalKind, u32), Bytes>,
    /// The SPS that the newest picture used.
    active: Option<u32>,
}

impl ParameterSets {
    /// None yet.
    pub(crate) fn new(standard: Standard) -> Self {
        Self { standard, sets: BTreeMap::new(), active: None }
    }

    /// Takes over the sets that come with the access unit `data`, and those that its picture uses.
    /// Says whether anything differs now. Sets beyond the limits are not taken.
    pub(crate) fn learn(&mut self, data: &[u8]) -> bool {
        let mut changed = false;
        for nal in Nals::new(data) {
            match self.standard.kind(nal) {
                kind @ (NalKind::Vps | NalKind::Sps | NalKind::Pps) => {
                    changed |= self.put(kind, nal);
                }
                NalKind::FirstSlice => return self.activate(nal) || changed,
                _ => {}
            }
        }
        changed
    }

    fn put(&mut self, kind: NalKind, nal: &[u8]) -> bool {
        let Some(id) = self.standard.id(kind, nal) else { return false };
        if self.standard == Standard::H264 && kind == NalKind::Sps && !is_h264_sps(nal) {
            return false; // a record with a set that nobody can read plays nowhere
        }
        if self.sets.get(&(kind, id)).is_some_and(|known| known == nal) {
            return false;
        }
        let others = self.sets.iter().filter(|(key, _)| **key != (kind, id));
        let bytes: usize = others.map(|(_, set)| set.len()).sum();
        let is_new = !self.sets.contains_key(&(kind, id));
        if is_new && self.sets.len() >= PARAMETER_SETS_MAX
            || bytes + nal.len() > PARAMETER_SETS_BYTES_MAX
        {
            return false;
        }
        self.sets.insert((kind, id), Bytes::copy_from_slice(nal));
        true
    }

    /// Notes which SPS the picture of the slice `nal` uses.
    fn activate(&mut self, nal: &[u8]) -> bool {
        let pps = self.standard.pps_of_slice(nal).and_then(|id| self.sets.get(&(NalKind::Pps, id)));
        let Some(sps) = pps.and_then(|pps| self.standard.sps_of_pps(pps)) else { return false };
        if !self.sets.contains_key(&(NalKind::Sps, sps)) {
            return false;
        }
        let before = self.active.replace(sps);
        before.is_some_and(|before| before != sps)
    }

    /// What the sets describe; `None` while one of a kind is missing. The SPS in use comes first.
    pub(crate) fn params(&self) -> Option<Result<CodecParams, ParamsError>> {
        let kind = |wanted| {
            let sets = self.sets.iter().filter(move |((kind, _), _)| *kind == wanted);
            sets.map(|((_, id), set)| (*id, set.clone())).collect::<Vec<_>>()
        };
        let plain = |sets: Vec<(u32, Bytes)>| sets.into_iter().map(|(_, set)| set).collect();
        let mut sps = kind(NalKind::Sps);
        sps.sort_by_key(|&(id, _)| (self.active.is_some_and(|active| active != id), id));
        let (vps, sps, pps): (Vec<_>, Vec<_>, Vec<_>) =
            (plain(kind(NalKind::Vps)), plain(sps), plain(kind(NalKind::Pps)));
        let wants_vps = self.standard == Standard::H265;
        if sps.is_empty() || pps.is_empty() || wants_vps && vps.is_empty() {
            return None;
        }
        Some(match self.standard {
            Standard::H264 => CodecParams::from_all_h264_sets(&sps, &pps),
            Standard::H265 => CodecParams::from_all_h265_sets(&vps, &sps, &pps),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Codec;
    use crate::media::nal::length_prefixed;

    const SPS: &[u8] = &[0x67, 0x64, 0x00, 0x33, 0xac, 0x15, 0x14, 0xa0, 0xa0, 0x2f, 0xf9, 0x50];
    /// Of id 0 and of id 1.
    const PPS: &[u8] = &[0x68, 0xee, 0x3c, 0xb0];
    const PPS_1: &[u8] = &[0x68, 0x5b, 0x8f, 0x2c];
    const IDR: &[u8] = &[0x65, 0x88, 1];

    fn learn(sets: &mut ParameterSets, nals: &[&[u8]]) -> bool {
        sets.learn(&length_prefixed(nals.iter().copied()))
    }

    #[test]
    fn another_id_is_an_addition_and_other_content_a_change() {
        let mut sets = ParameterSets::new(Standard::H264);
        assert!(sets.params().is_none());
        assert!(learn(&mut sets, &[SPS, PPS, IDR]));
        assert!(!learn(&mut sets, &[SPS, PPS, IDR]), "the same sets again");
        assert!(learn(&mut sets, &[PPS_1, IDR]));
        assert!(!learn(&mut sets, &[PPS, IDR]), "the first one is still in force");
        let params = sets.params().unwrap().unwrap();
        assert_eq!(params.parameter_nals().len(), 3);
        let Codec::H264 { pps, more, .. } = &params.codec else { panic!("{params:?}") };
        assert_eq!((&pps[..], &more[..]), (PPS, &[Bytes::from_static(PPS_1)][..]));
        let other: &[u8] = &[0x68, 0xee, 0x3c, 0x80];
        assert!(learn(&mut sets, &[other, IDR]));
        assert_eq!(sets.params().unwrap().unwrap().parameter_nals().len(), 3);
    }

    #[test]
    fn all_sets_are_in_the_sample_entry_and_read_back() {
        let mut sets = ParameterSets::new(Standard::H264);
        learn(&mut sets, &[SPS, PPS, PPS_1, IDR]);
        let params = sets.params().unwrap().unwrap();
        let again = CodecParams::from_sample_entry(&params.sample_entry, params.clock_rate);
        assert_eq!(again.unwrap(), params);
    }

    #[test]
    fn h265_sets_have_ids_too() {
        let hex = |text: &str| -> Vec<u8> {
            let octets = (0..text.len()).step_by(2);
            octets.map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
        };
        // x265 3.5 by ffmpeg 5.1, testsrc2 640x360.
        let sps = hex(
            "42010101600000030090000003000003003fa0050201696595964932bc05a02000000300200000030321",
        );
        let h265 = Standard::H265;
        assert_eq!(h265.id(NalKind::Sps, &sps), Some(0));
        assert_eq!(h265.id(NalKind::Vps, &[0x40, 1, 0x1c, 1]), Some(1));
        assert_eq!(h265.id(NalKind::Pps, &[0x44, 1, 0xc1]), Some(0));
        assert_eq!(h265.kind(&[0x26, 1, 0xaf]), NalKind::FirstSlice);
        assert_eq!(h265.kind(&[0x26, 1, 0x2f]), NalKind::Slice);
    }

    #[test]
    fn sets_are_bounded_in_number() {
        let mut sets = ParameterSets::new(Standard::H265);
        for id in 0..16u8 {
            learn(&mut sets, &[&[0x40, 1, id << 4, 1]]);
            learn(&mut sets, &[&[0x40, 1, id << 4, 2]]);
        }
        assert!(sets.sets.len() <= 16);
        let huge = vec![0x44; PARAMETER_SETS_BYTES_MAX + 1];
        assert!(!learn(&mut sets, &[&huge]));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_sets_panic(nals: Vec<Vec<u8>>) {
            for standard in [Standard::H264, Standard::H265] {
                let mut sets = ParameterSets::new(standard);
                learn(&mut sets, &nals.iter().map(Vec::as_slice).collect::<Vec<_>>());
                let _ = sets.params();
            }
        }
    }
}
