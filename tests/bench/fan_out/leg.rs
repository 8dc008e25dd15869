//! One leg of the benchmark: so many readers at each of its servers, and the lines printed.

use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::client::Way;
use crate::harness::Running;
use crate::readers::Plan;

/// Who serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    Floor,
    Ours,
    Gst,
}

/// So many readers at each of some servers.
#[derive(Clone, Copy, Debug)]
pub struct Leg {
    pub name: &'static str,
    pub way: Way,
    pub readers: usize,
    pub stalled: usize,
    pub pause_micros: u64,
    pub window: Duration,
    pub servers: &'static [Server],
}

/// The report of one window.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    /// Milliseconds of the server's processor per reader and second.
    cost: f64,
    pictures: u64,
    lost_pictures: u64,
    lost_packets: u64,
    p50_micros: u64,
    p99_micros: u64,
    /// Connections that the server ended.
    ended: u64,
}

/// A process and what it says.
struct Talker {
    running: Running,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Talker {
    fn start(command: &mut Command) -> Self {
        let mut running = Running::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let lines = BufReader::new(running.child().stdout.take().unwrap()).lines();
        Self { running, lines }
    }

    /// This program in the role that `words` name.
    fn own(words: &[&str]) -> Self {
        Self::start(Command::new(std::env::current_exe().unwrap()).args(words))
    }

    /// The next line in words; none when the process has ended.
    fn words(&mut self) -> Vec<String> {
        let line = self.lines.next().map(Result::unwrap).unwrap_or_default();
        line.split(' ').map(str::to_owned).collect()
    }

    /// Waits for `ready PORT`.
    fn port(&mut self) -> String {
        let words = self.words();
        assert_eq!(words[0], "ready", "the server said {words:?}");
        words[1].clone()
    }
}

impl Leg {
    /// Runs and prints it.
    pub fn run(&self) {
        println!("\n{} ({} readers)", self.name, self.readers);
        let mut floor = None;
        for &server in self.servers {
            if server == Server::Gst && !gst_is_there() {
                println!("  gst-rtsp-server: not installed");
                continue;
            }
            let cost = self.turn(server, floor);
            if server == Server::Floor {
                floor = cost;
            }
        }
    }

    /// One server's turn; its cost in the first window.
    fn turn(&self, server: Server, floor: Option<f64>) -> Option<f64> {
        let mut camera = None;
        let mut serving = match server {
            Server::Floor => Talker::own(&["floor"]),
            Server::Ours => Talker::own(&["serve"]),
            Server::Gst => relay(camera.insert(Talker::own(&["serve"]))),
        };
        let port = serving.port();
        let way = if self.way == Way::Tcp { "tcp" } else { "udp" };
        let speaks = if server == Server::Floor { "floor" } else { "rtsp" };
        let [count, stalled] = [self.readers, self.stalled].map(|count| count.to_string());
        let [pause, window] = [self.pause_micros.to_string(), self.window.as_millis().to_string()];
        let words = ["read", &port, way, speaks, &count, &stalled, &pause, &window];
        let mut readers = Talker::own(&words);
        let mut before = 0.0;
        let mut windows: Vec<Window> = Vec::new();
        loop {
            let words = readers.words();
            let numbers: Vec<u64> = words[1..].iter().map(|word| word.parse().unwrap()).collect();
            match (words[0].as_str(), &numbers[..]) {
                ("begin", _) => before = processor_millis(serving.running.pid()),
                ("end", numbers) => {
                    let spent = processor_millis(serving.running.pid()) - before;
                    let window = self.window_of(spent, numbers);
                    print_window(server, window, floor);
                    windows.push(window);
                }
                ("cut", &[cut]) => print_stalled(&windows, cut, self.stalled),
                ("first", &[count, p50, p99]) => {
                    println!(
                        "  {:<16} first picture after PLAY: p50 {:.1} ms, p99 {:.1} ms ({count})",
                        server.name(),
                        millis(p50),
                        millis(p99)
                    );
                    return windows.first().map(|window| window.cost);
                }
                _ => panic!("the readers said {words:?}"),
            }
        }
    }

