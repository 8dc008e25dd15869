//! How the numbers of a picture are meant.
//!
//! Owns: [`Colours`] in the terms of ITU-T H.273, which H.264 writes into its VUI (ITU-T H.264
//! §E.2.1), and the way there and back from the numbers of V4L2. What a driver leaves open is as
//! `videodev2.h` says with its `V4L2_MAP_*_DEFAULT`.

use openh264::encoder::{
    ColorPrimaries, MatrixCoefficients, TransferCharacteristics, VuiConfig as Vui,
};
use v4l::v4l_sys as sys;

use crate::v4l2;

/// What red, green and blue are (ITU-T H.273 §8.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Primaries {
    /// ITU-R BT.709, those of sRGB too.
    Bt709,
    /// ITU-R BT.601 with 525 lines.
    Bt601,
    /// ITU-R BT.601 with 625 lines.
    Bt470Bg,
    /// ITU-R BT.2020.
    Bt2020,
    /// Others, or unknown.
    Other,
}

/// How light becomes numbers (ITU-T H.273 §8.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transfer {
    /// ITU-R BT.709, that of BT.601 too.
    Bt709,
    /// sRGB.
    Srgb,
    /// Another one, or unknown.
    Other,
}

/// How red, green and blue become Y, Cb and Cr (ITU-T H.273 §8.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matrix {
    /// ITU-R BT.601: most USB cameras, and every JPEG.
    Bt601,
    /// ITU-R BT.709.
    Bt709,
    /// ITU-R BT.2020 with non-constant luminance.
    Bt2020,
    /// Another one, or unknown.
    Other,
}

/// How the numbers of a picture are meant. By default BT.709 in video range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colours {
    /// What red, green and blue are.
    pub primaries: Primaries,
    /// How light becomes numbers.
    pub transfer: Transfer,
    /// How they become Y, Cb and Cr.
    pub matrix: Matrix,
    /// Y, Cb and Cr take 0 to 255, not 16 to 235 and 16 to 240.
    pub full_range: bool,
}

impl Default for Colours {
    fn default() -> Self {
        Self::BT709
    }
}

impl Colours {
    /// High-definition television, in video range.
    pub const BT709: Self = Self {
        primaries: Primaries::Bt709,
        transfer: Transfer::Bt709,
        matrix: Matrix::Bt709,
        full_range: false,
    };

