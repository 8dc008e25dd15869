//! The rules of a live playlist, each by name; `quick-m3u8` is the second reader.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::{Body, Found, Playlist};
use crate::base::limits::HLS_BYTES_MAX;
use crate::base::time::{BootTime, MediaTime, WallTime};
use crate::media::codec::Law;
use crate::media::{AccessUnit, Captured, ClockSource, CodecParams, RunId, TrackId, Tracks};
use crate::wire::hls::Segmenter;
use crate::wire::web::WebFormat;

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
            track: TrackId(0),
            run: RunId(self.run),
            decode,
            present: decode,
            arrived,
            captured: Captured { wall: captured, source: ClockSource::Sender },
            random_access: key,
            lost_before: 0,
            params: Arc::clone(&self.params),
            data: Bytes::from(vec![0; self.unit_bytes]),
        });
        if let Some(cut) = self.segmenter.push(&unit, &self.format, self.list.target()) {
            self.list.push(arrived, cut);
            self.list.settle(arrived);
        }
    }

    fn reconnect(&mut self, away_ms: u64) -> &mut Self {
        self.run += 1;
        self.format = format(&self.params, self.run);
        self.ms += away_ms;
        self
    }

    fn media(&self) -> Told {
        Told::read(&self.list.media().expect("ready"))
    }
}

/// An empty list that begins at a date.
fn at(date: WallTime) -> Playlist {
    let mut list = Playlist::default();
    list.leap(Playlist::number_at(date));
    list
}

fn format(params: &Arc<CodecParams>, run: u32) -> Arc<WebFormat> {
    Arc::new(WebFormat::new(Tracks::new(RunId(run), [Arc::clone(params)])).unwrap())
}

/// A media playlist as a player reads it.
#[derive(Debug, PartialEq)]
struct Told {
    target: u64,
    sequence: u64,
    discontinuity_sequence: u64,
    independent: bool,
    spans: Vec<f64>,
    names: Vec<String>,
    discontinuities: usize,
    maps: Vec<String>,
    dates: usize,
}

impl Told {
    fn read(text: &str) -> Self {
        let after = |tag: &str| text.lines().filter_map(|line| line.strip_prefix(tag)).collect();
        let tags: fn(Vec<&str>) -> Vec<String> =
            |found| found.iter().map(ToString::to_string).collect();
        let one = |tag: &str| -> u64 {
            let found: Vec<&str> = after(tag);
            assert_eq!(found.len(), 1, "{tag} in {text}");
            found[0].parse().unwrap()
        };
        let spans: Vec<&str> = after("#EXTINF:");
        Self {
            target: one("#EXT-X-TARGETDURATION:"),
            sequence: one("#EXT-X-MEDIA-SEQUENCE:"),
            discontinuity_sequence: one("#EXT-X-DISCONTINUITY-SEQUENCE:"),
            independent: text.contains("#EXT-X-INDEPENDENT-SEGMENTS\n"),
            spans: spans.iter().map(|s| s.trim_end_matches(',').parse().unwrap()).collect(),
            names: text.lines().filter(|l| !l.starts_with('#')).map(str::to_owned).collect(),
            discontinuities: text.lines().filter(|l| *l == "#EXT-X-DISCONTINUITY").count(),
            maps: tags(after("#EXT-X-MAP:URI=")),
            dates: text.matches("#EXT-X-PROGRAM-DATE-TIME:").count(),
        }
    }

    fn span(&self) -> f64 {
        self.spans.iter().sum()
    }
}

fn number(name: &str) -> u64 {
    name.trim_end_matches(".m4s").parse().unwrap()
}

#[test]
fn nothing_is_told_before_three_segments() {
    let mut live = Live::new();
    live.run(150, 40, 25);
    assert!(live.list.media().is_none());
    assert!(live.list.multivariant(&live.format, None).is_none());
    live.run(1, 40, 25);
    let told = live.media();
    assert_eq!((told.spans.len(), told.target), (3, 3));
    assert_eq!(told.spans, [2.0, 2.0, 2.0]);
}

#[test]
fn segments_are_real_media_time_and_begin_at_key_frames() {
    let mut live = Live::new();
    // 14.3 pictures per second, a key frame every 1.4 s: segments of two GOPs.
    live.run(500, 70, 20);
    let told = live.media();
    assert!(told.independent);
    assert!(told.spans.iter().all(|span| (span - 2.8).abs() < 1e-5), "{told:?}");
    assert_eq!(told.target, 4);
}

#[test]
fn the_list_holds_three_targets_and_slides() {
    let mut live = Live::new();
    live.run(151, 40, 25);
    let first = live.media();
    live.run(2_500, 40, 25);
    let later = live.media();
    assert!(later.span() >= 3.0 * 3.0 && later.span() < 3.0 * 3.0 + 2.1, "{later:?}");
    assert_eq!(later.target, first.target);
    assert!(later.sequence > first.sequence);
    assert_eq!(number(&later.names[0]), later.sequence);
    assert_eq!(later.dates, later.spans.len());
    assert_eq!(later.maps.len(), 1);
}

