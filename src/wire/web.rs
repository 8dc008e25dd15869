//! What a player in a browser can be given of a stream: which tracks, as which fMP4.
//!
//! Owns: the choice of tracks for HLS and MSE, the reason given for a track left out, and G.711 as
//! FLAC, live and out of a recording.

use std::hash::{DefaultHasher, Hasher as _};
use std::sync::Arc;

use bytes::Bytes;

use super::mp4;
use super::silence::silent_fragment;
use super::web_mark::EntryMark;
use crate::base::time::MediaTime;
use crate::media::codec::flac_frame;
use crate::media::{
    AccessUnit, Codec, CodecParams, Entry, Kind, OpenMarking, Shape, Track, TrackId, Tracks,
};

/// One stretch of a stream in which nothing about its tracks changes, as fMP4.
#[derive(Debug)]
pub struct WebFormat {
    /// All tracks of the stream, also those left out.
    all: Tracks,
    carried: Vec<Track>,
    /// `ftyp` + `moov` of the carried tracks.
    pub init: Bytes,
    /// Value for `codecs=`, RFC 6381 §3.3.
    pub codecs: String,
    /// Why the sound was left out, for people; `None` if there is none or it is carried.
    pub audio_dropped: Option<String>,
}

impl WebFormat {
    /// Chooses the first video and the first audio track. A codec without a registered
    /// `codecs=` string cannot be announced to a browser: G.711 is carried as FLAC, another's
    /// track is left out; `None` when nothing remains.
    #[must_use]
    pub fn new(all: Tracks) -> Option<Self> {
        Self::choose(all, true)
    }

    /// The same of pictures that are not shown at the pace of life: without the sound, but where
    /// there is nothing else.
    #[must_use]
    pub fn silent(all: Tracks) -> Option<Self> {
        let has_sound = all.video().is_none();
        Self::choose(all, has_sound)
    }

    /// The same of a stream whose sound is announced and does not come.
    #[must_use]
    pub fn muted(all: Tracks) -> Option<Self> {
        let mut format = Self::silent(all)?;
        if format.all.audio().is_some() && !format.has_audio() {
            let reason =
                "The stream announces sound but sends none; the picture is shown without it.";
            format.audio_dropped.get_or_insert_with(|| reason.to_owned());
        }
        Some(format)
    }

    /// The sound as it comes, where it is carried beside pictures and its silence is known.
    #[must_use]
    pub fn fillable_sound(&self) -> Option<&Track> {
        self.picture()?;
        let sound = self.carried.iter().find(|track| track.params.kind() == Kind::Audio)?;
        let source = self.all.get(sound.id)?;
        source.params.silence(1).map(|_| source)
    }

    fn choose(all: Tracks, with_sound: bool) -> Option<Self> {
        let shown = |track: Option<&Track>| {
            let track = track?;
            Some(Track { id: track.id, params: track.params.for_browsers()? })
        };
        let (video, sound) = (shown(all.video()), shown(all.audio()));
        let audio_dropped = all.audio().filter(|_| sound.is_none()).map(|track| {
            format!(
                "The sound is {}, which browsers do not play; the picture is shown without it.",
                track.params.codec_name()
            )
        });
        let sound = sound.filter(|_| with_sound);
        let carried: Vec<Track> = video.into_iter().chain(sound).collect();
        if carried.is_empty() {
            return None;
        }
        let codecs: Vec<&str> =
            carried.iter().filter_map(|track| track.params.rfc6381.as_deref()).collect();
        let codecs = codecs.join(",");
        let init = mp4::init_segment(&Tracks { run: all.run, list: carried.clone() });
        Some(Self { all, carried, init, codecs, audio_dropped })
    }

    /// The tracks with the parameters that `unit` brought, if they differ from these.
    #[must_use]
    pub fn differs(&self, unit: &AccessUnit) -> bool {
        self.all.run != unit.run
            || self.all.get(unit.track).is_none_or(|track| !same(&track.params, &unit.params))
    }

    /// Whether this describes exactly `tracks`.
    #[must_use]
    pub fn describes(&self, tracks: &Tracks) -> bool {
        self.all == *tracks
    }

    /// `unit`, of a track that it carries, in the codec that browsers are given; `None` when that cannot be.
    #[must_use]
    pub fn shown(&self, unit: &Arc<AccessUnit>) -> Option<Arc<AccessUnit>> {
        let carried = self.carried.iter().find(|carried| carried.id == unit.track)?;
        as_flac(unit, &carried.params)
    }

