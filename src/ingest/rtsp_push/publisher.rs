//! One publisher: packets in, units out, receiver reports back.
//!
//! Owns: its tracks and its deadlines. Reads no clock: `now` comes in. The contract: after each
//! [`receive`](Publisher::receive), and when [`deadline`](Publisher::deadline) has come,
//! [`advance`](Publisher::advance).

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use super::error::{PushError, Unseated};
use super::seat::Seat;
use crate::base::limits::{
    PULL_FIRST_FRAME_TIME_MAX, PULL_IDLE_TIME_MAX, SDP_MEDIA_MAX, SOURCE_BYTES_PER_SEC_MAX,
    SOURCE_RATE_WINDOW,
};
use crate::base::time::{BootTime, SharedClock};
use crate::ingest::rtp::{Depacketizer, FloodGate, LaneSpec, Now, Progress, Run, Unpacked};
use crate::media::{Kind, TrackId};
use crate::wire::rtp::rtcp::sender_time;
use crate::wire::rtp::{
    Delivery, JitterBuffer, OrderedPacket, ReceiverStats, RtpPacket, TimestampUnwrapper,
};
use crate::wire::rtsp::SessionDescription;

/// How the packets of a track come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carriage {
    /// Inside the RTSP connection, in order.
    Tcp,
    /// As datagrams, in any order.
    Udp,
}

/// A packet that came of one track.
#[derive(Clone, Debug)]
pub enum Came {
    /// Media.
    Rtp(Bytes),
    /// A report.
    Rtcp(Bytes),
}

/// Seconds by which another sender's first packet is put behind the last of the one before, so
/// that the clock sees the leap that it is.
const FRESH_SECS: i64 = 3_600;

/// One publisher. Dropping it frees the seat.
#[derive(Debug)]
pub struct Publisher {
    seat: Arc<Seat>,
    number: u64,
    holder: watch::Receiver<u64>,
    run: Run,
    lanes: Vec<Lane>,
    gate: FloodGate,
    clock: SharedClock,
    /// When it came, then when the picture last went on.
    progress: BootTime,
    /// Any frame at all could be read.
    readable: bool,
    /// The synchronisation source of our reports; one per track from here on.
    ssrc: u32,
    why: PushError,
}

/// One track.
#[derive(Debug)]
pub(super) struct Lane {
    /// Its number in the offer.
    track: TrackId,
    payload_type: u8,
    clock_rate: std::num::NonZeroU32,
    buffer: JitterBuffer,
    unwrapper: TimestampUnwrapper,
    ssrc: Option<u32>,
    stats: Option<ReceiverStats>,
    depacketizer: Depacketizer,
}

/// The first video and the first audio track of `tracks` that we carry, video first.
pub(super) fn lanes(
    offer: &SessionDescription,
    tracks: &[(TrackId, Carriage)],
) -> Result<Vec<(Lane, LaneSpec)>, Unseated> {
    let mut chosen: Vec<(Lane, LaneSpec)> = Vec::new();
    for (track, carriage) in tracks {
        let Some(medium) = offer.media.get(usize::from(track.0)) else { continue };
        let Some((depacketizer, spec)) = Depacketizer::open(medium) else { continue };
        if chosen.iter().any(|(_, other)| other.kind == spec.kind) {
            continue;
        }
        let delivery = match carriage {
            Carriage::Tcp => Delivery::InOrder,
            Carriage::Udp => Delivery::AnyOrder,
        };
        let lane = Lane {
            track: *track,
            payload_type: medium.payload_type,
            clock_rate: spec.clock_rate,
            buffer: JitterBuffer::new(delivery),
            unwrapper: TimestampUnwrapper::default(),
            ssrc: None,
            stats: None,
            depacketizer,
        };
        chosen.push((lane, spec));
    }
    if chosen.is_empty() {
        let names = offer.media.iter().take(SDP_MEDIA_MAX).map(|medium| {
            let name = medium.encoding.chars().filter(char::is_ascii_graphic).take(20);
            name.collect::<String>().to_uppercase()
        });
        return Err(Unseated::NotCarried { offers: names.collect::<Vec<_>>().join(", ") });
    }
    chosen.sort_by_key(|(_, spec)| spec.kind != Kind::Video);
    Ok(chosen)
}

impl Publisher {
    pub(super) fn new(
        seat: Arc<Seat>,
        number: u64,
        holder: watch::Receiver<u64>,
        run: Run,
        mut lanes: Vec<Lane>,
        clock: SharedClock,
        seed: u64,
    ) -> Self {
        let now = clock.boot();
        for lane in &mut lanes {
            lane.stats = Some(ReceiverStats::new(now, lane.clock_rate));
        }
        Self {
            gate: FloodGate::new(SOURCE_BYTES_PER_SEC_MAX, SOURCE_RATE_WINDOW),
            progress: now,
            readable: false,
            // Either half of a random number is one.
            ssrc: u32::try_from(seed >> 32).unwrap_or_default(),
            why: PushError::Gone,
            seat,
            number,
            holder,
            run,
            lanes,
            clock,
        }
    }

