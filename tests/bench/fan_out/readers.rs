//! Many readers in one process and one thread: they parse every packet and time every picture.
//!
//! Says on standard output when a window of measurement begins, and what came of it; the parent
//! reads the server's processor time at these lines.

use std::io::Read;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use holdfast::base::time::{Clock, SystemClock};
use rustix::event::epoll;

use crate::client::{Joined, Way, join};
use crate::picture::{Pictures, Whole};

/// What to do.
#[derive(Clone, Debug)]
pub struct Plan {
    pub server: SocketAddr,
    pub way: Way,
    /// Whether the server speaks RTSP; the floor does not.
    pub speaks: bool,
    pub count: usize,
    /// Readers that come in for the second of three windows and then read nothing.
    pub stalled: usize,
    /// Pause between two that join.
    pub pause: Duration,
    pub window: Duration,
}

/// From the last join to the first window: buffers have grown, backlogs are gone.
const WARM_UP: Duration = Duration::from_millis(2_500);
const WAIT: rustix::fs::Timespec = rustix::fs::Timespec { tv_sec: 0, tv_nsec: 2_000_000 };

struct Reader {
    joined: Joined,
    /// The beginning of a frame whose rest has not come.
    rest: Vec<u8>,
    pictures: Pictures,
    /// From PLAY to the first whole key frame.
    first: Option<Duration>,
    ended: bool,
}

struct Readers {
    epoll: rustix::fd::OwnedFd,
    list: Vec<Reader>,
    buffer: Vec<u8>,
    /// Microseconds from publication to the last packet, in this window.
    late_micros: Vec<u64>,
}

/// Runs the plan to its end.
pub fn run(plan: &Plan) {
    let mut readers = Readers {
        epoll: epoll::create(epoll::CreateFlags::empty()).unwrap(),
        list: Vec::new(),
        buffer: vec![0; 512 << 10],
        late_micros: Vec::new(),
    };
    let joining = begin_joining(plan, 0, plan.count);
    while readers.list.len() < plan.count {
        for joined in joining.try_iter() {
            readers.add(joined);
        }
        readers.turn();
    }
    readers.go_on(WARM_UP);
    readers.window(plan.window);
    if plan.stalled > 0 {
        let joining = begin_joining(plan, plan.count, plan.stalled);
        readers.go_on(plan.pause * u32::try_from(plan.stalled).unwrap() + WARM_UP);
        let stalled: Vec<Joined> = joining.try_iter().collect();
        assert_eq!(stalled.len(), plan.stalled, "not all joined in time");
        readers.window(plan.window);
        // Until the server has cut them.
        readers.go_on(Duration::from_secs(10));
        readers.window(plan.window);
        let cut = stalled.iter().filter(|joined| is_cut(joined)).count();
        println!("cut {cut}");
    }
    readers.tell_first();
}

fn begin_joining(plan: &Plan, from: usize, count: usize) -> Receiver<Joined> {
    let (sender, receiver) = mpsc::channel();
    let plan = plan.clone();
    std::thread::spawn(move || {
        for number in from..from + count {
            let joined = join(plan.server, number, plan.way, plan.speaks);
            if sender.send(joined).is_err() {
                return;
            }
            std::thread::sleep(plan.pause);
        }
    });
    receiver
}

/// Whether the server has reset the connection; what it sent before is read first.
fn is_cut(joined: &Joined) -> bool {
    let mut buffer = [0; 16 << 10];
    loop {
        match (&joined.control).read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }
}

impl Readers {
    fn add(&mut self, joined: Joined) {
        let data = epoll::EventData::new_u64(self.list.len() as u64);
        let flags = epoll::EventFlags::IN;
        match &joined.media {
            None => epoll::add(&self.epoll, &joined.control, data, flags).unwrap(),
            Some((rtp, _)) => epoll::add(&self.epoll, rtp, data, flags).unwrap(),
        }
        let (rest, pictures) = (Vec::new(), Pictures::default());
        self.list.push(Reader { joined, rest, pictures, first: None, ended: false });
    }

