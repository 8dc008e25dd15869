//! Live lists of any camera, each held to the rules by the validator of the tests.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::{Lookup, Parts, Playlist};
use crate::base::limits::HLS_BYTES_MAX;
use crate::base::time::{BootTime, MediaTime, WallTime};
use crate::media::codec::Law;
use crate::media::{AccessUnit, Captured, ClockSource, CodecParams, Entry, RunId, TrackId, Tracks};
use crate::wire::hls::{
    PlaylistOptions, RenditionReport, SegmentBody, Segmenter, Targets, key_frame, multivariant,
};
use crate::wire::web::WebFormat;

#[path = "../../../tests/support/playlist/mod.rs"]
mod playlist;
use playlist::Media;

const SPS: &[u8] = &[0x67, 0x64, 0x00, 0x33, 0xac, 0x15, 0x14, 0xa0, 0xa0, 0x2f, 0xf9, 0x50];
const PPS: &[u8] = &[0x68, 0xee, 0x3c, 0xb0];
const START_UNIX_SECS: i64 = 1_795_000_000;

fn wall(ms: u64) -> WallTime {
    let nanos = START_UNIX_SECS * 1_000_000_000 + i64::try_from(ms).unwrap() * 1_000_000;
    WallTime::from_unix_nanos(nanos)
}

/// A stream in the making: the segmenter, the list and a cursor in time.
struct Live {
    params: Arc<CodecParams>,
    format: Arc<WebFormat>,
    run: u32,
    segmenter: Segmenter,
    list: Playlist,
    ms: u64,
    unit_bytes: usize,
    wall_offset_ms: i64,
}

impl Live {
    fn new() -> Self {
        let params = Arc::new(CodecParams::from_h264_sets(SPS, PPS).unwrap());
        let format = format(&params, 1);
        Self {
            params,
            format,
            run: 1,
            segmenter: Segmenter::new(false),
            list: at(wall(0)),
            ms: 100_000,
            unit_bytes: 1_000,
            wall_offset_ms: 0,
        }
    }

    /// Pictures every `frame_ms`, a key frame every `gop`th.
    fn run(&mut self, pictures: u64, frame_ms: u64, gop: u64) -> &mut Self {
        for n in 0..pictures {
            self.picture(n.is_multiple_of(gop));
            self.ms += frame_ms;
        }
        self
    }

    fn picture(&mut self, key: bool) {
        let arrived = BootTime::from_millis(self.ms);
        let nanos = i64::try_from(arrived.as_nanos()).unwrap();
        let decode = MediaTime::from_nanos(nanos, self.params.clock_rate);
        let captured = wall(self.ms).offset_nanos(self.wall_offset_ms * 1_000_000);
        let unit = Arc::new(AccessUnit {
            run: RunId(self.run),
            arrived,
            captured: Captured { wall: captured, source: ClockSource::Sender },
            entry: Entry::key_frame(key),
            ..AccessUnit::new(
                Arc::clone(&self.params),
                decode,
                Bytes::from(vec![0; self.unit_bytes]),
            )
        });
        let part = if let Parts::Told(target) = self.list.parts() { Some(target) } else { None };
        let targets = Targets { segment: self.list.target(), part };
        if let Some(cut) = self.segmenter.push(&unit, &self.format, targets) {
            self.list.push(arrived, cut);
            self.list.settle(arrived);
        }
        self.list.settle_parts(self.segmenter.part_target());
        self.list.show_open(self.segmenter.open());
    }

    /// With parts from the beginning.
    fn low_latency() -> Self {
        let mut live = Self::new();
        live.list.want_parts(true);
        live
    }

    fn multivariant(&self, rate: Option<f64>) -> Option<String> {
        let variant = self.list.variant("media.m3u8".to_owned(), &self.format, rate)?;
        Some(multivariant(&[variant]))
    }

    fn reconnect(&mut self, away_ms: u64) -> &mut Self {
        self.run += 1;
        self.format = format(&self.params, self.run);
        self.ms += away_ms;
        self
    }

    fn text(&mut self) -> Option<String> {
        self.list.media().map(|text| String::from_utf8(text.to_vec()).unwrap())
    }

    fn media(&mut self) -> Media {
        playlist::media(&self.text().expect("ready"))
    }
}

