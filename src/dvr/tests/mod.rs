//! The ring under faults: torn writes, old laps, full and failing disks, a lost index.

mod audit;
mod damage;
mod facts;
mod faulty;
mod memory;
mod range_reader;
mod ring;
mod shrink;
mod sim;
mod tampered;
mod torn;
mod trouble;
mod unread;

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use bytes::Bytes;

pub(super) use self::memory::Memory;
use crate::base::time::{BootTime, Clock, ClockQuality, MediaTime, SystemClock, Trust, WallTime};
use crate::media::codec::Law;
use crate::media::{AccessUnit, Captured, ClockSource, CodecParams, Entry, RunId, Tracks};
use crate::wire::mp4::{Fragment, FragmentBuilder, init_segment};

/// Samples per second of the sound that replaces footage: every unit is an entry point.
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
        arrived: BootTime::from_nanos(nanos.unsigned_abs()),
        captured: Captured {
            wall: WallTime::from_unix_nanos(BEGINS_UNIX_NANOS + nanos),
            source: ClockSource::Arrival,
        },
        entry: Entry::key_frame(true),
        ..AccessUnit::new(params(), decode, data)
    };
    let mut builder = FragmentBuilder::new(at + 1);
    // Bytes that no other fragment has in the same place.
    let data: Vec<u8> = (0u32..).take(bytes).map(|i| (i ^ (at * 31)).to_be_bytes()[3]).collect();
    builder.push(Arc::new(unit(data.into(), decode)));
    let next = MediaTime { ticks: decode.ticks + i64::from(RATE.get()), rate: RATE };
    builder.build(Some(&unit(Bytes::new(), next)))
}

/// A clock whose date can be set. The time since boot is the machine's.
#[derive(Debug)]
pub(crate) struct TestClock {
    wall_minus_boot_nanos: AtomicI64,
    trust: Mutex<Trust>,
}

impl TestClock {
    /// A clock that agrees with the dates of [`fragment`].
    pub(crate) fn right() -> Arc<Self> {
        Self::of(BEGINS_UNIX_NANOS, Trust::Ntp)
    }

    pub(crate) fn of(offset_nanos: i64, trust: Trust) -> Arc<Self> {
        Arc::new(Self {
            wall_minus_boot_nanos: AtomicI64::new(offset_nanos),
            trust: Mutex::new(trust),
        })
    }

    pub(crate) fn set(&self, offset_nanos: i64, trust: Trust) {
        self.wall_minus_boot_nanos.store(offset_nanos, Relaxed);
        *self.trust.lock().unwrap() = trust;
    }
}

impl Clock for TestClock {
    fn boot(&self) -> BootTime {
        SystemClock.boot()
    }
    fn wall(&self) -> WallTime {
        let boot = i64::try_from(self.boot().as_nanos()).unwrap();
        WallTime::from_unix_nanos(self.wall_minus_boot_nanos.load(Relaxed) + boot)
    }
    fn quality(&self) -> ClockQuality {
        ClockQuality { trust: *self.trust.lock().unwrap(), error_max: None }
    }
}
