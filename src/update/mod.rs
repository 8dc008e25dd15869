//! Updates of the whole image, on boxes that RAUC updates: an uploaded one is inspected, then installed.
//! And the reset of such a box.
//!
//! Owns: the upload, the request to root's helper and its report, and what RAUC's output means. Does
//! not own: what may be installed (RAUC and the image's own check), and which image runs in the end
//! (the boot loader, and whether the box is well).
//!
//! The daemon has no privileges. It puts the update into its data directory and writes an
//! [`UpdateRequest`] of one line into its runtime directory; `holdfast-update.path` sees that, and
//! `holdfast-update.service` runs [`serve`] as root, which believes nothing but RAUC.
//!
//! Invariants:
//! 1. Nothing is installed that was not inspected first, and nothing is uploaded over an update that
//!    is being installed.
//! 2. An upload that ends early leaves nothing behind.

mod exchange;
mod helper;
mod rauc;
mod reset;
mod state;
mod store;

pub use exchange::{
    REPORT_PATH, REQUEST_PATH, RESET_REQUEST_PATH, TAKEN_REQUEST_PATH, UpdateRequest, UpdateStep,
};
pub use helper::serve;
pub use rauc::{BundleFacts, Rauc, RaucError};
pub use state::{Running, Update, UpdateState};
pub use store::{UpdateError, Updates, Upload};
