//! `/live/{stream}/ws`: fMP4 over WebSocket for the page's player.
//!
//! Owns: the messages and the life of the socket. Text messages are JSON, one key each: `hello`
//! (then a binary init segment), `clock`, `drop`, `state`; every other binary message is one
//! `moof` + `mdat`. The client sends nothing but pongs; what it sends is counted and
//! thrown away.

mod message;

use std::sync::Arc;

use axum::extract::State;
use axum::extract::ws::Message;
use axum::response::Response;
use tokio::sync::watch;

use crate::access::Right;
use crate::base::limits::MSE_PING_INTERVAL;
use crate::base::time::WallTime;
use crate::live::StreamOutputs;
use crate::live::mse::{Part, Viewer, ViewerEvent};
use crate::serve::http::context::HttpContext;
use crate::serve::http::door::{Access, Door, Object};
use crate::serve::http::error::ApiError;
use crate::serve::http::extract::{At, Named};
use crate::serve::http::websocket::{
    ClientSocket, Ended, FLOODS, Incoming, MessageRate, Upgrade, ping,
};
use crate::stream::StreamState;

/// Its routes.
pub(in crate::serve::http) fn routes(door: Door) -> Door {
    let live = Access::Viewer(Object::Stream(Right::Live));
    door.get("/live/{stream}/ws", live, upgrade)
        .says("WebSocket: fMP4 of a live stream.")
        .answers_empty(101)
        .refuses(&[426])
}

/// `GET /live/{stream}/ws`.
pub(crate) async fn upgrade(
    State(context): At,
    Named(outputs): Named,
    upgrade: Upgrade,
) -> Result<Response, ApiError> {
    let viewer = outputs.mse.view()?;
    Ok(upgrade.serve("ws", MSE_PING_INTERVAL, move |socket| {
        LiveSession::new(socket, viewer, &outputs, context).run()
    }))
}

/// One viewer.
struct LiveSession {
    socket: ClientSocket,
    viewer: Viewer,
    state: watch::Receiver<(StreamState, WallTime)>,
    context: Arc<HttpContext>,
    rate: MessageRate,
    newest: Option<Arc<Part>>,
}

/// What the session waited for.
enum Wake {
    Socket(Incoming),
    State,
    Viewer(ViewerEvent),
}

const GONE: Ended = "stream gone";

impl LiveSession {
    fn new(
        socket: ClientSocket,
        viewer: Viewer,
        outputs: &StreamOutputs,
        context: Arc<HttpContext>,
    ) -> Self {
        let mut state = outputs.stream.watch_state();
        // A viewer of a stream that is not live gets an answer at once.
        if state.borrow_and_update().0 != StreamState::Live {
            state.mark_changed();
        }
        let rate = MessageRate::of_control_frames(context.clock.boot());
        Self { socket, viewer, state, context, rate, newest: None }
    }

    async fn run(mut self) -> Ended {
        loop {
            let wake = self.next().await;
            let answer = self.answer(wake);
            if let Err(ended) = self.socket.deliver(answer).await {
                return ended;
            }
        }
    }

    async fn next(&mut self) -> Wake {
        tokio::select! {
            biased;
            incoming = self.socket.next() => Wake::Socket(incoming),
            changed = self.state.changed() => match changed {
                Ok(()) => Wake::State,
                Err(_) => Wake::Viewer(ViewerEvent::Ended),
            },
            event = self.viewer.next() => Wake::Viewer(event),
        }
    }

    /// What to send after `wake`, or why the session ends.
    fn answer(&mut self, wake: Wake) -> Result<Vec<Message>, Ended> {
        let now = self.context.clock.wall();
        match wake {
            Wake::Socket(Incoming::Ended(ended)) => Err(ended),
            Wake::Socket(Incoming::Message(_)) => {
                let is_allowed = self.rate.allows(self.context.clock.boot());
                if is_allowed { Ok(Vec::new()) } else { Err(FLOODS) }
            }
            Wake::Socket(Incoming::PingDue) => {
                let clock = self.newest.as_ref().map(|part| message::clock(part, now));
                Ok([ping()].into_iter().chain(clock).collect())
            }
            Wake::State => Ok(vec![message::state(&self.state.borrow_and_update().0)]),
            Wake::Viewer(ViewerEvent::Format(part)) => {
                let init = part.format.init.clone();
                Ok(vec![message::hello(&part, now), Message::Binary(init)])
            }
            Wake::Viewer(ViewerEvent::Part(part)) => {
                let bytes = part.bytes.clone();
                self.newest = Some(part);
                Ok(vec![Message::Binary(bytes)])
            }
            Wake::Viewer(ViewerEvent::Dropped(units)) => Ok(vec![message::drop(units)]),
            Wake::Viewer(ViewerEvent::Ended) => Err(GONE),
        }
    }
}
