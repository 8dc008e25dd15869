//! RTP that comes in, pulled or pushed: packets of a run's tracks to published units.
//!
//! Owns: the order of packets, whose they are, the receiver reports about them, and what was
//! waited for too long. Reads no clock. The contract: after [`receive`](RunInput::receive), which may
//! publish already, and when [`deadline`](RunInput::deadline) has come, [`advance`](RunInput::advance).

use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;

use super::clock::Now;
use super::depacketize::Depacketizer;
use super::flood::FloodGate;
use super::frame::Unpacked;
use super::run::{FrameProgress, RunBuilder, TrackSpec};
use super::sources::Sources;
use super::stamps::Stamps;
use super::units::{QueuedPacket, Units};
use crate::base::limits::SDP_MEDIA_MAX;
use crate::base::time::BootTime;
use crate::ingest::run::CaptureStamp;
use crate::media::Kind;
use crate::wire::rtp::rtcp::{SenderTime, sender_time};
use crate::wire::rtp::{
    Delivery, JitterBuffer, OrderedPacket, ReceiverStats, RtpPacket, TimestampUnwrapper,
};
use crate::wire::rtsp::{MediaDescription, Medium, SessionDescription};

/// Seconds by which another sender's first packet is put behind the last of the one before, so
/// that the clock sees the leap that it is.
const FRESH_SECS: i64 = 3_600;
/// A new sender whose stamps are no further than this from the last ones continues them.
const SAME_CLOCK_SECS: i64 = 10;

/// An RTP packet without a payload (RFC 3550 §5.1).
const RTP_HEAD_BYTES: usize = 12;

/// Further ahead than anything is held back.
const FINISH_AHEAD: Duration = Duration::from_secs(1);

/// Characters of what a description says of a track that are shown.
const MEDIUM_NAME_CHARS_MAX: usize = 24;

/// One track that comes in.
#[derive(Debug)]
pub(crate) struct TrackInput {
    /// Its place in the description.
    pub(crate) medium: usize,
    payload_type: u8,
    clock_rate: NonZeroU32,
    order: JitterBuffer,
    unwrap: TimestampUnwrapper,
    units: Units,
    stamps: Stamps,
    ssrc: Option<u32>,
    last_sequence: u16,
    sources: Sources,
    reception: Option<ReceiverStats>,
    /// A report of a sender of whom no packet came yet.
    early: Option<SenderTime>,
    depacketizer: Depacketizer,
    /// What `units` decided, on its way to `depacketizer`.
    cuts: Vec<QueuedPacket>,
}

/// What became of a packet.
enum Taken {
    /// It may belong to the track and waits for its turn.
    Queued,
    /// It is its turn.
    InTurn(OrderedPacket),
    Foreign,
}

/// All tracks of a run.
#[derive(Debug)]
pub(crate) struct RunInput {
    run: RunBuilder,
    tracks: Vec<TrackInput>,
    gate: FloodGate,
    /// When it began, then when the picture last advanced.
    progress: BootTime,
    /// Time between the last pictures, the longest of late.
    interval: Duration,
    /// Any packet came.
    heard: bool,
    /// Packets came that belong to no track.
    strange: bool,
    /// Any frame at all could be read.
    readable: bool,
    /// The synchronisation source of our reports; one per track from here on.
    ssrc: u32,
}

/// More came than one source may bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flooded;

/// What is missing of a first frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingFrame {
    /// No packet at all.
    Media,
    /// Any of the media that was described; others came.
    Described,
    /// None can be read.
    Readable,
    /// None can be decoded: the parameter sets are missing.
    Sets,
    /// None is one to begin with.
    KeyFrame,
}

impl MissingFrame {
    /// What is sent instead, behind "The camera sends".
    pub(crate) fn what(self) -> &'static str {
        match self {
            Self::Media => "nothing",
            Self::Described => "only media of another payload type than it describes",
            Self::Readable => "nothing that can be read",
            Self::Sets => "no parameter sets (SPS and PPS)",
            Self::KeyFrame => "no key frame",
        }
    }

    /// What to do about it.
    pub(crate) fn advice(self) -> &'static str {
        match self {
            Self::Media => "Restart it, and check its network.",
            Self::Described => "Set its codec anew, or update it.",
            Self::Readable => "Set it to H.264, without encryption.",
            Self::Sets => "Set it to send them with each key frame, or update it.",
            Self::KeyFrame => "Set its I-frame interval (GOP) to 2 s.",
        }
    }
}

