//! What one reader makes of its packets: whole pictures, holes, and how late they are.

use crate::film::read_stamp;

const RTP_HEADER_BYTES: usize = 12;
/// The stamp is in one of the first packets of its picture, near its beginning.
const STAMP_PACKETS_MAX: usize = 5;
const STAMP_AT_MAX: usize = 160;

/// The pictures of one reader.
#[derive(Default)]
pub struct Pictures {
    sequence_next: Option<u16>,
    number_last: Option<u32>,
    now: Assembly,
    pub lost_packets: u64,
    pub lost: u64,
}

/// The picture that is coming in.
#[derive(Default)]
struct Assembly {
    packets: usize,
    stamp: Option<(u32, u64)>,
    key: bool,
    damaged: bool,
}

/// A picture that came in whole.
pub struct Whole {
    pub key: bool,
    /// When it was published, in nanoseconds since boot.
    pub published_nanos: u64,
}

impl Pictures {
    /// Forgets what was lost so far.
    pub fn begin_window(&mut self) {
        (self.lost_packets, self.lost) = (0, 0);
    }

    /// Takes one RTP packet; what it completes, if anything.
    pub fn packet(&mut self, packet: &[u8]) -> Option<Whole> {
        if packet.len() <= RTP_HEADER_BYTES + 1 {
            return None;
        }
        let sequence = u16::from_be_bytes([packet[2], packet[3]]);
        let missing = sequence.wrapping_sub(self.sequence_next.unwrap_or(sequence));
        self.sequence_next = Some(sequence.wrapping_add(1));
        self.lost_packets += u64::from(missing);
        let payload = &packet[RTP_HEADER_BYTES..];
        let now = &mut self.now;
        now.damaged |= missing > 0;
        if now.stamp.is_none() && now.packets < STAMP_PACKETS_MAX {
            now.stamp = read_stamp(&payload[..payload.len().min(STAMP_AT_MAX)]);
        }
        now.packets += 1;
        now.key |= matches!((payload[0] & 0x1f, payload[1] & 0x1f), (5, _) | (28, 5));
        let ends = packet[1] & 0x80 != 0;
        if ends { self.end() } else { None }
    }

    fn end(&mut self) -> Option<Whole> {
        let done = std::mem::take(&mut self.now);
        // The end of one picture and the beginning of another look like one; so does the tail of
        // one whose head was lost.
        let (number, published_nanos) = done.stamp.filter(|_| !done.damaged)?;
        let before = self.number_last.replace(number).unwrap_or(number.wrapping_sub(1));
        self.lost += u64::from(number.wrapping_sub(before).wrapping_sub(1));
        Some(Whole { key: done.key, published_nanos })
    }
}
