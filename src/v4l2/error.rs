//! Why a node or its queue cannot be used.

use std::fmt;
use std::io;

/// The call that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `VIDIOC_REQBUFS`.
    RequestBuffers,
    /// `VIDIOC_QUERYBUF`.
    QueryBuffer,
    /// `mmap`.
    Map,
    /// `VIDIOC_QBUF`.
    Queue,
    /// `VIDIOC_DQBUF`.
    Dequeue,
    /// `VIDIOC_STREAMON`.
    StreamOn,
    /// `VIDIOC_STREAMOFF`.
    StreamOff,
    /// `poll`.
    Poll,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RequestBuffers => "VIDIOC_REQBUFS",
            Self::QueryBuffer => "VIDIOC_QUERYBUF",
            Self::Map => "mmap",
            Self::Queue => "VIDIOC_QBUF",
            Self::Dequeue => "VIDIOC_DQBUF",
            Self::StreamOn => "VIDIOC_STREAMON",
            Self::StreamOff => "VIDIOC_STREAMOFF",
            Self::Poll => "poll",
        })
    }
}

/// Why a queue ended. It is of no use then: drop it and open another.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The driver refused a call.
    #[error("{call} failed")]
    Call {
        /// Which.
        call: Call,
        /// Its errno.
        source: io::Error,
    },
    /// No buffers, or more than anybody wants.
    #[error("the driver made {got} buffers where {wanted} were wanted")]
    BufferCount {
        /// How many were asked for.
        wanted: u32,
        /// How many it made.
        got: u32,
    },
    /// A buffer without planes, or with more than there can be.
    #[error("the driver gave buffer {index} {got} planes")]
    PlaneCount {
        /// Which buffer.
        index: u32,
        /// How many planes it has.
        got: usize,
    },
    /// A plane without room, or with more than there can be.
    #[error("the driver gave a plane of buffer {index} {got_bytes} bytes")]
    PlaneLength {
        /// Which buffer.
        index: u32,
        /// The length of the plane.
        got_bytes: u32,
    },
    /// `poll` says that something is wrong, and no call says what.
    #[error("the driver says that something is wrong, and not what")]
    Broken,
    /// The driver gave back what it did not have.
    #[error("the driver gave back buffer {index} of {count}, which it did not have")]
    ForeignBuffer {
        /// Which buffer it named.
        index: u32,
        /// How many there are.
        count: usize,
    },
}

impl QueueError {
    /// The errno of the call that failed, if it was a call.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Call { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }
}
