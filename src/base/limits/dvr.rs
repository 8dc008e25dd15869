//! The ring on the disk.
//!
//! Owns: slots, the index, the journal, reads for players.

use std::time::Duration;

/// Bytes of one group of pictures that is played backwards; what does not fit is left out at
/// its end.
pub const REPLAY_GOP_BYTES_MAX: usize = 32 << 20;

/// Largest fragment; a fragment is cut early rather than grow past it.
pub const FRAGMENT_BYTES_MAX: usize = 16 << 20;
/// Fragments waiting for the storage thread, in bytes over all streams; past it the newest fragment
/// is refused, and the recorder counts and reports it as lost.
pub const STORAGE_QUEUE_BYTES_MAX: usize = 96 << 20;
/// A stream whose pictures need another decoder, as those of another size do, gets another slot no more
/// often than this; pictures in between carry their parameter sets themselves.
pub const DECODER_CHANGE_PAUSE: Duration = Duration::from_secs(60);
/// Commands waiting for the storage thread; past it the command is refused as above.
pub const STORAGE_QUEUE_LEN_MAX: usize = 1_024;
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
/// Writes or syncs failing in a row after which the ring counts as failed and is reopened.
pub const STORAGE_FAILURES_MAX: u32 = 3;
/// Opening the index; past it the index is given up for this start and moved aside at the next.
pub const INDEX_OPEN_TIME_MAX: Duration = Duration::from_secs(20);
/// Size at which the index on the disk is rebuilt, for a small ring: a store that does not return
/// the space it freed must not fill the volume.
pub const INDEX_BYTES_MAX: u64 = 256 << 20;
/// As [`INDEX_BYTES_MAX`] for a large ring: bytes on the disk per byte of the records in it.
pub const INDEX_BYTES_PER_RECORD_BYTE_MAX: u64 = 8;
/// Pause between two looks whether the index says of a slot what the slot says: 360 an hour.
pub const INDEX_LOOK_PAUSE: Duration = Duration::from_secs(10);
/// Pause between two looks at the size of the index.
pub const INDEX_SIZE_PAUSE: Duration = Duration::from_secs(3_600);
/// How long the index may take for one answer; past it the process continues without it.
pub const INDEX_ANSWER_TIME_MAX: Duration = Duration::from_secs(20);
/// Commands waiting for the index; past it a record is not kept and is found again by reading
/// the slot at the next start.
pub const INDEX_QUEUE_LEN_MAX: usize = 1_024;
/// Hole between two fragments from which on a listing shows a gap. Where pictures come seldom it is
/// a longer one, see [`GAP_SPAN_MAX`].
pub const GAP_SPAN_MIN: Duration = Duration::from_secs(2);
/// Units that arrive together were held back by a camera or a network for no longer than this: dates that
/// are further apart are a leap of the clock.
pub const HELD_BACK_MAX: Duration = Duration::from_secs(60);
/// Hole that shows as a gap however seldom pictures come.
pub const GAP_SPAN_MAX: Duration = Duration::from_secs(70);
/// Longest record of the journal; a longer one is not written, and is damage when it is read.
pub const JOURNAL_RECORD_BYTES_MAX: usize = 8 << 10;
/// Largest journal that is read; a larger one is moved aside. It is rewritten long before.
pub const JOURNAL_BYTES_MAX: u64 = 64 << 20;
/// From this size on a journal is rewritten once it has doubled.
pub const JOURNAL_COMPACT_BYTES_MIN: u64 = 256 << 10;
/// Notes waiting for the journal; past it a note is dropped and counted.
pub const JOURNAL_QUEUE_LEN_MAX: usize = 1_024;
/// How long a caller of the journal waits for the disk; then the answer is "not now".
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
/// Notes of the journal that wait for a subscriber; a slower one gets the number it lost.
pub const NOTED_KEPT_MAX: usize = 256;
/// Marked moments; the oldest leave first.
pub const MARKS_MAX: usize = 10_000;
/// Longest text of a mark; a longer one is refused.
pub const MARK_TEXT_BYTES_MAX: usize = 200;
/// Reasons of gaps that the journal keeps; the oldest leave first and their gaps have none.
pub const TROUBLES_MAX: usize = 10_000;
/// Longest text noted of a gap's reason; a longer one is cut.
pub const TROUBLE_TEXT_BYTES_MAX: usize = 200;
/// Pause between two notes on one stream's trouble of one kind; changes meanwhile are noted
/// together when it ends, so that a flapping camera does not wear the disk.
pub const TROUBLE_NOTE_PAUSE: Duration = Duration::from_secs(30);
/// A trouble that returns within this time counts as the same one.
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
/// A disk that takes nothing for this long is said to hang.
pub const DISK_STALL_SHOWN: Duration = Duration::from_secs(3);
/// How often it is looked whether the ring is still in its place.
pub const PLACE_CHECK_PAUSE: Duration = Duration::from_secs(2);
/// Proposals to shrink the ring that are still open for agreement; the oldest leave first.
pub const SHRINK_PLANS_MAX: usize = 8;
/// How long agreeing to a smaller ring waits for the disk.
pub const SHRINK_ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
/// Rebuilds of the index that the journal keeps; the oldest leave first.
pub const REBUILDS_MAX: usize = 256;
/// Changes of the ring's size that the journal keeps; the oldest leave first.
pub const RESIZES_MAX: usize = 256;
/// Age of the oldest fragment of a stream that is remembered, without its media, for readers that
/// follow the recording.
pub const RECENT_SPAN_MAX: Duration = Duration::from_secs(60);
/// Fragments of a stream remembered for them, reached where every picture is a fragment; the oldest
/// leave.
pub const RECENT_FRAGMENTS_MAX: usize = 2_048;
/// Reads for players at once over all streams; further ones wait.
pub const DISK_READS_MAX: usize = 8;
/// How long a player waits for one of [`DISK_READS_MAX`], and again for the disk; then it gets an
/// error saying that the disk does not answer.
pub const DISK_READ_WAIT_MAX: Duration = Duration::from_secs(5);
/// Slots of one ring; a larger ring takes larger slots.
pub const SLOTS_MAX: u32 = 100_000;
/// A segment of the ring, which becomes one of a long playlist, ends at the first key frame after this;
/// a little under four seconds, so that a camera's jitter does not make five seconds of four.
pub const RECORDED_SEGMENT_SPAN_MIN: Duration = Duration::from_millis(3_900);
/// Longest segment; it is cut without a key frame rather than grow past it, but for a single
/// fragment that is longer.
pub const RECORDED_SEGMENT_SPAN_MAX: Duration = Duration::from_secs(10);
/// A segment ends when nothing came for so long, longer than a disk may take that does not fail.
pub const RECORDED_SEGMENT_SILENCE_MAX: Duration = Duration::from_secs(12);
/// Streams of which the journal keeps how the segments of their playlists are numbered; those
/// noted longest ago leave, and begin with other numbers.
pub const NUMBERED_STREAMS_MAX: usize = 1_024;
/// Segments cached over all streams, some 40 bytes each: three weeks of one stream. Those of the
/// oldest laps leave, and are read from the disk when needed again.
pub const CACHED_SEGMENTS_MAX: usize = 400_000;

/// How far behind the end of a continuing recording a moment still counts as recorded: the newest
/// media have yet to become durable.
pub const PAST_PICTURE_SLACK: Duration = Duration::from_secs(4);
/// Steps of an answer about activity: a day in seconds. More are refused.
pub const ACTIVITY_STEPS_MAX: u64 = 86_400;
/// Steps of it when the request does not say how long one is.
pub const ACTIVITY_STEPS_DEFAULT: u64 = 1_440;
