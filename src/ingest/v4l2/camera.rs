//! One camera: opened, its format agreed and verified, its controls set, its buffers made.
//!
//! Owns: the requests to the driver before the first picture. Each opening makes them anew: after a
//! return the camera may be another one.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::error::CameraError;
use super::format::{BufferLayout, FormatChoice};
use super::{CaptureWish, V4l2Config};
use crate::base::fault::chain;
use crate::base::limits::{CAMERA_BUFFERS, PICTURE_SIDE_PIXELS_MAX, V4L2_FORMATS_MAX};
use crate::v4l2::node::NodeRole;
use crate::v4l2::{
    BufferType, ControlId, Driver, FourCc, FrameInterval, PixelFormat, Queue, VideoDevice,
    VideoFrame, control, setting,
};

/// A camera that is open and has a format; it gives pictures when it is started.
#[derive(Debug)]
pub(super) struct OpenCamera<D: Driver> {
    driver: Arc<D>,
    kind: BufferType,
    /// How it was opened, for errors.
    device: String,
    /// What its pictures look like.
    pub(super) format: PixelFormat,
    pub(super) layout: BufferLayout,
    /// Pictures per second, as it says.
    pub(super) fps: f32,
    queue: Option<Queue<D>>,
}

/// Opens the camera at `path`. Blocks for as long as the driver does.
pub(super) fn open(
    path: &Path,
    config: &V4l2Config,
    stream: &str,
) -> Result<OpenCamera<VideoDevice>, CameraError> {
    let device = path.display().to_string();
    let opened = VideoDevice::open(path);
    let opened = opened.map_err(|error| CameraError::of_call(&device, "open", &error))?;
    let camera = OpenCamera::agree(Arc::new(opened), device, &config.wish)?;
    info!(
        %stream,
        device = camera.device,
        format = %camera.format,
        fps = camera.fps,
        "camera opened"
    );
    if !camera.format.progressive {
        warn!(%stream, "camera sends interlaced fields, movement will look combed");
    }
    camera.control(config, stream);
    Ok(camera)
}

impl<D: Driver> OpenCamera<D> {
    /// Agrees on a format with the driver.
    pub(super) fn agree(
        driver: Arc<D>,
        device: String,
        wish: &CaptureWish,
    ) -> Result<Self, CameraError> {
        let who = driver.capability();
        let who = who.map_err(|error| CameraError::of_call(&device, "VIDIOC_QUERYCAP", &error))?;
        let NodeRole::Camera(kind) = who.role() else {
            return Err(CameraError::NotACamera { device, card: who.card });
        };
        let offers: Vec<FourCc> =
            (0..V4L2_FORMATS_MAX).map_while(|n| driver.enum_format(kind, n).ok()).collect();
        let codes: Vec<_> =
            wish.format.codes().iter().copied().filter(|code| offers.contains(code)).collect();
        if codes.is_empty() {
            let offers = FormatChoice::listed(&offers);
            return Err(CameraError::NoFormat { wanted: wish.format.as_str(), offers });
        }
        let mut camera = Self {
            driver,
            kind,
            device,
            format: PixelFormat::wish(codes[0], 0, 0, 1),
            layout: BufferLayout::of(codes[0]),
            fps: 0.0,
            queue: None,
        };
        camera.choose(&codes, wish)?;
        camera.verify(wish)?;
        Ok(camera)
    }

    /// Sets the first format that gives the size and pace that are wanted, or the one nearest to it.
    fn choose(&mut self, codes: &[FourCc], wish: &CaptureWish) -> Result<(), CameraError> {
        let mut best: Option<(FourCc, (bool, f32))> = None;
        for &code in codes {
            self.set(code, wish)?;
            let meets = (self.meets(wish), self.fps.min(wish.fps()));
            if meets.0 && meets.1 >= wish.fps() * 0.9 {
                return Ok(());
            }
            if best.is_none_or(|(_, before)| meets > before) {
                best = Some((code, meets));
            }
        }
        match best {
            Some((code, _)) => self.set(code, wish),
            None => Ok(()),
        }
    }

