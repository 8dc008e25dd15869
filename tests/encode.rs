//! Pictures that the daemon encodes itself: a sub-stream beside its main stream, and a picture that
//! is too much for any processor.

mod harness;

use std::time::Duration;

use harness::daemon::Daemon;
use harness::{ffmpeg, frames, run_well, wait_for};

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
