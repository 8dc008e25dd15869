//! The playlist validator itself: sound playlists pass, and each rule finds what breaks it.

use crate::playlist::{Breach, media_breaches, multivariant_breaches};

const MULTIVARIANT: &str = "\
#EXTM3U
#EXT-X-VERSION:7
#EXT-X-INDEPENDENT-SEGMENTS
## The sound is left out.
#EXT-X-STREAM-INF:BANDWIDTH=2100000,AVERAGE-BANDWIDTH=2000000,CODECS=\"avc1.640029,fLaC\",RESOLUTION=1920x1080,FRAME-RATE=25.000
media.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=300000,AVERAGE-BANDWIDTH=200000,CODECS=\"hvc1.1.6.L120.B0\",RESOLUTION=640x360
../sub/media.m3u8
";

const LIVE: &str = "\
#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:3
#EXT-X-MEDIA-SEQUENCE:70
#EXT-X-DISCONTINUITY-SEQUENCE:4
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MAP:URI=\"7.mp4\"
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T14:05:00.000Z
#EXTINF:2.000000,
7-1-2.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T14:05:02.000Z
#EXTINF:2.000000,
7-2-3.m4s
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI=\"8.mp4\"
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T15:00:00.000Z
#EXTINF:3.000000,
8-1-2.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T15:00:03.000Z
#EXTINF:3.000000,
8-2-3.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T15:00:06.000Z
#EXTINF:3.000000,
8-3-4.m4s
";

const LOW_LATENCY: &str = "\
#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:3
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.500,HOLD-BACK=9.000,CAN-SKIP-UNTIL=18.000
#EXT-X-PART-INF:PART-TARGET=0.5
#EXT-X-MEDIA-SEQUENCE:70
#EXT-X-DISCONTINUITY-SEQUENCE:4
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MAP:URI=\"init-70.mp4\"
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T14:05:00.000Z
#EXTINF:3.000000,
70.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T14:05:03.000Z
#EXTINF:3.000000,
71.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T14:05:06.000Z
#EXTINF:3.000000,
72.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T14:05:09.000Z
#EXTINF:3.000000,
73.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T14:05:12.000Z
#EXT-X-PART:DURATION=0.480000,URI=\"74.0.m4s\",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.500000,URI=\"74.1.m4s\"
#EXT-X-PART:DURATION=0.040000,URI=\"74.2.m4s\"
#EXTINF:1.020000,
74.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T14:05:13.020Z
#EXT-X-PART:DURATION=0.480000,URI=\"75.0.m4s\",INDEPENDENT=YES
#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"75.1.m4s\"
#EXT-X-RENDITION-REPORT:URI=\"../sub/media.m3u8\",LAST-MSN=75,LAST-PART=0
";

#[test]
fn sound_playlists_pass() {
    let live = crate::playlist::media(LIVE);
    assert_eq!((live.secs(), live.maps().len(), live.discontinuities()), (13.0, 2, 1));
    assert_eq!(live.next(), (75, 0));
    let parts = crate::playlist::media(LOW_LATENCY);
    assert_eq!((parts.next(), parts.segments[4].parts.len()), ((75, 1), 3));
    let vod = LIVE.replace("#EXT-X-INDEP", "#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-INDEP");
    assert!(crate::playlist::media(&(vod + "#EXT-X-ENDLIST\n")).ended);
    let all = crate::playlist::multivariant(MULTIVARIANT);
    assert_eq!((all.variants.len(), all.comments.len()), (2, 1));
    all.covers(&live);
    all.bandwidth_covers(0, &[(525_000, 2.0), (500_000, 2.0)]);
}

fn names(breaches: &[Breach]) -> Vec<&'static str> {
    breaches.iter().map(|breach| breach.rule).collect()
}

/// `good` with `from` once made `to` breaks `rule`.
fn broken(check: fn(&str) -> Vec<Breach>, good: &str, from: &str, to: &str, rule: &str) {
    assert!(good.contains(from), "{from:?} is in the sound playlist");
    let found = check(&good.replacen(from, to, 1));
    assert!(names(&found).contains(&rule), "{from:?} as {to:?}: {rule:?} not in {found:#?}");
}

