//! Reads the bytes of a plan out of the ring while they are sent.
//!
//! Owns: its place in the file, and one read ahead. A reading that is dropped ends after the read
//! it is at.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::Stream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::ExportError;
use super::fragment_walk::FragmentWalk;
use super::plan::{ExportPlan, FrontPart};
use super::timeline::PieceSource;
use crate::base::limits::{DISK_READ_WAIT_MAX, EXPORT_READ_BYTES, EXPORT_STEP_FRAGMENTS};
use crate::dvr::{Depth, DvrError, Leases, RecordingCursor};
use crate::wire::mp4::{Table, TableWriter};

type Batch = Result<Vec<Bytes>, ExportError>;

/// A range of a plan's bytes while it is read.
#[derive(Debug)]
pub struct ExportReader {
    reader: Option<Box<ExportFileReader>>,
    ahead: Option<JoinHandle<(Box<ExportFileReader>, Batch)>>,
    /// Read, and not given yet, the last one first.
    ready: Vec<Bytes>,
    place: Arc<OwnedSemaphorePermit>,
}

impl ExportReader {
    pub(super) fn new(
        plan: Arc<ExportPlan>,
        cursor: RecordingCursor,
        range: Range<u64>,
        place: Arc<OwnedSemaphorePermit>,
    ) -> Self {
        let leases = cursor.lease(plan.marks.iter().map(|mark| mark.place));
        let until = range.end.min(plan.len());
        let (cursor, at) = (Some(cursor), range.start);
        let reader =
            ExportFileReader { plan, cursor, at, until, doing: Doing::Nothing, _leases: leases };
        Self { reader: Some(Box::new(reader)), ahead: None, ready: Vec::new(), place }
    }

    /// The next bytes; `None` behind the last. An error is the end. Cancel safe.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ExportError> {
        loop {
            if let Some(bytes) = self.ready.pop() {
                return Ok(Some(bytes));
            }
            self.read_ahead();
            let Some(ahead) = &mut self.ahead else { return Ok(None) };
            let Ok(done) = timeout(DISK_READ_WAIT_MAX, ahead).await else {
                self.ahead = None;
                return Err(DvrError::Stalled { secs: DISK_READ_WAIT_MAX.as_secs() }.into());
            };
            self.ahead = None;
            // A thread that panicked took the reader with it.
            let (reader, batch) = done.map_err(|_| ExportError::Unreadable)?;
            self.ready = batch?;
            self.ready.reverse();
            if reader.at < reader.until {
                self.reader = Some(reader);
                self.read_ahead();
            }
        }
    }

    /// The same as a stream that an error ends.
    pub fn stream(self) -> impl Stream<Item = Result<Bytes, ExportError>> {
        futures::stream::try_unfold(self, |mut reading| async move {
            Ok(reading.next().await?.map(|bytes| (bytes, reading)))
        })
    }

    fn read_ahead(&mut self) {
        if self.ahead.is_some() {
            return;
        }
        let Some(mut reader) = self.reader.take() else { return };
        let place = Arc::clone(&self.place);
        self.ahead = Some(tokio::task::spawn_blocking(move || {
            let batch = reader.read();
            drop(place);
            (reader, batch)
        }));
    }
}

/// Where in the file it reads. Blocks on the disk.
#[derive(Debug)]
struct ExportFileReader {
    plan: Arc<ExportPlan>,
    /// Here while nothing walks.
    cursor: Option<RecordingCursor>,
    at: u64,
    until: u64,
    doing: Doing,
    _leases: Leases,
}

/// What walks over the ring at the moment.
#[derive(Debug)]
enum Doing {
    Nothing,
    /// Writes the table that is part of this index of the front; so many of its bytes have
    /// passed.
    Table {
        part: usize,
        walk: FragmentWalk,
        writer: TableWriter,
        passed: u64,
        finished: bool,
    },
    /// Reads media; the next fragment begins here in the file.
    Media {
        walk: FragmentWalk,
        at: u64,
    },
}

impl ExportFileReader {
    /// The next bytes, as many as are read at once. None when the way to them is long: then it
    /// continues when it is called again.
    fn read(&mut self) -> Batch {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while self.at < self.until && bytes < EXPORT_READ_BYTES {
            let plan = Arc::clone(&self.plan);
            let pieces = if self.at < plan.front_bytes {
                vec![self.front(&plan)?]
            } else {
                self.media(&plan)?
            };
            let before = bytes;
            for piece in pieces {
                let left = usize::try_from(self.until - self.at).unwrap_or(usize::MAX);
                let piece = piece.slice(..piece.len().min(left));
                self.at += piece.len() as u64;
                bytes += piece.len();
                if !piece.is_empty() {
                    batch.push(piece);
                }
            }
            if bytes == before {
                break;
            }
        }
        Ok(batch)
    }

