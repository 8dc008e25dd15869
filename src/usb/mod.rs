//! Cameras on USB that died: which device one is, what hangs beside it, how it is brought back.
//!
//! Owns: the way from a video node to its USB device through sysfs, what a power cycle would take
//! along, how often which remedy may be tried, and the request for one. Does not own: whether a
//! camera is dead, which its source knows.
//!
//! The daemon has no privileges and its sysfs is read-only. It writes a [`UsbRequest`] of one line
//! into its runtime directory; `holdfast-usb.path` sees that and `holdfast-usb.service` runs
//! [`mend`] as root, which believes nothing: it looks at sysfs again before it does anything.
//!
//! Invariants:
//! 1. Only a device with a video interface is ever taken off its bus.
//! 2. Ports lose power only while no block device and no network interface hangs on any USB port
//!    of the machine. All of them are taken for one group, because a Raspberry Pi switches its
//!    four together, over both of its controllers on a Pi 5, and sysfs does not say so.
//! 3. Ports that lost their power get it again, whatever refuses on the way. A port with a hub that
//!    switches its own ports keeps its power: where it only says that it is off, that hub would be
//!    back at once and give power to its ports.
//!
//! Every path is below a root that is given, `/sys` in the daemon and a fixture in tests.

mod ladder;
mod mend;
mod tree;

pub use ladder::{Ladder, UsbStep};
pub use mend::{Mended, REQUEST_PATH, UsbRequest, mend};
pub use tree::{Neighbour, UsbDevice, UsbError, UsbTree};
