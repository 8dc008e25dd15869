//! RTP and RTCP packets of one track: reading, order, times and reports.

use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;

use holdfast::base::limits::RTP_REORDER_PACKETS_MAX;
use holdfast::base::time::BootTime;
use holdfast::wire::rtp::rtcp::{is_rtcp, sender_time};
use holdfast::wire::rtp::{Delivery, JitterBuffer, ReceiverStats, RtpPacket, TimestampUnwrapper};

use super::input::Input;

/// Feeds one input: packets, each behind a byte (milliseconds since the one before) and its
/// length in two.
pub fn eat(bytes: &[u8]) {
    for delivery in [Delivery::InOrder, Delivery::AnyOrder] {
        let mut input = Input(bytes);
        let mut track = Track {
            now: BootTime::from_millis(1_000),
            buffer: JitterBuffer::new(delivery),
            unwrapper: TimestampUnwrapper::default(),
            stats: ReceiverStats::new(
                BootTime::from_millis(1_000),
                NonZeroU32::new(90_000).expect("is not zero"),
            ),
            last: None,
            waiting: 0,
        };
        while !input.is_empty() {
            track.now = track.now.after(Duration::from_millis(u64::from(input.byte()) * 8));
            track.take(&Bytes::copy_from_slice(input.counted()));
        }
        track.now = track.now.after(Duration::from_secs(10));
        track.poll();
        assert_eq!((track.waiting, track.buffer.deadline()), (0, None), "something stays for ever");
    }
}

struct Track {
    now: BootTime,
    buffer: JitterBuffer,
    unwrapper: TimestampUnwrapper,
    stats: ReceiverStats,
    /// Number of the last packet.
    last: Option<u16>,
    /// Upper bound of the packets that wait.
    waiting: usize,
}

impl Track {
    fn take(&mut self, packet: &Bytes) {
        if is_rtcp(packet)
            && let Some(told) = sender_time(packet)
        {
            assert!(packet.len() >= 20, "a report of {} bytes", packet.len());
            self.stats.sender_report(self.now, told.ssrc, told.ntp);
            let _ = self.unwrapper.place(told.timestamp);
        }
        let Some(read) = RtpPacket::parse(packet) else { return };
        assert!(read.payload.len() + 12 <= packet.len(), "the payload is longer than the packet");
        let arrived = read.clone();
        if self.buffer.receive(self.now, read) {
            self.stats.receive(self.now, &arrived);
            self.waiting += 1;
        }
        self.poll();
        if let Some(report) = self.stats.report(self.now, 9, "holdfast") {
            assert!(is_rtcp(&report), "a report that is none");
        }
    }

    fn poll(&mut self) {
        while let Some(ordered) = self.buffer.poll(self.now) {
            let number = ordered.packet.sequence;
            if let Some(last) = self.last.filter(|_| !ordered.fresh) {
                assert_eq!(number, last.wrapping_add(ordered.lost).wrapping_add(1), "the order");
            }
            self.last = Some(number);
            if ordered.fresh {
                self.unwrapper.begin_anew(ordered.packet.timestamp, 90_000);
            }
            let ticks = self.unwrapper.advance(ordered.packet.timestamp);
            assert_eq!(ticks & 0xffff_ffff, i64::from(ordered.packet.timestamp), "the low bits");
        }
        match self.buffer.deadline() {
            None => self.waiting = 0,
            Some(_) => self.waiting = self.waiting.min(RTP_REORDER_PACKETS_MAX),
        }
    }
}