#[test]
fn every_rule_of_a_media_playlist_finds_what_breaks_it() {
    for (from, to, rule) in [
        ("#EXTM3U\n", "", "grammar"),
        ("#EXTINF:2.000000,\n7-1", "7-1", "grammar"),
        ("14:05:00.000Z", "14:05 today", "grammar"),
        ("#EXTINF:2.000000", "#EXTINF:-2.0", "grammar"),
        ("#EXT-X-VERSION:7\n", "#EXT-X-VERSION:7\n#EXT-X-VERSION:7\n", "a header tag stands once"),
        ("#EXT-X-TARGETDURATION:3\n", "", "the target duration is told"),
        ("VERSION:7", "VERSION:5", "the version covers the tags"),
        (
            "DISCONTINUITY-SEQUENCE:4",
            "DISCONTINUITY-SEQUENCE:67174401",
            "discontinuities are counted from a small number",
        ),
        ("#EXTINF:3.000000", "#EXTINF:3.001000", "no segment is longer than the target"),
        ("#EXTINF:2.000000", "#EXTINF:0.000000", "a segment has a length"),
        ("#EXT-X-PROGRAM-DATE-TIME:2026-11-22T15:00:03.000Z\n", "", "a segment has a date"),
        ("15:00:03.000Z", "15:00:04.000Z", "dates go on within a discontinuity"),
        ("15:00:03.000Z", "14:00:03.000Z", "dates go on within a discontinuity"),
        ("#EXT-X-MAP:URI=\"7.mp4\"\n", "", "a map stands before its segments"),
        ("#EXT-X-MAP:URI=\"8.mp4\"\n", "", "a discontinuity has a map"),
        ("7-2-3.m4s", "7-1-2.m4s", "a name stands once"),
        ("#EXTINF", "#EXT-X-ENDLIST\n#EXTINF", "what has ended says so last"),
        ("#EXT-X-INDEP", "#EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-INDEP", "the type fits"),
        ("#EXT-X-INDEP", "#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-INDEP", "the type fits"),
        ("#EXT-X-INDEP", "#EXT-X-START:TIME-OFFSET=99\n#EXT-X-INDEP", "the start lies within"),
    ] {
        broken(media_breaches, LIVE, from, to, rule);
    }
}

#[test]
fn every_rule_of_parts_finds_what_breaks_it() {
    let whole_segment = "#EXTINF:3.000000,\n72.m4s";
    let old_part = "#EXT-X-PART:DURATION=0.5,URI=\"70.0.m4s\",INDEPENDENT=YES\n#EXTINF:3.000000";
    for (from, to, rule) in [
        ("#EXT-X-PART-INF:PART-TARGET=0.5\n", "", "parts need their target"),
        ("CAN-BLOCK-RELOAD=YES,", "", "parts need their target"),
        ("DURATION=0.500000", "DURATION=0.500001", "no part is longer than its target"),
        ("DURATION=0.500000", "DURATION=0.420000", "a part is long enough"),
        ("#EXTINF:1.020000", "#EXTINF:2.020000", "a segment is its parts"),
        (",INDEPENDENT=YES", "", "a segment begins with an independent part"),
        ("#EXTINF:3.000000", old_part, "old parts are gone"),
        (
            "#EXT-X-PROGRAM-DATE-TIME:2026-11-22T14:05:13.020Z\n",
            "",
            "an open segment says its date and map first",
        ),
        ("PART-HOLD-BACK=1.500", "PART-HOLD-BACK=0.900", "server control keeps its distances"),
        (",HOLD-BACK=9", ",HOLD-BACK=8", "server control keeps its distances"),
        ("CAN-SKIP-UNTIL=18", "CAN-SKIP-UNTIL=17", "server control keeps its distances"),
        ("75.1.m4s", "75.0.m4s", "one part is hinted at"),
        ("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"75.1.m4s\"\n", "", "one part is hinted at"),
        (",LAST-PART=0", "", "a report says where it is"),
        (
            whole_segment,
            "#EXT-X-SKIP:SKIPPED-SEGMENTS=2\n#EXTINF:3.000000,\n72.m4s",
            "a header tag stands once",
        ),
        (
            "#EXT-X-MAP",
            "#EXT-X-SKIP:SKIPPED-SEGMENTS=9\n#EXT-X-MAP",
            "a delta update skips what may be skipped",
        ),
        ("VERSION:9", "VERSION:5", "the version covers the tags"),
    ] {
        broken(media_breaches, LOW_LATENCY, from, to, rule);
    }
    let late = "#EXT-X-PART:DURATION=0.500000,URI=\"74.1.m4s\"";
    broken(media_breaches, LOW_LATENCY, late, &format!("{late}\n#EXT-X-MAP:URI=\"x\""), "grammar");
}

