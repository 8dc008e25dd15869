//! What it costs to turn access units into RTP packets, once for all readers.
//!
//! `cargo bench --bench packetise`

use std::num::NonZeroU32;
use std::sync::Arc;

use bytes::Bytes;
use divan::Bencher;
use divan::counter::BytesCount;
use holdfast::base::time::MediaTime;
use holdfast::media::codec::Law;
use holdfast::media::nal::length_prefixed;
use holdfast::media::{AccessUnit, CodecParams, Entry, TrackId};
use holdfast::wire::rtp::Packetizer;

fn main() {
    divan::main();
}

fn unit(params: CodecParams, data: Bytes) -> AccessUnit {
    let time = MediaTime { ticks: 90_000, rate: params.clock_rate };
    AccessUnit { entry: Entry::key_frame(true), ..AccessUnit::new(Arc::new(params), time, data) }
}

fn packetize(bencher: Bencher<'_, '_>, unit: &AccessUnit) {
    let mut packetizer = Packetizer::new(TrackId(0), 7);
    bencher.counter(BytesCount::new(unit.data.len())).bench_local(|| packetizer.packetize(unit));
}

/// A key frame of H.264, from a small one to that of an 8-megapixel camera.
#[divan::bench(args = [10_000, 100_000, 1_000_000])]
fn h264_key_frame(bencher: Bencher<'_, '_>, bytes: usize) {
    let sps = [0x67, 0x64, 0x00, 0x33, 0xac, 0x15, 0x14, 0xa0, 0xa0, 0x2f, 0xf9, 0x50];
    let params = CodecParams::from_h264_sets(&sps, &[0x68, 0xee, 0x3c, 0xb0]);
    let mut slice = vec![0x55; bytes];
    slice[0] = 0x65;
    packetize(bencher, &unit(params.expect("a good pair"), length_prefixed([&slice[..]])));
}

/// One frame of sound, 20 ms of G.711.
#[divan::bench]
fn g711_frame(bencher: Bencher<'_, '_>) {
    let params = CodecParams::g711(Law::A, NonZeroU32::new(8_000).expect("not zero"), 1);
    packetize(bencher, &unit(params, Bytes::from(vec![0xd5; 160])));
}
