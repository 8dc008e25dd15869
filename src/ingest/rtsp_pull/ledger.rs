//! What one connection may hold in memory while a message or a frame is still arriving.
//!
//! Owns: the account. retina bounds neither an RTSP message nor an access unit; so each poll of
//! it is weighed by what it allocated and did not free (`base::held`), and it is given little to
//! read per poll, so that what it holds cannot run away within one.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll};

use tokio::task::coop;

use crate::base::held::held_bytes;
use crate::base::limits::PULL_HELD_BYTES_MAX;

/// Of the 128 operations that tokio lets a task do per poll, these are taken from retina: it
/// gets 16, each a read of at most what the socket holds.
const OPERATIONS_TAKEN: usize = 112;
/// Small things that leave with an item and are freed elsewhere.
const ITEM_BYTES: i64 = 64;

/// The account of one connection.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Held since the last frame of the first track.
    since_frame: i64,
    /// Held at all, less what left with the items.
    total: i64,
}

/// More was held than a frame can need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overfull;

impl Ledger {
    /// Runs `future`, and gives it up once it holds too much.
    pub(super) async fn watch<T>(
        &mut self,
        future: impl Future<Output = T>,
    ) -> Result<T, Overfull> {
        let mut future = pin!(future);
        std::future::poll_fn(move |cx| {
            if take_operations(cx).is_pending() {
                return Poll::Pending;
            }
            let before = held_bytes();
            let poll = future.as_mut().poll(cx);
            let held = held_bytes().wrapping_sub(before);
            self.since_frame = self.since_frame.saturating_add(held);
            self.total = self.total.saturating_add(held);
            match poll {
                Poll::Ready(value) => Poll::Ready(Ok(value)),
                Poll::Pending if self.is_overfull() => Poll::Ready(Err(Overfull)),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// An item of `bytes` left; `first_track`: it was a frame of the first track, so nothing of
    /// that is waiting any more.
    pub(super) fn left(&mut self, bytes: usize, first_track: bool) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX).saturating_add(ITEM_BYTES);
        self.total = self.total.saturating_sub(bytes).max(0);
        if first_track {
            self.since_frame = 0;
        }
    }

    fn is_overfull(&self) -> bool {
        self.since_frame > PULL_HELD_BYTES_MAX || self.total > 2 * PULL_HELD_BYTES_MAX
    }
}

fn take_operations(cx: &mut Context<'_>) -> Poll<()> {
    for _ in 0..OPERATIONS_TAKEN {
        match coop::poll_proceed(cx) {
            Poll::Ready(operation) => operation.made_progress(),
            Poll::Pending => return Poll::Pending,
        }
    }
    Poll::Ready(())
}
