//! Every numeric bound of the house, so that no peer, camera or disk can grow us without end.
//!
//! Owns: the numbers and what happens at each. Units stand last in the names.

use std::time::Duration;

// Names and configuration.

/// Longest stream name; a longer one is refused when the configuration is read.
pub const STREAM_NAME_BYTES_MAX: usize = 32;
/// Streams in one configuration; more are refused.
pub const STREAMS_MAX: usize = 64;
/// Largest configuration file read; a larger one is refused.
pub const CONFIG_BYTES_MAX: u64 = 1 << 20;

// Media.

/// Largest access unit; a larger one is dropped and counted as lost.
pub const ACCESS_UNIT_BYTES_MAX: usize = 8 << 20;
/// Largest parameter set (SPS, PPS, VPS, audio config); a larger one ends the run.
pub const PARAMETER_SET_BYTES_MAX: usize = 4 << 10;
/// Widest and highest picture accepted, in pixels.
pub const PICTURE_SIDE_PIXELS_MAX: u32 = 8_192;
/// Tracks of one stream; further ones are left unread.
pub const TRACKS_MAX: usize = 4;
/// Bytes per second one camera may bring, averaged over [`SOURCE_RATE_WINDOW`]; above it the
/// run is ended and tried again, so that one flooding camera costs the others nothing.
pub const SOURCE_BYTES_PER_SEC_MAX: u64 = 25 << 20;
/// Over how long [`SOURCE_BYTES_PER_SEC_MAX`] is averaged.
pub const SOURCE_RATE_WINDOW: Duration = Duration::from_secs(4);
/// Raw pictures of one camera whose memory is kept for the next ones; that of further ones is given
/// back.
pub const RAW_PICTURES_SPARE_MAX: usize = 3;
/// Video nodes that are looked at for an encoder of the board's; further ones are left alone.
pub const ENCODER_NODES_MAX: usize = 64;
/// How long an encoder of the board's may take for one picture; then openh264 takes over.
pub const ENCODER_TIME_MAX: Duration = Duration::from_secs(2);
/// Arguments of a command that brings a stream, its name among them; more are refused.
pub const COMMAND_ARGUMENTS_MAX: usize = 128;
/// Longest argument of a command; a longer one is refused.
pub const COMMAND_ARGUMENT_BYTES_MAX: usize = 4 << 10;
/// How long a command that is asked to end may take; then it is killed.
pub const COMMAND_END_TIME_MAX: Duration = Duration::from_secs(1);
/// Lines a minute of what a command says that go to the log; further ones are counted.
pub const COMMAND_LINES_PER_MINUTE_MAX: u32 = 20;
/// Longest such line; the rest is left out.
pub const COMMAND_LINE_BYTES_MAX: usize = 400;

// Bus.

/// Bytes of one stream's window; the oldest units leave first.
pub const BUS_BYTES_MAX: usize = 48 << 20;
/// Units of one stream's window, against floods of tiny units; the oldest leave first.
pub const BUS_UNITS_MAX: usize = 8_192;
/// Age of the oldest unit in a stream's window; the recorder may lag this far.
pub const BUS_SPAN_MAX: Duration = Duration::from_secs(20);
/// How far a viewer may lag before it is moved to the newest key frame.
pub const VIEWER_LAG_MAX: Duration = Duration::from_secs(5);

// RTSP.

