//! A peer that does anything at any time, and a driver, a stream and an administrator that do too.
//!
//! An input is what the peer says, and 0xFF with a letter for everything else (see [`Play::act`]), so
//! that a recorded dialogue is one already.

use std::time::Duration;

use holdfast::media::TrackId;
use holdfast::wire::rtsp::auth::{Accounts, Rules};
use holdfast::wire::rtsp::{Command, Details, Event, Refusal};

use super::input::Input;
use super::media::{accounts, authorizer, tracks};
use super::peer::{Peer, WALL};

/// Precedes everything that the peer does not send.
const MARK: u8 = 0xff;

const ACCOUNTS: u8 = 1;
const SECURE: u8 = 2;
const MULTICAST: u8 = 4;
const SHORT: u8 = 8;

/// Feeds one input: a byte that says what there is, then what happens.
pub fn eat(bytes: &[u8]) {
    let mut input = Input(bytes);
    let shape = input.byte();
    let has = |flag: u8| shape & flag != 0;
    let authorizer = authorizer(accounts());
    if !has(ACCOUNTS) {
        authorizer
            .change(Rules { access: holdfast::wire::rtsp::auth::Access::Everybody, basic: true });
    }
    let timeout = Duration::from_secs(if has(SHORT) { 4 } else { 60 });
    let mut peer = Peer::new(|session| {
        let session = session.authorized_by(authorizer.clone()).secured(has(SECURE));
        session.with_multicast(has(MULTICAST)).with_timeout(timeout)
    })
    .forgetful();
    while !input.is_empty() {
        let until = input.0.iter().position(|byte| *byte == MARK).unwrap_or(input.0.len());
        peer.say(input.take(until));
        if input.is_empty() {
            break;
        }
        let _ = input.byte();
        let letter = input.byte();
        if letter == b'x' {
            let accounts = if has(ACCOUNTS) { accounts() } else { Accounts::new() };
            let rest = accounts.into_iter().filter(|(name, _)| name != "nvr").collect();
            authorizer.change(Rules::new(rest, false));
        }
        act(&mut peer, letter);
        peer.go_on();
        if has(ACCOUNTS)
            && let Some(stream) = peer.asked.as_ref().and_then(stream)
        {
            assert_eq!(stream, "gate", "a stream that only the boss may have");
        }
    }
    // However it went, a silent peer is not kept for ever.
    peer.answers = true;
    peer.answer();
    peer.go_on();
    if !peer.closed && peer.session.view().is_none() {
        peer.now = peer.now.after(Duration::from_secs(61));
        peer.go_on();
        assert!(peer.closed, "a silent peer without a session is kept");
    }
}

/// Of which stream a question is.
fn stream(event: &Event) -> Option<&str> {
    match event {
        Event::Describe { stream, .. }
        | Event::DescribePast { stream, .. }
        | Event::Announce { stream, .. }
        | Event::Play { stream, .. }
        | Event::Record { stream, .. } => Some(stream),
        Event::SetUp { target, .. } => Some(&target.stream),
        _ => None,
    }
}

/// Does what `letter` says: a digit lets time pass, `m` lets questions wait from now on, `y` and
/// upper-case letters answer them, others are what may come at any time.
fn act(peer: &mut Peer, letter: u8) {
    let now = peer.now;
    match letter {
        b'0'..=b'9' => {
            let millis = [1, 40, 500, 3_000, 5_000, 9_999, 10_001, 30_000, 61_000, 3_600_000];
            let by = millis[usize::from(letter - b'0')];
            peer.now = now.after(Duration::from_millis(by));
        }
        b'a' => {
            peer.answers = true;
            peer.answer();
        }
        b'm' => peer.answers = false,
        b'y' => peer.answer(),
        b'l' => peer.session.command(now, Command::Alive),
        b'h' => peer.session.command(now, Command::Heard),
        b'r' => {
            let url = "rtsp://10.0.0.9/gate".to_owned();
            peer.session.command(now, Command::Redirect { url });
        }
        b'c' => peer.session.cut(now, "the peer takes nothing"),
        b't' => {
            let _ = (peer.session.take_failure(), peer.session.has_flowed());
        }
        b'A'..=b'Z' => peer.refuse(refusal(letter)),
        // Answers to questions that were not asked; none waits, or it is another one.
        b'd' if !matches!(
            peer.asked,
            Some(Event::Describe { .. } | Event::DescribePast { .. })
        ) =>
        {
            peer.session
                .command(now, Command::Described { tracks: tracks(), details: Details::default() });
        }
        b'p' if !matches!(peer.asked, Some(Event::Play { .. })) => {
            peer.session.command(now, Command::Playing { starts: Vec::new(), wall: Some(WALL) });
        }
        b's' if !matches!(peer.asked, Some(Event::SetUp { .. } | Event::SetUpRecord { .. })) => {
            let track = TrackId(1);
            peer.session.command(now, Command::SetUp { track, ssrc: 1, server_port: None });
        }
        _ => {}
    }
}

fn refusal(letter: u8) -> Refusal {
    let text = || "not now".to_owned();
    match letter % 11 {
        0 => Refusal::NoStream,
        1 => Refusal::NoTrack,
        2 => Refusal::WhichTrack,
        3 => Refusal::NotReady(text()),
        4 => Refusal::NothingThere(text()),
        5 => Refusal::TooMany,
        6 => Refusal::NoPorts,
        7 => Refusal::Elsewhere("rtsp://10.0.0.9/gate".to_owned()),
        8 => Refusal::NotPublished,
        9 => Refusal::Taken,
        _ => Refusal::NotCarried(text()),
    }
}