    /// Bits per second that carrying G.711 as FLAC adds to what is recorded: 13 or 14 bits in
    /// place of 8, and about 20 bytes around each of 50 frames.
    #[must_use]
    pub fn added_bps(&self) -> u64 {
        let flac = self.carried.iter().filter(|track| track.params.codec == Codec::Flac);
        flac.map(|track| match track.params.shape {
            Shape::Audio { sample_rate, channels } => {
                u64::from(sample_rate) * u64::from(channels) * 6 + 50 * 20 * 8
            }
            Shape::Video { .. } => 0,
        })
        .sum()
    }

    /// Whether units of `track` belong into it.
    #[must_use]
    pub fn carries(&self, track: TrackId) -> bool {
        self.carried.iter().any(|carried| carried.id == track)
    }

    /// The carried tracks, video first.
    #[must_use]
    pub fn tracks(&self) -> &[Track] {
        &self.carried
    }

    /// The track that cuts and clocks the others: the video, or the sound of a stream without.
    #[must_use]
    pub fn lead(&self) -> TrackId {
        // `carried` is not empty, see `new`.
        self.carried.first().map_or(TrackId(0), |track| track.id)
    }

    /// A name for the init segment, the same for the same bytes.
    #[must_use]
    pub fn init_id(&self) -> String {
        let mut hasher = DefaultHasher::new();
        hasher.write(&self.init);
        format!("{:016x}", hasher.finish())
    }

    /// Width and height in square pixels, if there is video.
    #[must_use]
    pub fn picture(&self) -> Option<(u16, u16)> {
        self.carried.iter().find_map(|track| track.params.shape.display())
    }

    /// Whether sound is carried.
    #[must_use]
    pub fn has_audio(&self) -> bool {
        self.carried.iter().any(|track| matches!(track.params.shape, Shape::Audio { .. }))
    }

    /// The MIME type that a `SourceBuffer` is asked for.
    #[must_use]
    pub fn mime(&self) -> String {
        format!("{}/mp4; codecs=\"{}\"", self.major(), self.codecs)
    }

    fn major(&self) -> &'static str {
        if self.picture().is_some() { "video" } else { "audio" }
    }
}

/// How a browser is shown the fragments that one init segment of a recording describes.
#[derive(Debug)]
pub struct Shown {
    /// The `ftyp` and `moov` for it.
    pub init: Bytes,
    /// Tracks whose boxes become `free` in place.
    hidden: Vec<u32>,
    /// The sound that becomes FLAC.
    sound: Option<Track>,
    /// The picture, where places to begin may have to be marked.
    marked: Option<Track>,
    /// The picture, and the sound beside it was recorded, if its silence is known.
    fillable: Option<(Track, Track)>,
}

/// From when to when a fragment has pictures and sound, in nanoseconds of the stream's timeline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// From its first picture to the end of its last.
    pub picture: Option<(i64, i64)>,
    /// The same of its sound.
    pub sound: Option<(i64, i64)>,
}

impl Shown {
    /// What is shown of a recording that begins with `init`.
    #[must_use]
    pub fn of(init: &Bytes) -> Self {
        let mut hidden = mp4::hidden_tracks(init);
        let tracks = mp4::read_init(init).ok();
        // The sample entry alone does not tell which AAC it is.
        let unplayable = tracks.iter().flat_map(|tracks| &tracks.list);
        let unplayable = unplayable.filter(|track| track.params.for_browsers().is_none());
        for id in unplayable.map(|track| u32::from(track.id.0) + 1) {
            if !hidden.contains(&id) {
                hidden.push(id);
            }
        }
        let is_shown = |track: &&Track| !hidden.contains(&(u32::from(track.id.0) + 1));
        let is_g711 = |track: &&Track| matches!(track.params.codec, Codec::G711(_));
        let mut sounds = tracks.iter().flat_map(|tracks| &tracks.list).filter(is_shown);
        let shown = || tracks.iter().flat_map(|tracks| &tracks.list).filter(is_shown);
        let of_kind = |kind| shown().find(|track| track.params.kind() == kind).cloned();
        let sound = of_kind(Kind::Audio).filter(|sound| sound.params.silence(1).is_some());
        let picture = of_kind(Kind::Video);
        let is_h264 = |track: &Track| matches!(track.params.codec, Codec::H264 { .. });
        let marked = picture.clone().filter(is_h264);
        let fillable = picture.zip(sound);
        if let Some(sound) = sounds.find(is_g711).cloned()
            && let Some(all) = &tracks
        {
            let flac = |track: &Track| {
                let params = track.params.for_browsers().filter(|_| track.id == sound.id);
                Track { id: track.id, params: params.unwrap_or_else(|| track.params.clone()) }
            };
            let list = all.list.iter().filter(is_shown).map(flac).collect();
            let init = mp4::init_segment(&Tracks { run: all.run, list });
            return Self { init, hidden, sound: Some(sound), marked, fillable };
        }
        let mut bytes = init.clone();
        if !hidden.is_empty() {
            let mut shown = init.to_vec();
            mp4::hide(&mut shown, &hidden);
            bytes = shown.into();
        }
        Self { init: bytes, hidden, sound: None, marked, fillable }
    }