/// Longest RTSP start line plus headers; a longer message gets 400 and the connection ends.
pub const RTSP_HEAD_BYTES_MAX: usize = 16 << 10;
/// Longest request URI; a longer one gets 414.
pub const RTSP_URI_BYTES_MAX: usize = 2 << 10;
/// Most headers of one message; more get 400.
pub const RTSP_HEADERS_MAX: usize = 64;
/// Longest RTSP body; a longer one gets 413 and the connection ends.
pub const RTSP_BODY_BYTES_MAX: usize = 64 << 10;
/// RTSP connections at once; a further one is closed at once.
pub const RTSP_CONNECTIONS_MAX: usize = 1_280;
/// RTSP connections from one address at once; a further one is closed at once.
pub const RTSP_CONNECTIONS_PER_PEER_MAX: usize = 128;
/// Time from the first byte of a request to its last; then the connection ends.
pub const RTSP_REQUEST_TIME_MAX: Duration = Duration::from_secs(10);
/// A connection without a session and without a request ends after this.
pub const RTSP_IDLE_TIME_MAX: Duration = Duration::from_secs(60);
/// The `timeout` told in every Session header unless configured; a UDP reader silent for longer is
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
pub const OFFER_FMTP_BYTES_MAX: usize = 8 << 10;
/// Media of one announced description; more get 400. Those that are not carried are let go.
pub const OFFER_MEDIA_MAX: usize = 16;
/// A TCP reader that takes no byte for this long is cut.
pub const RTSP_WRITE_STALL_MAX: Duration = Duration::from_secs(10);
/// Replies queued for a reader that pipelines requests; past it the connection ends.
pub const RTSP_REPLY_BYTES_MAX: usize = 256 << 10;
/// How long DESCRIBE waits for a stream's parameters before it answers 503.
pub const RTSP_DESCRIBE_WAIT_MAX: Duration = Duration::from_millis(4_500);
/// Largest RTP packet including its header, so that Ethernet and tunnels carry it whole.
pub const RTP_PACKET_BYTES_MAX: usize = 1_400;
/// Packets of one track held back until those before them come; past it what is missing is lost.
pub const RTP_REORDER_PACKETS_MAX: usize = 128;
/// How long a packet is held back for those before it.
pub const RTP_REORDER_TIME_MAX: Duration = Duration::from_millis(200);
/// Interval of RTCP sender and receiver reports.
pub const RTCP_REPORT_INTERVAL: Duration = Duration::from_secs(5);
/// Bytes of media handed to one TCP reader's socket at once; while they wait there, no more
/// units are taken, and the reader lags behind on the bus.
pub const RTSP_BATCH_BYTES_MAX: usize = 256 << 10;
/// Bytes of media that may wait for one RTSP reader besides those in its socket; past it the reader
/// is moved on to the newest key frame. They are shared with the other readers.
pub const RTSP_LAG_BYTES_MAX: u64 = 4 << 20;
/// Bytes that the kernel keeps for one TCP reader (it books twice as many); without this it would
/// take up to 4 MiB for each of them, and a slow reader would see old pictures.
pub const RTSP_SEND_BUFFER_BYTES: usize = 512 << 10;
/// How long packets are still built after the last RTSP reader of a stream has gone.
pub const RTP_LINGER_TIME: Duration = Duration::from_secs(10);
/// Packets sent to a UDP reader in one go when the timer came late; more wait, because a
/// receiver's socket buffer of 208 KiB holds about 90.
pub const UDP_BURST_PACKETS_MAX: u32 = 24;
/// The same for the very first packets of a UDP reader, whose socket buffer is still empty: most
/// first pictures leave at once.
pub const UDP_FIRST_BURST_PACKETS_MAX: u32 = 60;
/// Packets of one large picture that leave for a UDP reader together, once the burst is used up.
pub const UDP_GROUP_PACKETS: u32 = 8;
/// Slowest pace to a UDP reader: one packet in this time, 11 Mbit/s.
pub const UDP_PACKET_GAP_MAX: Duration = Duration::from_millis(1);
/// From a connection to the end of its TLS handshake; then it is closed.
pub const TLS_HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);
/// Encrypted bytes that wait for one reader's socket; past it the next ones wait unencrypted.
pub const TLS_SEND_BUFFER_BYTES: usize = 64 << 10;
/// Longest `x-sessioncookie` of an HTTP tunnel; a longer one is refused.
pub const RTSP_TUNNEL_COOKIE_BYTES_MAX: usize = 128;
/// From a tunnel's GET to its first POST; then it is closed.
pub const RTSP_TUNNEL_JOIN_TIME_MAX: Duration = Duration::from_secs(10);
/// Tunnels of one listener that wait for their first POST; a further one is refused.
pub const RTSP_TUNNELS_HALF_OPEN_MAX: usize = 64;
/// POSTs of one tunnel that wait for their turn; a further one is refused.
pub const RTSP_TUNNEL_POSTS_MAX: usize = 2;

// Stream accounts.

/// Accounts in one configuration; more are refused.
pub const ACCOUNTS_MAX: usize = 256;
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
/// Bytes kept of what one RTSP connection said and was told; the oldest messages leave first.
pub const RTSP_TRANSCRIPT_BYTES_MAX: usize = 8 << 10;
/// Bytes kept of one message of it; the rest is left out.
pub const RTSP_TRANSCRIPT_MESSAGE_BYTES_MAX: usize = 2 << 10;
/// RTSP clients that failed whose transcripts are kept; the oldest leave first.
pub const RTSP_FAILURES_MAX: usize = 32;
/// Longest name of its program that is kept of an RTSP client.
pub const RTSP_USER_AGENT_BYTES_MAX: usize = 128;
/// Pause between two looks whether the ledger of wrong passwords has to be written down.
pub const AUTH_LEDGER_PAUSE: Duration = Duration::from_secs(5);
/// Largest ledger of wrong passwords that is read; a larger one counts as none.
pub const AUTH_LEDGER_BYTES_MAX: u64 = 256 << 10;
/// How long reading that ledger may hold up the start; then it counts as none.
pub const AUTH_LEDGER_READ_TIME_MAX: Duration = Duration::from_secs(5);
/// Addresses whose wrong passwords are counted; whoever owes least is forgotten first.
pub const AUTH_ADDRESSES_MAX: usize = 1_024;

/// RTSP sessions that play recordings at once; a further one gets 453. As many again may be
/// browsers; a further one is told so.
pub const REPLAY_SESSIONS_MAX: usize = 16;
/// Bytes of one group of pictures that is played backwards; what does not fit is left out at
/// its end.
pub const REPLAY_GOP_BYTES_MAX: usize = 32 << 20;
/// How far packets of the past may leave before their time.
pub const REPLAY_LEAD: Duration = Duration::from_millis(200);
/// How long the end of the recording is waited behind before live goes on without it.
pub const REPLAY_HANDOVER_TIME_MAX: Duration = Duration::from_secs(8);
/// Multicast groups that can be configured; one per stream is used.
pub const MULTICAST_GROUPS_MAX: usize = 1_024;

