//! The child's whole life: requests on its standard input, replies on its standard output.
//!
//! Owns: which decoder is asked. A panic in here costs one picture and is told in its reply; a
//! crash of a decoder ends the child, and the daemon starts another.

use std::panic::{AssertUnwindSafe, catch_unwind};

use openh264::decoder::{DecodedYUV, Decoder};
use openh264::formats::YUVSource;

use super::colours::CodedColours;
use super::hevc::{Hevc, HevcError};
use super::idr;
use super::message::{ChildReply, ChildRequest, Coded, DecodeOutcome};
use super::pixels::{DecodedPicture, PicturePlane};
use super::{DecoderJob, sandbox};
use crate::media::nal;

/// Why the child gives no picture.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// Standard input or output failed, or a limit could not be set.
    #[error("input or output failed")]
    Io(#[from] std::io::Error),
    /// openh264 gave up.
    #[error("not decodable as H.264")]
    Decode(#[from] openh264::Error),
    /// libde265 gave up.
    #[error(transparent)]
    Hevc(#[from] HevcError),
    /// The decoder took the bits but made no picture of them.
    #[error("no picture in it")]
    NoPicture,
    /// More pixels than are decoded.
    #[error("a picture of {width}x{height} is too large")]
    TooLarge {
        /// Pixels across.
        width: usize,
        /// Pixels down.
        height: usize,
    },
    /// The picture could not be written as JPEG.
    #[error("not writable as JPEG")]
    Encode(#[from] jpeg_encoder::EncodingError),
}

/// Answers requests until standard input ends. `h265`: whether those for H.265 are.
pub fn run_child(job: DecoderJob, h265: bool) -> Result<(), ChildError> {
    // Before the sandbox, in which nothing can be opened.
    let hevc = if h265 { Hevc::open() } else { Err("it was not asked for".to_owned()) };
    sandbox::enter(job)?;
    std::panic::set_hook(Box::new(|_| {}));
    let (mut input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
    while let Some(request) = ChildRequest::read(&mut input)? {
        sandbox::grant_time()?;
        let made = catch_unwind(AssertUnwindSafe(|| answer(&request, &hevc)));
        let reply = made.unwrap_or_else(|_| {
            ChildReply::words(DecodeOutcome::Undecodable, "the decoder panicked")
        });
        reply.write(&mut output)?;
    }
    Ok(())
}

fn answer(request: &ChildRequest, hevc: &Result<Hevc, String>) -> ChildReply {
    let turned = match request.coded {
        Coded::H264 => idr::as_idr(&request.nals),
        Coded::H265 => None,
    };
    let annex_b = nal::to_annex_b(turned.as_deref().unwrap_or(&request.nals));
    let made = match (request.coded, hevc) {
        (Coded::H264, _) => h264(&annex_b, request),
        (Coded::H265, Ok(hevc)) => hevc
            .decode(&annex_b, |picture| picture.render(request.form))
            .map_err(ChildError::from)
            .flatten(),
        (Coded::H265, Err(why)) => return ChildReply::words(DecodeOutcome::NoDecoder, why),
    };
    made.unwrap_or_else(|error| {
        ChildReply::words(DecodeOutcome::Undecodable, &crate::base::fault::chain(&error))
    })
}

/// A decoder of its own for every picture: nothing of one camera is left for the next.
fn h264(annex_b: &[u8], request: &ChildRequest) -> Result<ChildReply, ChildError> {
    let told = CodedColours::of_h264(annex_b);
    let mut decoder = Decoder::new()?;
    if let Some(picture) = decoder.decode(annex_b)? {
        return decoded(&picture, told)?.render(request.form);
    }
    let rest = decoder.flush_remaining()?;
    decoded(rest.last().ok_or(ChildError::NoPicture)?, told)?.render(request.form)
}

fn decoded<'a>(
    picture: &'a DecodedYUV<'_>,
    told: CodedColours,
) -> Result<DecodedPicture<'a>, ChildError> {
    let (width, height) = picture.dimensions();
    let half = (width.div_ceil(2), height.div_ceil(2));
    let (luma, u, v) = picture.strides();
    let planes = (
        PicturePlane::new(picture.y(), luma, (width, height)),
        PicturePlane::new(picture.u(), u, half),
        PicturePlane::new(picture.v(), v, half),
    );
    match planes {
        (Some(y), Some(u), Some(v)) => Ok(DecodedPicture { planes: [y, u, v], told }),
        _ => Err(ChildError::NoPicture),
    }
}
