//! One queue of a node: buffers that go to the driver and come back.
//!
//! Owns: who has which buffer. A buffer is the driver's from a queue call until it comes back or
//! the queue stops; only ours are read and written, and none is queued twice. Every index and
//! length from the driver is checked before it is used.
//!
//! ```text
//! capture   open ─► start (gives all) ─► next(read the picture; its buffer is given back)*
//! output    open ─► start             ─► [ wait ─► send(fill a buffer; it is given) ]*
//! ```

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::driver::{
    BufferTime, BufferType, Dequeued, Driver, Filled, Interest, PLANES_MAX, Ready,
};
use super::error::{Call, QueueError};
use crate::base::limits::{V4L2_BUFFERS_MAX, V4L2_INTERRUPTS_MAX, V4L2_PLANE_BYTES_MAX};

/// The buffers of one direction of a node. Dropped, it stops and gives all memory back.
pub struct Queue<D: Driver> {
    driver: Arc<D>,
    kind: BufferType,
    buffers: Vec<Buffer<D::Map>>,
    streaming: bool,
}

struct Buffer<M> {
    planes: Vec<M>,
    /// Whether the driver has it.
    lent: bool,
}

/// A picture that the device filled; it goes back to the driver when [`Queue::receive`] returns.
#[derive(Debug)]
pub struct VideoFrame<'a> {
    /// The used part of each plane.
    pub planes: Vec<&'a [u8]>,
    /// Counts pictures, those that were dropped too; wraps.
    pub sequence: u32,
    /// When it was taken.
    pub stamp: BufferTime,
    /// The driver says that it may be damaged, or said impossible lengths.
    pub damaged: bool,
    /// A key frame, by an encoder's word.
    pub key: bool,
    /// Nothing follows it (an encoder that was asked to stop).
    pub last: bool,
}

impl<D: Driver> std::fmt::Debug for Queue<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue")
            .field("kind", &self.kind)
            .field("buffers", &self.buffers.len())
            .field("streaming", &self.streaming)
            .finish_non_exhaustive()
    }
}

impl<D: Driver> Queue<D> {
    /// Has the driver make about `count` buffers for the format that is set, and maps them.
    pub fn open(driver: Arc<D>, kind: BufferType, count: u32) -> Result<Self, QueueError> {
        let mut queue = Self { driver, kind, buffers: Vec::new(), streaming: false };
        let got = queue.call(Call::RequestBuffers, |d| d.request_buffers(kind, count))?;
        if got == 0 || got > V4L2_BUFFERS_MAX {
            return Err(QueueError::BufferCount { wanted: count, got });
        }
        for index in 0..got {
            let buffer = queue.mapped(index)?;
            queue.buffers.push(buffer);
        }
        Ok(queue)
    }

    fn mapped(&self, index: u32) -> Result<Buffer<D::Map>, QueueError> {
        let rooms = self.call(Call::QueryBuffer, |d| d.query_buffer(self.kind, index))?;
        if rooms.is_empty() || rooms.len() > PLANES_MAX {
            return Err(QueueError::PlaneCount { index, got: rooms.len() });
        }
        let mut planes = Vec::with_capacity(rooms.len());
        for room in rooms {
            if room.length == 0 || room.length > V4L2_PLANE_BYTES_MAX {
                return Err(QueueError::PlaneLength { index, got_bytes: room.length });
            }
            planes.push(self.call(Call::Map, |d| d.map(room))?);
        }
        Ok(Buffer { planes, lent: false })
    }

