//! A driver for tests that fails and lies on demand, and notices misuse.
//!
//! Owns: the books of a kernel driver: which buffers exist, who holds them, what is mapped. A tape
//! of bytes controls its behaviour at each call: 0, or the end of the tape, is good behaviour.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::control::{ControlId, ControlInfo, ControlType};
use super::driver::{
    BufferTime, BufferType, Capability, Dequeued, Driver, EncoderCommand, Filled, Interest,
    PLANES_MAX, PlaneRoom, Ready, Used,
};
use super::error::Call;
use super::format::{FourCc, FrameInterval, PixelColours, PixelFormat, PlaneFormat};

use crate::base::sync::lock;

/// The errnos that V4L2 documents, and some that drivers bring.
pub(crate) const ERRNOS: [i32; 16] = [
    libc::EINTR,
    libc::EAGAIN,
    libc::EBUSY,
    libc::EINVAL,
    libc::EIO,
    libc::ENODEV,
    libc::ENOMEM,
    libc::ENOSPC,
    libc::ENOTTY,
    libc::EPIPE,
    libc::EPROTO,
    libc::ENXIO,
    libc::EPERM,
    libc::EACCES,
    libc::ERANGE,
    libc::ETIMEDOUT,
];

/// What a camera can do: code, size, pictures per second.
pub(crate) type Mode = (FourCc, u32, u32, u32);

#[derive(Debug, Default)]
pub(crate) struct FakeState {
    /// What to do at the calls to come.
    pub(crate) tape: VecDeque<u8>,
    /// Fails the call of this kind, counted from 0, once with an errno.
    pub(crate) fault: Option<(Call, usize, i32)>,
    /// Calls so far that `fault` is about.
    seen: usize,
    /// Buffers there are, and whether the driver has them, oldest first.
    pub(crate) buffers: u32,
    pub(crate) lent: VecDeque<u32>,
    pub(crate) streaming: bool,
    pub(crate) maps: usize,
    /// What was done wrong.
    pub(crate) wrongs: Vec<String>,
    /// Pictures that are ready to be taken out.
    pub(crate) pictures: VecDeque<FakePicture>,
    /// What is in every plane, as far as it goes; zeros behind.
    pub(crate) content: Vec<u8>,
    /// What is in the planes of each buffer instead, one after the other.
    pub(crate) contents: Vec<Vec<u8>>,
    pub(crate) modes: Vec<Mode>,
    pub(crate) mode: Option<Mode>,
    pub(crate) colours: PixelColours,
    pub(crate) controls: Vec<(ControlInfo, i32)>,
    sequence: u32,
}

/// A picture as the fake camera gives it.
#[derive(Clone, Debug, Default)]
pub(crate) struct FakePicture {
    pub(crate) bytes: u32,
    pub(crate) skipped: u32,
    pub(crate) error: bool,
    pub(crate) stamp: BufferTime,
}

/// Bytes of a plane.
pub(crate) const ROOM: u32 = 1 << 16;

#[derive(Clone, Debug)]
pub(crate) struct Fake {
    state: Arc<Mutex<FakeState>>,
    planes: usize,
}

impl Fake {
    pub(crate) fn new(planes: usize) -> Self {
        Self { state: Arc::default(), planes }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, FakeState> {
        lock(&self.state)
    }

    /// Nothing is left behind and nothing was done wrong.
    #[track_caller]
    pub(crate) fn is_clean(&self) {
        let state = self.state();
        assert_eq!(state.wrongs, Vec::<String>::new());
        assert_eq!(state.maps, 0, "planes are still mapped");
    }
}

impl FakeState {
    /// The byte of the tape for this call.
    fn byte(&mut self) -> u8 {
        self.tape.pop_front().unwrap_or(0)
    }

    /// Whether this call fails; half of the bytes of the tape are good behaviour too.
    fn enter(&mut self, call: Call) -> io::Result<()> {
        if let Some((at, number, errno)) = self.fault
            && at == call
        {
            self.seen += 1;
            if self.seen == number + 1 {
                return Err(io::Error::from_raw_os_error(errno));
            }
        }
        match self.byte() {
            0..128 => Ok(()),
            byte => Err(io::Error::from_raw_os_error(ERRNOS[usize::from(byte) % ERRNOS.len()])),
        }
    }

    fn wrong(&mut self, what: String) {
        self.wrongs.push(what);
    }

