//! What holds of a playlist taken by itself.

use std::collections::BTreeSet;

use super::line::Attributes;
use super::{Media, Multivariant, Rule, Segment};

/// How far a date may be from where the one before and its length put it: what is taken for a
/// step of the clock is a discontinuity.
const DATE_DRIFT_SECS_MAX: f64 = 0.6;
/// How far the parts of a segment may miss its length together: lost pictures are in the segment's.
const PARTS_DRIFT_SECS_MAX: f64 = 0.5;
/// hls.js counts up to it from zero at every reload.
const DISCONTINUITY_SEQUENCE_MAX: u64 = 1_000_000;
/// Figures are given to the microsecond, each of those that are added up.
const ROUNDING_SECS: f64 = 0.000_002;

/// Of a media playlist.
pub const MEDIA: &[Rule<Media>] = &[
    ("a header tag stands once", header_once),
    ("the target duration is told", |media| all(media.target_secs > 0.0, || "none".to_owned())),
    ("the version covers the tags", version_covers),
    ("discontinuities are counted from a small number", |media| {
        let first = media.discontinuity_sequence;
        all(first < DISCONTINUITY_SEQUENCE_MAX, || format!("{first}"))
    }),
    ("no segment is longer than the target", within_target),
    ("a segment has a length", |media| each(media, |segment| segment.secs > 0.0)),
    ("a segment has a date", |media| each(media, |segment| segment.date.is_some())),
    ("dates go on within a discontinuity", dates_go_on),
    ("a map stands before its segments", maps_stand),
    ("a discontinuity has a map", |media| each(media, |it| !it.discontinuity || it.map_told)),
    ("a name stands once", names_once),
    ("what has ended says so last", ends_last),
    ("the type fits", type_fits),
    ("the start lies within", start_within),
    ("parts need their target", parts_need_target),
    ("no part is longer than its target", parts_within_target),
    ("a part is long enough", parts_long_enough),
    ("a segment is its parts", parts_sum),
    ("a segment begins with an independent part", parts_independent),
    ("old parts are gone", old_parts_gone),
    ("an open segment says its date and map first", open_is_told),
    ("server control keeps its distances", control_fits),
    ("one part is hinted at", hint_fits),
    ("a report says where it is", reports_fit),
    ("a delta update skips what may be skipped", skip_fits),
];

/// Of a multivariant playlist.
pub const MULTIVARIANT: &[Rule<Multivariant>] = &[
    ("there is a variant", |all_of| all(!all_of.variants.is_empty(), || "none".to_owned())),
    ("the version is told once", |all_of| {
        let count = all_of.tags.iter().filter(|tag| *tag == "#EXT-X-VERSION").count();
        all(count == 1 && all_of.version >= 6, || format!("{count}, {}", all_of.version))
    }),
    ("a variant stands once", |all_of| {
        let uris: BTreeSet<_> = all_of.variants.iter().map(|variant| &variant.uri).collect();
        all(uris.len() == all_of.variants.len(), || format!("{uris:?}"))
    }),
    ("peak and average are told", |all_of| each_variant(all_of, bandwidth_told)),
    ("codecs are told as registered", |all_of| each_variant(all_of, codecs_told)),
    ("a picture has a size", |all_of| each_variant(all_of, size_told)),
    ("a frame rate is a decimal", |all_of| each_variant(all_of, rate_told)),
];

fn all(holds: bool, how: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(how()) }
}

fn each(media: &Media, holds: impl Fn(&Segment) -> bool) -> Result<(), String> {
    media.segments.iter().try_for_each(|segment| all(holds(segment), || format!("{segment:?}")))
}