    /// What a driver says of its raw pictures.
    #[must_use]
    pub fn of_v4l2(told: v4l2::PixelColours) -> Self {
        use self::sys as s;
        let (primaries, usual_transfer, usual_matrix) = match told.space {
            // No television: what `V4L2_MAP_COLORSPACE_DEFAULT` makes of a webcam.
            s::v4l2_colorspace_V4L2_COLORSPACE_DEFAULT
            | s::v4l2_colorspace_V4L2_COLORSPACE_SRGB
            | s::v4l2_colorspace_V4L2_COLORSPACE_JPEG => {
                (Primaries::Bt709, Transfer::Srgb, Matrix::Bt601)
            }
            s::v4l2_colorspace_V4L2_COLORSPACE_SMPTE170M => {
                (Primaries::Bt601, Transfer::Bt709, Matrix::Bt601)
            }
            s::v4l2_colorspace_V4L2_COLORSPACE_470_SYSTEM_BG => {
                (Primaries::Bt470Bg, Transfer::Bt709, Matrix::Bt601)
            }
            s::v4l2_colorspace_V4L2_COLORSPACE_REC709 => {
                (Primaries::Bt709, Transfer::Bt709, Matrix::Bt709)
            }
            s::v4l2_colorspace_V4L2_COLORSPACE_BT2020 => {
                (Primaries::Bt2020, Transfer::Bt709, Matrix::Bt2020)
            }
            s::v4l2_colorspace_V4L2_COLORSPACE_DCI_P3 => {
                (Primaries::Other, Transfer::Other, Matrix::Bt709)
            }
            s::v4l2_colorspace_V4L2_COLORSPACE_SMPTE240M => {
                (Primaries::Other, Transfer::Other, Matrix::Other)
            }
            _ => (Primaries::Other, Transfer::Other, Matrix::Bt601),
        };
        Self {
            primaries,
            transfer: match told.transfer {
                s::v4l2_xfer_func_V4L2_XFER_FUNC_DEFAULT => usual_transfer,
                s::v4l2_xfer_func_V4L2_XFER_FUNC_709 => Transfer::Bt709,
                s::v4l2_xfer_func_V4L2_XFER_FUNC_SRGB => Transfer::Srgb,
                _ => Transfer::Other,
            },
            matrix: match told.matrix {
                s::v4l2_ycbcr_encoding_V4L2_YCBCR_ENC_DEFAULT => usual_matrix,
                s::v4l2_ycbcr_encoding_V4L2_YCBCR_ENC_601
                | s::v4l2_ycbcr_encoding_V4L2_YCBCR_ENC_XV601
                | s::v4l2_ycbcr_encoding_V4L2_YCBCR_ENC_SYCC => Matrix::Bt601,
                s::v4l2_ycbcr_encoding_V4L2_YCBCR_ENC_709
                | s::v4l2_ycbcr_encoding_V4L2_YCBCR_ENC_XV709 => Matrix::Bt709,
                s::v4l2_ycbcr_encoding_V4L2_YCBCR_ENC_BT2020 => Matrix::Bt2020,
                _ => Matrix::Other,
            },
            full_range: match told.range {
                s::v4l2_quantization_V4L2_QUANTIZATION_FULL_RANGE => true,
                s::v4l2_quantization_V4L2_QUANTIZATION_LIM_RANGE => false,
                _ => told.space == s::v4l2_colorspace_V4L2_COLORSPACE_JPEG,
            },
        }
    }

    /// The same for a driver that is given such pictures.
    pub(super) fn to_v4l2(self) -> v4l2::PixelColours {
        v4l2::PixelColours {
            space: match (self.primaries, self.transfer) {
                (Primaries::Bt709, Transfer::Srgb) => sys::v4l2_colorspace_V4L2_COLORSPACE_SRGB,
                (Primaries::Bt709, _) => sys::v4l2_colorspace_V4L2_COLORSPACE_REC709,
                (Primaries::Bt601, _) => sys::v4l2_colorspace_V4L2_COLORSPACE_SMPTE170M,
                (Primaries::Bt470Bg, _) => sys::v4l2_colorspace_V4L2_COLORSPACE_470_SYSTEM_BG,
                (Primaries::Bt2020, _) => sys::v4l2_colorspace_V4L2_COLORSPACE_BT2020,
                (Primaries::Other, _) => sys::v4l2_colorspace_V4L2_COLORSPACE_DEFAULT,
            },
            matrix: match self.matrix {
                Matrix::Bt601 => sys::v4l2_ycbcr_encoding_V4L2_YCBCR_ENC_601,
                Matrix::Bt709 => sys::v4l2_ycbcr_encoding_V4L2_YCBCR_ENC_709,
                Matrix::Bt2020 => sys::v4l2_ycbcr_encoding_V4L2_YCBCR_ENC_BT2020,
                Matrix::Other => sys::v4l2_ycbcr_encoding_V4L2_YCBCR_ENC_DEFAULT,
            },
            range: if self.full_range {
                sys::v4l2_quantization_V4L2_QUANTIZATION_FULL_RANGE
            } else {
                sys::v4l2_quantization_V4L2_QUANTIZATION_LIM_RANGE
            },
            transfer: match self.transfer {
                Transfer::Bt709 => sys::v4l2_xfer_func_V4L2_XFER_FUNC_709,
                Transfer::Srgb => sys::v4l2_xfer_func_V4L2_XFER_FUNC_SRGB,
                Transfer::Other => sys::v4l2_xfer_func_V4L2_XFER_FUNC_DEFAULT,
            },
        }
    }

