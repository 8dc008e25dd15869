//! The ring under faults: torn writes, old laps, full and failing disks, a lost index.

mod faulty;
mod ring;
mod sim;
mod torn;

use std::num::NonZeroU32;
use std::sync::Arc;

use bytes::Bytes;

use crate::base::time::{BootTime, MediaTime, WallTime};
use crate::media::codec::Law;
use crate::media::{AccessUnit, Captured, ClockSource, CodecParams, RunId, TrackId, Tracks};
use crate::wire::mp4::{Fragment, FragmentBuilder, init_segment};

/// Samples per second of the sound that stands in for footage: every unit can be begun with.
const RATE: NonZeroU32 = NonZeroU32::new(8_000).unwrap();
const BEGINS_UNIX_NANOS: i64 = 1_795_000_000_000_000_000;

fn params() -> Arc<CodecParams> {
    Arc::new(CodecParams::g711(Law::A, RATE, 1))
}

fn init() -> Bytes {
    init_segment(&Tracks::new(RunId(1), [params()]))
}

/// The `at`-th second of a stream, of `bytes`.
fn fragment(at: u32, bytes: usize) -> Fragment {
    let nanos = i64::from(at) * 1_000_000_000;
    let decode = MediaTime::from_nanos(nanos, RATE);
    let unit = |data: Bytes, decode: MediaTime| AccessUnit {
        track: TrackId(0),
        run: RunId(1),
        decode,
        present: decode,
        arrived: BootTime::from_nanos(nanos.unsigned_abs()),
        captured: Captured {
            wall: WallTime::from_unix_nanos(BEGINS_UNIX_NANOS + nanos),
            source: ClockSource::Arrival,
        },
        random_access: true,
        lost_before: 0,
        params: params(),
        data,
    };
    let mut builder = FragmentBuilder::new(at + 1);
    // Bytes that no other fragment has in the same place.
    let data: Vec<u8> = (0u32..).take(bytes).map(|i| (i ^ (at * 31)).to_be_bytes()[3]).collect();
    builder.push(Arc::new(unit(data.into(), decode)));
    let next = MediaTime { ticks: decode.ticks + i64::from(RATE.get()), rate: RATE };
    builder.build(Some(&unit(Bytes::new(), next)))
}
