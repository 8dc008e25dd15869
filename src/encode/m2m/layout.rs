//! Where the pixels of a picture go in a driver's buffer.
//!
//! Owns: padding. A driver may want longer lines and more of them than a picture has; what it wants
//! is in the format that comes back when one is set.

use std::time::Duration;

use super::{M2mError, filled};
use crate::encode::{Picture, RawFormat};
use crate::v4l2::{Filled, FourCc, PixelFormat as Pixels};

/// No driver pads further than this, in pixels and lines.
const PADDING_MAX: u32 = 256;

/// A buffer with all planes one behind the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PlaneLayout {
    /// U and V by turns in one plane (NV12), or one behind the other (I420).
    is_interleaved: bool,
    /// Octets from one line of luma to the next.
    stride: usize,
    /// Lines of luma, padding included.
    lines: usize,
}

impl PlaneLayout {
    /// What the driver made of the wish for pictures of `format`.
    pub(super) fn of(got: &Pixels, format: RawFormat) -> Result<Self, M2mError> {
        let code = got.code;
        let [plane] = got.planes.as_slice() else {
            return Err(M2mError::Pixels { code, planes: got.planes.len() });
        };
        if code != FourCc::YUV420 && code != FourCc::NV12 {
            return Err(M2mError::Pixels { code, planes: 1 });
        }
        let fits = |got: u32, wanted: u32| (wanted..=wanted + PADDING_MAX).contains(&got);
        let stride = plane.bytes_per_line.max(got.width);
        if !fits(got.width, format.width)
            || !fits(got.height, format.height)
            || !fits(stride, format.width)
        {
            return Err(M2mError::Size {
                width: format.width,
                height: format.height,
                got_width: got.width,
                got_height: got.height,
            });
        }
        Ok(Self {
            is_interleaved: code == FourCc::NV12,
            stride: (stride as usize).next_multiple_of(2),
            lines: (got.height as usize).next_multiple_of(2),
        })
    }

    /// Octets of a whole picture.
    fn bytes(self) -> usize {
        self.stride * self.lines * 3 / 2
    }

    /// Writes a picture as far as there is room; padding is left untouched.
    pub(super) fn write(self, picture: &Picture, planes: &mut [&mut [u8]], at: Duration) -> Filled {
        let Some(target) = planes.first_mut() else { return filled(0, at) };
        let used = self.bytes().min(target.len());
        let (luma, chroma) = target[..used].split_at_mut((self.stride * self.lines).min(used));
        let (width, (y, u, v)) = (picture.width().max(2), picture.planes());
        copy_lines(y, width, luma, self.stride);
        if self.is_interleaved {
            let lines = u.chunks_exact(width / 2).zip(v.chunks_exact(width / 2));
            for ((u, v), target) in lines.zip(chroma.chunks_mut(self.stride)) {
                for ((u, v), target) in u.iter().zip(v).zip(target.chunks_exact_mut(2)) {
                    target.copy_from_slice(&[*u, *v]);
                }
            }
        } else {
            let half = (self.stride / 2 * (self.lines / 2)).min(chroma.len());
            let (target_u, target_v) = chroma.split_at_mut(half);
            copy_lines(u, width / 2, target_u, self.stride / 2);
            copy_lines(v, width / 2, target_v, self.stride / 2);
        }
        filled(u32::try_from(used).unwrap_or(u32::MAX), at)
    }
}

/// Copies lines of `width` octets to places that are `stride` octets apart.
fn copy_lines(lines: &[u8], width: usize, target: &mut [u8], stride: usize) {
    for (line, target) in lines.chunks_exact(width).zip(target.chunks_mut(stride.max(1))) {
        let length = line.len().min(target.len());
        target[..length].copy_from_slice(&line[..length]);
    }
}
