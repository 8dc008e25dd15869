//! Raw pictures on their way to an encoder's thread.
//!
//! Owns: the one picture that waits, and the memory of pictures that are done with.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::time::Duration;

use super::pace::{Change, EncodePace, EncodeStage};
use super::tee::RawTee;
use crate::base::limits::RAW_PICTURES_SPARE_MAX;
use crate::base::sync::{lock, wait};
use crate::base::time::{BootTime, SharedClock};
use crate::encode::Picture;
use crate::ingest::run::CaptureStamp;

/// The run has ended; the capture may stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the run has ended")]
pub(crate) struct Closed;

/// A raw picture. When its last holder drops it, its memory returns to the pool.
#[derive(Debug)]
pub(super) struct RawFrame {
    pub(super) picture: Picture,
    pub(super) taken: CaptureStamp,
    home: Weak<Mutex<Vec<Picture>>>,
}

impl Drop for RawFrame {
    fn drop(&mut self) {
        let Some(home) = self.home.upgrade() else { return };
        let mut spare = lock(&home);
        if spare.len() < RAW_PICTURES_SPARE_MAX {
            spare.push(std::mem::take(&mut self.picture));
        }
    }
}

/// A picture as the encoder gets it.
#[derive(Debug)]
pub(super) struct QueuedFrame {
    pub(super) shot: Arc<RawFrame>,
    /// Pictures that waited and were thrown away since the one before, and those lost before.
    pub(super) lost: u16,
}

/// Where raw pictures are put. Clones lead to the same encoder.
#[derive(Clone, Debug)]
pub(crate) struct EncoderQueue(Arc<QueueShared>);

#[derive(Debug)]
struct QueueShared {
    state: Mutex<QueueState>,
    changed: Condvar,
    clock: SharedClock,
    tee: Option<Arc<RawTee>>,
    spare: Arc<Mutex<Vec<Picture>>>,
}

#[derive(Debug)]
struct QueueState {
    pace: EncodePace,
    waiting: Option<QueuedFrame>,
    /// When the picture that is being made was begun.
    begun: Option<BootTime>,
    closed: bool,
}

impl EncoderQueue {
    /// A feed for `fps` pictures per second, which are given on through `tee`.
    pub(super) fn new(fps: f32, clock: SharedClock, tee: Option<Arc<RawTee>>) -> Self {
        let interval = Duration::from_secs_f32(1.0 / fps.clamp(0.1, 1_000.0));
        let state = QueueState {
            pace: EncodePace::new(interval),
            waiting: None,
            begun: None,
            closed: false,
        };
        let state = Mutex::new(state);
        Self(Arc::new(QueueShared {
            state,
            changed: Condvar::new(),
            clock,
            tee,
            spare: Arc::default(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        lock(&self.0.state)
    }

    /// Whether the camera's next picture should be converted and put here; ask once for each. A
    /// picture that is not wanted needs no converting.
    pub(crate) fn wants(&self) -> bool {
        let now = self.0.clock.boot();
        let mut state = self.lock();
        state.begun = Some(now);
        state.pace.take()
    }

    /// A picture of this size to write to; what is in it is undefined.
    pub(crate) fn canvas(&self, width: u32, height: u32) -> Picture {
        let spare = lock(&self.0.spare).pop();
        let size = (width as usize & !1, height as usize & !1);
        spare
            .filter(|spare| (spare.width(), spare.height()) == size)
            .unwrap_or_else(|| Picture::black(width, height))
    }

    /// Hands over a picture that was wanted. Never waits for the encoder.
    pub(crate) fn put(&self, picture: Picture, taken: CaptureStamp) -> Result<(), Closed> {
        let shot = Arc::new(RawFrame { picture, taken, home: Arc::downgrade(&self.0.spare) });
        let now = self.0.clock.boot();
        let mut state = self.lock();
        if let Some(begun) = state.begun.take() {
            state.pace.spent(EncodeStage::Prepare, now.since(begun));
        }
        // What the camera could not hand over in time is missed too.
        state.pace.missed(u32::from(taken.lost_before));
        drop(state);
        self.insert(Arc::clone(&shot))?;
        if let Some(tee) = &self.0.tee {
            tee.give(&shot);
        }
        Ok(())
    }

    /// Takes a picture of another stream, if it is due in this one.
    pub(super) fn share(&self, shot: Arc<RawFrame>) -> Result<(), Closed> {
        let wanted = self.lock().pace.take();
        if wanted { self.insert(shot) } else { Ok(()) }
    }

    fn insert(&self, shot: Arc<RawFrame>) -> Result<(), Closed> {
        let mut state = self.lock();
        if state.closed {
            return Err(Closed);
        }
        let mut lost = shot.taken.lost_before;
        if let Some(late) = state.waiting.take() {
            state.pace.missed(1);
            lost = lost.saturating_add(late.lost).saturating_add(1);
        }
        state.waiting = Some(QueuedFrame { shot, lost });
        self.0.changed.notify_all();
        Ok(())
    }

    /// The next picture to encode; `None` when the run has ended.
    pub(super) fn next(&self) -> Option<QueuedFrame> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some(next) = state.waiting.take() {
                return Some(next);
            }
            state = wait(&self.0.changed, state);
        }
    }

    /// Counts the time since `begun`, in which a picture was encoded, and decides about the rate.
    pub(super) fn encoded(&self, begun: BootTime) -> Option<Change> {
        let now = self.0.clock.boot();
        let mut state = self.lock();
        state.pace.spent(EncodeStage::Encode, now.since(begun));
        state.pace.decide(now)
    }

    /// One picture in so many is taken.
    pub(super) fn divisor(&self) -> u32 {
        self.lock().pace.divisor()
    }

    /// Ends the run: pictures can no longer be put in or taken out.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.0.changed.notify_all();
    }

    /// Whether the run has ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }
}
