//! What is known of the journal's file while the ring is open.

use crate::dvr::store::ring::Ring;

/// What the journal's thread, the storage thread and the house share beside the facts.
#[derive(Debug, Default)]
pub(crate) struct JournalState {
    /// The ring that the journal belongs to, once it was opened.
    pub(crate) ring: Option<Ring>,
    /// How often it was opened.
    pub(crate) mounts: u64,
    /// Number of the last record that was found.
    pub(crate) number: u64,
    /// Why the journal cannot be read or written, for people.
    pub(crate) trouble: Option<String>,
}
