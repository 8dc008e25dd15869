//! One run of a stream of H.264 pictures that were dated on this machine.
//!
//! Owns: a picture's place on the timeline, which is when it was taken; what was lost before it; and
//! where a run begins: with a key frame whose parameter sets are known. Does not own: cameras on the
//! net, whose clocks are not ours (see `rtp`). Reads no clock.

use std::sync::Arc;

use tracing::info;

use crate::base::time::{BootTime, MediaTime};
use crate::encode::Encoded;
use crate::media::codec::ParamsError;
use crate::media::{AccessUnit, Captured, CodecParams, Entry, RunId, TrackId, Tracks};
use crate::stream::{Stream, StreamState};

/// What is known of a picture besides its pixels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CaptureStamp {
    /// When the camera took it, which is its place on the timeline; not before the one before it.
    pub(super) at: BootTime,
    /// The same as a date.
    pub(super) captured: Captured,
    /// Pictures known to be lost directly before it, in the camera or on the way from it.
    pub(super) lost_before: u16,
}

/// One run.
pub(super) struct CaptureRun {
    stream: Arc<Stream>,
    id: RunId,
    params: Option<Arc<CodecParams>>,
    /// Whether the key frame that it begins with has come.
    begun: bool,
    /// Decoding time of the unit before, in ticks.
    last: Option<i64>,
    /// Pictures lost since the last one published.
    lost: u16,
}

impl CaptureRun {
    /// Begins a run of `stream`.
    pub(super) fn new(stream: Arc<Stream>) -> Self {
        let id = stream.begin_run();
        Self { id, stream, params: None, begun: false, last: None, lost: 0 }
    }

    /// Publishes a picture, unless the run has not begun: everything before its first key frame is
    /// dropped. `None`: nothing came out; units lost before it are reported with the next.
    pub(super) fn publish(
        &mut self,
        encoded: Option<Encoded>,
        taken: CaptureStamp,
    ) -> Result<(), ParamsError> {
        self.lost = self.lost.saturating_add(taken.lost_before);
        let Some(encoded) = encoded else { return Ok(()) };
        if let Some((sps, pps)) = &encoded.sets {
            self.describe(CodecParams::from_h264_sets(sps, pps)?);
        }
        let Some(params) = self.params.clone() else { return Ok(()) };
        if !self.begun && !self.begin(encoded.key) {
            return Ok(());
        }
        let time = self.place(taken.at, &params);
        self.stream.publish(AccessUnit {
            track: TrackId(0),
            run: self.id,
            decode: time,
            present: time,
            arrived: taken.at,
            captured: taken.captured,
            entry: Entry::key_frame(encoded.key),
            leading: None,
            lost_before: std::mem::take(&mut self.lost),
            params,
            data: encoded.data,
        });
        self.stream.set_state(StreamState::Live, taken.captured.wall);
        Ok(())
    }

    fn begin(&mut self, key: bool) -> bool {
        if key {
            info!(stream = %self.stream.name(), run = self.id.0, "stream is live");
            self.lost = 0; // what was lost before the beginning is no loss of this run
        }
        self.begun = key;
        key
    }

    /// The time of a picture taken `at`; times always grow.
    fn place(&mut self, at: BootTime, params: &CodecParams) -> MediaTime {
        let nanos = i64::try_from(at.as_nanos()).unwrap_or(i64::MAX);
        let mut time = MediaTime::from_nanos(nanos, params.clock_rate);
        time.ticks = self.last.map_or(time.ticks, |last| time.ticks.max(last.saturating_add(1)));
        self.last = Some(time.ticks);
        time
    }

