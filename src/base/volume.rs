//! Which disk a directory is on.
//!
//! Owns: how Linux names it (sysfs(5)): partitions and mappings lead to the disk below them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{major, minor};

/// Mappings on mappings (dm-verity on a partition is two) that are followed.
const LAYERS_MAX: usize = 8;

/// Whether `keys` would leave with the disk on which `footage` is: both are on one, and it is not that of
/// the system.
#[must_use]
pub(crate) fn leaves_with(keys: &Path, footage: &Path) -> bool {
    let disk = |path: &Path| device(path).map(|number| disk_of(Path::new("/sys"), number));
    match (disk(keys), disk(footage), disk(Path::new("/"))) {
        (Some(keys), Some(footage), Some(system)) => keys == footage && footage != system,
        _ => false,
    }
}

/// The number of the device with `path`, or with its nearest parent that is there.
fn device(path: &Path) -> Option<u64> {
    path.ancestors().find_map(|path| fs::metadata(path).ok()).map(|file| file.dev())
}

/// The disk below the device `number`, as `sys` has it; the number itself where it has none.
fn disk_of(sys: &Path, number: u64) -> PathBuf {
    let name = format!("{}:{}", major(number), minor(number));
    let Ok(mut dir) = fs::canonicalize(sys.join("dev/block").join(&name)) else {
        return PathBuf::from(name);
    };
    for _ in 0..LAYERS_MAX {
        if dir.join("partition").exists() {
            dir.pop();
        }
        let below = fs::read_dir(dir.join("slaves")).ok().and_then(|mut below| below.next()?.ok());
        let Some(Ok(below)) = below.map(|below| fs::canonicalize(below.path())) else { break };
        dir = below;
    }
    dir
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use rustix::fs::makedev;

    use super::*;

    #[test]
    fn partitions_and_mappings_lead_to_the_disk_below() {
        let sys = tempfile::tempdir().unwrap();
        let sys = sys.path();
        for partition in ["mmcblk0/mmcblk0p2", "mmcblk0/mmcblk0p4", "sda/sda1"] {
            fs::create_dir_all(sys.join("devices").join(partition)).unwrap();
            fs::write(sys.join("devices").join(partition).join("partition"), "1\n").unwrap();
        }
        fs::create_dir_all(sys.join("devices/dm-0/slaves")).unwrap();
        fs::create_dir_all(sys.join("dev/block")).unwrap();
        let link = |number: &str, dir: &str| {
            symlink(sys.join("devices").join(dir), sys.join("dev/block").join(number)).unwrap();
        };
        link("179:4", "mmcblk0/mmcblk0p4");
        link("254:0", "dm-0");
        link("8:1", "sda/sda1");
        let root = sys.join("devices/mmcblk0/mmcblk0p2");
        symlink(root, sys.join("devices/dm-0/slaves/mmcblk0p2")).unwrap();
        let disk = |one, other| disk_of(sys, makedev(one, other));
        let card = fs::canonicalize(sys.join("devices/mmcblk0")).unwrap();
        assert_eq!(disk(179, 4), card);
        assert_eq!(disk(254, 0), card, "a verified system on a partition of the same card");
        assert_eq!(disk(8, 1), fs::canonicalize(sys.join("devices/sda")).unwrap());
        assert_eq!(disk(0, 42), PathBuf::from("0:42"), "a tmpfs has no disk");
    }

    #[test]
    fn keys_beside_the_system_stay() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!leaves_with(Path::new("/"), dir.path()));
        assert!(!leaves_with(Path::new("/"), Path::new("/none/such")));
        assert!(leaves_with(Path::new("/proc/self"), Path::new("/proc")), "a volume of its own");
    }
}
