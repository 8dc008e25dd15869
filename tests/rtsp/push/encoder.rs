//! An encoder that sends exactly what it is given, and the pictures it sends.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use holdfast::media::nal;

use crate::harness::daemon::Daemon;
use crate::harness::{ffmpeg, media, run_well};

/// An encoder of our own, which sends exactly what it is given.
pub(super) struct Encoder {
    pub(super) socket: BufReader<TcpStream>,
    pub(super) url: String,
    pub(super) cseq: u32,
    pub(super) session: String,
    pub(super) sequence: u16,
}

/// What phones announce: nothing that RFC 8866 demands but the medium, and no parameter sets.
pub(super) const PHONE: &str =
    "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:trackID=0\r\n";

impl Encoder {
    pub(super) fn new(daemon: &Daemon, path: &str) -> Self {
        let url = daemon.rtsp(path);
        let port = url.split(['/', ':']).nth(4).unwrap();
        let socket = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        socket.set_nodelay(true).unwrap();
        let (socket, session) = (BufReader::new(socket), String::new());
        Self { socket, url, cseq: 0, session, sequence: 65_500 }
    }

    /// Sends a request; its status and its headers.
    pub(super) fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> (u16, String) {
        self.cseq += 1;
        let (url, cseq, length) = (&self.url, self.cseq, body.len());
        let mut request = format!("{method} {url}{path} RTSP/1.0\r\nCSeq: {cseq}\r\n{headers}");
        if !self.session.is_empty() {
            request = format!("{request}Session: {}\r\n", self.session);
        }
        if !body.is_empty() {
            let kind = "Content-Type: application/sdp";
            request = format!("{request}{kind}\r\nContent-Length: {length}\r\n");
        }
        self.send(format!("{request}\r\n{body}").as_bytes());
        self.reply()
    }

    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.socket.get_mut().write_all(bytes).unwrap();
    }

    /// The next reply; reports between are skipped.
    pub(super) fn reply(&mut self) -> (u16, String) {
        while self.socket.fill_buf().unwrap().first() == Some(&b'$') {
            let mut head = [0; 4];
            self.socket.read_exact(&mut head).unwrap();
            let mut rest = vec![0; usize::from(u16::from_be_bytes([head[2], head[3]]))];
            self.socket.read_exact(&mut rest).unwrap();
        }
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(self.socket.read_line(&mut head).unwrap() > 0, "the box hung up: {head:?}");
        }
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        self.socket.read_exact(&mut body).unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), head)
    }

    pub(super) fn announce(&mut self) -> u16 {
        self.ask("ANNOUNCE", "", "", PHONE).0
    }

    /// All the way to RECORD, with this Transport; the headers of SETUP.
    pub(super) fn publish(&mut self, transport: &str) -> String {
        assert_eq!(self.announce(), 200);
        let transport = format!("Transport: {transport};mode=record\r\n");
        let (status, headers) = self.ask("SETUP", "/trackID=0", &transport, "");
        assert_eq!(status, 200, "{headers}");
        let session = headers.lines().find_map(|line| line.strip_prefix("Session: ")).unwrap();
        session.split(';').next().unwrap().clone_into(&mut self.session);
        assert_eq!(self.ask("RECORD", "", "Range: npt=0.000-\r\n", "").0, 200);
        headers
    }

    /// The RTP packets of one picture.
    pub(super) fn packets(&mut self, unit: &[Vec<u8>], time: u32) -> Vec<Vec<u8>> {
        let mut payloads: Vec<Vec<u8>> = Vec::new();
        for nal in unit {
            if nal.len() <= 1_200 {
                payloads.push(nal.clone());
                continue;
            }
            // FU-A, RFC 6184 §5.8.
            let pieces: Vec<&[u8]> = nal[1..].chunks(1_200).collect();
            for (at, piece) in pieces.iter().enumerate() {
                let start = if at == 0 { 0x80 } else { 0 };
                let end = if at + 1 == pieces.len() { 0x40 } else { 0 };
                let head = [nal[0] & 0xe0 | 0x1c, start | end | nal[0] & 0x1f];
                payloads.push([&head[..], piece].concat());
            }
        }
        let last = payloads.len() - 1;
        payloads
            .iter()
            .enumerate()
            .map(|(at, payload)| {
                let mut packet = vec![0x80, if at == last { 0xe0 } else { 0x60 }];
                packet.extend_from_slice(&self.sequence.to_be_bytes());
                packet.extend_from_slice(&time.to_be_bytes());
                packet.extend_from_slice(&[0, 0, 0, 7]);
                packet.extend_from_slice(payload);
                self.sequence = self.sequence.wrapping_add(1);
                packet
            })
            .collect()
    }

    /// Sends pictures inside the connection, 40 ms apart.
    pub(super) fn play(&mut self, units: &[Vec<Vec<u8>>]) {
        let begun = Instant::now();
        for (at, unit) in (0u32..).zip(units) {
            let packets = self.packets(unit, at.wrapping_mul(3_600).wrapping_sub(9_000));
            let framed: Vec<u8> = packets
                .iter()
                .flat_map(|packet| {
                    let length = u16::try_from(packet.len()).unwrap().to_be_bytes();
                    [&[b'$', 0][..], &length, packet].concat()
                })
                .collect();
            self.send(&framed);
            let due = Duration::from_millis(40) * (at + 1);
            std::thread::sleep(due.saturating_sub(begun.elapsed()));
        }
    }
}

/// The first `count` pictures of the H.264 medium, each as its NAL units, parameter sets before
/// the key frames.
pub(super) fn pictures(count: usize) -> Vec<Vec<Vec<u8>>> {
    let mut command = ffmpeg();
    command.arg("-i").arg(media().join("h264.mp4"));
    command.args(["-map", "0:v", "-frames:v", &count.to_string(), "-c", "copy"]);
    command.args(["-bsf:v", "h264_mp4toannexb", "-f", "h264", "-"]);
    let stream = run_well(&mut command, Duration::from_secs(60));
    let mut units = Vec::new();
    let mut unit: Vec<Vec<u8>> = Vec::new();
    for nal in nal::annex_b(&stream) {
        unit.push(nal.to_vec());
        // One slice per picture: the medium is made so.
        if matches!(nal[0] & 0x1f, 1 | 5) {
            units.push(std::mem::take(&mut unit));
        }
    }
    assert_eq!(units.len(), count);
    units
}
