//! Devices on USB.
//!
//! Owns: how deep they hang.

/// Ports between the board and a USB device (USB 3.2 §10: five hubs, and one for good measure).
pub const USB_DEPTH_MAX: usize = 7;
