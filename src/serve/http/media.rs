//! Routes that answer with media: live, recorded, pictures and files.

pub(super) mod export;
pub(super) mod live;
pub(super) mod live_ws;
pub(super) mod mjpeg;
pub(super) mod play_ws;
pub(super) mod snapshot;
pub(super) mod sprites;
pub(super) mod vod;
