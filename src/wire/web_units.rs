//! Units as browsers are given them, one after the other.
//!
//! Owns: what depends on the units before: H.264 pictures mark nothing that came before the entry point
//! they follow, because a player may have begun there, and weak entry points get a mark.

use std::sync::Arc;

use super::web::WebFormat;
use super::web_mark::EntryMark;
use crate::media::{AccessUnit, OpenMarking};

/// Makes the copies for one reader of one stream.
#[derive(Debug, Default)]
pub struct WebUnits {
    /// The format of the last unit.
    format: Option<Arc<WebFormat>>,
    /// What its pictures mark; `None` where they are not of H.264.
    marking: Option<OpenMarking>,
    mark: EntryMark,
}

impl WebUnits {
    /// `unit`, the next of a track that `format` carries, as browsers are given it; `None` when that cannot
    /// be.
    pub fn shown(
        &mut self,
        format: &Arc<WebFormat>,
        unit: &Arc<AccessUnit>,
    ) -> Option<Arc<AccessUnit>> {
        let shown = format.shown(unit)?;
        if unit.track != format.lead() {
            return Some(shown);
        }
        if self.format.as_ref().is_none_or(|known| !Arc::ptr_eq(known, format)) {
            self.format = Some(Arc::clone(format));
            self.marking = OpenMarking::new(&unit.params);
        }
        let Some(marking) = &mut self.marking else { return Some(shown) };
        let neutral = marking.neutral(unit.entry, &shown.data);
        let data = neutral.as_ref().unwrap_or(&shown.data);
        let copy = self.mark.marked(&unit.params, marking, unit.entry, data).or(neutral);
        Some(match copy {
            Some(data) => Arc::new(AccessUnit { data, ..AccessUnit::clone(&shown) }),
            None => shown,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::web_mark::RECOVERY_POINT;
    use super::*;
    use crate::base::time::{MediaTime, WallTime};
    use crate::media::{Captured, ClockSource, CodecParams, Entry, RunId, Tracks, nal};

    const SPS: &[u8] = &[0x67, 0x64, 0x00, 0x33, 0xac, 0x15, 0x14, 0xa0, 0xa0, 0x2f, 0xf9, 0x50];
    const PPS: &[u8] = &[0x68, 0xee, 0x3c, 0xb0];

    #[test]
    fn a_weak_place_to_begin_is_marked_for_browsers() {
        let params = Arc::new(CodecParams::from_h264_sets(SPS, PPS).unwrap());
        let format =
            Arc::new(WebFormat::new(Tracks::new(RunId(1), [Arc::clone(&params)])).unwrap());
        let (delimiter, slice): (&[u8], &[u8]) = (&[9, 0x10], &[0x41, 0x9a, 0x80]);
        let time = MediaTime { ticks: 0, rate: params.clock_rate };
        let shown = |entry| {
            let captured = Captured { wall: WallTime::default(), source: ClockSource::Arrival };
            let unit = Arc::new(AccessUnit {
                captured,
                entry,
                ..AccessUnit::new(
                    Arc::clone(&params),
                    time,
                    nal::length_prefixed([delimiter, slice]),
                )
            });
            WebUnits::default().shown(&format, &unit).unwrap().data.clone()
        };
        for entry in [Entry::Gradual(18), Entry::Bare, Entry::Blind] {
            let data = shown(Some(entry));
            assert_eq!(data, nal::length_prefixed([delimiter, RECOVERY_POINT, slice]));
            assert_eq!(Entry::of(&params.codec, &data), Some(Entry::Gradual(0)), "it reads as one");
        }
        for entry in [None, Some(Entry::Closed), Some(Entry::Open)] {
            assert_eq!(shown(entry), nal::length_prefixed([delimiter, slice]));
        }
    }
}
