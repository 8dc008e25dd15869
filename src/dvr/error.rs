//! What can go wrong with the ring, in words that say what to do.

use std::io;
use std::path::PathBuf;

use crate::base::fault::{Class, Fault};

/// Why the ring, or one write to it, failed.
#[derive(Debug, thiserror::Error)]
pub enum DvrError {
    /// A file or directory could not be used.
    #[error("cannot {doing} {path}: {told}", path = path.display(), told = told(source))]
    Disk {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// `ring.toml` is there but makes no sense.
    #[error("{path} cannot be read: {why}; to start with a new ring, move {dir} away",
        path = path.display(), dir = path.parent().unwrap_or(path).display())]
    RingFile {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The ring that was in use has gone from its place.
    #[error("{path} has disappeared; is the volume mounted?", path = path.display())]
    Gone {
        /// Where it was.
        path: PathBuf,
    },
    /// Another ring is in its place, or the ring was made on another volume.
    #[error("{path} belongs to {what}; nothing is written to it", path = path.display())]
    Foreign {
        /// Where it is.
        path: PathBuf,
        /// What it belongs to.
        what: &'static str,
    },
    /// Another process records here.
    #[error("{path} is in use by another process", path = path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The configured size cannot be a ring.
    #[error("a ring of {bytes} bytes is too small: it needs {slots_min} slots of {slot_bytes}")]
    TooSmall {
        /// Configured.
        bytes: u64,
        /// Size of a slot.
        slot_bytes: u64,
        /// Fewest slots.
        slots_min: u32,
    },
    /// The configured slot size is outside what is accepted.
    #[error("a slot of {bytes} bytes is not possible: {min} to {max}")]
    SlotSize {
        /// Configured.
        bytes: u64,
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
    },
    /// One fragment is larger than a slot.
    #[error("a fragment of {bytes} bytes does not fit into a slot of {slot_bytes}")]
    FragmentTooLong {
        /// Of the fragment.
        bytes: usize,
        /// Of the slot.
        slot_bytes: u64,
    },
    /// Not one slot of the ring can be read.
    #[error("no slot in {path} can be read; is the disk failing?", path = path.display())]
    Unreadable {
        /// The ring's directory.
        path: PathBuf,
    },
    /// Every slot is being written, or failed.
    #[error("no slot is left to write to; the ring is too small, or the disk is failing")]
    NoSlot,
    /// What is free of the volume is left to others.
    #[error(
        "the disk has {free_bytes} bytes free, and {left_bytes} of them are left to others (2 % of the \
         disk, at least 64 MiB and one minute of recording); free some space, or use a larger disk"
    )]
    NoRoom {
        /// Free.
        free_bytes: u64,
        /// Left to others.
        left_bytes: u64,
    },
    /// The slot was given up when the ring was made smaller.
    #[error("the footage in slot {slot} was deleted when the ring was made smaller")]
    Removed {
        /// Which slot.
        slot: u32,
    },
    /// The slot was overwritten by newer footage while it was being read.
    #[error("the footage in slot {slot} was overwritten by newer footage while it was being read")]
    Reused {
        /// Which slot.
        slot: u32,
    },
    /// What was read does not match its seal.
    #[error("the footage in slot {slot} is damaged; it is left out from now on")]
    Damaged {
        /// Which slot.
        slot: u32,
    },
    /// The disk did not answer in time.
    #[error("the disk has not answered for {secs} seconds")]
    Stalled {
        /// How long it was waited.
        secs: u64,
    },
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
    /// The index cannot be used.
    #[error("the index cannot be used: {0}")]
    Index(String),
}

impl DvrError {
    /// An [`io::Error`] with what was tried.
    pub(crate) fn disk(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Disk { doing, path, source }
    }

    /// Whether what was to be read is not there any more, while the rest is.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Removed { .. } | Self::Reused { .. } | Self::Damaged { .. })
    }

    /// Whether there is no space left.
    pub(crate) fn is_full(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        match self {
            Self::Disk { source, .. } => matches!(source.kind(), StorageFull | QuotaExceeded),
            Self::NoRoom { .. } => true,
            _ => false,
        }
    }
}

impl Fault for DvrError {
    fn class(&self) -> Class {
        match self {
            Self::Disk { .. }
            | Self::Gone { .. }
            | Self::Foreign { .. }
            | Self::Index(_)
            | Self::RingFile { .. }
            | Self::Unreadable { .. }
            | Self::NoSlot
            | Self::NoRoom { .. }
            | Self::Removed { .. }
            | Self::Reused { .. }
            | Self::Damaged { .. }
            | Self::Stalled { .. }
            | Self::Thread(_) => Class::Disk,
            Self::TooSmall { .. } | Self::SlotSize { .. } | Self::InUse { .. } => Class::Config,
            Self::FragmentTooLong { .. } => Class::Peer,
        }
    }
}

/// The error as a sentence for people.
pub(crate) fn sentence(error: &DvrError) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    letters
        .next()
        .map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}

/// What the system said, in words for people where it is something they can mend.
fn told(error: &io::Error) -> String {
    use io::ErrorKind::{
        NotFound, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull,
    };
    match error.kind() {
        StorageFull => "the disk is full".to_owned(),
        QuotaExceeded => "the disk quota is used up".to_owned(),
        ReadOnlyFilesystem => "the disk is read-only".to_owned(),
        PermissionDenied => "permission denied".to_owned(),
        NotFound => "it is not there; is the volume mounted?".to_owned(),
        _ if error.raw_os_error() == Some(5) => "the disk reports an error (EIO)".to_owned(),
        _ => error.to_string(),
    }
}
