//! Bytes on their way into one connection.
//!
//! Owns: the queue, vectored writes, and the knowledge of when the peer last took a byte.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::{Buf, Bytes};

use crate::base::limits::RTSP_WRITE_STALL_MAX;
use crate::base::time::BootTime;

/// Pieces of one write; the kernel takes up to 1024.
const SLICES_MAX: usize = 16;

/// Bytes that wait for the socket.
#[derive(Debug)]
pub(super) struct SendQueue {
    queue: VecDeque<Bytes>,
    bytes: usize,
    /// When the peer last took a byte, or the queue began to fill.
    progress: BootTime,
}

impl SendQueue {
    pub(super) fn new(now: BootTime) -> Self {
        Self { queue: VecDeque::new(), bytes: 0, progress: now }
    }

    /// Adds bytes. Check [`Self::bytes`] first.
    pub(super) fn push(&mut self, now: BootTime, bytes: Bytes) {
        if self.queue.is_empty() {
            self.progress = now;
        }
        self.bytes += bytes.len();
        self.queue.push_back(bytes);
    }

    /// Bytes waiting.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// When the peer has taken nothing for too long; `None` while nothing waits.
    pub(super) fn deadline(&self) -> Option<BootTime> {
        (!self.is_empty()).then(|| self.progress.after(RTSP_WRITE_STALL_MAX))
    }

    /// Writes as much as `try_write` takes at once.
    pub(super) fn write(
        &mut self,
        now: BootTime,
        mut try_write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<()> {
        while !self.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let count = self.queue.len().min(SLICES_MAX);
            for (slice, bytes) in slices.iter_mut().zip(&self.queue) {
                *slice = IoSlice::new(bytes);
            }
            match try_write(&slices[..count]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.advance(now, written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn advance(&mut self, now: BootTime, mut written: usize) {
        self.progress = now;
        self.bytes -= written;
        while let Some(front) = self.queue.front_mut() {
            if front.len() > written {
                front.advance(written);
                return;
            }
            written -= front.len();
            self.queue.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partial_writes_leave_the_rest_and_move_the_deadline() {
        let mut out = SendQueue::new(BootTime::default());
        assert_eq!(out.deadline(), None);
        let at = BootTime::from_millis;
        out.push(at(5), Bytes::from_static(b"abc"));
        out.push(at(6), Bytes::from_static(b"defg"));
        assert_eq!(out.deadline(), Some(at(5).after(RTSP_WRITE_STALL_MAX)));
        out.advance(at(9), 4);
        assert_eq!(out.deadline(), Some(at(9).after(RTSP_WRITE_STALL_MAX)));
        assert_eq!((out.bytes(), &out.queue[0][..]), (3, &b"efg"[..]));
        out.advance(at(9), 3);
        assert!(out.is_empty() && out.queue.is_empty());
    }
}
