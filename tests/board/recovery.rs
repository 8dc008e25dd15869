//! What the board mends by itself, from small to large, and what it says of it afterwards.
//!
//! Owns: the ladder's tests on a whole machine. The bounds are those of an emulated board.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::PATIENCE;
use crate::harness::{ffmpeg, run_well, wait_for};
use crate::machine::Machine;

/// Seconds in the guest from a daemon that stops to its successor: 15 s for systemd to miss it, 2 s
/// to start another, and what emulation adds.
const REPLACED_SECS_MAX: u64 = 30;

/// The process of the daemon.
fn main_pid(board: &Machine) -> String {
    board.sh("systemctl show --property MainPID --value holdfast").trim().to_owned()
}

fn boot_id(board: &Machine) -> String {
    board.sh("cat /proc/sys/kernel/random/boot_id")
}

/// Waits until `/api/v1/recovery` has an entry of `rung` that says `what`, made in this boot.
pub(super) fn wait_told(board: &Machine, rung: u64, what: &str) {
    wait_told_of(board, &boot_id(board), rung, what);
}

/// As [`wait_told`], of another boot.
fn wait_told_of(board: &Machine, boot: &str, rung: u64, what: &str) {
    let boot = boot.trim().replace('-', "");
    let entry = wait_for(what, PATIENCE, || {
        let told = board.get("/api/v1/recovery")?;
        let fits = |entry: &&Value| {
            entry["rung"] == rung
                && entry["boot"] == boot.as_str()
                && entry["what"].as_str().is_some_and(|said| said.contains(what))
        };
        let found = told["entries"].as_array()?.iter().find(fits).cloned();
        found.or_else(|| {
            std::thread::sleep(Duration::from_secs(1));
            None
        })
    });
    let printed = board.sh("holdfast recovery log --data-dir /var/lib/holdfast");
    assert!(printed.contains(&format!("rung {rung}  ")), "{entry} is not in\n{printed}");
}

/// A picture of a key frame that was not decoded yet.
fn fresh_picture(board: &Machine) -> (u16, String) {
    std::thread::sleep(Duration::from_millis(2_500));
    board.fetch("/snap/demo.jpg")
}

/// SIGSEGV in the middle of a picture.
pub(crate) fn a_decoder_that_crashes_costs_one_picture(board: &Machine) {
    let daemon = main_pid(board);
    assert_eq!(fresh_picture(board).0, 200);
    // The one for stills, and once a minute the one that draws sheets ahead.
    let children = board.sh(&format!("cat /proc/{daemon}/task/*/children"));
    let children: Vec<&str> = children.split_whitespace().collect();
    assert!(!children.is_empty());
    for child in &children {
        let said = board.sh(&format!("tr '\\0' ' ' </proc/{child}/cmdline"));
        assert!(said.contains("decode-still"), "{said}");
    }
    let children = children.join(" ");
    board.sh(&format!("kill -STOP {children}"));
    let (status, body) = std::thread::scope(|scope| {
        let (url, token) = (board.http("/snap/demo.jpg"), board.token().to_owned());
        let asked = scope.spawn(move || {
            std::thread::sleep(Duration::from_millis(2_500));
            Machine::fetch_url(&url, &token)
        });
        std::thread::sleep(Duration::from_secs(4));
        board.sh(&format!("kill -SEGV {children}; kill -CONT {children}"));
        asked.join().unwrap()
    });
    assert_eq!(status, 503, "{body}");
    assert_eq!(fresh_picture(board).0, 200);
    assert_eq!(main_pid(board), daemon);
}

/// SIGSTOP of the daemon: systemd misses it and starts another.
pub(crate) fn a_daemon_that_hangs_is_replaced(board: &Machine) {
    let script = "pid() { systemctl show --property MainPID --value holdfast; }
        old=$(pid); begun=$(date +%s); kill -STOP $old
        until new=$(pid); [ $new != 0 ] && [ $new != $old ]; do sleep 0.5; done
        echo $(($(date +%s) - begun))";
    let secs: u64 = board.sh(script).trim().parse().unwrap();
    println!("board: replaced after {secs} s");
    assert!(secs <= REPLACED_SECS_MAX, "a new daemon after {secs} s");
    wait_told(board, 3, "did not answer systemd in time");
    board.wait_well();
}

