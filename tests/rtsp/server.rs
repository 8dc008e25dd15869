//! The RTSP door over real sockets, read by ffmpeg, GStreamer and rude clients.
//!
//! One synthetic H.264 picture per 40 ms with A-law sound. Every frame that a reader decodes is
//! compared by checksum with the same frame decoded from the file: one that is missing, damaged
//! or out of order shows.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use holdfast::base::Stop;
use holdfast::base::name::StreamName;
use holdfast::base::time::{Clock, MediaTime, SystemClock};
use holdfast::encode::still::{HevcLibrary, StillDecoders};
use holdfast::live::StreamOutputs;
use holdfast::media::codec::Law;
use holdfast::media::nal::{annex_b, length_prefixed};
use holdfast::media::{
    AccessUnit, Captured, ClockSource, Codec, CodecParams, Entry, RunId, Shape, TrackId, Tracks,
};
use holdfast::serve::rtsp::RtspServer;
use holdfast::stream::{Directory, Stream};
use holdfast::supervise::Supervisor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

const FRAME: Duration = Duration::from_millis(40);
const TCP: &str = "Transport: RTP/AVP/TCP;unicast;interleaved=8-9\r\n";
const PATIENCE: Duration = Duration::from_secs(60);

/// A clip, played round and round.
struct Clip {
    params: Arc<CodecParams>,
    /// Per picture: whether it is a key frame, and its NAL units without parameter sets.
    pictures: Vec<(bool, Bytes)>,
    /// The checksum of each decoded picture.
    checksums: Vec<String>,
    audio: Arc<CodecParams>,
    /// Frames of sound.
    frames: Vec<Bytes>,
    /// Samples per frame.
    samples: i64,
}

/// Where the parameter sets are, and which pictures are key frames.
struct Kinds {
    encoder: &'static str,
    format: &'static str,
    options: &'static str,
    kind: fn(&[u8]) -> u8,
    delimiter: u8,
    sets: std::ops::RangeInclusive<u8>,
    keys: std::ops::RangeInclusive<u8>,
}

const H264: Kinds = Kinds {
    encoder: "libx264",
    format: "h264",
    options: "-x264-params aud=1:sliced-threads=0",
    kind: |nal| nal[0] & 0x1f,
    delimiter: 9,
    sets: 7..=8,
    keys: 5..=5,
};

const H265: Kinds = Kinds {
    encoder: "libx265",
    format: "hevc",
    options: "-x265-params aud=1:log-level=error:keyint=25:bframes=0:open-gop=0",
    kind: |nal| nal[0] >> 1 & 0x3f,
    delimiter: 35,
    sets: 32..=34,
    keys: 16..=21,
};

/// Runs a foreign program to its end; panics when it is missing, fails or takes too long.
async fn run(program: &str, args: &[&str], input: Vec<u8>) -> (Vec<u8>, String) {
    let output = end_of(program, args, input).await;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {args:?}: {told}");
    (output.stdout, told)
}

/// Runs a foreign program to its end, whatever that is.
async fn end_of(program: &str, args: &[&str], input: Vec<u8>) -> Output {
    let mut child = tokio::process::Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("{program} cannot be started, is it installed? {error}"));
    let mut stdin = child.stdin.take().unwrap();
    let feed = async move {
        let _ = stdin.write_all(&input).await;
    };
    let both = async { tokio::join!(feed, child.wait_with_output()).1.unwrap() };
    let output = tokio::time::timeout(PATIENCE, both).await;
    output.unwrap_or_else(|_| panic!("{program} {args:?} does not end"))
}

/// The parameters that H.264 (two) or H.265 (three) parameter sets describe.
fn video(sets: &[&[u8]]) -> CodecParams {
    let copy = |set: &[u8]| Bytes::copy_from_slice(set);
    match *sets {
        [sps, pps] => CodecParams::from_h264_sets(sps, pps).unwrap(),
        [vps, sps, pps] => CodecParams {
            codec: Codec::H265 { vps: copy(vps), sps: copy(sps), pps: copy(pps), more: Vec::new() },
            clock_rate: NonZeroU32::new(90_000).unwrap(),
            rfc6381: None,
            sample_entry: Bytes::new(),
            shape: Shape::Video {
                width: 640,
                height: 360,
                aspect: holdfast::media::codec::SampleAspect::SQUARE,
                frame_secs: Some((1, 25)),
            },
        },
        _ => panic!("{} parameter sets", sets.len()),
    }
}

