//! The source `command` with programs that others wrote: what they send comes through, and what
//! they do wrong costs their own run only.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::harness::daemon::Daemon;
use crate::harness::{need, wait_for};
use holdfast::base::Stop;
use holdfast::base::name::StreamName;
use holdfast::base::time::{Clock, SystemClock};
use holdfast::ingest::command::{CommandConfig, FrameTimeouts};
use holdfast::ingest::{self, SharedSources, keep};
use holdfast::media::codec::Shape;
use holdfast::media::{AccessUnit, nal};
use holdfast::stream::{Allowance, Next, Stream, StreamState, Subscriber};
use holdfast::supervise::Supervisor;

/// A stream of a command, until this is stopped.
struct Feed {
    stream: Arc<Stream>,
    supervisor: Supervisor,
    reader: Subscriber<AccessUnit>,
}

impl Feed {
    fn start(command: &[&str]) -> Self {
        Self::start_within(command, FrameTimeouts { first_frame: TIME_ENOUGH, idle: TIME_ENOUGH })
    }

    fn start_within(command: &[&str], bounds: FrameTimeouts) -> Self {
        let stream = Stream::new(StreamName::parse("gate").unwrap(), "command", SystemClock.wall());
        let supervisor = Supervisor::new(Stop::new(), Arc::new(SystemClock));
        let mut config = CommandConfig::new(command.iter().copied().map(str::to_owned).collect());
        config.bounds = bounds;
        let reader = stream.bus().subscribe(Allowance::Window);
        let taps = SharedSources::default();
        keep(ingest::SourceConfig::Command(config), Arc::clone(&stream), &taps, &supervisor);
        Self { stream, supervisor, reader }
    }

    async fn units(&mut self, count: usize) -> Vec<Arc<AccessUnit>> {
        let mut units = Vec::new();
        while units.len() < count {
            let next = tokio::time::timeout(Duration::from_secs(30), self.reader.next()).await;
            match next.unwrap_or_else(|_| panic!("nothing comes: {:?}", self.stream.state())) {
                Next::Item(unit) => units.push(unit),
                Next::Lagged(units) => panic!("the test was too slow by {units} units"),
                Next::Ended => panic!("the stream ended"),
            }
        }
        units
    }

