//! A fan-out in virtual time: readers come, lag and go.

use std::num::NonZeroU32;

use bytes::Bytes;

use super::*;
use crate::base::Stop;
use crate::base::limits::RTP_LINGER_TIME;
use crate::base::name::StreamName;
use crate::base::time::{BootTime, MediaTime, SystemClock, WallTime};
use crate::media::codec::Law;
use crate::media::nal::length_prefixed;
use crate::media::{AccessUnit, CodecParams, Entry, RunId, Tracks};
use crate::stream::Item;

struct OutputBench {
    stream: Arc<Stream>,
    output: RtpOutput,
    supervisor: Supervisor,
    tracks: Arc<Tracks>,
}

impl OutputBench {
    fn new() -> Self {
        let name = StreamName::parse("gate").unwrap();
        let stream = Stream::new(name, "pattern", WallTime::default());
        let supervisor = Supervisor::new(Stop::new(), Arc::new(SystemClock));
        let sps = [0x67, 0x64, 0x00, 0x33, 0xac, 0x15, 0x14, 0xa0, 0xa0, 0x2f, 0xf9, 0x50];
        let video = CodecParams::from_h264_sets(&sps, &[0x68, 0xee, 0x3c, 0xb0]).unwrap();
        let audio = CodecParams::g711(Law::A, NonZeroU32::new(8_000).unwrap(), 1);
        let tracks = Arc::new(Tracks::new(RunId(1), [Arc::new(video), Arc::new(audio)]));
        stream.set_tracks(Arc::clone(&tracks));
        let output = RtpOutput::new(Arc::clone(&stream), supervisor.child());
        Self { stream, output, supervisor, tracks }
    }

    /// Publishes picture number `n` at 25 per second with a key frame every 10, and its sound.
    fn publish(&self, n: i64) {
        let at = BootTime::from_millis(n.unsigned_abs() * 40);
        for track in &self.tracks.list {
            let rate = track.params.clock_rate;
            let time = MediaTime::from_nanos(n * 40_000_000, rate);
            let video = track.id.0 == 0;
            let slice = [0x65, 1, 2, n.to_be_bytes()[7]];
            let data =
                if video { length_prefixed([&slice[..]]) } else { Bytes::from(vec![0; 320]) };
            self.stream.publish(AccessUnit {
                track: track.id,
                arrived: at,
                entry: Entry::key_frame(video && n % 10 == 0),
                ..AccessUnit::new(Arc::clone(&track.params), time, data)
            });
        }
    }
}

async fn unit(reader: &mut PacketReader) -> Arc<RtpUnit> {
    match reader.next().await {
        Next::Item(unit) => unit,
        other => panic!("{other:?}"),
    }
}

fn first_sequence(unit: &RtpUnit) -> u16 {
    let packet = unit.packets.datagrams().next().unwrap();
    u16::from_be_bytes([packet[2], packet[3]])
}

#[tokio::test(start_paused = true)]
async fn all_readers_share_packets_that_are_built_once() {
    let bench = OutputBench::new();
    (0..15).for_each(|n| bench.publish(n));
    let (mut a, mut b) = (bench.output.join(), bench.output.join());
    assert_eq!(bench.output.readers(), 2);
    for _ in 0..10 {
        let (a, b) = (unit(&mut a).await, unit(&mut b).await);
        assert!(Arc::ptr_eq(&a, &b));
    }
    assert_eq!(bench.output.totals().units, 20);
}

#[tokio::test(start_paused = true)]
async fn starts_name_the_first_packet_of_every_track() {
    let bench = OutputBench::new();
    (0..15).for_each(|n| bench.publish(n));
    let mut reader = bench.output.join();
    let key = unit(&mut reader).await;
    assert!(key.random_access());
    let sound = unit(&mut reader).await;
    assert_eq!((key.track, sound.track), (TrackId(0), TrackId(1)));
    for (start, unit) in key.starts.iter().zip([&key, &sound]) {
        assert_eq!(start.sequence, first_sequence(unit));
        assert_eq!(start.timestamp, unit.timestamp);
    }
    assert_eq!(key.starts.len(), 2);
    assert_eq!(sound.packets.framed()[1], 2, "channel of the second track");
}

#[tokio::test(start_paused = true)]
async fn the_packer_ends_after_the_last_reader_and_numbers_go_on() {
    let bench = OutputBench::new();
    bench.publish(0);
    let mut reader = bench.output.join();
    let before = unit(&mut reader).await;
    drop(reader);
    tokio::time::sleep(RTP_LINGER_TIME * 2).await;
    assert!(bench.supervisor.report().is_empty(), "no task is left");
    let ssrc = bench.output.ssrc(TrackId(0));
    bench.publish(1);
    bench.publish(10);
    let mut reader = bench.output.join();
    let after = unit(&mut reader).await;
    assert_eq!(after.present.ticks, 10 * 3_600);
    assert_eq!(after.timestamp.wrapping_sub(before.timestamp), 36_000);
    assert_eq!(first_sequence(&after), first_sequence(&before).wrapping_add(1));
    assert_eq!(bench.output.ssrc(TrackId(0)), ssrc);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_lags_is_counted_and_resumes_at_a_key_frame() {
    let bench = OutputBench::new();
    bench.publish(0);
    let mut slow = bench.output.join();
    unit(&mut slow).await;
    for n in 1..400 {
        bench.publish(n);
        tokio::task::yield_now().await;
    }
    let Next::Lagged(lost) = slow.next().await else { panic!("it lags by 16 s") };
    assert_eq!((lost, bench.output.totals().lost), (779, 779));
    assert!(unit(&mut slow).await.random_access());
}

#[tokio::test(start_paused = true)]
async fn readers_are_told_when_the_stream_is_taken_away() {
    let bench = OutputBench::new();
    bench.publish(0);
    let mut reader = bench.output.join();
    unit(&mut reader).await;
    unit(&mut reader).await;
    bench.supervisor.stop_signal().cancel();
    assert!(matches!(reader.next().await, Next::Ended));
}
