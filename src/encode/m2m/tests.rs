//! A board's encoder that is openh264 behind the books of a driver: padded lines, parameter sets in
//! a buffer of their own, calls that fail, pictures that never come out.

use std::collections::VecDeque;
use std::sync::Mutex;

use super::*;
use crate::encode::h264::SoftwareEncoder;
use crate::encode::{Colours, Matrix};
use crate::media::nal;
use crate::v4l2::{
    Capability, ControlInfo, Dequeued, EncoderCommand, PlaneFormat, PlaneRoom, Ready,
};

const ROOM: u32 = 1 << 18;

/// What the fake is like.
#[derive(Clone, Copy, Debug)]
struct Manner {
    code: FourCc,
    /// Lines and columns are padded to multiples of it.
    align: u32,
    /// Whether parameter sets come in a buffer of their own.
    is_separate: bool,
    /// The call that fails from then on, counted from the first.
    fails_from: usize,
    /// Pictures that come out; then none does.
    alive: usize,
}

const KIND: Manner = Manner {
    code: FourCc::YUV420,
    align: 32,
    is_separate: true,
    fails_from: usize::MAX,
    alive: usize::MAX,
};

struct Fake {
    manner: Manner,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    calls: usize,
    format: Option<RawFormat>,
    software: Option<SoftwareEncoder>,
    key: bool,
    /// The memory of raw and of coded buffers.
    planes: [Vec<Memory>; 2],
    raw_done: VecDeque<u32>,
    coded_free: VecDeque<u32>,
    coded_done: VecDeque<Dequeued>,
    waiting: VecDeque<(Vec<u8>, Duration)>,
    controls: Vec<(u32, i32)>,
    encoded: usize,
}

impl Fake {
    fn new(manner: Manner) -> Arc<Self> {
        Arc::new(Self { manner, state: Mutex::default() })
    }

    fn enter(&self) -> io::Result<std::sync::MutexGuard<'_, State>> {
        let mut state = self.state.lock().unwrap();
        state.calls += 1;
        if state.calls > self.manner.fails_from {
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        Ok(state)
    }

    fn padded(&self, side: u32) -> u32 {
        side.next_multiple_of(self.manner.align)
    }
}

impl State {
    /// Reads the picture out of its padding, encodes it, and puts what comes out in line.
    fn encode(&mut self, manner: Manner, index: u32, filled: &Filled) {
        self.raw_done.push_back(index);
        self.encoded += 1;
        if self.encoded > manner.alive {
            return;
        }
        let format = self.format.unwrap();
        let picture = unpadded(self.planes[0][index as usize].bytes(), manner, format);
        let software = self.software.as_mut().unwrap();
        let key = std::mem::take(&mut self.key);
        let coded = software.encode(&picture, filled.at, key).unwrap().unwrap();
        let sets = coded
            .sets
            .map(|(sps, pps)| nal::to_annex_b(&nal::length_prefixed([sps.as_ref(), pps.as_ref()])));
        let mut sets = sets.unwrap_or_default();
        let picture = nal::to_annex_b(&coded.data);
        if manner.is_separate && !sets.is_empty() {
            self.waiting.push_back((sets, filled.at));
            sets = Vec::new();
        }
        sets.extend(picture);
        self.waiting.push_back((sets, filled.at));
        self.hand_out();
    }

    fn hand_out(&mut self) {
        while !self.waiting.is_empty() && !self.coded_free.is_empty() {
            let ((bytes, at), index) =
                (self.waiting.pop_front().unwrap(), self.coded_free.pop_front().unwrap());
            self.planes[1][index as usize].bytes()[..bytes.len()].copy_from_slice(&bytes);
            let mut done = Dequeued { index, plane_count: 1, ..Dequeued::default() };
            done.planes[0].end = u32::try_from(bytes.len()).unwrap();
            done.stamp = BufferTime::Copied(at);
            self.coded_done.push_back(done);
        }
    }
}

