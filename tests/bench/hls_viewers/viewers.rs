//! Many viewers in one thread, which throws away what they are sent without copying it.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::net::RecvFlags;

use crate::mirror::PLAYLIST;

/// How often each asks for the playlist.
const PERIOD: Duration = Duration::from_secs(2);
/// Viewers that share an address, so that they stay below a server's limit for one.
const VIEWERS_PER_ADDRESS: usize = 100;
const WAIT: rustix::fs::Timespec = rustix::fs::Timespec { tv_sec: 0, tv_nsec: 2_000_000 };

/// What a stretch of watching came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told {
    pub segments: u32,
    pub bytes: u64,
    /// Answers other than 200, and connections that ended.
    pub failed: usize,
    pub p50_micros: u64,
    pub p99_micros: u64,
}

/// All of them.
pub struct Viewers {
    epoll: rustix::fd::OwnedFd,
    list: Vec<Viewer>,
    buffer: Vec<u8>,
    seen: Told,
    /// Microseconds from a segment's request to its last byte.
    whole_micros: Vec<u64>,
}

struct Viewer {
    socket: TcpStream,
    server: SocketAddr,
    /// Positions of names.
    base: &'static str,
    /// When it asks for the playlist next.
    due: Instant,
    /// The newest segment that it has had.
    newest: String,
    state: State,
}

enum State {
    Waits,
    /// Head and body as far as they are there.
    Playlist(Vec<u8>),
    Segment {
        asked: Instant,
        head: Vec<u8>,
        left: Option<u64>,
    },
    Ended,
}

impl Viewers {
    /// `count` viewers of what `server` has below `base`, who come in over one period.
    pub fn join(server: SocketAddr, base: &'static str, count: usize) -> Self {
        let epoll = epoll::create(epoll::CreateFlags::empty()).unwrap();
        let begin = Instant::now();
        let viewer = |number: usize| {
            let socket = connect(server, number);
            let data = EventData::new_u64(number as u64);
            epoll::add(&epoll, &socket, data, EventFlags::IN).unwrap();
            let after = PERIOD * u32::try_from(number).unwrap() / u32::try_from(count).unwrap();
            let (due, newest) = (begin + after, String::new());
            Viewer { socket, server, base, due, newest, state: State::Waits }
        };
        let list = (0..count).map(viewer).collect();
        let (seen, whole_micros) = (Told::default(), Vec::new());
        Self { epoll, list, buffer: vec![0; 256 << 10], seen, whole_micros }
    }

    /// Watches for `span`, and tells what came.
    pub fn watch(&mut self, span: Duration) -> Told {
        self.whole_micros.clear();
        self.seen = Told::default();
        let until = Instant::now() + span;
        let mut events = Vec::with_capacity(256);
        while Instant::now() < until {
            let now = Instant::now();
            for viewer in &mut self.list {
                if matches!(viewer.state, State::Waits) && viewer.due <= now {
                    viewer.due += PERIOD;
                    viewer.state = State::Playlist(Vec::new());
                    viewer.ask(PLAYLIST);
                }
            }
            events.clear();
            let spare = rustix::buffer::spare_capacity(&mut events);
            let _ = epoll::wait(&self.epoll, spare, Some(&WAIT));
            for event in &events {
                self.turn(usize::try_from(event.data.u64()).unwrap());
            }
        }
        self.whole_micros.sort_unstable();
        let at = |percent: usize| {
            let last = self.whole_micros.len().saturating_sub(1);
            self.whole_micros.get((last * percent).div_ceil(100)).copied().unwrap_or(0)
        };
        Told { p50_micros: at(50), p99_micros: at(99), ..self.seen }
    }

    /// Reads what there is for one.
    fn turn(&mut self, number: usize) {
        let viewer = &mut self.list[number];
        if !viewer.read(&mut self.buffer, &mut self.seen, &mut self.whole_micros) {
            self.seen.failed += 1;
            viewer.state = State::Ended;
            let _ = epoll::delete(&self.epoll, &viewer.socket);
        }
    }
}

fn connect(server: SocketAddr, number: usize) -> TcpStream {
    let host = u8::try_from(number / VIEWERS_PER_ADDRESS).unwrap() + 1;
    let local = IpAddr::from([127, 0, host, 1]);
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(local, 0).into()).unwrap();
    socket.connect(&server.into()).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket.into()
}

impl Viewer {
    fn ask(&mut self, name: &str) {
        let (base, host) = (self.base, self.server);
        let request = format!("GET {base}{name} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\n\r\n");
        // An error shows when the answer is read.
        let _ = self.socket.write_all(request.as_bytes());
    }

    /// Whether all is well.
    fn read(&mut self, buffer: &mut [u8], seen: &mut Told, whole: &mut Vec<u64>) -> bool {
        loop {
            let length = match &self.state {
                State::Segment { left: Some(left), .. } => {
                    let most = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
                    // TCP discards a truncated rest.
                    let read =
                        rustix::net::recv(&self.socket, &mut buffer[..most], RecvFlags::TRUNC);
                    read.map(|(length, _)| length).map_err(std::io::Error::from)
                }
                _ => self.socket.read(&mut buffer[..8_192]),
            };
            match length {
                Ok(0) => return false,
                Ok(length) => {
                    if !self.take(&buffer[..length], seen, whole) {
                        return false;
                    }
                    if matches!(self.state, State::Waits) {
                        return true;
                    }
                }
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
    }

    fn take(&mut self, bytes: &[u8], seen: &mut Told, whole: &mut Vec<u64>) -> bool {
        match &mut self.state {
            State::Playlist(answer) => {
                answer.extend_from_slice(bytes);
                let Some((body_at, length)) = head(answer) else { return is_well(answer) };
                if answer.len() as u64 == body_at as u64 + length {
                    let text = String::from_utf8(answer.split_off(body_at)).unwrap();
                    self.choose(&text);
                }
                true
            }
            State::Segment { asked, head: answer, left } => {
                let body = if let Some(left) = left {
                    *left -= bytes.len() as u64;
                    bytes.len() as u64
                } else {
                    answer.extend_from_slice(bytes);
                    let Some((body_at, length)) = head(answer) else { return is_well(answer) };
                    let body = (answer.len() - body_at) as u64;
                    *left = Some(length - body);
                    body
                };
                seen.bytes += body;
                if *left == Some(0) {
                    seen.segments += 1;
                    whole.push(u64::try_from(asked.elapsed().as_micros()).unwrap());
                    self.state = State::Waits;
                }
                true
            }
            State::Waits | State::Ended => false,
        }
    }

    /// Asks for the newest segment, if that is new.
    fn choose(&mut self, playlist: &str) {
        let mut names = playlist.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        self.state = State::Waits;
        let Some(newest) = names.next_back().filter(|newest| *newest != self.newest) else {
            return;
        };
        self.newest = newest.to_owned();
        self.state = State::Segment { asked: Instant::now(), head: Vec::new(), left: None };
        self.ask(newest);
    }
}

/// Where the body begins, and how long it is.
fn head(answer: &[u8]) -> Option<(usize, u64)> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&answer[..end]).unwrap();
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let length = lines.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    Some((end, length.expect("a length").1.trim().parse().unwrap()))
}

fn is_well(answer: &[u8]) -> bool {
    answer.len() < 8_192
}
