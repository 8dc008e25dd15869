//! Proof that no picture is missing or damaged: checksums of the decoded pictures.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::time::Duration;

use super::{ffmpeg, media, run_well};

/// Checksums of decoded pictures, in the order in which they are shown.
pub type Sums = Vec<String>;

/// Arguments that make ffmpeg write a checksum per decoded picture to standard output, each
/// picture once, whatever its time says.
pub const SUMS: [&str; 9] =
    ["-map", "0:v:0", "-fps_mode", "passthrough", "-pix_fmt", "yuv420p", "-f", "framemd5", "-"];

/// Reads what [`SUMS`] makes ffmpeg write.
pub fn parse(text: &[u8]) -> Sums {
    String::from_utf8_lossy(text)
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| Some(line.rsplit_once(',')?.1.trim().to_owned()))
        .collect()
}

/// The checksums of every picture of `file`; a single decoding error fails.
pub fn of_file(file: impl AsRef<OsStr>) -> Sums {
    let mut command = ffmpeg();
    command.args(["-xerror", "-err_detect", "explode", "-i"]).arg(file).args(SUMS);
    parse(&run_well(&mut command, Duration::from_secs(300)))
}

/// The checksums of every picture of the test medium `name`.
pub fn of_medium(name: &str) -> Sums {
    of_file(media().join(name))
}

/// Fails unless `seen` is a part of `source` without a gap; returns where it begins.
pub fn assert_unbroken(what: &str, seen: &[String], source: &[String]) -> usize {
    assert!(!seen.is_empty(), "{what}: no picture at all");
    let places: HashMap<_, _> = source.iter().enumerate().map(|(at, sum)| (sum, at)).collect();
    assert_eq!(places.len(), source.len(), "{what}: the source has two equal pictures");
    let begin = *places.get(&seen[0]).unwrap_or_else(|| panic!("{what}: first picture is damaged"));
    for (n, sum) in seen.iter().enumerate() {
        let at = places.get(sum).copied();
        assert_eq!(
            at,
            Some(begin + n),
            "{what}: picture {n} of {} (expected number {} of the source) is {}",
            seen.len(),
            begin + n,
            if at.is_some() { "another one: one was lost" } else { "damaged" },
        );
    }
    begin
}
