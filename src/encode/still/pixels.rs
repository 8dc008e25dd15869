//! DecodedPicture pictures to smaller ones, to RGB and to JPEG.
//!
//! Owns: averaging, and how a picture is put into a tile. Pure.

use std::borrow::Cow;

use super::child::ChildError;
use super::colours::{CodedColours, ToRgb};
use super::message::{ChildReply, DecodeOutcome, Form};
use crate::base::limits::DECODE_PIXELS_MAX;
use crate::media::codec::SampleAspect;

/// JPEG quality, 1 to 100: at 80 a 1280x720 picture takes about 100 KB.
pub(super) const JPEG_QUALITY: u8 = 80;
/// That of a picture which is written once more: a tile of 160x90 takes about 7 KB, a sixth of its pixels.
pub(super) const KEPT_QUALITY: u8 = 95;

/// One plane of a picture, 8 bits per sample.
#[derive(Clone, Debug)]
pub(super) struct PicturePlane<'a> {
    pub(super) samples: Cow<'a, [u8]>,
    /// Samples from one row to the next, at least `width`.
    pub(super) stride: usize,
    pub(super) width: usize,
    pub(super) height: usize,
}

/// A decoded picture.
#[derive(Clone, Debug)]
pub(super) struct DecodedPicture<'a> {
    /// Luma, then the two planes of chroma at half its sides, rounded up.
    pub(super) planes: [PicturePlane<'a>; 3],
    pub(super) told: CodedColours,
}

impl<'a> PicturePlane<'a> {
    /// `None` when the samples are fewer than the sides say.
    pub(super) fn new(
        samples: impl Into<Cow<'a, [u8]>>,
        stride: usize,
        (width, height): (usize, usize),
    ) -> Option<Self> {
        let samples = samples.into();
        let needed = stride.checked_mul(height.checked_sub(1)?)?.checked_add(width)?;
        (width > 0 && stride >= width && samples.len() >= needed).then_some(Self {
            samples,
            stride,
            width,
            height,
        })
    }

    fn row(&self, row: usize) -> &[u8] {
        &self.samples[row * self.stride..][..self.width]
    }

    /// The plane at another size: each sample is the mean of those it covers, or the one that
    /// covers it.
    fn sized(&self, width: usize, height: usize) -> PicturePlane<'static> {
        let mut samples = Vec::with_capacity(width * height);
        let mut sums = vec![0_u32; width];
        let columns: Vec<_> = (0..width).map(|x| covered(x, width, self.width)).collect();
        for y in 0..height {
            let rows = covered(y, height, self.height);
            sums.fill(0);
            for row in rows.clone() {
                let row = self.row(row);
                for (sum, columns) in sums.iter_mut().zip(&columns) {
                    *sum += row[columns.clone()].iter().map(|&s| u32::from(s)).sum::<u32>();
                }
            }
            samples.extend(sums.iter().zip(&columns).map(|(&sum, columns)| {
                let count = u32::try_from(rows.len() * columns.len()).unwrap_or(u32::MAX).max(1);
                u8::try_from((sum + count / 2) / count).unwrap_or(u8::MAX)
            }));
        }
        PicturePlane { samples: Cow::Owned(samples), stride: width, width, height }
    }
}

/// Which of `from` samples the sample `at` of `to` covers: one at least.
fn covered(at: usize, to: usize, from: usize) -> std::ops::Range<usize> {
    let begin = at * from / to;
    begin..((at + 1) * from / to).max(begin + 1)
}

