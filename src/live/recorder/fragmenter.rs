//! Decides where a fragment ends and what its seal has to tell.
//!
//! Owns: the units of the fragment in the making. Pure: units and losses come in, fragments go
//! out; the driver reads the bus and the clock.

use std::sync::Arc;

use bytes::Bytes;

use crate::base::limits::{DECODER_CHANGE_PAUSE, FRAGMENT_SPAN_MAX};
use crate::base::time::BootTime;
use crate::media::nal::{Nals, length_prefixed};
use crate::media::{AccessUnit, CodecParams, CostMeter, Interval, Kind, RunId, TrackId, Tracks};
use crate::wire::mp4::{Fragment, FragmentBuilder, init_segment};

/// A finished fragment with what the ring is to know of it.
#[derive(Debug)]
pub(super) struct CutFragment {
    /// The init segment that it needs.
    pub(super) init: Bytes,
    /// The fragment.
    pub(super) fragment: Fragment,
    /// It is the first of a run.
    pub(super) run_start: bool,
    /// Something before it is missing.
    pub(super) loss_before: bool,
}

/// Cuts one stream into fragments of at most a second.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools)] // facts about the next fragment, one independent of another
pub(super) struct Fragmenter {
    bytes_max: usize,
    tracks: Vec<Arc<CodecParams>>,
    /// The parameters that `init` describes, which may be older ones of the same decoder.
    described: Vec<Arc<CodecParams>>,
    /// When that last became another decoder's; `None` before it did.
    described_at: Option<BootTime>,
    /// Sets came that `init` does not have: each entry point carries its own from then on.
    outdated: bool,
    init: Bytes,
    run: Option<RunId>,
    builder: FragmentBuilder,
    sequence: u32,
    run_start: bool,
    loss_before: bool,
    /// How far apart each track's units are.
    intervals: Vec<Interval>,
    cost: CostMeter,
    /// Units are skipped until one comes at which a reader can begin.
    begun: bool,
}

impl Default for Fragmenter {
    fn default() -> Self {
        Self {
            bytes_max: usize::MAX,
            tracks: Vec::new(),
            described: Vec::new(),
            described_at: None,
            outdated: false,
            init: Bytes::new(),
            run: None,
            builder: FragmentBuilder::new(1),
            sequence: 1,
            run_start: false,
            loss_before: false,
            intervals: Vec::new(),
            cost: CostMeter::default(),
            begun: false,
        }
    }
}

impl Fragmenter {
    /// Cuts from now on before a fragment has more than `bytes_max` of media.
    pub(super) fn set_bytes_max(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max;
    }

    /// Takes the next unit; `tracks` are the stream's current ones.
    ///
    /// Returns the fragment that the unit ends. A unit of a new run, or with new parameters, ends
    /// it whatever it is; then units are skipped until one at which a reader can begin, unless the
    /// decoder stays the same: new sets are in the unit itself.
    pub(super) fn push(
        &mut self,
        unit: Arc<AccessUnit>,
        tracks: Option<&Tracks>,
    ) -> Option<CutFragment> {
        let mut cut = None;
        if self.run != Some(unit.run) {
            cut = self.flush(None);
            self.run = Some(unit.run);
            (self.run_start, self.begun) = (true, false);
            // What the run before had may not be there any more, a camera may lose a track.
            self.tracks.clear();
            self.intervals.clear();
        }
        if self.changes_params(&unit) || self.is_misdescribed(&unit) {
            cut = cut.or_else(|| self.flush(None));
            self.begun &= self.adopt(&unit, tracks);
        }
        let known = usize::from(unit.track.0) < self.tracks.len();
        if !known || !self.begun && !unit.random_access() {
            return cut;
        }
        self.begun = true;
        let unit = self.with_sets(unit);
        let cut =
            cut.or_else(|| if self.ends_before(&unit) { self.flush(Some(&unit)) } else { None });
        let track = usize::from(unit.track.0);
        if self.intervals.len() <= track {
            self.intervals.resize_with(track + 1, Interval::default);
        }
        self.intervals[track].push(unit.decode.ticks);
        self.cost.push(&unit);
        self.builder.push(unit);
        cut
    }

    /// So many units were skipped: what comes next begins at a key frame.
    pub(super) fn lose(&mut self) -> Option<CutFragment> {
        let cut = self.flush(None);
        (self.loss_before, self.begun) = (true, false);
        cut
    }

    /// Ends the fragment in the making; `next` is the unit that follows it, if known.
    pub(super) fn flush(&mut self, next: Option<&AccessUnit>) -> Option<CutFragment> {
        if self.builder.is_empty() {
            return None;
        }
        self.sequence = self.sequence.wrapping_add(1);
        for (track, interval) in (0u8..).zip(&self.intervals) {
            let learned = interval.learned().and_then(|ticks| u32::try_from(ticks).ok());
            if let Some(ticks) = learned {
                self.builder.set_interval(TrackId(track), ticks);
            }
        }
        self.builder.set_cost(self.cost.take());
        let fresh = FragmentBuilder::new(self.sequence);
        let fragment = std::mem::replace(&mut self.builder, fresh).build(next);
        let run_start = std::mem::take(&mut self.run_start);
        let loss_before = std::mem::take(&mut self.loss_before);
        Some(CutFragment { init: self.init.clone(), fragment, run_start, loss_before })
    }