#[test]
fn every_rule_of_a_multivariant_playlist_finds_what_breaks_it() {
    for (from, to, rule) in [
        ("media.m3u8\n#", "#", "grammar"),
        ("VERSION:7", "VERSION:4", "the version is told once"),
        ("../sub/media.m3u8", "media.m3u8", "a variant stands once"),
        ("BANDWIDTH=2100000", "BANDWIDTH=1900000", "peak and average are told"),
        (",AVERAGE-BANDWIDTH=200000", "", "peak and average are told"),
        ("avc1.640029", "avc1.64029", "codecs are told as registered"),
        ("hvc1.1.6", "hev1.1.6", "codecs are told as registered"),
        ("fLaC", "alaw", "codecs are told as registered"),
        (",RESOLUTION=640x360", "", "a picture has a size"),
        ("=25.000", "=25", "a frame rate is a decimal"),
    ] {
        broken(multivariant_breaches, MULTIVARIANT, from, to, rule);
    }
    assert_eq!(
        names(&multivariant_breaches("#EXTM3U\n#EXT-X-VERSION:7\n")),
        ["there is a variant"]
    );
}

#[test]
fn a_second_reader_finds_lines_that_nobody_knows() {
    broken(media_breaches, LIVE, "#EXT-X-MAP:", "#EXT-X-MAPP:", "second reader");
}

#[test]
fn every_rule_over_time_finds_what_breaks_it() {
    let slid = |text: &str| {
        let gone =
            "#EXT-X-PROGRAM-DATE-TIME:2026-11-22T14:05:00.000Z\n#EXTINF:2.000000,\n7-1-2.m4s\n";
        text.replace(gone, "").replace("SEQUENCE:70", "SEQUENCE:71")
    };
    let before = crate::playlist::media(LIVE);
    crate::playlist::media(&slid(LIVE)).follows(&before);
    for (from, to, rule) in [
        ("TARGETDURATION:3", "TARGETDURATION:4", "the target never changes"),
        ("VERSION:7", "VERSION:8", "the version never changes"),
        ("-SEQUENCE:71", "-SEQUENCE:69", "numbers never decrease"),
        ("DISCONTINUITY-SEQUENCE:4", "DISCONTINUITY-SEQUENCE:3", "numbers never decrease"),
        ("8-2-3.m4s", "8-2-4.m4s", "a number is one segment"),
        (
            "DISCONTINUITY-SEQUENCE:4",
            "DISCONTINUITY-SEQUENCE:5",
            "each removed discontinuity is counted",
        ),
        ("#EXTINF:3.000000,\n8-3-4", "#EXTINF:0.900000,\n8-3-4", "removal leaves three targets"),
    ] {
        let after = slid(LIVE);
        assert!(after.contains(from), "{from:?}");
        let after = crate::playlist::media(&after.replacen(from, to, 1));
        let found = after.breaches_behind(&before);
        assert!(names(&found).contains(&rule), "{to:?}: {rule:?} not in {found:#?}");
    }
    let parts = crate::playlist::media(LOW_LATENCY);
    let other = LOW_LATENCY.replace("PART-TARGET=0.5\n", "PART-TARGET=0.501\n");
    let other = other.replace("PART-HOLD-BACK=1.500", "PART-HOLD-BACK=1.503");
    let found = crate::playlist::media(&other).breaches_behind(&parts);
    assert_eq!(names(&found), ["the part target never changes"]);
    let ended = crate::playlist::media(&format!("{LIVE}#EXT-X-ENDLIST\n"));
    assert_eq!(names(&before.breaches_behind(&ended)), ["nothing follows an end"]);
}
