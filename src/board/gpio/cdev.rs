//! Lines through the kernel's character device (linux/gpio.h, second form: Linux 5.10).
//!
//! Owns: finding a line by its name, because chip numbers differ between boards and kernels, and
//! one thread for each line that is watched.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use gpiocdev::chip::{self, Chip};
use gpiocdev::line::{Bias as LineBias, EdgeDetection, EdgeKind, Offset, Value};
use gpiocdev::{Error, Request};

use super::rpi::HEADER;
use super::{Bias, Edges, Gpio, GpioError, InputLine, InputWish, LineDriver, LineName, Output};
use crate::board::facts::{GpioDriver, all};

/// The consumer name that the kernel shows for the line (`gpioinfo`).
const CONSUMER: &str = "holdfast";
/// How long the thread of a line waits before it looks whether it is still wanted.
const LOOK_PAUSE: Duration = Duration::from_millis(250);
/// Pause of that thread after the kernel refused to tell an edge.
const REFUSED_PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Cdev(());

impl Cdev {
    /// Fails where no chip may be opened.
    pub(super) fn open() -> Result<Self, String> {
        let chips = chip::chips().map_err(|error| error.to_string())?;
        let opened = chips.iter().map(Chip::from_path);
        let mut why = "no /dev/gpiochip*".to_owned();
        for chip in opened {
            match chip {
                Ok(_) => return Ok(Self(())),
                Err(error) => why = error.to_string(),
            }
        }
        Err(why)
    }
}

/// Where the line is.
fn find(line: &LineName) -> Result<(PathBuf, Offset), GpioError> {
    let unknown = || GpioError::Unknown { line: line.clone() };
    match line {
        LineName::At { chip, offset } => Ok((Path::new("/dev").join(chip), *offset)),
        LineName::Named(name) => {
            let named = gpiocdev::find_named_line(name).map(|line| (line.chip, line.info.offset));
            named.or_else(|| on_a_pi(name)).ok_or_else(unknown)
        }
    }
}

/// Line `GPIO4` of a Raspberry Pi whose kernel calls it something else, such as `GPIO_GCLK`: its
/// number is its place on the chip of the header.
fn on_a_pi(name: &str) -> Option<(PathBuf, Offset)> {
    let number = name.strip_prefix("GPIO")?.parse().ok().filter(|n| HEADER.contains(n))?;
    let of_pi = all().filter(|board| board.gpio.driver == GpioDriver::Rppal);
    let labels: Vec<String> = of_pi.flat_map(|board| board.gpio.chips).collect();
    let is_it = |path: &PathBuf| {
        let info = Chip::from_path(path).and_then(|chip| chip.info());
        info.is_ok_and(|info| labels.contains(&info.label))
    };
    let chip = chip::chips().ok()?.into_iter().find(is_it)?;
    Some((chip, Offset::from(number)))
}

fn refused(line: &LineName) -> impl FnOnce(Error) -> GpioError {
    move |source| GpioError::Cdev { line: line.clone(), source }
}

impl Gpio for Cdev {
    fn driver(&self) -> LineDriver {
        LineDriver::Gpiocdev
    }

    fn input(&self, wish: &InputWish, edges: Edges) -> Result<Box<dyn InputLine>, GpioError> {
        let (chip, offset) = find(&wish.line)?;
        let bias = match wish.bias {
            Bias::Up => LineBias::PullUp,
            Bias::Down => LineBias::PullDown,
            Bias::Off => LineBias::Disabled,
        };
        let mut builder = Request::builder();
        builder.on_chip(chip).with_consumer(CONSUMER).with_line(offset).as_input();
        builder.with_edge_detection(EdgeDetection::BothEdges).with_bias(bias);
        builder.with_debounce_period(wish.debounce);
        let request = Arc::new(builder.request().map_err(refused(&wish.line))?);
        let ended = Arc::new(AtomicBool::new(false));
        let (watched, until) = (Arc::clone(&request), Arc::clone(&ended));
        let thread = std::thread::Builder::new().name("gpio".into());
        let spawned = thread.spawn(move || watch(&watched, &until, &edges));
        let thread =
            spawned.map_err(|source| GpioError::Thread { line: wish.line.clone(), source })?;
        Ok(Box::new(CdevInput { line: wish.line.clone(), request, ended, thread: Some(thread) }))
    }

    fn output(&self, line: &LineName, high: bool) -> Result<Box<dyn Output>, GpioError> {
        let (chip, offset) = find(line)?;
        let mut builder = Request::builder();
        builder.on_chip(chip).with_consumer(CONSUMER).with_line(offset).as_output(value(high));
        let request = builder.request().map_err(refused(line))?;
        Ok(Box::new(CdevOutput { line: line.clone(), request }))
    }
}

/// Tells edges until the line is not wanted any more.
fn watch(request: &Request, ended: &AtomicBool, edges: &Edges) {
    while !ended.load(Relaxed) {
        match request.wait_edge_event(LOOK_PAUSE).and_then(|is_there| {
            if is_there { request.read_edge_event().map(Some) } else { Ok(None) }
        }) {
            Ok(Some(edge)) => edges.tell(edge.kind == EdgeKind::Rising),
            Ok(None) => {}
            // Its level is still checked now and then.
            Err(_) => std::thread::sleep(REFUSED_PAUSE),
        }
    }
}

fn value(high: bool) -> Value {
    if high { Value::Active } else { Value::Inactive }
}

#[derive(Debug)]
struct CdevInput {
    line: LineName,
    request: Arc<Request>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl InputLine for CdevInput {
    fn is_high(&self) -> Result<bool, GpioError> {
        let level = self.request.lone_value().map_err(refused(&self.line))?;
        Ok(level == Value::Active)
    }
}

impl Drop for CdevInput {
    /// Waits for the thread, [`REFUSED_PAUSE`] at most: the line is free only without it, and the next
    /// one to ask for it may be us.
    fn drop(&mut self) {
        self.ended.store(true, Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

#[derive(Debug)]
struct CdevOutput {
    line: LineName,
    request: Request,
}

impl Output for CdevOutput {
    fn set(&mut self, high: bool) -> Result<(), GpioError> {
        self.request.set_lone_value(value(high)).map(drop).map_err(refused(&self.line))
    }
}
