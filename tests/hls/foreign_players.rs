//! Players of HLS that other people wrote, on the real daemon: live, over a restart, with low
//! latency switched on while they play, and the past with a gap.
//!
//! `src/wire/hls/mod.rs` lists the known faults of each.

use std::time::Duration;

use crate::barcode::Said;
use crate::harness::daemon::Daemon;
use crate::harness::{Running, ffmpeg, frames, media, run_well, wait_for};
use crate::players::browser::{Browser, Kind, Seen};
use crate::players::{Program, assert_rising, said};
use holdfast::base::time::{Clock, SystemClock, WallTime};
use holdfast::dvr::{FoundLap, RingReader};
use serde_json::json;

/// More than any of them takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pictures a second.
const RATE: u64 = 10;

/// A stream and its smaller one, which the pages of `origin` may read.
fn streams(origin: &str, low_latency: bool) -> String {
    format!(
        "cors = [\"{origin}\"]\n[hls]\nlow_latency = {low_latency}\n\
         [stream.gate]\nsub = \"gate-sub\"\n\
         source = {{ kind = \"pattern\", width = 480, height = 270, fps = {RATE} }}\n\
         [stream.gate-sub]\n\
         source = {{ kind = \"pattern\", width = 320, height = 180, fps = {RATE} }}\n"
    )
}

fn live(origin: &str, low_latency: bool) -> Daemon {
    let daemon = Daemon::start_new("128MiB", &streams(origin, low_latency));
    for stream in ["gate", "gate-sub"] {
        daemon.wait_state(stream, "live", PATIENCE);
    }
    daemon
}

/// Both players of the page at `url`.
fn play_both(browser: &Browser, url: &str) {
    browser.play("hls.js", "hls.js", url, &json!({}));
    let low_latency = json!({ "streaming": { "lowLatencyMode": true } });
    browser.play("shaka", "shaka", url, &low_latency);
}

fn for_both(look: impl Fn(&str)) {
    for name in ["hls.js", "shaka"] {
        look(name);
    }
}

#[test]
fn they_play_live_switch_variants_and_go_on_after_a_restart_and_with_low_latency() {
    let browser = Browser::open(Kind::Chromium);
    let mut daemon = live(&browser.origin(), false);
    let url = daemon.http("/live/gate/index.m3u8");
    let mut gstreamer = Program::gstreamer(&url);
    play_both(&browser, &url);
    vlc_plays(&daemon, 20);
    for_both(|name| {
        browser.goes_on(name, 3 * RATE, PATIENCE);
    });
    gstreamer.goes_on(40, PATIENCE);
    // The one variant and the other, whichever they began with.
    for level in [0, 1, 0] {
        for_both(|name| browser.switch(name, level));
        std::thread::sleep(Duration::from_secs(2));
    }
    for_both(|name| {
        let seen = browser.wait(name, PATIENCE, |seen| seen.sizes.len() == 2);
        assert!(seen.sizes.iter().all(|it| it == "480x270" || it == "320x180"), "{seen:?}");
    });
    let stopped = SystemClock.wall();
    daemon.stop();
    daemon.start();
    for_both(|name| behind(&browser, name, stopped, 3 * RATE));
    let reloaded = SystemClock.wall();
    daemon.configure("128MiB", &streams(&browser.origin(), true));
    daemon.reload();
    for_both(|name| {
        behind(&browser, name, reloaded, 3 * RATE);
        let seen = browser.seen(name).unwrap();
        assert_rising(name, &said(&seen.pictures));
        assert!(seen.parts > 0 || name != "hls.js", "it knows of no parts: {seen:?}");
    });
    gstreamer.goes_on(20, PATIENCE);
    let pictures = gstreamer.pictures();
    assert_rising("GStreamer", &pictures);
    over_gap("GStreamer", &pictures, stopped);
    vlc_plays(&daemon, 20);
}

