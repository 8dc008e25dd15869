//! What is known of one slot and of the lap in it.

use std::sync::Arc;

use crate::base::name::StreamName;
use crate::base::time::BootTime;
use crate::dvr::catalogue::activity::EffortSeries;
use crate::dvr::catalogue::continuity::{Extent, absorb};
use crate::dvr::catalogue::segment;
use crate::dvr::catalogue::segment::RecordedSegment;
use crate::dvr::format::seal::{FragmentEntry, Identity, SlotHeader, fingerprint};

/// What is known of one slot.
#[derive(Clone, Debug)]
pub(crate) enum SlotView {
    /// It can be taken at once.
    Blank,
    /// Its front is damaged, and it was not searched for footage yet: left alone until then.
    Damaged,
    /// Its front is lost, and its fragments are of a stream of which nothing else is known: kept until
    /// nothing else can be taken.
    Nameless {
        /// Whole fragments in it.
        fragments: u64,
    },
    /// It belongs to another ring: left alone.
    Foreign,
    /// It could not be read when the ring was opened: left alone, and read again until it can be.
    Unreadable,
    /// Writing it gave an error, at this time: it is tried again after a while, and when there is
    /// no other, because most troubles end.
    Failing(BootTime),
    /// It holds a lap of a stream.
    Held(Box<LapInfo>),
}

/// A lap of a stream.
#[derive(Clone, Debug)]
pub(crate) struct LapInfo {
    pub(crate) stream: StreamName,
    pub(crate) generation: u64,
    pub(crate) boot: Identity,
    /// Fingerprint of its `ftyp` and `moov`.
    pub(crate) init: u64,
    /// Being written now.
    pub(crate) active: bool,
    /// Whether `stretches` says what is in it; else only its header was read.
    pub(crate) known: bool,
    pub(crate) bytes: u64,
    pub(crate) damaged: u64,
    /// Its file does not say so any more, or in the wrong place: it goes last.
    pub(crate) is_front_damaged: bool,
    pub(crate) stretches: Vec<Extent>,
    /// As `stretches`, in pieces of some seconds; `None` where they are not cached.
    pub(crate) segments: Option<Arc<Vec<RecordedSegment>>>,
    /// What was spent on the pictures of each fragment; kept as long as `segments`.
    pub(crate) efforts: EffortSeries,
    /// The newest good fragment.
    pub(crate) last: Option<FragmentEntry>,
}

impl SlotView {
    pub(crate) fn unread(header: SlotHeader, init: &[u8], is_front_damaged: bool) -> Self {
        Self::Held(Box::new(LapInfo {
            stream: header.stream,
            generation: header.generation,
            boot: header.boot,
            init: fingerprint(init),
            active: false,
            known: false,
            bytes: 0,
            damaged: 0,
            is_front_damaged,
            stretches: Vec::new(),
            segments: None,
            efforts: EffortSeries::default(),
            last: None,
        }))
    }
}

impl LapInfo {
    /// Takes note of one more good fragment.
    pub(crate) fn add(&mut self, entry: &FragmentEntry) {
        self.bytes += u64::from(entry.length);
        if let Some(segments) = &mut self.segments {
            segment::absorb(Arc::make_mut(segments), self.last.as_ref(), entry);
            self.efforts.push(entry);
        }
        self.last = Some(*entry);
        absorb(&mut self.stretches, Extent::of(entry), true);
    }

    /// Forgets its segments, and what was spent on them.
    pub(crate) fn forget_segments(&mut self) {
        (self.segments, self.efforts) = (None, EffortSeries::default());
    }

    /// Takes note of all good fragments at once.
    pub(crate) fn learn(&mut self, entries: &[FragmentEntry], damaged: u64) {
        (self.bytes, self.damaged, self.known, self.last) = (0, damaged, true, None);
        self.stretches.clear();
        (self.segments, self.efforts) = (Some(Arc::default()), EffortSeries::default());
        for entry in entries {
            self.add(entry);
        }
    }
}

/// Laps of a stream that are never given to newer footage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PinnedRange {
    pub(crate) stream: StreamName,
    /// The first and the last.
    pub(crate) laps: (u64, u64),
}
