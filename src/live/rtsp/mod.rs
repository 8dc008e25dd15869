//! RTP packets of one stream, built once per access unit for all RTSP readers.
//!
//! Owns: the packetizer task, which runs only while there are readers; the SSRC, sequence numbers
//! and timestamps of each track, which continue for the life of the stream. Does not own:
//! connections.
//!
//! Invariants:
//! 1. Packets are built once, whatever the number of readers; readers share the memory.
//! 2. A reader begins at a key frame, at once when one is in the window.
//! 3. A reader that lags by [`VIEWER_LAG_MAX`] or [`RTSP_LAG_BYTES_MAX`] is counted and resumes at
//!    the newest key frame; it delays no one.
//! 4. A reader that keeps up costs its writes and nothing else: no task wakes for it
//!    ([`InlineReader`]).

mod inline;
mod packetizer;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::base::limits::{RTSP_LAG_BYTES_MAX, VIEWER_LAG_MAX};
use crate::base::meter::{Meter, Totals};
use crate::base::sync::lock;
use crate::media::TrackId;
use crate::rtp::RtpUnit;
use crate::stream::{Allowance, Bounds, Bus, Next, Publisher, Stream, Subscriber};
use crate::supervise::{Supervisor, TaskSpec};

use inline::InlineReaders;
pub use inline::{InlineReader, Registration};
use packetizer::StreamPacketizer;

/// RTP packets of one stream, built once per access unit for all RTSP readers.
#[derive(Debug)]
pub struct RtpOutput {
    shared: Arc<SharedRtpOutput>,
    supervisor: Supervisor,
}

#[derive(Debug)]
struct SharedRtpOutput {
    stream: Arc<Stream>,
    packetizer: Mutex<StreamPacketizer>,
    /// Packets of the packetizer that runs; `None` while none does.
    running: Mutex<Option<Bus<RtpUnit>>>,
    readers: AtomicUsize,
    inline: InlineReaders,
    meter: Meter,
}

impl SharedRtpOutput {
    // No code that can panic leaves these two half changed; poisoned, they are as good as before.
    fn packetizer(&self) -> MutexGuard<'_, StreamPacketizer> {
        lock(&self.packetizer)
    }

    fn running(&self) -> MutexGuard<'_, Option<Bus<RtpUnit>>> {
        lock(&self.running)
    }
}

impl RtpOutput {
    /// Makes the RTP output of `stream`; its tasks live in `supervisor`.
    #[must_use]
    pub fn new(stream: Arc<Stream>, supervisor: Supervisor) -> Self {
        let shared = SharedRtpOutput {
            stream,
            packetizer: Mutex::new(StreamPacketizer::new(|| fastrand::u64(..))),
            running: Mutex::default(),
            readers: AtomicUsize::new(0),
            inline: InlineReaders::default(),
            meter: Meter::default(),
        };
        Self { shared: Arc::new(shared), supervisor }
    }

    /// The synchronisation source of `track`.
    #[must_use]
    pub fn ssrc(&self, track: TrackId) -> Option<u32> {
        self.shared.packetizer().ssrc(track)
    }

    /// Begins reading at the newest key frame. The first reader starts the packetizer.
    #[must_use]
    pub fn join(&self) -> PacketReader {
        let mut running = self.shared.running();
        let bus = running.get_or_insert_with(|| self.start());
        // Counted under the lock, under which the packetizer looks whether it may end.
        self.shared.readers.fetch_add(1, Relaxed);
        let units = bus.subscribe(Allowance::Viewer);
        PacketReader { units, shared: Arc::clone(&self.shared) }
    }

    /// Starts a packetizer with a window of its own, so that no reader begins with old packets.
    fn start(&self) -> Bus<RtpUnit> {
        let span_max = VIEWER_LAG_MAX + Duration::from_secs(1);
        let lag_bytes_max = RTSP_LAG_BYTES_MAX;
        let (publisher, bus) = Bus::new(Bounds { span_max, lag_bytes_max, ..Bounds::default() });
        let out = Arc::new(PacketPublisher {
            publisher: Some(publisher),
            shared: Arc::clone(&self.shared),
        });
        let shared = Arc::clone(&self.shared);
        shared.packetizer().begin_anew();
        let spec = TaskSpec::new(format!("{}/rtsp", shared.stream.name()));
        self.supervisor.keep(spec, move |context| {
            packetizer::run(Arc::clone(&shared), Arc::clone(&out), context)
        });
        bus
    }

    /// Readers now.
    #[must_use]
    pub fn readers(&self) -> usize {
        self.shared.readers.load(Relaxed)
    }

    /// Bytes of packets in memory, shared by all readers.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.shared.running().as_ref().map_or(0, Bus::bytes)
    }

    /// Units and bytes handed to readers, and units lost on the way to them.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.shared.meter.totals()
    }
}

/// Where packets leave the packetizer. Dropping it ends its readers, inline ones too.
#[derive(Debug)]
struct PacketPublisher {
    publisher: Option<Publisher<RtpUnit>>,
    shared: Arc<SharedRtpOutput>,
}

impl PacketPublisher {
    fn publish(&self, unit: RtpUnit) {
        if let Some(publisher) = &self.publisher {
            publisher.publish(Arc::new(unit));
        }
    }
}

impl Drop for PacketPublisher {
    fn drop(&mut self) {
        self.publisher = None;
        self.shared.inline.wake_all();
    }
}

/// One reader's place among the packets.
#[derive(Debug)]
pub struct PacketReader {
    units: Subscriber<RtpUnit>,
    shared: Arc<SharedRtpOutput>,
}

impl PacketReader {
    /// Waits for the next unit; counts it, and what was skipped. Cancel safe.
    pub async fn next(&mut self) -> Next<RtpUnit> {
        let next = self.units.next().await;
        self.count(&next);
        next
    }

    /// The next unit if there is one now.
    pub fn try_next(&mut self) -> Option<Next<RtpUnit>> {
        let next = self.units.try_next()?;
        self.count(&next);
        Some(next)
    }

    /// Lets the packetizer serve `reader` inline whenever it has packed a unit, until the place is given up.
    /// The caller must serve it once itself, to catch up on what came before.
    #[must_use]
    pub fn register(&self, reader: Arc<dyn InlineReader>) -> Registration {
        let id = self.shared.inline.register(reader);
        Registration { shared: Arc::clone(&self.shared), id }
    }

    fn count(&self, next: &Next<RtpUnit>) {
        match next {
            Next::Item(unit) => self.shared.meter.unit(unit.packets.octets()),
            Next::Lagged(units) => self.shared.meter.lost(*units),
            Next::Ended => {}
        }
    }
}

impl Drop for PacketReader {
    fn drop(&mut self) {
        self.shared.readers.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests;
