//! Which units of the past are sent, and what is said of each.
//!
//! Owns: the end of the range, the kinds of frames, the flags of ONVIF. Pure.

use crate::base::time::WallTime;
use crate::dvr::Clip;
use crate::media::{AccessUnit, Codec, Kind, TrackId, nal};
use crate::wire::rtsp::Frames;

/// A unit on its way out.
#[derive(Clone, Debug)]
pub(super) struct Shot {
    /// The unit; its date is the capture's.
    pub(super) unit: AccessUnit,
    /// Media time at which it is due, in nanoseconds since boot.
    pub(super) due_nanos: i64,
    /// How it stands to what was sent before it.
    pub(super) lead: Lead,
    /// What ends with it.
    pub(super) end: End,
}

/// How a unit stands to the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lead {
    /// It goes on where that ended.
    Follows,
    /// It does not, but is of the same section.
    Jumps,
    /// It begins a section: what was before does not lead up to it.
    Begins,
}

/// What ends with a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    /// Nothing.
    Open,
    /// Its section.
    Section,
    /// All that is sent.
    Range,
}

impl Shot {
    pub(super) fn of(unit: AccessUnit) -> Self {
        let due_nanos = unit.decode.as_nanos();
        Self { unit, due_nanos, lead: Lead::Follows, end: End::Open }
    }
}

/// What is chosen, and how far.
#[derive(Debug)]
pub(super) struct Choice {
    frames: Frames,
    /// Sound is sent too.
    sound: bool,
    until: Option<WallTime>,
    /// Pictures shown behind the end; one shown before it may need them.
    held: Vec<Shot>,
    /// When the last key frame was, of those that are to be some time apart.
    key_nanos: Option<i64>,
}

impl Choice {
    pub(super) fn new(frames: Frames, sound: bool, until: Option<WallTime>) -> Self {
        Self { frames, sound, until, held: Vec::new(), key_nanos: None }
    }

    /// Only key frames are wanted.
    pub(super) fn keys_only(&self) -> bool {
        matches!(self.frames, Frames::Intra { .. })
    }

    /// The units of `clip` that are sent, in order, and whether all of the range was.
    pub(super) fn forward(&mut self, clip: &Clip, units: Vec<AccessUnit>) -> (Vec<Shot>, bool) {
        let (mut shots, mut finished) = (Vec::new(), false);
        for unit in units {
            let shot = Shot::of(unit);
            let Some(until) = self.until else {
                shots.push(shot);
                continue;
            };
            let wall = shot.unit.captured.wall;
            let ahead = shot.unit.present.as_nanos().saturating_sub(shot.unit.decode.as_nanos());
            if wall < until {
                if self.held.first().is_some_and(|held| held.unit.track == shot.unit.track) {
                    shots.append(&mut self.held);
                }
                shots.push(shot);
            } else if wall.offset_nanos(ahead.saturating_neg()) < until {
                // Only pictures are shown in another order than they are decoded in.
                self.held.push(shot);
            } else {
                finished = true;
                break;
            }
        }
        finished |= self.until.is_some_and(|until| clip.next_start.is_some_and(|at| at >= until));
        shots.retain(|shot| self.is_wanted(&shot.unit));
        if clip.seam
            && let Some(first) = shots.first_mut()
        {
            first.lead = Lead::Begins;
        }
        mark_last(&mut shots, clip.ends_section, finished);
        (shots, finished)
    }

    /// The units of a group of pictures, which is sent as a whole, and whether it is the last.
    pub(super) fn backward(&mut self, clips: &[Clip], units: Vec<AccessUnit>) -> (Vec<Shot>, bool) {
        let Some(first) = clips.first() else { return (Vec::new(), false) };
        let finished = self.until.is_some_and(|until| first.start <= until);
        let mut shots: Vec<_> = units.into_iter().map(Shot::of).collect();
        shots.retain(|shot| self.is_wanted(&shot.unit));
        let shown_last = shots.iter().map(|shot| shot.unit.present.as_nanos()).max();
        for shot in &mut shots {
            shot.due_nanos = shown_last.unwrap_or(shot.due_nanos);
        }
        if let Some(begin) = shots.first_mut() {
            begin.lead = if first.seam { Lead::Begins } else { Lead::Jumps };
        }
        mark_last(&mut shots, first.ends_section, finished);
        (shots, finished)
    }

    /// Whether `unit` is of those that are sent.
    pub(super) fn is_wanted(&mut self, unit: &AccessUnit) -> bool {
        if unit.params.kind() == Kind::Audio && !unit.random_access {
            return self.sound && !self.keys_only();
        }
        match self.frames {
            Frames::All => true,
            Frames::Predicted => unit.random_access || is_reference(unit),
            Frames::Intra { apart } => {
                let nanos = unit.present.as_nanos();
                let since = self.key_nanos.map(|last| nanos.saturating_sub(last).unsigned_abs());
                let far = since.is_none_or(|since| u128::from(since) >= apart.as_nanos());
                let wanted = unit.random_access && far;
                if wanted {
                    self.key_nanos = Some(nanos);
                }
                wanted
            }
        }
    }
}

/// Flags the last unit of each track.
fn mark_last(shots: &mut [Shot], ends_section: bool, finished: bool) {
    let end = match (finished, ends_section) {
        (true, _) => End::Range,
        (false, true) => End::Section,
        (false, false) => return,
    };
    let mut seen: Vec<TrackId> = Vec::new();
    for shot in shots.iter_mut().rev() {
        if !seen.contains(&shot.unit.track) {
            seen.push(shot.unit.track);
            shot.end = end;
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
