//! Makes a picture smaller.
//!
//! Owns: the weights. Every pixel is the mean of the area that it covers, so nothing flickers that
//! is finer than the small picture. Rows are added up first, because a compiler turns that into
//! vector instructions, and columns then.

use super::Picture;

/// Weights of one output pixel add up to this.
const ONE: u32 = 1 << 8;

/// Scales pictures of one size to a smaller one.
#[derive(Debug)]
pub struct Scaler {
    from: (usize, usize),
    small: Picture,
    luma: ScalePlan,
    chroma: ScalePlan,
    /// One row of sums, as wide as the large picture.
    sums: Vec<u32>,
}

/// How the rows and columns of a plane come together.
#[derive(Debug)]
struct ScalePlan {
    rows: Vec<Weights>,
    columns: Vec<Weights>,
}

/// What one output row or column is made of.
#[derive(Debug)]
struct Weights {
    first: usize,
    /// Of `first` and those behind it.
    weights: Vec<u32>,
}

/// The height that goes with `width` for pictures of this size; even, and at least two.
#[must_use]
pub fn scaled_height(from: (u32, u32), width: u32) -> u32 {
    let height = u64::from(from.1) * u64::from(width) / u64::from(from.0.max(1));
    (u32::try_from(height).unwrap_or(u32::MAX) & !1).max(2)
}

impl Scaler {
    /// Scales pictures of size `from` (width and height in pixels) to size `to`, which is no larger
    /// in either direction.
    #[must_use]
    pub fn new(from: (u32, u32), to: (u32, u32)) -> Self {
        let even = |side: u32| (side as usize & !1).max(2);
        let from = (even(from.0), even(from.1));
        let to = (even(to.0).min(from.0), even(to.1).min(from.1));
        let plan = |part: usize| ScalePlan {
            rows: spans(from.1 / part, to.1 / part),
            columns: spans(from.0 / part, to.0 / part),
        };
        let side = |pixels: usize| u32::try_from(pixels).unwrap_or(u32::MAX);
        Self {
            from,
            small: Picture::black(side(to.0), side(to.1)),
            luma: plan(1),
            chroma: plan(2),
            sums: vec![0; from.0],
        }
    }

    /// The small picture of `large`; black when `large` is not of the size that was said.
    pub fn scale(&mut self, large: &Picture) -> &Picture {
        if (large.width(), large.height()) == self.from {
            self.small.set_colours(large.colours());
            let (y, u, v) = large.planes();
            let (small_y, small_u, small_v) = self.small.planes_mut();
            self.luma.apply(y, small_y, &mut self.sums);
            self.chroma.apply(u, small_u, &mut self.sums);
            self.chroma.apply(v, small_v, &mut self.sums);
        }
        &self.small
    }
}

impl ScalePlan {
    fn apply(&self, large: &[u8], small: &mut [u8], sums: &mut [u32]) {
        let from = self.columns.last().map_or(0, |last| last.first + last.weights.len());
        let sums = &mut sums[..from];
        for (row, target) in self.rows.iter().zip(small.chunks_exact_mut(self.columns.len())) {
            sums.fill(0);
            let lines = large.chunks_exact(from).skip(row.first);
            for (line, &weight) in lines.zip(&row.weights) {
                for (sum, &pixel) in sums.iter_mut().zip(line) {
                    *sum += u32::from(pixel) * weight;
                }
            }
            for (column, target) in self.columns.iter().zip(target) {
                let covered = &sums[column.first..column.first + column.weights.len()];
                let sum: u32 =
                    covered.iter().zip(&column.weights).map(|(sum, weight)| sum * weight).sum();
                // At most 255, because the weights of either way add up to ONE.
                *target = u8::try_from((sum + ONE * ONE / 2) / (ONE * ONE)).unwrap_or(u8::MAX);
            }
        }
    }
}

/// What each of `to` is made of when `from` of them become so many.
fn spans(from: usize, to: usize) -> Vec<Weights> {
    (0..to).map(|n| span(from, to, n)).collect()
}

/// Output `n` covers from `n * from / to` to `(n + 1) * from / to`.
fn span(from: usize, to: usize, n: usize) -> Weights {
    let (begin, end) = (n * from, (n + 1) * from);
    let (first, last) = (begin / to, (end - 1) / to);
    let mut left = ONE;
    let mut covered = 0;
    let weights = (first..=last)
        .map(|at| {
            covered += ((at + 1) * to).min(end) - (at * to).max(begin);
            // What was rounded away before is given to the next, so that all add up to ONE.
            let upto = ONE as usize * covered / from;
            let weight = left.min(u32::try_from(upto).unwrap_or(ONE) - (ONE - left));
            left -= weight;
            weight
        })
        .collect();
    Weights { first, weights }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn four_pixels_become_their_mean() {
        let mut large = Picture::black(4, 4);
        large.fill(0, 0, 1, 4, [96, 100, 200]);
        let small = Scaler::new((4, 4), (2, 2)).scale(&large).clone();
        assert_eq!(small.planes(), (&[56, 16, 56, 16][..], &[114][..], &[164][..]));
    }

    #[test]
    fn the_height_keeps_the_shape() {
        assert_eq!(scaled_height((1_920, 1_080), 640), 360);
        assert_eq!(scaled_height((1_280, 720), 426), 238);
        assert_eq!(scaled_height((3_840, 16), 160), 2);
    }

    proptest! {
        #[test]
        fn weights_cover_everything_once(from in 1usize..5_000, to in 1usize..700) {
            let to = to.min(from);
            let spans = spans(from, to);
            prop_assert_eq!(spans[0].first, 0);
            for span in &spans {
                prop_assert_eq!(span.weights.iter().sum::<u32>(), ONE);
            }
            let last = &spans[to - 1];
            prop_assert_eq!(last.first + last.weights.len(), from);
        }

        #[test]
        fn an_even_picture_stays_even(
            from in (2u32..200, 2u32..200), to in (2u32..200, 2u32..200), colour: [u8; 3],
        ) {
            let mut large = Picture::black(from.0, from.1);
            large.fill(0, 0, 200, 200, colour);
            let mut scaler = Scaler::new(from, to);
            let (y, u, v) = scaler.scale(&large).planes();
            for (plane, value) in [(y, colour[0]), (u, colour[1]), (v, colour[2])] {
                prop_assert!(plane.iter().all(|&pixel| pixel == value));
            }
        }
    }
}
