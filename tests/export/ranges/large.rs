//! Exports of long ranges: tables that are not kept, footage that goes, and flat memory.

use std::process::Command;

use holdfast::base::name::StreamName;
use holdfast::dvr::DvrError;
use holdfast::playback::export::{ExportError, ExportPlan, ExportRequest, Exports};

use super::{MIB, OTHER, PATIENCE, ask, duration, export, fetch, header};
use crate::capture::{Film, Place, Ring};
use crate::harness::daemon::Daemon;
use crate::harness::run;

pub(super) async fn read_all(exports: &Exports, film: &std::sync::Arc<ExportPlan>) -> Vec<u8> {
    let mut reading = exports.read(film, 0..film.len()).unwrap();
    let mut all = Vec::new();
    while let Some(bytes) = reading.next().await.unwrap() {
        all.extend_from_slice(&bytes);
    }
    assert_eq!(all.len() as u64, film.len());
    all
}

/// A ring of 16 MiB with some seconds of large pictures over and over, of `rounds`.
pub(super) fn large(dir: &std::path::Path, film: &Film, rounds: i64) -> (Ring, Place) {
    let place = Place::ago(3_600);
    let mut ring = Ring::make(dir, 16 * MIB, MIB);
    for round in 0..rounds {
        ring.record(&[film], 0..8, place.later(round * 8_000), round == 0);
    }
    ring.settle();
    (ring, place)
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_are_not_kept_are_the_same_ones_and_any_part_is_of_the_whole() {
    let dir = tempfile::tempdir().unwrap();
    let film = Film::reordered("320x240", 8);
    let (ring, place) = large(dir.path(), &film, 3);
    let exports = Exports::new(ring.dvr.clone());
    let request =
        ExportRequest::new(StreamName::parse("gate").unwrap(), place.at(2.3), place.at(21.7));
    let kept = exports.plan(&request).await.unwrap();
    let whole = read_all(&exports, &kept).await;
    let frugal = exports.clone().with_table_bytes_max(0);
    let again = frugal.plan(&request).await.unwrap();
    assert_eq!((again.tag(), again.len()), (kept.tag(), kept.len()));
    assert!(read_all(&frugal, &again).await == whole, "the same file");
    let step = whole.len() / 40;
    for film in [&kept, &again] {
        for from in (0..whole.len()).step_by(step).chain([30, 700, 2_000]) {
            let until = (from + 777).min(whole.len());
            let mut reading = frugal.read(film, from as u64..until as u64).unwrap();
            let mut part = Vec::new();
            while let Some(bytes) = reading.next().await.unwrap() {
                part.extend_from_slice(&bytes);
            }
            assert!(part == whole[from..until], "{from}..{until}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn footage_that_goes_under_a_slow_reader_ends_the_file_with_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let film = Film::plain("640x360", 8);
    let bytes: usize = film.packets.iter().map(|packet| packet.data.len()).sum();
    let rounds = i64::try_from(11 * (1 << 20) / bytes).unwrap().max(2);
    let (mut ring, place) = large(dir.path(), &film, rounds);
    let exports = Exports::new(ring.dvr.clone());
    let end = place.later(rounds * 8_000).date;
    let request = ExportRequest::new(StreamName::parse("gate").unwrap(), place.date, end);
    let planned = exports.plan(&request).await.unwrap();
    let whole = read_all(&exports, &planned).await;
    let mut reading = exports.read(&planned, 0..planned.len()).unwrap();
    let mut got = Vec::new();
    while got.len() < 1 << 20 {
        got.extend_from_slice(&reading.next().await.unwrap().unwrap());
    }
    // Twice the ring, so that no lease helps.
    for round in rounds..rounds * 4 {
        ring.record(&[&film], 0..8, place.later(round * 8_000), false);
    }
    ring.settle();
    let error = loop {
        match reading.next().await {
            Ok(Some(bytes)) => got.extend_from_slice(&bytes),
            Ok(None) => panic!("the file ends as if nothing had happened"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, ExportError::Dvr(DvrError::Reused { .. })), "{error:?}");
    assert!(got.len() < whole.len() && got == whole[..got.len()], "never other footage");
}

/// What the kernel says a process holds in memory at most, in KiB.
pub(super) fn peak_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse().unwrap()
}

#[test]
fn thirty_days_are_sent_in_flat_memory_and_can_be_cancelled() {
    const PIECES: i64 = 1_200;
    const APART_MS: i64 = 2_160_000;
    let film = Film::plain("160x120", 1);
    let mut daemon = Daemon::new("64MiB", OTHER);
    let place = Place::ago(30 * 86_400 + 3_600);
    let mut ring = Ring::make(&daemon.data_dir(), 64 * MIB, MIB);
    for piece in 0..PIECES {
        ring.record(&[&film], 0..1, place.later(piece * APART_MS), true);
    }
    ring.close();
    daemon.start();
    crate::harness::wait_for("the ring is read", PATIENCE, || {
        let told = daemon.get("/api/v1/recordings/gate");
        (told["complete"] == true && !told["runs"].as_array()?.is_empty()).then_some(())
    });
    let days = 30.0 * 86_400.0;
    let url = export(&daemon, place.at(-1.0), place.at(days));
    let before = peak_kib(daemon.pid());
    // More than may run at once: a client that leaves frees its place.
    for tenths in 0..20 {
        let seconds = format!("{}.{:02}", tenths / 20, 1 + tenths * 2);
        let mut curl = Command::new("curl");
        let file = tempfile::NamedTempFile::new().unwrap();
        curl.args(["-sS", "--limit-rate", "2M", "--max-time", &seconds, "-o"]).arg(file.path());
        run(curl.arg(&url), PATIENCE);
    }
    let (status, head, _) = ask(&url, &["--head"]);
    assert_eq!((status, header(&head, "x-footage-gaps")), (200, "1199"));
    let file = fetch(&url);
    let path = file.path().to_str().unwrap();
    let wanted = f64::from(i32::try_from((PIECES - 1) * APART_MS / 1_000).unwrap()) + 1.0;
    assert!((duration(path) - wanted).abs() < 0.01, "{}", duration(path));
    let grown = peak_kib(daemon.pid()) - before;
    assert!(
        grown < 48 << 10,
        "{grown} KiB more for {} bytes",
        file.path().metadata().unwrap().len()
    );
}
