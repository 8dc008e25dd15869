//! Carries one job out: reads the footage, writes the archive. Blocks; lives on its own thread.
//!
//! Owns: which file a fragment goes to. Fragments are copied as they are, byte by byte; a file
//! ends where the footage does, and where the parameters change.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::archive::{Archive, Open, Written};
use super::job::{Kept, Progress};
use super::manifest::{self, Clock, Contents, Device, Listed, Manifest, Part, Range, Software};
use super::{Shared, store};
use crate::base::device::{DeviceKey, hex};
use crate::base::limits::{
    EXPORT_JOB_FILES_MAX, EXPORT_JOB_MANIFEST_BYTES_MAX, EXPORT_JOB_TAIL_TIME_MAX,
};
use crate::base::name::StreamName;
use crate::dvr::{Clip, Disk, DvrError, RealDisk, Tape, Way, yield_to_others};
use crate::wire::zip::Stamp;

/// Pause between two looks for the end of a range that reaches to now.
const TAIL_LOOK_PAUSE: Duration = Duration::from_millis(100);

/// Why a job ended without an archive.
#[derive(Debug, thiserror::Error)]
pub(super) enum PackError {
    /// It was told to end.
    #[error("cancelled")]
    Cancelled,
    /// The footage cannot be read.
    #[error(transparent)]
    Footage(#[from] DvrError),
    /// The archive cannot be written.
    #[error("the export cannot be written: {0}")]
    Write(#[from] io::Error),
    /// What is left of the volume is for the recordings.
    #[error(
        "the volume has too little room left beside the recordings; delete older exports or \
         other files"
    )]
    NoRoom,
    /// Nothing came.
    #[error("nothing that plays is recorded between these times")]
    Nothing,
    /// Too many stretches.
    #[error("the range has more than {EXPORT_JOB_FILES_MAX} stretches; export less at once")]
    TooMany,
}

/// A job and all that it needs.
pub(super) struct Packer {
    pub(super) shared: Arc<Shared>,
    pub(super) kept: Kept,
    pub(super) progress: Arc<Progress>,
    pub(super) key: Arc<DeviceKey>,
    pub(super) target: PathBuf,
}

/// What was written so far.
struct Packing {
    archive: Archive,
    files: Vec<Listed>,
    boots: BTreeSet<[u8; 16]>,
}

/// A file that is being written, and the `ftyp` and `moov` that its fragments need.
struct Current {
    open: Open,
    part: Part,
    init: bytes::Bytes,
}

impl Packer {
    /// Writes the archive; returns its length when it is on the medium.
    pub(super) fn run(&self) -> Result<u64, PackError> {
        yield_to_others();
        let file = store::create(&self.target)?;
        let archive = Archive::new(file, Stamp::at(self.kept.made));
        let mut packing = Packing { archive, files: Vec::new(), boots: BTreeSet::new() };
        let mut streams = Vec::new();
        for stream in &self.kept.wish.streams {
            let parts = self.pack_stream(stream, &mut packing)?;
            let (start, end) = (self.kept.wish.start, self.kept.wish.end);
            let listing = self.shared.dvr.listing(stream).between(start, end);
            let gaps = manifest::gaps(&listing, start, end);
            streams.push(Contents { stream: stream.clone(), parts, gaps, seams: listing.seams });
        }
        if packing.files.is_empty() {
            return Err(PackError::Nothing);
        }
        self.seal(packing, streams)
    }

    fn pack_stream(
        &self,
        stream: &StreamName,
        packing: &mut Packing,
    ) -> Result<Vec<Part>, PackError> {
        let mut tape = self.shared.dvr.tape(stream)?;
        let mut parts = Vec::new();
        let mut current: Option<Current> = None;
        if !tape.seek(self.kept.wish.start, Way::Forward)? {
            return Ok(parts);
        }
        while let Some(clip) = self.next(&mut tape)? {
            let goes_on = current.as_ref().is_some_and(|it| !clip.seam && it.init == clip.init);
            if !goes_on {
                packing.end(&mut parts, current.take())?;
                if !clip.entry.starts_with_key {
                    continue;
                }
                current = Some(self.begin(stream, parts.len() + 1, &clip, packing)?);
            }
            if let Some(current) = &mut current {
                self.take(current, &clip, packing)?;
            }
        }
        packing.end(&mut parts, current)?;
        Ok(parts)
    }

