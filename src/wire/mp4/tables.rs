//! The sample tables of a progressive file, written row by row as its chunks pass.
//!
//! Owns: the rows of `stts`, `ctts`, `stss`, `stsc`, `stsz`, `co64` and `sbgp` (ISO/IEC 14496-12 §8.6,
//! §8.7, §8.9.2). A table holds no more of the past than one row, so that a file of any length passes
//! through it; what it wrote is taken out of it from time to time.

use bytes::BufMut;

use super::Row;

/// Consecutive samples of one track in the `mdat`.
#[derive(Clone, Copy, Debug)]
pub struct Chunk<'a> {
    /// Where they begin, from the first byte behind the header of the `mdat`.
    pub at: u64,
    /// Which sample entry of the track they need, from zero.
    pub entry: u32,
    /// Decoding time of the first one, in ticks of the track on the file's timeline.
    pub decode_ticks: i64,
    /// The facts of each sample.
    pub rows: &'a [Row],
}

/// A kind of table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// `stts`: how long samples last.
    Times,
    /// `ctts`: how far behind their decoding they are shown.
    Compositions,
    /// `stss`: which ones are key frames.
    Syncs,
    /// `stsc`: how many samples a chunk has, and which sample entry they need.
    Chunks,
    /// `stsz`: their bytes.
    Sizes,
    /// `co64`: where the chunks begin in the file.
    Offsets,
    /// `sbgp` of the type `roll`: after how many pictures decoding that begins at a sample is right.
    Rolls,
}

impl Table {
    /// All tables, in the order in which they are written.
    pub const ALL: [Self; 7] = [
        Self::Times,
        Self::Compositions,
        Self::Syncs,
        Self::Chunks,
        Self::Sizes,
        Self::Offsets,
        Self::Rolls,
    ];

    /// Bytes of one row.
    #[must_use]
    pub fn row_bytes(self) -> u64 {
        match self {
            Self::Syncs | Self::Sizes => 4,
            Self::Times | Self::Compositions | Self::Offsets | Self::Rolls => 8,
            Self::Chunks => 12,
        }
    }

    /// Its type.
    pub(super) fn kind(self) -> &'static [u8; 4] {
        match self {
            Self::Times => b"stts",
            Self::Compositions => b"ctts",
            Self::Syncs => b"stss",
            Self::Chunks => b"stsc",
            Self::Sizes => b"stsz",
            Self::Offsets => b"co64",
            Self::Rolls => b"sbgp",
        }
    }
}

/// Descriptions of a `sgpd` at most; a camera's refresh takes the same number of pictures each time.
const ROLLS_MAX: usize = 64;

/// A table in the making. Feed it every chunk of its track in order, then [`TableWriter::finish`]
/// it; [`TableWriter::take`] returns the rows written so far.
#[derive(Debug)]
pub struct TableWriter {
    table: Table,
    /// What is added to where a chunk begins: the end of the `mdat`'s header in the file.
    mdat_at: u64,
    out: Vec<u8>,
    rows: u64,
    samples: u64,
    chunks: u32,
    /// The row that may still grow: its count, and what it says.
    run: Option<(u32, u32)>,
    /// The newest sample, whose length the next chunk decides: its decoding time and ticks.
    last: Option<(i64, u32)>,
    /// As of the last row of `stsc`.
    chunk_shape: Option<(u32, u32)>,
    /// What `sbgp` tells apart, in the order in which it came.
    rolls: Vec<u16>,
}

impl TableWriter {
    /// An empty table; `mdat_at` is where the bytes behind the header of the `mdat` begin.
    #[must_use]
    pub fn new(table: Table, mdat_at: u64) -> Self {
        Self {
            table,
            mdat_at,
            out: Vec::new(),
            rows: 0,
            samples: 0,
            chunks: 0,
            run: None,
            last: None,
            chunk_shape: None,
            rolls: Vec::new(),
        }
    }

    /// Rows so far, those that were taken among them.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// What was written since it was last taken.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// Throws away what was written since it was last taken.
    pub(super) fn clear(&mut self) {
        self.out.clear();
    }

