//! H.264 from a board's own encoder, behind a memory-to-memory node of V4L2.
//!
//! Owns: what the driver is asked to do, and in which order (Linux, "Memory-to-Memory Stateful
//! Video Encoder Interface"). Known of bcm2835-codec (Raspberry Pi 3, 4, Zero 2; last run on one:
//! never): controls belong to the open node, so all are set again at each opening; lines and planes
//! are padded as the returned format says; repeating the parameter sets makes it fail after some
//! 20,000 pictures, so it is not asked to, and they are kept here; the first pictures get few bits.
//!
//! One picture is encoded at a time: it goes in, and the thread waits until it comes out.

mod layout;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use v4l::v4l_sys as sys;

use super::coded::Encoded;
use super::{EncoderSettings, Picture, Profile, RawFormat};
use crate::base::limits::{ACCESS_UNIT_BYTES_MAX, ENCODER_NODES_MAX, ENCODER_TIME_MAX};
use crate::v4l2::{
    BufferTime, BufferType, ControlId, Driver, Filled, FourCc, FrameInterval, Interest,
    PixelFormat as Pixels, Queue, QueueError, VideoDevice, wait,
};
use layout::PlaneLayout;

/// Buffers of each queue: one with the driver, one beside it.
const BUFFERS: u32 = 2;
/// Bytes that one coded picture may have, as a wish.
const CODED_BYTES: u32 = 1 << 20;
/// Formats that are asked for, of those that a node can list.
const FORMATS_MAX: u32 = 64;
/// A key frame so far off never comes by itself: they are asked for by time.
const GOP_PICTURES: i64 = 30_000;

/// Why a board's encoder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum M2mError {
    /// The node cannot be opened.
    #[error("{} cannot be opened", node.display())]
    Open {
        /// Which.
        node: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not an encoder of H.264.
    #[error("the node is not an H.264 encoder")]
    NoEncoder,
    /// It takes raw pictures in a form that is not known here.
    #[error("the encoder takes {code} in {planes} planes, which is not known here")]
    Pixels {
        /// The code of the form.
        code: FourCc,
        /// In how many buffers.
        planes: usize,
    },
    /// It does not take pictures of this size.
    #[error("the encoder takes {got_width}x{got_height} instead of {width}x{height}")]
    Size {
        /// Pixels across that were wanted.
        width: u32,
        /// Pixels down that were wanted.
        height: u32,
        /// Pixels across that it offers.
        got_width: u32,
        /// Pixels down that it offers.
        got_height: u32,
    },
    /// The driver refused what it cannot go without.
    #[error("the encoder refused {what}")]
    Refused {
        /// The call that failed.
        what: &'static str,
        /// Its reason.
        source: io::Error,
    },
    /// A queue of it failed.
    #[error("the encoder failed")]
    Queue(#[from] QueueError),
    /// A picture went in and did not come out.
    #[error("the encoder gave nothing for {} ms", waited.as_millis())]
    Hangs {
        /// How long was waited.
        waited: Duration,
    },
    /// It gave more than a picture can have.
    #[error("the encoder gave {got_bytes} bytes without a picture in them")]
    Nonsense {
        /// How many.
        got_bytes: usize,
    },
}

/// An encoder behind a node.
pub(super) struct M2m<D: Driver = VideoDevice> {
    driver: Arc<D>,
    raw: Queue<D>,
    coded: Queue<D>,
    layout: PlaneLayout,
    /// Output that is not a picture yet: parameter sets may come in a buffer of their own.
    gathered: Vec<u8>,
}

impl<D: Driver> std::fmt::Debug for M2m<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("M2m").field("layout", &self.layout).finish_non_exhaustive()
    }
}

/// The first of this machine's nodes behind which there is an encoder that takes such pictures.
pub(super) fn find(settings: &EncoderSettings, format: RawFormat) -> Option<M2m> {
    let mut nodes: Vec<PathBuf> = std::fs::read_dir("/dev")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.to_string_lossy().starts_with("/dev/video"))
        .take(ENCODER_NODES_MAX)
        .collect();
    nodes.sort();
    nodes.iter().find_map(|node| M2m::open(node, settings, format).ok())
}

