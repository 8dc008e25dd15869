//! The remedies themselves, and how the daemon asks for them.
//!
//! Owns: the request of one line, and what root does about it. It is written by a user whom root
//! does not trust: only its words decide which of two things is checked, sysfs decides the rest.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::ladder::UsbStep;
use super::tree::{UsbDevice, UsbError, UsbTree, write};
use crate::base::request_file;

/// Where the daemon asks; `holdfast-usb.path` watches it.
pub const REQUEST_PATH: &str = "/run/holdfast/usb-request";

/// What the daemon asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsbRequest {
    /// Which remedy.
    pub step: UsbStep,
    /// For which camera.
    pub device: UsbDevice,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mended {
    /// The camera is back on its bus.
    Reset,
    /// So many ports were without power.
    PowerCycled {
        /// How many.
        ports: usize,
    },
}

impl UsbRequest {
    /// Writes it to `path`.
    ///
    /// # Errors
    ///
    /// The file cannot be written: the service that would read it is missing.
    pub fn send(&self, path: &Path) -> io::Result<()> {
        let word = match self.step {
            UsbStep::Reset => "reset",
            UsbStep::PowerCycle => "power",
        };
        request_file::send(path, &format!("{word} {}", self.device.as_str()))
    }

    /// Reads it from `path`, which may be anything.
    ///
    /// # Errors
    ///
    /// There is no request from us.
    pub fn receive(path: &Path) -> io::Result<Self> {
        Self::parse(&request_file::receive(path)?).ok_or_else(|| io::Error::other("no request"))
    }

    fn parse(text: &str) -> Option<Self> {
        let (word, device) = text.split_once(' ')?;
        let step = match word {
            "reset" => UsbStep::Reset,
            "power" => UsbStep::PowerCycle,
            _ => return None,
        };
        Some(Self { step, device: UsbDevice::parse(device)? })
    }
}

/// Does it; `off` is how long the camera or the ports stay off.
pub fn mend(tree: &UsbTree, request: &UsbRequest, off: Duration) -> Result<Mended, UsbError> {
    match request.step {
        UsbStep::Reset => reset(tree, &request.device, off),
        UsbStep::PowerCycle => power_cycle(tree, off),
    }
}

/// Takes the camera off its bus and puts it back: drivers let go of it and take it anew
/// (Documentation/usb/authorization.rst).
fn reset(tree: &UsbTree, device: &UsbDevice, off: Duration) -> Result<Mended, UsbError> {
    if !tree.is_camera(device) {
        return Err(UsbError::NoCamera { name: device.as_str().to_owned() });
    }
    let switch = tree.path(device).join("authorized");
    write(&switch, "0")?;
    thread::sleep(off);
    write(&switch, "1").map(|()| Mended::Reset)
}

fn power_cycle(tree: &UsbTree, off: Duration) -> Result<Mended, UsbError> {
    let neighbours = tree.neighbours();
    if !neighbours.is_empty() {
        return Err(UsbError::Shared(neighbours));
    }
    let switches = tree.switches();
    let cut = cut(&switches);
    if cut.is_empty() {
        return Err(UsbError::NoSwitch);
    }
    thread::sleep(off);
    // Those nearest to the board first; the ports of a hub that was off are on when it comes back.
    let there = cut.iter().rev().filter(|switch| fs::exists(switch).unwrap_or(false));
    // One that refuses leaves no other without power.
    let given: Vec<_> = there.map(|switch| write(switch, "0")).collect();
    given.into_iter().collect::<Result<(), _>>()?;
    Ok(Mended::PowerCycled { ports: cut.len() })
}

/// Switches ports off, of which those furthest from the board come first; says which.
///
/// One that a hub hangs in stays on when that hub has switched its own ports: a controller that only
/// pretends to switch has such a hub back at once, and with it the power of its ports. A hub that
/// cannot switch continues saying that its ports have power (USB 2.0 §11.24.2.7.1.6).
fn cut(switches: &[PathBuf]) -> Vec<&PathBuf> {
    let mut cut: Vec<&PathBuf> = Vec::new();
    for switch in switches {
        let behind = behind(switch);
        let is_cut_behind = cut.iter().any(|other| {
            other.components().any(|part| Some(part.as_os_str()) == behind.as_deref())
                && fs::read_to_string(other).is_ok_and(|text| text.starts_with('1'))
        });
        if !is_cut_behind && write(switch, "1").is_ok() {
            cut.push(switch);
        }
    }
    cut
}