    /// Takes note of the next chunk.
    pub fn push(&mut self, chunk: &Chunk<'_>) {
        if chunk.rows.is_empty() {
            return;
        }
        match self.table {
            Table::Times => self.push_times(chunk),
            Table::Compositions => {
                for row in chunk.rows {
                    self.count(row.composition.cast_unsigned());
                }
            }
            Table::Syncs => self.push_syncs(chunk.rows),
            Table::Chunks => self.push_shape(chunk),
            Table::Sizes => {
                for row in chunk.rows {
                    self.put(&[row.bytes]);
                }
            }
            Table::Offsets => {
                self.out.put_u64(self.mdat_at + chunk.at);
                self.rows += 1;
            }
            Table::Rolls => {
                for row in chunk.rows {
                    let description = self.roll_description(row.roll);
                    self.count(description);
                }
            }
        }
    }

    /// The number of a description in `sgpd`, from one; zero for none. Where there are too many, one that
    /// promises no less stands in.
    fn roll_description(&mut self, pictures: u16) -> u32 {
        if pictures == 0 {
            return 0;
        }
        let known = self.rolls.iter().position(|&known| known == pictures);
        let at = known.unwrap_or_else(|| {
            if self.rolls.len() < ROLLS_MAX {
                self.rolls.push(pictures);
                return self.rolls.len() - 1;
            }
            let enough = self.rolls.iter().enumerate().filter(|(_, known)| **known >= pictures);
            enough.min_by_key(|(_, known)| **known).map_or(0, |(at, _)| at)
        });
        u32::try_from(at + 1).unwrap_or(0)
    }

    /// Ends it: nothing more comes.
    pub fn finish(&mut self) {
        if let Some((_, ticks)) = self.last.take() {
            self.count(ticks);
        }
        self.end_run();
    }

    fn put(&mut self, row: &[u32]) {
        for &value in row {
            self.out.put_u32(value);
        }
        self.rows += 1;
    }

    /// Adds a sample to the row that says `value`.
    fn count(&mut self, value: u32) {
        match &mut self.run {
            Some((count, same)) if *same == value => *count += 1,
            _ => {
                self.end_run();
                self.run = Some((1, value));
            }
        }
    }

    fn end_run(&mut self) {
        if let Some((count, value)) = self.run.take() {
            self.put(&[count, value]);
        }
    }

    /// A sample lasts until the next one begins, over gaps too. Times that go back are not
    /// followed: there a sample lasts one tick.
    fn push_times(&mut self, chunk: &Chunk<'_>) {
        let mut at = chunk.decode_ticks;
        for row in chunk.rows {
            if let Some((decode, _)) = self.last {
                let ticks = at.saturating_sub(decode).clamp(1, i64::from(i32::MAX));
                self.count(u32::try_from(ticks).unwrap_or(1));
                at = decode + ticks;
            }
            self.last = Some((at, row.ticks));
            at += i64::from(row.ticks);
        }
    }

    fn push_syncs(&mut self, rows: &[Row]) {
        for row in rows {
            self.samples += 1;
            if row.is_sync {
                self.put(&[u32::try_from(self.samples).unwrap_or(u32::MAX)]);
            }
        }
    }

    fn push_shape(&mut self, chunk: &Chunk<'_>) {
        self.chunks += 1;
        let shape = (u32::try_from(chunk.rows.len()).unwrap_or(u32::MAX), chunk.entry + 1);
        if self.chunk_shape != Some(shape) {
            self.chunk_shape = Some(shape);
            self.put(&[self.chunks, shape.0, shape.1]);
        }
    }
}

/// All tables of one track on the first pass, which tells how long they are.
#[derive(Debug)]
pub struct Tally {
    writers: [TableWriter; 7],
    /// Rows are kept as long as the file is short.
    keeps: bool,
    samples: u64,
    reordered: bool,
    has_delta: bool,
    first_ticks: Option<i64>,
    media_end_ticks: i64,
    shown_end_ticks: i64,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            writers: Table::ALL.map(|table| TableWriter::new(table, 0)),
            keeps: true,
            samples: 0,
            reordered: false,
            has_delta: false,
            first_ticks: None,
            media_end_ticks: 0,
            shown_end_ticks: 0,
        }
    }
}

