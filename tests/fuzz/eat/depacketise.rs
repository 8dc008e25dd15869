//! Packets of a publisher, through retina's depacketizers, to the units that are published.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use holdfast::base::held::held_bytes;
use holdfast::base::limits::ACCESS_UNIT_BYTES_MAX;
use holdfast::base::name::StreamName;
use holdfast::base::time::{BootTime, Clock, WallTime};
use holdfast::ingest::rtsp_push::{Carriage, PushConfig, PushPublisher, TrackPacket};
use holdfast::media::{AccessUnit, Kind, TrackId, nal};
use holdfast::stream::{Allowance, Next, Stream, Subscriber};
use holdfast::wire::rtsp::SessionDescription;

use super::input::Input;

/// What a publisher may hold besides what it has published: a frame of each track in pieces and
/// whole, with all their packets small.
const HELD_BYTES_MAX: i64 = 4 << 20;

/// What the first byte of an input chooses from.
const OFFERS: [&str; 8] = [
    "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    "m=video 0 RTP/AVP 96\na=rtpmap:96 H265/90000\n",
    "m=audio 0 RTP/AVP 96\na=rtpmap:96 MPEG4-GENERIC/48000/2\n\
     a=fmtp:96 mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=1190\n",
    "m=audio 0 RTP/AVP 8\n",
    "m=audio 0 RTP/AVP 96\na=rtpmap:96 opus/48000/2\n",
    "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\nm=audio 0 RTP/AVP 0\n",
    "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=fmtp:96 packetization-mode=1;\
     profile-level-id=640033;sprop-parameter-sets=Z2QAM6wVFKCgL/lQ,aO48sA==\n",
    "m=video 0 RTP/AVP 96\na=rtpmap:96 H265/90000\nm=audio 0 RTP/AVP 97\n\
     a=rtpmap:97 opus/48000/2\n",
];

/// Feeds one input: the choice of an offer, then packets as [`Bench::packets`] reads them.
pub fn eat(bytes: &[u8]) {
    let mut input = Input(bytes);
    let choice = input.byte();
    let offer =
        SessionDescription::parse(OFFERS[usize::from(choice % 8)].as_bytes()).expect("it is one");
    let mut bench = Bench::open(&offer).expect("all of them are carried");
    bench.packets(input.0);
}

/// A clock that moves on command.
#[derive(Debug)]
struct TestClock(AtomicU64);

impl Clock for TestClock {
    fn boot(&self) -> BootTime {
        BootTime::from_millis(self.0.load(Ordering::Relaxed))
    }
    fn wall(&self) -> WallTime {
        let millis = i64::try_from(self.0.load(Ordering::Relaxed)).unwrap_or(0);
        WallTime::from_unix_nanos(1_795_363_523_000_000_000 + millis * 1_000_000)
    }
}

/// A publisher and a reader of what it publishes.
pub(crate) struct Bench {
    clock: Arc<TestClock>,
    stream: Arc<Stream>,
    reader: Subscriber<AccessUnit>,
    publisher: PushPublisher,
    payload_types: Vec<u8>,
    /// Sequence number and time of each track.
    positions: [(u16, u32); 2],
    /// Decoding time of the last unit of each track, in nanoseconds.
    last: [Option<i64>; 2],
    began: bool,
    held_before: i64,
}

impl Bench {
    /// A publisher of `offer`, if anything of it is carried.
    pub(crate) fn open(offer: &SessionDescription) -> Option<Self> {
        let clock = Arc::new(TestClock(AtomicU64::new(5_000)));
        let name = StreamName::parse("gate").expect("it is one");
        let stream = Stream::new(name, "rtsp_push", clock.wall());
        let point = PushConfig::new(false).publish_point();
        point.open(Arc::clone(&stream), clock.clone());
        let tracks: Vec<_> = (0..2).map(|track| (TrackId(track), Carriage::Udp)).collect();
        let checked = point.check(offer).is_ok();
        let publisher = point.acquire(offer, &tracks, 1 << 40);
        assert!(checked || publisher.is_err(), "what is refused may not come");
        let reader = stream.bus().subscribe(Allowance::Window);
        Some(Self {
            held_before: held_bytes(),
            publisher: publisher.ok()?,
            clock,
            stream,
            reader,
            payload_types: offer.media.iter().map(|medium| medium.payload_type).collect(),
            positions: [(65_530, 4_294_960_000); 2],
            last: [None; 2],
            began: false,
        })
    }

    /// Hands packets over. Each follows a byte of flags and its length in two bytes: the marker
    /// (1), the track (2), how the time continues (4, 8), how the numbers do (16, 32); 64 is a
    /// packet with its own head, 128 one of RTCP.
    pub(crate) fn packets(&mut self, bytes: &[u8]) {
        let mut input = Input(bytes);
        while !input.is_empty() {
            let flags = input.byte();
            let payload = input.counted();
            let track = usize::from(flags >> 1 & 1);
            let packet = match flags & 0xc0 {
                0 => TrackPacket::Rtp(self.packet(track, flags, payload)),
                0x40 => TrackPacket::Rtp(Bytes::copy_from_slice(payload)),
                _ => TrackPacket::Rtcp(Bytes::copy_from_slice(payload)),
            };
            let track = TrackId(u8::try_from(track).unwrap_or(0));
            if self.publisher.receive(track, packet).is_err() {
                return;
            }
            self.read();
            let held = held_bytes() - self.held_before;
            let published = i64::try_from(self.stream.bus().bytes()).unwrap_or(i64::MAX);
            assert!(held <= HELD_BYTES_MAX + 2 * published, "{held} held, {published} published");
            let _ = self.publisher.reports();
        }
    }

    fn packet(&mut self, track: usize, flags: u8, payload: &[u8]) -> Bytes {
        let (sequence, time) = &mut self.positions[track];
        *time = time.wrapping_add([0, 3_600, 1, 0x7000_0000][usize::from(flags >> 2 & 3)]);
        *sequence = sequence.wrapping_add([1, 0, 3, 500][usize::from(flags >> 4 & 3)]);
        if flags & 4 != 0 {
            self.clock.0.fetch_add(40, Ordering::Relaxed);
        }
        let kind = self.payload_types.get(track).copied().unwrap_or(96) | flags << 7;
        let mut packet = vec![0x80, kind];
        packet.extend(sequence.to_be_bytes());
        packet.extend(time.to_be_bytes());
        packet.extend(7u32.to_be_bytes());
        packet.extend(payload);
        packet.into()
    }

    fn read(&mut self) {
        while let Some(next) = self.reader.try_next() {
            match next {
                Next::Item(unit) => self.check(&unit),
                Next::Lagged(_) => {}
                Next::Ended => panic!("the stream ended"),
            }
        }
    }

    fn check(&mut self, unit: &AccessUnit) {
        assert!(self.began || unit.random_access(), "the first unit is none to begin at");
        self.began = true;
        assert!((1..=ACCESS_UNIT_BYTES_MAX).contains(&unit.data.len()));
        assert!(unit.present.ticks >= unit.decode.ticks, "shown before it is decoded");
        if unit.params.kind() == Kind::Video {
            assert!(nal::is_whole(&unit.data), "what is no NAL unit");
        }
        let last = &mut self.last[usize::from(unit.track.0)];
        let decode = unit.decode.ticks;
        assert!(last.is_none_or(|last| last < decode), "time stands still or goes back");
        *last = Some(decode);
    }
}
