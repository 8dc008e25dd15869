//! Silence in place of a sound track that brings nothing, so that players go on showing pictures.
//!
//! A player that feeds a `SourceBuffer` shows what it has of *all* announced tracks: one that is
//! silent for good stops the picture too. Owns: the track's grid, from where on it is filled, and
//! which real frames come too late. Only copies for browsers are filled. Pure.

use std::num::NonZeroU32;
use std::sync::Arc;

use bytes::Bytes;

use super::mp4::FragmentBuilder;
use crate::base::time::{MediaTime, WallTime};
use crate::media::{AccessUnit, Captured, ClockSource, CodecParams, RunId, Track, TrackId};

/// The sound may lag the picture by this, and by what it usually does, before it is filled.
const LAG_NANOS: i64 = 500_000_000;
/// A track that usually lags more than this is filled all the same.
const USUAL_LAG_NANOS_MAX: i64 = 2_500_000_000;
/// What is missing for longer is a hole of the pictures too, and not filled.
const HOLE_NANOS_MAX: i64 = 10_000_000_000;
/// Frames at most in one stretch of a recording.
const FRAMES_MAX: usize = 8_192;

/// The sound track of a format, and how far it has come.
#[derive(Debug, Default)]
pub struct SilenceFill(Option<Grid>);

#[derive(Debug)]
struct Grid {
    track: TrackId,
    params: Arc<CodecParams>,
    run: RunId,
    frame_ticks: i64,
    /// Where the next frame belongs; `None` before the first picture or sound of a run.
    next_ticks: Option<i64>,
    /// The newest real frame.
    real_ticks: Option<i64>,
    /// Silence was made since that.
    filled: bool,
    picture_nanos: Option<i64>,
    usual_lag_nanos: i64,
}

impl SilenceFill {
    /// Fills `sound`, a track beside pictures as it comes, whose codec's silence is known.
    #[must_use]
    pub fn new(sound: Option<&Track>) -> Self {
        Self(sound.map(|track| Grid {
            track: track.id,
            params: Arc::clone(&track.params),
            run: RunId::default(),
            frame_ticks: typical_ticks(&track.params),
            next_ticks: None,
            real_ticks: None,
            filled: false,
            picture_nanos: None,
            usual_lag_nanos: 0,
        }))
    }

    /// The frames of silence that are due before `picture`.
    pub fn due(&mut self, picture: &AccessUnit) -> Vec<AccessUnit> {
        let Some(grid) = &mut self.0 else { return Vec::new() };
        grid.enter(picture.run);
        grid.picture_nanos = Some(picture.decode.as_nanos());
        grid.fill(picture)
    }

    /// Whether `unit` comes in time: what was filled already is not played again.
    pub fn admit(&mut self, unit: &AccessUnit) -> bool {
        match self.0.as_mut().filter(|grid| grid.track == unit.track) {
            Some(grid) => grid.admit(unit),
            None => true,
        }
    }
}

impl Grid {
    fn rate(&self) -> NonZeroU32 {
        self.params.clock_rate
    }

    fn ticks(&self, nanos: i64) -> i64 {
        MediaTime::from_nanos(nanos, self.rate()).ticks
    }

    fn enter(&mut self, run: RunId) {
        if self.run != run {
            self.run = run;
            (self.next_ticks, self.real_ticks, self.filled) = (None, None, false);
        }
    }

    fn fill(&mut self, picture: &AccessUnit) -> Vec<AccessUnit> {
        let at = picture.decode.rescale(self.rate()).ticks;
        let horizon = at - self.ticks(LAG_NANOS + self.usual_lag_nanos);
        let next = self.next_ticks.unwrap_or(at);
        // Behind a hole of both the pictures count again.
        let mut next = if at - next > self.ticks(HOLE_NANOS_MAX) { horizon } else { next };
        let mut units = Vec::new();
        while next < horizon {
            let Ok(frame_ticks) = u32::try_from(self.frame_ticks) else { break };
            let Some(data) = self.params.silence(frame_ticks) else { break };
            let behind = MediaTime { ticks: next - at, rate: self.rate() }.as_nanos();
            let decode = MediaTime { ticks: next, rate: self.rate() };
            let wall = picture.captured.wall.offset_nanos(behind);
            units.push(AccessUnit {
                track: self.track,
                decode,
                present: decode,
                captured: Captured { wall, source: picture.captured.source },
                entry: None,
                leading: None,
                lost_before: 0,
                params: Arc::clone(&self.params),
                data,
                ..picture.clone()
            });
            next += self.frame_ticks;
            self.filled = true;
        }
        self.next_ticks = Some(next);
        units
    }

    fn admit(&mut self, unit: &AccessUnit) -> bool {
        self.enter(unit.run);
        let at = unit.decode.ticks;
        if let Some(picture) = self.picture_nanos {
            let lag = picture.saturating_sub(unit.decode.as_nanos());
            let usual = lag.clamp(0, USUAL_LAG_NANOS_MAX);
            // Forgotten slowly, so that it is known before the next packet comes.
            self.usual_lag_nanos = usual.max(self.usual_lag_nanos - self.usual_lag_nanos / 256);
        }
        if self.filled && self.next_ticks.is_some_and(|next| at < next) {
            return false;
        }
        if let Some(before) = self.real_ticks.replace(at)
            && (1..=4 * typical_ticks(&self.params)).contains(&(at - before))
        {
            self.frame_ticks = at - before;
        }
        (self.next_ticks, self.filled) = (Some(at + self.frame_ticks), false);
        true
    }
}

