//! What it costs to pull and record eight cameras of 4 Mbit/s, beside the floor and ffmpeg.
//!
//! `cargo bench --bench record_cost`. All read the same camera over TCP with the media copied as it
//! is, in turns: ours into the ring, which has been made before, the barest loop there can be into
//! files (`floor`), ffmpeg into segments. Two cameras: GStreamer's, and one that writes each RTP packet
//! by itself, as many do. What is printed is processor time per stream and second, memory, context
//! switches per access unit, and the ratios.

#[path = "record_cost/floor.rs"]
mod floor;
#[path = "../support/harness/mod.rs"]
mod harness;
#[path = "../support/odd_camera/mod.rs"]
mod odd_camera;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use harness::camera::{Camera, PASSWORD, USER};
use harness::daemon::Daemon;
use harness::{Running, bulk, need, run_well, wait_for};

const STREAMS: u32 = 8;
/// Pictures of each per second.
const RATE: u32 = 25;
const ROUNDS: u32 = 3;
/// Before measuring: connections are made, buffers have grown.
const WARM_UP: Duration = Duration::from_secs(8);
const MEASURED: Duration = Duration::from_secs(20);
/// What the odd camera of the second part does.
const BY_ITSELF: &str = "writes each packet by itself";

/// One turn of one side.
struct Turn {
    /// Milliseconds of processor time per stream and second.
    cost: f64,
    /// Largest resident set of one process, in MiB.
    resident_mib: f64,
    /// Context switches of all threads per access unit.
    switches: f64,
}

impl std::fmt::Display for Turn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { cost, resident_mib, switches } = self;
        write!(f, "{cost:.2} ms, {resident_mib:.0} MiB, {switches:.2} switches")
    }
}

/// A camera for one turn.
enum Filming {
    Gst(Camera),
    /// Where it listens.
    Odd(u16),
}

impl Filming {
    fn url(&self) -> String {
        match self {
            Self::Gst(camera) => camera.url("bulk"),
            Self::Odd(port) => format!("rtsp://127.0.0.1:{port}/bulk"),
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, word, url, dir] = &arguments[..]
        && word == "floor"
    {
        return floor::run(url, STREAMS, Path::new(dir));
    }
    // `cargo test --benches` runs this to see that it starts; a measurement takes minutes.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return;
    }
    let mut film = harness::ffmpeg();
    film.arg("-i").arg(bulk()).args(["-map", "0:v", "-c", "copy", "-bsf:v", "h264_mp4toannexb"]);
    let film = run_well(film.args(["-f", "h264", "-"]), Duration::from_secs(60));
    let film = Arc::new(odd_camera::Clip::of(&film));
    compare("GStreamer's camera", || Filming::Gst(Camera::start()));
    compare("a camera that writes each packet by itself", || {
        Filming::Odd(odd_camera::start(Arc::clone(&film), BY_ITSELF))
    });
}

/// Measures all sides with one kind of camera, in turns.
fn compare(name: &str, start: impl Fn() -> Filming) {
    println!("{name}, per stream-second and access unit:");
    let mut ratios = [Vec::new(), Vec::new()];
    for round in 1..=ROUNDS {
        let (ours, barest, theirs) = (holdfast(&start()), floor(&start()), ffmpeg(&start()));
        println!("round {round}: holdfast {ours}; floor {barest}; ffmpeg {theirs}");
        ratios[0].push(ours.cost / barest.cost);
        ratios[1].push(ours.cost / theirs.cost);
    }
    let [floor, ffmpeg] = ratios.map(|mut ratios| {
        ratios.sort_by(f64::total_cmp);
        ratios[ratios.len() / 2]
    });
    println!("median ratio holdfast / floor {floor:.2}, holdfast / ffmpeg {ffmpeg:.2}");
}

fn holdfast(camera: &Filming) -> Turn {
    let url = camera.url();
    let stream = |number| {
        format!(
            "[stream.cam{number}]\nsource = {{ kind = \"rtsp_pull\", url = \"{url}\", \
             username = \"{USER}\", password = \"{PASSWORD}\" }}\n"
        )
    };
    // The camera makes its medium for the first client; two at once can crash it.
    let daemon = Daemon::start_new("1GiB", &stream(0));
    daemon.wait_state("cam0", "live", Duration::from_secs(30));
    let streams: String = (0..STREAMS).map(stream).collect();
    daemon.configure("1GiB", &streams);
    daemon.reload();
    wait_for("the reload", Duration::from_secs(10), || {
        let all = daemon.get("/api/v1/streams");
        (all["streams"].as_array()?.len() == STREAMS as usize).then_some(())
    });
    for number in 0..STREAMS {
        daemon.wait_state(&format!("cam{number}"), "live", Duration::from_secs(30));
    }
    wait_until_made(&daemon);
    measure(&[daemon.pid()])
}