fn header_once(media: &Media) -> Result<(), String> {
    const HEADER: [&str; 10] = [
        "#EXT-X-VERSION",
        "#EXT-X-TARGETDURATION",
        "#EXT-X-MEDIA-SEQUENCE",
        "#EXT-X-DISCONTINUITY-SEQUENCE",
        "#EXT-X-INDEPENDENT-SEGMENTS",
        "#EXT-X-PLAYLIST-TYPE",
        "#EXT-X-START",
        "#EXT-X-SERVER-CONTROL",
        "#EXT-X-PART-INF",
        "#EXT-X-SKIP",
    ];
    let body = media.tags.iter().position(|tag| !HEADER.contains(&tag.as_str()));
    let (head, body) = media.tags.split_at(body.unwrap_or(media.tags.len()));
    let late = body.iter().find(|tag| HEADER.contains(&tag.as_str()));
    all(late.is_none(), || format!("{late:?} behind a segment"))?;
    let distinct: BTreeSet<_> = head.iter().collect();
    all(distinct.len() == head.len(), || format!("{head:?}"))
}

fn version_covers(media: &Media) -> Result<(), String> {
    let has = |tag: &str| media.tags.iter().any(|told| told == tag);
    // RFC 8216 §7; 8216bis §8.
    let needed = [("#EXT-X-SKIP", 9), ("#EXT-X-MAP", 6), ("#EXT-X-BYTERANGE", 4), ("#EXTINF", 3)];
    needed.iter().try_for_each(|(tag, version)| {
        all(!has(tag) || media.version >= *version, || format!("{tag} in {}", media.version))
    })
}

fn within_target(media: &Media) -> Result<(), String> {
    each(media, |segment| segment.secs <= media.target_secs + ROUNDING_SECS)
}

fn dates_go_on(media: &Media) -> Result<(), String> {
    let pairs = media.segments.windows(2).filter(|pair| !pair[1].discontinuity);
    for pair in pairs {
        let (Some(before), Some(date)) = (pair[0].date, pair[1].date) else { continue };
        #[allow(clippy::cast_precision_loss)] // seconds between neighbours
        let since = (date - before) as f64 / 1e9;
        let drift = (since - pair[0].secs).abs();
        all(since > 0.0 && drift < DATE_DRIFT_SECS_MAX, || format!("{drift} s: {pair:?}"))?;
    }
    Ok(())
}

fn maps_stand(media: &Media) -> Result<(), String> {
    // A delta update may leave the map out with the segment that carries it.
    all(media.skipped > 0 || media.segments.iter().all(|it| it.map.is_some()), || {
        "a segment without a map".to_owned()
    })
}

fn names_once(media: &Media) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    let segments = media.segments.iter().map(|it| (&it.uri, it.byte_range.as_ref()));
    let parts = media.segments.iter().chain([&media.open]).flat_map(|it| &it.parts);
    let mut names = segments.chain(parts.map(|part| (&part.uri, None)));
    names.try_for_each(|name| all(seen.insert(name), || format!("{name:?}")))
}

fn ends_last(media: &Media) -> Result<(), String> {
    let last = media.tags.last().is_some_and(|tag| tag == "#EXT-X-ENDLIST");
    all(media.ended == last, || format!("{:?}", media.tags.last()))
}

fn start_within(media: &Media) -> Result<(), String> {
    let Some(told) = &media.start else { return Ok(()) };
    let offset: f64 = told.get("TIME-OFFSET").and_then(|told| told.parse().ok()).ok_or("none")?;
    all(offset.abs() <= media.secs() && !offset.is_nan(), || format!("{told:?}"))
}

fn type_fits(media: &Media) -> Result<(), String> {
    match media.playlist_type.as_deref() {
        None => Ok(()),
        Some("VOD") => all(media.ended, || "VOD without an end".to_owned()),
        // It may never drop a segment, so it is not ours.
        Some(other) => Err(other.to_owned()),
    }
}

fn parts_need_target(media: &Media) -> Result<(), String> {
    let parts = media.segments.iter().chain([&media.open]).any(|it| !it.parts.is_empty());
    let blocks = media.control.as_ref().is_some_and(|told| told.contains_key("CAN-BLOCK-RELOAD"));
    let told = media.part_target_secs.is_some();
    all(!parts || told, || "parts without PART-INF".to_owned())?;
    all(!told || blocks, || "parts, but no blocking reload".to_owned())
}

