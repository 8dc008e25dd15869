//! JPEG pictures of cameras (MJPEG) to I420.
//!
//! Owns: what cameras leave out or add (Huffman tables, padding behind the end) and the colours: JPEG
//! is BT.601 in full range, whatever a driver says, and becomes video range, which every player
//! knows. The reading is zune-jpeg's, which is safe Rust; a panic in it costs one picture.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::ConvertError;
use crate::encode::{Colours, Matrix, Picture};

/// Markers, ITU-T T.81 Table B.1; each follows an `FF`.
const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
const DHT: u8 = 0xc4;
const SOS: u8 = 0xda;

/// Reads JPEG after JPEG of one camera.
#[derive(Debug, Default)]
pub struct JpegReader {
    /// Y, Cb, Cr of each pixel; kept from picture to picture.
    pixels: Vec<u8>,
}

impl JpegReader {
    /// Reads one JPEG of the size of `into`, and corrects what `into` says of its colours.
    pub fn read(&mut self, jpeg: &[u8], into: &mut Picture) -> Result<(), ConvertError> {
        let jpeg = with_tables(whole(jpeg)?)?;
        let read = AssertUnwindSafe(|| self.decode(&jpeg, into));
        let read = catch_unwind(read);
        read.unwrap_or_else(|_| Err(ConvertError::Jpeg("the decoder panicked".to_owned())))
    }

    fn decode(&mut self, jpeg: &[u8], into: &mut Picture) -> Result<(), ConvertError> {
        let told = |error| ConvertError::Jpeg(format!("{error:?}"));
        let options = DecoderOptions::default()
            .set_max_width(into.width() + 1)
            .set_max_height(into.height() + 1)
            .jpeg_set_out_colorspace(ColorSpace::YCbCr);
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(jpeg), options);
        decoder.decode_headers().map_err(told)?;
        let info = decoder.info().ok_or_else(|| ConvertError::Jpeg("no size".to_owned()))?;
        let (width, height) = (usize::from(info.width), usize::from(info.height));
        // A picture of odd sides has lost its last pixel.
        if (width & !1, height & !1) != (into.width(), into.height()) {
            return Err(ConvertError::Size { got_width: width, got_height: height });
        }
        self.pixels.resize(width * height * 3, 0);
        decoder.decode_into(&mut self.pixels).map_err(told)?;
        halve(&self.pixels, width * 3, into);
        let colours = into.colours();
        into.set_colours(Colours { matrix: Matrix::Bt601, full_range: false, ..colours });
        Ok(())
    }
}

/// Pixels across and down of `jpeg`, by its frame header (ITU-T T.81 §B.2.2).
pub fn jpeg_size(jpeg: &[u8]) -> Result<(u32, u32), ConvertError> {
    let mut at = 2;
    while let Some(&[0xff, marker, high, low]) = jpeg.get(at..at + 4) {
        match marker {
            // Baseline, extended, progressive and the other frame markers; not the tables among
            // them.
            0xc0..=0xcf if !matches!(marker, DHT | 0xc8 | 0xcc) => {
                let Some(&[y1, y0, x1, x0]) = jpeg.get(at + 5..at + 9) else { break };
                let side = |bytes| u32::from(u16::from_be_bytes(bytes));
                let size = (side([x1, x0]), side([y1, y0]));
                return match size {
                    (2.., 2..) => Ok(size),
                    _ => Err(ConvertError::Jpeg("no size".to_owned())),
                };
            }
            SOS => break,
            0xff => at += 1,
            _ => at += 2 + usize::from(u16::from_be_bytes([high, low])),
        }
    }
    Err(ConvertError::Truncated)
}

/// The JPEG up to its end: some cameras send the whole buffer, with zeros or old bytes behind. One
/// without an end has lost its lower part.
fn whole(jpeg: &[u8]) -> Result<&[u8], ConvertError> {
    let end = jpeg.windows(2).rposition(|pair| pair == [0xff, EOI]);
    end.map(|end| &jpeg[..end + 2]).ok_or(ConvertError::Truncated)
}

/// The JPEG with Huffman tables. Cameras leave out the usual ones, as AVI files do.
fn with_tables(jpeg: &[u8]) -> Result<Cow<'_, [u8]>, ConvertError> {
    if !jpeg.starts_with(&[0xff, SOI]) {
        return Err(ConvertError::Jpeg("no JPEG".to_owned()));
    }
    let mut at = 2;
    while let Some(&[0xff, marker, high, low]) = jpeg.get(at..at + 4) {
        match marker {
            DHT => return Ok(Cow::Borrowed(jpeg)),
            SOS => return Ok(Cow::Owned([&jpeg[..at], &usual_tables(), &jpeg[at..]].concat())),
            // A marker may have any number of FF before it (T.81 §B.1.1.2).
            0xff => at += 1,
            _ => at += 2 + usize::from(u16::from_be_bytes([high, low])),
        }
    }
    Err(ConvertError::Truncated)
}

