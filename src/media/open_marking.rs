//! What H.264 pictures say of references before the open entry point that they follow (ITU-T H.264
//! §7.3.3.3, §8.2.5.4): nothing, in copies for browsers.
//!
//! Owns: the rewriting of such slices. An encoder of open groups of pictures unmarks the references of
//! the group before once no leading picture needs them. A decoder that begins at the entry point does not
//! have them, and Chromium's ends there with an error. For one that has them the sliding window (§8.2.5.3)
//! unmarks them later; until then they are the last in the lists of references.

use std::ops::Range;
use std::{fmt, io};

use bytes::Bytes;
use h264_reader::nal::NalHeader;
use h264_reader::nal::pps::PicParameterSet;
use h264_reader::nal::slice::{
    DecRefPicMarking, FieldPic, MemoryManagementControlOperation, SliceHeader,
};
use h264_reader::nal::sps::SeqParameterSet;
use h264_reader::rbsp::{BitRead, BitReader, BitReaderError, Numeric, Primitive, decode_nal};

use super::codec::{Codec, CodecParams};
use super::entry_point::Entry;
use super::nal::{Nals, length_prefixed};
use super::rbsp::{RbspReader, RbspWriter, escaped};

/// Octets of a slice that are read at first: its header is shorter.
const SLICE_HEAD_OCTETS: usize = 256;

/// Follows the pictures of one H.264 track, in decoding order.
pub struct OpenMarking {
    sets: h264_reader::Context,
    /// `frame_num` of the newest entry point, if that is an open one.
    entry: Option<u32>,
}

impl fmt::Debug for OpenMarking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenMarking").field("entry", &self.entry).finish_non_exhaustive()
    }
}

impl OpenMarking {
    /// For pictures with `params`; `None` where these are not of H.264.
    #[must_use]
    pub fn new(params: &CodecParams) -> Option<Self> {
        let Codec::H264 { .. } = params.codec else { return None };
        let mut marking = Self { sets: h264_reader::Context::new(), entry: None };
        for set in params.parameter_nals() {
            marking.learn(set);
        }
        Some(marking)
    }

    /// The access unit `data` (NAL units behind lengths) without what it says of references before the open
    /// entry point; `None` where it says nothing of them. `entry` is what the unit is itself.
    pub fn neutral(&mut self, entry: Option<Entry>, data: &[u8]) -> Option<Bytes> {
        if entry.is_none() && self.entry.is_none() {
            return None;
        }
        for nal in Nals::new(data).filter(|nal| matches!(kind(nal), Some(7 | 8))) {
            self.learn(nal);
        }
        if entry.is_some() {
            // An IDR picture unmarks all others by itself.
            let mut slices = Nals::new(data).filter(|nal| kind(nal) == Some(1));
            let first = slices.next().and_then(|slice| self.read(slice));
            self.entry = first.map(|slice| slice.frame_num);
        }
        let first = self.entry?;
        let mut changed = false;
        let nals: Vec<Vec<u8>> = Nals::new(data)
            .map(|nal| {
                let made = self.old_marking(nal, first).and_then(|slice| without(nal, &slice));
                changed |= made.is_some();
                made.unwrap_or_else(|| nal.to_vec())
            })
            .collect();
        changed.then(|| length_prefixed(nals.iter().map(Vec::as_slice)))
    }

    /// Whether a decoder that begins with the access unit `data` finds nothing that its slices could refer to.
    ///
    /// Before any other picture decoders assume the frames that seem to be missing (ITU-T H.264 §8.2.5.2), and
    /// predicted slices refer to those. Before `frame_num` 0 none is missing.
    #[must_use]
    pub fn lacks_references(&self, data: &[u8]) -> bool {
        let mut slices = Nals::new(data).filter(|nal| kind(nal) == Some(1));
        let first = slices.next().and_then(|slice| self.read(slice));
        first.is_some_and(|slice| slice.frame_num == 0)
    }

