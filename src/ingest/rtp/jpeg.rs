//! JPEG pictures out of RTP packets (RFC 2435).
//!
//! Owns: the picture in the making, the quantisation tables that a sender tells once, and the
//! headers that it leaves out. Huffman tables are not among them: every reader of pictures here
//! knows the usual ones, which are the only ones that the format allows.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

use crate::base::limits::ACCESS_UNIT_BYTES_MAX;

/// The main header, RFC 2435 §3.1.
const HEADER_BYTES: usize = 8;
/// Types from here on have a restart header, §3.1.7.
const RESTART_TYPES: std::ops::RangeInclusive<u8> = 64..=127;
/// Values of Q from here on come with tables of their own, §3.1.8.
const OWN_TABLES_FROM: u8 = 128;
/// The tables of this one may change with each picture, and are sent in each.
const TABLES_IN_EACH: u8 = 255;

/// The pictures of one track.
#[derive(Debug, Default)]
pub(super) struct JpegPictures {
    /// The picture in the making, from its SOI on, and its time.
    made: Option<(BytesMut, i64)>,
    /// Where its headers end: fragments count from there.
    scan: usize,
    /// Tables received earlier, by Q.
    tables: BTreeMap<u8, Bytes>,
    /// The size that the description tells, for pictures too large for the header's 8 bits.
    dimensions: Option<(u16, u16)>,
}

/// What a packet came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// More is to come.
    More,
    /// A whole picture.
    Picture(Bytes),
    /// The picture that it belongs to is broken.
    Broken,
}

/// The headers of one packet.
#[derive(Clone, Copy, Debug)]
struct Header<'a> {
    offset: usize,
    kind: u8,
    quality: u8,
    /// In pixels.
    size: (u16, u16),
    /// Macroblocks from one restart marker to the next; 0: there are none.
    restart: u16,
    tables: &'a [u8],
    /// Whether the tables' numbers have 16 bits, a bit for each.
    precision: u8,
    data: &'a [u8],
}

impl JpegPictures {
    /// For a track whose description says how large its pictures are, if it does.
    pub(super) fn new(dimensions: Option<(u16, u16)>) -> Self {
        Self { dimensions, ..Self::default() }
    }

    /// Drops the picture in the making.
    pub(super) fn reset(&mut self) {
        self.made = None;
    }

    /// Takes the next payload, whose time is `ticks`; `is_last` is its marker bit, `lost` that
    /// packets before it are missing.
    pub(super) fn push(&mut self, payload: &[u8], ticks: i64, is_last: bool, lost: bool) -> Pushed {
        let was_whole = self.made.as_ref().is_none_or(|(_, at)| *at == ticks && !lost);
        let Some(header) = Header::read(payload) else {
            self.made = None;
            return Pushed::Broken;
        };
        if header.offset == 0 {
            self.made = self.headers(&header).map(|made| {
                self.scan = made.len();
                (made, ticks)
            });
        }
        let end = self.made.as_ref().map(|(made, at)| (made.len() - self.scan, *at));
        let Some((made, _)) = self.made.as_mut().filter(|_| end == Some((header.offset, ticks)))
        else {
            self.made = None;
            return Pushed::Broken;
        };
        made.extend_from_slice(header.data);
        if made.len() > ACCESS_UNIT_BYTES_MAX {
            self.made = None;
            return Pushed::Broken;
        }
        if is_last && let Some((mut made, _)) = self.made.take() {
            if !made.ends_with(&[0xff, 0xd9]) {
                made.extend_from_slice(&[0xff, 0xd9]);
            }
            return Pushed::Picture(made.freeze());
        }
        // One that never got its last packet is broken; this one continues.
        if was_whole { Pushed::More } else { Pushed::Broken }
    }

