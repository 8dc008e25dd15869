//! No lines: every wish is refused with the reason.
//!
//! Owns: that reason.

use super::{Driver, Edges, Gpio, GpioError, Input, InputWish, Line, Output};

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
    fn driver(&self) -> Driver {
        Driver::None
    }

    fn input(&self, _: &InputWish, _: Edges) -> Result<Box<dyn Input>, GpioError> {
        self.refuse()
    }

    fn output(&self, _: &Line, _: bool) -> Result<Box<dyn Output>, GpioError> {
        self.refuse()
    }
}