fn typical_ticks(params: &CodecParams) -> i64 {
    // G.711 is asked by its octets: 20 ms.
    let octets = params.clock_rate.get() as usize / 50;
    let channels = match params.shape {
        crate::media::Shape::Audio { channels, .. } => usize::from(channels.max(1)),
        crate::media::Shape::Video { .. } => 1,
    };
    i64::from(params.typical_ticks(octets * channels))
}

/// A fragment of silence of `source` from one instant on its timeline up to another, in
/// nanoseconds, as `shown` is carried; `None` when it would be empty or cannot be made.
#[must_use]
pub fn silent_fragment(
    source: &Track,
    shown: impl Fn(&Arc<AccessUnit>) -> Option<Arc<AccessUnit>>,
    (from_nanos, until_nanos): (i64, i64),
) -> Option<Bytes> {
    let rate = source.params.clock_rate;
    let ticks = |nanos| MediaTime::from_nanos(nanos, rate).ticks;
    let frame_ticks = typical_ticks(&source.params);
    let data = source.params.silence(u32::try_from(frame_ticks).ok()?)?;
    let unit = |ticks: i64| {
        let decode = MediaTime { ticks, rate };
        let captured = Captured { wall: WallTime::default(), source: ClockSource::Arrival };
        Arc::new(AccessUnit {
            track: source.id,
            run: RunId::default(),
            captured,
            ..AccessUnit::new(Arc::clone(&source.params), decode, data.clone())
        })
    };
    let mut builder = FragmentBuilder::new(1);
    let (mut at, until) = (ticks(from_nanos), ticks(until_nanos));
    while at < until && builder.units() < FRAMES_MAX {
        builder.push(shown(&unit(at))?);
        at += frame_ticks;
    }
    // The last frame ends where the stretch does, so that what follows fits.
    let end = unit(until.max(at - frame_ticks + 1));
    (!builder.is_empty()).then(|| builder.build(Some(&end)).to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Tracks;
    use crate::media::codec::Law;
    use crate::wire::mp4::read_fragment;

    const SPS: &[u8] = &[0x67, 0x64, 0x00, 0x33, 0xac, 0x15, 0x14, 0xa0, 0xa0, 0x2f, 0xf9, 0x50];
    const PPS: &[u8] = &[0x68, 0xee, 0x3c, 0xb0];

    fn tracks() -> Tracks {
        let video = Arc::new(CodecParams::from_h264_sets(SPS, PPS).unwrap());
        let sound = CodecParams::g711(Law::A, NonZeroU32::new(8_000).unwrap(), 1);
        Tracks::new(RunId(1), [video, Arc::new(sound)])
    }

    fn unit(tracks: &Tracks, track: u8, millis: i64) -> AccessUnit {
        let params = Arc::clone(&tracks.list[usize::from(track)].params);
        let decode = MediaTime::from_nanos(millis * 1_000_000, params.clock_rate);
        AccessUnit {
            track: TrackId(track),
            entry: crate::media::Entry::key_frame(track == 0),
            ..AccessUnit::new(params, decode, Bytes::from(vec![0x55; 160]))
        }
    }

    /// Pictures each 40 ms from one time to another; the times of the silence.
    fn pictures(fill: &mut SilenceFill, tracks: &Tracks, millis: std::ops::Range<i64>) -> Vec<i64> {
        let times = millis.step_by(40);
        let due = times.flat_map(|at| fill.due(&unit(tracks, 0, at)));
        due.map(|unit| unit.decode.ticks / 8).collect()
    }

    #[test]
    fn sound_that_stops_is_filled_on_its_grid_and_ends_with_the_first_real_frame() {
        let tracks = tracks();
        let mut fill = SilenceFill::new(tracks.list.get(1));
        for at in 0..50 {
            assert!(fill.due(&unit(&tracks, 0, at * 20)).is_empty());
            assert!(fill.admit(&unit(&tracks, 1, at * 20 - 5)));
        }
        let filled = pictures(&mut fill, &tracks, 1_000..2_000);
        assert_eq!(filled[..3], [995, 1_015, 1_035]);
        assert!(filled.windows(2).all(|pair| pair[1] - pair[0] == 20), "{filled:?}");
        let last = *filled.last().unwrap();
        assert!((1_400..1_500).contains(&last), "half a second behind the picture: {last}");
        assert!(!fill.admit(&unit(&tracks, 1, last)), "it was filled");
        assert!(fill.admit(&unit(&tracks, 1, 2_000)));
        assert_eq!(pictures(&mut fill, &tracks, 2_000..2_400), [0; 0]);
    }

    #[test]
    fn sound_that_always_comes_late_is_not_filled() {
        let tracks = tracks();
        let mut fill = SilenceFill::new(tracks.list.get(1));
        let mut silence = 0;
        for second in 0..10 {
            let filled = pictures(&mut fill, &tracks, second * 1_000..(second + 1) * 1_000);
            if second > 1 {
                silence += filled.len();
            }
            // A packet of a whole second.
            for frame in 0..50 {
                fill.admit(&unit(&tracks, 1, second * 1_000 + frame * 20));
            }
        }
        assert_eq!(silence, 0);
    }

    #[test]
    fn a_stretch_of_a_recording_is_filled_to_its_end() {
        let tracks = tracks();
        let shown = |unit: &Arc<AccessUnit>| Some(Arc::clone(unit));
        let stretch = (1_000_000_000, 1_250_000_000);
        let made = silent_fragment(&tracks.list[1], shown, stretch);
        let (track, samples) = read_fragment(&made.unwrap()).unwrap().remove(0);
        assert_eq!((track, samples.len()), (TrackId(1), 13));
        assert_eq!(samples[0].decode_ticks, 8_000);
        assert!(samples[0].data.iter().all(|octet| *octet == 0xd5));
    }
}