    /// The next fragment of the range. The last of a range that reaches to now are waited for
    /// until they are on the medium.
    fn next(&self, tape: &mut Tape) -> Result<Option<Clip>, PackError> {
        let end = self.kept.wish.end;
        let begun = self.shared.clock.boot();
        loop {
            if self.progress.is_cancelled() {
                return Err(PackError::Cancelled);
            }
            if let Some(clip) = tape.forward(false)? {
                return Ok(Some(clip).filter(|clip| clip.start < end));
            }
            let waited = self.shared.clock.boot().since(begun);
            let age = self.shared.now().as_unix_millis() - end.as_unix_millis();
            let is_old =
                u128::try_from(age).is_ok_and(|age| age > EXPORT_JOB_TAIL_TIME_MAX.as_millis());
            if is_old || waited > EXPORT_JOB_TAIL_TIME_MAX {
                return Ok(None);
            }
            std::thread::sleep(TAIL_LOOK_PAUSE);
        }
    }

    fn begin(
        &self,
        stream: &StreamName,
        number: usize,
        clip: &Clip,
        packing: &mut Packing,
    ) -> Result<Current, PackError> {
        if packing.files.len() >= EXPORT_JOB_FILES_MAX {
            return Err(PackError::TooMany);
        }
        // No stream has an underscore in its name, so that no two files have the same.
        let file = match number {
            1 => format!("{stream}.mp4"),
            number => format!("{stream}_{number}.mp4"),
        };
        let mut open = packing.archive.begin(&file, self.kept.expected_bytes)?;
        packing.archive.write(&mut open, &clip.init)?;
        packing.boots.insert(clip.boot);
        let part = Part {
            file,
            start: clip.start,
            end: clip.start,
            boot: hex(&clip.boot),
            date_vouched: true,
            fragments: 0,
            samples: 0,
            losses: 0,
        };
        Ok(Current { open, part, init: clip.init.clone() })
    }

    fn take(
        &self,
        current: &mut Current,
        clip: &Clip,
        packing: &mut Packing,
    ) -> Result<(), PackError> {
        let due = packing.archive.write(&mut current.open, &clip.bytes)?;
        let (entry, part) = (&clip.entry, &mut current.part);
        let clock = &self.shared.dvr.facts().clock;
        part.end = clip.start.offset_nanos(i64::try_from(entry.span_nanos).unwrap_or(i64::MAX));
        part.date_vouched &= clock.is_vouched(clip.boot, entry.boot_time, entry.wall);
        part.fragments += 1;
        part.samples += u64::from(entry.samples);
        part.losses += u64::from(entry.loss_before);
        self.progress.add(clip.bytes.len() as u64);
        if due {
            self.sync(packing)?;
        }
        Ok(())
    }

    /// Brings what is written to the medium, as long as enough room stays for the recordings.
    fn sync(&self, packing: &mut Packing) -> Result<(), PackError> {
        packing.archive.sync()?;
        let volume = RealDisk.volume(&self.shared.data_dir)?;
        if self.shared.room(volume).is_short() { Err(PackError::NoRoom) } else { Ok(()) }
    }

    /// Writes what is no footage, and signs.
    fn seal(&self, mut packing: Packing, streams: Vec<Contents>) -> Result<u64, PackError> {
        let public = self.key.public();
        for (name, text) in
            [(manifest::HOW_TO, manifest::HOW_TO_TEXT), (manifest::PUBLIC_KEY, &public.to_pem())]
        {
            packing.files.push(packing.archive.add(name, text.as_bytes())?.into());
        }
        let Packing { mut archive, files, boots } = packing;
        let facts = self.shared.dvr.facts();
        let rows = facts.clock.rows().filter(|row| boots.contains(&row.boot));
        let wish = &self.kept.wish;
        let manifest = Manifest {
            format: manifest::FORMAT,
            id: self.kept.id.clone(),
            made: self.kept.made,
            note: wish.note.clone(),
            software: Software { program: "holdfast", version: env!("CARGO_PKG_VERSION") },
            device: Device::new(&public),
            range: Range { start: wish.start.to_rfc3339(), end: wish.end.to_rfc3339() },
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

impl Packing {
    /// Ends the file that is being written, if there is one.
    fn end(&mut self, parts: &mut Vec<Part>, current: Option<Current>) -> Result<(), PackError> {
        if let Some(Current { open, part, .. }) = current {
            let written: Written = self.archive.end(open)?;
            self.files.push(written.into());
            parts.push(part);
        }
        Ok(())
    }
}
