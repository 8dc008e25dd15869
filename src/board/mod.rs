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

pub use self::disk::{Disk, Kind, Reserve};
pub use self::facts::{
    Board, Camera, CameraWay, Detect, Encoder, Facts, GpioDriver, GpioFacts, H264Encoder, Seen,
    Watchdog, all, detect,
};
pub use self::heat::{Power, Temperature};
pub use self::ledger::Written;
pub use self::machine::{Machine, Report};
pub use self::system::{Cpu, Memory, Os};
