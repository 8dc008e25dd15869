//! Everything that a door needs of one stream.
//!
//! Owns: the bundle; each part owns itself.

use std::sync::Arc;

use super::hls::Hls;
use super::mse::Mse;
use super::recorder::Recorder;
use super::rtsp_play::Fanout;
use super::thumbnail::Thumbnail;
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
