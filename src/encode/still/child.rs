//! The child's whole life: requests on its standard input, replies on its standard output.
//!
//! Owns: the choice of decoder. A panic in here costs one picture and is reported in its reply; a
//! crash of a decoder ends the child, and the daemon starts another.

use std::panic::{AssertUnwindSafe, catch_unwind};

use openh264::decoder::{DecodedYUV, Decoder};
use openh264::formats::YUVSource;

use super::colours::CodedColours;
use super::hevc::{Hevc, HevcError};
use super::idr;
use super::message::{ChildReply, ChildRequest, Coded, DecodeOutcome, Form};
use super::pixels::{DecodedPicture, PicturePlane};
use super::{DecoderJob, refresh, sandbox};
use crate::media::codec::SampleAspect;
use crate::media::nal;

/// A black picture of 16x16 pixels: SPS, PPS and an IDR slice of the baseline profile.
const H264_BLACK: [&[u8]; 3] = [
    b"\x67\x42\xc0\x0a\xd9\x1e\xc0\x44\0\0\x03\0\x04\0\0\x03\0\xc8\x3c\x48\x99\x20",
    b"\x68\xcb\x83\xcb\x20",
    b"\x65\x88\x84\x0a\xf2\x62\x80\0\xa7\xbe",
];
/// The same as H.265: VPS, SPS, PPS and an IDR slice of the main still picture profile.
const H265_BLACK: [&[u8]; 4] = [
    b"\x40\x01\x0c\x01\xff\xff\x01\x60\0\0\x03\0\x90\0\0\x03\0\0\x03\0\x1e\x95\x98\x09",
    b"\x42\x01\x01\x01\x60\0\0\x03\0\x90\0\0\x03\0\0\x03\0\x1e\xa0\x88\x45\x96\x56\x6a\xbc\xaf\
      \x01\x68\x08\0\0\x03\0\x08\0\0\x03\0\xc8\x40",
    b"\x44\x01\xc1\x73\xd0\x89",
    b"\x28\x01\xaf\x1d\x80\xee\x23\x8f\xff\x5e\x8f",
];

