//! A ring with known footage behind an RTSP door, and a client that looks at every packet.
#![allow(dead_code, unreachable_pub)] // each test takes what it needs

mod player;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::ops::Range;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use holdfast::base::Stop;
use holdfast::base::name::StreamName;
use holdfast::base::time::{BootTime, Clock, MediaTime, SharedClock, WallTime};
use holdfast::dvr::{self, Dvr, Retention, RingSizing, Writer};
use holdfast::encode::still::{HevcLibrary, StillDecoders};
use holdfast::live::StreamOutputs;
use holdfast::live::recorder::Recorder;
use holdfast::media::codec::Law;
use holdfast::media::{
    AccessUnit, Captured, ClockSource, CodecParams, Entry, RunId, TrackId, Tracks, nal,
};
use holdfast::playback::Playback;
use holdfast::serve::rtsp::RtspServer;
use holdfast::stream::{Directory, Stream};
use holdfast::supervise::Supervisor;
use holdfast::wire::mp4::{FragmentBuilder, init_segment};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::clock::LongOn;
pub use player::{Got, Player};

/// Seconds of footage, and pictures of a group, which is one second.
pub const SECS: u32 = 12;
pub const GOP: u32 = 25;
const GAP_MS: i64 = 5_000;
const VIDEO_RATE: i64 = 90_000;
const PATIENCE: Duration = Duration::from_secs(60);

/// Length of the gap in the middle of the footage.
pub fn gap_secs() -> f64 {
    5.0
}

/// The value of a Range header.
pub fn clock(from: WallTime, until: Option<WallTime>) -> String {
    let text = |at: WallTime| at.to_rfc3339().replace(['-', ':'], "");
    format!("clock={}-{}", text(from), until.map(text).unwrap_or_default())
}

/// Runs a foreign program to its end; panics when it is missing, fails or takes too long.
pub async fn run(program: &str, args: &[&str], input: Vec<u8>) -> (Vec<u8>, String) {
    let output = end_of(program, args, input).await;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {args:?}: {told}");
    (output.stdout, told)
}

/// Runs a foreign program to its end, whatever that is.
pub async fn end_of(program: &str, args: &[&str], input: Vec<u8>) -> Output {
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

pub fn checksums(framemd5: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(framemd5);
    let lines = text.lines().filter(|line| line.starts_with("0,"));
    lines.map(|line| line.rsplit(',').next().unwrap().trim().to_owned()).collect()
}

/// A picture of the film: times in ticks from its beginning.
#[derive(Clone)]
pub struct Picture {
    decode: i64,
    present: i64,
    key: bool,
    data: Bytes,
}

/// A film of [`SECS`] with two B-frames between others.
pub struct Film {
    pub params: Arc<CodecParams>,
    pub pictures: Vec<Picture>,
    pub sums: Vec<String>,
}

impl Film {
    async fn make() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("film.mp4");
        let file = path.to_str().unwrap();
        let input = format!("testsrc2=size=320x240:rate=25:duration={SECS}");
        let line = format!(
            "-v error -f lavfi -i {input} -pix_fmt yuv420p -c:v libx264 -preset ultrafast \
             -x264-params keyint={GOP}:min-keyint={GOP}:scenecut=0:open-gop=0:bframes=2:b-adapt=0 \
             -video_track_timescale {VIDEO_RATE} {file}"
        );
        run("ffmpeg", &line.split_whitespace().collect::<Vec<_>>(), Vec::new()).await;
        let line = format!("-v error -i {file} -c copy -bsf:v h264_mp4toannexb -f h264 -");
        let (raw, _) = run("ffmpeg", &line.split_whitespace().collect::<Vec<_>>(), vec![]).await;
        let set = |kind| nal::annex_b(&raw).find(|nal| nal[0] & 0x1f == kind).unwrap();
        let params = Arc::new(CodecParams::from_h264_sets(set(7), set(8)).unwrap());
        let line = format!("-v error -i {file} -map 0:v -fps_mode passthrough -f framemd5 -");
        let (sums, _) = run("ffmpeg", &line.split_whitespace().collect::<Vec<_>>(), vec![]).await;
        let line =
            format!("-v error -show_entries packet=pts,dts,size,pos,flags -of csv=p=0 {file}");
        let (told, _) = run("ffprobe", &line.split_whitespace().collect::<Vec<_>>(), vec![]).await;
        let bytes = std::fs::read(&path).unwrap();
        let picture = |line: &str| {
            let fields: Vec<&str> = line.split(',').collect();
            let number = |at: usize| fields[at].parse::<i64>().unwrap();
            let (size, at) =
                (usize::try_from(number(2)).unwrap(), usize::try_from(number(3)).unwrap());
            let data = Bytes::copy_from_slice(&bytes[at..at + size]);
            let key = fields[4].starts_with('K');
            Picture { decode: number(1), present: number(0), key, data }
        };
        let pictures: Vec<_> = String::from_utf8(told).unwrap().lines().map(picture).collect();
        assert!(pictures.iter().any(|picture| picture.decode != picture.present), "no B-frames");
        let sums = checksums(&sums);
        assert_eq!((pictures.len(), sums.len()), ((SECS * GOP) as usize, (SECS * GOP) as usize));
        Self { params, pictures, sums }
    }

    /// The units of some groups, with sound, of a film that begins at `boot` and `date`.
    fn units(&self, gops: Range<u32>, boot: BootTime, date: WallTime) -> Vec<Arc<AccessUnit>> {
        let sound = Arc::new(sound());
        let boot_nanos = i64::try_from(boot.as_nanos()).unwrap();
        let unit = |track: u8, params: &Arc<CodecParams>, times: (i64, i64), key, data: Bytes| {
            let zero = MediaTime::from_nanos(boot_nanos, params.clock_rate).ticks;
            let at = |ticks| MediaTime { ticks: zero + ticks, rate: params.clock_rate };
            let since = |ticks| MediaTime { ticks, rate: params.clock_rate }.as_nanos();
            let arrived = u64::try_from(since(times.1).max(0)).unwrap();
            AccessUnit {
                track: TrackId(track),
                present: at(times.1),
                arrived: boot.after(Duration::from_nanos(arrived)),
                captured: Captured {
                    wall: date.offset_nanos(since(times.1)),
                    source: ClockSource::Sender,
                },
                entry: Entry::key_frame(key),
                ..AccessUnit::new(Arc::clone(params), at(times.0), data)
            }
        };
        let mut units = Vec::new();
        for gop in gops {
            let pictures = (gop * GOP) as usize..((gop + 1) * GOP) as usize;
            for picture in &self.pictures[pictures] {
                let times = (picture.decode, picture.present);
                units.push(unit(0, &self.params, times, picture.key, picture.data.clone()));
            }
            for frame in 0..50 {
                let at = (i64::from(gop) * 50 + frame) * 160;
                units.push(unit(1, &sound, (at, at), false, Bytes::from(vec![0xd5; 160])));
            }
        }
        units.into_iter().map(Arc::new).collect()
    }

    fn tracks(&self) -> Arc<Tracks> {
        Arc::new(Tracks::new(RunId(1), [Arc::clone(&self.params), Arc::new(sound())]))
    }
}

