//! Connections and those behind them.
//!
//! Owns: the RTSP and the HTTP door.

use std::time::Duration;

use super::{ACCESS_UNIT_BYTES_MAX, PLAY_SCENE_BYTES_MAX};

const _: () = assert!(
    WS_WRITE_BUFFER_BYTES_MAX > ACCESS_UNIT_BYTES_MAX
        && WS_WRITE_BUFFER_BYTES_MAX > PLAY_SCENE_BYTES_MAX,
    "the largest message must fit"
);

/// Connections at once; fewer where there are few descriptors. A further one is closed at once.
pub const PLACES_MAX: usize = 2_048;
/// Of those, connections on which no one has signed in; a further one replaces the oldest of the
/// network that holds most.
pub const PLACES_UNPROVEN_MAX: usize = 512;
/// The same from one network (an IPv4 address, a /64 of IPv6); a further one takes the place of
/// the oldest.
pub const PLACES_UNPROVEN_PER_NETWORK_MAX: usize = 32;
/// Connections of one network that have signed in, or need not; a further one is closed.
pub const PLACES_PROVEN_PER_NETWORK_MAX: usize = 256;
/// Of the places of those who have signed in, those that only administrators get.
pub const PLACES_ADMINS: usize = 32;
/// Connections of one account, from wherever they come; a further one is closed.
pub const PLACES_PER_ACCOUNT_MAX: usize = 256;
/// From a connection to its first request of somebody who has signed in, whatever else is asked on it;
/// then it is closed.
pub const PROOF_TIME_MAX: Duration = Duration::from_secs(30);
/// Descriptors that connections never get: the recorder, its cameras and the disk need them.
pub const DESCRIPTORS_RESERVED: u64 = 256;
/// A TCP reader that takes no byte for this long is cut.
pub const RTSP_WRITE_STALL_MAX: Duration = Duration::from_secs(10);
/// Replies queued for a reader that pipelines requests; past it the connection ends.
pub const RTSP_REPLY_BYTES_MAX: usize = 256 << 10;
/// How long DESCRIBE waits for a stream's parameters before it answers 503.
pub const RTSP_DESCRIBE_WAIT_MAX: Duration = Duration::from_millis(4_500);
/// Bytes of media handed to one TCP reader's socket at once; while they wait there, no more
/// units are taken, and the reader lags behind on the bus.
pub const RTSP_BATCH_BYTES_MAX: usize = 256 << 10;
/// Bytes that the kernel keeps for one TCP reader (it books twice as many); without this it would
/// take up to 4 MiB for each of them, and a slow reader would see old pictures.
pub const RTSP_SEND_BUFFER_BYTES: usize = 512 << 10;
/// Packets sent to a UDP reader in one go when the timer came late; more wait, because a
/// receiver's socket buffer of 208 KiB holds about 90.
pub const UDP_BURST_PACKETS_MAX: u32 = 24;
/// The same for the very first packets of a UDP reader, whose socket buffer is still empty: with what
/// follows at the pace of a key frame it takes them although it looks away for 20 ms.
pub const UDP_FIRST_BURST_PACKETS_MAX: u32 = 32;
/// Packets of one large picture that leave for a UDP reader together, once the burst is used up.
pub const UDP_GROUP_PACKETS: u32 = 8;
/// From a connection to the end of its TLS handshake; then it is closed.
pub const TLS_HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);
/// TLS handshakes at once, of all servers; a further one waits within its time.
pub const TLS_HANDSHAKES_MAX: usize = 64;
/// Of those, handshakes of one network (an IPv4 address, a /64 of IPv6).
pub const TLS_HANDSHAKES_PER_NETWORK_MAX: usize = 16;
/// Names and addresses in one certificate; further ones are left out.
pub const TLS_NAMES_MAX: usize = 64;
/// Pause between two looks whether the box's own certificate has to be renewed.
pub const TLS_RENEWAL_PAUSE: Duration = Duration::from_secs(10);
/// Encrypted bytes that wait for one reader's socket; past it the next ones wait unencrypted.
pub const TLS_SEND_BUFFER_BYTES: usize = 64 << 10;
/// From a tunnel's GET to its first POST; then it is closed.
pub const RTSP_TUNNEL_JOIN_TIME_MAX: Duration = Duration::from_secs(10);
/// Tunnels of one listener that wait for their first POST; a further one is refused.
pub const RTSP_TUNNELS_HALF_OPEN_MAX: usize = 64;
/// POSTs of one tunnel that wait for their turn; a further one is refused.
pub const RTSP_TUNNEL_POSTS_MAX: usize = 2;

/// RTSP clients that failed whose transcripts are kept; the oldest leave first.
pub const RTSP_FAILURES_MAX: usize = 32;
/// Different sign-ins of stream accounts in a second that the audit log tells apart; more are counted.
pub const AUTH_ATTEMPTS_MAX: usize = 64;
/// Pause between two looks whether the ledger of wrong passwords has to be written down.
pub const AUTH_FAILURES_PAUSE: Duration = Duration::from_secs(5);
/// Largest ledger of wrong passwords that is read; a larger one counts as none.
pub const AUTH_FAILURES_BYTES_MAX: u64 = 256 << 10;
/// How long reading that ledger may hold up the start; then it counts as none.
pub const AUTH_FAILURES_READ_TIME_MAX: Duration = Duration::from_secs(5);
/// Multicast groups that can be configured; one per stream is used.
pub const MULTICAST_GROUPS_MAX: usize = 1_024;

