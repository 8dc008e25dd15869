//! A Raspberry Pi 3: which board it is, its lines by both ways to them, its watchdog.
//!
//! Owns: what qemu's machine `raspi3b` can show of it. It has the registers of levels and no edges,
//! and of the watchdog the start and no time: starting it resets the board at once.

use serde_json::Value;

use crate::harness::{alone, wait_for};
use crate::machine::Machine;
use crate::{PATIENCE, step};

/// An LED and two inputs; Debian's kernel calls GPIO4 otherwise (`GPIO_GCLK`).
const WIRING: &str = r#"
[led]
line = "GPIO17"
[input.door]
line = "GPIO4"
active = "high"
bias = "down"
[input.roof]
line = "GPIO22"
active = "high"
bias = "down"
"#;
const LED: u32 = 17;
const DOOR: u32 = 4;
const ROOF: u32 = 22;

/// Registers of the lines 0 to 31 (BCM2835 ARM Peripherals §6.1): set to high, to low, level.
const GPSET0: u32 = 0x3f20_001c;
const GPCLR0: u32 = 0x3f20_0028;
const GPLEV0: u32 = 0x3f20_0034;
/// Registers of the watchdog, as the kernel's `bcm2835_wdt` has them: its mode, its time left in
/// 65,536th parts of a second.
const PM_RSTC: u32 = 0x3f10_001c;
const PM_WDOG: u32 = 0x3f10_0024;
/// The mode in which the end of the time resets the whole board.
const FULL_RESET: u32 = 0x20;

/// Before the other board's test or after it: two emulated boards at once take each other's time.
#[test]
#[ignore = "make test-board runs it: it needs the arm64 package, and minutes"]
fn a_raspberry_pi_is_known_its_lines_work_and_its_watchdog_is_started() {
    let _alone = alone();
    let mut board = step("Pi: boot", Machine::boot_raspberry_pi_3);
    step("Pi: install", || install(&board));
    step("Pi: known", || it_is_known(&board));
    step("Pi: lines by the kernel", || lines_by_the_kernel_out_of_the_sandbox(&board));
    step("Pi: lines by rppal", || lines_by_registers_as_root(&board));
    step("Pi: watchdog", || systemd_starts_its_watchdog(&board));
    board.cut_power();
}

fn install(board: &Machine) {
    // What a person does to the lines before the daemon is there: one is high.
    set(board, DOOR, true);
    board.sh("dpkg -i /mnt/holdfast.deb");
    // These questions are asked on the board itself.
    board.sh("sed -i '1i claim = \"loopback\"' /etc/holdfast/holdfast.toml");
    board.sh(&format!("cat >>/etc/holdfast/holdfast.toml <<'END'\n{WIRING}END\n"));
    board.sh("holdfast check-config /etc/holdfast/holdfast.toml && systemctl reload holdfast");
}

/// Level of a line, by a program that is not ours.
fn is_high(board: &Machine, line: u32) -> bool {
    let said = board.sh(&format!("busybox devmem {GPLEV0:#x}"));
    let levels = u32::from_str_radix(said.trim().trim_start_matches("0x"), 16).unwrap();
    levels & 1 << line != 0
}

/// The hand on a line. qemu keeps one level for each, whichever side drives it.
fn set(board: &Machine, line: u32, high: bool) {
    let register = if high { GPSET0 } else { GPCLR0 };
    board.sh(&format!("busybox devmem {register:#x} 32 {:#x}", 1 << line));
}

fn get(board: &Machine, path: &str) -> Option<Value> {
    let (_, said) =
        board.try_sh(&format!("timeout 20 busybox wget -qO- http://127.0.0.1:8080{path}"));
    serde_json::from_str(&said).ok()
}

