//! Why a camera that sends JPEG over HTTP could not be pulled, in words that say what to do.
//!
//! Owns: the words. No text holds a URL's path or query.

use std::time::Duration;

use crate::base::fault::{Class, Fault};
use crate::ingest::camera_error::CameraError;
use crate::ingest::jpeg::JpegError;
use crate::wire::mjpeg::NoPictures;

/// Why a run ended. `Display` is for people; `stream` is the stream's name.
#[derive(Debug, thiserror::Error)]
pub enum MjpegError {
    /// It cannot be spoken to.
    #[error(transparent)]
    Camera(#[from] CameraError),
    /// Another status.
    #[error(
        "The camera answers with status {status}. Check the path in `url` of stream '{stream}'."
    )]
    Status {
        /// What it said.
        status: u16,
        /// Which stream.
        stream: String,
    },
    /// A redirect to another host, or in circles.
    #[error(
        "The camera says that its pictures are at {address}. Set `url` of stream '{stream}' to where they really are."
    )]
    Redirected {
        /// Host and port.
        address: String,
        /// Which stream.
        stream: String,
    },
    /// No head, or no picture, for so long.
    #[error(
        "The camera has sent no picture for {} s, so it is asked again. Check its network and its power if this repeats.",
        waited.as_secs_f32()
    )]
    Stalled {
        /// How long we waited.
        waited: Duration,
    },
    /// The answer is not pictures.
    #[error(
        "The device at {address} does not send JPEG pictures: {what}. Check `url` of stream '{stream}'."
    )]
    NoPictures {
        /// Host and port.
        address: String,
        /// Why.
        what: NoPictures,
        /// Which stream.
        stream: String,
    },
    /// One picture came, and the answer ended.
    #[error(
        "The address gives one picture and ends. Set `url` of stream '{stream}' to the camera's MJPEG stream, not to its snapshot."
    )]
    OnePicture {
        /// Which stream.
        stream: String,
    },
    /// The camera closed the connection.
    #[error(
        "The camera closed the connection. Restart it if this repeats, or let fewer programs watch it."
    )]
    Closed,
    /// The connection ended, and the camera did not close it.
    #[error("The connection to the camera broke. Check the network between if this repeats.")]
    Broken,
    /// More than one camera may bring.
    #[error(
        "The camera sends more than {max_mib_per_sec} MiB/s. Lower its picture rate or quality, or it takes the others' share."
    )]
    Flooded {
        /// What is accepted.
        max_mib_per_sec: u64,
    },
    /// Its pictures cannot be encoded.
    #[error(transparent)]
    Jpeg(#[from] JpegError),
}

impl Fault for MjpegError {
    fn class(&self) -> Class {
        match self {
            Self::Camera(error) => error.class(),
            Self::Stalled { .. } | Self::Closed | Self::Broken => Class::Network,
            _ => Class::Peer,
        }
    }
}
