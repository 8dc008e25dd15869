//! Where reading begins at an open entry point of H.265: what cannot be decoded there is left out.
//!
//! Owns: which pictures these are (ITU-T H.265 §8.1.3): the RASL pictures that follow the CRA or BLA picture
//! with which reading begins. Those of H.264 say nothing of themselves, and decoders bear them.

use super::codec::{Codec, Kind};
use super::entry_point::{Entry, Leading};
use super::unit::AccessUnit;

/// What a unit is to a reader that begins at an open entry point of H.265.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenRole {
    /// No picture, which is never left out.
    Sound,
    /// A CRA or BLA picture: those that lead it may refer to pictures before it.
    Open,
    /// A picture that leads such a one.
    Leading(Leading),
    /// Any other picture.
    Picture,
}

impl OpenRole {
    /// The role of `unit`.
    #[must_use]
    pub fn of(unit: &AccessUnit) -> Self {
        if unit.params.kind() != Kind::Video {
            return Self::Sound;
        }
        let is_h265 = matches!(unit.params.codec, Codec::H265 { .. });
        match unit.leading {
            Some(leading) if is_h265 => Self::Leading(leading),
            _ if is_h265 && unit.entry == Some(Entry::Open) => Self::Open,
            _ => Self::Picture,
        }
    }
}

/// One reader's beginning. A new one for each place at which it begins, or resumes after a hole.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenStart {
    /// The first picture came, and whether those that lead it cannot be decoded.
    is_open: Option<bool>,
}

impl OpenStart {
    /// Whether `unit`, the next of its reader, is left out.
    pub fn leaves_out(&mut self, unit: &AccessUnit) -> bool {
        self.skips(OpenRole::of(unit))
    }

    /// The same of a unit of which the role is known.
    pub fn skips(&mut self, role: OpenRole) -> bool {
        match (self.is_open, role) {
            (_, OpenRole::Sound) => false,
            (None, _) => {
                self.is_open = Some(role == OpenRole::Open);
                false
            }
            (Some(true), OpenRole::Leading(leading)) => leading == Leading::Undecodable,
            // RADL pictures may be among them; none comes after the first one that does not lead.
            (Some(_), _) => {
                self.is_open = Some(false);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::base::time::{MediaTime, WallTime};
    use crate::media::codec::{Law, SampleAspect, Shape};
    use crate::media::{Captured, ClockSource, CodecParams};

    fn unit(entry: Option<Entry>, leading: Option<Leading>) -> AccessUnit {
        let rate = NonZeroU32::new(90_000).unwrap();
        let phone = CodecParams::g711(Law::A, rate, 1);
        let set = Bytes::new();
        let codec = Codec::H265 { vps: set.clone(), sps: set.clone(), pps: set, more: Vec::new() };
        let shape =
            Shape::Video { width: 64, height: 64, aspect: SampleAspect::SQUARE, frame_secs: None };
        let params = Arc::new(CodecParams { codec, shape, ..phone });
        let time = MediaTime { ticks: 0, rate };
        let captured = Captured { wall: WallTime::default(), source: ClockSource::Arrival };
        AccessUnit { captured, entry, leading, ..AccessUnit::new(params, time, Bytes::new()) }
    }

    #[test]
    fn only_what_leads_the_first_picture_and_cannot_be_decoded_is_left_out() {
        let (rasl, radl) = (Some(Leading::Undecodable), Some(Leading::Decodable));
        let group = [unit(Some(Entry::Open), None), unit(None, rasl), unit(None, radl)];
        let rest = [unit(None, rasl), unit(None, None), unit(None, rasl)];
        let mut start = OpenStart::default();
        let left: Vec<_> =
            group.iter().chain(&rest).chain(&group).map(|unit| start.leaves_out(unit)).collect();
        assert_eq!(left[..6], [false, true, false, true, false, false]);
        assert_eq!(left[6..], [false; 3]);
        let mut start = OpenStart::default();
        assert!(!start.leaves_out(&unit(Some(Entry::Closed), None)));
        assert!(!start.leaves_out(&unit(None, rasl)));
    }
}
