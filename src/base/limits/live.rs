//! Recorders, viewers, downloads and pictures.
//!
//! Owns: what each may hold in memory, how long it waits, how many there are.

use std::time::Duration;

use super::{FRAGMENT_BYTES_MAX, PLACES_MAX};

/// Bytes of media that may wait for one RTSP reader besides those in its socket; past it the reader
/// is moved on to the newest key frame. They are shared with the other readers.
pub const RTSP_LAG_BYTES_MAX: u64 = 4 << 20;
/// How long packets are still built after the last RTSP reader of a stream has gone.
pub const RTP_LINGER_TIME: Duration = Duration::from_secs(10);
/// Slowest pace to a UDP reader: one packet in this time, 11 Mbit/s.
pub const UDP_PACKET_GAP_MAX: Duration = Duration::from_millis(1);
/// Fastest pace of a key frame to a UDP reader, 32 Mbit/s: of what comes while the reader looks away
/// for 20 ms, and of one burst that was late, its socket's default buffer takes everything.
pub const UDP_PACKET_GAP_MIN: Duration = Duration::from_micros(350);

/// RTSP sessions that play recordings at once; a further one gets 453. As many browsers again may
/// play; a further one gets an error that says so.
pub const REPLAY_SESSIONS_MAX: usize = 16;
/// How far packets of the past may leave before their time.
pub const REPLAY_LEAD: Duration = Duration::from_millis(200);
/// How long the end of the recording is waited behind before live continues without it.
pub const REPLAY_HANDOVER_TIME_MAX: Duration = Duration::from_secs(8);

/// Longest fragment.
pub const FRAGMENT_SPAN_MAX: Duration = Duration::from_secs(1);
/// A fragment is ended when its first unit arrived this long ago, however slow its timeline is:
/// a little more than [`FRAGMENT_SPAN_MAX`], so that the unit that should end it may be late.
pub const FRAGMENT_AGE_MAX: Duration = Duration::from_millis(1_200);
/// A live stream of which nothing becomes durable for this long is not recorded, whatever was meant.
pub const UNRECORDED_TIME_MAX: Duration = Duration::from_secs(10);

/// Export jobs that are kept, finished ones among them; a further one is refused.
pub const EXPORT_JOBS_MAX: usize = 32;
/// Share of the volume that exports may take together, in percent; what would exceed it is
/// refused.
pub const EXPORT_JOBS_SHARE_PERCENT_MAX: u64 = 10;
/// Free bytes that an export leaves on the volume besides what the ring has still to take, or
/// [`EXPORT_JOBS_LEFT_PERCENT_MIN`] where that is more.
pub const EXPORT_JOBS_LEFT_BYTES_MIN: u64 = 64 << 20;
/// The same as a share of the volume, in percent.
pub const EXPORT_JOBS_LEFT_PERCENT_MIN: u64 = 2;
/// How long a finished export is kept, while the clock is trusted.
pub const EXPORT_JOB_KEEP_TIME: Duration = Duration::from_secs(7 * 24 * 3_600);
/// How often one stream of an export is restarted because footage turned out to be damaged or went
/// meanwhile; then the job fails.
pub const EXPORT_JOB_TRIES_MAX: u32 = 3;
/// Largest manifest of an export, and largest state file of a job; a larger one is refused.
pub const EXPORT_JOB_MANIFEST_BYTES_MAX: u64 = 16 << 20;
/// Bytes of an export after which they are brought to the medium and the volume's room is checked
/// again, so that the recorder's own syncs never wait for much of it.
pub const EXPORT_JOB_SYNC_BYTES: u64 = 8 << 20;
/// Longest note on an export; a longer one is refused.
pub const EXPORT_JOB_NOTE_BYTES_MAX: usize = 200;
/// How long the end of a range is waited for that reaches to now.
pub const EXPORT_JOB_TAIL_TIME_MAX: Duration = Duration::from_secs(5);
/// Pause between two looks at whether the ring is in its place, before the jobs are read.
pub const EXPORT_JOB_LOOK_PAUSE: Duration = Duration::from_millis(500);
/// Pause between two looks at what has expired.
pub const EXPORT_JOB_TIDY_PAUSE: Duration = Duration::from_secs(10);

