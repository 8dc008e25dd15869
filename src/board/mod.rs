#![doc = include_str!("README.md")]

mod disk;
mod facts;
pub mod gpio;
mod heat;
mod ledger;
mod machine;
mod system;
#[cfg(test)]
mod tests;
mod tree;

pub use self::disk::{BoardDisk, DiskKind, Reserve};
pub use self::facts::{
    Board, BoardFacts, CameraFacts, CameraWay, Detect, DeviceTreeId, EncoderFacts, GpioDriver,
    GpioFacts, H264Encoder, Watchdog, all, detect,
};
pub use self::heat::{Power, Temperature};
pub use self::ledger::WrittenTotal;
pub use self::machine::{Machine, MachineReport};
pub use self::system::{Cpu, MemoryUse, Os};