impl Tally {
    /// Takes note of the next chunk of the track.
    pub fn push(&mut self, chunk: &Chunk<'_>) {
        if chunk.rows.is_empty() {
            return;
        }
        for writer in &mut self.writers {
            writer.push(chunk);
            if !self.keeps {
                writer.clear();
            }
        }
        self.samples += chunk.rows.len() as u64;
        self.reordered |= chunk.rows.iter().any(|row| row.composition != 0);
        self.has_delta |= chunk.rows.iter().any(|row| !row.is_sync);
        self.first_ticks.get_or_insert(chunk.decode_ticks);
        let mut at = chunk.decode_ticks;
        for row in chunk.rows {
            let ends = at.saturating_add(i64::from(row.ticks));
            let shown_until = ends.saturating_add(i64::from(row.composition));
            self.media_end_ticks = self.media_end_ticks.max(ends);
            self.shown_end_ticks = self.shown_end_ticks.max(shown_until);
            at = ends;
        }
    }

    /// Nothing more comes.
    pub fn finish(&mut self) {
        for writer in &mut self.writers {
            writer.finish();
            if !self.keeps {
                writer.clear();
            }
        }
    }

    /// Bytes of rows that are kept.
    #[must_use]
    pub fn kept_bytes(&self) -> usize {
        self.writers.iter().map(|writer| writer.out.len()).sum()
    }

    /// Keeps no rows from now on: they are written again when they are needed.
    pub fn keep_none(&mut self) {
        self.keeps = false;
        for writer in &mut self.writers {
            writer.out = Vec::new();
        }
    }

    /// Samples of the track.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Decoding time of the first sample on the file's timeline; the media begins with it.
    #[must_use]
    pub fn first_ticks(&self) -> i64 {
        self.first_ticks.unwrap_or(0)
    }

    /// Where the last sample that is shown ends, on the file's timeline.
    #[must_use]
    pub fn shown_end_ticks(&self) -> i64 {
        self.shown_end_ticks
    }

    /// How long the media of the track are.
    #[must_use]
    pub fn media_ticks(&self) -> u64 {
        u64::try_from(self.media_end_ticks.saturating_sub(self.first_ticks())).unwrap_or(0)
    }

