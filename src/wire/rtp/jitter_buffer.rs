//! Puts the packets of one track in order and tells what is missing.
//!
//! Owns: the reorder buffer, and when another sender or a leap of the numbers is believed
//! (RFC 3550 §A.1). Bounded by [`RTP_REORDER_PACKETS_MAX`] and [`RTP_REORDER_TIME_MAX`].

use std::collections::{BTreeMap, BTreeSet};

use super::rtp_packet::RtpPacket;
use crate::base::limits::{RTP_REORDER_PACKETS_MAX, RTP_REORDER_TIME_MAX};
use crate::base::time::BootTime;

/// Numbers that run ahead by more than this are a leap, not a loss.
const AHEAD_MAX: i16 = 3_000;
/// Numbers that lie back by more than this are a leap, not a late packet.
const BACK_MAX: i16 = -300;

/// How packets delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// In buffer: what is missing never comes.
    InOrder,
    /// As the network likes.
    AnyOrder,
}

/// A packet in its turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderedPacket {
    /// The packet.
    pub packet: RtpPacket,
    /// Packets missing directly before it.
    pub lost: u16,
    /// It is the first of another sender, or behind a leap of the numbers.
    pub fresh: bool,
}

/// The order of one track.
#[derive(Debug)]
pub struct JitterBuffer {
    delivery: Delivery,
    ssrc: Option<u32>,
    /// The number that is next, counted on without a wrap.
    next: i64,
    waiting: BTreeMap<i64, (BootTime, RtpPacket)>,
    /// Numbers taken by other packets, which need not be waited for.
    absent: BTreeSet<i64>,
    /// Missing before what is next.
    lost: u16,
    fresh: bool,
    /// A packet that leaps; the next one would confirm the leap.
    leap: Option<(BootTime, RtpPacket)>,
}

impl JitterBuffer {
    /// The order of packets that delivery so.
    #[must_use]
    pub fn new(delivery: Delivery) -> Self {
        Self {
            delivery,
            ssrc: None,
            next: 0,
            waiting: BTreeMap::new(),
            absent: BTreeSet::new(),
            lost: 0,
            fresh: false,
            leap: None,
        }
    }

    /// Passes a packet whose turn it is, as most are over TCP, without a stay in the buffer; any other
    /// is for [`receive`](Self::receive).
    pub fn pass(&mut self, packet: RtpPacket) -> Result<OrderedPacket, RtpPacket> {
        // Only the low 16 bits were on the wire.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let is_next = self.ssrc == Some(packet.ssrc) && packet.sequence == self.next as u16;
        let is_plain = self.waiting.is_empty() && self.absent.is_empty() && !self.fresh;
        if !is_next || !is_plain {
            return Err(packet);
        }
        self.leap = None;
        self.next += 1;
        Ok(OrderedPacket { packet, lost: std::mem::take(&mut self.lost), fresh: false })
    }

    /// Takes a packet; whether it belongs to the track. Late ones and doubles are dropped; what
    /// claims to be from elsewhere is believed when a second one follows it.
    pub fn receive(&mut self, now: BootTime, packet: RtpPacket) -> bool {
        let Some(ssrc) = self.ssrc else {
            self.begin(&packet);
            self.fresh = false; // nothing was before
            self.waiting.insert(self.next, (now, packet));
            return true;
        };
        // Only the low 16 bits were on the wire.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let by = packet.sequence.wrapping_sub(self.next as u16).cast_signed();
        if ssrc != packet.ssrc && by == 0 && self.waiting.is_empty() {
            // Some change who they are with each packet or picture and count on.
            (self.ssrc, self.fresh, self.leap) = (Some(packet.ssrc), true, None);
            self.waiting.insert(self.next, (now, packet));
            return true;
        }
        if ssrc != packet.ssrc || !(BACK_MAX..=AHEAD_MAX).contains(&by) {
            let follows = |(_, first): &mut (BootTime, RtpPacket)| {
                (first.ssrc, first.sequence.wrapping_add(1)) == (packet.ssrc, packet.sequence)
            };
            let Some(first) = self.leap.take_if(follows) else {
                self.leap = Some((now, packet));
                return false;
            };
            self.begin(&first.1);
            self.waiting.insert(self.next, first);
            self.waiting.insert(self.next + 1, (now, packet));
            return true;
        }
        self.leap = None;
        if by >= 0 {
            self.waiting.entry(self.next + i64::from(by)).or_insert((now, packet));
        }
        true
    }

