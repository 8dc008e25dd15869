//! The last recorded tracks of a stream, published until it comes back.
//!
//! A recorder that asks for a description while its camera is away, and after the box was switched
//! off too, gets the parameters of the last run instead of a refusal.
//!
//! Owns: nothing; the ring keeps the parameters with the footage.

use std::sync::Arc;
use std::time::Duration;

use tracing::debug;

use crate::base::name::StreamName;
use crate::base::time::WallTime;
use crate::dvr::{Direction, Dvr, DvrError};
use crate::media::Tracks;
use crate::stream::Stream;
use crate::wire::mp4::read_init;

/// Between two looks into a ring that is not open yet.
const LOOK_PAUSE: Duration = Duration::from_millis(500);
/// Looks in all: a ring that opens later is not worth the waiting.
const LOOKS_MAX: u32 = 120;

/// Gives `stream` the tracks recorded last, unless it has newer ones by then.
pub(super) async fn recall(stream: Arc<Stream>, dvr: Dvr) {
    for _ in 0..LOOKS_MAX {
        if stream.tracks().borrow().is_some() {
            return;
        }
        let (name, ring) = (stream.name().clone(), dvr.clone());
        let looked = tokio::task::spawn_blocking(move || newest(&ring, &name)).await;
        match looked {
            Ok(Ok(Some(tracks))) => return stream.recall_tracks(Arc::new(tracks)),
            // Nothing there, or nothing there yet.
            Ok(Ok(None) | Err(DvrError::NoSlot)) => {}
            Ok(Err(error)) => debug!(stream = %stream.name(), error = %error, "not recalled"),
            Err(_) => return,
        }
        tokio::time::sleep(LOOK_PAUSE).await;
    }
}

/// The tracks of the newest footage of `name`; blocks on the disk.
fn newest(dvr: &Dvr, name: &StreamName) -> Result<Option<Tracks>, DvrError> {
    let mut cursor = dvr.recording_cursor(name)?;
    if !cursor.seek(WallTime::from_unix_nanos(i64::MAX), Direction::Backward)? {
        return Ok(None);
    }
    let fragment = cursor.backward(true)?.and_then(|fragments| fragments.into_iter().next());
    // An init segment that does not read back is of no use to anybody else either.
    Ok(fragment.and_then(|fragment| read_init(&fragment.init).ok()))
}
