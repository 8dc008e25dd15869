//! Fixtures: what real boards tell, and what broken ones might.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::disk::{self, BoardDisk, DiskKind, Reserve};
use super::heat::{self, Power};
use super::tree::SysTree;
use super::{Machine, detect, system};
use crate::base::limits::BOARD_TEXT_CHARS_MAX;
use crate::base::time::SystemClock;

/// A tree of files; the directories are made.
fn tree(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    root
}

fn at(root: &tempfile::TempDir) -> SysTree {
    SysTree::new(root.path())
}

/// A disk in sysfs, reached by its number as the kernel links it.
fn disk(number: &str, dir: &str, files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let files: Vec<_> = files
        .iter()
        .map(|(path, content)| (format!("sys/devices/{dir}/{path}"), *content))
        .collect();
    let files: Vec<_> = files.iter().map(|(path, content)| (path.as_str(), *content)).collect();
    let root = tree(&files);
    fs::create_dir_all(root.path().join("sys/dev/block")).unwrap();
    symlink(Path::new("../../devices").join(dir), root.path().join("sys/dev/block").join(number))
        .unwrap();
    root
}

fn found(root: &tempfile::TempDir, major: u32, minor: u32) -> BoardDisk {
    disk::find(&at(root), major, minor).unwrap()
}

const MMC: &str = "platform/soc/mmc0/mmc0:aaaa/block/mmcblk0";

#[test]
fn a_pc_without_device_tree_is_told_by_its_firmware() {
    let root = tree(&[
        ("sys/class/dmi/id/sys_vendor", b"LENOVO\n"),
        ("sys/class/dmi/id/product_name", b"ThinkCentre M75q\n"),
    ]);
    let board = detect(root.path());
    assert_eq!(board.model.as_deref(), Some("LENOVO ThinkCentre M75q"));
    assert_eq!((board.compatible.len(), board.facts), (0, None));
}

#[test]
fn nothing_known_is_nothing_said() {
    let root = tree(&[]);
    assert_eq!(detect(root.path()), super::Board::default());
    assert_eq!(heat::power(&at(&root)), Power::default());
    assert_eq!(heat::temperatures(&at(&root)), []);
    assert_eq!(system::memory(&at(&root)), super::MemoryUse::default());
    assert_eq!(system::cpu(&at(&root)), super::Cpu::default());
    assert_eq!(disk::find(&at(&root), 179, 2), None);
}

#[test]
fn a_later_board_of_a_known_maker_is_unknown_but_named() {
    let root = tree(&[
        ("proc/device-tree/model", b"Raspberry Pi 9 Model B Rev 1.0\0"),
        ("proc/device-tree/compatible", b"raspberrypi,9-model-b\0brcm,bcm2719\0"),
    ]);
    let board = detect(root.path());
    assert_eq!(board.model.as_deref(), Some("Raspberry Pi 9 Model B Rev 1.0"));
    assert_eq!(board.compatible, ["raspberrypi,9-model-b", "brcm,bcm2719"]);
    assert_eq!(board.facts, None);
}

#[test]
fn a_raspberry_pi_tells_its_heat_and_its_supply() {
    let pi = |bits: &[u8]| {
        tree(&[
            ("sys/class/thermal/thermal_zone0/type", b"cpu-thermal\n"),
            ("sys/class/thermal/thermal_zone0/temp", b"52095\n"),
            ("sys/class/thermal/thermal_zone0/trip_point_0_type", b"critical\n"),
            ("sys/class/thermal/thermal_zone0/trip_point_0_temp", b"110000\n"),
            ("sys/class/hwmon/hwmon0/name", b"cpu_thermal\n"),
            ("sys/class/hwmon/hwmon0/temp1_input", b"52095\n"),
            ("sys/class/hwmon/hwmon1/name", b"rp1_adc\n"),
            ("sys/class/hwmon/hwmon1/temp1_input", b"48512\n"),
            ("sys/devices/platform/soc/soc:firmware/get_throttled", bits),
        ])
    };
    let told: Vec<_> = heat::temperatures(&at(&pi(b"0\n")))
        .into_iter()
        .map(|t| (t.sensor, t.celsius, t.critical_celsius))
        .collect();
    let cpu = ("cpu-thermal".to_owned(), 52.095, Some(110.0));
    assert_eq!(told, [cpu, ("rp1_adc temp1".to_owned(), 48.512, None)]);
    let power = |bits| {
        let power = heat::power(&at(&pi(bits)));
        [power.under_voltage, power.throttled]
            .into_iter()
            .chain([power.under_voltage_since_boot, power.throttled_since_boot])
            .map(Option::unwrap)
            .collect::<Vec<_>>()
    };
    assert_eq!(power(b"0\n"), [false; 4]);
    assert_eq!(power(b"50005\n"), [true; 4]);
    assert_eq!(power(b"0x50000\n"), [false, false, true, true]);
    assert_eq!(power(b"80008\n"), [false, true, false, true], "the soft temperature limit");
}

