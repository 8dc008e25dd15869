//! The task that feeds the list from the stream itself: where no recording can, and where parts are
//! published, which exist before they are on the disk.
//!
//! Owns: the segmenter while there are viewers. The segments it listed leave with it.

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::HlsShared;
use super::ring_feed::JoinPoint;
use crate::base::Stop;
use crate::base::limits::HLS_LINGER_TIME;
use crate::base::time::{BootTime, SharedClock};
use crate::live::web_reader::{SoundRule, WebNext, WebReader};
use crate::media::AccessUnit;
use crate::stream::{Allowance, Stream};
use crate::wire::hls::{FinishedSegment, Parts, Segmenter, Targets};
use crate::wire::web::WebFormat;

/// The open segment ends when nothing came for so long, so that what was seen last can be seen.
const SILENCE_MAX: Duration = Duration::from_secs(3);
/// How long it is waited for the ring to have what comes before the first segment: longer than a
/// fragment with its commit may take.
const JOIN_TIME_MAX: Duration = Duration::from_secs(5);
/// How often it is looked.
const JOIN_INTERVAL: Duration = Duration::from_millis(100);
/// How often old segments go, and it is looked whether anybody still asks.
const IDLE_INTERVAL: Duration = Duration::from_secs(1);

/// One life of the task.
pub(super) struct MemoryCutter {
    segmenter: Segmenter,
    /// The format logged last, so that a left-out track is logged once.
    format: Option<Arc<WebFormat>>,
    /// When the newest unit was taken, and how long after the one before.
    newest: BootTime,
    step: Duration,
    /// What is before this on the stream's timeline is listed; until a place to begin behind it
    /// comes, units are skipped. `None` once it came.
    from_nanos: Option<i64>,
    stream: Arc<Stream>,
    shared: Arc<HlsShared>,
    clock: SharedClock,
    stop: Stop,
}

impl MemoryCutter {
    /// A life that begins where the list ends, at `from_nanos` if anything is listed.
    pub(super) fn new(
        stream: &Arc<Stream>,
        shared: &Arc<HlsShared>,
        clock: &SharedClock,
        stop: &Stop,
        from_nanos: Option<i64>,
    ) -> Self {
        Self {
            segmenter: Segmenter::new(false),
            from_nanos: Some(from_nanos.unwrap_or(i64::MIN)),
            format: None,
            newest: clock.boot(),
            step: Duration::ZERO,
            stream: Arc::clone(stream),
            shared: Arc::clone(shared),
            clock: Arc::clone(clock),
            stop: stop.clone(),
        }
    }

