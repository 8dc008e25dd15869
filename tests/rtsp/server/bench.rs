//! A camera of one clip behind an RTSP server, and the foreign programs that read it.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use bytes::Bytes;
use holdfast::base::Stop;
use holdfast::base::time::{Clock, MediaTime, SystemClock};
use holdfast::live::StreamOutputs;
use holdfast::media::codec::Law;
use holdfast::media::nal::{annex_b, length_prefixed};
use holdfast::media::{
    AccessUnit, Captured, ClockSource, Codec, CodecParams, Entry, Shape, TrackId, Tracks,
};
use holdfast::stream::Stream;
use holdfast::supervise::Supervisor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{FRAME, PATIENCE};
use crate::replay::{checksums, run};

/// A clip, played round and round.
pub(super) struct Clip {
    pub(super) params: Arc<CodecParams>,
    /// Per picture: whether it is a key frame, and its NAL units without parameter sets.
    pub(super) pictures: Vec<(bool, Bytes)>,
    /// The checksum of each decoded picture.
    pub(super) checksums: Vec<String>,
    pub(super) audio: Arc<CodecParams>,
    /// Frames of sound.
    pub(super) frames: Vec<Bytes>,
    /// Samples per frame.
    pub(super) samples: i64,
}

/// Where the parameter sets are, and which pictures are key frames.
pub(super) struct Kinds {
    pub(super) encoder: &'static str,
    pub(super) format: &'static str,
    pub(super) options: &'static str,
    pub(super) kind: fn(&[u8]) -> u8,
    pub(super) delimiter: u8,
    pub(super) sets: std::ops::RangeInclusive<u8>,
    pub(super) keys: std::ops::RangeInclusive<u8>,
}

pub(super) const H264: Kinds = Kinds {
    encoder: "libx264",
    format: "h264",
    options: "-x264-params aud=1:sliced-threads=0",
    kind: |nal| nal[0] & 0x1f,
    delimiter: 9,
    sets: 7..=8,
    keys: 5..=5,
};

pub(super) const H265: Kinds = Kinds {
    encoder: "libx265",
    format: "hevc",
    options: "-x265-params aud=1:log-level=error:keyint=25:bframes=0:open-gop=0",
    kind: |nal| nal[0] >> 1 & 0x3f,
    delimiter: 35,
    sets: 32..=34,
    keys: 16..=21,
};

/// The parameters that H.264 (two) or H.265 (three) parameter sets describe.
pub(super) fn video(sets: &[&[u8]]) -> CodecParams {
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

impl Clip {
    /// Fifty pictures of `size` with noise that does not move: key frames are much larger than the
    /// others. The smaller `crf`, the larger they are.
    pub(super) async fn make(size: &str, crf: &str) -> Self {
        Self::coded(&H264, size, crf).await
    }

    pub(super) async fn coded(kinds: &Kinds, size: &str, crf: &str) -> Self {
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
    pub(super) async fn with_aac(mut self) -> Self {
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

    pub(super) fn bytes_max(&self) -> usize {
        self.pictures.iter().map(|(_, data)| data.len()).max().unwrap()
    }

    /// Checks that `seen` is a stretch of the clip, round and round, that begins at a key frame.
    pub(super) fn assert_stretch(&self, seen: &[String], frames: usize) {
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
pub(super) static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A door with one stream, `gate`.
pub(super) struct Bench {
    pub(super) _turn: tokio::sync::MutexGuard<'static, ()>,
    pub(super) clip: Arc<Clip>,
    pub(super) address: SocketAddr,
    pub(super) outputs: Arc<StreamOutputs>,
    pub(super) supervisor: Supervisor,
}

impl Bench {
    /// A camera that films.
    pub(super) async fn open(clip: Clip) -> Self {
        let bench = Self::dark(clip).await;
        bench.film();
        bench
    }

    pub(super) fn film(&self) {
        let (stream, clip) = (Arc::clone(&self.outputs.stream), Arc::clone(&self.clip));
        self.supervisor.spawn("camera", film(stream, clip));
    }

    /// A camera that has not come yet.
    pub(super) async fn dark(clip: Clip) -> Self {
        let turn = TURN.lock().await;
        // RUST_LOG=holdfast=debug tells why connections end.
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
        let clip = Arc::new(clip);
        let supervisor = Supervisor::new(Stop::new(), Arc::new(SystemClock));
        let (address, outputs) = crate::rtsp_door::serve(&supervisor).await;
        Self { _turn: turn, clip, address, outputs, supervisor }
    }

    pub(super) fn url(&self) -> String {
        format!("rtsp://{}/gate", self.address)
    }

    /// Lets ffmpeg read `frames` pictures and checks every one of them.
    pub(super) async fn read(&self, transport: &str, frames: usize) {
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

    pub(super) async fn readers_become(&self, count: usize) {
        let waited = tokio::time::timeout(PATIENCE, async {
            while self.outputs.rtsp.readers() != count {
                tokio::time::sleep(FRAME).await;
            }
        });
        assert!(waited.await.is_ok(), "{} readers", self.outputs.rtsp.readers());
    }

    /// A client that plays the pictures over `transport` and reads no further than the reply.
    pub(super) async fn player(&self, mut socket: TcpStream, transport: &str) -> TcpStream {
        let setup = self.ask(&mut socket, "SETUP", "/trackID=0", transport).await;
        let play = self.ask(&mut socket, "PLAY", "", "").await;
        for reply in [setup, play] {
            assert!(reply.starts_with("RTSP/1.0 200 OK\r\n"), "{reply}");
        }
        socket
    }

    /// Sends one request and reads the head of its reply.
    pub(super) async fn ask(
        &self,
        socket: &mut TcpStream,
        method: &str,
        track: &str,
        more: &str,
    ) -> String {
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
pub(super) async fn film(stream: Arc<Stream>, clip: Arc<Clip>) {
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
            arrived: SystemClock.boot(),
            captured: Captured { wall: SystemClock.wall(), source: ClockSource::Arrival },
            entry: Entry::key_frame(key),
            ..AccessUnit::new(Arc::clone(params), when, data.clone())
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
