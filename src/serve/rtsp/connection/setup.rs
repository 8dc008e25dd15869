//! DESCRIBE, SETUP and PLAY: what the session asks the stream, and the answers that take a while.
//!
//! Owns: what an answer waits for, and until when.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::{oneshot, watch};

use super::super::udp::UdpPair;
use super::Connection;
use super::role::ConnectionRole;
use crate::base::limits::RTSP_DESCRIBE_WAIT_MAX;
use crate::base::name::StreamName;
use crate::base::time::BootTime;
use crate::ingest::Ingest;
use crate::live::StreamOutputs;
use crate::media::{Track, TrackId, Tracks};
use crate::playback::{PlaybackSession, TracksProbe};
use crate::serve::publish_desk::BeginRefused;
use crate::stream::StreamState;
use crate::wire::rtsp::{
    Command, Details, Group, Refusal, Route, Routed, SessionDescription, Span, Target,
};

/// What an answer to the session waits for.
#[derive(Debug)]
pub(super) enum PendingReply {
    /// The tracks of a stream.
    Tracks {
        outputs: Arc<StreamOutputs>,
        tracks: watch::Receiver<Option<Arc<Tracks>>>,
        /// The groups are wanted.
        multicast: bool,
        until: BootTime,
    },
    /// The first unit after PLAY.
    FirstUnit { until: BootTime },
    /// A stream that begins with its publisher.
    Begin {
        begun: oneshot::Receiver<Result<(), BeginRefused>>,
        stream: String,
        offer: Arc<SessionDescription>,
        until: BootTime,
    },
    /// The tracks of a recording.
    Past { described: TracksProbe, span: Span, until: BootTime },
    /// The first unit of the past.
    Replay { replay: Box<PlaybackSession>, routes: Vec<Routed>, cname: String, until: BootTime },
}

impl PendingReply {
    pub(super) fn until(&self) -> BootTime {
        match self {
            Self::Tracks { until, .. }
            | Self::FirstUnit { until }
            | Self::Begin { until, .. }
            | Self::Past { until, .. }
            | Self::Replay { until, .. } => *until,
        }
    }
}

impl Connection {
    /// Asks for the tracks of `stream`, which may take a while to be known.
    pub(super) fn ask_tracks(&mut self, now: BootTime, stream: &str, multicast: bool) {
        self.chosen.described = None;
        let outputs = match self.readable(stream) {
            Ok(outputs) => outputs,
            Err(refusal) => return self.refuse(now, refusal),
        };
        self.chosen.viewing = Some(outputs.stream.view());
        let tracks = outputs.stream.tracks();
        let until = now.after(RTSP_DESCRIBE_WAIT_MAX);
        self.pending = Some(PendingReply::Tracks { outputs, tracks, multicast, until });
        self.describe(now);
    }

    /// Answers DESCRIBE if the tracks are known by now.
    pub(super) fn describe(&mut self, now: BootTime) {
        let Some(PendingReply::Tracks { outputs, tracks, multicast, .. }) = &mut self.pending
        else {
            return;
        };
        let Some(tracks) = tracks.borrow_and_update().clone() else { return };
        let (outputs, multicast) = (Arc::clone(outputs), *multicast);
        self.pending = None;
        let group = |track: &Track| Some((track.id, self.group(&outputs, track.id)?));
        let groups = tracks.list.iter().filter(|_| multicast).filter_map(group).collect();
        let details = Details { rates: outputs.stream.rates(), groups };
        self.session.command(now, Command::Described { tracks, details });
    }

    /// Prepares what SETUP asks for.
    pub(super) fn set_up(&mut self, target: &Target, route: Route) -> Result<Command, Refusal> {
        let outputs = match &self.chosen.outputs {
            Some(outputs) => Arc::clone(outputs),
            None => self.readable(&target.stream)?,
        };
        self.chosen.viewing.get_or_insert_with(|| outputs.stream.view());
        let tracks =
            self.chosen.described.clone().or_else(|| outputs.stream.tracks().borrow().clone());
        let tracks = tracks.ok_or_else(|| not_ready(&outputs))?;
        let track = match (target.track, &tracks.list[..]) {
            (Some(track), _) => tracks.get(track).ok_or(Refusal::NoTrack)?.id,
            (None, [only]) => only.id,
            (None, _) => return Err(Refusal::WhichTrack),
        };
        let ssrc = outputs.rtsp.ssrc(track).ok_or(Refusal::NoTrack)?;
        let server_port = match route {
            Route::Tcp { .. } => None,
            Route::Udp { .. } => Some(self.ports()?),
            Route::Multicast => {
                let group = self.group(&outputs, track).ok_or(Refusal::NoPorts)?;
                self.chosen.outputs = Some(outputs);
                return Ok(Command::SetUpGroup { track, group });
            }
        };
        self.chosen.outputs = Some(outputs);
        Ok(Command::SetUp { track, ssrc, server_port })
    }

