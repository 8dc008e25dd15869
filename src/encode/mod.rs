//! Raw pictures to H.264, and key frames to JPEG.
//!
//! Owns: [`Picture`] (I420) and its scaling, [`VideoEncoder`] (in software or by the board's
//! encoder), and the still-picture decoder, which runs in a child process because camera data
//! meets fifty thousand lines of C++ there. Knows no camera.

mod coded;
mod colours;
pub mod convert;
mod h264;
mod m2m;
mod picture;
mod scale;
mod settings;
pub mod still;
mod video;

pub use coded::Encoded;
pub use colours::{Colours, Matrix, Primaries, Transfer};
pub use h264::SoftwareError;
pub use m2m::M2mError;
pub use picture::Picture;
pub use scale::{Scaler, scaled_height};
pub use settings::{EncoderChoice, EncoderSettings, Profile, RawFormat};
pub use video::{EncodeError, VideoEncoder};