fn unpadded(raw: &[u8], manner: Manner, format: RawFormat) -> Picture {
    let mut picture = Picture::black(format.width, format.height);
    let stride = format.width.next_multiple_of(manner.align) as usize;
    let lines = format.height.next_multiple_of(manner.align) as usize;
    let (luma, chroma) = raw.split_at(stride * lines);
    let width = picture.width();
    let (y, u, v) = picture.planes_mut();
    for (target, line) in y.chunks_exact_mut(width).zip(luma.chunks_exact(stride)) {
        target.copy_from_slice(&line[..width]);
    }
    for (n, (u, v)) in u.chunks_exact_mut(width / 2).zip(v.chunks_exact_mut(width / 2)).enumerate()
    {
        for x in 0..width / 2 {
            (u[x], v[x]) = if manner.code == FourCc::NV12 {
                (chroma[n * stride + 2 * x], chroma[n * stride + 2 * x + 1])
            } else {
                let at = n * stride / 2 + x;
                (chroma[at], chroma[stride / 2 * lines / 2 + at])
            };
        }
    }
    picture
}

/// Memory shared with the driver, as a mapped buffer is; it is never freed.
#[derive(Clone, Copy)]
struct Memory(usize);

impl Memory {
    fn new() -> Self {
        Self(Box::leak(vec![0u8; ROOM as usize].into_boxed_slice()).as_mut_ptr() as usize)
    }

    #[allow(unsafe_code, clippy::mut_from_ref)] // this is what a mapped buffer is
    fn bytes(&self) -> &mut [u8] {
        // SAFETY: it is leaked and of this size, and a buffer is the driver's or ours, never both.
        unsafe { std::slice::from_raw_parts_mut(self.0 as *mut u8, ROOM as usize) }
    }
}

struct FakeMap(Memory);

impl AsRef<[u8]> for FakeMap {
    fn as_ref(&self) -> &[u8] {
        self.0.bytes()
    }
}

impl AsMut<[u8]> for FakeMap {
    fn as_mut(&mut self) -> &mut [u8] {
        self.0.bytes()
    }
}

impl Driver for Fake {
    type Map = FakeMap;

    fn capability(&self) -> io::Result<Capability> {
        drop(self.enter()?);
        let flags = sys::V4L2_CAP_STREAMING | sys::V4L2_CAP_VIDEO_M2M_MPLANE;
        Ok(Capability { flags, ..Capability::default() })
    }

    fn enum_format(&self, kind: BufferType, index: u32) -> io::Result<FourCc> {
        let own = if kind.is_capture() { FourCc::H264 } else { self.manner.code };
        [FourCc(*b"RGB3"), own]
            .get(index as usize)
            .copied()
            .ok_or(io::ErrorKind::InvalidInput.into())
    }

    fn format(&self, _: BufferType) -> io::Result<Pixels> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn set_format(&self, kind: BufferType, format: &Pixels) -> io::Result<Pixels> {
        let mut state = self.enter()?;
        let mut got = format.clone();
        if !kind.is_capture() {
            state.format = Some(RawFormat {
                width: format.width,
                height: format.height,
                fps: 25.0,
                colours: Colours::of_v4l2(format.colours),
            });
            (got.width, got.height) = (format.width, self.padded(format.height));
            let bytes_per_line = self.padded(format.width);
            got.planes = vec![PlaneFormat { bytes_per_line, size_bytes: ROOM }];
        }
        Ok(got)
    }

    fn interval(&self, _: BufferType) -> io::Result<FrameInterval> {
        Ok(FrameInterval::of_fps(25))
    }

    fn set_interval(&self, _: BufferType, interval: FrameInterval) -> io::Result<FrameInterval> {
        Ok(interval)
    }

    fn request_buffers(&self, kind: BufferType, count: u32) -> io::Result<u32> {
        let mut state = self.enter()?;
        let planes = &mut state.planes[usize::from(kind.is_capture())];
        *planes = (0..count).map(|_| Memory::new()).collect();
        Ok(count)
    }

    fn query_buffer(&self, kind: BufferType, index: u32) -> io::Result<Vec<PlaneRoom>> {
        drop(self.enter()?);
        Ok(vec![PlaneRoom { length: ROOM, offset: index * 2 + u32::from(kind.is_capture()) }])
    }

    fn map(&self, room: PlaneRoom) -> io::Result<FakeMap> {
        let state = self.enter()?;
        Ok(FakeMap(state.planes[room.offset as usize % 2][room.offset as usize / 2]))
    }

    fn queue_buffer(
        &self,
        kind: BufferType,
        index: u32,
        _: usize,
        filled: &Filled,
    ) -> io::Result<()> {
        let mut state = self.enter()?;
        if kind.is_capture() {
            state.coded_free.push_back(index);
            state.hand_out();
        } else {
            let whole = self.padded(state.format.unwrap().width)
                * self.padded(state.format.unwrap().height)
                * 3
                / 2;
            assert_eq!(filled.used[0], whole, "the padding is part of the picture");
            state.encode(self.manner, index, filled);
        }
        Ok(())
    }