#[test]
fn a_removed_segment_stays_for_its_own_and_the_lists_duration() {
    let mut live = Live::new();
    live.run(600, 40, 25);
    let told = live.media();
    let (oldest, span) = (told.sequence, told.span());
    while live.media().sequence == oldest {
        live.run(25, 40, 25);
    }
    let removed_ms = live.ms;
    assert!(matches!(live.list.segment(oldest), Found::Here(_)));
    live.list.sweep(BootTime::from_millis(removed_ms + 10_000));
    assert!(matches!(live.list.segment(oldest), Found::Here(_)), "{span}");
    live.list.sweep(BootTime::from_millis(removed_ms + 14_000));
    assert!(matches!(live.list.segment(oldest), Found::Expired));
    assert!(matches!(live.list.segment(0), Found::Expired));
    assert!(matches!(live.list.segment(u64::MAX), Found::Unknown));
}

#[test]
fn numbers_go_on_after_a_restart() {
    let mut live = Live::new();
    live.run(25 * 600, 40, 25);
    let last = number(live.media().names.last().unwrap());
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
    assert_eq!((told.discontinuities, told.maps.len()), (1, 2), "{told:?}");
    let before = told.discontinuity_sequence;
    live.run(1_000, 40, 25);
    let told = live.media();
    assert_eq!((told.discontinuities, told.maps.len()), (0, 1));
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
    assert_eq!((told.discontinuities, told.maps.len()), (1, 2));
    assert!(told.spans.iter().all(|span| *span <= 3.0), "{told:?}");
}

#[test]
fn a_step_of_the_capture_clock_is_a_discontinuity() {
    let mut live = Live::new();
    live.run(300, 40, 25);
    live.wall_offset_ms = -3_600_000;
    live.run(120, 40, 25);
    assert_eq!(live.media().discontinuities, 1);
}

#[test]
fn a_gop_longer_than_the_target_is_cut_early() {
    let mut live = Live::new();
    live.run(300, 40, 25);
    assert!(live.media().independent);
    // From now on a key frame every 8 s only, against a target of 3 s.
    live.run(800, 40, 200);
    let told = live.media();
    assert_eq!(told.target, 3);
    assert!(told.spans.iter().all(|span| *span <= 3.0), "{told:?}");
    assert!(!told.independent && told.discontinuities == 0, "{told:?}");
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
    let text = live.list.multivariant(&live.format, Some(25.0)).unwrap();
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

/// Reads with `quick-m3u8`, which knows every tag's grammar.
fn second_reader(text: &str) -> usize {
    use quick_m3u8::config::ParsingOptions;
    use quick_m3u8::tag::KnownTag;
    use quick_m3u8::{HlsLine, Reader};
    let mut reader = Reader::from_str(text, ParsingOptions::default());
    let mut uris = 0;
    while let Some(line) = reader.read_line().expect("readable") {
        match line {
            HlsLine::Uri(_) => uris += 1,
            HlsLine::KnownTag(KnownTag::Hls(_)) | HlsLine::Comment(_) => {}
            other => panic!("{other:?}"),
        }
    }
    uris
}

#[test]
fn a_second_reader_knows_every_line() {
    let mut live = Live::new();
    live.run(300, 40, 25).reconnect(4_000).run(130, 40, 25);
    assert_eq!(second_reader(&live.list.multivariant(&live.format, None).unwrap()), 1);
    assert_eq!(second_reader(&live.list.media().unwrap()), live.media().spans.len());
}

proptest! {
    /// Whatever comes, what was told stays true.
    #[test]
    fn the_rules_hold_for_any_camera(
        acts in prop::collection::vec((0u8..10, 1u64..120, 5u64..400, 1u64..150), 1..30)
    ) {
        let mut live = Live::new();
        let mut last: Option<Told> = None;
        for (act, pictures, frame_ms, gop) in acts {
            match act {
                0 => { live.reconnect(frame_ms * 20); }
                1 => live.ms += frame_ms * 50,
                2 => live.wall_offset_ms -= 5_000,
                _ => { live.run(pictures, frame_ms, gop); }
            }
            let Some(text) = live.list.media() else { continue };
            let told = Told::read(&text);
            prop_assert_eq!(second_reader(&text), told.spans.len());
            for (n, name) in told.names.iter().enumerate() {
                prop_assert_eq!(number(name), told.sequence + n as u64);
            }
            #[allow(clippy::cast_precision_loss)]
            let target = told.target as f64;
            prop_assert!(told.spans.iter().all(|span| *span <= target), "{}", text);
            if let Some(last) = &last {
                prop_assert_eq!(told.target, last.target);
                prop_assert!(told.sequence >= last.sequence);
                prop_assert!(told.discontinuity_sequence >= last.discontinuity_sequence);
                if told.sequence > last.sequence {
                    prop_assert!(told.span() >= 3.0 * target - 0.001, "{}", text);
                }
            }
            last = Some(told);
        }
    }
}

#[test]
fn a_segment_carries_the_very_bytes_of_the_bus() {
    let mut live = Live::new();
    live.run(160, 40, 25);
    let Found::Here(segment) = live.list.segment(live.media().sequence) else { panic!() };
    let Body::Held(fragment) = &segment.cut.body else { panic!() };
    assert_eq!(fragment.data.len(), 50);
    assert_eq!(segment.cut.span, Duration::from_secs(2));
    assert!(matches!(live.list.init(segment.init.number), Found::Here(_)));
}