// RTSP client.

/// Connecting to a camera.
pub const PULL_CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// How long a new connection waits for sessions of the old one that the camera may still hold.
pub const PULL_STALE_TIME_MAX: Duration = Duration::from_secs(10);
/// What a connection may hold in memory while one frame or one RTSP message is arriving; past it
/// the run ends. An access unit stands in it twice, in pieces and whole.
pub const PULL_HELD_BYTES_MAX: i64 = 32 << 20;
/// DESCRIBE, and then each of SETUP and PLAY.
pub const PULL_DESCRIBE_TIME_MAX: Duration = Duration::from_secs(10);
/// From PLAY to the first frame.
pub const PULL_FIRST_FRAME_TIME_MAX: Duration = Duration::from_secs(15);
/// Between two frames.
pub const PULL_IDLE_TIME_MAX: Duration = Duration::from_secs(10);

// Supervision.

/// First and shortest pause before a part is started again.
pub const RESTART_PAUSE_MIN: Duration = Duration::from_millis(250);
/// Longest pause before a part is started again.
pub const RESTART_PAUSE_MAX: Duration = Duration::from_secs(30);
/// A part that ran this long starts again at the shortest pause.
pub const RESTART_RESET_AFTER: Duration = Duration::from_secs(60);
/// Tries with refused credentials before the pause becomes [`REFUSED_PAUSE`].
pub const REFUSED_TRIES_MAX: u32 = 3;
/// The pause after credentials were refused [`REFUSED_TRIES_MAX`] times.
pub const REFUSED_PAUSE: Duration = Duration::from_secs(3_600);
/// How long everything together may take to stop.
pub const STOP_TIME_MAX: Duration = Duration::from_secs(10);
/// A vital task that does not beat for this long, or any that does not come back from one turn,
/// stops the watchdog's food.
pub const HEARTBEAT_AGE_MAX: Duration = Duration::from_secs(10);
/// The same for the storage thread, besides its calls to the disk, which may take any time.
pub const STORAGE_HEARTBEAT_AGE_MAX: Duration = Duration::from_secs(30);

// DVR.

