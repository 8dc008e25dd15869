//! DESCRIBE and PLAY of the past, and PAUSE and PLAY in it.

use std::sync::Arc;

use super::super::play::{Play, PlaySource};
use super::Connection;
use super::input::PlaybackReply;
use super::role::ConnectionRole;
use super::setup::{PendingReply, cname};
use crate::base::limits::RTSP_DESCRIBE_WAIT_MAX;
use crate::base::time::BootTime;
use crate::ingest::rtsp_push::PushError;
use crate::live::StreamOutputs;
use crate::playback::{
    FrameSelection, OnvifOptions, PlayFrom, PlayRange, PlayRequest, PlaySpeed, PlayStart,
    PlaybackError, PlaybackSession,
};
use crate::wire::rtsp::{
    Command, Frames, Onvif, PlayOptions, Refusal, Route, Routed, Scale, Span, StartPoint,
};

impl Connection {
    /// Asks the disk for the tracks that `stream` had.
    pub(super) fn ask_past_tracks(&mut self, now: BootTime, stream: &str, span: Span) {
        let outputs = match self.readable(stream) {
            Ok(outputs) => outputs,
            Err(refusal) => return self.refuse(now, refusal),
        };
        if !self.may_watch_past() {
            return self.refuse(now, Refusal::NoPast);
        }
        let Some(archive) = &self.services.archive else {
            return self.refuse(now, no_recordings());
        };
        match archive.describe(outputs.stream.name(), range(span)) {
            Ok(described) => {
                let until = now.after(RTSP_DESCRIBE_WAIT_MAX);
                self.pending = Some(PendingReply::Past { described, span, until });
            }
            Err(refused) => self.refuse(now, refused.into()),
        }
    }

    /// Begins to play what `options` says, or continues with it.
    pub(super) fn play(
        &mut self,
        now: BootTime,
        stream: &str,
        routes: &[Routed],
        options: &PlayOptions,
    ) {
        let Some(outputs) = self.chosen.outputs.clone() else {
            return self.refuse(now, Refusal::NoStream);
        };
        let (speed, onvif) = (speed(options.scale), options.onvif.map(onvif_options));
        let past = self.role.play_mut().and_then(Play::past);
        let from = match (options.start, past) {
            (StartPoint::Past(span), _) => PlayFrom::Date(range(span)),
            (StartPoint::Live, Some(_)) => PlayFrom::Live,
            (StartPoint::Live | StartPoint::Resume, None) => {
                return self.play_live(now, &outputs, stream, routes);
            }
            (StartPoint::Resume, Some(session)) if session.plays_as(speed, onvif) => {
                let start = session.resume();
                return self.replaying(now, start);
            }
            (StartPoint::Resume, Some(session)) => PlayFrom::Date(session.rest(speed)),
        };
        if !matches!(from, PlayFrom::Live) && !self.may_watch_past() {
            return self.refuse(now, Refusal::NoPast);
        }
        if goes_by_multicast(routes) {
            let text = "recordings are not sent by multicast".to_owned();
            return self.refuse(now, Refusal::NothingThere(text));
        }
        let Some(archive) = &self.services.archive else {
            return self.refuse(now, no_recordings());
        };
        let request = PlayRequest { from, speed, onvif };
        match archive.open(&outputs.stream, &self.services.clock, &request) {
            Ok(replay) => {
                let (replay, routes, cname) = (Box::new(replay), routes.to_vec(), cname(stream));
                let until = now.after(RTSP_DESCRIBE_WAIT_MAX);
                self.pending = Some(PendingReply::Replay { replay, routes, cname, until });
            }
            Err(refused) => self.refuse(now, refused.into()),
        }
    }

    fn may_watch_past(&self) -> bool {
        let user = self.session.user().map(|user| &**user);
        self.services.registry.authorizer().allows_past(user)
    }

    /// Handles the answer of the recordings.
    pub(super) fn past(&mut self, now: BootTime, answer: PlaybackReply) {
        match (self.pending.take(), answer) {
            (Some(PendingReply::Past { span, .. }), PlaybackReply::Described(Ok(tracks))) => {
                self.chosen.described = Some(Arc::clone(&tracks));
                self.session.command(now, Command::DescribedPast { tracks, span });
            }
            (
                Some(PendingReply::Replay { replay, routes, cname, .. }),
                PlaybackReply::Ready(Ok(())),
            ) => {
                self.turn_to(now, replay, &routes, cname);
            }
            (_, PlaybackReply::Described(Err(refused)) | PlaybackReply::Ready(Err(refused))) => {
                self.refuse(now, refused.into());
            }
            (pending, _) => self.pending = pending,
        }
    }

