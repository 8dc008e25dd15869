//! From lines to what they say (RFC 8216 §4).

use std::collections::BTreeMap;

use super::{Media, Multivariant, Part, Segment, Variant};

/// An attribute list (§4.2), values without their quotes.
pub type Attributes = BTreeMap<String, String>;

fn attributes(text: &str) -> Result<Attributes, String> {
    let mut found = Attributes::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (name, behind) = rest.split_once('=').ok_or(format!("no value in {text:?}"))?;
        let (value, behind) = match behind.strip_prefix('"') {
            Some(quoted) => {
                let (value, behind) =
                    quoted.split_once('"').ok_or(format!("open quote: {text}"))?;
                (value, behind.strip_prefix(',').unwrap_or(behind))
            }
            None => behind.split_once(',').unwrap_or((behind, "")),
        };
        let plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || !name.chars().all(plain) || value.is_empty() {
            return Err(format!("{name:?}={value:?} in {text:?}"));
        }
        if found.insert(name.to_owned(), value.to_owned()).is_some() {
            return Err(format!("{name} twice in {text:?}"));
        }
        rest = behind;
    }
    Ok(found)
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text:?} is no number"))
}

/// Seconds as a decimal that is not negative.
fn secs(text: &str) -> Result<f64, String> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if plain { number(text) } else { Err(format!("{text:?} is no duration")) }
}

fn need<'a>(told: &'a Attributes, name: &str) -> Result<&'a str, String> {
    told.get(name).map(String::as_str).ok_or(format!("no {name} in {told:?}"))
}

/// A tag: its name and the text after the colon.
fn tag(line: &str) -> (&str, &str) {
    line.split_once(':').unwrap_or((line, ""))
}

fn lines(text: &str) -> Result<impl Iterator<Item = &str>, String> {
    if text.contains('\r') || !text.ends_with('\n') || text.starts_with('\u{feff}') {
        return Err("lines end with a line feed, all of them, and nothing stands before".to_owned());
    }
    let mut lines = text.lines();
    if lines.next() != Some("#EXTM3U") {
        return Err("the first line is not #EXTM3U".to_owned());
    }
    Ok(lines.filter(|line| !line.is_empty()))
}

fn flag(told: &Attributes, name: &str) -> Result<bool, String> {
    match told.get(name).map(String::as_str) {
        None => Ok(false),
        Some("YES") => Ok(true),
        Some(other) => Err(format!("{name}={other}")),
    }
}

pub fn media(text: &str) -> Result<Media, String> {
    let mut media = Media::default();
    for line in lines(text)? {
        if line.starts_with("#EXT") {
            media_tag(&mut media, line)?;
        } else if !line.starts_with('#') {
            end_segment(&mut media, line)?;
        }
    }
    media.open.number = media.sequence + media.skipped + media.segments.len() as u64;
    Ok(media)
}