    /// The headers of the picture that begins with `header`; `None` when it cannot be read.
    fn headers(&mut self, header: &Header<'_>) -> Option<BytesMut> {
        let tables = self.quantisation(header)?;
        let (width, height) = match (header.size, self.dimensions) {
            ((0, _) | (_, 0), told) => told?,
            (size, _) => size,
        };
        let sampling = match header.kind & 63 {
            0 => 0x21,
            1 => 0x22,
            _ => return None,
        };
        let mut out = BytesMut::from(&[0xff, 0xd8][..]);
        let wide = usize::from(header.precision & 1) * 64 + 64;
        let (luma, chroma) = tables.split_at_checked(wide).unwrap_or((&tables, &tables));
        for (id, table) in [(0, luma), (1, if chroma.is_empty() { luma } else { chroma })] {
            let precision = u8::from(table.len() > 64) << 4;
            segment(&mut out, 0xdb, &[&[precision | id], table]);
        }
        if header.restart > 0 {
            segment(&mut out, 0xdd, &[&header.restart.to_be_bytes()]);
        }
        let ([h1, h0], [w1, w0]) = (height.to_be_bytes(), width.to_be_bytes());
        let components = [1, sampling, 0, 2, 0x11, 1, 3, 0x11, 1];
        segment(&mut out, 0xc0, &[&[8, h1, h0, w1, w0, 3], &components]);
        segment(&mut out, 0xda, &[&[3, 1, 0, 2, 0x11, 3, 0x11, 0, 63, 0]]);
        Some(out)
    }

    /// The tables for the luma and the chroma, in the order of the zigzag (§4.2).
    fn quantisation(&mut self, header: &Header<'_>) -> Option<Bytes> {
        match header.quality {
            0 => None,
            quality @ 1..OWN_TABLES_FROM => Some(usual(quality)),
            quality if header.tables.is_empty() => {
                self.tables.get(&quality).filter(|_| quality != TABLES_IN_EACH).cloned()
            }
            quality => {
                let tables = Bytes::copy_from_slice(header.tables);
                self.tables.insert(quality, tables.clone());
                Some(tables)
            }
        }
    }
}

impl<'a> Header<'a> {
    fn read(payload: &'a [u8]) -> Option<Self> {
        let (head, mut rest) = payload.split_at_checked(HEADER_BYTES)?;
        let offset = u32::from_be_bytes([0, head[1], head[2], head[3]]);
        let (kind, quality) = (head[4], head[5]);
        let mut header = Self {
            offset: usize::try_from(offset).ok()?,
            kind,
            quality,
            size: (u16::from(head[6]) * 8, u16::from(head[7]) * 8),
            restart: 0,
            tables: &[],
            precision: 0,
            data: &[],
        };
        if RESTART_TYPES.contains(&kind) {
            let (restart, behind) = rest.split_at_checked(4)?;
            header.restart = u16::from_be_bytes([restart[0], restart[1]]);
            rest = behind;
        }
        if quality >= OWN_TABLES_FROM && header.offset == 0 {
            let (told, behind) = rest.split_at_checked(4)?;
            header.precision = told[1];
            let length = usize::from(u16::from_be_bytes([told[2], told[3]]));
            (header.tables, rest) = behind.split_at_checked(length)?;
            // Sixty-four numbers of one or two octets, once or twice.
            let is_whole = length == 0 || length.is_multiple_of(64) && length <= 256;
            if !is_whole {
                return None;
            }
        }
        header.data = rest;
        Some(header)
    }
}

