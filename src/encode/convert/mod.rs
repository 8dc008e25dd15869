//! What cameras send, made into I420.
//!
//! Owns: the layouts of raw pictures and of JPEG. It lives here because its output is a
//! [`Picture`]: `media` knows coded units only, and a source should know cameras and not pixels.
//! Writes to a picture that the caller owns, so that none is allocated per frame.

mod jpeg;

pub use jpeg::{JpegReader, jpeg_size};

use super::Picture;

/// Why a camera's frame gave no picture. Whatever was written to the output is undefined.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// Fewer bytes than the format has.
    #[error("{got} bytes where a picture has {wanted}")]
    Short {
        /// Bytes there are.
        got: usize,
        /// Bytes a picture takes.
        wanted: usize,
    },
    /// More bytes than a picture can have.
    #[error("{got} bytes where a picture has {max} at most")]
    TooLarge {
        /// Bytes there are.
        got: usize,
        /// Bytes a picture has at most.
        max: usize,
    },
    /// A JPEG without its end.
    #[error("a JPEG that ends early")]
    Truncated,
    /// A JPEG of another size than was agreed.
    #[error("a JPEG of {got_width}x{got_height} pixels")]
    Size {
        /// Its pixels across.
        got_width: usize,
        /// Its pixels down.
        got_height: usize,
    },
    /// No JPEG that can be read.
    #[error("a JPEG that cannot be read: {0}")]
    Jpeg(String),
}

/// One plane of a raw picture.
#[derive(Clone, Copy, Debug)]
pub struct RawPlane<'a> {
    /// Its bytes; more than are needed do no harm.
    pub bytes: &'a [u8],
    /// Bytes from one line to the next.
    pub stride: usize,
}

impl<'a> RawPlane<'a> {
    /// The `count` lines of `length` bytes.
    fn lines(
        self,
        count: usize,
        length: usize,
    ) -> Result<impl Iterator<Item = &'a [u8]>, ConvertError> {
        let stride = self.stride.max(length);
        // The last line needs no padding behind it.
        let wanted = stride * count.saturating_sub(1) + length;
        if self.bytes.len() < wanted {
            return Err(ConvertError::Short { got: self.bytes.len(), wanted });
        }
        Ok(self.bytes.chunks(stride.max(1)).take(count).map(move |line| &line[..length]))
    }
}

/// Y U Y V, a byte each (`V4L2_PIX_FMT_YUYV`). Of the chroma of two lines the mean is taken.
pub fn yuyv(packed: RawPlane<'_>, into: &mut Picture) -> Result<(), ConvertError> {
    let (width, height) = (into.width(), into.height());
    let mut lines = packed.lines(height, width * 2)?;
    let (luma, u, v) = into.planes_mut();
    let chroma = u.chunks_exact_mut(width / 2).zip(v.chunks_exact_mut(width / 2));
    for (pair, (u, v)) in luma.chunks_exact_mut(width * 2).zip(chroma) {
        let (Some(upper), Some(lower)) = (lines.next(), lines.next()) else { break };
        let (above, below) = pair.split_at_mut(width);
        let luma = above.chunks_exact_mut(2).zip(below.chunks_exact_mut(2));
        let packed = upper.chunks_exact(4).zip(lower.chunks_exact(4));
        for (((a, b), (p, q)), (u, v)) in luma.zip(packed).zip(u.iter_mut().zip(v)) {
            a.copy_from_slice(&[p[0], p[2]]);
            b.copy_from_slice(&[q[0], q[2]]);
            *u = p[1].midpoint(q[1]);
            *v = p[3].midpoint(q[3]);
        }
    }
    Ok(())
}

/// Y, then U and V by turns at half size (`V4L2_PIX_FMT_NV12`), in one plane or two.
pub fn nv12(
    luma: RawPlane<'_>,
    chroma: RawPlane<'_>,
    into: &mut Picture,
) -> Result<(), ConvertError> {
    let (width, height) = (into.width(), into.height());
    let chroma = chroma.lines(height / 2, width)?;
    let lines = luma.lines(height, width)?;
    let (luma, u, v) = into.planes_mut();
    copy(lines, luma, width);
    let planes = u.chunks_exact_mut(width / 2).zip(v.chunks_exact_mut(width / 2));
    for (line, (u, v)) in chroma.zip(planes) {
        for (pair, (u, v)) in line.chunks_exact(2).zip(u.iter_mut().zip(v)) {
            (*u, *v) = (pair[0], pair[1]);
        }
    }
    Ok(())
}

/// Y, U, V (`V4L2_PIX_FMT_YUV420`), in one plane or three.
pub fn i420(planes: [RawPlane<'_>; 3], into: &mut Picture) -> Result<(), ConvertError> {
    let (width, height) = (into.width(), into.height());
    let [y, u, v] = planes;
    let y = y.lines(height, width)?;
    let (u, v) = (u.lines(height / 2, width / 2)?, v.lines(height / 2, width / 2)?);
    let (into_y, into_u, into_v) = into.planes_mut();
    copy(y, into_y, width);
    copy(u, into_u, width / 2);
    copy(v, into_v, width / 2);
    Ok(())
}

fn copy<'a>(lines: impl Iterator<Item = &'a [u8]>, into: &mut [u8], width: usize) {
    for (line, into) in lines.zip(into.chunks_exact_mut(width)) {
        into.copy_from_slice(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_lines_with_padding_become_planes() {
        // Two lines of four pixels, four bytes of padding behind each.
        let packed = [
            [10, 100, 11, 200, 12, 102, 13, 202, 0, 0, 0, 0],
            [20, 110, 21, 210, 22, 104, 23, 206, 0, 0, 0, 0],
        ]
        .concat();
        let mut picture = Picture::black(4, 2);
        yuyv(RawPlane { bytes: &packed[..20], stride: 12 }, &mut picture).unwrap();
        let (y, u, v) = picture.planes();
        assert_eq!(y, [10, 11, 12, 13, 20, 21, 22, 23]);
        assert_eq!((u, v), (&[105, 103][..], &[205, 204][..]));
    }

    #[test]
    fn chroma_by_turns_becomes_two_planes() {
        let mut picture = Picture::black(4, 2);
        let luma = RawPlane { bytes: &[1, 2, 3, 4, 0, 5, 6, 7, 8], stride: 5 };
        nv12(luma, RawPlane { bytes: &[50, 60, 51, 61], stride: 5 }, &mut picture).unwrap();
        let (y, u, v) = picture.planes();
        assert_eq!(y, [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!((u, v), (&[50, 51][..], &[60, 61][..]));
        let plane = |bytes| RawPlane { bytes, stride: 0 };
        let three = [plane(&[9; 8][..]), plane(&[7, 8]), plane(&[5, 6])];
        i420(three, &mut picture).unwrap();
        let (y, u, v) = picture.planes();
        assert_eq!((y, u, v), (&[9; 8][..], &[7, 8][..], &[5, 6][..]));
    }

    proptest::proptest! {
        #[test]
        fn no_length_makes_a_conversion_panic(
            bytes: Vec<u8>, stride in 0_usize..40, width in 0_u32..12, height in 0_u32..8,
        ) {
            let mut picture = Picture::black(width, height);
            if picture.width() > 0 && picture.height() > 0 {
                let plane = RawPlane { bytes: &bytes, stride };
                let _ = yuyv(plane, &mut picture);
                let _ = nv12(plane, plane, &mut picture);
                let _ = i420([plane; 3], &mut picture);
            }
        }
    }
}
