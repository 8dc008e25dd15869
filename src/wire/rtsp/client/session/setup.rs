//! From the description to PLAY: which media, over which transport.
//!
//! Owns: the order in which transports are tried, and what an answer to SETUP means.

use super::{ClientSession, ClientTrack, KEEPALIVE_SHARE};
use crate::base::limits::{CLIENT_KEEPALIVE_MAX, CLIENT_KEEPALIVE_MIN};
use crate::base::time::BootTime;
use crate::wire::rtsp::client::answer::{self, AnsweredTransport};
use crate::wire::rtsp::client::{ClientEvent, ClientRequest, ClientTransport, Path, SessionEnd};
use crate::wire::rtsp::frame::Message;

impl ClientSession {
    fn transport(&self) -> Option<ClientTransport> {
        self.config.transports.get(self.plan.transport).copied()
    }

    pub(super) fn set_up_next(&mut self, now: BootTime) {
        let Some(&medium) = self.plan.wanted.front() else {
            return self.play(now);
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
        let urls = self.control_urls(medium);
        let Some(uri) = urls.get(self.plan.url).or(urls.first()).cloned() else { return };
        self.ask(now, ClientRequest::SetUp, "SETUP", uri, vec![("Transport", transport)]);
    }

    /// What may be the URL of a track, the likeliest first.
    fn control_urls(&self, medium: usize) -> Vec<String> {
        let media = &self.plan.description.media;
        let control = media.get(medium).and_then(|medium| medium.control.as_deref());
        if control.is_none() && media.len() == 1 {
            return vec![self.plan.aggregate.clone()];
        }
        answer::controls(&self.plan.base, [&self.plan.aggregate, self.url.as_str()], control)
    }

    pub(super) fn set_up(&mut self, now: BootTime, uri: String, message: &Message) {
        let Some(asked) = self.transport() else { return };
        if let Some((id, timeout)) = message.headers.get("Session").and_then(answer::session) {
            self.plan.session = Some(id);
            let every = timeout.mul_f64(KEEPALIVE_SHARE);
            let every = every.clamp(CLIENT_KEEPALIVE_MIN, CLIENT_KEEPALIVE_MAX);
            // Where each track has a session of its own, the shortest decides.
            self.alive.every = self.alive.every.min(every);
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
        let session = self.plan.session.clone();
        self.plan.tracks.push(ClientTrack { medium, channels, heard: false, uri, session });
        self.plan.url = 0;
        self.event(ClientEvent::SetUp { medium, path });
        self.set_up_next(now);
    }

    /// The first track decides on the transport; a further one that is refused is left out.
    pub(super) fn not_set_up(&mut self, now: BootTime, status: u16) {
        let further = self.plan.wanted.front().map(|medium| self.control_urls(*medium).len());
        if matches!(status, 400 | 404 | 405 | 451 | 454 | 459 | 460)
            && further.is_some_and(|urls| self.plan.url + 1 < urls)
        {
            self.plan.url += 1;
            return self.set_up_next(now);
        }
        self.plan.url = 0;
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
