//! Reads existing boxes, as the ring keeps them, and hides tracks in them.
//!
//! Owns: what a browser is shown of a recorded file. A hidden track's boxes become `free` in place
//! (ISO/IEC 14496-12 §8.1.2), so that no byte moves and ranges of a slot stay ranges. A foreign box
//! is skipped, never an error.

use std::ops::Range;

use super::track_id;
use crate::media::TrackId;

/// Sample entries that can be described to a browser: with a `codecs=` string, or as FLAC.
const PLAYABLE: [&[u8; 4]; 6] = [b"avc1", b"hvc1", b"mp4a", b"Opus", b"alaw", b"ulaw"];
/// Length of a box header: size and type.
const BOX_HEADER_BYTES: usize = 8;
/// Position of `track_ID`: in a `tkhd` of version 0 (§8.3.2), in `trex` and `tfhd` (§8.8.3,
/// §8.8.7).
const TKHD_TRACK_AT: usize = 20;
const TRACK_AT: usize = 12;
/// Where `hdlr` names its kind (§8.4.3), `stsd` its first entry's type (§8.5.2), and `trun` its
/// number of samples (§8.8.8).
const HDLR_KIND_AT: usize = 16;
const STSD_ENTRY_AT: usize = 20;
const TRUN_COUNT_AT: usize = 12;

/// A box: its type, and its range with the header.
pub(super) type Found = ([u8; 4], Range<usize>);

/// The `track_ID`s of a `ftyp` and `moov` that browsers are not shown: all but the first video
/// and the first sound, and these if they may not be played.
#[must_use]
pub fn hidden_tracks(init: &[u8]) -> Vec<u32> {
    let mut seen = Vec::new();
    let mut hidden = Vec::new();
    for (_, track) in within(init, b"moov").filter(|(kind, _)| kind == b"trak") {
        let id = inside(init, &track, &[b"tkhd"]).and_then(|at| number(init, &at, TKHD_TRACK_AT));
        let handler = inside(init, &track, &[b"mdia", b"hdlr"]);
        let handler = handler.and_then(|at| number(init, &at, HDLR_KIND_AT));
        let entry = inside(init, &track, &[b"mdia", b"minf", b"stbl", b"stsd"]);
        let entry = entry.and_then(|at| number(init, &at, STSD_ENTRY_AT)).map(u32::to_be_bytes);
        let playable = entry.is_some_and(|entry| PLAYABLE.contains(&&entry));
        if !playable || seen.contains(&handler) {
            hidden.extend(id);
        }
        seen.push(handler);
    }
    hidden
}

/// Hides `tracks` in a `moov`, or in a `moof`.
pub fn hide(bytes: &mut [u8], tracks: &[u32]) {
    if tracks.is_empty() {
        return;
    }
    let is_hidden = |id: Option<u32>| id.is_some_and(|id| tracks.contains(&id));
    let mut boxes = Vec::new();
    for (kind, at) in within(bytes, b"moov").chain(within(bytes, b"moof")) {
        match &kind {
            b"trak" => {
                let header = inside(bytes, &at, &[b"tkhd"]);
                if is_hidden(header.and_then(|header| number(bytes, &header, TKHD_TRACK_AT))) {
                    boxes.push(at);
                }
            }
            b"traf" => {
                let header = inside(bytes, &at, &[b"tfhd"]);
                if is_hidden(header.and_then(|header| number(bytes, &header, TRACK_AT))) {
                    boxes.push(at);
                }
            }
            b"mvex" => {
                let defaults = children(bytes, at.start + BOX_HEADER_BYTES..at.end);
                boxes.extend(
                    defaults.map(|(_, at)| at).filter(|at| is_hidden(number(bytes, at, TRACK_AT))),
                );
            }
            _ => {}
        }
    }
    for at in boxes {
        bytes[at.start + 4..at.start + BOX_HEADER_BYTES].copy_from_slice(b"free");
    }
}

/// Samples that a fragment has of `track`.
#[must_use]
pub fn samples(fragment: &[u8], track: TrackId) -> u32 {
    let is_own = |(kind, at): &Found| {
        let header = inside(fragment, at, &[b"tfhd"]).filter(|_| kind == b"traf");
        header.and_then(|header| number(fragment, &header, TRACK_AT)) == Some(track_id(track))
    };
    let own = within(fragment, b"moof").filter(is_own);
    let runs = own.filter_map(|(_, at)| inside(fragment, &at, &[b"trun"]));
    runs.filter_map(|at| number(fragment, &at, TRUN_COUNT_AT)).fold(0, u32::saturating_add)
}

/// The boxes in every top-level box of type `kind`.
pub(super) fn within<'a>(bytes: &'a [u8], kind: &'a [u8; 4]) -> impl Iterator<Item = Found> + 'a {
    children(bytes, 0..bytes.len())
        .filter(move |(found, _)| found == kind)
        .flat_map(move |(_, at)| children(bytes, at.start + BOX_HEADER_BYTES..at.end))
}

/// The first box on the way `path` down from the box at `at`.
pub(super) fn inside(bytes: &[u8], at: &Range<usize>, path: &[&[u8; 4]]) -> Option<Range<usize>> {
    let mut at = at.clone();
    for kind in path {
        let mut found = children(bytes, at.start + BOX_HEADER_BYTES..at.end);
        at = found.find(|(found, _)| found == *kind)?.1;
    }
    Some(at)
}

