//! What the board mends by itself, from small to large, and what it says of it afterwards.
//!
//! Owns: the ladder's tests on a whole machine. The bounds are those of an emulated board.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::PATIENCE;
use crate::harness::wait_for;
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
fn wait_told(board: &Machine, rung: u64, what: &str) {
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
    let child = board.sh(&format!("cat /proc/{daemon}/task/*/children"));
    let child = child.trim();
    assert!(board.sh(&format!("tr '\\0' ' ' </proc/{child}/cmdline")).contains("decode-still"));
    board.sh(&format!("kill -STOP {child}"));
    let (status, body) = std::thread::scope(|scope| {
        let url = board.http("/snap/demo.jpg");
        let asked = scope.spawn(move || {
            std::thread::sleep(Duration::from_millis(2_500));
            Machine::fetch_url(&url)
        });
        std::thread::sleep(Duration::from_secs(4));
        board.sh(&format!("kill -SEGV {child}; kill -CONT {child}"));
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
    wait_told(board, 3, "systemd was asked for a new daemon");
    board.wait_well();
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
