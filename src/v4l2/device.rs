//! A video node of the kernel: the ioctls behind [`Driver`], on v4l's raw layer.
//!
//! Owns: the open node and every `unsafe` of this module: structs of `videodev2.h` zeroed and handed
//! to the kernel, and mapped planes. Checks nothing that the queue checks; texts are made UTF-8.

#![allow(unsafe_code)] // V4L2 is ioctls and shared memory; nobody has them safe for several planes

use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::ptr::NonNull;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use v4l::v4l_sys as sys;
use v4l::v4l2::{self, vidioc};

use super::control::{ControlId, ControlInfo, ControlType};
use super::driver::{
    BufferTime, BufferType, Capability, Dequeued, Driver, EncoderCommand, Filled, Interest,
    PLANES_MAX, PlaneRoom, Ready, Used,
};
use super::format::{FourCc, FrameInterval, PixelColours, PixelFormat, PlaneFormat};

/// An open video node. It closes when the last handle and all that was mapped from it have gone.
#[derive(Debug)]
pub struct VideoDevice(File);

impl VideoDevice {
    /// Opens a node, following links such as those of `/dev/v4l/by-path`. No call blocks on it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::options()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
            .open(path)?;
        if !file.metadata()?.file_type().is_char_device() {
            return Err(io::Error::from_raw_os_error(libc::ENOTTY));
        }
        Ok(Self(file))
    }

    /// One ioctl. A request names the size of its struct; another one is refused.
    fn call<T: Plain>(&self, request: vidioc::_IOC_TYPE, argument: &mut T) -> io::Result<()> {
        if (request >> 16) & 0x3fff != mem::size_of::<T>() as vidioc::_IOC_TYPE {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        // SAFETY: the node is open, and the kernel reads and writes as many bytes behind the
        // pointer as the request says, which is the size of `T`; every bit pattern is a `T`.
        unsafe { v4l2::ioctl(self.0.as_raw_fd(), request, (&raw mut *argument).cast::<c_void>()) }
    }

    fn buffer(kind: BufferType, index: u32, planes: &mut [sys::v4l2_plane]) -> sys::v4l2_buffer {
        let mut buffer: sys::v4l2_buffer = zeroed();
        buffer.index = index;
        buffer.type_ = buffer_type(kind);
        buffer.memory = sys::v4l2_memory_V4L2_MEMORY_MMAP;
        if kind.is_multi() {
            buffer.m.planes = planes.as_mut_ptr();
            buffer.length = u32::try_from(planes.len()).unwrap_or(0);
        }
        buffer
    }

    fn control_info(&self, id: u32) -> io::Result<ControlInfo> {
        let mut raw: sys::v4l2_queryctrl = zeroed();
        raw.id = id;
        self.call(vidioc::VIDIOC_QUERYCTRL, &mut raw)?;
        let fixed = sys::V4L2_CTRL_FLAG_DISABLED
            | sys::V4L2_CTRL_FLAG_READ_ONLY
            | sys::V4L2_CTRL_FLAG_GRABBED;
        Ok(ControlInfo {
            id: ControlId(raw.id),
            name: text(&raw.name),
            of: control_type(raw.type_),
            min: raw.minimum,
            max: raw.maximum,
            step: raw.step,
            default: raw.default_value,
            fixed: raw.flags & fixed != 0,
            inactive: raw.flags & sys::V4L2_CTRL_FLAG_INACTIVE != 0,
        })
    }
}

impl Driver for VideoDevice {
    type Map = Map;

    fn capability(&self) -> io::Result<Capability> {
        let mut raw: sys::v4l2_capability = zeroed();
        self.call(vidioc::VIDIOC_QUERYCAP, &mut raw)?;
        let own = raw.capabilities & sys::V4L2_CAP_DEVICE_CAPS != 0;
        Ok(Capability {
            driver: text(&raw.driver),
            card: text(&raw.card),
            bus: text(&raw.bus_info),
            flags: if own { raw.device_caps } else { raw.capabilities },
        })
    }

