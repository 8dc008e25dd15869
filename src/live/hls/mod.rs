//! The HLS output of one stream.
//!
//! Owns: the live list and the answers to players. Nothing runs without viewers. The segments of a
//! recorded stream are byte ranges of the ring: the list is brought up to date on request
//! (`ring_feed`), and their bytes are read by `playback`. Only where nothing is recorded, or the
//! disk fails, a task cuts segments that are held in memory (`memory`), from the first request
//! until there were none for a while. Both feed the same list, and a player passes from one to the
//! other by a discontinuity only where something is missing in between. With low latency the task
//! cuts as well, because parts are there before the disk has them; the list then begins with what
//! the disk has.

mod error;
mod memory;
mod readers;
mod ring_feed;
mod waiting;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, watch};

pub use error::HlsError;
pub use readers::Addresses;
use ring_feed::{JoinPoint, RingFeed};
pub use waiting::Directives;

use crate::base::Stop;
use crate::base::limits::{HLS_FIRST_ANSWER_TIME_MAX, HLS_SUB_WAIT_MAX, HLS_WAITERS_MAX};
use crate::base::meter::Meter;
use crate::base::sync::lock;
use crate::base::time::{BootTime, SharedClock};
use crate::dvr::Footage;
use crate::media::TrackId;
use crate::stream::Stream;
use crate::supervise::Supervisor;
use crate::wire::hls::{
    KeyFrames, Lookup, Parts, Playlist, PlaylistOptions, RenditionReport, Segment, Variant,
    key_frame,
};
use crate::wire::web::{Shown, WebFormat};

/// A new player would begin with a segment; if that was listed longer ago than so many target
/// durations the stream is not offered to it: old footage must not pass for live. In a stream
/// that runs it is two, and a little more where the segment had to reach the disk first.
const STALE_TARGETS: u32 = 5;
/// Bits a second for each pixel of a picture of which nothing is known: about 1 Mbit/s for 640x360.
const BITS_PER_PIXEL_SEC: u64 = 4;
/// How often it is looked whether there are segments enough for a first answer.
const READY_POLL_INTERVAL: Duration = Duration::from_millis(200);

/// The HLS output of one stream.
#[derive(Debug)]
pub struct Hls {
    stream: Arc<Stream>,
    clock: SharedClock,
    supervisor: Supervisor,
    /// The variant it was last listed as.
    told: Mutex<Option<Variant>>,
    shared: Arc<HlsShared>,
}

/// What the answers and the task that cuts in memory share.
#[derive(Debug)]
struct HlsShared {
    list: Mutex<LiveList>,
    readers: Mutex<Addresses>,
    meter: Meter,
    /// Says that a part or a segment came.
    grown: watch::Sender<()>,
    /// One turn for each request that waits.
    waiters: Semaphore,
}

/// The list and what feeds it.
#[derive(Debug)]
struct LiveList {
    playlist: Playlist,
    recorded: Option<RingFeed>,
    /// Ends the task that cuts in memory; cancelled when there is none.
    memory: Stop,
    /// When a player last asked.
    asked_at: BootTime,
}

impl LiveList {
    /// Whether segments in memory can continue at `seam` without a hole; `None`: that is not known
    /// yet. What the ring has before it is listed.
    fn join(&mut self, clock: &SharedClock, seam: &JoinPoint) -> Option<bool> {
        let Self { playlist, recorded, .. } = self;
        if let Some(recorded) = recorded.as_mut().filter(|recorded| recorded.is_good()) {
            return recorded.hand_over(playlist, clock.boot(), seam);
        }
        Some(playlist.newest().is_some_and(|newest| seam.continues(newest)))
    }
}

impl HlsShared {
    fn list(&self) -> MutexGuard<'_, LiveList> {
        lock(&self.list)
    }

    fn readers(&self) -> MutexGuard<'_, Addresses> {
        lock(&self.readers)
    }
}