/// The consecutive boxes in `range`, up to the first that does not fit.
fn children(bytes: &[u8], range: Range<usize>) -> impl Iterator<Item = Found> + '_ {
    let mut at = range.start;
    std::iter::from_fn(move || {
        let head = bytes.get(at..range.end)?.first_chunk::<BOX_HEADER_BYTES>()?;
        let (length, kind) = head.split_at(4);
        let length = u32::from_be_bytes(length.try_into().ok()?) as usize;
        let end = at.checked_add(length)?;
        if length < BOX_HEADER_BYTES || end > range.end {
            return None;
        }
        let found = (kind.try_into().ok()?, at..end);
        at = end;
        Some(found)
    })
}

/// The 32 bits at `offset` of a box.
pub(super) fn number(bytes: &[u8], at: &Range<usize>, offset: usize) -> Option<u32> {
    let field = bytes.get(at.start + offset..at.end)?.first_chunk::<4>()?;
    Some(u32::from_be_bytes(*field))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::base::time::MediaTime;
    use crate::media::codec::Law;
    use crate::media::{AccessUnit, CodecParams, Entry, RunId, TrackId, Tracks};
    use crate::wire::mp4::{FragmentBuilder, init_segment};
    use crate::wire::web::WebFormat;

    const SPS: &[u8] = &[0x67, 0x64, 0x00, 0x33, 0xac, 0x15, 0x14, 0xa0, 0xa0, 0x2f, 0xf9, 0x50];
    const PPS: &[u8] = &[0x68, 0xee, 0x3c, 0xb0];

    fn tracks() -> Tracks {
        let video = Arc::new(CodecParams::from_h264_sets(SPS, PPS).unwrap());
        let phone = Arc::new(CodecParams::g711(Law::A, NonZeroU32::new(8_000).unwrap(), 1));
        let mut entry = phone.sample_entry.to_vec();
        entry[4..8].copy_from_slice(b"mp4a");
        let rfc6381 = Some("mp4a.40.2".to_owned());
        let aac = CodecParams { rfc6381, sample_entry: entry.into(), ..(*phone).clone() };
        let aac = Arc::new(aac);
        Tracks::new(RunId(1), [Arc::clone(&video), aac, phone, video])
    }

    fn unit(tracks: &Tracks, track: u8, ms: i64) -> Arc<AccessUnit> {
        let params = Arc::clone(&tracks.list[usize::from(track)].params);
        let decode = MediaTime::from_nanos(ms * 1_000_000, params.clock_rate);
        Arc::new(AccessUnit {
            track: TrackId(track),
            entry: Entry::key_frame(true),
            ..AccessUnit::new(params, decode, Bytes::from_static(&[7; 20]))
        })
    }

    #[test]
    fn what_browsers_do_not_play_is_hidden_where_it_stands() {
        let tracks = tracks();
        let shown = WebFormat::new(tracks.clone()).unwrap();
        let mut init = init_segment(&tracks).to_vec();
        let hidden = hidden_tracks(&init);
        let expected = tracks.list.iter().filter(|track| !shown.carries(track.id));
        assert_eq!(hidden, expected.map(|t| u32::from(t.id.0) + 1).collect::<Vec<_>>());
        let length = init.len();
        hide(&mut init, &hidden);
        assert_eq!(init.len(), length);
        let kinds: Vec<[u8; 4]> = within(&init, b"moov").map(|(kind, _)| kind).collect();
        let names = [b"mvhd", b"trak", b"trak", b"free", b"free", b"mvex"];
        assert_eq!(kinds, names.map(|name| *name));
        assert!(hidden_tracks(&init).is_empty());
        let mut odd = init_segment(&Tracks::new(RunId(1), [Arc::clone(&tracks.list[2].params)]));
        assert!(hidden_tracks(&odd).is_empty());
        let entry = odd.windows(4).position(|name| name == b"alaw").unwrap();
        let mut bytes = odd.to_vec();
        bytes[entry..entry + 4].copy_from_slice(b"samr");
        odd = bytes.into();
        assert_eq!(hidden_tracks(&odd), [1]);

        let mut builder = FragmentBuilder::new(1);
        for (track, ms) in [(0, 0), (2, 0), (0, 40), (1, 0), (0, 80)] {
            builder.push(unit(&tracks, track, ms));
        }
        let mut fragment = builder.build(None).to_bytes().to_vec();
        assert_eq!(samples(&fragment, TrackId(0)), 3);
        hide(&mut fragment, &hidden);
        let kinds: Vec<[u8; 4]> = within(&fragment, b"moof").map(|(kind, _)| kind).collect();
        assert_eq!(kinds, [b"mfhd", b"traf", b"traf", b"free"].map(|name| *name));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_looked_into_without_a_panic(
            bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..400),
            cut in 0usize..1_500, flip in 0usize..1_500,
        ) {
            let mut bytes = bytes;
            let _ = hidden_tracks(&bytes);
            hide(&mut bytes, &[1, 2]);
            let mut init = init_segment(&tracks()).to_vec();
            if let Some(byte) = init.get_mut(flip) {
                *byte ^= 0xff;
            }
            init.truncate(cut);
            let hidden = hidden_tracks(&init);
            hide(&mut init, &hidden);
            let _ = samples(&init, TrackId(1));
        }
    }
}
