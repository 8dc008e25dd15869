//! Lines of a Raspberry Pi, through rppal: registers for levels, the kernel for edges.
//!
//! Owns: which names are its lines. rppal writes past the kernel's ownership of lines, so it does
//! not notice another user of one.

use rppal::gpio::{Error, Event, InputPin, OutputPin, Trigger};

use super::{Bias, Edges, Gpio, GpioError, InputLine, InputWish, LineDriver, LineName, Output};

/// Lines of the 40-pin header, by the chip's own numbers; 0 and 1 belong to the EEPROM of boards
/// that are put on it.
pub(super) const HEADER: std::ops::RangeInclusive<u8> = 2..=27;

#[derive(Debug)]
pub(super) struct Rpi(rppal::gpio::Gpio);

impl Rpi {
    /// Fails on every other board, and where the registers may not be opened.
    pub(super) fn open() -> Result<Self, Error> {
        rppal::gpio::Gpio::new().map(Self)
    }

    fn pin(&self, line: &LineName) -> Result<rppal::gpio::Pin, GpioError> {
        let number = match line {
            LineName::Named(name) => {
                name.strip_prefix("GPIO").and_then(|number| number.parse().ok())
            }
            LineName::At { .. } => None,
        };
        let number = number.filter(|number| HEADER.contains(number));
        let number = number.ok_or_else(|| GpioError::Unknown { line: line.clone() })?;
        self.0.get(number).map_err(refused(line))
    }
}

fn refused(line: &LineName) -> impl FnOnce(Error) -> GpioError {
    move |source| GpioError::Rppal { line: line.clone(), source }
}

impl Gpio for Rpi {
    fn driver(&self) -> LineDriver {
        LineDriver::Rppal
    }

    fn input(&self, wish: &InputWish, edges: Edges) -> Result<Box<dyn InputLine>, GpioError> {
        let pin = self.pin(&wish.line)?;
        let mut pin = match wish.bias {
            Bias::Up => pin.into_input_pullup(),
            Bias::Down => pin.into_input_pulldown(),
            Bias::Off => pin.into_input(),
        };
        // Its thread only forwards.
        let forward = move |event: Event| edges.tell(event.trigger == Trigger::RisingEdge);
        pin.set_async_interrupt(Trigger::Both, Some(wish.debounce), forward)
            .map_err(refused(&wish.line))?;
        Ok(Box::new(RpiInput(pin)))
    }

    fn output(&self, line: &LineName, high: bool) -> Result<Box<dyn Output>, GpioError> {
        let pin = self.pin(line)?;
        let mut pin = if high { pin.into_output_high() } else { pin.into_output_low() };
        // A restart of the daemon must not move what hangs on the line.
        pin.set_reset_on_drop(false);
        Ok(Box::new(RpiOutput(pin)))
    }
}

#[derive(Debug)]
struct RpiInput(InputPin);

impl InputLine for RpiInput {
    fn is_high(&self) -> Result<bool, GpioError> {
        Ok(self.0.is_high())
    }
}

#[derive(Debug)]
struct RpiOutput(OutputPin);

impl Output for RpiOutput {
    fn set(&mut self, high: bool) -> Result<(), GpioError> {
        self.0.write(high.into());
        Ok(())
    }
}