impl Hls {
    /// Makes the outputs of `stream`, of which `footage` is recorded.
    #[must_use]
    pub fn new(stream: Arc<Stream>, footage: Option<Footage>, supervisor: Supervisor) -> Self {
        let clock = Arc::clone(supervisor.clock());
        let (memory, asked_at) = (Stop::new(), clock.boot());
        memory.cancel();
        let recorded = footage.map(RingFeed::new);
        let list = LiveList { playlist: Playlist::default(), recorded, memory, asked_at };
        let shared = Arc::new(HlsShared {
            list: Mutex::new(list),
            readers: Mutex::default(),
            meter: Meter::default(),
            grown: watch::Sender::new(()),
            waiters: Semaphore::new(HLS_WAITERS_MAX),
        });
        Self { stream, clock, supervisor, told: Mutex::default(), shared }
    }

    /// Units and bytes put into segments in memory, and units skipped there.
    #[must_use]
    pub fn meter(&self) -> &Meter {
        &self.shared.meter
    }

    /// Addresses that asked for the media playlist while it was current.
    #[must_use]
    pub fn readers(&self) -> usize {
        let target = self.shared.list().playlist.target().unwrap_or(HLS_FIRST_ANSWER_TIME_MAX);
        self.shared.readers().count(self.clock.boot(), target * STALE_TARGETS)
    }

    /// Sets whether parts are published (low latency). The list continues, so that players do.
    pub fn set_low_latency(&self, wanted: bool) {
        let mut list = self.shared.list();
        if (list.playlist.parts() != Parts::Off) != wanted {
            list.playlist.want_parts(wanted);
        }
    }

    /// Takes over the target duration of another variant of the same camera, if it can.
    pub fn prefer_target(&self, target: Option<Duration>) {
        if let Some(target) = target {
            self.shared.list().playlist.prefer_target(target);
        }
    }

    /// The target duration, once it is settled.
    #[must_use]
    pub fn target(&self) -> Option<Duration> {
        self.shared.list().playlist.target()
    }

    /// How far the list is, for those of its other variants; `uri` is where its own is found.
    #[must_use]
    pub fn report(&self, uri: String) -> Option<RenditionReport> {
        let list = self.shared.list();
        matches!(list.playlist.parts(), Parts::Told(_)).then_some(())?;
        let newest = list.playlist.newest()?;
        let (segment, part) = match list.playlist.next() {
            (segment, next @ 1..) => (segment, next - 1),
            _ => (newest.number, (newest.cut.body.parts().len() as u64).saturating_sub(1)),
        };
        Some(RenditionReport { uri, segment, part })
    }

    /// The stream as a variant whose media playlist is found at `uri`. Waits until enough
    /// segments are there for a player to begin, at most [`HLS_FIRST_ANSWER_TIME_MAX`].
    pub async fn variant(&self, uri: String) -> Result<Variant, HlsError> {
        let _viewing = self.stream.view();
        self.ready().await?;
        let format = self.format().ok_or(HlsError::TooEarly)?;
        self.listed_variant(uri, &format).ok_or(HlsError::TooEarly)
    }

    /// The same without waiting for segments, for the second variant of a playlist that players
    /// load once: before there are segments its figures are those of the last time, or what the
    /// stream is known to bring. Waits for its tracks only.
    pub async fn variant_at_once(&self, uri: String) -> Result<Variant, HlsError> {
        let _viewing = self.stream.view();
        self.feed();
        let mut tracks = self.stream.tracks();
        let wait = tokio::time::timeout(HLS_SUB_WAIT_MAX, tracks.wait_for(Option::is_some));
        let known = wait.await.is_ok_and(|tracks| tracks.is_ok());
        if let Some(reason) = self.stream.state().0.reason() {
            return Err(HlsError::Offline { reason: reason.to_owned() });
        }
        let format = self.format().filter(|_| known).ok_or(HlsError::TooEarly)?;
        if self.is_current()
            && let Some(variant) = self.listed_variant(uri.clone(), &format)
        {
            return Ok(variant);
        }
        let told = self.told().clone().filter(|told| told.codecs == format.codecs);
        Ok(match told {
            Some(told) => Variant { uri, ..told },
            None => self.estimate(uri, &format),
        })
    }

