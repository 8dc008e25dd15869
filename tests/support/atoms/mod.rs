//! What mp4-atom, a reader that we did not write, finds in our MP4 files, with fragments or without.
#![allow(dead_code, unreachable_pub)] // each test takes what it needs

use std::ops::Range;

use mp4_atom::{Any, Decode, Moof, Moov, StszSamples, Trak};

/// A track and all of its samples, in order.
#[derive(Debug)]
pub struct Track {
    pub id: u32,
    pub timescale: u32,
    pub samples: Vec<Sample>,
}

/// One sample.
#[derive(Clone, Debug)]
pub struct Sample {
    /// In ticks of the track.
    pub decode: u64,
    /// What is shown comes so many ticks later.
    pub composition: i64,
    /// It can be decoded without any before.
    pub key: bool,
    /// Its position in the file.
    pub place: Range<usize>,
}

/// `sample_is_non_sync_sample` (ISO/IEC 14496-12 §8.8.3.1).
const NON_SYNC: u32 = 0x1_0000;

/// Reads all of `file`. Fails unless every byte of its media belongs to one sample.
pub fn tracks(file: &[u8]) -> Vec<Track> {
    let (mut movie, mut tracks) = (None, Vec::new());
    let mut media = Vec::new();
    let mut rest = file;
    while !rest.is_empty() {
        let begins = file.len() - rest.len();
        match Any::decode(&mut rest).unwrap() {
            Any::Ftyp(_) => assert_eq!(begins, 0),
            Any::Moov(found) => {
                tracks = found.trak.iter().map(progressive).collect();
                movie = Some(found);
            }
            Any::Moof(fragment) => {
                let movie = movie.as_ref().expect("a moov comes first");
                add(&mut tracks, movie, &fragment, begins);
            }
            // The length has 64 bits where the first 32 say so (§4.2).
            Any::Mdat(_) => {
                let is_large = file[begins..begins + 4] == [0, 0, 0, 1];
                let head_bytes = if is_large { 16 } else { 8 };
                media.push(begins + head_bytes..file.len() - rest.len());
            }
            other => panic!("{other:?}"),
        }
    }
    let samples = tracks.iter().flat_map(|track| &track.samples);
    let mut places: Vec<_> = samples.map(|sample| sample.place.clone()).collect();
    places.sort_by_key(|place| (place.start, place.end));
    for media in media {
        let mut at = media.start;
        for place in places.iter().filter(|place| media.contains(&place.start)) {
            assert_eq!(place.start, at, "a hole, or two samples in one place");
            at = place.end;
        }
        assert_eq!(at, media.end, "the end of an mdat");
    }
    tracks
}

/// The samples that the tables of a `moov` name.
fn progressive(track: &Trak) -> Track {
    let tables = &track.mdia.minf.stbl;
    let sizes: Vec<usize> = match &tables.stsz.samples {
        StszSamples::Identical { count, size } => vec![*size as usize; *count as usize],
        StszSamples::Different { sizes } => sizes.iter().map(|&size| size as usize).collect(),
    };
    let spans = tables.stts.entries.iter();
    let mut spans = spans.flat_map(|it| (0..it.sample_count).map(|_| it.sample_delta));
    let later = tables.ctts.iter().flat_map(|table| &table.entries);
    let mut later = later.flat_map(|it| (0..it.sample_count).map(|_| it.sample_offset));
    let short = tables.stco.iter().flat_map(|table| &table.entries).map(|&at| u64::from(at));
    let long = tables.co64.iter().flat_map(|table| &table.entries).copied();
    let chunks: Vec<u64> = short.chain(long).collect();
    let (mut samples, mut decode) = (Vec::new(), 0);
    for (number, chunk) in (1u32..).zip(chunks) {
        let mut rules = tables.stsc.entries.iter().rev();
        let rule = rules.find(|rule| rule.first_chunk <= number).expect("a rule for each chunk");
        let mut at = usize::try_from(chunk).unwrap();
        for _ in 0..rule.samples_per_chunk {
            let place = at..at + sizes[samples.len()];
            at = place.end;
            let name = u32::try_from(samples.len()).unwrap() + 1;
            let key = tables.stss.as_ref().is_none_or(|table| table.entries.contains(&name));
            let composition = later.next().unwrap_or(0);
            samples.push(Sample { decode, composition, key, place });
            decode += u64::from(spans.next().expect("a span for each sample"));
        }
    }
    assert_eq!((samples.len(), spans.next()), (sizes.len(), None), "tables of one length");
    Track { id: track.tkhd.track_id, timescale: track.mdia.mdhd.timescale, samples }
}

/// Adds the samples of a fragment that begins at `begins`.
fn add(tracks: &mut [Track], movie: &Moov, fragment: &Moof, begins: usize) {
    for run in &fragment.traf {
        let (head, id) = (&run.tfhd, run.tfhd.track_id);
        assert!(head.default_base_is_moof);
        let usual = movie.mvex.as_ref().expect("an mvex").trex.iter();
        let usual = usual.clone().find(|usual| usual.track_id == id).expect("a trex");
        let track = tracks.iter_mut().find(|track| track.id == id).expect("a track");
        let mut decode = run.tfdt.as_ref().expect("a tfdt").base_media_decode_time;
        for list in &run.trun {
            let offset = list.data_offset.expect("an offset");
            let mut at = begins + usize::try_from(offset).unwrap();
            for entry in &list.samples {
                let usual_size = head.default_sample_size.unwrap_or(usual.default_sample_size);
                let usual_flags = head.default_sample_flags.unwrap_or(usual.default_sample_flags);
                let usual_span =
                    head.default_sample_duration.unwrap_or(usual.default_sample_duration);
                let place = at..at + entry.size.unwrap_or(usual_size) as usize;
                at = place.end;
                let key = entry.flags.unwrap_or(usual_flags) & NON_SYNC == 0;
                let composition = entry.cts.unwrap_or(0);
                track.samples.push(Sample { decode, composition, key, place });
                decode += u64::from(entry.duration.unwrap_or(usual_span));
            }
        }
    }
}