    fn turn_to(
        &mut self,
        now: BootTime,
        replay: Box<PlaybackSession>,
        routes: &[Routed],
        cname: String,
    ) {
        let Some(outputs) = self.chosen.outputs.clone() else { return };
        // The packetizer has no part in what is packed for one reader.
        let play = std::mem::take(&mut self.role).into_play();
        let mut play = play.unwrap_or_else(|| Play::new(PlaySource::Nothing, routes, cname));
        let beginning = play.turn_to(replay, |track| outputs.rtsp.ssrc(track));
        self.role = ConnectionRole::reader(play);
        self.replaying(now, beginning);
    }

    /// The reply goes out before the first packet.
    fn replaying(&mut self, now: BootTime, start: PlayStart) {
        let PlayStart { starts, range, speed } = start;
        let span = Span { from: range.from, until: range.until };
        let scale = Scale::from_millis(speed.millis());
        self.session.command(now, Command::Replaying { starts, span, scale });
        self.settle();
    }

    /// Sends no more until the next PLAY, or takes no more until the next RECORD.
    pub(super) fn pause(&mut self) {
        match &mut self.role {
            ConnectionRole::Reader(reader) => {
                if let Some(replay) = reader.play.past() {
                    return replay.pause();
                }
                reader.inline = None;
                reader.play.pause();
            }
            ConnectionRole::Member(_) => self.role = ConnectionRole::Idle,
            ConnectionRole::Publisher(_) => return self.cease(PushError::Paused),
            ConnectionRole::Idle | ConnectionRole::Parked(_) => {}
        }
        if let Some(udp) = &mut self.chosen.udp {
            udp.clear();
        }
    }

    /// Joins the stream; PLAY is answered when its first unit is there.
    fn play_live(
        &mut self,
        now: BootTime,
        outputs: &StreamOutputs,
        stream: &str,
        routes: &[Routed],
    ) {
        if goes_by_multicast(routes) {
            let joined = self.join_group(outputs);
            return self.answer(now, joined);
        }
        let paused = std::mem::take(&mut self.role).into_play();
        let reader = outputs.rtsp.join();
        self.role = ConnectionRole::reader(match paused {
            Some(mut play) => {
                play.resume(reader, routes);
                play
            }
            None => Play::new(PlaySource::Live(reader), routes, cname(stream)),
        });
        self.pending = Some(PendingReply::FirstUnit { until: now.after(RTSP_DESCRIBE_WAIT_MAX) });
    }
}

/// The dates of a Range header as playback takes them.
fn range(span: Span) -> PlayRange {
    PlayRange { from: span.from, until: span.until }
}

/// A Scale header, which is never zero, as playback takes it.
fn speed(scale: Scale) -> PlaySpeed {
    PlaySpeed::from_millis(scale.millis()).unwrap_or(PlaySpeed::ONE)
}

fn onvif_options(onvif: Onvif) -> OnvifOptions {
    let frames = match onvif.frames {
        Frames::All => FrameSelection::All,
        Frames::Predicted => FrameSelection::Reference,
        Frames::Intra { apart } => FrameSelection::Key { apart },
    };
    OnvifOptions { unpaced: onvif.unpaced, frames, cseq: onvif.cseq }
}

impl From<PlaybackError> for Refusal {
    fn from(error: PlaybackError) -> Self {
        match error {
            PlaybackError::TooMany => Self::TooMany,
            PlaybackError::NothingThere { .. } => Self::NothingThere(error.to_string()),
            PlaybackError::Reused | PlaybackError::Unreadable | PlaybackError::StreamEnded => {
                Self::NotReady(error.to_string())
            }
        }
    }
}

fn goes_by_multicast(routes: &[Routed]) -> bool {
    routes.iter().any(|routed| routed.route == Route::Multicast)
}

fn no_recordings() -> Refusal {
    Refusal::NothingThere("recordings are not played here".to_owned())
}
