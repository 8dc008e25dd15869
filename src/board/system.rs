//! Operating system, processor and memory.
//!
//! Owns: which facts of proc(5) and os-release(5) are published.

use serde::Serialize;

use super::tree::{SysTree, printable};

/// The operating system.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Os {
    /// Its name and version for people (`PRETTY_NAME`).
    pub name: Option<String>,
    /// Its version (`VERSION_ID`).
    pub version: Option<String>,
    /// The kernel's release.
    pub kernel: Option<String>,
    /// Machine the program was built for, such as `aarch64`.
    pub arch: &'static str,
    /// Bytes of a page of memory.
    pub page_bytes: usize,
}

/// The processor.
#[derive(Clone, Debug, Default, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Cpu {
    /// Cores that are there.
    pub cores: Option<usize>,
    /// Tasks that ran or waited, averaged over 1, 5 and 15 minutes.
    pub load: Option<[f64; 3]>,
    /// Share of the time since the last look that it worked, 0 to 1.
    pub busy_ratio: Option<f64>,
}

/// The memory, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct MemoryUse {
    /// All of it.
    pub total_bytes: Option<u64>,
    /// What a program could still have.
    pub available_bytes: Option<u64>,
    /// Swap space.
    pub swap_total_bytes: Option<u64>,
    /// What of that is free.
    pub swap_free_bytes: Option<u64>,
}

/// Moments of the processor since boot, in ticks: working, and all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticks {
    busy: u64,
    all: u64,
}

impl Ticks {
    /// The share of work between `before` and these.
    pub(super) fn ratio_since(self, before: Self) -> Option<f64> {
        let part = |from: u64, to: u64| u32::try_from(to.checked_sub(from)?).ok().map(f64::from);
        let (busy, all) = (part(before.busy, self.busy)?, part(before.all, self.all)?);
        (all > 0.0).then(|| (busy / all).min(1.0))
    }
}

/// Which operating system runs.
pub(super) fn os(tree: &SysTree) -> Os {
    let release = tree.lines("etc/os-release").or_else(|| tree.lines("usr/lib/os-release"));
    let release = release.unwrap_or_default();
    let value = |key: &str| {
        let line = release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
        printable(line.trim().trim_matches(['"', '\'']).as_bytes())
    };
    Os {
        name: value("PRETTY_NAME"),
        version: value("VERSION_ID"),
        kernel: tree.text("proc/sys/kernel/osrelease"),
        arch: std::env::consts::ARCH,
        page_bytes: rustix::param::page_size(),
    }
}

/// Cores and load; the share of work is [`Ticks`]' to tell.
pub(super) fn cpu(tree: &SysTree) -> Cpu {
    let stat = tree.lines("proc/stat").unwrap_or_default();
    let is_core = |line: &&str| line.strip_prefix("cpu").is_some_and(|l| !l.starts_with(' '));
    let cores = stat.lines().filter(is_core).count();
    let load = tree.text("proc/loadavg").and_then(|text| {
        let mut numbers = text.split(' ').map_while(|word| word.parse::<f64>().ok());
        let load = [numbers.next()?, numbers.next()?, numbers.next()?];
        load.iter().all(|value| value.is_finite() && *value >= 0.0).then_some(load)
    });
    Cpu { cores: (cores > 0).then_some(cores), load, busy_ratio: None }
}

/// How the processor spent its time: user, nice, system, idle, iowait, irq, softirq, steal.
pub(super) fn ticks(tree: &SysTree) -> Option<Ticks> {
    let stat = tree.lines("proc/stat")?;
    let words = stat.lines().next()?.strip_prefix("cpu ")?.split_ascii_whitespace();
    let ticks: Vec<u64> = words.take(8).map_while(|word| word.parse().ok()).collect();
    let all = ticks.iter().try_fold(0u64, |sum, ticks| sum.checked_add(*ticks))?;
    let idle = ticks.get(3)?.checked_add(*ticks.get(4)?)?;
    Some(Ticks { busy: all - idle, all })
}

/// What `/proc/meminfo` says.
pub(super) fn memory(tree: &SysTree) -> MemoryUse {
    let text = tree.lines("proc/meminfo").unwrap_or_default();
    let bytes = |key: &str| {
        let rest = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        rest.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1_024)
    };
    MemoryUse {
        total_bytes: bytes("MemTotal"),
        available_bytes: bytes("MemAvailable"),
        swap_total_bytes: bytes("SwapTotal"),
        swap_free_bytes: bytes("SwapFree"),
    }
}
