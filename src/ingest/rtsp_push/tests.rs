//! Publishers in virtual time, packet by packet, good and bad (FAULTS 39 to 41).

mod bad_wire;
mod publish_point;

use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::base::limits::{ACCESS_UNIT_BYTES_MAX, RTCP_REPORT_INTERVAL, RTP_REORDER_TIME_MAX};
use crate::base::name::StreamName;
use crate::base::time::{BootTime, Clock, HandClock};
use crate::media::{AccessUnit, ClockSource, Codec, Entry, TrackId};
use crate::stream::{Allowance, Next, StreamState, Subscriber};
use crate::wire::rtsp::SessionDescription;

/// High profile, 1080p; with its picture parameter set.
const SPS: &[u8] = &[0x67, 0x64, 0, 0x33, 0xac, 0x15, 0x14, 0xa0, 0xa0, 0x2f, 0xf9, 0x50];
const PPS: &[u8] = &[0x68, 0xee, 0x3c, 0xb0];
const VIDEO: &str = "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\n";
const SOUND: &str = "m=audio 0 RTP/AVP 8\n";

/// A stream with an open publish point and a publisher in it.
struct PublishBench {
    clock: Arc<HandClock>,
    stream: Arc<Stream>,
    reader: Subscriber<AccessUnit>,
    units: Vec<Arc<AccessUnit>>,
    publisher: PushPublisher,
    sequence: u16,
}

fn offer(sdp: &str) -> SessionDescription {
    SessionDescription::parse(sdp.as_bytes()).unwrap()
}

fn opened(take_over: bool) -> (Arc<HandClock>, Arc<Stream>, Arc<PublishPoint>) {
    let clock = Arc::new(HandClock::at(BootTime::from_millis(5_000)));
    let stream = Stream::new(StreamName::parse("gate").unwrap(), "rtsp_push", clock.wall());
    let point = PushConfig::new(take_over).publish_point();
    point.open(Arc::clone(&stream), clock.clone());
    (clock, stream, point)
}

impl PublishBench {
    fn new(sdp: &str, carriage: Carriage) -> Self {
        let (clock, stream, point) = opened(false);
        let tracks: Vec<_> = (0..2).map(|track| (TrackId(track), carriage)).collect();
        let publisher = point.acquire(&offer(sdp), &tracks, 1 << 40).unwrap();
        let reader = stream.bus().subscribe(Allowance::Window);
        Self { clock, stream, reader, units: Vec::new(), publisher, sequence: 65_530 }
    }

    fn later(&self, by: Duration) {
        self.clock.pass(by);
    }

    /// A packet of `track` with the next number.
    fn packet(&mut self, time: u32, marker: bool, payload: &[u8]) -> Bytes {
        self.sequence = self.sequence.wrapping_add(1);
        packet(96, self.sequence, time, 7, marker, payload)
    }

    /// Hands a packet over and returns what comes out: a late reader begins at the newest key
    /// frame.
    fn give(&mut self, track: TrackId, packet: TrackPacket) {
        self.publisher.receive(track, packet).unwrap();
        self.read();
    }

    fn read(&mut self) {
        while let Some(next) = self.reader.try_next() {
            let Next::Item(unit) = next else { panic!("{next:?}") };
            self.units.push(unit);
        }
    }

    fn send(&mut self, time: u32, marker: bool, payload: &[u8]) {
        let packet = self.packet(time, marker, payload);
        self.give(TrackId(0), TrackPacket::Rtp(packet));
    }

    /// Parameter sets and a key frame at `time`, then moves on by 40 ms.
    fn key_frame(&mut self, time: u32) {
        self.send(time, false, SPS);
        self.send(time, false, PPS);
        self.send(time, true, &[0x65, 0x88, 1]);
        self.later(Duration::from_millis(40));
    }

    fn picture(&mut self, time: u32) {
        self.send(time, true, &[0x41, 0x9a, 1]);
        self.later(Duration::from_millis(40));
    }

