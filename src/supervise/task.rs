//! Spawning: tasks that are kept alive and tasks that end by themselves.
//!
//! Owns: the loop of one task's lives.

use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use super::backoff::Backoff;
use super::recovery::{RecoveryLog, Rung};
use super::task_board::{Heartbeat, TaskBoard, TaskEntry, TaskReport, TaskState};
use crate::base::Stop;
use crate::base::fault::{Class, Fault, chain};
use crate::base::limits::{RESTART_PAUSE_MAX, STOP_TIME_MAX};
use crate::base::time::SharedClock;

/// What people read of a part that panicked. What the panic said is for the log.
pub const PANICKED: &str = "An error of Holdfast ended it. It is started again; report this with a support bundle if it repeats.";

/// What a kept task is called and what hangs on it.
#[derive(Clone, Debug)]
pub struct TaskSpec {
    /// Its name, such as `gate/source`; unique, also the log field `part`.
    pub name: String,
    /// `Some(deadline)`: the watchdog is fed only while this task beats at least that often.
    /// A camera is never vital: a silent one is degraded, not failed.
    pub vital: Option<Duration>,
    /// Longest pause before it is started again.
    pub pause_max: Duration,
}

impl TaskSpec {
    /// A task on which nothing hangs.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), vital: None, pause_max: RESTART_PAUSE_MAX }
    }

    /// A task that must beat at least every `deadline`.
    #[must_use]
    pub fn vital(name: impl Into<String>, deadline: Duration) -> Self {
        Self { vital: Some(deadline), ..Self::new(name) }
    }

    /// The same, started again after `longest` at the latest.
    #[must_use]
    pub fn paused_at_most(self, longest: Duration) -> Self {
        Self { pause_max: longest, ..self }
    }
}

/// What one life of a task is given.
#[derive(Clone, Debug)]
pub struct TaskContext {
    /// Ends the life when cancelled.
    pub stop: Stop,
    /// Says "alive".
    pub heartbeat: Heartbeat,
    /// The clock.
    pub clock: SharedClock,
}

/// Spawns tasks and knows them. Clones share the board; [`Supervisor::child`] scopes the stop.
#[derive(Clone, Debug)]
pub struct Supervisor {
    stop: Stop,
    board: Arc<TaskBoard>,
    tracker: TaskTracker,
    clock: SharedClock,
    recovery: Option<RecoveryLog>,
}

impl Supervisor {
    /// A supervisor whose tasks end when `stop` is cancelled.
    #[must_use]
    pub fn new(stop: Stop, clock: SharedClock) -> Self {
        Self { stop, board: Arc::default(), tracker: TaskTracker::new(), clock, recovery: None }
    }

    /// The same, with a log that hears of every part that is started again.
    #[must_use]
    pub fn with_recovery(self, log: RecoveryLog) -> Self {
        Self { recovery: Some(log), ..self }
    }

    /// The log of what had to be started again, where there is one.
    #[must_use]
    pub fn recovery(&self) -> Option<&RecoveryLog> {
        self.recovery.as_ref()
    }