    fn learn(&mut self, nal: &[u8]) {
        let Ok(rbsp) = decode_nal(nal) else { return };
        match kind(nal) {
            Some(7) => {
                if let Ok(sps) = SeqParameterSet::from_bits(BitReader::new(&*rbsp)) {
                    self.sets.put_seq_param_set(sps);
                }
            }
            Some(8) => {
                if let Ok(pps) = PicParameterSet::from_bits(&self.sets, BitReader::new(&*rbsp)) {
                    self.sets.put_pic_param_set(pps);
                }
            }
            _ => {}
        }
    }

    /// What is read of the slice `nal` if all that it marks are references before the picture with
    /// `frame_num` `first`.
    fn old_marking(&self, nal: &[u8], first: u32) -> Option<SliceMarking> {
        // Pictures to which none refers mark nothing.
        if kind(nal) != Some(1) || nal[0] & 0x60 == 0 {
            return None;
        }
        let slice = self.read(nal)?;
        let since = slice.frame_num.wrapping_sub(first) % slice.frame_nums;
        let is_before = |operation: &MemoryManagementControlOperation| match operation {
            MemoryManagementControlOperation::ShortTermUnusedForRef {
                difference_of_pic_nums_minus1,
            } => difference_of_pic_nums_minus1.saturating_add(1) > since,
            _ => false,
        };
        let is_old = !slice.operations.is_empty() && slice.operations.iter().all(is_before);
        is_old.then_some(slice)
    }

    fn read(&self, slice: &[u8]) -> Option<SliceMarking> {
        let slice = &slice[..slice.len().min(SLICE_HEAD_OCTETS)];
        let header = NalHeader::new(*slice.first()?).ok()?;
        let rbsp = decode_nal(slice).ok()?;
        let bits = RbspReader { octets: &rbsp, at: 0 };
        let mut bits = WatchedBits { bits, marking: 0..0 };
        let (read, sps, pps) = SliceHeader::from_bits(&self.sets, &mut bits, header).ok()?;
        // Fields are numbered otherwise, and what follows of slice groups was not read.
        if read.field_pic != FieldPic::Frame || pps.slice_groups.is_some() {
            return None;
        }
        let operations = match read.dec_ref_pic_marking {
            Some(DecRefPicMarking::Adaptive(operations)) => operations,
            _ => Vec::new(),
        };
        Some(SliceMarking {
            frame_num: u32::from(read.frame_num),
            frame_nums: 1 << sps.log2_max_frame_num(),
            operations,
            is_cabac: pps.entropy_coding_mode_flag,
            marking: bits.marking,
            end: bits.bits.at,
        })
    }
}

fn kind(nal: &[u8]) -> Option<u8> {
    Some(nal.first()? & 0x1f)
}

/// What is read of a slice header.
struct SliceMarking {
    frame_num: u32,
    /// `MaxFrameNum`.
    frame_nums: u32,
    operations: Vec<MemoryManagementControlOperation>,
    is_cabac: bool,
    /// Where `dec_ref_pic_marking` is, in bits behind the NAL unit's header.
    marking: Range<usize>,
    /// Where the slice header ends.
    end: usize,
}

/// `nal` with its marking left to the sliding window.
fn without(nal: &[u8], slice: &SliceMarking) -> Option<Vec<u8>> {
    let rbsp = decode_nal(nal).ok()?;
    let mut from = RbspReader { octets: &rbsp, at: 0 };
    let mut to = RbspWriter::default();
    let mut copy = |range: Range<usize>, to: &mut RbspWriter| {
        from.at = range.start;
        range.into_iter().try_for_each(|_| from.bit().map(|bit| to.bit(bit)))
    };
    copy(0..slice.marking.start, &mut to)?;
    to.bit(false); // adaptive_ref_pic_marking_mode_flag
    if slice.is_cabac {
        // The rest of the header, then ones up to the next octet (`cabac_alignment_one_bit`).
        copy(slice.marking.end..slice.end, &mut to)?;
        to.align(true);
        to.octets.extend_from_slice(rbsp.get(slice.end.div_ceil(8)..)?);
    } else {
        let stop = RbspReader { octets: &rbsp, at: 0 }.end()?;
        copy(slice.marking.end..stop + 1, &mut to)?;
    }
    Some(escaped(nal[0], &to.octets))
}

