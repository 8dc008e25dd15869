//! How soon an hour of the recording begins to arrive, and how fast it comes.
//!
//! `cargo bench --bench export`. A ring of 100,000 fragments, of which the last 3,600 are an hour
//! at 2 Mbit/s; the daemon serves that hour, and in turns a socket serves the same bytes out of a
//! file by `cat`. curl throws both away. All of it is in the page cache. Printed are the time to the
//! first byte, the throughputs, and their ratio.

#[path = "../support/reel/mod.rs"]
mod capture;
#[path = "../support/clock/mod.rs"]
mod clock;
#[path = "../support/harness/mod.rs"]
mod harness;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use capture::{Film, Place, Ring};
use harness::daemon::Daemon;
use harness::{need, run_well, wait_for};

const FRAGMENTS: i64 = 100_000;
const HOUR: i64 = 3_600;
const ROUNDS: usize = 7;
const PATIENCE: Duration = Duration::from_secs(300);
const OTHER: &str = "[stream.yard]\n\
     source = { kind = \"pattern\", width = 160, height = 120, fps = 1 }\n";

fn main() {
    // `cargo test --benches` runs this to see that it starts; a measurement takes minutes.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    need("curl", "curl");
    let mut daemon = Daemon::new("2GiB", OTHER);
    let url = fill(&daemon);
    daemon.start();
    wait_for("the ring is read", PATIENCE, || {
        let told = daemon.get("/api/v1/recordings/gate");
        (told["complete"] == true && !told["runs"].as_array()?.is_empty()).then_some(())
    });
    let url = daemon.http(&url);
    let file = tempfile::NamedTempFile::new().unwrap();
    run_well(Command::new("curl").args(["-sSf", "-o"]).arg(file.path()).arg(&url), PATIENCE);
    let bytes = file.path().metadata().unwrap().len();
    let cat = serve_with_cat(file.path());
    let (mut firsts, mut ours, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (first, speed) = measure(&url);
        firsts.push(first * 1_000.0);
        ours.push(speed / 1e6);
        theirs.push(measure(&cat).1 / 1e6);
    }
    let (first, ours, theirs) = (median(&mut firsts), median(&mut ours), median(&mut theirs));
    println!("an hour of {bytes} bytes out of a ring of {FRAGMENTS} fragments, {ROUNDS} rounds");
    println!("first byte: median {first:.1} ms, worst {:.1} ms", firsts[ROUNDS - 1]);
    println!("holdfast {ours:.0} MB/s, cat {theirs:.0} MB/s: {:.0} %", 100.0 * ours / theirs);
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Fills the ring of `daemon`; returns the URL of its last hour.
fn fill(daemon: &Daemon) -> String {
    let mut small = Film::plain("160x120", 1);
    let mut large = small.clone();
    for (at, packet) in small.packets.iter_mut().enumerate() {
        packet.data = Bytes::from(vec![u8::try_from(at).unwrap(); 60]);
    }
    for (at, packet) in large.packets.iter_mut().enumerate() {
        packet.data = Bytes::from(vec![u8::try_from(at).unwrap(); 10_000]);
    }
    let place = Place::ago(30 * 86_400 + 3_600);
    let mut ring = Ring::make(&daemon.data_dir(), 2 << 30, 16 << 20);
    for second in 0..FRAGMENTS {
        let film = if second < FRAGMENTS - HOUR { &small } else { &large };
        ring.record(&[film], 0..1, place.later(second * 1_000), second == 0);
    }
    ring.close();
    let date = |second: i64| place.later(second * 1_000).date.to_rfc3339();
    format!("/export/gate.mp4?start={}&end={}", date(FRAGMENTS - HOUR), date(FRAGMENTS))
}

/// Answers every request with the file, which `cat` writes to the socket.
fn serve_with_cat(path: &std::path::Path) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (path, bytes) = (path.to_owned(), path.metadata().unwrap().len());
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            let _ = socket.read(&mut [0; 4_096]).unwrap();
            write!(socket, "HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n").unwrap();
            let out: std::os::fd::OwnedFd = socket.into();
            Command::new("cat").arg(&path).stdout(Stdio::from(out)).status().unwrap();
        }
    });
    url
}

/// Seconds to the first byte, and bytes per second.
fn measure(url: &str) -> (f64, f64) {
    let mut curl = Command::new("curl");
    curl.args(["-sSf", "-o", "/dev/null", "-w", "%{time_starttransfer} %{speed_download}", url]);
    let told = String::from_utf8(run_well(&mut curl, PATIENCE)).unwrap();
    let (first, speed) = told.trim().split_once(' ').unwrap();
    (first.parse().unwrap(), speed.parse().unwrap())
}
