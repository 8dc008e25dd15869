//! Why a tool of the ring ended early.

use std::io;
use std::path::PathBuf;

use crate::dvr::error::DvrError;

/// Why a tool ended early.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// The ring.
    #[error(transparent)]
    Ring(#[from] DvrError),
    /// A file to write.
    #[error("cannot write {path}: {source}", path = path.display())]
    Target {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is nothing to copy.
    #[error("nothing of this stream is recorded between these times; `ring ls` lists what is")]
    Nothing,
    /// The output.
    #[error("cannot print: {0}")]
    Print(#[from] io::Error),
}
