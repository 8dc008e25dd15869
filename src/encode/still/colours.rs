//! From the numbers of a decoded picture to red, green and blue.
//!
//! Owns: what the stream says of its colours, and what is assumed where it says nothing. The
//! decoders' own conversions know BT.601 in video range only, which turns an HD camera's greens
//! yellow. Pure.

use h264_reader::nal::sps::SeqParameterSet;
use h264_reader::rbsp::{BitReader, decode_nal};

use crate::encode::Matrix;
use crate::media::nal;

/// NAL unit type of a sequence parameter set, ITU-T H.264 Table 7-1.
const NAL_SPS: u8 = 7;

/// What a stream says of its colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CodedColours {
    pub(super) matrix: Matrix,
    pub(super) full_range: bool,
}

impl CodedColours {
    /// A stream that says nothing.
    pub(super) const NOTHING: Self = Self { matrix: Matrix::Other, full_range: false };

    /// What a VUI says: `matrix_coeffs` of ITU-T H.273 §8.3 and the flag for full range.
    pub(super) fn new(matrix: u8, full_range: bool) -> Self {
        let matrix = match matrix {
            1 => Matrix::Bt709,
            5 | 6 => Matrix::Bt601,
            9 => Matrix::Bt2020,
            _ => Matrix::Other,
        };
        Self { matrix, full_range }
    }

    /// What the parameter sets of an H.264 key frame say, ITU-T H.264 §E.1.1.
    pub(super) fn of_h264(annex_b: &[u8]) -> Self {
        let sps = nal::annex_b(annex_b).find(|unit| unit[0] & 0x1f == NAL_SPS);
        let told = sps.and_then(|sps| {
            let rbsp = decode_nal(sps).ok()?;
            let sps = SeqParameterSet::from_bits(BitReader::new(&*rbsp)).ok()?;
            let signal = sps.vui_parameters?.video_signal_type?;
            let matrix = signal.colour_description.map(|told| told.matrix_coefficients);
            Some(Self::new(matrix.unwrap_or(2), signal.video_full_range_flag))
        });
        told.unwrap_or(Self::NOTHING)
    }
}

/// From Y, Cb, Cr to red, green, blue, in 1/65536.
pub(super) struct ToRgb {
    black: i32,
    luma: i32,
    red_v: i32,
    green_u: i32,
    green_v: i32,
    blue_u: i32,
}

impl ToRgb {
    /// For a stream that said so of pictures that are so high. Without a word it is what players
    /// assume: ITU-R BT.709 from 720 lines, else BT.601.
    pub(super) fn of(told: CodedColours, height: usize) -> Self {
        let (red_v, green_u, green_v, blue_u) = match told.matrix {
            Matrix::Bt601 => (91_881, -22_553, -46_802, 116_130),
            Matrix::Bt709 => (103_206, -12_276, -30_679, 121_609),
            Matrix::Bt2020 => (96_639, -10_784, -37_444, 123_299),
            Matrix::Other => {
                let matrix = if height >= 720 { Matrix::Bt709 } else { Matrix::Bt601 };
                return Self::of(CodedColours { matrix, ..told }, height);
            }
        };
        let (black, luma, chroma) = if told.full_range { (0, 255, 255) } else { (16, 219, 224) };
        let wider = |factor: i32| factor * 255 / chroma;
        Self {
            black,
            luma: (1 << 16) * 255 / luma,
            red_v: wider(red_v),
            green_u: wider(green_u),
            green_v: wider(green_v),
            blue_u: wider(blue_u),
        }
    }

    pub(super) fn rgb(&self, y: u8, u: u8, v: u8) -> [u8; 3] {
        let luma = (i32::from(y) - self.black) * self.luma + (1 << 15);
        let (u, v) = (i32::from(u) - 128, i32::from(v) - 128);
        let eight_bits = |value: i32| u8::try_from((value >> 16).clamp(0, 255)).unwrap_or(255);
        [
            eight_bits(luma + self.red_v * v),
            eight_bits(luma + self.green_u * u + self.green_v * v),
            eight_bits(luma + self.blue_u * u),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::{Colours, EncoderSettings, Picture, RawFormat, VideoEncoder};

    fn near(got: [u8; 3], want: [u8; 3]) -> bool {
        got.iter().zip(want).all(|(&got, want)| got.abs_diff(want) <= 2)
    }

    #[test]
    fn bars_keep_their_colours_in_both_definitions() {
        // 75 % green and white of BT.709 and of BT.601.
        let high = ToRgb::of(CodedColours::NOTHING, 720);
        assert!(near(high.rgb(133, 63, 52), [0, 191, 0]));
        assert!(near(ToRgb::of(CodedColours::NOTHING, 576).rgb(112, 72, 58), [0, 191, 0]));
        assert!(near(high.rgb(180, 128, 128), [191, 191, 191]));
        assert_eq!(high.rgb(255, 128, 128), [255, 255, 255]);
    }

    #[test]
    fn what_a_stream_says_goes_before_what_its_size_suggests() {
        let red = |matrix, full_range, y, u, v| {
            near(ToRgb::of(CodedColours::new(matrix, full_range), 720).rgb(y, u, v), [255, 0, 0])
        };
        assert!(red(6, false, 81, 90, 240));
        assert!(red(5, true, 76, 85, 255));
        assert!(red(1, false, 63, 102, 240));
        assert!(red(9, false, 74, 97, 240));
        assert!(red(2, false, 63, 102, 240), "nothing told of 720 lines");
    }

    #[test]
    fn what_our_own_encoder_says_is_read_back() {
        let colours = Colours { matrix: Matrix::Bt601, full_range: true, ..Colours::BT709 };
        let format = RawFormat { width: 320, height: 180, fps: 25.0, colours };
        let settings = EncoderSettings {
            encoder: crate::encode::EncoderChoice::Openh264,
            ..EncoderSettings::default()
        };
        let mut encoder = VideoEncoder::open(settings, format).unwrap();
        let unit = encoder.encode(&Picture::black(320, 180), std::time::Duration::ZERO);
        let (sps, _) = unit.unwrap().unwrap().sets.unwrap();
        let told = CodedColours::of_h264(&nal::to_annex_b(&nal::length_prefixed([&sps[..]])));
        assert_eq!(told, CodedColours { matrix: Matrix::Bt601, full_range: true });
        assert_eq!(CodedColours::of_h264(&[]), CodedColours::NOTHING);
        assert_eq!(CodedColours::of_h264(&[0, 0, 0, 1, 7, 0xff]), CodedColours::NOTHING);
    }
}
