//! A range of the recording as one MP4 generated on the fly: faststart, with its exact length known
//! before its first byte, readable at any offset.
//!
//! Owns: which fragments and samples belong to it, its tables, and the reading of its bytes out
//! of the ring while it is sent. Does not own: HTTP, ranges of requests, archives around it.
//!
//! # Using it
//!
//! [`Exports::plan`] walks the range once, by the `moof`s alone, and gives a [`ExportPlan`]: its
//! [`len`](ExportPlan::len) and [`tag`](ExportPlan::tag) are known then, and nothing was read of the media.
//! [`Exports::read`] gives any range of its bytes as a [`ExportReader`], which
//! [`next`](ExportReader::next) turns into chunks. A plan can be read any number of times and
//! gives the same bytes each time, or an error: footage that was given away meanwhile, or that
//! does not match its seal, ends the reading. What became durable after the plan is not in it.
//!
//! ```ignore
//! let exports = Exports::new(dvr.clone());
//! let plan = exports.plan(&ExportRequest::new(stream, start, end)).await?;
//! let mut reading = exports.read(&plan, 0..plan.len())?;
//! while let Some(chunk) = reading.next().await? { archive.write_all(&chunk)?; }
//! ```
//!
//! # Invariants
//!
//! 1. Decoding begins at the key frame before the start; an edit list hides everything before the
//!    start, with the media time of the picture on show at the start.
//! 2. Time in the file is wall time: the last sample before a gap lasts until the gap ends, so
//!    that no player has to understand more than one edit. A gap of more than six hours, longer
//!    than a sample can safely be, lasts six hours. Where the clock was set back, the
//!    dates of both sides overlap and the file plays both.
//! 3. Samples are byte-exact and in order; nothing after the end is in the file.
//! 4. All bytes of media were checked against the seal of their lap in the moment in which they
//!    were read.
//! 5. Sound and text begin with what is on show at the start: neither needs anything before it.
//! 6. Memory does not grow with the range but for a few hundred bytes per slot: tables of more
//!    than [`EXPORT_TABLE_BYTES_MAX`](crate::base::limits::EXPORT_TABLE_BYTES_MAX) are written
//!    again from the ring as they are sent, one table after the other.

mod fragment_walk;
mod plan;
mod planner;
mod reader;
mod timeline;
mod tracks;

use std::ops::Range;
use std::sync::Arc;

use jiff::tz::TimeZone;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use plan::ExportPlan;
use planner::ExportPlanner;
pub use reader::ExportReader;

use crate::base::limits::{
    DISK_READ_WAIT_MAX, EXPORT_ENTRIES_MAX, EXPORT_TABLE_BYTES_MAX, EXPORTS_MAX,
};
use crate::base::name::StreamName;
use crate::base::time::WallTime;
use crate::dvr::{Dvr, DvrError};

/// How often a plan is begun when footage goes under it.
const PLAN_TRIES_MAX: u32 = 3;

/// What of the last picture must lie before the end for it to be in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastPicture {
    /// Its beginning: everything that is on show before the end is there.
    Begun,
    /// All of it.
    Whole,
}

/// The range to export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportRequest {
    /// The stream.
    pub stream: StreamName,
    /// From when: the picture on show then is the first.
    pub start: WallTime,
    /// Until when. What is not durable yet is not waited for.
    pub end: WallTime,
    /// What of the last picture must lie before `end`.
    pub last: LastPicture,
    /// Whether `end` moves with the start, when that moves to the beginning of a picture, so that
    /// the length stays.
    pub keeps_length: bool,
}

impl ExportRequest {
    /// All that is on show from `start` until `end`.
    #[must_use]
    pub fn new(stream: StreamName, start: WallTime, end: WallTime) -> Self {
        Self { stream, start, end, last: LastPicture::Begun, keeps_length: false }
    }
}

/// Why there is no file, or no more of it.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The range holds no picture.
    #[error("nothing is recorded in this range")]
    NothingThere {
        /// From when to when anything is recorded of the stream.
        extent: Option<(WallTime, WallTime)>,
    },
    /// As many are read or planned as may.
    #[error(
        "{EXPORTS_MAX} downloads of recordings are running, which is the limit; try again later"
    )]
    TooMany,
    /// The tables would not fit into the format.
    #[error("the range is too long for one MP4 file; ask for it in parts")]
    TooLong,
    /// More sample entries than anybody expects.
    #[error(
        "the parameters of the stream change more than {EXPORT_ENTRIES_MAX} times in this range; \
         ask for it in parts"
    )]
    TooManyChanges,
    /// A fragment makes no sense.
    #[error("the recording cannot be read")]
    Unreadable,
    /// The ring does not hold any more what was planned.
    #[error("the recording changed while it was read")]
    Changed,
    /// The disk, or the ring.
    #[error(transparent)]
    Dvr(#[from] DvrError),
}

