//! Who reads recordings at the moment, and how downloads ended, for `/metrics`.
//!
//! Owns: the counts, by stream. Those are the streams that the configuration names or the ring
//! holds, never what a client calls one, so that there are few.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use tracing::warn;

use crate::base::name::StreamName;
use crate::base::sync::lock;
use crate::base::time::BootTime;
use crate::live::hls::Addresses;
use crate::playback::export::ExportError;

/// An HLS player of the past that asked for nothing for so long has gone, or is paused: several
/// of the longest segments.
const PLAYER_SILENCE_MAX: Duration = Duration::from_secs(60);

/// The counts. Clones are handles to the same.
#[derive(Clone, Debug, Default)]
pub(super) struct ArchiveStats(Arc<Mutex<BTreeMap<StreamName, Counts>>>);

#[derive(Debug, Default)]
struct Counts {
    told: StreamStats,
    players: Addresses,
}

/// What is counted of one stream.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StreamStats {
    /// Browsers that play it.
    pub(super) browsers: u64,
    /// Addresses that lately asked for HLS of the past.
    pub(super) players: u64,
    /// Downloads that are sent.
    pub(super) downloads: u64,
    /// Bytes of downloads that were sent.
    pub(super) bytes: u64,
    /// Downloads that ended, by their [`Outcome`].
    pub(super) ended: [u64; 3],
}

/// How a download ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All that was asked for was handed to the socket.
    Whole,
    /// The client went.
    Cancelled,
    /// The footage went, or could not be read.
    Broken,
}

impl Outcome {
    /// All of them, in the order of [`StreamStats::ended`].
    pub(super) const ALL: [Self; 3] = [Self::Whole, Self::Cancelled, Self::Broken];

    /// As a label.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Cancelled => "cancelled",
            Self::Broken => "broken",
        }
    }
}

impl ArchiveStats {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<StreamName, Counts>> {
        lock(&self.0)
    }

    fn count(&self, stream: &StreamName, change: impl FnOnce(&mut StreamStats)) {
        change(&mut self.lock().entry(stream.clone()).or_default().told);
    }

    /// Every stream of which anything was counted.
    pub(super) fn all(&self, now: BootTime) -> Vec<(StreamName, StreamStats)> {
        let told = |(stream, counts): (&StreamName, &mut Counts)| {
            let players = counts.players.count(now, PLAYER_SILENCE_MAX) as u64;
            (stream.clone(), StreamStats { players, ..counts.told })
        };
        self.lock().iter_mut().map(told).collect()
    }

    /// A player at `peer` asked for a playlist of the past.
    pub(super) fn asks(&self, stream: &StreamName, peer: IpAddr, now: BootTime) {
        self.lock().entry(stream.clone()).or_default().players.saw(peer, now);
    }

    /// It asked for a segment; one of live has the same names.
    pub(super) fn continues(&self, stream: &StreamName, peer: IpAddr, now: BootTime) {
        if let Some(counts) = self.lock().get_mut(stream) {
            counts.players.saw_again(peer, now);
        }
    }

    /// A browser plays the past for as long as what is returned lives.
    pub(super) fn browser(&self, stream: &StreamName) -> Browser {
        self.count(stream, |told| told.browsers += 1);
        Browser { stats: self.clone(), stream: stream.clone() }
    }

    /// A download of `bytes` bytes, which begins with its first piece.
    pub(super) fn download(&self, stream: &StreamName, bytes: u64) -> Download {
        let (stats, stream) = (self.clone(), stream.clone());
        Download { stats, stream, left: bytes, begun: false, broken: false }
    }
}

/// A browser that plays the past.
#[derive(Debug)]
pub(super) struct Browser {
    stats: ArchiveStats,
    stream: StreamName,
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.stats.count(&self.stream, |told| told.browsers -= 1);
    }
}

/// A download under way; it has ended when this is dropped.
#[derive(Debug)]
pub(super) struct Download {
    stats: ArchiveStats,
    stream: StreamName,
    left: u64,
    begun: bool,
    broken: bool,
}

impl Download {
    /// Takes note of what is sent next.
    pub(super) fn sends(&mut self, piece: &Result<Bytes, ExportError>) {
        let bytes = piece.as_ref().map_or(0, |piece| piece.len() as u64);
        self.left = self.left.saturating_sub(bytes);
        let begins = !std::mem::replace(&mut self.begun, true);
        self.stats.count(&self.stream, |told| {
            told.downloads += u64::from(begins);
            told.bytes += bytes;
        });
        if let Err(error) = piece {
            self.broken = true;
            warn!(stream = %self.stream, %error, "download of a recording ended early");
        }
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        if !self.begun {
            return;
        }
        let outcome = match self.left {
            _ if self.broken => Outcome::Broken,
            0 => Outcome::Whole,
            _ => Outcome::Cancelled,
        };
        self.stats.count(&self.stream, |told| {
            told.downloads -= 1;
            told.ended[outcome as usize] += 1;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dvr::DvrError;

    #[test]
    fn a_download_is_counted_by_how_it_ended() {
        let (stats, gate) = (ArchiveStats::default(), StreamName::parse("gate").unwrap());
        let piece = |bytes: usize| Ok(Bytes::from(vec![0; bytes]));
        let told = || stats.all(BootTime::default())[0].1;
        drop(stats.download(&gate, 10));
        assert!(stats.all(BootTime::default()).is_empty(), "nothing was sent");
        let mut whole = stats.download(&gate, 10);
        whole.sends(&piece(6));
        whole.sends(&piece(4));
        let mut broken = stats.download(&gate, 10);
        broken.sends(&piece(6));
        assert_eq!((told().downloads, told().bytes), (2, 16));
        broken.sends(&Err(DvrError::Reused { slot: 1 }.into()));
        drop((whole, broken));
        let mut cancelled = stats.download(&gate, 10);
        cancelled.sends(&piece(9));
        drop(cancelled);
        assert_eq!((told().downloads, told().bytes, told().ended), (0, 25, [1, 1, 1]));
    }

    #[test]
    fn a_player_of_the_past_counts_until_it_asks_for_nothing_more() {
        let (stats, gate) = (ArchiveStats::default(), StreamName::parse("gate").unwrap());
        let (player, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let at = BootTime::from_millis;
        let players = |now| stats.all(now).first().map_or(0, |(_, told)| told.players);
        stats.continues(&gate, player, at(0));
        assert_eq!(players(at(0)), 0, "a segment alone may be of live");
        stats.asks(&gate, player, at(0));
        stats.continues(&gate, player, at(50_000));
        stats.continues(&gate, other, at(50_000));
        assert_eq!((players(at(100_000)), players(at(111_000))), (1, 0));
    }
}
