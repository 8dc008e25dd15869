//! Cameras that are pulled on demand: one daemon is the camera, another the box before it.

use std::time::Duration;

use crate::harness::daemon::Daemon;
use crate::harness::{Running, ffmpeg, frames, run, run_well, wait_for};

const PATIENCE: Duration = Duration::from_secs(30);

/// A camera, and a box that pulls it on demand as `gate`.
fn camera_and_box() -> (Daemon, Daemon) {
    let camera = Daemon::start_new(
        "64MiB",
        "[stream.main]\nsource = { kind = \"pattern\", width = 320, height = 240, fps = 10, gop = \"1s\" }\n\
         record = false\n",
    );
    camera.wait_state("main", "live", PATIENCE);
    let url = camera.rtsp("main");
    let source =
        format!("kind = \"rtsp_pull\", url = \"{url}\", on_demand = true, linger = \"3s\"");
    let pulling = format!("[stream.gate]\nsource = {{ {source} }}\nrecord = false\n");
    (camera, Daemon::start_new("64MiB", &pulling))
}

/// How many pull from the camera.
fn pulling(camera: &Daemon) -> usize {
    camera.get("/api/v1/rtsp/sessions")["sessions"].as_array().unwrap().len()
}

/// Waits until no one pulls, and checks that the box takes this for well.
fn wait_idle(camera: &Daemon, daemon: &Daemon) {
    wait_for("the camera's rest", PATIENCE, || (pulling(camera) == 0).then_some(()));
    wait_for("the stream's rest", PATIENCE, || {
        let told = daemon.stream("gate");
        told["reason"].as_str().is_some_and(|why| why.starts_with("On demand, idle")).then_some(())
    });
    assert_eq!(daemon.stream("gate")["on_demand"], true);
    let health = daemon.get("/api/v1/health");
    let mut checks = health["checks"].as_array().unwrap().iter();
    let own = checks.find(|check| check["name"] == "stream/gate").unwrap();
    assert_eq!(own["status"], "ok", "{health}");
    assert_eq!(daemon.stream("gate")["totals"]["restarts"], 0);
}

#[test]
fn a_camera_is_pulled_while_somebody_watches_and_no_longer() {
    let _alone = crate::harness::alone();
    let (camera, daemon) = camera_and_box();
    wait_idle(&camera, &daemon);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(pulling(&camera), 0, "it is pulled though nobody watches");
    // RTSP: the first reader waits for the first picture.
    let mut reader = ffmpeg();
    reader.args(["-rtsp_transport", "tcp", "-i", &daemon.rtsp("gate"), "-t", "2"]);
    let seen = frames::parse(&run_well(reader.args(frames::SUMS), PATIENCE));
    assert!(seen.len() >= 15, "only {} pictures in 2 s", seen.len());
    wait_idle(&camera, &daemon);
    // A still, which is of now and not of the time before.
    let snap = || {
        let mut curl = std::process::Command::new("curl");
        curl.args(["-s", "-f", "-D", "-", "-o", "/dev/null", &daemon.http("/snap/gate.jpg")]);
        let headers = String::from_utf8(run_well(&mut curl, PATIENCE)).unwrap().to_lowercase();
        let age = headers.lines().find_map(|line| line.strip_prefix("x-frame-age: ")).unwrap();
        age.trim().parse::<f64>().unwrap()
    };
    assert!(snap() < 3.0);
    wait_idle(&camera, &daemon);
    assert!(snap() < 3.0);
    wait_idle(&camera, &daemon);
}

#[test]
fn an_hls_player_keeps_a_camera_that_is_pulled_on_demand() {
    let _alone = crate::harness::alone();
    let (camera, daemon) = camera_and_box();
    wait_idle(&camera, &daemon);
    let mut player = ffmpeg();
    player.args(["-i", &daemon.http("/live/gate/index.m3u8"), "-t", "6"]);
    let seen = frames::parse(&run_well(player.args(frames::SUMS), Duration::from_secs(60)));
    assert!(seen.len() >= 50, "only {} pictures in 6 s", seen.len());
    wait_idle(&camera, &daemon);
}

#[test]
fn a_camera_on_demand_that_cannot_be_reached_is_told_while_somebody_waits() {
    let port = crate::harness::free_port();
    let source =
        format!("kind = \"rtsp_pull\", url = \"rtsp://127.0.0.1:{port}/\", on_demand = true");
    let daemon = Daemon::start_new(
        "64MiB",
        &format!("[stream.gate]\nsource = {{ {source}, linger = \"1s\" }}\nrecord = false\n"),
    );
    assert!(daemon.stream("gate")["reason"].as_str().unwrap().starts_with("On demand, idle"));
    let mut reader = Running::start(ffmpeg().args([
        "-rtsp_transport",
        "tcp",
        "-i",
        &daemon.rtsp("gate"),
        "-f",
        "null",
        "-",
    ]));
    wait_for("the reason", PATIENCE, || {
        let told = daemon.stream("gate");
        told["reason"].as_str().is_some_and(|why| why.contains("Cannot reach")).then_some(())
    });
    assert!(!reader.ended_within(PATIENCE).success());
    wait_for("the stream's rest", PATIENCE, || {
        let told = daemon.stream("gate");
        told["reason"].as_str().is_some_and(|why| why.starts_with("On demand, idle")).then_some(())
    });
    let check =
        run(std::process::Command::new("curl").arg(daemon.http("/api/v1/health")), PATIENCE);
    assert!(check.status.success());
}