/// Waits until the ring has all of its slots, which are made in the background after the first
/// start and never again.
fn wait_until_made(daemon: &Daemon) {
    let files = || std::fs::read_dir(daemon.data_dir().join("ring")).map_or(0, Iterator::count);
    let mut before = 0;
    wait_for("all slots", Duration::from_secs(240), || {
        let now = files();
        let is_made = now > 0 && now == before;
        before = now;
        std::thread::sleep(Duration::from_secs(3));
        is_made.then_some(())
    });
}

fn floor(camera: &Filming) -> Turn {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["floor", &camera.url()]).arg(dir.path()).stdin(Stdio::null());
    let recorder = Running::start(&mut command);
    let turn = measure(&[recorder.pid()]);
    assert_written(dir.path(), "the floor");
    turn
}

fn ffmpeg(camera: &Filming) -> Turn {
    need("ffmpeg", "ffmpeg");
    let url = camera.url().replace("://", &format!("://{USER}:{PASSWORD}@"));
    let dir = tempfile::tempdir().unwrap();
    let recorders: Vec<Running> = (0..STREAMS)
        .map(|number| {
            let mut command = harness::ffmpeg();
            command.args(["-rtsp_transport", "tcp", "-i", &url, "-c", "copy", "-f", "segment"]);
            command.args(["-segment_time", "60", "-segment_format", "mp4"]);
            command.arg(dir.path().join(format!("cam{number}-%03d.mp4")));
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let running = Running::start(&mut command);
            if number == 0 {
                std::thread::sleep(Duration::from_secs(2));
            }
            running
        })
        .collect();
    let turn = measure(&recorders.iter().map(Running::pid).collect::<Vec<_>>());
    assert_written(dir.path(), "ffmpeg");
    turn
}

/// Fails unless half of what should have come is there: else the camera broke off, and the turn
/// says nothing.
fn assert_written(dir: &Path, who: &str) {
    let files = std::fs::read_dir(dir).unwrap();
    let bytes: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
    let wanted = u64::from(STREAMS) * MEASURED.as_secs() * 250_000;
    assert!(bytes > wanted, "{who} was sent only {bytes} bytes by the camera");
}

fn measure(pids: &[u32]) -> Turn {
    std::thread::sleep(WARM_UP);
    let (ticks, switches, begun) = (cpu_ticks(pids), switches(pids), Instant::now());
    std::thread::sleep(MEASURED);
    let (ticks, switches) = (cpu_ticks(pids) - ticks, switches_since(pids, switches));
    let secs = begun.elapsed().as_secs_f64();
    let millis = f64::from(ticks) * 1_000.0 / f64::from(ticks_per_sec());
    let resident = pids.iter().map(|&pid| resident_kib(pid)).max().unwrap_or(0);
    let streams = f64::from(STREAMS);
    Turn {
        cost: millis / secs / streams,
        resident_mib: f64::from(resident) / 1_024.0,
        switches: switches / secs / streams / f64::from(RATE),
    }
}

fn switches_since(pids: &[u32], before: u32) -> f64 {
    f64::from(switches(pids) - before)
}

/// Context switches of all threads of the processes so far, wished for or not (proc(5)).
fn switches(pids: &[u32]) -> u32 {
    let of_thread = |status: &Path| {
        let text = std::fs::read_to_string(status).unwrap_or_default();
        let lines = text.lines().filter(|line| line.contains("ctxt_switches:"));
        lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u32>().ok()).sum::<u32>()
    };
    let of = |pid: &u32| {
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        threads.map(|thread| of_thread(&thread.unwrap().path().join("status"))).sum::<u32>()
    };
    pids.iter().map(of).sum()
}

/// User and system time of the processes, in clock ticks (proc(5), fields 14 and 15).
fn cpu_ticks(pids: &[u32]) -> u32 {
    let of = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let behind_name = &stat[stat.rfind(')').unwrap() + 2..];
        let fields: Vec<&str> = behind_name.split(' ').collect();
        fields[11].parse::<u32>().unwrap() + fields[12].parse::<u32>().unwrap()
    };
    pids.iter().map(of).sum()
}

fn ticks_per_sec() -> u32 {
    let told = run_well(Command::new("getconf").arg("CLK_TCK"), Duration::from_secs(5));
    String::from_utf8(told).unwrap().trim().parse().unwrap()
}

fn resident_kib(pid: u32) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
