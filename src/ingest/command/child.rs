//! The child process: how it is started and how it ends.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child as Process, ChildStderr, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use crate::base::limits::COMMAND_END_TIME_MAX;

/// What systemd gave to this program and means for it alone.
const OWN_VARIABLES: [&str; 5] =
    ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID"];
/// Who goes when the machine has no memory left: the child before this program, whose place in
/// that order it would inherit.
const OUT_OF_MEMORY_SCORE: &str = "300";
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// A running child; it and all of its process group are killed when this is dropped.
#[derive(Debug)]
pub(super) struct Child {
    process: Process,
    pub(super) output: ChildStdout,
    pub(super) errors: ChildStderr,
}

impl Child {
    /// Starts `command`. The calling thread must live as long as the child may.
    pub(super) fn start(command: &[String]) -> io::Result<Self> {
        let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut order = Command::new(program);
        order.args(arguments).process_group(0);
        order.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for variable in OWN_VARIABLES {
            order.env_remove(variable);
        }
        let parent = rustix::process::getpid();
        // SAFETY: between fork and exec only two system calls are made, no memory is allocated.
        #[allow(unsafe_code)] // the standard library has no safe way to ask for it
        unsafe {
            order.pre_exec(move || end_with(parent));
        }
        let mut process = order.spawn()?;
        let score = format!("/proc/{}/oom_score_adj", process.id());
        let _ = std::fs::write(score, OUT_OF_MEMORY_SCORE);
        let taken = "the pipes were asked for when the child was made, and are taken once";
        let output = process.stdout.take().expect(taken);
        let errors = process.stderr.take().expect(taken);
        Ok(Self { process, output, errors })
    }

    fn pid(&self) -> Option<Pid> {
        i32::try_from(self.process.id()).ok().and_then(Pid::from_raw)
    }

    /// Whether it has ended. It is not reaped, so its number and its group's stay its own.
    fn has_ended(&self) -> bool {
        let Some(pid) = self.pid() else { return true };
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        !matches!(rustix::process::waitid(WaitId::Pid(pid), look), Ok(None))
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid() {
            let _ = rustix::process::kill_process_group(pid, signal);
        }
    }

    fn wait(&self, most: Duration) {
        let looks = most.as_millis() / LOOK_PAUSE.as_millis();
        for _ in 0..looks {
            if self.has_ended() {
                return;
            }
            thread::sleep(LOOK_PAUSE);
        }
    }

    /// How it ended, when its output is over. One that continues without is killed.
    pub(super) fn how_it_ended(mut self) -> String {
        self.wait(COMMAND_END_TIME_MAX);
        self.signal(Signal::KILL);
        match self.process.wait() {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        }
    }

    /// Ends it: it is asked to, given a moment to let its camera go, and killed.
    pub(super) fn end(self) {
        self.signal(Signal::TERM);
        self.wait(COMMAND_END_TIME_MAX);
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        let _ = self.process.wait();
    }
}

/// Lets the kernel kill this process when its parent's thread ends, unless that has happened.
fn end_with(parent: Pid) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    if rustix::process::getppid() == Some(parent) {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(rustix::io::Errno::SRCH.raw_os_error()))
    }
}