/// An empty list that begins at a date.
fn at(date: WallTime) -> Playlist {
    let mut list = Playlist::default();
    list.leap_at(date);
    list
}

fn format(params: &Arc<CodecParams>, run: u32) -> Arc<WebFormat> {
    Arc::new(WebFormat::new(Tracks::new(RunId(run), [Arc::clone(params)])).unwrap())
}

fn spans(told: &Media) -> Vec<f64> {
    told.segments.iter().map(|segment| segment.secs).collect()
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a few whole seconds
fn target(told: &Media) -> u64 {
    told.target_secs as u64
}

fn number(name: &str) -> u64 {
    name.trim_end_matches(".m4s").parse().unwrap()
}

#[test]
fn nothing_is_told_before_three_segments() {
    let mut live = Live::new();
    live.run(150, 40, 25);
    assert!(live.list.media().is_none());
    assert!(live.multivariant(None).is_none());
    live.run(1, 40, 25);
    let told = live.media();
    assert_eq!(spans(&told), [2.0, 2.0, 2.0]);
    assert_eq!(target(&told), 4);
}

#[test]
fn segments_are_real_media_time_and_begin_at_key_frames() {
    let mut live = Live::new();
    // 14.3 pictures per second, a key frame every 1.4 s: segments of two GOPs.
    live.run(500, 70, 20);
    let told = live.media();
    assert!(told.independent);
    assert!(spans(&told).iter().all(|span| (span - 2.8).abs() < 1e-5), "{told:?}");
    assert_eq!(target(&told), 4);
}

#[test]
fn the_list_holds_three_targets_and_slides() {
    let mut live = Live::new();
    live.run(151, 40, 25);
    let first = live.media();
    live.run(2_500, 40, 25);
    let later = live.media();
    assert!(later.secs() >= 3.0 * 4.0 && later.secs() < 3.0 * 4.0 + 2.1, "{later:?}");
    assert_eq!(target(&later), target(&first));
    assert!(later.sequence > first.sequence);
    assert_eq!(number(later.names().next().unwrap()), later.sequence);
    assert_eq!(later.maps().len(), 1);
}

#[test]
fn a_removed_segment_stays_for_its_own_and_the_lists_duration() {
    let mut live = Live::new();
    live.run(600, 40, 25);
    let told = live.media();
    let (oldest, span) = (told.sequence, told.secs());
    while live.media().sequence == oldest {
        live.run(25, 40, 25);
    }
    let removed_ms = live.ms;
    assert!(matches!(live.list.segment(oldest), Lookup::Here(_)));
    live.list.sweep(BootTime::from_millis(removed_ms + 13_000));
    assert!(matches!(live.list.segment(oldest), Lookup::Here(_)), "{span}");
    live.list.sweep(BootTime::from_millis(removed_ms + 17_000));
    assert!(matches!(live.list.segment(oldest), Lookup::Expired));
    assert!(matches!(live.list.segment(0), Lookup::Expired));
    assert!(matches!(live.list.segment(u64::MAX), Lookup::Unknown));
}

#[test]
fn numbers_go_on_after_a_restart() {
    let mut live = Live::new();
    live.run(25 * 600, 40, 25);
    let last = number(live.media().names().last().unwrap());
    let again = at(wall(600_000));
    assert!(again.next_number > last, "{} after {last}", again.next_number);
    assert!(again.discontinuities_left >= live.media().discontinuity_sequence);
    assert_eq!(Playlist::number_at(WallTime::default()), 0);
}

#[test]
fn a_reconnect_is_a_discontinuity_with_a_new_map() {
    let mut live = Live::new();
    live.run(300, 40, 25).reconnect(4_000).run(130, 40, 25);
    let told = live.media();
    assert_eq!((told.discontinuities(), told.maps().len()), (1, 2), "{told:?}");
    let before = told.discontinuity_sequence;
    live.run(1_000, 40, 25);
    let told = live.media();
    assert_eq!((told.discontinuities(), told.maps().len()), (0, 1));
    assert_eq!(told.discontinuity_sequence, before + 1);
}

#[test]
fn old_footage_is_not_where_a_new_player_begins() {
    let mut live = Live::new();
    live.run(300, 40, 25);
    let age = |live: &Live| live.list.start_age(BootTime::from_millis(live.ms)).unwrap();
    assert!(age(&live) <= Duration::from_secs(6));
    // The camera falls silent, and what was open is listed.
    let cut = live.segmenter.interrupt().unwrap();
    live.list.push(BootTime::from_millis(live.ms + 3_000), cut);
    live.list.settle(BootTime::from_millis(live.ms + 3_000));
    live.reconnect(3_600_000).run(101, 40, 25);
    assert!(age(&live) > Duration::from_secs(3_600), "two new segments are not enough");
    live.run(150, 40, 25);
    assert!(age(&live) <= Duration::from_secs(8), "{:?}", age(&live));
}

#[test]
fn a_hole_in_the_media_is_a_discontinuity_not_a_long_segment() {
    let mut live = Live::new();
    live.run(300, 40, 25);
    live.ms += 30_000;
    live.run(130, 40, 25);
    let told = live.media();
    assert_eq!((told.discontinuities(), told.maps().len()), (1, 2));
    assert!(spans(&told).iter().all(|span| *span <= 3.0), "{told:?}");
}

#[test]
fn a_step_of_the_capture_clock_is_a_discontinuity() {
    let mut live = Live::new();
    live.run(300, 40, 25);
    live.wall_offset_ms = -3_600_000;
    live.run(120, 40, 25);
    assert_eq!(live.media().discontinuities(), 1);
}

#[test]
fn a_gop_longer_than_the_target_is_cut_early() {
    let mut live = Live::new();
    live.run(300, 40, 25);
    assert!(live.media().independent);
    // From now on a key frame every 8 s only, against a target of 4 s.
    live.run(800, 40, 200);
    let told = live.media();
    assert_eq!(target(&told), 4);
    assert!(spans(&told).iter().all(|span| *span <= 4.0), "{told:?}");
    assert!(!told.independent && told.discontinuities() == 0, "{told:?}");
}

#[test]
fn places_to_begin_that_are_far_apart_lengthen_the_target_before_it_is_settled() {
    let mut live = Live::new();
    live.list.expect_entries(Duration::from_secs(15));
    assert_eq!(live.list.span_max(), Duration::from_secs(16));
    live.list.expect_entries(Duration::from_millis(5_200));
    live.run(160, 40, 25);
    assert_eq!(target(&live.media()), 7);
    live.list.expect_entries(Duration::from_secs(15));
    assert_eq!(live.list.span_max(), Duration::from_secs(7), "it was told");
}

#[test]
fn the_key_frames_are_a_list_of_their_own() {
    let mut live = Live::new();
    live.run(300, 40, 25);
    let (whole, keys) = (live.media(), live.list.key_frame_list().unwrap());
    assert!(keys.contains("#EXT-X-I-FRAMES-ONLY\n#EXT-X-MAP"), "{keys}");
    let named = keys.lines().filter(|line| line.ends_with(".key.m4s")).count();
    assert_eq!(named, whole.segments.len());
    let Lookup::Here(segment) = live.list.segment(whole.sequence) else { panic!() };
    let bytes = segment.cut.body.parts()[0].fragment.to_bytes();
    let key = key_frame(&segment.cut.init, &bytes).unwrap();
    let (_, frames) = crate::wire::mp4::read_fragment(&key).unwrap().remove(0);
    let (_, all) = crate::wire::mp4::read_fragment(&bytes).unwrap().remove(0);
    assert_eq!(frames, all[..1]);
}

#[test]
fn memory_is_bounded_whatever_the_bitrate() {
    let mut live = Live::new();
    live.unit_bytes = 1 << 20;
    live.run(1_000, 40, 25);
    assert!(live.list.bytes <= HLS_BYTES_MAX, "{}", live.list.bytes);
    let known: usize = live.list.known().map(|segment| segment.cut.body.held_bytes()).sum();
    assert_eq!(live.list.bytes, known);
}

#[test]
fn the_multivariant_playlist_says_what_was_measured() {
    let mut live = Live::new();
    live.run(300, 40, 25);
    let text = live.multivariant(Some(25.0)).unwrap();
    playlist::multivariant(&text).covers(&live.media());
    assert!(text.contains("CODECS=\"avc1.640033\""), "{text}");
    assert!(text.contains("FRAME-RATE=25.000"), "{text}");
    assert!(text.contains("RESOLUTION=2560x1440") || text.contains("RESOLUTION="), "{text}");
    // 25 units of 1,000 bytes a second are 200 kbit/s, and a little for the boxes.
    let peak: u64 =
        text.split("BANDWIDTH=").nth(1).unwrap().split(',').next().unwrap().parse().unwrap();
    assert!((200_000..206_000).contains(&peak), "{text}");
    assert!(text.ends_with("\nmedia.m3u8\n"));
}

#[test]
fn sound_that_browsers_cannot_play_is_repacked_or_left_out_with_the_reason() {
    let video = Arc::new(CodecParams::from_h264_sets(SPS, PPS).unwrap());
    let sound = Arc::new(CodecParams::g711(Law::A, NonZeroU32::new(8_000).unwrap(), 1));
    let tracks = Tracks::new(RunId(1), [sound.clone(), video.clone()]);
    let format = WebFormat::new(tracks).unwrap();
    assert_eq!((format.lead(), format.has_audio()), (TrackId(1), true));
    assert_eq!(format.mime(), "video/mp4; codecs=\"avc1.640033,fLaC\"");
    assert!(format.audio_dropped.is_none() && format.added_bps() > 48_000);

    let opus = CodecParams { rfc6381: None, ..CodecParams::opus(1) };
    let tracks = Tracks::new(RunId(1), [Arc::new(opus.clone()), video]);
    let format = WebFormat::new(tracks).unwrap();
    assert_eq!((format.lead(), format.has_audio()), (TrackId(1), false));
    assert!(format.audio_dropped.as_ref().unwrap().contains("Opus"));
    assert_eq!(format.mime(), "video/mp4; codecs=\"avc1.640033\"");
    assert!(WebFormat::new(Tracks::new(RunId(1), [Arc::new(opus)])).is_none());
}

proptest! {
    /// Whatever comes, what was published stays true.
    #[test]
    fn the_rules_hold_for_any_camera(
        acts in prop::collection::vec((0u8..10, 1u64..120, 5u64..400, 1u64..150), 1..30)
    ) {
        let mut live = Live::new();
        let mut last: Option<Media> = None;
        for (act, pictures, frame_ms, gop) in acts {
            match act {
                0 => { live.reconnect(frame_ms * 20); }
                1 => live.ms += frame_ms * 50,
                2 => live.wall_offset_ms -= 5_000,
                _ => { live.run(pictures, frame_ms, gop); }
            }
            let Some(text) = live.text() else { continue };
            let told = playlist::media(&text);
            for (n, name) in told.names().enumerate() {
                prop_assert_eq!(number(name), told.sequence + n as u64);
            }
            if let Some(last) = &last {
                told.follows(last);
            }
            last = Some(told);
        }
    }
}

#[test]
fn a_segment_carries_the_very_bytes_of_the_bus() {
    let mut live = Live::new();
    live.run(160, 40, 25);
    let oldest = live.media().sequence;
    let Lookup::Here(segment) = live.list.segment(oldest) else { panic!() };
    let SegmentBody::Held(parts) = &segment.cut.body else { panic!() };
    assert_eq!((parts.len(), parts[0].fragment.data.len()), (1, 50));
    assert_eq!(segment.cut.span, Duration::from_secs(2));
    assert!(matches!(live.list.init(segment.init.number), Lookup::Here(_)));
}

#[test]
fn parts_are_told_at_the_edge_and_make_up_their_segments() {
    let mut live = Live::low_latency();
    live.run(900, 40, 50);
    let told = live.media();
    assert_eq!((told.version, told.part_target_secs), (9, Some(0.528)));
    assert!(told.independent && told.secs() >= 8.0 * told.target_secs, "{told:?}");
    let with_parts: Vec<_> = told.segments.iter().filter(|it| !it.parts.is_empty()).collect();
    assert!((3..=7).contains(&with_parts.len()), "{told:?}");
    for segment in with_parts {
        let sum: f64 = segment.parts.iter().map(|part| part.secs).sum();
        assert!((sum - segment.secs).abs() < 1e-4 && segment.parts.len() == 5, "{segment:?}");
        let Lookup::Here(whole) = live.list.segment(segment.number) else { panic!() };
        let Lookup::Here(part) = live.list.part(segment.number, 1) else { panic!() };
        assert!(Arc::ptr_eq(&whole.cut.body.parts()[1], &part));
        assert!(matches!(live.list.part(segment.number, 5), Lookup::Unknown));
    }
    let mut before = told;
    for _ in 0..200 {
        live.run(1, 40, 50);
        let now = live.media();
        now.follows(&before);
        before = now;
    }
}

#[test]
fn what_is_hinted_at_comes() {
    let mut live = Live::low_latency();
    live.run(600, 40, 50);
    let mut hint: Option<String> = None;
    for n in 0..500u64 {
        // A camera whose times tremble, and whose key frames are not where they were.
        live.picture(n.is_multiple_of(43));
        live.ms += [38, 42, 40, 35, 45][usize::try_from(n % 5).unwrap()];
        let told = live.media();
        let parts = told.segments.iter().chain([&told.open]).flat_map(|it| &it.parts);
        let names: Vec<_> = parts.map(|part| part.uri.clone()).collect();
        let now = told.hints[0]["URI"].clone();
        if let Some(before) = hint.filter(|before| *before != now) {
            assert!(names.contains(&before), "{before} in {names:?}");
        }
        hint = Some(now);
    }
}

#[test]
fn a_delta_update_leaves_out_what_is_old_and_says_how_far_the_others_are() {
    let mut live = Live::low_latency();
    live.run(1_200, 40, 50);
    let whole = live.media();
    let report = RenditionReport { uri: "../b/media.m3u8".to_owned(), segment: 7, part: 2 };
    let telling = PlaylistOptions { skip: true, reports: vec![report] };
    let delta = playlist::media(&live.list.tell(&telling).unwrap());
    assert!(delta.skipped > 0 && delta.secs() <= 24.0, "{delta:?}");
    assert_eq!((delta.sequence, delta.next()), (whole.sequence, whole.next()));
    let skipped = usize::try_from(delta.skipped).unwrap();
    let rest: Vec<_> = whole.names().skip(skipped).collect();
    assert_eq!(delta.names().collect::<Vec<_>>(), rest);
    assert_eq!(delta.reports[0]["LAST-MSN"], "7");
}

#[test]
fn a_stream_of_few_pictures_tells_no_parts() {
    let mut live = Live::low_latency();
    live.run(20, 1_500, 1);
    let told = live.media();
    assert_eq!((told.version, told.part_target_secs, told.hints.len()), (7, None, 0));
}

#[test]
fn a_variant_takes_over_the_target_of_another_if_it_can() {
    for (gop, secs) in [(50, 5), (175, 8)] {
        let mut live = Live::new();
        live.list.prefer_target(Duration::from_secs(5));
        live.run(800, 40, gop);
        assert_eq!(target(&live.media()), secs);
    }
}

proptest! {
    /// The same with parts, and with pictures lost.
    #[test]
    fn the_rules_of_parts_hold_for_any_camera(
        frame_ms in 15u64..200, gop in 1u64..150,
        acts in prop::collection::vec((0u8..12, 1u64..90, 0u64..20), 1..30),
    ) {
        let mut live = Live::low_latency();
        live.run(40, frame_ms, gop);
        let mut last: Option<Media> = None;
        for (act, pictures, percent) in acts {
            match act {
                0 => { live.reconnect(3_000); }
                1 => live.ms += frame_ms * 3,
                _ => for n in 0..pictures {
                    live.picture(n.is_multiple_of(gop));
                    live.ms += frame_ms * (100 + percent * (n % 2)) / (100 + percent / 2);
                },
            }
            let Some(text) = live.text() else { continue };
            let mut broken = playlist::media_breaches(&text);
            // Pictures that were lost make a part short, as they did.
            let lossy = ["a part is long enough", "a segment is its parts"];
            broken.retain(|it| !lossy.contains(&it.rule));
            prop_assert!(broken.is_empty(), "{:?}\n{}", broken, text);
            let told = playlist::read_media(&text);
            if let Some(last) = &last {
                told.follows(last);
            }
            last = Some(told);
        }
    }
}
