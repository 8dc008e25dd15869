//! `/play/{stream}/ws`: the past as fMP4 over WebSocket, for the page's timeline.
//!
//! Owns: the life of the socket, and what is sent when. Text messages are JSON, one key each:
//! `hello` (then a binary init segment), `part` (then a binary `moof` + `mdat`), `gap`, `edge`,
//! `live`, `speed`, `over`, `error` (then a close). The client sends what it shows (`at`), and
//! gets so much ahead of that; `seek`, `speed` and `pause` change what comes. The media timeline
//! only grows, over seeks too: a player can show the old picture until the new one is there.

mod message;
mod request;
mod window;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, close_code};
use axum::extract::{RawQuery, State, ws};
use axum::http::StatusCode;
use axum::response::Response;

use self::request::{MessageError, PlayerMessage, Speed};
use self::window::{Sent, Window};
use crate::access::Right;
use crate::base::limits::{MSE_PING_INTERVAL, PLAY_MESSAGES_PER_SEC_MAX};
use crate::base::time::WallTime;
use crate::live::StreamOutputs;
use crate::playback::{BrowserPlayback, MediaChunk, PlaybackError, PlaybackEvent, PlaybackParams};
use crate::serve::http::context::HttpContext;
use crate::serve::http::door::{Access, Door, Object};
use crate::serve::http::error::ApiError;
use crate::serve::http::extract::{At, Named};
use crate::serve::http::operation::Parameter;
use crate::serve::http::request::Query;
use crate::serve::http::websocket::{CLOSED, ClientSocket, Incoming, MessageRate, Upgrade, ping};

/// Where the media timeline begins, and how far the next seek is from what was sent.
const STEP_NANOS: i64 = 1_000_000_000;
/// Behind less than this a viewer who plays fast has caught up with what happens.
const CAUGHT_UP_SECS: f64 = 1.0;
/// Over how long messages are counted.
const COUNT_TIME: Duration = Duration::from_secs(10);
/// Gaps reported at one seam.
const GAPS_TOLD_MAX: usize = 8;

/// Codes of our own (RFC 6455 §7.4.2).
const NOTHING_THERE: ws::CloseCode = 4404;
const OVERWRITTEN: ws::CloseCode = 4410;
const TOO_MANY: ws::CloseCode = 4429;

/// Its routes.
pub(in crate::serve::http) fn routes(door: Door) -> Door {
    let past = Access::Viewer(Object::Stream(Right::Past));
    door.get("/play/{stream}/ws", past, upgrade)
        .says("WebSocket: fMP4 of a recording, played and sought.")
        .hears(Parameter::date("start", "Where to begin.").required())
        .hears(Parameter::text("speed", "From 0.25 to 16, or from -0.25 to -16."))
        .answers_empty(101)
        .refuses(&[426])
}

/// `GET /play/{stream}/ws?start=&speed=`.
pub(crate) async fn upgrade(
    State(context): At,
    Named(outputs): Named,
    RawQuery(query): RawQuery,
    upgrade: Upgrade,
) -> Result<Response, ApiError> {
    let query = Query::parse(query.as_deref()).only(&["start", "speed"], &[])?;
    let start = query.date("start")?.ok_or_else(|| ApiError::bad_request("`start` is missing."))?;
    let speed = query.get("speed").map_or(Ok(Speed::ONE), Speed::parse);
    let speed = speed.map_err(|error| ApiError::bad_request(error.to_string()))?;
    if outputs.recorder.is_none() && context.dvr.listing(outputs.stream.name()).runs.is_empty() {
        let message = format!("Stream '{}' is not recorded.", outputs.stream.name());
        return Err(ApiError::new(StatusCode::NOT_FOUND, "not_recorded", message));
    }
    Ok(upgrade.serve("play", MSE_PING_INTERVAL, move |socket| async move {
        let _counted = context.stats.browser(outputs.stream.name());
        PlaySession::new(socket, outputs, context, speed).run(start).await
    }))
}

/// One viewer.
struct PlaySession {
    socket: ClientSocket,
    outputs: Arc<StreamOutputs>,
    context: Arc<HttpContext>,
    rate: MessageRate,
    control_rate: MessageRate,
    playback: Option<BrowserPlayback>,
    window: Window,
    speed: Speed,
    serial: u32,
    paused: bool,
    /// Nothing is read for it now.
    stopped: bool,
    live: bool,
    /// Where the next params's timeline begins.
    base_nanos: i64,
    out: VecDeque<Message>,
}

