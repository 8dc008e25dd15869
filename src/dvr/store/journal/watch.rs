//! What the journal's thread looks at once a second: the clock, troubles of recording, pins
//! that grow or end, evictions, and footage that is older than its stream may keep.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tracing::{info, warn};

use crate::base::limits::{
    AGE_PASS_PAUSE, AGE_PASS_PERCENT_MAX, DISK_STALL_SHOWN, EVICTION_NOTE_PAUSE,
};
use crate::base::name::StreamName;
use crate::base::time::{BootTime, Trust, WallTime};
use crate::dvr::catalogue::pin;
use crate::dvr::format::journal_record::Cause;
use crate::dvr::format::journal_record::JournalRecord;
use crate::dvr::store::journal::Journal;
use crate::dvr::store::messages::WriterCommand;
use crate::dvr::store::state::StreamLog;

/// A longer reading of the clocks is not believed.
const READING_TIME_MAX: Duration = Duration::from_millis(50);
/// Failures are seen at most this long after they happened.
const SEEN_WITHIN: Duration = Duration::from_secs(2);

impl Journal {
    /// Looks at everything and writes what is new.
    pub(crate) fn look(&mut self, now: BootTime, last: bool) {
        let (utc, quality) = (self.shared.clock.wall(), self.shared.clock.quality());
        self.shared.set_trust(quality.trust);
        // A reading interrupted between its two halves does not prove a leap.
        if self.shared.clock.boot().since(now) < READING_TIME_MAX {
            self.look_at_clock(now, utc, quality);
        }
        self.look_at_streams(now, last);
        let resizes = self.shared.resizes();
        for &resize in &resizes {
            self.note(JournalRecord::Resized(resize));
        }
        for rebuild in self.shared.take_rebuilds() {
            self.note(JournalRecord::Rebuilt(rebuild));
        }
        let numbered = std::mem::take(&mut *self.shared.numbered());
        for numbered in numbered.into_values() {
            self.note(JournalRecord::Numbered(numbered));
        }
        self.grow_pins(utc);
        if quality.trust > Trust::None {
            self.end_pins(utc);
        }
        if last || now >= self.evict_at {
            self.note_evictions();
            self.evict_at = now.after(EVICTION_NOTE_PAUSE);
        }
        let due = now >= self.age_at || self.shared.age_due.swap(false, Relaxed);
        if quality.trust > Trust::None && due && !last {
            self.end_old_footage(utc);
            self.age_at = now.after(AGE_PASS_PAUSE);
        }
        if self.write() {
            self.shared.resizes_noted(resizes.len());
        }
    }

    fn look_at_clock(
        &mut self,
        now: BootTime,
        utc: WallTime,
        quality: crate::base::time::ClockQuality,
    ) {
        let (row, old) = {
            let facts = self.shared.facts();
            let old = facts.clock.newest(self.boot).copied();
            (facts.clock.observe(self.boot, now, utc, quality), old)
        };
        let Some(row) = row else { return };
        self.note(JournalRecord::Clock(row));
        let steps = self.shared.facts().clock.steps(self.boot);
        let step = steps.last().filter(|step| step.at == now);
        if let Some(step) = step.filter(|_| old.is_some()) {
            let (class, elapsed_ms) = (row.trust.as_str(), step.by_nanos / 1_000_000);
            warn!(class, elapsed_ms, "the clock was set, re-dating footage");
        } else {
            info!(class = row.trust.as_str(), "clock noted");
        }
    }

    fn look_at_streams(&mut self, now: BootTime, last: bool) {
        let ring = self.shared.ring_state();
        for log in self.shared.logs() {
            if !last {
                look_at_disk(&log, &ring, now);
            }
            for trouble in log.news(now, last, self.boot) {
                let record = JournalRecord::Trouble(trouble);
                self.shared.tell(&record, None);
                self.note(record);
            }
        }
    }

