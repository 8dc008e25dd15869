//! While the camera plays: keepalives, media inside the connection, our receiver reports.
//!
//! Owns: how the session is kept alive, and which track a channel is of.

use bytes::Bytes;

use super::{ClientSession, ClientTrack, Login, Phase};
use crate::base::time::BootTime;
use crate::wire::rtsp::auth::Challenge;
use crate::wire::rtsp::client::{ClientEvent, ClientStep};
use crate::wire::rtsp::frame::Message;
use crate::wire::rtsp::live::Medium;

impl ClientSession {
    pub(super) fn playing(&mut self, now: BootTime) {
        self.phase = Phase::Playing;
        self.alive.next = Some(now.after(self.alive.every));
        self.event(ClientEvent::Playing);
    }

    /// By what the camera offers, else by what all know.
    pub(super) fn keep_alive(&mut self, now: BootTime) {
        if self.alive.unanswered {
            self.alive.way += 1;
        }
        let offered = |method: &&&str| **method == "OPTIONS" || self.public.contains(**method);
        let ways = ["GET_PARAMETER", "OPTIONS", "SET_PARAMETER"];
        let ways: Vec<&str> = ways.iter().filter(offered).copied().collect();
        let method = ways[self.alive.way % ways.len()];
        let uri = self.plan.aggregate.clone();
        self.say(method, &uri, &[]);
        self.alive.unanswered = true;
        self.alive.next = Some(now.after(self.alive.every));
    }

    /// While media flows no answer ends anything.
    pub(super) fn kept_alive(&mut self, now: BootTime, status: u16, message: &Message) {
        self.alive.unanswered = false;
        if status == 401 && self.config.credentials.is_some() {
            if let Some(challenge) = Challenge::best(message.headers.all("WWW-Authenticate")) {
                let again = self.login.uses > 1 || self.login.challenge.is_none();
                self.login = Login { challenge: Some(challenge), uses: 0 };
                if again {
                    self.keep_alive(now);
                }
            }
        } else if status >= 400 {
            self.alive.way += 1;
        }
    }

    pub(super) fn media(&mut self, channel: u8, packet: Bytes) {
        let tracks = &mut self.plan.tracks;
        let by = |track: &ClientTrack| match track.channels {
            Some((rtp, _)) if rtp == channel => Some(Medium::Rtp),
            Some((_, rtcp)) if rtcp == channel => Some(Medium::Rtcp),
            _ => None,
        };
        let mut found = tracks.iter().enumerate().find_map(|(at, track)| Some((at, by(track)?)));
        if found.is_none() {
            // Some send by other channels than they said; the payload type tells whose it is.
            let [_, second, ..] = packet[..] else { return };
            let media = &self.plan.description.media;
            let is_of = |track: &ClientTrack| {
                let medium = media.get(track.medium);
                !track.heard && medium.is_some_and(|m| m.payload_type == second & 0x7f)
            };
            let mut silent = tracks.iter().enumerate().filter(|(_, track)| is_of(track));
            if let (Some((at, _)), None) = (silent.next(), silent.next()) {
                tracks[at].channels = Some((channel, channel.wrapping_add(1)));
                found = Some((at, Medium::Rtp));
            }
        }
        let Some((at, kind)) = found else { return };
        let medium = tracks[at].medium;
        if kind == Medium::Rtp {
            tracks[at].heard = true;
            self.alive.heard = true;
        }
        self.event(ClientEvent::Media { medium, kind, packet });
    }

    pub(super) fn report(&mut self, channel: u8, packet: &[u8]) {
        let Ok(length) = u16::try_from(packet.len()) else { return };
        let mut framed = vec![b'$', channel];
        framed.extend_from_slice(&length.to_be_bytes());
        framed.extend_from_slice(packet);
        self.steps.push_back(ClientStep::Send(framed.into()));
    }
}
