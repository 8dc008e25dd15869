//! Every reader we could get, over every transport it has, with Digest: plays, pauses, stays longer
//! than three times the session's timeout, and is refused with a wrong password.
//!
//! What works is printed as a table, and docs/reference/readers.md holds that very table between two marks. A
//! reader that lost something it could do fails the test, and so does a page that says more, or
//! less, than was seen. `UPDATE_INTEROP=1` writes the table.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::harness::daemon::Daemon;
use crate::harness::{ffmpeg, need, players, run, run_well};
use md5::{Digest as _, Md5};

const PATIENCE: Duration = Duration::from_secs(90);
/// The session's timeout, and a little more than three times of it.
const TIMEOUT_SECS: u64 = 4;
const HOLD_SECS: u64 = 14;
/// Pictures of a second, and of the time held if every other one were lost.
const SECOND: u32 = 25;
const HELD: u32 = SECOND * 14 / 2;
const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const MARKS: [&str; 2] = ["<!-- what tests/rtsp/interop.rs saw -->\n", "<!-- end -->\n"];
const TRANSPORTS: [&str; 5] = ["TCP", "UDP", "multicast", "RTSPS", "HTTP tunnel"];

/// What is tried with a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trial {
    /// Over the transport of this number.
    Plays(usize),
    Pauses,
    /// By this method; empty is the reader's own choice.
    Stays(&'static str),
    WrongPassword,
}

/// A reader: its name, what it can do at all, and how it does it.
struct Reader {
    name: &'static str,
    trials: Vec<Trial>,
    /// How many pictures came, or what went wrong.
    does: fn(&House, Trial) -> Result<u32, String>,
}

/// The daemon, and one on a network of its own for multicast.
struct House {
    daemon: Daemon,
    island: Daemon,
    made: PathBuf,
}

fn house() -> House {
    let hash = Md5::digest("nvr:holdfast:secret").iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    });
    let config = format!(
        "[rtsp.multicast]\ngroups = \"239.192.77.0/24\"\n[account.nvr]\nha1 = \"{hash}\"\n\
         read = [\"gate\"]\n[stream.gate]\nrecord = false\n\
         source = {{ kind = \"pattern\", width = 320, height = 240, fps = 25 }}"
    );
    let [mut daemon, mut island] = [(); 2].map(|()| {
        let daemon = Daemon::new("64MiB", &config);
        let text = std::fs::read_to_string(daemon.config()).unwrap();
        let timeout = format!("session_timeout = \"{TIMEOUT_SECS}s\"\nlisten_tls");
        std::fs::write(daemon.config(), text.replacen("listen_tls", &timeout, 1)).unwrap();
        daemon
    });
    daemon.start();
    island.start_on_island();
    daemon.wait_state("gate", "live", PATIENCE);
    let made = Path::new(ROOT).join("tests/data/made");
    std::fs::create_dir_all(&made).unwrap();
    for (program, package) in [("gcc", "gcc"), ("g++", "g++"), ("flock", "util-linux")] {
        need(program, package);
    }
    let script = Path::new(ROOT).join("tests/clients/make_clients.sh");
    run_well(Command::new(script).arg(&made), Duration::from_secs(600));
    House { daemon, island, made }
}

impl House {
    /// The URL for a trial, with the account in it or without.
    fn url(&self, trial: Trial, account: bool) -> String {
        let password = if trial == Trial::WrongPassword { "wrong" } else { "secret" };
        let account = if account { format!("nvr:{password}@") } else { String::new() };
        let (scheme, port) = match trial {
            Trial::Plays(2) => ("rtsp", self.island.rtsp_port),
            Trial::Plays(3) => ("rtsps", self.daemon.rtsps_port),
            _ => ("rtsp", self.daemon.rtsp_port),
        };
        format!("{scheme}://{account}127.0.0.1:{port}/gate")
    }

    /// `program`, on the network where the trial is.
    fn program(&self, trial: Trial, program: &str) -> Command {
        match trial {
            Trial::Plays(2) => self.island.beside(program),
            _ => Command::new(program),
        }
    }
}

fn password(trial: Trial) -> &'static str {
    if trial == Trial::WrongPassword { "wrong" } else { "secret" }
}

/// Runs a reader that prints `frames=` and something more.
fn told(command: &mut Command) -> Result<u32, String> {
    let output = run(command, PATIENCE);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let more = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() || said.contains("key_first=0") {
        return Err(format!("{said}{more}"));
    }
    let count = said.split("frames=").nth(1).and_then(|rest| rest.split_whitespace().next());
    count.and_then(|count| count.parse().ok()).ok_or(said)
}

