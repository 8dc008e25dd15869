//! Activity without decoding, judged on a film whose movement is known: a block crosses the picture in
//! some minutes; noise is always there, gets stronger as by wind, and the light goes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::harness::{ffmpeg, run_well};
use holdfast::base::time::{BootTime, MediaTime, WallTime};
use holdfast::dvr::{ACTIVE_MIN, Effort, EffortSample, figures};
use holdfast::media::nal::{annex_b, length_prefixed};
use holdfast::media::{
    AccessUnit, Captured, ClockSource, CodecParams, CostMeter, Entry, RunId, TrackId,
};

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
    let path = dir.join(format!("{name}.264"));
    let mut command = ffmpeg();
    command
        .args(["-f", "lavfi", "-t", &secs, "-i", &format!("smptehdbars=s=160x90:r={FPS}")])
        .args(["-f", "lavfi", "-t", &secs, "-i", &format!("testsrc=s=32x32:r={FPS}")])
        .args(["-filter_complex", &graph, "-pix_fmt", "yuv420p"])
        .args(["-c:v", "libx264", "-preset", "ultrafast", "-g", &(FPS * 2).to_string()])
        .args(["-bf", "0", "-sc_threshold", "0", "-bsf:v", "h264_metadata=aud=insert"])
        .args(rate)
        .arg(&path);
    run_well(&mut command, LONG);
    let pictures = pictures(&std::fs::read(&path).unwrap());
    assert_eq!(pictures.len(), MINUTES * 60 * FPS);
    let (mut meter, begun) = (CostMeter::default(), Instant::now());
    let sample = |(second, shown): (i64, &[AccessUnit])| {
        for unit in shown {
            meter.push(unit);
        }
        let cost = meter.take();
        EffortSample {
            at: WallTime::from_unix_nanos(second * 1_000_000_000),
            effort: Effort::of(cost.predicted_bytes, cost.entry_bytes),
        }
    };
    let samples = (0..).zip(pictures.chunks(FPS)).map(sample).collect();
    let each = begun.elapsed() / u32::try_from(pictures.len()).unwrap();
    println!("activity, {name}: measuring a picture took {each:?}");
    samples
}

/// The pictures of a byte stream in which a delimiter precedes each.
fn pictures(film: &[u8]) -> Vec<AccessUnit> {
    let (mut pictures, mut sets): (Vec<Vec<&[u8]>>, Vec<&[u8]>) = (Vec::new(), Vec::new());
    for nal in annex_b(film) {
        match nal[0] & 0x1f {
            9 => pictures.push(Vec::new()),
            7 | 8 => sets.push(nal),
            _ => pictures.last_mut().unwrap().push(nal),
        }
    }
    let params = Arc::new(CodecParams::from_h264_sets(sets[0], sets[1]).unwrap());
    let unit = |nals: Vec<&[u8]>| {
        let data = length_prefixed(nals);
        let time = MediaTime { ticks: 0, rate: params.clock_rate };
        AccessUnit {
            track: TrackId(0),
            run: RunId(0),
            decode: time,
            present: time,
            arrived: BootTime::default(),
            captured: Captured { wall: WallTime::default(), source: ClockSource::Arrival },
            entry: Entry::of(&params.codec, &data),
            leading: None,
            lost_before: 0,
            params: Arc::clone(&params),
            data,
        }
    };
    pictures.into_iter().map(unit).collect()
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
    let found = |name: &str, rate: &[&str]| judge(name, &film(dir.path(), name, rate));
    let constant = |bits: &'static str| ["-b:v", bits, "-maxrate", bits, "-bufsize", bits];
    let kinds = [
        found("constant quality", &["-crf", "28"]),
        found("quality with a limit", &["-crf", "28", "-maxrate", "100k", "-bufsize", "200k"]),
        // Bytes stay the same whatever happens: the quantiser says it.
        found("constant bit rate", &constant("30k")),
    ];
    for (precision, recall) in kinds {
        assert!(precision >= 0.75 && recall >= 0.75, "{kinds:?}");
    }
    // Half of its pictures' noise fits into this one, and movement costs little more. Printed alone:
    // see what the module says it cannot see.
    found("a generous constant bit rate", &constant("60k"));
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
