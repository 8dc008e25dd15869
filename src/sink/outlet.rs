//! Everything that a door needs of one stream.
//!
//! Owns: the bundle; each part owns itself.

use std::sync::Arc;

use super::hls::Hls;
use super::mse::Mse;
use super::recorder::Recorder;
use super::rtsp_play::Fanout;
use super::thumbnail::Thumbnail;
use crate::base::meter::Totals;
use crate::bus::Stream;

/// One stream and its ways out.
#[derive(Debug)]
pub struct Outlet {
    /// The stream itself.
    pub stream: Arc<Stream>,
    /// RTP packets, built once for all RTSP readers.
    pub rtsp: Fanout,
    /// HLS segments and playlists.
    pub hls: Hls,
    /// fMP4 over WebSocket.
    pub mse: Mse,
    /// The newest picture as JPEG.
    pub thumbnail: Thumbnail,
    /// The recorder, if the stream is recorded.
    pub recorder: Option<Recorder>,
}

/// How many read a stream, by door.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub struct Readers {
    /// RTSP sessions that play.
    pub rtsp: usize,
    /// Addresses that lately asked for the HLS playlist.
    pub hls: usize,
    /// WebSocket viewers.
    pub mse: usize,
}

impl Outlet {
    /// How many read it now.
    #[must_use]
    pub fn readers(&self) -> Readers {
        Readers { rtsp: 0, hls: self.hls.readers(), mse: self.mse.readers() }
    }

    /// What each part counted, the source first. Whoever adds a sink adds its line here.
    #[must_use]
    pub fn totals(&self) -> Vec<(&'static str, Totals)> {
        vec![
            ("source", self.stream.meter.totals()),
            ("hls", self.hls.meter().totals()),
            ("mse", self.mse.meter().totals()),
        ]
    }
}
