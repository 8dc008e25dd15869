//! What the media times in a slot count from.
//!
//! Owns: the way from the stream's timeline, which counts from boot, to that of a slot and back. A
//! slot is a film of its own that begins at zero, so that players show its length; fragments read
//! through this module come back as they were handed over.

use crate::wire::mp4::{decode_times, shift_decode_times, timescales};

const NANOS_PER_MILLI: i128 = 1_000_000;
const NANOS_PER_SEC: i128 = 1_000_000_000;
/// As much as a header has room for: 8,900 years.
const MILLIS_MAX: u64 = (1 << 48) - 1;

/// A time since boot, and what it is in the ticks of each track.
///
/// Whole milliseconds, so that it can be computed from any fragment and its seal, however a track's
/// ticks are rounded. Zero in slots of older versions, whose times count from boot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlotEpoch {
    millis: u64,
    /// `track_ID` and ticks.
    ticks: Vec<(u32, u64)>,
}

impl SlotEpoch {
    /// `millis` after boot, for the tracks of `init`.
    pub(crate) fn new(millis: u64, init: &[u8]) -> Self {
        let millis = millis.min(MILLIS_MAX);
        let ticks = |rate: u32| u128::from(millis) * u128::from(rate) / 1_000;
        let ticks = timescales(init)
            .into_iter()
            .map(|(track, rate)| (track, u64::try_from(ticks(rate)).unwrap_or(0)));
        Self { millis, ticks: if millis == 0 { Vec::new() } else { ticks.collect() } }
    }

    /// That of a slot whose first fragment begins with the `moof` `head`.
    pub(crate) fn of_first(init: &[u8], head: &[u8]) -> Self {
        let first = nanos(init, &decode_times(head)).map(|(nanos, _)| nanos).min();
        let millis = first.map_or(0, |nanos| nanos / NANOS_PER_MILLI);
        Self::new(u64::try_from(millis).unwrap_or(0), init)
    }

    /// That of a slot in which a fragment, whose first unit is decoded `decode_nanos` after boot, has
    /// these decoding times.
    pub(crate) fn of_times(init: &[u8], decode_nanos: i64, times: &[(u32, u64)]) -> Self {
        // The seal tells of the unit that came first, of whichever track: there what is between is
        // whole milliseconds but for what a tick is rounded by.
        let away = nanos(init, times).map(|(nanos, tick)| {
            let away = i128::from(decode_nanos) - nanos;
            let millis = (away + NANOS_PER_MILLI / 2).div_euclid(NANOS_PER_MILLI);
            ((away - millis * NANOS_PER_MILLI).abs() > tick, millis)
        });
        let millis = away.min_by_key(|(is_rough, _)| *is_rough).map_or(0, |(_, millis)| millis);
        Self::new(u64::try_from(millis).unwrap_or(0), init)
    }

    /// Milliseconds since boot.
    pub(crate) fn millis(&self) -> u64 {
        self.millis
    }

    /// Puts the times of a fragment on the slot's timeline.
    pub(crate) fn enter(&self, fragment: &mut [u8]) {
        shift_decode_times(fragment, |track, time| time.wrapping_sub(self.ticks_of(track)));
    }

    /// Puts the times of a fragment back on the stream's timeline.
    pub(crate) fn leave(&self, fragment: &mut [u8]) {
        if !self.ticks.is_empty() {
            shift_decode_times(fragment, |track, time| time.wrapping_add(self.ticks_of(track)));
        }
    }

    fn ticks_of(&self, track: u32) -> u64 {
        self.ticks.iter().find(|(known, _)| *known == track).map_or(0, |(_, ticks)| *ticks)
    }
}

/// Decoding times in nanoseconds, each with the length of a tick.
fn nanos<'a>(
    init: &[u8],
    times: &'a [(u32, u64)],
) -> impl Iterator<Item = (i128, i128)> + 'a + use<'a> {
    let rates = timescales(init);
    times.iter().filter_map(move |&(track, ticks)| {
        let rate = rates.iter().find(|(known, _)| *known == track)?.1;
        let rate = i128::from(rate.max(1));
        Some((i128::from(ticks) * NANOS_PER_SEC / rate, NANOS_PER_SEC / rate + 1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::mp4::{put_box, put_full_box};

    /// A `moov` of one track of 8,000 ticks a second.
    fn init() -> Vec<u8> {
        let mut out = Vec::new();
        let header = |out: &mut Vec<u8>, kind: &[u8; 4], third: u32| {
            put_full_box(out, kind, 0, 0, |out| {
                out.extend_from_slice(&[0; 8]);
                out.extend_from_slice(&third.to_be_bytes());
            });
        };
        put_box(&mut out, b"moov", |out| {
            put_box(out, b"trak", |out| {
                header(out, b"tkhd", 1);
                put_box(out, b"mdia", |out| header(out, b"mdhd", 8_000));
            });
        });
        out
    }

    /// A `moof` of that track, decoded so many seconds after boot.
    fn fragment(secs: u64) -> Vec<u8> {
        let mut out = Vec::new();
        put_box(&mut out, b"moof", |out| {
            put_box(out, b"traf", |out| {
                put_full_box(out, b"tfhd", 0, 0, |out| out.extend_from_slice(&1u32.to_be_bytes()));
                let ticks = (secs * 8_000).to_be_bytes();
                put_full_box(out, b"tfdt", 1, 0, |out| out.extend_from_slice(&ticks));
            });
        });
        out
    }

    #[test]
    fn what_enters_a_slot_leaves_it_as_it_was_and_any_fragment_tells_the_epoch() {
        let init = init();
        let epoch = SlotEpoch::of_first(&init, &fragment(1_234));
        assert_eq!(epoch.millis(), 1_234_000);
        assert_eq!(SlotEpoch::new(epoch.millis(), &init), epoch);
        for secs in [1_234, 1_240, 1_200] {
            let whole = fragment(secs);
            let mut moved = whole.clone();
            epoch.enter(&mut moved);
            let seen = decode_times(&moved)[0].1;
            assert_eq!(seen, (secs * 8_000).wrapping_sub(1_234 * 8_000));
            if secs >= 1_234 {
                let nanos = i64::try_from(secs).unwrap() * 1_000_000_000;
                let told = SlotEpoch::of_times(&init, nanos, &decode_times(&moved));
                assert_eq!(told, epoch);
            }
            epoch.leave(&mut moved);
            assert_eq!(moved, whole);
        }
        // As older versions wrote.
        let told = SlotEpoch::of_times(&init, 7_000_000_000, &decode_times(&fragment(7)));
        assert_eq!(told, SlotEpoch::default());
    }

    #[test]
    fn the_epoch_is_told_however_ticks_are_rounded() {
        let init = init();
        for ticks in 90_001u64..90_100 {
            let epoch = SlotEpoch::new(11_250, &init);
            // 8,000 ticks a second; the stream's own clock is finer.
            let decode_nanos = i64::try_from(ticks * 125_000).unwrap() + 61_000;
            let times = [(1, ticks - 90_000)];
            assert_eq!(SlotEpoch::of_times(&init, decode_nanos, &times), epoch, "{ticks}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut bytes: Vec<u8>, init: Vec<u8>, millis: u64, nanos: i64) {
            let epoch = SlotEpoch::new(millis, &init);
            epoch.enter(&mut bytes);
            epoch.leave(&mut bytes);
            let _ = SlotEpoch::of_first(&init, &bytes);
            let _ = SlotEpoch::of_times(&init, nanos, &decode_times(&bytes));
        }
    }
}