    /// Whether what is shown has the length of what is recorded.
    #[must_use]
    pub fn keeps_length(&self) -> bool {
        self.sound.is_none()
    }

    /// What a recorded fragment covers; `None` where silence would not be filled in anyway.
    #[must_use]
    pub fn coverage(&self, fragment: &[u8]) -> Option<Coverage> {
        let (picture, sound) = self.fillable.as_ref()?;
        let runs = mp4::read_runs(fragment).ok()?;
        let reach = |track: &Track| {
            let run = runs.iter().find(|run| run.track == track.id && !run.rows.is_empty())?;
            let ticks: i64 = run.rows.iter().map(|row| i64::from(row.ticks)).sum();
            let rate = track.params.clock_rate;
            let nanos = |ticks| MediaTime { ticks, rate }.as_nanos();
            Some((nanos(run.decode_ticks), nanos(run.decode_ticks.saturating_add(ticks))))
        };
        Some(Coverage { picture: reach(picture), sound: reach(sound) })
    }

    /// A fragment of silence for the sound, over this stretch in nanoseconds.
    #[must_use]
    pub fn silence(&self, stretch: (i64, i64)) -> Option<Bytes> {
        let (_, source) = self.fillable.as_ref()?;
        let carried = source.params.for_browsers()?;
        let shown = |unit: &Arc<AccessUnit>| as_flac(unit, &carried);
        silent_fragment(source, shown, stretch)
    }

    /// A recorded fragment as sent to a browser, in pieces. `begins`: a reader can begin there.
    #[must_use]
    pub fn fragment(&self, mut fragment: Vec<u8>, begins: bool) -> Vec<Bytes> {
        mp4::hide(&mut fragment, &self.hidden);
        let fragment = self.with_mark(fragment.into(), begins);
        let Some(sound) = &self.sound else { return vec![fragment] };
        let Codec::G711(law) = sound.params.codec else { return vec![fragment] };
        let flac = |ticks: i64, octets: &[u8]| flac_frame(law, octets, sound.params.shape, ticks);
        mp4::repack(&fragment, sound.id, flac).unwrap_or_else(|| {
            // The picture is never lost for its sound.
            let mut silent = fragment.to_vec();
            mp4::hide(&mut silent, &[u32::from(sound.id.0) + 1]);
            vec![silent.into()]
        })
    }
}

impl Shown {
    /// `fragment`, as long as it was, as a decoder may begin with it: with a recovery point in front of it
    /// where that is a place to begin that H.264 does not mark, and with nothing that marks what came
    /// before. What is behind the media, a seal, makes room for it.
    fn with_mark(&self, fragment: Bytes, begins: bool) -> Bytes {
        let Some(picture) = &self.marked else { return fragment };
        let samples = samples(&fragment, picture.id).unwrap_or_default();
        let Some(first) = samples.first() else { return fragment };
        let entry = Entry::of(&picture.params.codec, first);
        let entry = entry.or_else(|| begins.then_some(Entry::Blind));
        let Some(entry) = entry.filter(|entry| *entry != Entry::Closed) else { return fragment };
        let Some(mut marking) = OpenMarking::new(&picture.params) else { return fragment };
        let later =
            |sample: &[u8]| Entry::of(&picture.params.codec, sample).filter(|it| it.is_strong());
        let entries = std::iter::once(Some(entry)).chain(samples[1..].iter().map(|it| later(it)));
        let mut mark = EntryMark::default();
        let made: Vec<Option<Bytes>> = entries
            .zip(&samples)
            .map(|(entry, sample)| {
                let neutral = marking.neutral(entry, sample);
                let sample = neutral.as_deref().unwrap_or(sample);
                mark.marked(&picture.params, &marking, entry, sample).or(neutral)
            })
            .collect();
        if made.iter().all(Option::is_none) {
            return fragment;
        }
        let mut made = made.into_iter();
        let other = |_: i64, sample: &[u8]| {
            made.next().map(|made| made.unwrap_or_else(|| Bytes::copy_from_slice(sample)))
        };
        let Some(pieces) = mp4::repack(&fragment, picture.id, other) else { return fragment };
        let mut marked = pieces.concat();
        let room = fragment.len().checked_sub(marked.len()).filter(|room| *room >= 8);
        let Some(room) = room.and_then(|room| u32::try_from(room).ok()) else { return fragment };
        marked.extend_from_slice(&room.to_be_bytes());
        marked.extend_from_slice(b"free");
        marked.resize(fragment.len(), 0);
        marked.into()
    }
}

