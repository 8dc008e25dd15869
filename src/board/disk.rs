//! The disk below a directory: what it is, what it has written, how worn it is.
//!
//! Owns: the way from a device number to its disk in sysfs, and what the kernel's drivers report
//! about it (sysfs-block, block/stat.rst, mmc-dev-attrs.rst).

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::tree::SysTree;

/// Bytes of a sector in `stat` and `size`, whatever the disk's own is.
const SECTOR_BYTES: u64 = 512;
/// Layers of mapped devices (encryption, volumes) that are looked through.
const LAYERS_MAX: usize = 4;

/// What kind of disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DiskKind {
    /// An SD card.
    Sd,
    /// Soldered flash.
    Emmc,
    /// Flash on PCI Express.
    Nvme,
    /// Other flash.
    Ssd,
    /// A disk that turns.
    Hdd,
    /// Something behind USB.
    Usb,
    /// Of a virtual machine, or a file.
    Virtual,
}

/// What an eMMC says of its spare blocks (JEDEC JESD84-B51 `PRE_EOL_INFO`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Reserve {
    /// Enough.
    Normal,
    /// Four fifths are used.
    Warning,
    /// Nearly all are used.
    Urgent,
}

/// A disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct BoardDisk {
    /// The kernel's name, such as `mmcblk0`.
    pub device: String,
    /// Its kind, if known.
    pub kind: Option<DiskKind>,
    /// What its maker calls it.
    pub model: Option<String>,
    /// Its size.
    pub bytes: Option<u64>,
    /// Bytes written to it since it was attached or the machine booted.
    pub written_since_boot_bytes: Option<u64>,
    /// How much of its life is used at most, in percent: eMMC only, in steps of 10.
    pub life_used_percent: Option<u8>,
    /// Its spare blocks: eMMC only.
    pub reserve: Option<Reserve>,
    /// What identifies it among other disks; never published.
    #[serde(skip)]
    pub identity: String,
}

/// The disk that the device `major:minor` is on.
pub(super) fn find(tree: &SysTree, major: u32, minor: u32) -> Option<BoardDisk> {
    let dir = std::fs::canonicalize(tree.path(format!("sys/dev/block/{major}:{minor}"))).ok()?;
    let dir = below(whole(dir), LAYERS_MAX)?;
    let device = dir.file_name()?.to_str()?.to_owned();
    let here = SysTree::new(&dir);
    let kind = kind(&here, &dir, &device);
    let model = here.text("device/model").or_else(|| here.text("device/name"));
    let bytes = here.number::<u64>("size").and_then(|sectors| sectors.checked_mul(SECTOR_BYTES));
    let mut serial = ["device/cid", "device/serial", "device/wwid", "wwid"].iter();
    let serial = serial.find_map(|file| here.text(file)).unwrap_or_default();
    let named = model.as_deref().unwrap_or(&device);
    Some(BoardDisk {
        identity: format!("{named}/{serial}/{}", bytes.unwrap_or_default()),
        kind,
        model,
        bytes,
        written_since_boot_bytes: written(&here),
        life_used_percent: life_used(&here),
        reserve: reserve(&here),
        device,
    })
}

/// The disk of a partition.
fn whole(dir: PathBuf) -> PathBuf {
    match dir.parent() {
        Some(disk) if dir.join("partition").exists() => disk.to_owned(),
        _ => dir,
    }
}

/// The disk under a mapped device that is backed by exactly one.
fn below(dir: PathBuf, layers: usize) -> Option<PathBuf> {
    let under = SysTree::new(&dir).names("slaves");
    match under.as_slice() {
        [] => Some(dir),
        [one] if layers > 0 => {
            let lower = std::fs::canonicalize(dir.join("slaves").join(one)).ok()?;
            below(whole(lower), layers - 1)
        }
        _ => None,
    }
}

fn kind(here: &SysTree, dir: &Path, device: &str) -> Option<DiskKind> {
    if device.starts_with("mmcblk") {
        return match here.text("device/type")?.as_str() {
            "SD" => Some(DiskKind::Sd),
            "MMC" => Some(DiskKind::Emmc),
            _ => None,
        };
    }
    let starts = |names: &[&str]| names.iter().any(|name| device.starts_with(name));
    if starts(&["nvme"]) {
        return Some(DiskKind::Nvme);
    }
    if starts(&["vd", "xvd", "loop", "ram", "zram", "nbd"]) {
        return Some(DiskKind::Virtual);
    }
    if dir.components().any(|part| part.as_os_str().to_str().is_some_and(is_usb)) {
        return Some(DiskKind::Usb);
    }
    match here.number::<u8>("queue/rotational")? {
        0 => Some(DiskKind::Ssd),
        _ => Some(DiskKind::Hdd),
    }
}

/// A bus of USB is a directory `usb1`.
fn is_usb(part: &str) -> bool {
    part.strip_prefix("usb").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// The seventh number of `stat`: sectors written.
fn written(here: &SysTree) -> Option<u64> {
    let stat = here.text("stat")?;
    let sectors = stat.split_ascii_whitespace().nth(6)?.parse::<u64>().ok()?;
    sectors.checked_mul(SECTOR_BYTES)
}

/// The worse of the two estimates: `0x01` is up to 10 %, `0x0b` more than all of it.
fn life_used(here: &SysTree) -> Option<u8> {
    let text = here.text("device/life_time")?;
    let steps =
        text.split_ascii_whitespace().filter_map(hex).filter(|step| (1..=11).contains(step));
    steps.max().map(|step| step * 10)
}

fn reserve(here: &SysTree) -> Option<Reserve> {
    match hex(&here.text("device/pre_eol_info")?)? {
        1 => Some(Reserve::Normal),
        2 => Some(Reserve::Warning),
        3 => Some(Reserve::Urgent),
        _ => None,
    }
}

fn hex(text: &str) -> Option<u8> {
    u8::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}