    #[allow(clippy::cast_precision_loss)] // small numbers
    fn window_of(&self, spent: f64, numbers: &[u64]) -> Window {
        let &[pictures, lost_pictures, lost_packets, p50_micros, p99_micros, ended] = numbers
        else {
            panic!("{numbers:?}");
        };
        let cost = spent / self.readers as f64 / self.window.as_secs_f64();
        Window { cost, pictures, lost_pictures, lost_packets, p50_micros, p99_micros, ended }
    }
}

impl Server {
    fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Ours => "holdfast",
            Self::Gst => "gst-rtsp-server",
        }
    }
}

fn print_window(server: Server, window: Window, floor: Option<f64>) {
    let ratio = match (server, floor) {
        (Server::Floor, _) | (_, None) => String::new(),
        (_, Some(floor)) => format!(", {:.2} x floor", window.cost / floor),
    };
    println!(
        "  {:<16} {:.3} ms/reader-s{ratio}; late p50 {:.1} ms, p99 {:.1} ms; \
         lost {} of {} pictures, {} packets; ended {}",
        server.name(),
        window.cost,
        millis(window.p50_micros),
        millis(window.p99_micros),
        window.lost_pictures,
        window.pictures,
        window.lost_packets,
        window.ended
    );
}

/// What the stalled readers did to the healthy ones: before they came, with them, without them.
#[allow(clippy::cast_precision_loss)] // small numbers
fn print_stalled(windows: &[Window], cut: u64, stalled: usize) {
    let &[before, with, after] = windows else { panic!("{} windows", windows.len()) };
    // The machine itself is not the same all the time: compared with the mean of both sides.
    let without = (before.p99_micros + after.p99_micros) as f64 / 2.0;
    println!(
        "  stalled readers: {stalled}, of whom {cut} were cut; p99 of the others {:+.1} % \
         ({:.2} ms before, {:.2} ms with them, {:.2} ms after)",
        (with.p99_micros as f64 / without - 1.0) * 100.0,
        millis(before.p99_micros),
        millis(with.p99_micros),
        millis(after.p99_micros)
    );
}

#[allow(clippy::cast_precision_loss)] // small numbers
fn millis(micros: u64) -> f64 {
    micros as f64 / 1_000.0
}

/// The plan in the words that a child was started with.
pub fn plan(words: &[&str]) -> Plan {
    let &[port, way, speaks, count, stalled, pause, window] = words else { panic!("{words:?}") };
    Plan {
        server: ([127, 0, 0, 1], port.parse().unwrap()).into(),
        way: if way == "tcp" { Way::Tcp } else { Way::Udp },
        speaks: speaks == "rtsp",
        count: count.parse().unwrap(),
        stalled: stalled.parse().unwrap(),
        pause: Duration::from_micros(pause.parse().unwrap()),
        window: Duration::from_millis(window.parse().unwrap()),
    }
}

/// GStreamer's RTSP server, relaying what `camera` serves.
fn relay(camera: &mut Talker) -> Talker {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/fan_out/relay.py");
    let url = format!("rtsp://127.0.0.1:{}/gate", camera.port());
    // The packages of Debian's own Python, whichever Python comes first in PATH.
    Talker::start(Command::new("/usr/bin/python3").arg(script).arg(url))
}

fn gst_is_there() -> bool {
    let have = "import gi; gi.require_version('GstRtspServer', '1.0'); \
                from gi.repository import GstRtspServer";
    let mut probe = Command::new("/usr/bin/python3");
    probe.args(["-c", have]).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}

/// Time that the threads of `pid` have had on a processor (the first number of schedstat, in
/// nanoseconds; proc(5) has only ticks of 10 ms elsewhere). A thread that has ended is left out:
/// GStreamer's come and go, so its figure is a little too good.
fn processor_millis(pid: u32) -> f64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let of = |task: std::io::Result<std::fs::DirEntry>| {
        let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    };
    tasks.filter_map(of).sum::<f64>() / 1e6
}

/// What else the machine does: numbers taken on a busy one are worth less.
pub fn say_conditions() {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("fan-out on {cores} cores, load average before: {}", load.trim());
}