fn checksums(framemd5: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(framemd5)
        .lines()
        .filter(|line| line.starts_with("0,"))
        .map(|line| line.rsplit(',').next().unwrap().trim().to_owned())
        .collect()
}

impl Clip {
    /// Fifty pictures of `size` with noise that does not move: key frames are much larger than the
    /// others. The smaller `crf`, the larger they are.
    async fn make(size: &str, crf: &str) -> Self {
        Self::coded(&H264, size, crf).await
    }

    async fn coded(kinds: &Kinds, size: &str, crf: &str) -> Self {
        let line = format!(
            "-v error -f lavfi -i testsrc2=size={size}:rate=25,noise=alls=20 -frames:v 50 -c:v {} \
             -preset ultrafast -pix_fmt yuv420p -crf {crf} -bf 0 -g 25 {} -f {} -",
            kinds.encoder, kinds.options, kinds.format
        );
        let args: Vec<&str> = line.split_whitespace().collect();
        let (stream, _) = run("ffmpeg", &args, Vec::new()).await;
        let args = ["-v", "error", "-f", kinds.format, "-i", "-", "-f", "framemd5", "-"];
        let (sums, _) = run("ffmpeg", &args, stream.clone()).await;
        let nals: Vec<&[u8]> = annex_b(&stream).collect();
        let sets: Vec<&[u8]> = kinds
            .sets
            .clone()
            .map(|set| *nals.iter().find(|nal| (kinds.kind)(nal) == set).unwrap())
            .collect();
        let pictures: Vec<(bool, Bytes)> = nals
            .split(|nal| (kinds.kind)(nal) == kinds.delimiter)
            .skip(1)
            .map(|nals| {
                let set = |nal: &&[u8]| !kinds.sets.contains(&(kinds.kind)(nal));
                let key = nals.iter().any(|nal| kinds.keys.contains(&(kinds.kind)(nal)));
                (key, length_prefixed(nals.iter().copied().filter(set)))
            })
            .collect();
        let checksums = checksums(&sums);
        assert_eq!((pictures.len(), checksums.len()), (50, 50));
        let audio = CodecParams::g711(Law::A, NonZeroU32::new(8_000).unwrap(), 1);
        let frames = vec![Bytes::from(vec![0xd5; 320])];
        Self {
            params: Arc::new(video(&sets)),
            pictures,
            checksums,
            audio: Arc::new(audio),
            frames,
            samples: 320,
        }
    }

    /// The same with sound in AAC.
    async fn with_aac(mut self) -> Self {
        let line = "-v error -f lavfi -i sine=r=48000:d=4 -ac 2 -c:a aac -b:a 96k -f adts -";
        let args: Vec<&str> = line.split_whitespace().collect();
        let (adts, _) = run("ffmpeg", &args, Vec::new()).await;
        let mut rest = &adts[..];
        self.frames.clear();
        // ISO/IEC 14496-3 §1.A.2.2: 13 bits of length from bit 30 on, 7 bytes of header.
        while let Some(head) = rest.first_chunk::<7>() {
            let (a, b, c) = (head[3] & 3, head[4], head[5] >> 5);
            let length = usize::from(a) << 11 | usize::from(b) << 3 | usize::from(c);
            self.frames.push(Bytes::copy_from_slice(&rest[7..length]));
            rest = &rest[length..];
        }
        assert!(self.frames.len() > 150, "{} frames", self.frames.len());
        let mut params = self.audio.as_ref().clone();
        params.codec = Codec::Aac { config: Bytes::from_static(&[0x11, 0x90]) };
        params.clock_rate = NonZeroU32::new(48_000).unwrap();
        params.shape = Shape::Audio { sample_rate: 48_000, channels: 2 };
        (self.audio, self.samples) = (Arc::new(params), 1_024);
        self
    }

    fn bytes_max(&self) -> usize {
        self.pictures.iter().map(|(_, data)| data.len()).max().unwrap()
    }

    /// Checks that `seen` is a stretch of the clip, round and round, that begins at a key frame.
    fn assert_stretch(&self, seen: &[String], frames: usize) {
        assert_eq!(seen.len(), frames);
        let begin = self.checksums.iter().position(|sum| *sum == seen[0]);
        let begin = begin.expect("the first picture is not one of the clip's");
        assert!(self.pictures[begin].0, "begins at picture {begin}, which is no key frame");
        for (at, sum) in seen.iter().enumerate() {
            let wanted = &self.checksums[(begin + at) % self.checksums.len()];
            assert_eq!(sum, wanted, "picture {at} is missing or damaged");
        }
    }
}

