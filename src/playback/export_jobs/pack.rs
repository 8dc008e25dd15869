//! Carries one job out: reads the footage, writes the archive. Blocks; lives on its own thread.
//!
//! Owns: the order of the archive, and that whatever reads for it waits for others. What a
//! stream's file is, is the business of [`export`](crate::playback::export).

use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use super::archive::{Open, Written, ZipArchive};
use super::job::{Kept, Progress};
use super::manifest::{self, Clock, Contents, Device, Listed, Manifest, ManifestRange, Software};
use super::{JobsState, store};
use crate::base::device::{DeviceKey, hex};
use crate::base::limits::{
    EXPORT_JOB_MANIFEST_BYTES_MAX, EXPORT_JOB_TAIL_TIME_MAX, EXPORT_JOB_TRIES_MAX,
};
use crate::base::name::StreamName;
use crate::dvr::{Disk, Identity, RealDisk, yield_to_others};
use crate::playback::export::{ExportError, ExportPlan, ExportRequest, Exports};
use crate::wire::zip::Stamp;

/// Pause between two looks whether it was cancelled, and whether the end of the range is there.
const LOOK_PAUSE: Duration = Duration::from_millis(100);
/// Threads of a job that read: one reads, and one may hang.
const READ_THREADS_MAX: usize = 2;

/// Why a job ended without an archive.
#[derive(Debug, thiserror::Error)]
pub(super) enum PackError {
    /// It was asked to end.
    #[error("cancelled")]
    Cancelled,
    /// The footage cannot be read.
    #[error("{stream}: {source}")]
    Footage {
        /// Of which stream.
        stream: StreamName,
        /// Why not.
        source: ExportError,
    },
    /// The archive cannot be written.
    #[error("the export cannot be written: {0}")]
    Write(#[from] io::Error),
    /// What is left of the volume is for the recordings.
    #[error(
        "the volume has too little space left beside the recordings; delete older exports or other files"
    )]
    NoRoom,
    /// Nothing came.
    #[error("no picture is recorded between these times")]
    Nothing,
    /// So many gaps that a list of them would not be read.
    #[error("the range has too many gaps; export less at once")]
    TooMany,
}

/// A job and all that it needs.
pub(super) struct Packer {
    pub(super) shared: Arc<JobsState>,
    pub(super) kept: Kept,
    pub(super) progress: Arc<Progress>,
    pub(super) key: Arc<DeviceKey>,
    pub(super) target: PathBuf,
}

/// A stream and its file, unless it has nothing in the range.
type Planned<'a> = (&'a StreamName, Option<Arc<ExportPlan>>);

/// What was written so far.
struct Packing {
    archive: ZipArchive,
    files: Vec<Listed>,
    /// Bytes of footage.
    bytes: u64,
}

impl Packer {
    /// Writes the archive; returns its length when it is on the medium.
    pub(super) fn run(&self) -> Result<u64, PackError> {
        yield_to_others();
        // A runtime of its own, so that the threads that read for it yield as well.
        let runtime = Builder::new_current_thread()
            .enable_time()
            .max_blocking_threads(READ_THREADS_MAX)
            .on_thread_start(yield_to_others)
            .build()?;
        let packed = self.pack(&runtime);
        runtime.shutdown_background();
        packed
    }

    fn pack(&self, runtime: &Runtime) -> Result<u64, PackError> {
        let file = store::create(&self.target)?;
        let archive = ZipArchive::new(file, Stamp::at(self.kept.made));
        let mut packing = Packing { archive, files: Vec::new(), bytes: 0 };
        let exports = Exports::new(self.shared.dvr.clone());
        let mut planned: Vec<Planned<'_>> = Vec::new();
        for stream in &self.kept.request.streams {
            planned.push((stream, runtime.block_on(self.plan(&exports, stream))?));
        }
        let bytes = planned.iter().filter_map(|(_, plan)| plan.as_ref()).map(|plan| plan.len());
        self.progress.plan(bytes.sum());
        self.look_for_room()?;
        let mut streams = Vec::new();
        for (stream, plan) in planned {
            let plan = match plan {
                Some(plan) => {
                    Some(runtime.block_on(self.write(&exports, stream, plan, &mut packing))?)
                }
                None => None,
            };
            streams.push(self.contents(stream, plan.as_deref()));
        }
        if packing.files.is_empty() {
            return Err(PackError::Nothing);
        }
        self.seal(packing, streams)
    }

    /// The file of a stream. After a start it is waited for until all slots are read, so that no
    /// footage is taken for a gap; and for the end of a range that reaches to now until it is on
    /// the medium.
    async fn plan(
        &self,
        exports: &Exports,
        stream: &StreamName,
    ) -> Result<Option<Arc<ExportPlan>>, PackError> {
        let request = &self.kept.request;
        let is_there = || {
            let status = self.shared.dvr.status();
            let of_stream = status.streams.get(stream);
            of_stream.is_none_or(|of| of.durable_until.is_some_and(|until| until >= request.end))
        };
        let most = i64::try_from(EXPORT_JOB_TAIL_TIME_MAX.as_nanos()).unwrap_or(i64::MAX);
        while !self.shared.dvr.listing(stream).complete
            || self.shared.now() < request.end.offset_nanos(most) && !is_there()
        {
            self.unless_cancelled(tokio::time::sleep(LOOK_PAUSE)).await?;
        }
        let request = ExportRequest::new(stream.clone(), request.start, request.end);
        match self.unless_cancelled(exports.plan(&request)).await? {
            Ok(plan) => Ok(Some(plan)),
            Err(ExportError::NothingThere { .. }) => Ok(None),
            Err(source) => Err(PackError::Footage { stream: stream.clone(), source }),
        }
    }

