//! Receiver reports: how the packets of one track arrive, for its sender (RFC 3550 §6.4.2).
//!
//! Owns: the counters of §A.3 and the jitter of §A.8.

use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;
use rtcp_types::{
    Compound, ReceiverReport, ReportBlock, RtcpPacketWriterExt, Sdes, SdesChunk, SdesItem,
};

use super::rtp_packet::RtpPacket;
use crate::base::limits::RTCP_REPORT_INTERVAL;
use crate::base::time::{BootTime, MediaTime};

/// What was received of one sender.
#[derive(Debug)]
pub struct ReceiverStats {
    rate: NonZeroU32,
    source: Option<Source>,
    reported: Option<BootTime>,
}

#[derive(Clone, Copy, Debug)]
struct Source {
    ssrc: u32,
    /// First and highest number, counted on without a wrap.
    first: u32,
    highest: u32,
    received: u32,
    /// Expected and received at the last report.
    prior: (u32, u32),
    /// Arrival less timestamp of the last packet, in ticks, modulo 2³².
    transit: u32,
    /// Sixteen times the jitter, in ticks.
    jitter_16: u32,
    /// Middle of the last sender report's NTP time, and when it came.
    sender: Option<(u32, BootTime)>,
}

impl ReceiverStats {
    /// Of a track with `rate` ticks per second; the first report is due after an interval.
    #[must_use]
    pub fn new(now: BootTime, rate: NonZeroU32) -> Self {
        Self { rate, source: None, reported: Some(now) }
    }

    /// Counts a packet that arrived at `now`.
    pub fn receive(&mut self, now: BootTime, packet: &RtpPacket) {
        let transit = self.ticks(now).wrapping_sub(packet.timestamp);
        let Some(source) = self.source.as_mut().filter(|source| source.ssrc == packet.ssrc) else {
            let first = u32::from(packet.sequence);
            self.source = Some(Source {
                ssrc: packet.ssrc,
                first,
                highest: first,
                received: 1,
                prior: (0, 0),
                transit,
                jitter_16: 0,
                sender: None,
            });
            return;
        };
        // Only the low 16 bits were on the wire.
        #[allow(clippy::cast_possible_truncation)]
        let by = packet.sequence.wrapping_sub(source.highest as u16).cast_signed();
        if by > 0 {
            source.highest = source.highest.wrapping_add(u32::from(by.unsigned_abs()));
        }
        source.received = source.received.wrapping_add(1);
        let change = transit.wrapping_sub(source.transit).cast_signed().unsigned_abs();
        source.transit = transit;
        let settled = source.jitter_16.saturating_add(8) >> 4;
        source.jitter_16 = source.jitter_16.saturating_add(change).saturating_sub(settled);
    }

    /// Takes the NTP time of a report of `ssrc`.
    pub fn sender_report(&mut self, now: BootTime, ssrc: u32, ntp: u64) {
        if let Some(source) = self.source.as_mut().filter(|source| source.ssrc == ssrc) {
            // The middle 32 of 64 bits.
            #[allow(clippy::cast_possible_truncation)]
            let middle = (ntp >> 16) as u32;
            source.sender = Some((middle, now));
        }
    }

    /// When the next report is due.
    #[must_use]
    pub fn deadline(&self) -> Option<BootTime> {
        self.reported.map(|at| at.after(RTCP_REPORT_INTERVAL))
    }

    /// A receiver report by `own_ssrc` with its name, if one is due and there is anything to
    /// report.
    pub fn report(&mut self, now: BootTime, own_ssrc: u32, cname: &str) -> Option<Bytes> {
        if self.deadline().is_some_and(|at| at > now) {
            return None;
        }
        self.reported = Some(now);
        let source = self.source.as_mut()?;
        let expected = source.highest.wrapping_sub(source.first).wrapping_add(1);
        // Doubles make it negative, which a report says as none.
        let lost = expected.saturating_sub(source.received).min(0x7f_ffff);
        let (expected_now, received_now) =
            (expected.wrapping_sub(source.prior.0), source.received.wrapping_sub(source.prior.1));
        let lost_now = expected_now.saturating_sub(received_now);
        let fraction = (u64::from(lost_now) << 8).checked_div(u64::from(expected_now)).unwrap_or(0);
        source.prior = (expected, source.received);
        let (last, since) =
            source.sender.map_or((0, Duration::ZERO), |(ntp, at)| (ntp, now.since(at)));
        let block = ReportBlock::builder(source.ssrc)
            .fraction_lost(u8::try_from(fraction).unwrap_or(u8::MAX))
            .cumulative_lost(lost)
            .extended_sequence_number(source.highest)
            .interarrival_jitter(source.jitter_16 >> 4)
            .last_sender_report_timestamp(last)
            // In 1/65536 s.
            .delay_since_last_sender_report_timestamp(
                u32::try_from((since.as_nanos() << 16) / 1_000_000_000).unwrap_or(u32::MAX),
            );
        let report = ReceiverReport::builder(own_ssrc).add_report_block(block);
        let name = SdesItem::builder(SdesItem::CNAME, cname);
        let names = Sdes::builder().add_chunk(SdesChunk::builder(own_ssrc).add_item(name));
        let mut out = vec![0; 32 + 16 + 256];
        let written = Compound::builder().add_packet(report).add_packet(names).write_into(&mut out);
        // Only a name over 255 bytes fails; then no report is sent.
        out.truncate(written.ok()?);
        Some(out.into())
    }