fn each_part(media: &Media, holds: impl Fn(&Segment, usize, f64) -> bool) -> Result<(), String> {
    let Some(target) = media.part_target_secs else { return Ok(()) };
    for segment in media.segments.iter().chain([&media.open]) {
        for (at, part) in segment.parts.iter().enumerate() {
            all(holds(segment, at, target), || format!("{part:?} of {target}"))?;
        }
    }
    Ok(())
}

fn parts_within_target(media: &Media) -> Result<(), String> {
    // Exactly: Apple's players refuse 0.501 of 0.5.
    each_part(media, |segment, at, target| {
        segment.parts[at].secs > 0.0 && segment.parts[at].secs <= target
    })
}

fn parts_long_enough(media: &Media) -> Result<(), String> {
    each_part(media, |segment, at, target| {
        let last = !segment.uri.is_empty() && at + 1 == segment.parts.len();
        let part = &segment.parts[at];
        last || part.independent || part.secs >= target * 0.85 - ROUNDING_SECS
    })
}

fn parts_sum(media: &Media) -> Result<(), String> {
    each(media, |segment| {
        let sum: f64 = segment.parts.iter().map(|part| part.secs).sum();
        segment.parts.is_empty() || (sum - segment.secs).abs() < PARTS_DRIFT_SECS_MAX
    })
}

fn parts_independent(media: &Media) -> Result<(), String> {
    let mut begun = media.segments.iter().chain([&media.open]).filter(|it| !it.parts.is_empty());
    all(!media.independent || begun.all(|it| it.parts[0].independent), || "one does not".to_owned())
}

fn old_parts_gone(media: &Media) -> Result<(), String> {
    let (mut behind, mut most) = (0.0, 3.0 * media.target_secs);
    for segment in media.segments.iter().rev() {
        all(segment.parts.is_empty() || behind <= most, || {
            format!("{behind} s behind: {segment:?}")
        })?;
        behind += segment.secs;
        most += ROUNDING_SECS;
    }
    Ok(())
}

fn open_is_told(media: &Media) -> Result<(), String> {
    let open = &media.open;
    let told = open.date.is_some() && (open.map.is_some() || media.skipped > 0);
    let changed = !open.discontinuity || open.map_told;
    all(open.parts.is_empty() || told && changed, || format!("{open:?}"))
}

fn control_fits(media: &Media) -> Result<(), String> {
    let Some(control) = &media.control else { return Ok(()) };
    let at_least = |name: &str, least: f64, needed: bool| match control.get(name) {
        None => all(!needed, || format!("no {name}")),
        Some(told) => {
            let told: f64 = told.parse().map_err(|_| format!("{name}={told}"))?;
            all(told >= least - ROUNDING_SECS, || format!("{name}={told}, at least {least}"))
        }
    };
    let part_target = media.part_target_secs;
    at_least("PART-HOLD-BACK", part_target.unwrap_or_default() * 3.0, part_target.is_some())?;
    at_least("HOLD-BACK", media.target_secs * 3.0, false)?;
    at_least("CAN-SKIP-UNTIL", media.target_secs * 6.0, false)
}

fn hint_fits(media: &Media) -> Result<(), String> {
    all(!media.ended || media.hints.is_empty(), || "a hint behind the end".to_owned())?;
    all(media.hints.len() <= 1, || format!("{:?}", media.hints))?;
    all(media.open.parts.is_empty() || media.hints.len() == 1, || "none".to_owned())?;
    let Some(hint) = media.hints.first() else { return Ok(()) };
    let uri = hint.get("URI").ok_or("no URI")?;
    let known = media.segments.iter().chain([&media.open]).flat_map(|it| &it.parts);
    all(hint.get("TYPE").is_some_and(|kind| kind == "PART"), || format!("{hint:?}"))?;
    all(!known.into_iter().any(|part| part.uri == *uri), || format!("{uri} is there already"))
}