    /// A supervisor for a part: it can be stopped alone, and stops with its parent.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { stop: self.stop.child_token(), tracker: TaskTracker::new(), ..self.clone() }
    }

    /// The stop signal of this scope.
    #[must_use]
    pub fn stop_signal(&self) -> &Stop {
        &self.stop
    }

    /// The clock that its tasks are given.
    #[must_use]
    pub fn clock(&self) -> &SharedClock {
        &self.clock
    }

    /// Keeps a task alive until stopped: `life` is called for every life. A life ends only by
    /// an error, a panic, or the stop signal (on which it is dropped after it had the chance to
    /// see it).
    pub fn keep<F, L, E>(&self, spec: TaskSpec, mut life: L)
    where
        L: FnMut(TaskContext) -> F + Send + 'static,
        F: Future<Output = Result<Infallible, E>> + Send + 'static,
        E: Fault,
    {
        let context = self.enter(&spec);
        let (board, recovery) = (Arc::clone(&self.board), self.recovery.clone());
        self.tracker.spawn(async move {
            let mut keeper = TaskKeeper::new(&spec, &context, board, recovery);
            while let Some(ended) = keeper.live(&mut life, &context).await {
                let pause = keeper.after(ended, &context);
                tokio::select! {
                    biased;
                    () = context.stop.cancelled() => break,
                    () = tokio::time::sleep(pause) => {}
                }
            }
            keeper.board.lock().remove(&spec.name);
        });
    }

    /// Runs a future that ends by itself, such as one connection. A panic in it is logged and ends
    /// it alone; the stop signal drops it.
    pub fn spawn(&self, part: &'static str, future: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tracker.spawn(async move {
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                ended = AssertUnwindSafe(future).catch_unwind() => {
                    if let Err(panic) = ended {
                        error!(part, error = panic_text(&*panic), "task panicked");
                    }
                }
            }
        });
    }

    /// Puts a part that runs on a thread of its own on the board; the guard takes it off.
    #[must_use]
    pub fn enlist(&self, spec: TaskSpec) -> (Heartbeat, Enlisted) {
        let context = self.enter(&spec);
        (context.heartbeat, Enlisted { board: Arc::clone(&self.board), name: spec.name })
    }

    fn enter(&self, spec: &TaskSpec) -> TaskContext {
        let heartbeat = Heartbeat::new(&self.clock);
        let entry = TaskEntry {
            state: TaskState::Running,
            vital: spec.vital,
            pulse: Arc::clone(&heartbeat.pulse),
            restarts: 0,
            last_error: None,
        };
        self.board.lock().insert(spec.name.clone(), entry);
        TaskContext { stop: self.stop.child_token(), heartbeat, clock: Arc::clone(&self.clock) }
    }

    /// What is known of every task of the process.
    #[must_use]
    pub fn report(&self) -> Vec<TaskReport> {
        self.board.report(self.clock.boot())
    }

    /// Stops this scope and waits for its tasks, at most [`STOP_TIME_MAX`].
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tracker.close();
        if tokio::time::timeout(STOP_TIME_MAX, self.tracker.wait()).await.is_err() {
            warn!(
                units = self.tracker.len(),
                "tasks did not stop in time, continuing without them"
            );
        }
    }
}

/// Keeps a thread's entry on the board; dropping it takes the entry off.
#[derive(Debug)]
pub struct Enlisted {
    board: Arc<TaskBoard>,
    name: String,
}

impl Drop for Enlisted {
    fn drop(&mut self) {
        self.board.lock().remove(&self.name);
    }
}

/// How a life ended.
struct TaskEnd {
    class: Class,
    text: String,
    /// For how long it did its work.
    lived: Duration,
}

struct TaskKeeper {
    name: String,
    board: Arc<TaskBoard>,
    backoff: Backoff,
    recovery: Option<RecoveryLog>,
    /// The error logged last and how often it came since: repeats are counted, not logged.
    repeated: u64,
}

impl TaskKeeper {
    fn new(
        spec: &TaskSpec,
        context: &TaskContext,
        board: Arc<TaskBoard>,
        recovery: Option<RecoveryLog>,
    ) -> Self {
        let seed = fastrand::u64(..) ^ context.clock.boot().as_nanos();
        let backoff = Backoff::new(seed).up_to(spec.pause_max);
        Self { name: spec.name.clone(), board, backoff, recovery, repeated: 0 }
    }

    /// One life; `None` when asked to stop.
    async fn live<F, L, E>(&mut self, life: &mut L, context: &TaskContext) -> Option<TaskEnd>
    where
        L: FnMut(TaskContext) -> F,
        F: Future<Output = Result<Infallible, E>>,
        E: Fault,
    {
        context.heartbeat.beat();
        if let Some(entry) = self.board.lock().get_mut(&self.name) {
            entry.state = TaskState::Running;
        }
        let begun = context.clock.boot();
        let watched = watched(context.heartbeat.clone(), async { life(context.clone()).await });
        let ended = AssertUnwindSafe(watched).catch_unwind();
        let ended = tokio::select! {
            biased;
            ended = ended => ended,
            () = stopped_and_given_time(&context.stop) => return None,
        };
        if context.stop.is_cancelled() {
            return None;
        }
        let lived = context.clock.boot().since(begun);
        let lived = context.heartbeat.take_worked().unwrap_or(lived);
        let (class, text) = match ended {
            Ok(Ok(never)) => match never {},
            Ok(Err(error)) => (error.class(), chain(&error)),
            Err(panic) => {
                error!(part = self.name, error = panic_text(&*panic), "part panicked");
                (Class::Bug, PANICKED.to_owned())
            }
        };
        Some(TaskEnd { class, text, lived })
    }

    /// Writes down why a life ended and says how long to wait.
    fn after(&mut self, ended: TaskEnd, context: &TaskContext) -> Duration {
        let pause = self.backoff.pause(ended.lived, ended.class);
        let mut board = self.board.lock();
        let Some(entry) = board.get_mut(&self.name) else { return pause };
        entry.restarts += 1;
        entry.state = TaskState::Waiting;
        let same = entry.last_error.as_deref() == Some(&ended.text);
        entry.last_error = Some(ended.text.clone());
        drop(board);
        self.tell(&ended, same, pause);
        if let Some(recovery) = &self.recovery {
            recovery.note(Rung::PartRestart, &self.name, &ended.text);
        }
        context.heartbeat.beat();
        pause
    }

