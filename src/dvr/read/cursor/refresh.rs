//! Where playing begins in a stream of gradual refresh.
//!
//! Owns: the step back to the group before. A picture behind an entry point of gradual refresh is whole
//! only once so many pictures have passed, and it is on show before.

use super::{FragmentPlace, RecordingCursor};
use crate::dvr::catalogue::continuity::continues;
use crate::dvr::error::DvrError;
use crate::wire::mp4::read_runs;

impl RecordingCursor {
    /// `key`, or the key frame before it in its section where a gradual refresh begins there.
    pub(super) fn before_refresh(&mut self, key: FragmentPlace) -> Result<FragmentPlace, DvrError> {
        let is_gradual = self.read(key)?.is_some_and(|clip| begins_refresh(&clip.bytes));
        let Some(before) = self.before(key)?.filter(|_| is_gradual) else { return Ok(key) };
        let ((boot, entry), (key_boot, key_entry)) = (self.entry(before)?, self.entry(key)?);
        if boot != key_boot || !continues(&entry, &key_entry) {
            return Ok(key);
        }
        Ok(self.key_before(before)?.unwrap_or(key))
    }
}

/// Whether a track of the fragment begins with an entry point of gradual refresh.
fn begins_refresh(fragment: &[u8]) -> bool {
    let runs = read_runs(fragment).unwrap_or_default();
    runs.iter().any(|run| run.rows.first().is_some_and(|row| row.roll > 0))
}
