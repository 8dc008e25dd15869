//! Which of two senders that are heard on one track at the same time is the one to take.
//!
//! Owns: that decision. A camera may go on sending the stream of a session that is over (LIVE555 before
//! 2017.06), so that packets of two senders alternate. One that changes its SSRC, be it with each
//! packet, does not come back to an old one, or counts on.

use std::time::Duration;

use crate::base::time::BootTime;

/// A sender that is heard again within this time was never gone.
const RETURN_TIME_MAX: Duration = Duration::from_secs(1);
/// Returns after which two senders alternate. A late packet is one.
const RETURNS_MIN: u32 = 3;
/// Silence of the one that is taken after which any is taken again.
const SILENCE_MAX: Duration = Duration::from_secs(2);

/// A packet, as far as it matters here.
#[derive(Clone, Copy, Debug)]
struct Heard {
    ssrc: u32,
    sequence: u16,
    at: BootTime,
}

/// The senders of one track.
#[derive(Debug, Default)]
pub(super) struct Sources {
    /// The newest packet.
    last: Option<Heard>,
    /// The newest packet of the sender before that one.
    before: Option<Heard>,
    returns: u32,
    /// The only one that is taken, as it was heard last.
    only: Option<Heard>,
}

impl Sources {
    /// Whether a packet that arrived at `now` is to be taken.
    pub(super) fn takes(&mut self, now: BootTime, ssrc: u32, sequence: u16) -> bool {
        let heard = Heard { ssrc, sequence, at: now };
        if let Some(only) = &mut self.only {
            if only.ssrc == ssrc {
                *only = heard;
                return true;
            }
            if now.since(only.at) < SILENCE_MAX {
                return false;
            }
            *self = Self::default();
        }
        let Some(last) = self.last.replace(heard).filter(|last| last.ssrc != ssrc) else {
            return true;
        };
        let before = self.before.replace(last);
        if sequence == last.sequence.wrapping_add(1) {
            self.returns = 0;
        } else if before.is_some_and(|old| old.ssrc == ssrc && now.since(old.at) < RETURN_TIME_MAX)
        {
            self.returns += 1;
        }
        if self.returns >= RETURNS_MIN {
            self.only = Some(heard);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of packets (SSRC, number), 10 ms apart, are taken.
    fn taken(packets: impl IntoIterator<Item = (u32, u16)>) -> Vec<(u32, u16)> {
        let mut sources = Sources::default();
        let packets = (0..).zip(packets);
        packets
            .filter(|(n, (ssrc, number))| {
                sources.takes(BootTime::from_millis(1_000 + n * 10), *ssrc, *number)
            })
            .map(|(_, packet)| packet)
            .collect()
    }

    #[test]
    fn of_two_senders_that_alternate_one_is_taken_until_it_is_silent() {
        let mut packets = Vec::new();
        for n in 0..50 {
            packets.extend([(7, 100 + n), (8, 9_000 + n), (8, 9_001 + n)]);
        }
        let taken_of = taken(packets.clone());
        let late: Vec<u32> = taken_of[10..].iter().map(|(ssrc, _)| *ssrc).collect();
        assert!(late.iter().all(|ssrc| *ssrc == late[0]), "{taken_of:?}");
        let other = 15 - late[0];
        packets.extend((0..300).map(|n| (other, 20_000 + n)));
        assert_eq!(taken(packets).last(), Some(&(other, 20_299)), "the other one is silent now");
    }

    #[test]
    fn a_sender_that_changes_its_name_is_taken() {
        let each: Vec<(u32, u16)> = (0..500).map(|n| (u32::from(n), n)).collect();
        assert_eq!(taken(each.clone()), each, "another with each packet");
        let flips: Vec<(u32, u16)> = (0..500).map(|n| (u32::from(n / 5 % 2), n)).collect();
        assert_eq!(taken(flips.clone()), flips, "one of two, counting on");
        let anew: Vec<(u32, u16)> = (0..500).map(|n| (u32::from(n / 25), n % 25 * 7)).collect();
        assert_eq!(taken(anew.clone()), anew, "another with each group");
        let late = [(7, 1), (7, 2), (8, 500), (7, 3), (8, 501), (8, 502)];
        assert_eq!(taken(late), late, "late packets of the one before");
    }
}