fn sound() -> CodecParams {
    CodecParams::g711(Law::A, NonZeroU32::new(8_000).unwrap(), 1)
}

/// One ring and one door with a stream called `gate`.
pub struct Bench {
    pub film: Film,
    pub address: SocketAddr,
    pub dvr: Dvr,
    pub stream: Arc<Stream>,
    pub supervisor: Supervisor,
    pub writer: Option<Writer>,
    date: WallTime,
    _dir: tempfile::TempDir,
}

impl Bench {
    /// With the film in the ring: its first half, a gap, its second half.
    pub async fn open() -> Self {
        let mut bench = Self::empty(64 << 20, 1 << 20, false).await;
        let ago = Duration::from_secs(u64::from(SECS) + 60);
        let boot = LongOn.boot().before(ago);
        let secs = LongOn.wall().as_unix_nanos() / 1_000_000_000;
        let ago_secs = i64::try_from(ago.as_secs()).unwrap();
        bench.date = WallTime::from_unix_nanos((secs - ago_secs) * 1_000_000_000);
        let half = SECS / 2;
        bench.record(0..half, boot, bench.date, true);
        let behind = boot.after(Duration::from_millis(GAP_MS.unsigned_abs()));
        bench.record(half..SECS, behind, bench.date.offset_nanos(GAP_MS * 1_000_000), false);
        bench.durable(u64::from(SECS)).await;
        bench
    }

    /// With nothing in the ring; `recorded` says that what is published is.
    pub async fn empty(ring_bytes: u64, slot_bytes: u64, recorded: bool) -> Self {
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
        let film = Film::make().await;
        let dir = tempfile::tempdir().unwrap();
        let clock: SharedClock = Arc::new(LongOn);
        let config = dvr::RingConfig {
            data_dir: dir.path().to_owned(),
            size: RingSizing::Bytes(ring_bytes),
            slot_bytes: Some(slot_bytes),
        };
        let dvr = Dvr::open(config, Arc::clone(&clock), None).unwrap();
        let supervisor = Supervisor::new(Stop::new(), Arc::clone(&clock));
        let name = StreamName::parse("gate").unwrap();
        let stream = Stream::new(name.clone(), "pattern", LongOn.wall());
        stream.set_tracks(film.tracks());
        let keep = Retention::default();
        let recorder =
            recorded.then(|| Recorder::keep(Arc::clone(&stream), &dvr, &supervisor, keep));
        let writer = (!recorded).then(|| dvr.writer(&name, keep));
        let decoder = StillDecoders::keep("/nonexistent".as_ref(), HevcLibrary::Off, &supervisor);
        let outputs = Arc::new(StreamOutputs::new(&stream, recorder, &decoder, &supervisor));
        let directory = Arc::new(Directory::default());
        directory.replace(BTreeMap::from([(name, outputs)]));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let archive = Playback::new(dvr.clone());
        RtspServer::new(directory, supervisor.child()).with_archive(archive).keep(listener);
        let date = LongOn.wall();
        Self { film, address, dvr, stream, supervisor, writer, date, _dir: dir }
    }