    fn is_known(&mut self, index: u32, what: &str) -> io::Result<()> {
        if index < self.buffers {
            return Ok(());
        }
        self.wrong(format!("{what} of buffer {index} of {}", self.buffers));
        Err(io::Error::from_raw_os_error(libc::EINVAL))
    }
}

/// A mapped plane of the fake; counted.
pub(crate) struct FakeMap {
    state: Arc<Mutex<FakeState>>,
    bytes: Vec<u8>,
}

impl AsRef<[u8]> for FakeMap {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl AsMut<[u8]> for FakeMap {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl Drop for FakeMap {
    fn drop(&mut self) {
        lock(&self.state).maps -= 1;
    }
}

impl Driver for Fake {
    type Map = FakeMap;

    fn capability(&self) -> io::Result<Capability> {
        let flags = v4l::v4l_sys::V4L2_CAP_STREAMING | v4l::v4l_sys::V4L2_CAP_VIDEO_CAPTURE;
        Ok(Capability { card: "fake".to_owned(), flags, ..Capability::default() })
    }

    fn enum_format(&self, _: BufferType, index: u32) -> io::Result<FourCc> {
        let state = self.state();
        let mut codes: Vec<_> = state.modes.iter().map(|mode| mode.0).collect();
        codes.dedup();
        codes.get(index as usize).copied().ok_or(io::Error::from_raw_os_error(libc::EINVAL))
    }

    fn format(&self, kind: BufferType) -> io::Result<PixelFormat> {
        let mode = self.state().mode.ok_or(io::Error::from_raw_os_error(libc::EINVAL))?;
        self.set_format(kind, &PixelFormat::wish(mode.0, mode.1, mode.2, 1))
    }

    /// The mode of this code that is nearest in width, as drivers do it.
    fn set_format(&self, _: BufferType, format: &PixelFormat) -> io::Result<PixelFormat> {
        let mut state = self.state();
        let mode = state.modes.iter().copied();
        let mode = mode.min_by_key(|m| (m.0 != format.code, m.1.abs_diff(format.width)));
        let mode = mode.ok_or(io::Error::from_raw_os_error(libc::EINVAL))?;
        state.mode = Some(mode);
        let mut format = PixelFormat::wish(mode.0, mode.1, mode.2, 1);
        format.planes = vec![PlaneFormat { bytes_per_line: mode.1 * 2, size_bytes: ROOM }];
        format.colours = state.colours;
        Ok(format)
    }

    fn interval(&self, _: BufferType) -> io::Result<FrameInterval> {
        let mode = self.state().mode.ok_or(io::Error::from_raw_os_error(libc::EINVAL))?;
        Ok(FrameInterval::of_fps(mode.3))
    }

    fn set_interval(&self, kind: BufferType, _: FrameInterval) -> io::Result<FrameInterval> {
        self.interval(kind)
    }

    fn request_buffers(&self, _: BufferType, count: u32) -> io::Result<u32> {
        let mut state = self.state();
        state.enter(Call::RequestBuffers)?;
        if count == 0 && state.maps > 0 {
            state.wrong("buffers are given back while they are mapped".to_owned());
        }
        if state.streaming {
            return Err(io::Error::from_raw_os_error(libc::EBUSY));
        }
        let got = match state.byte() {
            _ if count == 0 => 0,
            0..112 => count,
            byte => u32::from(byte - 112),
        };
        state.buffers = got;
        state.lent.clear();
        Ok(got)
    }

    fn query_buffer(&self, _: BufferType, index: u32) -> io::Result<Vec<PlaneRoom>> {
        let mut state = self.state();
        state.enter(Call::QueryBuffer)?;
        state.is_known(index, "query")?;
        let planes = match state.byte() {
            0..120 => self.planes,
            byte => usize::from(byte) % 12,
        };
        let length = match state.byte() {
            0..=120 => ROOM,
            121 => 0,
            _ => u32::MAX,
        };
        Ok((0..planes).map(|_| PlaneRoom { length, offset: index }).collect())
    }

    fn map(&self, room: PlaneRoom) -> io::Result<FakeMap> {
        let mut state = self.state();
        state.enter(Call::Map)?;
        if room.length > ROOM {
            state.wrong(format!("{} bytes are mapped", room.length));
            return Err(io::Error::from_raw_os_error(libc::ENOMEM));
        }
        state.maps += 1;
        let own = room.offset as usize % state.contents.len().max(1);
        let mut bytes = state.contents.get(own).unwrap_or(&state.content).clone();
        bytes.resize(room.length as usize, 0);
        Ok(FakeMap { state: Arc::clone(&self.state), bytes })
    }