/// Why the child gives no picture.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// Standard input or output failed, or a limit could not be set.
    #[error("input or output failed")]
    Io(#[from] std::io::Error),
    /// openh264 gave up.
    #[error("not decodable as H.264")]
    Decode,
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

impl From<openh264::Error> for ChildError {
    /// What the library says is of no use to anybody: a number.
    fn from(_: openh264::Error) -> Self {
        Self::Decode
    }
}

/// Answers requests until standard input ends. `h265`: whether those for H.265 are.
pub fn run_child(job: DecoderJob, h265: bool) -> Result<(), ChildError> {
    // Before the sandbox, in which nothing can be opened.
    let hevc = if h265 { Hevc::open() } else { Err("it was not asked for".to_owned()) };
    sandbox::enter(job)?;
    std::panic::set_hook(Box::new(|_| {}));
    let (mut input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
    warm_up(&hevc)?;
    sandbox::confine()?;
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

/// Draws one small black picture with each decoder, and asks for what each picture asks: what
/// libraries look up once, they look up before the confinement, in which they could not.
fn warm_up(hevc: &Result<Hevc, String>) -> std::io::Result<()> {
    sandbox::grant_time()?;
    let pictures: [(Coded, &[&[u8]]); 2] = [(Coded::H264, &H264_BLACK), (Coded::H265, &H265_BLACK)];
    for (coded, units) in pictures {
        let nals = units.iter().flat_map(|unit| {
            let length = u32::try_from(unit.len()).unwrap_or_default();
            length.to_be_bytes().into_iter().chain(unit.iter().copied())
        });
        let (form, aspect) = (Form::Jpeg { width: Some(8) }, SampleAspect::SQUARE);
        let request = ChildRequest { coded, form, aspect, nals: nals.collect() };
        let _ = answer(&request, hevc);
    }
    Ok(())
}

fn answer(request: &ChildRequest, hevc: &Result<Hevc, String>) -> ChildReply {
    let film = match request.coded {
        Coded::H264 => refresh::as_film(&request.nals),
        Coded::H265 => None,
    };
    let drawn = film.map_or_else(|| one_picture(request, hevc), |film| last_of(&film, request));
    drawn.unwrap_or_else(|reply| reply)
}

/// The last picture of a film.
fn last_of(film: &[Vec<u8>], request: &ChildRequest) -> Result<ChildReply, ChildReply> {
    h264_film(film, request).map_err(|error| told(&error))
}

fn told(error: &ChildError) -> ChildReply {
    ChildReply::words(DecodeOutcome::Undecodable, &crate::base::fault::chain(error))
}

fn one_picture(
    request: &ChildRequest,
    hevc: &Result<Hevc, String>,
) -> Result<ChildReply, ChildReply> {
    let turned = match request.coded {
        Coded::H264 => idr::as_idr(&request.nals),
        Coded::H265 => None,
    };
    let annex_b = nal::to_annex_b(turned.as_deref().unwrap_or(&request.nals));
    let made = match (request.coded, hevc) {
        (Coded::H264, _) => h264(&annex_b, request),
        (Coded::H265, Ok(hevc)) => hevc
            .decode(&annex_b, |picture| picture.render(request.form, request.aspect))
            .map_err(ChildError::from)
            .flatten(),
        (Coded::H265, Err(why)) => return Err(ChildReply::words(DecodeOutcome::NoDecoder, why)),
    };
    made.map_err(|error| told(&error))
}

/// Decodes one picture after the other and draws the last; what is wrong with one before does not matter.
fn h264_film(film: &[Vec<u8>], request: &ChildRequest) -> Result<ChildReply, ChildError> {
    let mut decoder = Decoder::new()?;
    let (last, before) = film.split_last().ok_or(ChildError::NoPicture)?;
    for unit in before {
        let _ = decoder.decode(&nal::to_annex_b(unit));
    }
    let told = CodedColours::of_h264(&nal::to_annex_b(&film[0]));
    let annex_b = nal::to_annex_b(last);
    let drawn = match decoder.decode(&annex_b)? {
        Some(picture) => Some(decoded(&picture, told)?.render(request.form, request.aspect)?),
        None => None,
    };
    // Those that are decoded and not shown yet come behind it.
    let rest = decoder.flush_remaining()?;
    match rest.last() {
        Some(picture) => decoded(picture, told)?.render(request.form, request.aspect),
        None => drawn.ok_or(ChildError::NoPicture),
    }
}

/// Every picture gets a fresh decoder: nothing of one camera is left for the next.
fn h264(annex_b: &[u8], request: &ChildRequest) -> Result<ChildReply, ChildError> {
    let told = CodedColours::of_h264(annex_b);
    let mut decoder = Decoder::new()?;
    if let Some(picture) = decoder.decode(annex_b)? {
        return decoded(&picture, told)?.render(request.form, request.aspect);
    }
    let rest = decoder.flush_remaining()?;
    let last = rest.last().ok_or(ChildError::NoPicture)?;
    decoded(last, told)?.render(request.form, request.aspect)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pictures_of_the_warm_up_are_pictures() {
        let annex_b = |units: &[&[u8]]| {
            units.iter().flat_map(|unit| [b"\0\0\0\x01", *unit].concat()).collect::<Vec<u8>>()
        };
        let (form, aspect) = (Form::Jpeg { width: None }, SampleAspect::SQUARE);
        let request = ChildRequest { coded: Coded::H264, form, aspect, nals: Vec::new() };
        let reply = h264(&annex_b(&H264_BLACK), &request).unwrap();
        assert_eq!((reply.outcome, reply.size), (DecodeOutcome::Picture, (16, 16)));
        // libde265 is not installed on every machine that runs this.
        if let Ok(hevc) = Hevc::open() {
            let reply = hevc.decode(&annex_b(&H265_BLACK), |picture| picture.render(form, aspect));
            assert_eq!(reply.unwrap().unwrap().size, (16, 16));
        }
    }
}
