//! Talks to systemd: READY, STATUS, STOPPING and the watchdog (sd_notify(3)).
//!
//! Owns: when `WATCHDOG=1` is sent. Without systemd every call does nothing.

use std::time::Duration;

use sd_notify::NotifyState;
use tracing::error;

use super::task::Supervisor;

/// Says READY, then feeds the watchdog at half its interval while every vital task beats.
///
/// Runs until it is dropped. `status` is the line that `systemctl status` shows; it is asked
/// anew every time.
pub async fn keep_watchdog_fed(supervisor: Supervisor, status: impl Fn() -> String) {
    let pace = sd_notify::watchdog_enabled().map_or(Duration::from_secs(5), |limit| limit / 2);
    let mut healthy = true;
    send(&[NotifyState::Ready, NotifyState::Status(&status())]);
    loop {
        let late: Vec<_> = supervisor.report().into_iter().filter(|task| !task.beating).collect();
        if late.is_empty() {
            send(&[NotifyState::Watchdog, NotifyState::Status(&status())]);
        } else if healthy {
            let names: Vec<_> = late.iter().map(|task| task.name.as_str()).collect();
            error!(part = names.join(" "), "vital task does not beat, watchdog is not fed");
        }
        healthy = late.is_empty();
        tokio::time::sleep(pace).await;
    }
}

/// Says STOPPING, so that systemd does not take the silence that follows for a hang.
pub fn say_stopping() {
    send(&[NotifyState::Stopping]);
}

fn send(states: &[NotifyState<'_>]) {
    // A notify socket that does not answer must not stop the box; systemd sees the silence.
    let _ = sd_notify::notify(states);
}