/// The way to films. Clones share the number of places.
#[derive(Clone, Debug)]
pub struct Exports {
    dvr: Dvr,
    places: Arc<Semaphore>,
    zone: TimeZone,
    table_bytes_max: usize,
}

impl Exports {
    /// Out of the ring of `dvr`, with times in the zone of this machine.
    #[must_use]
    pub fn new(dvr: Dvr) -> Self {
        let places = Arc::new(Semaphore::new(EXPORTS_MAX));
        let zone = TimeZone::try_system().unwrap_or(TimeZone::UTC);
        Self { dvr, places, zone, table_bytes_max: EXPORT_TABLE_BYTES_MAX }
    }

    /// As before, but a plan keeps only so many bytes of its tables in memory.
    #[must_use]
    pub fn with_table_bytes_max(self, table_bytes_max: usize) -> Self {
        Self { table_bytes_max, ..self }
    }

    /// The zone in which films tell the time.
    #[must_use]
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    fn place(&self) -> Result<OwnedSemaphorePermit, ExportError> {
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| ExportError::TooMany)
    }

    /// Plans the file. Dropping the future ends the work after the step it is at.
    pub async fn plan(&self, request: &ExportRequest) -> Result<Arc<ExportPlan>, ExportError> {
        let place = Arc::new(self.place()?);
        let mut tries = 1;
        loop {
            match self.planned(request, &place).await {
                // The oldest footage went meanwhile, or some was found damaged: that is known now.
                Err(ExportError::Dvr(error)) if error.is_gone() && tries < PLAN_TRIES_MAX => {
                    tries += 1;
                }
                planned => return planned.map(Arc::new),
            }
        }
    }

    async fn planned(
        &self,
        request: &ExportRequest,
        place: &Arc<OwnedSemaphorePermit>,
    ) -> Result<ExportPlan, ExportError> {
        let mut planner = self.planner(request, place).await?;
        loop {
            let (back, done) = blocking(place, move || {
                let done = planner.step()?;
                Ok((planner, done))
            })
            .await?;
            planner = back;
            if done {
                return planner.plan();
            }
        }
    }

    async fn planner(
        &self,
        request: &ExportRequest,
        place: &Arc<OwnedSemaphorePermit>,
    ) -> Result<Box<ExportPlanner>, ExportError> {
        let cursor = self.dvr.recording_cursor(&request.stream)?;
        let (request, zone, keep) = (request.clone(), self.zone.clone(), self.table_bytes_max);
        blocking(place, move || ExportPlanner::begin(cursor, request, zone, keep).map(Box::new))
            .await
    }

    /// The date of the first picture that a plan of `request` shows.
    pub async fn first_picture(&self, request: &ExportRequest) -> Result<WallTime, ExportError> {
        let place = Arc::new(self.place()?);
        Ok(self.planner(request, &place).await?.starts())
    }

    /// Reads `range` of the bytes of `plan`. Its slots are leased meanwhile.
    pub fn read(
        &self,
        plan: &Arc<ExportPlan>,
        range: Range<u64>,
    ) -> Result<ExportReader, ExportError> {
        let place = Arc::new(self.place()?);
        let cursor = self.dvr.recording_cursor(plan.stream())?;
        Ok(ExportReader::new(Arc::clone(plan), cursor, range, place))
    }
}

/// Does `work`, which blocks on the disk, on a thread of its own. The work holds a permit, so that
/// a disk that hangs blocks a bounded number of threads.
async fn blocking<T: Send + 'static>(
    place: &Arc<OwnedSemaphorePermit>,
    work: impl FnOnce() -> Result<T, ExportError> + Send + 'static,
) -> Result<T, ExportError> {
    let stalled = || DvrError::Stalled { secs: DISK_READ_WAIT_MAX.as_secs() };
    let place = Arc::clone(place);
    let done = tokio::task::spawn_blocking(move || {
        let done = work();
        drop(place);
        done
    });
    // A thread that panicked took what it worked on with it.
    let done = tokio::time::timeout(DISK_READ_WAIT_MAX, done).await.map_err(|_| stalled())?;
    done.map_err(|_| ExportError::Unreadable)?
}
