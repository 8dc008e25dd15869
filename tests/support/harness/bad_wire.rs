//! A bad wire between a camera's network and a box's: tests/camera/bad_wire.py.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};

use super::{Running, need};

/// The camera's address on the wire.
pub const CAMERA: &str = "10.77.0.1";

/// A wire; its networks end with it.
#[derive(Debug)]
pub struct BadWire {
    running: Running,
    says: BufReader<ChildStdout>,
    camera: String,
    the_box: String,
}

impl BadWire {
    /// A wire with these faults, such as `--loss 0.01`; `None`, with a word, where the system
    /// lets nobody make networks.
    pub fn start(faults: &str) -> Option<Self> {
        need("unshare", "util-linux");
        need("ip", "iproute2");
        let mut probe = alone();
        probe.arg("true").stderr(Stdio::null());
        let can = probe.status().is_ok_and(|status| status.success());
        if !can || !Path::new("/dev/net/tun").exists() {
            eprintln!("skipped: network namespaces or /dev/net/tun are forbidden here");
            return None;
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/camera/bad_wire.py");
        let mut command = alone();
        command.arg("/usr/bin/python3").arg(script).args(faults.split(' '));
        let mut running = Running::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let mut says = BufReader::new(running.child().stdout.take().unwrap());
        let mut line = String::new();
        says.read_line(&mut line).unwrap();
        let [_, camera, the_box] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("the wire said {line:?}")
        };
        let (camera, the_box) = (camera.to_owned(), the_box.to_owned());
        Some(Self { running, says, camera, the_box })
    }

    /// `program` in the camera's network.
    pub fn at_camera(&self, program: &str) -> Command {
        entered(&self.camera, program)
    }

    /// `program` in the box's network.
    pub fn at_box(&self, program: &str) -> Command {
        entered(&self.the_box, program)
    }

    /// Ends it; what it did to packets, such as `lost` or `doubled`.
    pub fn end(mut self) -> impl Fn(&str) -> u64 {
        drop(self.running.child().stdin.take());
        let mut told = String::new();
        self.says.read_to_string(&mut told).unwrap();
        move |what| {
            let counts = told.split_whitespace().filter_map(|word| word.split_once('='));
            let mut found = counts.filter(|(name, _)| *name == what);
            found.next().and_then(|(_, count)| count.parse().ok()).expect("it counts that")
        }
    }
}

/// A program in a network of its own.
fn alone() -> Command {
    let mut command = Command::new("unshare");
    let root = rustix::process::geteuid().is_root();
    command.args(if root { &["--net"][..] } else { &["--map-root-user", "--net"] });
    command
}

fn entered(pid: &str, program: &str) -> Command {
    need("nsenter", "util-linux");
    let mut command = Command::new("nsenter");
    let root = rustix::process::geteuid().is_root();
    let user: &[&str] = if root { &[] } else { &["--user", "--preserve-credentials"] };
    command.args(["--target", pid, "--net"]).args(user).arg(program);
    command
}
