//! One fact of the journal, and its bytes.
//!
//! Owns: the kinds of facts, the frame around each, and reading a whole journal back. Sans-IO.
//!
//! A frame is `HFJ1`, length of the text, CRC-32C over length, number and text, number, text;
//! numbers are big-endian. Frame numbers only grow. The text is one JSON object, or an array of
//! those that were noted at once, so that `strings journal.log` tells a person what is in it.

use bytes::BufMut;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::base::limits::JOURNAL_RECORD_BYTES_MAX;
use crate::base::name::StreamName;
use crate::base::time::{BootTime, WallTime};
use crate::dvr::catalogue::clock::ClockRow;
use crate::dvr::catalogue::pin::Pin;
use crate::dvr::format::form;
use crate::dvr::format::seal::Identity;

const MAGIC: &[u8; 4] = b"HFJ1";
/// Bytes of a frame in front of its text.
const HEAD_BYTES: usize = 20;

/// A fact that is not footage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum JournalRecord {
    /// A process began to record.
    Start(ProcessRun),
    /// It ended after everything was put to rest. A start without one was cut off.
    Stop {
        /// Its boot.
        #[serde(with = "form::hex")]
        boot: Identity,
        /// When.
        at: BootTime,
    },
    /// The clock table has a new row.
    Clock(ClockRow),
    /// A range is protected, or protects more than before.
    Pin(Pin),
    /// It is protected no more.
    Unpin {
        /// Which.
        id: u64,
        /// Whether its time ran out; otherwise a person removed it.
        expired: bool,
    },
    /// A person or a device marked a moment.
    Mark(Mark),
    /// Footage is missing, and this is why.
    Trouble(LossRecord),
    /// Slots that were given to newer footage, added up.
    Evicted {
        /// Whose footage went.
        stream: StreamName,
        /// How many slots since the last such record.
        slots: u64,
        /// How many bytes of footage.
        bytes: u64,
    },
    /// The ring has another size.
    Resized(Resize),
    /// The index is built again from the slots.
    Rebuilt(Rebuild),
    /// Segments of a playlist were numbered.
    Numbered(SegmentNumber),
}

/// Why the index was built again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rebuild {
    /// When that began, as believed.
    #[serde(with = "form::nanos")]
    pub utc: WallTime,
    /// How many slots were to be read.
    pub slots: u64,
    /// Why, for people.
    pub why: String,
}

/// What number the first segment of a lap has in the playlists of its stream. Those of the laps
/// around it follow, because a lap has the same segments each time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentNumber {
    /// The stream.
    pub stream: StreamName,
    /// The lap.
    pub lap: u64,
    /// Media sequence number of its first segment.
    pub number: u64,
    /// Discontinuities before it.
    pub discontinuities: u64,
}

/// A change of the ring's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resize {
    /// When, as believed.
    #[serde(with = "form::nanos")]
    pub utc: WallTime,
    /// How many slots it had.
    pub from_slots: u32,
    /// How many it has since.
    pub to_slots: u32,
    /// Bytes of each.
    pub slot_bytes: u64,
}

impl Resize {
    /// Whether `next`, noted behind it, is the same change once more: it leads where the ring is.
    pub(crate) fn is_same(&self, next: &Self) -> bool {
        self.to_slots == next.to_slots
    }
}

/// A life of the process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessRun {
    /// Its boot.
    #[serde(with = "form::hex")]
    pub boot: Identity,
    /// When it began.
    pub at: BootTime,
    /// The date at that moment, as believed.
    #[serde(with = "form::nanos")]
    pub utc: WallTime,
    /// When it ended cleanly.
    #[serde(default)]
    pub stopped: Option<BootTime>,
}

/// A marked moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Its name for programs.
    pub id: u64,
    /// Of one stream, or of all.
    pub stream: Option<StreamName>,
    /// The moment.
    #[serde(with = "form::nanos")]
    pub at: WallTime,
    /// What it is, for people.
    pub text: String,
    /// Of which kind; `None`: someone made it by hand.
    #[serde(rename = "mark_kind", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// Why footage is missing.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The camera could not be reached, or sent nothing.
    CameraUnreachable,
    /// The disk took nothing for too long.
    DiskStalled,
    /// The disk refused.
    DiskFailed,
    /// The recorder did not keep up with its camera.
    RecorderLagged,
    /// The program was stopped and started again.
    Restarted,
    /// The program ended without notice and was started again.
    Crashed,
    /// Power was lost, or the computer was restarted without notice.
    PowerLost,
    /// The clock was set.
    ClockStep,
    /// Newer footage took the slot, or the slot is gone.
    Overwritten,
    /// It was recorded, and is damaged on the medium.
    Damaged,
    /// Nothing was noted.
    Unknown,
}

