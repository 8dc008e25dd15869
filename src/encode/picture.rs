//! A raw picture in I420.
//!
//! Owns: the layout: a plane of luma, then the two chroma planes at half size, no padding. The
//! writer of the pixels also states their colour space.

use super::Colours;

/// One picture: 8-bit, 4:2:0; width and height are even.
#[derive(Clone, Debug, Default)]
pub struct Picture {
    width: usize,
    height: usize,
    /// Luma, `width` octets a row, then U and V, `width / 2` octets a row each.
    planes: Vec<u8>,
    colours: Colours,
}

impl Picture {
    /// A black picture in BT.709. Odd sides lose their last pixel, because chroma is shared by two.
    #[must_use]
    pub fn black(width: u32, height: u32) -> Self {
        let (width, height) = (width as usize & !1, height as usize & !1);
        let mut planes = vec![16; width * height];
        planes.resize(width * height * 3 / 2, 128);
        Self { width, height, planes, colours: Colours::BT709 }
    }

    /// Pixels across.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Pixels down.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// How its numbers are meant.
    #[must_use]
    pub fn colours(&self) -> Colours {
        self.colours
    }

    /// Says how its numbers are meant; changes none of them.
    pub fn set_colours(&mut self, colours: Colours) {
        self.colours = colours;
    }

    /// The three planes: Y, U, V.
    #[must_use]
    pub fn planes(&self) -> (&[u8], &[u8], &[u8]) {
        let (luma, chroma) = self.planes.split_at(self.width * self.height);
        let (u, v) = chroma.split_at(chroma.len() / 2);
        (luma, u, v)
    }

    /// The three planes to be written: Y, U, V.
    pub fn planes_mut(&mut self) -> (&mut [u8], &mut [u8], &mut [u8]) {
        let (luma, chroma) = self.planes.split_at_mut(self.width * self.height);
        let (u, v) = chroma.split_at_mut(chroma.len() / 2);
        (luma, u, v)
    }

    /// Fills a rectangle with one colour (Y, U, V); what falls outside the picture is clipped. The
    /// chroma of a rectangle with odd edges covers the whole pixel pairs it touches.
    pub fn fill(&mut self, x: usize, y: usize, width: usize, height: usize, colour: [u8; 3]) {
        let (right, bottom) = ((x + width).min(self.width), (y + height).min(self.height));
        if x >= right || y >= bottom {
            return;
        }
        for row in y..bottom {
            self.planes[row * self.width + x..row * self.width + right].fill(colour[0]);
        }
        let (half, luma) = (self.width / 2, self.width * self.height);
        for plane in 0..2 {
            let base = luma + plane * (luma / 4);
            for row in y / 2..bottom.div_ceil(2) {
                let row = base + row * half;
                self.planes[row + x / 2..row + right.div_ceil(2)].fill(colour[1 + plane]);
            }
        }
    }

    /// Copies the pixels of a picture of the same size, and how they are meant.
    pub fn copy_from(&mut self, other: &Self) {
        if self.planes.len() == other.planes.len() {
            self.planes.copy_from_slice(&other.planes);
            self.colours = other.colours;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rectangle_past_the_edge_is_cut() {
        let mut picture = Picture::black(6, 4);
        picture.fill(4, 2, 100, 100, [200, 1, 2]);
        picture.fill(100, 100, 2, 2, [200, 1, 2]);
        let (luma, u, v) = picture.planes();
        let filled: Vec<_> = luma.iter().filter(|&&y| y == 200).collect();
        assert_eq!(filled.len(), 4);
        assert_eq!((u, v), (&[128, 128, 128, 128, 128, 1][..], &[128, 128, 128, 128, 128, 2][..]));
    }
}