impl DecodedPicture<'_> {
    fn size(&self) -> (usize, usize) {
        (self.planes[0].width, self.planes[0].height)
    }

    fn sized(&self, (width, height): (usize, usize)) -> DecodedPicture<'static> {
        let [y, u, v] = &self.planes;
        let chroma = |plane: &PicturePlane<'_>| plane.sized(width.div_ceil(2), height.div_ceil(2));
        DecodedPicture { planes: [y.sized(width, height), chroma(u), chroma(v)], told: self.told }
    }

    /// Three octets per pixel, row by row, in the colours of a picture that was `taken` so high.
    fn to_rgb(&self, taken: usize) -> Vec<u8> {
        let (width, height) = self.size();
        let [luma, u, v] = &self.planes;
        let to_rgb = ToRgb::of(self.told, taken);
        let mut rgb = Vec::with_capacity(width * height * 3);
        for row in 0..height {
            let chroma = (row / 2).min(u.height - 1);
            let (u, v) = (u.row(chroma), v.row(chroma));
            for (column, &y) in luma.row(row).iter().enumerate() {
                let chroma = (column / 2).min(u.len() - 1);
                rgb.extend_from_slice(&to_rgb.rgb(y, u[chroma], v[chroma]));
            }
        }
        rgb
    }

    /// The size in square pixels when samples are of the shape `aspect`.
    fn display(&self, aspect: SampleAspect) -> Result<(usize, usize), ChildError> {
        let (width, height) = self.size();
        let (width, height) = aspect.display((side(width)?, side(height)?));
        Ok((width.into(), height.into()))
    }

    /// Makes `form` of it, in square pixels.
    pub(super) fn render(
        &self,
        form: Form,
        aspect: SampleAspect,
    ) -> Result<ChildReply, ChildError> {
        let (width, height) = self.display(aspect)?;
        if width * height > DECODE_PIXELS_MAX {
            return Err(ChildError::TooLarge { width, height });
        }
        let (wanted, tile) = match form {
            Form::Jpeg { width } => ((width.map_or(usize::MAX, usize::from), usize::MAX), None),
            Form::Tile { width, height } => {
                let size = (usize::from(width), usize::from(height));
                (size, Some(size))
            }
        };
        let size = fitting((width, height), wanted);
        let other;
        let picture = if size == self.size() {
            self
        } else {
            other = self.sized(size);
            &other
        };
        let rgb = picture.to_rgb(self.size().1);
        let (size, bytes) = match tile {
            None => (size, to_jpeg(&rgb, size, JPEG_QUALITY)?),
            Some(tile) => (tile, framed(&rgb, size, tile)),
        };
        Ok(ChildReply {
            outcome: DecodeOutcome::Picture,
            size: (side(size.0)?, side(size.1)?),
            bytes,
        })
    }
}

fn side(pixels: usize) -> Result<u16, ChildError> {
    u16::try_from(pixels).map_err(|_| ChildError::TooLarge { width: pixels, height: pixels })
}

/// The largest size with the aspect ratio of `taken` that is no larger than it and fits into
/// `wanted`.
fn fitting((width, height): (usize, usize), wanted: (usize, usize)) -> (usize, usize) {
    let (across, down) = (wanted.0.min(width), wanted.1.min(height));
    let rounded = |side: usize, by: usize, of: usize| ((side * by + of / 2) / of).max(1);
    let by_width = rounded(height, across, width);
    if by_width <= down { (across, by_width) } else { (rounded(width, down, height), down) }
}

/// RGB of `size` in the middle of a black tile.
fn framed(rgb: &[u8], size: (usize, usize), tile: (usize, usize)) -> Vec<u8> {
    let mut out = vec![0; tile.0 * tile.1 * 3];
    let (left, top) = ((tile.0 - size.0) / 2, (tile.1 - size.1) / 2);
    for (row, pixels) in rgb.chunks_exact(size.0 * 3).enumerate() {
        let at = ((top + row) * tile.0 + left) * 3;
        out[at..at + pixels.len()].copy_from_slice(pixels);
    }
    out
}

