//! The journal's bytes and what they add up to: every prefix, every bit, rewritten.

use crate::base::name::StreamName;
use crate::base::time::{ClockQuality, Trust};
use crate::dvr::catalogue::clock::ClockRow;
use crate::dvr::disk::RealDisk;
use crate::dvr::format::journal_record::parse;
use crate::dvr::format::journal_record::{Cause, LossRecord, Rebuild};
use crate::dvr::store::journal::file;
use crate::dvr::store::journal::file::JournalFile;
use crate::dvr::store::journal::*;

const BOOT: Identity = [1; 16];

fn gate() -> StreamName {
    StreamName::parse("gate").unwrap()
}

fn at(ms: u64) -> BootTime {
    BootTime::from_millis(ms)
}

fn date(secs: i64) -> WallTime {
    WallTime::from_unix_nanos(secs * 1_000_000_000 + 7)
}

fn trouble(from: u64, until: Option<u64>) -> JournalRecord {
    JournalRecord::Trouble(LossRecord {
        stream: gate(),
        boot: BOOT,
        from: at(from),
        until: until.map(at),
        cause: Cause::CameraUnreachable,
        text: "401 \"Unauthorized\"".to_owned(),
    })
}

fn pin(id: u64, expires: Option<WallTime>) -> JournalRecord {
    JournalRecord::Pin(Pin {
        id,
        stream: gate(),
        from: date(10),
        until: date(20),
        reason: "burglary".to_owned(),
        owner: "ada".to_owned(),
        expires,
        made: date(30),
        laps: Some((3, 9)),
    })
}

/// One of each kind.
fn records() -> Vec<JournalRecord> {
    let clock = ClockRow { boot: BOOT, at: at(5), utc: date(1), trust: Trust::Rtc, error_ms: None };
    let session = ProcessRun { boot: BOOT, at: at(1), utc: date(0), stopped: None };
    vec![
        JournalRecord::Start(session),
        JournalRecord::Clock(clock),
        pin(1, None),
        pin(u64::MAX, Some(date(99))),
        JournalRecord::Unpin { id: 1, expired: true },
        JournalRecord::Mark(Mark {
            id: 3,
            stream: None,
            at: date(4),
            text: "ding-dong".to_owned(),
            kind: Some("bell".to_owned()),
        }),
        trouble(10, None),
        trouble(10, Some(20)),
        JournalRecord::Evicted { stream: gate(), slots: 4, bytes: 1 << 40 },
        JournalRecord::Stop { boot: BOOT, at: at(99) },
    ]
}

fn encoded(records: &[JournalRecord]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (record, number) in records.iter().zip(1..) {
        record.encode(number, &mut bytes);
    }
    bytes
}

#[test]
fn records_come_back_as_they_were() {
    let bytes = encoded(&records());
    let parsed = parse(&bytes);
    assert_eq!(parsed.records, records());
    assert_eq!((parsed.end, parsed.number), (bytes.len(), 10));
    assert_eq!((parsed.damaged, parsed.torn_bytes, parsed.unknown), (0, 0, 0));
}

#[test]
fn every_prefix_holds_exactly_the_whole_records_in_it() {
    let bytes = encoded(&records());
    let ends: Vec<usize> = (1..=10).map(|n| encoded(&records()[..n]).len()).collect();
    for length in 0..bytes.len() {
        let parsed = parse(&bytes[..length]);
        let whole = ends.iter().filter(|&&end| end <= length).count();
        assert_eq!(parsed.records, records()[..whole], "at {length}");
        assert_eq!(parsed.torn_bytes, length - ends[..whole].last().unwrap_or(&0));
        assert_eq!(parsed.damaged, 0);
    }
}

#[test]
fn what_is_noted_at_once_is_there_as_a_whole_or_not_at_all() {
    let first = encoded(&records()[..2]);
    let mut bytes = first.clone();
    assert_eq!(JournalRecord::encode_together(&records()[2..], 3, &mut bytes), 8);
    assert_eq!(parse(&bytes).records, records());
    // A power cut may leave any sectors of an append that was not synced.
    for sectors in 0..1 << bytes.len().div_ceil(512) {
        let survives = |at: usize| at < first.len() || sectors >> (at / 512) & 1 == 1;
        let torn = bytes.iter().zip(0..).map(|(&byte, at)| if survives(at) { byte } else { 0 });
        let torn: Vec<u8> = torn.collect();
        let parsed = parse(&torn);
        let whole = torn == bytes;
        assert_eq!((parsed.damaged, parsed.records.len()), (0, if whole { 10 } else { 2 }));
    }
}

#[test]
fn more_than_one_frame_takes_goes_into_several() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = JournalFile::rewrite(&RealDisk, dir.path(), &[], 0).unwrap();
    let many: Vec<_> = (0..200).map(|from| trouble(from, None)).collect();
    journal.append(&many).unwrap();
    let parsed = file::read(&RealDisk, dir.path()).unwrap();
    assert_eq!(parsed.records, many);
    assert!((3..10).contains(&parsed.number), "{} frames", parsed.number);
}

#[test]
fn a_flipped_bit_costs_one_record() {
    let bytes = encoded(&records());
    for bit in 0..bytes.len() * 8 {
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let parsed = parse(&bytes);
        assert_eq!(parsed.records.len(), 9, "bit {bit}");
        assert!(parsed.records.iter().all(|record| records().contains(record)), "bit {bit}");
        assert_eq!(parsed.damaged + u64::from(parsed.torn_bytes > 0), 1, "bit {bit}");
    }
}

