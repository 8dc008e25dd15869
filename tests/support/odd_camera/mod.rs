//! Cameras of one clip, each with an oddity of its own, over interleaved TCP.

#![allow(dead_code, unreachable_pub)] // each test uses its own part

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use holdfast::media::nal::annex_b;

use crate::harness::{ffmpeg, frames, run_well};

const PAYLOAD_MAX: usize = 1_200;
/// Seconds of the clip: more than any test watches.
const CLIP_SECS: &str = "40";
/// Seconds between the beginnings of NTP's and of Unix's time (RFC 868).
const NTP_EPOCH: u64 = 2_208_988_800;
const DAY: u64 = 86_400;
/// NAL unit types: the bits that hold them, and pieces of a unit (RFC 6184 §5.2).
const NAL_KIND: u8 = 0x1f;
const FU_A: u8 = 0x1c;

/// What is filmed: pictures of several slices, none like another.
pub struct Clip {
    /// The NAL units of each picture.
    pictures: Vec<Vec<Vec<u8>>>,
    /// The checksum of each decoded picture.
    pub sums: Vec<String>,
}

impl Clip {
    /// Pictures of three slices each, none like another.
    pub fn make() -> Self {
        let file = tempfile::Builder::new().suffix(".h264").tempfile().unwrap();
        let picture = format!("testsrc2=size=320x240:rate=25:duration={CLIP_SECS}");
        let mut command = ffmpeg();
        command.args(["-y", "-f", "lavfi", "-i", &picture, "-c:v", "libx264"]);
        command.args("-preset ultrafast -pix_fmt yuv420p -g 25 -bf 0 -crf 28".split(' '));
        command.args(["-x264-params", "slices=3:repeat-headers=1:scenecut=0", "-f", "h264"]);
        run_well(command.arg(file.path()), Duration::from_secs(120));
        let pictures = pictures(&std::fs::read(file.path()).unwrap());
        Self { pictures, sums: frames::of_file(file.path()) }
    }

    /// The pictures of `bytes`, H.264 in Annex B, without their checksums.
    pub fn of(bytes: &[u8]) -> Self {
        Self { pictures: pictures(bytes), sums: Vec::new() }
    }

    fn set(&self, kind: u8) -> String {
        let set = self.pictures[0].iter().find(|nal| nal[0] & NAL_KIND == kind).unwrap();
        base64::engine::general_purpose::STANDARD.encode(set)
    }
}

/// The NAL units of each picture.
fn pictures(bytes: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let mut pictures: Vec<Vec<Vec<u8>>> = Vec::new();
    let mut has_slice = true;
    for nal in annex_b(bytes) {
        let is_slice = matches!(nal[0] & NAL_KIND, 1 | 5);
        let begins = matches!(nal[0] & NAL_KIND, 6..=9) || is_slice && nal[1] & 0x80 != 0;
        if begins && has_slice {
            pictures.push(Vec::new());
            has_slice = false;
        }
        has_slice |= is_slice;
        pictures.last_mut().unwrap().push(nal.to_vec());
    }
    pictures
}

/// A packet before it is sent.
#[derive(Clone)]
struct Packet {
    kind: u8,
    ticks: u32,
    ssrc: u32,
    mark: bool,
    payload: Vec<u8>,
}

/// Starts a camera with `odd`; its port.
pub fn start(clip: Arc<Clip>, odd: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let clip = Arc::clone(&clip);
            std::thread::spawn(move || {
                // It ends when the box hangs up.
                let _ = converse(socket, &clip, odd);
            });
        }
    });
    port
}

