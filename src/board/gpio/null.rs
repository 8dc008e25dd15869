//! No lines: every wish is refused with the reason.
//!
//! Owns: that reason.

use super::{Edges, Gpio, GpioError, InputLine, InputWish, LineDriver, LineName, Output};

#[derive(Debug)]
pub(super) struct Null {
    pub(super) why: String,
}

impl Null {
    fn refuse<T>(&self) -> Result<T, GpioError> {
        Err(GpioError::None { why: self.why.clone() })
    }
}

impl Gpio for Null {
    fn driver(&self) -> LineDriver {
        LineDriver::None
    }

    fn input(&self, _: &InputWish, _: Edges) -> Result<Box<dyn InputLine>, GpioError> {
        self.refuse()
    }

    fn output(&self, _: &LineName, _: bool) -> Result<Box<dyn Output>, GpioError> {
        self.refuse()
    }
}
