//! `holdfast ring extract`: a range of a ring as files that play.
//!
//! Owns: where a file ends and the next begins. Samples are copied as they are; the times are moved
//! so that each file begins at zero, and it says how long it plays.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::base::name::StreamName;
use crate::base::time::WallTime;
use crate::dvr::catalogue::clock::ClockTable;
use crate::dvr::catalogue::continuity::{self, Extent};
use crate::dvr::format::seal::{FragmentEntry, Identity, SlotHeader};
use crate::dvr::read::tool::error::ToolError;
use crate::dvr::read::tool::reader::RingReader;
use crate::wire::mp4::{Origin, read_init, set_dates, with_length};

/// The range to copy.
#[derive(Clone, Debug)]
pub struct Extract {
    /// Of which stream.
    pub stream: StreamName,
    /// From when.
    pub from: WallTime,
    /// Until when.
    pub until: WallTime,
    /// To which file. Further files are named after it: `gate.mp4`, `gate-2.mp4`.
    pub target: PathBuf,
}

/// A file that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtractedPart {
    /// Where.
    pub path: PathBuf,
    /// Date of its first unit.
    pub start: WallTime,
    /// Date at which its last unit ends.
    pub end: WallTime,
    /// Samples of all tracks.
    pub samples: u64,
    /// Fragments.
    pub fragments: u64,
}

/// Copies the whole fragments of a range into files, one for each uninterrupted stretch with the
/// same parameters, and reports each. Existing files are not overwritten.
pub fn extract(
    data_dir: &Path,
    wish: &Extract,
    out: &mut dyn Write,
) -> Result<Vec<ExtractedPart>, ToolError> {
    let reader = RingReader::open(data_dir)?;
    let mut copy = Copy { wish, parts: Vec::new(), open: None, skipped: 0 };
    for &lap in reader.laps() {
        let Some((header, contents)) = reader.contents(lap)? else { continue };
        if header.stream != wish.stream {
            continue;
        }
        let clock = &reader.facts().clock;
        let range = (wish.from, wish.until);
        let picked = chosen(&contents.entries, &header, clock, range, copy.open.is_some());
        if picked.is_empty() {
            continue;
        }
        let init = reader.init(&header)?;
        for entry in &contents.entries[picked] {
            let start = clock.place(header.boot, entry.boot_time, entry.wall);
            match reader.fragment(&header, entry)? {
                Some(bytes) => copy.take(&header, &init, entry, &bytes, start)?,
                None => copy.skipped += 1,
            }
        }
    }
    copy.end()?;
    if copy.parts.is_empty() {
        return Err(ToolError::Nothing);
    }
    tell(&copy, out)?;
    Ok(copy.parts)
}

fn tell(copy: &Copy<'_>, out: &mut dyn Write) -> Result<(), ToolError> {
    for part in &copy.parts {
        writeln!(
            out,
            "{}: {} to {}, {} fragments",
            part.path.display(),
            part.start.to_rfc3339(),
            part.end.to_rfc3339(),
            part.fragments
        )?;
    }
    if copy.parts.len() > 1 {
        writeln!(out, "several files, because of gaps or of parameters that changed")?;
    }
    if copy.skipped > 0 {
        writeln!(out, "{} fragments were passed over: no key frame before them", copy.skipped)?;
    }
    Ok(())
}

struct Copy<'a> {
    wish: &'a Extract,
    parts: Vec<ExtractedPart>,
    open: Option<OpenPart>,
    /// Fragments that no file can begin with.
    skipped: u64,
}

struct OpenPart {
    file: File,
    /// Where it begins; `None` where that cannot be read, and the media stay as recorded.
    origin: Option<Origin>,
    /// Where its length is written when it ends.
    length_at: Option<usize>,
    first_nanos: i64,
    part: ExtractedPart,
    init: Bytes,
    boot: Identity,
    last: FragmentEntry,
}

