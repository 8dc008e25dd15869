//! What RTSP readers get first, and what slow ones cost the others.
//!
//! The stream is made here: pictures of known sizes, a key frame each second, sound beside them.
//! Nothing decodes them; only the content of the packets counts.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use holdfast::base::Stop;
use holdfast::base::limits::RTSP_LAG_BYTES_MAX;
use holdfast::base::time::{Clock, MediaTime, SystemClock};
use holdfast::live::StreamOutputs;
use holdfast::media::codec::Law;
use holdfast::media::nal::length_prefixed;
use holdfast::media::{
    AccessUnit, Captured, ClockSource, CodecParams, Entry, RunId, TrackId, Tracks,
};
use holdfast::stream::Stream;
use holdfast::supervise::Supervisor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};

const FRAME: Duration = Duration::from_millis(40);
const PATIENCE: Duration = Duration::from_secs(60);
const SPS: &[u8] = &[0x67, 0x64, 0x00, 0x33, 0xac, 0x15, 0x14, 0xa0, 0xa0, 0x2f, 0xf9, 0x50];
const PPS: &[u8] = &[0x68, 0xee, 0x3c, 0xb0];
/// A key frame and the 24 pictures behind it: 13 Mbit/s.
const KEY_BYTES: usize = 200_000;
const PICTURE_BYTES: usize = 60_000;
const GOP: i64 = 25;
/// What two pictures and the sound between them take at most beyond a full lag.
const SLACK_BYTES: usize = 2 * KEY_BYTES;

struct Bench {
    address: SocketAddr,
    outputs: Arc<StreamOutputs>,
    supervisor: Supervisor,
}

impl Bench {
    /// A door with one stream, `gate`, that films with key frames of `key_bytes`.
    async fn open(key_bytes: usize, picture_bytes: usize) -> Self {
        let supervisor = Supervisor::new(Stop::new(), Arc::new(SystemClock));
        let (address, outputs) = crate::rtsp_door::serve(&supervisor).await;
        let stream = Arc::clone(&outputs.stream);
        supervisor.spawn("camera", film(stream, key_bytes, picture_bytes));
        Self { address, outputs, supervisor }
    }

    async fn readers_become(&self, count: usize) {
        let waited = tokio::time::timeout(PATIENCE, async {
            while self.outputs.rtsp.readers() != count {
                tokio::time::sleep(FRAME).await;
            }
        });
        assert!(waited.await.is_ok(), "{} readers", self.outputs.rtsp.readers());
    }

    async fn connect(&self) -> Client {
        Client::new(TcpStream::connect(self.address).await.unwrap(), self.address)
    }

    /// A reader of the pictures over TCP, with a small socket buffer.
    async fn player(&self) -> Client {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(32_768).unwrap();
        let socket = socket.connect(self.address).await.unwrap();
        let mut client = Client::new(socket, self.address);
        client.set_up(0, "RTP/AVP/TCP;unicast;interleaved=0-1").await;
        client.ask("PLAY", "", "").await;
        client
    }
}

/// Publishes pictures of noise, and sound, at the pace of life.
async fn film(stream: Arc<Stream>, key_bytes: usize, picture_bytes: usize) {
    let run = stream.begin_run();
    let video = Arc::new(CodecParams::from_h264_sets(SPS, PPS).unwrap());
    let audio = Arc::new(CodecParams::g711(Law::A, NonZeroU32::new(8_000).unwrap(), 1));
    stream.set_tracks(Arc::new(Tracks::new(run, [&video, &audio].map(Arc::clone))));
    let slice = |kind: u8, bytes| {
        let mut slice = vec![0x55; bytes];
        slice[0] = kind;
        // A message in front of the slice, as many cameras put it.
        length_prefixed([&[6, 5, 1, 7, 0x80][..], &slice])
    };
    let (key, picture) = (slice(0x65, key_bytes), slice(0x41, picture_bytes));
    let sound = Bytes::from(vec![0xd5; 320]);
    // A multiple of the frame, which both tracks' clocks have to the tick.
    let frame = i64::try_from(FRAME.as_nanos()).unwrap();
    let begun = i64::try_from(SystemClock.boot().as_nanos()).unwrap() / frame * frame;
    let mut tick = tokio::time::interval(FRAME);
    for n in 0.. {
        tick.tick().await;
        let data = if n % GOP == 0 { &key } else { &picture };
        let units = [(0, &video, data, n % GOP == 0), (1, &audio, &sound, false)];
        for (track, params, data, random_access) in units {
            stream.publish(unit(run, track, params, begun + n * frame, random_access, data));
        }
    }
}

