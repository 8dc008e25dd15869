//! How many bits a second each track of a stream brings, as its packets go over a network.
//!
//! Owns: the measuring, over stretches of the run that is on. Reads no clock: media time tells.

use std::time::Duration;

use crate::base::limits::{RTP_PACKET_BYTES_MAX, TRACKS_MAX};
use crate::media::{AccessUnit, Kind, RunId, TrackId};

/// Shortest stretch that is measured. It begins and ends where a reader can begin, if the track has
/// such places, because a key frame is many times as large as what follows.
const STRETCH_MIN: Duration = Duration::from_secs(2);
/// Heads of IPv4, UDP and RTP.
const PACKET_HEAD_BYTES: u64 = 20 + 8 + 12;

/// The rates of a stream's tracks.
#[derive(Debug, Default)]
pub(super) struct Rates {
    run: RunId,
    tracks: [BitRate; TRACKS_MAX],
}

#[derive(Clone, Copy, Debug, Default)]
struct BitRate {
    /// Where the stretch began, in nanoseconds of media time.
    since_nanos: Option<i64>,
    bytes: u64,
    /// Of the stretch that brought most.
    kbit_per_sec: Option<u32>,
}

impl Rates {
    /// Counts a unit that is published. Another run restarts.
    pub(super) fn count(&mut self, unit: &AccessUnit) {
        if self.run != unit.run {
            *self = Self { run: unit.run, ..Self::default() };
        }
        let Some(rate) = self.tracks.get_mut(usize::from(unit.track.0)) else { return };
        let at_nanos = unit.decode.as_nanos();
        // Sound beside a picture has no places to begin, and is even.
        let is_border = unit.random_access() || unit.params.kind() == Kind::Audio;
        let over = rate.since_nanos.map(|since| at_nanos.saturating_sub(since));
        let is_long =
            over.is_none_or(|over| i128::from(over) >= STRETCH_MIN.as_nanos().cast_signed());
        if is_border && is_long {
            let told = over.and_then(|over| kbit_per_sec(rate.bytes, over));
            rate.kbit_per_sec = rate.kbit_per_sec.max(told);
            (rate.since_nanos, rate.bytes) = (Some(at_nanos), 0);
        }
        let bytes = unit.data.len() as u64;
        let packets = bytes.div_ceil(RTP_PACKET_BYTES_MAX as u64).max(1);
        rate.bytes = rate.bytes.saturating_add(bytes + packets * PACKET_HEAD_BYTES);
    }

    /// The highest rate of each track that was measured, in kbit/s.
    pub(super) fn told(&self) -> Vec<(TrackId, u32)> {
        let tracks = (0u8..).zip(&self.tracks);
        tracks.filter_map(|(id, rate)| Some((TrackId(id), rate.kbit_per_sec?))).collect()
    }
}

fn kbit_per_sec(bytes: u64, over_nanos: i64) -> Option<u32> {
    let over_nanos = u128::try_from(over_nanos).ok()?;
    let bits = u128::from(bytes) * 8 * 1_000_000;
    u32::try_from(bits.checked_div(over_nanos)?).ok().map(|rate| rate.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::base::time::MediaTime;
    use crate::media::CodecParams;
    use crate::media::codec::Law;

    fn unit(track: u8, millis: i64, bytes: usize, random_access: bool) -> AccessUnit {
        let rate = NonZeroU32::new(1_000).unwrap();
        let at = MediaTime { ticks: millis, rate };
        let params = match track {
            0 => {
                let sps = [0x67, 0x64, 0, 0x33, 0xac, 0x15, 0x14, 0xa0, 0xa0, 0x2f, 0xf9, 0x50];
                CodecParams::from_h264_sets(&sps, &[0x68, 0xee, 0x3c, 0xb0]).unwrap()
            }
            _ => CodecParams::g711(Law::A, NonZeroU32::new(8_000).unwrap(), 1),
        };
        AccessUnit {
            track: TrackId(track),
            entry: crate::media::Entry::key_frame(random_access),
            ..AccessUnit::new(Arc::new(params), at, Bytes::from(vec![0; bytes]))
        }
    }

    #[test]
    fn whole_groups_of_pictures_and_even_sound_are_measured_with_their_heads() {
        let mut rates = Rates::default();
        for n in 0..=100i64 {
            // A key frame each second; the middle of a stretch is not a border.
            rates.count(&unit(0, n * 40, if n % 25 == 0 { 14_000 } else { 1_400 }, n % 25 == 0));
            rates.count(&unit(1, n * 20, 160, false));
        }
        // 25 pictures with 34 packets of 1,400 and 40 bytes a second; 50 packets of 200 bytes.
        assert_eq!(rates.told(), [(TrackId(0), 34 * 1_440 * 8 / 1_000 + 1), (TrackId(1), 81)]);
        rates.count(&AccessUnit { run: RunId(2), ..unit(0, 0, 1, true) });
        assert_eq!(rates.told(), [], "another run, of which nothing is known yet");
    }
}