    /// What came out since the last call, with what waited for packets that never came.
    fn units(&mut self) -> Vec<Arc<AccessUnit>> {
        for wait in [200, 100] {
            self.later(Duration::from_millis(wait));
            let _ = self.publisher.advance();
        }
        self.read();
        std::mem::take(&mut self.units)
    }

    /// Kind of the last NAL unit and loss of each unit.
    fn told(&mut self) -> Vec<(u8, u16)> {
        let last = |unit: &AccessUnit| crate::media::nal::Nals::new(&unit.data).last().unwrap()[0];
        self.units().iter().map(|unit| (last(unit) & 0x1f, unit.lost_before)).collect()
    }
}

fn packet(kind: u8, sequence: u16, time: u32, ssrc: u32, marker: bool, payload: &[u8]) -> Bytes {
    let mut packet = vec![0x80, kind | if marker { 0x80 } else { 0 }];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&time.to_be_bytes());
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend_from_slice(payload);
    packet.into()
}

#[test]
fn a_run_begins_with_a_key_frame_whose_parameters_come_in_band() {
    let mut bench = PublishBench::new(VIDEO, Carriage::Tcp);
    bench.picture(0);
    assert_eq!(bench.stream.state().0, StreamState::Starting);
    bench.key_frame(u32::MAX - 1_000);
    bench.picture(2_600);
    let units = bench.units();
    assert_eq!((units.len(), bench.stream.state().0), (2, StreamState::Live));
    assert!(units[0].random_access() && !units[1].random_access());
    assert!(matches!(&units[0].params.codec, Codec::H264 { sps, .. } if **sps == *SPS));
    let times: Vec<_> = units.iter().map(|unit| (unit.decode.ticks, unit.present.ticks)).collect();
    assert_eq!(times[1].0 - times[0].0, 3_601, "over the wrap");
    drop(bench.publisher);
    let StreamState::Offline { reason } = bench.stream.state().0 else { panic!() };
    assert!(reason.contains("connection ended"), "{reason}");
}

#[test]
fn sound_beside_the_picture_and_sound_alone_are_placed() {
    let mut bench = PublishBench::new(&format!("{SOUND}{VIDEO}"), Carriage::Tcp);
    let sound = packet(8, 1, 0, 9, true, &[0xd5; 160]);
    bench.give(TrackId(0), TrackPacket::Rtp(sound.clone()));
    assert!(bench.units().is_empty(), "a run begins with a picture");
    let next = |bench: &mut PublishBench, time: u32, payload: &[u8]| {
        let packet = bench.packet(time, payload[0] == 0x65, payload);
        bench.give(TrackId(1), TrackPacket::Rtp(packet));
    };
    for payload in [SPS, PPS, &[0x65, 0x88, 1]] {
        next(&mut bench, 0, payload);
    }
    // The picture waits for the packet behind its marker bit, and the sound for the picture.
    bench.later(Duration::from_millis(100));
    bench.publisher.advance().unwrap();
    let later = packet(8, 2, 160, 9, false, &[0xd5; 160]);
    bench.give(TrackId(0), TrackPacket::Rtp(later));
    let tracks: Vec<_> =
        bench.units().iter().map(|unit| (unit.track.0, unit.random_access())).collect();
    assert_eq!(tracks, [(0, true), (1, false)], "video is the first track whatever came first");

    let mut alone = PublishBench::new(SOUND, Carriage::Tcp);
    alone.give(TrackId(0), TrackPacket::Rtp(sound));
    assert!(alone.units()[0].random_access());
}

#[test]
fn opus_is_a_frame_per_packet_and_what_is_no_opus_is_lost() {
    let sdp = "m=audio 0 RTP/AVP 97\na=rtpmap:97 opus/48000/2\na=fmtp:97 sprop-stereo=1\n";
    let mut bench = PublishBench::new(sdp, Carriage::Tcp);
    let frames: [&[u8]; 4] = [&[0xfc, 1, 2], &[0x1b, 0x3f], &[], &[0xfc, 3]];
    for (at, payload) in (0u16..).zip(frames) {
        let packet = packet(97, at, u32::from(at) * 960, 7, false, payload);
        bench.give(TrackId(0), TrackPacket::Rtp(packet));
    }
    let told: Vec<_> = bench.units().iter().map(|u| (u.data.len(), u.lost_before)).collect();
    assert_eq!(told, [(3, 0), (2, 1)]);
}

