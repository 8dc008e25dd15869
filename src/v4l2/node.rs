//! The video nodes of this machine: which there are and what each offers.
//!
//! Owns: the list, keyed by `/dev/v4l/by-path`, because that names the socket a camera hangs in and
//! stays when the node's number changes. What a camera offers is asked through v4l's own types, which
//! panic on odd hardware: each camera is therefore asked in a thread that may die alone.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use v4l::frameinterval::FrameIntervalEnum;
use v4l::framesize::FrameSizeEnum;
use v4l::v4l_sys as sys;
use v4l::video::Capture;

use super::device::VideoDevice;
use super::driver::{BufferType, Capability, Driver};
use super::format::{FourCc, FrameInterval};
use crate::base::limits::V4L2_NODES_MAX;

/// Where udev links video nodes by the socket they hang in.
pub const BY_PATH: &str = "/dev/v4l/by-path";

/// A video node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VideoNode {
    /// How to open it: its link below [`BY_PATH`], or the node itself where there is none.
    pub path: PathBuf,
    /// The node now, such as `/dev/video0`.
    pub device: PathBuf,
}

impl VideoNode {
    /// The last part of its path: the key that the API uses.
    #[must_use]
    pub fn key(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// What a camera sends.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    /// How it codes pictures.
    pub code: FourCc,
    /// In which sizes.
    pub sizes: Vec<FrameSize>,
}

/// A size, or a range of them, and its paces.
#[derive(Clone, Debug, PartialEq)]
pub struct FrameSize {
    /// Pixels across, the smallest and the largest.
    pub width: (u32, u32),
    /// Pixels down, the smallest and the largest.
    pub height: (u32, u32),
    /// Pictures per second, fastest first; the ends of a range when any pace between goes.
    pub fps: Vec<f64>,
}

/// What a node is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeRole {
    /// Gives pictures: a camera. The kind of its queue.
    Camera(BufferType),
    /// Takes pictures and gives others: an encoder, a decoder or a scaler. Multi-planar?
    Converter {
        /// Whether its queues are multi-planar.
        multi: bool,
    },
    /// Anything else: metadata, an output.
    Other,
}

impl Capability {
    /// What the node is for.
    #[must_use]
    pub fn role(&self) -> NodeRole {
        let has = |flag| self.flags & flag != 0;
        let converter = |multi| NodeRole::Converter { multi };
        if !has(sys::V4L2_CAP_STREAMING) {
            return NodeRole::Other;
        }
        let multi =
            has(sys::V4L2_CAP_VIDEO_CAPTURE_MPLANE) && has(sys::V4L2_CAP_VIDEO_OUTPUT_MPLANE);
        let single = has(sys::V4L2_CAP_VIDEO_CAPTURE) && has(sys::V4L2_CAP_VIDEO_OUTPUT);
        if has(sys::V4L2_CAP_VIDEO_M2M_MPLANE) || multi {
            converter(true)
        } else if has(sys::V4L2_CAP_VIDEO_M2M) || single {
            converter(false)
        } else if has(sys::V4L2_CAP_VIDEO_CAPTURE) {
            NodeRole::Camera(BufferType::Capture)
        } else if has(sys::V4L2_CAP_VIDEO_CAPTURE_MPLANE) {
            NodeRole::Camera(BufferType::CaptureMulti)
        } else {
            NodeRole::Other
        }
    }
}

/// The nodes there are, each once; none where the machine has no video devices.
#[must_use]
pub fn nodes() -> Vec<VideoNode> {
    nodes_below(Path::new("/dev"))
}

fn nodes_below(dev: &Path) -> Vec<VideoNode> {
    let mut found = BTreeMap::new();
    for path in entries(dev) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let number = name.strip_prefix("video").unwrap_or_default();
        if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) {
            found.insert(path.clone(), path);
        }
    }
    for path in entries(&dev.join("v4l/by-path")) {
        if let Ok(device) = fs::canonicalize(&path) {
            // udev of Debian 13 links a USB camera twice (usb and usbv2); one is enough.
            if let Some(known) = found.get_mut(&device).filter(|known| **known == device) {
                *known = path;
            }
        }
    }
    let nodes = found.into_iter().map(|(device, path)| VideoNode { path, device });
    nodes.take(V4L2_NODES_MAX).collect()
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> =
        fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// Who the node at `path` says it is. Blocks for as long as the driver does.
pub fn capability(path: &Path) -> io::Result<Capability> {
    VideoDevice::open(path)?.capability()
}

