//! What a session shows of itself, and who may use it.
//!
//! Owns: the way through the authorizer.

use std::sync::Arc;
use std::time::Duration;

use rtsp_types::{Method, StatusCode, headers};

use super::Session;
use crate::base::time::BootTime;
use crate::wire::rtsp::auth::{Admitted, Asking, Authorizer};
use crate::wire::rtsp::channel::Channels;
use crate::wire::rtsp::message::Ask;
use crate::wire::rtsp::reply::Reply;
use crate::wire::rtsp::state::State;
use crate::wire::rtsp::transcript::Failure;
use crate::wire::rtsp::transport::Route;

/// What is set up on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View<'a> {
    /// The stream.
    pub stream: &'a str,
    /// How its packets go: `tcp`, `udp` or `multicast`.
    pub transport: &'static str,
    /// Whether they go now, and which way.
    pub flow: Flowing,
}

/// Whether media flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Flowing {
    /// Not now.
    #[default]
    Paused,
    /// To the peer.
    Playing,
    /// From the peer.
    Recording,
}

impl Session {
    /// The same with an authorizer; without one everyone is let in.
    #[must_use]
    pub fn authorized_by(self, authorizer: Arc<Authorizer>) -> Self {
        Self { auth: self.auth.authorized_by(authorizer), ..self }
    }

    /// The same over a connection that is `secure` (RTSPS): the transport is encrypted.
    #[must_use]
    pub fn secured(self, secure: bool) -> Self {
        Self { state: State { secure, ..self.state }, ..self }
    }

    /// The same with sessions whose peer may be silent for so long.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { state: State { timeout, ..self.state }, ..self }
    }

    /// The same where there are multicast groups, or not.
    #[must_use]
    pub fn with_multicast(self, multicast: bool) -> Self {
        Self { state: State { multicast, ..self.state }, ..self }
    }

    /// The same where channels are these streams; without, they are none.
    #[must_use]
    pub fn with_channels(self, channels: Arc<dyn Channels>) -> Self {
        Self { channels, ..self }
    }

    /// The account that asks; `None` where there are none, or none has asked yet.
    #[must_use]
    pub fn user(&self) -> Option<&Arc<str>> {
        self.owner.as_ref()
    }

    /// What the peer calls its program.
    #[must_use]
    pub fn user_agent(&self) -> Option<&str> {
        self.transcript.agent.as_deref()
    }

    /// What is set up; `None` before SETUP and after TEARDOWN.
    #[must_use]
    pub fn view(&self) -> Option<View<'_>> {
        let live = self.state.live.as_ref()?;
        let transport = match live.routes.first()?.route {
            Route::Tcp { .. } => "tcp",
            Route::Udp { .. } => "udp",
            Route::Multicast => "multicast",
        };
        let flow = match (live.playing, live.recording) {
            (true, _) => Flowing::Playing,
            (false, Some(_)) => Flowing::Recording,
            (false, None) => Flowing::Paused,
        };
        Some(View { stream: &live.stream, transport, flow })
    }

    /// Reports that the client fails, once each time: nothing has flowed yet and something was
    /// refused, or the connection was closed for what the client did.
    pub fn take_failure(&mut self) -> Option<Failure> {
        self.transcript.take_failure()
    }

    /// The driver ends the connection for what the client did.
    pub fn cut(&mut self, now: BootTime, reason: &str) {
        self.transcript.ended(now.since(self.birth.0), reason);
    }

    /// Whether media has flowed on this connection.
    #[must_use]
    pub fn has_flowed(&self) -> bool {
        self.transcript.flowed
    }

    /// Lets `ask` through, or says what it lacks. A session of another account does not count.
    pub(super) fn admit(&mut self, now: BootTime, ask: &Ask) -> Result<(), Box<Reply>> {
        let (method, header) = (ask.request.method(), ask.request.header(&headers::AUTHORIZATION));
        let announced = self.state.announced.as_ref().map(|announced| &announced.stream[..]);
        let begins = matches!(method, Method::Describe | Method::Announce);
        let asking = Asking {
            method,
            target: ask.target.as_ref(),
            session: self.state.live.as_ref().map(|live| &live.stream[..]).or(announced),
            // Tracks of a publisher have URLs of its own making.
            session_only: announced.is_some() && !begins,
            authorization: header.map(rtsp_types::HeaderValue::as_str),
            channels: &*self.channels,
            secure: self.state.secure,
        };
        let begun = asking.session.is_some();
        match self.auth.admit(now, asking)? {
            Admitted::As(user) if begun && user != self.owner => {
                let text = "the session belongs to another client";
                Err(Box::new(Reply::refuse(StatusCode::SessionNotFound, text)))
            }
            Admitted::As(user) => {
                self.owner = user;
                Ok(())
            }
            Admitted::Anyone => Ok(()),
        }
    }
}
