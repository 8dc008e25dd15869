//! One run of a stream: its tracks, from the first frame to the last.
//!
//! Owns: what was lost before the next unit, and when the run has begun. Reads no clock.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use tracing::{info, warn};

use super::clock::{Now, PlacedUnit, RtpStamp, RunClock, WALL_TRUST};
use super::decode_time::DecodeTimes;
use super::entry_policy::EntryPolicy;
use super::frame::RtpFrame;
use super::picture_order;
use crate::base::sync::lock;
use crate::base::time::{BootTime, MediaTime};
use crate::ingest::run::CaptureStamp;
use crate::media::{AccessUnit, Codec, CodecParams, Entry, Kind, Leading, RunId, TrackId, Tracks};
use crate::stream::{Stream, StreamState};

/// The end of a stream's timeline; the next run begins after it. Outlives runs.
#[derive(Debug, Default)]
pub(crate) struct TimelineEnd(Mutex<BootTime>);

impl TimelineEnd {
    fn lock(&self) -> MutexGuard<'_, BootTime> {
        lock(&self.0)
    }
}

/// Whether the picture (or the sound, if there is no picture) advanced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameProgress {
    Frame,
    Other,
}

/// What is known of a track before its first frame.
#[derive(Clone, Debug)]
pub(crate) struct TrackSpec {
    pub(crate) kind: Kind,
    pub(crate) clock_rate: NonZeroU32,
    pub(crate) params: Option<Arc<CodecParams>>,
    /// Its units are JPEG pictures, which are encoded before they are published.
    pub(crate) is_jpeg: bool,
}

/// One run.
#[derive(Debug)]
pub(crate) struct RunBuilder {
    stream: Arc<Stream>,
    end: Arc<TimelineEnd>,
    id: RunId,
    tracks: Vec<RunTrack>,
    clock: RunClock,
    /// An entry point was published, or a unit of a stream without video.
    begun: bool,
    entries: EntryPolicy,
    /// JPEG pictures waiting to be encoded.
    pictures: Vec<(Bytes, CaptureStamp)>,
}

/// One track.
#[derive(Debug)]
struct RunTrack {
    id: TrackId,
    kind: Kind,
    clock_rate: NonZeroU32,
    is_jpeg: bool,
    params: Option<Arc<CodecParams>>,
    times: DecodeTimes,
    /// Units lost since the last one published.
    lost: u16,
    /// When the newest open entry point is shown, until a picture is shown after it.
    open: Option<i64>,
}

impl RunBuilder {
    /// Begins a run of `stream` with these tracks, behind `end`.
    pub(crate) fn new(stream: Arc<Stream>, end: Arc<TimelineEnd>, tracks: &[TrackSpec]) -> Self {
        let floor = *end.lock();
        Self {
            id: stream.begin_run(),
            tracks: (0u8..)
                .zip(tracks)
                .map(|(id, track)| RunTrack::new(id, track, floor))
                .collect(),
            clock: RunClock::new(floor, tracks.iter().map(|track| track.clock_rate)),
            begun: false,
            entries: EntryPolicy::default(),
            pictures: Vec::new(),
            stream,
            end,
        }
    }

    /// A packet came that belongs to none of the tracks.
    pub(crate) fn count_foreign(&self) {
        self.stream.count_foreign(1);
    }