fn converse(mut socket: TcpStream, clip: &Clip, odd: &str) -> std::io::Result<()> {
    let mut channels = HashMap::new();
    loop {
        let request = request(&mut socket)?;
        let header = |name: &str| {
            let lines = request.lines().filter_map(|line| line.split_once(": "));
            let mut found = lines.filter(|(own, _)| *own == name).map(|(_, value)| value);
            found.next().unwrap_or_default()
        };
        let mut words = request.split(' ');
        let (method, url) = (words.next().unwrap(), words.next().unwrap());
        let (mut more, mut body) = (String::from("Session: 7;timeout=60\r\n"), String::new());
        match method {
            "DESCRIBE" => {
                (more, body) = (format!("Content-Base: {url}/\r\n"), description(clip, odd));
            }
            "SETUP" => {
                let transport = header("Transport");
                let asked = transport.split("interleaved=").nth(1).unwrap_or("0");
                let channel: u8 = asked.split('-').next().unwrap().parse().unwrap();
                channels.insert(url.rsplit('/').next().unwrap().to_owned(), channel);
                more.extend(["Transport: ", transport, "\r\n"]);
            }
            _ => {}
        }
        let length = body.len();
        write!(
            socket,
            "RTSP/1.0 200 OK\r\nCSeq: {}\r\n{more}Content-Length: {length}\r\n\r\n{body}",
            header("CSeq")
        )?;
        if method == "PLAY" {
            return film(&mut socket, clip, odd, channels["track1"]);
        }
    }
}

fn request(socket: &mut TcpStream) -> std::io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8(head).unwrap())
}

fn description(clip: &Clip, odd: &str) -> String {
    let sets = match odd {
        "tells no parameter sets" => String::new(),
        _ => format!(";sprop-parameter-sets={},{}", clip.set(7), clip.set(8)),
    };
    let video = format!(
        "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n\
         a=fmtp:96 packetization-mode=1{sets}\r\na=control:track1\r\n"
    );
    let head = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n";
    let metadata = "m=application 0 RTP/AVP 107\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\n\
                    a=control:meta\r\n";
    match odd {
        "describes metadata first, two videos and sound that is not carried" => format!(
            "{head}{metadata}{video}m=video 0 RTP/AVP 98\r\na=rtpmap:98 H264/90000\r\n\
             a=control:track2\r\nm=audio 0 RTP/AVP 99\r\na=rtpmap:99 G726-32/8000\r\n\
             a=control:sound\r\n"
        ),
        _ => format!("{head}{video}"),
    }
}

/// The packets of picture `n`, as they should be.
fn packed(nals: &[Vec<u8>], n: usize) -> Vec<Packet> {
    let ticks = u32::try_from(123_456 + n * 3_600).unwrap();
    let mut packets = Vec::new();
    let mut push = |payload: Vec<u8>| {
        packets.push(Packet { kind: 96, ticks, ssrc: 0xabc, mark: false, payload });
    };
    for nal in nals {
        if nal.len() <= PAYLOAD_MAX {
            push(nal.clone());
            continue;
        }
        let parts = nal[1..].chunks(PAYLOAD_MAX).collect::<Vec<_>>();
        for (at, part) in parts.iter().enumerate() {
            let begin = u8::from(at == 0) << 7;
            let end = u8::from(at + 1 == parts.len()) << 6;
            push([&[nal[0] & 0xe0 | FU_A, begin | end | nal[0] & NAL_KIND], *part].concat());
        }
    }
    if let Some(last) = packets.last_mut() {
        last.mark = true;
    }
    packets
}

/// The parameter sets of `first`, a key frame, of the next level, in front of picture `n`.
fn higher_level(first: &[Vec<u8>], n: usize) -> Vec<Packet> {
    let is_set = |nal: &&Vec<u8>| matches!(nal[0] & NAL_KIND, 7 | 8);
    let mut sets: Vec<Vec<u8>> = first.iter().filter(is_set).cloned().collect();
    for sps in sets.iter_mut().filter(|nal| nal[0] & NAL_KIND == 7) {
        sps[3] += 1;
    }
    packed(&sets, n).into_iter().map(|packet| Packet { mark: false, ..packet }).collect()
}

/// The same as this camera sends them.
fn oddly(mut packets: Vec<Packet>, n: usize, odd: &str) -> Vec<Packet> {
    let group = u32::try_from(n / 25).unwrap();
    let ends_slice = |packet: &Packet| match packet.payload[0] & NAL_KIND {
        FU_A => packet.payload[1] & 0x40 != 0,
        kind => kind == 1 || kind == 5,
    };
    for (at, packet) in packets.iter_mut().enumerate() {
        match odd {
            "sets the marker bit on every packet" => packet.mark = true,
            "sets the marker bit on every slice" => packet.mark = ends_slice(packet),
            "never sets the marker bit" => packet.mark = false,
            "sends all time stamps as zero" => packet.ticks = 0,
            "has time stamps that stand still" => packet.ticks = packet.ticks.min(300_000),
            "leaps in time, forwards and back" => {
                packet.ticks = packet.ticks.wrapping_add((group / 2 % 2) * 3_600 * 90_000);
            }
            "changes its SSRC with each group of pictures" => packet.ssrc += group,
            "changes its SSRC with each packet" => {
                packet.ssrc = u32::try_from(n * 1_000 + at).unwrap();
            }
            _ => {}
        }
    }
    packets
}

