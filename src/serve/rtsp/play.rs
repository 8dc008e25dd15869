//! One reader that plays: which packets go where, and the sender reports between them.
//!
//! Owns: routes and report state. Does not own: sockets.

use bytes::Bytes;

use super::send_queue::SendQueue;
use super::udp::UdpPair;
use crate::base::time::{BootTime, WallTime};
use crate::live::rtsp::Reader;
use crate::media::{RunId, TrackId};
use crate::playback::{PlayStart, PlaybackNext, PlaybackSession, RtpTracks};
use crate::rtp::{Format, RtpUnit};
use crate::stream::Next;
use crate::wire::rtp::rtcp::{NtpBase, Sent, farewell};
use crate::wire::rtp::{HEADER_BYTES, Packetizer, interleaved};
use crate::wire::rtsp::{Route, Routed};

/// A track became another codec: the receiver's description no longer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FormatChanged;

/// One reader that plays.
#[derive(Debug)]
pub(super) struct Play {
    source: PlaySource,
    /// Why the source ended.
    ended: &'static str,
    tracks: Vec<TrackOut>,
    ntp: NtpBase,
    cname: String,
}

/// Where units come from.
#[derive(Debug)]
pub(super) enum PlaySource {
    /// What comes live, packed once for all readers.
    Live(Reader),
    /// The past, packed for this reader.
    Past(Box<PlaybackSession>),
    /// Nothing yet.
    Nothing,
}

#[derive(Debug)]
struct TrackOut {
    routed: Routed,
    sent: Sent,
    format: Option<Format>,
    /// The run of the unit that was sent last: at another one media time begins anew.
    run: Option<RunId>,
    /// Number of the packet that comes next.
    sequence: Option<u16>,
}

/// Where packets go.
pub(super) struct PacketSink<'a> {
    pub(super) tcp: &'a mut SendQueue,
    pub(super) udp: Option<&'a mut UdpPair>,
}

impl Play {
    /// Sends what `source` gives along `routes`.
    pub(super) fn new(source: PlaySource, routes: &[Routed], cname: String) -> Self {
        let track = |&routed| {
            let (sent, format, run, sequence) = (Sent::default(), None, None, None);
            TrackOut { routed, sent, format, run, sequence }
        };
        let tracks = routes.iter().map(track).collect();
        Self { source, ended: "the stream ended", tracks, ntp: NtpBase::default(), cname }
    }

    /// Goes over to what `next` gives, which was made ready: its packets are counted on.
    pub(super) fn turn_to(
        &mut self,
        mut next: Box<PlaybackSession>,
        ssrc: impl Fn(TrackId) -> Option<u32>,
    ) -> PlayStart {
        let voice = |out: &TrackOut| {
            let track = out.routed.track;
            Some((track, ssrc(track)?, out.sequence.unwrap_or_else(|| fastrand::u16(..))))
        };
        let voices = match &mut self.source {
            PlaySource::Past(replay) => replay.take_rtp_tracks(),
            PlaySource::Live(_) | PlaySource::Nothing => {
                RtpTracks::new(self.tracks.iter().filter_map(voice))
            }
        };
        let beginning = next.begin(voices);
        (self.source, self.ntp) = (PlaySource::Past(next), NtpBase::default());
        for out in &mut self.tracks {
            out.run = None;
        }
        beginning
    }

    /// The past, if it plays that.
    pub(super) fn past(&mut self) -> Option<&mut PlaybackSession> {
        match &mut self.source {
            PlaySource::Past(replay) => Some(replay),
            PlaySource::Live(_) | PlaySource::Nothing => None,
        }
    }

    /// Why there is nothing more.
    pub(super) fn ended(&self) -> &'static str {
        self.ended
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
        match &mut self.source {
            PlaySource::Live(reader) => reader.next().await,
            PlaySource::Past(replay) => match replay.next().await {
                PlaybackNext::Unit(unit) => Next::Item(unit),
                // Nothing to send, but to say so: see `part`.
                PlaybackNext::Over => Next::Lagged(0),
                PlaybackNext::Ended(reason) => {
                    self.ended = reason;
                    Next::Ended
                }
            },
            PlaySource::Nothing => std::future::pending().await,
        }
    }

    /// The next unit if there is one now.
    pub(super) fn try_next(&mut self) -> Option<Next<RtpUnit>> {
        match &mut self.source {
            PlaySource::Live(reader) => reader.try_next(),
            PlaySource::Past(replay) => replay.try_next().map(Next::Item),
            PlaySource::Nothing => None,
        }
    }

    /// Says once that nothing more comes, when nothing does: the range was closed and is over.
    pub(super) fn part(&mut self, now: BootTime, mut sink: PacketSink<'_>) {
        let PlaySource::Past(replay) = &mut self.source else { return };
        if !replay.takes_leave() {
            return;
        }
        for (out, ssrc) in
            self.tracks.iter().filter_map(|out| Some((out, replay.ssrc(out.routed.track)?)))
        {
            sink.report(now, out.routed.route, farewell(ssrc, &self.cname));
        }
    }

    /// The packets that it shares with other readers, if it does.
    pub(super) fn shared(&self) -> Option<&Reader> {
        match &self.source {
            PlaySource::Live(reader) => Some(reader),
            PlaySource::Past(_) | PlaySource::Nothing => None,
        }
    }

    /// Sends `unit`, behind a sender report when one is due.
    pub(super) fn send(
        &mut self,
        now: BootTime,
        unit: &RtpUnit,
        mut sink: PacketSink<'_>,
    ) -> Result<(), FormatChanged> {
        let wanted = |out: &&mut TrackOut| out.routed.track == unit.track;
        let Some(out) = self.tracks.iter_mut().find(wanted) else { return Ok(()) };
        if *out.format.get_or_insert(unit.format) != unit.format {
            return Err(FormatChanged);
        }
        if unit.packets.is_empty() {
            return Ok(());
        }
        let new_run = out.run.replace(unit.run) != Some(unit.run);
        if out.sent.is_due(now) || new_run {
            let wall = self.ntp.tell(unit.run, unit.present, unit.captured);
            let (wall, timestamp) = match &self.source {
                // Time stamps are the recording's, and the extension has the dates.
                PlaySource::Past(replay) if replay.is_unpaced() => (WallTime::NTP_ZERO, 0),
                _ => (wall, unit.timestamp),
            };
            let report = out.sent.report(now, ssrc(unit), timestamp, wall, &self.cname);
            sink.report(now, out.routed.route, report);
        }
        out.sequence = unit.packets.next_sequence();
        out.sent.count(unit.packets.len(), unit.packets.octets());
        sink.media(now, out.routed, unit);
        Ok(())
    }
}

/// The synchronisation source, as it stands in the packets.
fn ssrc(unit: &RtpUnit) -> u32 {
    let bytes = unit.packets.datagram(0).get(8..HEADER_BYTES);
    bytes.and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes)
}

impl PacketSink<'_> {
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
    if channel == Packetizer::channel_of(track) {
        unit.packets.framed().clone()
    } else {
        unit.packets.reframed(channel)
    }
}
