//! The package on a virtual arm64 board: Debian's kernel, systemd, the unit as installed.
//!
//! Run by `make test-board`, which builds the package and what the board boots; `tests/board/README.md`
//! says how to boot one by hand.

#[path = "../support/harness/process.rs"]
mod harness;

mod cameras;
mod lines;
mod machine;
mod pi;
mod recovery;
mod usb;
mod uvc;
mod webcam;

use std::time::{Duration, Instant};

use harness::{ffmpeg, run_well, wait_for};
use machine::Machine;

/// For whatever takes seconds on a board: emulation is 28 times slower, and others share the machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// Says how long a step took, so that the whole can be kept short.
fn step<T>(what: &str, act: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let done = act();
    println!("board: {what}: {:.0} s", begun.elapsed().as_secs_f32());
    done
}

/// One board for everything: each boot takes longer than most of the checks.
#[test]
#[ignore = "make test-board runs it: it needs the arm64 package, and minutes"]
fn the_package_runs_on_a_board_and_heals_itself() {
    let _alone = harness::alone();
    let mut board = step("boot", Machine::boot);
    step("install", || install(&board));
    step("live", || live(&board));
    step("lines", || lines::an_led_and_an_input_work_out_of_the_sandbox(&board));
    let webcam = step("webcam", || webcam::a_webcam_is_seen(&board));
    // While it has been dead for less than the two minutes of the second rung.
    step("served", || served(&board));
    step("camera", || cameras::a_camera_of_the_board_is_seen(&board));
    step("picture decoder crashes", || recovery::a_decoder_that_crashes_costs_one_picture(&board));
    step("boot completes", || recovery::a_box_that_is_well_completes_its_boot(&board));
    step("webcam dies", || webcam::a_dead_webcam_loses_its_power(&board, webcam));
    step("daemon hangs", || recovery::a_daemon_that_hangs_is_replaced(&board));
    step("task spins", || recovery::a_task_that_spins_brings_a_new_daemon(&board));
    step("memory runs out", || recovery::memory_that_runs_out_costs_one_daemon(&board));
    step("image is left", || recovery::an_image_on_trial_that_is_not_well_is_left(&board));
    step("daemon dies five times", || recovery::five_deaths_boot_the_board_again(&board));
    step("kernel hangs", || recovery::a_kernel_that_hangs_is_reset(&board));
    step("power is cut", || recovery::a_power_cut_leaves_a_sound_ring(&mut board));
    step("box is parked", || recovery::reboots_without_end_park_the_box(&mut board));
    step("upgrade, remove, purge", || package(&board));
    step("power off", || board.power_off());
}

/// As an installer does it: a disk, the package, an account, the configuration.
fn install(board: &Machine) {
    board.sh("mkdir /var/lib/holdfast && \
              echo 'LABEL=data /var/lib/holdfast ext4 nofail 0 2' >>/etc/fstab && mount -a");
    // In two steps, between which udev reads the new rule: its group is not there yet.
    board.sh("dpkg --unpack /mnt/holdfast.deb && sleep 4 && \
              udevadm trigger --subsystem-match=net --settle && dpkg --configure holdfast");
    let section = board.sh("holdfast account new --name viewer 2>/run/said");
    let said = board.sh("cat /run/said");
    let password = said.split("shown only now: ").nth(1).and_then(|rest| rest.lines().next());
    board.password.set(password.expect("the password is said").to_owned()).unwrap();
    let config = format!("{}{section}", include_str!("holdfast.toml"));
    board.sh(&format!("cat >/etc/holdfast/holdfast.toml <<'END'\n{config}END\n"));
    board.sh("holdfast check-config /etc/holdfast/holdfast.toml && systemctl restart holdfast");
    board.sh("echo 'correct horse battery' | holdfast account add --name anna --role admin \
              --password-stdin --config /etc/holdfast/holdfast.toml");
    let token = board.sh("holdfast account token --label tests --role admin \
                          --config /etc/holdfast/holdfast.toml");
    board.token.set(token.trim().to_owned()).unwrap();
    // The daemon takes over within a second what another process wrote.
    wait_for("the token", PATIENCE, || (board.fetch("/api/v1/streams").0 == 200).then_some(()));
}

/// Everything that is configured comes up, and reports it.
fn live(board: &Machine) {
    assert_eq!(board.sh("systemctl is-active holdfast").trim(), "active");
    board.wait_well();
    assert!(board.sh("findmnt -no FSTYPE /var/lib/holdfast").contains("ext4"));
    assert!(board.sh("journalctl -u holdfast -o cat").contains("ring opened"));
    assert_eq!(board.sh("systemctl --failed --plain --no-legend"), "");
}

/// What people on the network see of it, with programs that are not ours.
fn served(board: &Machine) {
    let mut rtsp = ffmpeg();
    rtsp.args(["-rtsp_transport", "tcp", "-i", &board.rtsp("demo")]);
    rtsp.args(["-frames:v", "20", "-f", "null", "-"]);
    run_well(&mut rtsp, PATIENCE);
    let mut hls = ffmpeg();
    let proof = format!("{}\r\n", board.proof());
    hls.args([
        "-headers",
        &proof,
        "-i",
        &board.http("/live/demo/index.m3u8"),
        "-frames:v",
        "20",
        "-f",
        "null",
        "-",
    ]);
    run_well(&mut hls, PATIENCE);
    let mut picture = ffmpeg();
    picture.args(["-headers", &proof, "-f", "image2pipe", "-c:v", "mjpeg"]);
    picture.args(["-i", &board.http("/snap/demo.jpg")]);
    picture.args(["-f", "rawvideo", "-pix_fmt", "gray", "-"]);
    let pixels = run_well(&mut picture, PATIENCE);
    assert_eq!(pixels.len(), 320 * 240);
}

/// The package's own life; it leaves nothing of the service behind.
fn package(board: &Machine) {
    board.sh(include_str!("guest/package.sh"));
}
