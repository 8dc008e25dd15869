//! The last seconds of each stream, fanned out to readers that the publisher never waits for.
//!
//! Owns: the window ([`Bus`]), the cursors into it ([`Subscriber`]) and the handle by which the
//! rest of the house knows a stream ([`Stream`]). Parses nothing.
//!
//! Invariants:
//! 1. The window holds what is still needed (for a joiner: the newest GOP; for a reader: what it
//!    has not read, within its allowance), bounded in bytes, in units and in time.
//! 2. Publishing never awaits and never fails; a lock is held for a few pushes only.
//! 3. A joiner begins at the newest place where a reader can begin, at once if there is one.
//! 4. A reader that fell out of the window, or behind its own allowance, gets [`Next::Lagged`] and
//!    resumes at the newest entry point; it never sees half a GOP.

mod demand;
mod frame_rate;
mod interruptions;
mod label;
mod pace;
mod rate;
mod state;
mod window;

pub use demand::{Demand, Viewing};
pub use interruptions::Interrupted;
pub use label::{Label, Labels};
pub use pace::{ParamChanges, SoundState};
pub use state::{Directory, Encoding, Stream, StreamState};
pub use window::{Allowance, Bounds, Bus, Item, Next, Publisher, Subscriber};
