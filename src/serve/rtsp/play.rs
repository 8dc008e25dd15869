//! One reader that plays: which packets go where, and the sender reports between them.
//!
//! Owns: routes and report state. Does not own: sockets.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::send_queue::SendQueue;
use super::udp::UdpPair;
use crate::base::time::{BootTime, WallTime};
use crate::live::rtsp::PacketReader;
use crate::media::{OpenStart, RunId, TrackId};
use crate::playback::{PlayStart, PlaybackNext, PlaybackSession, RtpTracks};
use crate::rtp::{Format, RtpUnit};
use crate::stream::Next;
use crate::wire::rtp::rtcp::{NtpBase, Sent, farewell};
use crate::wire::rtp::{HEADER_BYTES, Packetizer, Packets, interleaved};
use crate::wire::rtsp::{Route, Routed, Start};

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
    /// It has played live before, and where its numbers continue is not known yet.
    resumes: bool,
    /// Added to live media times, so that they do not step back after a pause.
    shift_nanos: i64,
    /// Its beginning in a run, behind which pictures that cannot be decoded are left out.
    start: (Option<RunId>, OpenStart),
}

/// What comes next for a reader.
#[derive(Debug)]
pub(super) enum PlayNext {
    /// A unit to send.
    Unit(Arc<RtpUnit>),
    /// So many units were skipped; what follows is a place to begin.
    Lagged(u64),
    /// The range that was asked for is over; see [`Play::part`].
    RangeOver,
    /// There is nothing more.
    Ended,
}

impl From<Next<RtpUnit>> for PlayNext {
    fn from(next: Next<RtpUnit>) -> Self {
        match next {
            Next::Item(unit) => Self::Unit(unit),
            Next::Lagged(units) => Self::Lagged(units),
            Next::Ended => Self::Ended,
        }
    }
}

/// Where units come from.
#[derive(Debug)]
pub(super) enum PlaySource {
    /// What comes live, packed once for all readers.
    Live(PacketReader),
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
    /// The run of the unit that was sent last: at another one media time restarts.
    run: Option<RunId>,
    /// Number of the packet that comes next.
    sequence: Option<u16>,
    /// The latest time stamp that was sent.
    latest: Option<u32>,
    /// Added to the numbers of shared packets: this reader's continue over its pauses.
    sequence_shift: u16,
    clock_rate: Option<NonZeroU32>,
}

/// How far behind the latest picture the next one is after a pause, when that begins with pictures
/// that were sent before.
const RESUME_STEP_NANOS: i64 = 40_000_000;
/// How far back pictures that come again can lie.
const RESUME_BACK_NANOS_MAX: i64 = 600_000_000_000;

/// Where packets go.
pub(super) struct PacketSink<'a> {
    pub(super) tcp: &'a mut SendQueue,
    pub(super) udp: Option<&'a mut UdpPair>,
}

impl Play {
    /// Sends what `source` gives along `routes`.
    pub(super) fn new(source: PlaySource, routes: &[Routed], cname: String) -> Self {
        Self {
            source,
            ended: "the stream ended",
            tracks: routes.iter().map(|&routed| TrackOut::new(routed)).collect(),
            ntp: NtpBase::default(),
            cname,
            resumes: false,
            shift_nanos: 0,
            start: <_>::default(),
        }
    }

    /// Sends nothing until it resumes, but keeps its numbers.
    pub(super) fn pause(&mut self) {
        self.source = PlaySource::Nothing;
    }

    /// Whether there is something that it sends.
    pub(super) fn is_playing(&self) -> bool {
        !matches!(self.source, PlaySource::Nothing)
    }