/// WebSocket viewers of one stream; a further one gets 503.
pub const MSE_VIEWERS_MAX: usize = 64;
/// Bytes waiting for one WebSocket viewer before units are dropped to the next key frame.
pub const MSE_QUEUE_BYTES_MAX: usize = 4 << 20;
/// Bytes of media from which on what is played of the past is sent in several parts.
pub const PLAY_SCENE_BYTES_MAX: usize = 1 << 20;
/// Bytes of recorded fragments that are kept for the HLS players who ask for the same ones: at
/// 4 Mbit/s half a minute of all streams together. One that asks for older ones has them read.
pub const HLS_FRAGMENTS_BYTES_MAX: usize = FRAGMENT_BYTES_MAX;
/// Different windows of one stream of which it is remembered how far they have come.
pub const HLS_WINDOWS_MAX: usize = 16;
/// Requests of one stream that wait for a part that has not come yet; a further one gets 503.
pub const HLS_WAITERS_MAX: usize = 1_024;
/// How long the first HLS answer waits for enough segments before it says 503.
pub const HLS_FIRST_ANSWER_TIME_MAX: Duration = Duration::from_secs(15);
/// How long segments are still cut in memory, where nothing is recorded, after the last request.
pub const HLS_LINGER_TIME: Duration = Duration::from_secs(60);
/// Addresses counted as HLS readers of one stream; further ones are served but not counted.
pub const HLS_READERS_COUNTED_MAX: usize = PLACES_MAX;
/// Bytes of one stream's fMP4 window, which exists only while there are viewers; the oldest leave
/// first.
pub const MSE_WINDOW_BYTES_MAX: usize = 16 << 20;
/// Downloads of recordings, and plans for them in the making, at once; a further one gets 503.
pub const EXPORTS_MAX: usize = 16;
/// Bytes of sample tables that a planned download keeps in memory; those of a longer one are
/// written from the ring again as they are sent.
pub const EXPORT_TABLE_BYTES_MAX: usize = 8 << 20;
/// Sets of codec parameters over all tracks of one download; a range with more is refused.
pub const EXPORT_ENTRIES_MAX: usize = 256;
/// Fragments that are checked for one step of a plan: between two steps it can be cancelled.
pub const EXPORT_STEP_FRAGMENTS: usize = 512;
/// Bytes that are read at once for a download, or one fragment if that is more; as many wait
/// while they are sent.
pub const EXPORT_READ_BYTES: usize = 1 << 20;
/// Gaps that a planned download can name; of further ones only the number is known.
pub const EXPORT_GAPS_MAX: usize = 10_000;

/// A key frame is shown as a live picture until it is older than twice the time from one to the next
/// and [`SNAPSHOT_GRACE`], but at least for so long.
pub const SNAPSHOT_AGE_MIN: Duration = Duration::from_secs(10);
/// See [`SNAPSHOT_AGE_MIN`].
pub const SNAPSHOT_GRACE: Duration = Duration::from_secs(5);
/// How long a still waits for the first key frame of a camera that is pulled on demand.
pub const SNAPSHOT_WAIT_MAX: Duration = Duration::from_secs(8);
/// A key frame older than this is never shown as a live picture: twice the longest time between two
/// that cameras are set to.
pub const SNAPSHOT_AGE_MAX: Duration = Duration::from_secs(125);
/// A decoded picture is served again for this long: less than the second that most cameras take
/// from one key frame to the next.
pub const SNAPSHOT_CACHE_TIME: Duration = Duration::from_millis(800);
/// Widths of the newest picture that are kept decoded per stream; the oldest leaves first.
pub const SNAPSHOT_WIDTHS_MAX: usize = 4;
/// Pictures of the past that are looked for at once; further ones wait.
pub const PAST_PICTURES_AT_ONCE: usize = 4;
/// Bytes of pictures of the past kept in memory; those not asked for the longest leave first.
pub const PAST_PICTURE_CACHE_BYTES_MAX: usize = 8 << 20;
/// MJPEG viewers of one stream; a further one gets 503.
pub const MJPEG_VIEWERS_MAX: usize = 16;
/// Bytes of sprite sheets kept in memory over all streams; those not asked for the longest leave
/// first. A sheet has about 150 KB, one that still grows up to 400 KB more.
pub const SPRITE_CACHE_BYTES_MAX: usize = 48 << 20;
