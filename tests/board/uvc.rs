//! A webcam that a test plays: what it says of itself, what it answers, its pictures.
//!
//! Owns: the device side of the USB Video Class 1.0, with pictures over a bulk endpoint, which
//! knows no lost packets: a busy machine only makes it slow. Most webcams are isochronous; to a
//! reader of `/dev/video0` the two differ only in more damage.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::usb::{Asked, Identity, Setup, Wire};

/// Pictures per second.
pub(crate) const FPS: u32 = 5;
/// Their size.
pub(crate) const SIZE: (u16, u16) = (320, 240);
/// Frame interval in 100 ns, and bytes of a picture at most.
const INTERVAL: u32 = 10_000_000 / FPS;
const PICTURE_BYTES_MAX: u32 = 65_536;
/// Bytes of one transfer: as many as the driver asks for at once of a full-speed endpoint.
const PAYLOAD_BYTES: u32 = 32 * 64;
/// Position of the format's number in probe and commit, and the two formats.
const FORMAT: usize = 2;
const JPEG: u8 = 1;
const H264: u8 = 2;
/// How often pictures are checked while nothing is asked.
const LOOK: Duration = Duration::from_millis(20);

const IDENTITY: Identity = Identity {
    speed: 1,
    class: [0xef, 2, 1],
    ids: [0x1d6b, 0x0102],
    interfaces: &[[0x0e, 1, 0], [0x0e, 2, 0]],
    bulk: (0x81, 64),
};

/// What is wrong with the camera.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Health {
    /// Nothing.
    #[default]
    Well,
    /// It answers, and sends no pictures until it is configured anew.
    MuteUntilConfigured,
    /// The same until its port is reset.
    MuteUntilReset,
}

/// What the test and the camera share.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// JPEGs, shown by turns.
    pub(crate) film: Vec<Vec<u8>>,
    /// The same as access units of H.264, when that format is chosen.
    pub(crate) coded: Vec<Vec<u8>>,
    /// Shown once, before the film continues.
    pub(crate) next: VecDeque<Vec<u8>>,
    /// So many pictures are called damaged by the camera itself.
    pub(crate) damaged: u32,
    /// Whether it sends.
    pub(crate) health: Health,
    /// How often it was configured.
    pub(crate) configured: u32,
    /// Whether it was asked for H.264 last.
    pub(crate) encodes: bool,
    /// Pictures that were sent whole.
    pub(crate) shown: usize,
    unplugged: bool,
}

/// A camera in the board's port; dropped, it is pulled out.
#[derive(Debug)]
pub(crate) struct Webcam {
    state: Arc<Mutex<State>>,
    thread: Option<JoinHandle<()>>,
}

impl Webcam {
    /// Plugs one that shows `film` into the port behind `socket`.
    pub(crate) fn plug(socket: PathBuf, film: Vec<Vec<u8>>) -> Self {
        let state = Arc::new(Mutex::new(State { film, ..State::default() }));
        let shared = Arc::clone(&state);
        let thread = std::thread::spawn(move || Player::new(&socket, shared).play());
        Self { state, thread: Some(thread) }
    }

    /// What it does, and what was done to it.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Webcam {
    fn drop(&mut self) {
        self.state().unplugged = true;
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || matches!(ended, Some(Ok(()))), "the camera failed");
    }
}

/// The camera's own program.
struct Player {
    wire: Wire,
    state: Arc<Mutex<State>>,
    /// What the driver agreed on, in its wire form.
    agreed: Vec<u8>,
    /// Transfers that wait for data.
    waiting: VecDeque<(u32, usize)>,
    /// What remains to be sent of the current picture.
    payloads: VecDeque<Vec<u8>>,
    due: Instant,
    frame_id: u8,
}

impl Player {
    fn new(socket: &std::path::Path, state: Arc<Mutex<State>>) -> Self {
        Self {
            wire: Wire::plug(socket, &IDENTITY),
            state,
            agreed: agreement(),
            waiting: VecDeque::new(),
            payloads: VecDeque::new(),
            due: Instant::now(),
            frame_id: 0,
        }
    }