    /// What openh264 writes into its sequence parameter sets.
    pub(super) fn vui(self) -> Vui {
        let primaries = match self.primaries {
            Primaries::Bt709 => ColorPrimaries::Bt709,
            Primaries::Bt601 => ColorPrimaries::Smpte170M,
            Primaries::Bt470Bg => ColorPrimaries::Bt470BG,
            Primaries::Bt2020 => ColorPrimaries::Bt2020,
            Primaries::Other => ColorPrimaries::Unspecified,
        };
        let transfer = match self.transfer {
            Transfer::Bt709 => TransferCharacteristics::Bt709,
            Transfer::Srgb => TransferCharacteristics::Srgb,
            Transfer::Other => TransferCharacteristics::Unspecified,
        };
        let matrix = match self.matrix {
            Matrix::Bt601 => MatrixCoefficients::Smpte170M,
            Matrix::Bt709 => MatrixCoefficients::Bt709,
            Matrix::Bt2020 => MatrixCoefficients::Bt2020Ncl,
            Matrix::Other => MatrixCoefficients::Unspecified,
        };
        Vui::new()
            .color_primaries(primaries)
            .transfer_characteristics(transfer)
            .matrix_coefficients(matrix)
            .full_range(self.full_range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(space: u32, matrix: u32, range: u32) -> Colours {
        Colours::of_v4l2(v4l2::PixelColours { space, matrix, range, transfer: 0 })
    }

    #[test]
    fn what_a_driver_leaves_open_is_as_the_kernel_says() {
        let webcam = Colours {
            primaries: Primaries::Bt709,
            transfer: Transfer::Srgb,
            matrix: Matrix::Bt601,
            full_range: false,
        };
        let jpeg = Colours { full_range: true, ..webcam };
        let grabber = Colours { primaries: Primaries::Bt601, transfer: Transfer::Bt709, ..webcam };
        for (space, wanted) in [
            (sys::v4l2_colorspace_V4L2_COLORSPACE_DEFAULT, webcam),
            (sys::v4l2_colorspace_V4L2_COLORSPACE_SRGB, webcam),
            (sys::v4l2_colorspace_V4L2_COLORSPACE_JPEG, jpeg),
            (sys::v4l2_colorspace_V4L2_COLORSPACE_SMPTE170M, grabber),
            (sys::v4l2_colorspace_V4L2_COLORSPACE_REC709, Colours::BT709),
        ] {
            assert_eq!(told(space, 0, 0), wanted, "space {space}");
        }
        assert_eq!(told(u32::MAX, u32::MAX, u32::MAX).matrix, Matrix::Other);
    }

    #[test]
    fn what_a_driver_says_goes_before_what_is_usual() {
        let rec709 = sys::v4l2_colorspace_V4L2_COLORSPACE_REC709;
        let sdtv = told(
            rec709,
            sys::v4l2_ycbcr_encoding_V4L2_YCBCR_ENC_601,
            sys::v4l2_quantization_V4L2_QUANTIZATION_FULL_RANGE,
        );
        assert_eq!(sdtv, Colours { matrix: Matrix::Bt601, full_range: true, ..Colours::BT709 });
        let jpeg = sys::v4l2_colorspace_V4L2_COLORSPACE_JPEG;
        assert!(!told(jpeg, 0, sys::v4l2_quantization_V4L2_QUANTIZATION_LIM_RANGE).full_range);
    }

    #[test]
    fn an_encoder_is_told_what_the_camera_said() {
        for space in 0..=sys::v4l2_colorspace_V4L2_COLORSPACE_DCI_P3 {
            for range in 0..3 {
                let camera = told(space, 0, range);
                let again = Colours::of_v4l2(camera.to_v4l2());
                if camera.primaries == Primaries::Other {
                    assert_eq!(again.full_range, camera.full_range);
                } else {
                    assert_eq!(again, camera, "space {space}");
                }
            }
        }
    }
}
