//! Reads the ring ahead of a player, off the threads that must not wait.
//!
//! Owns: the cursor, which is away while a thread reads. At most one thread reads for one player,
//! and players are counted: that bounds the threads a disk that hangs can hold.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::base::time::WallTime;
use crate::dvr::{Direction, DvrError, FragmentRead, RecordingCursor};

/// Pause before the end of the recording is checked again.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// What came off the prefetcher.
#[derive(Debug)]
pub(super) enum Prefetched {
    /// A fragment, or backwards a group of pictures.
    Fragments(Vec<FragmentRead>),
    /// Nothing where playing was to begin; what there is, if anything.
    Nowhere(Option<(WallTime, WallTime)>),
    /// Nothing more, for now.
    End,
}

type ReadResult = (RecordingCursor, Result<Prefetched, DvrError>);

/// A cursor with one reading ahead.
#[derive(Debug)]
pub(super) struct Prefetcher {
    cursor: Option<RecordingCursor>,
    reading: Option<JoinHandle<ReadResult>>,
    /// Where it is to begin, until it has.
    begin: Option<WallTime>,
    way: Direction,
    keys: bool,
    look_at: Option<Instant>,
    place: Arc<OwnedSemaphorePermit>,
}

impl Prefetcher {
    /// Reads from `begin` on; with `keys` only fragments with key frames.
    pub(super) fn new(
        cursor: RecordingCursor,
        begin: WallTime,
        way: Direction,
        keys: bool,
        place: Arc<OwnedSemaphorePermit>,
    ) -> Self {
        let (cursor, begin) = (Some(cursor), Some(begin));
        Self { cursor, reading: None, begin, way, keys, look_at: None, place }
    }

    /// Lets it read only fragments with key frames, or all.
    pub(super) fn keys(&mut self, keys: bool) {
        self.keys = keys;
    }

    /// Lets it begin somewhere else.
    pub(super) fn restart(&mut self, begin: WallTime) {
        (self.begin, self.look_at) = (Some(begin), None);
    }

    /// Starts reading what comes next if nothing is being read and nothing has to be waited for.
    pub(super) fn read_ahead(&mut self) {
        if self.look_at.is_some() {
            return;
        }
        let Some(mut cursor) = self.cursor.take() else { return };
        let (begin, way, keys) = (self.begin, self.way, self.keys);
        let place = Arc::clone(&self.place);
        self.reading = Some(tokio::task::spawn_blocking(move || {
            let read = wind(&mut cursor, begin, way, keys);
            drop(place);
            (cursor, read)
        }));
    }

    /// What comes next. Cancel safe.
    pub(super) async fn next(&mut self) -> Result<Prefetched, DvrError> {
        if let Some(at) = self.look_at {
            sleep_until(at).await;
            self.look_at = None;
        }
        self.read_ahead();
        let Some(reading) = &mut self.reading else { return Ok(Prefetched::End) };
        let answer = reading.await;
        self.reading = None;
        // A reader that panicked took the cursor with it.
        let Ok((cursor, read)) = answer else { return Ok(Prefetched::End) };
        self.cursor = Some(cursor);
        if !matches!(read, Ok(Prefetched::Nowhere(_))) {
            self.begin = None;
        }
        if !matches!(read, Ok(Prefetched::Fragments(_))) {
            self.look_at = Some(Instant::now() + LOOK_PAUSE);
        }
        read
    }
}

fn wind(
    cursor: &mut RecordingCursor,
    begin: Option<WallTime>,
    way: Direction,
    keys: bool,
) -> Result<Prefetched, DvrError> {
    if let Some(begin) = begin
        && !cursor.seek(begin, way)?
    {
        return Ok(Prefetched::Nowhere(cursor.extent()));
    }
    let fragments = match way {
        Direction::Forward => cursor.forward(keys)?.map(|fragment| vec![fragment]),
        Direction::Backward => cursor.backward(keys)?,
    };
    Ok(fragments.map_or(Prefetched::End, Prefetched::Fragments))
}
