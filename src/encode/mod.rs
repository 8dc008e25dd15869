//! Raw pictures to H.264, and key frames to JPEG.
//!
//! Owns: [`Picture`] (I420), the software encoder and the still-picture decoder, which runs in a
//! child process because camera data meets fifty thousand lines of C++ there. Knows no camera.

pub mod convert;
mod h264;
mod picture;
pub mod still;

pub use h264::{EncodeError, Encoded, Encoder, EncoderConfig};
pub use picture::Picture;
