//! Which packets of pictures make one access unit.
//!
//! Owns: where a unit ends. Marker bits should say so (RFC 6184 §5.1), but some encoders set one
//! on each slice, or on parameter sets, or none. So the next packet is waited for and its NAL unit
//! asked, until the first marker bit was right, or, after one that was wrong, until
//! [`MARKS_TRUSTED`] were right in a row.

use std::time::Duration;

use super::stamps::Stamps;
use crate::base::time::BootTime;
use crate::media::nal;
use crate::wire::rtp::RtpPacket;

/// Units whose marker bits must be right after one that was wrong, before the next packet is no
/// longer waited for.
const MARKS_TRUSTED: u32 = 250;
/// How long the packet behind a marker bit is waited for.
const NEXT_PACKET_WAIT: Duration = Duration::from_millis(100);

/// Stamps nearer than this, a millisecond, cannot be those of two pictures.
const NEAR_TICKS: i64 = 90;

/// How NAL units are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syntax {
    /// ITU-T H.264 in RFC 6184.
    H264,
    /// ITU-T H.265 in RFC 7798.
    H265,
}

/// A packet with its place.
#[derive(Clone, Debug)]
pub(super) struct QueuedPacket {
    /// Its marker bit says whether the unit ends with it.
    pub(super) packet: RtpPacket,
    /// The time of its unit.
    pub(super) ticks: i64,
    /// Packets missing before it.
    pub(super) lost: u16,
}

/// The cutter of one track.
#[derive(Debug)]
pub(super) struct Units {
    syntax: Option<Syntax>,
    /// Fields are sent apart, two to a time stamp.
    pub(super) interlaced: bool,
    /// A unit is all packets of one time stamp up to a marker bit; only without NAL units.
    pub(super) by_mark: bool,
    unit: Option<PendingUnit>,
    held: Option<(QueuedPacket, BootTime)>,
    marked: bool,
    right: u32,
    /// How many must be right in a row.
    needed: u32,
}

#[derive(Clone, Copy, Debug)]
struct PendingUnit {
    /// Its time as sent, and as placed.
    sent: i64,
    ticks: i64,
    pictures: u32,
}

/// What a packet begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begin {
    /// Parameter sets, a delimiter, supplemental information: NAL units that precede a picture.
    Head,
    /// The first slice of a picture.
    Picture,
    /// Anything else.
    More,
}

impl Units {
    pub(super) fn new(syntax: Option<Syntax>) -> Self {
        Self {
            syntax,
            interlaced: false,
            by_mark: false,
            unit: None,
            held: None,
            marked: false,
            right: 0,
            needed: 1,
        }
    }

    /// Takes the next packet, sent at `sent`, and hands on what is decided.
    pub(super) fn push(
        &mut self,
        now: BootTime,
        mut cut: QueuedPacket,
        stamps: &mut Stamps,
        out: &mut impl FnMut(QueuedPacket),
    ) {
        let sent = cut.ticks;
        let Some(syntax) = self.syntax else {
            let same = |unit: &PendingUnit| self.by_mark && !self.marked && unit.sent == sent;
            cut.ticks = match self.unit.filter(same) {
                Some(unit) => unit.ticks,
                None => stamps.place(sent, now),
            };
            self.unit = Some(PendingUnit { sent, ticks: cut.ticks, pictures: 0 });
            self.marked = cut.packet.marker;
            return out(cut);
        };
        let (begin, has_picture) = look(syntax, &cut.packet.payload);
        let lost = cut.lost;
        let begins = self.begins(begin, sent, lost);
        if self.unit.is_some() {
            if begins == self.marked {
                self.right = self.right.saturating_add(u32::from(begins));
            } else if lost == 0 {
                (self.right, self.needed) = (0, MARKS_TRUSTED);
            }
        }
        if let Some((mut held, _)) = self.held.take() {
            held.packet.marker = begins;
            out(held);
        }
        let pictures_before = self.unit.filter(|_| !begins).map(|unit| (unit.sent, unit.pictures));
        // What precedes a picture may have a time of its own, and the picture's counts.
        if pictures_before.is_none_or(|(time, pictures)| pictures == 0 && time != sent) {
            let ticks = stamps.place(sent, now);
            self.unit = Some(PendingUnit { sent, ticks, pictures: 0 });
        }
        let Some(unit) = &mut self.unit else { return };
        let is_first = begin != Begin::More || unit.pictures == 0;
        // The rest of a slice whose beginning was lost is a picture, too.
        let has_picture = has_picture || begin == Begin::More;
        unit.pictures += u32::from(has_picture && is_first);
        cut.ticks = unit.ticks;
        self.marked = cut.packet.marker;
        if self.right >= self.needed {
            return out(cut);
        }
        self.held = Some((cut, now));
    }

