//! What an encoder spent on the pictures of a stretch of a stream.
//!
//! Owns: the measure. Bytes alone say it where the encoder holds a quality. Where it holds a bit rate
//! they stay the same and the quantiser says it, so that the bytes of a predicted picture count for
//! as much as they would have been about with a quantiser of 26: for twice as much with every four
//! steps. (Six steps double the size of a quantiser's step, and bytes fall by less than that, but the
//! entry points beside them get smaller too.)

use std::sync::Arc;

use super::codec::{CodecParams, Kind};
use super::slice_qp::SliceQp;
use super::unit::AccessUnit;

/// The quantiser with which bytes count as they are, and steps to the doubling.
const QP_PLAIN: i32 = 26;
const QP_STEPS: f64 = 4.0;

/// What pictures took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PictureCost {
    /// Bytes of one predicted picture on average, at a quantiser of 26; 0 when there is none.
    pub predicted_bytes: u64,
    /// Bytes of the largest entry point; 0 when there is none.
    pub entry_bytes: u64,
}

/// Measures pictures, one after the other.
#[derive(Debug)]
pub struct CostMeter {
    /// Reads the quantiser of pictures with these parameters.
    reader: Option<(Arc<CodecParams>, SliceQp)>,
    /// That of the last picture that said it.
    qp: i32,
    predicted: f64,
    count: u32,
    entry_bytes: u64,
}

impl Default for CostMeter {
    fn default() -> Self {
        Self { reader: None, qp: QP_PLAIN, predicted: 0.0, count: 0, entry_bytes: 0 }
    }
}

impl CostMeter {
    /// Adds `unit`; sound counts nothing. Called for every unit that is recorded.
    pub fn push(&mut self, unit: &AccessUnit) {
        if unit.params.kind() != Kind::Video {
            return;
        }
        let bytes = unit.data.len();
        if unit.is_sync() {
            self.entry_bytes = self.entry_bytes.max(bytes as u64);
            return;
        }
        let known = self.reader.as_ref().is_some_and(|(of, _)| Arc::ptr_eq(of, &unit.params));
        if !known {
            self.reader = Some((Arc::clone(&unit.params), SliceQp::new(&unit.params)));
        }
        let read = self.reader.as_ref().and_then(|(_, reader)| reader.of(&unit.data));
        self.qp = read.unwrap_or(self.qp);
        #[allow(clippy::cast_precision_loss)] // an access unit is far below 2^52 bytes
        let weighed = bytes as f64 * (f64::from(self.qp - QP_PLAIN) / QP_STEPS).exp2();
        (self.predicted, self.count) = (self.predicted + weighed, self.count + 1);
    }

    /// What was added since the last call.
    pub fn take(&mut self) -> PictureCost {
        let mean = self.predicted / f64::from(self.count.max(1));
        // A picture that was there counts as one byte at least.
        let mean = if self.count > 0 { mean.max(1.0) } else { 0.0 };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        // rounded, and not negative
        let cost =
            PictureCost { predicted_bytes: mean.round() as u64, entry_bytes: self.entry_bytes };
        (self.predicted, self.count, self.entry_bytes) = (0.0, 0, 0);
        cost
    }
}
