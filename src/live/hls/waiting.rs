//! Answers that wait for what has not come yet: blocking reloads and hinted parts (8216bis §6.2.5.2,
//! §6.2.6).
//!
//! Owns: how long, and how many.

use std::sync::Arc;
use std::time::Duration;

use super::{Hls, HlsError, found};
use crate::wire::hls::{Lookup, Part, Parts, Playlist};

/// How many target durations an answer waits at most.
const WAIT_TARGETS: u32 = 3;
/// A segment further behind the newest than this is not one that a player can know of.
const AHEAD_SEGMENTS_MAX: u64 = 2;

/// What a player of low latency asks for besides the playlist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Directives {
    /// `_HLS_msn`: the answer waits until this segment is listed.
    pub segment: Option<u64>,
    /// `_HLS_part`: or, already, this part of it.
    pub part: Option<u64>,
    /// `_HLS_skip`: what the player has may be left out.
    pub skip: bool,
}

impl Hls {
    /// Waits until the requested part or segment is listed. Directives apply to lists with parts;
    /// any other list is answered at once, as if there were none.
    pub(super) async fn reached(&self, asked: Directives) -> Result<(), HlsError> {
        if asked.part.is_some() && asked.segment.is_none() {
            return Err(HlsError::PartWithoutSegment);
        }
        let Some(segment) = asked.segment else { return Ok(()) };
        if !matches!(self.shared.list().playlist.parts(), Parts::Told(_)) {
            return Ok(());
        }
        self.wait(|playlist| {
            let (newest, _) = playlist.next();
            if segment > newest + AHEAD_SEGMENTS_MAX {
                return Some(Err(HlsError::FarAhead { segment, next: newest }));
            }
            is_listed(playlist, segment, asked.part).then_some(Ok(()))
        })
        .await
    }

    /// A part; one that was hinted at is waited for.
    pub async fn part(&self, segment: u64, at: u64) -> Result<Arc<Part>, HlsError> {
        self.wait(|playlist| match playlist.part(segment, at) {
            Lookup::Unknown if playlist.next() == (segment, at) && playlist.is_open() => None,
            answer => Some(found(answer)),
        })
        .await
    }

    /// Asks `look` whenever the list has grown, until it has an answer.
    async fn wait<T>(
        &self,
        mut look: impl FnMut(&Playlist) -> Option<Result<T, HlsError>>,
    ) -> Result<T, HlsError> {
        let mut grown = self.shared.grown.subscribe();
        let first = look(&self.shared.list().playlist);
        if let Some(answer) = first {
            return answer;
        }
        let _turn = self.shared.waiters.try_acquire().map_err(|_| HlsError::Crowded)?;
        let target = self.shared.list().playlist.target().unwrap_or(Duration::from_secs(1));
        let waiting = async {
            loop {
                let answer = look(&self.shared.list().playlist);
                if let Some(answer) = answer {
                    return answer;
                }
                if grown.changed().await.is_err() {
                    return Err(HlsError::TooLate);
                }
            }
        };
        let waited = tokio::time::timeout(target * WAIT_TARGETS, waiting).await;
        waited.unwrap_or(Err(HlsError::TooLate))
    }
}

/// Whether the list has segment `segment`, or that part of it. A part behind the last one of a
/// segment is the first of the next.
fn is_listed(playlist: &Playlist, segment: u64, part: Option<u64>) -> bool {
    let next = playlist.next();
    match (part, playlist.segment(segment)) {
        (None, _) => segment < next.0,
        (Some(part), Lookup::Here(ended)) => {
            let beyond = part >= ended.cut.body.parts().len() as u64;
            !beyond || next >= (segment + 1, 1)
        }
        (Some(part), _) => (segment, part) < next,
    }
}