/// A vital task that spins: the daemon itself asks for another. The drill of the daemon does it.
pub(crate) fn a_task_that_spins_brings_a_new_daemon(board: &Machine) {
    let drop_in = "/run/systemd/system/holdfast.service.d/drill.conf";
    board.sh(&format!(
        "mkdir -p $(dirname {drop_in}) && printf '[Service]\\nEnvironment=HOLDFAST_DRILL=spin\\n' >{drop_in} \
         && systemctl daemon-reload && systemctl reset-failed holdfast && systemctl restart holdfast"
    ));
    let drilled = main_pid(board);
    // The next one shall be left alone.
    board.sh(&format!("rm {drop_in} && systemctl daemon-reload"));
    wait_for("another daemon", PATIENCE, || {
        std::thread::sleep(Duration::from_secs(1));
        (![drilled.as_str(), "0"].contains(&main_pid(board).as_str())).then_some(())
    });
    wait_told(board, 3, "systemd was asked to start the daemon again");
    board.wait_well();
}

/// Memory runs out: the kernel kills the daemon, another begins, and the log says why it did.
///
/// The limit is half of the anonymous memory that the daemon holds at that moment. The kernel can
/// reclaim none of it, because the board has no swap, so it kills the daemon before the write of the
/// limit returns. What notes the death and the next daemon start without a limit.
pub(crate) fn memory_that_runs_out_costs_one_daemon(board: &Machine) {
    let said = board.sh("set -e
        pid() { systemctl show --property MainPID --value holdfast; }
        systemctl reset-failed holdfast; old=$(pid)
        kib=$(awk '/^RssAnon:/ { print $2 }' /proc/$old/status)
        group=/sys/fs/cgroup$(systemctl show --property ControlGroup --value holdfast)
        echo $((kib * 512)) >$group/memory.max; echo max >$group/memory.max
        until new=$(pid); [ $new != 0 ] && [ $new != $old ]; do sleep 0.2; done
        echo $kib");
    println!("board: the daemon held {} KiB of anonymous memory", said.trim());
    wait_told(board, 3, "memory ran out");
    board.wait_well();
}

/// A healthy box reports it: with that systemd calls its boot complete.
pub(crate) fn a_box_that_is_well_completes_its_boot(board: &Machine) {
    wait_for("health", PATIENCE, || {
        std::thread::sleep(Duration::from_secs(1));
        (board.try_sh("systemctl is-active holdfast-health").0 == 0).then_some(())
    });
    // The boots of this board are not counted: being unhealthy would have ended there.
    let fell_back =
        board.sh("systemctl show --property ActiveEnterTimestamp --value holdfast-fallback");
    assert_eq!(fell_back.trim(), "");
}

/// An image on trial with which the box does not become well: the board is booted again, so that its
/// boot loader takes the image before it. The five minutes that the unit waits are one second here,
/// less than the minute that a daemon must have run.
pub(crate) fn an_image_on_trial_that_is_not_well_is_left(board: &Machine) {
    let boot = boot_id(board);
    let hasty = "/usr/bin/holdfast health --wait 1s --config /etc/holdfast/holdfast.toml";
    board.sh(&format!(
        "dir=/run/systemd/system/holdfast-health.service.d; mkdir -p $dir
        printf '[Service]\\nExecStart=\\nExecStart={hasty}\\n' >$dir/hasty.conf
        systemctl daemon-reload; systemctl reset-failed holdfast; systemctl restart holdfast"
    ));
    assert_ne!(board.try_sh("systemctl restart holdfast-health").0, 0);
    let asked = |property: &str| {
        board.sh(&format!("systemctl show --property {property} --value holdfast-fallback"))
    };
    wait_for("the question", PATIENCE, || (asked("ConditionTimestamp").trim() != "").then_some(()));
    assert_eq!(asked("ConditionResult").trim(), "no", "no image is on trial");
    board.send("touch /run/holdfast-on-trial; systemctl restart holdfast holdfast-health");
    board.wait_booted();
    assert_ne!(boot_id(board), boot);
    board.wait_well();
    wait_told_of(board, &boot, 6, "the image was not well in time");
}

/// SIGKILL five times: what a new process does not mend, a new boot may.
pub(crate) fn five_deaths_boot_the_board_again(board: &Machine) {
    let boot = boot_id(board);
    // What this test did before counts as starts too.
    board.sh("systemctl reset-failed holdfast && systemctl restart holdfast");
    board.send(
        "pid() { systemctl show --property MainPID --value holdfast; }
        old=0
        for death in 1 2 3 4 5; do
            until new=$(pid); [ $new != 0 ] && [ $new != $old ]; do sleep 0.5; done
            kill -KILL $new
            old=$new
        done",
    );
    board.wait_booted();
    assert_ne!(boot_id(board), boot);
    board.wait_well();
    // Noted by the boot that it ended.
    wait_told_of(board, &boot, 4, "five deaths");
}

/// A kernel that crashed and does nothing any more: the hardware watchdog resets the board.
pub(crate) fn a_kernel_that_hangs_is_reset(board: &Machine) {
    // Not before: a host that is busy elsewhere can keep PID 1 of the guest from feeding it.
    board.sh("cd /usr/share/doc/holdfast/examples/system.conf.d && \
              install -D -m 0644 -t /etc/systemd/system.conf.d *.conf && systemctl daemon-reexec");
    let state = board.sh("cd /sys/class/watchdog/watchdog0 && cat identity state timeout");
    assert!(state.contains("\nactive\n14\n"), "systemd feeds no watchdog:\n{state}");
    let boot = boot_id(board);
    let begun = Instant::now();
    board.send("echo c >/proc/sysrq-trigger");
    board.wait_booted();
    println!("board: up again {:.0} s after its kernel crashed", begun.elapsed().as_secs_f32());
    assert_ne!(boot_id(board), boot);
    board.wait_well();
    wait_told(board, 5, "watchdog reset it");
}

/// The power goes in the middle of recording.
pub(crate) fn a_power_cut_leaves_a_sound_ring(board: &mut Machine) {
    board.cut_power();
    board.power_on();
    board.wait_well();
    wait_told(board, 5, "power was lost");
    board.sh("systemctl stop holdfast");
    let said = board.sh("runuser -u holdfast -- holdfast ring verify --data-dir /var/lib/holdfast");
    println!("board: {}", said.lines().last().unwrap_or_default());
    board.sh("systemctl start holdfast");
    board.wait_well();
}

/// Reboots within an hour end the recording, not the rest; a person on site can end that.
pub(crate) fn reboots_without_end_park_the_box(board: &mut Machine) {
    // The ones before count two each, an unexplained one counts one, and six are too many.
    let parked = |board: &Machine| {
        wait_for("the log", PATIENCE, || Some(board.get("/api/v1/recovery")?["parked"].clone()))
    };
    assert!(parked(board).is_null());
    board.cut_power();
    board.power_on();
    let said = parked(board);
    assert!(said["what"].as_str().is_some_and(|what| what.contains("within an hour")), "{said}");
    wait_told(board, 7, "recording is off");
    assert_eq!(board.get("/api/v1/health").unwrap()["status"], "failed");
    let demo = wait_for("the stream", PATIENCE, || {
        std::thread::sleep(Duration::from_secs(1));
        let streams = board.get("/api/v1/streams")?;
        let demo = streams["streams"].as_array()?.iter().find(|stream| stream["name"] == "demo")?;
        (demo["state"] == "live").then(|| demo.clone())
    });
    assert!(demo["recording"].is_null(), "{demo}");
    let mut player = ffmpeg();
    player.args(["-rtsp_transport", "tcp", "-i", &board.rtsp("demo")]);
    player.args(["-frames:v", "5", "-f", "null", "-"]);
    run_well(&mut player, PATIENCE);
    let resumed = board.sh("holdfast recovery resume --config /etc/holdfast/holdfast.toml");
    assert!(resumed.contains("Recording continues."), "{resumed}");
    board.wait_well();
    assert!(parked(board).is_null());
}