    fn enum_format(&self, kind: BufferType, index: u32) -> io::Result<FourCc> {
        let mut raw: sys::v4l2_fmtdesc = zeroed();
        raw.index = index;
        raw.type_ = buffer_type(kind);
        self.call(vidioc::VIDIOC_ENUM_FMT, &mut raw)?;
        Ok(FourCc(raw.pixelformat.to_le_bytes()))
    }

    fn format(&self, kind: BufferType) -> io::Result<PixelFormat> {
        let mut raw: sys::v4l2_format = zeroed();
        raw.type_ = buffer_type(kind);
        self.call(vidioc::VIDIOC_G_FMT, &mut raw)?;
        Ok(read_format(kind, &raw))
    }

    fn set_format(&self, kind: BufferType, format: &PixelFormat) -> io::Result<PixelFormat> {
        let mut raw = written_format(kind, format);
        self.call(vidioc::VIDIOC_S_FMT, &mut raw)?;
        Ok(read_format(kind, &raw))
    }

    fn interval(&self, kind: BufferType) -> io::Result<FrameInterval> {
        let mut raw: sys::v4l2_streamparm = zeroed();
        raw.type_ = buffer_type(kind);
        self.call(vidioc::VIDIOC_G_PARM, &mut raw)?;
        Ok(read_interval(&raw))
    }

    fn set_interval(&self, kind: BufferType, interval: FrameInterval) -> io::Result<FrameInterval> {
        let mut raw: sys::v4l2_streamparm = zeroed();
        raw.type_ = buffer_type(kind);
        // Capture and output keep it in the same place of their structs.
        raw.parm.capture.timeperframe =
            sys::v4l2_fract { numerator: interval.numerator, denominator: interval.denominator };
        self.call(vidioc::VIDIOC_S_PARM, &mut raw)?;
        Ok(read_interval(&raw))
    }

    fn request_buffers(&self, kind: BufferType, count: u32) -> io::Result<u32> {
        let mut raw: sys::v4l2_requestbuffers = zeroed();
        raw.count = count;
        raw.type_ = buffer_type(kind);
        raw.memory = sys::v4l2_memory_V4L2_MEMORY_MMAP;
        self.call(vidioc::VIDIOC_REQBUFS, &mut raw)?;
        Ok(raw.count)
    }

    fn query_buffer(&self, kind: BufferType, index: u32) -> io::Result<Vec<PlaneRoom>> {
        let mut planes: [sys::v4l2_plane; PLANES_MAX] = zeroed();
        let mut raw = Self::buffer(kind, index, &mut planes);
        self.call(vidioc::VIDIOC_QUERYBUF, &mut raw)?;
        if !kind.is_multi() {
            // SAFETY: every member of the union is a number; for a mapped buffer it is the offset.
            return Ok(vec![PlaneRoom { length: raw.length, offset: unsafe { raw.m.offset } }]);
        }
        let planes = planes.iter().take(raw.length as usize);
        // SAFETY: as above.
        Ok(planes
            .map(|p| PlaneRoom { length: p.length, offset: unsafe { p.m.mem_offset } })
            .collect())
    }

