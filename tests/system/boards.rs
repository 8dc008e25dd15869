//! The facts of every board below `board/`: complete, the same everywhere, and true of what is
//! detected. For a new board it reports what is missing.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use holdfast::board::{self, BoardFacts, DeviceTreeId, GpioDriver, H264Encoder};

/// The directories below `board/` that hold a board.
fn directories() -> BTreeSet<String> {
    let names = |path: &Path| {
        let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
        let dirs = entries.filter(|entry| entry.file_type().unwrap().is_dir());
        dirs.map(|dir| dir.file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    let families = names(Path::new("board"));
    let models = |family: &String| {
        let models = names(&Path::new("board").join(family)).into_iter();
        models.map(|model| format!("{family}/{model}")).collect::<Vec<_>>()
    };
    families.iter().flat_map(models).collect()
}

/// A device tree that matches.
fn device_tree(seen: &DeviceTreeId) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("proc/device-tree");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("model"), format!("{}\0", seen.model)).unwrap();
    fs::write(dir.join("compatible"), seen.compatible.join("\0") + "\0").unwrap();
    root
}

#[test]
fn every_directory_is_a_board_that_the_daemon_knows() {
    for id in directories() {
        let path = format!("board/{id}/board.toml");
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        if let Err(error) = toml::from_str::<BoardFacts>(&text) {
            panic!("{path}: {error}");
        }
    }
    let known: BTreeSet<_> = board::all().map(|facts| facts.id).collect();
    assert_eq!(known, directories(), "src/board/facts.rs lists them all");
    for family in known.iter().map(|id| id.split('/').next().unwrap()) {
        let readme = format!("board/{family}/README.md");
        let text = fs::read_to_string(&readme).unwrap_or_else(|error| panic!("{readme}: {error}"));
        assert!(text.starts_with("# "), "{readme} says what the family is");
    }
}

#[test]
fn every_board_is_detected_by_what_real_device_trees_say() {
    for facts in board::all() {
        let expected = facts.detect.stands_for.as_ref().unwrap_or(&facts.id);
        assert!(!facts.detect.seen.is_empty(), "{}: no device tree was seen", facts.id);
        for seen in &facts.detect.seen {
            let root = device_tree(seen);
            let found = board::detect(root.path());
            assert_eq!(found.model.as_ref(), Some(&seen.model));
            assert_eq!(found.compatible, seen.compatible);
            assert_eq!(found.facts.map(|facts| facts.id).as_ref(), Some(expected));
        }
    }
}

#[test]
fn no_two_boards_are_recognised_by_the_same() {
    let mut all = BTreeSet::new();
    for facts in board::all() {
        assert_eq!(facts.detect.compatible.is_empty(), facts.detect.stands_for.is_some());
        for entry in facts.detect.compatible {
            assert!(all.insert(entry.clone()), "{entry} is said of two boards");
        }
    }
    for facts in board::all() {
        if let Some(other) = facts.detect.stands_for {
            assert!(board::all().any(|facts| facts.id == other), "there is no board {other}");
        }
    }
}

#[test]
fn what_is_said_of_a_board_can_be() {
    for facts in board::all() {
        let id = &facts.id;
        let date = |text: &str| text.parse::<jiff::civil::Date>().is_ok();
        let run = &facts.last_run_on_real_hardware;
        assert!(run == "never" || date(run), "{id}: a date such as 2026-11-22, or \"never\"");
        assert!(!facts.memory_mib.is_empty() && facts.memory_mib.is_sorted(), "{id}: memory");
        assert!([4_096, 16_384, 65_536].contains(&facts.page_bytes), "{id}: page size");
        assert!(!facts.camera.ways.is_empty(), "{id}: no way to a camera");
        let has_node = facts.encoder.node.is_some() && facts.encoder.driver.is_some();
        let has_none = facts.encoder.node.is_none() && facts.encoder.driver.is_none();
        match facts.encoder.h264 {
            H264Encoder::V4l2M2m => assert!(has_node, "{id}: where is its encoder?"),
            H264Encoder::Openh264 => assert!(has_none, "{id}: the processor has no node"),
        }
        assert!(!facts.gpio.chips.is_empty() && !facts.gpio.line.is_empty(), "{id}: lines");
        // rppal knows no other boards.
        let is_pi = id.starts_with("raspberry-pi/");
        assert_eq!(facts.gpio.driver == GpioDriver::Rppal, is_pi, "{id}");
    }
}

#[test]
fn what_boxes_begin_with_is_a_configuration_without_faults() {
    for path in [
        "systemd/debian/holdfast.toml",
        "image/root/etc/holdfast/holdfast.toml",
        "tests/image/holdfast.toml",
    ] {
        if let Err(error) = holdfast::config::load(Path::new(path)) {
            panic!("{path}: {error}");
        }
    }
}

#[test]
fn systemd_asks_no_watchdog_for_more_than_it_can() {
    let path = "systemd/system.conf.d/holdfast-watchdog.conf";
    let text = fs::read_to_string(path).unwrap();
    let seconds = text.lines().find_map(|line| line.strip_prefix("RuntimeWatchdogSec="));
    let seconds: u32 = seconds.expect("it is set").parse().expect("in seconds");
    for facts in board::all() {
        let most = facts.watchdog.timeout_max_secs;
        assert!(seconds <= most, "{}: {path} says {seconds} s, it takes {most}", facts.id);
        assert!(!facts.watchdog.driver.is_empty());
    }
}
