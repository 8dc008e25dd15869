//! What the decoder child makes of what no camera should send, and of H.265 with and without
//! libde265.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use crate::barcode::{Film, Grey, decode, first_of};
use crate::door::{Setup, TestBox};
use bytes::Bytes;
use fastrand::Rng;
use holdfast::base::Stop;
use holdfast::base::time::{Clock, MediaTime, SystemClock};
use holdfast::encode::still::{Form, HevcLibrary, KeyFrame, StillDecoders, StillError};
use holdfast::media::codec::ParamsError;
use holdfast::media::{CodecParams, RunId, Tracks, nal};
use holdfast::stream::StreamState;
use holdfast::supervise::Supervisor;

const BINARY: &str = env!("CARGO_BIN_EXE_holdfast");
const JPEG: Form = Form::Jpeg { width: None };

struct Bench {
    decoders: StillDecoders,
    film: Film,
    count: u64,
    _supervisor: Supervisor,
}

impl Bench {
    fn open() -> Self {
        let supervisor = Supervisor::new(Stop::new(), Arc::new(SystemClock));
        let decoders = StillDecoders::keep(BINARY.as_ref(), HevcLibrary::Libde265, &supervisor);
        Self { decoders, film: Film::new(), count: 0, _supervisor: supervisor }
    }

    async fn ask(&self, params: &CodecParams, data: Bytes) -> Result<Bytes, StillError> {
        let frame = KeyFrame::new(params, data).unwrap();
        self.decoders.pictures.still(frame, JPEG).await.map(|still| still.bytes)
    }

    /// A key frame and its parameters.
    fn good(&mut self) -> (Arc<CodecParams>, Bytes) {
        self.count += 1;
        let unit = self.film.unit(self.count, SystemClock.boot(), SystemClock.wall());
        (Arc::clone(&unit.params), unit.data.clone())
    }

    /// Good pictures are still made, and are the right ones.
    async fn assert_well(&mut self) {
        let (params, data) = self.good();
        let jpeg = self.ask(&params, data).await.unwrap();
        assert_eq!(decode(&jpeg).said().number, self.count);
    }
}

/// Writes bits as parameter sets have them (ITU-T H.264 §9.1).
#[derive(Default)]
struct Bits(Vec<bool>);

impl Bits {
    fn fixed(mut self, value: u32, count: u32) -> Self {
        self.0.extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
        self
    }

    /// `ue(v)`.
    fn golomb(self, value: u32) -> Self {
        let length = (value + 1).ilog2();
        self.fixed(0, length).fixed(value + 1, length + 1)
    }

    fn nal(self, head: u8) -> Vec<u8> {
        let mut bits = self.fixed(1, 1);
        while !bits.0.len().is_multiple_of(8) {
            bits.0.push(false);
        }
        let octet = |bits: &[bool]| bits.iter().fold(0, |octet, &bit| octet << 1 | u8::from(bit));
        std::iter::once(head).chain(bits.0.chunks(8).map(octet)).collect()
    }
}

/// Baseline at level 5.2, without cropping and VUI.
fn sps(macroblocks: u32) -> Vec<u8> {
    let begin = Bits::default().fixed(66, 8).fixed(0, 8).fixed(52, 8);
    let sizes = begin.golomb(0).golomb(0).golomb(2).golomb(1).fixed(0, 1);
    sizes.golomb(macroblocks - 1).golomb(macroblocks - 1).fixed(0b1000, 4).nal(0x67)
}

