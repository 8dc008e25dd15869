//! Sheets of small pictures for scrubbing: one tile for every ten seconds of footage.
//!
//! Owns: the sheets in memory, [`SPRITE_CACHE_BYTES_MAX`] of them over all streams, and the task
//! that makes them. A sheet is made on request, at idle priority, one at a time, and shows exactly
//! the footage that the ring holds at that moment: what leaves the ring leaves its sheet.

mod ahead;
mod plan;

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedMutexGuard, Semaphore};
use tracing::debug;

pub use plan::{SHEET, SHEET_SECS, SheetStart, TILE, TILES};

use super::pictures::{PastError, key_frame};
use crate::base::cache::Cache;
use crate::base::fault::chain;
use crate::base::limits::{PAST_PICTURE_SLACK, SPRITE_CACHE_BYTES_MAX, SPRITE_WAIT_MAX};
use crate::base::name::StreamName;
use crate::base::time::{SharedClock, WallTime};
use crate::dvr::{Dvr, KeyFrameAt, KeyFrameLookup};
use crate::encode::still::{
    ChildError, Form, StillDecoder, StillError, jpeg_of_rgb, keepsake_of_rgb, rgb_of_jpeg,
};
use crate::wire::webvtt::{self, Cue};

/// The sprites of all recorded streams. Clones are handles to the same.
#[derive(Clone, Debug)]
pub struct Sprites {
    dvr: Dvr,
    clock: SharedClock,
    decoder: StillDecoder,
    sheets: Cache<(StreamName, SheetStart), Work>,
    turns: Arc<Semaphore>,
}

/// A sheet as returned.
#[derive(Clone, Debug)]
pub struct Sheet {
    /// A JPEG file of [`SHEET`] pixels.
    pub jpeg: Bytes,
    /// It will not change as long as its footage exists.
    pub finished: bool,
}

/// A sheet in the making, or made.
#[derive(Debug)]
struct Work {
    /// What the tiles show that are drawn.
    drawn: plan::Moments,
    /// The pictures of those tiles as JPEG, a tenth of their pixels; none when no tile will come any more.
    tiles: Vec<(usize, Bytes)>,
    jpeg: Option<Bytes>,
}

impl Default for Work {
    fn default() -> Self {
        Self { drawn: [None; TILES], tiles: Vec::new(), jpeg: None }
    }
}

impl Work {
    fn bytes(&self) -> usize {
        let tiles = self.tiles.iter().map(|(_, jpeg)| jpeg).chain(&self.jpeg);
        tiles.map(Bytes::len).sum()
    }

    /// Whether what it shows is part of what it should show, and it can continue from there.
    fn leads_to(&self, wanted: &plan::Moments) -> bool {
        let agrees =
            self.drawn.iter().zip(wanted).all(|(drawn, wanted)| drawn.is_none() || drawn == wanted);
        // Without its tiles nothing can be added.
        let complete = self.drawn == *wanted && self.jpeg.is_some();
        agrees && (complete || !self.tiles.is_empty())
    }

    fn draw(&mut self, tile: usize, moment: WallTime, picture: Bytes) {
        self.tiles.push((tile, picture));
        self.drawn[tile] = Some(moment);
        self.jpeg = None;
    }
}

/// RGB of a whole sheet.
fn canvas(tiles: &[(usize, Bytes)]) -> Vec<u8> {
    let (width, side) = (usize::from(SHEET.0), usize::from(TILE.0) * 3);
    let mut canvas = vec![0; width * usize::from(SHEET.1) * 3];
    for (tile, picture) in tiles {
        let (left, top) = plan::corner(*tile);
        let rgb = rgb_of_jpeg(picture).unwrap_or_default();
        for (row, pixels) in rgb.chunks_exact(side).take(usize::from(TILE.1)).enumerate() {
            let at = ((usize::from(top) + row) * width + usize::from(left)) * 3;
            canvas[at..at + side].copy_from_slice(pixels);
        }
    }
    canvas
}

/// Why there is no sheet.
#[derive(Debug, thiserror::Error)]
pub enum SpriteError {
    /// Nothing is recorded in its ten minutes, or not any more.
    #[error("nothing is recorded from {} to {}", sheet.start().to_rfc3339(), sheet.end().to_rfc3339())]
    NoFootage {
        /// Which sheet.
        sheet: SheetStart,
    },
    /// Others are made first. What is drawn of this one is kept.
    #[error("the sheet is still being made")]
    Busy,
    /// Not one tile could be drawn, for this reason.
    #[error(transparent)]
    Nothing(#[from] PastError),
}

impl Sprites {
    /// Sprites of what `dvr` holds.
    #[must_use]
    pub fn new(dvr: Dvr, clock: SharedClock, decoder: StillDecoder) -> Self {
        let (sheets, turns) = (Cache::new(SPRITE_CACHE_BYTES_MAX), Arc::new(Semaphore::new(1)));
        Self { dvr, clock, decoder, sheets, turns }
    }

