//! The description of a camera, and where it ends.
//!
//! Owns: the body of the answer to DESCRIBE. Some cameras leave its length out, say a wrong one, or
//! send it in chunks; it ends when nothing more comes, then.

use bytes::Bytes;

use super::{ClientSession, Plan};
use crate::base::limits::{CLIENT_DESCRIPTION_QUIET, CLIENT_DESCRIPTION_TAIL};
use crate::base::time::BootTime;
use crate::wire::rtsp::client::answer;
use crate::wire::rtsp::client::{ClientEvent, SessionEnd};
use crate::wire::rtsp::description::SessionDescription;
use crate::wire::rtsp::frame::{Headers, INPUT_BYTES_MAX, Message};

/// A description whose end is not known yet.
#[derive(Debug)]
pub(super) struct Gathering {
    headers: Headers,
    /// What was taken for the whole of it.
    body: Bytes,
    is_chunked: bool,
    /// Bytes that had come when it was looked at last.
    seen: usize,
    /// It ends then, if nothing more comes.
    until: BootTime,
    /// It ends then, whatever comes.
    most: BootTime,
}

impl ClientSession {
    /// The answer to DESCRIBE came.
    pub(super) fn description_came(&mut self, now: BootTime, message: Message) {
        // Of what comes behind a description that was said too short, nothing is a message.
        let is_read = SessionDescription::parse(&message.body).is_ok();
        let is_cut = !message.body.ends_with(b"\n") || !is_read;
        if !message.open_ended && !is_cut {
            return self.described(&message.headers, &message.body);
        }
        let coding = message.headers.get("Transfer-Encoding").unwrap_or_default();
        let is_chunked = coding.to_ascii_lowercase().contains("chunked");
        let Message { headers, body, .. } = message;
        let most = now.after(self.config.answer_time);
        let is_whole = is_read && !message.open_ended;
        let quiet = if is_whole { CLIENT_DESCRIPTION_TAIL } else { CLIENT_DESCRIPTION_QUIET };
        let until = now.after(quiet);
        self.gathering = Some(Gathering { headers, body, is_chunked, seen: 0, until, most });
    }

    /// When the description ends that is being gathered; `None` once it has.
    pub(super) fn gather(&mut self, now: BootTime) -> Option<BootTime> {
        let gathering = self.gathering.as_mut()?;
        let rest = self.framer.rest();
        if rest.len() != gathering.seen {
            gathering.seen = rest.len();
            gathering.until = now.after(CLIENT_DESCRIPTION_QUIET).min(gathering.most);
        }
        let is_whole = gathering.is_chunked && answer::unchunked(rest).1.is_some();
        if gathering.until > now && !is_whole && rest.len() < INPUT_BYTES_MAX {
            return Some(gathering.until);
        }
        self.gathered();
        None
    }

    /// Takes what was gathered for the whole.
    pub(super) fn gathered(&mut self) {
        let Some(gathering) = self.gathering.take() else { return };
        let mut rest = self.framer.rest().to_vec();
        let mut length = rest.len();
        if gathering.is_chunked {
            let (body, end) = answer::unchunked(&rest);
            (rest, length) = (body, end.unwrap_or(length));
        }
        self.framer.pass_over(length);
        self.described(&gathering.headers, &[&gathering.body[..], &rest].concat());
    }

    pub(super) fn described(&mut self, headers: &Headers, body: &[u8]) {
        let description = match SessionDescription::parse(body) {
            Ok(description) => description,
            Err(error) => {
                return self.leave(SessionEnd::BadDescription { what: error.to_string() });
            }
        };
        let told = headers.get("Content-Base").or_else(|| headers.get("Content-Location"));
        let base = answer::base(&self.url, told);
        let aggregate = answer::control(&base, description.control.as_deref());
        let event = ClientEvent::Described(description.clone());
        self.plan = Plan { description, base, aggregate, ..Plan::default() };
        self.event(event);
    }
}
