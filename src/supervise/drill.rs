//! A part that fails on purpose, so that the ladder can be tried on a real box.
//!
//! Owns: what can be tried. Only the environment of the process asks for it, which is root's:
//! `HOLDFAST_DRILL=spin`, `deadlock` or `crash`, 20 s after the start.

use std::convert::Infallible;
use std::sync::Mutex;
use std::time::Duration;

use tracing::warn;

use super::task::{Supervisor, TaskSpec};
use crate::base::fault::{Class, Fault};

/// Between the start and the failure: long enough for a start to be counted as good.
const DELAY: Duration = Duration::from_secs(20);

/// Nothing: a drill does not come back.
#[derive(Debug, thiserror::Error)]
enum Never {}

impl Fault for Never {
    fn class(&self) -> Class {
        match *self {}
    }
}

/// Begins the drill that the environment asks for, if any.
pub fn begin_drill(supervisor: &Supervisor) {
    let Ok(kind) = std::env::var("HOLDFAST_DRILL") else { return };
    warn!(part = "drill", what = kind, "a failure is going to be made");
    supervisor.keep(TaskSpec::new("drill"), move |_| {
        let kind = kind.clone();
        async move {
            tokio::time::sleep(DELAY).await;
            fail(&kind);
            std::future::pending::<Result<Infallible, Never>>().await
        }
    });
}

fn fail(kind: &str) {
    match kind {
        "spin" => loop {
            std::hint::spin_loop();
        },
        "deadlock" => {
            let lock = Mutex::new(());
            let _held = lock.lock();
            // Waits for itself.
            let _never = lock.lock();
        }
        "crash" => std::process::abort(),
        _ => {}
    }
}
