//! A source that runs only while its stream is in demand.
//!
//! Owns: when it begins and when it stops. `supervise` restarts a life that fails while there are
//! viewers, as with every source.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tracing::info;

use crate::stream::{Stream, StreamState};
use crate::supervise::TaskContext;

/// The stream's status without viewers.
const IDLE: &str = "On demand, idle: it is pulled when somebody watches.";

/// Runs `life` while `stream` is in demand, and for `linger` after, until one fails.
pub(super) async fn run<E, F>(
    stream: Arc<Stream>,
    context: TaskContext,
    linger: Duration,
    mut life: impl FnMut(Arc<Stream>, TaskContext) -> F,
) -> Result<Infallible, E>
where
    F: Future<Output = Result<Infallible, E>>,
{
    let demand = stream.demand();
    loop {
        if !demand.is_wanted() && !context.stop.is_cancelled() {
            rest(&stream, &context).await;
        }
        let stop = context.stop.child_token();
        let inner = TaskContext { stop: stop.clone(), ..context.clone() };
        let life = life(Arc::clone(&stream), inner);
        tokio::pin!(life);
        tokio::select! {
            biased;
            ended = life.as_mut() => return ended,
            () = demand.unwanted(linger) => stop.cancel(),
        }
        // It says goodbye to the camera.
        let ended = life.await;
        if context.stop.is_cancelled() {
            return ended;
        }
        info!(stream = %stream.name(), "nobody watches, the camera is left");
    }
}

/// Waits until `stream` is in demand, or the source is to end.
async fn rest(stream: &Stream, context: &TaskContext) {
    let (demand, clock) = (stream.demand(), &context.clock);
    // Old pictures must not be shown as live to a new viewer.
    stream.forget();
    stream.set_state(StreamState::Waiting { reason: IDLE.to_owned() }, clock.wall());
    demand.rest();
    tokio::select! {
        biased;
        () = context.stop.cancelled() => {}
        () = demand.wanted() => {}
    }
    demand.wake();
    stream.set_state(StreamState::Starting, clock.wall());
}
