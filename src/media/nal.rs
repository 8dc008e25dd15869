//! NAL units behind 4-byte lengths, and the way there from Annex B.
//!
//! Owns: walking both forms. Does not own: what a NAL means (see `codec`).

use bytes::{BufMut, Bytes, BytesMut};
use memchr::memmem;

/// What is before each NAL unit of a byte stream, its leading zero apart (ITU-T H.264 §B.1).
pub(crate) const START_CODE: &[u8] = &[0, 0, 1];

/// Walks the NAL units of a length-prefixed access unit (ISO/IEC 14496-15 §5.3.3.1 with
/// `lengthSizeMinusOne` 3).
///
/// Stops silently at a length that runs past the end; [`is_whole`] tells whether that happens.
#[derive(Clone, Debug)]
pub struct Nals<'a> {
    rest: &'a [u8],
}

impl<'a> Nals<'a> {
    /// Walks `data`.
    #[must_use]
    pub fn new(data: &'a [u8]) -> Self {
        Self { rest: data }
    }
}

impl<'a> Iterator for Nals<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.rest.split_first_chunk::<4>()?;
        let length = u32::from_be_bytes(*length) as usize;
        let (nal, rest) = rest.split_at_checked(length)?;
        self.rest = rest;
        Some(nal)
    }
}

/// Whether `data` is nothing but whole, non-empty length-prefixed NAL units.
#[must_use]
pub fn is_whole(data: &[u8]) -> bool {
    let mut nals = Nals::new(data);
    nals.by_ref().all(|nal| !nal.is_empty()) && nals.rest.is_empty()
}

/// Walks the NAL units of an Annex B byte stream (ITU-T H.264 Annex B), without start codes
/// and trailing zeros. Bytes before the first start code are not part of any NAL.
pub fn annex_b(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut codes = memmem::find_iter(data, START_CODE).peekable();
    std::iter::from_fn(move || {
        let begin = codes.next()? + START_CODE.len();
        let end = codes.peek().copied().unwrap_or(data.len());
        Some(without_trailing_zeros(&data[begin..end]))
    })
    .filter(|nal| !nal.is_empty())
}

/// A NAL unit without the zero bytes that may follow it before the next start code (§B.1).
pub(crate) fn without_trailing_zeros(nal: &[u8]) -> &[u8] {
    let zeros = nal.iter().rev().take_while(|&&octet| octet == 0).count();
    &nal[..nal.len() - zeros]
}

/// Whether `data` begins with a start code (ITU-T H.264 annex B).
pub(crate) fn begins_annex_b(data: &[u8]) -> bool {
    data.starts_with(START_CODE) || data.starts_with(&[0, 0, 0, 1])
}

/// Puts NAL units behind 4-byte lengths, one after the other.
pub fn length_prefixed<'a>(nals: impl IntoIterator<Item = &'a [u8]>) -> Bytes {
    let mut out = BytesMut::new();
    for nal in nals {
        // A NAL comes from a buffer bounded by ACCESS_UNIT_BYTES_MAX, far below 4 GiB.
        out.put_u32(u32::try_from(nal.len()).expect("an access unit is bounded far below 4 GiB"));
        out.extend_from_slice(nal);
    }
    out.freeze()
}

/// Turns a length-prefixed access unit into Annex B with 4-byte start codes, for decoders.
#[must_use]
pub fn to_annex_b(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len());
    for nal in Nals::new(data) {
        out.extend_from_slice(&[0, 0, 0, 1]);
        out.extend_from_slice(nal);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annex_b_becomes_length_prefixed_and_back() {
        let stream = [0, 0, 0, 1, 9, 16, 0, 0, 1, 5, 0, 0, 3, 1, 7, 0, 0, 0, 1, 6, 6, 0];
        let nals: Vec<_> = annex_b(&stream).collect();
        assert_eq!(nals, [&[9u8, 16][..], &[5, 0, 0, 3, 1, 7], &[6, 6]]);
        let data = length_prefixed(annex_b(&stream));
        assert!(is_whole(&data));
        assert_eq!(Nals::new(&data).collect::<Vec<_>>(), nals);
        assert_eq!(annex_b(&to_annex_b(&data)).collect::<Vec<_>>(), nals);
    }

    #[test]
    fn a_length_past_the_end_ends_the_walk() {
        let data = [0, 0, 0, 2, 1, 2, 0, 0, 0, 9, 3];
        assert_eq!(Nals::new(&data).count(), 1);
        assert!(!is_whole(&data));
    }

    #[test]
    fn an_empty_nal_is_not_whole() {
        assert!(!is_whole(&[0, 0, 0, 0]));
        assert_eq!(annex_b(&[0, 0, 1, 0, 0, 1]).count(), 0);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_walks_panic(data: Vec<u8>) {
            let _ = Nals::new(&data).count();
            let _ = annex_b(&data).count();
            let _ = is_whole(&data);
        }
    }
}