    fn dequeue_buffer(&self, kind: BufferType) -> io::Result<Dequeued> {
        let mut state = self.enter()?;
        let raw = |index| Dequeued { index, plane_count: 1, ..Dequeued::default() };
        let done = if kind.is_capture() {
            state.coded_done.pop_front()
        } else {
            state.raw_done.pop_front().map(raw)
        };
        done.ok_or(io::ErrorKind::WouldBlock.into())
    }

    fn stream_on(&self, kind: BufferType) -> io::Result<()> {
        let mut state = self.enter()?;
        if !kind.is_capture() {
            let settings = EncoderSettings { bitrate_bps: 300_000, ..EncoderSettings::default() };
            state.software = Some(SoftwareEncoder::new(&settings, state.format.unwrap()).unwrap());
        }
        Ok(())
    }

    fn stream_off(&self, _: BufferType) -> io::Result<()> {
        Ok(())
    }

    fn poll(&self, _: Interest, timeout: Duration) -> io::Result<Ready> {
        drop(self.enter()?);
        std::thread::sleep(timeout.min(Duration::from_millis(20)));
        Ok(Ready::default())
    }

    fn query_control(&self, _: ControlId) -> io::Result<ControlInfo> {
        Err(io::ErrorKind::InvalidInput.into())
    }

    fn next_control(&self, _: ControlId) -> io::Result<ControlInfo> {
        Err(io::ErrorKind::InvalidInput.into())
    }

    fn menu_item(&self, _: ControlId, _: u32, _: bool) -> io::Result<String> {
        Err(io::ErrorKind::InvalidInput.into())
    }

    fn control(&self, _: ControlId) -> io::Result<i32> {
        Err(io::ErrorKind::InvalidInput.into())
    }

    fn set_control(&self, id: ControlId, value: i32) -> io::Result<()> {
        let mut state = self.enter()?;
        state.key |= id.0 == sys::V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME;
        state.controls.push((id.0, value));
        Ok(())
    }