    /// Takes a packet of `track`, as the offer numbers them. What belongs to no track that is
    /// carried, or cannot be read, is let go. An error ends the publisher.
    pub fn receive(&mut self, track: TrackId, packet: Came) -> Result<(), PushError> {
        let now = self.now();
        let bytes = match &packet {
            Came::Rtp(bytes) | Came::Rtcp(bytes) => bytes.len(),
        };
        if !self.gate.pass(now.boot, bytes) {
            let max_mib_per_sec = SOURCE_BYTES_PER_SEC_MAX >> 20;
            return Err(self.ends(PushError::Flooded { max_mib_per_sec }));
        }
        let Some(index) = self.lanes.iter().position(|lane| lane.track == track) else {
            return Ok(());
        };
        match packet {
            Came::Rtp(packet) => self.lanes[index].media(now.boot, &packet),
            Came::Rtcp(packet) => {
                if let Some((ticks, ntp)) = self.lanes[index].report(now.boot, &packet) {
                    self.run.report(index, ticks, ntp, now);
                }
            }
        }
        self.advance()
    }

    /// Publishes whatever is in turn by now. An error ends the publisher.
    pub fn advance(&mut self) -> Result<(), PushError> {
        let now = self.now();
        let seat = Arc::clone(&self.seat);
        let done = seat.hold(self.number, || {
            for index in 0..self.lanes.len() {
                while let Some(ordered) = self.lanes[index].buffer.poll(now.boot) {
                    self.unpack(index, ordered, now);
                }
            }
            Ok(())
        });
        done.and_then(|()| self.overdue(now.boot)).map_err(|why| self.ends(why))
    }

    fn unpack(&mut self, index: usize, ordered: OrderedPacket, now: Now) {
        let lane = &mut self.lanes[index];
        let packet = &ordered.packet;
        if ordered.fresh && lane.ssrc != Some(packet.ssrc) {
            let by = i64::from(lane.clock_rate.get()) * FRESH_SECS;
            lane.unwrapper.begin_anew(packet.timestamp, by);
        }
        lane.ssrc = Some(packet.ssrc);
        let ticks = lane.unwrapper.advance(packet.timestamp);
        let lost = ordered.lost.max(u16::from(ordered.fresh));
        let (run, readable) = (&mut self.run, &mut self.readable);
        let knows = !run.lacks_params(index);
        let mut progressed = false;
        lane.depacketizer.push(packet, ticks, lost, knows, &mut |unpacked: Unpacked| {
            let Unpacked { frame, params } = unpacked;
            *readable = true;
            if let Some(params) = params {
                run.reshape(index, params);
            }
            progressed |= run.place(index, frame, now) == Progress::Frame;
        });
        if progressed {
            self.progress = now.boot;
        }
    }

    fn overdue(&self, now: BootTime) -> Result<(), PushError> {
        let waited = now.since(self.progress);
        if self.run.has_begun() {
            let most = PULL_IDLE_TIME_MAX;
            return if waited < most { Ok(()) } else { Err(PushError::Stalled { waited: most }) };
        }
        if waited < PULL_FIRST_FRAME_TIME_MAX {
            return Ok(());
        }
        let what = if self.readable { "key frame" } else { "frame that can be read" };
        Err(PushError::NoFirstFrame { what, waited: PULL_FIRST_FRAME_TIME_MAX })
    }

    /// Receiver reports that are due, each with the track it belongs to.
    pub fn reports(&mut self) -> Vec<(TrackId, Bytes)> {
        let now = self.clock.boot();
        let own = self.ssrc;
        let reports = (0u32..).zip(&mut self.lanes).filter_map(|(n, lane)| {
            let report = lane.stats.as_mut()?.report(now, own.wrapping_add(n), "holdfast")?;
            Some((lane.track, report))
        });
        reports.collect()
    }

    /// When to [`advance`](Self::advance) and ask for [`reports`](Self::reports), if nothing
    /// comes before.
    #[must_use]
    pub fn deadline(&self) -> BootTime {
        let most =
            if self.run.has_begun() { PULL_IDLE_TIME_MAX } else { PULL_FIRST_FRAME_TIME_MAX };
        let lanes = self.lanes.iter().flat_map(|lane| {
            [lane.buffer.deadline(), lane.stats.as_ref().and_then(ReceiverStats::deadline)]
        });
        lanes.flatten().fold(self.progress.after(most), BootTime::min)
    }

    /// Waits until it has the seat no more. Cancel safe.
    pub async fn displaced(&mut self) -> PushError {
        let number = self.number;
        // The seat lives as long as this publisher does, so waiting cannot fail.
        let _ = self.holder.wait_for(|holder| *holder != number).await;
        self.seat.displacement(number).unwrap_or(PushError::Stopped)
    }

    /// Says why it ends, for the people who wonder where the stream is. Without a word it is
    /// that the connection ended.
    pub fn ends(&mut self, why: PushError) -> PushError {
        self.why = why.clone();
        why
    }

    fn now(&self) -> Now {
        Now { boot: self.clock.boot(), wall: self.clock.wall() }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.seat.leave(self.number, &self.why);
    }
}

impl Lane {
    /// Takes a packet into the order; what is no RTP of this track is let go.
    fn media(&mut self, now: BootTime, packet: &Bytes) {
        let Some(packet) = RtpPacket::parse(packet) else { return };
        if packet.payload_type != self.payload_type {
            return;
        }
        // The payload is shared, not copied.
        let arrived = packet.clone();
        if self.buffer.receive(now, packet)
            && let Some(reception) = &mut self.stats
        {
            reception.receive(now, &arrived);
        }
    }

    /// What a sender report says: this RTP time is that date.
    fn report(&mut self, now: BootTime, packet: &[u8]) -> Option<(i64, u64)> {
        let told = sender_time(packet).filter(|told| Some(told.ssrc) == self.ssrc)?;
        self.stats.as_mut()?.sender_report(now, told.ssrc, told.ntp);
        Some((self.unwrapper.place(told.timestamp)?, told.ntp))
    }
}
