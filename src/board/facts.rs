//! The boards that are known, and which of them this is.
//!
//! Owns: the list of `board/<family>/<model>/board.toml`, their form, and the comparison with the
//! device tree (Devicetree Specification 0.4 §2.3.1: `compatible`, most specific first).

use std::path::Path;

use serde::Deserialize;

use super::tree::{SysTree, printable};
use crate::base::limits::BOARD_COMPATIBLE_MAX;

/// Every board, by its directory below `board/`.
const FILES: [(&str, &str); 8] = [
    ("raspberry-pi/zero-2-w", include_str!("../../board/raspberry-pi/zero-2-w/board.toml")),
    ("raspberry-pi/3", include_str!("../../board/raspberry-pi/3/board.toml")),
    ("raspberry-pi/4", include_str!("../../board/raspberry-pi/4/board.toml")),
    ("raspberry-pi/5", include_str!("../../board/raspberry-pi/5/board.toml")),
    ("jetson/nano", include_str!("../../board/jetson/nano/board.toml")),
    ("jetson/orin-nano", include_str!("../../board/jetson/orin-nano/board.toml")),
    ("virtual/arm64", include_str!("../../board/virtual/arm64/board.toml")),
    ("virtual/raspi3b", include_str!("../../board/virtual/raspi3b/board.toml")),
];

/// What is known of a board; `board/README.md` explains the keys.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoardFacts {
    /// Its directory below `board/`, such as `raspberry-pi/4`.
    #[serde(skip)]
    pub id: String,
    /// What people call it.
    pub name: String,
    /// The date of the last run on the real board, or "never".
    pub last_run_on_real_hardware: String,
    /// The sizes it is sold with.
    pub memory_mib: Vec<u32>,
    /// Page size of the kernel that it is sold with.
    pub page_bytes: u32,
    /// How it is recognised.
    pub detect: Detect,
    /// How cameras hang on it.
    pub camera: CameraFacts,
    /// What encodes on it.
    pub encoder: EncoderFacts,
    /// Its lines.
    pub gpio: GpioFacts,
    /// Its watchdog.
    pub watchdog: Watchdog,
}

/// How a board is recognised.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Detect {
    /// Entries of the device tree's `compatible` that only this board has.
    pub compatible: Vec<String>,
    /// The board this one is mistaken for, if the two cannot be distinguished.
    pub stands_for: Option<String>,
    /// What real device trees say; the tests compare them with what is detected.
    pub seen: Vec<DeviceTreeId>,
}

/// What one device tree says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceTreeId {
    /// `model`.
    pub model: String,
    /// `compatible`.
    pub compatible: Vec<String>,
}

/// How cameras hang on a board.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CameraFacts {
    /// Each way.
    pub ways: Vec<CameraWay>,
}

/// A way from a camera to the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CameraWay {
    /// USB Video Class.
    Usb,
    /// The camera port, through `rpicam-vid`.
    CsiRpicam,
    /// The camera port, through NVIDIA's Argus.
    CsiArgus,
    /// The kernel's virtual camera.
    Vivid,
}

/// What makes H.264 on a board.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderFacts {
    /// Which kind.
    pub h264: H264Encoder,
    /// Its node, if it has one.
    pub node: Option<String>,
    /// The driver behind the node.
    pub driver: Option<String>,
}

/// A kind of H.264 encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum H264Encoder {
    /// A memory-to-memory device of the kernel.
    V4l2M2m,
    /// The processor.
    Openh264,
}

/// Lines of a board.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GpioFacts {
    /// What drives them.
    pub driver: GpioDriver,
    /// Labels of the chips whose lines are on the board's header.
    pub chips: Vec<String>,
    /// A line, as a configuration names it.
    pub line: String,
}

/// What drives the lines of a board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GpioDriver {
    /// Registers of a Raspberry Pi.
    Rppal,
    /// The kernel's character device.
    Gpiocdev,
}

/// The hardware watchdog of a board.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watchdog {
    /// The kernel's driver.
    pub driver: String,
    /// The longest timeout that it takes.
    pub timeout_max_secs: u32,
}

/// Which board this is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Board {
    /// What it calls itself: the device tree's `model`, or maker and product of a PC.
    pub model: Option<String>,
    /// The device tree's `compatible`; empty without one.
    pub compatible: Vec<String>,
    /// What is known of it.
    pub facts: Option<BoardFacts>,
}

/// What is known of every board.
pub fn all() -> impl Iterator<Item = BoardFacts> {
    FILES.iter().map(|(id, text)| {
        let facts: BoardFacts =
            toml::from_str(text).expect("tests/system/boards.rs reads every one of them");
        BoardFacts { id: (*id).to_owned(), ..facts }
    })
}

/// Which board the tree below `root` belongs to.
#[must_use]
pub fn detect(root: &Path) -> Board {
    let tree = SysTree::new(root);
    let compatible = compatible(&tree);
    let known: Vec<BoardFacts> = all().collect();
    let named = |entry: &String| known.iter().find(|facts| facts.detect.compatible.contains(entry));
    let facts = compatible.iter().find_map(named).cloned();
    let model = tree.text("proc/device-tree/model").or_else(|| product(&tree));
    Board { model, compatible, facts }
}

/// The entries of `compatible`: texts with a NUL behind each.
fn compatible(tree: &SysTree) -> Vec<String> {
    let bytes = tree.bytes("proc/device-tree/compatible").unwrap_or_default();
    let entries = bytes.split(|&byte| byte == 0).take(BOARD_COMPATIBLE_MAX);
    entries.filter_map(printable).collect()
}

/// Maker and product, as the firmware of a PC tells them (sysfs-firmware-dmi).
fn product(tree: &SysTree) -> Option<String> {
    let told =
        ["sys_vendor", "product_name"].map(|name| tree.text(format!("sys/class/dmi/id/{name}")));
    let told: Vec<String> = told.into_iter().flatten().collect();
    (!told.is_empty()).then(|| told.join(" "))
}
