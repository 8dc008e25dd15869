//! The floor: the barest recorder of the same cameras, in a process of its own.
//!
//! One thread for all of them. A socket that has something is read once, packets become NAL units in
//! a buffer, and once a second each camera's buffer is one write and one `fdatasync`. It keeps no
//! index, serves nobody, and forgives no camera anything; what it costs, nobody can do without.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use holdfast::base::secret::Secret;
use holdfast::base::time::BootTime;
use holdfast::wire::rtsp::client::{
    Carrier, ClientCommand, ClientConfig, ClientEvent, ClientSession, ClientStep, ClientTransport,
};
use rustix::event::{PollFd, PollFlags, poll};

use crate::harness::camera::{PASSWORD, USER};

/// Largest read.
const READ_BYTES: usize = 64 << 10;
/// NAL unit types of packets with several units, and of pieces of one (RFC 6184 §5.2).
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

/// One camera and its file.
struct Recorder {
    socket: TcpStream,
    /// Bytes that are no whole frame yet.
    input: Vec<u8>,
    units: Vec<u8>,
    file: File,
}

/// Records `streams` times the camera at `url` into `dir`, until it is killed.
pub(super) fn run(url: &str, streams: u32, dir: &Path) {
    let mut recorders: Vec<Recorder> =
        (0..streams).map(|n| Recorder::begin(url, &dir.join(format!("{n}.h264")))).collect();
    let mut synced = Instant::now();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let mut ready: Vec<PollFd<'_>> =
            recorders.iter().map(|one| PollFd::new(&one.socket, PollFlags::IN)).collect();
        let left = Duration::from_secs(1).saturating_sub(synced.elapsed());
        poll(&mut ready, Some(&left.try_into().unwrap())).unwrap();
        let ready: Vec<bool> = ready.iter().map(|one| !one.revents().is_empty()).collect();
        for (recorder, _) in recorders.iter_mut().zip(ready).filter(|(_, ready)| *ready) {
            let length = recorder.socket.read(&mut buffer).unwrap();
            assert!(length > 0, "the camera hung up");
            recorder.input.extend_from_slice(&buffer[..length]);
            recorder.unpack();
        }
        if synced.elapsed() >= Duration::from_secs(1) {
            recorders.iter_mut().for_each(Recorder::sync);
            synced = Instant::now();
        }
    }
}

impl Recorder {
    fn begin(url: &str, file: &Path) -> Self {
        let socket = dial(url);
        let (input, units) = (Vec::new(), Vec::new());
        Self { socket, input, units, file: File::create(file).unwrap() }
    }

    /// Takes whole frames out of the input.
    fn unpack(&mut self) {
        let mut at = 0;
        while let [b'$', channel, high, low, rest @ ..] = &self.input[at..] {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            let Some(packet) = rest.get(..length) else { break };
            if *channel == 0 && length > 12 {
                depacketize(&packet[12..], &mut self.units);
            }
            at += 4 + length;
        }
        self.input.drain(..at);
    }

    fn sync(&mut self) {
        self.file.write_all(&self.units).unwrap();
        self.file.sync_data().unwrap();
        self.units.clear();
    }
}

/// Adds the NAL units of one RTP payload, with start codes.
fn depacketize(payload: &[u8], units: &mut Vec<u8>) {
    match payload[0] & 31 {
        STAP_A => {
            let mut rest = &payload[1..];
            while let [high, low, behind @ ..] = rest {
                let length = usize::from(u16::from_be_bytes([*high, *low])).min(behind.len());
                units.extend_from_slice(&[0, 0, 0, 1]);
                units.extend_from_slice(&behind[..length]);
                rest = &behind[length..];
            }
        }
        FU_A => {
            if payload[1] & 0x80 != 0 {
                units.extend_from_slice(&[0, 0, 0, 1, payload[0] & 0xe0 | payload[1] & 31]);
            }
            units.extend_from_slice(&payload[2..]);
        }
        _ => {
            units.extend_from_slice(&[0, 0, 0, 1]);
            units.extend_from_slice(payload);
        }
    }
}

/// A connection to the camera that plays.
fn dial(url: &str) -> TcpStream {
    let config = ClientConfig {
        url: url.parse().unwrap(),
        credentials: Some((USER.to_owned(), Secret::new(PASSWORD))),
        carrier: Carrier::Direct,
        transports: vec![ClientTransport::Tcp],
        answer_time: Duration::from_secs(10),
        seed: 7,
    };
    let host = config.url.host_str().unwrap().to_owned();
    let now = BootTime::from_millis(1_000);
    let mut session = ClientSession::new(now, config);
    let mut socket = None;
    loop {
        match session.poll(now) {
            ClientStep::Send(bytes) => {
                let socket: &mut TcpStream = socket.as_mut().unwrap();
                socket.write_all(&bytes).unwrap();
            }
            ClientStep::Event(ClientEvent::Connect { port }) => {
                socket = Some(TcpStream::connect((host.as_str(), port)).unwrap());
                session.command(now, ClientCommand::Connected);
            }
            ClientStep::Event(ClientEvent::Described(_)) => {
                session.command(now, ClientCommand::SetUp(vec![0]));
            }
            ClientStep::Event(ClientEvent::Playing) => return socket.unwrap(),
            ClientStep::Event(ClientEvent::Ended(why)) => panic!("{why:?}"),
            ClientStep::Event(_) => {}
            ClientStep::Wait { .. } => {
                // A byte at a time, so that no media is read here.
                let mut byte = [0];
                socket.as_mut().unwrap().read_exact(&mut byte).unwrap();
                session.receive(&byte);
            }
        }
    }
}