/// A JPEG of RGB of `size`.
pub(super) fn to_jpeg(
    rgb: &[u8],
    size: (usize, usize),
    quality: u8,
) -> Result<Vec<u8>, ChildError> {
    let mut jpeg = Vec::new();
    jpeg_encoder::Encoder::new(&mut jpeg, quality).encode(
        rgb,
        side(size.0)?,
        side(size.1)?,
        jpeg_encoder::ColorType::Rgb,
    )?;
    Ok(jpeg)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(
        width: usize,
        height: usize,
        luma: impl Fn(usize, usize) -> u8,
    ) -> DecodedPicture<'static> {
        let samples: Vec<_> = (0..height)
            .flat_map(|y| (0..width).map(move |x| (x, y)))
            .map(|(x, y)| luma(x, y))
            .collect();
        let half = (width.div_ceil(2), height.div_ceil(2));
        let chroma = || PicturePlane::new(vec![128; half.0 * half.1], half.0, half).unwrap();
        let luma = PicturePlane::new(samples, width, (width, height)).unwrap();
        DecodedPicture { planes: [luma, chroma(), chroma()], told: CodedColours::NOTHING }
    }

    #[test]
    fn a_picture_keeps_its_shape_and_never_grows() {
        assert_eq!(fitting((1920, 1080), (160, 90)), (160, 90));
        assert_eq!(fitting((640, 480), (160, 90)), (120, 90));
        assert_eq!(fitting((1080, 1920), (160, 90)), (51, 90));
        assert_eq!(fitting((1920, 1080), (640, usize::MAX)), (640, 360));
        assert_eq!(fitting((64, 48), (3_840, usize::MAX)), (64, 48));
        assert_eq!(fitting((8_192, 1), (16, usize::MAX)), (16, 1));
    }

    #[test]
    fn a_small_picture_is_the_mean_of_what_it_covers() {
        let picture = grey(8, 4, |x, _| if x < 4 { 16 } else { 235 });
        let halved = picture.sized((4, 2));
        assert_eq!(halved.planes[0].samples[..], [16, 16, 235, 235, 16, 16, 235, 235]);
        let single = picture.sized((1, 1));
        assert_eq!(single.planes[0].samples[..], [126]);
    }

    #[test]
    fn a_tile_of_another_shape_stands_between_black_bars() {
        let tile = grey(4, 4, |_, _| 235)
            .render(Form::Tile { width: 16, height: 4 }, SampleAspect::SQUARE)
            .unwrap();
        assert_eq!((tile.size, tile.bytes.len()), ((16, 4), 16 * 4 * 3));
        let row: Vec<_> = tile.bytes[..48].chunks(3).map(|pixel| pixel[0] > 128).collect();
        let wanted: Vec<_> = (0..16).map(|x| (6..10).contains(&x)).collect();
        assert_eq!(row, wanted);
    }

    #[test]
    fn samples_that_are_not_square_make_a_picture_of_the_right_shape() {
        let size = |aspect: (u32, u32), form| {
            let picture = grey(72, 48, |_, _| 100);
            picture.render(form, SampleAspect::new(aspect.0, aspect.1)).unwrap().size
        };
        assert_eq!(size((40, 33), Form::Jpeg { width: None }), (87, 48));
        assert_eq!(size((10, 11), Form::Jpeg { width: None }), (72, 53));
        assert_eq!(size((4, 3), Form::Jpeg { width: Some(48) }), (48, 24));
        // In a tile the same picture is centred between bars.
        let tile = Form::Tile { width: 96, height: 48 };
        let bytes = grey(24, 48, |_, _| 235).render(tile, SampleAspect::new(2, 1)).unwrap().bytes;
        let lit = bytes[..96 * 3].chunks(3).filter(|pixel| pixel[0] > 128).count();
        assert_eq!(lit, 48);
    }

    #[test]
    fn odd_sides_are_drawn_and_too_many_pixels_are_not() {
        for form in [
            Form::Jpeg { width: None },
            Form::Jpeg { width: Some(3) },
            Form::Tile { width: 3, height: 3 },
        ] {
            grey(7, 5, |_, _| 100).render(form, SampleAspect::SQUARE).unwrap();
        }
        let plane = || PicturePlane {
            samples: Cow::Borrowed(&[]),
            stride: 9_000,
            width: 9_000,
            height: 9_000,
        };
        let huge =
            DecodedPicture { planes: [plane(), plane(), plane()], told: CodedColours::NOTHING };
        assert!(huge.render(Form::Jpeg { width: Some(16) }, SampleAspect::SQUARE).is_err());
        assert!(PicturePlane::new(vec![0; 10], 4, (4, 3)).is_none());
    }
}
