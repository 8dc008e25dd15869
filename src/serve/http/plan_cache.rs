//! The plans of the last downloads.
//!
//! Owns: which version of a file a client continues with. A range that is still being recorded is
//! another file at each request; a player that jumps about in it, or a download that is resumed,
//! must get the one it began with.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::base::limits::{EXPORT_PLAN_KEEP_TIME, EXPORT_PLANS_KEPT_MAX};
use crate::base::sync::lock;
use crate::base::time::{BootTime, WallTime};
use crate::playback::export::ExportPlan;

/// What is recorded reaches the disk within this.
const GROWS_FOR: Duration = Duration::from_secs(15);

/// Plans by their request, the one used last behind the others.
#[derive(Debug, Default)]
pub(super) struct PlanCache(Mutex<Vec<(String, Arc<ExportPlan>, BootTime)>>);

impl PlanCache {
    /// The plan that the same request was answered with last.
    pub(super) fn get(&self, key: &str, now: BootTime) -> Option<Arc<ExportPlan>> {
        let mut kept = lock(&self.0);
        kept.retain(|(.., used)| now.since(*used) <= EXPORT_PLAN_KEEP_TIME);
        kept.iter().find(|(known, ..)| known == key).map(|(_, plan, _)| Arc::clone(plan))
    }

    /// Keeps it for a while.
    pub(super) fn put(&self, key: String, plan: &Arc<ExportPlan>, now: BootTime) {
        let mut kept = lock(&self.0);
        kept.retain(|(known, ..)| *known != key);
        if kept.len() >= EXPORT_PLANS_KEPT_MAX {
            kept.remove(0);
        }
        kept.push((key, Arc::clone(plan), now));
    }
}

/// Whether what ends at `end` may not all be on the disk yet.
pub(super) fn may_grow(end: WallTime, now: WallTime) -> bool {
    let nanos = i64::try_from(GROWS_FOR.as_nanos()).unwrap_or(i64::MAX);
    end > now.offset_nanos(-nanos)
}