    /// Why the stream is offline, once it is.
    async fn reason(&self) -> String {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            if let StreamState::Offline { reason } = self.stream.state().0 {
                return reason;
            }
            assert!(Instant::now() < until, "not offline: {:?}", self.stream.state());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);
/// A well-behaved program gets there within this time on a busy machine.
const TIME_ENOUGH: Duration = Duration::from_secs(10);

/// ffmpeg with a test picture of 25 frames per second, `mark`ed so that its process can be found.
fn ffmpeg<'a>(mark: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    need("ffmpeg", "ffmpeg");
    let mut command = vec!["ffmpeg", "-nostdin", "-v", "error", "-re", "-f", "lavfi"];
    command.extend(["-i", "testsrc2=s=320x180:r=25", "-metadata", mark, "-pix_fmt", "yuv420p"]);
    command.extend(["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "25"]);
    command.extend(more);
    command.extend(["-f", "h264", "-"]);
    command
}

/// Whether a process runs whose command line contains `mark`.
fn runs(mark: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes.map(|process| process.path().join("cmdline")).any(|path| has(&path, mark))
}

fn has(command_line: &Path, mark: &str) -> bool {
    let own = format!("/proc/{}/cmdline", std::process::id());
    command_line != Path::new(&own)
        && std::fs::read(command_line)
            .is_ok_and(|text| text.windows(mark.len()).any(|part| part == mark.as_bytes()))
}

fn wait_until_gone(mark: &str) {
    wait_for("the child is gone", Duration::from_secs(10), || (!runs(mark)).then_some(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_of_ffmpeg_come_evenly_and_it_ends_with_the_source() {
    let mark = "comment=holdfast-even";
    let mut feed = Feed::start(&ffmpeg(mark, &[]));
    let units = feed.units(120).await;
    assert!(units[0].random_access());
    assert!(units.iter().all(|unit| nal::is_whole(&unit.data) && unit.lost_before == 0));
    let keys: Vec<_> = (0..120).filter(|&n| units[n].random_access()).collect();
    assert_eq!(keys, [0, 25, 50, 75, 100]);
    let Shape::Video { width, height, .. } = units[0].params.shape else { panic!("no video") };
    assert_eq!((width, height), (320, 180));
    let millis = |from: usize, to: usize| (units[to].decode.ticks - units[from].decode.ticks) / 90;
    assert!((0..119).all(|n| millis(n, n + 1) > 0));
    // The machine may be busy: even on the whole, whatever single pictures do.
    assert!((3_000..6_000).contains(&millis(19, 119)), "{} ms", millis(19, 119));
    assert!(runs(mark));
    feed.supervisor.stop().await;
    wait_until_gone(mark);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipeline_of_gstreamer_comes_through() {
    need("gst-launch-1.0", "gstreamer1.0-tools");
    let mut command = vec!["gst-launch-1.0", "-q", "videotestsrc", "is-live=true", "!"];
    command.extend(["video/x-raw,width=320,height=180,framerate=15/1", "!", "x264enc"]);
    command.extend(["tune=zerolatency", "key-int-max=15", "sliced-threads=true", "!"]);
    command.extend(["video/x-h264,stream-format=byte-stream", "!", "fdsink"]);
    let mut feed = Feed::start(&command);
    let units = feed.units(40).await;
    let keys: Vec<_> = (0..40).filter(|&n| units[n].random_access()).collect();
    assert_eq!(keys, [0, 15, 30]);
    feed.supervisor.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_ends_is_started_again_and_time_goes_on() {
    let mark = "comment=holdfast-ends";
    let mut feed = Feed::start(&ffmpeg(mark, &["-t", "1"]));
    let units = feed.units(40).await;
    let second = units.iter().position(|unit| unit.run != units[0].run).unwrap();
    assert!(units[second].random_access());
    assert!(units.windows(2).all(|pair| pair[0].decode.ticks < pair[1].decode.ticks));
    let reason = feed.reason().await;
    assert_eq!(reason, "The program ffmpeg ended (exit status: 0). It is started again.");
    feed.supervisor.stop().await;
    wait_until_gone(mark);
}

/// Noise without end, the same each time: now and then other noise passes for a stream with B-frames.
const NOISE: &str = "import random, sys\nnoise = random.Random(1).randbytes(1 << 20)\n\
    while True: sys.stdout.buffer.write(noise)";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_wrong_is_told_in_plain_words() {
    let no_time = FrameTimeouts { first_frame: SECOND, idle: TIME_ENOUGH };
    let feed = Feed::start_within(&["sleep", "1001"], no_time);
    let reason = feed.reason().await;
    assert!(reason.starts_with("The program sleep writes no H.264 within 1 s. "), "{reason}");
    feed.supervisor.stop().await;
    assert!(!runs("sleep\x001001"));
    for (command, told) in [
        (&["yes"][..], "The program yes writes more than 25 MiB/s. "),
        (&["python3", "-c", NOISE], "The program python3 writes more than 25 MiB/s. "),
        (&["false"], "The program false ended (exit status: 1). "),
        (
            &["sh", "-c", "echo no camera >&2; exit 3"],
            "The program sh ended (exit status: 3); it said: no camera. ",
        ),
        (
            &["/no/such/program"],
            "The program /no/such/program could not be started: it is not there. ",
        ),
    ] {
        let feed = Feed::start(command);
        let reason = feed.reason().await;
        assert!(reason.starts_with(told), "{reason}");
        feed.supervisor.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b_frames_are_refused_with_what_to_do() {
    let mark = "comment=holdfast-b-frames";
    let b_frames = ["-tune", "animation", "-bf", "2", "-b_strategy", "0"];
    let feed = Feed::start(&ffmpeg(mark, &b_frames));
    assert!(feed.reason().await.contains("writes B-frames"), "{:?}", feed.stream.state());
    feed.supervisor.stop().await;
    wait_until_gone(mark);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_hangs_is_ended_although_it_will_not() {
    let mark = "comment=holdfast-hangs";
    let film = ffmpeg(mark, &["-t", "1"]).join(" ");
    let script = format!("trap '' TERM; {film}; sleep 1002 >&2; exit");
    let short = FrameTimeouts { first_frame: TIME_ENOUGH, idle: SECOND };
    let mut feed = Feed::start_within(&["sh", "-c", &script], short);
    feed.units(25).await;
    let reason = feed.reason().await;
    assert!(reason.starts_with("The program sh has written no picture for 1 s"), "{reason}");
    feed.supervisor.stop().await;
    wait_until_gone("sleep\x001002");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_words_takes_no_picture_away() {
    let mark = "comment=holdfast-words";
    let film = ffmpeg(mark, &[]).join(" ");
    let script = format!("yes holdfast-flood-of-words >&2 & exec {film}");
    let mut feed = Feed::start(&["sh", "-c", &script]);
    let units = feed.units(60).await;
    let millis = (units[59].decode.ticks - units[0].decode.ticks) / 90;
    assert!(millis < 5_000, "{millis} ms for 59 pictures of 40 ms");
    feed.supervisor.stop().await;
    wait_until_gone(mark);
    wait_until_gone("holdfast-flood-of-words");
}

#[test]
fn the_kernel_ends_the_child_of_a_daemon_that_is_killed() {
    let mark = "comment=holdfast-killed";
    let command = ffmpeg(mark, &[]);
    let stream = format!("[stream.gate]\nsource = {{ kind = \"command\", command = {command:?} }}");
    let mut daemon = Daemon::start_new("200MB", &stream);
    daemon.wait_state("gate", "live", Duration::from_secs(30));
    assert!(runs(mark));
    daemon.kill();
    wait_until_gone(mark);
}
