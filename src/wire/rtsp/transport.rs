//! The Transport header (RFC 2326 §12.39): what a peer may have, and the reply that grants it.
//!
//! Owns: its reading and writing. rtsp-types has a typed form, but that one knows upper case
//! only and panics on some quoted strings, so it is not asked.

use std::net::{IpAddr, Ipv4Addr};

/// Lowest port that media is sent to: no client may aim us at a system service.
const CLIENT_PORT_MIN: u16 = 1_024;

/// Where one track's packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Inside the RTSP connection.
    Tcp {
        /// Channel of RTP.
        rtp: u8,
        /// Channel of RTCP.
        rtcp: u8,
    },
    /// To the address of the connection's peer.
    Udp {
        /// Port of RTP there, at least 1024.
        rtp: u16,
        /// Port of RTCP there, at least 1024.
        rtcp: u16,
    },
    /// To the stream's multicast group, which the driver knows.
    Multicast,
}

/// Where one track goes by multicast: to two ports of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// The group's address.
    pub address: Ipv4Addr,
    /// Port of RTP; RTCP has the next one.
    pub port: u16,
    /// How many routers a packet may pass, and one more.
    pub ttl: u8,
}

/// Which way media flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Play,
    Record,
}

impl Flow {
    /// Whether `mode`, the parameter in lower case, asks for this. Publishers that announced are
    /// taken at that word whatever they say here: some say `receive`, some nothing.
    fn suits(self, mode: Option<&str>) -> bool {
        match self {
            Self::Play => mode.is_none_or(|mode| mode.contains("play")),
            Self::Record => true,
        }
    }
}

/// What a peer asks for, reduced to what can be granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Tcp { channels: Option<(u8, u8)> },
    Udp { rtp: u16, rtcp: u16 },
    Multicast,
}

/// What a connection can be offered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) peer: IpAddr,
    /// The connection is encrypted; what went beside it would not be, so nothing does.
    pub(super) secure: bool,
    /// Which way media shall go.
    pub(super) flow: Flow,
    /// Whether there are multicast groups here.
    pub(super) multicast: bool,
}

impl Terms {
    /// For a peer that asked for something else.
    pub(super) fn text(self) -> &'static str {
        if self.secure {
            "offered is RTP/AVP/TCP, which is encrypted with this connection"
        } else {
            "offered are RTP/AVP/TCP, RTP/AVP to a client_port of yours from 1024 up, and, where \
             it is configured, RTP/AVP;multicast of a live stream for all tracks of a session"
        }
    }
}

/// The first transport of the list `header` that can be granted.
pub(super) fn choose(header: &str, terms: Terms) -> Option<Asked> {
    split(header, ',').find_map(|spec| read(spec, terms))
}

/// Reads one transport; `None` when it cannot be granted.
fn read(spec: &str, terms: Terms) -> Option<Asked> {
    let mut parts = split(spec, ';').map(str::trim);
    let protocol = parts.next()?.to_ascii_uppercase();
    let params: Vec<(String, &str)> = parts
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (name.trim().to_ascii_lowercase(), value.trim().trim_matches('"'))
        })
        .collect();
    let param = |wanted: &str| params.iter().find(|(name, _)| name == wanted).map(|(_, v)| *v);
    let suits = terms.flow.suits(param("mode").map(str::to_ascii_lowercase).as_deref());
    let elsewhere = |at: &str| at.parse::<IpAddr>().is_ok_and(|ip| ip != terms.peer);
    let udp = matches!(protocol.as_str(), "RTP/AVP" | "RTP/AVP/UDP");
    if param("multicast").is_some() {
        // The group is ours to choose, whatever destination the peer names.
        let had = udp && suits && terms.multicast && !terms.secure && terms.flow == Flow::Play;
        return had.then_some(Asked::Multicast);
    }
    if !suits || param("destination").is_some_and(elsewhere) {
        return None;
    }
    match protocol.as_str() {
        "RTP/AVP/TCP" => Some(Asked::Tcp { channels: param("interleaved").and_then(pair::<u8>) }),
        _ if udp && !terms.secure => {
            let client = param("client_port").and_then(pair::<u16>)?;
            let asked = Asked::Udp { rtp: client.0, rtcp: client.1 };
            (client.0.min(client.1) >= CLIENT_PORT_MIN).then_some(asked)
        }
        _ => None,
    }
}

/// `a-b`, or `a` alone, which means `a` and the one after it.
fn pair<T: std::str::FromStr + TryFrom<u32> + Into<u32> + Copy>(text: &str) -> Option<(T, T)> {
    let (first, second) = match text.split_once('-') {
        Some((first, second)) => (first.trim().parse::<T>().ok()?, Some(second)),
        None => (text.parse::<T>().ok()?, None),
    };
    let second = match second {
        Some(second) => second.trim().parse().ok()?,
        None => T::try_from(first.into() + 1).ok()?,
    };
    Some((first, second))
}

/// Splits at `at` outside of quotes.
fn split(text: &str, at: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c| {
        quoted ^= c == '"';
        c == at && !quoted
    })
}

