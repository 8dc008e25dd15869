//! The past of a stream as RTP packets or, for browsers, as fMP4: one player per session.
//!
//! Owns: which part of the ring is read for whom, its pace, and the way from its end to what
//! comes live. Does not own: the ring (`dvr`), the session (`wire::rtsp`), sockets.
//!
//! Invariants:
//! 1. At most [`REPLAY_SESSIONS_MAX`] players, each with one blocking read at a time and a bounded
//!    number of units ahead: a disk that hangs holds that many threads and no reader of live.
//! 2. Playing begins at a key frame, and every frame of the range is sent once, in the order in
//!    which it is decoded; backwards in that order inside each group of pictures.
//! 3. A session's sequence numbers only grow, over seeks and over the step to live too.
//! 4. Where the recording ends and live begins, no unit is missing and none comes twice: live is
//!    joined at a key frame, and the recording is read up to that.
//! 5. Footage that was given to newer footage under a player ends it with a reason.
//!
//! [`REPLAY_SESSIONS_MAX`]: crate::base::limits::REPLAY_SESSIONS_MAX

mod choice;
mod player;
mod reel;
mod screening;
mod timeline;
pub(super) mod unpack;
mod voices;

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use player::Replay;
pub use screening::{Program, Scene, Screening, Shown};
pub use voices::Voices;

use crate::base::limits::REPLAY_SESSIONS_MAX;
use crate::base::name::StreamName;
use crate::base::time::{SharedClock, WallTime};
use crate::dvr::{Dvr, Way};
use crate::media::Tracks;
use crate::rtp::RtpUnit;
use crate::stream::Stream;
use crate::wire::rtsp::{Refusal, Scale, Span, Start, Wish};

/// The recordings, as those get at them who play. Clones share the number of places.
#[derive(Clone, Debug)]
pub struct Archive {
    dvr: Dvr,
    places: Arc<Semaphore>,
}

/// Where playing is to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// At a date.
    From(Span),
    /// At what comes now.
    Live,
}

/// How playing begins, for the reply to PLAY.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beginning {
    /// Where each track begins.
    pub starts: Vec<Start>,
    /// The date of the first picture, and the end.
    pub span: Span,
    /// How fast.
    pub scale: Scale,
}

/// What a player gives.
#[derive(Clone, Debug)]
pub enum Came {
    /// The next unit.
    Unit(Arc<RtpUnit>),
    /// All was given.
    Over,
    /// The session is over, for this reason.
    Ended(&'static str),
}

/// Why nothing is played, or no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// As many play as may.
    #[error("too many play recordings")]
    TooMany,
    /// Nothing stands where playing was to begin.
    #[error("{}", nothing(*from, *extent))]
    NothingThere {
        /// Where that was.
        from: WallTime,
        /// From when to when anything is recorded.
        extent: Option<(WallTime, WallTime)>,
    },
    /// The footage went while it was played.
    #[error("the footage was given to newer footage while it was played")]
    Reused,
    /// The disk does not give the footage, or the footage makes no sense.
    #[error("the recording cannot be read")]
    Unreadable,
    /// The stream was taken out of the configuration.
    #[error("the stream ended")]
    StreamEnded,
}

fn nothing(from: WallTime, extent: Option<(WallTime, WallTime)>) -> String {
    let from = from.to_rfc3339();
    match extent {
        Some((oldest, newest)) => {
            let (oldest, newest) = (oldest.to_rfc3339(), newest.to_rfc3339());
            format!(
                "nothing to play from {from} on; this stream is recorded from {oldest} to {newest}"
            )
        }
        None => format!("nothing to play from {from} on"),
    }
}

impl Refused {
    /// The same as a constant, for the log.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::TooMany => "too many play recordings",
            Self::NothingThere { .. } => "nothing is recorded there",
            Self::Reused => "the footage was given to newer footage while it was played",
            Self::Unreadable => "the recording cannot be read",
            Self::StreamEnded => "the stream ended",
        }
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::TooMany => Self::TooMany,
            Refused::NothingThere { .. } => Self::NothingThere(refused.to_string()),
            Refused::Reused | Refused::Unreadable | Refused::StreamEnded => {
                Self::NotReady(refused.to_string())
            }
        }
    }
}

impl Archive {
    /// The recordings in `dvr`.
    #[must_use]
    pub fn new(dvr: Dvr) -> Self {
        Self { dvr, places: Arc::new(Semaphore::new(REPLAY_SESSIONS_MAX)) }
    }

    fn place(&self) -> Result<OwnedSemaphorePermit, Refused> {
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| Refused::TooMany)
    }

    /// A player for `stream`, which is [`ready`](Replay::ready) after a while.
    pub fn open(
        &self,
        stream: &Arc<Stream>,
        clock: &SharedClock,
        order: Order,
        wish: &Wish,
    ) -> Result<Replay, Refused> {
        let place = self.place()?;
        let tape = self.dvr.tape(stream.name()).map_err(|_| Refused::Unreadable)?;
        let (stream, clock) = (Arc::clone(stream), Arc::clone(clock));
        Ok(Replay::new(stream, clock, (self.dvr.clone(), tape), order, wish, place))
    }

    /// The tracks that `stream` had at the beginning of `span`, once the disk has told them.
    pub fn describe(&self, stream: &StreamName, span: Span) -> Result<Described, Refused> {
        let place = self.place()?;
        let mut tape = self.dvr.tape(stream).map_err(|_| Refused::Unreadable)?;
        Ok(tokio::task::spawn_blocking(move || {
            let _place = place;
            let found = tape.seek(span.from, Way::Forward).map_err(|_| Refused::Unreadable)?;
            let clip = if found { tape.forward(false) } else { Ok(None) };
            let clip = clip.map_err(|_| Refused::Unreadable)?;
            let clip = clip.filter(|clip| span.until.is_none_or(|until| clip.start < until));
            let nothing = || Refused::NothingThere { from: span.from, extent: tape.extent() };
            let clip = clip.ok_or_else(nothing)?;
            unpack::Unpacker::default().tracks(&clip).map_err(|_| Refused::Unreadable)
        }))
    }
}

/// The tracks of a recording in the making.
pub type Described = tokio::task::JoinHandle<Result<Arc<Tracks>, Refused>>;
