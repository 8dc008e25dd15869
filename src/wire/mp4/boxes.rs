//! Writes boxes whose length is known only when their content is complete.
//!
//! Owns: the 8 bytes in front of every box (ISO/IEC 14496-12 §4.2). Boxes here stay far below
//! 4 GiB, so the 64-bit form is never written.

use bytes::BufMut;

/// Appends a box of type `kind` with what `content` appends.
pub fn put_box(out: &mut Vec<u8>, kind: &[u8; 4], content: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.put_u32(0);
    out.put_slice(kind);
    content(out);
    let length = u32::try_from(out.len() - start).expect("boxes are bounded far below 4 GiB");
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

/// Appends a full box: a box that begins with `version` and 24 bits of `flags` (§4.2).
pub fn put_full_box(
    out: &mut Vec<u8>,
    kind: &[u8; 4],
    version: u8,
    flags: u32,
    content: impl FnOnce(&mut Vec<u8>),
) {
    put_box(out, kind, |out| {
        out.put_u32((u32::from(version) << 24) | (flags & 0x00ff_ffff));
        content(out);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_says_its_own_length_and_its_childrens() {
        let mut out = vec![0xaa];
        put_box(&mut out, b"outr", |out| {
            put_full_box(out, b"innr", 1, 2, |out| out.push(7));
        });
        let inner = [0, 0, 0, 13, b'i', b'n', b'n', b'r', 1, 0, 0, 2, 7];
        assert_eq!(out[..9], [0xaa, 0, 0, 0, 21, b'o', b'u', b't', b'r']);
        assert_eq!(out[9..], inner);
    }
}
