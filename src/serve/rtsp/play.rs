//! One reader that plays: which packets go where, and the sender reports between them.
//!
//! Owns: routes and report state. Does not own: sockets.

use std::sync::Arc;

use bytes::Bytes;

use super::outgoing::Outgoing;
use super::udp::UdpPair;
use crate::base::time::BootTime;
use crate::bus::Next;
use crate::media::TrackId;
use crate::sink::rtsp_play::{Enrolled, Format, Lane, Reader, RtpUnit};
use crate::wire::rtp::rtcp::{NtpBase, Sent};
use crate::wire::rtp::{HEADER_BYTES, Packer, interleaved};
use crate::wire::rtsp::{Route, Routed};

/// A track became another codec: the receiver's description no longer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FormatChanged;

/// One reader that plays.
#[derive(Debug)]
pub(super) struct Play {
    reader: Reader,
    tracks: Vec<TrackOut>,
    ntp: NtpBase,
    cname: String,
}

#[derive(Debug)]
struct TrackOut {
    routed: Routed,
    sent: Sent,
    format: Option<Format>,
}

/// Where packets go.
pub(super) struct Exits<'a> {
    pub(super) tcp: &'a mut Outgoing,
    pub(super) udp: Option<&'a mut UdpPair>,
}

impl Play {
    /// Sends what `reader` gives along `routes`.
    pub(super) fn new(reader: Reader, routes: &[Routed], cname: String) -> Self {
        let track = |&routed| TrackOut { routed, sent: Sent::default(), format: None };
        let tracks = routes.iter().map(track).collect();
        Self { reader, tracks, ntp: NtpBase::default(), cname }
    }

    /// Leaves only the tracks of `routes`.
    pub(super) fn reroute(&mut self, routes: &[Routed]) {
        self.tracks.retain(|out| routes.contains(&out.routed));
    }

    /// Whether the peer gets `track`.
    pub(super) fn carries(&self, track: TrackId) -> bool {
        self.tracks.iter().any(|out| out.routed.track == track)
    }

    /// Waits for the next unit. Cancel safe.
    pub(super) async fn next(&mut self) -> Next<RtpUnit> {
        self.reader.next().await
    }

    /// The next unit if there is one now.
    pub(super) fn try_next(&mut self) -> Option<Next<RtpUnit>> {
        self.reader.try_next()
    }

    /// Lets the packer serve `lane`, which holds this from time to time.
    pub(super) fn enrol(&self, lane: Arc<dyn Lane>) -> Enrolled {
        self.reader.enrol(lane)
    }

    /// Sends `unit`, behind a sender report when one is due.
    pub(super) fn send(
        &mut self,
        now: BootTime,
        unit: &RtpUnit,
        mut exits: Exits<'_>,
    ) -> Result<(), FormatChanged> {
        let wanted = |out: &&mut TrackOut| out.routed.track == unit.track;
        let Some(out) = self.tracks.iter_mut().find(wanted) else { return Ok(()) };
        if *out.format.get_or_insert(unit.format) != unit.format {
            return Err(FormatChanged);
        }
        if unit.packets.is_empty() {
            return Ok(());
        }
        if out.sent.is_due(now) {
            let wall = self.ntp.tell(unit.run, unit.present, unit.captured);
            let ssrc = ssrc(unit);
            let report = out.sent.report(now, ssrc, unit.timestamp, wall, &self.cname);
            exits.report(now, out.routed.route, report);
        }
        out.sent.count(unit.packets.len(), unit.packets.octets());
        exits.media(now, out.routed, unit);
        Ok(())
    }
}

/// The synchronisation source, as it stands in the packets.
fn ssrc(unit: &RtpUnit) -> u32 {
    let bytes = unit.packets.datagram(0).get(8..HEADER_BYTES);
    bytes.and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes)
}

impl Exits<'_> {
    fn report(&mut self, now: BootTime, route: Route, report: Bytes) {
        match (route, &mut self.udp) {
            (Route::Tcp { rtcp, .. }, _) => self.tcp.push(now, interleaved(rtcp, &report)),
            (Route::Udp { rtcp, .. }, Some(udp)) => {
                udp.push_report(report, rtcp);
            }
            (Route::Udp { .. }, None) | (Route::Multicast, _) => {}
        }
    }

    fn media(&mut self, now: BootTime, routed: Routed, unit: &RtpUnit) {
        match (routed.route, &mut self.udp) {
            (Route::Tcp { rtp, .. }, _) => self.tcp.push(now, framed(routed.track, rtp, unit)),
            (Route::Udp { rtp, .. }, Some(udp)) => {
                udp.push(unit.packets.clone(), rtp, unit.gap);
            }
            (Route::Udp { .. }, None) | (Route::Multicast, _) => {}
        }
    }
}

/// The shared bytes when the reader uses the channel they were framed for, else a copy.
fn framed(track: TrackId, channel: u8, unit: &RtpUnit) -> Bytes {
    if channel == Packer::channel_of(track) {
        unit.packets.framed().clone()
    } else {
        unit.packets.reframed(channel)
    }
}
