//! Why a camera of this machine gives no pictures, in words that tell a person what to do.
//!
//! Owns: the reading of errnos. Equal faults read equal, so that they are logged once and counted.

use std::io;
use std::time::Duration;

use crate::base::fault::{Class, Fault, chain};
use crate::media::codec::ParamsError;
use crate::v4l2::{Call, QueueError};

/// Why a run ended. `Display` is for people.
#[derive(Debug, thiserror::Error)]
pub enum CameraError {
    /// Its node is not there.
    #[error(
        "There is no camera at {device}. Plug it in, or set `device` to one of these: {there}."
    )]
    NotThere {
        /// What was configured.
        device: String,
        /// The cameras there are.
        there: String,
    },
    /// `device = "auto"` and more than one camera.
    #[error("There is more than one camera. Set `device` to one of them: {there}.")]
    Several {
        /// The cameras there are.
        there: String,
    },
    /// EACCES.
    #[error("Holdfast has no permission to open {device}. Add its user to the group 'video'.")]
    Forbidden {
        /// What was configured.
        device: String,
    },
    /// EBUSY.
    #[error(
        "The camera is in use by another program or another stream. End that, or set `device` to another camera."
    )]
    Busy,
    /// A node that gives no pictures.
    #[error(
        "{device} is not a camera ({card}). Set `device` to one: GET /api/v1/devices lists them."
    )]
    NotACamera {
        /// What was configured.
        device: String,
        /// What it says it is.
        card: String,
    },
    /// None of the wanted formats.
    #[error(
        "The camera does not give {wanted}, only {offers}. Set `format` to one of these or to \"auto\"."
    )]
    NoFormat {
        /// The value requested.
        wanted: &'static str,
        /// What it offers.
        offers: String,
    },
    /// Another format than was agreed.
    #[error(
        "The camera gives {got} where {wanted} was asked for. Set `width` and `height` to what it offers: GET /api/v1/devices lists it."
    )]
    Disagrees {
        /// The call that failed.
        wanted: String,
        /// What it gives.
        got: String,
    },
    /// ENOSPC at the start of the stream.
    #[error(
        "The USB bus has no room for this camera's pictures. Lower `width`, `height` or `fps`, set `format = \"mjpeg\"`, or plug it into another USB controller."
    )]
    NoRoom,
    /// The device went away.
    #[error("The camera went away. Check its plug and its power.")]
    Gone,
    /// No picture came.
    #[error("The camera has sent no picture for {} s. Unplug it and plug it in again.", waited.as_secs())]
    Silent {
        /// How long was waited.
        waited: Duration,
    },
    /// Pictures came, none of them whole.
    #[error(
        "The camera has sent only damaged pictures for {} s ({last}). Use a shorter USB cable or a powered hub, or lower `width`, `height` or `fps`.",
        waited.as_secs()
    )]
    Damaged {
        /// How long was waited.
        waited: Duration,
        /// What was wrong with the last one.
        last: String,
    },
    /// A call that does not come back.
    #[error(
        "The camera's driver does not answer. Unplug the camera; if that does not help, restart the box."
    )]
    Stuck,
    /// Any other refusal.
    #[error("The camera's driver failed ({detail}). Unplug the camera and plug it in again.")]
    Driver {
        /// What failed.
        detail: String,
    },
    /// Parameter sets that cannot be read.
    #[error("The camera's H.264 cannot be read. Set `format` to \"mjpeg\" or \"yuyv\".")]
    Params(#[from] ParamsError),
    /// No thread could be made.
    #[error("The box has no thread left for this camera. Restart the box if this repeats.")]
    Thread(#[source] io::Error),
    /// The run has ended elsewhere.
    #[error("stopped")]
    Stopped,
}

impl Fault for CameraError {
    fn class(&self) -> Class {
        match self {
            Self::Several { .. }
            | Self::Forbidden { .. }
            | Self::NotACamera { .. }
            | Self::NoFormat { .. }
            | Self::Disagrees { .. } => Class::Config,
            Self::NotThere { .. } | Self::Gone => Class::Network,
            Self::Thread(_) | Self::Stopped => Class::Bug,
            _ => Class::Peer,
        }
    }
}

impl CameraError {
    /// What a refused call means. `what` names it.
    pub(super) fn of_call(device: &str, what: &str, error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EBUSY) => Self::Busy,
            Some(libc::EACCES | libc::EPERM) => Self::Forbidden { device: device.to_owned() },
            Some(libc::ENODEV | libc::ENXIO | libc::ENOENT) => Self::Gone,
            _ => Self::Driver { detail: format!("{what}: {error}") },
        }
    }

    /// What the end of a queue means.
    pub(super) fn of_queue(device: &str, error: QueueError) -> Self {
        match error {
            QueueError::Call { call: Call::StreamOn, source }
                if source.raw_os_error() == Some(libc::ENOSPC) =>
            {
                Self::NoRoom
            }
            QueueError::Call { call, source } => Self::of_call(device, &call.to_string(), &source),
            other => Self::Driver { detail: chain(&other) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(call: Call, errno: i32) -> CameraError {
        let source = io::Error::from_raw_os_error(errno);
        CameraError::of_queue("/dev/video0", QueueError::Call { call, source })
    }

    #[test]
    fn errnos_become_what_a_person_can_do() {
        assert!(matches!(of(Call::StreamOn, libc::ENOSPC), CameraError::NoRoom));
        assert!(matches!(of(Call::RequestBuffers, libc::EBUSY), CameraError::Busy));
        assert!(matches!(of(Call::Dequeue, libc::ENODEV), CameraError::Gone));
        assert!(matches!(of(Call::Queue, libc::ENOSPC), CameraError::Driver { .. }));
        let told = of(Call::Dequeue, libc::EIO).to_string();
        assert!(told.contains("VIDIOC_DQBUF: Input/output error"), "{told}");
        assert_eq!(CameraError::Gone.class(), Class::Network);
        assert_eq!(CameraError::NoRoom.class(), Class::Peer);
    }
}