/// Longest fragment.
pub const FRAGMENT_SPAN_MAX: Duration = Duration::from_secs(1);
/// Largest fragment; a fragment is cut early rather than grow past it.
pub const FRAGMENT_BYTES_MAX: usize = 16 << 20;
/// Fragments waiting for the storage thread, in bytes over all streams; past it the
/// newest fragment is refused, the recorder counts it as lost and says so.
pub const STORAGE_QUEUE_BYTES_MAX: usize = 96 << 20;
/// Commands waiting for the storage thread; past it the command is refused as above.
pub const STORAGE_QUEUE_LEN_MAX: usize = 1_024;
/// A fragment is ended when its first unit arrived this long ago, however slow its timeline is:
/// a little more than [`FRAGMENT_SPAN_MAX`], so that the unit that should end it may be late.
pub const FRAGMENT_AGE_MAX: Duration = Duration::from_millis(1_200);
/// What was written is made durable when its first unit arrived this long ago. With the time
/// that a healthy disk takes for it, a power cut costs no more than two seconds of footage.
pub const COMMIT_AGE_MAX: Duration = Duration::from_millis(1_250);
/// Shortest pause between two commits of one stream, for fragments that come late in a crowd,
/// as behind a stall of the disk.
pub const COMMIT_PAUSE_MIN: Duration = Duration::from_millis(500);
/// Size of a slot; larger ones are refused when the ring is opened.
pub const SLOT_BYTES_MAX: u64 = 1 << 30;
/// Smallest slot; a smaller one is refused when the ring is made.
pub const SLOT_BYTES_MIN: u64 = 64 << 10;
/// Fewest slots of a ring; a ring too small for them is refused.
pub const SLOTS_MIN: u32 = 8;
/// Largest `ftyp` and `moov` of a slot; a slot with a larger one is taken for damaged.
pub const INIT_BYTES_MAX: usize = 64 << 10;
/// Pause before a ring that cannot be used is tried again.
pub const RING_RETRY_PAUSE: Duration = Duration::from_secs(2);
/// Pause before a slot that could not be written is tried again.
pub const FAILING_PAUSE: Duration = Duration::from_secs(600);
/// Longest pause before slots that cannot be read are tried again.
pub const UNREAD_PAUSE_MAX: Duration = Duration::from_secs(600);
/// Writes or syncs failing in a row after which the ring counts as failed and is opened anew.
pub const STORAGE_FAILURES_MAX: u32 = 3;
/// Opening the index; past it the index is given up for this start and moved aside at the next.
pub const INDEX_OPEN_TIME_MAX: Duration = Duration::from_secs(20);
/// Size of the index on the disk from which on it is built again, for a small ring: a store that
/// does not give back what it freed must not fill the volume.
pub const INDEX_BYTES_MAX: u64 = 256 << 20;
/// As [`INDEX_BYTES_MAX`] for a large ring: bytes on the disk per byte of the records in it.
pub const INDEX_BYTES_PER_RECORD_BYTE_MAX: u64 = 8;
/// Pause between two looks whether the index says of a slot what the slot says: 360 an hour.
pub const INDEX_LOOK_PAUSE: Duration = Duration::from_secs(10);
/// Pause between two looks at the size of the index.
pub const INDEX_SIZE_PAUSE: Duration = Duration::from_secs(3_600);
/// How long the index may take for one answer; past it the process goes on without it.
pub const INDEX_ANSWER_TIME_MAX: Duration = Duration::from_secs(20);
/// Commands waiting for the index; past it a record is not kept and is found again by reading
/// the slot at the next start.
pub const INDEX_QUEUE_LEN_MAX: usize = 1_024;
/// Hole between two fragments from which on a listing shows a gap.
pub const GAP_SPAN_MIN: Duration = Duration::from_secs(2);
/// Longest record of the journal; a longer one is not written, and is damage when it is read.
pub const JOURNAL_RECORD_BYTES_MAX: usize = 8 << 10;
/// Largest journal that is read; a larger one is moved aside. It is written anew long before.
pub const JOURNAL_BYTES_MAX: u64 = 64 << 20;
/// From this size on a journal is written anew once it has doubled.
pub const JOURNAL_COMPACT_BYTES_MIN: u64 = 256 << 10;
/// Notes waiting for the journal; past it a note is dropped and counted.
pub const JOURNAL_QUEUE_LEN_MAX: usize = 1_024;
/// How long somebody who asks the journal waits for the disk; then the answer is "not now".
pub const JOURNAL_ANSWER_TIME_MAX: Duration = Duration::from_secs(5);
/// Pause before a journal that could not be written is tried again.
pub const JOURNAL_RETRY_PAUSE: Duration = Duration::from_secs(2);
/// Lives of the process that the journal keeps; the oldest leave first.
pub const SESSIONS_MAX: usize = 2_048;
/// Rows of the clock table; the oldest boots leave first, and their footage keeps the date
/// that was believed when it was recorded.
pub const CLOCK_ROWS_MAX: usize = 4_096;
/// Leap of the date from which on the clock table gets a new row.
pub const CLOCK_STEP_MIN: Duration = Duration::from_millis(500);
/// A capture that is dated further than this from its arrival is placed by its arrival: its
/// date comes from another clock than ours.
pub const CAPTURE_SKEW_MAX: Duration = Duration::from_secs(12);
/// Marked moments; the oldest leave first.
pub const MARKS_MAX: usize = 10_000;
/// Longest text of a mark; a longer one is refused.
pub const MARK_TEXT_BYTES_MAX: usize = 200;
/// Reasons of gaps that the journal keeps; the oldest leave first and their gaps have none.
pub const TROUBLES_MAX: usize = 10_000;
/// Longest text noted of a gap's reason; a longer one is cut.
pub const TROUBLE_TEXT_BYTES_MAX: usize = 200;
/// Pause between two notes on one stream's trouble of one kind; what changes meanwhile is told
/// then, so that a camera that flaps does not wear the disk.
pub const TROUBLE_NOTE_PAUSE: Duration = Duration::from_secs(30);
/// A trouble that comes back within this goes on as the same.
pub const TROUBLE_MERGE_TIME: Duration = Duration::from_secs(60);
/// Protected ranges; a further one is refused.
pub const PINS_MAX: usize = 1_024;
/// Share of the ring that may be protected, in percent; what would exceed it is refused.
pub const PIN_SHARE_PERCENT_MAX: u64 = 50;
/// How far ahead a protected range may end; one that ends later is refused.
pub const PIN_AHEAD_MAX: Duration = Duration::from_secs(24 * 3_600);
/// Longest reason of a protected range; a longer one is refused.
pub const PIN_REASON_BYTES_MAX: usize = 200;
/// Longest owner of a protected range; a longer one is refused.
pub const PIN_OWNER_BYTES_MAX: usize = 64;
/// Share of the ring that one pass of the age limit frees at most, in percent.
pub const AGE_PASS_PERCENT_MAX: u64 = 10;
/// Pause between two passes of the age limit.
pub const AGE_PASS_PAUSE: Duration = Duration::from_secs(600);
/// Evictions are added up this long before they are written down.
pub const EVICTION_NOTE_PAUSE: Duration = Duration::from_secs(3_600);
/// A live stream of which nothing becomes durable for this long is not recorded, whatever was meant.
pub const UNRECORDED_TIME_MAX: Duration = Duration::from_secs(10);
/// A disk that takes nothing for this long is said to hang.
pub const DISK_STALL_SHOWN: Duration = Duration::from_secs(3);
/// How often it is looked whether the ring is still in its place.
pub const PLACE_CHECK_PAUSE: Duration = Duration::from_secs(2);
/// Proposals to make the ring smaller that somebody may still agree to; the oldest leave first.
pub const SHRINK_PLANS_MAX: usize = 8;
/// How long somebody who agrees to a smaller ring waits for the disk.
pub const SHRINK_ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
/// Rebuilds of the index that the journal keeps; the oldest leave first.
pub const REBUILDS_MAX: usize = 256;
/// Changes of the ring's size that the journal keeps; the oldest leave first.
pub const RESIZES_MAX: usize = 256;
/// Age of the oldest fragment of a stream that is kept in mind, without its media, for those who
/// follow the recording.
pub const RECENT_SPAN_MAX: Duration = Duration::from_secs(60);
/// Fragments of a stream that are kept in mind so, where every picture is one; the oldest leave.
pub const RECENT_FRAGMENTS_MAX: usize = 2_048;
/// Reads for players at once over all streams; further ones wait.
pub const DISK_READS_MAX: usize = 8;
/// How long a player waits for one of [`DISK_READS_MAX`], and again for the disk; then it is told
/// that the disk does not answer.
pub const DISK_READ_WAIT_MAX: Duration = Duration::from_secs(5);
/// Slots of one ring; a larger ring takes larger slots.
pub const SLOTS_MAX: u32 = 100_000;