    /// Plays live again along `routes`. The numbers of each track continue (RFC 2326 appendix B)
    /// although packets that it had before may come again.
    pub(super) fn resume(&mut self, reader: PacketReader, routes: &[Routed]) {
        let mut old = std::mem::take(&mut self.tracks);
        let track = |&routed: &Routed| match old.iter().position(|o| o.routed.track == routed.track)
        {
            Some(at) => TrackOut { routed, run: None, ..old.swap_remove(at) },
            None => TrackOut::new(routed),
        };
        self.tracks = routes.iter().map(track).collect();
        (self.source, self.ntp) = (PlaySource::Live(reader), NtpBase::default());
        (self.resumes, self.shift_nanos, self.start) = (true, 0, <_>::default());
    }

    /// Where each track begins for this reader, when it does where `starts` says.
    pub(super) fn begin_at(&mut self, starts: &[Start]) -> Vec<Start> {
        if !std::mem::take(&mut self.resumes) {
            return starts.to_vec();
        }
        let at = |track: TrackId| starts.iter().find(|start| start.track == track);
        let behind = |out: &TrackOut| {
            let (latest, rate, start) = (out.latest?, out.clock_rate?, at(out.routed.track)?);
            let ticks = i64::from(latest.wrapping_sub(start.timestamp).cast_signed());
            let nanos = ticks * 1_000_000_000 / i64::from(rate.get()) + RESUME_STEP_NANOS;
            // No group of pictures is so long: the difference has wrapped.
            (nanos < RESUME_BACK_NANOS_MAX).then_some(nanos)
        };
        self.shift_nanos = self.tracks.iter().filter_map(behind).max().unwrap_or(0).max(0);
        for out in &mut self.tracks {
            let begin = at(out.routed.track).zip(out.sequence);
            out.sequence_shift = begin.map_or(0, |(start, next)| next.wrapping_sub(start.sequence));
        }
        let shifted = |out: &TrackOut| {
            let start = at(out.routed.track)?;
            let ticks = out.clock_rate.map(|rate| ticks(self.shift_nanos, rate));
            Some(Start {
                sequence: start.sequence.wrapping_add(out.sequence_shift),
                timestamp: start.timestamp.wrapping_add(ticks.unwrap_or(0)),
                ..*start
            })
        };
        self.tracks.iter().filter_map(shifted).collect()
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
        // What is packed for this reader alone needs no correction.
        (self.resumes, self.shift_nanos) = (false, 0);
        for out in &mut self.tracks {
            (out.run, out.sequence_shift) = (None, 0);
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
    pub(super) async fn next(&mut self) -> PlayNext {
        loop {
            let next = match &mut self.source {
                PlaySource::Live(reader) => reader.next().await.into(),
                PlaySource::Past(replay) => match replay.next().await {
                    PlaybackNext::Unit(unit) => PlayNext::Unit(unit),
                    PlaybackNext::Over => PlayNext::RangeOver,
                    PlaybackNext::Ended(reason) => {
                        self.ended = reason;
                        PlayNext::Ended
                    }
                },
                PlaySource::Nothing => std::future::pending().await,
            };
            if let Some(next) = self.admit(next) {
                return next;
            }
        }
    }

    /// The next unit if there is one now.
    pub(super) fn try_next(&mut self) -> Option<PlayNext> {
        loop {
            let next = match &mut self.source {
                PlaySource::Live(reader) => reader.try_next().map(PlayNext::from),
                PlaySource::Past(replay) => replay.try_next().map(PlayNext::Unit),
                PlaySource::Nothing => None,
            };
            if let Some(next) = self.admit(next?) {
                return Some(next);
            }
        }
    }

    /// `next`, unless it is a picture that cannot be decoded by one who begins where this reader did.
    /// The numbers of what follows close up, so that it does not look like a loss.
    fn admit(&mut self, next: PlayNext) -> Option<PlayNext> {
        let unit = match &next {
            PlayNext::Unit(unit) if self.shared().is_some() => unit,
            PlayNext::Lagged(_) => {
                self.start = <_>::default();
                return Some(next);
            }
            // The past is chosen before it is packed.
            PlayNext::Unit(_) | PlayNext::RangeOver | PlayNext::Ended => return Some(next),
        };
        if self.start.0 != Some(unit.run) {
            self.start = (Some(unit.run), OpenStart::default());
        }
        if !self.start.1.skips(unit.role) {
            return Some(next);
        }
        if let Some(out) = self.tracks.iter_mut().find(|out| out.routed.track == unit.track) {
            #[allow(clippy::cast_possible_truncation)] // sequence numbers wrap
            let packets = unit.packets.len() as u16;
            out.sequence_shift = out.sequence_shift.wrapping_sub(packets);
        }
        None
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
    pub(super) fn shared(&self) -> Option<&PacketReader> {
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
        if self.resumes && !unit.starts.is_empty() {
            self.begin_at(&unit.starts);
        }
        let wanted = |out: &&mut TrackOut| out.routed.track == unit.track;
        let Some(out) = self.tracks.iter_mut().find(wanted) else { return Ok(()) };
        if *out.format.get_or_insert(unit.format) != unit.format {
            return Err(FormatChanged);
        }
        if unit.packets.is_empty() {
            return Ok(());
        }
        let ticks = ticks(self.shift_nanos, unit.present.rate);
        let timestamp = unit.timestamp.wrapping_add(ticks);
        let new_run = out.run.replace(unit.run) != Some(unit.run);
        if out.sent.is_due(now) || new_run {
            let wall = self.ntp.tell(unit.run, unit.present, unit.captured);
            let (wall, reported) = match &self.source {
                // Time stamps are the recording's, and the extension has the dates.
                PlaySource::Past(replay) if replay.is_unpaced() => (WallTime::NTP_ZERO, 0),
                _ => (wall, timestamp),
            };
            let report = out.sent.report(now, ssrc(unit), reported, wall, &self.cname);
            sink.report(now, out.routed.route, report);
        }
        let shifted;
        let packets = if (out.sequence_shift, ticks) == (0, 0) {
            &unit.packets
        } else {
            shifted = unit.packets.renumbered(out.sequence_shift, ticks);
            &shifted
        };
        out.note(packets, timestamp, unit.present.rate);
        sink.media(now, out.routed, packets, unit.gap);
        Ok(())
    }
}

impl TrackOut {
    fn new(routed: Routed) -> Self {
        Self {
            routed,
            sent: Sent::default(),
            format: None,
            run: None,
            sequence: None,
            latest: None,
            sequence_shift: 0,
            clock_rate: None,
        }
    }

    /// Counts `packets` of `timestamp`, which are sent now.
    fn note(&mut self, packets: &Packets, timestamp: u32, rate: NonZeroU32) {
        self.sequence = packets.next_sequence();
        self.clock_rate = Some(rate);
        let is_ahead = |latest: u32| timestamp.wrapping_sub(latest).cast_signed() > 0;
        if self.latest.is_none_or(is_ahead) {
            self.latest = Some(timestamp);
        }
        self.sent.count(packets.len(), packets.octets());
    }
}

/// `nanos` in ticks of `rate`, of which only the low 32 bits are sent.
fn ticks(nanos: i64, rate: NonZeroU32) -> u32 {
    if nanos == 0 {
        return 0;
    }
    let ticks = i128::from(nanos) * i128::from(rate.get()) / 1_000_000_000;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let low = ticks as u32;
    low
}

/// The synchronisation source, as in the packets.
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

    fn media(&mut self, now: BootTime, routed: Routed, packets: &Packets, gap: Duration) {
        match (routed.route, &mut self.udp) {
            (Route::Tcp { rtp, .. }, _) => self.tcp.push(now, framed(routed.track, rtp, packets)),
            (Route::Udp { rtp, .. }, Some(udp)) => {
                udp.push(packets.clone(), rtp, gap);
            }
            (Route::Udp { .. }, None) | (Route::Multicast, _) => {}
        }
    }
}

/// The shared bytes when the reader uses the channel they were framed for, else a copy.
fn framed(track: TrackId, channel: u8, packets: &Packets) -> Bytes {
    if channel == Packetizer::channel_of(track) {
        packets.framed().clone()
    } else {
        packets.reframed(channel)
    }
}