/// The DHT segment with the tables of ITU-T T.81 §K.3.
fn usual_tables() -> Vec<u8> {
    let tables = [
        (0x00, &LENGTHS_DC_LUMA, &VALUES_DC[..]),
        (0x10, &LENGTHS_AC_LUMA, &VALUES_AC_LUMA[..]),
        (0x01, &LENGTHS_DC_CHROMA, &VALUES_DC[..]),
        (0x11, &LENGTHS_AC_CHROMA, &VALUES_AC_CHROMA[..]),
    ];
    let mut segment = vec![0xff, DHT, 0x01, 0xa2];
    for (id, lengths, values) in tables {
        segment.push(id);
        segment.extend_from_slice(lengths);
        segment.extend_from_slice(values);
    }
    segment
}

/// Pixels of Y, Cb, Cr in full range to planes in video range; of the chroma of four pixels the mean
/// is taken.
fn halve(pixels: &[u8], stride: usize, into: &mut Picture) {
    let width = into.width();
    let (luma, u, v) = into.planes_mut();
    let chroma = u.chunks_exact_mut(width / 2).zip(v.chunks_exact_mut(width / 2));
    let pairs = pixels.chunks_exact(stride * 2).zip(luma.chunks_exact_mut(width * 2));
    for ((lines, luma), (u, v)) in pairs.zip(chroma) {
        let (upper, lower) = lines.split_at(stride);
        let (above, below) = luma.split_at_mut(width);
        let luma = above.chunks_exact_mut(2).zip(below.chunks_exact_mut(2));
        let pixels = upper.chunks_exact(6).zip(lower.chunks_exact(6));
        for (((a, b), (p, q)), (u, v)) in luma.zip(pixels).zip(u.iter_mut().zip(v)) {
            a.copy_from_slice(&[LUMA[usize::from(p[0])], LUMA[usize::from(p[3])]]);
            b.copy_from_slice(&[LUMA[usize::from(q[0])], LUMA[usize::from(q[3])]]);
            *u = CHROMA[mean([p[1], p[4], q[1], q[4]])];
            *v = CHROMA[mean([p[2], p[5], q[2], q[5]])];
        }
    }
}

fn mean(of: [u8; 4]) -> usize {
    (of.into_iter().map(usize::from).sum::<usize>() + 2) / 4
}

/// Full range to video range (ITU-R BT.601): luma 16 to 235, chroma 16 to 240.
const LUMA: [u8; 256] = narrowed(219);
const CHROMA: [u8; 256] = narrowed(224);

#[allow(clippy::cast_possible_truncation)] // 16 + 224 at most
const fn narrowed(span: usize) -> [u8; 256] {
    let mut table = [0; 256];
    let mut value = 0;
    while value < 256 {
        table[value] = (16 + (value * span + 127) / 255) as u8;
        value += 1;
    }
    table
}

