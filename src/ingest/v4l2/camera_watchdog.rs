//! Signs of life of one camera, over all of its runs, and the recovery to call when there are none.
//!
//! Owns: when its newest picture came and whether its thread still turns; the task that tells
//! [`UsbRecovery`] once a second. That task depends on no run: a camera is dead as well while its source
//! waits to be started again, and while its thread is stuck in the driver.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::base::Stop;
use crate::base::limits::CAMERA_ANSWER_LOOKS_MAX;
use crate::base::sync::lock;
use crate::base::time::{BootTime, SharedClock};
use crate::ingest::usb_recovery::UsbRecovery;
use crate::supervise::recovery::RecoveryLog;

/// From one look to the next.
const PAUSE: Duration = Duration::from_secs(1);

/// The life of one camera as the first two rungs of the ladder see it.
#[derive(Debug)]
pub(crate) struct CameraWatchdog {
    part: String,
    recovery: Option<RecoveryLog>,
    clock: SharedClock,
    /// The node that was opened last.
    node: Mutex<Option<PathBuf>>,
    /// Until when the newest picture says that it lives, in ns since boot.
    alive_until: AtomicU64,
    /// How often its thread came back from the driver.
    turns: AtomicU32,
}

impl CameraWatchdog {
    /// For the source called `part`.
    pub(crate) fn new(part: String, recovery: Option<RecoveryLog>, clock: SharedClock) -> Self {
        let node = Mutex::default();
        Self {
            part,
            recovery,
            clock,
            node,
            alive_until: AtomicU64::new(0),
            turns: AtomicU32::new(0),
        }
    }

    fn node(&self) -> MutexGuard<'_, Option<PathBuf>> {
        lock(&self.node)
    }

    /// The camera is behind `node`.
    pub(super) fn is_behind(&self, node: &Path) {
        *self.node() = Some(node.to_owned());
    }

    /// There is no camera to recover.
    pub(super) fn is_nowhere(&self) {
        *self.node() = None;
    }

    /// It gave a picture, and needs to give none before `until`.
    pub(super) fn alive(&self, until: BootTime) {
        self.alive_until.store(until.as_nanos(), Relaxed);
    }

    /// Its thread came back from the driver.
    pub(super) fn turns(&self) {
        self.turns.fetch_add(1, Relaxed);
    }

    /// What `run` ends with, which holds the camera and ends when `stop` is cancelled. `None`: it was,
    /// because the camera's thread did not come back from the driver.
    pub(super) async fn watch_over<T>(
        &self,
        run: impl Future<Output = T>,
        stop: Stop,
    ) -> Option<T> {
        let mut run = std::pin::pin!(run);
        tokio::select! {
            biased;
            ended = &mut run => return Some(ended),
            () = self.stands_still() => stop.cancel(),
        }
        run.await;
        None
    }

    /// Waits until its thread has not come back for [`CAMERA_ANSWER_LOOKS_MAX`] looks. Looks are
    /// counted and not seconds, since a process that was stopped has missed both.
    async fn stands_still(&self) {
        let (mut seen, mut same) = (self.turns.load(Relaxed), 0);
        while same < CAMERA_ANSWER_LOOKS_MAX {
            tokio::time::sleep(PAUSE).await;
            let now = self.turns.load(Relaxed);
            same = if now == seen { same + 1 } else { 0 };
            seen = now;
        }
    }

    /// Tells who brings dead cameras back, until dropped.
    pub(crate) async fn watch(self: Arc<Self>) {
        let mut known = None;
        loop {
            tokio::time::sleep(PAUSE).await;
            let watchdog = Arc::clone(&self);
            // sysfs may block. A thread that panicked there starts afresh.
            let told = tokio::task::spawn_blocking(move || watchdog.tell(known)).await;
            known = told.ok().flatten();
        }
    }

    /// What is `known` of the camera stays, unless it is another one now.
    fn tell(&self, known: Option<UsbRecovery>) -> Option<UsbRecovery> {
        let node = self.node().clone()?;
        let new = || UsbRecovery::new(&node, &self.part, self.recovery.clone(), self.clock.clone());
        let mut revival = known.filter(|known| known.node() == node).unwrap_or_else(new);
        if self.is_alive() {
            revival.alive();
        } else {
            revival.dead();
        }
        Some(revival)
    }

    fn is_alive(&self) -> bool {
        self.clock.boot() < BootTime::from_nanos(self.alive_until.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::HandClock;

    fn watchdog() -> (Arc<CameraWatchdog>, Arc<HandClock>) {
        let hand = Arc::new(HandClock::at(BootTime::from_millis(1_000)));
        let clock = Arc::clone(&hand) as SharedClock;
        (Arc::new(CameraWatchdog::new("yard/source".to_owned(), None, clock)), hand)
    }

    #[test]
    fn a_camera_lives_as_long_as_its_newest_picture_says() {
        let (watchdog, hand) = watchdog();
        assert!(!watchdog.is_alive());
        watchdog.alive(BootTime::from_millis(3_500));
        assert!(watchdog.is_alive());
        hand.pass(Duration::from_millis(2_500));
        assert!(!watchdog.is_alive());
    }

    #[test]
    fn what_is_known_stays_until_it_is_another_camera() {
        let (watchdog, _) = watchdog();
        assert!(watchdog.tell(None).is_none());
        watchdog.is_behind(Path::new("/dev/none"));
        let known = watchdog.tell(None);
        assert_eq!(known.as_ref().unwrap().node(), Path::new("/dev/none"));
        watchdog.is_behind(Path::new("/dev/other"));
        let known = watchdog.tell(known);
        assert_eq!(known.as_ref().unwrap().node(), Path::new("/dev/other"));
        watchdog.is_nowhere();
        assert!(watchdog.tell(known).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_ends_when_its_thread_does_not_come_back_from_the_driver() {
        let (watchdog, _) = watchdog();
        let (stop, most) = (Stop::new(), PAUSE * CAMERA_ANSWER_LOOKS_MAX);
        let turning = async {
            for _ in 0..60 {
                tokio::time::sleep(most / 3).await;
                watchdog.turns();
            }
        };
        assert_eq!(watchdog.watch_over(turning, stop.clone()).await, Some(()));
        let begun = tokio::time::Instant::now();
        let stuck = stop.clone().cancelled_owned();
        assert_eq!(watchdog.watch_over(stuck, stop).await, None);
        assert_eq!(begun.elapsed().as_secs(), most.as_secs());
    }
}