/// VLC shows so many pictures of what is live. On a machine without the time for it the test
/// picture has gaps, at which VLC ends; then it is reopened, as a person would.
fn vlc_plays(daemon: &Daemon, pictures: usize) {
    let has_gap = |stream: &str| {
        let text = get(&daemon.http(&format!("/live/{stream}/media.m3u8")));
        crate::playlist::read_media(&text).discontinuities() > 0
    };
    for _ in 0..3 {
        let mut vlc = Program::vlc(&daemon.http("/live/gate/index.m3u8"));
        match vlc.shows(pictures, PATIENCE) {
            Ok(()) => return assert_rising("VLC", &vlc.pictures()),
            Err(said) => assert!(has_gap("gate") || has_gap("gate-sub"), "{said}"),
        }
    }
    panic!("the test picture has nothing but gaps");
}

/// Waits until a player shows what was captured behind `at`, and so many pictures more.
fn behind(browser: &Browser, name: &str, at: WallTime, pictures: u64) {
    let is_behind = |seen: &Seen| seen.pictures.last().is_some_and(|last| last.1 > millis(at));
    browser.wait(name, PATIENCE, is_behind);
    browser.goes_on(name, pictures, PATIENCE);
}

fn millis(at: WallTime) -> u64 {
    at.as_unix_millis().cast_unsigned()
}

/// The list passes from the ring to memory while a player comes, which is no place to break: VLC
/// ends at a discontinuity.
#[test]
fn they_play_low_latency_from_the_first_seconds_on() {
    let browser = Browser::open(Kind::Chromium);
    let daemon = live(&browser.origin(), true);
    // So late that the ring has a segment already, so early that it has no three.
    std::thread::sleep(Duration::from_secs(4));
    let url = daemon.http("/live/gate/index.m3u8");
    let mut gstreamer = Program::gstreamer(&url);
    play_both(&browser, &url);
    vlc_plays(&daemon, 30);
    for_both(|name| {
        let seen = browser.wait(name, PATIENCE, |seen| seen.frames >= 8 * RATE);
        assert_rising(name, &said(&seen.pictures));
        println!("{name}: the picture is {} ms old", seen.age_ms.unwrap());
    });
    gstreamer.goes_on(60, PATIENCE);
    assert_rising("GStreamer", &gstreamer.pictures());
    // Not held to the rules of parts, which a test picture without time to be drawn in breaks.
    let told = crate::playlist::read_media(&get(&daemon.http("/live/gate/media.m3u8")));
    assert!(told.part_target_secs.is_some(), "{told:?}");
}

#[test]
fn they_play_the_past_over_a_gap_and_a_range_to_its_end() {
    let browser = Browser::open(Kind::Chromium);
    let mut daemon = live(&browser.origin(), false);
    let begun = SystemClock.wall();
    recorded(&daemon, 0, 6);
    daemon.stop();
    let stopped = SystemClock.wall();
    std::thread::sleep(Duration::from_secs(3));
    daemon.start();
    recorded(&daemon, 1, 6);
    let range = |from: WallTime, until: WallTime| {
        let (from, until) = (from.to_rfc3339(), until.to_rfc3339());
        daemon.http(&format!("/vod/gate/index.m3u8?start={from}&end={until}"))
    };
    let whole = range(begun, SystemClock.wall().offset_nanos(-2_000_000_000));
    let told = crate::playlist::media(&get(&whole));
    assert!(told.ended && told.discontinuities() >= 1, "{told:?}");
    play_both(&browser, &whole);
    // From the far end of the window, over the gap, and up to now.
    let window = daemon.http("/live/gate/dvr.m3u8?window=1h");
    browser.play("window hls.js", "hls.js", &window, &json!({ "startPosition": 1 }));
    browser.play("window shaka", "shaka", &window, &json!({ "start": 1 }));
    let mut sliding = Program::gstreamer(&window);
    let mut gstreamer = Program::gstreamer(&whole);
    // VLC ends at the gap.
    let before = range(begun, stopped);
    let mut vlc = Program::vlc(&before);
    gstreamer.ends(PATIENCE);
    vlc.ends(PATIENCE);
    for_both(|name| {
        let seen = browser.wait(name, PATIENCE, |seen| seen.ended);
        let pictures = said(&seen.pictures);
        assert_rising(name, &pictures);
        over_gap(name, &pictures, stopped);
        assert!((seen.duration.unwrap() - told.secs()).abs() < 0.3, "{} {seen:?}", told.secs());
    });
    for name in ["window hls.js", "window shaka"] {
        let seen = browser.wait(name, PATIENCE, |seen| {
            seen.pictures.last().is_some_and(|last| last.1 > millis(stopped) + 4_000)
        });
        over_gap(name, &said(&seen.pictures), stopped);
    }
    sliding.goes_on(20, PATIENCE);

    let pictures = gstreamer.pictures();
    assert_rising("GStreamer", &pictures);
    over_gap("GStreamer", &pictures, stopped);
    #[allow(clippy::cast_precision_loss)] // pictures of some seconds
    let secs = pictures.len() as f64 / RATE as f64;
    // hls_past.rs has checksums; a starved test picture is drawn less often.
    assert!(secs < told.secs() + 0.15 && secs > told.secs() * 0.6, "{secs} s of {told:?}");
    let pictures = vlc.pictures();
    assert_rising("VLC", &pictures);
    let told = crate::playlist::media(&get(&before));
    let (first, last) = (pictures.first().unwrap().millis, pictures.last().unwrap().millis);
    let shown = Duration::from_millis(last - first).as_secs_f64();
    let has_gap = told.discontinuities() > 0;
    assert!((shown - told.secs()).abs() < 1.5 || has_gap, "{shown} s of {told:?}");
}