    /// The tables that the track needs (§8.6.1.3, §8.6.2: without reordering, or where each
    /// sample is a key frame, there is nothing to say), and their rows.
    pub(super) fn tables(&self) -> impl Iterator<Item = (Table, u64)> + '_ {
        let needed = |table: &Table| match table {
            Table::Compositions => self.reordered,
            Table::Syncs => self.has_delta,
            Table::Rolls => !self.rolls().is_empty(),
            _ => true,
        };
        let tables = Table::ALL.into_iter().zip(&self.writers);
        tables.filter(move |(table, _)| needed(table)).map(|(table, writer)| (table, writer.rows()))
    }

    /// What `sgpd` describes: after how many pictures decoding is right.
    pub(super) fn rolls(&self) -> &[u16] {
        let writer = self.writers.iter().find(|writer| writer.table == Table::Rolls);
        writer.map_or(&[], |writer| &writer.rolls)
    }

    /// The rows of a table that were kept, for a file whose `mdat` begins at `mdat_at`.
    pub fn kept(&mut self, table: Table, mdat_at: u64) -> Vec<u8> {
        let writer = self.writers.iter_mut().find(|writer| writer.table == table);
        let mut rows = writer.map(TableWriter::take).unwrap_or_default();
        if table == Table::Offsets {
            for row in rows.chunks_exact_mut(8) {
                let at = u64::from_be_bytes(row.try_into().unwrap_or_default());
                row.copy_from_slice(&(mdat_at + at).to_be_bytes());
            }
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(ticks: u32, bytes: u32, composition: i32, is_sync: bool) -> Row {
        Row { ticks, bytes, composition, is_sync, roll: 0 }
    }

    fn rows(table: Table, chunks: &[(i64, u32, Vec<Row>)]) -> Vec<u32> {
        let mut writer = TableWriter::new(table, 1_000);
        let mut at = 0;
        for (decode_ticks, entry, rows) in chunks {
            writer.push(&Chunk { at, entry: *entry, decode_ticks: *decode_ticks, rows });
            at += rows.iter().map(|row| u64::from(row.bytes)).sum::<u64>();
        }
        writer.finish();
        let out = writer.take();
        assert_eq!(out.len() as u64, writer.rows() * table.row_bytes());
        out.chunks_exact(4).map(|word| u32::from_be_bytes(word.try_into().unwrap())).collect()
    }

    fn film() -> Vec<(i64, u32, Vec<Row>)> {
        let gop = || vec![row(40, 9, 40, true), row(40, 3, 80, false), row(40, 3, 0, false)];
        // The second follows without a seam, the third behind a gap with other parameters, and
        // the last would begin before that ends.
        vec![(0, 0, gop()), (120, 0, gop()), (1_000, 1, gop()), (1_090, 1, gop())]
    }

    #[test]
    fn a_sample_lasts_until_the_next_one_over_gaps() {
        let times = rows(Table::Times, &film());
        // The last sample before the step back is a little shorter, and time continues from there.
        assert_eq!(times, [5, 40, 1, 800, 2, 40, 1, 10, 3, 40]);
    }

    #[test]
    fn each_table_says_what_the_samples_say() {
        assert_eq!(rows(Table::Syncs, &film()), [1, 4, 7, 10]);
        assert_eq!(rows(Table::Sizes, &film())[..4], [9, 3, 3, 9]);
        assert_eq!(rows(Table::Chunks, &film()), [1, 3, 1, 3, 3, 2]);
        assert_eq!(rows(Table::Offsets, &film()), [0, 1_000, 0, 1_015, 0, 1_030, 0, 1_045]);
        assert_eq!(rows(Table::Compositions, &film())[..8], [1, 40, 1, 80, 1, 0, 1, 40]);
    }

    #[test]
    fn what_becomes_whole_after_some_pictures_is_told_of_each_sample_that_begins_so() {
        let refresh = |roll| vec![Row { roll, ..row(40, 3, 0, false) }, row(40, 3, 0, false)];
        let film = [(0, 0, refresh(18)), (80, 0, refresh(18)), (160, 0, refresh(9))];
        assert_eq!(rows(Table::Rolls, &film), [1, 1, 1, 0, 1, 1, 1, 0, 1, 2, 1, 0]);
        let mut tally = Tally::default();
        for (decode_ticks, entry, rows) in &film {
            tally.push(&Chunk { at: 0, entry: *entry, decode_ticks: *decode_ticks, rows });
        }
        tally.finish();
        assert_eq!(tally.rolls(), [18, 9]);
        assert!(tally.tables().any(|(table, rows)| table == Table::Rolls && rows == 6));
    }

    #[test]
    fn a_tally_knows_how_long_its_tables_are_whether_it_keeps_them_or_not() {
        let mut tallies = [Tally::default(), Tally::default()];
        tallies[1].keep_none();
        for (decode_ticks, entry, rows) in &film() {
            let chunk = Chunk { at: 0, entry: *entry, decode_ticks: *decode_ticks, rows };
            for tally in &mut tallies {
                tally.push(&chunk);
            }
        }
        let told = tallies.map(|mut tally| {
            tally.finish();
            let tables: Vec<_> = tally.tables().collect();
            (tables, tally.samples(), tally.media_ticks(), tally.kept_bytes() > 0)
        });
        assert_eq!((&told[0].0, told[0].1, told[0].2), (&told[1].0, told[1].1, told[1].2));
        assert_eq!((told[0].3, told[1].3), (true, false));
        assert_eq!((told[0].1, told[0].2), (12, 1_210));
    }
}
