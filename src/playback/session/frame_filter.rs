//! Which recorded units are sent, and the facts about each.
//!
//! Owns: the end of the range, the kinds of frames, the flags of ONVIF. Pure.

use super::super::request::FrameSelection;
use crate::base::time::WallTime;
use crate::dvr::FragmentRead;
use crate::media::{AccessUnit, Codec, Kind, OpenStart, TrackId, nal};

/// A unit on its way out.
#[derive(Clone, Debug)]
pub(crate) struct SelectedUnit {
    /// The unit; its date is the capture's.
    pub(crate) unit: AccessUnit,
    /// Media time at which it is due, in nanoseconds since boot.
    pub(crate) due_nanos: i64,
    /// Its relation to what was sent before it.
    pub(crate) continuity: Continuity,
    /// What ends with it.
    pub(crate) ending: Ending,
}

/// The relation of a unit to the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Continuity {
    /// It continues that one.
    Follows,
    /// It does not, but is of the same section.
    Jumps,
    /// It begins a section: what was before does not continuity up to it.
    Begins,
}

/// What ends with a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ending {
    /// Nothing.
    Open,
    /// Its section.
    Section,
    /// All that is sent.
    Range,
}

impl SelectedUnit {
    pub(crate) fn of(unit: AccessUnit) -> Self {
        let due_nanos = unit.decode.as_nanos();
        Self { unit, due_nanos, continuity: Continuity::Follows, ending: Ending::Open }
    }
}

/// What is chosen, and how far.
#[derive(Debug)]
pub(crate) struct FrameFilter {
    frames: FrameSelection,
    /// Sound is sent too.
    sound: bool,
    until: Option<WallTime>,
    /// Pictures shown behind the end; one shown before it may need them.
    held: Vec<SelectedUnit>,
    /// Time of the last key frame, where they are to be some time apart.
    key_nanos: Option<i64>,
    open_start: OpenStart,
}

impl FrameFilter {
    pub(crate) fn new(frames: FrameSelection, sound: bool, until: Option<WallTime>) -> Self {
        Self {
            frames,
            sound,
            until,
            held: Vec::new(),
            key_nanos: None,
            open_start: OpenStart::default(),
        }
    }

    /// Only key frames are wanted.
    pub(crate) fn keys_only(&self) -> bool {
        matches!(self.frames, FrameSelection::Key { .. })
    }

    /// The units of `fragment` that are sent, in order, and whether all of the range was.
    pub(crate) fn forward(
        &mut self,
        fragment: &FragmentRead,
        units: Vec<AccessUnit>,
    ) -> (Vec<SelectedUnit>, bool) {
        let (mut selection, mut finished) = (Vec::new(), false);
        if fragment.seam {
            self.open_start = OpenStart::default();
        }
        for unit in units {
            if self.open_start.leaves_out(&unit) {
                continue;
            }
            let selected = SelectedUnit::of(unit);
            let Some(until) = self.until else {
                selection.push(selected);
                continue;
            };
            let wall = selected.unit.captured.wall;
            let ahead =
                selected.unit.present.as_nanos().saturating_sub(selected.unit.decode.as_nanos());
            if wall < until {
                if self.held.first().is_some_and(|held| held.unit.track == selected.unit.track) {
                    selection.append(&mut self.held);
                }
                selection.push(selected);
            } else if wall.offset_nanos(ahead.saturating_neg()) < until {
                // Only pictures are shown in another order than they are decoded in.
                self.held.push(selected);
            } else {
                finished = true;
                break;
            }
        }
        finished |=
            self.until.is_some_and(|until| fragment.next_start.is_some_and(|at| at >= until));
        selection.retain(|selected| self.is_wanted(&selected.unit));
        if fragment.seam
            && let Some(first) = selection.first_mut()
        {
            first.continuity = Continuity::Begins;
        }
        mark_last(&mut selection, fragment.ends_section, finished);
        (selection, finished)
    }

    /// The units of a group of pictures, which is sent as a whole, and whether it is the last.
    pub(crate) fn backward(
        &mut self,
        fragments: &[FragmentRead],
        units: Vec<AccessUnit>,
    ) -> (Vec<SelectedUnit>, bool) {
        let Some(first) = fragments.first() else { return (Vec::new(), false) };
        let finished = self.until.is_some_and(|until| first.start <= until);
        let mut open_start = OpenStart::default();
        let kept = units.into_iter().filter(|unit| !open_start.leaves_out(unit));
        let mut selection: Vec<_> = kept.map(SelectedUnit::of).collect();
        selection.retain(|selected| self.is_wanted(&selected.unit));
        let shown_last = selection.iter().map(|selected| selected.unit.present.as_nanos()).max();
        for selected in &mut selection {
            selected.due_nanos = shown_last.unwrap_or(selected.due_nanos);
        }
        if let Some(begin) = selection.first_mut() {
            begin.continuity = if first.seam { Continuity::Begins } else { Continuity::Jumps };
        }
        mark_last(&mut selection, first.ends_section, finished);
        (selection, finished)
    }