    fn queue_buffer(
        &self,
        kind: BufferType,
        index: u32,
        planes: usize,
        of: &Filled,
    ) -> io::Result<()> {
        let mut state = self.state();
        state.is_known(index, "queueing")?;
        if state.lent.contains(&index) {
            state.wrong(format!("buffer {index} is queued twice"));
        }
        if planes == 0 || planes > PLANES_MAX {
            state.wrong(format!("a buffer of {planes} planes is queued"));
        }
        if !kind.is_capture() && of.used[..planes.min(PLANES_MAX)].iter().any(|&used| used > ROOM) {
            state.wrong("more is used of a plane than it has".to_owned());
        }
        state.enter(Call::Queue)?;
        state.lent.push_back(index);
        Ok(())
    }

    fn dequeue_buffer(&self, kind: BufferType) -> io::Result<Dequeued> {
        let mut state = self.state();
        state.enter(Call::Dequeue)?;
        if !state.streaming {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        let lies = state.byte();
        if lies >= 120 {
            // Any index at all, ours or the driver's.
            let index = u32::from(state.byte()) % 40;
            state.lent.retain(|&lent| lent != index);
            let end = u32::from(state.byte()) << 24;
            let offset = u32::from(state.byte()) << 9;
            let planes = [Used { offset, end }; PLANES_MAX];
            let plane_count = u32::from(state.byte());
            return Ok(Dequeued { index, plane_count, planes, ..Dequeued::default() });
        }
        let again = || io::Error::from_raw_os_error(libc::EAGAIN);
        let picture = if kind.is_capture() {
            state.pictures.pop_front().ok_or_else(again)?
        } else {
            FakePicture::default()
        };
        let index = state.lent.pop_front().ok_or_else(again)?;
        state.sequence = state.sequence.wrapping_add(1 + picture.skipped);
        Ok(Dequeued {
            index,
            plane_count: u32::try_from(self.planes).unwrap_or(0),
            planes: [Used { offset: 0, end: picture.bytes }; PLANES_MAX],
            sequence: state.sequence,
            stamp: picture.stamp,
            error: picture.error,
            ..Dequeued::default()
        })
    }

    fn stream_on(&self, _: BufferType) -> io::Result<()> {
        let mut state = self.state();
        state.enter(Call::StreamOn)?;
        state.streaming = true;
        Ok(())
    }

    fn stream_off(&self, _: BufferType) -> io::Result<()> {
        let mut state = self.state();
        state.enter(Call::StreamOff)?;
        state.streaming = false;
        state.lent.clear();
        Ok(())
    }

    fn poll(&self, interest: Interest, timeout: Duration) -> io::Result<Ready> {
        let mut state = self.state();
        state.enter(Call::Poll)?;
        let error = state.byte() >= 120;
        let capture = interest.capture && !state.pictures.is_empty() && !state.lent.is_empty();
        if !capture && !interest.output && !error {
            drop(state);
            std::thread::sleep(timeout.min(Duration::from_millis(1)));
        }
        Ok(Ready { capture, output: interest.output, error })
    }

    fn query_control(&self, id: ControlId) -> io::Result<ControlInfo> {
        let state = self.state();
        let found = state.controls.iter().find(|(info, _)| info.id == id);
        found.map(|(info, _)| info.clone()).ok_or(io::Error::from_raw_os_error(libc::EINVAL))
    }

    fn next_control(&self, id: ControlId) -> io::Result<ControlInfo> {
        let state = self.state();
        let found = state.controls.iter().find(|(info, _)| info.id > id);
        found.map(|(info, _)| info.clone()).ok_or(io::Error::from_raw_os_error(libc::EINVAL))
    }

    fn menu_item(&self, _: ControlId, value: u32, _: bool) -> io::Result<String> {
        Ok(format!("item {value}"))
    }

    fn control(&self, id: ControlId) -> io::Result<i32> {
        let state = self.state();
        let found = state.controls.iter().find(|(info, _)| info.id == id);
        found.map(|(_, value)| *value).ok_or(io::Error::from_raw_os_error(libc::EINVAL))
    }

    fn set_control(&self, id: ControlId, value: i32) -> io::Result<()> {
        let mut state = self.state();
        let found = state.controls.iter_mut().find(|(info, _)| info.id == id);
        let found = found.ok_or(io::Error::from_raw_os_error(libc::EINVAL))?;
        found.1 = value;
        Ok(())
    }

    fn encoder_command(&self, _: EncoderCommand) -> io::Result<()> {
        Ok(())
    }
}

/// A control of the fake camera from `min` to `max`.
pub(crate) fn control(id: u32, name: &str, of: ControlType, min: i32, max: i32) -> ControlInfo {
    let (id, name) = (ControlId(id), name.to_owned());
    ControlInfo { id, name, of, min, max, step: 1, default: min, fixed: false, inactive: false }
}
