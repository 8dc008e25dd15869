//! The handle by which the house knows one stream, and the directory of all of them.
//!
//! Owns: name, tracks, state and counters of a stream. A stream lives as long as the
//! configuration names it; runs come and go inside.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::watch;
use tracing::warn;

use super::demand::{Demand, Viewing};
use super::frame_rate::FrameRates;
use super::interruptions::{Interrupted, Interruptions};
use super::pace::{ParamChanges, PicturePace, SoundState};
use super::rate::Rates;
use super::window::{Bounds, Bus, Publisher};
use crate::base::meter::Meter;
use crate::base::name::StreamName;
use crate::base::sync::lock;
use crate::base::time::{BootTime, WallTime};
use crate::media::{AccessUnit, ClockSource, Entry, RunId, TrackId, Tracks};

/// How a stream is doing, in words that a person can be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamState {
    /// Connecting, or connected and waiting for the first key frame.
    Starting,
    /// Units arrive.
    Live,
    /// Nothing arrives; `reason` says why and what to do.
    Offline {
        /// For people, without secrets.
        reason: String,
    },
    /// Nothing arrives, which is normal: the publisher starts when it likes.
    Waiting {
        /// For people: what is waited for.
        reason: String,
    },
}

impl StreamState {
    /// The state as one lower-case word. Who waits is offline too; the reason says the rest.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Live => "live",
            Self::Offline { .. } | Self::Waiting { .. } => "offline",
        }
    }

    /// Why nothing arrives, if that is so.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Offline { reason } | Self::Waiting { reason } => Some(reason),
            Self::Starting | Self::Live => None,
        }
    }
}

/// How it goes with pictures that are encoded here.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct Encoding {
    /// What encodes them.
    pub encoder: &'static str,
    /// Why the board's own encoder is not used, where it was to be.
    pub instead: Option<String>,
    /// One picture in so many is encoded; more than one means there is no time for all of them.
    pub one_in: u32,
}

/// One stream, shared by its source, its sinks and the doors.
#[derive(Debug)]
pub struct Stream {
    name: StreamName,
    source_kind: &'static str,
    bus: Bus<AccessUnit>,
    /// The one publisher, lent to the run that is on.
    publisher: Publisher<AccessUnit>,
    tracks: watch::Sender<Option<Arc<Tracks>>>,
    state: watch::Sender<(StreamState, WallTime)>,
    runs: Mutex<u32>,
    rates: Mutex<Rates>,
    frame_rates: Mutex<FrameRates>,
    pace: Mutex<PicturePace>,
    encoding: ArcSwapOption<Encoding>,
    interruptions: Mutex<Interruptions>,
    certificate: ArcSwapOption<String>,
    not_carried: ArcSwap<Vec<String>>,
    foreign_packets: AtomicU64,
    demand: Demand,
    /// What the source counted.
    pub meter: Meter,
}

