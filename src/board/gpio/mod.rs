//! Lines: one trait, three ways to them, chosen when the program needs one.
//!
//! Owns: what a line is called, and the choice of driver. What a level means is up to the line's
//! user.

mod cdev;
mod null;
mod rpi;

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use serde::Serialize;
use tracing::{info, warn};

use crate::base::limits::GPIO_LINE_CHARS_MAX;
use crate::base::time::{BootTime, SharedClock};

/// How a board's lines are reached.
pub trait Gpio: Send + Sync + fmt::Debug {
    /// By what.
    fn driver(&self) -> LineDriver;

    /// Watches a line until what it returns is dropped: each change of its level goes to `edges`.
    /// Blocks for as long as the driver does.
    fn input(&self, wish: &InputWish, edges: Edges) -> Result<Box<dyn InputLine>, GpioError>;

    /// Drives a line from now on to `high`. Blocks for as long as the driver does.
    fn output(&self, line: &LineName, high: bool) -> Result<Box<dyn Output>, GpioError>;
}

/// A line that is watched.
pub trait InputLine: Send + fmt::Debug {
    /// Its level now.
    fn is_high(&self) -> Result<bool, GpioError>;
}

/// An output line. It keeps its level when this is dropped, where the kernel allows that.
pub trait Output: Send + fmt::Debug {
    /// Drives it.
    fn set(&mut self, high: bool) -> Result<(), GpioError>;
}

/// What reaches the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LineDriver {
    /// Registers of a Raspberry Pi.
    Rppal,
    /// The kernel's character device.
    Gpiocdev,
    /// No driver: there are no lines.
    None,
}

/// What a line is called.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LineName {
    /// By its name, such as `GPIO17`.
    Named(String),
    /// By its place, written `gpiochip0:3`.
    At {
        /// The chip's name below `/dev`.
        chip: String,
        /// The line's number on it.
        offset: u32,
    },
}

/// How to watch a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputWish {
    /// Which.
    pub line: LineName,
    /// What holds its level while nothing drives it.
    pub bias: Bias,
    /// A level that holds for less than this is ignored.
    pub debounce: Duration,
}

/// What holds the level of a line that nothing drives; boards that cannot do it leave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bias {
    /// High.
    Up,
    /// Low.
    Down,
    /// Nothing.
    Off,
}

/// A line changed its level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineEdge {
    /// Which of the lines that share a queue.
    pub of: usize,
    /// To high.
    pub high: bool,
    /// When the driver reported it.
    pub at: BootTime,
}

/// Where edges go. A full queue drops them, so the watcher of a line also reads its level from time
/// to time.
#[derive(Clone, Debug)]
pub struct Edges {
    queue: SyncSender<LineEdge>,
    of: usize,
    clock: SharedClock,
}

impl Edges {
    /// Edges of the line number `of` into `queue`.
    #[must_use]
    pub fn new(queue: SyncSender<LineEdge>, of: usize, clock: SharedClock) -> Self {
        Self { queue, of, clock }
    }

    /// Forwards one. Called on the driver's own thread: it waits for nothing.
    pub fn tell(&self, high: bool) {
        let edge = LineEdge { of: self.of, high, at: self.clock.boot() };
        let _ = self.queue.try_send(edge);
    }
}

/// Why a line cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GpioError {
    /// There are no lines here.
    #[error("this machine has no GPIO that could be used ({why})")]
    None {
        /// What was tried.
        why: String,
    },
    /// No line has that name.
    #[error("there is no line {line} on this board")]
    Unknown {
        /// The name.
        line: LineName,
    },
    /// The driver of the Raspberry Pi refuses it.
    #[error("line {line} cannot be used")]
    Rppal {
        /// Which.
        line: LineName,
        /// Why.
        #[source]
        source: rppal::gpio::Error,
    },
    /// The kernel refuses it.
    #[error("line {line} cannot be used")]
    Cdev {
        /// Which.
        line: LineName,
        /// Why.
        #[source]
        source: gpiocdev::Error,
    },
    /// No thread to watch it.
    #[error("line {line} cannot be watched")]
    Thread {
        /// Which.
        line: LineName,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl LineName {
    /// From `GPIO17` or `gpiochip0:3`; `None` when it is neither.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let plain = text.chars().all(|c| c.is_ascii_graphic() && c != '/');
        if text.is_empty() || text.len() > GPIO_LINE_CHARS_MAX || !plain {
            return None;
        }
        match text.split_once(':') {
            None => Some(Self::Named(text.to_owned())),
            Some((chip, offset)) => {
                let number = chip.strip_prefix("gpiochip")?;
                number.parse::<u32>().ok()?;
                Some(Self::At { chip: chip.to_owned(), offset: offset.parse().ok()? })
            }
        }
    }
}

impl fmt::Display for LineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => f.write_str(name),
            Self::At { chip, offset } => write!(f, "{chip}:{offset}"),
        }
    }
}

/// The way to the lines of this board: rppal on a Raspberry Pi that lets it, else the kernel's
/// character device; else the reason for none.
pub fn find() -> Result<Arc<dyn Gpio>, String> {
    let rppal = match rpi::Rpi::open() {
        Ok(gpio) => {
            info!(part = "gpio", driver = "rppal", "lines found");
            return Ok(Arc::new(gpio));
        }
        Err(error) => error,
    };
    let gpio = cdev::Cdev::open().map_err(|why| format!("rppal: {rppal}; gpiocdev: {why}"))?;
    info!(part = "gpio", driver = "gpiocdev", rppal = %rppal, "lines found");
    Ok(Arc::new(gpio))
}

/// No lines, for this reason, which is reported.
#[must_use]
pub fn none(why: String) -> Arc<dyn Gpio> {
    warn!(part = "gpio", error = why, "no GPIO here, continuing without it");
    Arc::new(null::Null { why })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_named_or_counted() {
        let named = |name: &str| Some(LineName::Named(name.to_owned()));
        assert_eq!(LineName::parse("GPIO17"), named("GPIO17"));
        assert_eq!(LineName::parse("PQ.05"), named("PQ.05"));
        let at = LineName::parse("gpiochip0:3").unwrap();
        assert_eq!(at, LineName::At { chip: "gpiochip0".to_owned(), offset: 3 });
        assert_eq!(at.to_string(), "gpiochip0:3");
        let long = "G".repeat(GPIO_LINE_CHARS_MAX + 1);
        for bad in ["", "GPIO 17", "gpiochip0:", "gpiochip0:-1", "../mem:3", "chip:3", "a/b", &long]
        {
            assert_eq!(LineName::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_machine_without_lines_says_so_when_asked() {
        let gpio = null::Null { why: "nothing found".to_owned() };
        assert_eq!(gpio.driver(), LineDriver::None);
        let refused = gpio.output(&LineName::parse("GPIO17").unwrap(), true).unwrap_err();
        assert!(refused.to_string().contains("no GPIO"), "{refused}");
    }

    #[test]
    fn a_full_queue_holds_no_driver_up() {
        let (queue, edges) = std::sync::mpsc::sync_channel(1);
        let told = Edges::new(queue, 7, Arc::new(crate::base::time::SystemClock));
        told.tell(true);
        told.tell(false);
        assert!(matches!(edges.try_recv(), Ok(LineEdge { of: 7, high: true, .. })));
        assert!(edges.try_recv().is_err());
    }
}