fn reports_fit(media: &Media) -> Result<(), String> {
    media.reports.iter().try_for_each(|report| {
        let number =
            |name| report.get(name).is_some_and(|told: &String| told.parse::<u64>().is_ok());
        let relative = report.get("URI").is_some_and(|uri| !uri.contains("://"));
        all(relative && number("LAST-MSN") && number("LAST-PART"), || format!("{report:?}"))
    })
}

fn skip_fits(media: &Media) -> Result<(), String> {
    if !media.tags.iter().any(|tag| tag == "#EXT-X-SKIP") {
        return Ok(());
    }
    let boundary = media.control.as_ref().and_then(|told| told.get("CAN-SKIP-UNTIL"));
    let boundary: f64 = boundary.and_then(|told| told.parse().ok()).ok_or("no CAN-SKIP-UNTIL")?;
    all(media.skipped > 0, || "nothing is skipped".to_owned())?;
    let rounding: f64 = media.segments.iter().map(|_| ROUNDING_SECS).sum();
    let least = boundary - media.target_secs - rounding;
    all(media.secs() >= least, || format!("{} s left", media.secs()))
}

fn each_variant(
    all_of: &Multivariant,
    holds: fn(&Attributes) -> Option<bool>,
) -> Result<(), String> {
    let mut variants = all_of.variants.iter();
    variants.try_for_each(|it| all(holds(&it.told) == Some(true), || format!("{:?}", it.told)))
}

fn bandwidth_told(told: &Attributes) -> Option<bool> {
    let bits = |name| told.get(name)?.parse::<u64>().ok();
    let (peak, average) = (bits("BANDWIDTH")?, bits("AVERAGE-BANDWIDTH")?);
    Some(average > 0 && average <= peak)
}

fn codecs(told: &Attributes) -> Option<Vec<&str>> {
    Some(told.get("CODECS")?.split(',').collect())
}

fn is_video(codec: &str) -> bool {
    codec.starts_with("avc1.") || codec.starts_with("hvc1.")
}

fn codecs_told(told: &Attributes) -> Option<bool> {
    let upper_or_digit = |byte: u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte);
    let known = |codec: &str| {
        let profile = codec.strip_prefix("avc1.");
        let avc = profile.is_some_and(|hex| hex.len() == 6 && hex.bytes().all(upper_or_digit));
        // ISO/IEC 14496-15 §E.3: profile, compatibility, tier and level, constraints.
        let hevc: Vec<_> = codec.split('.').collect();
        let hevc = hevc[0] == "hvc1"
            && hevc.len() >= 4
            && hevc[3].strip_prefix(['L', 'H']).is_some_and(|level| level.parse::<u8>().is_ok());
        avc || hevc || matches!(codec, "mp4a.40.2" | "mp4a.40.5" | "fLaC" | "opus")
    };
    let codecs = codecs(told)?;
    let videos = codecs.iter().filter(|codec| is_video(codec)).count();
    Some(codecs.iter().all(|codec| known(codec)) && videos <= 1 && codecs.len() <= videos + 1)
}

fn size_told(told: &Attributes) -> Option<bool> {
    let video = codecs(told)?.iter().any(|codec| is_video(codec));
    let size = told.get("RESOLUTION").and_then(|size| size.split_once('x'));
    let sides = size.and_then(|(w, h)| w.parse::<u16>().ok().zip(h.parse::<u16>().ok()));
    Some(video == sides.is_some_and(|(w, h)| w > 0 && h > 0))
}

fn rate_told(told: &Attributes) -> Option<bool> {
    let Some(rate) = told.get("FRAME-RATE") else { return Some(true) };
    let (_, decimals) = rate.split_once('.')?;
    Some(decimals.len() == 3 && rate.parse::<f64>().ok()? > 0.0)
}
