//! Draws the test picture: bars, a moving block, digits and machine-readable bars.
//!
//! Owns: the layout. All sizes follow from the picture's height.

use crate::base::time::WallTime;
use crate::encode::{Colours, Picture};

/// The seven 75 % bars of SMPTE EG 1, from white to blue, in BT.709 video range.
const BARS: [[u8; 3]; 7] = [
    [180, 128, 128],
    [168, 44, 136],
    [145, 147, 44],
    [133, 63, 52],
    [63, 193, 204],
    [51, 109, 212],
    [28, 212, 120],
];
const BLACK: [u8; 3] = [16, 128, 128];
const WHITE: [u8; 3] = [235, 128, 128];
const ORANGE: [u8; 3] = [160, 60, 190];

/// Bits of one machine-readable bar.
const BAR_BITS: usize = 48;

/// The static part of the picture.
#[derive(Debug)]
pub(super) struct Scene {
    background: Picture,
}

/// A picture that is being drawn.
struct Canvas<'a>(&'a mut Picture);

impl Scene {
    pub(super) fn new(width: u32, height: u32) -> Self {
        let mut background = Picture::black(width, height);
        background.set_colours(Colours::BT709);
        let (width, height) = (background.width(), background.height());
        for (i, &colour) in BARS.iter().enumerate() {
            let (left, right) = (width * i / BARS.len(), width * (i + 1) / BARS.len());
            background.fill(left, 0, right - left, height * 3 / 4, colour);
        }
        Self { background }
    }

    /// Draws frame `number` as of `wall` onto `picture`, which is of the scene's size.
    ///
    /// The two machine-readable bars are at the bottom, each of 48 blocks, most significant bit
    /// first, white for one: above the frame number, below the Unix time in milliseconds.
    pub(super) fn draw(&self, picture: &mut Picture, number: u64, wall: WallTime) {
        picture.copy_from(&self.background);
        let (width, height) = (picture.width(), picture.height());
        let mut canvas = Canvas(picture);
        let block = height / 8;
        let span = width.saturating_sub(block).max(1);
        let step = usize::try_from(number % (2 * span as u64)).unwrap_or(0) * 4 % (2 * span);
        let x = if step < span { step } else { 2 * span - step };
        canvas.0.fill(x, height * 3 / 5 - block, block, block, ORANGE);
        let scale = (height / 120).max(1);
        canvas.text(&wall.to_rfc3339(), 2 * scale, height * 3 / 4 + 2 * scale, scale);
        canvas.text(&format!("#{number}"), 2 * scale, height * 3 / 4 + 11 * scale, scale);
        let bar = (height / 45).max(2);
        canvas.bar(number, height - 2 * bar, bar);
        canvas.bar(wall.as_unix_millis().cast_unsigned(), height - bar, bar);
    }
}

impl Canvas<'_> {
    fn bar(&mut self, value: u64, y: usize, height: usize) {
        let width = self.0.width();
        for bit in 0..BAR_BITS {
            let (left, right) = (width * bit / BAR_BITS, width * (bit + 1) / BAR_BITS);
            let set = value >> (BAR_BITS - 1 - bit) & 1 == 1;
            self.0.fill(left, y, right - left, height, if set { WHITE } else { BLACK });
        }
    }

    /// Writes `text` in cells of 6x8 dots; characters without a glyph stay blank.
    fn text(&mut self, text: &str, x: usize, y: usize, scale: usize) {
        for (i, character) in text.chars().enumerate() {
            for (row, dots) in glyph(character).iter().enumerate() {
                for column in (0..5).filter(|column| dots >> (4 - column) & 1 == 1) {
                    let left = x + (i * 6 + column) * scale;
                    self.0.fill(left, y + row * scale, scale, scale, WHITE);
                }
            }
        }
    }
}

/// Seven rows of five dots, the leftmost in bit 4.
fn glyph(character: char) -> [u8; 7] {
    match character {
        '0' => [14, 17, 19, 21, 25, 17, 14],
        '1' => [4, 12, 4, 4, 4, 4, 14],
        '2' => [14, 17, 1, 2, 4, 8, 31],
        '3' => [31, 2, 4, 2, 1, 17, 14],
        '4' => [2, 6, 10, 18, 31, 2, 2],
        '5' => [31, 16, 30, 1, 1, 17, 14],
        '6' => [6, 8, 16, 30, 17, 17, 14],
        '7' => [31, 1, 2, 4, 8, 8, 8],
        '8' => [14, 17, 17, 14, 17, 17, 14],
        '9' => [14, 17, 17, 15, 1, 2, 12],
        ':' => [0, 4, 4, 0, 4, 4, 0],
        '.' => [0, 0, 0, 0, 0, 4, 4],
        '-' => [0, 0, 0, 31, 0, 0, 0],
        'T' => [31, 4, 4, 4, 4, 4, 4],
        'Z' => [31, 1, 2, 4, 8, 16, 31],
        '#' => [10, 10, 31, 10, 31, 10, 10],
        _ => [0; 7],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a bar back as a program would.
    fn read(picture: &Picture, y: usize) -> u64 {
        let width = picture.width();
        (0..BAR_BITS).fold(0, |value, bit| {
            let x = width * (2 * bit + 1) / (2 * BAR_BITS);
            value << 1 | u64::from(picture.planes().0[y * width + x] > 125)
        })
    }

    #[test]
    fn the_bars_hold_the_frame_number_and_the_time() {
        let wall = WallTime::from_unix_nanos(1_795_363_523_480_000_000);
        let mut picture = Picture::black(1280, 720);
        Scene::new(1280, 720).draw(&mut picture, 123_456, wall);
        assert_eq!(read(&picture, 720 - 24), 123_456);
        assert_eq!(read(&picture, 720 - 8), 1_795_363_523_480);
    }

    #[test]
    fn every_size_can_be_drawn() {
        for (width, height) in [(160, 120), (161, 121), (3840, 2160)] {
            let mut picture = Picture::black(width, height);
            for number in [0, u64::MAX] {
                Scene::new(width, height).draw(&mut picture, number, WallTime::default());
            }
        }
    }
}