#[test]
fn what_is_missing_or_broken_costs_its_picture_and_is_counted() {
    let mut bench = PublishBench::new(VIDEO, Carriage::Tcp);
    bench.key_frame(0);
    // A packet in the middle of a picture is missing.
    bench.send(3_600, false, &[0x7c, 0x81, 1, 2]);
    bench.sequence = bench.sequence.wrapping_add(1);
    bench.send(3_600, true, &[0x7c, 0x41, 3]);
    bench.picture(7_200);
    // A FU that never began, a STAP that ends in a length, one with a false length, a forbidden
    // bit.
    let broken: [&[u8]; 4] =
        [&[0x7c, 0x41, 3], &[0x78, 0, 9, 0x41], &[0x78, 0xff, 0xff, 1], &[0xc1, 0x9a]];
    for (at, payload) in (1u32..).zip(broken) {
        bench.send(7_200 + at * 3_600, false, payload);
        // The rest of that picture is not taken for one of its own.
        bench.send(7_200 + at * 3_600, true, &[0x41, 0x9a, 2]);
        bench.later(Duration::from_millis(40));
    }
    bench.picture(25_200);
    bench.key_frame(28_800);
    let told = bench.told();
    assert_eq!((told[0], told[1], told.last().unwrap()), ((5, 0), (1, 1), &(5, 0)), "{told:?}");
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(told[2].1 >= 4, "{told:?}");
}

#[test]
fn what_carries_nothing_costs_nothing() {
    let mut bench = PublishBench::new(VIDEO, Carriage::Tcp);
    bench.key_frame(0);
    // An empty NAL in a STAP, a reserved type (RFC 6184 §5.2: ignored).
    for (at, payload) in (1u32..).zip([&[0x78u8, 0, 0][..], &[0x1f, 1]]) {
        bench.send(at * 3_600, false, payload);
        bench.picture(at * 3_600);
    }
    assert_eq!(bench.told(), [(5, 0), (1, 0), (1, 0)]);
}

#[test]
fn units_keep_their_sets_and_all_sets_in_force_are_known() {
    /// The same as `PPS`, of id 1.
    const PPS_1: &[u8] = &[0x68, 0x5b, 0x8f, 0x2c];
    let mut bench = PublishBench::new(VIDEO, Carriage::Tcp);
    bench.key_frame(0);
    for (at, pps) in (1u32..).zip([PPS_1, PPS, PPS_1, PPS]) {
        for (set, mark) in [(SPS, false), (pps, false), (&[0x65, 0x88, 1], true)] {
            bench.send(at * 3_600, mark, set);
        }
        bench.later(Duration::from_millis(40));
    }
    let units = bench.units();
    let nals: Vec<_> = crate::media::nal::Nals::new(&units[1].data).collect();
    assert_eq!(nals, [SPS, PPS_1, &[0x65, 0x88, 1]], "byte for byte");
    assert_eq!(units[1].params.parameter_nals(), [SPS, PPS, PPS_1]);
    assert!(units[1..].iter().all(|unit| Arc::ptr_eq(&unit.params, &units[1].params)));
}

#[test]
fn a_marker_bit_on_every_slice_ends_no_picture() {
    let mut bench = PublishBench::new(VIDEO, Carriage::Tcp);
    bench.key_frame(0);
    for at in 1..=10u32 {
        bench.send(at * 3_600, true, &[0x41, 0x9a, 1]);
        bench.send(at * 3_600, true, &[0x41, 0x5a, 2]);
        bench.later(Duration::from_millis(40));
    }
    bench.key_frame(39_600);
    let slices = |unit: &AccessUnit| crate::media::nal::Nals::new(&unit.data).count();
    let counts: Vec<_> = bench.units().iter().map(|unit| slices(unit)).collect();
    // The first picture shows what the marker is worth.
    assert_eq!(counts, [3, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3]);
}

