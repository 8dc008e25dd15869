//! The HLS output of one stream.
//!
//! Owns: the task that cuts the stream into segments, from its first unit on and whether or not
//! anybody watches, so that a player begins at once; and the answers to players. The segments'
//! samples are the bytes that the bus holds, so that what HLS adds to memory is what is older
//! than the bus window: at most [`HLS_BYTES_MAX`](crate::base::limits::HLS_BYTES_MAX). Nothing
//! is written to disk.

mod cutter;
mod error;
mod readers;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::watch;

pub use error::HlsError;
use readers::Readers;

use crate::base::limits::HLS_FIRST_ANSWER_TIME_MAX;
use crate::base::meter::Meter;
use crate::base::time::SharedClock;
use crate::bus::{State, Stream};
use crate::supervise::{Supervisor, TaskSpec};
use crate::wire::hls::{Found, Init, Playlist, Segment};

/// A new player would begin with a segment; if that was listed longer ago than so many target
/// durations the stream is not offered to it: old footage must not pass for live. In a stream
/// that runs it is two.
const STALE_TARGETS: u32 = 5;

/// The HLS output of one stream.
#[derive(Debug)]
pub struct Hls {
    stream: Arc<Stream>,
    clock: SharedClock,
    shared: Arc<Shared>,
}

/// What the cutting task and the answers share.
#[derive(Debug)]
struct Shared {
    playlist: Mutex<Playlist>,
    readers: Mutex<Readers>,
    /// Changes with every segment.
    grown: watch::Sender<u64>,
    meter: Meter,
}

impl Shared {
    fn playlist(&self) -> MutexGuard<'_, Playlist> {
        self.playlist.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn readers(&self) -> MutexGuard<'_, Readers> {
        self.readers.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Hls {
    /// Makes the outlet of `stream`; its task lives in `supervisor` and begins at once.
    #[must_use]
    pub fn new(stream: Arc<Stream>, supervisor: Supervisor) -> Self {
        let clock = Arc::clone(supervisor.clock());
        let shared = Arc::new(Shared {
            playlist: Mutex::new(Playlist::new(clock.wall())),
            readers: Mutex::default(),
            grown: watch::Sender::new(0),
            meter: Meter::default(),
        });
        let (cut, into) = (Arc::clone(&stream), Arc::clone(&shared));
        supervisor.keep(TaskSpec::new(format!("{}/hls", stream.name())), move |context| {
            cutter::run(Arc::clone(&cut), Arc::clone(&into), context)
        });
        Self { stream, clock, shared }
    }

    /// Units and bytes put into segments, units passed over, restarts of the cutting task.
    #[must_use]
    pub fn meter(&self) -> &Meter {
        &self.shared.meter
    }

    /// Addresses that asked for the media playlist while it was current.
    #[must_use]
    pub fn readers(&self) -> usize {
        self.shared.readers().count(self.clock.boot(), self.reader_span())
    }

    fn reader_span(&self) -> Duration {
        self.shared.playlist().target().unwrap_or(HLS_FIRST_ANSWER_TIME_MAX) * STALE_TARGETS
    }

    /// Why the sound is left out, if it is.
    #[must_use]
    pub fn audio_dropped(&self) -> Option<String> {
        self.shared.playlist().format().and_then(|format| format.audio_dropped.clone())
    }

    /// The multivariant playlist. Waits until enough segments are there for a player to begin,
    /// at most [`HLS_FIRST_ANSWER_TIME_MAX`].
    pub async fn multivariant(&self) -> Result<String, HlsError> {
        self.ready().await?;
        self.shared.playlist().multivariant().ok_or(HlsError::TooEarly)
    }

    /// The media playlist, for a player at `peer`. Waits like [`Hls::multivariant`] while the
    /// stream is new; later it goes on also while the camera is away, so that a player that
    /// waits is not thrown out.
    pub async fn media(&self, peer: IpAddr) -> Result<String, HlsError> {
        if !self.shared.playlist().is_ready() {
            self.ready().await?;
        }
        self.shared.readers().saw(peer, self.clock.boot());
        self.shared.playlist().media().ok_or(HlsError::TooEarly)
    }

    /// A segment.
    pub fn segment(&self, number: u64) -> Result<Arc<Segment>, HlsError> {
        found(self.shared.playlist().segment(number))
    }

    /// An initialisation section.
    pub fn init(&self, number: u64) -> Result<Arc<Init>, HlsError> {
        found(self.shared.playlist().init(number))
    }

    async fn ready(&self) -> Result<(), HlsError> {
        let mut grown = self.shared.grown.subscribe();
        let mut state = self.stream.watch_state();
        let wait = async {
            loop {
                grown.mark_unchanged();
                state.mark_unchanged();
                if self.is_current() {
                    return Ok(());
                }
                if let State::Offline { reason } = self.stream.state().0 {
                    return Err(HlsError::Offline { reason });
                }
                // The senders live in `self`.
                tokio::select! {
                    _ = grown.changed() => {}
                    _ = state.changed() => {}
                }
            }
        };
        tokio::time::timeout(HLS_FIRST_ANSWER_TIME_MAX, wait)
            .await
            .unwrap_or(Err(HlsError::TooEarly))
    }

    /// Whether the list is long enough and new enough to begin with.
    fn is_current(&self) -> bool {
        let playlist = self.shared.playlist();
        let age = playlist.start_age(self.clock.boot());
        let limit = playlist.target().map(|target| target * STALE_TARGETS);
        age.zip(limit).is_some_and(|(age, limit)| age <= limit)
    }
}

fn found<T>(found: Found<T>) -> Result<Arc<T>, HlsError> {
    match found {
        Found::Here(it) => Ok(it),
        Found::Expired => Err(HlsError::Expired),
        Found::Unknown => Err(HlsError::Unknown),
    }
}