/// Notes where `dec_ref_pic_marking` is while a slice header is read.
struct WatchedBits<'a> {
    bits: RbspReader<'a>,
    marking: Range<usize>,
}

type Read<T> = Result<T, BitReaderError>;

fn ended<T>(read: Option<T>, name: &'static str) -> Read<T> {
    let ended = || BitReaderError::ReaderErrorFor(name, io::ErrorKind::UnexpectedEof.into());
    read.ok_or_else(ended)
}

impl BitRead for WatchedBits<'_> {
    fn read_ue(&mut self, name: &'static str) -> Read<u32> {
        let read = ended(self.bits.ue(), name)?;
        if name == "memory_management_control_operation" {
            self.marking.end = self.bits.at;
        }
        Ok(read)
    }

    fn read_se(&mut self, name: &'static str) -> Read<i32> {
        let code = self.read_ue(name)?;
        let half = ended(i32::try_from(code.div_ceil(2)).ok(), name)?;
        Ok(if code % 2 == 1 { half } else { -half })
    }

    fn read_bool(&mut self, name: &'static str) -> Read<bool> {
        if name == "adaptive_ref_pic_marking_mode_flag" {
            self.marking = self.bits.at..self.bits.at + 1;
        }
        ended(self.bits.bit(), name)
    }

    fn read<U: Numeric>(&mut self, bit_count: u32, name: &'static str) -> Read<U> {
        let mut number = U::default();
        for _ in 0..bit_count {
            number <<= 1;
            number |= U::from_u8(u8::from(ended(self.bits.bit(), name)?));
        }
        Ok(number)
    }

    /// Slice headers have no such values.
    fn read_to<V: Primitive>(&mut self, _: &'static str) -> Read<V> {
        Err(BitReaderError::Unaligned)
    }

    fn skip(&mut self, bit_count: u32, name: &'static str) -> Read<()> {
        ended(self.bits.skip(bit_count), name)
    }

    fn has_more_rbsp_data(&mut self, _: &'static str) -> Read<bool> {
        Ok(self.bits.end().is_some_and(|end| self.bits.at < end))
    }

    fn finish_rbsp(self) -> Read<()> {
        Ok(())
    }

    fn finish_sei_payload(self) -> Read<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::nal::{annex_b, to_annex_b};

    fn ffmpeg(args: &[&str]) -> Vec<u8> {
        let made = std::process::Command::new("ffmpeg").args(["-v", "error"]).args(args).output();
        let made = made.unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        made.stdout
    }

    /// The units of a clip of x264 in open groups of pictures.
    fn clip(options: &str) -> Vec<Bytes> {
        coded(&format!("{options}:keyint=12:min-keyint=12:scenecut=0:open-gop=1:b-adapt=0"))
    }

    fn coded(options: &str) -> Vec<Bytes> {
        let coder = ["-pix_fmt", "yuv420p", "-c:v", "libx264", "-x264-params", options];
        let source = ["-f", "lavfi", "-i", "testsrc2=s=176x144:r=25:d=3"];
        let form = ["-bsf:v", "h264_metadata=aud=insert", "-f", "h264", "-"];
        let made = ffmpeg(&[&source[..], &coder, &form].concat());
        let mut units: Vec<Vec<&[u8]>> = Vec::new();
        for nal in annex_b(&made) {
            if nal[0] & 0x1f == 9 {
                units.push(Vec::new());
            }
            units.last_mut().unwrap().push(nal);
        }
        units.into_iter().map(length_prefixed).collect()
    }

    /// Checksums of the pictures in `units`.
    fn pictures(units: &[Bytes]) -> Vec<u8> {
        let file = tempfile::NamedTempFile::new().unwrap();
        let film: Vec<u8> = units.iter().flat_map(|unit| to_annex_b(unit)).collect();
        std::fs::write(file.path(), film).unwrap();
        let path = file.path().to_str().unwrap();
        ffmpeg(&["-f", "h264", "-i", path, "-fps_mode", "passthrough", "-f", "framemd5", "-"])
    }

    #[test]
    fn open_groups_mark_nothing_before_them_and_decode_to_the_same_pictures() {
        for options in [
            "cabac=0:ref=1:bframes=2:b-pyramid=none:weightp=0",
            "ref=3:bframes=3:b-pyramid=none:weightp=2",
            "ref=4:bframes=3:b-pyramid=normal:slices=2",
        ] {
            let units = clip(options);
            let sets: Vec<&[u8]> =
                Nals::new(&units[0]).filter(|nal| matches!(kind(nal), Some(7 | 8))).collect();
            let params = CodecParams::from_h264_sets(sets[0], sets[1]).unwrap();
            let entry = |unit: &Bytes| Entry::of(&params.codec, unit);
            let mut marking = OpenMarking::new(&params).unwrap();
            let mut changed = 0;
            let neutral: Vec<Bytes> = units
                .iter()
                .map(|unit| {
                    let made = marking.neutral(entry(unit), unit);
                    changed += usize::from(made.is_some());
                    made.unwrap_or_else(|| unit.clone())
                })
                .collect();
            let groups = units.iter().filter(|unit| entry(unit) == Some(Entry::Open)).count();
            assert!(groups > 3 && changed >= groups, "{options}: {changed} of {groups} groups");
            let mut again = OpenMarking::new(&params).unwrap();
            assert!(neutral.iter().all(|unit| again.neutral(entry(unit), unit).is_none()));
            assert!(pictures(&units) == pictures(&neutral), "{options}: other pictures");
        }
    }

    #[test]
    fn closed_groups_stay_as_they_are() {
        let units = clip("ref=3:bframes=3:b-pyramid=normal");
        let sets: Vec<&[u8]> =
            Nals::new(&units[0]).filter(|nal| matches!(kind(nal), Some(7 | 8))).collect();
        let params = CodecParams::from_h264_sets(sets[0], sets[1]).unwrap();
        let mut marking = OpenMarking::new(&params).unwrap();
        for unit in &units {
            let entry = Entry::of(&params.codec, unit).filter(|entry| *entry == Entry::Closed);
            assert_eq!(marking.neutral(entry, unit), None);
        }
    }

    #[test]
    fn a_predicted_picture_of_frame_number_zero_has_nothing_to_refer_to() {
        let units = coded("intra-refresh=1:keyint=8:bframes=0:ref=1");
        let sets: Vec<&[u8]> =
            Nals::new(&units[0]).filter(|nal| matches!(kind(nal), Some(7 | 8))).collect();
        let params = CodecParams::from_h264_sets(sets[0], sets[1]).unwrap();
        let marking = OpenMarking::new(&params).unwrap();
        let without: Vec<usize> =
            (0..units.len()).filter(|at| marking.lacks_references(&units[*at])).collect();
        // Each picture is a reference, and they are counted in four bits; the first is an IDR picture.
        assert_eq!(without, [16, 32, 48, 64]);
        let entry = |at: usize| Entry::of(&params.codec, &units[at]);
        assert!(without.iter().any(|at| matches!(entry(*at), Some(Entry::Gradual(_)))));
    }

    proptest::proptest! {
        #[test]
        fn no_slice_makes_it_panic(slices: Vec<Vec<u8>>) {
            const SPS: &[u8] =
                &[0x67, 0x64, 0, 0x33, 0xac, 0x15, 0x14, 0xa0, 0xa0, 0x2f, 0xf9, 0x50];
            const PPS: &[u8] = &[0x68, 0xee, 0x3c, 0xb0];
            let params = CodecParams::from_h264_sets(SPS, PPS).unwrap();
            let mut marking = OpenMarking::new(&params).unwrap();
            for (at, slice) in slices.iter().enumerate() {
                let unit = length_prefixed([&[&[0x61][..], slice].concat()[..]]);
                let _ = marking.neutral((at == 0).then_some(Entry::Open), &unit);
            }
        }
    }
}