/// A chapter, which becomes a segment of a long playlist, ends at the first key frame after this;
/// a little under four seconds, so that a camera's jitter does not make five seconds of four.
pub const CHAPTER_SPAN_MIN: Duration = Duration::from_millis(3_900);
/// Longest chapter; it is cut without a key frame rather than grow past it, but for a single
/// fragment that is longer.
pub const CHAPTER_SPAN_MAX: Duration = Duration::from_secs(10);
/// A chapter ends when nothing came for so long, longer than a disk may take that does not fail.
pub const CHAPTER_SILENCE_MAX: Duration = Duration::from_secs(12);
/// Streams of which the journal keeps how the segments of their playlists are numbered; those
/// noted longest ago leave, and begin with other numbers.
pub const NUMBERED_STREAMS_MAX: usize = 1_024;
/// Chapters kept in mind over all streams, some 40 bytes each: three weeks of one stream. Those of
/// the oldest laps leave, and are read from the disk when somebody asks for them.
pub const CHAPTERS_MAX: usize = 400_000;

// Export jobs.

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
/// How often one stream of an export is begun anew because footage turned out to be damaged or
/// went meanwhile; then the job fails.
pub const EXPORT_JOB_TRIES_MAX: u32 = 3;
/// Largest manifest of an export, and largest state file of a job; a larger one is refused.
pub const EXPORT_JOB_MANIFEST_BYTES_MAX: u64 = 16 << 20;
/// Bytes of an export after which they are brought to the medium and the volume's room is looked
/// at again, so that the recorder's own syncs never wait for much of it.
pub const EXPORT_JOB_SYNC_BYTES: u64 = 8 << 20;
/// Longest note that somebody puts to an export; a longer one is refused.
pub const EXPORT_JOB_NOTE_BYTES_MAX: usize = 200;
/// How long the end of a range is waited for that reaches to now.
pub const EXPORT_JOB_TAIL_TIME_MAX: Duration = Duration::from_secs(5);
/// Pause between two looks at whether the ring is in its place, before the jobs are read.
pub const EXPORT_JOB_LOOK_PAUSE: Duration = Duration::from_millis(500);
/// Pause between two looks at what has expired.
pub const EXPORT_JOB_TIDY_PAUSE: Duration = Duration::from_secs(10);
/// Longest name of a file in a zip archive that is read.
pub const ZIP_NAME_BYTES_MAX: usize = 255;

// HTTP.