    /// Whether `unit` is of those that are sent.
    pub(crate) fn is_wanted(&mut self, unit: &AccessUnit) -> bool {
        if unit.params.kind() == Kind::Audio && !unit.random_access() {
            return self.sound && !self.keys_only();
        }
        match self.frames {
            FrameSelection::All => true,
            FrameSelection::Reference => unit.random_access() || is_reference(unit),
            FrameSelection::Key { apart } => {
                let nanos = unit.present.as_nanos();
                let since = self.key_nanos.map(|last| nanos.saturating_sub(last).unsigned_abs());
                let far = since.is_none_or(|since| u128::from(since) >= apart.as_nanos());
                let wanted = unit.random_access() && far;
                if wanted {
                    self.key_nanos = Some(nanos);
                }
                wanted
            }
        }
    }
}

/// Flags the last unit of each track.
fn mark_last(selection: &mut [SelectedUnit], ends_section: bool, finished: bool) {
    let ending = match (finished, ends_section) {
        (true, _) => Ending::Range,
        (false, true) => Ending::Section,
        (false, false) => return,
    };
    let mut seen: Vec<TrackId> = Vec::new();
    for selected in selection.iter_mut().rev() {
        if !seen.contains(&selected.unit.track) {
            seen.push(selected.unit.track);
            selected.ending = ending;
        }
    }
}

