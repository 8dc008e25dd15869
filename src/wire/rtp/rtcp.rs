//! RTCP: sender reports going out and coming in, and signs of life (RFC 3550 §6).
//!
//! Owns: the mapping from media time to NTP for one reader, which never jumps while a run
//! continues. Receivers' statistics are not read; ours are in `reception`.

use bytes::Bytes;
use rtcp_types::{
    Bye, Compound, ReceiverReport, RtcpPacketWriterExt, Sdes, SdesChunk, SdesItem, SenderReport,
};

use crate::base::limits::RTCP_REPORT_INTERVAL;
use crate::base::time::{BootTime, MediaTime, WallTime};
use crate::media::{Captured, RunId};

/// Fastest correction of the reported time: 5 ms per report of every 5 s, 1 in 1,000.
const SLEW_NANOS_MAX: i64 = 5_000_000;

/// Media time to wall time, as reported to one reader: one base for all tracks of a stream.
///
/// Follows the capture times slowly, so that a recorder sees no step inside a run; a new run
/// is a seam anyway and sets it anew.
#[derive(Debug, Default)]
pub struct NtpBase {
    anchor: Option<Anchor>,
}

#[derive(Clone, Copy, Debug)]
struct Anchor {
    run: RunId,
    /// Wall time of media time zero.
    zero_nanos: i64,
}

impl NtpBase {
    /// The wall time to tell for `present`, a unit of `run` said to be captured at `captured`.
    /// To be called once per report.
    pub fn tell(&mut self, run: RunId, present: MediaTime, captured: Captured) -> WallTime {
        let seen = captured.wall.as_unix_nanos().saturating_sub(present.as_nanos());
        let zero_nanos = match self.anchor {
            Some(anchor) if anchor.run == run => {
                let off = seen.saturating_sub(anchor.zero_nanos);
                anchor.zero_nanos.saturating_add(off.clamp(-SLEW_NANOS_MAX, SLEW_NANOS_MAX))
            }
            _ => seen,
        };
        self.anchor = Some(Anchor { run, zero_nanos });
        WallTime::from_unix_nanos(zero_nanos).offset_nanos(present.as_nanos())
    }
}

/// What one reader was sent of one track, and when it last got a report.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sent {
    packets: u32,
    octets: u32,
    reported: Option<BootTime>,
}

impl Sent {
    /// Counts packets that go out.
    pub fn count(&mut self, packets: usize, octets: usize) {
        // Both counters wrap (RFC 3550 §6.4.1).
        #[allow(clippy::cast_possible_truncation)]
        let (packets, octets) = (packets as u32, octets as u32);
        self.packets = self.packets.wrapping_add(packets);
        self.octets = self.octets.wrapping_add(octets);
    }

    /// Whether a report is due: before the first packet, then every
    /// [`RTCP_REPORT_INTERVAL`].
    #[must_use]
    pub fn is_due(&self, now: BootTime) -> bool {
        self.reported.is_none_or(|at| now.since(at) >= RTCP_REPORT_INTERVAL)
    }

    /// A sender report with its CNAME (RFC 3550 §6.1 wants both in each compound packet):
    /// RTP `timestamp` of `ssrc` is at `wall`.
    #[must_use]
    pub fn report(
        &mut self,
        now: BootTime,
        ssrc: u32,
        timestamp: u32,
        wall: WallTime,
        cname: &str,
    ) -> Bytes {
        self.reported = Some(now);
        let report = SenderReport::builder(ssrc)
            .ntp_timestamp(wall.to_ntp())
            .rtp_timestamp(timestamp)
            .packet_count(self.packets)
            .octet_count(self.octets);
        let name = SdesItem::builder(SdesItem::CNAME, cname);
        let names = Sdes::builder().add_chunk(SdesChunk::builder(ssrc).add_item(name));
        let mut out = vec![0; 28 + 16 + 256];
        let written = Compound::builder().add_packet(report).add_packet(names).write_into(&mut out);
        // Only a name over 255 bytes fails; then no report is sent.
        out.truncate(written.unwrap_or(0));
        out.into()
    }
}

/// Says that nothing more comes of `ssrc` (RFC 3550 §6.6): players end where they would wait.
#[must_use]
pub fn farewell(ssrc: u32, cname: &str) -> Bytes {
    let name = SdesItem::builder(SdesItem::CNAME, cname);
    let names = Sdes::builder().add_chunk(SdesChunk::builder(ssrc).add_item(name));
    let compound = Compound::builder()
        .add_packet(ReceiverReport::builder(ssrc))
        .add_packet(names)
        .add_packet(Bye::builder().add_source(ssrc));
    let mut out = vec![0; 8 + 16 + 256 + 8];
    // Only a name over 255 bytes fails; then no report is sent.
    let written = compound.write_into(&mut out);
    out.truncate(written.unwrap_or(0));
    out.into()
}

