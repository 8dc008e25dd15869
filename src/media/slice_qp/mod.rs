//! How coarsely a picture is quantised, out of the header of its first slice.
//!
//! Owns: the way there. An encoder that must hold a bit rate answers movement with a coarser
//! quantiser rather than with more bytes, and the first slice says so in its first octets. What an
//! encoder does within a slice (`mb_qp_delta`, `cu_qp_delta`) stays unknown.

mod h264;
mod h265;

use h264::H264Sets;
use h265::H265Sets;

use super::codec::{Codec, CodecParams};
use super::nal::Nals;

/// Octets of a slice that are read: its header is shorter.
const SLICE_HEAD_OCTETS: usize = 256;

/// Reads the quantiser of pictures of one track with the parameter sets that are in force.
#[derive(Debug)]
pub struct SliceQp(CodecSets);

#[derive(Debug)]
enum CodecSets {
    H264(H264Sets),
    H265(H265Sets),
    /// No pictures, or none of these.
    Other,
}

impl SliceQp {
    /// A reader for pictures with `params`.
    #[must_use]
    pub fn new(params: &CodecParams) -> Self {
        let sets = params.parameter_nals();
        let sets = sets.iter().map(|set| &set[..]);
        Self(match params.codec {
            Codec::H264 { .. } => CodecSets::H264(H264Sets::new(sets)),
            Codec::H265 { .. } => CodecSets::H265(H265Sets::new(sets)),
            Codec::Aac { .. } | Codec::G711(_) | Codec::Flac | Codec::Opus => CodecSets::Other,
        })
    }

    /// `SliceQpY` of the first slice of the access unit `data` (NAL units behind lengths), 0 to 51
    /// for 8 bits and below zero for more; `None` when it cannot be read (H.264 §7.4.3, H.265
    /// §7.4.7.1).
    #[must_use]
    pub fn of(&self, data: &[u8]) -> Option<i32> {
        let head = |nal: &'_ [u8]| nal.len().min(SLICE_HEAD_OCTETS);
        let mut nals = Nals::new(data).map(|nal| &nal[..head(nal)]);
        match &self.0 {
            CodecSets::H264(sets) => sets.qp(nals.find(|nal| h264::is_slice(nal))?),
            CodecSets::H265(sets) => sets.qp(nals.find(|nal| h265::is_slice(nal))?),
            CodecSets::Other => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::media::nal::{annex_b, length_prefixed};

    /// The pictures of a clip, in decoding order, and its sets.
    fn clip(encoder: [&str; 3], muxer: &str, metadata: &str) -> (Vec<Bytes>, Vec<Vec<u8>>) {
        let [codec, key, options] = encoder;
        // It gets darker, so that predictions have weights.
        let made = std::process::Command::new("ffmpeg")
            .args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=s=176x144:r=25:d=1"])
            .args(["-vf", "fade=out:5:15", "-pix_fmt", "yuv420p", "-c:v", codec, key, options])
            .args(["-bsf:v", metadata, "-f", muxer, "-"])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let (mut pictures, mut sets): (Vec<Vec<&[u8]>>, Vec<Vec<u8>>) = (Vec::new(), Vec::new());
        let is_h264 = codec == "libx264";
        for nal in annex_b(&made.stdout) {
            let kind = if is_h264 { nal[0] & 0x1f } else { nal[0] >> 1 & 0x3f };
            match (is_h264, kind) {
                (true, 9) | (false, 35) => pictures.push(Vec::new()),
                (true, 7 | 8) | (false, 32..=34) => sets.push(nal.to_vec()),
                _ => pictures.last_mut().unwrap().push(nal),
            }
        }
        (pictures.into_iter().map(length_prefixed).collect(), sets)
    }

    /// Fails unless intra pictures have 27, P pictures 30, and B pictures a little more.
    fn assert_as_told(what: &str, params: &CodecParams, pictures: &[Bytes]) {
        let reader = SliceQp::new(params);
        let read: Vec<_> = pictures.iter().map(|data| reader.of(data)).collect();
        let count = |qp: i32| read.iter().filter(|&&read| read == Some(qp)).count();
        let b_pictures = count(31) + count(32) + count(33);
        assert_eq!((read.len(), count(27)), (25, 3), "{what}: {read:?}");
        assert_eq!(count(27) + count(30) + b_pictures, 25, "{what}: {read:?}");
        assert_eq!(b_pictures > 0, what.contains("bframes=2"), "{what}: {read:?}");
    }

    #[test]
    fn the_quantiser_of_each_picture_is_what_the_encoder_was_told() {
        for more in ["ref=3:weightp=2:bframes=2:b-adapt=0", "cabac=0:ref=1:slices=2:bframes=0"] {
            let options = format!("qp=30:keyint=10:scenecut=0:{more}");
            let encoder = ["libx264", "-x264-params", &options];
            let (pictures, sets) = clip(encoder, "h264", "h264_metadata=aud=insert");
            let params = CodecParams::from_h264_sets(&sets[0], &sets[1]).unwrap();
            assert_as_told(more, &params, &pictures);
        }
        for more in ["ref=3:bframes=2:b-adapt=0:weightb=1", "bframes=0:no-sao=1:open-gop=0"] {
            let options = format!("qp=30:keyint=10:min-keyint=10:scenecut=0:log-level=none:{more}");
            let encoder = ["libx265", "-x265-params", &options];
            let (pictures, sets) = clip(encoder, "hevc", "hevc_metadata=aud=insert");
            let sets: Vec<Bytes> = sets.into_iter().take(3).map(Bytes::from).collect();
            let params =
                CodecParams::from_all_h265_sets(&sets[..1], &sets[1..2], &sets[2..]).unwrap();
            assert_as_told(more, &params, &pictures);
        }
    }

    #[test]
    fn sound_has_no_quantiser() {
        let rate = std::num::NonZeroU32::new(8_000).unwrap();
        let phone = CodecParams::g711(crate::media::codec::Law::A, rate, 1);
        assert_eq!(SliceQp::new(&phone).of(&[0, 0, 0, 1, 0x41]), None);
    }

    proptest::proptest! {
        #[test]
        fn no_slice_makes_it_panic(slice: Vec<u8>) {
            const SPS: &[u8] =
                &[0x67, 0x64, 0, 0x33, 0xac, 0x15, 0x14, 0xa0, 0xa0, 0x2f, 0xf9, 0x50];
            const PPS: &[u8] = &[0x68, 0xee, 0x3c, 0xb0];
            let params = CodecParams::from_h264_sets(SPS, PPS).unwrap();
            let _ = SliceQp::new(&params).of(&length_prefixed([&[&[0x41][..], &slice].concat()[..]]));
        }
    }
}