fn ffmpeg_does(house: &House, trial: Trial) -> Result<u32, String> {
    let transport = match trial {
        Trial::Plays(at) => ["tcp", "udp", "udp_multicast", "tcp", "http"][at],
        _ => "udp",
    };
    let mut command = match trial {
        Trial::Plays(2) => house.island.beside("ffmpeg"),
        _ => ffmpeg(),
    };
    command.args(["-hide_banner", "-nostdin", "-loglevel", "error", "-rtsp_transport", transport]);
    command.args(["-i", &house.url(trial, true), "-map", "0:v:0"]);
    match trial {
        Trial::Stays(_) => command.args(["-t", &HOLD_SECS.to_string()]),
        _ => command.args(["-frames:v", "25"]),
    };
    let output = run(command.args(["-f", "framemd5", "-"]), PATIENCE);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        return Err(said);
    }
    let pictures = crate::harness::frames::parse(&output.stdout).len();
    u32::try_from(pictures).map_err(|_| said)
}

fn gstreamer_does(house: &House, trial: Trial) -> Result<u32, String> {
    let mut command = house.program(trial, "/usr/bin/python3");
    command.arg(Path::new(ROOT).join("tests/clients/gst_reader.py"));
    let mut url = house.url(trial, false);
    if trial == Trial::Plays(4) {
        url = url.replacen("rtsp:", "rtsph:", 1);
    }
    command.args([&url, "25", "--user", "nvr", "--password", password(trial)]);
    let protocols = match trial {
        Trial::Plays(at) => ["tcp", "udp", "udp-mcast", "tcp", ""][at],
        Trial::Pauses => "tcp",
        Trial::Stays(_) | Trial::WrongPassword => "udp",
    };
    command.args(["--protocols", protocols]);
    match trial {
        Trial::Pauses => command.args(["--pause-ms", "1500"]),
        Trial::Stays(_) => command.args(["--hold-s", &HOLD_SECS.to_string()]),
        _ => &mut command,
    };
    told(&mut command)
}

/// Adds what makes a program pause, or stay by this method.
fn with_patience(command: &mut Command, trial: Trial) -> &mut Command {
    match trial {
        Trial::Pauses => command.args(["--pause-ms", "1500"]),
        Trial::Stays(method) => {
            command.args(["--keepalive", method, "--hold-s", &HOLD_SECS.to_string()])
        }
        _ => command,
    }
}

fn live555_does(house: &House, trial: Trial) -> Result<u32, String> {
    let mut command = house.program(trial, house.made.join("live555").to_str().unwrap());
    // It learns the group from the description, which gives it to every client.
    let asks = if trial == Trial::Plays(2) { "?multicast" } else { "" };
    let url = house.url(trial, false) + asks;
    command.args([&url, "--user", "nvr", "--password", password(trial)]);
    let transport = match trial {
        Trial::Plays(at) => ["tcp", "udp", "multicast", "", "http"][at],
        Trial::Pauses => "tcp",
        _ => "udp",
    };
    command.args(["--transport", transport, "--frames", "25"]);
    told(with_patience(&mut command, trial))
}

fn curl_does(house: &House, trial: Trial) -> Result<u32, String> {
    let mut command = Command::new(house.made.join("curl_rtsp"));
    let account = format!("nvr:{}", password(trial));
    command.args([&house.url(trial, false), "25", "--account", &account]);
    told(with_patience(&mut command, trial))
}

fn retina_does(house: &House, trial: Trial) -> Result<u32, String> {
    let udp = !matches!(trial, Trial::Plays(0));
    let hold = match trial {
        Trial::Stays(_) => Duration::from_secs(HOLD_SECS),
        _ => Duration::from_secs(2),
    };
    players::retina(&house.url(trial, false), ("nvr", password(trial)), udp, hold)
}

fn opencv_does(house: &House, trial: Trial) -> Result<u32, String> {
    let mut command = Command::new(house.made.join("opencv/bin/python"));
    command.arg(Path::new(ROOT).join("tests/clients/opencv_reader.py"));
    command.arg(house.url(trial, true));
    let (transport, frames) = match trial {
        Trial::Plays(at) => (["tcp", "udp", "", "", "http"][at], SECOND),
        Trial::Stays(_) => ("udp", SECOND * u32::try_from(HOLD_SECS).unwrap()),
        _ => ("udp", SECOND),
    };
    told(command.args([transport, &frames.to_string()]))
}