    fn encoder_command(&self, _: EncoderCommand) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

const SIZE: RawFormat = RawFormat { width: 180, height: 100, fps: 25.0, colours: Colours::BT709 };

fn start(fake: &Arc<Fake>) -> Result<M2m<Fake>, M2mError> {
    M2m::start(Arc::clone(fake), &EncoderSettings::default(), SIZE)
}

/// A picture whose colours say where its padding is, when it is taken for pixels.
fn picture(n: u8) -> Picture {
    let mut picture = Picture::black(SIZE.width, SIZE.height);
    picture.fill(0, 0, 180, 100, [100, 60, 200]);
    picture.fill(usize::from(n) * 4, 10, 20, 20, [220, 128, 128]);
    picture
}

fn at(n: u8) -> Duration {
    Duration::from_millis(u64::from(n) * 40)
}

/// The mean of each plane of an H.264 key frame.
fn means(coded: &Encoded, sets: &(bytes::Bytes, bytes::Bytes)) -> [u32; 3] {
    use openh264::formats::YUVSource;
    let mut stream = nal::to_annex_b(&nal::length_prefixed([sets.0.as_ref(), sets.1.as_ref()]));
    stream.extend(nal::to_annex_b(&coded.data));
    let mut decoder = openh264::decoder::Decoder::new().unwrap();
    let picture = decoder.decode(&stream).unwrap().unwrap();
    assert_eq!(picture.dimensions(), (180, 100));
    let mean = |plane: &[u8], stride: usize, (width, lines): (usize, usize)| {
        let pixels = plane.chunks(stride).take(lines).flat_map(|line| &line[..width]);
        pixels.map(|&pixel| u32::from(pixel)).sum::<u32>() / u32::try_from(width * lines).unwrap()
    };
    let (y, u, v) = picture.strides();
    [
        mean(picture.y(), y, (180, 100)),
        mean(picture.u(), u, (90, 50)),
        mean(picture.v(), v, (90, 50)),
    ]
}

#[test]
fn pictures_go_through_padding_and_keep_their_colours() {
    for code in [FourCc::YUV420, FourCc::NV12] {
        for align in [2, 16, 32, 64] {
            let fake = Fake::new(Manner { code, align, ..KIND });
            let mut board = start(&fake).unwrap();
            let coded = board.encode(&picture(0), at(0), false).unwrap().unwrap();
            let [y, u, v] = means(&coded, coded.sets.as_ref().unwrap());
            let near = |got: u32, wanted: u32| got.abs_diff(wanted) <= 3;
            assert!(near(y, 102) && near(u, 61) && near(v, 198), "{code} {align}: {y} {u} {v}");
        }
    }
}

#[test]
fn key_frames_are_forced_and_sets_come_alone_or_not() {
    for is_separate in [true, false] {
        let fake = Fake::new(Manner { is_separate, ..KIND });
        let mut board = start(&fake).unwrap();
        let keys: Vec<bool> = (0..8)
            .map(|n| board.encode(&picture(n), at(n), n == 5).unwrap().unwrap())
            .map(|coded| coded.key && coded.sets.is_some())
            .collect();
        assert_eq!(keys, [true, false, false, false, false, true, false, false]);
        let state = fake.state.lock().unwrap();
        let repeat = sys::V4L2_CID_MPEG_VIDEO_REPEAT_SEQ_HEADER;
        assert!(state.controls.contains(&(repeat, 0)));
    }
}

#[test]
fn the_driver_is_told_how_colours_are_meant() {
    let colours = Colours { matrix: Matrix::Bt601, full_range: true, ..Colours::BT709 };
    let fake = Fake::new(KIND);
    let format = RawFormat { colours, ..SIZE };
    M2m::start(Arc::clone(&fake), &EncoderSettings::default(), format).unwrap();
    assert_eq!(fake.state.lock().unwrap().format.unwrap().colours, colours);
}

#[test]
fn an_encoder_that_hangs_is_given_up() {
    let fake = Fake::new(Manner { alive: 2, ..KIND });
    let mut board = start(&fake).unwrap();
    for n in 0..2 {
        board.encode(&picture(n), at(n), false).unwrap();
    }
    let error = board.encode(&picture(2), at(2), false).unwrap_err();
    assert!(matches!(error, M2mError::Hangs { .. }), "{error}");
}

#[test]
fn a_call_that_fails_is_an_error_wherever_it_is() {
    let mut whole = 0;
    for fails_from in 0..200 {
        let fake = Fake::new(Manner { fails_from, ..KIND });
        let Ok(mut board) = start(&fake) else { continue };
        let encoded = (0..4).all(|n| board.encode(&picture(n), at(n), false).is_ok());
        whole += usize::from(encoded);
    }
    assert!(whole > 0, "it works when nothing fails");
}

#[test]
fn what_no_picture_fits_in_is_refused() {
    let got = |code, width, height, line, planes| {
        let mut got = Pixels::wish(code, width, height, planes);
        got.planes.iter_mut().for_each(|plane| plane.bytes_per_line = line);
        PlaneLayout::of(&got, SIZE).err()
    };
    assert!(got(FourCc::YUV420, 180, 100, 192, 1).is_none());
    assert!(matches!(got(FourCc::YUV420, 160, 100, 192, 1), Some(M2mError::Size { .. })));
    assert!(matches!(got(FourCc::YUV420, 180, 96, 192, 1), Some(M2mError::Size { .. })));
    assert!(matches!(got(FourCc::YUV420, 180, 100, 1 << 31, 1), Some(M2mError::Size { .. })));
    assert!(matches!(got(FourCc::YUV420, 180, 100, 192, 3), Some(M2mError::Pixels { .. })));
    assert!(matches!(got(FourCc::YUYV, 180, 100, 360, 1), Some(M2mError::Pixels { .. })));
}

proptest::proptest! {
    #[test]
    fn no_buffer_is_too_small_to_write_to(
        room in 0usize..40_000, stride in 180u32..300, lines in 100u32..140, nv12: bool,
    ) {
        let code = if nv12 { FourCc::NV12 } else { FourCc::YUV420 };
        let mut got = Pixels::wish(code, 180, lines, 1);
        got.planes[0].bytes_per_line = stride;
        let layout = PlaneLayout::of(&got, SIZE).unwrap();
        let mut buffer = vec![0; room];
        let filled = layout.write(&picture(0), &mut [&mut buffer], at(0));
        proptest::prop_assert!(filled.used[0] as usize <= room);
        layout.write(&picture(0), &mut [], at(0));
    }
}
