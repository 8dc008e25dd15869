//! What a video node answers to: the ioctls of V4L2, one method each, without pointers.
//!
//! Owns: [`Driver`] and the values that go through it. [`VideoDevice`](super::VideoDevice) is the kernel's;
//! tests put one under the queue that fails at will. Nothing here is retried or believed: a method
//! is one call, and what it brings back is what the driver claims.

use std::io;
use std::time::Duration;

use super::control::{ControlId, ControlInfo};
use super::format::{FourCc, FrameInterval, PixelFormat};

/// Planes of one buffer at most (`VIDEO_MAX_PLANES`).
pub const PLANES_MAX: usize = 8;

/// Which queue of a node, `enum v4l2_buf_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BufferType {
    /// Pictures that the device fills, one plane.
    Capture,
    /// Pictures that the device reads, one plane.
    Output,
    /// Pictures that the device fills, in planes of their own.
    CaptureMulti,
    /// Pictures that the device reads, in planes of their own.
    OutputMulti,
}

impl BufferType {
    /// Whether the device fills the buffers.
    #[must_use]
    pub fn is_capture(self) -> bool {
        matches!(self, Self::Capture | Self::CaptureMulti)
    }

    /// Whether planes have buffers of their own.
    #[must_use]
    pub fn is_multi(self) -> bool {
        matches!(self, Self::CaptureMulti | Self::OutputMulti)
    }
}

/// Who a node says it is, `VIDIOC_QUERYCAP`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capability {
    /// The driver, such as `uvcvideo`.
    pub driver: String,
    /// The device, for people.
    pub card: String,
    /// Where it hangs, such as `usb-0000:01:00.0-1.3`.
    pub bus: String,
    /// `V4L2_CAP_*` of this node.
    pub flags: u32,
}

/// Where one plane of a buffer is mapped from, `VIDIOC_QUERYBUF`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaneRoom {
    /// Bytes of it.
    pub length: u32,
    /// The cookie for `mmap`.
    pub offset: u32,
}

/// When a picture was taken, in the driver's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BufferTime {
    /// No clock that is known.
    #[default]
    Unknown,
    /// `CLOCK_MONOTONIC`.
    Monotonic(Duration),
    /// What was written on the buffer handed to the device (memory-to-memory devices).
    Copied(Duration),
}

/// What part of a plane is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Leading bytes that do not belong to the picture (`data_offset`).
    pub offset: u32,
    /// Bytes used, those in front included (`bytesused`).
    pub end: u32,
}

/// A buffer that comes back from the driver, `VIDIOC_DQBUF`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dequeued {
    /// Which.
    pub index: u32,
    /// How many of `planes` are meant.
    pub plane_count: u32,
    /// What is used of each.
    pub planes: [Used; PLANES_MAX],
    /// Counts pictures, those that were dropped too.
    pub sequence: u32,
    /// When it was taken.
    pub stamp: BufferTime,
    /// `V4L2_BUF_FLAG_ERROR`: the picture may be damaged.
    pub error: bool,
    /// `V4L2_BUF_FLAG_KEYFRAME`.
    pub key: bool,
    /// `V4L2_BUF_FLAG_LAST`: nothing comes behind it.
    pub last: bool,
}

/// What a buffer given to the driver holds; nothing for capture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filled {
    /// Bytes used of each plane.
    pub used: [u32; PLANES_MAX],
    /// The time it carries; memory-to-memory devices copy it.
    pub at: Duration,
}

/// What `poll` waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// A filled capture buffer.
    pub capture: bool,
    /// An output buffer that was read.
    pub output: bool,
}

/// What `poll` found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// A filled capture buffer waits.
    pub capture: bool,
    /// An output buffer was read.
    pub output: bool,
    /// Something is wrong (`POLLERR`, `POLLHUP`, `POLLNVAL`); a dequeue says what.
    pub error: bool,
}

/// A command to an encoder, `VIDIOC_ENCODER_CMD`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncoderCommand {
    /// Continues after a stop.
    Start,
    /// Encodes what it was given and then says "last".
    Stop,
}

/// A node, call by call; each error is the errno of that call.
pub trait Driver: Send + Sync {
    /// One mapped plane; unmapped when dropped.
    type Map: AsRef<[u8]> + AsMut<[u8]> + Send;

    /// `VIDIOC_QUERYCAP`.
    fn capability(&self) -> io::Result<Capability>;
    /// `VIDIOC_ENUM_FMT`; EINVAL past the last.
    fn enum_format(&self, kind: BufferType, index: u32) -> io::Result<FourCc>;
    /// `VIDIOC_G_FMT`.
    fn format(&self, kind: BufferType) -> io::Result<PixelFormat>;
    /// `VIDIOC_S_FMT`; what the driver made of it.
    fn set_format(&self, kind: BufferType, format: &PixelFormat) -> io::Result<PixelFormat>;
    /// `VIDIOC_G_PARM`: time per picture.
    fn interval(&self, kind: BufferType) -> io::Result<FrameInterval>;
    /// `VIDIOC_S_PARM`; what the driver made of it.
    fn set_interval(&self, kind: BufferType, interval: FrameInterval) -> io::Result<FrameInterval>;
    /// `VIDIOC_REQBUFS` for memory that is mapped; how many there are. 0 gives all back.
    fn request_buffers(&self, kind: BufferType, count: u32) -> io::Result<u32>;
    /// `VIDIOC_QUERYBUF`: the planes of one buffer.
    fn query_buffer(&self, kind: BufferType, index: u32) -> io::Result<Vec<PlaneRoom>>;
    /// `mmap` of one plane.
    fn map(&self, room: PlaneRoom) -> io::Result<Self::Map>;
    /// `VIDIOC_QBUF` of a buffer with `plane_count` planes.
    fn queue_buffer(
        &self,
        kind: BufferType,
        index: u32,
        plane_count: usize,
        filled: &Filled,
    ) -> io::Result<()>;
    /// `VIDIOC_DQBUF`; EAGAIN when none is ready.
    fn dequeue_buffer(&self, kind: BufferType) -> io::Result<Dequeued>;
    /// `VIDIOC_STREAMON`.
    fn stream_on(&self, kind: BufferType) -> io::Result<()>;
    /// `VIDIOC_STREAMOFF`; all buffers are ours again.
    fn stream_off(&self, kind: BufferType) -> io::Result<()>;
    /// `poll`, at most for `timeout`.
    fn poll(&self, interest: Interest, timeout: Duration) -> io::Result<Ready>;
    /// `VIDIOC_QUERYCTRL` of `id`.
    fn query_control(&self, id: ControlId) -> io::Result<ControlInfo>;
    /// `VIDIOC_QUERYCTRL` of the first control behind `id`; EINVAL past the last.
    fn next_control(&self, id: ControlId) -> io::Result<ControlInfo>;
    /// `VIDIOC_QUERYMENU`: what `value` of a menu means; EINVAL where there is a hole.
    fn menu_item(&self, id: ControlId, value: u32, integers: bool) -> io::Result<String>;
    /// `VIDIOC_G_CTRL`.
    fn control(&self, id: ControlId) -> io::Result<i32>;
    /// `VIDIOC_S_CTRL`.
    fn set_control(&self, id: ControlId, value: i32) -> io::Result<()>;
    /// `VIDIOC_ENCODER_CMD`.
    fn encoder_command(&self, command: EncoderCommand) -> io::Result<()>;
}
