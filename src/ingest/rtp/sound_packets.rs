//! Sound in RTP, for the tests of its depacketizers.

use bytes::Bytes;

use super::frame::Unpacked;
use crate::wire::rtp::RtpPacket;
use crate::wire::rtsp::{MediaDescription, SessionDescription};

/// A description of stereo in `encoding`, with these parameters of its format.
pub(super) fn media(encoding: &str, clock_rate: u32, fmtp: &str) -> MediaDescription {
    let sdp = format!(
        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 0 RTP/AVP 97\r\n\
         a=rtpmap:97 {encoding}/{clock_rate}/2\r\na=fmtp:97 {fmtp}\r\n"
    );
    SessionDescription::parse(sdp.as_bytes()).unwrap().media.remove(0)
}

pub(super) fn packet(marker: bool, payload: &[u8]) -> RtpPacket {
    let payload = Bytes::copy_from_slice(payload);
    RtpPacket { payload_type: 97, marker, sequence: 1, timestamp: 0, ssrc: 1, payload }
}

/// Times and bytes of the frames, and whether the packet could be read.
pub(super) fn told((frames, read): (Vec<Unpacked>, bool)) -> (Vec<(i64, Vec<u8>)>, bool) {
    let frames = frames.into_iter().map(|u| (u.frame.stamp.ticks, u.frame.data.to_vec()));
    (frames.collect(), read)
}