    fn describe(&mut self, params: CodecParams) {
        if self.params.as_deref() == Some(&params) {
            return;
        }
        let params = Arc::new(params);
        self.stream.set_tracks(Arc::new(Tracks::new(self.id, [Arc::clone(&params)])));
        self.params = Some(params);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::base::name::StreamName;
    use crate::base::time::WallTime;
    use crate::encode::{EncoderChoice, EncoderSettings, Picture, RawFormat, VideoEncoder};
    use crate::media::ClockSource;
    use crate::stream::{Allowance, Next, Subscriber};

    /// A key frame with its sets and two pictures behind it, of this width.
    pub(crate) fn film(width: u32) -> [Encoded; 3] {
        let settings =
            EncoderSettings { encoder: EncoderChoice::Openh264, ..EncoderSettings::default() };
        let colours = crate::encode::Colours::BT709;
        let format = RawFormat { width, height: 96, fps: 25.0, colours };
        let mut encoder = VideoEncoder::open(settings, format).unwrap();
        [0, 40, 80].map(|at| {
            let picture = Picture::black(width, 96);
            encoder.encode(&picture, Duration::from_millis(at)).unwrap().unwrap()
        })
    }

    fn taken(at_ms: u64, lost_before: u16) -> CaptureStamp {
        let captured = Captured { wall: WallTime::default(), source: ClockSource::Sender };
        CaptureStamp { at: BootTime::from_millis(at_ms), captured, lost_before }
    }

    fn begun() -> (CaptureRun, Arc<Stream>, Subscriber<AccessUnit>) {
        let name = StreamName::parse("gate").unwrap();
        let stream = Stream::new(name, "test", WallTime::default());
        let reader = stream.bus().subscribe(Allowance::Window);
        (CaptureRun::new(Arc::clone(&stream)), stream, reader)
    }

    async fn next(reader: &mut Subscriber<AccessUnit>) -> Arc<AccessUnit> {
        match reader.next().await {
            Next::Item(unit) => unit,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_run_begins_with_a_key_frame_whose_sets_are_known() {
        let (mut run, stream, mut reader) = begun();
        let [key, second, third] = film(128);
        let bare = Encoded { sets: None, ..key.clone() };
        run.publish(Some(second.clone()), taken(0, 3)).unwrap();
        run.publish(Some(bare.clone()), taken(40, 0)).unwrap();
        assert_eq!(stream.state().0, StreamState::Starting);
        run.publish(Some(Encoded { sets: key.sets.clone(), ..second }), taken(80, 1)).unwrap();
        assert_eq!(stream.state().0, StreamState::Starting, "sets alone begin nothing");
        // The sets are known by now.
        run.publish(Some(bare), taken(120, 5)).unwrap();
        run.publish(Some(third), taken(160, 0)).unwrap();
        let first = next(&mut reader).await;
        assert!(first.random_access());
        assert_eq!(first.lost_before, 0, "nothing of this run was lost");
        assert!(!next(&mut reader).await.random_access());
        assert_eq!(stream.state().0, StreamState::Live);
    }

    #[tokio::test]
    async fn time_never_goes_back_nor_stands_still() {
        let (mut run, _stream, mut reader) = begun();
        let [key, second, third] = film(128);
        for (unit, at) in [(key, 1_000), (second, 1_000), (third, 900)] {
            run.publish(Some(unit), taken(at, 0)).unwrap();
        }
        for ticks in [90_000, 90_001, 90_002] {
            let unit = next(&mut reader).await;
            assert_eq!((unit.decode.ticks, unit.present.ticks), (ticks, ticks));
        }
    }

    #[tokio::test]
    async fn what_was_lost_is_told_with_the_next_picture() {
        let (mut run, _stream, mut reader) = begun();
        let [key, second, third] = film(128);
        run.publish(Some(key), taken(0, 0)).unwrap();
        run.publish(None, taken(40, 2)).unwrap();
        run.publish(Some(second), taken(80, 1)).unwrap();
        run.publish(Some(third), taken(120, 0)).unwrap();
        for lost in [0, 3, 0] {
            assert_eq!(next(&mut reader).await.lost_before, lost);
        }
    }

    #[tokio::test]
    async fn other_sets_are_other_tracks_and_the_same_ones_are_not() {
        let (mut run, stream, mut reader) = begun();
        let mut tracks = Vec::new();
        for (at, unit) in [film(128), film(128), film(144)].into_iter().flatten().enumerate() {
            run.publish(Some(unit), taken(at as u64 * 40, 0)).unwrap();
            let unit = next(&mut reader).await;
            let told = stream.tracks().borrow().clone().expect("tracks are told");
            assert_eq!(told.run, unit.run);
            if tracks.last().is_none_or(|last| !Arc::ptr_eq(last, &told)) {
                tracks.push(told);
            }
        }
        assert_eq!(tracks.len(), 2);
    }
}