impl Copy<'_> {
    fn take(
        &mut self,
        header: &SlotHeader,
        init: &Bytes,
        entry: &FragmentEntry,
        bytes: &Bytes,
        start: WallTime,
    ) -> Result<(), ToolError> {
        let continues = |open: &OpenPart| {
            open.boot == header.boot
                && open.init == *init
                && continuity::continues(&open.last, entry)
        };
        if !self.open.as_ref().is_some_and(continues) {
            self.end()?;
            if !entry.starts_with_key {
                self.skipped += 1;
                return Ok(());
            }
            self.open = Some(self.begin(header.boot, init, (entry, bytes), start)?);
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        let failed = failed(&open.part.path);
        match &open.origin {
            Some(origin) => {
                let mut moved = bytes.to_vec();
                origin.rebase(&mut moved);
                open.file.write_all(&moved).map_err(failed)?;
            }
            None => open.file.write_all(bytes).map_err(failed)?,
        }
        open.last = *entry;
        open.part.end = start.offset_nanos(i64::try_from(entry.span_nanos).unwrap_or(i64::MAX));
        open.part.samples += u64::from(entry.samples);
        open.part.fragments += 1;
        Ok(())
    }

    fn begin(
        &self,
        boot: Identity,
        init: &Bytes,
        (entry, bytes): (&FragmentEntry, &Bytes),
        start: WallTime,
    ) -> Result<OpenPart, ToolError> {
        let path = numbered(&self.wish.target, self.parts.len() + 1);
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        let mut file = file.map_err(failed(&path))?;
        let tracks = read_init(init).ok();
        let origin = tracks.and_then(|tracks| Origin::of(&tracks, bytes));
        let (mut front, length_at) = match with_length(init) {
            Some((front, at)) => (front, Some(at)),
            None => (init.to_vec(), None),
        };
        set_dates(&mut front, Some(start.as_unix_millis() / 1_000));
        file.write_all(&front).map_err(failed(&path))?;
        let part = ExtractedPart { path, start, end: start, samples: 0, fragments: 0 };
        let first_nanos = entry.decode_nanos;
        let (init, last) = (init.clone(), *entry);
        Ok(OpenPart { file, origin, length_at, first_nanos, part, init, boot, last })
    }

    fn end(&mut self) -> Result<(), ToolError> {
        if let Some(open) = self.open.take() {
            if let Some(at) = open.length_at {
                let nanos = Extent::end_nanos_of(&open.last).saturating_sub(open.first_nanos);
                let millis = u32::try_from(nanos / 1_000_000).unwrap_or(0).to_be_bytes();
                open.file.write_all_at(&millis, at as u64).map_err(failed(&open.part.path))?;
            }
            open.file.sync_all().map_err(failed(&open.part.path))?;
            self.parts.push(open.part);
        }
        Ok(())
    }
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> ToolError + use<> {
    let path = path.to_owned();
    move |source| ToolError::Target { path, source }
}

/// `gate.mp4`, `gate-2.mp4`, and so on.
fn numbered(target: &Path, number: usize) -> PathBuf {
    if number == 1 {
        return target.to_owned();
    }
    let stem = target.file_stem().unwrap_or_default().to_string_lossy();
    let extension = target.extension().map_or("mp4".into(), |e| e.to_string_lossy());
    target.with_file_name(format!("{stem}-{number}.{extension}"))
}

/// Which fragments of a lap lie between two dates. Where reading begins, those before are taken
/// along back to one that starts with a key frame, as far as the lap has one.
pub(crate) fn chosen(
    entries: &[FragmentEntry],
    header: &SlotHeader,
    clock: &ClockTable,
    (from, until): (WallTime, WallTime),
    begun: bool,
) -> Range<usize> {
    let meets = |entry: &FragmentEntry| {
        let start = clock.place(header.boot, entry.boot_time, entry.wall);
        let span = i64::try_from(entry.span_nanos).unwrap_or(i64::MAX);
        start < until && start.offset_nanos(span) > from
    };
    let Some(first) = entries.iter().position(meets) else { return 0..0 };
    let last = entries.iter().rposition(meets).unwrap_or(first);
    let key = entries[..=first].iter().rposition(|entry| entry.starts_with_key);
    let first = if begun { first } else { key.unwrap_or(first) };
    first..last + 1
}
