//! The multivariant playlist (RFC 8216 §4.3.4).
//!
//! Owns: its text. What a variant says was measured elsewhere.

use std::fmt::Write as _;

/// One stream of the list.
#[derive(Clone, Debug)]
pub struct Variant {
    /// Where its media playlist is, as seen from this one.
    pub uri: String,
    /// The version that its media playlist says.
    pub version: u32,
    /// Bits per second of the fattest segment, and of all listed ones together.
    pub peak_bps: u64,
    /// Bits per second of all listed segments together.
    pub average_bps: u64,
    /// Value for `codecs=`, RFC 6381.
    pub codecs: String,
    /// Width and height in pixels, if there is video.
    pub picture: Option<(u16, u16)>,
    /// Pictures per second as they were measured.
    pub frame_rate: Option<f64>,
    /// Every segment can be decoded by itself.
    pub independent: bool,
    /// A playlist of its key frames is offered beside it, as [`KEY_FRAME_LIST`].
    pub key_frames: Option<KeyFrames>,
    /// Why the sound is left out, for people.
    pub audio_dropped: Option<String>,
}

/// The key frames of a variant by themselves (RFC 8216 §4.3.4.3).
#[derive(Clone, Debug)]
pub struct KeyFrames {
    /// Bits per second of the fattest.
    pub peak_bps: u64,
    /// Value for `codecs=`: the picture's alone.
    pub codecs: String,
}

/// What the playlist of key frames is called, beside the media playlist.
pub const KEY_FRAME_LIST: &str = "iframes.m3u8";

/// The playlist of these variants, the one to begin with first.
#[must_use]
pub fn multivariant(variants: &[Variant]) -> String {
    let version = variants.iter().map(|variant| variant.version).max().unwrap_or_default();
    let mut text = format!("#EXTM3U\n#EXT-X-VERSION:{version}\n");
    if variants.iter().all(|variant| variant.independent) {
        text.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
    }
    // Writing into a String cannot fail.
    for variant in variants {
        if let Some(reason) = &variant.audio_dropped {
            let _ = writeln!(text, "## {reason}");
        }
        let average = variant.average_bps.max(1);
        let _ = write!(
            text,
            "#EXT-X-STREAM-INF:BANDWIDTH={},AVERAGE-BANDWIDTH={average},CODECS=\"{}\"",
            variant.peak_bps.max(average),
            variant.codecs
        );
        if let Some((width, height)) = variant.picture {
            let _ = write!(text, ",RESOLUTION={width}x{height}");
            if let Some(rate) = variant.frame_rate {
                let _ = write!(text, ",FRAME-RATE={rate:.3}");
            }
        }
        let _ = writeln!(text, "\n{}", variant.uri);
        tell_key_frames(variant, &mut text);
    }
    text
}

fn tell_key_frames(variant: &Variant, text: &mut String) {
    let Some(KeyFrames { peak_bps, codecs }) = &variant.key_frames else { return };
    // Writing into a String cannot fail.
    let _ = write!(text, "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH={peak_bps},CODECS=\"{codecs}\"");
    if let Some((width, height)) = variant.picture {
        let _ = write!(text, ",RESOLUTION={width}x{height}");
    }
    let beside = variant.uri.rsplit_once('/').map_or("", |(way, _)| way);
    let slash = if beside.is_empty() { "" } else { "/" };
    let _ = writeln!(text, ",URI=\"{beside}{slash}{KEY_FRAME_LIST}\"");
}