    /// Hands on a packet with a marker bit behind which nothing came.
    pub(super) fn advance(&mut self, now: BootTime, out: &mut impl FnMut(QueuedPacket)) {
        if self.deadline().is_some_and(|at| at <= now)
            && let Some((held, _)) = self.held.take()
        {
            out(held);
        }
    }

    /// When to [`advance`](Self::advance).
    pub(super) fn deadline(&self) -> Option<BootTime> {
        let (held, since) = self.held.as_ref()?;
        held.packet.marker.then(|| since.after(NEXT_PACKET_WAIT))
    }

    /// Whether a packet begins another unit.
    fn begins(&self, begin: Begin, sent: i64, lost: u16) -> bool {
        let Some(unit) = self.unit else { return true };
        let same_time = unit.sent == sent;
        let apart = unit.sent.saturating_sub(sent).saturating_abs();
        match begin {
            _ if unit.pictures == 0 => false,
            Begin::Head => true,
            // Two fields make one unit here (ITU-T H.264 §7.4.1.2.4 has them apart).
            Begin::Picture => {
                !(same_time && unit.pictures < 2 && (self.interlaced || !self.marked))
            }
            // Slices of one picture may differ by a tick or so.
            Begin::More => !same_time && (lost > 0 || apart > NEAR_TICKS),
        }
    }
}

/// What `payload` begins with, and whether any slice is in it.
fn look(syntax: Syntax, payload: &[u8]) -> (Begin, bool) {
    match syntax {
        Syntax::H264 => look_h264(payload),
        Syntax::H265 => look_h265(payload),
    }
}

/// The same for NAL units with start codes, as some cameras put them into one payload.
fn look_annex_b(payload: &[u8], nal: impl Fn(&[u8]) -> (Begin, bool)) -> (Begin, bool) {
    let mut units = nal::annex_b(payload).filter(|unit| unit.len() > 1).map(nal);
    let Some((begin, has_picture)) = units.next() else { return (Begin::More, false) };
    (begin, has_picture || units.any(|(_, is_picture)| is_picture))
}

/// RFC 6184 §5.2.
fn look_h264(payload: &[u8]) -> (Begin, bool) {
    let nal = |kind: u8, first: Option<&u8>| match kind {
        1 | 2 | 5 => {
            // first_mb_in_slice is zero when its first bit is one (§7.3.3, §9.1).
            let is_first = first.is_some_and(|byte| byte & 0x80 != 0);
            (if is_first { Begin::Picture } else { Begin::More }, true)
        }
        6..=9 | 14..=18 => (Begin::Head, false),
        _ => (Begin::More, false),
    };
    match payload {
        [head, header, first @ ..] if head & 31 == 28 => {
            if header & 0x80 != 0 {
                nal(header & 31, first.first())
            } else {
                (Begin::More, false)
            }
        }
        [head, rest @ ..] if head & 31 == 24 => {
            aggregated(rest, |unit| nal(unit[0] & 31, unit.get(1)))
        }
        _ if nal::begins_annex_b(payload) => {
            look_annex_b(payload, |unit| nal(unit[0] & 31, unit.get(1)))
        }
        [head, rest @ ..] => match nal(head & 31, rest.first()) {
            (Begin::Head, _) => (Begin::Head, look_annex_b(rest, |u| nal(u[0] & 31, u.get(1))).1),
            told => told,
        },
        [] => (Begin::More, false),
    }
}

