//! What the journal's records add up to.
//!
//! Owns: the fold, its bounds, and the shortest journal that says the same. Pure.

use std::collections::BTreeMap;

use crate::base::limits::{
    MARKS_MAX, NUMBERED_STREAMS_MAX, REBUILDS_MAX, RESIZES_MAX, SESSIONS_MAX, TROUBLES_MAX,
};
use crate::base::name::StreamName;
use crate::base::time::BootTime;
use crate::dvr::catalogue::clock::ClockTable;
use crate::dvr::catalogue::lap::PinnedRange;
use crate::dvr::catalogue::pin::Pin;
use crate::dvr::format::journal_record::{
    Cause, JournalRecord, LossRecord, Mark, ProcessRun, Rebuild, Resize, SegmentNumber,
};
use crate::dvr::format::seal::Identity;

/// Everything that is known beside the footage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RingFacts {
    /// The clock table.
    pub clock: ClockTable,
    /// Lives of the process, oldest first.
    pub sessions: Vec<ProcessRun>,
    /// Protected ranges.
    pub pins: BTreeMap<u64, Pin>,
    /// Marked moments, in the order in which they were made.
    pub marks: Vec<Mark>,
    /// Why footage is missing, in the order in which it was noted.
    pub troubles: Vec<LossRecord>,
    /// Slots and bytes that were given to newer footage, by whose footage went.
    pub evicted: BTreeMap<StreamName, (u64, u64)>,
    /// When the ring got another size, in the order in which it was noted.
    pub resizes: Vec<Resize>,
    /// When the index was built again, oldest first.
    pub rebuilds: Vec<Rebuild>,
    /// How the segments of each stream's playlists are numbered.
    pub numbered: BTreeMap<StreamName, SegmentNumber>,
}

/// How a life of the process ended, noted by the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Cleanly.
    Clean,
    /// Without notice, in the same boot.
    Crashed,
    /// Without notice, and the machine booted again.
    PowerLost,
}

impl RingFacts {
    /// What `records` add up to.
    pub fn of(records: impl IntoIterator<Item = JournalRecord>) -> Self {
        let mut facts = Self::default();
        records.into_iter().for_each(|record| facts.apply(record));
        facts
    }

    /// Takes note of one more record.
    pub fn apply(&mut self, record: JournalRecord) {
        match record {
            JournalRecord::Start(session) => {
                // Troubles that continued when the previous life was cut off ended with it.
                self.close_troubles(session.boot, session.at);
                push_bounded(&mut self.sessions, session, SESSIONS_MAX);
            }
            JournalRecord::Stop { boot, at } => {
                if let Some(last) = self.sessions.last_mut().filter(|last| last.boot == boot) {
                    last.stopped = Some(at);
                }
                self.close_troubles(boot, at);
            }
            JournalRecord::Clock(row) => self.clock.add(row),
            JournalRecord::Pin(pin) => {
                self.pins.insert(pin.id, pin);
            }
            JournalRecord::Unpin { id, .. } => {
                self.pins.remove(&id);
            }
            JournalRecord::Mark(mark) => push_bounded(&mut self.marks, mark, MARKS_MAX),
            JournalRecord::Trouble(trouble) => self.take_trouble(trouble),
            JournalRecord::Resized(resize) => {
                // One that was cut off is noted again when it continues.
                let known = self.resizes.last().filter(|last| last.is_same(&resize));
                if known.is_none() {
                    push_bounded(&mut self.resizes, resize, RESIZES_MAX);
                }
            }
            JournalRecord::Rebuilt(rebuild) => {
                push_bounded(&mut self.rebuilds, rebuild, REBUILDS_MAX);
            }
            JournalRecord::Numbered(numbered) => self.take_numbered(numbered),
            JournalRecord::Evicted { stream, slots, bytes } => {
                let sum = self.evicted.entry(stream).or_default();
                *sum = (sum.0.saturating_add(slots), sum.1.saturating_add(bytes));
            }
        }
    }

    fn take_numbered(&mut self, numbered: SegmentNumber) {
        self.numbered.insert(numbered.stream.clone(), numbered);
        if self.numbered.len() > NUMBERED_STREAMS_MAX {
            let oldest = self.numbered.values().min_by_key(|known| known.lap);
            let oldest = oldest.map(|known| known.stream.clone());
            oldest.and_then(|stream| self.numbered.remove(&stream));
        }
    }

    /// A later note on a trouble replaces the one made at its beginning.
    fn take_trouble(&mut self, trouble: LossRecord) {
        let same = |known: &&mut LossRecord| {
            known.stream == trouble.stream
                && known.cause == trouble.cause
                && known.boot == trouble.boot
                && known.from == trouble.from
        };
        match self.troubles.iter_mut().rev().find(same) {
            Some(known) => *known = trouble,
            None => push_bounded(&mut self.troubles, trouble, TROUBLES_MAX),
        }
    }