/// Whether another picture may need this one: `nal_ref_idc` (ITU-T H.264 §7.4.1), and the
/// sub-layer non-reference pictures with even types below 16 of H.265 (§7.4.2.2).
fn is_reference(unit: &AccessUnit) -> bool {
    let mut nals = nal::Nals::new(&unit.data).filter_map(|nal| nal.first().copied());
    match unit.params.codec {
        Codec::H264 { .. } => nals.any(|head| (1..=5).contains(&(head & 0x1f)) && head & 0x60 != 0),
        Codec::H265 { .. } => nals.any(|head| {
            let kind = head >> 1 & 0x3f;
            kind < 32 && (kind >= 16 || kind % 2 == 1)
        }),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::base::time::{BootTime, MediaTime};
    use crate::dvr::FragmentEntry;
    use crate::media::codec::Law;
    use crate::media::{Captured, ClockSource, CodecParams, RunId};

    const SPS: &[u8] = &[0x67, 0x64, 0x00, 0x33, 0xac, 0x15, 0x14, 0xa0, 0xa0, 0x2f, 0xf9, 0x50];
    const PPS: &[u8] = &[0x68, 0xee, 0x3c, 0xb0];

    /// A picture decoded and shown at these frames of 40 ms, or a frame of sound.
    fn unit(track: u8, decode: i64, present: i64, nal: u8) -> AccessUnit {
        let rate = NonZeroU32::new(25).unwrap();
        let mut params = match track {
            0 => CodecParams::from_h264_sets(SPS, PPS).unwrap(),
            _ => CodecParams::g711(Law::A, rate, 1),
        };
        params.clock_rate = rate;
        AccessUnit {
            track: TrackId(track),
            run: RunId(0),
            present: MediaTime { ticks: present, rate },
            captured: Captured { wall: wall(present), source: ClockSource::Sender },
            entry: crate::media::Entry::key_frame(nal == 0x65),
            ..AccessUnit::new(
                Arc::new(params),
                MediaTime { ticks: decode, rate },
                Bytes::copy_from_slice(&[0, 0, 0, 1, nal]),
            )
        }
    }

    fn wall(frame: i64) -> WallTime {
        WallTime::from_unix_nanos(frame * 40_000_000)
    }

    /// Key, P, two B between them, with sound beside: I0 P3 B1 b2 P6 B4 b5.
    fn pictures() -> Vec<AccessUnit> {
        let order = [(0, 0x65), (3, 0x41), (1, 0x21), (2, 0x01), (6, 0x41), (4, 0x21), (5, 0x01)];
        let mut units = Vec::new();
        for (at, (present, nal)) in (0..).zip(order) {
            units.push(unit(0, at - 2, present, nal));
            units.push(unit(1, at, at, 0));
        }
        units
    }

    fn fragment(seam: bool, next: Option<i64>, ends_section: bool) -> FragmentRead {
        let entry = FragmentEntry {
            offset: 0,
            length: 0,
            sequence: 1,
            boot_time: BootTime::default(),
            wall: wall(0),
            decode_nanos: 0,
            span_nanos: 280_000_000,
            samples: 14,
            starts_with_key: true,
            loss_before: false,
            run_start: false,
            effort: crate::dvr::Effort::default(),
        };
        let (init, bytes, boot) = (Bytes::new(), Bytes::new(), [0; 16]);
        let (start, next_start) = (wall(0), next.map(wall));
        FragmentRead {
            init,
            bytes,
            entry,
            boot,
            this_boot: true,
            start,
            seam,
            next_start,
            ends_section,
        }
    }

    fn shown(selection: &[SelectedUnit], track: u8) -> Vec<i64> {
        let of_track = selection.iter().filter(|selected| selected.unit.track == TrackId(track));
        of_track.map(|selected| selected.unit.present.ticks).collect()
    }

    #[test]
    fn a_range_ends_with_what_is_shown_in_it_and_what_that_needs() {
        for (until, wanted) in [
            (7, &[0, 3, 1, 2, 6, 4, 5][..]),
            (5, &[0, 3, 1, 2, 6, 4]),
            (4, &[0, 3, 1, 2]),
            (2, &[0, 3, 1]),
            (1, &[0]),
        ] {
            let mut filter = FrameFilter::new(FrameSelection::All, true, Some(wall(until)));
            let (selection, finished) = filter.forward(&fragment(true, Some(7), false), pictures());
            assert_eq!(shown(&selection, 0), wanted, "until {until}");
            assert_eq!(shown(&selection, 1), (0..until).collect::<Vec<_>>(), "until {until}");
            assert!(finished, "until {until}");
            assert_eq!(selection[0].continuity, Continuity::Begins);
            let ends = selection.iter().filter(|selected| selected.ending == Ending::Range).count();
            assert_eq!(ends, 2, "the last of each track");
        }
        let mut open = FrameFilter::new(FrameSelection::All, false, None);
        let (selection, finished) = open.forward(&fragment(false, Some(7), true), pictures());
        assert!(!finished && shown(&selection, 1).is_empty());
        let marks: Vec<_> =
            selection.iter().map(|selected| (selected.continuity, selected.ending)).collect();
        assert_eq!(marks[..6], [(Continuity::Follows, Ending::Open); 6]);
        assert_eq!(marks[6], (Continuity::Follows, Ending::Section));
    }

    #[test]
    fn frames_are_left_out_that_are_not_wanted() {
        let selection = |frames| {
            FrameFilter::new(frames, true, None)
                .forward(&fragment(false, None, false), pictures())
                .0
        };
        let predicted = selection(FrameSelection::Reference);
        assert_eq!(shown(&predicted, 0), [0, 3, 1, 6, 4]);
        let apart = std::time::Duration::ZERO;
        let keys = selection(FrameSelection::Key { apart });
        assert_eq!((shown(&keys, 0), shown(&keys, 1)), (vec![0], Vec::new()));
        let apart = std::time::Duration::from_millis(400);
        let mut sparse = FrameFilter::new(FrameSelection::Key { apart }, false, None);
        let keys = (0..30).map(|at| unit(0, at, at, 0x65)).collect();
        assert_eq!(shown(&sparse.forward(&fragment(false, None, false), keys).0, 0), [0, 10, 20]);
    }

    #[test]
    fn a_group_that_is_sent_backwards_is_whole_and_due_with_its_end() {
        let mut filter = FrameFilter::new(FrameSelection::All, false, Some(wall(-1)));
        let (selection, finished) = filter.backward(&[fragment(true, None, false)], pictures());
        assert_eq!(shown(&selection, 0), [0, 3, 1, 2, 6, 4, 5]);
        assert!(!finished && selection.iter().all(|selected| selected.due_nanos == 240_000_000));
        let (selection, finished) = filter.backward(&[fragment(false, None, false)], pictures());
        assert!(!finished && selection[0].continuity == Continuity::Jumps);
        let mut last = FrameFilter::new(FrameSelection::All, false, Some(wall(0)));
        assert!(last.backward(&[fragment(false, None, false)], pictures()).1);
    }
}
