//! How a camera codes its pictures, and the way from there to I420.

use crate::encode::convert::{self, ConvertError, JpegReader, RawPlane};
use crate::encode::{Colours, Picture};
use crate::v4l2::{FourCc, PixelFormat};

/// Which format is taken from the camera.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FormatChoice {
    /// The first of H.264, NV12, I420, YUYV and MJPEG that the camera gives in the wanted size at
    /// the wanted pace.
    #[default]
    Auto,
    /// H.264, published as the camera made it.
    H264,
    /// JPEG after JPEG.
    Mjpeg,
    /// Y U Y V.
    Yuyv,
    /// Y, then U and V by turns.
    Nv12,
}

impl FormatChoice {
    /// The format with this name in the configuration.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Auto, Self::H264, Self::Mjpeg, Self::Yuyv, Self::Nv12]
            .into_iter()
            .find(|wanted| wanted.as_str() == name)
    }

    /// What of `offers` can be taken, for people.
    pub(super) fn listed(offers: &[FourCc]) -> String {
        let named = [Self::H264, Self::Mjpeg, Self::Yuyv, Self::Nv12].into_iter();
        let carried: Vec<_> = named
            .filter(|wanted| offers.iter().any(|code| wanted.codes().contains(code)))
            .map(Self::as_str)
            .collect();
        if !carried.is_empty() {
            return carried.join(", ");
        }
        let others: Vec<_> = offers.iter().take(8).map(ToString::to_string).collect();
        match others.as_slice() {
            [] => "nothing".to_owned(),
            others => format!("{}, which is not supported", others.join(", ")),
        }
    }

    /// Its name in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::H264 => "h264",
            Self::Mjpeg => "mjpeg",
            Self::Yuyv => "yuyv",
            Self::Nv12 => "nv12",
        }
    }

    /// Whether pictures come raw for certain, or as JPEG, so that they can be made smaller here.
    #[must_use]
    pub fn is_raw(self) -> bool {
        !matches!(self, Self::Auto | Self::H264)
    }

    /// The codes it covers, the best first.
    pub(super) fn codes(self) -> &'static [FourCc] {
        match self {
            // What costs least first; JPEG last, because it has to be read.
            Self::Auto => &[
                FourCc::H264,
                FourCc::NV12,
                FourCc::NV12_MULTI,
                FourCc::YUV420,
                FourCc::YUV420_MULTI,
                FourCc::YUYV,
                FourCc::MJPEG,
                FourCc::JPEG,
            ],
            Self::H264 => &[FourCc::H264],
            Self::Mjpeg => &[FourCc::MJPEG, FourCc::JPEG],
            Self::Yuyv => &[FourCc::YUYV],
            Self::Nv12 => &[FourCc::NV12, FourCc::NV12_MULTI],
        }
    }
}

/// What is in a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BufferLayout {
    H264,
    Jpeg,
    Yuyv,
    Nv12,
    Nv12Planes,
    I420,
    I420Planes,
    /// None of those we asked for; refused when the format is verified.
    Other,
}

impl BufferLayout {
    pub(super) fn of(code: FourCc) -> Self {
        match code {
            FourCc::H264 => Self::H264,
            FourCc::MJPEG | FourCc::JPEG => Self::Jpeg,
            FourCc::YUYV => Self::Yuyv,
            FourCc::NV12 => Self::Nv12,
            FourCc::NV12_MULTI => Self::Nv12Planes,
            FourCc::YUV420 => Self::I420,
            FourCc::YUV420_MULTI => Self::I420Planes,
            _ => Self::Other,
        }
    }

    /// How many planes a buffer has.
    pub(super) fn planes(self) -> usize {
        match self {
            Self::Nv12Planes => 2,
            Self::I420Planes => 3,
            _ => 1,
        }
    }
}

/// Makes I420 of one camera's raw pictures.
#[derive(Debug)]
pub(super) struct Converter {
    layout: BufferLayout,
    strides: Vec<usize>,
    width: usize,
    height: usize,
    colours: Colours,
    jpeg: JpegReader,
}

impl Converter {
    /// For pictures of `format`.
    pub(super) fn new(format: &PixelFormat) -> Self {
        let strides = format.planes.iter().map(|plane| plane.bytes_per_line as usize);
        Self {
            layout: BufferLayout::of(format.code),
            strides: strides.collect(),
            width: format.width as usize,
            height: format.height as usize,
            colours: Colours::of_v4l2(format.colours),
            jpeg: JpegReader::default(),
        }
    }

    /// Converts the content of a buffer to a picture, in the colours that the driver reported.
    pub(super) fn convert(
        &mut self,
        planes: &[&[u8]],
        into: &mut Picture,
    ) -> Result<(), ConvertError> {
        into.set_colours(self.colours);
        let bytes = planes.first().copied().unwrap_or_default();
        match self.layout {
            BufferLayout::Jpeg => self.jpeg.read(bytes, into),
            BufferLayout::Yuyv => convert::yuyv(self.plane(planes, 0, 2), into),
            BufferLayout::Nv12 => {
                // V4L2 puts the chroma directly behind the lines of the luma.
                let luma = self.plane(planes, 0, 1);
                let chroma = behind(luma, self.height);
                convert::nv12(luma, chroma, into)
            }
            BufferLayout::Nv12Planes => {
                convert::nv12(self.plane(planes, 0, 1), self.plane(planes, 1, 1), into)
            }
            BufferLayout::I420 => {
                let luma = self.plane(planes, 0, 1);
                let half = |plane: RawPlane<'_>| plane.stride / 2;
                let u = RawPlane { stride: half(luma), ..behind(luma, self.height) };
                let v = behind(u, self.height.div_ceil(2));
                convert::i420([luma, u, v], into)
            }
            BufferLayout::I420Planes => {
                let plane = |n| self.plane(planes, n, 1);
                convert::i420([plane(0), plane(1), plane(2)], into)
            }
            BufferLayout::H264 | BufferLayout::Other => Err(ConvertError::Truncated),
        }
    }

    /// Plane `n`, whose lines have at least `pixel_bytes` times the width; chroma planes may be
    /// narrower and say so.
    fn plane<'a>(&self, planes: &[&'a [u8]], n: usize, pixel_bytes: usize) -> RawPlane<'a> {
        let bytes = planes.get(n).copied().unwrap_or_default();
        let stride = self.strides.get(n).copied().unwrap_or_default();
        RawPlane {
            bytes,
            stride: if n == 0 { stride.max(self.width * pixel_bytes) } else { stride },
        }
    }
}

/// What is behind `lines` lines of `plane`.
fn behind(plane: RawPlane<'_>, lines: usize) -> RawPlane<'_> {
    let bytes = plane.bytes.get(plane.stride * lines..).unwrap_or_default();
    RawPlane { bytes, stride: plane.stride }
}
