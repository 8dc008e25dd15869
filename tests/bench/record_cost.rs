//! What it costs to pull and record eight cameras of 4 Mbit/s, beside ffmpeg doing the same.
//!
//! `cargo bench --bench record_cost`. Both read the same camera over TCP with the media copied as
//! it is, ours into the ring, which has been made before, ffmpeg's into segments, in turns; what is
//! printed is processor time per stream and second, the daemon's memory, and the ratio.

#[path = "../support/harness/mod.rs"]
mod harness;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use harness::camera::{Camera, PASSWORD, USER};
use harness::daemon::Daemon;
use harness::{Running, bulk, need, run_well, wait_for};

const STREAMS: u32 = 8;
const ROUNDS: u32 = 3;
/// Before measuring: connections are made, buffers have grown.
const WARM_UP: Duration = Duration::from_secs(8);
const MEASURED: Duration = Duration::from_secs(20);

/// One turn of one side.
struct Turn {
    /// Milliseconds of processor time per stream and second.
    cost: f64,
    /// Largest resident set of one process, in MiB.
    resident_mib: f64,
}

fn main() {
    // `cargo test --benches` runs this to see that it starts; a measurement takes minutes.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    bulk();
    let mut turns = Vec::new();
    for round in 1..=ROUNDS {
        let (ours, theirs) = (holdfast(), ffmpeg());
        let ratio = ours.cost / theirs.cost;
        println!(
            "round {round}: holdfast {:.2} ms per stream-second, {:.0} MiB resident; \
             ffmpeg {:.2} ms, {:.0} MiB each; ratio {ratio:.2}",
            ours.cost, ours.resident_mib, theirs.cost, theirs.resident_mib
        );
        turns.push(ratio);
    }
    turns.sort_by(f64::total_cmp);
    println!("median ratio holdfast / ffmpeg: {:.2}", turns[turns.len() / 2]);
}

fn holdfast() -> Turn {
    let camera = Camera::start();
    let url = camera.url("bulk");
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

fn ffmpeg() -> Turn {
    need("ffmpeg", "ffmpeg");
    let camera = Camera::start();
    let url = camera.url("bulk").replace("://", &format!("://{USER}:{PASSWORD}@"));
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
    let files = std::fs::read_dir(dir.path()).unwrap();
    let bytes: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
    // Half of what should have come: else the camera broke off, and the turn says nothing.
    let wanted = u64::from(STREAMS) * MEASURED.as_secs() * 250_000;
    assert!(bytes > wanted, "ffmpeg was sent only {bytes} bytes by the camera");
    turn
}

fn measure(pids: &[u32]) -> Turn {
    std::thread::sleep(WARM_UP);
    let (before, begun) = (cpu_ticks(pids), Instant::now());
    std::thread::sleep(MEASURED);
    let ticks = cpu_ticks(pids) - before;
    let secs = begun.elapsed().as_secs_f64();
    let millis = f64::from(ticks) * 1_000.0 / f64::from(ticks_per_sec());
    let resident = pids.iter().map(|&pid| resident_kib(pid)).max().unwrap_or(0);
    Turn { cost: millis / secs / f64::from(STREAMS), resident_mib: f64::from(resident) / 1_024.0 }
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