/// What the single-planar camera at `path` offers. Blocks for as long as the driver does; a driver
/// that says what v4l panics at is an error of kind `InvalidData`.
pub fn offers(path: &Path) -> io::Result<Vec<Offer>> {
    let path = path.to_owned();
    let asked = thread::Builder::new().name("v4l2-offers".to_owned()).spawn(move || ask(&path))?;
    asked.join().unwrap_or_else(|_| Err(io::ErrorKind::InvalidData.into()))
}

fn ask(path: &Path) -> io::Result<Vec<Offer>> {
    let camera = v4l::Device::with_path(path)?;
    let formats = camera.enum_formats()?;
    Ok(formats.into_iter().map(|format| offer(&camera, format.fourcc)).collect())
}

fn offer(camera: &v4l::Device, code: v4l::FourCC) -> Offer {
    // Drivers need not list sizes or paces.
    let sizes = camera.enum_framesizes(code).unwrap_or_default();
    let sizes = sizes.into_iter().map(|size| {
        let (width, height) = match size.size {
            FrameSizeEnum::Discrete(one) => ((one.width, one.width), (one.height, one.height)),
            FrameSizeEnum::Stepwise(range) => {
                ((range.min_width, range.max_width), (range.min_height, range.max_height))
            }
        };
        let paces = camera.enum_frameintervals(code, width.1, height.1).unwrap_or_default();
        let mut fps: Vec<f64> = paces.into_iter().flat_map(|pace| fps_of(pace.interval)).collect();
        fps.sort_by(|a, b| b.total_cmp(a));
        FrameSize { width, height, fps }
    });
    Offer { code: FourCc(code.repr), sizes: sizes.collect() }
}

fn fps_of(interval: FrameIntervalEnum) -> Vec<f64> {
    let fps = |f: v4l::Fraction| {
        FrameInterval { numerator: f.numerator, denominator: f.denominator }.fps()
    };
    match interval {
        FrameIntervalEnum::Discrete(one) => fps(one).into_iter().collect(),
        FrameIntervalEnum::Stepwise(range) => {
            [range.min, range.max].into_iter().filter_map(fps).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn nodes_are_known_by_the_socket_they_hang_in_and_listed_once() {
        let dev = tempfile::tempdir().unwrap();
        let dev = fs::canonicalize(dev.path()).unwrap();
        let by_path = dev.join("v4l/by-path");
        fs::create_dir_all(&by_path).unwrap();
        for name in ["video0", "video1", "video10", "videodev", "sda"] {
            fs::write(dev.join(name), "").unwrap();
        }
        symlink("../../video10", by_path.join("pci-usb-0:1:1.0-video-index0")).unwrap();
        symlink("../../video10", by_path.join("pci-usbv2-0:1:1.0-video-index0")).unwrap();
        symlink("../../video7", by_path.join("pci-usb-0:2:1.0-video-index0")).unwrap();
        let found: Vec<_> = nodes_below(&dev).iter().map(VideoNode::key).collect();
        assert_eq!(found, ["video0", "video1", "pci-usb-0:1:1.0-video-index0"]);
        assert!(nodes_below(&dev.join("none")).is_empty());
    }

    #[test]
    fn a_node_that_takes_and_gives_is_no_camera() {
        let role = |flags| Capability { flags, ..Capability::default() }.role();
        let stream = sys::V4L2_CAP_STREAMING;
        assert_eq!(
            role(stream | sys::V4L2_CAP_VIDEO_CAPTURE),
            NodeRole::Camera(BufferType::Capture)
        );
        assert_eq!(
            role(stream | sys::V4L2_CAP_VIDEO_CAPTURE_MPLANE),
            NodeRole::Camera(BufferType::CaptureMulti)
        );
        assert_eq!(
            role(stream | sys::V4L2_CAP_VIDEO_M2M_MPLANE),
            NodeRole::Converter { multi: true }
        );
        assert_eq!(role(stream | sys::V4L2_CAP_META_CAPTURE), NodeRole::Other);
        assert_eq!(role(sys::V4L2_CAP_VIDEO_CAPTURE), NodeRole::Other);
    }

    #[test]
    fn what_is_no_video_node_is_told_by_its_errno() {
        let error = capability(Path::new("/dev/null")).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOTTY));
        assert!(offers(Path::new("/nowhere")).is_err());
        let error = capability(Path::new("/nowhere\0")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
