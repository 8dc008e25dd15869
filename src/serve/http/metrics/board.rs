//! What the board tells, as metrics.
//!
//! Owns: their names. A value that the board does not tell has no sample.

use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType::{Counter, Gauge};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::family;
use crate::board::{Machine, MachineReport};

/// Writes all of it.
pub(super) fn encode(encoder: &mut DescriptorEncoder, machine: &Machine) -> fmt::Result {
    let (board, os) = (machine.board(), machine.os());
    let labels = [
        ("board", board.facts.as_ref().map_or("unknown", |facts| facts.id.as_str())),
        ("model", board.model.as_deref().unwrap_or_default()),
        ("kernel", os.kernel.as_deref().unwrap_or_default()),
    ];
    let info = [(labels, ConstGauge::new(1i64))];
    family(encoder, "board_info", "Which board this is", Gauge, info)?;
    let report = machine.report();
    heat(encoder, &report)?;
    load(encoder, &report)?;
    disk(encoder, &report)
}

fn heat(encoder: &mut DescriptorEncoder, report: &MachineReport) -> fmt::Result {
    let sensors = report.temperatures.iter();
    let values = sensors.map(|t| ([("sensor", t.sensor.as_str())], ConstGauge::new(t.celsius)));
    family(encoder, "board_temperature_celsius", "Temperatures", Gauge, values)?;
    let power = &report.power;
    for (name, help, flag) in [
        ("board_under_voltage", "Whether the supply gives too little", power.under_voltage),
        ("board_throttled", "Whether heat or supply hold the board back", power.throttled),
    ] {
        let value = flag.map(|flag| ([("since", "now")], flag));
        let boot = match name {
            "board_throttled" => power.throttled_since_boot,
            _ => power.under_voltage_since_boot,
        };
        let values = value.into_iter().chain(boot.map(|flag| ([("since", "boot")], flag)));
        let values = values.map(|(label, flag)| (label, ConstGauge::new(i64::from(flag))));
        family(encoder, name, help, Gauge, values)?;
    }
    Ok(())
}

fn load(encoder: &mut DescriptorEncoder, report: &MachineReport) -> fmt::Result {
    let load = report.cpu.load.iter().flat_map(|load| ["1", "5", "15"].into_iter().zip(*load));
    let load = load.map(|(minutes, load)| ([("minutes", minutes)], ConstGauge::new(load)));
    family(encoder, "board_load", "Tasks that ran or waited, averaged", Gauge, load)?;
    let busy = report.cpu.busy_ratio.map(|ratio| ([], ConstGauge::new(ratio)));
    family(encoder, "board_cpu_busy_ratio", "Share of the processor at work", Gauge, busy)?;
    let memory = &report.memory;
    for (name, help, bytes) in [
        ("board_memory_bytes", "Memory of the board", memory.total_bytes),
        ("board_memory_available_bytes", "Memory still available", memory.available_bytes),
    ] {
        let value = bytes.map(|bytes| ([], ConstGauge::new(signed(bytes))));
        family(encoder, name, help, Gauge, value)?;
    }
    Ok(())
}

fn disk(encoder: &mut DescriptorEncoder, report: &MachineReport) -> fmt::Result {
    let Some(disk) = &report.disk else { return Ok(()) };
    let device = [("device", disk.device.as_str())];
    let written = report.written.as_ref().map(|w| (device, ConstCounter::new(w.bytes)));
    let help = "Written to the recordings' disk, over boots";
    family(encoder, "board_disk_written_bytes", help, Counter, written)?;
    let used = disk.life_used_percent;
    let used = used.map(|used| (device, ConstGauge::new(f64::from(used) / 100.0)));
    family(encoder, "board_disk_life_used_ratio", "How worn it is at most", Gauge, used)
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
