//! The tracks of the file: one for each track, codec and tick rate of the recording, and in it a
//! sample entry for each set of parameters.
//!
//! Owns: which sample belongs to which. Another codec is another track, because players know one
//! codec per track; other parameters of the same codec, another resolution say, are another
//! sample entry.

use std::num::NonZeroU32;

use bytes::Bytes;

use super::ExportError;
use crate::base::limits::EXPORT_ENTRIES_MAX;
use crate::media::TrackId;
use crate::wire::mp4::{Content, SampleRun, read_init, text_entry};

/// Ticks per second of the text track.
const TEXT_RATE: u32 = 1_000;
/// Index of the text track.
pub(super) const TEXT: usize = 0;

/// A track of the file.
#[derive(Clone, Debug)]
pub(super) struct ExportTrack {
    /// Of which track of the recording; the text is of none.
    from: Option<TrackId>,
    /// Type of its sample entries.
    kind: [u8; 4],
    pub(super) rate: NonZeroU32,
    pub(super) content: Content,
    pub(super) entries: Vec<Bytes>,
}

/// Where the samples of each track of an init segment go: track and sample entry.
pub(super) type TrackPlaces = Vec<Option<(usize, u32)>>;

/// All tracks of a file, the text first.
#[derive(Clone, Debug)]
pub(super) struct ExportTracks {
    pub(super) tracks: Vec<ExportTrack>,
    known: Option<(Bytes, TrackPlaces)>,
}

impl Default for ExportTracks {
    fn default() -> Self {
        let text = ExportTrack {
            from: None,
            kind: *b"tx3g",
            rate: NonZeroU32::new(TEXT_RATE).unwrap_or(NonZeroU32::MIN),
            content: Content::Text(0, 0),
            entries: vec![text_entry()],
        };
        Self { tracks: vec![text], known: None }
    }
}

impl ExportTracks {
    /// Where the tracks of `init` go.
    pub(super) fn tracks_of(&mut self, init: &Bytes) -> Result<TrackPlaces, ExportError> {
        if let Some((known, places)) = &self.known
            && known == init
        {
            return Ok(places.clone());
        }
        let tracks = read_init(init).map_err(|_| ExportError::Unreadable)?;
        let mut places = TrackPlaces::new();
        for track in &tracks.list {
            let entry = &track.params.sample_entry;
            let kind = entry.get(4..8).and_then(|kind| kind.try_into().ok());
            let kind: [u8; 4] = kind.ok_or(ExportError::Unreadable)?;
            let display = track.params.shape.display();
            let content =
                display.map_or(Content::Audio, |(width, height)| Content::Video(width, height));
            let index = self.track(track.id, kind, track.params.clock_rate, content);
            places.push(Some((index, self.entry(index, entry)?)));
        }
        self.known = Some((init.clone(), places.clone()));
        Ok(places)
    }

    fn track(&mut self, id: TrackId, kind: [u8; 4], rate: NonZeroU32, content: Content) -> usize {
        if let Content::Video(width, height) = content
            && let Content::Text(wide, high) = self.tracks[TEXT].content
        {
            self.tracks[TEXT].content = Content::Text(wide.max(width), high.max(height));
        }
        let key = (Some(id), kind, rate);
        let of_key = |track: &ExportTrack| (track.from, track.kind, track.rate) == key;
        if let Some(index) = self.tracks.iter().position(of_key) {
            let known = &mut self.tracks[index];
            if let (Content::Video(w, h), Content::Video(wide, high)) = (content, known.content) {
                known.content = Content::Video(w.max(wide), h.max(high));
            }
            return index;
        }
        self.tracks.push(ExportTrack { from: Some(id), kind, rate, content, entries: Vec::new() });
        self.tracks.len() - 1
    }

    fn entry(&mut self, track: usize, entry: &Bytes) -> Result<u32, ExportError> {
        let all: usize = self.tracks.iter().map(|track| track.entries.len()).sum();
        let entries = &mut self.tracks[track].entries;
        let index = entries.iter().position(|known| known == entry).unwrap_or(entries.len());
        if index == entries.len() {
            if all >= EXPORT_ENTRIES_MAX {
                return Err(ExportError::TooManyChanges);
            }
            entries.push(entry.clone());
        }
        Ok(u32::try_from(index).unwrap_or(u32::MAX))
    }

    /// Where the samples of `track` go.
    pub(super) fn find(places: &TrackPlaces, track: TrackId) -> Option<(usize, u32)> {
        places.get(usize::from(track.0)).copied().flatten()
    }

    /// Ticks per second of a track of the file.
    pub(super) fn rate(&self, track: usize) -> NonZeroU32 {
        self.tracks[track].rate
    }

    /// Ticks per second of a run of samples.
    pub(super) fn rate_of(&self, places: &TrackPlaces, run: &SampleRun) -> Option<NonZeroU32> {
        Self::find(places, run.track).map(|(track, _)| self.rate(track))
    }

    /// Whether a track of the file is sound.
    pub(super) fn is_sound(&self, track: usize) -> bool {
        self.tracks[track].content == Content::Audio
    }

    /// The track that decides where the file begins: the first video, else the first sound.
    pub(super) fn lead(&self) -> Option<usize> {
        let media = || self.tracks.iter().enumerate().skip(TEXT + 1);
        let video = media().find(|(_, track)| matches!(track.content, Content::Video(..)));
        video.or_else(|| media().next()).map(|(index, _)| index)
    }
}
