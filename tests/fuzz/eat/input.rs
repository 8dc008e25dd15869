//! Takes an input apart.

/// What is left of an input.
#[derive(Clone, Copy)]
pub(crate) struct Input<'a>(pub(crate) &'a [u8]);

impl<'a> Input<'a> {
    /// The next byte; zero at the end.
    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// As many of the next bytes as there are.
    pub(crate) fn take(&mut self, bytes: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(bytes.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Bytes behind their length, which has two bytes.
    pub(crate) fn counted(&mut self) -> &'a [u8] {
        let bytes = u16::from_be_bytes([self.byte(), self.byte()]);
        self.take(usize::from(bytes))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The bytes allowed in one line, as far as they go.
pub(crate) fn line(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|byte| b"\r\n".contains(byte)).unwrap_or(bytes.len());
    &bytes[..end]
}