/// Whether `packet` is RTCP of any kind: the peer lives. Tolerant, because readers send reports
/// that no strict parser takes.
#[must_use]
pub fn is_rtcp(packet: &[u8]) -> bool {
    matches!(packet, [first, 200..=207, _, _, ..] if first >> 6 == 2)
}

/// What a sender says of its clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderTime {
    /// Who says so.
    pub ssrc: u32,
    /// A moment in NTP format; zero when the sender has no clock.
    pub ntp: u64,
    /// The same moment in ticks of the track, wrapping.
    pub timestamp: u32,
}

/// The first sender report of a compound packet (RFC 3550 §6.4.1). A packet in it that says to be
/// longer than what is there ends the search.
#[must_use]
pub fn sender_time(compound: &[u8]) -> Option<SenderTime> {
    let mut rest = compound;
    loop {
        let [first, kind, high, low] = *rest.first_chunk()?;
        let bytes = (usize::from(u16::from_be_bytes([high, low])) + 1) * 4;
        let (packet, behind) = rest.split_at_checked(bytes)?;
        if first >> 6 != 2 {
            return None;
        }
        if kind == 200 {
            let word = |at: usize| Some(u32::from_be_bytes(*packet.get(at..)?.first_chunk()?));
            let ntp = u64::from(word(8)?) << 32 | u64::from(word(12)?);
            return Some(SenderTime { ssrc: word(4)?, ntp, timestamp: word(16)? });
        }
        rest = behind;
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::media::ClockSource;

    fn at(ticks: i64) -> MediaTime {
        MediaTime { ticks, rate: NonZeroU32::new(90_000).unwrap() }
    }

    fn captured(millis: i64) -> Captured {
        let wall = WallTime::from_unix_nanos(millis * 1_000_000);
        Captured { wall, source: ClockSource::Sender }
    }

    #[test]
    fn a_clock_step_inside_a_run_is_slewed_and_a_new_run_steps() {
        let mut base = NtpBase::default();
        let told = [
            base.tell(RunId(1), at(0), captured(1_000)),
            base.tell(RunId(1), at(90_000), captured(2_500)),
            base.tell(RunId(1), at(180_000), captured(3_001)),
            base.tell(RunId(2), at(270_000), captured(9_000)),
        ];
        assert_eq!(told.map(WallTime::as_unix_millis), [1_000, 2_005, 3_001, 9_000]);
    }

    #[test]
    fn a_report_reads_back_with_its_name() {
        let mut sent = Sent::default();
        let now = BootTime::from_millis(7);
        assert!(sent.is_due(now));
        sent.count(3, 4_000);
        let wall = WallTime::from_unix_nanos(1_795_363_523_480_000_000);
        let report = sent.report(now, 0xdead_beef, 77, wall, "gate@holdfast");
        assert!(!sent.is_due(now.after(RTCP_REPORT_INTERVAL / 2)));
        assert!(sent.is_due(now.after(RTCP_REPORT_INTERVAL)));
        assert!(is_rtcp(&report));
        let kinds: Vec<String> = Compound::parse(&report)
            .unwrap()
            .map(|packet| match packet.unwrap() {
                rtcp_types::Packet::Sr(sr) => {
                    assert_eq!((sr.ssrc(), sr.rtp_timestamp()), (0xdead_beef, 77));
                    assert_eq!((sr.packet_count(), sr.octet_count()), (3, 4_000));
                    assert_eq!(sr.ntp_timestamp(), wall.to_ntp());
                    "sr".to_owned()
                }
                rtcp_types::Packet::Sdes(sdes) => {
                    let chunk = sdes.chunks().next().unwrap();
                    chunk.items().next().unwrap().get_value_string().unwrap()
                }
                other => format!("{other:?}"),
            })
            .collect();
        assert_eq!(kinds, ["sr", "gate@holdfast"]);
    }

    #[test]
    fn a_report_is_found_behind_others_and_lies_are_not_believed() {
        let mut sent = Sent::default();
        let wall = WallTime::from_unix_nanos(1_795_363_523_480_000_000);
        let report = sent.report(BootTime::default(), 7, 77, wall, "gate");
        let told = SenderTime { ssrc: 7, ntp: wall.to_ntp(), timestamp: 77 };
        assert_eq!(sender_time(&report), Some(told));
        let behind = [b"\x80\xc9\0\x01\0\0\0\x07", &report[..]].concat();
        assert_eq!(sender_time(&behind), Some(told));
        for lie in [
            &b""[..],
            b"\x80\xc8\0\x06",
            b"\x80\xc8\0\0",
            b"\x81\xcb\xff\xff\0\0\0\x07",
            b"\x80\xcb\0\0\x40\xc8\0\0",
        ] {
            assert_eq!(sender_time(lie), None, "{lie:?}");
        }
    }

    #[test]
    fn garbage_is_no_sign_of_life() {
        for packet in [&b""[..], b"\x80", b"\x80\x60\0\x01", b"GET ", b"\x40\xc9\0\x01"] {
            assert!(!is_rtcp(packet), "{packet:?}");
        }
        assert!(is_rtcp(b"\x81\xc9\0\x07"));
    }
}