fn unit(
    run: RunId,
    track: u8,
    params: &Arc<CodecParams>,
    nanos: i64,
    random_access: bool,
    data: &Bytes,
) -> AccessUnit {
    let time = MediaTime::from_nanos(nanos, params.clock_rate);
    AccessUnit {
        track: TrackId(track),
        run,
        arrived: SystemClock.boot(),
        captured: Captured { wall: SystemClock.wall(), source: ClockSource::Arrival },
        entry: Entry::key_frame(random_access),
        ..AccessUnit::new(Arc::clone(params), time, data.clone())
    }
}

/// One RTSP connection.
struct Client {
    socket: TcpStream,
    url: String,
    session: String,
}

impl Client {
    fn new(socket: TcpStream, address: SocketAddr) -> Self {
        Self { socket, url: format!("rtsp://{address}/gate"), session: String::new() }
    }

    /// Sends one request and reads the head and body of its reply, which must be good.
    async fn ask(&mut self, method: &str, track: &str, more: &str) -> String {
        let Self { socket, url, session } = self;
        let request = format!("{method} {url}{track} RTSP/1.0\r\nCSeq: 1\r\n{session}{more}\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut reply = Vec::new();
        while !reply.ends_with(b"\r\n\r\n") {
            let byte = tokio::time::timeout(PATIENCE, socket.read_u8()).await;
            reply.push(byte.unwrap().unwrap());
        }
        let reply = String::from_utf8(reply).unwrap();
        assert!(reply.starts_with("RTSP/1.0 200 OK\r\n"), "{method}: {reply}");
        let length = header(&reply, "Content-Length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        socket.read_exact(&mut body).await.unwrap();
        reply + &String::from_utf8(body).unwrap()
    }

    async fn set_up(&mut self, track: u8, transport: &str) {
        let transport = format!("Transport: {transport}\r\n");
        let reply = self.ask("SETUP", &format!("/trackID={track}"), &transport).await;
        let session = header(&reply, "Session").unwrap().split(';').next().unwrap().to_owned();
        self.session = format!("Session: {session}\r\n");
    }

    /// The next interleaved frame.
    async fn frame(&mut self) -> (u8, Vec<u8>) {
        let read = tokio::time::timeout(PATIENCE, async {
            let mut head = [0; 4];
            self.socket.read_exact(&mut head).await?;
            assert_eq!(head[0], b'$');
            let mut packet = vec![0; usize::from(u16::from_be_bytes([head[2], head[3]]))];
            self.socket.read_exact(&mut packet).await?;
            Ok::<_, std::io::Error>((head[1], packet))
        });
        read.await.unwrap().unwrap()
    }
}

fn header<'a>(reply: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = reply.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// `seq` and `rtptime` of every track, as the reply to PLAY tells them.
fn told_starts(play: &str) -> Vec<(u16, u32)> {
    let info = header(play, "RTP-Info").unwrap();
    let number = |entry: &str, name: &str| {
        let value = entry.split(';').find_map(|part| part.strip_prefix(name));
        value.unwrap_or_else(|| panic!("no {name} in {info}")).parse::<u32>().unwrap()
    };
    let start = |entry| (u16::try_from(number(entry, "seq=")).unwrap(), number(entry, "rtptime="));
    info.split(',').map(start).collect()
}

fn sequence(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[2], packet[3]])
}

fn timestamp(packet: &[u8]) -> u32 {
    u32::from_be_bytes(packet[4..8].try_into().unwrap())
}

