//! Pictures that the daemon encodes itself: their colours, a sub-stream beside its main stream, and a
//! picture that is too much for any processor.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::harness::daemon::Daemon;
use crate::harness::{ffmpeg, frames, run_well, wait_for};
use holdfast::encode::{
    Colours, EncoderChoice, EncoderSettings, Matrix, Picture, RawFormat, VideoEncoder,
};
use holdfast::media::nal;

#[test]
fn a_made_sub_stream_is_offered_beside_its_main_stream_and_decodes() {
    let daemon = Daemon::start_new(
        "200MB",
        "[stream.demo]\n\
         source = { kind = \"pattern\", width = 640, height = 360, fps = 10, profile = \"high\" }\n\
         substream = { width = 320 }",
    );
    daemon.wait_state("demo-sub", "live", Duration::from_secs(30));
    let (main, sub) = (daemon.stream("demo"), daemon.stream("demo-sub"));
    assert_eq!(main["tracks"][0]["width"], 640);
    assert_eq!(
        (&sub["tracks"][0]["width"], &sub["tracks"][0]["height"]),
        (&320.into(), &180.into())
    );
    assert!(main["recording"].is_object() && sub["recording"].is_null());
    assert_eq!(sub["encoding"]["encoder"], "openh264");

    let multivariant = wait_for("both variants", Duration::from_secs(30), || {
        let list = ureq::get(daemon.http("/live/demo/index.m3u8")).call().ok()?;
        let list = list.into_body().read_to_string().ok()?;
        list.contains("../demo-sub/media.m3u8").then_some(list)
    });
    assert!(multivariant.contains("RESOLUTION=640x360"), "{multivariant}");
    assert!(multivariant.contains("RESOLUTION=320x180"), "{multivariant}");

    let mut play = ffmpeg();
    play.args(["-xerror", "-rtsp_transport", "tcp", "-i", &daemon.rtsp("demo-sub")]);
    play.args(["-frames:v", "30"]).args(frames::SUMS);
    let shown = frames::parse(&run_well(&mut play, Duration::from_secs(60)));
    assert_eq!(shown.len(), 30);
    let logs = daemon.logs();
    assert!(!logs.lines().any(|line| line.starts_with("[OpenH264]")), "{logs}");
}

#[test]
fn a_picture_too_large_for_the_processor_is_shown_less_often_and_not_late() {
    let daemon = Daemon::start_new(
        "200MB",
        "[stream.demo]\n\
         source = { kind = \"pattern\", width = 3840, height = 2160, fps = 60 }\n\
         record = false",
    );
    let one_in = wait_for("a lower rate", Duration::from_secs(60), || {
        daemon.stream("demo")["encoding"]["one_in"].as_u64().filter(|&one_in| one_in > 1)
    });
    let health = daemon.get("/api/v1/health");
    let checks = health["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == "stream/demo").unwrap();
    assert_eq!(check["status"], "degraded", "{check}");
    assert!(check["message"].as_str().unwrap().contains("one picture in"), "{check}");
    assert!(daemon.logs().contains("rate lowered"), "one in {one_in}:\n{}", daemon.logs());
    // Wherever it settles: what is shown was taken a few pictures ago, and that does not grow.
    std::thread::sleep(Duration::from_secs(8));
    let age = daemon.stream("demo")["last_frame_age_ms"].as_u64().unwrap();
    assert!(age < 5_000, "{age} ms");
}

/// Red, green, blue and grey, and their Y, Cb and Cr in BT.601 and BT.709 in video range and BT.601 in
/// full range (ITU-R BT.601-7 §2.5, BT.709-6 §3).
const COLOURS: [([u8; 3], [[u8; 3]; 3]); 4] = [
    ([255, 0, 0], [[81, 90, 240], [63, 102, 240], [76, 85, 255]]),
    ([0, 255, 0], [[145, 54, 34], [173, 42, 26], [150, 44, 21]]),
    ([0, 0, 255], [[41, 240, 110], [32, 240, 118], [29, 255, 107]]),
    ([128, 128, 128], [[126, 128, 128], [126, 128, 128], [128, 128, 128]]),
];

/// Encodes one colour as a key frame and writes it to `path` (ITU-T H.264 Annex B).
fn encode(path: &Path, colours: Colours, yuv: [u8; 3]) {
    let settings =
        EncoderSettings { encoder: EncoderChoice::Openh264, ..EncoderSettings::default() };
    let format = RawFormat { width: 320, height: 180, fps: 25.0, colours };
    let mut picture = Picture::black(320, 180);
    picture.fill(0, 0, 320, 180, yuv);
    picture.set_colours(colours);
    let mut encoder = VideoEncoder::open(settings, format).unwrap();
    let unit = encoder.encode(&picture, Duration::ZERO).unwrap().expect("a picture");
    let (sps, pps) = unit.sets.expect("a key frame has its sets");
    let mut stream = nal::to_annex_b(&nal::length_prefixed([sps.as_ref(), pps.as_ref()]));
    stream.extend(nal::to_annex_b(&unit.data));
    std::fs::write(path, stream).unwrap();
}

#[test]
fn a_colour_comes_back_from_every_way_to_write_it() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("colour.h264");
    let bt601 = Colours { matrix: Matrix::Bt601, ..Colours::BT709 };
    let ways = [
        (bt601, "smpte170m", "tv"),
        (Colours::BT709, "bt709", "tv"),
        (Colours { full_range: true, ..bt601 }, "smpte170m", "pc"),
    ];
    for (rgb, written) in COLOURS {
        for ((colours, matrix, range), yuv) in ways.into_iter().zip(written) {
            encode(&path, colours, yuv);
            let mut probe = Command::new("ffprobe");
            probe.args(["-v", "error", "-of", "default=nw=1", "-show_entries"]);
            probe.arg("stream=color_range,color_space").arg(&path);
            let told = String::from_utf8(run_well(&mut probe, Duration::from_secs(60))).unwrap();
            assert_eq!(told, format!("color_range={range}\ncolor_space={matrix}\n"));
            let mut show = ffmpeg();
            show.arg("-i").arg(&path);
            show.args(["-vf", "crop=16:16", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]);
            let shown = run_well(&mut show, Duration::from_secs(60));
            assert_eq!(shown.len(), 16 * 16 * 3);
            let near = |pixel: &[u8]| pixel.iter().zip(rgb).all(|(a, b)| a.abs_diff(b) <= 5);
            assert!(
                shown.chunks_exact(3).all(near),
                "{rgb:?} as {matrix} {range}: {:?}",
                &shown[..3]
            );
        }
    }
}