fn media_tag(media: &mut Media, line: &str) -> Result<(), String> {
    let (name, value) = tag(line);
    media.tags.push(name.to_owned());
    let open = &mut media.open;
    match name {
        "#EXT-X-VERSION" => media.version = number(value)?,
        "#EXT-X-TARGETDURATION" => media.target_secs = f64::from(number::<u32>(value)?),
        "#EXT-X-MEDIA-SEQUENCE" => media.sequence = number(value)?,
        "#EXT-X-DISCONTINUITY-SEQUENCE" => media.discontinuity_sequence = number(value)?,
        "#EXT-X-INDEPENDENT-SEGMENTS" => media.independent = true,
        "#EXT-X-PLAYLIST-TYPE" => media.playlist_type = Some(value.to_owned()),
        "#EXT-X-START" => media.start = Some(attributes(value)?),
        "#EXT-X-ENDLIST" => media.ended = true,
        "#EXT-X-SERVER-CONTROL" => media.control = Some(attributes(value)?),
        "#EXT-X-PART-INF" => {
            media.part_target_secs = Some(secs(need(&attributes(value)?, "PART-TARGET")?)?);
        }
        "#EXT-X-SKIP" => media.skipped = number(need(&attributes(value)?, "SKIPPED-SEGMENTS")?)?,
        "#EXT-X-PRELOAD-HINT" => media.hints.push(attributes(value)?),
        "#EXT-X-RENDITION-REPORT" => media.reports.push(attributes(value)?),
        "#EXT-X-DISCONTINUITY" => {
            before_parts(open, name)?;
            open.discontinuity = true;
        }
        "#EXT-X-GAP" => open.gap = true,
        "#EXT-X-MAP" => {
            before_parts(open, name)?;
            let told = attributes(value)?;
            let range = told.get("BYTERANGE").map(|range| format!("@{range}"));
            open.map = Some(need(&told, "URI")?.to_owned() + range.as_deref().unwrap_or_default());
            open.map_told = true;
        }
        "#EXT-X-PROGRAM-DATE-TIME" => {
            before_parts(open, name)?;
            let date: jiff::Timestamp =
                value.parse().map_err(|error| format!("{value:?}: {error}"))?;
            open.date = Some(date.as_nanosecond());
        }
        "#EXT-X-BYTERANGE" => open.byte_range = Some(value.to_owned()),
        "#EXTINF" => open.secs = secs(value.split_once(',').ok_or("EXTINF without a comma")?.0)?,
        "#EXT-X-PART" => {
            let told = attributes(value)?;
            let uri = need(&told, "URI")?.to_owned();
            let part = Part {
                uri,
                secs: secs(need(&told, "DURATION")?)?,
                independent: flag(&told, "INDEPENDENT")?,
            };
            open.parts.push(part);
        }
        other => return Err(format!("{other} is no tag of a media playlist")),
    }
    Ok(())
}

/// The tags of a whole segment precede its first part (8216bis §4.4.4.9).
fn before_parts(open: &Segment, name: &str) -> Result<(), String> {
    if open.parts.is_empty() { Ok(()) } else { Err(format!("{name} behind a part of its segment")) }
}

fn end_segment(media: &mut Media, uri: &str) -> Result<(), String> {
    if media.tags.last().is_none_or(|tag| tag != "#EXTINF" && tag != "#EXT-X-BYTERANGE") {
        return Err(format!("{uri:?} without its EXTINF"));
    }
    media.tags.push("URI".to_owned());
    let map = media.open.map.clone();
    let mut segment = std::mem::take(&mut media.open);
    uri.clone_into(&mut segment.uri);
    segment.number = media.sequence + media.skipped + media.segments.len() as u64;
    media.open.map = map;
    media.segments.push(segment);
    Ok(())
}

pub fn multivariant(text: &str) -> Result<Multivariant, String> {
    let mut all = Multivariant::default();
    let mut next: Option<Attributes> = None;
    for line in lines(text)? {
        let (name, value) = tag(line);
        if let Some(comment) = line.strip_prefix("## ") {
            all.comments.push(comment.to_owned());
        } else if line.starts_with("#EXT") {
            all.tags.push(name.to_owned());
            match name {
                "#EXT-X-VERSION" => all.version = number(value)?,
                "#EXT-X-INDEPENDENT-SEGMENTS" => all.independent = true,
                "#EXT-X-STREAM-INF" if next.is_none() => next = Some(attributes(value)?),
                "#EXT-X-I-FRAME-STREAM-INF" if next.is_none() => {
                    all.key_frames.push(attributes(value)?);
                }
                other => return Err(format!("{other} is no tag that we write there")),
            }
        } else if !line.starts_with('#') {
            let told = next.take().ok_or(format!("{line:?} without its STREAM-INF"))?;
            all.variants.push(Variant { uri: line.to_owned(), told });
        }
    }
    if next.is_some() { Err("a STREAM-INF without its URI".to_owned()) } else { Ok(all) }
}