    /// Cuts until asked to stop, or until idle for [`HLS_LINGER_TIME`].
    pub(super) async fn run(mut self) {
        // What the ring has of the stream is listed before or behind, with the track.
        let is_recorded = self.shared.list().recorded.is_some();
        let rule = if is_recorded { SoundRule::Always } else { SoundRule::Once };
        let mut units = WebReader::new(&self.stream, Allowance::Window, rule);
        let mut idle = tokio::time::interval(IDLE_INTERVAL);
        let stop = self.stop.clone();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                _ = idle.tick() => {
                    if self.is_idle() {
                        return;
                    }
                }
                next = units.next() => match next {
                    WebNext::Unit(unit, format) => {
                        self.join(&unit, &format).await;
                        self.take(&unit, &format);
                    }
                    WebNext::Lagged(units) => self.lose(units),
                    WebNext::Ended => return,
                },
            }
        }
    }

    /// At the first place to begin: waits until the ring has what comes before, if it will, so
    /// that a player finds no hole there. Units that come meanwhile wait in the bus.
    async fn join(&mut self, unit: &AccessUnit, format: &WebFormat) {
        let at_nanos = unit.decode.as_nanos();
        let is_place = |from: i64| unit.random_access() && at_nanos >= from;
        if !self.from_nanos.is_some_and(is_place) || unit.track != format.lead() {
            return;
        }
        let seam = JoinPoint { at_nanos, wall: unit.captured.wall, init: format.init.clone() };
        let until = self.clock.boot().after(JOIN_TIME_MAX);
        let mut joined = self.shared.list().join(&self.clock, &seam);
        while joined.is_none() && self.clock.boot() < until && !self.stop.is_cancelled() {
            tokio::time::sleep(JOIN_INTERVAL).await;
            joined = self.shared.list().join(&self.clock, &seam);
        }
        self.from_nanos = None;
        let mut list = self.shared.list();
        // Asked to stop means that the ring feeds the list again.
        if self.stop.is_cancelled() {
            return;
        }
        if list.playlist.newest().is_some() {
            self.segmenter = Segmenter::new(joined != Some(true));
        } else if joined != Some(true) {
            list.playlist.leap_at(self.clock.wall());
        }
    }

    fn take(&mut self, unit: &Arc<AccessUnit>, format: &Arc<WebFormat>) {
        self.tell(format);
        let now = self.clock.boot();
        self.step = now.since(self.newest);
        self.newest = now;
        if self.from_nanos.is_some() {
            return;
        }
        let (segment, parts) = {
            let list = self.shared.list();
            (Some(list.playlist.span_max()), list.playlist.parts())
        };
        let part = if let Parts::Told(target) = parts { Some(target) } else { None };
        let cut = self.segmenter.push(unit, format, Targets { segment, part });
        self.shared.meter.unit(unit.data.len());
        if parts == Parts::Awaited {
            self.shared.list().playlist.settle_parts(self.segmenter.part_target());
        }
        self.list(cut);
    }

    /// The work due once a second; returns whether there are no more requests.
    fn is_idle(&mut self) -> bool {
        let now = self.clock.boot();
        // Where pictures come seldom, more is waited for.
        if now.since(self.newest) > SILENCE_MAX.max(self.step * 3) {
            let cut = self.segmenter.interrupt();
            self.list(cut);
        }
        let mut list = self.shared.list();
        list.playlist.sweep(now);
        now.since(list.asked_at) > HLS_LINGER_TIME
    }

    fn lose(&mut self, units: u64) {
        warn!(stream = %self.stream.name(), part = "hls", units, "reader lagged, resuming at next key frame");
        self.shared.meter.lost(units);
        let cut = self.segmenter.interrupt();
        self.list(cut);
    }

    fn tell(&mut self, format: &Arc<WebFormat>) {
        if self.format.as_ref().is_some_and(|told| Arc::ptr_eq(told, format)) {
            return;
        }
        let told_before = self.format.as_ref().and_then(|told| told.audio_dropped.as_ref());
        if let Some(reason) = &format.audio_dropped
            && told_before != Some(reason)
        {
            info!(stream = %self.stream.name(), part = "hls", reason, "sound is left out");
        }
        self.format = Some(Arc::clone(format));
    }

    /// Lists what ended, and what there is of the segment in the making.
    fn list(&self, cut: Option<FinishedSegment>) {
        let now = self.clock.boot();
        let open = self.segmenter.open();
        let mut list = self.shared.list();
        // Asked to stop means that the ring feeds the list again.
        if self.stop.is_cancelled() {
            return;
        }
        let before = list.playlist.next();
        if let Some(cut) = cut {
            list.playlist.push(now, cut);
            list.playlist.settle(now);
        }
        list.playlist.show_open(open);
        if list.playlist.next() != before {
            drop(list);
            self.shared.grown.send_replace(());
        }
    }
}

impl Drop for MemoryCutter {
    /// However it ends, what it held goes, unless the list belongs to the ring again.
    fn drop(&mut self) {
        let mut list = self.shared.list();
        if !self.stop.is_cancelled() {
            self.stop.cancel();
            list.playlist.leap(0, 0);
        }
    }
}
