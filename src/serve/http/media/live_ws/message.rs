//! The text messages to a viewer.
//!
//! Owns: their JSON shapes; the page reads them in `page/src/logic/live-protocol.ts`.

use axum::extract::ws::Message;
use serde::Serialize;

use crate::base::time::WallTime;
use crate::live::mse::Part;
use crate::stream::StreamState;

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Text<'a> {
    Hello(Hello<'a>),
    Clock(Clock),
    Drop(u64),
    State(StateText<'a>),
}

#[derive(Serialize)]
struct Hello<'a> {
    codecs: &'a str,
    /// The same for the same init segment.
    init_id: String,
    mime: String,
    width: u16,
    height: u16,
    /// Length of the newest whole GOP; zero while none is known.
    gop_ms: u64,
    video: bool,
    audio: bool,
    audio_dropped: Option<&'a str>,
    clock: Clock,
}

/// Ties the media timeline to the wall clock.
#[derive(Serialize)]
struct Clock {
    /// Presentation time of one unit in seconds.
    media_secs: f64,
    /// When it was captured.
    wall_ms: i64,
    /// When this was sent.
    now_ms: i64,
}

#[derive(Serialize)]
struct StateText<'a> {
    state: &'a str,
    reason: Option<&'a str>,
}

impl Clock {
    fn new(part: &Part, now: WallTime) -> Self {
        // A double holds whole nanoseconds for the first 104 days after boot, and microseconds
        // for centuries.
        #[allow(clippy::cast_precision_loss)]
        let media_secs = part.present.ticks as f64 / f64::from(part.present.rate.get());
        Self { media_secs, wall_ms: part.wall.as_unix_millis(), now_ms: now.as_unix_millis() }
    }
}

/// What follows: an init segment, then parts of which `part` is the first.
pub(super) fn hello(part: &Part, now: WallTime) -> Message {
    let format = &part.format;
    let (width, height) = format.picture().unwrap_or_default();
    text(&Text::Hello(Hello {
        codecs: &format.codecs,
        init_id: format.init_id(),
        mime: format.mime(),
        width,
        height,
        gop_ms: part.gop_ms,
        video: format.picture().is_some(),
        audio: format.has_audio(),
        audio_dropped: format.audio_dropped.as_deref(),
        clock: Clock::new(part, now),
    }))
}

/// Where `part` is on the wall clock.
pub(super) fn clock(part: &Part, now: WallTime) -> Message {
    text(&Text::Clock(Clock::new(part, now)))
}

/// So many units were skipped.
pub(super) fn drop(units: u64) -> Message {
    text(&Text::Drop(units))
}

/// How the stream is doing.
pub(super) fn state(state: &StreamState) -> Message {
    text(&Text::State(StateText { state: state.as_str(), reason: state.reason() }))
}

fn text(text: &Text<'_>) -> Message {
    let json = serde_json::to_string(text).expect("plain structs have a JSON form");
    Message::Text(json.into())
}