/// What did not come in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overdue {
    /// A first frame.
    First(MissingFrame),
    /// The next frame, for so long.
    Next(Duration),
}

/// The first video and the first audio track of `media`, places in `description`, that we carry,
/// video first; or the names of what is offered instead.
///
/// JPEG pictures are carried `with_jpeg`, and where there is no other video: then without sound.
pub(crate) fn choose(
    description: &SessionDescription,
    media: impl IntoIterator<Item = usize>,
    with_jpeg: bool,
) -> Result<Vec<(TrackInput, TrackSpec)>, String> {
    let mut chosen: Vec<(TrackInput, TrackSpec)> = Vec::new();
    let mut jpeg = None;
    for place in media {
        let Some(medium) = description.media.get(place) else { continue };
        let Some((depacketizer, spec)) = Depacketizer::open(medium) else { continue };
        if spec.is_jpeg {
            let track = || TrackInput::new(place, medium, &spec, depacketizer);
            if with_jpeg && jpeg.is_none() {
                jpeg = Some((track(), spec));
            }
            continue;
        }
        if chosen.iter().any(|(_, other)| other.kind == spec.kind) {
            continue;
        }
        let track = TrackInput::new(place, medium, &spec, depacketizer);
        chosen.push((track, spec));
    }
    if let Some(jpeg) = jpeg
        && chosen.iter().all(|(_, spec)| spec.kind != Kind::Video)
    {
        chosen = vec![jpeg];
    }
    if chosen.is_empty() {
        let names = description.media.iter().take(SDP_MEDIA_MAX).map(|medium| {
            let name = medium.encoding.chars().filter(char::is_ascii_graphic).take(20);
            name.collect::<String>().to_uppercase()
        });
        return Err(names.filter(|name| !name.is_empty()).collect::<Vec<_>>().join(", "));
    }
    chosen.sort_by_key(|(_, spec)| spec.kind != Kind::Video);
    Ok(chosen)
}

/// The tracks of `description` that are left out where `chosen` are taken, by their places: what
/// they are, such as `audio L16`.
pub(crate) fn not_carried(
    description: &SessionDescription,
    chosen: &[(TrackInput, TrackSpec)],
) -> Vec<(usize, String)> {
    let media = description.media.iter().take(SDP_MEDIA_MAX).enumerate();
    let left = media.filter(|(place, _)| chosen.iter().all(|(track, _)| track.medium != *place));
    left.map(|(place, medium)| (place, name_of(medium))).collect()
}

/// What people call a track. Whatever the peer wrote, it is short and can be shown.
fn name_of(medium: &MediaDescription) -> String {
    let shown = |text: &str| -> String {
        text.chars().filter(char::is_ascii_graphic).take(MEDIUM_NAME_CHARS_MAX).collect()
    };
    let (kind, encoding) = (shown(&medium.kind), shown(&medium.encoding).to_uppercase());
    if encoding.is_empty() { kind } else { format!("{kind} {encoding}") }
}

impl RunInput {
    /// Begins at `now`; `ssrc` is the first of those that reports carry.
    pub(crate) fn new(
        now: BootTime,
        run: RunBuilder,
        mut tracks: Vec<TrackInput>,
        gate: FloodGate,
        ssrc: u32,
    ) -> Self {
        for track in &mut tracks {
            track.reception = Some(ReceiverStats::new(now, track.clock_rate));
        }
        Self {
            run,
            tracks,
            gate,
            progress: now,
            interval: Duration::ZERO,
            heard: false,
            strange: false,
            readable: false,
            ssrc,
        }
    }

    /// Takes a packet of the medium at this place of the description. What belongs to no track
    /// that is carried, or cannot be read, is dropped and counted.
    pub(crate) fn receive(
        &mut self,
        now: Now,
        medium: usize,
        kind: Medium,
        packet: &Bytes,
    ) -> Result<(), Flooded> {
        if !self.gate.pass(now.boot, packet.len()) {
            return Err(Flooded);
        }
        let Some(index) = self.tracks.iter().position(|track| track.medium == medium) else {
            return Ok(());
        };
        match kind {
            Medium::Rtp => {
                let taken = self.tracks[index].media(now.boot, packet);
                self.heard |= !matches!(taken, Taken::Foreign);
                match taken {
                    // Before the next one comes: whose that is depends on what waits.
                    Taken::Queued => self.take_in_turn(index, now),
                    Taken::InTurn(ordered) => self.cut(index, ordered, now),
                    Taken::Foreign => {
                        self.strange |= packet.len() > RTP_HEAD_BYTES;
                        self.run.count_foreign();
                    }
                }
            }
            Medium::Rtcp => {
                if let Some((ticks, ntp)) = self.tracks[index].report(now.boot, packet) {
                    self.run.report(index, ticks, ntp, now);
                }
            }
        }
        Ok(())
    }