    fn cursor(&mut self) -> Result<RecordingCursor, ExportError> {
        let walk = match std::mem::replace(&mut self.doing, Doing::Nothing) {
            Doing::Nothing => None,
            Doing::Table { walk, .. } | Doing::Media { walk, .. } => Some(walk.cursor),
        };
        walk.or_else(|| self.cursor.take()).ok_or(ExportError::Changed)
    }

    /// Bytes of the front from this position.
    fn front(&mut self, plan: &ExportPlan) -> Result<Bytes, ExportError> {
        let mut begins = 0;
        for (index, part) in plan.front.iter().enumerate() {
            let within = self.at - begins;
            if within < part.bytes() {
                return match part {
                    FrontPart::Bytes(bytes) => {
                        Ok(bytes.slice(usize::try_from(within).unwrap_or(bytes.len())..))
                    }
                    FrontPart::Rows(track, table, bytes) => {
                        self.rows(plan, index, (*track, *table), within, *bytes)
                    }
                };
            }
            begins += part.bytes();
        }
        Err(ExportError::Changed)
    }

    /// Bytes of a table from `within` on, out of another walk over all of the range.
    fn rows(
        &mut self,
        plan: &ExportPlan,
        index: usize,
        (track, table): (usize, Table),
        within: u64,
        length: u64,
    ) -> Result<Bytes, ExportError> {
        let goes_on = matches!(&self.doing, Doing::Table { part, passed, .. }
            if *part == index && *passed <= within);
        if !goes_on {
            let walk =
                FragmentWalk::again(self.cursor()?, &plan.marks, plan.last, plan.tracks.clone());
            let writer = TableWriter::new(table, plan.front_bytes);
            self.doing = Doing::Table { part: index, walk, writer, passed: 0, finished: false };
        }
        let Doing::Table { walk, writer, passed, finished, .. } = &mut self.doing else {
            return Err(ExportError::Changed);
        };
        if !*finished {
            for _ in 0..EXPORT_STEP_FRAGMENTS {
                let mut at = walk.media_at;
                let Some((_, fragment)) = walk.next(Depth::Head, &plan.range)? else {
                    writer.finish();
                    *finished = true;
                    break;
                };
                for piece in &fragment.pieces {
                    if piece.track == track {
                        writer.push(&piece.chunk(at));
                    }
                    at += piece.bytes();
                }
            }
        }
        let rows = Bytes::from(writer.take());
        let from = usize::try_from(within - *passed).unwrap_or(usize::MAX);
        *passed += rows.len() as u64;
        let is_short = *finished && *passed < length;
        if *passed > length || is_short {
            return Err(ExportError::Changed);
        }
        Ok(rows.slice(from.min(rows.len())..))
    }

    /// Bytes of the media from this position up to the end of a fragment.
    fn media(&mut self, plan: &ExportPlan) -> Result<Vec<Bytes>, ExportError> {
        let media_at = self.at - plan.front_bytes;
        if !matches!(&self.doing, Doing::Media { at, .. } if *at <= media_at) {
            let cursor = self.cursor()?;
            let marks = &plan.marks[plan.mark_before(media_at)..];
            let walk = FragmentWalk::again(cursor, marks, plan.last, plan.tracks.clone());
            self.doing = Doing::Media { at: walk.media_at, walk };
        }
        let Doing::Media { walk, at } = &mut self.doing else { return Err(ExportError::Changed) };
        loop {
            let begins = *at;
            // Up to where reading begins only the lengths count.
            let depth = if begins == media_at { Depth::Media } else { Depth::Head };
            let Some((mut head, fragment)) = walk.next(depth, &plan.range)? else {
                return Err(ExportError::Changed);
            };
            *at = walk.media_at;
            if *at <= media_at {
                continue;
            }
            if depth == Depth::Head {
                head.bytes = walk.cursor.media(&head)?;
            }
            if plan.media_bytes < *at {
                return Err(ExportError::Changed);
            }
            let mut skip = usize::try_from(media_at - begins).unwrap_or(usize::MAX);
            let mut pieces = Vec::with_capacity(fragment.pieces.len());
            for piece in fragment.pieces {
                let bytes = match piece.source {
                    PieceSource::Text(text) => Bytes::from(text),
                    PieceSource::Media(from, length) => {
                        let from = from as usize;
                        let until = from + usize::try_from(length).unwrap_or(usize::MAX);
                        head.bytes.slice(from..until)
                    }
                };
                let range = skip.min(bytes.len());
                skip -= range;
                pieces.push(bytes.slice(range..));
            }
            return Ok(pieces);
        }
    }
}
