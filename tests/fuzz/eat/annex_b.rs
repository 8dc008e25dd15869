//! H.264 as a program writes it: the first byte says in how large pieces, and what is cut does not
//! depend on it.

use holdfast::base::limits::ACCESS_UNIT_BYTES_MAX;
use holdfast::media::{CodecParams, nal};
use holdfast::wire::annex_b::{Splitter, Unit};

use super::input::Input;

/// Feeds one input.
pub fn eat(bytes: &[u8]) {
    let mut input = Input(bytes);
    let piece = usize::from(input.byte()).max(1);
    let whole = cut(input.0, input.0.len().max(1));
    assert_eq!(cut(input.0, piece), whole, "pieces of {piece} bytes");
    for unit in whole {
        assert!(!unit.data.is_empty() && nal::is_whole(&unit.data), "no NAL units");
        assert!(nal::Nals::new(&unit.data).all(|nal| nal.len() <= ACCESS_UNIT_BYTES_MAX));
        if let Some((sps, pps)) = unit.sets {
            let _ = CodecParams::from_h264_sets(&sps, &pps);
        }
    }
}

fn cut(bytes: &[u8], piece: usize) -> Vec<Unit> {
    let mut splitter = Splitter::default();
    let mut units = Vec::new();
    for piece in bytes.chunks(piece) {
        splitter.receive(piece);
        units.extend(std::iter::from_fn(|| splitter.poll()));
    }
    units
}