    fn ports(&mut self) -> Result<(u16, u16), Refusal> {
        if self.chosen.udp.is_none() {
            let pair = UdpPair::open(self.peer.local, self.peer.ip());
            self.chosen.udp = Some(pair.map_err(|_| Refusal::NoPorts)?);
        }
        self.chosen.udp.as_ref().map(UdpPair::ports).ok_or(Refusal::NoPorts)
    }

    /// Where `track` goes by multicast.
    fn group(&self, outputs: &StreamOutputs, track: TrackId) -> Option<Group> {
        let streams = self.services.streams.all();
        let names = streams.keys().map(StreamName::as_str);
        self.services.multicast.group(names, outputs.stream.name().as_str(), track)
    }

    /// Becomes one of the stream's multicast readers. The sender's position for the others is
    /// unknown here, so the answer names no numbers.
    pub(super) fn join_group(&mut self, outputs: &StreamOutputs) -> Result<Command, Refusal> {
        let group = self.group(outputs, TrackId(0)).ok_or(Refusal::NoPorts)?;
        let IpAddr::V4(local) = self.peer.local else { return Err(Refusal::NoPorts) };
        let ends = (local, self.peer.ip());
        let joined = self.services.multicast.join(outputs, group, ends, &self.services.supervisor);
        self.role = ConnectionRole::Member(joined.map_err(|_| Refusal::NoPorts)?);
        Ok(Command::Playing { starts: Vec::new(), wall: None })
    }

    /// The stream that a peer asks for.
    pub(super) fn readable(&self, stream: &str) -> Result<Arc<StreamOutputs>, Refusal> {
        if let Some(Ingest::Elsewhere(url)) = self.services.ingests.get(stream).as_deref() {
            return Err(Refusal::Elsewhere(url.to_string()));
        }
        self.services.streams.get(stream).ok_or(Refusal::NoStream)
    }

    pub(super) fn answer(&mut self, now: BootTime, answer: Result<Command, Refusal>) {
        self.session.command(now, answer.unwrap_or_else(Command::Refuse));
    }

    pub(super) fn refuse(&mut self, now: BootTime, refusal: Refusal) {
        self.session.command(now, Command::Refuse(refusal));
    }

    /// Answers what has waited long enough.
    pub(super) fn late(&mut self, now: BootTime) {
        match self.pending.take_if(|pending| pending.until() <= now) {
            None => {}
            Some(PendingReply::Tracks { outputs, .. }) => self.refuse(now, not_ready(&outputs)),
            Some(PendingReply::Past { .. } | PendingReply::Replay { .. }) => {
                let text = "the disk did not answer in time; try again".to_owned();
                self.refuse(now, Refusal::NotReady(text));
            }
            Some(PendingReply::Begin { .. }) => {
                self.refuse(now, Refusal::NotReady(BeginRefused::Busy.to_string()));
            }
            Some(PendingReply::FirstUnit { .. }) => {
                let answer = Command::Playing { starts: Vec::new(), wall: None };
                self.session.command(now, answer);
            }
        }
    }
}

/// The name in reports.
pub(super) fn cname(stream: &str) -> String {
    format!("{stream}@holdfast")
}

/// Why a stream cannot be described or set up now.
fn not_ready(outputs: &StreamOutputs) -> Refusal {
    Refusal::NotReady(match outputs.stream.state().0 {
        StreamState::Offline { reason } | StreamState::Waiting { reason } => {
            format!("the stream is offline: {reason}")
        }
        StreamState::Starting | StreamState::Live => {
            "nothing of this stream has arrived yet".to_owned()
        }
    })
}