    fn map(&self, room: PlaneRoom) -> io::Result<Map> {
        let length = room.length as usize;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let offset = libc::off_t::from(room.offset);
        // SAFETY: a new mapping at a place the kernel chooses touches no memory of ours.
        let start = unsafe {
            let fd = self.0.as_raw_fd();
            v4l2::mmap(std::ptr::null_mut(), length, protection, libc::MAP_SHARED, fd, offset)
        }?;
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Map { start, length })
    }

    fn queue_buffer(
        &self,
        kind: BufferType,
        index: u32,
        plane_count: usize,
        filled: &Filled,
    ) -> io::Result<()> {
        let mut planes: [sys::v4l2_plane; PLANES_MAX] = zeroed();
        for (plane, &used) in planes.iter_mut().zip(&filled.used) {
            plane.bytesused = used;
        }
        let planes = &mut planes[..plane_count.min(PLANES_MAX)];
        let mut raw = Self::buffer(kind, index, planes);
        if !kind.is_multi() {
            raw.bytesused = filled.used[0];
        }
        raw.field = sys::v4l2_field_V4L2_FIELD_NONE;
        raw.timestamp.tv_sec = filled.at.as_secs().try_into().unwrap_or(0);
        raw.timestamp.tv_usec = filled.at.subsec_micros().into();
        self.call(vidioc::VIDIOC_QBUF, &mut raw)
    }

    fn dequeue_buffer(&self, kind: BufferType) -> io::Result<Dequeued> {
        let mut planes: [sys::v4l2_plane; PLANES_MAX] = zeroed();
        let mut raw = Self::buffer(kind, 0, &mut planes);
        self.call(vidioc::VIDIOC_DQBUF, &mut raw)?;
        let mut used = [Used::default(); PLANES_MAX];
        if kind.is_multi() {
            for (used, plane) in used.iter_mut().zip(&planes) {
                *used = Used { offset: plane.data_offset, end: plane.bytesused };
            }
        } else {
            used[0].end = raw.bytesused;
        }
        Ok(Dequeued {
            index: raw.index,
            plane_count: if kind.is_multi() { raw.length } else { 1 },
            planes: used,
            sequence: raw.sequence,
            stamp: stamp(&raw),
            error: raw.flags & sys::V4L2_BUF_FLAG_ERROR != 0,
            key: raw.flags & sys::V4L2_BUF_FLAG_KEYFRAME != 0,
            last: raw.flags & sys::V4L2_BUF_FLAG_LAST != 0,
        })
    }

    fn stream_on(&self, kind: BufferType) -> io::Result<()> {
        self.call(vidioc::VIDIOC_STREAMON, &mut buffer_type(kind).cast_signed())
    }

    fn stream_off(&self, kind: BufferType) -> io::Result<()> {
        self.call(vidioc::VIDIOC_STREAMOFF, &mut buffer_type(kind).cast_signed())
    }

    fn poll(&self, interest: Interest, timeout: Duration) -> io::Result<Ready> {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::IN, interest.capture);
        flags.set(PollFlags::OUT, interest.output);
        let timeout = Timespec {
            tv_sec: timeout.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        let mut polled = [PollFd::from_borrowed_fd(self.0.as_fd(), flags)];
        rustix::event::poll(&mut polled, Some(&timeout))?;
        let found = polled[0].revents();
        Ok(Ready {
            capture: found.contains(PollFlags::IN),
            output: found.contains(PollFlags::OUT),
            error: found.intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL),
        })
    }

    fn query_control(&self, id: ControlId) -> io::Result<ControlInfo> {
        self.control_info(id.0 & !sys::V4L2_CTRL_FLAG_NEXT_CTRL)
    }

    fn next_control(&self, id: ControlId) -> io::Result<ControlInfo> {
        self.control_info(id.0 | sys::V4L2_CTRL_FLAG_NEXT_CTRL)
    }

    fn menu_item(&self, id: ControlId, value: u32, integers: bool) -> io::Result<String> {
        let mut raw: sys::v4l2_querymenu = zeroed();
        raw.id = id.0;
        raw.index = value;
        self.call(vidioc::VIDIOC_QUERYMENU, &mut raw)?;
        // SAFETY: both members are numbers, and every bit pattern of 32 bytes is one of each. The
        // struct is packed, so they are copied out and not referred to.
        Ok(unsafe {
            let named = raw.__bindgen_anon_1;
            if integers { { named.value }.to_string() } else { text(&{ named.name }) }
        })
    }

    fn control(&self, id: ControlId) -> io::Result<i32> {
        let mut raw = sys::v4l2_control { id: id.0, value: 0 };
        self.call(vidioc::VIDIOC_G_CTRL, &mut raw)?;
        Ok(raw.value)
    }

    fn set_control(&self, id: ControlId, value: i32) -> io::Result<()> {
        self.call(vidioc::VIDIOC_S_CTRL, &mut sys::v4l2_control { id: id.0, value })
    }

    fn encoder_command(&self, command: EncoderCommand) -> io::Result<()> {
        let mut raw: sys::v4l2_encoder_cmd = zeroed();
        raw.cmd = match command {
            EncoderCommand::Start => sys::V4L2_ENC_CMD_START,
            EncoderCommand::Stop => sys::V4L2_ENC_CMD_STOP,
        };
        self.call(vidioc::VIDIOC_ENCODER_CMD, &mut raw)
    }
}