fn is_marked(packet: &[u8]) -> bool {
    packet[1] & 0x80 != 0
}

/// The types of the NAL units in `packet`; that of a fragmented one where it begins.
fn nal_types(packet: &[u8]) -> Vec<u8> {
    let payload = &packet[12..];
    match payload[0] & 0x1f {
        24 => {
            let (mut types, mut rest) = (Vec::new(), &payload[1..]);
            while let Some((length, behind)) = rest.split_first_chunk::<2>() {
                types.push(behind[0] & 0x1f);
                rest = &behind[usize::from(u16::from_be_bytes(*length))..];
            }
            types
        }
        28 if payload[1] & 0x80 != 0 => vec![payload[1] & 0x1f],
        28 => Vec::new(),
        kind => vec![kind],
    }
}

/// What a reader must find: packets of both tracks by arrival, `None` where a report came.
fn check_beginning(starts: &[(u16, u32)], tracks: [&[Option<Vec<u8>>]; 2]) {
    for ((sequence_told, time_told), arrived) in starts.iter().zip(tracks) {
        assert!(arrived[0].is_none(), "a sender report goes before the first packet");
        let first = arrived.iter().flatten().next().unwrap();
        assert_eq!((sequence(first), timestamp(first)), (*sequence_told, *time_told));
    }
    let pictures: Vec<&Vec<u8>> = tracks[0].iter().flatten().collect();
    for pair in pictures.windows(2) {
        assert_eq!(sequence(pair[1]), sequence(pair[0]).wrapping_add(1));
        assert_eq!(is_marked(pair[0]), timestamp(pair[0]) != timestamp(pair[1]));
    }
    let first = pictures.iter().take_while(|packet| timestamp(packet) == timestamp(pictures[0]));
    let types: Vec<u8> = first.flat_map(|packet| nal_types(packet)).collect();
    assert_eq!(types, [7, 8, 6, 5], "parameter sets, message, key frame");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_over_tcp_begins_where_it_is_told_with_a_whole_key_frame() {
    let bench = Bench::open(20_000, 4_000).await;
    for _ in 0..5 {
        // Somewhere inside a group of pictures.
        tokio::time::sleep(FRAME * 7).await;
        let mut client = bench.connect().await;
        let sdp = client.ask("DESCRIBE", "", "").await;
        assert!(sdp.contains("sprop-parameter-sets=Z2QAM6wVFKCgL/lQ,aO48sA=="), "{sdp}");
        client.set_up(0, "RTP/AVP/TCP;unicast;interleaved=0-1").await;
        client.set_up(1, "RTP/AVP/TCP;unicast;interleaved=2-3").await;
        let play = client.ask("PLAY", "", "").await;
        let range = header(&play, "Range").unwrap();
        assert!(range.starts_with("clock=20") && range.ends_with("Z-"), "{range}");
        let mut tracks = [Vec::new(), Vec::new()];
        while tracks[0].len() < 100 || tracks[1].len() < 3 {
            let (channel, packet) = client.frame().await;
            let track = &mut tracks[usize::from(channel / 2)];
            track.push(channel.is_multiple_of(2).then_some(packet));
        }
        check_beginning(&told_starts(&play), [&tracks[0], &tracks[1]]);
    }
    bench.supervisor.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_over_udp_begins_where_it_is_told_with_a_whole_key_frame() {
    let bench = Bench::open(20_000, 4_000).await;
    tokio::time::sleep(FRAME * 7).await;
    let mut client = bench.connect().await;
    let mut sockets = Vec::new();
    for track in 0..2 {
        let pair = [(); 2].map(|()| std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
        let [rtp, rtcp] = [&pair[0], &pair[1]].map(|it| it.local_addr().unwrap().port());
        client.set_up(track, &format!("RTP/AVP;unicast;client_port={rtp}-{rtcp}")).await;
        for socket in pair {
            socket.set_nonblocking(true).unwrap();
            sockets.push(UdpSocket::from_std(socket).unwrap());
        }
    }
    let play = client.ask("PLAY", "", "").await;
    let mut tracks = [Vec::new(), Vec::new()];
    let mut buffer = [0; 2_000];
    for (track, wanted) in [(0, 100), (1, 3)] {
        // Reports travel beside the packets: only their presence can be checked.
        let report = tokio::time::timeout(PATIENCE, sockets[track * 2 + 1].recv(&mut buffer)).await;
        assert!(report.unwrap().unwrap() >= 28 && buffer[1] == 200, "a sender report");
        tracks[track].push(None);
        while tracks[track].len() < wanted {
            let read = tokio::time::timeout(PATIENCE, sockets[track * 2].recv(&mut buffer)).await;
            tracks[track].push(Some(buffer[..read.unwrap().unwrap()].to_vec()));
        }
    }
    check_beginning(&told_starts(&play), [&tracks[0], &tracks[1]]);
    bench.supervisor.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stalled_readers_cost_the_others_nothing_and_are_cut() {
    const EACH: usize = 6;
    let bench = Bench::open(KEY_BYTES, PICTURE_BYTES).await;
    let mut stalled = Vec::new();
    for _ in 0..EACH {
        stalled.push(bench.player().await);
    }
    let healthy: Vec<_> = (0..EACH)
        .map(|_| async {
            let mut client = bench.player().await;
            let mut next = None;
            // Until long after the stalled ones are cut.
            let begun = std::time::Instant::now();
            let mut count = 0;
            while begun.elapsed() < Duration::from_secs(16) {
                let (channel, packet) = client.frame().await;
                if channel == 0 {
                    let wanted = *next.get_or_insert(sequence(&packet));
                    assert_eq!(sequence(&packet), wanted, "lost after {count} packets");
                    next = Some(wanted.wrapping_add(1));
                    count += 1;
                }
            }
            assert!(count > 5_000, "only {count} packets");
        })
        .collect();
    let watched = async {
        let (mut held_max, mut cut) = (0, false);
        for _ in 0..15 * 25 {
            held_max = held_max.max(bench.outputs.rtsp.held_bytes());
            cut |= bench.outputs.rtsp.readers() == EACH;
            tokio::time::sleep(FRAME).await;
        }
        assert!(cut, "{} readers are left", bench.outputs.rtsp.readers());
        held_max
    };
    let (held_max, _) = tokio::join!(watched, futures::future::join_all(healthy));
    // What all the stalled ones have not read is there once.
    let limit = usize::try_from(RTSP_LAG_BYTES_MAX).unwrap() + SLACK_BYTES;
    assert!((KEY_BYTES..limit).contains(&held_max), "{held_max} bytes");
    bench.readers_become(0).await;
    assert_eq!(bench.outputs.rtsp.totals().lost, 0, "the healthy ones lost nothing");
    bench.supervisor.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_pauses_goes_on_at_a_key_frame_and_is_counted() {
    let bench = Bench::open(KEY_BYTES, PICTURE_BYTES).await;
    let mut client = bench.player().await;
    while !is_marked(&client.frame().await.1) {}
    // 4 MiB are three seconds; shorter than what cuts it.
    tokio::time::sleep(Duration::from_secs(7)).await;
    let (mut next, mut seams) = (None, 0);
    let mut types_at_seam = Vec::new();
    while seams == 0 || types_at_seam.len() < 4 {
        let (channel, packet) = client.frame().await;
        if channel != 0 {
            continue;
        }
        if next.is_some_and(|next| next != sequence(&packet)) {
            seams += 1;
        }
        if seams > 0 {
            types_at_seam.extend(nal_types(&packet));
        }
        next = Some(sequence(&packet).wrapping_add(1));
    }
    assert_eq!(types_at_seam[..4], [7, 8, 6, 5], "it goes on at a key frame");
    let lost = bench.outputs.rtsp.totals().lost;
    assert!(lost >= 50, "only {lost} units are counted");
    drop(client);
    bench.readers_become(0).await;
    bench.supervisor.stop().await;
}