/// What the session waited for.
enum Wake {
    Socket(Incoming),
    Playback(PlaybackEvent),
}

/// Why a session ends: for the log, and for the viewer if it is still there.
struct Ended {
    why: &'static str,
    close: Option<CloseFrame>,
    told: Option<Message>,
}

impl Ended {
    fn quiet(why: &'static str) -> Self {
        Self { why, close: None, told: None }
    }

    fn told(why: &'static str, code: ws::CloseCode, message: &str) -> Self {
        let close = CloseFrame { code, reason: why.into() };
        Self { why, close: Some(close), told: Some(message::error(why, message)) }
    }
}

impl From<MessageError> for Ended {
    fn from(error: MessageError) -> Self {
        Self::told("bad_message", close_code::POLICY, &error.to_string())
    }
}

impl From<PlaybackError> for Ended {
    fn from(refused: PlaybackError) -> Self {
        let (why, code) = match refused {
            PlaybackError::TooMany => ("viewers_full", close_code::AGAIN),
            PlaybackError::NothingThere { .. } => ("nothing_there", NOTHING_THERE),
            PlaybackError::Reused => ("overwritten", OVERWRITTEN),
            PlaybackError::Unreadable => ("unreadable", close_code::ERROR),
            PlaybackError::StreamEnded => ("stream_ended", close_code::AWAY),
        };
        Self::told(why, code, &refused.to_string())
    }
}

impl PlaySession {
    fn new(
        socket: ClientSocket,
        outputs: Arc<StreamOutputs>,
        context: Arc<HttpContext>,
        speed: Speed,
    ) -> Self {
        let now = context.clock.boot();
        Self {
            socket,
            outputs,
            rate: MessageRate::new(PLAY_MESSAGES_PER_SEC_MAX * 10, COUNT_TIME, now),
            control_rate: MessageRate::of_control_frames(now),
            context,
            playback: None,
            window: Window::default(),
            speed,
            serial: 0,
            paused: false,
            stopped: false,
            live: false,
            base_nanos: STEP_NANOS,
            out: VecDeque::new(),
        }
    }