impl M2m {
    /// Opens the encoder behind `node`.
    pub(super) fn open(
        node: &Path,
        settings: &EncoderSettings,
        format: RawFormat,
    ) -> Result<Self, M2mError> {
        let opened = VideoDevice::open(node);
        let device = opened.map_err(|source| M2mError::Open { node: node.to_owned(), source })?;
        Self::start(Arc::new(device), settings, format)
    }
}

impl<D: Driver> M2m<D> {
    /// Sets `driver` up and starts it.
    pub(super) fn start(
        driver: Arc<D>,
        settings: &EncoderSettings,
        format: RawFormat,
    ) -> Result<Self, M2mError> {
        let (raw, coded) = kinds(&*driver)?;
        let mut wish = Pixels::wish(FourCc::H264, format.width, format.height, 1);
        wish.planes[0].size_bytes = CODED_BYTES;
        driver.set_format(coded, &wish).map_err(refused("to make H.264"))?;
        let mut wish = Pixels::wish(pixels(&*driver, raw)?, format.width, format.height, 1);
        // From here the driver has what it writes into the VUI, if it writes any.
        wish.colours = format.colours.to_v4l2();
        let got = driver.set_format(raw, &wish).map_err(refused("such pictures"))?;
        let layout = PlaneLayout::of(&got, format)?;
        // Bits are shared out by it; an encoder without it takes its own.
        let _ = driver.set_interval(raw, interval(format.fps));
        set_controls(&*driver, settings)?;
        let mut raw = Queue::open(Arc::clone(&driver), raw, BUFFERS)?;
        let mut coded = Queue::open(Arc::clone(&driver), coded, BUFFERS)?;
        coded.start()?;
        raw.start()?;
        Ok(Self { driver, raw, coded, layout, gathered: Vec::new() })
    }

    /// Encodes one picture; waits for it at most [`ENCODER_TIME_MAX`].
    pub(super) fn encode(
        &mut self,
        picture: &Picture,
        at: Duration,
        key: bool,
    ) -> Result<Option<Encoded>, M2mError> {
        if key {
            let force = ControlId(sys::V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME);
            // The first one comes by itself; where no other does, that is found out by `is_due`.
            let _ = self.driver.set_control(force, 1);
        }
        let until = Instant::now() + ENCODER_TIME_MAX;
        // What is on the buffer comes back on the coded one: whole microseconds.
        let at = Duration::from_micros(u64::try_from(at.as_micros()).unwrap_or(0));
        let layout = self.layout;
        let fill = |planes: &mut [&mut [u8]]| layout.write(picture, planes, at);
        while self.raw.send(fill)?.is_none() {
            self.wait(Interest { capture: false, output: true }, until)?;
        }
        loop {
            if let Some(encoded) = self.take(at)? {
                return Ok(Some(encoded));
            }
            self.wait(Interest { capture: true, output: false }, until)?;
        }
    }

    /// Goes over to other bits per second.
    pub(super) fn set_bitrate(&self, bitrate_bps: u32) -> io::Result<()> {
        let bitrate = ControlId(sys::V4L2_CID_MPEG_VIDEO_BITRATE);
        self.driver.set_control(bitrate, i32::try_from(bitrate_bps).unwrap_or(i32::MAX))
    }

    fn wait(&self, interest: Interest, until: Instant) -> Result<(), M2mError> {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(M2mError::Hangs { waited: ENCODER_TIME_MAX });
        }
        match wait(&*self.driver, interest, left)? {
            // It would be found again at once, until the time is over.
            ready if ready.error => Err(QueueError::Broken.into()),
            _ => Ok(()),
        }
    }

    /// The coded form of the picture of `at`, if it has come out.
    fn take(&mut self, at: Duration) -> Result<Option<Encoded>, M2mError> {
        let gathered = &mut self.gathered;
        let seen = self.coded.receive(|frame| {
            // Of a picture that was given up on; it may come out late.
            let is_old = matches!(frame.stamp, BufferTime::Copied(of) if of < at && !of.is_zero());
            if !frame.damaged && !is_old {
                frame.planes.iter().for_each(|plane| gathered.extend_from_slice(plane));
            }
        })?;
        if seen.is_none() {
            return Ok(None);
        }
        let encoded = Encoded::from_annex_b(&self.gathered);
        if encoded.is_some() {
            self.gathered.clear();
        }
        match self.gathered.len() {
            got_bytes if got_bytes > ACCESS_UNIT_BYTES_MAX => Err(M2mError::Nonsense { got_bytes }),
            _ => Ok(encoded),
        }
    }
}

