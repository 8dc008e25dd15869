//! The quantiser of an H.264 slice (ITU-T H.264 §7.3.3).

use h264_reader::nal::NalHeader;
use h264_reader::nal::pps::PicParameterSet;
use h264_reader::nal::slice::SliceHeader;
use h264_reader::nal::sps::SeqParameterSet;
use h264_reader::rbsp::{BitReader, decode_nal};

/// Parameter sets in force.
pub(super) struct H264Sets(h264_reader::Context);

impl std::fmt::Debug for H264Sets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("H264Sets").field(&self.0.sps().count()).finish()
    }
}

/// Whether `nal` is a slice with a header of its own, table 7-1.
pub(super) fn is_slice(nal: &[u8]) -> bool {
    nal.first().is_some_and(|first| matches!(first & 0x1f, 1 | 5))
}

impl H264Sets {
    /// Those of `nals` that can be read.
    pub(super) fn new<'a>(nals: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut context = h264_reader::Context::new();
        for nal in nals {
            let Ok(rbsp) = decode_nal(nal) else { continue };
            match nal.first().map(|first| first & 0x1f) {
                Some(7) => {
                    if let Ok(sps) = SeqParameterSet::from_bits(BitReader::new(&*rbsp)) {
                        context.put_seq_param_set(sps);
                    }
                }
                Some(8) => {
                    if let Ok(pps) = PicParameterSet::from_bits(&context, BitReader::new(&*rbsp)) {
                        context.put_pic_param_set(pps);
                    }
                }
                _ => {}
            }
        }
        Self(context)
    }

    pub(super) fn qp(&self, slice: &[u8]) -> Option<i32> {
        let header = NalHeader::new(*slice.first()?).ok()?;
        let rbsp = decode_nal(slice).ok()?;
        let read = SliceHeader::from_bits(&self.0, &mut BitReader::new(&*rbsp), header);
        let (slice, _, pps) = read.ok()?;
        26i32.checked_add(pps.pic_init_qp_minus26)?.checked_add(slice.slice_qp_delta)
    }
}