/// Requests open at once on one HTTP/2 connection; a further one is refused. A page with 16 cameras
/// asks for a playlist and a segment of each.
pub const HTTP2_STREAMS_MAX: u32 = 32;
/// Bytes of answers that wait on one HTTP/2 request until its client takes them.
pub const HTTP2_SEND_BUFFER_BYTES: usize = 64 << 10;
/// Bytes of a request's body that an HTTP/2 client may send before they are taken.
pub const HTTP2_WINDOW_BYTES: u32 = 64 << 10;
/// Requests that an HTTP/2 client may take back before they were checked; past it the connection
/// ends (CVE-2023-44487).
pub const HTTP2_RESETS_MAX: usize = 20;
/// How long an HTTP/2 connection may be without a request; then it ends.
pub const HTTP2_IDLE_TIME_MAX: Duration = Duration::from_secs(60);
/// From a connection's first byte to the end of the request's headers.
pub const HTTP_HEADER_TIME_MAX: Duration = Duration::from_secs(10);
/// Longest host name with its port in a request (RFC 1035 §2.3.4, and a port).
pub const HTTP_HOST_BYTES_MAX: usize = 261;
/// Parts of the path below which a reverse proxy may serve the box.
pub const HTTP_BASE_PARTS_MAX: usize = 8;
/// From the head of a request to the end of its body, however it trickles in; then 408.
pub const HTTP_BODY_TIME_MAX: Duration = Duration::from_secs(10);
/// Largest request body; a larger one gets 413.
pub const HTTP_BODY_BYTES_MAX: usize = 64 << 10;
/// How far the past is sent ahead of what a browser shows, in time as it passes for the viewer;
/// what would be further waits in the ring.
pub const PLAY_AHEAD_MAX: Duration = Duration::from_secs(6);
/// Bytes of that; past them only [`PLAY_AHEAD_MIN`] is sent.
pub const PLAY_AHEAD_BYTES_MAX: usize = 16 << 20;
/// What is sent ahead however many bytes it has, so that playing never stops for good.
pub const PLAY_AHEAD_MIN: Duration = Duration::from_secs(1);
/// Parts sent and not yet shown whose place is remembered; past it no more are sent.
pub const PLAY_PARTS_AHEAD_MAX: usize = 4_096;
/// Messages that a viewer of the past may send a second, averaged over ten; more end it.
pub const PLAY_MESSAGES_PER_SEC_MAX: u32 = 50;
/// Longest `window` of a sliding playlist; a longer one is refused. Longer ranges have a playlist
/// of their own.
pub const HLS_WINDOW_MAX: Duration = Duration::from_secs(24 * 3_600);
/// How long a multivariant playlist waits for the sub-stream once the stream itself is there.
pub const HLS_SUB_WAIT_MAX: Duration = Duration::from_secs(3);
/// Interval of clock messages and pings to a WebSocket viewer.
pub const MSE_PING_INTERVAL: Duration = Duration::from_secs(5);
/// A WebSocket viewer that is silent for longer, pongs included, is cut.
pub const MSE_SILENCE_MAX: Duration = Duration::from_secs(14);
/// Control frames and idle chatter that a WebSocket client may send in [`WS_CONTROL_TIME`]; more
/// end it. A player sends one pong per [`MSE_PING_INTERVAL`].
pub const WS_CONTROL_FRAMES_MAX: u32 = 20;
/// Over how long they are counted.
pub const WS_CONTROL_TIME: Duration = Duration::from_secs(10);
/// Bytes waiting for one WebSocket client's socket: the largest message, which is one access unit
/// in fMP4 with its framing. One more byte closes the socket.
pub const WS_WRITE_BUFFER_BYTES_MAX: usize = ACCESS_UNIT_BYTES_MAX + (1 << 20);
/// Bytes read at once from a WebSocket client.
pub const WS_READ_BUFFER_BYTES: usize = 4 << 10;
/// Largest WebSocket message a viewer may send; a larger one ends the connection.
pub const MSE_MESSAGE_BYTES_MAX: usize = 4 << 10;
/// An HTTP client that takes no byte for this long is cut.
pub const HTTP_WRITE_STALL_MAX: Duration = Duration::from_secs(10);
/// Longest request line plus headers; a longer one gets 431 and the connection ends.
pub const HTTP_HEAD_BYTES_MAX: usize = 32 << 10;
/// How long open requests may continue after the server was asked to stop.
pub const HTTP_DRAIN_TIME_MAX: Duration = Duration::from_secs(2);
/// Downloads whose plans are kept, so that a player that jumps about gets bytes of one version;
/// the one not asked for longest leaves first.
pub const EXPORT_PLANS_KEPT_MAX: usize = 8;
/// How long a plan is kept behind the last request for it.
pub const EXPORT_PLAN_KEEP_TIME: Duration = Duration::from_secs(300);

/// What `?width=` of a picture may be; a picture is never enlarged.
pub const PICTURE_WIDTHS: std::ops::RangeInclusive<u16> = 16..=3_840;
/// Longest range of one sprite map.
pub const SPRITE_RANGE_MAX: Duration = Duration::from_secs(24 * 3_600);

/// How long the API waits for video drivers to say what there is.
pub const DEVICES_TIME_MAX: Duration = Duration::from_secs(10);
