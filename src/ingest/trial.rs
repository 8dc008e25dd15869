//! Tries a camera: pulls it for a few seconds, and says what came.
//!
//! Owns: what is measured, and what of it a person should know. The camera is pulled by the client
//! that would pull it for good, so that one that can be tried can be added.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use super::mjpeg::{self, MjpegConfig, MjpegError};
use super::raw::RawError;
use super::rtsp_pull::{self, PullBounds, PullConfig, PullError};
use crate::base::Stop;
use crate::base::limits::{
    PULL_GOODBYE_TIME_MAX, TRIAL_ENTRY_UNITS, TRIAL_TIME_MAX, TRIAL_WATCH_TIME_MIN,
};
use crate::base::name::StreamName;
use crate::base::time::SharedClock;
use crate::media::{AccessUnit, ClockSource, Codec, Kind, Shape};
use crate::stream::{Allowance, Next, Stream, Subscriber};
use crate::supervise::{Supervisor, TaskContext, TaskSpec};

/// A clock that is further away than this is worth a word.
const CLOCK_OFFSET_SECS: i64 = 5;
/// Longest distance of two key frames that does not delay viewers.
const GOP_GOOD: Duration = Duration::from_secs(4);

/// What a camera sent.
#[derive(Debug)]
pub struct Trial {
    /// The stream that it was, for a picture of it.
    pub stream: Arc<Stream>,
    /// Codec of the picture.
    pub codec: &'static str,
    /// Its size.
    pub size: (u16, u16),
    /// Pictures per second.
    pub fps: Option<f64>,
    /// From one key frame to the next; `None`: fewer than two came.
    pub gop: Option<Duration>,
    /// Bits per second, sound included.
    pub bitrate_bps: Option<u64>,
    /// Codec of the sound, if there is any.
    pub audio: Option<&'static str>,
    /// How far its clock is ahead of ours, in seconds, if it says.
    pub clock_offset_secs: Option<i64>,
    /// Warnings to read before saving it, as sentences.
    pub warnings: Vec<String>,
}

/// Which camera is tried.
#[derive(Clone, Debug)]
pub enum TrialCamera {
    /// One that is pulled over RTSP.
    Rtsp(PullConfig),
    /// One that sends JPEG pictures over HTTP.
    Mjpeg(MjpegConfig),
}

/// Why nothing came of it.
#[derive(Debug)]
pub enum TrialError {
    /// Over RTSP.
    Rtsp(PullError),
    /// Over HTTP; `None`: the pictures came and could not be encoded.
    Mjpeg(Option<MjpegError>),
}

impl TrialCamera {
    /// The word that the configuration uses for such a source.
    fn kind(&self) -> &'static str {
        match self {
            Self::Rtsp(_) => "rtsp_pull",
            Self::Mjpeg(_) => "mjpeg",
        }
    }

    async fn run(
        self,
        stream: Arc<Stream>,
        context: TaskContext,
    ) -> Result<Infallible, TrialError> {
        match self {
            Self::Rtsp(config) => {
                let config = bounded(config);
                let again = (Arc::clone(&stream), context.clone());
                let Err(error) = rtsp_pull::run(&config, stream, context).await;
                if !matches!(error, PullError::NoMedia { tries_another: true, .. }) {
                    return Err(TrialError::Rtsp(error));
                }
                rtsp_pull::run(&config, again.0, again.1).await.map_err(TrialError::Rtsp)
            }
            Self::Mjpeg(config) => {
                mjpeg::run(&config, stream, context).await.map_err(|error| match error {
                    RawError::Source(error) => TrialError::Mjpeg(Some(error)),
                    _ => TrialError::Mjpeg(None),
                })
            }
        }
    }
}

/// The camera's own deadlines would be longer than anybody waits here.
fn bounded(mut config: PullConfig) -> PullConfig {
    let bound = |time: Duration| time.min(TRIAL_TIME_MAX / 2);
    let bounds = config.bounds;
    config.bounds = PullBounds {
        connect: bound(bounds.connect),
        describe: bound(bounds.describe),
        // A camera that is silent by TCP is asked for UDP in what is left.
        idle: bound(bounds.idle),
        ..bounds
    };
    config
}

/// Pulls `camera` for at most [`TRIAL_TIME_MAX`]. `Ok(None)`: it answers, and sends no
/// picture that a reader could begin with in that time.
pub async fn watch(
    camera: TrialCamera,
    name: StreamName,
    clock: &SharedClock,
) -> Result<Option<Trial>, TrialError> {
    let until = Instant::now() + TRIAL_TIME_MAX;
    let stream = Stream::new(name, camera.kind(), clock.wall());
    let reader = stream.bus().subscribe(Allowance::Window);
    // On a task board of its own: a camera being tried is not a task of the box.
    let supervisor = Supervisor::new(Stop::new(), Arc::clone(clock));
    let (heartbeat, _enlisted) = supervisor.enlist(TaskSpec::new("trial"));
    let stop = supervisor.stop_signal().clone();
    let context = TaskContext { stop: stop.clone(), heartbeat, clock: Arc::clone(clock) };
    let run = camera.run(Arc::clone(&stream), context);
    tokio::pin!(run);
    let mut seen = Seen::default();
    let ended = tokio::select! {
        biased;
        Err(error) = run.as_mut() => Some(error),
        () = seen.look(reader, until) => None,
    };
    stop.cancel();
    if ended.is_none() {
        // It says goodbye to the camera.
        let _ = timeout(PULL_GOODBYE_TIME_MAX * 2, run).await;
    }
    match (seen.trial(stream, clock), ended) {
        (Some(trial), _) => Ok(Some(trial)),
        (None, Some(error)) => Err(error),
        (None, None) => Ok(None),
    }
}

