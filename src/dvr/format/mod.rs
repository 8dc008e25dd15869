//! What is on the disk as bytes, both ways: slots, seals, records of the index and the journal.

pub(crate) mod effort;
pub(crate) mod epoch;
pub(crate) mod form;
pub(crate) mod front;
pub(crate) mod index_record;
pub(crate) mod journal_record;
pub(crate) mod salvage;
pub(crate) mod seal;
pub(crate) mod slot;
