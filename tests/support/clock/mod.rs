//! The clock of a machine that has been on for a long time: recordings may be as old, on whatever
//! machine the tests run.
#![allow(unreachable_pub)] // a module of each test

use std::time::Duration;

use holdfast::base::time::{BootTime, Clock, SystemClock, WallTime};

/// A machine that has been on for two months at least.
#[derive(Debug)]
pub struct LongOn;

impl Clock for LongOn {
    fn boot(&self) -> BootTime {
        SystemClock.boot().after(Duration::from_secs(60 * 86_400))
    }

    fn wall(&self) -> WallTime {
        SystemClock.wall()
    }
}
