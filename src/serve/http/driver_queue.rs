//! Video drivers are asked by one thread at a time.
//!
//! Owns: that a driver that never returns costs one thread, and that the next request gets an error
//! instead of waiting for ever.

use std::sync::Arc;
use std::thread;

use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use super::error::ApiError;
use crate::base::limits::DEVICES_TIME_MAX;

/// Lets one request at a time ask the drivers. Clones share the turn.
#[derive(Clone, Debug)]
pub(super) struct DriverQueue(Arc<Semaphore>);

impl Default for DriverQueue {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl DriverQueue {
    /// Runs `ask` alone, on a thread of its own.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        ask: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let (tell, told) = oneshot::channel();
        let asked = async {
            let turn = Arc::clone(&self.0).acquire_owned().await.ok()?;
            let asking = thread::Builder::new().name("asks-devices".to_owned());
            let asking = asking.spawn(move || {
                let _turn = turn;
                // The receiver is gone if it took too long.
                let _ = tell.send(ask());
            });
            asking.ok()?;
            told.await.ok()
        };
        let answer = timeout(DEVICES_TIME_MAX, asked).await.ok().flatten();
        answer.ok_or_else(|| {
            let message =
                "A video driver does not answer. Unplug the camera that was plugged in last.";
            ApiError::unavailable("devices_stuck", message)
        })
    }
}
