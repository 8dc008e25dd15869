//! Activity without decoding, judged on a film whose movement is known: a block crosses the picture in
//! some minutes; noise is always there, gets stronger as by wind, and the light goes.

use std::process::Command;
use std::time::Duration;

use crate::harness::{ffmpeg, run_well};
use holdfast::base::time::WallTime;
use holdfast::dvr::{ACTIVE_MIN, Effort, EffortSample, figures};

/// Minutes of the film, and those in which the block moves.
const MINUTES: usize = 16;
const MOVES: [usize; 4] = [3, 7, 11, 14];
/// From here on the wind shakes the picture for two minutes, and from here on it is night.
const WIND: usize = 5;
const NIGHT: usize = 9;
const FPS: usize = 3;
/// More than any film takes here.
const LONG: Duration = Duration::from_secs(120);

/// Makes the film and returns what was spent on each second.
fn film(dir: &std::path::Path, name: &str, rate: &[&str]) -> Vec<EffortSample> {
    let moves: Vec<String> =
        MOVES.iter().map(|m| format!("between(t,{},{})", m * 60, m * 60 + 59)).collect();
    let (wind, night) = (WIND * 60, NIGHT * 60);
    let graph = format!(
        "[0:v][1:v]overlay=x='mod(t*17,136)':y='30+25*sin(t/3)':enable='{}',\
         noise=alls=2:allf=t,noise=alls=2:allf=t:enable='between(t,{wind},{})*lt(mod(t,5),2)',\
         eq=brightness=-0.25:saturation=0.1:enable='gte(t,{night})',\
         noise=alls=2:allf=t:enable='gte(t,{night})'",
        moves.join("+"),
        wind + 120,
    );
    let secs = (MINUTES * 60).to_string();
    let path = dir.join(format!("{name}.mp4"));
    let mut command = ffmpeg();
    command
        .args(["-f", "lavfi", "-t", &secs, "-i", &format!("smptehdbars=s=160x90:r={FPS}")])
        .args(["-f", "lavfi", "-t", &secs, "-i", &format!("testsrc=s=32x32:r={FPS}")])
        .args(["-filter_complex", &graph, "-pix_fmt", "yuv420p"])
        .args(["-c:v", "libx264", "-preset", "ultrafast", "-g", &(FPS * 2).to_string()])
        .args(["-bf", "0", "-sc_threshold", "0"])
        .args(rate)
        .arg(&path);
    run_well(&mut command, LONG);
    let mut probe = Command::new("ffprobe");
    probe.args(["-v", "error", "-show_entries", "packet=pts_time,size,flags", "-of", "csv=p=0"]);
    let told = String::from_utf8(run_well(probe.arg(&path), LONG)).unwrap();
    let mut spent = vec![(0, 0, 0); MINUTES * 60];
    for line in told.lines() {
        let fields: Vec<&str> = line.split(',').collect();
        let at: f64 = fields[0].parse().unwrap();
        let bytes: u64 = fields[1].parse().unwrap();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // within the film
        let Some(second) = spent.get_mut(at as usize) else { continue };
        if fields[2].starts_with('K') {
            second.2 = bytes;
        } else {
            (second.0, second.1) = (second.0 + bytes, second.1 + 1);
        }
    }
    let sample = |(second, (bytes, count, entry)): (i64, (u64, u64, u64))| EffortSample {
        at: WallTime::from_unix_nanos(second * 1_000_000_000),
        effort: Effort::of(bytes.checked_div(count).unwrap_or(0), entry),
    };
    (0..).zip(spent).map(sample).collect()
}

/// Precision and recall by minutes: an active quarter makes a minute active.
fn judge(name: &str, samples: &[EffortSample]) -> (f64, f64) {
    let figures = figures(samples);
    let told: Vec<usize> = (0..MINUTES)
        .filter(|minute| {
            let seconds = &figures[minute * 60..(minute + 1) * 60];
            seconds.iter().filter(|figure| figure.is_some_and(|f| f >= ACTIVE_MIN)).count() >= 15
        })
        .collect();
    let right = told.iter().filter(|minute| MOVES.contains(minute)).count();
    #[allow(clippy::cast_precision_loss)] // a few minutes
    let share = |of: usize| if of == 0 { 1.0 } else { right as f64 / of as f64 };
    let (precision, recall) = (share(told.len()), share(MOVES.len()));
    println!(
        "activity, {name}: minutes {told:?} of {MOVES:?}, precision {precision}, recall {recall}"
    );
    (precision, recall)
}

#[test]
fn a_moving_block_is_found_among_noise_wind_and_nightfall() {
    let dir = tempfile::tempdir().unwrap();
    let quality = judge("constant quality", &film(dir.path(), "quality", &["-crf", "28"]));
    let cap = ["-crf", "28", "-maxrate", "100k", "-bufsize", "200k"];
    let capped = judge("quality with a limit", &film(dir.path(), "capped", &cap));
    // Noise fills the budget, so this one is only printed: see what the module says it cannot see.
    let rate = ["-b:v", "60k", "-maxrate", "60k", "-bufsize", "60k"];
    judge("constant bit rate", &film(dir.path(), "rate", &rate));
    for (precision, recall) in [quality, capped] {
        assert!(precision >= 0.75 && recall >= 0.75, "{quality:?} {capped:?}");
    }
}

/// What it costs, printed: the figures of a day, and what is noted of each fragment of a day.
#[test]
fn a_day_of_activity_is_worked_out_from_a_sample_a_second() {
    let second = |at: i64| EffortSample {
        at: WallTime::from_unix_nanos(at * 1_000_000_000),
        effort: Effort::of(2_000 + at.unsigned_abs() * 7_919 % 900, 40_000),
    };
    let begun = std::time::Instant::now();
    let day: Vec<_> = (0..86_400).map(second).collect();
    let noted = begun.elapsed();
    let (start, end) = (day[0].at, WallTime::from_unix_nanos(86_400_000_000_000));
    let begun = std::time::Instant::now();
    let told = holdfast::dvr::Activity::of(&day, start, end, Duration::from_secs(60));
    println!(
        "a day's figures took {:?}, noting a day's 86,400 fragments {noted:?} of CPU time",
        begun.elapsed()
    );
    assert_eq!(told.values.len(), 1_440);
    assert!(told.values.iter().all(|value| value.is_some_and(|value| value < ACTIVE_MIN)));
}
