//! Temperatures, throttling and under-voltage.
//!
//! Owns: where each kernel tells them (sysfs-class-thermal, hwmon's sysfs-interface, the Raspberry
//! Pi firmware's `get_throttled`).

use std::collections::BTreeSet;

use serde::Serialize;

use super::tree::SysTree;

/// What a sensor can mean, in thousandths of a degree Celsius; anything else is a broken sensor.
const MILLIDEGREES: std::ops::RangeInclusive<i32> = -60_000..=200_000;

/// One sensor.
#[derive(Clone, Debug, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Temperature {
    /// What the kernel calls it.
    pub sensor: String,
    /// Degrees Celsius.
    pub celsius: f64,
    /// Where the kernel would switch the machine off, if it publishes that.
    pub critical_celsius: Option<f64>,
}

/// What heat and power supply do to the board; what it does not tell is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Power {
    /// The supply gives too little now.
    pub under_voltage: Option<bool>,
    /// The processor is held back now.
    pub throttled: Option<bool>,
    /// The supply gave too little since the boot.
    pub under_voltage_since_boot: Option<bool>,
    /// The processor was held back since the boot.
    pub throttled_since_boot: Option<bool>,
}

/// Every sensor, those of thermal zones first.
pub(super) fn temperatures(tree: &SysTree) -> Vec<Temperature> {
    let mut found = zones(tree);
    // The kernel shows most zones as a hwmon too, under the same name but for its dashes.
    let known: BTreeSet<_> = found.iter().map(|known| known.sensor.replace('-', "_")).collect();
    for chip in tree.names("sys/class/hwmon") {
        let dir = format!("sys/class/hwmon/{chip}");
        let Some(name) = tree.text(format!("{dir}/name")) else { continue };
        if known.contains(&name) {
            continue;
        }
        for file in tree.names(&dir) {
            let Some(input) = file.strip_suffix("_input").filter(|file| file.starts_with("temp"))
            else {
                continue;
            };
            let Some(celsius) = degrees(tree, &format!("{dir}/{file}")) else { continue };
            let label = tree.text(format!("{dir}/{input}_label"));
            let sensor = format!("{name} {}", label.as_deref().unwrap_or(input));
            let critical_celsius = degrees(tree, &format!("{dir}/{input}_crit"));
            found.push(Temperature { sensor, celsius, critical_celsius });
        }
    }
    found
}

fn zones(tree: &SysTree) -> Vec<Temperature> {
    let zone = |name: String| {
        let dir = format!("sys/class/thermal/{name}");
        let sensor = tree.text(format!("{dir}/type"))?;
        let celsius = degrees(tree, &format!("{dir}/temp"))?;
        let critical_celsius = (0..16).find_map(|trip| {
            let kind = tree.text(format!("{dir}/trip_point_{trip}_type"))?;
            (kind == "critical").then(|| degrees(tree, &format!("{dir}/trip_point_{trip}_temp")))?
        });
        Some(Temperature { sensor, celsius, critical_celsius })
    };
    let names = tree.names("sys/class/thermal").into_iter();
    names.filter(|name| name.starts_with("thermal_zone")).filter_map(zone).collect()
}

fn degrees(tree: &SysTree, file: &str) -> Option<f64> {
    let milli = tree.number::<i32>(file).filter(|milli| MILLIDEGREES.contains(milli))?;
    Some(f64::from(milli) / 1_000.0)
}

/// What holds the board back: the Raspberry Pi's firmware knows best; else what the kernel does
/// to the processor and what its voltage sensor says.
pub(super) fn power(tree: &SysTree) -> Power {
    if let Some(bits) = firmware_bits(tree) {
        let any = |mask: u32| Some(bits & mask != 0);
        // Under-voltage, frequency capped, throttled, soft temperature limit; the same since the
        // boot 16 bits higher.
        return Power {
            under_voltage: any(1),
            throttled: any(0b1110),
            under_voltage_since_boot: any(1 << 16),
            throttled_since_boot: any(0b1110 << 16),
        };
    }
    Power { under_voltage: voltage_alarm(tree), throttled: held_back(tree), ..Power::default() }
}

/// `get_throttled` of the firmware, hexadecimal.
fn firmware_bits(tree: &SysTree) -> Option<u32> {
    let text = tree.text("sys/devices/platform/soc/soc:firmware/get_throttled")?;
    u32::from_str_radix(text.strip_prefix("0x").unwrap_or(&text), 16).ok()
}

/// The alarm of the Raspberry Pi's voltage sensor (driver `raspberrypi-hwmon`).
fn voltage_alarm(tree: &SysTree) -> Option<bool> {
    tree.names("sys/class/hwmon").into_iter().find_map(|chip| {
        let dir = format!("sys/class/hwmon/{chip}");
        let is_it = tree.text(format!("{dir}/name"))? == "rpi_volt";
        is_it.then(|| tree.number::<u8>(format!("{dir}/in0_lcrit_alarm")))?.map(|alarm| alarm != 0)
    })
}

/// Whether the kernel slows the processor down to cool it; absent where it cannot.
fn held_back(tree: &SysTree) -> Option<bool> {
    let names = tree.names("sys/class/thermal").into_iter();
    let states = names.filter(|name| name.starts_with("cooling_device")).filter_map(|name| {
        let dir = format!("sys/class/thermal/{name}");
        let kind = tree.text(format!("{dir}/type"))?;
        let of_cpu = ["cpufreq", "thermal-cpufreq", "Processor"];
        let is_cpu = of_cpu.iter().any(|start| kind.starts_with(start));
        is_cpu.then(|| tree.number::<u64>(format!("{dir}/cur_state")))?
    });
    states.fold(None, |held, state| Some(held.unwrap_or(false) || state > 0))
}
