//! The board's own lines: what the unit's sandbox lets the daemon do with them.

use std::time::Duration;

use crate::PATIENCE;
use crate::harness::wait_for;
use crate::machine::Machine;

/// The devices on the lines; there is none of the last one's name.
const WIRING: &str = r#"
[led]
line = "gpiochip0:0"
[input.door]
line = "gpiochip0:3"
active = "high"
debounce = "5ms"
[input.roof]
line = "GPIO17"
"#;

/// An LED and an alarm input on the board's own GPIO chip, out of the unit's sandbox; the tests' hand
/// on the input is the power button, whose line is taken from the kernel's driver.
pub(crate) fn an_led_and_an_input_work_out_of_the_sandbox(board: &Machine) {
    let system = board.get("/api/v1/system").expect("it answers");
    assert_eq!(system["board"]["id"], "virtual/arm64", "{system}");
    assert_eq!(system["disk"]["kind"], "virtual", "{system}");
    assert!(system["memory"]["total_bytes"].is_u64() && system["cpu"]["cores"] == 2, "{system}");
    board.sh("echo gpio-keys >/sys/bus/platform/drivers/gpio-keys/unbind");
    board.sh(&format!(
        "cp -p /etc/holdfast/holdfast.toml /run/ && \
         cat >>/etc/holdfast/holdfast.toml <<'END'\n{WIRING}END\nsystemctl reload holdfast"
    ));
    let inputs = wait_for("the lines", PATIENCE, || {
        std::thread::sleep(Duration::from_secs(1));
        board.get("/api/v1/inputs").filter(|told| told["inputs"][0]["active"] == false)
    });
    assert_eq!(inputs["gpio"], "gpiocdev", "{inputs}");
    assert!(inputs["led"].is_null(), "{inputs}");
    assert_eq!(inputs["inputs"][1]["state"], "unavailable", "there is no such line: {inputs}");
    // Lines 0 and 3, as the kernel lists their users.
    assert_eq!(board.sh("grep -c holdfast /sys/kernel/debug/gpio").trim(), "2");
    board.press_power();
    let pins = wait_for("the protected range", PATIENCE, || {
        std::thread::sleep(Duration::from_secs(1));
        board.get("/api/v1/pins").filter(|told| told["pins"][0]["owner"] == "input door")
    });
    assert_eq!(pins["pins"].as_array().unwrap().len(), 1, "one press is one event: {pins}");
    let recorded = board.get("/api/v1/recordings/demo").expect("it answers");
    assert_eq!(recorded["marks"][0]["text"], "Input door", "{recorded}");
    board.sh("cp -p /run/holdfast.toml /etc/holdfast/ && systemctl reload holdfast");
}