impl Stream {
    /// A stream that has not begun yet. `source_kind` is the word the configuration uses.
    #[must_use]
    pub fn new(name: StreamName, source_kind: &'static str, now: WallTime) -> Arc<Self> {
        let (publisher, bus) = Bus::new(Bounds::default());
        Arc::new(Self {
            name,
            source_kind,
            bus,
            publisher,
            tracks: watch::Sender::new(None),
            state: watch::Sender::new((StreamState::Starting, now)),
            runs: Mutex::new(0),
            rates: Mutex::default(),
            frame_rates: Mutex::default(),
            pace: Mutex::default(),
            encoding: ArcSwapOption::default(),
            interruptions: Mutex::default(),
            certificate: ArcSwapOption::default(),
            not_carried: ArcSwap::default(),
            foreign_packets: AtomicU64::default(),
            demand: Demand::default(),
            meter: Meter::default(),
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &StreamName {
        &self.name
    }

    /// The kind of its source, as the configuration says it.
    #[must_use]
    pub fn source_kind(&self) -> &'static str {
        self.source_kind
    }

    /// The window of its newest units.
    #[must_use]
    pub fn bus(&self) -> &Bus<AccessUnit> {
        &self.bus
    }

    /// Begins a new run: sources call it once per connection.
    #[must_use]
    pub fn begin_run(&self) -> RunId {
        let mut runs = self.runs();
        *runs = runs.wrapping_add(1);
        RunId(*runs)
    }

    fn runs(&self) -> MutexGuard<'_, u32> {
        lock(&self.runs)
    }

    /// Says what the tracks are now; to be called before the first unit that needs it.
    pub fn set_tracks(&self, tracks: Arc<Tracks>) {
        self.tracks.send_if_modified(|old| {
            let changed = old.as_deref() != Some(&*tracks);
            *old = Some(tracks);
            changed
        });
    }

    /// Reports the tracks of the last run until another run has reported its own.
    pub fn recall_tracks(&self, tracks: Arc<Tracks>) {
        self.tracks.send_if_modified(|old| {
            let unknown = old.is_none();
            old.get_or_insert(tracks);
            unknown
        });
    }

    /// The tracks, as they are and as they become. `None` until the first run knows them; they
    /// stay when a run ends, so that a description can be given while the camera is away.
    #[must_use]
    pub fn tracks(&self) -> watch::Receiver<Option<Arc<Tracks>>> {
        self.tracks.subscribe()
    }

    /// The tracks as they are.
    #[must_use]
    pub fn tracks_now(&self) -> Option<Arc<Tracks>> {
        self.tracks.borrow().clone()
    }

    /// Hands one unit to every reader. Never waits.
    pub fn publish(&self, unit: AccessUnit) {
        self.meter.unit(unit.data.len());
        if unit.lost_before > 0 {
            self.meter.lost(u64::from(unit.lost_before));
        }
        self.measured().count(&unit);
        self.paced().count(&unit);
        if lock(&self.pace).count(&unit) {
            warn!(stream = %self.name, "the pictures changed their size or profile while they ran");
        }
        self.publisher.publish(Arc::new(unit));
    }

    /// Bit rates of the tracks as they go over a network, in kbit/s: the highest over a few seconds
    /// of the run that is on. A track that nothing is known of yet is not among them.
    #[must_use]
    pub fn rates(&self) -> Vec<(TrackId, u32)> {
        self.measured().told()
    }

    /// Of which class the newest place to begin was; `None` before the first picture.
    #[must_use]
    pub fn entry(&self) -> Option<Entry> {
        lock(&self.pace).entry
    }

    /// The time from one picture to the next, as learned in the run that is on.
    #[must_use]
    pub fn picture_interval(&self) -> Option<Duration> {
        lock(&self.pace).interval()
    }

    /// How the sound does; `None` when the stream has none.
    #[must_use]
    pub fn sound(&self) -> Option<SoundState> {
        self.tracks_now()
            .filter(|tracks| tracks.audio().is_some())
            .map(|_| lock(&self.pace).sound())
    }

    /// How often its parameters changed.
    #[must_use]
    pub fn param_changes(&self) -> ParamChanges {
        lock(&self.pace).changes
    }

    /// Who dates its pictures: the camera's reports, or their arrival.
    #[must_use]
    pub fn dated_by(&self) -> Option<ClockSource> {
        lock(&self.pace).dated_by
    }

    /// The time from one place to begin to the next, as learned in the run that is on.
    #[must_use]
    pub fn entry_interval(&self) -> Option<Duration> {
        lock(&self.pace).entry_interval()
    }

    fn measured(&self) -> MutexGuard<'_, Rates> {
        lock(&self.rates)
    }

    /// The nominal rate of `track`, in pictures per second: steady, though the camera's times
    /// tremble. `None` until a few pictures have come, and for sound.
    #[must_use]
    pub fn frame_rate(&self, track: TrackId) -> Option<f64> {
        self.paced().nominal(track)
    }

    /// The longest distance of two places to begin in the last hour; `None` before there were two.
    #[must_use]
    pub fn entry_interval_max(&self) -> Option<Duration> {
        self.paced().entry_interval_max()
    }