    /// Writes the file of a stream; restarts it with what footage there is when some turns out to
    /// be damaged.
    async fn write(
        &self,
        exports: &Exports,
        stream: &StreamName,
        mut plan: Arc<ExportPlan>,
        packing: &mut Packing,
    ) -> Result<Arc<ExportPlan>, PackError> {
        let mut tries = 1;
        loop {
            let mut open = packing.archive.begin(&format!("{stream}.mp4"), plan.len())?;
            match self.copy(exports, &plan, &mut open, packing).await {
                Ok(()) => {
                    let written: Written = packing.archive.end(open)?;
                    packing.bytes += written.bytes;
                    packing.files.push(written.into());
                    return Ok(plan);
                }
                Err(PackError::Footage { source: ExportError::Dvr(error), .. })
                    if error.is_gone() && tries < EXPORT_JOB_TRIES_MAX =>
                {
                    packing.archive.abandon(open)?;
                    tries += 1;
                    plan = self.plan(exports, stream).await?.ok_or(PackError::Nothing)?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn copy(
        &self,
        exports: &Exports,
        plan: &Arc<ExportPlan>,
        open: &mut Open,
        packing: &mut Packing,
    ) -> Result<(), PackError> {
        let failed = |source| PackError::Footage { stream: plan.stream().clone(), source };
        let mut reading = exports.read(plan, 0..plan.len()).map_err(failed)?;
        let mut bytes = packing.bytes;
        while let Some(chunk) = self.unless_cancelled(reading.next()).await?.map_err(failed)? {
            let due = packing.archive.write(open, &chunk)?;
            bytes += chunk.len() as u64;
            self.progress.reach(bytes);
            if due {
                packing.archive.sync()?;
                self.look_for_room()?;
            }
        }
        Ok(())
    }

    /// The result of `work`, unless the job is to end.
    async fn unless_cancelled<T>(&self, work: impl Future<Output = T>) -> Result<T, PackError> {
        let cancelled = async {
            while !self.progress.is_cancelled() {
                tokio::time::sleep(LOOK_PAUSE).await;
            }
        };
        tokio::select! {
            biased;
            () = cancelled => Err(PackError::Cancelled),
            done = work => Ok(done),
        }
    }

    /// Whether enough room stays for the recordings.
    fn look_for_room(&self) -> Result<(), PackError> {
        let volume = RealDisk.volume(&self.shared.data_dir)?;
        let left = self.progress.left_bytes();
        if self.shared.room(volume).is_short(left) { Err(PackError::NoRoom) } else { Ok(()) }
    }

    fn contents(&self, stream: &StreamName, plan: Option<&ExportPlan>) -> Contents {
        let (start, end) = (self.kept.request.start, self.kept.request.end);
        let listing = self.shared.dvr.listing(stream).between(start, end);
        Contents {
            stream: stream.clone(),
            file: plan.map(|_| format!("{stream}.mp4")),
            start: plan.map(ExportPlan::start),
            end: plan.map(ExportPlan::end),
            boots: self.boots(stream).iter().map(|boot| hex(boot)).collect(),
            gaps: manifest::gaps(&listing, start, end),
            seams: listing.seams,
        }
    }

    fn boots(&self, stream: &StreamName) -> Vec<Identity> {
        self.shared.dvr.boots(stream, self.kept.request.start, self.kept.request.end)
    }

    /// Writes everything but footage, and signs.
    fn seal(&self, mut packing: Packing, streams: Vec<Contents>) -> Result<u64, PackError> {
        let public = self.key.public();
        for (name, text) in
            [(manifest::HOW_TO, manifest::HOW_TO_TEXT), (manifest::PUBLIC_KEY, &public.to_pem())]
        {
            packing.files.push(packing.archive.add(name, text.as_bytes())?.into());
        }
        let Packing { mut archive, files, .. } = packing;
        let request = &self.kept.request;
        let boots: BTreeSet<_> =
            request.streams.iter().flat_map(|stream| self.boots(stream)).collect();
        let facts = self.shared.dvr.facts();
        let rows = facts.clock.rows().filter(|row| boots.contains(&row.boot));
        let manifest = Manifest {
            format: manifest::FORMAT,
            id: self.kept.id.clone(),
            made: self.kept.made,
            note: request.note.clone(),
            software: Software { program: "holdfast", version: env!("CARGO_PKG_VERSION") },
            device: Device::new(&public),
            range: ManifestRange {
                start: request.start.to_rfc3339(),
                end: request.end.to_rfc3339(),
            },
            clock: Clock::new(self.shared.clock.quality(), rows),
            streams,
            files,
        };
        let mut text = serde_json::to_vec_pretty(&manifest).map_err(io::Error::from)?;
        text.push(b'\n');
        if text.len() as u64 > EXPORT_JOB_MANIFEST_BYTES_MAX {
            return Err(PackError::TooMany);
        }
        archive.add(manifest::MANIFEST, &text)?;
        archive.add(manifest::SIGNATURE, &self.key.sign(&text))?;
        Ok(archive.finish()?)
    }
}
