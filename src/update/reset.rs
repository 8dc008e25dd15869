//! Factory reset of a box that runs an image.
//!
//! Owns: the request to root's helper, `holdfast-reset.service` of the image. Whatever it says, the
//! helper does one thing: at the next start the initramfs deletes configuration, accounts, identity
//! and recordings, before anything uses them.

use super::exchange::RESET_REQUEST_PATH;
use super::store::{UpdateError, Updates, below};
use crate::base::request_file;

impl Updates {
    /// Whether this box can be reset: it runs an image.
    #[must_use]
    pub fn can_reset(&self) -> bool {
        below(self.root(), "/run/holdfast-image/boot").exists()
    }

    /// Asks for the reset; the box starts again soon after.
    ///
    /// # Errors
    ///
    /// It runs no image, an update is being installed, or the request cannot be written.
    pub fn factory_reset(&self) -> Result<(), UpdateError> {
        if !self.can_reset() {
            return Err(UpdateError::NoReset);
        }
        if self.is_busy() {
            return Err(UpdateError::Busy);
        }
        request_file::send(&below(self.root(), RESET_REQUEST_PATH), "factory reset")?;
        Ok(())
    }
}