    fn tell(&mut self, ended: &TaskEnd, same: bool, pause: Duration) {
        let elapsed_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        let (part, class) = (&self.name, ended.class.as_str());
        match (same, ended.class) {
            // The 2nd, 4th, 8th… repeat is logged with its count.
            (true, _) => {
                self.repeated += 1;
                if self.repeated.is_power_of_two() {
                    info!(part, class, attempt = self.repeated, "part fails as before");
                }
            }
            (false, Class::Bug) => {
                self.repeated = 0;
                error!(part, class, error = ended.text, elapsed_ms, "part failed, restarting");
            }
            (false, _) => {
                self.repeated = 0;
                warn!(part, class, error = ended.text, elapsed_ms, "part failed, restarting");
            }
        }
    }
}

/// The same future, whose turns are seen by the watchdog.
async fn watched<F: Future>(heartbeat: Heartbeat, future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|context| heartbeat.turn(|| future.as_mut().poll(context))).await
}

/// A life may see the stop signal itself and tidy up; this long, then it is dropped.
async fn stopped_and_given_time(stop: &Stop) {
    stop.cancelled().await;
    tokio::time::sleep(STOP_TIME_MAX / 2).await;
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use super::*;
    use crate::base::time::{BootTime, HandClock, SystemClock};

    #[derive(Debug, thiserror::Error)]
    #[error("no luck")]
    struct NoLuck;

    impl Fault for NoLuck {
        fn class(&self) -> Class {
            Class::Network
        }
    }

    fn supervisor() -> Supervisor {
        Supervisor::new(Stop::new(), Arc::new(SystemClock))
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_restarts_that_task_and_nobody_else() {
        let supervisor = supervisor();
        let lives = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&lives);
        supervisor.keep(TaskSpec::new("weak"), move |_| {
            counted.fetch_add(1, Relaxed);
            async { if true { panic!("weak heart") } else { Err(NoLuck) } }
        });
        let stable = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&stable);
        supervisor.keep(TaskSpec::new("stable"), move |context| {
            counted.fetch_add(1, Relaxed);
            async move {
                context.stop.cancelled().await;
                Err(NoLuck)
            }
        });
        tokio::time::sleep(Duration::from_secs(300)).await;
        assert!(lives.load(Relaxed) > 5);
        assert_eq!(stable.load(Relaxed), 1);
        let report = supervisor.report();
        let weak = report.iter().find(|t| t.name == "weak").unwrap();
        assert_eq!(weak.last_error.as_deref(), Some(PANICKED), "a panic's text is for the log");
        assert!(weak.restarts > 4);
        supervisor.stop().await;
        assert!(supervisor.report().is_empty());
    }

    /// Lives within five minutes of a part that lives for 20 s each time and says what of it was
    /// work.
    async fn lives_of_one_that_worked(time: Option<Duration>) -> u32 {
        let hand = Arc::new(HandClock::at(BootTime::from_millis(1_000)));
        let supervisor = Supervisor::new(Stop::new(), Arc::clone(&hand) as _);
        let lives = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&lives);
        supervisor.keep(TaskSpec::new("gate/source"), move |context| {
            counted.fetch_add(1, Relaxed);
            let hand = Arc::clone(&hand);
            async move {
                hand.pass(Duration::from_secs(20));
                if let Some(time) = time {
                    context.heartbeat.worked(time);
                }
                Err(NoLuck)
            }
        });
        tokio::time::sleep(Duration::from_secs(300)).await;
        lives.load(Relaxed)
    }

    #[tokio::test(start_paused = true)]
    async fn what_waited_in_vain_for_long_is_not_started_again_at_once() {
        let at_once = 1_000;
        assert!(lives_of_one_that_worked(None).await > at_once);
        assert!(lives_of_one_that_worked(Some(Duration::from_secs(10))).await > at_once);
        assert!(lives_of_one_that_worked(Some(Duration::from_secs(9))).await < 300);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_ignores_the_stop_signal_is_dropped() {
        let supervisor = supervisor();
        supervisor.keep(TaskSpec::new("deaf"), |_| std::future::pending::<Result<_, NoLuck>>());
        supervisor.stop().await;
        assert!(supervisor.report().is_empty());
    }
}
