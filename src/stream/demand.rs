//! Whether a stream is in demand, for sources that run only then.
//!
//! Owns: the count of viewers. Reads no clock: how long a source lingers without any is its own
//! matter.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::watch;

/// Who wants to see a stream. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Demand(Arc<SharedDemand>);

#[derive(Debug, Default)]
struct SharedDemand {
    on_demand: AtomicBool,
    idle: AtomicBool,
    wanted: watch::Sender<ViewerCount>,
}

#[derive(Clone, Copy, Debug, Default)]
struct ViewerCount {
    viewers: usize,
    /// So far; reveals viewers that came and went between two looks.
    ever: u64,
}

/// Demand for a stream; dropping it ends that.
#[derive(Debug)]
pub struct Viewing(Demand);

impl Demand {
    /// Wants the stream for as long as the answer is kept.
    pub(super) fn view(&self) -> Viewing {
        self.0.wanted.send_modify(|wanted| {
            wanted.viewers += 1;
            wanted.ever += 1;
        });
        Viewing(self.clone())
    }

    /// Sets whether the source runs only on demand.
    pub fn set_on_demand(&self, on_demand: bool) {
        self.0.on_demand.store(on_demand, Relaxed);
        self.0.idle.store(false, Relaxed);
    }

    /// Whether the source runs only on demand.
    #[must_use]
    pub fn is_on_demand(&self) -> bool {
        self.0.on_demand.load(Relaxed)
    }

    /// Marks the source as resting until there is demand.
    pub fn rest(&self) {
        self.0.idle.store(true, Relaxed);
    }

    /// Ends a rest; whether there was one.
    pub fn wake(&self) -> bool {
        self.0.idle.swap(false, Relaxed)
    }

    /// Whether the stream is in demand now.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.0.wanted.borrow().viewers > 0
    }

    /// Waits until the stream is in demand. Cancel safe.
    pub async fn wanted(&self) {
        let mut wanted = self.0.wanted.subscribe();
        let before = wanted.borrow_and_update().ever;
        // The sender is here, so waiting cannot fail.
        let _ = wanted.wait_for(|now| now.viewers > 0 || now.ever != before).await;
    }

    /// Waits until the stream was out of demand for `grace`. Cancel safe.
    pub async fn unwanted(&self, grace: Duration) {
        let mut wanted = self.0.wanted.subscribe();
        loop {
            let before = wanted.wait_for(|now| now.viewers == 0).await.map_or(0, |now| now.ever);
            let came = wanted.wait_for(|now| now.ever != before);
            if tokio::time::timeout(grace, came).await.is_err() {
                return;
            }
        }
    }
}

impl Drop for Viewing {
    fn drop(&mut self) {
        self.0.0.wanted.send_modify(|wanted| wanted.viewers = wanted.viewers.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(30);
    const NEARLY: Duration = Duration::from_secs(29);

    #[tokio::test(start_paused = true)]
    async fn a_stream_is_wanted_from_the_first_viewer_until_the_grace_after_the_last() {
        let demand = Demand::default();
        let second = Duration::from_secs(1);
        assert!(tokio::time::timeout(second, demand.wanted()).await.is_err());
        let first = demand.view();
        demand.wanted().await;
        assert!(tokio::time::timeout(GRACE * 2, demand.unwanted(GRACE)).await.is_err());
        let unwanted = demand.unwanted(GRACE);
        tokio::pin!(unwanted);
        drop(first);
        assert!(tokio::time::timeout(NEARLY, unwanted.as_mut()).await.is_err());
        // A look of a moment begins the grace anew.
        drop(demand.view());
        assert!(tokio::time::timeout(NEARLY, unwanted.as_mut()).await.is_err());
        assert!(tokio::time::timeout(second * 2, unwanted.as_mut()).await.is_ok());
    }

    #[tokio::test]
    async fn a_look_of_a_moment_is_noticed() {
        let demand = Demand::default();
        let other = demand.clone();
        let waiting = tokio::spawn(async move { other.wanted().await });
        tokio::task::yield_now().await;
        drop(demand.view());
        waiting.await.unwrap();
    }
}