    /// A packet of this sender that belongs to no track had this number, so nothing is missing
    /// there; a packet of the track with the same number is taken all the same.
    pub fn absent(&mut self, ssrc: u32, sequence: u16) {
        // Only the low 16 bits were on the wire.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let by = sequence.wrapping_sub(self.next as u16).cast_signed();
        let is_near = (0..=AHEAD_MAX).contains(&by) && self.ssrc == Some(ssrc);
        if is_near && self.absent.len() < RTP_REORDER_PACKETS_MAX {
            self.absent.insert(self.next + i64::from(by));
        }
    }

    fn begin(&mut self, packet: &RtpPacket) {
        self.waiting.clear();
        self.absent.clear();
        self.ssrc = Some(packet.ssrc);
        self.next = i64::from(packet.sequence);
        (self.fresh, self.leap) = (true, None);
    }

    /// The next packet whose turn it is. Called until there is none.
    pub fn poll(&mut self, now: BootTime) -> Option<OrderedPacket> {
        let late = self.deadline().is_some_and(|at| at <= now);
        let full = self.waiting.len() > RTP_REORDER_PACKETS_MAX;
        let entry = self.waiting.first_entry()?;
        let absent = self.absent.range(self.next..*entry.key()).count();
        let missing = *entry.key() - self.next - i64::try_from(absent).unwrap_or(0);
        if missing > 0 && self.delivery == Delivery::AnyOrder && !late && !full {
            return None;
        }
        self.next = *entry.key() + 1;
        self.absent = self.absent.split_off(&self.next);
        let (_, packet) = entry.remove();
        let missing = u16::try_from(missing).unwrap_or(u16::MAX);
        let lost = std::mem::take(&mut self.lost).saturating_add(missing);
        Some(OrderedPacket { packet, lost, fresh: std::mem::take(&mut self.fresh) })
    }

