//! PLAY, and for whom it is said: for the whole, or for each track.
//!
//! Owns: what is tried when a camera refuses it.

use super::ClientSession;
use crate::base::time::BootTime;
use crate::wire::rtsp::client::{ClientRequest, SessionEnd};

/// What a request is about that is not about one track: a session, and the URL for it.
pub(super) type Subject = (Option<String>, String);

impl ClientSession {
    /// The whole; or, where the answers to SETUP name several sessions or the camera wants it so,
    /// each of its parts.
    pub(super) fn subjects(&self) -> Vec<Subject> {
        let plan = &self.plan;
        let mut sessions: Vec<&String> =
            plan.tracks.iter().filter_map(|track| track.session.as_ref()).collect();
        sessions.sort_unstable();
        sessions.dedup();
        if sessions.len() < 2 && !plan.apart {
            return vec![(plan.session.clone(), plan.aggregate.clone())];
        }
        let of = |session: &Option<String>| session.clone().or_else(|| plan.session.clone());
        plan.tracks.iter().map(|track| (of(&track.session), track.uri.clone())).collect()
    }

    /// Everything that can be set up is.
    pub(super) fn play(&mut self, now: BootTime) {
        if self.plan.tracks.is_empty() {
            return self.leave(SessionEnd::NoTransport);
        }
        self.plan.unplayed = self.subjects().into();
        self.play_next(now);
    }

    fn play_next(&mut self, now: BootTime) {
        let Some((session, uri)) = self.plan.unplayed.front().cloned() else {
            return self.playing(now);
        };
        let range = if self.plan.rangeless { None } else { Some("npt=0.000-".to_owned()) };
        let own = range.map(|range| ("Range", range)).into_iter().collect();
        self.ask_about(now, ClientRequest::Play, "PLAY", (session, uri), own);
    }

    /// The camera plays what it was asked for.
    pub(super) fn played(&mut self, now: BootTime) {
        self.plan.unplayed.pop_front();
        self.plan.plays = true;
        self.play_next(now);
    }

    /// It does not: without a Range, then each track by itself. If others play, this one is let go.
    pub(super) fn not_played(&mut self, now: BootTime, status: u16) {
        if self.plan.plays {
            return self.played(now);
        }
        if !self.plan.rangeless {
            self.plan.rangeless = true;
            return self.play_next(now);
        }
        if !self.plan.apart {
            self.plan.apart = true;
            return self.play(now);
        }
        self.leave(SessionEnd::Status { asked: ClientRequest::Play, status });
    }
}