    fn play(mut self) {
        while !self.state.lock().unwrap().unplugged {
            match self.wire.asked(LOOK) {
                Some(Asked::Reset) => self.reset(),
                Some(Asked::Configured(which)) => self.configure(which),
                Some(Asked::Control(id, setup, data)) => {
                    let answer = self.answer(setup, &data);
                    self.wire.answer(id, setup, answer.as_deref());
                }
                Some(Asked::Bulk(id, length)) => self.waiting.push_back((id, length)),
                Some(Asked::Cancelled(id)) => self.waiting.retain(|(waits, _)| *waits != id),
                None => {}
            }
            self.show();
        }
    }

    fn reset(&mut self) {
        let mut state = self.state.lock().unwrap();
        state.health = Health::Well;
        self.payloads.clear();
    }

    fn configure(&mut self, which: u8) {
        let mut state = self.state.lock().unwrap();
        state.configured += u32::from(which > 0);
        if which > 0 && state.health == Health::MuteUntilConfigured {
            state.health = Health::Well;
        }
        self.payloads.clear();
    }

    fn answer(&mut self, setup: Setup, data: &[u8]) -> Option<Vec<u8>> {
        match (setup.kind, setup.request, setup.value >> 8) {
            // GET_DESCRIPTOR: device, configuration, strings (USB 2.0 §9.4.3).
            (0x80, 6, 1) => Some(device()),
            (0x80, 6, 2) => Some(configuration()),
            (0x80, 6, 3) => Some(string(setup.value & 0xff)),
            // GET_STATUS; CLEAR_FEATURE of an endpoint.
            (0x80..=0x82, 0, _) => Some(vec![0, 0]),
            (0x02, 1, _) => {
                self.payloads.clear();
                Some(Vec::new())
            }
            // SET_CUR of probe and commit: the format must exist, all else stays unchanged (UVC 1.0
            // §4.3.1.1).
            (0x21, 1, 1 | 2) if setup.index == 1 && data.len() == self.agreed.len() => {
                self.agreed[FORMAT] = data[FORMAT].clamp(JPEG, H264);
                Some(Vec::new())
            }
            // GET_CUR, GET_MIN, GET_MAX, GET_DEF; GET_LEN; GET_INFO.
            (0xa1, 0x81 | 0x82 | 0x83 | 0x87, 1 | 2) if setup.index == 1 => {
                Some(self.agreed.clone())
            }
            (0xa1, 0x85, 1 | 2) => {
                Some(u16::try_from(self.agreed.len()).unwrap().to_le_bytes().into())
            }
            (0xa1, 0x86, 1 | 2) => Some(vec![3]),
            _ => None,
        }
    }

    /// Sends what there is to those transfers that wait.
    fn show(&mut self) {
        let mut state = self.state.lock().unwrap();
        if state.health != Health::Well || self.waiting.is_empty() {
            return;
        }
        if self.payloads.is_empty() {
            if Instant::now() < self.due {
                return;
            }
            self.due = Instant::now() + Duration::from_secs(1) / FPS;
            let shown = state.shown;
            state.shown += 1;
            state.encodes = self.agreed[FORMAT] == H264;
            let film = if state.encodes { &state.coded } else { &state.film };
            let turn = film[shown % film.len()].clone();
            let picture = state.next.pop_front().unwrap_or(turn);
            self.frame_id ^= 1;
            let damaged = state.damaged > 0;
            state.damaged = state.damaged.saturating_sub(1);
            self.payloads = payloads(&picture, self.frame_id | u8::from(damaged) << 6);
        }
        while !self.payloads.is_empty()
            && let Some((id, length)) = self.waiting.pop_front()
        {
            let payload = self.payloads.pop_front().expect("it is not empty");
            assert!(payload.len() <= length, "a transfer of {length} bytes");
            self.wire.give(id, &payload);
        }
    }
}

