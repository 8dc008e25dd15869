//! Key frames to pictures, in child processes that may crash.
//!
//! Owns: both sides of a child: [`run_child`] is what it does, [`StillDecoder`] starts it, bounds
//! it in time, ends it when it is idle and starts another when it fails. Fifty thousand lines of
//! C++ meet a camera's data in there, and nowhere else: a crash costs one picture.
//!
//! A child is this same program, called with [`CHILD_COMMAND`]. There are two, so that sprites,
//! which can wait, never queue ahead of a picture that a person is waiting for.

mod child;
mod colours;
mod decoder;
mod hevc;
mod idr;
mod message;
mod pixels;
mod refresh;
mod sandbox;

use std::path::PathBuf;

use bytes::Bytes;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

pub use child::{ChildError, run_child};
pub use decoder::{Still, StillDecoder, StillError};
pub use hevc::HevcError;
pub use message::{Coded, Form, KeyFrame};

use crate::supervise::Supervisor;

/// The argument that makes the program a decoder child.
pub const CHILD_COMMAND: &str = "decode-still";
/// The argument that lets it load a decoder for H.265.
const H265_FLAG: &str = "--h265";

/// What a child is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecoderJob {
    /// Pictures that a person is waiting for.
    Pictures,
    /// Sprites, in otherwise idle time.
    Sprites,
}

impl DecoderJob {
    /// The job as one word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pictures => "pictures",
            Self::Sprites => "sprites",
        }
    }

    /// The job of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Pictures, Self::Sprites].into_iter().find(|job| job.as_str() == name)
    }
}

/// Where pictures of H.265 streams come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HevcLibrary {
    /// From libde265, if it is installed.
    #[default]
    Libde265,
    /// There are none.
    Off,
}

impl HevcLibrary {
    /// Why there is no such picture; `words` is the child's reason.
    fn why_not(self, words: &str) -> String {
        match self {
            Self::Off => {
                "pictures of H.265 streams are switched off (`h265` in [pictures])".to_owned()
            }
            Self::Libde265 => format!(
                "pictures of H.265 streams need libde265, which cannot be loaded: install the \
                 package libde265-0 and restart ({words})"
            ),
        }
    }
}

/// How pictures are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StillConfig {
    /// Where those of H.265 streams come from.
    pub h265: HevcLibrary,
}

/// The decoders of a daemon.
#[derive(Clone, Debug)]
pub struct StillDecoders {
    /// For pictures that a person is waiting for.
    pub pictures: StillDecoder,
    /// For sprites.
    pub sprites: StillDecoder,
}

impl StillDecoders {
    /// Keeps children of `program`, which must understand [`CHILD_COMMAND`].
    #[must_use]
    pub fn keep(program: &std::path::Path, h265: HevcLibrary, supervisor: &Supervisor) -> Self {
        let keep = |job| StillDecoder::keep(program.to_owned(), job, h265, supervisor);
        Self { pictures: keep(DecoderJob::Pictures), sprites: keep(DecoderJob::Sprites) }
    }
}

/// Where this very program can be started from.
pub fn this_program() -> std::io::Result<PathBuf> {
    // The link, not what it points to: it stays valid when the file is replaced by an update.
    let link = PathBuf::from("/proc/self/exe");
    if link.exists() { Ok(link) } else { std::env::current_exe() }
}

/// A JPEG of RGB pixels, three octets each, row by row, of the usual quality. Blocks for some milliseconds.
pub fn jpeg_of_rgb(rgb: &[u8], width: u16, height: u16) -> Result<Bytes, ChildError> {
    let size = (usize::from(width), usize::from(height));
    pixels::to_jpeg(rgb, size, pixels::JPEG_QUALITY).map(Bytes::from)
}

/// The same for pixels that will be written as JPEG once more, which shows no trace of this.
pub fn keepsake_of_rgb(rgb: &[u8], width: u16, height: u16) -> Result<Bytes, ChildError> {
    let size = (usize::from(width), usize::from(height));
    pixels::to_jpeg(rgb, size, pixels::KEPT_QUALITY).map(Bytes::from)
}

/// The RGB pixels of a JPEG that was written here, row by row; `None` when it is none.
#[must_use]
pub fn rgb_of_jpeg(jpeg: &[u8]) -> Option<Vec<u8>> {
    let options = DecoderOptions::default().jpeg_set_out_colorspace(ColorSpace::RGB);
    JpegDecoder::new_with_options(ZCursor::new(jpeg), options).decode().ok()
}