/// Fails unless there are pictures from before `gap` and from behind it.
fn over_gap(who: &str, pictures: &[Said], gap: WallTime) {
    let before = pictures.iter().filter(|it| it.millis < millis(gap)).count();
    assert!(before > 2 && pictures.len() > before + 2, "{who}: {pictures:?}");
}

/// Waits until so many seconds of a run are recorded.
fn recorded(daemon: &Daemon, run: usize, secs: u64) {
    wait_for("footage", PATIENCE, || {
        let list = daemon.get("/api/v1/recordings/gate");
        (list["runs"][run]["fragments"].as_u64()? >= secs).then_some(())
    });
}

/// ffmpeg pushes `file` as fast as it plays.
fn push(daemon: &Daemon, stream: &str, file: &str) -> Running {
    let mut command = ffmpeg();
    command.args(["-re", "-i"]).arg(media().join(file)).args(["-c", "copy", "-f", "rtsp"]);
    let running = Running::start(command.args(["-rtsp_transport", "tcp", &daemon.rtsp(stream)]));
    daemon.wait_state(stream, "live", PATIENCE);
    running
}

fn pushed(origin: &str) -> Daemon {
    let stream = |name: &str| format!("[stream.{name}]\nsource = {{ kind = \"rtsp_push\" }}\n");
    let streams = [stream("gate"), stream("door")].concat();
    Daemon::start_new("128MiB", &format!("cors = [\"{origin}\"]\n{streams}"))
}

/// Debian's Firefox decodes H.265 with the system's libavcodec.
#[test]
fn h265_plays_in_firefox_gstreamer_and_ffmpeg() {
    let medium = frames::of_medium("h265.mp4");
    let browser = Browser::open(Kind::Firefox);
    let daemon = pushed(&browser.origin());
    let _pushing = push(&daemon, "gate", "h265.mp4");
    let url = daemon.http("/live/gate/index.m3u8");
    browser.play("hls.js", "hls.js", &url, &json!({}));
    let mut ffmpeg = ffmpeg();
    ffmpeg.args(["-xerror", "-i", &url, "-frames:v", "100"]).args(frames::SUMS);
    let seen = frames::parse(&run_well(&mut ffmpeg, PATIENCE));
    frames::assert_unbroken("ffmpeg", &seen, &medium);
    let told = get(&url);
    assert!(told.contains("CODECS=\"hvc1.1."), "{told}");
    let map = told_media(&daemon, "gate").maps()[0].to_owned();
    let init = ureq::get(&daemon.http(&format!("/live/gate/{map}"))).call().unwrap();
    let init = init.into_body().read_to_vec().unwrap();
    let has = |kind: &[u8]| init.windows(4).any(|it| it == kind);
    assert!(has(b"hvc1") && has(b"hvcC") && !has(b"hev1"));
    let mut gstreamer = Program::gstreamer(&url);
    gstreamer.goes_on(60, PATIENCE);
    let seen = browser.wait("hls.js", PATIENCE, |seen| seen.frames >= 100);
    assert!(seen.time > 3.0 && seen.sizes == ["640x360"], "{seen:?}");
}