    /// `now` in ticks of the track, modulo 2³².
    fn ticks(&self, now: BootTime) -> u32 {
        let nanos = i64::try_from(now.as_nanos()).unwrap_or(i64::MAX);
        // Differences alone are used.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let ticks = MediaTime::from_nanos(nanos, self.rate).ticks as u32;
        ticks
    }
}

#[cfg(test)]
mod tests {
    use rtcp_types::Packet;

    use super::*;

    const START: BootTime = BootTime::from_millis(1_000);

    fn stats() -> ReceiverStats {
        ReceiverStats::new(START, NonZeroU32::new(90_000).unwrap())
    }

    fn packet(sequence: u16, timestamp: u32) -> RtpPacket {
        let (payload_type, marker, payload) = (96, false, Bytes::new());
        RtpPacket { sequence, timestamp, ssrc: 7, payload_type, marker, payload }
    }

    /// Fraction and number lost, highest number, jitter, last report and its age.
    fn told(report: &Bytes) -> (u8, u32, u32, u32, u32, u32) {
        let mut packets = Compound::parse(report).unwrap().map(Result::unwrap);
        let Some(Packet::Rr(report)) = packets.next() else { panic!("no receiver report") };
        assert!(matches!(packets.next(), Some(Packet::Sdes(_))));
        let block = report.report_blocks().next().unwrap();
        assert_eq!((report.ssrc(), block.ssrc()), (9, 7));
        (
            block.fraction_lost(),
            block.cumulative_lost(),
            block.extended_sequence_number(),
            block.interarrival_jitter(),
            block.last_sender_report_timestamp(),
            block.delay_since_last_sender_report_timestamp(),
        )
    }

    #[test]
    fn losses_over_the_wrap_and_the_senders_report_are_told() {
        let mut stats = stats();
        assert_eq!(stats.report(START.after(RTCP_REPORT_INTERVAL), 9, "x"), None, "nothing came");
        for (n, sequence) in [65_534u16, 65_535, 0, 3].into_iter().enumerate() {
            let n = u32::try_from(n).unwrap();
            stats.receive(START.after(Duration::from_millis(40) * n), &packet(sequence, n * 3_600));
        }
        let at = START.after(Duration::from_secs(10));
        stats.sender_report(at, 8, 1);
        stats.sender_report(at, 7, 0x1122_3344_5566_7788);
        assert_eq!(stats.report(START.after(RTCP_REPORT_INTERVAL), 9, "x"), None, "not yet due");
        let report = stats.report(at.after(Duration::from_millis(500)), 9, "gate").unwrap();
        assert_eq!(told(&report), (85, 2, 65_539, 0, 0x3344_5566, 32_768));
        stats.receive(at, &packet(4, 0));
        let report = stats.report(at.after(RTCP_REPORT_INTERVAL * 2), 9, "gate").unwrap();
        assert_eq!((told(&report).0, told(&report).1), (0, 2), "nothing was lost since");
    }

    #[test]
    fn jitter_grows_with_the_unevenness() {
        let mut stats = stats();
        for n in 0..400u32 {
            let late = if n % 2 == 0 { 0 } else { 10 };
            let at = START.after(Duration::from_millis(u64::from(n * 40 + late)));
            stats.receive(at, &packet(u16::try_from(n).unwrap(), n * 3_600));
        }
        let report = stats.report(START.after(Duration::from_secs(60)), 9, "x").unwrap();
        let jitter = told(&report).3;
        assert!((880..=910).contains(&jitter), "10 ms are 900 ticks, told {jitter}");
    }

    proptest::proptest! {
        #[test]
        fn any_packets_can_be_reported(
            packets in proptest::collection::vec((0u16.., 0u32.., 0u32..2, 0u64..10_000), 0..200),
        ) {
            let mut stats = stats();
            let mut now = START;
            for (sequence, timestamp, ssrc, millis) in packets {
                now = now.after(Duration::from_millis(millis));
                stats.receive(now, &RtpPacket { ssrc, ..packet(sequence, timestamp) });
                stats.sender_report(now, ssrc, u64::from(timestamp) << 20);
                let _ = stats.report(now, 9, "x");
            }
        }
    }
}
