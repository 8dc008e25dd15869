//! Everything that a door needs of one stream.
//!
//! Owns: the bundle; each part owns itself.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::hls::Hls;
use super::mse::Mse;
use super::recorder::Recorder;
use super::rtsp::RtpOutput;
use super::thumbnail::Thumbnail;
use crate::base::meter::Totals;
use crate::base::name::StreamName;
use crate::encode::still::StillDecoders;
use crate::stream::Stream;
use crate::supervise::Supervisor;

/// One stream and its ways out.
#[derive(Debug)]
pub struct StreamOutputs {
    /// The stream itself.
    pub stream: Arc<Stream>,
    /// The stream that is the same picture made smaller, if there is one.
    pub sub: ArcSwapOption<StreamName>,
    /// RTP packets, built once for all RTSP readers.
    pub rtsp: RtpOutput,
    /// HLS segments and playlists.
    pub hls: Hls,
    /// fMP4 over WebSocket.
    pub mse: Mse,
    /// The newest picture as JPEG.
    pub thumbnail: Arc<Thumbnail>,
    /// The recorder, if the stream is recorded.
    pub recorder: Option<Recorder>,
}

/// How many read a stream, by door.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, schemars::JsonSchema)]
pub struct Readers {
    /// RTSP sessions that play.
    pub rtsp: usize,
    /// Addresses that lately asked for the HLS playlist.
    pub hls: usize,
    /// WebSocket viewers.
    pub mse: usize,
    /// MJPEG viewers.
    pub mjpeg: usize,
}

impl StreamOutputs {
    /// The ways out of `stream`, whose tasks live in `supervisor`.
    #[must_use]
    pub fn new(
        stream: &Arc<Stream>,
        recorder: Option<Recorder>,
        decoders: &StillDecoders,
        supervisor: &Supervisor,
    ) -> Self {
        let (to, clock) = (|| Arc::clone(stream), Arc::clone(supervisor.clock()));
        Self {
            stream: to(),
            sub: ArcSwapOption::default(),
            rtsp: RtpOutput::new(to(), supervisor.clone()),
            hls: Hls::new(to(), recorder.as_ref().map(Recorder::footage), supervisor.clone()),
            mse: Mse::new(to(), supervisor.clone()),
            thumbnail: Arc::new(Thumbnail::new(to(), clock, decoders.pictures.clone())),
            recorder,
        }
    }

    /// How many read it now.
    #[must_use]
    pub fn readers(&self) -> Readers {
        Readers {
            rtsp: self.rtsp.readers(),
            hls: self.hls.readers(),
            mse: self.mse.readers(),
            mjpeg: self.thumbnail.viewers(),
        }
    }

    /// The counters of each part, the source first. A new output adds its line here.
    #[must_use]
    pub fn totals(&self) -> Vec<(&'static str, Totals)> {
        let mut totals = vec![
            ("source", self.stream.meter.totals()),
            ("rtsp", self.rtsp.totals()),
            ("hls", self.hls.meter().totals()),
            ("mse", self.mse.meter().totals()),
        ];
        totals.extend(self.recorder.as_ref().map(|recorder| ("recorder", recorder.totals())));
        totals
    }
}
