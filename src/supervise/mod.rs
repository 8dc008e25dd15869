//! Keeps tasks alive: restart with a growing pause, heartbeats, the answer to systemd's watchdog.
//!
//! Owns: the life of every task in the process; `tokio::spawn` is here and nowhere else. What
//! had to be started again is in [`recovery`].
//! Does not know what a task does.
//!
//! Invariants:
//! 1. A panic in a task costs that task one restart and leaves the others alone.
//! 2. Restarts wait 0.25 → 30 s, doubling, with full jitter, and never stop for good.
//! 3. `WATCHDOG=1` is sent only while nothing hangs (`board` says what that means); when something
//!    does, systemd is asked at once to start the daemon again.
//! 4. Repeated failures are logged once and then counted.

mod backoff;
mod drill;
mod notify;
pub mod recovery;
mod task;
mod task_board;

pub use backoff::Backoff;
pub use drill::begin_drill;
pub use notify::{keep_watchdog_fed, say_pausing, say_stopping};
pub use task::{Enlisted, PANICKED, Supervisor, TaskContext, TaskSpec};
pub use task_board::{DeviceCall, Heartbeat, TaskReport, TaskState, in_device};