/// One test at a time: a reader that a busy machine keeps from its UDP socket loses packets,
/// whichever server sends them.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A door with one stream, `gate`.
struct Bench {
    _turn: tokio::sync::MutexGuard<'static, ()>,
    clip: Arc<Clip>,
    address: SocketAddr,
    outlet: Arc<StreamOutputs>,
    supervisor: Supervisor,
}

impl Bench {
    /// A camera that films.
    async fn open(clip: Clip) -> Self {
        let bench = Self::dark(clip).await;
        bench.film();
        bench
    }

    fn film(&self) {
        let (stream, clip) = (Arc::clone(&self.outlet.stream), Arc::clone(&self.clip));
        self.supervisor.spawn("camera", film(stream, clip));
    }

    /// A camera that has not come yet.
    async fn dark(clip: Clip) -> Self {
        let turn = TURN.lock().await;
        // RUST_LOG=holdfast=debug tells why connections end.
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
        let clip = Arc::new(clip);
        let supervisor = Supervisor::new(Stop::new(), Arc::new(SystemClock));
        let name = StreamName::parse("gate").unwrap();
        let stream = Stream::new(name.clone(), "pattern", SystemClock.wall());
        let decoder = StillDecoders::keep("/nonexistent".as_ref(), HevcLibrary::Off, &supervisor);
        let outlet = Arc::new(StreamOutputs::new(&stream, None, &decoder, &supervisor));
        let directory = Arc::new(Directory::default());
        directory.replace(BTreeMap::from([(name, Arc::clone(&outlet))]));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        RtspServer::new(directory, supervisor.child()).keep(listener);
        Self { _turn: turn, clip, address, outlet, supervisor }
    }

    fn url(&self) -> String {
        format!("rtsp://{}/gate", self.address)
    }

    /// Lets ffmpeg read `frames` pictures and checks every one of them.
    async fn read(&self, transport: &str, frames: usize) {
        let (url, count) = (self.url(), frames.to_string());
        let args = [
            "-v",
            "warning",
            "-rtsp_transport",
            transport,
            "-i",
            &url,
            "-map",
            "0:v",
            "-fps_mode",
            "passthrough",
            "-frames:v",
            &count,
            "-f",
            "framemd5",
            "-",
        ];
        let (sums, told) = run("ffmpeg", &args, Vec::new()).await;
        self.clip.assert_stretch(&checksums(&sums), frames);
        for bad in ["missed", "error", "corrupt", "conceal", "jitter buffer", "max delay"] {
            assert!(!told.to_lowercase().contains(bad), "{told}");
        }
    }

    async fn readers_become(&self, count: usize) {
        let waited = tokio::time::timeout(PATIENCE, async {
            while self.outlet.rtsp.readers() != count {
                tokio::time::sleep(FRAME).await;
            }
        });
        assert!(waited.await.is_ok(), "{} readers", self.outlet.rtsp.readers());
    }

    /// A client that plays the pictures over `transport` and reads no further than the reply.
    async fn player(&self, mut socket: TcpStream, transport: &str) -> TcpStream {
        let setup = self.ask(&mut socket, "SETUP", "/trackID=0", transport).await;
        let play = self.ask(&mut socket, "PLAY", "", "").await;
        for reply in [setup, play] {
            assert!(reply.starts_with("RTSP/1.0 200 OK\r\n"), "{reply}");
        }
        socket
    }

    /// Sends one request and reads the head of its reply.
    async fn ask(&self, socket: &mut TcpStream, method: &str, track: &str, more: &str) -> String {
        let ask = format!("{method} {}{track} RTSP/1.0\r\nCSeq: 1\r\n{more}\r\n", self.url());
        socket.write_all(ask.as_bytes()).await.unwrap();
        let mut reply = Vec::new();
        while !reply.ends_with(b"\r\n\r\n") {
            let byte = tokio::time::timeout(PATIENCE, socket.read_u8()).await;
            reply.push(byte.unwrap().unwrap());
        }
        String::from_utf8(reply).unwrap()
    }
}

