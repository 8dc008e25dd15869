//! Cameras of the board, with the kernel's virtual camera (vivid): its pictures, its controls, and
//! the faults that it can simulate.
//!
//! Owns: the stream `dock`, which is added to the configuration and taken out again.

use super::PATIENCE;
use crate::harness::{ffmpeg, run_well, wait_for};
use crate::machine::Machine;

const CAMERA: &str = "platform-vivid.0-video-index0";

/// The camera is plugged in: one node that gives pictures, a webcam by its kind.
const PLUG: &str =
    "modprobe vivid n_devs=1 node_types=0x1 num_inputs=1 input_types=0 && udevadm settle";

/// It is pulled out while it streams; udev takes its link away.
const PULL: &str = "echo vivid.0 >/sys/bus/platform/drivers/vivid/unbind && udevadm settle";

/// The daemon reads its configuration again.
const RELOAD: &str = "systemctl kill -s HUP --kill-whom=main holdfast";

/// A module that is not in use can be unloaded.
const UNLOAD: &str = "for n in $(seq 20); do rmmod vivid && exit; sleep 1; done; exit 1";

/// Captured, encoded, served; controlled while it runs; faults counted and survived.
pub(crate) fn a_camera_of_the_board_is_seen(board: &Machine) {
    board.sh("cp /etc/holdfast/holdfast.toml /run/before.toml");
    let section = format!(
        "[stream.dock]\nsource = {{ kind = \"v4l2\", device = \"/dev/v4l/by-path/{CAMERA}\", \
         format = \"yuyv\", width = 320, height = 180, fps = 5, controls = {{ brightness = 120 }} }}\n"
    );
    board.sh(&format!("cat >>/etc/holdfast/holdfast.toml <<'END'\n{section}END\n{RELOAD}"));
    board.wait_offline("dock", "There is no camera at");
    board.sh(PLUG);
    board.wait_live("dock");
    is_listed(board);
    shows_its_bars(board);
    is_controlled(board);
    survives_its_faults(board);
    comes_back(board);
    board.sh(&format!("cp /run/before.toml /etc/holdfast/holdfast.toml && {RELOAD}"));
    wait_for("an end", PATIENCE, || board.stream("dock").is_none().then_some(()));
    board.sh(UNLOAD);
}

fn is_listed(board: &Machine) {
    let camera = board.camera(CAMERA);
    assert_eq!(camera["driver"], "vivid");
    let formats = camera["formats"].as_array().unwrap();
    let yuyv = formats.iter().find(|format| format["code"] == "YUYV").unwrap();
    let sizes = yuyv["sizes"].as_array().unwrap();
    let size = sizes.iter().find(|size| size["width"] == 320).unwrap();
    assert_eq!(size["height"], 180);
    assert!(!size["fps"].as_array().unwrap().is_empty(), "{size}");
}

/// The colour bars, as a player that is not ours decodes them: bright left, dark right.
fn shows_its_bars(board: &Machine) {
    let mut player = ffmpeg();
    player.args(["-rtsp_transport", "tcp", "-i", &board.rtsp("dock"), "-frames:v", "10"]);
    player.args(["-f", "rawvideo", "-pix_fmt", "gray", "-"]);
    let pixels = run_well(&mut player, PATIENCE);
    assert_eq!(pixels.len(), 10 * 320 * 180);
    let row = &pixels[9 * 320 * 180 + 170 * 320..][..320];
    assert!(row[10] > row[309] + 80, "no bars: {row:?}");
}

/// Sets a control of the camera over the API, as a person would.
fn set(board: &Machine, control: &str, value: &str) {
    let url = board.http(&format!("/api/v1/devices/{CAMERA}/controls"));
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .http_status_as_error(false)
        .build()
        .into();
    let request = agent.put(&url).header("Content-Type", "application/json");
    let request = request.header("Authorization", format!("Bearer {}", board.token()));
    let mut answer = request.send(format!("{{\"{control}\": {value}}}")).unwrap();
    let told = answer.body_mut().read_to_string().unwrap();
    assert_eq!(answer.status().as_u16(), 200, "{control}: {told}");
}

fn is_controlled(board: &Machine) {
    let brightness = || {
        let camera = board.camera(CAMERA);
        let controls = camera["controls"].as_array().unwrap();
        let found = controls.iter().find(|control| control["key"] == "brightness").unwrap();
        found["value"].as_i64().unwrap()
    };
    assert_eq!(brightness(), 120, "the configuration did not set it");
    set(board, "brightness", "140");
    assert_eq!(brightness(), 140);
}

/// What a bad cable and a driver in trouble bring: damaged and dropped pictures are counted, and a
/// stream that breaks restarts.
fn survives_its_faults(board: &Machine) {
    let lost = board.total("dock", "lost");
    set(board, "inject_v4l2_buf_flag_error", "1");
    board.wait_stream("dock", "a damaged picture", |dock| {
        (dock["totals"]["lost"].as_u64()? > lost).then_some(())
    });
    let lost = board.total("dock", "lost");
    set(board, "percentage_of_dropped_buffers", "60");
    board.wait_stream("dock", "dropped pictures", |dock| {
        (dock["totals"]["lost"].as_u64()? > lost + 3).then_some(())
    });
    set(board, "percentage_of_dropped_buffers", "0");
    let restarts = board.total("dock", "restarts");
    set(board, "inject_fatal_streaming_error", "1");
    board.wait_stream("dock", "a new run", |dock| {
        (dock["totals"]["restarts"].as_u64()? > restarts).then_some(())
    });
    board.wait_live("dock");
}

/// A driver that says that the device went away, and then pulled out while it streams and plugged in
/// again under another number, with other buffers.
fn comes_back(board: &Machine) {
    let restarts = board.total("dock", "restarts");
    set(board, "disconnect", "1");
    board.wait_stream("dock", "a new run", |dock| {
        (dock["totals"]["restarts"].as_u64()? > restarts).then_some(())
    });
    board.wait_live("dock");
    board.sh(PULL);
    board.wait_offline("dock", "There is no camera at");
    board.sh(UNLOAD);
    board.sh(&PLUG.replace("modprobe vivid", "modprobe vivid vid_cap_nr=7 multiplanar=2"));
    board.wait_live("dock");
    assert_eq!(board.camera(CAMERA)["node"], "/dev/video7");
    shows_its_bars(board);
}