    /// Whether anything was published.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun
    }

    /// Whether the parameters of track `index` are still unknown.
    pub(crate) fn lacks_params(&self, index: usize) -> bool {
        self.tracks[index].params.is_none()
    }

    /// Whether sound alone is carried: then every frame of it is one to begin at.
    pub(crate) fn is_audio_only(&self) -> bool {
        self.tracks[0].kind == Kind::Audio
    }

    /// Takes over new parameters of track `index`.
    pub(crate) fn reshape(&mut self, index: usize, params: CodecParams) {
        let track = &mut self.tracks[index];
        if track.params.as_deref() == Some(&params) {
            return;
        }
        track.times.reshape(picture_order::depth(&params), picture_order::frame_ticks(&params));
        track.params = Some(Arc::new(params));
        if self.begun {
            self.tell_tracks();
        }
    }

    /// Says what the tracks are, if all are known.
    fn tell_tracks(&self) -> bool {
        let params: Option<Vec<_>> = self.tracks.iter().map(|track| track.params.clone()).collect();
        let Some(params) = params else { return false };
        self.stream.set_tracks(Arc::new(Tracks::new(self.id, params)));
        true
    }

    /// Publishes a frame of track `index`, or counts it as lost when it is not whole or too
    /// large.
    pub(crate) fn place(&mut self, index: usize, frame: RtpFrame, now: Now) -> FrameProgress {
        let track = &mut self.tracks[index];
        track.lost = track.lost.saturating_add(frame.loss);
        if track.is_jpeg {
            return self.picture(index, frame, now);
        }
        if !frame.is_usable(track.kind) {
            track.lost = track.lost.saturating_add(1);
            return FrameProgress::Other;
        }
        let entry = self.entry(index, &frame, now);
        if !self.begun && !self.begin(entry.is_some(), now) {
            return FrameProgress::Other;
        }
        self.publish(index, frame, entry, now);
        if index == 0 { FrameProgress::Frame } else { FrameProgress::Other }
    }

    /// Queues a JPEG picture with its time; the owner of the run fetches it.
    fn picture(&mut self, index: usize, frame: RtpFrame, now: Now) -> FrameProgress {
        let placed = self.place_on_clock(index, frame.stamp, now);
        let track = &mut self.tracks[index];
        let at = MediaTime { ticks: placed.present, rate: track.clock_rate };
        let at = BootTime::from_nanos(at.as_nanos().max(0).unsigned_abs());
        let lost_before = if self.begun { std::mem::take(&mut track.lost) } else { 0 };
        (self.begun, track.lost) = (true, 0);
        self.pictures
            .push((frame.data, CaptureStamp { at, captured: placed.captured, lost_before }));
        let mut last = self.end.lock();
        *last = at.max(*last);
        FrameProgress::Frame
    }

    /// JPEG pictures since this was last asked, in order.
    pub(crate) fn take_pictures(&mut self) -> Vec<(Bytes, CaptureStamp)> {
        std::mem::take(&mut self.pictures)
    }

    /// Whether a reader may begin at `frame`: of a stream without pictures at any, else at the
    /// entry points of the first track.
    fn entry(&mut self, index: usize, frame: &RtpFrame, now: Now) -> Option<Entry> {
        if self.is_audio_only() {
            return Some(Entry::Closed);
        }
        let track =
            self.tracks.get(index).filter(|track| track.kind == Kind::Video && index == 0)?;
        let found = Entry::of(&track.params.as_deref()?.codec, &frame.data);
        self.entries.decide(found, now.boot)
    }

    /// Begins the run if a reader can begin here.
    fn begin(&mut self, random_access: bool, now: Now) -> bool {
        if !random_access || !self.tell_tracks() {
            return false;
        }
        self.begun = true;
        for track in &mut self.tracks {
            track.lost = 0; // what was lost before the beginning is no loss of this run
        }
        self.stream.set_state(StreamState::Live, now.wall);
        info!(stream = %self.stream.name(), run = self.id.0, "stream is live");
        true
    }

    fn publish(&mut self, index: usize, frame: RtpFrame, entry: Option<Entry>, now: Now) {
        let placed = self.place_on_clock(index, frame.stamp, now);
        let track = &mut self.tracks[index];
        let Some(params) = track.params.clone() else { return };
        if placed.leapt {
            track.times.leap();
        }
        let times = track.times.place(placed.present);
        let leading = track.leading(entry, &params, &frame.data, times.present);
        let rate = params.clock_rate;
        let decode = MediaTime { ticks: times.decode, rate };
        self.stream.publish(AccessUnit {
            track: track.id,
            run: self.id,
            decode,
            present: MediaTime { ticks: times.present, rate },
            arrived: now.boot,
            captured: placed.captured,
            entry,
            leading,
            lost_before: std::mem::take(&mut track.lost),
            params,
            data: frame.data,
        });
        // One tick later, because nanoseconds round down and the next run must begin after it.
        let end = MediaTime { ticks: times.decode.saturating_add(1), rate };
        let end = BootTime::from_nanos(end.as_nanos().max(0).unsigned_abs());
        let mut last = self.end.lock();
        *last = end.max(*last);
    }

    fn place_on_clock(&mut self, index: usize, stamp: RtpStamp, now: Now) -> PlacedUnit {
        let placed = self.clock.place(index, stamp, now);
        if self.clock.take_wall_refused() {
            warn!(
                stream = %self.stream.name(),
                elapsed_ms = WALL_TRUST.as_millis(),
                "sender's clock is off by more than this, using the time of arrival"
            );
        }
        placed
    }

    /// Takes a sender report: RTP time `ticks` of track `index` is the date `ntp`.
    pub(crate) fn report(&mut self, index: usize, ticks: i64, ntp: u64, now: Now) {
        self.clock.report(index, ticks, ntp, now);
    }
}

impl RunTrack {
    fn new(id: u8, track: &TrackSpec, floor: BootTime) -> Self {
        let (depth, ticks) = track.params.as_deref().map_or((0, 1), |params| {
            (picture_order::depth(params), picture_order::frame_ticks(params))
        });
        let floor_nanos = i64::try_from(floor.as_nanos()).unwrap_or(i64::MAX);
        let floor = MediaTime::from_nanos(floor_nanos, track.clock_rate).ticks;
        Self {
            id: TrackId(id),
            kind: track.kind,
            clock_rate: track.clock_rate,
            is_jpeg: track.is_jpeg,
            params: track.params.clone(),
            times: DecodeTimes::new(depth, ticks, Some(floor)),
            lost: 0,
            open: None,
        }
    }

    /// Whether the picture that is shown at `present` leads the entry point it follows.
    fn leading(
        &mut self,
        entry: Option<Entry>,
        params: &CodecParams,
        data: &[u8],
        present: i64,
    ) -> Option<Leading> {
        if entry.is_some() {
            self.open = (entry == Some(Entry::Open)).then_some(present);
            return None;
        }
        let leads = self.open.is_some_and(|open| present < open);
        if !leads {
            self.open = None;
        }
        let told = Leading::of(&params.codec, data);
        let is_h264 = matches!(params.codec, Codec::H264 { .. });
        told.or_else(|| (is_h264 && leads).then_some(Leading::Undecodable))
    }
}
