//! What it costs to serve one live stream to 500 HLS viewers, beside nginx and the floor.
//!
//! `cargo bench --bench hls_viewers`. ffmpeg pushes one H.264 stream of 4 Mbit/s to the daemon, which
//! records it and serves it. A mirror, which is one viewer more, copies playlist and segments as they
//! come, for nginx (with `sendfile`, as Debian configures it) and for the floor: a thread that writes
//! the same bytes to as many sockets. Each of the three is asked by the same 500 viewers in turns:
//! the playlist every two seconds, then the segment that is new. Printed is the processor time of the
//! server alone per viewer and second, of the daemon with all that it does besides, and the ratios.

#![allow(unreachable_pub)] // modules of one program

#[path = "hls_viewers/floor.rs"]
mod floor;
#[path = "../support/harness/mod.rs"]
mod harness;
#[path = "hls_viewers/mirror.rs"]
mod mirror;
#[path = "hls_viewers/viewers.rs"]
mod viewers;

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use floor::Floor;
use harness::daemon::Daemon;
use harness::nginx::nginx;
use harness::{Running, bulk};
use mirror::Mirror;
use viewers::{Told, Viewers};

const VIEWERS: usize = 500;
const ROUNDS: usize = 3;
/// Connections are made, buffers have grown, each has had a first segment.
const WARM_UP: Duration = Duration::from_secs(4);
const MEASURED: Duration = Duration::from_secs(10);
/// What a segment plays.
const SEGMENT_SECS: f64 = 2.0;
const PATIENCE: Duration = Duration::from_secs(60);
const STREAM: &str = "[stream.gate]\nsource = { kind = \"rtsp_push\" }\n";

/// What is set of nginx: events, http, server.
const NGINX: [&str; 3] = [
    "worker_connections 2048;",
    "sendfile on; tcp_nopush on; keepalive_requests 1000000; \
     types { application/vnd.apple.mpegurl m3u8; video/mp4 m4s mp4; }",
    "",
];

/// One server's turn.
struct Turn {
    /// Milliseconds of processor time per viewer and second.
    cost: f64,
    told: Told,
}

fn main() {
    // `cargo test --benches` runs this to see that it starts; a measurement takes minutes.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let mut daemon = Daemon::new("256MiB", STREAM);
    daemon.start();
    let _push = push(&daemon);
    daemon.wait_state("gate", "live", PATIENCE);
    let dir = tempfile::tempdir().unwrap();
    let mirror = Mirror::start(daemon.http("/live/gate/"), dir.path());
    let (nginx, nginx_at) = nginx(dir.path(), "nginx-light", NGINX);
    let floor = Floor::start(mirror.files());
    let ours_at = SocketAddr::from(([127, 0, 0, 1], daemon.http_port));
    let load = std::fs::read_to_string("/proc/loadavg").unwrap();
    println!("{VIEWERS} viewers of one stream of 4 Mbit/s; load average before: {}", load.trim());
    let alone = alone(daemon.pid());
    println!("the daemon without viewers: {alone:.1} ms/s");
    let (mut of_nginx, mut of_floor) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        let least = turn("floor", floor.address, "/", || floor.processor_millis());
        let theirs = turn("nginx", nginx_at, "/", || processor_millis(nginx.pid()));
        let ours = turn("holdfast", ours_at, "/live/gate/", || processor_millis(daemon.pid()));
        let idle = memory_kib(daemon.pid());
        println!(
            "round {round}: {:.2} x nginx, {:.2} x floor; nginx {:.2} x floor; {} MiB resident",
            ours.cost / theirs.cost,
            ours.cost / least.cost,
            theirs.cost / least.cost,
            idle >> 10
        );
        assert!(least.told.failed + theirs.told.failed + ours.told.failed == 0, "answers failed");
        of_nginx.push(ours.cost / theirs.cost);
        of_floor.push(ours.cost / least.cost);
    }
    println!("median: {:.2} x nginx, {:.2} x floor", median(of_nginx), median(of_floor));
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// ffmpeg, pushing the film again and again at the pace of life.
fn push(daemon: &Daemon) -> Running {
    let mut command = harness::ffmpeg();
    command.args(["-re", "-stream_loop", "-1", "-i"]).arg(bulk()).args(["-c", "copy"]);
    command.args(["-f", "rtsp", "-rtsp_transport", "tcp", &daemon.rtsp("gate")]);
    Running::start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()))
}

/// One server for all viewers; `spent` is its processor time in milliseconds. A viewer has watched
/// as many seconds as it was sent: on a busy machine fewer than have passed.
fn turn(name: &str, address: SocketAddr, base: &'static str, spent: impl Fn() -> f64) -> Turn {
    let mut viewers = Viewers::join(address, base, VIEWERS);
    viewers.watch(WARM_UP);
    let before = spent();
    let told = viewers.watch(MEASURED);
    let cost = (spent() - before) / (f64::from(told.segments) * SEGMENT_SECS);
    println!(
        "  {name:<9} {cost:.3} ms/viewer-s; {} segments, {} MB; whole within p50 {:.1} ms, p99 \
         {:.1} ms; {} failed",
        told.segments,
        told.bytes / 1_000_000,
        millis(told.p50_micros),
        millis(told.p99_micros),
        told.failed
    );
    Turn { cost, told }
}

#[allow(clippy::cast_precision_loss)] // small numbers
fn millis(micros: u64) -> f64 {
    micros as f64 / 1e3
}

/// What the daemon needs without viewers, in milliseconds per second.
fn alone(pid: u32) -> f64 {
    let (before, begun) = (processor_millis(pid), Instant::now());
    std::thread::sleep(Duration::from_secs(8));
    (processor_millis(pid) - before) / begun.elapsed().as_secs_f64()
}

/// Time that the threads of `pid` have had on a processor (the first number of schedstat, in
/// nanoseconds).
fn processor_millis(pid: u32) -> f64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    tasks.map(|task| thread_millis(&task.unwrap().path())).sum()
}

/// The same of one thread, by its directory in /proc. One that has ended meanwhile had little.
fn thread_millis(task: &std::path::Path) -> f64 {
    let text = std::fs::read_to_string(task.join("schedstat")).unwrap_or_default();
    text.split(' ').next().and_then(|nanos| nanos.parse::<f64>().ok()).unwrap_or(0.0) / 1e6
}

fn memory_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