    /// Publishes whatever is in turn by now.
    pub(crate) fn advance(&mut self, now: Now) {
        for index in 0..self.tracks.len() {
            self.take_in_turn(index, now);
            let TrackInput { units, cuts, .. } = &mut self.tracks[index];
            units.advance(now.boot, &mut |cut| cuts.push(cut));
            self.unpack(index, now);
        }
    }

    fn take_in_turn(&mut self, index: usize, now: Now) {
        while let Some(ordered) = self.tracks[index].order.poll(now.boot) {
            self.cut(index, ordered, now);
        }
    }

    fn cut(&mut self, index: usize, ordered: OrderedPacket, now: Now) {
        let track = &mut self.tracks[index];
        let OrderedPacket { packet, lost, fresh } = ordered;
        let mut lost = lost;
        if fresh && track.ssrc != Some(packet.ssrc) && !track.goes_on(&packet) {
            let by = i64::from(track.clock_rate.get()) * FRESH_SECS;
            track.unwrap.begin_anew(packet.timestamp, by);
            lost = lost.max(1);
        } else if fresh && track.ssrc == Some(packet.ssrc) {
            lost = lost.max(1);
        }
        track.ssrc = Some(packet.ssrc);
        track.last_sequence = packet.sequence;
        let ticks = track.unwrap.advance(packet.timestamp);
        if let Some((ticks, ntp)) = track.early_report(now.boot) {
            self.run.report(index, ticks, ntp, now);
        }
        let cut = QueuedPacket { packet, ticks, lost };
        let TrackInput { units, stamps, cuts, .. } = track;
        units.push(now.boot, cut, stamps, &mut |cut| cuts.push(cut));
        self.unpack(index, now);
    }

    /// Publishes what the packets make that were cut.
    fn unpack(&mut self, index: usize, now: Now) {
        let TrackInput { units, cuts, depacketizer, .. } = &mut self.tracks[index];
        let (run, readable) = (&mut self.run, &mut self.readable);
        let mut progressed = false;
        for QueuedPacket { packet, ticks, lost } in cuts.drain(..) {
            let knows = !run.lacks_params(index);
            depacketizer.push(&packet, ticks, lost, knows, &mut |unpacked: Unpacked| {
                let Unpacked { frame, params } = unpacked;
                *readable = true;
                if let Some(params) = params {
                    units.interlaced = super::picture_order::is_interlaced(&params);
                    run.reshape(index, params);
                }
                progressed |= run.place(index, frame, now) == FrameProgress::Frame;
            });
        }
        if progressed {
            let interval = now.boot.since(self.progress);
            self.interval = interval.max(self.interval * 3 / 4);
            self.progress = now.boot;
        }
    }

    /// JPEG pictures since this was last asked, in order.
    pub(crate) fn take_pictures(&mut self) -> Vec<(Bytes, CaptureStamp)> {
        self.run.take_pictures()
    }

    /// Whether a first frame, or the next one, should have come. Slow cameras get three pictures'
    /// time instead of `idle`.
    pub(crate) fn overdue(
        &self,
        now: BootTime,
        first: Duration,
        idle: Duration,
    ) -> Option<Overdue> {
        let waited = now.since(self.progress);
        let most = self.most(first, idle);
        if waited < most {
            return None;
        }
        if self.run.has_begun() {
            return Some(Overdue::Next(most));
        }
        let what = match (self.heard, self.readable) {
            (false, _) if self.strange => MissingFrame::Described,
            (false, _) => MissingFrame::Media,
            (true, false) => MissingFrame::Readable,
            (true, true) if self.run.lacks_params(0) => MissingFrame::Sets,
            (true, true) => MissingFrame::KeyFrame,
        };
        Some(Overdue::First(what))
    }

    /// Whether any media came.
    pub(crate) fn has_heard(&self) -> bool {
        self.heard
    }

    fn most(&self, first: Duration, idle: Duration) -> Duration {
        if !self.run.has_begun() {
            return first;
        }
        let slow = (self.interval * 3).min(super::SLOW_CAMERA_WAIT_MAX);
        idle.max(if self.interval * 2 > idle { slow } else { Duration::ZERO })
    }

