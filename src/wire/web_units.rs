//! Units as browsers are given them, one after the other.
//!
//! Owns: what depends on the units before: H.264 pictures mark nothing that came before the entry point
//! they follow, because a player may have begun there.

use std::sync::Arc;

use super::web::WebFormat;
use crate::media::{AccessUnit, OpenMarking};

/// Makes the copies for one reader of one stream.
#[derive(Debug, Default)]
pub struct WebUnits {
    /// Of which format, and what its pictures mark.
    of: Option<(Arc<WebFormat>, Option<OpenMarking>)>,
}

impl WebUnits {
    /// `unit`, the next of a track that `format` carries, as browsers are given it; `None` when that cannot
    /// be.
    pub fn shown(
        &mut self,
        format: &Arc<WebFormat>,
        unit: &Arc<AccessUnit>,
    ) -> Option<Arc<AccessUnit>> {
        let shown = format.shown(unit)?;
        if unit.track != format.lead() {
            return Some(shown);
        }
        if self.of.as_ref().is_none_or(|(known, _)| !Arc::ptr_eq(known, format)) {
            self.of = Some((Arc::clone(format), OpenMarking::new(&unit.params)));
        }
        let marking = self.of.as_mut().and_then(|(_, marking)| marking.as_mut());
        let neutral = marking.and_then(|marking| marking.neutral(unit.entry, &shown.data));
        Some(match neutral {
            Some(data) => Arc::new(AccessUnit { data, ..AccessUnit::clone(&shown) }),
            None => shown,
        })
    }
}
