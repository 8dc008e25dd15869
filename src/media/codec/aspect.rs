//! The shape of a sample (ITU-T H.264 and H.265 §E.2.1, `sample_aspect_ratio`), and what size a
//! picture of such samples has in square pixels.
//!
//! Owns: the rule that a picture grows into its shape and never shrinks, which is also Chromium's.

use crate::base::limits::PICTURE_SIDE_PIXELS_MAX;

/// Samples further from square than this are taken for a fault of the encoder.
const STRETCH_MAX: u32 = 8;

/// How wide a sample is to how high, in lowest terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleAspect {
    across: u16,
    down: u16,
}

impl SampleAspect {
    /// As wide as high.
    pub const SQUARE: Self = Self { across: 1, down: 1 };

    /// `across` to `down`. Square where either is zero, or the stretch is beyond belief.
    #[must_use]
    pub fn new(across: u32, down: u32) -> Self {
        let (mut a, mut b) = (across, down);
        while b > 0 {
            (a, b) = (b, a % b);
        }
        let believable =
            across > 0 && down > 0 && across / STRETCH_MAX <= down && down / STRETCH_MAX <= across;
        let side = |side: u32| u16::try_from(side.checked_div(a)?).ok();
        match (side(across), side(down)) {
            (Some(across), Some(down)) if believable => Self { across, down },
            _ => Self::SQUARE,
        }
    }

    /// Width and height of one sample, in lowest terms.
    #[must_use]
    pub fn parts(self) -> (u16, u16) {
        (self.across, self.down)
    }

    /// A picture of `width` by `height` samples in square pixels: wider or higher, never smaller.
    #[must_use]
    pub fn display(self, (width, height): (u16, u16)) -> (u16, u16) {
        let (across, down) = (u32::from(self.across.max(1)), u32::from(self.down.max(1)));
        let stretched = |side: u16, by: u32, of: u32| {
            let side = (u32::from(side) * by + of / 2) / of;
            u16::try_from(side).ok().filter(|&side| u32::from(side) <= PICTURE_SIDE_PIXELS_MAX)
        };
        if across > down {
            stretched(width, across, down).map_or((width, height), |width| (width, height))
        } else {
            stretched(height, down, across).map_or((width, height), |height| (width, height))
        }
    }
}

impl std::fmt::Display for SampleAspect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.across, self.down)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_grows_into_its_shape() {
        for (aspect, taken, shown) in [
            ((1, 1), (640, 360), (640, 360)),
            ((40, 33), (704, 480), (853, 480)),
            ((10, 11), (704, 480), (704, 528)),
            ((4, 3), (1_440, 1_080), (1_920, 1_080)),
            ((32, 24), (1_440, 1_080), (1_920, 1_080)),
            // What no encoder means.
            ((0, 0), (640, 360), (640, 360)),
            ((1, 0), (640, 360), (640, 360)),
            ((65_535, 1), (640, 360), (640, 360)),
            ((8, 1), (8_192, 16), (8_192, 16)),
        ] {
            assert_eq!(SampleAspect::new(aspect.0, aspect.1).display(taken), shown, "{aspect:?}");
        }
        assert_eq!(SampleAspect::new(32, 24).to_string(), "4:3");
    }

    proptest::proptest! {
        #[test]
        fn no_numbers_make_it_panic(across: u32, down: u32, width: u16, height: u16) {
            let shown = SampleAspect::new(across, down).display((width, height));
            proptest::prop_assert!(shown.0 >= width && shown.1 >= height);
        }
    }
}