/// A stretch of time in which footage of a stream is missing, or may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossRecord {
    /// The stream.
    pub stream: StreamName,
    /// In which boot.
    #[serde(with = "form::hex")]
    pub boot: Identity,
    /// From when.
    pub from: BootTime,
    /// Until when; `None` while it lasts.
    pub until: Option<BootTime>,
    /// Why.
    pub cause: Cause,
    /// More of it for people, such as what the camera answered; may be empty.
    pub text: String,
}

/// What is in a journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JournalContent {
    /// The good records, in order.
    pub records: Vec<JournalRecord>,
    /// Where the last good frame ends.
    pub end: usize,
    /// Number of the last good frame.
    pub number: u64,
    /// Foreign bytes between good frames: damage, not a torn end.
    pub damaged: u64,
    /// Bytes behind the last good frame.
    pub torn_bytes: usize,
    /// Good records of a kind that is not known here, as a newer version writes them.
    pub unknown: u64,
}

impl JournalRecord {
    /// Appends the record as frame `number`. Nothing is appended when it is too long, which
    /// the limits on texts make impossible for what comes from here.
    pub fn encode(&self, number: u64, out: &mut Vec<u8>) {
        put_frame(&serde_json::to_vec(self).unwrap_or_default(), number, out);
    }

    /// Appends as many of the first `records` as go into one frame `number`, and returns
    /// how many: a power cut leaves all of them or none. One frame each could leave a later one
    /// behind a torn one, which nothing tells from damage.
    pub fn encode_together(records: &[Self], number: u64, out: &mut Vec<u8>) -> usize {
        let (mut text, mut taken) = (b"[".to_vec(), 0);
        for record in records {
            let one = serde_json::to_vec(record).unwrap_or_default();
            if taken > 0 && text.len() + one.len() + 2 > JOURNAL_RECORD_BYTES_MAX {
                break;
            }
            if taken > 0 {
                text.push(b',');
            }
            text.extend(one);
            taken += 1;
        }
        match records {
            [one, ..] if taken == 1 => one.encode(number, out),
            _ => {
                text.push(b']');
                put_frame(&text, number, out);
            }
        }
        taken
    }
}

fn put_frame(text: &[u8], number: u64, out: &mut Vec<u8>) {
    let Ok(length) = u32::try_from(text.len()) else { return };
    if text.is_empty() || text.len() > JOURNAL_RECORD_BYTES_MAX {
        return;
    }
    out.put_slice(MAGIC);
    out.put_u32(length);
    out.put_u32(check(length, number, text));
    out.put_u64(number);
    out.put_slice(text);
}

fn check(length: u32, number: u64, text: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&length.to_be_bytes());
    crc32c::crc32c_append(crc32c::crc32c_append(crc, &number.to_be_bytes()), text)
}

/// Reads a whole journal. A torn end is dropped; damage before good frames is skipped, so that a
/// flipped bit costs one record and not all behind it.
#[must_use]
pub(crate) fn parse(bytes: &[u8]) -> JournalContent {
    let mut found = JournalContent::default();
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let Some((number, text)) = frame(rest).filter(|&(number, _)| number > found.number) else {
            let next = rest[1..].windows(MAGIC.len()).position(|window| window == MAGIC);
            let Some(by) = next else { break };
            at += 1 + by;
            continue;
        };
        found.damaged += u64::from(at > found.end);
        at += HEAD_BYTES + text.len();
        (found.end, found.number) = (at, number);
        found.take(text);
    }
    found.torn_bytes = bytes.len() - found.end;
    found
}

impl JournalContent {
    /// Takes the records of a good frame.
    fn take(&mut self, text: &[u8]) {
        let records = match serde_json::from_slice(text) {
            Ok(Value::Array(records)) => records,
            Ok(record) => vec![record],
            Err(_) => vec![Value::Null],
        };
        for record in records {
            match serde_json::from_value(record) {
                Ok(record) => self.records.push(record),
                Err(_) => self.unknown += 1,
            }
        }
    }
}

/// Number and text of the frame that `bytes` begins with.
fn frame(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (magic, rest) = bytes.split_first_chunk::<4>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    let (number, rest) = rest.split_first_chunk::<8>()?;
    let length = u32::from_be_bytes(*length);
    let number = u64::from_be_bytes(*number);
    let bytes = usize::try_from(length).ok().filter(|&bytes| bytes <= JOURNAL_RECORD_BYTES_MAX)?;
    let text = rest.get(..bytes)?;
    let whole = magic == MAGIC && u32::from_be_bytes(*crc) == check(length, number, text);
    whole.then_some((number, text))
}