/// What came so far.
#[derive(Default)]
struct Seen {
    first: Option<Arc<AccessUnit>>,
    last: Option<Arc<AccessUnit>>,
    /// Bytes after the first unit.
    bytes: u64,
    entries: u32,
    lost: u32,
    audio: Option<&'static str>,
    began: Option<Instant>,
}

impl Seen {
    /// Looks until there is enough, or no more time.
    async fn look(&mut self, mut reader: Subscriber<AccessUnit>, until: Instant) {
        loop {
            let next = tokio::select! {
                biased;
                () = sleep_until(until) => return,
                next = reader.next() => next,
            };
            match next {
                Next::Item(unit) => self.take(unit),
                Next::Lagged(_) => {}
                Next::Ended => return,
            }
            let long = self.began.is_some_and(|began| began.elapsed() >= TRIAL_WATCH_TIME_MIN);
            if long && self.entries >= TRIAL_ENTRY_UNITS {
                return;
            }
        }
    }

    fn take(&mut self, unit: Arc<AccessUnit>) {
        if self.first.is_some() {
            self.bytes += unit.data.len() as u64;
        }
        if unit.params.kind() == Kind::Audio {
            self.audio = Some(unit.params.codec_name());
            return;
        }
        self.entries += u32::from(unit.random_access());
        if self.first.is_none() {
            self.began = Some(Instant::now());
            self.first = Some(Arc::clone(&unit));
        } else {
            self.lost += u32::from(unit.lost_before);
        }
        self.last = Some(unit);
    }

    fn trial(self, stream: Arc<Stream>, clock: &SharedClock) -> Option<Trial> {
        let (first, last) = (self.first.clone()?, self.last.clone()?);
        let Shape::Video { width, height, .. } = last.params.shape else { return None };
        let nanos = last.decode.as_nanos().saturating_sub(first.decode.as_nanos());
        let bits = u128::from(self.bytes) * 8;
        let bitrate = u128::try_from(nanos).ok().filter(|nanos| *nanos > 0);
        let bitrate = bitrate.map(|nanos| bits.saturating_mul(1_000_000_000) / nanos);
        let clock_offset_secs = offset_secs(&last, clock);
        let encoded = stream.encoding().is_some();
        let mut trial = Trial {
            codec: if encoded { "JPEG" } else { last.params.codec_name() },
            size: (width, height),
            fps: stream.frame_rate(last.track),
            gop: stream.entry_interval(),
            bitrate_bps: bitrate.and_then(|bits| u64::try_from(bits).ok()),
            audio: self.audio,
            clock_offset_secs,
            warnings: Vec::new(),
            stream,
        };
        trial.warnings = self.warnings(&trial, matches!(last.params.codec, Codec::H265 { .. }));
        Some(trial)
    }

    fn warnings(&self, trial: &Trial, hevc: bool) -> Vec<String> {
        let mut warnings = Vec::new();
        match trial.gop {
            None => warnings.push(
                "No second key frame came while the camera was tried. Set its key frame interval \
                 to 1 or 2 s."
                    .to_owned(),
            ),
            Some(gop) if gop > GOP_GOOD => warnings.push(format!(
                "There are {:.0} s between two key frames, which delays viewers. Set 1 or 2 s in \
                 the camera.",
                gop.as_secs_f64()
            )),
            Some(_) => {}
        }
        if trial.stream.encoding().is_some() {
            warnings.push(
                "Its JPEG pictures are encoded as H.264 here, which costs computing time. Set the \
                 camera to H.264 if it can."
                    .to_owned(),
            );
        }
        let not_carried = trial.stream.not_carried();
        if !not_carried.is_empty() {
            warnings.push(format!("Not carried of what it offers: {}.", not_carried.join(", ")));
        }
        if hevc {
            warnings.push("Some browsers do not play H.265. H.264 plays everywhere.".to_owned());
        }
        if self.lost > 0 {
            warnings.push(format!(
                "{} pictures were lost on the way. Look at the network, or set `transport` to \"tcp\".",
                self.lost
            ));
        }
        if let Some(secs) = trial.clock_offset_secs.filter(|secs| secs.abs() > CLOCK_OFFSET_SECS) {
            let way = if secs > 0 { "ahead of" } else { "behind" };
            warnings.push(format!(
                "The camera's clock is {} s {way} this box's. Give it a time server.",
                secs.abs()
            ));
        }
        warnings
    }
}

/// How far the clock of the camera that took `unit` is ahead of ours.
fn offset_secs(unit: &AccessUnit, clock: &SharedClock) -> Option<i64> {
    if unit.captured.source != ClockSource::Sender {
        return None;
    }
    let since = clock.boot().since(unit.arrived).as_nanos();
    let arrived = clock.wall().offset_nanos(-i64::try_from(since).unwrap_or(i64::MAX));
    let nanos = unit.captured.wall.as_unix_nanos().saturating_sub(arrived.as_unix_nanos());
    Some(nanos / 1_000_000_000)
}