/// The samples of a track in a fragment.
fn samples(fragment: &Bytes, track: TrackId) -> Option<Vec<&[u8]>> {
    let runs = mp4::read_runs(fragment).ok()?;
    let run = runs.iter().find(|run| run.track == track)?;
    let mut at = usize::try_from(run.at).ok()?;
    let sample = |row: &mp4::Row| {
        let end = at.checked_add(usize::try_from(row.bytes).ok()?)?;
        fragment.get(std::mem::replace(&mut at, end)..end)
    };
    run.rows.iter().map(sample).collect()
}

/// `unit` as a track with the parameters `carried` has it: G.711 becomes FLAC.
fn as_flac(unit: &Arc<AccessUnit>, carried: &Arc<CodecParams>) -> Option<Arc<AccessUnit>> {
    match (&unit.params.codec, &carried.codec) {
        (Codec::G711(law), Codec::Flac) => {
            let data = flac_frame(*law, &unit.data, unit.params.shape, unit.decode.ticks)?;
            let params = Arc::clone(carried);
            Some(Arc::new(AccessUnit { params, data, ..AccessUnit::clone(unit) }))
        }
        _ => Some(Arc::clone(unit)),
    }
}

fn same(a: &Arc<CodecParams>, b: &Arc<CodecParams>) -> bool {
    Arc::ptr_eq(a, b) || a == b
}

#[cfg(test)]
mod tests {
    use super::super::web_mark::RECOVERY_POINT;
    use super::*;
    use crate::base::time::WallTime;
    use crate::media::{Captured, ClockSource, RunId, nal};

    const SPS: &[u8] = &[0x67, 0x64, 0x00, 0x33, 0xac, 0x15, 0x14, 0xa0, 0xa0, 0x2f, 0xf9, 0x50];
    const PPS: &[u8] = &[0x68, 0xee, 0x3c, 0xb0];

    #[test]
    fn a_weak_place_to_begin_is_marked_in_what_was_recorded_and_no_length_changes() {
        let params = Arc::new(CodecParams::from_h264_sets(SPS, PPS).unwrap());
        let tracks = Tracks::new(RunId(1), [Arc::clone(&params)]);
        let shown = Shown::of(&mp4::init_segment(&tracks));
        let unit = |ticks: i64, entry, data: Vec<u8>| {
            let time = MediaTime { ticks, rate: params.clock_rate };
            let captured = Captured { wall: WallTime::default(), source: ClockSource::Arrival };
            Arc::new(AccessUnit {
                captured,
                entry,
                ..AccessUnit::new(Arc::clone(&params), time, data.into())
            })
        };
        // A picture of I slices alone, and one of P slices.
        let bare = nal::length_prefixed([&[9u8, 0x10][..], &[0x41, 0b1000_1000, 0x80]]);
        let plain = nal::length_prefixed([&[0x41u8, 0b1001_1010, 0x80][..]]);
        for (first, entry, begins, is_marked) in [
            (&bare, Some(Entry::Bare), true, true),
            (&plain, None, false, false),
            (&plain, Some(Entry::Blind), true, true),
        ] {
            let mut builder = mp4::FragmentBuilder::new(1);
            builder.push(unit(90_000, entry, first.to_vec()));
            builder.push(unit(93_600, None, plain.to_vec()));
            let recorded = [&builder.build(None).to_bytes()[..], &[0; 140]].concat();
            let copy = Bytes::from(shown.fragment(recorded.clone(), begins).concat());
            assert_eq!(copy.len(), recorded.len());
            let (_, samples) = mp4::read_fragment(&copy).unwrap().remove(0);
            let mark = nal::length_prefixed([RECOVERY_POINT]);
            // Behind the delimiter, which is first wherever it is.
            let front = params.delimiter_bytes(first);
            let marked = [&first[..front], &mark, &first[front..]].concat();
            let wanted = if is_marked { marked } else { first.to_vec() };
            assert_eq!(samples[0].data, wanted);
            assert_eq!(
                (samples[1].data.to_vec(), samples[1].decode_ticks),
                (plain.to_vec(), 93_600)
            );
        }
    }
}