/// RFC 7798 §4.4.
fn look_h265(payload: &[u8]) -> (Begin, bool) {
    let nal = |kind: u8, first: Option<&u8>| match kind {
        0..=31 => {
            let is_first = first.is_some_and(|byte| byte & 0x80 != 0);
            (if is_first { Begin::Picture } else { Begin::More }, true)
        }
        32..=35 | 39 | 41..=44 => (Begin::Head, false),
        _ => (Begin::More, false),
    };
    let kind = |head: u8| head >> 1 & 63;
    match payload {
        [head, _, header, first @ ..] if kind(*head) == 49 => {
            if header & 0x80 != 0 {
                nal(header & 63, first.first())
            } else {
                (Begin::More, false)
            }
        }
        [head, _, rest @ ..] if kind(*head) == 48 => {
            aggregated(rest, |unit| nal(kind(unit[0]), unit.get(2)))
        }
        _ if nal::begins_annex_b(payload) => {
            look_annex_b(payload, |unit| nal(kind(unit[0]), unit.get(2)))
        }
        [head, _, rest @ ..] => match nal(kind(*head), rest.first()) {
            (Begin::Head, _) => {
                (Begin::Head, look_annex_b(rest, |unit| nal(kind(unit[0]), unit.get(2))).1)
            }
            told => told,
        },
        _ => (Begin::More, false),
    }
}

