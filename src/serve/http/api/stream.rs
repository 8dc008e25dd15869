//! What the API reports on one stream.

use std::sync::Arc;

use serde::Serialize;

use crate::base::meter::Totals;
use crate::base::name::StreamName;
use crate::base::time::{BootTime, WallTime};
use crate::dvr::StreamStatus;
use crate::live::recorder::Recorder;
use crate::live::{Readers, StreamOutputs};
use crate::media::{ClockSource, Entry, Kind, Shape, Track};
use crate::serve::http::context::HttpContext;
use crate::stream::{Encoding, Interrupted, Labels, SoundState};

/// One stream.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct StreamReport {
    name: StreamName,
    /// What people call it; `None`: by its name.
    title: Option<String>,
    /// Lower numbers first, those without one last.
    order: Option<u32>,
    state: &'static str,
    reason: Option<String>,
    since: WallTime,
    source: &'static str,
    tracks: Vec<TrackReport>,
    last_frame_age_ms: Option<u64>,
    /// Where readers can begin: `closed`, `open`, `gradual`, `intra`, or `none`.
    entry: Option<&'static str>,
    /// From one such place to the next.
    entry_interval_ms: Option<u64>,
    /// How the announced sound does.
    audio: Option<SoundReport>,
    /// How often the content of parameter sets changed, and what a decoder must know before.
    params_changes: u64,
    shape_changes: u64,
    /// Who dates the pictures.
    clock: Option<&'static str>,
    /// SHA-256 of the camera's certificate; `None` without TLS.
    certificate: Option<Arc<String>>,
    /// Whether it is pulled only on demand.
    on_demand: bool,
    /// Tracks that the source describes and that are left out, such as `audio L16`.
    not_carried: Arc<Vec<String>>,
    /// Packets so far that belong to none of its tracks; they are dropped.
    foreign_packets: u64,
    /// How often it broke off lately; `None` while that is no more than may happen.
    interrupted: Option<Interrupted>,
    recording: Option<StreamStatus>,
    /// `None` where the stream comes encoded.
    encoding: Option<Arc<Encoding>>,
    readers: Readers,
    totals: Totals,
    urls: Urls,
}

/// A stream that is switched off.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct DisabledReport {
    name: StreamName,
    title: Option<String>,
    order: Option<u32>,
}

impl DisabledReport {
    /// Its name.
    pub(super) fn name(&self) -> &str {
        self.name.as_str()
    }

    /// All of them.
    pub(super) fn all(labels: &Labels) -> Vec<Self> {
        let labels = labels.all();
        let off = labels.iter().filter(|(_, label)| !label.enabled);
        off.map(|(name, label)| Self {
            name: name.clone(),
            title: label.title.clone(),
            order: label.order,
        })
        .collect()
    }
}

/// One of its tracks.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct TrackReport {
    id: u8,
    kind: Kind,
    codec: &'static str,
    /// `None` where no such string is registered.
    codecs: Option<String>,
    #[serde(flatten)]
    shape: ShapeReport,
}

#[derive(Debug, Serialize, schemars::JsonSchema)]
#[serde(untagged)]
enum ShapeReport {
    Video {
        width: u16,
        height: u16,
        /// The shape of a pixel, as `4:3`.
        sar: String,
        /// Width and height in square pixels.
        display_width: u16,
        display_height: u16,
        frame_rate: Option<f64>,
        /// Why no stills can be made of it.
        undrawable: Option<String>,
    },
    Audio {
        sample_rate: u32,
        channels: u16,
    },
}

/// How the sound does.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct SoundReport {
    state: &'static str,
    /// Since when nothing comes, where something came before.
    since: Option<WallTime>,
}

impl SoundReport {
    fn new(sound: SoundState, context: &HttpContext) -> Self {
        let ago = |at: BootTime| {
            let nanos = context.clock.boot().since(at).as_nanos();
            context.clock.wall().offset_nanos(-i64::try_from(nanos).unwrap_or(i64::MAX))
        };
        match sound {
            SoundState::Playing => Self { state: "playing", since: None },
            SoundState::Silent => Self { state: "silent", since: None },
            SoundState::Stopped(at) => Self { state: "stopped", since: Some(ago(at)) },
        }
    }
}

/// Where to find it.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct Urls {
    rtsp: String,
    hls: String,
    snapshot: String,
    mse: String,
}

impl StreamReport {
    /// What is known now; `host` is the one by which the client reached us.
    pub(super) fn new(context: &HttpContext, outputs: &StreamOutputs, host: &str) -> Self {
        let stream = &outputs.stream;
        let (state, since) = stream.state();
        let tracks = stream.tracks().borrow().clone();
        let now = context.clock.boot();
        let age = stream.newest_arrival().map(|at| now.since(at).as_millis());
        let label = context.labels.all().get(stream.name()).cloned().unwrap_or_default();
        Self {
            name: stream.name().clone(),
            title: label.title,
            order: label.order,
            state: state.as_str(),
            reason: state.reason().map(str::to_owned),
            since,
            source: stream.source_kind(),
            tracks: tracks
                .map_or_else(Vec::new, |tracks| tracks.list.iter().map(TrackReport::new).collect()),
            last_frame_age_ms: age.map(|ms| u64::try_from(ms).unwrap_or(u64::MAX)),
            entry: stream.entry().map(Entry::as_str),
            entry_interval_ms: stream
                .entry_interval()
                .map(|interval| u64::try_from(interval.as_millis()).unwrap_or(u64::MAX)),
            audio: stream.sound().map(|sound| SoundReport::new(sound, context)),
            params_changes: stream.param_changes().params,
            shape_changes: stream.param_changes().shape,
            clock: stream.dated_by().map(|source| match source {
                ClockSource::Sender => "sender",
                ClockSource::Arrival => "arrival",
            }),
            certificate: stream.certificate(),
            on_demand: stream.demand().is_on_demand(),
            not_carried: stream.not_carried(),
            foreign_packets: stream.foreign_packets(),
            interrupted: stream.interrupted(now),
            recording: outputs.recorder.as_ref().map(Recorder::status),
            encoding: stream.encoding(),
            readers: outputs.readers(),
            totals: stream.meter.totals(),
            urls: Urls::new(stream.name(), host, context.rtsp.port()),
        }
    }
}

impl TrackReport {
    fn new(track: &Track) -> Self {
        let params = &track.params;
        Self {
            id: track.id.0,
            kind: params.kind(),
            codec: params.codec_name(),
            codecs: params.rfc6381.clone(),
            shape: match params.shape {
                Shape::Video { width, height, aspect, frame_secs } => ShapeReport::Video {
                    width,
                    height,
                    sar: aspect.to_string(),
                    display_width: aspect.display((width, height)).0,
                    display_height: aspect.display((width, height)).1,
                    undrawable: params.undrawable(),
                    frame_rate: frame_secs
                        .filter(|&(over, _)| over > 0)
                        .map(|(over, under)| f64::from(under) / f64::from(over)),
                },
                Shape::Audio { sample_rate, channels } => {
                    ShapeReport::Audio { sample_rate, channels }
                }
            },
        }
    }
}

impl Urls {
    fn new(name: &StreamName, host: &str, rtsp_port: u16) -> Self {
        Self {
            rtsp: format!("rtsp://{host}:{rtsp_port}/{name}"),
            hls: format!("/live/{name}/index.m3u8"),
            snapshot: format!("/snap/{name}.jpg"),
            mse: format!("/live/{name}/ws"),
        }
    }
}
