//! A reader that the packer serves while its connection sleeps.
//!
//! Owns: what the connection lent (packets to come, queue, UDP sockets) and a second handle on its
//! socket. A reader whose socket is full, or whose stream ends, is handed back by waking its
//! connection.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use socket2::Socket;
use tokio::sync::Notify;

use super::outgoing::Outgoing;
use super::play::{Exits, Play};
use super::reception::Visitor;
use super::udp::UdpPair;
use crate::base::time::BootTime;
use crate::live::rtsp::{InlineReader, Reader, Registration};
use crate::rtp::RtpUnit;
use crate::stream::Next;

/// What sending takes.
#[derive(Debug)]
pub(super) struct Lent {
    pub(super) play: Play,
    pub(super) out: Outgoing,
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
struct PlayLane {
    held: Mutex<Held>,
    /// Who counts what is sent.
    visitor: Arc<Visitor>,
    woken: Notify,
}

#[derive(Debug)]
struct Held {
    writer: Option<Socket>,
    lent: Option<Lent>,
}

/// The connection's end of a lane; dropping it closes the lane.
#[derive(Debug)]
pub(super) struct Lender {
    lane: Arc<PlayLane>,
    _registration: Registration,
}

impl PlayLane {
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InlineReader for PlayLane {
    fn serve(&self, now: BootTime) -> Option<BootTime> {
        let Held { writer, lent } = &mut *self.lock();
        match lent.as_mut()?.turn(now, writer.as_ref(), &self.visitor) {
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

impl Lent {
    /// Sends what there is, unit by unit.
    fn turn(&mut self, now: BootTime, writer: Option<&Socket>, visitor: &Visitor) -> Turn {
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
                Some(Next::Lagged(units)) => visitor.dropped(units),
                // The connection will be told so too.
                Some(Next::Ended) => return Turn::Stuck,
                Some(Next::Item(unit)) => self.send(now, &unit, visitor),
            }
        }
    }

    fn send(&mut self, now: BootTime, unit: &RtpUnit, visitor: &Visitor) {
        let exits = Exits { tcp: &mut self.out, udp: self.udp.as_mut() };
        match self.play.send(now, unit, exits) {
            Ok(()) if self.play.carries(unit.track) => {
                visitor.handed(unit.arrived, unit.packets.framed().len());
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

impl Lender {
    /// A lane for whoever reads `reader`. Without a `writer` the connection is woken for every write.
    pub(super) fn new(reader: &Reader, writer: Option<Socket>, visitor: Arc<Visitor>) -> Self {
        let held = Mutex::new(Held { writer, lent: None });
        let lane = Arc::new(PlayLane { held, visitor, woken: Notify::new() });
        Self { _registration: reader.register(Arc::clone(&lane) as Arc<dyn InlineReader>), lane }
    }

    /// Hands over, and sends what has come meanwhile; when the lane wants to be looked at unless
    /// a unit comes before.
    pub(super) fn lend(&self, now: BootTime, lent: Lent) -> Option<BootTime> {
        self.lane.lock().lent = Some(lent);
        self.lane.serve(now)
    }

    /// Takes back what was lent.
    pub(super) fn take_back(&self) -> Option<Lent> {
        self.lane.lock().lent.take()
    }

    /// Waits until the lane needs its owner. Cancel safe.
    pub(super) async fn woken(&self) {
        self.lane.woken.notified().await;
    }
}

impl Drop for Lender {
    fn drop(&mut self) {
        // The packer may hold the lane for a moment longer; the socket must close now.
        let mut held = self.lane.lock();
        let gone = (held.writer.take(), held.lent.take());
        drop(held);
        drop(gone);
    }
}