/// By the device tree, which is the real board's.
fn it_is_known(board: &Machine) {
    let system = wait_for("its system", PATIENCE, || get(board, "/api/v1/system"));
    assert_eq!(system["board"]["id"], "raspberry-pi/3", "{system}");
    assert_eq!(system["disk"]["kind"], "sd", "{system}");
    assert!(system["temperatures"][0]["celsius"].is_f64(), "{system}");
    let known: toml::Table =
        include_str!("../../board/raspberry-pi/3/board.toml").parse().expect("it is built in");
    let chips = board.sh("cat /sys/kernel/debug/gpio");
    let mut known_chips = known["gpio"]["chips"].as_array().unwrap().iter();
    assert!(known_chips.any(|chip| chips.contains(chip.as_str().unwrap())), "{chips}");
    let driver = board.sh("basename $(readlink /sys/class/watchdog/watchdog0/device/driver)");
    assert_eq!(Some(driver.trim()), known["watchdog"]["driver"].as_str());
}

/// Both levels of the LED are seen, and what the inputs were at when the daemon took them.
fn lines_work(board: &Machine, driver: &str) {
    let inputs = wait_for("the lines", PATIENCE, || {
        get(board, "/api/v1/inputs").filter(|told| told["inputs"][1]["active"].is_boolean())
    });
    assert_eq!(inputs["gpio"], driver, "{inputs}");
    assert!(inputs["led"].is_null(), "{inputs}");
    assert_eq!(inputs["inputs"][0]["active"], true, "the door was high: {inputs}");
    assert_eq!(inputs["inputs"][1]["active"], false, "the roof was low: {inputs}");
    wait_for("a light", PATIENCE, || is_high(board, LED).then_some(()));
    wait_for("no light", PATIENCE, || (!is_high(board, LED)).then_some(()));
}

/// As installed. Debian's kernel has no `/dev/gpiomem`, so the daemon takes the other way.
fn lines_by_the_kernel_out_of_the_sandbox(board: &Machine) {
    lines_work(board, "gpiocdev");
    let users = board.sh("grep holdfast /sys/kernel/debug/gpio");
    for line in ["GPIO17 ", "GPIO_GCLK ", "GPIO22 "] {
        assert!(users.contains(line), "{users}");
    }
    let why = board.sh("journalctl -u holdfast -o verbose | grep -i rppal=");
    println!("board: rppal is refused in the sandbox: {}", why.trim());
}

/// What a Pi with `/dev/gpiomem` has, on this kernel: by `/dev/mem`, which is root's.
fn lines_by_registers_as_root(board: &Machine) {
    board.sh("systemctl stop holdfast && mkdir /run/root && \
         sed s:/var/lib/holdfast:/run/root: /etc/holdfast/holdfast.toml >/run/root.toml && \
         systemd-run --unit=holdfast-root -p Type=notify holdfast run --config /run/root.toml");
    lines_work(board, "rppal");
    let users = board.sh("cat /sys/kernel/debug/gpio");
    assert!(!users.contains("holdfast"), "the kernel drives them: {users}");
    set(board, DOOR, false);
    set(board, ROOF, true);
    let inputs = wait_for("both inputs", PATIENCE, || {
        let told = get(board, "/api/v1/inputs")?;
        let [door, roof] = [0, 1].map(|input| told["inputs"][input]["active"] == true);
        (!door && roof).then_some(told)
    });
    assert_eq!([0, 1].map(|input| inputs["inputs"][input]["events"].as_u64()), [Some(0), Some(1)]);
    board.sh("systemctl stop holdfast-root");
}

/// By the package's own drop-in. qemu resets at once, and stops there: the registers show what was
/// written. The kernel's driver says 15 s when the device is opened, systemd 14 s next.
fn systemd_starts_its_watchdog(board: &Machine) {
    let state = board.sh("cd /sys/class/watchdog/watchdog0 && cat identity state timeout");
    assert_eq!(state, "Broadcom BCM2835 Watchdog timer\ninactive\n15\n");
    assert_eq!(board.register(PM_RSTC) & FULL_RESET, 0);
    board.send(
        "install -D -m 0644 -t /etc/systemd/system.conf.d \
         /usr/share/doc/holdfast/examples/system.conf.d/holdfast-watchdog.conf && \
         systemctl daemon-reexec",
    );
    wait_for("a reset", PATIENCE, || (board.status() == "shutdown").then_some(()));
    assert_ne!(board.register(PM_RSTC) & FULL_RESET, 0, "something else reset it");
    let secs = board.register(PM_WDOG) >> 16;
    println!("board: the watchdog was started with {secs} s");
    assert!([14, 15].contains(&secs), "{secs} s");
}
