//! The state of a connection: what was described, announced and set up on it.
//!
//! Owns: that state and the steps that its changes cause. Does not own: requests; the methods
//! change it.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use rtsp_types::headers;

use super::description::Announced;
use super::live::Live;
use super::message::{Event, Step};
use super::range::Span;
use super::reply::Reply;

/// The state of a connection.
#[derive(Debug)]
pub(super) struct State {
    pub(super) live: Option<Live>,
    /// The stream that was described last, and the dates in its URL, which the URLs of its
    /// tracks do not repeat.
    pub(super) described: Option<(String, Option<Span>)>,
    /// What the peer wants to publish; the tracks it sets up are of this.
    pub(super) announced: Option<Announced>,
    pub(super) peer: IpAddr,
    /// The transport is encrypted.
    pub(super) secure: bool,
    /// How long the peer of a session may be silent.
    pub(super) timeout: Duration,
    /// There are multicast groups here.
    pub(super) multicast: bool,
    /// What the driver does next.
    pub(super) steps: VecDeque<Step>,
    pub(super) seed: u64,
}

impl State {
    /// Queues an event for the driver.
    pub(super) fn event(&mut self, event: Event) {
        self.steps.push_back(Step::Event(event));
    }

    /// Ends the session, if there is one, and forgets what was announced.
    pub(super) fn end(&mut self) {
        self.announced = None;
        if self.live.take().is_some() {
            self.event(Event::Ended);
        }
    }

    /// 200, with the session if there is one.
    pub(super) fn acknowledge(&self) -> Reply {
        match &self.live {
            Some(live) => Reply::ok().header(headers::SESSION, live.header()),
            None => Reply::ok(),
        }
    }

    /// A new session id: 64 unpredictable bits if the seed was random.
    pub(super) fn new_id(&mut self) -> String {
        // One round of splitmix64.
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut id = self.seed;
        id = (id ^ (id >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        id = (id ^ (id >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        format!("{:016X}", id ^ (id >> 31))
    }
}