#[test]
fn other_kernels_tell_under_voltage_and_throttling_elsewhere() {
    let root = tree(&[
        ("sys/class/hwmon/hwmon2/name", b"rpi_volt\n"),
        ("sys/class/hwmon/hwmon2/in0_lcrit_alarm", b"1\n"),
        ("sys/class/thermal/cooling_device0/type", b"pwm-fan\n"),
        ("sys/class/thermal/cooling_device0/cur_state", b"3\n"),
        ("sys/class/thermal/cooling_device1/type", b"cpufreq-cpu0\n"),
        ("sys/class/thermal/cooling_device1/cur_state", b"0\n"),
        ("sys/class/thermal/cooling_device2/type", b"thermal-cpufreq-1\n"),
        ("sys/class/thermal/cooling_device2/cur_state", b"2\n"),
    ]);
    let told = Power { under_voltage: Some(true), throttled: Some(true), ..Power::default() };
    assert_eq!(heat::power(&at(&root)), told);
}

#[test]
fn an_sd_card_tells_what_was_written_and_nothing_of_its_life() {
    let root = disk("179:2", &format!("{MMC}/mmcblk0p2"), &[("partition", b"2\n")]);
    let dir = root.path().join("sys/devices").join(MMC);
    fs::create_dir_all(dir.join("device")).unwrap();
    for (file, text) in [
        ("size", "62333952\n"),
        ("stat", "    9000 1 2 3   4500 10   8000 11 0 12 13 0 0 0 0 0 0\n"),
        ("device/type", "SD\n"),
        ("device/name", "SD32G\n"),
        ("device/cid", "035344534433324780abcdef01013a00\n"),
    ] {
        fs::write(dir.join(file), text).unwrap();
    }
    let disk = found(&root, 179, 2);
    assert_eq!((disk.device.as_str(), disk.kind), ("mmcblk0", Some(DiskKind::Sd)));
    assert_eq!((disk.model.as_deref(), disk.bytes), (Some("SD32G"), Some(62_333_952 * 512)));
    assert_eq!(disk.written_since_boot_bytes, Some(8_000 * 512));
    assert_eq!((disk.life_used_percent, disk.reserve), (None, None));
}

#[test]
fn soldered_flash_tells_its_life() {
    let life = |life: &'static str, reserve: &'static str| {
        let files: [(&str, &[u8]); 3] = [
            ("device/type", b"MMC\n"),
            ("device/life_time", life.as_bytes()),
            ("device/pre_eol_info", reserve.as_bytes()),
        ];
        let disk = found(&disk("179:0", MMC, &files), 179, 0);
        assert_eq!(disk.kind, Some(DiskKind::Emmc));
        (disk.life_used_percent, disk.reserve)
    };
    assert_eq!(life("0x01 0x02\n", "0x01\n"), (Some(20), Some(Reserve::Normal)));
    assert_eq!(life("0x00 0x00\n", "0x00\n"), (None, None), "not defined");
    assert_eq!(life("0x0b 0x03\n", "0x03\n"), (Some(110), Some(Reserve::Urgent)));
    assert_eq!(life("0xff\n", "two\n"), (None, None));
}

#[test]
fn other_disks_are_known_by_where_they_hang() {
    let kind = |dir: &str, files: &[(&str, &[u8])]| {
        let all = [files, &[("size", b"1\n")]].concat();
        found(&disk("8:0", dir, &all), 8, 0).kind
    };
    let flash: &[(&str, &[u8])] = &[("queue/rotational", b"0\n")];
    let turning: &[(&str, &[u8])] = &[("queue/rotational", b"1\n")];
    assert_eq!(kind("pci0000:00/nvme/nvme0/nvme0n1", flash), Some(DiskKind::Nvme));
    assert_eq!(kind("pci0000:00/ata1/host0/block/sda", flash), Some(DiskKind::Ssd));
    assert_eq!(kind("pci0000:00/ata1/host0/block/sda", turning), Some(DiskKind::Hdd));
    assert_eq!(kind("platform/scb/xhci/usb2/2-1/block/sda", turning), Some(DiskKind::Usb));
    assert_eq!(kind("platform/virtio3/block/vda", turning), Some(DiskKind::Virtual));
    assert_eq!(kind("platform/x/block/sda", &[]), None);
}

#[test]
fn a_mapped_device_is_looked_through_to_its_disk() {
    let root = disk("253:0", "virtual/block/dm-0", &[("size", b"1\n")]);
    let real = root.path().join("sys/devices/platform/virtio3/block/vda");
    fs::create_dir_all(real.join("vda2")).unwrap();
    fs::write(real.join("vda2/partition"), "2\n").unwrap();
    fs::write(real.join("size"), "4096\n").unwrap();
    let slaves = root.path().join("sys/devices/virtual/block/dm-0/slaves");
    fs::create_dir_all(&slaves).unwrap();
    symlink(real.join("vda2"), slaves.join("vda2")).unwrap();
    assert_eq!(found(&root, 253, 0).device, "vda");
    // A device stacked on itself, which no kernel would report, ends the walk.
    let around = root.path().join("sys/devices/virtual/block/dm-0");
    fs::remove_file(slaves.join("vda2")).unwrap();
    symlink(&around, slaves.join("dm-0")).unwrap();
    assert_eq!(disk::find(&at(&root), 253, 0), None);
}