/// HTTP connections at once; a further one waits in the listener's queue. Room for 500 HLS players,
/// of which some have two. Each is a descriptor, of the 65,536 that the service's unit allows.
pub const HTTP_CONNECTIONS_MAX: usize = 1_024;
/// From a connection's first byte to the end of the request's headers.
pub const HTTP_HEADER_TIME_MAX: Duration = Duration::from_secs(10);
/// Largest request body; a larger one gets 413.
pub const HTTP_BODY_BYTES_MAX: usize = 64 << 10;
/// WebSocket viewers of one stream; a further one gets 503.
pub const MSE_VIEWERS_MAX: usize = 64;
/// Bytes waiting for one WebSocket viewer before units are dropped to the next key frame.
pub const MSE_QUEUE_BYTES_MAX: usize = 4 << 20;
/// How far the past is sent ahead of what a browser shows, in time as it passes for the viewer;
/// what would be further waits in the ring.
pub const PLAY_AHEAD_MAX: Duration = Duration::from_secs(6);
/// Bytes of that; past them only [`PLAY_AHEAD_MIN`] is sent.
pub const PLAY_AHEAD_BYTES_MAX: usize = 16 << 20;
/// What is sent ahead however many bytes it has, so that playing never stops for good.
pub const PLAY_AHEAD_MIN: Duration = Duration::from_secs(1);
/// Parts sent and not yet shown whose place is remembered; past it no more are sent.
pub const PLAY_PARTS_AHEAD_MAX: usize = 4_096;
/// Bytes of media from which on what is played of the past is sent in several parts.
pub const PLAY_SCENE_BYTES_MAX: usize = 1 << 20;
/// Messages that a viewer of the past may send a second, averaged over ten; more end it.
pub const PLAY_MESSAGES_PER_SEC_MAX: u32 = 50;
/// Bytes of finished HLS segments kept for one stream; the oldest leave first.
pub const HLS_BYTES_MAX: usize = 64 << 20;
/// Bytes of recorded fragments that are kept for the HLS players who ask for the same ones: at
/// 4 Mbit/s half a minute of all streams together. One that asks for older ones has them read.
pub const HLS_FRAGMENTS_BYTES_MAX: usize = FRAGMENT_BYTES_MAX;
/// An HLS segment ends at the first key frame after this; a little under two seconds, so that
/// a camera's jitter does not make three seconds of two.
pub const HLS_SEGMENT_SPAN_MIN: Duration = Duration::from_millis(1_900);
/// Longest HLS segment before the target duration is known; then that is the bound. A segment
/// is cut early rather than grow past it.
pub const HLS_SEGMENT_SPAN_MAX: Duration = Duration::from_secs(10);
/// Largest HLS segment; it is cut early rather than grow past it.
pub const HLS_SEGMENT_BYTES_MAX: usize = 16 << 20;
/// Longest `window` of a playlist that slides; what is asked beyond is refused. Longer ranges have
/// a playlist of their own.
pub const HLS_WINDOW_MAX: Duration = Duration::from_secs(24 * 3_600);
/// Smallest and largest target duration of playlists of the past. A camera whose key frames are at
/// most three seconds apart has the smallest.
pub const HLS_PAST_TARGET_MIN: Duration = Duration::from_secs(6);
/// See [`HLS_PAST_TARGET_MIN`].
pub const HLS_PAST_TARGET_MAX: Duration = CHAPTER_SPAN_MAX;
/// Different windows of one stream of which it is remembered how far they have come.
pub const HLS_WINDOWS_MAX: usize = 16;
/// About how long a part of low-latency HLS is: so many whole pictures as fit.
pub const HLS_PART_SPAN: Duration = Duration::from_millis(500);
/// Requests of one stream that wait for a part that has not come yet; a further one gets 503.
pub const HLS_WAITERS_MAX: usize = 1_024;
/// How long a multivariant playlist waits for the sub-stream once the stream itself is there.
pub const HLS_SUB_WAIT_MAX: Duration = Duration::from_secs(3);
/// How long the first HLS answer waits for enough segments before it says 503.
pub const HLS_FIRST_ANSWER_TIME_MAX: Duration = Duration::from_secs(15);
/// How long segments are still cut in memory, where nothing is recorded, after the last request.
pub const HLS_LINGER_TIME: Duration = Duration::from_secs(60);
/// Addresses counted as HLS readers of one stream; further ones are served but not counted.
pub const HLS_READERS_COUNTED_MAX: usize = HTTP_CONNECTIONS_MAX;
/// Bytes of one stream's fMP4 window, kept only while somebody watches; the oldest leave first.
pub const MSE_WINDOW_BYTES_MAX: usize = 16 << 20;
/// Interval of clock messages and pings to a WebSocket viewer.
pub const MSE_PING_INTERVAL: Duration = Duration::from_secs(5);
/// A WebSocket viewer that is silent for longer, pongs included, is cut.
pub const MSE_SILENCE_MAX: Duration = Duration::from_secs(14);
/// Largest WebSocket message a viewer may send; a larger one ends the connection.
pub const MSE_MESSAGE_BYTES_MAX: usize = 4 << 10;
/// An HTTP client that takes no byte for this long is cut.
pub const HTTP_WRITE_STALL_MAX: Duration = Duration::from_secs(10);
/// Longest request line plus headers; a longer one gets 431 and the connection ends.
pub const HTTP_HEAD_BYTES_MAX: usize = 32 << 10;
/// HTTP connections from one address at once; a further one is closed at once. A proxy with its
/// viewers gets by with an eighth of all, and no seven addresses can shut out the others.
pub const HTTP_CONNECTIONS_PER_PEER_MAX: usize = 128;
/// How long open requests may go on once the door was told to stop.
pub const HTTP_DRAIN_TIME_MAX: Duration = Duration::from_secs(2);

/// Downloads of recordings, and plans for them in the making, at once; a further one gets 503.
pub const EXPORTS_MAX: usize = 16;
/// Bytes of sample tables that a planned download keeps in memory; those of a longer one are
/// written from the ring again as they are sent.
pub const EXPORT_TABLE_BYTES_MAX: usize = 8 << 20;
/// Sets of codec parameters over all tracks of one download; a range with more is refused.
pub const EXPORT_ENTRIES_MAX: usize = 256;
/// Fragments that are looked at for one step of a plan: between two steps it can be cancelled.
pub const EXPORT_STEP_FRAGMENTS: usize = 512;
/// Bytes that are read at once for a download, or one fragment if that is more; as many wait
/// while they are sent.
pub const EXPORT_READ_BYTES: usize = 1 << 20;
/// Gaps that a planned download can name; of further ones only the number is known.
pub const EXPORT_GAPS_MAX: usize = 10_000;
/// Downloads whose plans are kept, so that a player that jumps about gets bytes of one version;
/// the one not asked for longest leaves first.
pub const EXPORT_PLANS_KEPT_MAX: usize = 8;
/// How long a plan is kept behind the last request for it.
pub const EXPORT_PLAN_KEEP_TIME: Duration = Duration::from_secs(300);

