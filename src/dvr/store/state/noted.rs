//! What the journal's thread reports to subscribers.
//!
//! Owns: the form of it. Never waits for a subscriber.

use tokio::sync::broadcast;

use super::DvrState;
use crate::base::name::StreamName;
use crate::base::time::WallTime;
use crate::dvr::catalogue::listing::{self, MarkView, PinView};
use crate::dvr::catalogue::pin::Pin;
use crate::dvr::format::journal_record::{Cause, JournalRecord, LossRecord};

/// Something that was noted.
#[derive(Clone, Debug, PartialEq)]
pub enum Noted {
    /// A moment was marked.
    Marked(MarkView),
    /// A range is protected.
    Protected(PinView),
    /// It is protected no more.
    Released(PinView),
    /// Footage of a stream is missing; the gap is over.
    Gap {
        /// The stream.
        stream: StreamName,
        /// From when.
        from: WallTime,
        /// Until when.
        until: WallTime,
        /// Why.
        cause: Cause,
        /// More of it for people; may be empty.
        text: String,
    },
}

impl DvrState {
    /// What is noted from now on.
    pub(crate) fn watch_notes(&self) -> broadcast::Receiver<Noted> {
        self.noted.subscribe()
    }

    /// Reports `record`; `pin` is the one it ends.
    pub(crate) fn tell(&self, record: &JournalRecord, pin: Option<&Pin>) {
        let noted = match record {
            JournalRecord::Mark(mark) => Some(Noted::Marked(listing::mark(mark))),
            JournalRecord::Pin(pin) => Some(Noted::Protected(PinView::from(pin))),
            JournalRecord::Unpin { .. } => pin.map(|pin| Noted::Released(PinView::from(pin))),
            JournalRecord::Trouble(trouble) => self.gap(trouble),
            _ => None,
        };
        // There may be no subscriber.
        if let Some(noted) = noted {
            let _ = self.noted.send(noted);
        }
    }

    fn gap(&self, trouble: &LossRecord) -> Option<Noted> {
        let (until, clock) = (trouble.until?, &self.clock);
        let (now, wall) = (clock.boot(), clock.wall());
        let date = |at| {
            let ago = i64::try_from(now.since(at).as_nanos()).unwrap_or(i64::MAX);
            wall.offset_nanos(ago.saturating_neg())
        };
        Some(Noted::Gap {
            stream: trouble.stream.clone(),
            from: date(trouble.from),
            until: date(until),
            cause: trouble.cause,
            text: trouble.text.clone(),
        })
    }
}