/// The readers. One that cannot pause has no command for it, or its library none.
fn readers() -> Vec<Reader> {
    let trials = |transports: &[usize], pauses: bool, stays: &[&'static str]| {
        let plays = transports.iter().map(|at| Trial::Plays(*at));
        let stays = stays.iter().map(|method| Trial::Stays(method));
        let pauses = pauses.then_some(Trial::Pauses);
        plays.chain(pauses).chain(stays).chain([Trial::WrongPassword]).collect()
    };
    let methods = ["OPTIONS", "GET_PARAMETER", "SET_PARAMETER"];
    let reader = |name, trials, does| Reader { name, trials, does };
    vec![
        reader("FFmpeg", trials(&[0, 1, 2, 3, 4], false, &[""]), ffmpeg_does),
        reader("GStreamer rtspsrc", trials(&[0, 1, 2, 3, 4], true, &[""]), gstreamer_does),
        reader("LIVE555", trials(&[0, 1, 2, 4], true, &methods), live555_does),
        reader("libcurl", trials(&[0], true, &methods), curl_does),
        reader("retina", trials(&[0, 1], false, &[""]), retina_does),
        reader("OpenCV", trials(&[0, 1, 4], false, &[""]), opencv_does),
    ]
}

/// Whether a trial went as it should; what went wrong otherwise.
fn verdict(trial: Trial, outcome: Result<u32, String>) -> Result<(), String> {
    match (trial, outcome) {
        (Trial::WrongPassword, Ok(_)) => Err("a wrong password was let in".to_owned()),
        (Trial::WrongPassword, Err(_)) => Ok(()),
        (_, Err(fault)) => Err(fault),
        (Trial::Stays(_), Ok(frames)) if frames < HELD => Err(format!("only {frames} pictures")),
        (Trial::Plays(_) | Trial::Pauses, Ok(0)) => Err("no picture".to_owned()),
        (_, Ok(_)) => Ok(()),
    }
}

fn row(reader: &Reader) -> String {
    let cell = |can: bool| if can { "yes" } else { "–" };
    let mut row = format!("| {} |", reader.name);
    for at in 0..TRANSPORTS.len() {
        write!(row, " {} |", cell(reader.trials.contains(&Trial::Plays(at)))).unwrap();
    }
    let stays: Vec<&str> = reader
        .trials
        .iter()
        .filter_map(|trial| match trial {
            Trial::Stays("") => Some("its own"),
            Trial::Stays(method) => Some(*method),
            _ => None,
        })
        .collect();
    let pauses = cell(reader.trials.contains(&Trial::Pauses));
    writeln!(row, " {pauses} | {} | yes |", stays.join(", ")).unwrap();
    row
}

fn table(readers: &[Reader]) -> String {
    let mut table = format!(
        "\n| reader, all with Digest | {} | pause, resume | stays by | wrong password refused |\n",
        TRANSPORTS.join(" | ")
    );
    writeln!(table, "|---|{}", "---|".repeat(TRANSPORTS.len() + 3)).unwrap();
    readers.iter().fold(table, |table, reader| table + &row(reader)) + "\n"
}

#[test]
fn every_reader_plays_pauses_stays_and_proves_who_it_is() {
    let (house, readers) = (house(), readers());
    let faults: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            readers.iter().map(|reader| scope.spawn(|| try_all(&house, reader))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let seen = table(&readers);
    println!("{seen}");
    let path = Path::new(ROOT).join("docs/reference/readers.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = readme.split_once(MARKS[0]).expect("the page has the first mark");
    let (told, after) = rest.split_once(MARKS[1]).expect("the page has the second mark");
    if std::env::var_os("UPDATE_INTEROP").is_some() {
        let text = format!("{before}{}{seen}{}{after}", MARKS[0], MARKS[1]);
        return std::fs::write(&path, text).unwrap();
    }
    assert_eq!(told, seen, "the table of docs/reference/readers.md is not what was seen");
}

/// Lets a reader do everything; what went wrong.
fn try_all(house: &House, reader: &Reader) -> Vec<String> {
    let mut faults = Vec::new();
    for trial in &reader.trials {
        let outcome = (reader.does)(house, *trial);
        if let Err(fault) = verdict(*trial, outcome) {
            faults.push(format!("{}: {trial:?}: {fault}", reader.name));
        }
    }
    faults
}