/// One plane in our memory. It outlives the node, and after the buffers were released the kernel
/// keeps its pages until this is dropped.
#[derive(Debug)]
pub struct Map {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: the mapping belongs to this value alone and to no thread.
unsafe impl Send for Map {}

impl AsRef<[u8]> for Map {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: mapped with this length, readable, until `drop`. The device writes to it only
        // while it has the buffer, and the queue allows no reads then.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl AsMut<[u8]> for Map {
    fn as_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and writable; `&mut self` makes it ours alone.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: mapped by `Device::map` with this length, and nothing refers to it any more.
        let _ = unsafe { v4l2::munmap(self.start.as_ptr().cast(), self.length) };
    }
}

/// A struct of the kernel that is valid whatever its bits are: numbers, and pointers that only the
/// kernel follows.
///
/// # Safety
/// The implementor has no reference, enum, bool or other type with invalid bit patterns inside.
unsafe trait Plain {}

macro_rules! plain {
    ($($name:ty),+ $(,)?) => {
        // SAFETY: generated from C structs of integers, unions of them, and raw pointers.
        $(unsafe impl Plain for $name {})+
    };
}

plain!(
    i32,
    sys::v4l2_capability,
    sys::v4l2_fmtdesc,
    sys::v4l2_format,
    sys::v4l2_streamparm,
    sys::v4l2_requestbuffers,
    sys::v4l2_buffer,
    [sys::v4l2_plane; PLANES_MAX],
    sys::v4l2_queryctrl,
    sys::v4l2_querymenu,
    sys::v4l2_control,
    sys::v4l2_encoder_cmd,
);

fn zeroed<T: Plain>() -> T {
    // SAFETY: every bit pattern is a `T`, zeros too.
    unsafe { mem::zeroed() }
}

fn buffer_type(kind: BufferType) -> u32 {
    match kind {
        BufferType::Capture => sys::v4l2_buf_type_V4L2_BUF_TYPE_VIDEO_CAPTURE,
        BufferType::Output => sys::v4l2_buf_type_V4L2_BUF_TYPE_VIDEO_OUTPUT,
        BufferType::CaptureMulti => sys::v4l2_buf_type_V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE,
        BufferType::OutputMulti => sys::v4l2_buf_type_V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE,
    }
}

fn control_type(raw: u32) -> ControlType {
    match raw {
        sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_INTEGER => ControlType::Integer,
        sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_BOOLEAN => ControlType::Boolean,
        sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_MENU => ControlType::Menu,
        sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_INTEGER_MENU => ControlType::IntegerMenu,
        sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_BUTTON => ControlType::Button,
        sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_BITMASK => ControlType::Bitmask,
        _ => ControlType::Other,
    }
}

/// A text of the kernel: ends at its first zero, and need not be UTF-8.
fn text(raw: &[u8]) -> String {
    let end = raw.iter().position(|&byte| byte == 0).unwrap_or(raw.len());
    String::from_utf8_lossy(&raw[..end]).trim().to_owned()
}

fn stamp(raw: &sys::v4l2_buffer) -> BufferTime {
    let (secs, micros) = (raw.timestamp.tv_sec, raw.timestamp.tv_usec);
    let (Ok(secs), Ok(micros @ 0..1_000_000)) = (u64::try_from(secs), u32::try_from(micros)) else {
        return BufferTime::Unknown;
    };
    let at = Duration::new(secs, micros * 1_000);
    match raw.flags & sys::V4L2_BUF_FLAG_TIMESTAMP_MASK {
        sys::V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC => BufferTime::Monotonic(at),
        sys::V4L2_BUF_FLAG_TIMESTAMP_COPY => BufferTime::Copied(at),
        _ => BufferTime::Unknown,
    }
}

fn read_interval(raw: &sys::v4l2_streamparm) -> FrameInterval {
    // SAFETY: the union holds numbers only, and both directions keep it in the same place.
    let fraction = unsafe { raw.parm.capture.timeperframe };
    FrameInterval { numerator: fraction.numerator, denominator: fraction.denominator }
}

