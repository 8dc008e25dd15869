//! The description of a stream (RFC 8866, RFC 2326 appendix C).
//!
//! Owns: the session part; what a codec says of itself is in `wire::rtp::payload`.

use std::net::{IpAddr, Ipv4Addr};

use sdp_types::{
    Bandwidth, BandwidthType, Connection, Media, MediaType, Origin, Session, Time, TransportProto,
};

use super::range::Span;
use super::target::control;
use super::transport::Group;
use crate::media::{Kind, Shape, Track, TrackId, Tracks};
use crate::wire::rtp::payload::describe;

/// What is known of a live stream besides its tracks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// Bit rates in kbit/s, with the heads of IP and UDP (RFC 8866 §5.8), where they are known.
    pub rates: Vec<(TrackId, u32)>,
    /// The multicast group of each track, if requested. A description that names groups is for
    /// clients that join them; it would mislead all others.
    pub groups: Vec<(TrackId, Group)>,
}

/// What is described.
#[derive(Clone, Copy, Debug)]
pub(super) enum Described<'a> {
    Live(&'a Details),
    Past(Span),
}

/// Describes `tracks` of the stream called `name`. `onvif` names the tracks as ONVIF's replay wants
/// it (Streaming Specification §6.3).
///
/// `base` is the URL it was asked at: its hash is the session id, so that a description differs
/// from that of any other stream and host (RFC 8866 §5.2).
pub(super) fn description(
    name: &str,
    base: &str,
    tracks: &Tracks,
    of: Described<'_>,
    onvif: bool,
) -> Vec<u8> {
    let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    // The version grows with every run, as RFC 8866 §5.2 wants it to when anything changes.
    let origin = Origin::with_ip_addr(session_id(base, of), u64::from(tracks.run.0), any);
    let mut session = Session::new(origin, name);
    session.connection = Some(Connection::from_ip_addr(any));
    session.times.push(Time::new(0, 0));
    session.add_attribute_with_value("control", "*");
    match of {
        Described::Live(_) => session.add_attribute_with_value("range", "npt=now-"),
        Described::Past(span) => {
            if !onvif {
                // Players seek by seconds where they may, and take the first range for theirs.
                session.add_attribute_with_value("range", span.to_npt(span.from));
            }
            session.add_attribute_with_value("range", span.to_header());
        }
    }
    session.medias = tracks.list.iter().map(media).collect();
    if let Described::Live(details) = of {
        for (media, track) in session.medias.iter_mut().zip(&tracks.list) {
            detail(media, track.id, details);
        }
    }
    if onvif {
        name_tracks(&mut session.medias);
    }
    let mut out = Vec::new();
    session.write(&mut out).expect("writing to memory does not fail");
    out
}

/// Decimal digits that identify `base` and the dates that are described: FNV-1a, cut to what a
/// signed number of 64 bits holds.
fn session_id(base: &str, of: Described<'_>) -> String {
    let dates = match of {
        Described::Live(_) => String::new(),
        Described::Past(span) => span.to_header(),
    };
    let hash = base.bytes().chain(dates.bytes()).fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash >> 1).to_string()
}

/// Adds what is known of `track` to its section. A group has its own address with its time to live,
/// and the port on which a receiver hears it (RFC 8866 §5.7, §5.14).
fn detail(media: &mut Media, track: TrackId, details: &Details) {
    if let Some((_, rate)) = details.rates.iter().find(|(of, _)| *of == track) {
        media.add_bandwidth(Bandwidth::new(BandwidthType::As, u64::from(*rate)));
    }
    if let Some((_, group)) = details.groups.iter().find(|(of, _)| *of == track) {
        let mut connection = Connection::from_ip_addr(IpAddr::V4(group.address));
        connection.connection_address = format!("{}/{}", group.address, group.ttl);
        (media.port, media.connections) = (group.port, vec![connection]);
    }
}

/// `VIDEO001`, `AUDIO001` and so on.
fn name_tracks(medias: &mut [Media]) {
    let (mut videos, mut audios) = (0, 0);
    for media in medias {
        let (word, count) = match media.media.as_str() {
            "video" => ("VIDEO", &mut videos),
            _ => ("AUDIO", &mut audios),
        };
        *count += 1;
        media.add_attribute_with_value("x-onvif-track", format!("{word}{count:03}"));
    }
}

fn media(track: &Track) -> Media {
    let told = describe(&track.params, track.id);
    let kind = match told.kind {
        Kind::Video => MediaType::Video,
        Kind::Audio => MediaType::Audio,
    };
    let mut media = Media::new(kind, 0, TransportProto::RtpAvp, told.payload_type);
    media.add_attribute_with_value("rtpmap", format!("{} {}", told.payload_type, told.rtpmap));
    if let Some(fmtp) = told.fmtp {
        media.add_attribute_with_value("fmtp", format!("{} {fmtp}", told.payload_type));
    }
    if let Shape::Video { frame_secs: Some((secs, frames)), .. } = track.params.shape
        && secs > 0
    {
        let rate = (f64::from(frames) / f64::from(secs) * 1_000.0).round() / 1_000.0;
        media.add_attribute_with_value("framerate", rate);
    }
    media.add_attribute_with_value("control", control(track.id));
    media
}
