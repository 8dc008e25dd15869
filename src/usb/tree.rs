//! What sysfs says of the USB devices of this machine.
//!
//! Owns: names and files of sysfs (kernel: Documentation/ABI/testing/sysfs-bus-usb).

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::base::fault::{Class, Fault};
use crate::base::limits::USB_DEPTH_MAX;

/// `bInterfaceClass` of cameras (USB Video Class 1.5 §A.1).
const VIDEO_CLASS: &str = "0e";

/// Why a camera cannot be brought back.
#[derive(Debug, thiserror::Error)]
pub enum UsbError {
    /// sysfs has no such entry, or rejects what was written.
    #[error("cannot {doing} {}", path.display())]
    Sysfs {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The camera hangs on something else.
    #[error("{} is not on USB", node.display())]
    NotUsb {
        /// Its video node.
        node: PathBuf,
    },
    /// It is not a name of a USB device, or that device is not a camera.
    #[error("{name:?} is not a camera on USB")]
    NoCamera {
        /// The reason given.
        name: String,
    },
    /// Cutting the power would take these along.
    #[error("the ports stay on: {} is connected by USB", list(.0))]
    Shared(Vec<Neighbour>),
    /// The kernel or the hubs cannot switch ports (`disable` came with Linux 6.0).
    #[error("no USB port of this machine can be switched off")]
    NoSwitch,
}

impl Fault for UsbError {
    fn class(&self) -> Class {
        match self {
            Self::Shared(_) | Self::NotUsb { .. } => Class::Config,
            _ => Class::Peer,
        }
    }
}

fn list(neighbours: &[Neighbour]) -> String {
    let names: Vec<_> = neighbours.iter().map(|neighbour| neighbour.name.as_str()).collect();
    names.join(", ")
}

/// A USB device by the kernel's name for its place, such as `1-1.2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsbDevice(String);

impl UsbDevice {
    /// Reads such a name: bus, `-`, ports separated by dots. No path can be smuggled in.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let number =
            |text: &str| (1..=3).contains(&text.len()) && text.parse::<u8>().is_ok_and(|n| n > 0);
        let (bus, ports) = name.split_once('-')?;
        let ports_are = ports.split('.').count() <= USB_DEPTH_MAX && ports.split('.').all(number);
        (number(bus) && ports_are).then(|| Self(name.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Something that would lose its power with the cameras.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// The kernel's name of it, such as `sda` or `eth0`.
    pub name: String,
}

/// The devices below a root.
#[derive(Clone, Debug)]
pub struct UsbTree {
    root: PathBuf,
}

impl Default for UsbTree {
    fn default() -> Self {
        Self::at("/sys")
    }
}

impl UsbTree {
    /// The one whose sysfs is mounted at `root`.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The USB device behind a video node such as `/dev/video0`, or a link to one.
    pub fn camera(&self, node: &Path) -> Result<UsbDevice, UsbError> {
        let target = fs::canonicalize(node).unwrap_or_else(|_| node.to_owned());
        let name = target.file_name().unwrap_or_default();
        let class = self.root.join("class/video4linux").join(name);
        let place = fs::canonicalize(&class).map_err(|source| UsbError::Sysfs {
            doing: "find",
            path: class,
            source,
        })?;
        let device = place.ancestors().find_map(|dir| {
            let device = UsbDevice::parse(dir.file_name()?.to_str()?)?;
            dir.join("authorized").exists().then_some(device)
        });
        device.ok_or_else(|| UsbError::NotUsb { node: node.to_owned() })
    }

    /// Block devices and network interfaces on any USB port.
    #[must_use]
    pub fn neighbours(&self) -> Vec<Neighbour> {
        let classes = ["class/block", "class/net"].map(|class| self.root.join(class));
        let mut found: Vec<_> = classes
            .iter()
            .filter_map(|class| fs::read_dir(class).ok())
            .flat_map(Iterator::flatten)
            .filter(|entry| fs::canonicalize(entry.path()).is_ok_and(|place| is_on_usb(&place)))
            .map(|entry| Neighbour { name: entry.file_name().to_string_lossy().into_owned() })
            .collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found
    }

    /// Whether the device is there and has a video interface.
    #[must_use]
    pub fn is_camera(&self, device: &UsbDevice) -> bool {
        let Ok(entries) = fs::read_dir(self.path(device)) else { return false };
        entries.flatten().any(|entry| {
            let class = fs::read_to_string(entry.path().join("bInterfaceClass"));
            class.is_ok_and(|class| class.trim() == VIDEO_CLASS)
        })
    }

    pub(super) fn path(&self, device: &UsbDevice) -> PathBuf {
        self.root.join("bus/usb/devices").join(device.as_str())
    }

    /// The `disable` files of all ports of all hubs, those furthest from the board first.
    pub(super) fn switches(&self) -> Vec<PathBuf> {
        let dir = self.root.join("bus/usb/devices");
        let places = fs::read_dir(dir).into_iter().flatten().flatten();
        let places = places.filter_map(|entry| fs::canonicalize(entry.path()).ok());
        let ports = places.filter_map(|place| fs::read_dir(place).ok()).flat_map(Iterator::flatten);
        let mut switches: Vec<_> = ports
            .filter(|port| port.file_name().to_str().is_some_and(|name| name.contains("-port")))
            .map(|port| port.path().join("disable"))
            .filter(|switch| switch.exists())
            .collect();
        switches.sort();
        switches.dedup();
        switches.sort_by_key(|path| std::cmp::Reverse(path.components().count()));
        switches
    }
}

/// Whether a place in sysfs is below a USB root hub (`usb1`, `usb2`, …).
fn is_on_usb(place: &Path) -> bool {
    let root_hub = |part: &OsStr| {
        let number = part.to_str().and_then(|part| part.strip_prefix("usb"));
        number.is_some_and(|number| number.parse::<u16>().is_ok())
    };
    place.components().any(|part| root_hub(part.as_os_str()))
}

pub(super) fn write(path: &Path, text: &str) -> Result<(), UsbError> {
    let refused = |source| UsbError::Sysfs { doing: "write to", path: path.to_owned(), source };
    let mut file = fs::OpenOptions::new().write(true).open(path).map_err(refused)?;
    io::Write::write_all(&mut file, text.as_bytes()).map_err(refused)
}