/// Publishes pictures and sound at the pace of life.
async fn film(stream: Arc<Stream>, clip: Arc<Clip>) {
    let run = stream.begin_run();
    stream.set_tracks(Arc::new(Tracks::new(run, [&clip.params, &clip.audio].map(Arc::clone))));
    let begun = SystemClock.boot();
    let publish = |id: u8, params: &Arc<CodecParams>, since_ticks: i64, key: bool, data: &Bytes| {
        let nanos = i64::try_from(begun.as_nanos()).unwrap();
        let mut when = MediaTime::from_nanos(nanos, params.clock_rate);
        when.ticks += since_ticks;
        stream.publish(AccessUnit {
            track: TrackId(id),
            run,
            decode: when,
            present: when,
            arrived: SystemClock.boot(),
            captured: Captured { wall: SystemClock.wall(), source: ClockSource::Arrival },
            entry: Entry::key_frame(key),
            leading: None,
            lost_before: 0,
            params: Arc::clone(params),
            data: data.clone(),
        });
    };
    let mut tick = tokio::time::interval(FRAME);
    let mut frames = (0i64..).map(|n| n * clip.samples).zip(clip.frames.iter().cycle()).peekable();
    let rate = i64::from(clip.audio.clock_rate.get());
    for (n, (key, picture)) in (0i64..).zip(clip.pictures.iter().cycle()) {
        tick.tick().await;
        publish(0, &clip.params, n * 3_600, *key, picture);
        while let Some((at, frame)) = frames.next_if(|(at, _)| at * 25 <= n * rate) {
            publish(1, &clip.audio, at, false, frame);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ffmpeg_reads_every_picture_over_tcp_and_udp() {
    let bench = Bench::open(Clip::make("640x360", "23").await).await;
    tokio::join!(bench.read("tcp", 75), bench.read("udp", 75));
    bench.readers_become(0).await;
    bench.supervisor.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ffmpeg_reads_h265_and_aac() {
    let bench = Bench::open(Clip::coded(&H265, "640x360", "28").await.with_aac().await).await;
    bench.read("tcp", 60).await;
    let url = bench.url();
    let line = "-v warning -rtsp_transport tcp -i URL -map 0:a -frames:a 100 -f null -";
    let args: Vec<&str> =
        line.split_whitespace().map(|arg| if arg == "URL" { &url } else { arg }).collect();
    let (_, told) = run("ffmpeg", &args, Vec::new()).await;
    assert!(!told.contains("aac"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_pictures_are_paced_over_udp_so_that_none_is_lost() {
    // Key frames longer than the usual socket buffer of a receiver.
    let clip = Clip::make("640x360", "20").await;
    assert!(clip.bytes_max() > 150_000, "only {} bytes", clip.bytes_max());
    let bench = Bench::open(clip).await;
    bench.read("udp", 75).await;
    bench.supervisor.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_with_a_small_buffer_may_look_away() {
    let bench = Bench::open(Clip::make("1280x720", "33").await).await;
    let receiver = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    receiver.set_nonblocking(true).unwrap();
    // The default of most systems, 208 KiB as the kernel counts: about 90 packets.
    socket2::SockRef::from(&receiver).set_recv_buffer_size(106_496).unwrap();
    let port = receiver.local_addr().unwrap().port();
    let transport = format!("Transport: RTP/AVP;unicast;client_port={port}-{port}\r\n");
    let socket = TcpStream::connect(bench.address).await.unwrap();
    let client = bench.player(socket, &transport).await;
    let count = tokio::task::spawn_blocking(move || {
        let (mut next, mut buffer) = (None, [0; 2_000]);
        let mut count = 0;
        let begun = std::time::Instant::now();
        while begun.elapsed() < Duration::from_secs(4) {
            std::thread::sleep(Duration::from_millis(15));
            while let Ok(length) = receiver.recv(&mut buffer) {
                if buffer[1] & 0x7f != 96 {
                    continue; // a sender report
                }
                assert!(length <= 1_400, "{length}");
                let sequence = u16::from_be_bytes([buffer[2], buffer[3]]);
                assert_eq!(*next.get_or_insert(sequence), sequence, "lost after {count}");
                next = Some(sequence.wrapping_add(1));
                count += 1;
            }
        }
        count
    });
    let count = count.await.unwrap();
    assert!(count > 1_500, "only {count} packets");
    drop(client);
    bench.readers_become(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ffprobe_sees_both_tracks() {
    let bench = Bench::open(Clip::make("640x360", "23").await).await;
    let url = bench.url();
    let entries = "stream=codec_name,width,height,avg_frame_rate,sample_rate";
    let args =
        ["-v", "error", "-rtsp_transport", "tcp", "-show_entries", entries, "-of", "csv=p=0"];
    let (told, errors) = run("ffprobe", &[&args[..], &[&url]].concat(), Vec::new()).await;
    assert_eq!(String::from_utf8(told).unwrap(), "h264,640,360,25/1\npcm_alaw,8000,0/0\n");
    assert_eq!(errors, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gstreamer_reads_over_tcp_and_udp() {
    let bench = Bench::open(Clip::make("640x360", "23").await).await;
    let read = async |protocol: &str| {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("got.h264");
        let line = format!(
            "-q rtspsrc location={} protocols={protocol} ! rtph264depay ! h264parse ! \
             video/x-h264,stream-format=byte-stream,alignment=au ! identity eos-after=60 ! \
             filesink location={}",
            bench.url(),
            file.display()
        );
        let args: Vec<&str> = line.split_whitespace().collect();
        // Its own PAUSE races with its own flush at the end, so its exit code says little
        // (GStreamer 1.22). What it read says all.
        let told = end_of("gst-launch-1.0", &args, Vec::new()).await.stderr;
        println!("{}", String::from_utf8_lossy(&told));
        let args = ["-v", "error", "-f", "h264", "-i", "-", "-f", "framemd5", "-"];
        let (sums, errors) = run("ffmpeg", &args, std::fs::read(&file).unwrap()).await;
        assert_eq!(errors, "");
        let sums = checksums(&sums);
        assert!(sums.len() >= 58, "{} pictures", sums.len());
        bench.clip.assert_stretch(&sums, sums.len());
    };
    tokio::join!(read("tcp"), read("udp"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_stops_reading_is_cut_and_nobody_else_notices() {
    let bench = Bench::open(Clip::make("1280x720", "12").await).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(8_192).unwrap();
    let stuck = bench.player(socket.connect(bench.address).await.unwrap(), TCP).await;
    bench.readers_become(1).await;
    bench.read("tcp", 150).await;
    bench.readers_become(0).await;
    drop(stuck);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_vanishes_frees_its_place() {
    let bench = Bench::open(Clip::make("320x240", "30").await).await;
    let socket = TcpStream::connect(bench.address).await.unwrap();
    let client = bench.player(socket, TCP).await;
    bench.readers_become(1).await;
    drop(client);
    bench.readers_become(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rude_clients_get_an_answer_and_their_connection_ends() {
    let bench = Bench::open(Clip::make("320x240", "30").await).await;
    let huge = format!("DESCRIBE rtsp://h/{} RTSP/1.0\r\nCSeq: 1\r\n\r\n", "x".repeat(64 << 10));
    for (bytes, wanted) in [
        (huge.as_bytes(), "RTSP/1.0 414 "),
        (b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: -1\r\n\r\n", "RTSP/1.0 400 "),
        (b"\x16\x03\x01\x02\x00\x01\x00", "RTSP/1.0 400 "),
    ] {
        let mut socket = TcpStream::connect(bench.address).await.unwrap();
        socket.write_all(bytes).await.unwrap();
        let mut reply = Vec::new();
        let read = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut reply));
        read.await.unwrap().unwrap();
        assert!(reply.starts_with(wanted.as_bytes()), "{}", String::from_utf8_lossy(&reply));
    }
    bench.read("tcp", 10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn describe_and_play_wait_for_the_camera_and_not_for_ever() {
    let bench = Bench::dark(Clip::make("320x240", "30").await).await;
    let mut socket = TcpStream::connect(bench.address).await.unwrap();
    let early = bench.ask(&mut socket, "DESCRIBE", "", "").await;
    assert!(early.starts_with("RTSP/1.0 503 "), "{early}");
    let mut second = TcpStream::connect(bench.address).await.unwrap();
    let (in_time, ()) = tokio::join!(bench.ask(&mut second, "DESCRIBE", "", ""), async {
        tokio::time::sleep(FRAME * 10).await;
        let tracks = [&bench.clip.params, &bench.clip.audio].map(Arc::clone);
        bench.outlet.stream.set_tracks(Arc::new(Tracks::new(RunId(0), tracks)));
    });
    assert!(in_time.starts_with("RTSP/1.0 200 "), "{in_time}");
    // The tracks are known, and nothing comes: PLAY is answered without numbers.
    let mut third = TcpStream::connect(bench.address).await.unwrap();
    let setup = bench.ask(&mut third, "SETUP", "/trackID=0", TCP).await;
    assert!(setup.starts_with("RTSP/1.0 200 "), "{setup}");
    let play = bench.ask(&mut third, "PLAY", "", "").await;
    assert!(play.contains("/trackID=0\r\n"), "{play}");
    bench.film();
    let first = tokio::time::timeout(PATIENCE, third.read_u16()).await.unwrap().unwrap();
    assert_eq!(first, u16::from_be_bytes([b'$', 9]), "a sender report goes first");
}

/// What a socket in a session says next: a packet of channel 8, or the head of a reply.
async fn next_of_session(socket: &mut TcpStream) -> Result<Vec<u8>, String> {
    loop {
        let first = tokio::time::timeout(PATIENCE, socket.read_u8()).await.unwrap().unwrap();
        if first == b'$' {
            let channel = socket.read_u8().await.unwrap();
            let mut packet = vec![0; usize::from(socket.read_u16().await.unwrap())];
            socket.read_exact(&mut packet).await.unwrap();
            if channel == 8 {
                return Ok(packet);
            }
            continue;
        }
        let mut reply = vec![first];
        while !reply.ends_with(b"\r\n\r\n") {
            reply.push(socket.read_u8().await.unwrap());
        }
        return Err(String::from_utf8(reply).unwrap());
    }
}

/// Number and time stamp of a packet.
fn numbers(packet: &[u8]) -> (u16, u32) {
    let number = u16::from_be_bytes([packet[2], packet[3]]);
    (number, u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_continue_over_pause_and_play_within_one_group_of_pictures() {
    let bench = Bench::open(Clip::make("320x180", "30").await).await;
    let socket = TcpStream::connect(bench.address).await.unwrap();
    let mut socket = bench.player(socket, TCP).await;
    let say = |method: &str| format!("{method} {} RTSP/1.0\r\nCSeq: 3\r\n\r\n", bench.url());
    let mut last: Option<(u16, u32)> = None;
    for _ in 0..4 {
        let mut reply = String::new();
        if last.is_some() {
            socket.write_all(say("PLAY").as_bytes()).await.unwrap();
            reply = next_of_session(&mut socket).await.expect_err("the reply comes first");
        }
        let (number, time) = numbers(&next_of_session(&mut socket).await.unwrap());
        if let Some((before, latest)) = last {
            assert_eq!(number, before.wrapping_add(1), "{reply}");
            assert!(time.wrapping_sub(latest).cast_signed() > 0, "time steps back");
            assert!(reply.contains(&format!("seq={number};rtptime={time}")), "{reply}");
        }
        let (mut before, mut latest) = (number, time);
        for count in 0.. {
            if count == 20 {
                socket.write_all(say("PAUSE").as_bytes()).await.unwrap();
            }
            let Ok(packet) = next_of_session(&mut socket).await else { break };
            let (number, time) = numbers(&packet);
            assert_eq!(number, before.wrapping_add(1));
            before = number;
            if time.wrapping_sub(latest).cast_signed() > 0 {
                latest = time;
            }
        }
        last = Some((before, latest));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forty_readers_get_the_same_bytes() {
    let bench = Bench::open(Clip::make("320x240", "30").await).await;
    let read = async || {
        let socket = TcpStream::connect(bench.address).await.unwrap();
        let own = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n";
        let mut socket = bench.player(socket, own).await;
        let (mut next, mut count) = (None, 0);
        while count < 200 {
            let (head, length) =
                (socket.read_u16().await.unwrap(), socket.read_u16().await.unwrap());
            let mut packet = vec![0; usize::from(length)];
            socket.read_exact(&mut packet).await.unwrap();
            if head == u16::from_be_bytes([b'$', 0]) {
                let sequence = u16::from_be_bytes([packet[2], packet[3]]);
                assert_eq!(*next.get_or_insert(sequence), sequence);
                next = Some(sequence.wrapping_add(1));
                count += 1;
            }
        }
    };
    let readers = futures::future::join_all((0..40).map(|_| read()));
    tokio::time::timeout(PATIENCE, readers).await.unwrap();
    bench.readers_become(0).await;
    assert_eq!(bench.outlet.rtsp.totals().lost, 0);
}
