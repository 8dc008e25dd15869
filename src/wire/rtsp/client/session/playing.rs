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

/// Second octets of RTCP packets (RFC 5761 §4).
const RTCP_TYPES: std::ops::RangeInclusive<u8> = 192..=223;

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
        for (session, uri) in self.subjects() {
            self.say(method, &uri, session.as_deref(), &[]);
        }
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
        let Some((at, kind)) = self.track_of(channel, &packet) else { return };
        let track = &mut self.plan.tracks[at];
        let medium = track.medium;
        if kind == Medium::Rtp {
            // One that shares the channel of another is looked for there each time.
            track.heard |= track.channels.is_some_and(|(rtp, rtcp)| [rtp, rtcp].contains(&channel));
            self.alive.heard = true;
        }
        self.event(ClientEvent::Media { medium, kind, packet });
    }

    /// Whose packet this is, and of which kind: by its channel, but for cameras that use other
    /// channels than they said, or one for both.
    fn track_of(&mut self, channel: u8, packet: &[u8]) -> Option<(usize, Medium)> {
        let media = &self.plan.description.media;
        let second = packet.get(1).copied().unwrap_or(0);
        let is_rtcp = RTCP_TYPES.contains(&second);
        let is_of = |track: &ClientTrack| {
            media.get(track.medium).is_some_and(|m| m.payload_type == second & 0x7f)
        };
        let by = |track: &ClientTrack| match track.channels? {
            (rtp, _) if rtp == channel && is_rtcp && !is_of(track) => Some(Medium::Rtcp),
            (rtp, _) if rtp == channel => Some(Medium::Rtp),
            (_, rtcp) if rtcp == channel && !is_rtcp && is_of(track) => Some(Medium::Rtp),
            (_, rtcp) if rtcp == channel => Some(Medium::Rtcp),
            _ => None,
        };
        let tracks = &mut self.plan.tracks;
        let found = tracks.iter().enumerate().find_map(|(at, track)| Some((at, by(track)?)));
        if let Some((at, kind)) = found
            && (kind == Medium::Rtcp || is_of(&tracks[at]))
        {
            return found;
        }
        // The payload type tells which of those it is that were not heard yet.
        let mut silent =
            tracks.iter().enumerate().filter(|(_, track)| !track.heard && is_of(track));
        let (Some((at, _)), None) = (silent.next(), silent.next()) else { return found };
        if found.is_none() {
            tracks[at].channels = Some((channel, channel.wrapping_add(1)));
        }
        packet.get(1).map(|_| (at, Medium::Rtp))
    }

    pub(super) fn report(&mut self, channel: u8, packet: &[u8]) {
        let Ok(length) = u16::try_from(packet.len()) else { return };
        let mut framed = vec![b'$', channel];
        framed.extend_from_slice(&length.to_be_bytes());
        framed.extend_from_slice(packet);
        self.steps.push_back(ClientStep::Send(framed.into()));
    }
}