#[test]
fn what_a_torn_end_left_behind_does_not_come_back() {
    let old = encoded(&records());
    let kept = encoded(&records()[..3]).len();
    // The end was dropped and shorter records were written over it, numbered further on.
    let mut bytes = old.clone();
    let mut fresh = Vec::new();
    trouble(1, None).encode(1_003, &mut fresh);
    bytes[kept..kept + fresh.len()].copy_from_slice(&fresh);
    let parsed = parse(&bytes);
    assert_eq!(parsed.records.len(), 4);
    assert_eq!(parsed.records[3], trouble(1, None));
}

#[test]
fn a_kind_from_the_future_is_passed_over() {
    let mut bytes = encoded(&records()[..1]);
    let plain = encoded(&records()[..2]);
    let text = String::from_utf8_lossy(&plain[bytes.len() + 20..]).replace("clock", "sundl");
    let length = u32::try_from(text.len()).unwrap().to_be_bytes();
    let crc = crc32c::crc32c(&length);
    let crc =
        crc32c::crc32c_append(crc32c::crc32c_append(crc, &2u64.to_be_bytes()), text.as_bytes());
    let head = [&b"HFJ1"[..], &length, &crc.to_be_bytes(), &2u64.to_be_bytes()].concat();
    bytes.extend([&head[..], text.as_bytes()].concat());
    trouble(1, None).encode(3, &mut bytes);
    let parsed = parse(&bytes);
    assert_eq!((parsed.records.len(), parsed.unknown, parsed.damaged), (2, 1, 0));
}

#[test]
fn facts_written_anew_are_the_same_facts() {
    let rebuild = Rebuild { utc: date(3), slots: 9, why: "it is damaged".to_owned() };
    let facts = RingFacts::of(records().into_iter().chain([JournalRecord::Rebuilt(rebuild)]));
    assert_eq!((facts.pins.len(), facts.rebuilds.len()), (1, 1));
    assert_eq!(facts.troubles.len(), 1);
    assert_eq!(facts.sessions[0].stopped, Some(at(99)));
    assert_eq!(RingFacts::of(facts.records()), facts);
    let again = RingFacts::of(facts.records());
    assert_eq!(again.records(), facts.records());
}

#[test]
fn a_trouble_that_a_crash_cut_off_ends_at_the_next_start() {
    let start = |ms| ProcessRun { boot: BOOT, at: at(ms), utc: date(0), stopped: None };
    let facts = RingFacts::of([
        JournalRecord::Start(start(1)),
        trouble(5, None),
        JournalRecord::Start(start(50)),
    ]);
    assert_eq!(facts.troubles[0].until, Some(at(50)));
}

#[test]
fn lists_are_bounded_and_the_oldest_leave_first() {
    let mut facts = RingFacts::default();
    let count = crate::base::limits::TROUBLES_MAX as u64 + 5;
    for from in 0..count {
        facts.apply(trouble(from, Some(from)));
    }
    assert!(facts.troubles.len() <= crate::base::limits::TROUBLES_MAX);
    assert_eq!(facts.troubles.last().unwrap().from, at(count - 1));
}

#[test]
fn a_file_is_appended_to_read_and_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(file::read(&RealDisk, dir.path()).unwrap(), JournalContent::default());
    let mut journal = JournalFile::rewrite(&RealDisk, dir.path(), &records()[..2], 0).unwrap();
    journal.append(&records()[2..5]).unwrap();
    journal.append(&records()[5..]).unwrap();
    let parsed = file::read(&RealDisk, dir.path()).unwrap();
    // Each append is one frame.
    assert_eq!((parsed.records.clone(), parsed.number), (records(), 4));
    let facts = RingFacts::of(parsed.records);
    JournalFile::rewrite(&RealDisk, dir.path(), &facts.records(), 4).unwrap();
    let parsed = file::read(&RealDisk, dir.path()).unwrap();
    assert_eq!(RingFacts::of(parsed.records), facts);
    assert!(parsed.number > 4);
    let mut names: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["journal.log"]);
}

#[test]
fn a_long_file_asks_to_be_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = JournalFile::rewrite(&RealDisk, dir.path(), &[], 0).unwrap();
    let batch: Vec<_> = (0..200).map(|from| trouble(from, None)).collect();
    while !journal.is_long() {
        journal.append(&batch).unwrap();
    }
    let parsed = file::read(&RealDisk, dir.path()).unwrap();
    let kept = RingFacts::of(parsed.records).records();
    let fresh = JournalFile::rewrite(&RealDisk, dir.path(), &kept, parsed.number).unwrap();
    assert!(!fresh.is_long());
}

#[test]
fn a_quality_is_no_record_of_its_own() {
    // One reading a second must not wear the disk: the same offset adds nothing.
    let mut facts = RingFacts::default();
    let quality = ClockQuality { trust: Trust::Ntp, error_max: None };
    let mut rows = 0;
    for second in 0..100i64 {
        let now = at(second.unsigned_abs() * 1_000);
        if let Some(row) = facts.clock.observe(BOOT, now, date(second), quality) {
            facts.apply(JournalRecord::Clock(row));
            rows += 1;
        }
    }
    assert_eq!(rows, 1);
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes: Vec<u8>) {
        let parsed = parse(&bytes);
        proptest::prop_assert!(parsed.end <= bytes.len());
    }
}