    /// Publishes what still waits: nothing more will come.
    pub(crate) fn finish(&mut self, now: Now) {
        // First what waits for its turn, then what waits for the end of its unit.
        for ahead in [FINISH_AHEAD, FINISH_AHEAD * 2] {
            self.advance(Now { boot: now.boot.after(ahead), ..now });
        }
    }

    /// Receiver reports that are due, each with the medium it is about.
    pub(crate) fn reports(&mut self, now: BootTime) -> Vec<(usize, Bytes)> {
        let own = self.ssrc;
        let reports = (0u32..).zip(&mut self.tracks).filter_map(|(n, track)| {
            let report = track.reception.as_mut()?.report(now, own.wrapping_add(n), "holdfast")?;
            Some((track.medium, report))
        });
        reports.collect()
    }

    /// When to [`advance`](Self::advance), if nothing comes before.
    pub(crate) fn deadline(&self, first: Duration, idle: Duration) -> BootTime {
        let tracks = self.tracks.iter().flat_map(|track| {
            let report = track.reception.as_ref().and_then(ReceiverStats::deadline);
            [track.order.deadline(), track.units.deadline(), report]
        });
        tracks.flatten().fold(self.progress.after(self.most(first, idle)), BootTime::min)
    }
}

impl TrackInput {
    fn new(
        place: usize,
        medium: &MediaDescription,
        spec: &TrackSpec,
        depacketizer: Depacketizer,
    ) -> Self {
        let mut units = Units::new(depacketizer.syntax());
        units.by_mark = depacketizer.is_marked();
        Self {
            medium: place,
            payload_type: medium.payload_type,
            clock_rate: spec.clock_rate,
            order: JitterBuffer::new(Delivery::AnyOrder),
            unwrap: TimestampUnwrapper::default(),
            units,
            stamps: Stamps::new(spec.clock_rate),
            ssrc: None,
            last_sequence: 0,
            sources: Sources::default(),
            reception: None,
            early: None,
            depacketizer,
            cuts: Vec::new(),
        }
    }

    /// Takes a packet into the order.
    fn media(&mut self, now: BootTime, packet: &Bytes) -> Taken {
        let Some(packet) = RtpPacket::parse(packet) else { return Taken::Foreign };
        if packet.payload_type != self.payload_type {
            // It may have had a number of this track's sequence.
            self.order.absent(packet.ssrc, packet.sequence);
            return Taken::Foreign;
        }
        if !self.sources.takes(now, packet.ssrc, packet.sequence) {
            return Taken::Foreign;
        }
        let packet = match self.order.pass(packet) {
            Ok(ordered) => {
                if let Some(reception) = &mut self.reception {
                    reception.receive(now, &ordered.packet);
                }
                return Taken::InTurn(ordered);
            }
            Err(packet) => packet,
        };
        // The payload is shared, not copied.
        let arrived = packet.clone();
        if self.order.receive(now, packet)
            && let Some(reception) = &mut self.reception
        {
            reception.receive(now, &arrived);
        }
        Taken::Queued
    }

    /// Whether a packet of another sender is the next of the same sequence: some cameras change
    /// their SSRC at each key frame and nothing else.
    fn goes_on(&self, packet: &RtpPacket) -> bool {
        let Some(near) = self.unwrap.place(packet.timestamp) else { return false };
        let Some(last) = self.unwrap.last() else { return false };
        let most = i64::from(self.clock_rate.get()) * SAME_CLOCK_SECS;
        let is_next = packet.sequence == self.last_sequence.wrapping_add(1);
        is_next && near.saturating_sub(last).saturating_abs() <= most
    }

    /// What a sender report says: this RTP time is that date. One that comes before the first packet of
    /// its sender waits for that: many senders begin with one.
    fn report(&mut self, now: BootTime, packet: &[u8]) -> Option<(i64, u64)> {
        let told = sender_time(packet)?;
        if Some(told.ssrc) == self.ssrc {
            return self.placed_report(now, told);
        }
        self.early = Some(told);
        None
    }

    /// The report that waited for the packet which came now.
    fn early_report(&mut self, now: BootTime) -> Option<(i64, u64)> {
        let told = self.early.take_if(|told| Some(told.ssrc) == self.ssrc)?;
        self.placed_report(now, told)
    }

    fn placed_report(&mut self, now: BootTime, told: SenderTime) -> Option<(i64, u64)> {
        self.reception.as_mut()?.sender_report(now, told.ssrc, told.ntp);
        let ticks = self.unwrap.place(told.timestamp)?;
        Some((ticks.saturating_add(self.stamps.shift), told.ntp))
    }
}