#[test]
fn entry_points_other_than_idr_pictures_are_places_to_begin() {
    let mut bench = PublishBench::new(VIDEO, Carriage::Tcp);
    bench.key_frame(0);
    bench.picture(3_600);
    // A recovery point of zero frames, and a slice of type I.
    bench.send(7_200, false, &[6, 6, 1, 0xc4, 0x80]);
    bench.send(7_200, true, &[0x41, 0x88, 1]);
    bench.later(Duration::from_millis(40));
    bench.picture(10_800);
    let entries: Vec<_> = bench.units().iter().map(|unit| unit.entry).collect();
    assert_eq!(entries, [Some(Entry::Closed), None, Some(Entry::Open), None]);
    assert_eq!(bench.stream.entry(), Some(Entry::Open));
}

#[test]
fn packets_of_others_and_none_change_nothing() {
    let mut bench = PublishBench::new(VIDEO, Carriage::Tcp);
    bench.key_frame(0);
    let strays = [
        packet(96, 9, 0, 8, true, &[0x65, 1]),
        packet(50, bench.sequence.wrapping_add(1), 3_600, 7, true, &[0x65, 1]),
        packet(96, bench.sequence, 0, 7, true, &[0x65, 1]),
        Bytes::from_static(b"\x80\x60\0"),
        Bytes::from_static(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
        Bytes::new(),
    ];
    for stray in strays {
        bench.give(TrackId(0), TrackPacket::Rtp(stray.clone()));
        bench.give(TrackId(0), TrackPacket::Rtcp(stray.clone()));
        bench.give(TrackId(9), TrackPacket::Rtp(stray));
    }
    bench.picture(3_600);
    assert_eq!(bench.told(), [(5, 0), (1, 0)]);
}

#[test]
fn another_source_in_the_middle_is_followed_and_time_goes_on() {
    let mut bench = PublishBench::new(VIDEO, Carriage::Tcp);
    bench.key_frame(0);
    bench.picture(3_600);
    for (at, payload) in (0u16..).zip([SPS, SPS, PPS, &[0x65, 0x88, 1]]) {
        let packet = packet(96, 100 + at, 0x8000_0000, 8, at == 3, payload);
        bench.give(TrackId(0), TrackPacket::Rtp(packet));
    }
    let units = bench.units();
    assert_eq!(units.len(), 3);
    let steps: Vec<_> =
        units.windows(2).map(|pair| pair[1].decode.ticks - pair[0].decode.ticks).collect();
    assert_eq!(steps[0], 3_600);
    assert!((1..90_000).contains(&steps[1]), "{steps:?}");
    assert!(units[2].lost_before > 0);
}

#[test]
fn new_parameters_in_the_middle_are_told_and_nonsense_is_not() {
    let mut bench = PublishBench::new(VIDEO, Carriage::Tcp);
    bench.key_frame(0);
    let first = Arc::clone(&bench.units()[0].params);
    // 640x360, x264.
    let sps = [
        0x67, 0x64, 0, 0x1e, 0xac, 0xd9, 0x40, 0xa0, 0x2f, 0xf9, 0x70, 0x11, 0, 0, 3, 0, 1, 0, 0,
        3, 0, 0x32, 0x0f, 0x16, 0x2d, 0x96,
    ];
    bench.send(3_600, false, &sps);
    bench.send(3_600, false, PPS);
    bench.send(3_600, true, &[0x65, 0x88, 1]);
    let units = bench.units();
    assert_ne!(units[0].params, first);
    assert_eq!(bench.stream.tracks().borrow().as_ref().unwrap().list[0].params, units[0].params);
    for (at, nonsense) in
        (2u32..).zip([&[0x67u8; 40][..], &[0x67, 0xff], &[0x67, 0x64, 0, 0x33, 0, 0, 0]])
    {
        bench.send(at * 3_600, false, nonsense);
        bench.send(at * 3_600, true, &[0x65, 0x88, 1]);
        bench.later(Duration::from_millis(40));
    }
    bench.key_frame(90_000);
    let units = bench.units();
    assert!(
        units.iter().all(|unit| unit.params.rfc6381.as_ref().unwrap().starts_with("avc1.6400"))
    );
    assert_eq!(units.last().unwrap().params, first);
}

/// A baseline SPS (ITU-T H.264 §7.3.2.1.1) of so many macroblocks each way, cropped on the right
/// by so many units of two pixels.
fn sps(wide: u32, high: u32, crop: u32) -> Vec<u8> {
    let ue = |value: u32| {
        let digits = format!("{:b}", value + 1);
        "0".repeat(digits.len() - 1) + &digits
    };
    // Identifier, frame numbers, order of pictures, reference frames, then the sides; frames
    // only, direct inference, cropped; no VUI, stop.
    let sides = [0, 0, 2, 1].map(ue).concat() + "0" + &ue(wide - 1) + &ue(high - 1);
    let mut bits = sides + "111" + &[0, crop, 0, 0].map(ue).concat() + "01";
    bits += &"0".repeat(bits.len().next_multiple_of(8) - bits.len());
    let octets = (0..bits.len()).step_by(8).map(|at| u8::from_str_radix(&bits[at..at + 8], 2));
    [0x67, 66, 0, 51].into_iter().chain(octets.map(Result::unwrap)).collect()
}

#[test]
fn pictures_of_sizes_that_cannot_be_are_dropped() {
    let begins = |sps: &[u8]| {
        let mut bench = PublishBench::new(VIDEO, Carriage::Tcp);
        bench.send(0, false, sps);
        bench.send(0, false, PPS);
        bench.send(0, true, &[0x65, 0x88, 1]);
        bench.units().len()
    };
    assert_eq!(begins(&sps(40, 22, 0)), 1);
    for (wide, high, crop) in [(4_096, 4_096, 0), (600, 4, 0), (40, 22, 320), (40, 22, 70_000)] {
        assert_eq!(begins(&sps(wide, high, crop)), 0, "{wide}x{high}, cropped by {crop}");
    }
}

#[test]
fn a_picture_without_end_is_given_up_and_the_next_one_taken() {
    let mut bench = PublishBench::new(VIDEO, Carriage::Tcp);
    bench.key_frame(0);
    let piece = [&[0x7c, 0x01][..], &vec![7; 60_000]].concat();
    bench.send(3_600, false, &[0x7c, 0x81, 1]);
    let before = crate::base::held::held_bytes();
    for _ in 0..50 << 20 >> 16 {
        bench.send(3_600, false, &piece);
        bench.later(Duration::from_millis(4));
    }
    let held = crate::base::held::held_bytes() - before;
    let most = i64::try_from(4 * ACCESS_UNIT_BYTES_MAX).unwrap();
    assert!(held < most, "{held} bytes are held of a picture of 50 MB");
    bench.picture(7_200);
    bench.key_frame(10_800);
    assert_eq!(bench.told(), [(5, 0), (1, 1), (5, 0)]);
}

#[test]
fn a_flood_ends_the_publisher() {
    let mut bench = PublishBench::new(VIDEO, Carriage::Tcp);
    let packet = Bytes::from(vec![0x80; 60_000]);
    let told = (0..10_000)
        .find_map(|_| bench.publisher.receive(TrackId(0), TrackPacket::Rtp(packet.clone())).err());
    assert!(matches!(told, Some(PushError::Flooded { .. })), "{told:?}");
}

#[test]
fn datagrams_wait_for_those_before_them() {
    let mut bench = PublishBench::new(VIDEO, Carriage::Udp);
    bench.key_frame(0);
    let first = bench.packet(3_600, true, &[0x41, 0x9a, 1]);
    let second = bench.packet(7_200, true, &[0x41, 0x9a, 2]);
    bench.sequence = bench.sequence.wrapping_add(1);
    let third = bench.packet(14_400, true, &[0x41, 0x9a, 3]);
    for packet in [second, first, third] {
        bench.give(TrackId(0), TrackPacket::Rtp(packet));
    }
    assert_eq!(bench.units.len(), 3, "the last one waits");
    let due = bench.publisher.deadline();
    assert_eq!(due, bench.clock.boot().after(RTP_REORDER_TIME_MAX));
    bench.later(RTP_REORDER_TIME_MAX);
    bench.publisher.advance().unwrap();
    assert_eq!(bench.told(), [(5, 0), (1, 0), (1, 0), (1, 1)]);
}

#[test]
fn the_senders_clock_is_believed_and_its_packets_are_reported_on() {
    let mut bench = PublishBench::new(VIDEO, Carriage::Tcp);
    bench.key_frame(0);
    let wall = bench.clock.wall().offset_nanos(-400_000_000);
    let mut report = vec![0x80, 200, 0, 6, 0, 0, 0, 7];
    report.extend_from_slice(&wall.to_ntp().to_be_bytes());
    report.extend_from_slice(&3_600u32.to_be_bytes());
    report.extend_from_slice(&[0; 8]);
    bench.give(TrackId(0), TrackPacket::Rtcp(report.into()));
    // A false length, an invalid clock, a false goodbye.
    for lie in [
        &b"\x80\xc8\xff\xff\0\0\0\x07"[..],
        b"\x80\xcb\0\x09\0\0\0\x07",
        &[0x80, 200, 0, 6, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ] {
        bench.give(TrackId(0), TrackPacket::Rtcp(Bytes::copy_from_slice(lie)));
    }
    bench.picture(3_600);
    let captured = bench.units()[1].captured;
    assert_eq!(captured.source, ClockSource::Sender);
    let off = captured.wall.as_unix_nanos() - wall.as_unix_nanos();
    assert!(off.abs() < 1_000_000, "{off} ns");
    assert!(bench.publisher.reports().is_empty());
    bench.later(RTCP_REPORT_INTERVAL);
    let reports = bench.publisher.reports();
    assert_eq!((reports.len(), reports[0].0, reports[0].1[1]), (1, TrackId(0), 201));
}

/// Many senders report before their first packet.
#[test]
fn a_report_before_the_first_packet_dates_that_packet() {
    let mut bench = PublishBench::new(VIDEO, Carriage::Tcp);
    let wall = bench.clock.wall().offset_nanos(-700_000_000);
    let mut report = vec![0x80, 200, 0, 6, 0, 0, 0, 7];
    report.extend_from_slice(&wall.to_ntp().to_be_bytes());
    report.extend_from_slice(&[0; 12]);
    bench.give(TrackId(0), TrackPacket::Rtcp(report.into()));
    bench.key_frame(0);
    for picture in 1u32..4 {
        bench.picture(picture * 3_600);
    }
    for (unit, nanos) in bench.units().iter().zip([0, 40_000_000, 80_000_000]) {
        assert_eq!(unit.captured.source, ClockSource::Sender);
        let off = unit.captured.wall.as_unix_nanos() - wall.as_unix_nanos() - nanos;
        assert!(off.abs() < 1_000_000, "{off} ns");
    }
}

proptest::proptest! {
    #[test]
    fn no_packets_make_it_panic(
        sdp in 0usize..5,
        packets in proptest::collection::vec(
            (0u16..40, 0u32..9, 0u8..2, proptest::collection::vec(0u8.., 0..60)), 0..200,
        ),
    ) {
        let (kind, sdp) = [
            (96, VIDEO),
            (96, "m=video 0 RTP/AVP 96\na=rtpmap:96 H265/90000\n"),
            (97, "m=audio 0 RTP/AVP 97\na=rtpmap:97 mpeg4-generic/48000/2\n\
                  a=fmtp:97 mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=1190\n"),
            (8, SOUND),
            (97, "m=audio 0 RTP/AVP 97\na=rtpmap:97 opus/48000/2\n"),
        ][sdp];
        let mut bench = PublishBench::new(sdp, Carriage::Udp);
        for (sequence, time, marker, payload) in packets {
            let packet = packet(kind, sequence, time * 3_600, 7, marker > 0, &payload);
            bench.give(TrackId(0), TrackPacket::Rtp(packet));
            bench.give(TrackId(0), TrackPacket::Rtcp(payload.into()));
            bench.later(Duration::from_millis(20));
        }
    }
}
