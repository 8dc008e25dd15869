//! The description of a stream (RFC 8866, RFC 2326 appendix C).
//!
//! Owns: the session part; what a codec says of itself stands in `wire::rtp::payload`.

use std::net::{IpAddr, Ipv4Addr};

use sdp_types::{Connection, Media, MediaType, Origin, Session, Time, TransportProto};

use super::range::Span;
use super::target::control;
use crate::media::{Kind, Shape, Track, Tracks};
use crate::wire::rtp::payload::describe;

/// Describes `tracks` of the stream called `name`: live, or of `past`. `onvif` names the tracks
/// as ONVIF's replay wants it (Streaming Specification §6.3).
pub(super) fn description(name: &str, tracks: &Tracks, past: Option<Span>, onvif: bool) -> Vec<u8> {
    let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    // The version grows with every run, as RFC 8866 §5.2 wants it to when anything changes.
    let origin = Origin::with_ip_addr("0", u64::from(tracks.run.0), any);
    let mut session = Session::new(origin, name);
    session.connection = Some(Connection::from_ip_addr(any));
    session.times.push(Time::new(0, 0));
    session.add_attribute_with_value("control", "*");
    match past {
        None => session.add_attribute_with_value("range", "npt=now-"),
        Some(span) => {
            if !onvif {
                // Players seek by seconds where they may, and take the first range for theirs.
                session.add_attribute_with_value("range", span.to_npt(span.from));
            }
            session.add_attribute_with_value("range", span.to_header());
        }
    }
    session.medias = tracks.list.iter().map(media).collect();
    if onvif {
        name_tracks(&mut session.medias);
    }
    let mut out = Vec::new();
    session.write(&mut out).expect("writing to memory does not fail");
    out
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
