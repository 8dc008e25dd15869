//! Talks to systemd: READY, STATUS, STOPPING and the watchdog (sd_notify(3)).
//!
//! Owns: when `WATCHDOG=1` is sent. Without systemd every call does nothing.

use std::time::{Duration, Instant};
use std::{io, thread};

use sd_notify::NotifyState;
use tracing::error;

use super::recovery::Rung;
use super::task::Supervisor;
use super::task_board::TaskReport;

/// How often the heartbeats are checked.
const LOOK_PAUSE: Duration = Duration::from_secs(1);
/// What the two logs are given to take the reason before the process is ended.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// What a start may take once it begins.
const START_GRACE: Duration = Duration::from_secs(60);
/// How often systemd hears of us where it does not watch.
const STATUS_PAUSE: Duration = Duration::from_secs(5);

/// Says READY, then feeds the watchdog at half its interval while nothing hangs, from a thread of
/// its own that does no I/O but to tell systemd: it continues when every worker of the runtime spins.
///
/// When something hangs, systemd is asked at once to start the daemon again: starving the watchdog
/// alone would take its interval on top. The reason goes into the log and the recovery log first.
/// Ends with `supervisor`. `status` is the line that `systemctl status` shows; it is asked anew
/// every time.
///
/// # Errors
///
/// No thread can be started.
pub fn keep_watchdog_fed(
    supervisor: Supervisor,
    status: impl Fn() -> String + Send + 'static,
) -> io::Result<()> {
    let feed = move || feed(&supervisor, status);
    thread::Builder::new().name("watchdog".to_owned()).spawn(feed).map(drop)
}

fn feed(supervisor: &Supervisor, status: impl Fn() -> String) {
    let watched = sd_notify::watchdog_enabled();
    let pace = watched.map_or(STATUS_PAUSE, |limit| limit / 2);
    let mut healthy = true;
    let mut fed: Option<Instant> = None;
    send(&[NotifyState::Ready, NotifyState::Status(&status())]);
    while !supervisor.stop_signal().is_cancelled() {
        let late: Vec<_> = supervisor.report().into_iter().filter(|task| !task.beating).collect();
        if late.is_empty() {
            if fed.is_none_or(|at| at.elapsed() >= pace) {
                send(&[NotifyState::Watchdog, NotifyState::Status(&status())]);
                fed = Some(Instant::now());
            }
        } else if healthy {
            give_up(supervisor, &late, watched.is_some());
        }
        healthy = late.is_empty();
        thread::sleep(LOOK_PAUSE.min(pace));
    }
}

/// Says which tasks hang, and asks systemd for a new daemon where it watches this one.
fn give_up(supervisor: &Supervisor, late: &[TaskReport], watched: bool) {
    let names: Vec<_> = late.iter().map(|task| task.name.as_str()).collect();
    let part = names.join(" ");
    let longest = late.iter().map(|task| task.beat_age_ms).max().unwrap_or(0);
    if watched && let Some(recovery) = supervisor.recovery() {
        let secs = longest / 1_000;
        let what = format!("It hung for {secs} s, so systemd was asked to start the daemon again.");
        recovery.note(Rung::DaemonRestart, &part, &what);
    }
    // A journal that stalls must not keep the watchdog from acting.
    let told = move || error!(part, "part hangs, not feeding the watchdog");
    let _ = thread::Builder::new().name("last-words".to_owned()).spawn(told);
    if watched {
        thread::sleep(LAST_WORDS);
        send(&[NotifyState::WatchdogTrigger]);
    }
}

/// Says that the start takes `pause` longer, so that systemd does not give it up.
pub fn say_pausing(pause: Duration) {
    let usecs = u32::try_from((pause + START_GRACE).as_micros()).unwrap_or(u32::MAX);
    let status = format!("parked, starting in {} s", pause.as_secs());
    send(&[NotifyState::ExtendTimeoutUsec(usecs), NotifyState::Status(&status)]);
}

/// Says STOPPING, so that systemd does not take the silence that follows for a hang.
pub fn say_stopping() {
    send(&[NotifyState::Stopping]);
}

fn send(states: &[NotifyState<'_>]) {
    // A notify socket that does not answer must not stop the box; systemd sees the silence.
    let _ = sd_notify::notify(states);
}
