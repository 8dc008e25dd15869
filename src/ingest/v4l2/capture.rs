//! Picture after picture out of one camera, with its time and what is known to be lost before it.
//!
//! Owns: what is a usable picture, and when there have been none for too long: the queue is then
//! rebuilt once, because some cameras fall silent until their stream is restarted.

use std::sync::Arc;
use std::time::Duration;

use super::camera::OpenCamera;
use super::camera_watchdog::CameraWatchdog;
use super::error::CameraError;
use crate::base::limits::CAMERA_SILENCE_MAX;
use crate::base::time::{BootTime, SharedClock};
use crate::encode::convert::ConvertError;
use crate::ingest::run::CaptureStamp;
use crate::media::{Captured, ClockSource};
use crate::v4l2::Driver;
use crate::v4l2::clock::{Sequence, monotonic, taken_at};

/// How long one wait lasts, and so how soon a stop is seen.
const WAIT: Duration = Duration::from_millis(250);

/// What happened to a picture that was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameFate {
    /// It was taken.
    Taken,
    /// It was skipped on purpose; earlier losses are reported with the next one.
    LeftOut,
}

/// The pictures of one run.
pub(super) struct Capture<D: Driver> {
    camera: OpenCamera<D>,
    clock: SharedClock,
    watchdog: Option<Arc<CameraWatchdog>>,
    sequence: Sequence,
    lost: u16,
    /// When the last usable picture came, or the queue was made.
    good: BootTime,
    silence: Duration,
    rebuilt: bool,
    /// What was wrong with the last picture, if it was.
    damage: Option<String>,
}

impl<D: Driver> Capture<D> {
    /// Reports to `watchdog` that pictures come, and that the driver answers.
    pub(super) fn new(
        camera: OpenCamera<D>,
        clock: SharedClock,
        watchdog: Option<Arc<CameraWatchdog>>,
    ) -> Self {
        let interval = Duration::from_secs_f32(1.0 / camera.fps.max(0.1));
        Self {
            silence: CAMERA_SILENCE_MAX.max(3 * interval + Duration::from_secs(2)),
            good: clock.boot(),
            camera,
            clock,
            watchdog,
            sequence: Sequence::default(),
            lost: 0,
            rebuilt: false,
            damage: None,
        }
    }

    /// Waits a moment for a picture and shows its planes to `read`, whose error means that it is
    /// damaged. Damaged pictures are not shown.
    pub(super) fn turn(
        &mut self,
        read: impl FnOnce(&[&[u8]], CaptureStamp) -> Result<FrameFate, ConvertError>,
    ) -> Result<(), CameraError> {
        let (clock, sequence) = (&self.clock, &mut self.sequence);
        let mut lost = self.lost;
        let seen = self.camera.next(WAIT, |frame| {
            let (boot, wall) = (clock.boot(), clock.wall());
            lost = lost.saturating_add(sequence.next(frame.sequence));
            if frame.damaged {
                return Err("marked as damaged by the driver".to_owned());
            }
            let stamped = taken_at(frame.stamp, monotonic(), boot);
            let at = stamped.unwrap_or(boot);
            let age = i64::try_from(boot.since(at).as_nanos()).unwrap_or(0);
            let source = if stamped.is_some() { ClockSource::Sender } else { ClockSource::Arrival };
            let captured = Captured { wall: wall.offset_nanos(-age), source };
            let taken = CaptureStamp { at, captured, lost_before: lost };
            read(&frame.planes, taken).map_err(|error| error.to_string())
        });
        self.lost = lost;
        if let Some(watchdog) = &self.watchdog {
            watchdog.turns();
        }
        match seen? {
            Some(Ok(seen)) => {
                if seen == FrameFate::Taken {
                    self.lost = 0;
                }
                (self.good, self.rebuilt, self.damage) = (self.clock.boot(), false, None);
                if let Some(watchdog) = &self.watchdog {
                    watchdog.alive(self.good.after(self.silence / 2));
                }
                Ok(())
            }
            Some(Err(damage)) => {
                self.lost = self.lost.saturating_add(1);
                self.damage = Some(damage);
                self.look()
            }
            None => self.look(),
        }
    }

    /// Sees to it that there has been a usable picture lately.
    fn look(&mut self) -> Result<(), CameraError> {
        let silent = self.clock.boot().since(self.good);
        if silent < self.silence {
            return Ok(());
        }
        if self.rebuilt {
            let waited = 2 * self.silence;
            return Err(match self.damage.take() {
                Some(last) => CameraError::Damaged { waited, last },
                None => CameraError::Silent { waited },
            });
        }
        self.rebuilt = true;
        self.sequence = Sequence::default();
        self.camera.start()?;
        self.good = self.clock.boot();
        Ok(())
    }
}