/// What is put between the packets of a picture.
fn foreign(n: usize, odd: &str) -> Option<Packet> {
    let (kind, payload) = match odd {
        "sends sound that it does not describe" => (8, vec![0xd5; 160]),
        "sends slices of another payload type" => (97, vec![0x41, 0x9a, 1, 2, 3]),
        _ => return None,
    };
    let ticks = u32::try_from(n * 320).unwrap();
    Some(Packet { kind, ticks, ssrc: 0xabc, mark: false, payload })
}

fn film(socket: &mut TcpStream, clip: &Clip, odd: &str, channel: u8) -> std::io::Result<()> {
    let (begun, mut sequence) = (Instant::now(), 100_u16);
    for (n, nals) in clip.pictures.iter().enumerate() {
        let mut packets = oddly(packed(nals, n), n, odd);
        if odd == "changes a parameter set within a group of pictures" && n % 25 == 12 {
            packets.splice(..0, higher_level(&clip.pictures[0], n));
        }
        if n % 50 == 0 {
            socket.write_all(&report(&packets[0], channel + 1, odd))?;
        }
        packets.extend(foreign(n, odd));
        let mut framed: Vec<Vec<u8>> = Vec::new();
        for packet in &packets {
            framed.push(wired(packet, sequence, channel, odd));
            sequence = sequence.wrapping_add(1);
        }
        match odd {
            "sends packets twice" => {
                framed = framed.iter().flat_map(|p| [p.clone(), p.clone()]).collect();
            }
            "sends packets out of order" if n > 0 => framed.reverse(),
            _ => {}
        }
        if odd == "writes each packet by itself" {
            framed.iter().try_for_each(|packet| socket.write_all(packet))?;
        } else {
            socket.write_all(&framed.concat())?;
        }
        if odd == "hangs up after a second" && n == 25 {
            return Ok(());
        }
        let due = begun + Duration::from_millis(40) * u32::try_from(n + 1).unwrap();
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    Ok(())
}

fn framing(channel: u8, packet: &[u8]) -> Vec<u8> {
    let length = u16::try_from(packet.len()).unwrap().to_be_bytes();
    [&[b'$', channel], &length[..], packet].concat()
}

fn wired(packet: &Packet, sequence: u16, channel: u8, odd: &str) -> Vec<u8> {
    let is_full = odd == "pads its packets, extends their headers and names contributors";
    let first = if is_full { 0xb1 } else { 0x80 };
    let mut bytes = vec![first, u8::from(packet.mark) << 7 | packet.kind];
    bytes.extend_from_slice(&sequence.to_be_bytes());
    bytes.extend_from_slice(&packet.ticks.to_be_bytes());
    bytes.extend_from_slice(&packet.ssrc.to_be_bytes());
    if is_full {
        bytes.extend_from_slice(b"SRC1EX\0\x01EXT.");
    }
    bytes.extend_from_slice(&packet.payload);
    if is_full {
        bytes.extend_from_slice(b"\0\0\x03");
    }
    framing(channel, &bytes)
}

/// A sender report about what comes next.
fn report(next: &Packet, channel: u8, odd: &str) -> Vec<u8> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let wrong = if odd == "has a clock that is a day off" { DAY } else { 0 };
    let secs = u32::try_from(since.as_secs() + NTP_EPOCH - wrong).unwrap();
    let fraction = u32::try_from((u64::from(since.subsec_nanos()) << 32) / 1_000_000_000).unwrap();
    let mut bytes = vec![0x80, 200, 0, 6];
    for word in [next.ssrc, secs, fraction, next.ticks, 1, 1_000] {
        bytes.extend_from_slice(&word.to_be_bytes());
    }
    framing(channel, &bytes)
}