    fn close_troubles(&mut self, boot: Identity, at: BootTime) {
        let open = self.troubles.iter_mut().filter(|t| t.until.is_none() && t.boot == boot);
        open.for_each(|trouble| trouble.until = Some(at));
    }

    /// The fewest records that add up to the same.
    #[must_use]
    pub fn records(&self) -> Vec<JournalRecord> {
        let starts = self.sessions.iter().cloned().map(JournalRecord::Start);
        let clock = self.clock.rows().copied().map(JournalRecord::Clock);
        let pins = self.pins.values().cloned().map(JournalRecord::Pin);
        let marks = self.marks.iter().cloned().map(JournalRecord::Mark);
        let troubles = self.troubles.iter().cloned().map(JournalRecord::Trouble);
        let evicted = self.evicted.iter().map(|(stream, &(slots, bytes))| JournalRecord::Evicted {
            stream: stream.clone(),
            slots,
            bytes,
        });
        let resizes = self.resizes.iter().copied().map(JournalRecord::Resized);
        let rebuilds = self.rebuilds.iter().cloned().map(JournalRecord::Rebuilt);
        let numbered = self.numbered.values().cloned().map(JournalRecord::Numbered);
        let rest = resizes.chain(rebuilds).chain(numbered);
        let notes = marks.chain(troubles).chain(evicted).chain(rest);
        starts.chain(clock).chain(pins).chain(notes).collect()
    }

    /// The laps that are protected.
    pub(crate) fn protections(&self) -> Vec<PinnedRange> {
        let protection =
            |pin: &Pin| Some(PinnedRange { stream: pin.stream.clone(), laps: pin.laps? });
        self.pins.values().filter_map(protection).collect()
    }

    /// How the process's life ended that was on `before` in `boot`, if another one followed by
    /// the moment `behind`; nothing when both moments are of one life.
    #[must_use]
    pub fn end_between(
        &self,
        before: (Identity, BootTime),
        behind: (Identity, BootTime),
    ) -> Option<End> {
        let life = |(boot, at): (Identity, BootTime)| {
            self.sessions.iter().rposition(|session| session.boot == boot && session.at <= at)
        };
        let Some(behind_life) = life(behind) else {
            return (before.0 != behind.0).then_some(End::PowerLost);
        };
        let Some(life) = life(before).filter(|&life| life <= behind_life) else {
            return (before.0 != behind.0).then_some(End::PowerLost);
        };
        let ended = self.sessions[life..behind_life].iter();
        let unclean = |session: &ProcessRun| session.stopped.is_none();
        let mut ends = ended.enumerate().map(|(at, session)| {
            let next = &self.sessions[life + at + 1];
            match (unclean(session), session.boot == next.boot) {
                (false, _) => End::Clean,
                (true, true) => End::Crashed,
                (true, false) => End::PowerLost,
            }
        });
        ends.next()
    }

    /// What kept `stream` from being recorded between two moments of one boot.
    pub fn troubles_between<'a>(
        &'a self,
        stream: &'a StreamName,
        boot: Identity,
        from: BootTime,
        until: BootTime,
    ) -> impl Iterator<Item = &'a LossRecord> {
        self.troubles.iter().filter(move |trouble| {
            trouble.stream == *stream
                && trouble.boot == boot
                && trouble.from <= until
                && trouble.until.is_none_or(|end| end >= from)
        })
    }
}

impl Cause {
    /// The cause in words for people; `text` is what was noted of it.
    #[must_use]
    pub fn sentence(self, text: &str) -> String {
        let words = match self {
            Self::CameraUnreachable => "The camera could not be reached or sent nothing",
            Self::DiskStalled => "The disk took no data",
            Self::DiskFailed => "The disk refused the footage",
            Self::RecorderLagged => "The recorder did not keep up",
            Self::Restarted => "The program was stopped and started again",
            Self::Crashed => "The program ended without notice and was started again",
            Self::PowerLost => "Power was lost, or the computer was restarted without notice",
            Self::ClockStep => "The clock was set",
            Self::Overwritten => {
                "It was recorded, and its slot went to newer footage or is missing"
            }
            Self::Damaged => "It was recorded, and is damaged on the disk",
            Self::Unknown => "Nothing was noted about why this is missing",
        };
        match text.trim_end_matches('.') {
            "" => format!("{words}."),
            text => format!("{words}: {text}."),
        }
    }
}

fn push_bounded<T>(list: &mut Vec<T>, item: T, max: usize) {
    if list.len() >= max {
        // A tenth at once, so that a full list is not moved for every new item.
        list.drain(..list.len() + 1 - max + max / 10);
    }
    list.push(item);
}
