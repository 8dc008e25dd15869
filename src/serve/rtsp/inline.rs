//! Delivery by the packetizer task itself while the connection's own task sleeps.
//!
//! Owns: the sending half that the connection parked (source, queue, UDP sockets) and a second
//! handle on its socket. When the socket is full or the stream ends, the connection is woken and
//! takes its half back.

use std::sync::{Arc, Mutex, MutexGuard};

use socket2::Socket;
use tokio::sync::Notify;

use super::play::{PacketSink, Play, PlayNext};
use super::registry::SessionStats;
use super::send_queue::SendQueue;
use super::udp::UdpPair;
use crate::base::sync::lock;
use crate::base::time::BootTime;
use crate::live::rtsp::{InlineReader, PacketReader, Registration};
use crate::rtp::RtpUnit;

/// The sending half of a connection.
#[derive(Debug)]
pub(super) struct Parked {
    pub(super) play: Play,
    pub(super) out: SendQueue,
    pub(super) udp: Option<UdpPair>,
    /// Why the connection has to end.
    pub(super) end: Option<&'static str>,
}

/// How far one turn came.
enum Turn {
    /// Everything has left.
    Done,
    /// More may leave at this time.
    Until(BootTime),
    /// The connection has to look.
    Stuck,
}

#[derive(Debug)]
struct InlineSender {
    held: Mutex<Held>,
    /// Counts what is sent.
    stats: Arc<SessionStats>,
    woken: Notify,
}

#[derive(Debug)]
struct Held {
    writer: Option<Socket>,
    parked: Option<Parked>,
}

/// The connection's end; dropping it ends inline delivery.
#[derive(Debug)]
pub(super) struct InlineHandle {
    inline: Arc<InlineSender>,
    _registration: Registration,
}

impl InlineSender {
    fn lock(&self) -> MutexGuard<'_, Held> {
        lock(&self.held)
    }
}

impl InlineReader for InlineSender {
    fn serve(&self, now: BootTime) -> Option<BootTime> {
        let Held { writer, parked } = &mut *self.lock();
        match parked.as_mut()?.turn(now, writer.as_ref(), &self.stats) {
            Turn::Done => None,
            Turn::Until(at) => Some(at),
            Turn::Stuck => {
                self.woken.notify_one();
                None
            }
        }
    }

    fn wake(&self) {
        self.woken.notify_one();
    }
}

impl Parked {
    /// Sends what there is, unit by unit.
    fn turn(&mut self, now: BootTime, writer: Option<&Socket>, stats: &SessionStats) -> Turn {
        loop {
            if !self.write(now, writer) {
                return Turn::Stuck;
            }
            if let Some(udp) = &mut self.udp {
                udp.send(now);
                if let Some(at) = udp.deadline() {
                    return Turn::Until(at);
                }
            }
            match self.play.try_next() {
                None => return Turn::Done,
                // The stream counts it where it lags; the next unit is a key frame.
                Some(PlayNext::Lagged(units)) => stats.dropped(units),
                // The connection will learn of it too.
                Some(PlayNext::RangeOver | PlayNext::Ended) => return Turn::Stuck,
                Some(PlayNext::Unit(unit)) => self.send(now, &unit, stats),
            }
        }
    }

    fn send(&mut self, now: BootTime, unit: &RtpUnit, stats: &SessionStats) {
        let sink = PacketSink { tcp: &mut self.out, udp: self.udp.as_mut() };
        match self.play.send(now, unit, sink) {
            Ok(()) if self.play.carries(unit.track) => {
                stats.handed(unit.arrived, unit.packets.framed().len());
            }
            Ok(()) => {}
            Err(_) => self.end = Some("the codec changed"),
        }
    }

    /// Whether all has left that waits for the connection's own socket. An error shows again when
    /// the connection writes.
    fn write(&mut self, now: BootTime, writer: Option<&Socket>) -> bool {
        if let Some(writer) = writer {
            // Mostly one piece of memory, for which the shorter call is the cheaper one.
            let _ = self.out.write(now, |slices| match slices {
                [one] => writer.send(one),
                several => writer.send_vectored(several),
            });
        }
        self.out.is_empty() && self.end.is_none()
    }
}

impl InlineHandle {
    /// Registers inline delivery for `reader`. Without a `writer` every write wakes the connection.
    pub(super) fn new(
        reader: &PacketReader,
        writer: Option<Socket>,
        stats: Arc<SessionStats>,
    ) -> Self {
        let held = Mutex::new(Held { writer, parked: None });
        let inline = Arc::new(InlineSender { held, stats, woken: Notify::new() });
        Self {
            _registration: reader.register(Arc::clone(&inline) as Arc<dyn InlineReader>),
            inline,
        }
    }

    /// Parks the sending half and sends what has come meanwhile. Returns when it must be served
    /// again if no unit comes before.
    pub(super) fn park(&self, now: BootTime, parked: Parked) -> Option<BootTime> {
        self.inline.lock().parked = Some(parked);
        self.inline.serve(now)
    }

    /// Takes the sending half back.
    pub(super) fn unpark(&self) -> Option<Parked> {
        self.inline.lock().parked.take()
    }

    /// Waits until the connection has to act. Cancel safe.
    pub(super) async fn woken(&self) {
        self.inline.woken.notified().await;
    }
}

impl Drop for InlineHandle {
    fn drop(&mut self) {
        // The packetizer may hold a reference a moment longer; the socket must close now.
        let mut held = self.inline.lock();
        let gone = (held.writer.take(), held.parked.take());
        drop(held);
        drop(gone);
    }
}
