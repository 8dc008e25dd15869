//! Programs that we did not write, with a bound: started, waited for, ended by their own process id.

#![allow(dead_code, unreachable_pub)] // each test uses its own part

use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// How often a condition is checked while waiting for it.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Fails unless `program` is there, naming the package that brings it.
pub fn need(program: &str, package: &str) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|dir| dir.join(program).is_file());
    assert!(found, "{program} is missing: apt-get install {package}");
}

/// Lets the tests of one file that hold this run one after the other: what they measure suffers
/// when they share two cores.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A TCP port of 127.0.0.1 that is free now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until `look` finds something; fails after `most` with what was waited for.
pub fn wait_for<T>(what: &str, most: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + most;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "{what}: not within {most:?}");
        std::thread::sleep(LOOK_EVERY);
    }
}

/// A running program that is killed when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    name: String,
}

impl Running {
    /// Starts `command` with its output going where the command says.
    pub fn start(command: &mut Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let child =
            command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        Self { child, name }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The child, for its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Sends `signal`.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.child.id()).unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Kills it without a chance to tidy up, and waits until it is gone.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end, at most `most`.
    pub fn ended_within(&mut self, most: Duration) -> std::process::ExitStatus {
        let name = self.name.clone();
        wait_for(&format!("{name} ends"), most, || self.child.try_wait().unwrap())
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `command` to its end, at most `most`, and hands back what it wrote.
pub fn run(command: &mut Command, most: Duration) -> Output {
    // Files, not pipes: nothing reads while we wait, and a full pipe would stop the program.
    let (out, err) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    command.stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(err.try_clone().unwrap());
    let mut running = Running::start(command);
    let status = running.ended_within(most);
    Output { status, stdout: slurp(out), stderr: slurp(err) }
}

fn slurp(mut file: std::fs::File) -> Vec<u8> {
    use std::io::{Read, Seek};
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

/// As [`run`], and fails unless the program succeeded.
pub fn run_well(command: &mut Command, most: Duration) -> Vec<u8> {
    let name = format!("{command:?}");
    let output = run(command, most);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {}\n{told}", output.status);
    output.stdout
}

/// ffmpeg, quiet, never reading standard input.
pub fn ffmpeg() -> Command {
    need("ffmpeg", "ffmpeg");
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-loglevel", "error", "-nostdin"]);
    command
}