#[test]
fn load_memory_and_system_are_read_as_the_kernel_writes_them() {
    let root = tree(&[
        ("proc/loadavg", b"0.52 0.58 0.59 1/391 12345\n"),
        (
            "proc/stat",
            b"cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 50 0 25 400 25 0 0 0 0 0\ncpu1 1\nintr 1\n",
        ),
        (
            "proc/meminfo",
            b"MemTotal:         930040 kB\nMemFree: 1 kB\nMemAvailable:     600000 kB\n",
        ),
        ("etc/os-release", b"PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\n"),
        ("proc/sys/kernel/osrelease", b"6.1.0-28-arm64\n"),
    ]);
    let cpu = system::cpu(&at(&root));
    assert_eq!((cpu.cores, cpu.load), (Some(2), Some([0.52, 0.58, 0.59])));
    let memory = system::memory(&at(&root));
    assert_eq!(memory.total_bytes, Some(930_040 << 10));
    assert_eq!((memory.available_bytes, memory.swap_total_bytes), (Some(600_000 << 10), None));
    let os = system::os(&at(&root));
    assert_eq!(os.name.as_deref(), Some("Debian GNU/Linux 12 (bookworm)"));
    assert_eq!((os.version.as_deref(), os.kernel.as_deref()), (Some("12"), Some("6.1.0-28-arm64")));
    let before = system::ticks(&at(&root)).unwrap();
    fs::write(root.path().join("proc/stat"), "cpu  150 0 50 850 50 0 0 0\n").unwrap();
    let busy = system::ticks(&at(&root)).unwrap().ratio_since(before).unwrap();
    assert!((busy - 0.5).abs() < 1e-9, "{busy}");
    assert_eq!(before.ratio_since(system::ticks(&at(&root)).unwrap()), None, "time went back");
}

/// Every file that is read, filled with what no kernel would write.
#[test]
fn no_file_can_hurt() {
    let huge = vec![b'9'; 1 << 20];
    let long_line = [&b"raspberrypi,"[..], &[b'x'; 9_000]].concat();
    let bad: [&[u8]; 9] = [
        b"",
        b"\0\0\0",
        b"-1\n",
        b"\xff\xfe\x00\x80garbage",
        b"99999999999999999999999999\n",
        b"nan inf -0\n",
        b"cpu  18446744073709551615 1 1 1 1 1 1 1\ncpu",
        &huge,
        &long_line,
    ];
    for content in bad {
        let files = [
            "proc/device-tree/model",
            "proc/device-tree/compatible",
            "sys/class/dmi/id/sys_vendor",
            "proc/loadavg",
            "proc/stat",
            "proc/meminfo",
            "etc/os-release",
            "proc/sys/kernel/osrelease",
            "sys/class/thermal/thermal_zone0/type",
            "sys/class/thermal/thermal_zone0/temp",
            "sys/class/thermal/cooling_device0/cur_state",
            "sys/class/hwmon/hwmon0/name",
            "sys/class/hwmon/hwmon0/temp1_input",
            "sys/class/hwmon/hwmon0/in0_lcrit_alarm",
            "sys/devices/platform/soc/soc:firmware/get_throttled",
        ];
        let root = tree(&files.map(|file| (file, content)));
        let board = detect(root.path());
        assert_eq!(board.facts, None);
        let model = board.model.unwrap_or_default();
        assert!(model.chars().count() <= 2 * BOARD_TEXT_CHARS_MAX + 1 && !model.contains('\0'));
        let told = heat::temperatures(&at(&root));
        assert!(told.iter().all(|told| told.celsius.abs() < 200.0), "{told:?}");
        let _ = (heat::power(&at(&root)), system::cpu(&at(&root)), system::memory(&at(&root)));
        let _ = (system::ticks(&at(&root)), system::os(&at(&root)));
        let files = ["stat", "size", "device/type", "device/life_time", "device/pre_eol_info"];
        let root = disk("179:0", MMC, &files.map(|file| (file, content)));
        let disk = found(&root, 179, 0);
        assert_eq!((disk.kind, disk.life_used_percent, disk.reserve), (None, None, None));
        assert!(disk.written_since_boot_bytes.is_none_or(|bytes| bytes == 512), "{disk:?}");
    }
}

#[test]
fn the_machine_is_looked_at_and_its_end_is_noted() {
    let data = tempfile::tempdir().unwrap();
    let machine = Machine::open(Path::new("/"), data.path(), Arc::new(SystemClock)).unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while machine.report().at.is_none() {
        assert!(Instant::now() < until, "nothing was looked at");
        std::thread::sleep(Duration::from_millis(20));
    }
    let report = machine.report();
    assert!(report.memory.total_bytes.is_some() && report.cpu.load.is_some());
    let counted = report.written.is_some();
    machine.close();
    assert_eq!(data.path().join("disk-written.json").exists(), counted);
}