    fn go_on(&mut self, span: Duration) {
        let until = Instant::now() + span;
        while Instant::now() < until {
            self.turn();
        }
    }

    /// Measures for `span` and tells.
    fn window(&mut self, span: Duration) {
        self.late_micros.clear();
        self.list.iter_mut().for_each(|reader| reader.pictures.begin_window());
        println!("begin");
        self.go_on(span);
        let sum = |of: fn(&Pictures) -> u64| -> u64 {
            self.list.iter().map(|reader| of(&reader.pictures)).sum()
        };
        let (pictures, packets) = (sum(|it| it.lost), sum(|it| it.lost_packets));
        let ended = self.list.iter().filter(|reader| reader.ended).count();
        let late = &mut self.late_micros;
        late.sort_unstable();
        println!(
            "end {} {pictures} {packets} {} {} {ended}",
            late.len(),
            percentile(late, 50),
            percentile(late, 99)
        );
    }

    fn tell_first(&self) {
        let mut first: Vec<u64> =
            self.list.iter().filter_map(|reader| reader.first).map(micros).collect();
        first.sort_unstable();
        println!("first {} {} {}", first.len(), percentile(&first, 50), percentile(&first, 99));
    }

    /// Reads what there is.
    fn turn(&mut self) {
        let mut events = Vec::with_capacity(256);
        let _ = epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&WAIT));
        for event in events {
            let at = usize::try_from(event.data.u64()).unwrap();
            let reader = &mut self.list[at];
            if !reader.read(&mut self.buffer, &mut self.late_micros) {
                reader.ended = true;
                let _ = epoll::delete(&self.epoll, &reader.joined.control);
            }
        }
    }
}

impl Reader {
    /// Takes the result of one or more reads; returns whether the connection continues.
    fn read(&mut self, buffer: &mut [u8], late_micros: &mut Vec<u64>) -> bool {
        let Self { joined, rest, pictures, first, .. } = self;
        let asked = joined.asked;
        let mut seen = |whole: Whole| {
            if first.is_none() && whole.key {
                *first = Some(asked.elapsed());
            }
            let late = SystemClock.boot().as_nanos().saturating_sub(whole.published_nanos);
            late_micros.push(late / 1_000);
        };
        match &joined.media {
            None => read_tcp(&joined.control, rest, buffer, |packet| {
                pictures.packet(packet).map(&mut seen);
            }),
            Some((rtp, _)) => {
                read_udp(rtp, buffer, |packet| {
                    pictures.packet(packet).map(&mut seen);
                });
                true
            }
        }
    }
}

fn read_udp(socket: &UdpSocket, buffer: &mut [u8], mut packet: impl FnMut(&[u8])) {
    while let Ok(length) = socket.recv(buffer) {
        packet(&buffer[..length]);
    }
}

fn read_tcp(
    mut socket: &TcpStream,
    rest: &mut Vec<u8>,
    buffer: &mut [u8],
    mut packet: impl FnMut(&[u8]),
) -> bool {
    let kept = rest.len();
    buffer[..kept].copy_from_slice(rest);
    let end = match socket.read(&mut buffer[kept..]) {
        Ok(0) => return false,
        Ok(length) => kept + length,
        Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
    };
    let mut left = &buffer[..end];
    while let Some((frame, behind)) = split(left) {
        if let Some(bytes) = frame {
            packet(bytes);
        }
        left = behind;
    }
    rest.clear();
    rest.extend_from_slice(left);
    true
}

/// The first packet of RTP, or nothing for a reply or RTCP, and what follows; `None` while the
/// rest of it is missing.
fn split(bytes: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    if *bytes.first()? != b'$' {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        return Some((None, &bytes[end..]));
    }
    let length = usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]));
    let packet = bytes.get(4..4 + length)?;
    Some(((bytes[1] == 0).then_some(packet), &bytes[4 + length..]))
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap()
}

fn percentile(sorted: &[u64], percent: usize) -> u64 {
    sorted.get(sorted.len() * percent / 100).or(sorted.last()).copied().unwrap_or(0)
}