    fn paced(&self) -> MutexGuard<'_, FrameRates> {
        lock(&self.frame_rates)
    }

    /// Changes the state. Since when is remembered from the first of a row of the same kind: a
    /// camera that is away for another reason than before has been away all the time.
    ///
    /// A live stream that goes offline was interrupted; who only waits for a publisher was not.
    pub fn set_state(&self, state: StreamState, now: WallTime) {
        if let StreamState::Offline { reason } = &state
            && self.state.borrow().0 == StreamState::Live
        {
            let at = self.newest_arrival().unwrap_or_default();
            lock(&self.interruptions).push(at, reason);
        }
        self.state.send_if_modified(|old| {
            let changed = old.0 != state;
            if changed {
                let since = if old.0.as_str() == state.as_str() { old.1 } else { now };
                *old = (state, since);
            }
            changed
        });
    }

    /// The state and since when.
    #[must_use]
    pub fn state(&self) -> (StreamState, WallTime) {
        self.state.borrow().clone()
    }

    /// The state as it changes.
    #[must_use]
    pub fn watch_state(&self) -> watch::Receiver<(StreamState, WallTime)> {
        self.state.subscribe()
    }

    /// How often it broke off, where that is too often for a stream that is well.
    #[must_use]
    pub fn interrupted(&self, now: BootTime) -> Option<Interrupted> {
        lock(&self.interruptions).told(now)
    }

    /// Says which certificate the camera shows, by its SHA-256.
    pub fn set_certificate(&self, fingerprint: String) {
        if self.certificate().as_deref() != Some(&fingerprint) {
            self.certificate.store(Some(Arc::new(fingerprint)));
        }
    }

    /// SHA-256 of the certificate that the camera showed last; `None` without TLS.
    #[must_use]
    pub fn certificate(&self) -> Option<Arc<String>> {
        self.certificate.load_full()
    }

    /// Says which tracks the source describes that are left out.
    pub fn set_not_carried(&self, tracks: Vec<String>) {
        if **self.not_carried.load() != tracks {
            self.not_carried.store(Arc::new(tracks));
        }
    }

    /// Tracks that the source describes and that are left out, such as `audio L16`.
    #[must_use]
    pub fn not_carried(&self) -> Arc<Vec<String>> {
        self.not_carried.load_full()
    }

    /// Counts packets that came with the media and belong to none of its tracks.
    pub fn count_foreign(&self, packets: u64) {
        self.foreign_packets.fetch_add(packets, Relaxed);
    }

    /// Packets so far that came with the media and belong to none of its tracks: other payload
    /// types, other senders, no RTP at all. They are dropped.
    #[must_use]
    pub fn foreign_packets(&self) -> u64 {
        self.foreign_packets.load(Relaxed)
    }

    /// Wants to see the stream for as long as the answer is kept. A source that rests begins.
    pub fn view(&self) -> Viewing {
        let viewing = self.demand.view();
        if self.demand.wake() {
            // The next look shall wait and not read that it rests.
            self.state.send_modify(|state| state.0 = StreamState::Starting);
        }
        viewing
    }

    /// Who wants to see it.
    #[must_use]
    pub fn demand(&self) -> &Demand {
        &self.demand
    }

    /// Drops what the window holds, because the next unit comes much later.
    pub fn forget(&self) {
        self.publisher.clear();
    }

    /// For how long media has flowed in the run that is on, as it arrived.
    #[must_use]
    pub fn flowed(&self) -> Duration {
        lock(&self.pace).flowed()
    }

    /// Says how it goes with encoding; `None`: nothing is encoded here.
    pub fn set_encoding(&self, encoding: Option<Encoding>) {
        if self.encoding.load().as_deref() != encoding.as_ref() {
            self.encoding.store(encoding.map(Arc::new));
        }
    }

    /// How it goes with encoding; `None` for streams that come encoded.
    #[must_use]
    pub fn encoding(&self) -> Option<Arc<Encoding>> {
        self.encoding.load_full()
    }

    /// When the newest unit arrived.
    #[must_use]
    pub fn newest_arrival(&self) -> Option<BootTime> {
        self.bus.newest().map(|unit| unit.arrived)
    }
}

/// All streams, replaced as a whole when the configuration changes. `T` is what the reader
/// needs of a stream: the stream itself, or its streams.
#[derive(Debug)]
pub struct Directory<T>(ArcSwap<BTreeMap<StreamName, Arc<T>>>);

impl<T> Default for Directory<T> {
    fn default() -> Self {
        Self(ArcSwap::default())
    }
}

impl<T> Directory<T> {
    /// The entry of `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<T>> {
        let name = StreamName::parse(name).ok()?;
        self.0.load().get(&name).cloned()
    }

    /// Every entry, by name.
    #[must_use]
    pub fn all(&self) -> Arc<BTreeMap<StreamName, Arc<T>>> {
        self.0.load_full()
    }

    /// Replaces all entries at once.
    pub fn replace(&self, entries: BTreeMap<StreamName, Arc<T>>) {
        self.0.store(Arc::new(entries));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_reason_does_not_make_an_outage_younger() {
        let at = WallTime::from_unix_nanos;
        let stream = Stream::new(StreamName::parse("gate").unwrap(), "rtsp_pull", at(1));
        let offline = |reason: &str| StreamState::Offline { reason: reason.to_owned() };
        stream.set_state(offline("silent"), at(2));
        stream.set_state(offline("refused"), at(3));
        assert_eq!(stream.state(), (offline("refused"), at(2)));
        stream.set_state(StreamState::Live, at(4));
        assert_eq!(stream.state(), (StreamState::Live, at(4)));
    }

    #[test]
    fn a_stream_that_goes_offline_again_and_again_is_interrupted_and_one_that_waits_is_not() {
        let now = WallTime::from_unix_nanos(1);
        let stream = Stream::new(StreamName::parse("gate").unwrap(), "rtsp_pull", now);
        let offline = StreamState::Offline { reason: "It hung up.".to_owned() };
        let waiting = StreamState::Waiting { reason: "It left.".to_owned() };
        for (state, told) in [(waiting, None), (offline, Some(8))] {
            for _ in 0..8 {
                stream.set_state(StreamState::Live, now);
                stream.set_state(state.clone(), now);
                stream.set_state(state.clone(), now);
            }
            let interrupted = stream.interrupted(BootTime::from_millis(1_000));
            assert_eq!(interrupted.map(|interrupted| interrupted.times), told);
        }
    }
}