    /// Pins that reach into the future take in what was recorded since.
    fn grow_pins(&mut self, utc: WallTime) {
        let mut grown = Vec::new();
        {
            let facts = self.shared.facts();
            let geometry = self.shared.geometry();
            let slot_bytes = geometry.extent.slot_bytes;
            let max_bytes = pin::bytes_max(geometry.bytes());
            let table = self.shared.table();
            let ahead = |pin: &&pin::Pin| pin.until > pin.made && pin.from <= utc;
            for pin in facts.pins.values().filter(ahead) {
                // Until the slot that was open at its end is behind it.
                let newest = table.newest_of(&pin.stream).filter(|(_, held)| {
                    let ends = held.stretches.last().map(|s| s.placed(&facts.clock, held.boot));
                    held.known && ends.is_some_and(|(start, _)| start < pin.until)
                });
                let Some((_, held)) = newest else { continue };
                let lap = held.generation;
                let laps = pin.laps.map_or((lap, lap), |(first, last)| (first, last.max(lap)));
                let wider = pin::Pin { laps: Some(laps), ..pin.clone() };
                let others = facts.pins.values().filter(|other| other.id != pin.id);
                let bytes = pin::bytes_taken(&table, others.chain([&wider]), slot_bytes);
                if pin.laps != Some(laps) && bytes <= max_bytes {
                    grown.push(wider);
                }
            }
        }
        let news = !grown.is_empty();
        for pin in grown {
            self.note(JournalRecord::Pin(pin));
        }
        if news {
            self.shared.share_pins();
        }
    }

    fn end_pins(&mut self, utc: WallTime) {
        let expired: Vec<pin::Pin> = {
            let facts = self.shared.facts();
            let over = |pin: &&pin::Pin| pin.expires.is_some_and(|expires| expires <= utc);
            facts.pins.values().filter(over).cloned().collect()
        };
        for pin in &expired {
            let record = JournalRecord::Unpin { id: pin.id, expired: true };
            self.shared.tell(&record, Some(pin));
            self.note(record);
        }
        if !expired.is_empty() {
            info!(units = expired.len(), "protected ranges ended");
            self.shared.share_pins();
        }
    }

    fn note_evictions(&mut self) {
        let evicted = std::mem::take(&mut *self.shared.evicted());
        for (stream, (slots, bytes)) in evicted {
            self.note(JournalRecord::Evicted { stream, slots, bytes });
        }
    }

    /// Gives up slots whose footage is older than its stream may keep: the oldest first, and at
    /// most a tenth of the ring in one pass, so that one wrong date cannot empty it.
    fn end_old_footage(&mut self, utc: WallTime) {
        let keeps = self.shared.keeps();
        let slots = u64::from(self.shared.geometry().extent.slots);
        let most = usize::try_from((slots * AGE_PASS_PERCENT_MAX / 100).max(1)).unwrap_or(1);
        let old = {
            let facts = self.shared.facts();
            let table = self.shared.table();
            let age_max = |stream: &StreamName| keeps.get(stream).and_then(|keep| keep.max_age);
            table.expired(utc, age_max, &facts.clock, most)
        };
        if old.is_empty() {
            return;
        }
        info!(units = old.len(), "slots whose footage is past its retention are released");
        for (slot, generation) in old {
            // Without room the next pass finds it again.
            let _ = self.storage.try_send(WriterCommand::Expire { slot, generation });
        }
    }
}

/// Takes note of what the disk does to a stream.
fn look_at_disk(log: &Arc<StreamLog>, ring: &crate::dvr::RingState, now: BootTime) {
    let failed = match ring {
        crate::dvr::RingState::Failed { reason } => Some(reason.clone()),
        _ => log.take_failure(),
    };
    match failed {
        Some(reason) => log.begin(Cause::DiskFailed, &reason, now.before(SEEN_WITHIN)),
        None => log.end(Cause::DiskFailed, now),
    }
    match log.waits_since().filter(|&since| now.since(since) > DISK_STALL_SHOWN) {
        Some(since) => log.begin(Cause::DiskStalled, "", since),
        None => log.end(Cause::DiskStalled, now),
    }
}