/// The value for a reply.
/// The source is ours to tell only when we send.
pub(super) fn answer(
    route: Route,
    flow: Flow,
    ssrc: u32,
    server_port: Option<(u16, u16)>,
) -> String {
    let end = match flow {
        Flow::Play => format!("ssrc={ssrc:08X}"),
        Flow::Record => "mode=record".to_owned(),
    };
    match route {
        Route::Tcp { rtp, rtcp } => {
            format!("RTP/AVP/TCP;unicast;interleaved={rtp}-{rtcp};{end}")
        }
        Route::Udp { rtp, rtcp } => {
            let ports = server_port.map(|(rtp, rtcp)| format!(";server_port={rtp}-{rtcp}"));
            let ports = ports.unwrap_or_default();
            format!("RTP/AVP;unicast;client_port={rtp}-{rtcp}{ports};{end}")
        }
        // Filled in by `group_answer`, with the group that only the driver knows.
        Route::Multicast => "RTP/AVP;multicast".to_owned(),
    }
}

/// The value for a reply to who joins a group.
pub(super) fn group_answer(group: Group) -> String {
    let Group { address, port, ttl } = group;
    format!("RTP/AVP;multicast;destination={address};port={port}-{};ttl={ttl}", port + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms {
        peer: IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2)),
        secure: false,
        flow: Flow::Play,
        multicast: false,
    };
    const RECORD: Terms = Terms { flow: Flow::Record, ..TERMS };

    #[test]
    fn nothing_goes_beside_an_encrypted_connection() {
        let secure = Terms { secure: true, ..TERMS };
        assert_eq!(choose("RTP/AVP;unicast;client_port=5000-5001", secure), None);
        let list = "RTP/AVP;unicast;client_port=5000-5001,RTP/AVP/TCP;interleaved=0-1";
        assert_eq!(choose(list, secure), Some(Asked::Tcp { channels: Some((0, 1)) }));
    }

    #[test]
    fn the_first_transport_that_can_be_had_is_taken() {
        let tcp = |channels| Some(Asked::Tcp { channels });
        let udp = |rtp, rtcp| Some(Asked::Udp { rtp, rtcp });
        for (header, wanted) in [
            ("RTP/AVP/TCP;unicast;interleaved=0-1", tcp(Some((0, 1)))),
            ("rtp/avp/tcp;UNICAST;Interleaved=4", tcp(Some((4, 5)))),
            ("RTP/AVP/TCP", tcp(None)),
            ("RTP/AVP/TCP;interleaved=255", tcp(None)),
            ("RTP/AVP;unicast;client_port=5000-5001;mode=\"PLAY\"", udp(5000, 5001)),
            ("RTP/AVP/UDP; unicast; client_port=5000 - 5003", udp(5000, 5003)),
            ("RTP/AVP;client_port=5000", udp(5000, 5001)),
            ("RTP/AVP;multicast,RTP/AVP/TCP;interleaved=2-3", tcp(Some((2, 3)))),
            ("RTP/SAVP;client_port=5000-5001,RTP/AVP;client_port=6000-6001", udp(6000, 6001)),
            ("RTP/AVP;client_port=5000-5001;mode=\"PLAY,RECORD\",RTP/AVP/TCP", udp(5000, 5001)),
            ("RTP/AVP;client_port=5000-5001;destination=10.0.0.2", udp(5000, 5001)),
        ] {
            assert_eq!(choose(header, TERMS), wanted, "{header}");
        }
    }

    #[test]
    fn multicast_is_had_where_it_is_configured_and_never_aimed() {
        let on = Terms { multicast: true, ..TERMS };
        for header in [
            "RTP/AVP;multicast",
            "RTP/AVP/UDP;multicast;destination=8.8.8.8;port=53-54;ttl=255",
            "RTP/AVP;multicast;mode=\"PLAY\",RTP/AVP/TCP",
        ] {
            assert_eq!(choose(header, on), Some(Asked::Multicast), "{header}");
        }
        for terms in [TERMS, Terms { secure: true, ..on }, Terms { flow: Flow::Record, ..on }] {
            assert_eq!(choose("RTP/AVP;multicast", terms), None);
        }
        let group = Group { address: Ipv4Addr::new(239, 0, 0, 7), port: 5_000, ttl: 2 };
        assert_eq!(
            group_answer(group),
            "RTP/AVP;multicast;destination=239.0.0.7;port=5000-5001;ttl=2"
        );
    }

    #[test]
    fn what_cannot_or_must_not_be_had_is_refused() {
        for header in [
            "",
            ";;;",
            "RTP/AVP",
            "RTP/AVP;multicast;port=5000-5001",
            "RTP/AVP;client_port=22-23",
            "RTP/AVP;client_port=5000-1023",
            "RTP/AVP;client_port=65535",
            "RTP/AVP;client_port=99999-100000",
            "RTP/AVP;client_port=-1",
            "RTP/AVP;unicast;client_port=5000-5001;destination=10.0.0.3",
            "RTP/AVP/TCP;mode=record",
            "RTP/AVP/DCCP;client_port=5000-5001",
            "RTP/AVP;dest_addr=\"\\\"",
        ] {
            assert_eq!(choose(header, TERMS), None, "{header}");
        }
    }

    #[test]
    fn a_publisher_may_name_its_mode_as_it_likes() {
        for mode in ["", ";mode=record", ";mode=\"RECEIVE\"", ";mode=PLAY"] {
            let asked = choose(&format!("RTP/AVP/TCP;unicast{mode}"), RECORD);
            assert_eq!(asked, Some(Asked::Tcp { channels: None }), "{mode}");
        }
        let route = Route::Udp { rtp: 5_000, rtcp: 5_001 };
        assert_eq!(
            answer(route, Flow::Record, 7, Some((6_000, 6_001))),
            "RTP/AVP;unicast;client_port=5000-5001;server_port=6000-6001;mode=record"
        );
    }

    proptest::proptest! {
        #[test]
        fn no_header_makes_reading_panic(header: String) {
            let _ = choose(&header, RECORD);
        }
    }
}
