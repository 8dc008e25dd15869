//! Fragments of a recording as access units.
//!
//! Owns: the parameters of the lap that is being read, shared by its units. Pure.

use std::sync::Arc;

use bytes::Bytes;

use crate::base::time::{MediaTime, WallTime};
use crate::dvr::FragmentRead;
use crate::media::{AccessUnit, Captured, ClockSource, Entry, Leading, RunId, Tracks};
use crate::wire::mp4::{ReadError, read_fragment, read_init};

/// Turns fragments into access units.
#[derive(Debug, Default)]
pub(crate) struct Unpacker {
    init: Bytes,
    tracks: Option<Arc<Tracks>>,
}

impl Unpacker {
    /// The tracks of what was unpacked last.
    pub(super) fn known(&self) -> Option<Arc<Tracks>> {
        self.tracks.clone()
    }

    /// The tracks of `fragment`.
    pub(super) fn tracks(&mut self, fragment: &FragmentRead) -> Result<Arc<Tracks>, ReadError> {
        match &self.tracks {
            Some(tracks) if self.init == fragment.init => Ok(Arc::clone(tracks)),
            _ => {
                let tracks = Arc::new(read_init(&fragment.init)?);
                (self.init, self.tracks) = (fragment.init.clone(), Some(Arc::clone(&tracks)));
                Ok(tracks)
            }
        }
    }

    /// The units of `fragment` over all tracks in decoding order, each with its own date: that of the
    /// fragment, which is its first unit's, plus the distance between.
    pub(crate) fn units(&mut self, fragment: &FragmentRead) -> Result<Vec<AccessUnit>, ReadError> {
        let tracks = self.tracks(fragment)?;
        let has_video = tracks.video().is_some();
        let mut units = Vec::with_capacity(fragment.entry.samples.min(1_024) as usize);
        for (id, samples) in read_fragment(&fragment.bytes)? {
            // A track that the init segment does not have is not ours.
            let Some(track) = tracks.get(id) else { continue };
            let rate = track.params.clock_rate;
            let is_video = track.params.kind() == crate::media::Kind::Video;
            let codec = &track.params.codec;
            let may_begin = fragment.entry.starts_with_key && is_video;
            units.extend(samples.into_iter().enumerate().map(|(at, sample)| AccessUnit {
                track: id,
                run: RunId::default(),
                decode: MediaTime { ticks: sample.decode_ticks, rate },
                present: MediaTime { ticks: sample.present_ticks, rate },
                arrived: fragment.entry.boot_time,
                captured: Captured { wall: fragment.start, source: ClockSource::Sender },
                entry: match is_video {
                    true if sample.is_sync || may_begin && at == 0 => {
                        Entry::of(codec, &sample.data).or(Some(Entry::Blind))
                    }
                    true => None,
                    false => Entry::key_frame(sample.is_sync && !has_video),
                },
                leading: Leading::of(codec, &sample.data),
                lost_before: 0,
                params: Arc::clone(&track.params),
                data: sample.data,
            }));
        }
        // Stable: of units at the same instant the first track's come first.
        units.sort_by_key(|unit| unit.decode.as_nanos());
        let first = units.iter().find(|unit| unit.decode.as_nanos() == fragment.entry.decode_nanos);
        let zero_nanos =
            first.map_or(fragment.entry.decode_nanos, |first| first.present.as_nanos());
        for unit in &mut units {
            unit.captured.wall = date(fragment.start, unit.present.as_nanos(), zero_nanos);
        }
        Ok(units)
    }
}

fn date(start: WallTime, nanos: i64, zero_nanos: i64) -> WallTime {
    start.offset_nanos(nanos.saturating_sub(zero_nanos))
}