    fn set(&mut self, code: FourCc, wish: &CaptureWish) -> Result<(), CameraError> {
        let (width, height) = wish.size();
        let asked = PixelFormat::wish(code, width, height, BufferLayout::of(code).planes());
        let got = self.driver.set_format(self.kind, &asked);
        self.format = got.map_err(|error| self.refused("VIDIOC_S_FMT", &error))?;
        self.layout = BufferLayout::of(self.format.code);
        // A driver may have one pace only and refuse to talk about it.
        let pace = self.driver.set_interval(self.kind, FrameInterval::of_fps(wish.fps));
        let pace =
            pace.or_else(|_| self.driver.interval(self.kind)).ok().and_then(FrameInterval::fps);
        #[allow(clippy::cast_possible_truncation)] // a handful of pictures per second
        let fps = pace.map_or(wish.fps(), |fps| fps as f32);
        self.fps = fps.clamp(0.1, 1_000.0);
        Ok(())
    }

    fn meets(&self, wish: &CaptureWish) -> bool {
        (self.format.width, self.format.height) == wish.size()
    }

    /// Whether what the driver made of it can be used, and is what was configured.
    fn verify(&self, wish: &CaptureWish) -> Result<(), CameraError> {
        let format = &self.format;
        let sides = 16..=PICTURE_SIDE_PIXELS_MAX;
        let usable = sides.contains(&format.width) && sides.contains(&format.height);
        let as_wanted = wish.format.codes().contains(&format.code)
            && (wish.width.is_none() || wish.width == Some(format.width))
            && (wish.height.is_none() || wish.height == Some(format.height));
        if usable && as_wanted && format.planes.len() == self.layout.planes() {
            return Ok(());
        }
        let (width, height) = wish.size();
        let wanted = format!("{} {width}x{height}", wish.format.as_str());
        Err(CameraError::Disagrees { wanted, got: format.to_string() })
    }

    /// Sets the configured controls. A refused one is logged; the camera continues without.
    fn control(&self, config: &V4l2Config, stream: &str) {
        for (key, value) in &config.controls {
            if let Err(error) = setting::set(&*self.driver, key, value) {
                warn!(%stream, key, error = chain(&error), "control not set");
            }
        }
        if self.layout == BufferLayout::H264 {
            let bitrate = i64::from(config.encode.bitrate_bps);
            let id = ControlId(v4l::v4l_sys::V4L2_CID_MPEG_VIDEO_BITRATE);
            // Most cameras that encode do not let their bit rate be set this way.
            let _ = control::set(&*self.driver, id, bitrate);
        }
    }

    /// Makes the buffers and starts; also stops and restarts, with new buffers.
    pub(super) fn start(&mut self) -> Result<(), CameraError> {
        // The old buffers first: there is one set of them.
        self.queue = None;
        let told = |error| CameraError::of_queue(&self.device, error);
        let queue = Queue::open(Arc::clone(&self.driver), self.kind, CAMERA_BUFFERS);
        let mut queue = queue.map_err(told)?;
        queue.start().map_err(told)?;
        self.queue = Some(queue);
        Ok(())
    }

    /// The next picture, see [`Queue::next`].
    pub(super) fn next<T>(
        &mut self,
        timeout: Duration,
        read: impl FnOnce(&VideoFrame<'_>) -> T,
    ) -> Result<Option<T>, CameraError> {
        if self.queue.is_none() {
            self.start()?;
        }
        let Some(queue) = &mut self.queue else { return Ok(None) };
        queue.next(timeout, read).map_err(|error| CameraError::of_queue(&self.device, error))
    }

    fn refused(&self, what: &str, error: &io::Error) -> CameraError {
        CameraError::of_call(&self.device, what, error)
    }
}