    /// The map of the tiles between two dates, whose times count from the first; gaps have none.
    #[must_use]
    pub fn map(&self, stream: &StreamName, from: WallTime, until: WallTime) -> String {
        let runs = self.dvr.listing(stream).runs;
        let cues: Vec<Cue> = plan::cues(&runs, from, until);
        let note = format!("times count from {}; gaps have no cue", from.to_rfc3339());
        webvtt::file(&note, &cues)
    }

    /// A sheet; what of it is not there yet is made, which takes some seconds.
    ///
    /// Cancel safe: what is drawn stays, and the next request continues from there.
    pub async fn sheet(
        &self,
        stream: &StreamName,
        start: SheetStart,
    ) -> Result<Sheet, SpriteError> {
        let key = (stream.clone(), start);
        let made = tokio::time::timeout(SPRITE_WAIT_MAX, async {
            let work = self.sheets.take(&key).await;
            self.finish(&key, work).await
        });
        made.await.map_err(|_| SpriteError::Busy)?
    }

    async fn finish(
        &self,
        key: &(StreamName, SheetStart),
        mut work: OwnedMutexGuard<Work>,
    ) -> Result<Sheet, SpriteError> {
        let (stream, sheet) = key;
        let listing = self.dvr.listing(stream);
        let wanted = sheet.moments(&listing.runs);
        if wanted.iter().all(Option::is_none) {
            *work = Work::default();
            self.sheets.weigh(key, 0);
            return Err(SpriteError::NoFootage { sheet: *sheet });
        }
        if !work.leads_to(&wanted) {
            *work = Work::default();
        }
        if work.drawn != wanted {
            let turn = self.turns.acquire().await.map_err(|_| SpriteError::Busy)?;
            let failed = self.draw(key, &mut work, &wanted).await;
            drop(turn);
            if let Some(error) = failed.filter(|_| work.drawn == [None; TILES]) {
                *work = Work::default();
                self.sheets.weigh(key, 0);
                return Err(error.into());
            }
        }
        let jpeg = match &work.jpeg {
            Some(jpeg) => jpeg.clone(),
            None => render(&mut work).await?,
        };
        // What was recorded in its last second may still be on its way to the medium.
        let slack = i64::try_from(PAST_PICTURE_SLACK.as_nanos()).unwrap_or(i64::MAX);
        let over = self.clock.wall() > sheet.end().offset_nanos(slack);
        let finished = over && listing.complete && work.drawn == wanted;
        if finished {
            work.tiles = Vec::new();
        }
        self.sheets.weigh(key, work.bytes());
        Ok(Sheet { jpeg, finished })
    }

    /// Draws what is missing; the last reason why a tile stayed black.
    async fn draw(
        &self,
        key: &(StreamName, SheetStart),
        work: &mut Work,
        wanted: &plan::Moments,
    ) -> Option<PastError> {
        let (mut moments, mut failed) = (self.dvr.key_frame_lookup(&key.0), None);
        for (tile, moment) in wanted.iter().enumerate() {
            let Some(at) = moment.filter(|_| work.drawn[tile].is_none()) else { continue };
            match self.tile(&mut moments, at).await {
                Ok(picture) => work.draw(tile, at, picture),
                Err(error) => {
                    debug!(stream = %key.0, part = "sprite", error = chain(&error), "tile left black");
                    let hopeless = matches!(error, PastError::Decode(StillError::NoDecoder { .. }));
                    failed = Some(error);
                    if hopeless {
                        break;
                    }
                }
            }
        }
        self.sheets.weigh(key, work.bytes());
        failed
    }

    async fn tile(&self, moments: &mut KeyFrameLookup, at: WallTime) -> Result<Bytes, PastError> {
        let fragment = match moments.at(at).await.map_err(PastError::disk(at))? {
            KeyFrameAt::Key(fragment) => fragment,
            KeyFrameAt::Gap { before, next } => return Err(PastError::Gap { at, before, next }),
        };
        let (frame, _) = key_frame(&fragment, at)?;
        let (width, height) = TILE;
        let rgb = self.decoder.still(frame, Form::Tile { width, height }).await?.bytes;
        Ok(keepsake_of_rgb(&rgb, width, height).map_err(undecodable)?)
    }
}

/// Writes the sheet as JPEG, on a thread of its own.
async fn render(work: &mut Work) -> Result<Bytes, SpriteError> {
    // Handles to the same bytes.
    let tiles = work.tiles.clone();
    let drawn = tokio::task::spawn_blocking(move || jpeg_of_rgb(&canvas(&tiles), SHEET.0, SHEET.1));
    let jpeg = drawn.await.map_err(|_| SpriteError::Busy)?;
    let jpeg = jpeg.map_err(|error| PastError::Decode(undecodable(error)))?;
    work.jpeg = Some(jpeg.clone());
    Ok(jpeg)
}

fn undecodable(error: ChildError) -> StillError {
    StillError::Undecodable { words: chain(&error) }
}