    /// How many buffers there are; the driver may have made more or fewer than were wanted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.buffers.len()
    }

    /// Never: a queue without buffers does not open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buffers.is_empty()
    }

    /// How many buffers the driver has.
    #[must_use]
    pub fn lent(&self) -> usize {
        self.buffers.iter().filter(|buffer| buffer.lent).count()
    }

    /// Starts the stream; a capture queue gives all its buffers first.
    pub fn start(&mut self) -> Result<(), QueueError> {
        if self.kind.is_capture() {
            for index in 0..self.buffers.len() {
                if !self.buffers[index].lent {
                    self.lend(index, &Filled::default())?;
                }
            }
        }
        self.call(Call::StreamOn, |d| d.stream_on(self.kind))?;
        self.streaming = true;
        Ok(())
    }

    /// Stops the stream; all buffers are ours again. After an error some may still be the driver's.
    pub fn stop(&mut self) -> Result<(), QueueError> {
        self.call(Call::StreamOff, |d| d.stream_off(self.kind))?;
        self.streaming = false;
        for buffer in &mut self.buffers {
            buffer.lent = false;
        }
        Ok(())
    }

    /// Waits for a picture, at most for `timeout`, and continues as [`receive`](Self::receive).
    pub fn next<T>(
        &mut self,
        timeout: Duration,
        read: impl FnOnce(&VideoFrame<'_>) -> T,
    ) -> Result<Option<T>, QueueError> {
        let capture = self.kind.is_capture();
        let ready = wait(&*self.driver, Interest { capture, output: !capture }, timeout)?;
        match self.receive(read)? {
            // It would be found again at once, for ever.
            None if ready.error => Err(QueueError::Broken),
            seen => Ok(seen),
        }
    }

    /// Shows the oldest filled picture to `read` and gives its buffer back to the driver.
    /// `None` when there is none now.
    ///
    /// When giving it back fails, what `read` made is lost with the queue's use.
    pub fn receive<T>(
        &mut self,
        read: impl FnOnce(&VideoFrame<'_>) -> T,
    ) -> Result<Option<T>, QueueError> {
        let Some((index, done)) = self.take_back()? else { return Ok(None) };
        let seen = read(&frame(&self.buffers[index].planes, &done));
        self.lend(index, &Filled::default())?;
        Ok(Some(seen))
    }

    /// Lets `fill` write into a buffer that is ours, plane by plane, and gives it to the driver.
    /// `None` when the driver has them all.
    pub fn send(
        &mut self,
        fill: impl FnOnce(&mut [&mut [u8]]) -> Filled,
    ) -> Result<Option<()>, QueueError> {
        while self.streaming && self.take_back()?.is_some() {}
        let Some(index) = self.buffers.iter().position(|buffer| !buffer.lent) else {
            return Ok(None);
        };
        let buffer = &mut self.buffers[index];
        let mut planes: Vec<&mut [u8]> = buffer.planes.iter_mut().map(AsMut::as_mut).collect();
        let lengths: Vec<usize> = planes.iter().map(|plane| plane.len()).collect();
        let mut filled = fill(&mut planes);
        for (used, length) in filled.used.iter_mut().zip(lengths) {
            *used = (*used).min(u32::try_from(length).unwrap_or(u32::MAX));
        }
        self.lend(index, &filled)?;
        Ok(Some(()))
    }

    /// A buffer that the driver has done with, ours from now on.
    fn take_back(&mut self) -> Result<Option<(usize, Dequeued)>, QueueError> {
        let done = match self.call(Call::Dequeue, |d| d.dequeue_buffer(self.kind)) {
            Ok(done) => done,
            Err(QueueError::Call { source, .. }) if source.kind() == io::ErrorKind::WouldBlock => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let index = done.index as usize;
        match self.buffers.get_mut(index) {
            Some(buffer) if buffer.lent => {
                buffer.lent = false;
                Ok(Some((index, done)))
            }
            _ => Err(QueueError::ForeignBuffer { index: done.index, count: self.buffers.len() }),
        }
    }

    fn lend(&mut self, index: usize, filled: &Filled) -> Result<(), QueueError> {
        let planes = self.buffers[index].planes.len();
        // There are at most V4L2_BUFFERS_MAX buffers.
        let number = u32::try_from(index).unwrap_or(u32::MAX);
        self.call(Call::Queue, |d| d.queue_buffer(self.kind, number, planes, filled))?;
        self.buffers[index].lent = true;
        Ok(())
    }

    fn call<T>(&self, call: Call, of: impl FnMut(&D) -> io::Result<T>) -> Result<T, QueueError> {
        uninterrupted(&*self.driver, call, of)
    }
}

impl<D: Driver> Drop for Queue<D> {
    fn drop(&mut self) {
        // Errors are ignored: a device that has gone away has nothing to release buffers to.
        let _ = self.stop();
        self.buffers.clear();
        let _ = self.call(Call::RequestBuffers, |d| d.request_buffers(self.kind, 0));
    }
}

/// Waits on one or both queues of a node, at most for `timeout`; nothing is ready after that.
pub fn wait<D: Driver>(
    driver: &D,
    interest: Interest,
    timeout: Duration,
) -> Result<Ready, QueueError> {
    let begun = Instant::now();
    uninterrupted(driver, Call::Poll, |d| d.poll(interest, timeout.saturating_sub(begun.elapsed())))
}

/// Calls again what a signal interrupted.
fn uninterrupted<D: Driver, T>(
    driver: &D,
    call: Call,
    mut of: impl FnMut(&D) -> io::Result<T>,
) -> Result<T, QueueError> {
    let mut tries = 0;
    loop {
        match of(driver) {
            Err(error)
                if error.kind() == io::ErrorKind::Interrupted && tries < V4L2_INTERRUPTS_MAX =>
            {
                tries += 1;
            }
            ended => return ended.map_err(|source| QueueError::Call { call, source }),
        }
    }
}

fn frame<'a, M: AsRef<[u8]>>(planes: &'a [M], done: &Dequeued) -> VideoFrame<'a> {
    let mut damaged = done.error || done.plane_count as usize != planes.len();
    let used = planes.iter().zip(&done.planes).map(|(plane, used)| {
        let plane = plane.as_ref();
        let range = Range { start: used.offset as usize, end: used.end as usize };
        plane.get(range).unwrap_or_else(|| {
            damaged = true;
            &[]
        })
    });
    let planes = used.collect();
    let Dequeued { sequence, stamp, key, last, .. } = *done;
    VideoFrame { planes, sequence, stamp, damaged, key, last }
}