    /// Whether units are skipped until one comes at which a reader can begin.
    pub(super) fn waits_for_key(&self) -> bool {
        !self.begun
    }

    /// Whether no fragment is in the making.
    pub(super) fn is_empty(&self) -> bool {
        self.builder.is_empty()
    }

    /// Whether the fragment in the making must end before `unit`: at a key frame, when it
    /// would last too long, and when it would grow too large.
    fn ends_before(&self, unit: &AccessUnit) -> bool {
        let Some(first) = self.builder.first() else { return false };
        let is_key = unit.random_access() && self.has_video();
        // On the stream's own timeline, so that a burst over the network is not one fragment.
        let span_nanos = unit.decode.as_nanos().saturating_sub(first.decode.as_nanos());
        let span_max = i64::try_from(FRAGMENT_SPAN_MAX.as_nanos()).unwrap_or(i64::MAX);
        is_key || span_nanos >= span_max || self.builder.bytes() + unit.data.len() > self.bytes_max
    }

    fn has_video(&self) -> bool {
        self.tracks.iter().any(|params| params.kind() == Kind::Video)
    }

    fn changes_params(&self, unit: &AccessUnit) -> bool {
        self.tracks
            .get(usize::from(unit.track.0))
            .is_none_or(|known| !Arc::ptr_eq(known, &unit.params) && **known != *unit.params)
    }

    /// Whether the init segment describes another decoder, and may be changed by now.
    fn is_misdescribed(&self, unit: &AccessUnit) -> bool {
        unit.random_access() && !self.is_described(&self.tracks) && !self.is_settling(unit)
    }

    fn is_described(&self, params: &[Arc<CodecParams>]) -> bool {
        params.len() == self.described.len()
            && params.iter().zip(&self.described).all(|(new, old)| new.is_alike(old))
    }

    /// Whether the decoder changed just now, as it does again and again where a camera's picture size
    /// flips: another init segment would take another slot each time.
    fn is_settling(&self, unit: &AccessUnit) -> bool {
        self.described_at.is_some_and(|at| unit.arrived.since(at) < DECODER_CHANGE_PAUSE)
    }

    /// Whether the samples themselves can say what the init segment does not: pictures of the same
    /// codecs carry their sets, and the sound stays.
    fn is_carried(&self, params: &[Arc<CodecParams>]) -> bool {
        let same = |(new, old): (&Arc<CodecParams>, &Arc<CodecParams>)| {
            let is_picture = new.kind() == Kind::Video && new.clock_rate == old.clock_rate;
            let is_codec = std::mem::discriminant(&new.codec) == std::mem::discriminant(&old.codec);
            new.is_alike(old) || is_picture && is_codec
        };
        params.len() == self.described.len() && params.iter().zip(&self.described).all(same)
    }

    /// Takes over the parameters of `unit`, and those of the other tracks as the stream has
    /// them now. Whether a decoder of those before takes them as they come.
    fn adopt(&mut self, unit: &AccessUnit, tracks: Option<&Tracks>) -> bool {
        let mut params: Vec<_> = match tracks.filter(|tracks| tracks.run == unit.run) {
            Some(tracks) => tracks.list.iter().map(|track| Arc::clone(&track.params)).collect(),
            None => std::mem::take(&mut self.tracks),
        };
        // The unit is of this moment; the stream may be further on, or not as far.
        let at = usize::from(unit.track.0);
        if at > params.len() {
            // An unannounced track cannot be written until it is announced.
            return false;
        }
        match params.get_mut(at) {
            Some(known) => *known = Arc::clone(&unit.params),
            None => params.push(Arc::clone(&unit.params)),
        }
        // What differs in the content of parameter sets alone is carried by the samples, so that
        // a camera whose sets change with every key frame does not take a slot for each.
        let is_described = self.is_described(&params);
        let is_alike = is_described || self.is_settling(unit) && self.is_carried(&params);
        if !is_alike {
            self.init = init_segment(&Tracks::new(unit.run, params.iter().cloned()));
            // The first description is no change.
            if !self.described.is_empty() {
                self.described_at = Some(unit.arrived);
            }
            self.described.clone_from(&params);
        }
        self.outdated = is_alike && (self.outdated || params != self.described);
        self.tracks = params;
        is_described
    }

    /// `unit` with the parameter sets that it needs in front, where it does not carry them and the
    /// init segment does not tell them any more.
    fn with_sets(&self, unit: Arc<AccessUnit>) -> Arc<AccessUnit> {
        if !self.outdated || !unit.random_access() {
            return unit;
        }
        let sets = unit.params.parameter_nals();
        let lacks = |set: &&&Bytes| !Nals::new(&unit.data).any(|nal| nal == &set[..]);
        let missing: Vec<&[u8]> = sets.iter().filter(lacks).map(|set| &set[..]).collect();
        if missing.is_empty() {
            return unit;
        }
        let missing = length_prefixed(missing);
        let front = unit.params.delimiter_bytes(&unit.data);
        let data = [&unit.data[..front], &missing, &unit.data[front..]].concat();
        Arc::new(AccessUnit { data: data.into(), ..AccessUnit::clone(&unit) })
    }
}
