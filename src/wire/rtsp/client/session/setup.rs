//! From DESCRIBE to PLAY: which media, over which transport.
//!
//! Owns: the order in which transports are tried, and what an answer to SETUP means.

use super::{ClientSession, ClientTrack, KEEPALIVE_SHARE, Plan};
use crate::base::limits::{CLIENT_KEEPALIVE_MAX, CLIENT_KEEPALIVE_MIN};
use crate::base::time::BootTime;
use crate::wire::rtsp::client::answer::{self, AnsweredTransport};
use crate::wire::rtsp::client::{ClientEvent, ClientRequest, ClientTransport, Path, SessionEnd};
use crate::wire::rtsp::description::SessionDescription;
use crate::wire::rtsp::frame::Message;

impl ClientSession {
    pub(super) fn described(&mut self, message: &Message) {
        let description = match SessionDescription::parse(&message.body) {
            Ok(description) => description,
            Err(error) => {
                return self.leave(SessionEnd::BadDescription { what: error.to_string() });
            }
        };
        let told = message.headers.get("Content-Base");
        let told = told.or_else(|| message.headers.get("Content-Location"));
        let base = match told {
            Some(base) if base.contains("://") => base.to_owned(),
            Some(base) => self.url.join(base).unwrap_or_else(|_| self.url.clone()).into(),
            None => self.url.to_string(),
        };
        let aggregate = answer::control(&base, description.control.as_deref());
        let event = ClientEvent::Described(description.clone());
        self.plan = Plan { description, base, aggregate, ..Plan::default() };
        self.event(event);
    }

    fn transport(&self) -> Option<ClientTransport> {
        self.config.transports.get(self.plan.transport).copied()
    }

    pub(super) fn set_up_next(&mut self, now: BootTime) {
        let Some(&medium) = self.plan.wanted.front() else {
            if self.plan.tracks.is_empty() {
                return self.leave(SessionEnd::NoTransport);
            }
            let range = vec![("Range", "npt=0.000-".to_owned())];
            let uri = self.plan.aggregate.clone();
            return self.ask(now, ClientRequest::Play, "PLAY", uri, range);
        };
        let channel = self.plan.tracks.len() * 2;
        match self.transport() {
            Some(ClientTransport::Tcp) => {
                let value = format!("RTP/AVP/TCP;unicast;interleaved={channel}-{}", channel + 1);
                self.ask_set_up(now, value);
            }
            Some(ClientTransport::Udp) => self.event(ClientEvent::OpenPorts { medium }),
            Some(ClientTransport::Multicast) => {
                self.ask_set_up(now, "RTP/AVP;multicast".to_owned());
            }
            None => match self.plan.refused {
                Some(status) if status != 461 => {
                    self.leave(SessionEnd::Status { asked: ClientRequest::SetUp, status });
                }
                _ => self.leave(SessionEnd::NoTransport),
            },
        }
    }

    pub(super) fn ports(&mut self, now: BootTime, ports: Option<(u16, u16)>) {
        match ports {
            Some((rtp, rtcp)) => {
                self.ask_set_up(now, format!("RTP/AVP;unicast;client_port={rtp}-{rtcp}"));
            }
            None => self.next_transport(now, 0),
        }
    }

    fn ask_set_up(&mut self, now: BootTime, transport: String) {
        let Some(&medium) = self.plan.wanted.front() else { return };
        let media = &self.plan.description.media;
        let control = media.get(medium).and_then(|medium| medium.control.as_deref());
        let uri = match control {
            None if media.len() == 1 => self.plan.aggregate.clone(),
            control => answer::control(&self.plan.base, control),
        };
        self.ask(now, ClientRequest::SetUp, "SETUP", uri, vec![("Transport", transport)]);
    }

    pub(super) fn set_up(&mut self, now: BootTime, message: &Message) {
        let Some(asked) = self.transport() else { return };
        if let Some((id, timeout)) = message.headers.get("Session").and_then(answer::session) {
            self.plan.session = Some(id);
            let every = timeout.mul_f64(KEEPALIVE_SHARE);
            self.alive.every = every.clamp(CLIENT_KEEPALIVE_MIN, CLIENT_KEEPALIVE_MAX);
        }
        let told = AnsweredTransport::read(message.headers.get("Transport").unwrap_or_default());
        if !told.suits(asked) {
            return self.not_set_up(now, 461);
        }
        let Some(medium) = self.plan.wanted.pop_front() else { return };
        let described = self.plan.description.media.get(medium);
        let own = u8::try_from(self.plan.tracks.len() * 2).unwrap_or(0);
        let taken = |channels: &(u8, u8)| {
            self.plan.tracks.iter().any(|track| track.channels == Some(*channels))
        };
        let mut channels = None;
        let path = match asked {
            ClientTransport::Tcp => {
                let pair = told.interleaved.filter(|pair| !taken(pair)).unwrap_or((own, own + 1));
                channels = Some(pair);
                Path::Tcp { rtcp: pair.1 }
            }
            ClientTransport::Udp => Path::Udp { server_port: told.server_port },
            ClientTransport::Multicast => {
                let group = told.group.or_else(|| described.and_then(|medium| medium.group));
                let port = told.port.or_else(|| described.map(|medium| medium.port));
                match (group.filter(std::net::Ipv4Addr::is_multicast), port) {
                    (Some(group), Some(port @ 1024..)) => Path::Multicast { group, port },
                    _ => return self.not_set_up(now, 461),
                }
            }
        };
        self.plan.tracks.push(ClientTrack { medium, channels, heard: false });
        self.event(ClientEvent::SetUp { medium, path });
        self.set_up_next(now);
    }

    /// The first track decides on the transport; a further one that is refused is left out.
    pub(super) fn not_set_up(&mut self, now: BootTime, status: u16) {
        if self.plan.tracks.is_empty() {
            return match status {
                400 | 406 | 415 | 451 | 461..=463 | 500.. => self.next_transport(now, status),
                _ => self.leave(SessionEnd::Status { asked: ClientRequest::SetUp, status }),
            };
        }
        if let Some(medium) = self.plan.wanted.pop_front() {
            self.event(ClientEvent::NotSetUp { medium, status });
        }
        self.set_up_next(now);
    }

    fn next_transport(&mut self, now: BootTime, status: u16) {
        self.plan.refused.get_or_insert(status);
        self.plan.transport += 1;
        self.set_up_next(now);
    }
}