    /// When the oldest packet is no longer held back.
    #[must_use]
    pub fn deadline(&self) -> Option<BootTime> {
        let oldest = self.waiting.values().map(|(at, _)| *at).min()?;
        Some(oldest.after(RTP_REORDER_TIME_MAX))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const START: BootTime = BootTime::from_millis(1_000);

    fn packet(sequence: u16, ssrc: u32) -> RtpPacket {
        let (payload_type, marker, payload) = (96, false, Bytes::new());
        RtpPacket { sequence, timestamp: 0, ssrc, payload_type, marker, payload }
    }

    /// Feeds numbers and tells each packet that came out as number-lost, `!` when fresh.
    fn told(buffer: &mut JitterBuffer, now: BootTime, numbers: &[u16], ssrc: u32) -> String {
        let mut told = Vec::new();
        for &number in numbers {
            buffer.receive(now, packet(number, ssrc));
            while let Some(OrderedPacket { packet, lost, fresh }) = buffer.poll(now) {
                let fresh = if fresh { "!" } else { "" };
                told.push(format!("{}-{lost}{fresh}", packet.sequence));
            }
        }
        told.join(" ")
    }

    #[test]
    fn what_comes_in_order_leaves_at_once_and_gaps_are_told() {
        let mut buffer = JitterBuffer::new(Delivery::InOrder);
        let numbers = [65_534, 65_535, 0, 3, 3, 2, 4];
        assert_eq!(told(&mut buffer, START, &numbers, 7), "65534-0 65535-0 0-0 3-2 4-0");
    }

    #[test]
    fn what_is_in_turn_passes_and_nothing_else_does() {
        let mut buffer = JitterBuffer::new(Delivery::AnyOrder);
        assert!(buffer.pass(packet(65_534, 7)).is_err(), "nothing was before");
        assert_eq!(told(&mut buffer, START, &[65_534], 7), "65534-0");
        for number in [65_535, 0, 1] {
            let passed = buffer.pass(packet(number, 7)).unwrap();
            assert_eq!((passed.packet.sequence, passed.lost, passed.fresh), (number, 0, false));
        }
        assert!(buffer.pass(packet(1, 7)).is_err(), "it came before");
        assert!(buffer.pass(packet(2, 8)).is_err(), "another sender");
        assert!(buffer.pass(packet(4, 7)).is_err(), "one is missing");
        assert_eq!(told(&mut buffer, START, &[4], 7), "");
        assert!(buffer.pass(packet(2, 7)).is_err(), "one waits");
        assert_eq!(told(&mut buffer, START, &[2, 3], 7), "2-0 3-0 4-0");
        assert!(buffer.pass(packet(5, 7)).is_ok());
    }

    #[test]
    fn what_comes_out_of_order_is_put_back() {
        let mut buffer = JitterBuffer::new(Delivery::AnyOrder);
        let numbers = [65_535, 2, 1, 1, 0, 3];
        assert_eq!(told(&mut buffer, START, &numbers, 7), "65535-0 0-0 1-0 2-0 3-0");
    }

    #[test]
    fn what_is_missing_is_waited_for_within_bounds() {
        let mut buffer = JitterBuffer::new(Delivery::AnyOrder);
        assert_eq!(told(&mut buffer, START, &[10, 13, 12], 7), "10-0");
        assert_eq!(buffer.deadline(), Some(START.after(RTP_REORDER_TIME_MAX)));
        let later = START.after(RTP_REORDER_TIME_MAX);
        assert_eq!(told(&mut buffer, later, &[14], 7), "12-1 13-0 14-0");
        assert_eq!(buffer.deadline(), None);
        let many: Vec<u16> = (16..400).collect();
        let told = told(&mut buffer, later, &many, 7);
        assert!(told.starts_with("16-1 17-0"), "{told}");
    }

    #[test]
    fn numbers_that_something_else_had_are_not_waited_for() {
        let mut buffer = JitterBuffer::new(Delivery::AnyOrder);
        told(&mut buffer, START, &[10], 7);
        buffer.absent(7, 11);
        buffer.absent(8, 12);
        assert_eq!(told(&mut buffer, START, &[12], 7), "12-0");
        buffer.absent(7, 13);
        assert_eq!(told(&mut buffer, START, &[13, 15], 7), "13-0");
    }

    #[test]
    fn a_sender_that_changes_with_each_packet_and_counts_on_goes_on() {
        let mut buffer = JitterBuffer::new(Delivery::AnyOrder);
        let came: Vec<_> = (10..14).map(|n| told(&mut buffer, START, &[n], n.into())).collect();
        assert_eq!(came, ["10-0", "11-0!", "12-0!", "13-0!"]);
    }

    #[test]
    fn one_stray_packet_changes_nothing_and_two_in_a_row_begin_anew() {
        let mut buffer = JitterBuffer::new(Delivery::InOrder);
        told(&mut buffer, START, &[10, 11], 7);
        assert_eq!(told(&mut buffer, START, &[40_000, 12, 40_000, 13], 7), "12-0 13-0");
        assert_eq!(told(&mut buffer, START, &[500], 8), "");
        assert_eq!(told(&mut buffer, START, &[14], 7), "14-0");
        assert_eq!(told(&mut buffer, START, &[500, 501, 502], 8), "500-0! 501-0 502-0");
        assert_eq!(
            told(&mut buffer, START, &[40_000, 40_001, 40_002], 8),
            "40000-0! 40001-0 40002-0"
        );
    }

    proptest::proptest! {
        #[test]
        fn any_numbers_leave_it_bounded_and_in_order(
            numbers in proptest::collection::vec((0u16.., 0u32..3, 0u64..200), 0..2_000),
        ) {
            let mut buffer = JitterBuffer::new(Delivery::AnyOrder);
            let mut now = START;
            for (number, ssrc, millis) in numbers {
                now = now.after(std::time::Duration::from_millis(millis));
                buffer.receive(now, packet(number, ssrc));
                while buffer.poll(now).is_some() {}
                proptest::prop_assert!(buffer.waiting.len() <= RTP_REORDER_PACKETS_MAX);
            }
        }

        #[test]
        fn a_shuffle_within_the_window_loses_nothing(
            first: u16, seeds in proptest::collection::vec(0usize..16, 1..300),
        ) {
            // Mixed within blocks of 16; the very first says where the numbers begin.
            let mut numbers: Vec<u16> =
                (0..seeds.len()).map(|n| first.wrapping_add(u16::try_from(n).unwrap())).collect();
            for (at, seed) in seeds.iter().enumerate().skip(1) {
                let block = at / 16 * 16;
                numbers.swap(at, (block + seed % (at - block + 1)).max(1));
            }
            let mut buffer = JitterBuffer::new(Delivery::AnyOrder);
            let mut expected = first;
            let mut came = 0;
            for number in numbers {
                buffer.receive(START, packet(number, 7));
                while let Some(ordered) = buffer.poll(START) {
                    proptest::prop_assert_eq!((ordered.packet.sequence, ordered.lost), (expected, 0));
                    expected = expected.wrapping_add(1);
                    came += 1;
                }
            }
            proptest::prop_assert_eq!(came, seeds.len());
        }
    }
}