    fn listed_variant(&self, uri: String, format: &WebFormat) -> Option<Variant> {
        let rate = self.stream.frame_rate(format.lead());
        let mut variant = self.shared.list().playlist.variant(uri, format, rate)?;
        variant.key_frames = self.key_frames(format);
        *self.told() = Some(variant.clone());
        Some(variant)
    }

    fn told(&self) -> MutexGuard<'_, Option<Variant>> {
        lock(&self.told)
    }

    /// The line of a variant of which nothing is listed yet.
    fn estimate(&self, uri: String, format: &WebFormat) -> Variant {
        let carried = |(track, _): &(TrackId, u32)| format.carries(*track);
        let rates = self.stream.rates().into_iter().filter(carried);
        let measured_bps: u64 = rates.map(|(_, kbit)| u64::from(kbit) * 1_000).sum();
        let pixels =
            format.picture().map_or(0, |(width, height)| u64::from(width) * u64::from(height));
        let average_bps = if measured_bps > 0 { measured_bps } else { pixels * BITS_PER_PIXEL_SEC };
        Variant {
            uri,
            version: self.shared.list().playlist.version(),
            peak_bps: average_bps * 3 / 2,
            average_bps,
            codecs: format.codecs.clone(),
            picture: format.picture(),
            frame_rate: self.stream.frame_rate(format.lead()),
            independent: true,
            key_frames: None,
            audio_dropped: format.audio_dropped.clone(),
        }
    }

    /// The attributes of a playlist of key frames: the newest one's size gives its bit rate.
    fn key_frames(&self, format: &WebFormat) -> Option<KeyFrames> {
        format.picture()?;
        let key = self.stream.bus().newest_start()?;
        let apart = self.shared.list().playlist.newest()?.cut.span;
        let millis = u64::try_from(apart.as_millis()).unwrap_or(u64::MAX).max(1);
        let bps = (key.data.len() as u64).saturating_mul(8_000 * 2) / millis;
        let codecs = format.codecs.split(',').next().unwrap_or_default().to_owned();
        Some(KeyFrames { peak_bps: bps.max(1), codecs })
    }

    fn format(&self) -> Option<WebFormat> {
        let tracks = self.stream.tracks().borrow().clone()?;
        WebFormat::new((*tracks).clone())
    }

    /// The key frames of the list, one for each segment, for scrubbing in players. Waits as
    /// [`Hls::variant`] does.
    pub async fn key_frame_list(&self) -> Result<String, HlsError> {
        let _viewing = self.stream.view();
        self.ready().await?;
        self.shared.list().playlist.key_frame_list().ok_or(HlsError::TooEarly)
    }

    /// The media playlist, for a player at `peer`. Waits like [`Hls::variant`] while the
    /// stream is new; later it continues also while the camera is away, so that a player that
    /// waits is not thrown out.
    pub async fn media(
        &self,
        peer: IpAddr,
        asked: Directives,
        reports: impl FnOnce() -> Vec<RenditionReport>,
    ) -> Result<Bytes, HlsError> {
        let _viewing = self.stream.view();
        self.feed();
        let is_ready = self.shared.list().playlist.is_ready();
        if !is_ready {
            self.ready().await?;
        }
        self.shared.readers().saw(peer, self.clock.boot());
        self.reached(asked).await?;
        let has_parts = matches!(self.shared.list().playlist.parts(), Parts::Told(_));
        // Taken before the lock, because those of other streams are behind locks of their own.
        let reports = if has_parts { reports() } else { Vec::new() };
        let mut list = self.shared.list();
        list.asked_at = self.clock.boot();
        let told = if has_parts {
            list.playlist.tell(&PlaylistOptions { skip: asked.skip, reports }).map(Bytes::from)
        } else {
            list.playlist.media()
        };
        told.ok_or(HlsError::TooEarly)
    }

    /// Counts `peer`, which asked for a playlist of the recording, as a reader.
    pub fn count_reader(&self, peer: IpAddr) {
        self.shared.readers().saw(peer, self.clock.boot());
    }

    /// A segment that is held in memory.
    pub fn held(&self, number: u64) -> Result<Arc<Segment>, HlsError> {
        found(self.shared.list().playlist.segment(number))
    }

    /// The key frame of a segment that is held in memory, as a segment of its own.
    pub fn held_key_frame(&self, number: u64) -> Result<Bytes, HlsError> {
        let segment = self.held(number)?;
        let parts = segment.cut.body.parts().iter();
        let mut frames = parts.map(|part| key_frame(&segment.cut.init, &part.fragment.to_bytes()));
        frames.find_map(|frame| frame).ok_or(HlsError::Unknown)
    }

    /// The initialisation section of segments that are held in memory.
    pub fn held_init(&self, number: u64) -> Result<Bytes, HlsError> {
        found(self.shared.list().playlist.init(number)).map(|init| init.bytes.clone())
    }

    /// The initialisation section that listed segments of this lap of the ring need. While it is
    /// listed it need not be on the disk any more.
    #[must_use]
    pub fn listed_init(&self, lap: u64) -> Option<Bytes> {
        let listed = self.shared.list().playlist.init_of_lap(lap);
        listed.map(|init| Shown::of(&init).init)
    }

    /// Brings the list up to date, from the ring if that works; else sees to it that a task
    /// cuts in memory.
    fn feed(&self) {
        let now = self.clock.boot();
        let mut list = self.shared.list();
        let LiveList { playlist, recorded, memory, asked_at } = &mut *list;
        *asked_at = now;
        if let Some(apart) = self.stream.entry_interval_max() {
            playlist.expect_entries(apart);
        }
        let has_parts = playlist.parts() != Parts::Off;
        let mut recorded = recorded.as_mut().filter(|recorded| recorded.is_good());
        if let Some(recorded) = recorded.as_mut().filter(|_| !has_parts || memory.is_cancelled()) {
            if !memory.is_cancelled() {
                memory.cancel();
                recorded.take_over(playlist);
            }
            recorded.feed(playlist, now);
        }
        if !memory.is_cancelled() || (recorded.is_some() && !has_parts) {
            return;
        }
        let from_nanos = playlist.newest().map(|newest| newest.cut.until_nanos());
        *memory = self.supervisor.stop_signal().child_token();
        let life =
            memory::MemoryCutter::new(&self.stream, &self.shared, &self.clock, memory, from_nanos);
        // A life that cannot begin any more takes the lock.
        drop(list);
        self.supervisor.spawn("hls", life.run());
    }

    async fn ready(&self) -> Result<(), HlsError> {
        let wait = async {
            loop {
                self.feed();
                if self.is_current() {
                    return Ok(());
                }
                if let Some(reason) = self.stream.state().0.reason() {
                    return Err(HlsError::Offline { reason: reason.to_owned() });
                }
                tokio::time::sleep(READY_POLL_INTERVAL).await;
            }
        };
        tokio::time::timeout(HLS_FIRST_ANSWER_TIME_MAX, wait)
            .await
            .unwrap_or(Err(HlsError::TooEarly))
    }

    /// Whether the list is long enough and new enough to begin with.
    fn is_current(&self) -> bool {
        let list = self.shared.list();
        if !list.playlist.is_ready() {
            return false;
        }
        let age = list.playlist.start_age(self.clock.boot());
        let limit = list.playlist.target().map(|target| target * STALE_TARGETS);
        age.zip(limit).is_some_and(|(age, limit)| age <= limit)
    }
}

fn found<T>(found: Lookup<T>) -> Result<Arc<T>, HlsError> {
    match found {
        Lookup::Here(it) => Ok(it),
        Lookup::Expired => Err(HlsError::Expired),
        Lookup::Unknown => Err(HlsError::Unknown),
    }
}
