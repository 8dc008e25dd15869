//! A key frame by itself, as a segment of a playlist of key frames (RFC 8216 §4.3.3.6).
//!
//! Owns: the fragment that is made of it. Its times are those of the segment that it is from.

use std::sync::Arc;

use bytes::Bytes;

use crate::base::time::MediaTime;
use crate::media::{AccessUnit, Entry, RunId};
use crate::wire::mp4::{FragmentBuilder, read_fragment, read_init};

/// The first key frame of `fragment`, whose tracks `init` describes, as a fragment of its own.
/// `None` where there is none.
#[must_use]
pub fn key_frame(init: &[u8], fragment: &Bytes) -> Option<Bytes> {
    let tracks = read_init(init).ok()?;
    let video = tracks.video()?;
    let all = read_fragment(fragment).ok()?;
    let (_, samples) = all.into_iter().find(|(track, _)| *track == video.id)?;
    let ends = samples.last()?.decode_ticks;
    let sample = samples.into_iter().find(|sample| sample.is_sync)?;
    let rate = video.params.clock_rate;
    let unit = |decode: i64, present: i64, data: Bytes| AccessUnit {
        track: video.id,
        run: RunId::default(),
        present: MediaTime { ticks: present, rate },
        entry: Entry::key_frame(true),
        ..AccessUnit::new(Arc::clone(&video.params), MediaTime { ticks: decode, rate }, data)
    };
    let ends = ends.max(sample.decode_ticks.saturating_add(1));
    let mut builder = FragmentBuilder::new(1);
    builder.push(Arc::new(unit(sample.decode_ticks, sample.present_ticks, sample.data)));
    Some(builder.build(Some(&unit(ends, ends, Bytes::new()))).to_bytes())
}