fn read_format(kind: BufferType, raw: &sys::v4l2_format) -> PixelFormat {
    if kind.is_multi() {
        // SAFETY: the union holds numbers only; this member belongs to the buffer type.
        let (pix, matrix) = unsafe { (raw.fmt.pix_mp, raw.fmt.pix_mp.__bindgen_anon_1.ycbcr_enc) };
        let planes = { pix.plane_fmt };
        let planes = planes.iter().take(usize::from(pix.num_planes)).map(|plane| PlaneFormat {
            bytes_per_line: plane.bytesperline,
            size_bytes: plane.sizeimage,
        });
        return PixelFormat {
            code: FourCc({ pix.pixelformat }.to_le_bytes()),
            width: pix.width,
            height: pix.height,
            progressive: pix.field == sys::v4l2_field_V4L2_FIELD_NONE,
            planes: planes.collect(),
            colours: PixelColours {
                space: pix.colorspace,
                matrix: matrix.into(),
                range: pix.quantization.into(),
                transfer: pix.xfer_func.into(),
            },
        };
    }
    // SAFETY: as above.
    let (pix, matrix) = unsafe { (raw.fmt.pix, raw.fmt.pix.__bindgen_anon_1.ycbcr_enc) };
    PixelFormat {
        code: FourCc(pix.pixelformat.to_le_bytes()),
        width: pix.width,
        height: pix.height,
        progressive: pix.field == sys::v4l2_field_V4L2_FIELD_NONE,
        planes: vec![PlaneFormat { bytes_per_line: pix.bytesperline, size_bytes: pix.sizeimage }],
        colours: PixelColours {
            space: pix.colorspace,
            matrix,
            range: pix.quantization,
            transfer: pix.xfer_func,
        },
    }
}

fn written_format(kind: BufferType, format: &PixelFormat) -> sys::v4l2_format {
    let mut raw: sys::v4l2_format = zeroed();
    raw.type_ = buffer_type(kind);
    let code = u32::from_le_bytes(format.code.0);
    let colours = format.colours;
    if kind.is_multi() {
        let mut pix = sys::v4l2_pix_format_mplane {
            width: format.width,
            height: format.height,
            pixelformat: code,
            field: sys::v4l2_field_V4L2_FIELD_NONE,
            colorspace: colours.space,
            plane_fmt: [sys::v4l2_plane_pix_format {
                sizeimage: 0,
                bytesperline: 0,
                reserved: [0; 6],
            }; PLANES_MAX],
            num_planes: u8::try_from(format.planes.len().min(PLANES_MAX)).unwrap_or(0),
            flags: 0,
            __bindgen_anon_1: sys::v4l2_pix_format_mplane__bindgen_ty_1 {
                ycbcr_enc: u8::try_from(colours.matrix).unwrap_or(0),
            },
            quantization: u8::try_from(colours.range).unwrap_or(0),
            xfer_func: u8::try_from(colours.transfer).unwrap_or(0),
            reserved: [0; 7],
        };
        let mut planes = { pix.plane_fmt };
        for (raw, plane) in planes.iter_mut().zip(&format.planes) {
            raw.bytesperline = plane.bytes_per_line;
            raw.sizeimage = plane.size_bytes;
        }
        pix.plane_fmt = planes;
        raw.fmt.pix_mp = pix;
        return raw;
    }
    let plane = format.planes.first().copied().unwrap_or_default();
    raw.fmt.pix = sys::v4l2_pix_format {
        width: format.width,
        height: format.height,
        pixelformat: code,
        field: sys::v4l2_field_V4L2_FIELD_NONE,
        bytesperline: plane.bytes_per_line,
        sizeimage: plane.size_bytes,
        colorspace: colours.space,
        priv_: sys::V4L2_PIX_FMT_PRIV_MAGIC,
        flags: 0,
        __bindgen_anon_1: sys::v4l2_pix_format__bindgen_ty_1 { ycbcr_enc: colours.matrix },
        quantization: colours.range,
        xfer_func: colours.transfer,
    };
    raw
}
