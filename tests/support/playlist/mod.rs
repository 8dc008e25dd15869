//! Reads HLS playlists and holds them to the rules, each of which has a name.
//!
//! Owns: the grammar as far as we write it, and the rules of RFC 8216, 8216bis and Apple's authoring
//! specification that our playlists promise. Knows nothing of the code that writes them. quick-m3u8
//! is the second reader of every playlist.
//!
//! ```ignore
//! let media = playlist::media(&text);              // panics with every broken rule
//! media.follows(&before);                          // the same URL, later
//! playlist::multivariant(&text).covers(&media);
//! ```
#![allow(dead_code, unreachable_pub)] // each test takes what it needs

mod line;
mod over_time;
mod rules;

use line::Attributes;

/// A rule that is broken, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    pub rule: &'static str,
    pub how: String,
}

/// A media playlist.
#[derive(Clone, Debug, Default)]
pub struct Media {
    pub version: u64,
    pub target_secs: f64,
    pub sequence: u64,
    pub discontinuity_sequence: u64,
    pub independent: bool,
    pub playlist_type: Option<String>,
    pub ended: bool,
    /// Where a player is to begin.
    pub start: Option<Attributes>,
    pub control: Option<Attributes>,
    pub part_target_secs: Option<f64>,
    /// Segments left out of a delta update.
    pub skipped: u64,
    pub segments: Vec<Segment>,
    /// Parts of the segment still in the making; its own fields are those published so far.
    pub open: Segment,
    pub hints: Vec<Attributes>,
    pub reports: Vec<Attributes>,
    /// The names of all tags, in order.
    pub tags: Vec<String>,
}

/// A segment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Segment {
    pub number: u64,
    pub uri: String,
    pub byte_range: Option<String>,
    pub secs: f64,
    /// Nanoseconds since 1970.
    pub date: Option<i128>,
    pub discontinuity: bool,
    pub gap: bool,
    /// The URI of the map in force.
    pub map: Option<String>,
    /// Whether the map is on this very segment.
    pub map_told: bool,
    pub parts: Vec<Part>,
}

/// A part.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Part {
    pub uri: String,
    pub secs: f64,
    pub independent: bool,
}

/// A multivariant playlist.
#[derive(Clone, Debug, Default)]
pub struct Multivariant {
    pub version: u64,
    pub independent: bool,
    pub variants: Vec<Variant>,
    /// The playlists of key frames.
    pub key_frames: Vec<Attributes>,
    pub tags: Vec<String>,
    /// The text after a single `##`.
    pub comments: Vec<String>,
}

/// A variant stream.
#[derive(Clone, Debug, Default)]
pub struct Variant {
    pub uri: String,
    pub told: Attributes,
}

impl Media {
    /// How long all its segments last together, in seconds.
    pub fn secs(&self) -> f64 {
        self.segments.iter().map(|segment| segment.secs).sum()
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().map(|segment| segment.uri.as_str())
    }

    /// The URIs of the maps, each as often as it occurs.
    pub fn maps(&self) -> Vec<&str> {
        let told = self.segments.iter().filter(|segment| segment.map_told);
        told.filter_map(|segment| segment.map.as_deref()).collect()
    }

    pub fn discontinuities(&self) -> usize {
        self.segments.iter().filter(|segment| segment.discontinuity).count()
    }

    /// Media sequence number and part index of what would come next.
    pub fn next(&self) -> (u64, u64) {
        (self.open.number, self.open.parts.len() as u64)
    }
}

/// Reads a media playlist; fails with every rule that it breaks.
pub fn media(text: &str) -> Media {
    let breaches = media_breaches(text);
    assert!(breaches.is_empty(), "{breaches:#?}\n{text}");
    line::media(text).expect("it was read before")
}

/// Reads a media playlist, whatever rules it breaks.
pub fn read_media(text: &str) -> Media {
    line::media(text).expect("the grammar holds")
}

/// Reads a multivariant playlist; fails with every rule that it breaks.
pub fn multivariant(text: &str) -> Multivariant {
    let breaches = multivariant_breaches(text);
    assert!(breaches.is_empty(), "{breaches:#?}\n{text}");
    line::multivariant(text).expect("it was read before")
}

/// The rules that a media playlist breaks.
pub fn media_breaches(text: &str) -> Vec<Breach> {
    breaches(text, line::media, rules::MEDIA)
}

/// The rules that a multivariant playlist breaks.
pub fn multivariant_breaches(text: &str) -> Vec<Breach> {
    breaches(text, line::multivariant, rules::MULTIVARIANT)
}

type Rule<T> = (&'static str, fn(&T) -> Result<(), String>);

fn breaches<T>(text: &str, read: fn(&str) -> Result<T, String>, rules: &[Rule<T>]) -> Vec<Breach> {
    let second = second_reader(text).map_err(|how| Breach { rule: "second reader", how }).err();
    let broken = match read(text) {
        Ok(told) => {
            let broken =
                |(rule, holds): &Rule<T>| holds(&told).err().map(|how| Breach { rule, how });
            rules.iter().filter_map(broken).collect()
        }
        Err(how) => vec![Breach { rule: "grammar", how }],
    };
    second.into_iter().chain(broken).collect()
}

/// Whether quick-m3u8, which knows every tag's grammar, knows every line.
fn second_reader(text: &str) -> Result<(), String> {
    use quick_m3u8::config::ParsingOptions;
    use quick_m3u8::tag::KnownTag;
    use quick_m3u8::{HlsLine, Reader};
    let mut reader = Reader::from_str(text, ParsingOptions::default());
    while let Some(line) = reader.read_line().map_err(|error| format!("{error:?}"))? {
        match line {
            HlsLine::Uri(_) | HlsLine::KnownTag(KnownTag::Hls(_)) | HlsLine::Comment(_) => {}
            other => return Err(format!("{other:?}")),
        }
    }
    Ok(())
}