/// Streams that have an IDR picture at their beginning alone, or none, by name, as ffmpeg makes them.
const WITHOUT_IDR: [(&str, &[&str]); 4] = [
    (
        "open",
        &[
            "-c:v",
            "libx264",
            "-x264-params",
            "keyint=12:open-gop=1:bframes=2:b-pyramid=none:b-adapt=0:scenecut=0",
        ],
    ),
    // Every other refresh begins with frame number 0, behind which decoders assume no frame.
    ("refresh", &["-c:v", "libx264", "-x264-params", "intra-refresh=1:keyint=8:bframes=0"]),
    (
        "cra",
        &[
            "-c:v",
            "libx265",
            "-x265-params",
            "keyint=12:min-keyint=12:open-gop=1:bframes=2:b-adapt=0:log-level=none",
        ],
    ),
    // Nothing says where the refresh begins.
    (
        "none",
        &[
            "-c:v",
            "libx264",
            "-x264-params",
            "intra-refresh=1:keyint=10:bframes=0",
            "-bsf:v",
            "filter_units=remove_types=5|6",
        ],
    ),
];

/// A daemon to which these streams are pushed, once ten seconds of each are recorded.
fn without_idr(browsers: [&Browser; 2]) -> (Daemon, Vec<Running>) {
    let stream = |name: &str| format!("[stream.{name}]\nsource = {{ kind = \"rtsp_push\" }}\n");
    let streams: Vec<String> = WITHOUT_IDR.iter().map(|(name, _)| stream(name)).collect();
    let cors = format!("cors = [\"{}\", \"{}\"]\n", browsers[0].origin(), browsers[1].origin());
    let daemon = Daemon::start_new("128MiB", &(cors + &streams.concat()));
    let encode = |(name, coder): (&str, &[&str])| {
        let mut command = ffmpeg();
        command.args(["-re", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=10"]);
        command.args(["-pix_fmt", "yuv420p", "-preset", "ultrafast"]).args(coder);
        command.args(["-f", "rtsp", "-rtsp_transport", "tcp"]).arg(daemon.rtsp(name));
        Running::start(&mut command)
    };
    let encoders = WITHOUT_IDR.map(encode).into();
    for (name, _) in WITHOUT_IDR {
        wait_for(&format!("ten seconds of {name}"), PATIENCE, || {
            let list = daemon.get(&format!("/api/v1/recordings/{name}"));
            (list["runs"][0]["fragments"].as_u64()? >= 10).then_some(())
        });
    }
    (daemon, encoders)
}

/// Open groups, gradual refresh and none of them, joined when the IDR picture is long past.
#[test]
fn streams_without_idr_pictures_play_in_browsers_and_gstreamer() {
    let (chromium, firefox) = (Browser::open(Kind::Chromium), Browser::open(Kind::Firefox));
    let (daemon, _encoders) = without_idr([&chromium, &firefox]);
    let url = |name: &str| daemon.http(&format!("/live/{name}/index.m3u8"));
    let past = |name: &str| {
        let runs = daemon.get(&format!("/api/v1/recordings/{name}"))["runs"].clone();
        let [from, until] = ["start", "end"].map(|it| runs[0][it].as_str().unwrap().to_owned());
        daemon.http(&format!("/vod/{name}/index.m3u8?start={from}&end={until}"))
    };
    // While the slot is short: VLC takes as long as it is.
    let (_slot, mut vlc) = slot_in_vlc(&daemon, "open");
    let programs = WITHOUT_IDR.map(|(name, _)| (name, Program::gstreamer(&url(name))));
    let shown = [
        (&chromium, "open", "hls.js"),
        (&chromium, "open", "shaka"),
        (&chromium, "refresh", "hls.js"),
        (&chromium, "refresh", "shaka"),
        (&chromium, "none", "hls.js"),
        (&chromium, "none", "shaka"),
        (&firefox, "open", "hls.js"),
        (&firefox, "cra", "hls.js"),
    ];
    for (browser, name, player) in shown {
        browser.play(&format!("{name} {player}"), player, &url(name), &json!({}));
    }
    for (browser, name, player) in shown {
        let seen = browser.wait(&format!("{name} {player}"), PATIENCE, |seen| seen.frames >= 30);
        assert_eq!(seen.sizes, ["320x180"], "{name} in {player}: {seen:?}");
    }
    // Its decoder begins again, in the middle of what is buffered: pictures that lead are there, too, and
    // a refresh that has nothing to refer to.
    for _ in 0..3 {
        for (browser, name, player) in shown {
            browser.jump_back(&format!("{name} {player}"));
        }
        for (browser, name, player) in shown {
            browser.goes_on(&format!("{name} {player}"), 10, PATIENCE);
        }
    }
    for name in ["refresh", "none"] {
        browser_plays_past(&chromium, name, &past(name));
    }
    vlc.ends(PATIENCE);
    assert!(vlc.shown() >= 20, "{} pictures: {}", vlc.shown(), vlc.log());
    for (name, mut gstreamer) in programs {
        let shows = gstreamer.shows(30, PATIENCE);
        assert!(shows.is_ok(), "{name} in GStreamer: {}", shows.unwrap_err());
    }
}

/// It plays what was recorded at `url` from its beginning on.
fn browser_plays_past(browser: &Browser, name: &str, url: &str) {
    let player = format!("past of {name}");
    browser.play(&player, "hls.js", url, &json!({}));
    let seen = browser.wait(&player, PATIENCE, |seen| seen.frames >= 30);
    assert!(seen.time < 20.0, "{player}: {seen:?}");
    browser.stop(&player);
}

/// A copy of a slot of `stream` by itself, and VLC that plays it.
fn slot_in_vlc(daemon: &Daemon, stream: &str) -> (tempfile::NamedTempFile, Program) {
    let ring = RingReader::open(&daemon.data_dir()).unwrap();
    let contents = |lap: &FoundLap| ring.contents(*lap).ok().flatten();
    let slots = ring.laps().iter().filter_map(|lap| Some((lap.slot, contents(lap)?.0)));
    let (slot, _) = slots.into_iter().find(|(_, it)| it.stream.as_str() == stream).unwrap();
    // VLC is another user, who may not look into the data directory.
    let file = tempfile::Builder::new().suffix(".mp4").tempfile().unwrap();
    std::fs::copy(daemon.data_dir().join(format!("ring/{slot:06}.mp4")), file.path()).unwrap();
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(file.path(), readable).unwrap();
    let vlc = Program::vlc(file.path().to_str().unwrap());
    (file, vlc)
}

/// G.711 is carried as FLAC: Chromium plays it.
#[test]
fn g711_plays_in_chromium_as_flac() {
    let browser = Browser::open(Kind::Chromium);
    let daemon = pushed(&browser.origin());
    let _pushing = push(&daemon, "door", "g711.mov");
    let url = daemon.http("/live/door/index.m3u8");
    for player in ["hls.js", "shaka"] {
        browser.play(player, player, &url, &json!({}));
    }
    for_both(|name| {
        let seen = browser.wait(name, PATIENCE, |seen| seen.frames >= 100 && seen.time > 3.0);
        assert!(seen.sound > Some(5_000), "{name} is silent: {seen:?}");
    });
    assert!(get(&url).contains(",fLaC\""), "{}", get(&url));
}

fn get(url: &str) -> String {
    ureq::get(url).call().unwrap().into_body().read_to_string().unwrap()
}

fn told_media(daemon: &Daemon, stream: &str) -> crate::playlist::Media {
    crate::playlist::media(&get(&daemon.http(&format!("/live/{stream}/media.m3u8"))))
}
