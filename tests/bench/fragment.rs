//! From access units to sealed bytes on a disk: one second of a 4 Mbit/s camera.
//!
//! `cargo bench --bench fragment`. The target directory of the last two is a new one under the
//! system's temporary directory; set `TMPDIR` to try another disk.

use std::sync::Arc;

use bytes::Bytes;
use divan::Bencher;
use divan::counter::BytesCount;
use holdfast::base::time::{BootTime, MediaTime, WallTime};
use holdfast::dvr::{Disk, OpenMode, RealDisk};
use holdfast::media::{
    AccessUnit, Captured, ClockSource, CodecParams, CostMeter, Entry, RunId, Tracks,
};
use holdfast::wire::mp4::{Fragment, FragmentBuilder, init_segment};

const SPS: &[u8] = &[0x67, 0x64, 0x00, 0x33, 0xac, 0x15, 0x14, 0xa0, 0xa0, 0x2f, 0xf9, 0x50];
const PPS: &[u8] = &[0x68, 0xee, 0x3c, 0xb0];
const FRAMES: u64 = 25;
const KEY_BYTES: usize = 100_000;
const DELTA_BYTES: usize = 16_600;

fn main() {
    divan::main();
}

fn units() -> Vec<Arc<AccessUnit>> {
    let params = Arc::new(CodecParams::from_h264_sets(SPS, PPS).expect("a good pair"));
    let unit = |at: u64| {
        let arrived = BootTime::from_millis(1_000 + at * 40);
        let nanos = i64::try_from(arrived.as_nanos()).expect("small");
        let decode = MediaTime::from_nanos(nanos, params.clock_rate);
        let wall = WallTime::from_unix_nanos(nanos);
        Arc::new(AccessUnit {
            arrived,
            captured: Captured { wall, source: ClockSource::Arrival },
            entry: Entry::key_frame(at == 0),
            ..AccessUnit::new(
                Arc::clone(&params),
                decode,
                Bytes::from(vec![7; if at == 0 { KEY_BYTES } else { DELTA_BYTES }]),
            )
        })
    };
    (0..FRAMES).map(unit).collect()
}

fn fragment(units: &[Arc<AccessUnit>]) -> Fragment {
    let mut builder = FragmentBuilder::new(1);
    for unit in units {
        builder.push(Arc::clone(unit));
    }
    builder.build(None)
}

/// What activity without decoding adds to a second of recording: to be compared with the benches of a
/// whole fragment.
#[divan::bench]
fn activity(bencher: Bencher<'_, '_>) {
    let units: Vec<AccessUnit> = units().iter().map(|unit| with_slice(unit)).collect();
    let mut meter = CostMeter::default();
    bencher.bench_local(|| {
        for unit in &units {
            meter.push(unit);
        }
        meter.take()
    });
}

/// `unit` as one NAL unit, whose first octets are the head of a P slice.
fn with_slice(unit: &AccessUnit) -> AccessUnit {
    let mut data = unit.data.to_vec();
    let length = u32::try_from(data.len() - 4).expect("small");
    data[..4].copy_from_slice(&length.to_be_bytes());
    data[4..7].copy_from_slice(&[0x41, 0x9a, 0x25]);
    AccessUnit { data: data.into(), ..unit.clone() }
}

#[divan::bench]
fn init(bencher: Bencher<'_, '_>) {
    let tracks = Tracks::new(RunId(1), [Arc::clone(&units()[0].params)]);
    bencher.bench(|| init_segment(&tracks));
}

#[divan::bench]
fn build(bencher: Bencher<'_, '_>) {
    let units = units();
    bencher.counter(BytesCount::new(fragment(&units).len())).bench(|| fragment(&units));
}

#[divan::bench]
fn checksum(bencher: Bencher<'_, '_>) {
    let fragment = fragment(&units());
    bencher
        .counter(BytesCount::new(fragment.len()))
        .bench(|| fragment.pieces().fold(0, |crc, piece| crc32c::crc32c_append(crc, piece)));
}

/// Written over what is there, as in a ring that has turned; not synced.
#[divan::bench]
fn write(bencher: Bencher<'_, '_>) {
    written(bencher, false);
}

/// As `write`, and synced each time.
#[divan::bench(sample_count = 20)]
fn write_and_sync(bencher: Bencher<'_, '_>) {
    written(bencher, true);
}

fn written(bencher: Bencher<'_, '_>, sync: bool) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = RealDisk.open(&dir.path().join("slot"), OpenMode::Create).expect("a new file");
    file.allocate(64 << 20).expect("64 MiB of space");
    let fragment = fragment(&units());
    let pieces: Vec<&[u8]> = fragment.pieces().map(|piece| &piece[..]).collect();
    let mut at = 0;
    bencher.counter(BytesCount::new(fragment.len())).bench_local(|| {
        at = (at + fragment.len() as u64) % (63 << 20);
        file.write_at(at, &pieces).expect("it fits");
        if sync {
            file.sync_data().expect("it syncs");
        }
    });
}