    async fn run(mut self, start: WallTime) -> &'static str {
        let ended = self.serve(start).await;
        // Whether the farewell arrives does not matter.
        let _ = self.socket.send(ended.told).await;
        self.socket.close(ended.close).await;
        ended.why
    }

    async fn serve(&mut self, start: WallTime) -> Ended {
        if let Err(ended) = self.begin(start) {
            return ended;
        }
        loop {
            let wake = self.next().await;
            if let Err(ended) = self.answer(wake) {
                return ended;
            }
            if let Err(why) = self.socket.send(self.out.drain(..)).await {
                return Ended::quiet(why);
            }
        }
    }

    async fn next(&mut self) -> Wake {
        self.start_or_stop();
        let sends = !self.stopped;
        let shown = async {
            match &mut self.playback {
                Some(playback) if sends => playback.next().await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            incoming = self.socket.next() => Wake::Socket(incoming),
            shown = shown => Wake::Playback(shown),
        }
    }

    fn answer(&mut self, wake: Wake) -> Result<(), Ended> {
        match wake {
            Wake::Socket(Incoming::Ended(why)) => Err(Ended {
                close: (why == CLOSED)
                    .then(|| CloseFrame { code: close_code::AWAY, reason: "".into() }),
                ..Ended::quiet(why)
            }),
            Wake::Socket(Incoming::Message(message)) => self.hear(&message),
            Wake::Socket(Incoming::PingDue) => {
                self.out.push_back(ping());
                Ok(())
            }
            Wake::Playback(shown) => self.show(shown),
        }
    }

    fn show(&mut self, shown: PlaybackEvent) -> Result<(), Ended> {
        match shown {
            PlaybackEvent::Format(format) => {
                self.out.push_back(message::hello(&format, self.serial, self.speed));
                self.out.push_back(Message::Binary(format.init.clone()));
            }
            PlaybackEvent::Chunk(chunk) => self.send(&chunk),
            PlaybackEvent::Seam(from, until) => {
                let gaps = self.context.dvr.listing(self.outputs.stream.name());
                let gaps = gaps.between(from, until).gaps;
                self.out.extend(gaps.iter().take(GAPS_TOLD_MAX).map(message::gap));
            }
            PlaybackEvent::Edge => self.out.push_back(message::edge()),
            PlaybackEvent::Live => {
                self.live = true;
                self.out.push_back(message::live());
            }
            PlaybackEvent::Over => {
                self.playback = None;
                self.out.push_back(message::over());
            }
            PlaybackEvent::Refused(refused) => return Err(refused.into()),
        }
        Ok(())
    }

    fn send(&mut self, chunk: &MediaChunk) {
        self.out.push_back(message::part(chunk, self.serial));
        self.out.push_back(Message::Binary(chunk.bytes.clone()));
        if let Some(&first) = chunk.pictures.first() {
            self.base_nanos = self.base_nanos.max(chunk.end_nanos() + STEP_NANOS);
            self.window.send(Sent {
                begin_secs: chunk.secs(first),
                end_secs: chunk.secs(chunk.end),
                bytes: chunk.bytes.len(),
                wall: chunk.wall,
                way: chunk.way,
            });
        }
    }

    fn hear(&mut self, message: &Message) -> Result<(), Ended> {
        let now = self.context.clock.boot();
        let rate = match message {
            Message::Text(_) => &mut self.rate,
            _ => &mut self.control_rate,
        };
        if !rate.allows(now) {
            let code =
                if matches!(message, Message::Text(_)) { TOO_MANY } else { close_code::POLICY };
            return Err(Ended::told("too_many_messages", code, "Too many messages."));
        }
        let Message::Text(text) = message else {
            return match message {
                Message::Binary(_) => Err(MessageError::Message.into()),
                _ => Ok(()),
            };
        };
        let ask = PlayerMessage::parse(text)?;
        let (seek, speed) = (ask.seek()?, ask.speed()?.unwrap_or(self.speed));
        if let Some(secs) = ask.at {
            self.window.shows(secs);
        }
        self.paused = ask.pause.unwrap_or(self.paused && seek.is_none());
        let before = std::mem::replace(&mut self.speed, speed);
        if seek.is_some() || !speed.is_like(before) {
            self.serial = ask.serial.unwrap_or(self.serial.wrapping_add(1));
            self.begin(seek.unwrap_or_else(|| self.here()))?;
        }
        self.catch_up()
    }

    /// Reads on, or not, as the window is open. What comes live meanwhile is read later.
    fn start_or_stop(&mut self) {
        let stops = self.paused || !self.window.is_open(self.speed.factor());
        let Some(playback) = &mut self.playback else { return };
        match (std::mem::replace(&mut self.stopped, stops), stops) {
            (false, true) => {
                playback.pause();
                self.live = false;
            }
            (true, false) => playback.resume(),
            _ => {}
        }
    }

    /// A viewer at fast speed who reaches the present continues live.
    fn catch_up(&mut self) -> Result<(), Ended> {
        let fast = self.speed.factor() > Speed::ONE.factor();
        if !self.live || !fast || self.window.ahead_secs() > CAUGHT_UP_SECS {
            return Ok(());
        }
        let before = std::mem::replace(&mut self.speed, Speed::ONE);
        self.out.push_back(message::speed(self.speed));
        if self.speed.is_like(before) { Ok(()) } else { self.begin(self.here()) }
    }

    /// The date that the viewer sees. How long the newest key frame lasts is a guess, so that a
    /// fast viewer may seem to be ahead of now.
    fn here(&self) -> WallTime {
        let now = self.context.clock.wall();
        self.window.date().map_or(now, |date| date.min(now))
    }

    /// Plays from `start` on, as fast and in the way that is wanted now.
    fn begin(&mut self, start: WallTime) -> Result<(), Ended> {
        // Its place is released before another is taken.
        self.playback = None;
        (self.live, self.stopped) = (false, false);
        let way = self.speed.way();
        let keys = self.speed.is_keys();
        let params = PlaybackParams { start, way, keys, base_nanos: self.base_nanos };
        let clock = &self.context.clock;
        let playback =
            self.context.playback.open_for_browser(&self.outputs.stream, clock, params)?;
        #[allow(clippy::cast_precision_loss)] // to the microsecond for centuries
        let base_secs = self.base_nanos as f64 / 1e9;
        self.window = Window::new(base_secs);
        self.base_nanos += STEP_NANOS;
        self.playback = Some(playback);
        Ok(())
    }
}
