//! Draws the tiles of sheets while their footage is recorded, so that a sheet is there at once when
//! someone asks for it.
//!
//! Owns: when that happens and for which streams. A minute of footage is six key frames of each
//! stream, decoded at idle priority; the decoder child ends in between.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{SheetStart, Sprites, plan};
use crate::base::limits::SPRITE_CACHE_BYTES_MAX;
use crate::base::name::StreamName;
use crate::base::time::WallTime;
use crate::dvr::RecordingState;
use crate::encode::still::StillError;
use crate::playback::pictures::PastError;

/// Between two rounds; the first comes when the start of the box is over.
const PAUSE: Duration = Duration::from_secs(60);
/// Streams that are drawn ahead, the first by name: a sheet that grows and a finished one of each
/// take at most half of the cache.
const STREAMS_MAX: usize = SPRITE_CACHE_BYTES_MAX / (2 << 20);

impl Sprites {
    /// Draws ahead until it is dropped.
    pub async fn draw_ahead(self) {
        // Streams of which no decoder here draws pictures, and the sheet that was tried.
        let mut undrawable: BTreeMap<StreamName, SheetStart> = BTreeMap::new();
        loop {
            tokio::time::sleep(PAUSE).await;
            let now = self.clock.wall();
            let streams = self.dvr.status().streams.into_iter();
            let recorded = streams.filter(|(_, one)| one.state == RecordingState::Recording);
            for (stream, _) in recorded.take(STREAMS_MAX) {
                let sheet = SheetStart::holding(now);
                if undrawable.get(&stream) == Some(&sheet) {
                    continue;
                }
                if self.draw_until(&stream, now).await.is_err() {
                    undrawable.insert(stream, sheet);
                }
            }
        }
    }

    /// Draws what is recorded of the sheet that shows `now`, and finishes the one before. An error
    /// means that no picture of the stream can be drawn.
    pub async fn draw_until(&self, stream: &StreamName, now: WallTime) -> Result<(), PastError> {
        let sheet = SheetStart::holding(now);
        let before = (stream.clone(), SheetStart::holding(sheet.start().offset_nanos(-1)));
        let work = self.sheets.take(&before).await;
        // One without footage is none; what else is wrong shows with the next sheet.
        let _ = self.finish(&before, work).await;
        let key = (stream.clone(), sheet);
        let mut work = self.sheets.take(&key).await;
        let wanted: plan::Moments = sheet.moments(&self.dvr.listing(stream).runs);
        if !work.leads_to(&wanted) {
            *work = super::Work::default();
        }
        if work.drawn == wanted {
            return Ok(());
        }
        let Ok(_turn) = self.turns.acquire().await else { return Ok(()) };
        match self.draw(&key, &mut work, &wanted).await {
            Some(error @ PastError::Decode(StillError::NoDecoder { .. })) => Err(error),
            _ => Ok(()),
        }
    }
}
