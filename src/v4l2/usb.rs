//! Which USB device a video node hangs on.
//!
//! Owns: the way through sysfs. Whoever resets or re-authorises the device does it elsewhere.

use std::fs;
use std::path::{Path, PathBuf};

/// The sysfs directory of the USB device behind `node` (`/dev/video0`, or a link to it), such as
/// `/sys/devices/…/usb1/1-1/1-1.3`, which holds `authorized` and `busnum`. `None` when the node is
/// gone or hangs on no USB. Ask while the camera is there: afterwards nothing leads to it.
#[must_use]
pub fn usb_device_of(node: &Path) -> Option<PathBuf> {
    let node = fs::canonicalize(node).ok()?;
    usb_device_below(Path::new("/sys/class/video4linux"), node.file_name()?.as_ref())
}

fn usb_device_below(class: &Path, name: &Path) -> Option<PathBuf> {
    // The node's device is the interface; the USB device is the first above that has an address.
    let device = fs::canonicalize(class.join(name).join("device")).ok()?;
    let found = device.ancestors().find(|dir| dir.join("devnum").is_file())?;
    found.join("busnum").is_file().then(|| found.to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_device_above_the_interface_is_found_and_a_platform_device_is_none() {
        let sys = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(sys.path()).unwrap();
        let camera = root.join("devices/pci0/usb1/1-1/1-1.3");
        let class = root.join("class/video4linux");
        for (dir, node) in [("1-1.3:1.0/video4linux", "video0"), ("../../../vivid.0", "video1")] {
            fs::create_dir_all(camera.join(dir).join(node)).unwrap();
            fs::create_dir_all(class.join(node)).unwrap();
            let interface = camera.join(dir.split('/').next().unwrap());
            let interface = if node == "video0" { interface } else { camera.join(dir) };
            symlink(interface, class.join(node).join("device")).unwrap();
        }
        for file in ["devnum", "busnum"] {
            fs::write(camera.join(file), "1\n").unwrap();
        }
        assert_eq!(usb_device_below(&class, Path::new("video0")), Some(camera));
        assert_eq!(usb_device_below(&class, Path::new("video1")), None);
        assert_eq!(usb_device_below(&class, Path::new("video2")), None);
    }
}
