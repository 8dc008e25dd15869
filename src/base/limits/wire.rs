//! Messages, packets and playlists.
//!
//! Owns: lengths, times and counts that a protocol is held to.

use std::time::Duration;

use super::RECORDED_SEGMENT_SPAN_MAX;

/// Longest RTSP start line plus headers; a longer message gets 400 and the connection ends.
pub const RTSP_HEAD_BYTES_MAX: usize = 16 << 10;
/// Longest request URI; a longer one gets 414.
pub const RTSP_URI_BYTES_MAX: usize = 2 << 10;
/// Most headers of one message; more get 400.
pub const RTSP_HEADERS_MAX: usize = 64;
/// Longest RTSP body; a longer one gets 413 and the connection ends.
pub const RTSP_BODY_BYTES_MAX: usize = 64 << 10;
/// Body of an answer of a camera: a description of a thousand media is shorter.
pub const RTSP_DESCRIPTION_BYTES_MAX: usize = 256 << 10;
/// Bytes of a camera between two messages that belong to neither.
pub const RTSP_ODD_BYTES_MAX: usize = 64 << 10;
/// How long a camera may take to answer OPTIONS; then it is asked for its description.
pub const CLIENT_OPTIONS_TIME_MAX: Duration = Duration::from_secs(3);
/// Silence after which a description ends whose answer does not say how long it is.
pub const CLIENT_DESCRIPTION_QUIET: Duration = Duration::from_millis(500);
/// The same where it has the length that was said, and no line end behind its last line.
pub const CLIENT_DESCRIPTION_TAIL: Duration = Duration::from_millis(200);
/// A camera's session is kept alive at least so often.
pub const CLIENT_KEEPALIVE_MAX: Duration = Duration::from_secs(30);
/// A camera's session is kept alive at most so often.
pub const CLIENT_KEEPALIVE_MIN: Duration = Duration::from_secs(1);
/// Redirects of one session that are followed.
pub const CLIENT_REDIRECTS_MAX: u32 = 5;
/// Times that a camera may close the connection while a session is opened.
pub const CLIENT_RECONNECTS_MAX: u32 = 3;
/// Time from the first byte of a request to its last; then the connection ends.
pub const RTSP_REQUEST_TIME_MAX: Duration = Duration::from_secs(10);
/// A connection without a session and without a request ends after this.
pub const RTSP_IDLE_TIME_MAX: Duration = Duration::from_secs(60);
/// The `timeout` in every Session header unless configured; a UDP reader silent for longer is
/// dropped.
pub const RTSP_SESSION_TIMEOUT: Duration = Duration::from_secs(60);
/// What it may be configured to: keepalives of some clients come no faster, and a reader that
/// vanished must not be sent to for ever.
pub const RTSP_SESSION_TIMEOUTS: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(4)..=Duration::from_secs(600);
/// A publisher that sends no media for this long is dropped.
pub const RTSP_PUBLISH_SILENCE_MAX: Duration = Duration::from_secs(10);
/// Longest format parameters of an announced medium; longer ones are not read, and parameter sets
/// have to come with the pictures.
pub const SDP_FMTP_BYTES_MAX: usize = 8 << 10;
/// Media of one announced description; more get 400. Those that are not carried are let go.
pub const SDP_MEDIA_MAX: usize = 16;
/// Largest RTP packet including its header, so that Ethernet and tunnels carry it whole.
pub const RTP_PACKET_BYTES_MAX: usize = 1_400;
/// Packets of one track held back until those before them come; past it what is missing is lost.
pub const RTP_REORDER_PACKETS_MAX: usize = 128;
/// How long a packet is held back for those before it.
pub const RTP_REORDER_TIME_MAX: Duration = Duration::from_millis(200);
/// Interval of RTCP sender and receiver reports.
pub const RTCP_REPORT_INTERVAL: Duration = Duration::from_secs(5);
/// Longest `x-sessioncookie` of an HTTP tunnel; a longer one is refused.
pub const RTSP_TUNNEL_COOKIE_BYTES_MAX: usize = 128;

/// How long after it was made a nonce may be used first; later it is answered `stale=true`.
pub const RTSP_NONCE_TIME_MAX: Duration = Duration::from_secs(60);
/// Wrong passwords from one address that cost nothing; then it waits.
pub const AUTH_FAILURES_MAX: u32 = 20;
/// How long one wrong password counts against its address.
pub const AUTH_FAILURE_TIME: Duration = Duration::from_secs(30);
/// Wrong passwords from all addresses together that cost nothing; then addresses that were never
/// right wait.
pub const AUTH_FAILURES_ALL_MAX: u32 = 200;
/// How long one wrong password counts against all.
pub const AUTH_FAILURE_ALL_TIME: Duration = Duration::from_secs(3);
/// Bytes kept of the messages of one RTSP connection, both ways; the oldest messages leave first.
pub const RTSP_TRANSCRIPT_BYTES_MAX: usize = 8 << 10;
/// Bytes kept of one message of it; the rest is left out.
pub const RTSP_TRANSCRIPT_MESSAGE_BYTES_MAX: usize = 2 << 10;
/// Longest name of its program that is kept of an RTSP client.
pub const RTSP_USER_AGENT_BYTES_MAX: usize = 128;
/// Addresses whose wrong passwords are counted; the one closest to being forgiven is forgotten
/// first.
pub const AUTH_ADDRESSES_MAX: usize = 1_024;

/// Longest name of a file in a zip archive that is read.
pub const ZIP_NAME_BYTES_MAX: usize = 255;

/// Bytes of finished HLS segments kept for one stream; the oldest leave first.
pub const HLS_BYTES_MAX: usize = 64 << 20;
/// An HLS segment ends at the first key frame after this; a little under two seconds, so that
/// a camera's jitter does not make three seconds of two.
pub const HLS_SEGMENT_SPAN_MIN: Duration = Duration::from_millis(1_900);
/// Longest HLS segment before the target duration is known; then that is the bound. A segment
/// is cut early rather than grow past it.
pub const HLS_SEGMENT_SPAN_MAX: Duration = Duration::from_secs(10);
/// Least target duration of a live list: shorter segments make players ask more often than they
/// gain.
pub const HLS_TARGET_SECS_MIN: u64 = 4;
/// Entry points further apart than this no longer lengthen the target duration: such segments are
/// cut in between.
pub const HLS_ENTRIES_SECS_MAX: u64 = 60;
/// Largest HLS segment; it is cut early rather than grow past it.
pub const HLS_SEGMENT_BYTES_MAX: usize = 16 << 20;
/// Smallest and largest target duration of playlists of the past. A camera whose key frames are at
/// most three seconds apart has the smallest.
pub const HLS_PAST_TARGET_MIN: Duration = Duration::from_secs(6);
/// See [`HLS_PAST_TARGET_MIN`].
pub const HLS_PAST_TARGET_MAX: Duration = RECORDED_SEGMENT_SPAN_MAX;
/// About how long a part of low-latency HLS is: so many whole pictures as fit.
pub const HLS_PART_SPAN: Duration = Duration::from_millis(500);