/// How many codes of each length from 1 to 16 bits, and their values (ITU-T T.81 Tables K.3 to K.6).
const LENGTHS_DC_LUMA: [u8; 16] = [0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0];
const LENGTHS_DC_CHROMA: [u8; 16] = [0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0];
const LENGTHS_AC_LUMA: [u8; 16] = [0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125];
const LENGTHS_AC_CHROMA: [u8; 16] = [0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119];
const VALUES_DC: [u8; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
#[rustfmt::skip]
const VALUES_AC_LUMA: [u8; 162] = [
    0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07,
    0x22, 0x71, 0x14, 0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1, 0x15, 0x52, 0xd1, 0xf0,
    0x24, 0x33, 0x62, 0x72, 0x82, 0x09, 0x0a, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x25, 0x26, 0x27, 0x28,
    0x29, 0x2a, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49,
    0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69,
    0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89,
    0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7,
    0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5,
    0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe1, 0xe2,
    0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8,
    0xf9, 0xfa,
];
#[rustfmt::skip]
const VALUES_AC_CHROMA: [u8; 162] = [
    0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71,
    0x13, 0x22, 0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09, 0x23, 0x33, 0x52, 0xf0,
    0x15, 0x62, 0x72, 0xd1, 0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25, 0xf1, 0x17, 0x18, 0x19, 0x1a, 0x26,
    0x27, 0x28, 0x29, 0x2a, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48,
    0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68,
    0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87,
    0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5,
    0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3,
    0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda,
    0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8,
    0xf9, 0xfa,
];

#[cfg(test)]
mod tests {
    use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

    use super::*;

    /// A JPEG of one colour per quarter, as full-range Y, Cb, Cr, with the usual tables inside.
    fn jpeg(width: u16, height: u16, sampling: SamplingFactor) -> Vec<u8> {
        let (w, h) = (usize::from(width), usize::from(height));
        let pixels: Vec<u8> = (0..w * h)
            .flat_map(|n| [[255, 128, 128], [0, 90, 240]][usize::from(n % w >= w / 2)])
            .collect();
        let mut out = Vec::new();
        let mut encoder = Encoder::new(&mut out, 95);
        encoder.set_sampling_factor(sampling);
        encoder.encode(&pixels, width, height, ColorType::Ycbcr).unwrap();
        out
    }

    #[test]
    fn the_size_is_read_out_of_the_frame_header() {
        for (width, height) in [(64, 48), (1_920, 1_080)] {
            let jpeg = jpeg(width, height, SamplingFactor::F_2_2);
            assert_eq!(jpeg_size(&jpeg).unwrap(), (width.into(), height.into()));
        }
        assert!(jpeg_size(b"\xff\xd8\xff\xc0\0\x0b\x08\0").is_err());
        assert!(jpeg_size(b"").is_err());
    }

    /// The same as cameras send it: without the segments that hold Huffman tables.
    fn without_tables(jpeg: &[u8]) -> Vec<u8> {
        let (mut out, mut at) = (jpeg[..2].to_vec(), 2);
        while jpeg[at + 1] != SOS {
            let end = at + 2 + usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
            if jpeg[at + 1] != DHT {
                out.extend_from_slice(&jpeg[at..end]);
            }
            at = end;
        }
        out.extend_from_slice(&jpeg[at..]);
        out
    }

    fn near(a: u8, b: u8) -> bool {
        a.abs_diff(b) <= 3
    }

    #[test]
    fn colours_become_video_range_in_every_sampling() {
        for sampling in [SamplingFactor::F_2_2, SamplingFactor::F_2_1, SamplingFactor::F_1_1] {
            let mut picture = Picture::black(64, 32);
            picture.set_colours(Colours { full_range: true, ..Colours::BT709 });
            JpegReader::default().read(&jpeg(64, 32, sampling), &mut picture).unwrap();
            assert_eq!(picture.colours(), Colours { matrix: Matrix::Bt601, ..Colours::BT709 });
            let (y, u, v) = picture.planes();
            assert!(near(y[5], 235) && near(y[60], 16), "{} {}", y[5], y[60]);
            assert!(near(u[2], 128) && near(u[30], 16 + 79), "{} {}", u[2], u[30]);
            assert!(near(v[2], 128) && near(v[30], 16 + 211), "{} {}", v[2], v[30]);
        }
    }

    #[test]
    fn missing_tables_are_supplied_and_padding_is_cut() {
        let full = jpeg(64, 32, SamplingFactor::F_2_1);
        let mut bare = without_tables(&full);
        assert!(bare.len() < full.len());
        bare.extend_from_slice(&[0; 100]);
        let (mut a, mut b) = (Picture::black(64, 32), Picture::black(64, 32));
        let mut reader = JpegReader::default();
        reader.read(&full, &mut a).unwrap();
        reader.read(&bare, &mut b).unwrap();
        assert_eq!(a.planes(), b.planes());
    }

    #[test]
    fn a_short_or_foreign_picture_is_refused_with_the_reason() {
        let jpeg = jpeg(64, 32, SamplingFactor::F_2_1);
        let read = |bytes: &[u8], width| {
            JpegReader::default().read(bytes, &mut Picture::black(width, 32)).unwrap_err()
        };
        assert!(matches!(read(&jpeg[..jpeg.len() / 2], 64), ConvertError::Truncated));
        assert!(matches!(read(&[], 64), ConvertError::Truncated));
        assert!(matches!(read(&jpeg, 128), ConvertError::Size { got_width: 64, got_height: 32 }));
        assert!(matches!(read(&jpeg, 32), ConvertError::Jpeg(_)));
    }

    proptest::proptest! {
        #[test]
        fn no_damage_makes_the_reader_panic(
            at in 0_usize..600, with: u8, cut in 0_usize..600, tables: bool,
        ) {
            let whole = jpeg(64, 32, SamplingFactor::F_2_1);
            let mut bytes = if tables { whole } else { without_tables(&whole) };
            let length = bytes.len();
            bytes[at % length] = with;
            bytes.remove(cut % length);
            let _ = JpegReader::default().read(&bytes, &mut Picture::black(64, 32));
        }
    }
}