/// The name that the kernel gives to what hangs in a port, such as `1-1.2` of `1-1-port2` and `1-1` of
/// `usb1-port1`.
fn behind(switch: &Path) -> Option<OsString> {
    let port = switch.parent()?.file_name()?.to_str()?;
    let (hub, number) = port.split_once("-port")?;
    let name = match hub.strip_prefix("usb") {
        Some(bus) => format!("{bus}-{number}"),
        None => format!("{hub}.{number}"),
    };
    Some(name.into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A Raspberry Pi 4: a camera on 1-1.2 behind the hub of its USB 2 bus, two controllers'
    /// worth of ports, and `also`, such as a disk on the USB 3 bus.
    fn pi(also: &[(&str, &str)]) -> (tempfile::TempDir, UsbTree) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_owned();
        let host = root.join("devices/platform/scb/fd500000.pcie/0000:01:00.0");
        let put = |path: PathBuf, text: &str| {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let link = |place: &Path, class: &str| {
            fs::create_dir_all(place).unwrap();
            let dir = root.join(class);
            fs::create_dir_all(&dir).unwrap();
            symlink(place, dir.join(place.file_name().unwrap())).unwrap();
        };
        let camera = host.join("usb1/1-1/1-1.2");
        put(camera.join("authorized"), "1\n");
        put(camera.join("1-1.2:1.0/bInterfaceClass"), "0e\n");
        link(&camera.join("1-1.2:1.0/video4linux/video0"), "class/video4linux");
        link(&root.join("devices/platform/soc/video10"), "class/video4linux");
        for device in ["usb1", "usb2", "usb1/1-1", "usb1/1-1/1-1.2"] {
            link(&host.join(device), "bus/usb/devices");
        }
        for (hub, ports) in
            [("usb1/1-0:1.0/usb1", 1), ("usb2/2-0:1.0/usb2", 4), ("usb1/1-1/1-1:1.0/1-1", 4)]
        {
            let interface = host.join(hub);
            let interface = interface.parent().unwrap();
            let name = hub.rsplit('/').next().unwrap();
            for port in 1..=ports {
                put(interface.join(format!("{name}-port{port}/disable")), "0\n");
            }
            link(interface, "bus/usb/devices");
        }
        link(&root.join("devices/platform/emmc2bus/mmcblk0"), "class/block");
        link(&root.join("devices/platform/genet/net/eth0"), "class/net");
        for (place, class) in also {
            link(&host.join(place), class);
        }
        (dir, UsbTree::at(root))
    }

    fn request(step: UsbStep) -> UsbRequest {
        UsbRequest { step, device: UsbDevice::parse("1-1.2").unwrap() }
    }

    /// Everything that is in `disable` files.
    fn switches(tree: &UsbTree) -> Vec<String> {
        tree.switches().iter().map(|path| fs::read_to_string(path).unwrap()).collect()
    }

    #[test]
    fn a_node_leads_to_its_device() {
        let (_dir, tree) = pi(&[]);
        assert_eq!(tree.camera(Path::new("/dev/video0")).unwrap().as_str(), "1-1.2");
        let other = tree.camera(Path::new("/dev/video10"));
        assert!(matches!(other, Err(UsbError::NotUsb { .. })), "{other:?}");
        assert!(matches!(tree.camera(Path::new("/dev/video7")), Err(UsbError::Sysfs { .. })));
    }

    #[test]
    fn a_camera_is_taken_off_its_bus_and_put_back() {
        let (dir, tree) = pi(&[]);
        assert_eq!(mend(&tree, &request(UsbStep::Reset), Duration::ZERO).unwrap(), Mended::Reset);
        let authorized = dir.path().join("bus/usb/devices/1-1.2/authorized");
        assert!(fs::read_to_string(authorized).unwrap().starts_with('1'));
    }

    #[test]
    fn nothing_but_a_camera_is_reset() {
        let (_dir, tree) = pi(&[("usb2/2-1", "bus/usb/devices")]);
        let disk =
            UsbRequest { device: UsbDevice::parse("2-1").unwrap(), ..request(UsbStep::Reset) };
        let refused = mend(&tree, &disk, Duration::ZERO);
        assert!(matches!(refused, Err(UsbError::NoCamera { .. })), "{refused:?}");
    }

    #[test]
    fn all_ports_lose_their_power_together_but_that_of_their_hub() {
        let (_dir, tree) = pi(&[]);
        assert_eq!(switches(&tree).len(), 9);
        let done = mend(&tree, &request(UsbStep::PowerCycle), Duration::ZERO).unwrap();
        assert_eq!(done, Mended::PowerCycled { ports: 8 });
        assert!(switches(&tree).iter().all(|text| text.starts_with('0')));
        let first = tree.switches().remove(0);
        assert!(first.to_string_lossy().contains("1-1:1.0"), "the furthest first: {first:?}");
    }

    /// Waits until a port has no power.
    fn wait_off(switch: &Path) {
        for _ in 0..1_000 {
            if fs::read_to_string(switch).unwrap().starts_with('1') {
                return;
            }
            thread::sleep(Duration::from_millis(2));
        }
        panic!("it stays on");
    }

    #[test]
    fn a_hub_that_cannot_switch_loses_its_own_power() {
        let (_dir, tree) = pi(&[]);
        let of_the_hub: Vec<_> = tree.switches().into_iter().take(4).collect();
        for switch in &of_the_hub {
            // It takes what is written, and says what it always says.
            fs::remove_file(switch).unwrap();
            symlink("/dev/null", switch).unwrap();
        }
        let done = mend(&tree, &request(UsbStep::PowerCycle), Duration::ZERO).unwrap();
        assert_eq!(done, Mended::PowerCycled { ports: 9 });
    }

    #[test]
    fn a_port_that_stays_off_leaves_no_other_without_power() {
        let (_dir, tree) = pi(&[]);
        // Of one of those that are switched on first.
        let switch = tree.switches().pop().unwrap();
        let refusing = switch.clone();
        let failing = thread::spawn(move || {
            wait_off(&switch);
            fs::remove_file(&switch).unwrap();
            fs::create_dir(&switch).unwrap();
        });
        let done = mend(&tree, &request(UsbStep::PowerCycle), Duration::from_millis(500));
        failing.join().unwrap();
        assert!(matches!(done, Err(UsbError::Sysfs { .. })), "{done:?}");
        let others: Vec<_> = tree.switches().into_iter().filter(|one| *one != refusing).collect();
        assert_eq!(others.len(), 8);
        assert!(others.iter().all(|one| fs::read_to_string(one).unwrap().starts_with('0')));
    }

    #[test]
    fn a_disk_or_a_network_on_usb_keeps_the_power_on() {
        let disk = ("usb2/2-1/2-1:1.0/host0/target0:0:0/0:0:0:0/block/sda", "class/block");
        let modem = ("usb1/1-1/1-1.4/1-1.4:1.0/net/wwan0", "class/net");
        for (also, named) in [(disk, "sda"), (modem, "wwan0")] {
            let (_dir, tree) = pi(&[also]);
            let refused = mend(&tree, &request(UsbStep::PowerCycle), Duration::ZERO).unwrap_err();
            assert!(refused.to_string().contains(named), "{refused}");
            assert!(switches(&tree).iter().all(|text| text == "0\n"), "nothing was touched");
        }
    }

    #[test]
    fn a_machine_that_cannot_switch_says_so() {
        let (dir, tree) = pi(&[]);
        fs::remove_dir_all(dir.path().join("bus/usb/devices")).unwrap();
        let refused = mend(&tree, &request(UsbStep::PowerCycle), Duration::ZERO);
        assert!(matches!(refused, Err(UsbError::NoSwitch)), "{refused:?}");
    }

    #[test]
    fn a_request_arrives_and_nonsense_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("usb-request");
        request(UsbStep::PowerCycle).send(&path).unwrap();
        assert_eq!(UsbRequest::receive(&path).unwrap(), request(UsbStep::PowerCycle));
        for text in [
            "",
            "reset",
            "reset ",
            "reset 1-1.2/../..",
            "reset usb1",
            "reset 1-",
            "cut 1-1",
            "reset 1-1.2.3.4.5.6.7.8",
            "reset 0-1",
            "reset 1-1.",
            "power /etc/passwd",
        ] {
            fs::write(&path, text).unwrap();
            assert!(UsbRequest::receive(&path).is_err(), "{text}");
        }
        fs::remove_file(&path).unwrap();
        symlink("/etc/hostname", &path).unwrap();
        assert!(UsbRequest::receive(&path).is_err(), "links are not followed");
    }
}
