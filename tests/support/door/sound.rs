//! AAC beside footage, as ffmpeg encodes it.

use std::num::NonZeroU32;
use std::sync::Arc;

use bytes::Bytes;
use holdfast::base::time::{BootTime, MediaTime};
use holdfast::media::{AccessUnit, Codec, CodecParams, Entry, Shape, TrackId, Tracks};

use crate::footage::{BEGINS, Footage, ffmpeg};

const RATE: NonZeroU32 = NonZeroU32::new(48_000).unwrap();
/// AAC-LC, 48 kHz, one channel.
const CONFIG: &[u8] = &[0x11, 0x88];

/// `footage` with AAC in the place of its A-law.
pub fn with_aac(footage: Footage) -> Footage {
    let secs = footage.frames / 25;
    let sine = format!("sine=frequency=440:sample_rate=48000:duration={secs}");
    let adts = ffmpeg(&["-f", "lavfi", "-i", &sine, "-c:a", "aac", "-ac", "1", "-f", "adts", "-"]);
    let video = Arc::clone(&footage.tracks.list[0].params);
    let sound = Arc::new(params(&sine));
    let model = Arc::clone(&footage.units[0]);
    let mut units: Vec<Arc<AccessUnit>> =
        footage.units.into_iter().filter(|unit| unit.track == TrackId(0)).collect();
    units.extend((0..).zip(frames(&adts)).map(|(at, data)| frame(&model, &sound, at, data)));
    units.sort_by_key(|unit| unit.arrived);
    let tracks = Arc::new(Tracks::new(footage.tracks.run, [video, sound]));
    Footage { tracks, units, frames: footage.frames }
}

fn params(sine: &str) -> CodecParams {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sound.mp4");
    let path = path.to_str().unwrap();
    ffmpeg(&["-f", "lavfi", "-i", sine, "-t", "1", "-c:a", "aac", "-ac", "1", path]);
    let file = std::fs::read(path).unwrap();
    let at = file.windows(4).rposition(|window| window == b"mp4a").unwrap() - 4;
    let bytes = u32::from_be_bytes(file[at..at + 4].try_into().unwrap());
    CodecParams {
        codec: Codec::Aac { config: Bytes::from_static(CONFIG) },
        clock_rate: RATE,
        rfc6381: Some("mp4a.40.2".to_owned()),
        sample_entry: Bytes::copy_from_slice(&file[at..at + bytes as usize]),
        shape: Shape::Audio { sample_rate: RATE.get(), channels: 1 },
    }
}

/// Raw frames out of ADTS (ISO/IEC 13818-7 §6.2): seven bytes of header, no checksum.
fn frames(mut adts: &[u8]) -> Vec<Bytes> {
    let mut frames = Vec::new();
    while adts.len() >= 7 {
        let length =
            usize::from(adts[3] & 3) << 11 | usize::from(adts[4]) << 3 | usize::from(adts[5]) >> 5;
        frames.push(Bytes::copy_from_slice(&adts[7..length]));
        adts = &adts[length..];
    }
    frames
}

fn frame(model: &AccessUnit, params: &Arc<CodecParams>, at: i64, data: Bytes) -> Arc<AccessUnit> {
    let begin = MediaTime::from_nanos(i64::try_from(BEGINS.as_nanos()).unwrap(), RATE);
    let decode = MediaTime { ticks: begin.ticks + at * 1_024, rate: RATE };
    Arc::new(AccessUnit {
        track: TrackId(1),
        decode,
        present: decode,
        arrived: BootTime::from_nanos(decode.as_nanos().unsigned_abs()),
        entry: Entry::key_frame(false),
        leading: None,
        params: Arc::clone(params),
        data,
        ..model.clone()
    })
}
