//! What pictures of a queue look like: code, size, planes, colours, pace.
//!
//! Owns: [`PixelFormat`], [`FourCc`], [`FrameInterval`]. Does not own: what the codes mean to us (the source
//! and the encoder choose among them).

use std::fmt;

/// A pixel format's code in four characters, `V4L2_PIX_FMT_*`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FourCc(pub [u8; 4]);

impl FourCc {
    /// H.264 in Annex B, with parameter sets inside.
    pub const H264: Self = Self(*b"H264");
    /// JPEG pictures, one a buffer; tables may be missing.
    pub const MJPEG: Self = Self(*b"MJPG");
    /// JPEG pictures as JFIF wants them.
    pub const JPEG: Self = Self(*b"JPEG");
    /// Y U Y V, 4:2:2 packed.
    pub const YUYV: Self = Self(*b"YUYV");
    /// Y, then U and V by turns, 4:2:0.
    pub const NV12: Self = Self(*b"NV12");
    /// The same in two planes.
    pub const NV12_MULTI: Self = Self(*b"NM12");
    /// Y, U, V, 4:2:0 (I420).
    pub const YUV420: Self = Self(*b"YU12");
    /// The same in three planes.
    pub const YUV420_MULTI: Self = Self(*b"YM12");
}

impl fmt::Display for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The highest bit marks big-endian formats; control characters do not belong in a log.
        for byte in self.0.map(|b| b & 0x7f) {
            let shown = if byte.is_ascii_graphic() { char::from(byte) } else { '.' };
            write!(f, "{shown}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// One plane of a format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlaneFormat {
    /// Bytes from one line to the next, padding included; 0 for compressed pictures.
    pub bytes_per_line: u32,
    /// Bytes of the largest picture.
    pub size_bytes: u32,
}

/// How colours are written, as numbers of `videodev2.h`; 0 is "as is usual" everywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PixelColours {
    /// `V4L2_COLORSPACE_*`.
    pub space: u32,
    /// `V4L2_YCBCR_ENC_*`.
    pub matrix: u32,
    /// `V4L2_QUANTIZATION_*`.
    pub range: u32,
    /// `V4L2_XFER_FUNC_*`.
    pub transfer: u32,
}

/// What pictures of a queue look like, `struct v4l2_format`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PixelFormat {
    /// The code.
    pub code: FourCc,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Whether each buffer is one whole picture (`V4L2_FIELD_NONE`); asked for as such, and what
    /// the driver says otherwise is interlaced.
    pub progressive: bool,
    /// The planes; one for a single-planar queue. The size requested is only a wish.
    pub planes: Vec<PlaneFormat>,
    /// How colours are written.
    pub colours: PixelColours,
}

impl PixelFormat {
    /// A wish: pictures of `code` in this size, the rest as the driver likes it.
    #[must_use]
    pub fn wish(code: FourCc, width: u32, height: u32, planes: usize) -> Self {
        let planes = vec![PlaneFormat::default(); planes];
        Self { code, width, height, progressive: true, planes, colours: PixelColours::default() }
    }
}

impl fmt::Display for PixelFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}x{}", self.code, self.width, self.height)
    }
}

/// Time per picture, a fraction of a second; 25 pictures a second are 1/25.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameInterval {
    /// Above the line.
    pub numerator: u32,
    /// Below it.
    pub denominator: u32,
}

impl FrameInterval {
    /// `fps` pictures a second.
    #[must_use]
    pub fn of_fps(fps: u32) -> Self {
        Self { numerator: 1, denominator: fps }
    }

    /// Pictures a second; `None` when the driver says nonsense.
    #[must_use]
    pub fn fps(self) -> Option<f64> {
        let fps = f64::from(self.denominator) / f64::from(self.numerator);
        (fps.is_finite() && fps > 0.0).then_some(fps)
    }
}