/// The first NAL unit of an aggregate tells how it begins; a slice may be any of them.
fn aggregated(mut rest: &[u8], nal: impl Fn(&[u8]) -> (Begin, bool)) -> (Begin, bool) {
    let mut found = None;
    while let [high, low, behind @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let Some((unit, next)) =
            behind.split_at_checked(length).filter(|(unit, _)| !unit.is_empty())
        else {
            break;
        };
        let (begin, is_picture) = nal(unit);
        let (first, any) = found.unwrap_or((begin, false));
        found = Some((first, any | is_picture));
        rest = next;
    }
    found.unwrap_or((Begin::More, false))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn rate() -> std::num::NonZeroU32 {
        std::num::NonZeroU32::new(90_000).unwrap()
    }

    /// Cuts packets of (time, marker, payload), 40 ms of arrival apart per time stamp, and tells
    /// the number of packets of each unit that ended.
    fn told(packets: &[(i64, bool, &[u8])]) -> Vec<usize> {
        let (mut units, mut stamps) = (Units::new(Some(Syntax::H264)), Stamps::new(rate()));
        let (mut told, mut count) = (Vec::new(), 0);
        let mut out = |cut: QueuedPacket| {
            count += 1;
            if cut.packet.marker {
                told.push(std::mem::take(&mut count));
            }
        };
        for (n, (ticks, marker, payload)) in (0u16..).zip(packets) {
            let payload = Bytes::copy_from_slice(payload);
            let (payload_type, marker) = (96, *marker);
            let packet =
                RtpPacket { sequence: n, timestamp: 0, ssrc: 1, payload_type, marker, payload };
            let now = BootTime::from_millis(u64::from(n) * 20);
            units.push(now, QueuedPacket { packet, ticks: *ticks, lost: 0 }, &mut stamps, &mut out);
        }
        units.advance(BootTime::from_millis(100_000), &mut out);
        told
    }

    const FIRST: &[u8] = &[0x41, 0x9a];
    const SECOND: &[u8] = &[0x41, 0x1a];
    const SEI: &[u8] = &[0x06, 0x05];

    #[test]
    fn a_marker_on_each_slice_cuts_no_picture() {
        for step in [0, 1] {
            let packets: Vec<_> = (0..20i64)
                .flat_map(|n| [(n * 3_600, true, FIRST), (n * 3_600 + step, true, SECOND)])
                .collect();
            assert_eq!(told(&packets), [2; 20], "{step}");
        }
    }

    #[test]
    fn markers_that_are_missing_or_on_other_things_cut_right() {
        let packets: Vec<_> =
            (0..20i64).flat_map(|n| [(n * 3_600, true, SEI), (n * 3_600, false, FIRST)]).collect();
        assert_eq!(told(&packets), [2; 19]);
    }

    #[test]
    fn what_precedes_a_picture_may_have_a_time_of_its_own() {
        let packets: Vec<_> = (0..20i64)
            .flat_map(|n| {
                let at = n * 3_600;
                [(at - 1_800, true, SEI), (at, false, FIRST), (at, true, SECOND)]
            })
            .collect();
        assert_eq!(told(&packets), [3; 20]);
    }

    #[test]
    fn a_frame_of_sound_in_pieces_has_one_time() {
        let (mut units, mut stamps) = (Units::new(None), Stamps::new(rate()));
        units.by_mark = true;
        let mut times = Vec::new();
        for (n, (ticks, marker)) in
            (0u16..).zip([(0, false), (0, true), (1_024, false), (1_024, true)])
        {
            let (payload_type, payload) = (97, Bytes::new());
            let packet =
                RtpPacket { sequence: n, timestamp: 0, ssrc: 1, payload_type, marker, payload };
            let now = BootTime::from_millis(u64::from(n) * 10);
            let cut = QueuedPacket { packet, ticks, lost: 0 };
            units.push(now, cut, &mut stamps, &mut |cut| times.push(cut.ticks));
        }
        assert_eq!(times, [0, 0, 1_024, 1_024]);
    }

    #[test]
    fn start_codes_in_a_payload_are_looked_behind() {
        assert_eq!(look_h264(b"\x67\x64\0\0\0\x01\x68\x01\0\0\x01\x65\x88"), (Begin::Head, true));
        assert_eq!(look_h264(b"\0\0\0\x01\x41\x9a"), (Begin::Picture, true));
        assert_eq!(look_h264(b"\0\0\x01\x67\x64"), (Begin::Head, false));
        assert_eq!(look_h265(b"\x40\x01\x0c\0\0\x01\x26\x01\x80"), (Begin::Head, true));
        assert_eq!(look_h265(b"\0\0\0\x01\x02\x01\x80"), (Begin::Picture, true));
    }

    #[test]
    fn pictures_of_one_time_stamp_are_units_of_their_own() {
        let packets: Vec<_> = (0..20).map(|_| (0, true, FIRST)).collect();
        assert_eq!(told(&packets), [1; 20]);
    }

    #[test]
    fn aggregates_and_fragments_are_looked_into() {
        let stap = [0x18, 0, 2, 0x67, 0x64, 0, 2, 0x65, 0x88];
        assert_eq!(look_h264(&stap), (Begin::Head, true));
        assert_eq!(look_h264(&[0x7c, 0x85, 0x88]), (Begin::Picture, true));
        assert_eq!(look_h264(&[0x7c, 0x05, 0x88]), (Begin::More, false));
        assert_eq!(look_h265(&[0x62, 0x01, 0x93, 0x80]), (Begin::Picture, true));
        assert_eq!(look_h265(&[0x02, 0x01, 0x00]), (Begin::More, true));
        assert_eq!(look_h265(&[0x4e, 0x01]), (Begin::Head, false));
        assert_eq!(look_h264(&[]), (Begin::More, false));
    }

    proptest::proptest! {
        #[test]
        fn no_payload_makes_it_panic(payloads: Vec<(i64, bool, Vec<u8>)>) {
            let packets: Vec<_> = payloads.iter().map(|(t, m, p)| (*t, *m, &p[..])).collect();
            let _ = told(&packets);
        }
    }
}