// Pictures.

/// A key frame older than this is not shown as a live picture.
pub const SNAPSHOT_AGE_MAX: Duration = Duration::from_secs(10);
/// A decoded picture is served again for this long: less than the second that most cameras take
/// from one key frame to the next.
pub const SNAPSHOT_CACHE_TIME: Duration = Duration::from_millis(800);
/// Widths of the newest picture that are kept decoded per stream; the oldest leaves first.
pub const SNAPSHOT_WIDTHS_MAX: usize = 4;
/// What `?width=` of a picture may be; a picture is never enlarged.
pub const PICTURE_WIDTHS: std::ops::RangeInclusive<u16> = 16..=3_840;
/// How long somebody waits for a picture, the queue before the decoder included.
pub const PICTURE_WAIT_MAX: Duration = Duration::from_secs(12);
/// A decoder child that takes longer for one picture is killed.
pub const DECODE_TIME_MAX: Duration = Duration::from_secs(5);
/// The same for the child that makes sprites, which gets what processor time nobody else wants.
pub const DECODE_IDLE_TIME_MAX: Duration = Duration::from_secs(30);
/// Processor time of a decoder child for one picture; past it the kernel kills it.
pub const DECODE_CPU_TIME_MAX: Duration = Duration::from_secs(5);
/// Pictures that wait for one decoder child; a further one is refused.
pub const DECODE_QUEUE_LEN_MAX: usize = 64;
/// Bytes of one key frame with its parameter sets; a larger one is refused.
pub const DECODE_REQUEST_BYTES_MAX: usize =
    ACCESS_UNIT_BYTES_MAX + 3 * (PARAMETER_SET_BYTES_MAX + 4);
/// Pixels of a picture that is decoded, 8192x4320; a larger one is refused.
pub const DECODE_PIXELS_MAX: usize = 8_192 * 4_320;
/// Largest picture a decoder child may answer.
pub const JPEG_BYTES_MAX: usize = 16 << 20;
/// Address space of a decoder child; past it its allocations fail and one picture is lost.
pub const DECODE_MEMORY_BYTES_MAX: u64 = 1 << 30;
/// A decoder child that nobody asked for this long is ended.
pub const DECODER_IDLE_TIME: Duration = Duration::from_secs(30);
/// Longest pause before a decoder child is started again: one camera whose key frames crash it
/// must not cost the others theirs.
pub const DECODER_PAUSE_MAX: Duration = Duration::from_secs(1);
/// Pictures of the past that are looked for at once; further ones wait.
pub const PAST_PICTURES_AT_ONCE: usize = 4;
/// Bytes of pictures of the past kept in memory; those not asked for the longest leave first.
pub const PAST_PICTURE_CACHE_BYTES_MAX: usize = 8 << 20;
/// How far behind the end of a recording that goes on a moment still counts as recorded: what
/// came since waits to become durable.
pub const PAST_PICTURE_SLACK: Duration = Duration::from_secs(4);
/// MJPEG viewers of one stream; a further one gets 503.
pub const MJPEG_VIEWERS_MAX: usize = 16;
/// Bytes of sprite sheets kept in memory over all streams; those not asked for the longest leave
/// first. A sheet has about 150 KB, one that still grows 2.6 MB more.
pub const SPRITE_CACHE_BYTES_MAX: usize = 48 << 20;
/// How long somebody waits for a sprite sheet; what was made until then is kept.
pub const SPRITE_WAIT_MAX: Duration = Duration::from_secs(60);
/// Longest range of one sprite map.
pub const SPRITE_RANGE_MAX: Duration = Duration::from_secs(24 * 3_600);

// Recovery log.

/// Entries of the recovery log; restarts of parts leave it before anything larger does.
pub const RECOVERY_ENTRIES_MAX: usize = 256;
/// Longest reason of an entry; the rest is cut off.
pub const RECOVERY_TEXT_BYTES_MAX: usize = 1_024;
/// Largest recovery log read; a larger one is no log of ours.
pub const RECOVERY_FILE_BYTES_MAX: u64 = 1 << 20;
/// Largest memory of `holdfast health` that is read.
pub const HEALTH_FILE_BYTES_MAX: u64 = 64 << 10;
/// Longest answer of the daemon's own API that a command reads.
pub const API_ANSWER_BYTES_MAX: u64 = 4 << 20;

// Video devices of this machine.

