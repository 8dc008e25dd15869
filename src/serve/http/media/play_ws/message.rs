//! The text messages to a viewer of the past.
//!
//! Owns: their JSON shapes; the page reads them in `page/src/logic/recorded-protocol.ts`.

use axum::extract::ws::Message;
use serde::Serialize;

use super::request::Speed;
use crate::dvr::{Direction, Gap};
use crate::playback::MediaChunk;
use crate::wire::web::WebFormat;

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Text<'a> {
    Hello(Hello<'a>),
    Part(Part),
    Gap(&'a Gap),
    Edge(bool),
    Live(bool),
    Speed(f64),
    Over(bool),
    Error(Error<'a>),
}

#[derive(Serialize)]
struct Hello<'a> {
    serial: u32,
    codecs: &'a str,
    init_id: String,
    mime: String,
    width: u16,
    height: u16,
    video: bool,
    audio: bool,
    audio_dropped: Option<&'a str>,
    /// `all` frames, or `keys`.
    frames: &'a str,
}

/// What the next binary message holds.
#[derive(Serialize)]
struct Part {
    serial: u32,
    /// When the first picture is shown, and when the last one was, in seconds of the media
    /// timeline.
    media_secs: f64,
    end_secs: f64,
    /// The date of the first picture, in Unix milliseconds.
    wall_ms: f64,
    /// Seconds of the past that pass in one of the media timeline: 1, or -1 backwards.
    way: i8,
    /// When each picture is shown.
    pictures: Vec<f64>,
}

#[derive(Serialize)]
struct Error<'a> {
    code: &'a str,
    message: &'a str,
}

/// What follows: an init segment, then parts.
pub(super) fn hello(format: &WebFormat, serial: u32, speed: Speed) -> Message {
    let (width, height) = format.picture().unwrap_or_default();
    text(&Text::Hello(Hello {
        serial,
        codecs: &format.codecs,
        init_id: format.init_id(),
        mime: format.mime(),
        width,
        height,
        video: format.picture().is_some(),
        audio: format.has_audio(),
        audio_dropped: format.audio_dropped.as_deref(),
        frames: if speed.is_keys() { "keys" } else { "all" },
    }))
}

/// What the next binary message holds.
pub(super) fn part(chunk: &MediaChunk, serial: u32) -> Message {
    let pictures: Vec<_> = chunk.pictures.iter().map(|&ticks| chunk.secs(ticks)).collect();
    let end_secs = chunk.secs(chunk.end);
    #[allow(clippy::cast_precision_loss)] // to the microsecond for centuries
    let wall_ms = chunk.wall.as_unix_nanos() as f64 / 1e6;
    let media_secs = pictures.first().copied().unwrap_or(end_secs);
    let way = if chunk.way == Direction::Backward { -1 } else { 1 };
    text(&Text::Part(Part { serial, media_secs, end_secs, wall_ms, way, pictures }))
}

/// Nothing is recorded here, and why.
pub(super) fn gap(gap: &Gap) -> Message {
    text(&Text::Gap(gap))
}

/// All that is recorded was sent; what is recorded next follows.
pub(super) fn edge() -> Message {
    text(&Text::Edge(true))
}

/// From here on as it happens.
pub(super) fn live() -> Message {
    text(&Text::Live(true))
}

/// It continues at this speed.
pub(super) fn speed(speed: Speed) -> Message {
    text(&Text::Speed(speed.factor()))
}

/// The beginning of all that is recorded was reached.
pub(super) fn over() -> Message {
    text(&Text::Over(true))
}

/// Why it ends.
pub(super) fn error(code: &str, message: &str) -> Message {
    text(&Text::Error(Error { code, message }))
}

fn text(text: &Text<'_>) -> Message {
    let json = serde_json::to_string(text).expect("plain structs have a JSON form");
    Message::Text(json.into())
}