fn refused(what: &'static str) -> impl Fn(io::Error) -> M2mError {
    move |source| M2mError::Refused { what, source }
}

/// The queues of raw and of coded pictures, where the node is an encoder of H.264.
fn kinds(driver: &impl Driver) -> Result<(BufferType, BufferType), M2mError> {
    let flags = driver.capability().map_err(|_| M2mError::NoEncoder)?.flags;
    let (raw, coded) = if flags & sys::V4L2_CAP_VIDEO_M2M_MPLANE != 0 {
        (BufferType::OutputMulti, BufferType::CaptureMulti)
    } else if flags & sys::V4L2_CAP_VIDEO_M2M != 0 {
        (BufferType::Output, BufferType::Capture)
    } else {
        return Err(M2mError::NoEncoder);
    };
    if formats(driver, coded).any(|code| code == FourCc::H264) {
        Ok((raw, coded))
    } else {
        Err(M2mError::NoEncoder)
    }
}

fn formats(driver: &impl Driver, kind: BufferType) -> impl Iterator<Item = FourCc> {
    (0..FORMATS_MAX).map_while(move |index| driver.enum_format(kind, index).ok())
}

/// The form in which the encoder is given pictures: one that it lists and that is known here.
fn pixels(driver: &impl Driver, raw: BufferType) -> Result<FourCc, M2mError> {
    let known = [FourCc::YUV420, FourCc::NV12];
    let listed: Vec<FourCc> = formats(driver, raw).collect();
    let code = known.into_iter().find(|code| listed.contains(code));
    code.ok_or(M2mError::NoEncoder)
}

fn interval(fps: f32) -> FrameInterval {
    // A thousandth of a picture per second is precise enough; at most 1,000 of them.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let thousandths = (fps.clamp(0.1, 1_000.0) * 1_000.0).round() as u32;
    FrameInterval { numerator: 1_000, denominator: thousandths }
}

/// Sets what the encoder is to do. Only the bit rate has to be taken.
fn set_controls(driver: &impl Driver, settings: &EncoderSettings) -> Result<(), M2mError> {
    let profile = match settings.profile {
        Profile::Baseline => {
            sys::v4l2_mpeg_video_h264_profile_V4L2_MPEG_VIDEO_H264_PROFILE_CONSTRAINED_BASELINE
        }
        Profile::Main => sys::v4l2_mpeg_video_h264_profile_V4L2_MPEG_VIDEO_H264_PROFILE_MAIN,
        Profile::High => sys::v4l2_mpeg_video_h264_profile_V4L2_MPEG_VIDEO_H264_PROFILE_HIGH,
    };
    let joined = sys::v4l2_mpeg_video_header_mode_V4L2_MPEG_VIDEO_HEADER_MODE_JOINED_WITH_1ST_FRAME;
    let bitrate = i64::from(settings.bitrate_bps);
    for (id, value, must) in [
        (sys::V4L2_CID_MPEG_VIDEO_BITRATE, bitrate, true),
        (sys::V4L2_CID_MPEG_VIDEO_H264_PROFILE, i64::from(profile), false),
        (sys::V4L2_CID_MPEG_VIDEO_H264_I_PERIOD, GOP_PICTURES, false),
        (sys::V4L2_CID_MPEG_VIDEO_GOP_SIZE, GOP_PICTURES, false),
        (sys::V4L2_CID_MPEG_VIDEO_B_FRAMES, 0, false),
        (sys::V4L2_CID_MPEG_VIDEO_REPEAT_SEQ_HEADER, 0, false),
        (sys::V4L2_CID_MPEG_VIDEO_HEADER_MODE, i64::from(joined), false),
    ] {
        let set = driver.set_control(ControlId(id), i32::try_from(value).unwrap_or(i32::MAX));
        if must {
            set.map_err(refused("the bit rate"))?;
        }
    }
    Ok(())
}

/// What a buffer that is filled holds.
fn filled(used: u32, at: Duration) -> Filled {
    let mut filled = Filled { at, ..Filled::default() };
    filled.used[0] = used;
    filled
}