/// A picture cut into transfers, each with its header (UVC 1.0 §2.4.3.3).
fn payloads(picture: &[u8], flags: u8) -> VecDeque<Vec<u8>> {
    let most = usize::try_from(PAYLOAD_BYTES).unwrap() - 2;
    let last = picture.len().div_ceil(most) - 1;
    let cut = picture.chunks(most).enumerate();
    let end = |n| if n == last { 0x02 } else { 0 };
    cut.map(|(n, part)| [&[2, 0x80 | end(n) | flags], part].concat()).collect()
}

/// The probe and commit control: format, first frame, its interval, its sizes.
fn agreement() -> Vec<u8> {
    let mut out = vec![1, 0, JPEG, 1];
    out.extend_from_slice(&INTERVAL.to_le_bytes());
    out.extend_from_slice(&[0; 10]);
    out.extend_from_slice(&PICTURE_BYTES_MAX.to_le_bytes());
    out.extend_from_slice(&PAYLOAD_BYTES.to_le_bytes());
    out
}

fn device() -> Vec<u8> {
    let [class, subclass, protocol] = IDENTITY.class;
    let [vendor, product] = IDENTITY.ids.map(u16::to_le_bytes);
    let mut out = vec![18, 1, 0x00, 0x02, class, subclass, protocol, 64];
    out.extend_from_slice(&[vendor, product, [0, 1], [1, 2]].concat());
    out.extend_from_slice(&[0, 1]);
    out
}

fn string(which: u16) -> Vec<u8> {
    let text = match which {
        0 => return vec![4, 3, 0x09, 0x04],
        1 => "Holdfast",
        _ => "Webcam of a test",
    };
    let text: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    [&[u8::try_from(text.len() + 2).unwrap(), 3], &text[..]].concat()
}

/// One configuration: a camera that gives MJPEG and H.264 of one size at one pace (UVC 1.0 §3, its
/// payloads MJPEG §3 and Frame Based §3).
fn configuration() -> Vec<u8> {
    let control = [
        // The camera, and the way from it to the bus.
        &[18, 0x24, 2, 1, 0x01, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0][..],
        &[9, 0x24, 3, 2, 0x01, 0x01, 0, 1, 0],
    ]
    .concat();
    let whole = u8::try_from(control.len() + 13).unwrap();
    let [width, height] = [SIZE.0, SIZE.1].map(u16::to_le_bytes);
    let bitrate = (PICTURE_BYTES_MAX * 8 * FPS).to_le_bytes();
    let (most, interval) = (PICTURE_BYTES_MAX.to_le_bytes(), INTERVAL.to_le_bytes());
    let rates = [bitrate, bitrate].concat();
    let formats = [
        &[11, 0x24, 6, JPEG, 1, 0, 1, 0, 0, 0, 0][..],
        &[30, 0x24, 7, 1, 0],
        &[width, height].concat(),
        &rates,
        &[most, interval].concat(),
        &[1],
        &interval,
        &[28, 0x24, 0x10, H264, 1],
        b"H264\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71",
        &[16, 1, 0, 0, 0, 0, 1],
        &[30, 0x24, 0x11, 1, 0],
        &[width, height].concat(),
        &rates,
        &interval,
        &[1, 0, 0, 0, 0],
        &interval,
    ]
    .concat();
    let stream = u8::try_from(formats.len() + 15).unwrap();
    let (endpoint, packet) = (IDENTITY.bulk.0, IDENTITY.bulk.1.to_le_bytes());
    let body = [
        &[8, 11, 0, 2, 0x0e, 3, 0, 2][..],
        &[9, 4, 0, 0, 0, 0x0e, 1, 0, 2],
        &[13, 0x24, 1, 0x00, 0x01, whole, 0, 0x80, 0x8d, 0x5b, 0, 1, 1],
        &control,
        &[9, 4, 1, 0, 1, 0x0e, 2, 0, 2],
        &[15, 0x24, 1, 2, stream, 0, endpoint, 0, 2, 0, 0, 0, 1, 0, 0],
        &formats,
        &[7, 5, endpoint, 2, packet[0], packet[1], 0],
    ]
    .concat();
    let length = u16::try_from(body.len() + 9).unwrap().to_le_bytes();
    [&[9, 2, length[0], length[1], 2, 1, 0, 0x80, 250], &body[..]].concat()
}
