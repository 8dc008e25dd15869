//! Encoders and the children that decode pictures.
//!
//! Owns: their time, memory and queues.

use std::time::Duration;

use super::{ACCESS_UNIT_BYTES_MAX, PARAMETER_SET_BYTES_MAX};

/// Video nodes that are checked for an encoder of the board's; further ones are left alone.
pub const ENCODER_NODES_MAX: usize = 64;
/// How long an encoder of the board's may take for one picture; then openh264 takes over.
pub const ENCODER_TIME_MAX: Duration = Duration::from_secs(2);

/// How long a request for a picture waits, the queue before the decoder included.
pub const PICTURE_WAIT_MAX: Duration = Duration::from_secs(12);
/// A decoder child that takes longer for one picture is killed.
pub const DECODE_TIME_MAX: Duration = Duration::from_secs(5);
/// The same for the child that makes sprites, which gets only idle processor time.
pub const DECODE_IDLE_TIME_MAX: Duration = Duration::from_secs(30);
/// Processor time of a decoder child for one picture; past it the kernel kills it.
pub const DECODE_CPU_TIME_MAX: Duration = Duration::from_secs(5);
/// Pictures that wait for one decoder child; a further one is refused.
pub const DECODE_QUEUE_LEN_MAX: usize = 64;
/// Bytes of one key frame with its parameter sets; a larger one is refused.
pub const DECODE_REQUEST_BYTES_MAX: usize =
    ACCESS_UNIT_BYTES_MAX + 3 * (PARAMETER_SET_BYTES_MAX + 4);
/// Pixels of a picture that is decoded, 8192x4320; a larger one is refused.
pub const DECODE_PIXELS_MAX: usize = 8_192 * 4_320;
/// Largest picture a decoder child may answer.
pub const JPEG_BYTES_MAX: usize = 16 << 20;
/// Address space of a decoder child; past it its allocations fail and one picture is lost.
pub const DECODE_MEMORY_BYTES_MAX: u64 = 1 << 30;
/// A decoder child that has been idle this long is ended.
pub const DECODER_IDLE_TIME: Duration = Duration::from_secs(30);
/// Longest pause before a decoder child is started again: one camera whose key frames crash it
/// must not cost the others theirs.
pub const DECODER_PAUSE_MAX: Duration = Duration::from_secs(1);
/// How long a request for a sprite sheet waits; what is ready by then is kept.
pub const SPRITE_WAIT_MAX: Duration = Duration::from_secs(60);
