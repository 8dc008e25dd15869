//! The one place from which a stream is published.
//!
//! Owns: who holds it. A publisher that was replaced finds out at its next packet, or by waiting
//! for [`PushPublisher::displaced`].

use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::watch;
use tracing::info;

use super::error::{PublishRefused, PushError};
use super::publisher::{Carriage, PushPublisher, track_inputs};
use crate::base::sync::lock;
use crate::base::time::SharedClock;
use crate::ingest::rtp::{RunBuilder, TimelineEnd, TrackInput, choose, not_carried};
use crate::media::TrackId;
use crate::stream::{Stream, StreamState};
use crate::wire::rtsp::SessionDescription;

/// The one place from which a stream is published.
#[derive(Debug)]
pub struct PublishPoint {
    take_over: bool,
    inner: Mutex<PointState>,
    /// Number of the publisher that has the publish point; zero when it is free or closed.
    holder: watch::Sender<u64>,
    end: Arc<TimelineEnd>,
}

#[derive(Debug, Default)]
struct PointState {
    stream: Option<(Arc<Stream>, SharedClock)>,
    /// Publishers so far.
    count: u64,
}

impl PublishPoint {
    pub(super) fn new(take_over: bool) -> Self {
        let holder = watch::Sender::new(0);
        Self { take_over, inner: Mutex::default(), holder, end: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, PointState> {
        lock(&self.inner)
    }

    /// Opens the publish point for publishers of `stream`.
    pub fn open(&self, stream: Arc<Stream>, clock: SharedClock) {
        let path = stream.name().to_string();
        let reason = format!(
            "Waiting for a publisher. Point an encoder at the path /{path} of the RTSP address; \
             /live/{path}, /app/{path} and /{path}/main lead here too."
        );
        stream.set_state(StreamState::Waiting { reason }, clock.wall());
        self.lock().stream = Some((stream, clock));
    }

    /// Sends the publisher away and lets no other in.
    pub(super) fn close(&self) {
        let mut inner = self.lock();
        inner.stream = None;
        self.holder.send_replace(0);
    }

    /// Whether `offer` could be published now.
    pub fn check(&self, offer: &SessionDescription) -> Result<(), PublishRefused> {
        let inner = self.lock();
        self.is_free(&inner)?;
        check_offer(offer)
    }

    /// Takes the publish point for a publisher that brings `tracks` of `offer`, numbered as there. `seed`
    /// is for the numbers that its reports carry.
    pub fn acquire(
        self: &Arc<Self>,
        offer: &SessionDescription,
        tracks: &[(TrackId, Carriage)],
        seed: u64,
    ) -> Result<PushPublisher, PublishRefused> {
        let mut inner = self.lock();
        self.is_free(&inner)?;
        let (inputs, specs): (Vec<TrackInput>, Vec<_>) =
            track_inputs(offer, tracks)?.into_iter().unzip();
        let Some((stream, clock)) = inner.stream.clone() else {
            return Err(PublishRefused::Closed);
        };
        inner.count += 1;
        let number = inner.count;
        self.holder.send_replace(number);
        stream.set_not_carried(left_out(offer).into_iter().map(|(_, what)| what).collect());
        stream.set_state(StreamState::Starting, clock.wall());
        info!(stream = %stream.name(), "publisher came");
        let run = RunBuilder::new(stream, Arc::clone(&self.end), &specs);
        let holder = self.holder.subscribe();
        Ok(PushPublisher::new(Arc::clone(self), number, holder, run, inputs, clock, seed))
    }

    fn is_free(&self, inner: &PointState) -> Result<(), PublishRefused> {
        if inner.stream.is_none() {
            return Err(PublishRefused::Closed);
        }
        let free = self.take_over || *self.holder.borrow() == 0;
        if free { Ok(()) } else { Err(PublishRefused::Taken) }
    }

    /// Does `work` if publisher `number` still holds the publish point; no one else gets it
    /// meanwhile.
    pub(super) fn hold<T>(
        &self,
        number: u64,
        work: impl FnOnce() -> Result<T, PushError>,
    ) -> Result<T, PushError> {
        let inner = self.lock();
        self.check_holder(&inner, number)?;
        work()
    }

    fn check_holder(&self, inner: &PointState, number: u64) -> Result<(), PushError> {
        match *self.holder.borrow() {
            holder if holder == number => Ok(()),
            _ if inner.stream.is_none() => Err(PushError::Stopped),
            _ => Err(PushError::Replaced),
        }
    }

    /// Why publisher `number` has the publish point no more.
    pub(super) fn displacement(&self, number: u64) -> Option<PushError> {
        self.check_holder(&self.lock(), number).err()
    }

    /// Publisher `number` is done; the stream is away for this reason until another comes.
    pub(super) fn leave(&self, number: u64, why: &PushError) {
        let inner = self.lock();
        if self.check_holder(&inner, number).is_err() {
            return;
        }
        self.holder.send_replace(0);
        let Some((stream, clock)) = &inner.stream else { return };
        stream.meter.restarted();
        let reason = why.to_string();
        // One that says goodbye may come again when it likes; one that is lost is missed.
        let state = match why {
            PushError::Left | PushError::Paused => StreamState::Waiting { reason },
            _ => StreamState::Offline { reason },
        };
        stream.set_state(state, clock.wall());
        info!(stream = %stream.name(), error = %why, "publisher left");
    }
}

/// Whether anything of `offer` can be carried.
pub fn check_offer(offer: &SessionDescription) -> Result<(), PublishRefused> {
    let all: Vec<_> = (0..offer.media.len()).map(|at| (track(at), Carriage::Tcp)).collect();
    track_inputs(offer, &all).map(|_| ())
}

/// The tracks of `offer` that are left out, and what each of them is, such as `audio L16`.
#[must_use]
pub fn left_out(offer: &SessionDescription) -> Vec<(TrackId, String)> {
    let chosen = choose(offer, 0..offer.media.len(), false).unwrap_or_default();
    let left = not_carried(offer, &chosen).into_iter();
    left.map(|(place, what)| (track(place), what)).collect()
}

/// The track at this place of an offer, which holds far fewer than 256.
fn track(at: usize) -> TrackId {
    TrackId(u8::try_from(at).unwrap_or(u8::MAX))
}