/// Writes a marker segment (ITU-T T.81 §B.1.1.4).
fn segment(out: &mut BytesMut, marker: u8, parts: &[&[u8]]) {
    let length: usize = 2 + parts.iter().map(|part| part.len()).sum::<usize>();
    let length = u16::try_from(length).unwrap_or(u16::MAX);
    out.extend_from_slice(&[0xff, marker]);
    out.extend_from_slice(&length.to_be_bytes());
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// The usual tables, ITU-T T.81 Tables K.1 and K.2, scaled by `quality` (RFC 2435 appendix A).
fn usual(quality: u8) -> Bytes {
    let quality = u32::from(quality.clamp(1, 99));
    let percent = if quality < 50 { 5_000 / quality } else { 200 - quality * 2 };
    let scaled = |value: u8| {
        let value = (u32::from(value) * percent + 50) / 100;
        u8::try_from(value.clamp(1, 255)).unwrap_or(u8::MAX)
    };
    let table = |of: &'static [u8; 64]| ZIGZAG.iter().map(move |&at| of[usize::from(at)]);
    table(&LUMA).chain(table(&CHROMA)).map(scaled).collect()
}

/// Positions of a table's numbers, which are sent in zigzag order.
#[rustfmt::skip]
const ZIGZAG: [u8; 64] = [
     0,  1,  8, 16,  9,  2,  3, 10, 17, 24, 32, 25, 18, 11,  4,  5,
    12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13,  6,  7, 14, 21, 28,
    35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
    58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];
#[rustfmt::skip]
const LUMA: [u8; 64] = [
    16, 11, 10, 16,  24,  40,  51,  61, 12, 12, 14, 19,  26,  58,  60,  55,
    14, 13, 16, 24,  40,  57,  69,  56, 14, 17, 22, 29,  51,  87,  80,  62,
    18, 22, 37, 56,  68, 109, 103,  77, 24, 35, 55, 64,  81, 104, 113,  92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103,  99,
];
#[rustfmt::skip]
const CHROMA: [u8; 64] = [
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99,
    24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::convert::jpeg_size;

    /// A payload of a picture of 64 × 48 pixels.
    fn payload(offset: u32, kind: u8, quality: u8, more: &[u8], data: &[u8]) -> Vec<u8> {
        let [_, a, b, c] = offset.to_be_bytes();
        [&[0, a, b, c, kind, quality, 8, 6][..], more, data].concat()
    }

    fn picture(pushed: &Pushed) -> &Bytes {
        let Pushed::Picture(jpeg) = pushed else { panic!("{pushed:?}") };
        jpeg
    }

    /// The payload of the segments with this marker.
    fn segments(jpeg: &[u8], wanted: u8) -> Vec<Vec<u8>> {
        let (mut at, mut found) = (2, Vec::new());
        while let Some(&[0xff, marker, high, low]) = jpeg.get(at..at + 4) {
            let end = at + 2 + usize::from(u16::from_be_bytes([high, low]));
            if marker == wanted {
                found.push(jpeg[at + 4..end].to_vec());
            }
            at = end;
        }
        found
    }

    #[test]
    fn fragments_become_a_picture_with_the_usual_tables() {
        let mut pictures = JpegPictures::default();
        assert_eq!(pictures.push(&payload(0, 1, 50, b"", b"abc"), 9, false, false), Pushed::More);
        let last = pictures.push(&payload(3, 1, 50, b"", b"de"), 9, true, false);
        let jpeg = picture(&last);
        assert_eq!(jpeg_size(jpeg).unwrap(), (64, 48));
        assert!(jpeg.ends_with(b"abcde\xff\xd9"));
        let tables = segments(jpeg, 0xdb);
        assert_eq!(tables.iter().map(Vec::len).collect::<Vec<_>>(), [65, 65]);
        // Quality 50 is the unscaled tables, in zigzag order.
        assert_eq!((tables[0][0], &tables[0][1..6]), (0, &[16, 11, 12, 14, 12][..]));
        assert_eq!((tables[1][0], &tables[1][1..6]), (1, &[17, 18, 18, 24, 21][..]));
        assert_eq!(segments(jpeg, 0xc0)[0][7], 0x22);
        assert!(segments(jpeg, 0xdd).is_empty());
    }

    #[test]
    fn restart_markers_are_announced_and_the_end_is_not_written_twice() {
        let mut pictures = JpegPictures::default();
        let whole = payload(0, 64, 80, &[0, 5, 0xff, 0xff], b"abc\xff\xd9");
        let pushed = pictures.push(&whole, 9, true, false);
        assert_eq!(segments(picture(&pushed), 0xdd), [[0, 5]]);
        assert_eq!(segments(picture(&pushed), 0xc0)[0][7], 0x21);
        assert!(
            picture(&pushed).ends_with(b"c\xff\xd9")
                && !picture(&pushed).ends_with(b"\xd9\xff\xd9")
        );
    }

    #[test]
    fn tables_of_its_own_are_remembered_by_their_number() {
        let mut pictures = JpegPictures::default();
        let told = [&[0, 0, 0, 128][..], &[7; 64], &[9; 64]].concat();
        let first = pictures.push(&payload(0, 0, 200, &told, b"x"), 1, true, false);
        let second = pictures.push(&payload(0, 0, 200, &[0; 4], b"x"), 2, true, false);
        assert_eq!(first, second);
        assert_eq!(segments(picture(&first), 0xdb)[1], [&[1][..], &[9; 64]].concat());
        let unknown = pictures.push(&payload(0, 0, 201, &[0; 4], b"x"), 3, true, false);
        assert_eq!(unknown, Pushed::Broken);
        // Tables of quality 255 are in each picture.
        let _ = pictures.push(&payload(0, 0, 255, &told, b"x"), 4, true, false);
        let bare = pictures.push(&payload(0, 0, 255, &[0; 4], b"x"), 5, true, false);
        assert_eq!(bare, Pushed::Broken);
        let one = [&[0, 0, 0, 64][..], &[5; 64]].concat();
        let one = pictures.push(&payload(0, 0, 130, &one, b"x"), 6, true, false);
        assert_eq!(segments(picture(&one), 0xdb)[1][1], 5, "one table is for both");
        let wide = [&[0, 1, 0, 192][..], &[1; 128], &[2; 64]].concat();
        let wide = pictures.push(&payload(0, 0, 131, &wide, b"x"), 7, true, false);
        let lengths: Vec<_> = segments(picture(&wide), 0xdb).iter().map(Vec::len).collect();
        assert_eq!(lengths, [129, 65]);
    }

    #[test]
    fn a_hole_breaks_the_picture_and_not_the_next() {
        let mut pictures = JpegPictures::default();
        let first = |pictures: &mut JpegPictures, at| {
            pictures.push(&payload(0, 1, 50, b"", b"abc"), at, false, false)
        };
        assert_eq!(first(&mut pictures, 9), Pushed::More);
        let behind = pictures.push(&payload(6, 1, 50, b"", b"gh"), 9, true, true);
        assert_eq!(behind, Pushed::Broken);
        assert_eq!(first(&mut pictures, 10), Pushed::More);
        // Its last packet is missing, and the next picture begins.
        assert_eq!(first(&mut pictures, 11), Pushed::Broken);
        let last = pictures.push(&payload(3, 1, 50, b"", b"d"), 11, true, false);
        assert!(picture(&last).ends_with(b"abcd\xff\xd9"));
    }

    #[test]
    fn large_pictures_have_the_size_of_the_description() {
        let large = [&[0, 0, 0, 0, 1, 50, 0, 0][..], b"x"].concat();
        assert_eq!(JpegPictures::default().push(&large, 1, true, false), Pushed::Broken);
        let told = JpegPictures::new(Some((2_592, 1_944))).push(&large, 1, true, false);
        assert_eq!(jpeg_size(picture(&told)).unwrap(), (2_592, 1_944));
    }

    proptest::proptest! {
        #[test]
        fn no_payload_makes_reading_panic(payloads: Vec<(Vec<u8>, bool)>) {
            let mut pictures = JpegPictures::default();
            for (payload, is_last) in payloads {
                let _ = pictures.push(&payload, 1, is_last, false);
            }
        }
    }
}