/// Buffers of one V4L2 queue (`VIDEO_MAX_FRAME` of the kernel); a driver that makes more is refused.
pub const V4L2_BUFFERS_MAX: u32 = 32;
/// Bytes of one plane of a V4L2 buffer; a driver that wants more mapped is refused.
pub const V4L2_PLANE_BYTES_MAX: u32 = 128 << 20;
/// How often one call to a video driver is made again because a signal interrupted it.
pub const V4L2_INTERRUPTS_MAX: u32 = 64;
/// Video nodes that are listed; a Pi has about twenty of its own.
pub const V4L2_NODES_MAX: usize = 64;
/// Age of a picture when it is taken out of the queue; one that says it is older has a clock of its
/// own, and its arrival counts.
pub const V4L2_STAMP_AGE_MAX: Duration = Duration::from_secs(10);
/// Controls of one device, and items of one menu, that are read; further ones are left out.
pub const V4L2_CONTROLS_MAX: usize = 256;
/// Formats of one device that are asked for.
pub const V4L2_FORMATS_MAX: u32 = 64;
/// Buffers that a camera is given: one is read while the others are filled.
pub const CAMERA_BUFFERS: u32 = 4;
/// Opening a camera and agreeing on a format; some take seconds to wake.
pub const CAMERA_OPEN_TIME_MAX: Duration = Duration::from_secs(15);
/// How long the thread of the last run may take to let go of the camera.
pub const CAMERA_RELEASE_TIME_MAX: Duration = Duration::from_secs(5);
/// Without a usable picture for so long the queue is rebuilt, and after as long again the run ends;
/// slow cameras get three pictures' time and 2 s.
pub const CAMERA_SILENCE_MAX: Duration = Duration::from_secs(5);
/// Pictures of a camera that codes them itself, on their way to the bus; past it the thread waits,
/// and the driver drops pictures.
pub const CAMERA_CODED_UNITS_MAX: usize = 4;
/// Pause between two looks whether a camera that is away has come back.
pub const CAMERA_LOOK_PAUSE: Duration = Duration::from_secs(1);
/// How long the API waits for video drivers to say what there is.
pub const DEVICES_TIME_MAX: Duration = Duration::from_secs(10);

// Board.

/// Bytes read of a file in which the kernel tells something; the rest is not read.
pub const BOARD_FILE_BYTES_MAX: u64 = 16 << 10;
/// Entries read of a directory in which the kernel tells something.
pub const BOARD_ENTRIES_MAX: usize = 256;
/// Characters of a text that the kernel tells, such as a model; the rest is cut off.
pub const BOARD_TEXT_CHARS_MAX: usize = 128;
/// Entries of a device tree's `compatible` that are looked at.
pub const BOARD_COMPATIBLE_MAX: usize = 32;
/// Temperatures that are told.
pub const BOARD_TEMPERATURES_MAX: usize = 64;
/// Pause between two looks at the board.
pub const BOARD_LOOK_PAUSE: Duration = Duration::from_secs(5);
/// Pause between two notes on what was written to the disk, so that counting wears nothing: a
/// power cut forgets this much.
pub const WRITTEN_NOTE_PAUSE: Duration = Duration::from_secs(3_600);
/// Disks whose writes are counted; the one that was seen longest ago leaves first.
pub const WRITTEN_DISKS_MAX: usize = 8;
/// Largest file of that count; a larger one is none of ours.
pub const WRITTEN_FILE_BYTES_MAX: u64 = 64 << 10;
/// Longest name of a GPIO line; the kernel's are shorter than 32 bytes.
pub const GPIO_LINE_CHARS_MAX: usize = 48;
/// Edges of all lines that wait to be looked at; past it they are dropped, and the levels are
/// looked at once a second anyway.
pub const GPIO_EDGES_MAX: usize = 64;

// Panel.

/// Alarm inputs in one configuration; more are refused.
pub const INPUTS_MAX: usize = 16;
/// Debounce of an input; a shorter one is contact bounce, a longer one hides an alarm.
pub const INPUT_DEBOUNCES: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(5);
/// How far before and behind its moment an input may protect footage.
pub const INPUT_SPAN_MAX: Duration = Duration::from_secs(600);
/// Events of one input within [`INPUT_EVENTS_WINDOW`]; past it the input chatters, which is said
/// once, and its events are only counted until it was silent for that long.
pub const INPUT_EVENTS_MAX: usize = 6;
/// Over how long [`INPUT_EVENTS_MAX`] is counted.
pub const INPUT_EVENTS_WINDOW: Duration = Duration::from_secs(60);
/// An input that is active for longer is said to be stuck, once; it changes nothing else.
pub const INPUT_STUCK_AFTER: Duration = Duration::from_secs(3_600);
/// Events of inputs that wait for the journal; past it the newest is dropped and said.
pub const INPUT_QUEUE_LEN_MAX: usize = 64;
/// How long an event waits for a ring that is not ready; then it is dropped and said.
pub const INPUT_NOTE_TIME_MAX: Duration = Duration::from_secs(600);
/// Ranges that inputs may protect together, so that people always find room for theirs; past it
/// inputs only make marks.
pub const INPUT_PINS_MAX: usize = 512;
/// A button that is held longer is stuck, and means nothing.
pub const BUTTON_HELD_MAX: Duration = Duration::from_secs(60);

// USB.

/// Ports between the board and a USB device (USB 3.2 §10: five hubs, and one for good measure).
pub const USB_DEPTH_MAX: usize = 7;