    /// Puts groups of the film into the ring, one fragment each.
    pub fn record(&self, gops: Range<u32>, boot: BootTime, date: WallTime, first: bool) {
        let init = init_segment(&self.film.tracks());
        for gop in gops.clone() {
            let mut builder = FragmentBuilder::new(gop + 1);
            for unit in self.film.units(gop..gop + 1, boot, date) {
                builder.push(unit);
            }
            let run_start = gop == gops.start && first;
            let fragment = builder.build(None);
            self.writer.as_ref().unwrap().append(&init, fragment, run_start, false).unwrap();
        }
    }

    pub async fn durable(&self, fragments: u64) {
        let mut durable = self.writer.as_ref().unwrap().durable();
        let wait = durable.wait_for(|now| now.is_some_and(|now| now.fragments >= fragments));
        tokio::time::timeout(PATIENCE, wait).await.expect("the ring takes the film").unwrap();
    }

    /// Publishes the film over and over at the pace of life; returns its groups' dates.
    pub fn film_live(&self) {
        let (stream, film) = (
            Arc::clone(&self.stream),
            Film {
                params: Arc::clone(&self.film.params),
                pictures: self.film.pictures.clone(),
                sums: Vec::new(),
            },
        );
        self.supervisor.spawn("camera", async move {
            let run = stream.begin_run();
            let (mut boot, mut date) = (LongOn.boot(), LongOn.wall());
            stream.set_state(holdfast::stream::StreamState::Live, date);
            loop {
                let mut units = film.units(0..SECS, boot, date);
                units.sort_by_key(|unit| unit.decode.as_nanos());
                for unit in units {
                    let due = unit.decode.as_nanos() + 100_000_000;
                    let now = i64::try_from(LongOn.boot().as_nanos()).unwrap();
                    let wait = u64::try_from(due - now).unwrap_or(0);
                    tokio::time::sleep(Duration::from_nanos(wait)).await;
                    let arrived = LongOn.boot();
                    stream.publish(AccessUnit { run, arrived, ..(*unit).clone() });
                }
                let whole = Duration::from_secs(SECS.into());
                boot = boot.after(whole);
                date = date.offset_nanos(i64::try_from(whole.as_nanos()).unwrap());
            }
        });
    }

    /// How long ago frame `count` of what is filmed live was due.
    pub fn lateness(&self, count: u32) -> Duration {
        let due = self.at(f64::from(count) / f64::from(GOP));
        let late = LongOn.wall().as_unix_nanos() - due.as_unix_nanos();
        Duration::from_nanos(u64::try_from(late).unwrap_or(0))
    }

    /// The date `secs` behind the beginning of the film.
    pub fn at(&self, secs: f64) -> WallTime {
        #[allow(clippy::cast_possible_truncation)]
        let millis = (secs * 1_000.0).round() as i64;
        self.date.offset_nanos(millis * 1_000_000)
    }

    pub fn basic(&self, secs: f64) -> String {
        let text = self.at(secs).to_rfc3339().replace(['-', ':'], "");
        format!("{}Z", text.split('.').next().unwrap())
    }

    pub fn dahua(&self, secs: f64) -> String {
        let text = self.at(secs).to_rfc3339().replace(['-', ':', 'T'], "_");
        text.split('.').next().unwrap().to_owned()
    }

    /// Checksums of these pictures, as they are shown.
    pub fn wanted(&self, pictures: Range<u32>) -> Vec<String> {
        self.film.sums[pictures.start as usize..pictures.end as usize].to_vec()
    }

    /// Each picture of the film comes once, round and round. The last ones may lack those that
    /// are shown between them.
    pub fn assert_round(&self, sums: &[String]) {
        let whole = sums.len().saturating_sub(3);
        for (at, sum) in sums.iter().take(whole).enumerate() {
            let came = self.film.sums.iter().position(|wanted| wanted == sum);
            assert_eq!(came, Some(at % self.film.sums.len()), "picture {at} of {}", sums.len());
        }
    }

    /// Checksums of what was got.
    pub async fn sums(&self, got: &Got) -> Vec<String> {
        let args = ["-v", "error", "-f", "h264", "-i", "-", "-fps_mode", "passthrough", "-f"];
        let args = [&args[..], &["framemd5", "-"]].concat();
        let (sums, errors) = run("ffmpeg", &args, got.pictures.concat()).await;
        assert_eq!(errors, "");
        checksums(&sums)
    }

    /// Checksums of what ffmpeg reads at `path` until it ends by itself.
    pub async fn ffmpeg(&self, transport: &str, path: &str) -> Vec<String> {
        let url = format!("rtsp://{}/{path}", self.address);
        let args = ["-v", "warning", "-rtsp_transport", transport, "-i", &url, "-map", "0:v"];
        let args = [&args[..], &["-fps_mode", "passthrough", "-f", "framemd5", "-"]].concat();
        let (sums, told) = run("ffmpeg", &args, Vec::new()).await;
        for bad in ["missed", "error", "corrupt", "conceal"] {
            assert!(!told.to_lowercase().contains(bad), "{told}");
        }
        checksums(&sums)
    }
}