fn pps() -> Vec<u8> {
    let begin = Bits::default().golomb(0).golomb(0).fixed(0, 2).golomb(0).golomb(0).golomb(0);
    begin.fixed(0, 3).golomb(0).golomb(0).golomb(0).fixed(0, 3).nal(0x68)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_costs_one_picture_each() {
    let seed =
        std::env::var("SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("SEED={seed}");
    let mut random = Rng::with_seed(seed);
    let mut bench = Bench::open();
    bench.assert_well().await;
    for _ in 0..40 {
        let (params, data) = bench.good();
        let mut bytes = data.to_vec();
        match random.u8(..3) {
            // Bits of a slice, behind its length and header.
            0 => (0..20).for_each(|_| {
                let at = random.usize(8..bytes.len());
                bytes[at] ^= 1 << random.u8(..8);
            }),
            1 => bytes.truncate(random.usize(..bytes.len())),
            _ => bytes.iter_mut().for_each(|byte| *byte = random.u8(..)),
        }
        // A picture with faults, or words; never nothing.
        if let Err(error) = bench.ask(&params, bytes.into()).await {
            assert!(
                matches!(error, StillError::Undecodable { .. } | StillError::Ended { .. }),
                "{error}"
            );
        }
    }
    bench.assert_well().await;
    let (params, _) = bench.good();
    for nothing in [Bytes::new(), Bytes::from_static(&[0xff; 64])] {
        assert!(bench.ask(&params, nothing).await.is_err());
    }
    bench.assert_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_that_says_it_is_huge_is_refused_within_bounds() {
    let mut bench = Bench::open();
    bench.assert_well().await;
    let huge = CodecParams::from_h264_sets(&sps(1_024), &pps());
    assert!(matches!(huge, Err(ParamsError::Dimensions { width: 16_384, .. })), "{huge:?}");
    // Where a camera tells it among its pictures, it gets as far as the decoder.
    let (params, data) = bench.good();
    let slice = nal::Nals::new(&data).last().unwrap().to_vec();
    for macroblocks in [1_024, 512, 4_096] {
        let data = nal::length_prefixed([&sps(macroblocks)[..], &pps(), &slice]);
        let error = bench.ask(&params, data).await.unwrap_err();
        assert!(matches!(error, StillError::Undecodable { .. }), "{macroblocks}: {error}");
    }
    let peaks = peaks_kib();
    assert!(!peaks.is_empty() && peaks.iter().all(|&kib| kib < 300 << 10), "{peaks:?} KiB");
    bench.assert_well().await;
    // More bytes than any access unit has are not even sent.
    let error = bench.ask(&params, vec![0; 9 << 20].into()).await.unwrap_err();
    assert!(error.to_string().contains("too long"), "{error}");
    bench.assert_well().await;
}

/// The most memory that each of our children ever held.
fn peaks_kib() -> Vec<u64> {
    let statuses = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let status = std::fs::read_to_string(entry.unwrap().path().join("status")).ok()?;
        status.contains(&format!("PPid:\t{}\n", std::process::id())).then_some(status)
    });
    let peak = |status: String| {
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.split_whitespace().next()?.parse().ok()
    };
    statuses.filter_map(peak).collect()
}

/// A film of one frame in H.265, and that frame as ffmpeg shows it.
fn hevc(dir: &Path, pixels: &str) -> (Arc<CodecParams>, Bytes, Grey) {
    let path = dir.join(format!("{pixels}.mp4"));
    let file = path.to_str().unwrap();
    let input = "testsrc2=size=636x356:rate=25:duration=0.2";
    crate::footage::ffmpeg(&[
        "-f",
        "lavfi",
        "-i",
        input,
        "-pix_fmt",
        pixels,
        "-c:v",
        "libx265",
        "-preset",
        "superfast",
        "-x265-params",
        "log-level=error:qp=20",
        "-tag:v",
        "hvc1",
        file,
    ]);
    let jpeg = crate::footage::ffmpeg(&[
        "-i",
        file,
        "-frames:v",
        "1",
        "-pix_fmt",
        "yuvj420p",
        "-q:v",
        "1",
        "-f",
        "mjpeg",
        "-",
    ]);
    let (params, data) = first_of(&path);
    (params, data, decode(&jpeg))
}

fn assert_same(what: &str, ours: &Grey, theirs: &Grey) {
    assert_eq!((ours.width, ours.height), (theirs.width, theirs.height), "{what}");
    let pairs = ours.samples.iter().zip(&theirs.samples);
    let off: u64 = pairs.map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    let mean = off / ours.samples.len() as u64;
    assert!(mean <= 3, "{what}: {mean} off in the mean");
}

/// A box whose stream is one H.265 key frame, and what its picture is answered with.
async fn answer(
    program: PathBuf,
    h265: HevcLibrary,
    frame: (&Arc<CodecParams>, &Bytes),
) -> crate::door::Reply {
    let door = TestBox::open_with(Setup { h265, ..Setup::new(program) }).await;
    let (params, data) = (Arc::clone(frame.0), frame.1.clone());
    door.stream.set_tracks(Arc::new(Tracks::new(RunId(1), [Arc::clone(&params)])));
    door.stream.set_state(StreamState::Live, door.clock.wall());
    let boot = door.clock.boot();
    let nanos = i64::try_from(boot.as_nanos()).unwrap();
    let at = MediaTime::from_nanos(nanos, params.clock_rate);
    let unit = crate::barcode::unit(params, at, (boot, door.clock.wall()), data);
    door.stream.publish((*unit).clone());
    door.get("/snap/gate.jpg").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h265_is_shown_as_ffmpeg_shows_it_or_it_is_said_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let frames = ["yuv420p", "yuv420p10le"].map(|pixels| (pixels, hevc(dir.path(), pixels)));
    for (pixels, (params, data, theirs)) in &frames {
        let reply = answer(BINARY.into(), HevcLibrary::Libde265, (params, data)).await;
        assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
        assert_same(pixels, &decode(&reply.body), theirs);
    }
    let (_, (params, data, _)) = &frames[0];
    let off = answer(BINARY.into(), HevcLibrary::Off, (params, data)).await;
    assert_eq!((off.status, off.code().as_str()), (501, "no_decoder"));
    assert!(off.text().contains("switched off"), "{}", off.text());
    let hidden = without_libde265(dir.path());
    let missing = answer(hidden, HevcLibrary::Libde265, (params, data)).await;
    assert_eq!((missing.status, missing.code().as_str()), (501, "no_decoder"));
    assert!(missing.text().contains("install the package libde265-0"), "{}", missing.text());
}

/// The daemon's program on a machine without the library: a mount namespace in which an empty file
/// replaces it.
fn without_libde265(dir: &Path) -> PathBuf {
    let told = Command::new("/sbin/ldconfig").arg("-p").output().unwrap();
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    let line = told.lines().find(|line| line.trim_start().starts_with("libde265.so.0 "));
    let line = line.expect("libde265 is missing: apt-get install libde265-0");
    let library = line.rsplit(' ').next().unwrap();
    let user = if rustix::process::geteuid().is_root() { "" } else { "--map-root-user" };
    let script = format!(
        "#!/bin/sh\nexec /usr/bin/unshare {user} --mount /bin/sh -c \
         '/bin/mount --bind /dev/null {library} && exec {BINARY} \"$@\"' sh \"$@\"\n"
    );
    let path = dir.join("holdfast-without");
    std::fs::write(&path, script).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&path, mode).unwrap();
    path
}
