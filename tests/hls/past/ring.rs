//! A ring filled at chosen dates, by a clock that can be set.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use bytes::Bytes;
use holdfast::base::name::StreamName;
use holdfast::base::time::{
    BootTime, Clock, ClockQuality, MediaTime, SharedClock, Trust, WallTime,
};
use holdfast::dvr::{self, Dvr, Retention, RingSizing, Writer};
use holdfast::media::codec::Law;
use holdfast::media::{AccessUnit, Captured, ClockSource, CodecParams, Entry, RunId, Tracks};
use holdfast::playback::hls::RecordedHls;
use holdfast::wire::mp4::{FragmentBuilder, init_segment};

/// A clock in the second day since boot, whose date can be set.
#[derive(Debug)]
pub(super) struct TestClock {
    pub(super) began: Instant,
    pub(super) wall_minus_boot_secs: AtomicI64,
}

pub(super) const BOOT_SECS: u64 = 100_000;
/// The right date at boot.
pub(super) const RIGHT_SECS: i64 = 1_795_000_000;

impl TestClock {
    pub(super) fn of(wall_minus_boot_secs: i64) -> Arc<Self> {
        let wall_minus_boot_secs = AtomicI64::new(wall_minus_boot_secs);
        Arc::new(Self { began: Instant::now(), wall_minus_boot_secs })
    }
}

impl Clock for TestClock {
    fn boot(&self) -> BootTime {
        BootTime::from_millis(BOOT_SECS * 1_000).after(self.began.elapsed())
    }

    fn wall(&self) -> WallTime {
        let boot = i64::try_from(self.boot().as_nanos()).unwrap();
        WallTime::from_unix_nanos(self.wall_minus_boot_secs.load(Relaxed) * 1_000_000_000 + boot)
    }

    fn quality(&self) -> ClockQuality {
        let is_right = self.wall_minus_boot_secs.load(Relaxed) == RIGHT_SECS;
        let trust = if is_right { Trust::Ntp } else { Trust::None };
        ClockQuality { trust, error_max: None }
    }
}

/// A ring with seconds of sound, each a fragment that can be begun with.
pub(super) struct Ring {
    pub(super) dir: tempfile::TempDir,
    pub(super) clock: Arc<TestClock>,
    pub(super) dvr: Dvr,
    pub(super) writer: Writer,
    pub(super) past: RecordedHls,
    pub(super) appended: u64,
}

impl Ring {
    pub(super) fn new(dir: tempfile::TempDir, clock: Arc<TestClock>) -> Self {
        let config = dvr::RingConfig {
            data_dir: dir.path().to_owned(),
            size: RingSizing::Bytes(128 << 20),
            slot_bytes: Some(256 << 10),
        };
        let shared: SharedClock = clock.clone();
        let dvr = Dvr::open(config, Arc::clone(&shared), None).unwrap();
        let stream = StreamName::parse("gate").unwrap();
        let writer = dvr.writer(&stream, Retention::default());
        let past = RecordedHls::new(dvr.footage(&stream), shared);
        Self { dir, clock, dvr, writer, past, appended: 0 }
    }

    /// Records a second that arrived so many seconds after boot.
    pub(super) fn record(&mut self, at_secs: u64, run_start: bool) {
        let rate = NonZeroU32::new(8_000).unwrap();
        let params = Arc::new(CodecParams::g711(Law::A, rate, 1));
        let init = init_segment(&Tracks::new(RunId(1), [Arc::clone(&params)]));
        let boot_nanos = i64::try_from(at_secs).unwrap() * 1_000_000_000;
        let offset_nanos = self.clock.wall_minus_boot_secs.load(Relaxed) * 1_000_000_000;
        let unit = |secs: i64| AccessUnit {
            arrived: BootTime::from_millis(at_secs * 1_000),
            captured: Captured {
                wall: WallTime::from_unix_nanos(boot_nanos + offset_nanos),
                source: ClockSource::Arrival,
            },
            entry: Entry::key_frame(true),
            ..AccessUnit::new(
                Arc::clone(&params),
                MediaTime::from_nanos(boot_nanos + secs * 1_000_000_000, rate),
                Bytes::from_static(&[0xd5; 80]),
            )
        };
        let mut builder = FragmentBuilder::new(1);
        builder.push(Arc::new(unit(0)));
        let fragment = builder.build(Some(&unit(1)));
        while self.writer.append(&init, fragment.clone(), run_start, false).is_err() {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.appended += 1;
    }

    pub(super) async fn durable(&self) {
        let mut durable = self.writer.durable();
        let all = durable.wait_for(|now| now.is_some_and(|now| now.fragments >= self.appended));
        tokio::time::timeout(Duration::from_secs(60), all).await.expect("it is durable").unwrap();
    }

    /// The same directory after another start.
    pub(super) async fn reopened(self) -> Self {
        let Self { dir, clock, dvr, writer, past, .. } = self;
        drop((writer, past));
        assert!(dvr.close(Duration::from_secs(20)));
        drop(dvr);
        let ring = Self::new(dir, clock);
        let known = async {
            while !ring.dvr.listing(ring.writer.stream()).complete
                || ring.dvr.listing(ring.writer.stream()).runs.is_empty()
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), known).await.expect("it is known again");
        ring
    }

    /// The date of a time since boot by the clock that is right.
    pub(super) fn date(at_secs: u64) -> WallTime {
        WallTime::from_unix_nanos((RIGHT_SECS + i64::try_from(at_secs).unwrap()) * 1_000_000_000)
    }
}
